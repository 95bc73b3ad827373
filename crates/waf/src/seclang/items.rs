//! Lists of `name:value`, which variables and actions are both written in.

use problem::Finding;

use super::Text;

/// One entry of a list.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: Text,
    /// What stands behind the colon, without its quotes.
    pub(crate) value: Option<Text>,
}

/// Takes a list apart: entries are parted by commas or bars, values may stand in single quotes.
pub(crate) fn items(text: &Text) -> Result<Vec<Item>, Finding> {
    let mut items = Vec::new();
    let mut at = 0;
    loop {
        while text.byte(at).is_some_and(|byte| byte.is_ascii_whitespace() || is_separator(byte)) {
            at += 1;
        }
        if text.byte(at).is_none() {
            return Ok(items);
        }
        let start = at;
        while text.byte(at).is_some_and(|byte| !is_separator(byte) && byte != b':' && !byte.is_ascii_whitespace()) {
            at += 1;
        }
        let name = text.slice(start..at);
        if text.byte(at) != Some(b':') {
            items.push(Item { name, value: None });
            at = after_entry(text, at)?;
            continue;
        }
        let (value, end) = value(text, at + 1)?;
        items.push(Item { name, value: Some(value).filter(|value| value.len() > 0) });
        at = end;
    }
}

/// Past the blanks behind an entry, where only a separator may follow.
fn after_entry(text: &Text, mut at: usize) -> Result<usize, Finding> {
    while text.byte(at).is_some_and(|byte| byte.is_ascii_whitespace()) {
        at += 1;
    }
    match text.byte(at) {
        Some(byte) if !is_separator(byte) => {
            let what = format!("`{}` is not expected here: write a comma between entries", char::from(byte));
            Err(text.finding(at, what))
        }
        _ => Ok(at),
    }
}

fn value(text: &Text, start: usize) -> Result<(Text, usize), Finding> {
    if text.byte(start) == Some(b'\'') {
        return quoted(text, start + 1);
    }
    let mut at = start;
    while text.byte(at).is_some_and(|byte| !is_separator(byte) && !byte.is_ascii_whitespace()) {
        at += 1;
    }
    Ok((text.slice(start..at), at))
}

fn quoted(text: &Text, start: usize) -> Result<(Text, usize), Finding> {
    let mut value = text.slice(start..start);
    let mut at = start;
    loop {
        match (text.byte(at), text.byte(at + 1)) {
            (None, _) => {
                return Err(text.finding(start - 1, "this quote is never closed: write `'` at the end of the value"));
            }
            (Some(b'\''), _) => return Ok((value, at + 1)),
            (Some(b'\\'), Some(next @ (b'\'' | b'\\'))) => {
                value.push(next, text.place(at + 1));
                at += 2;
            }
            (Some(b'\\'), _) => {
                let what = "a backslash in quotes must be followed by a quote or a backslash: write `\\\\`";
                return Err(text.finding(at, what));
            }
            (Some(byte), _) => {
                value.push(byte, text.place(at));
                at += 1;
            }
        }
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b',' | b'|')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::seclang::text::lines;

    fn read(list: &str) -> Vec<(String, Option<String>)> {
        let text = lines(Path::new("a"), list.as_bytes()).remove(0);
        let items = items(&text).unwrap();
        items.iter().map(|item| (item.name.lossy(), item.value.as_ref().map(Text::lossy))).collect()
    }

    #[test]
    fn values_may_be_quoted_or_not() {
        let expected: Vec<(String, Option<String>)> = vec![
            ("id".into(), Some("1".into())),
            ("msg".into(), Some("it's, | \\ here".into())),
            ("pass".into(), None),
            ("setvar".into(), Some("tx.a=1".into())),
        ];
        assert_eq!(read(r"id:1, msg:'it\'s, | \\ here',  pass ,setvar:tx.a=1"), expected);
        assert_eq!(read("ARGS|!ARGS:a|XML:/*").len(), 3);
    }
}
