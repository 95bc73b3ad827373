//! Texts as the original reads them: without markup, and no further than it looks.

use std::borrow::Cow;

/// A text without tags and comments, in which what is left of markup is written as text.
pub(super) fn cleaned(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>']) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>']) {
        let (before, from) = rest.split_at(at);
        cleaned.push_str(before);
        rest = markup(from).unwrap_or_else(|| {
            let mut letters = from.chars();
            cleaned.push_str(match letters.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                _ => "&gt;",
            });
            letters.as_str()
        });
    }
    cleaned.push_str(rest);
    Cow::Owned(cleaned)
}

/// What follows the tag or comment that a text begins with.
fn markup(text: &str) -> Option<&str> {
    if let Some(comment) = text.strip_prefix("<!--") {
        return comment.split_once("-->").map(|(_, after)| after);
    }
    let tag = text.strip_prefix('<')?;
    let name = tag.strip_prefix('/').unwrap_or(tag);
    if !name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        return None;
    }
    tag.split_once('>').map(|(_, after)| after)
}

/// Whether a text begins like an id: words of 8, 4, 4, 4 and 12 letters or digits of any script. Says what follows.
pub(super) fn after_id(text: &str) -> Option<&str> {
    let mut rest = text;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-')?;
        }
        for _ in 0..length {
            rest = rest.strip_prefix(|letter: char| letter.is_alphanumeric() || letter == '_')?;
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_taken_out_and_what_is_left_of_it_is_text() {
        for (text, expected) in [
            ("Sample", "Sample"),
            ("<b>Sample</b>", "Sample"),
            ("Sam<!-- x > y -->ple", "Sample"),
            ("A&B", "A&amp;B"),
            ("1 < 2 > 0", "1 &lt; 2 &gt; 0"),
            ("<br/>x<3", "x&lt;3"),
            ("<b", "&lt;b"),
            ("ü<i>ö</i>", "üö"),
        ] {
            assert_eq!(cleaned(text), expected);
        }
    }

    #[test]
    fn an_id_is_looked_at_as_far_as_it_goes() {
        let id = "0f0e0d0c-0b0a-4908-8706-050403020100";
        assert_eq!(after_id(id), Some(""));
        assert_eq!(after_id(&format!("{id}junk")), Some("junk"));
        assert_eq!(after_id("zzzzzzzz-ÄÖÜß-____-0000-000000000000"), Some(""));
        for wrong in ["", "0f0e0d0c", "0f0e0d0c-0b0a-4908-8706-05040302010", "0f0e0d0c 0b0a-4908-8706-050403020100"] {
            assert_eq!(after_id(wrong), None, "{wrong}");
        }
    }
}
