//! Lists of phrases, all looked for at once, whatever the case of their letters (`pm`, `pmFromFile`).

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::bytes::{after, hex, is_space, trimmed};
use crate::scan::span;

/// Phrases, compiled.
#[derive(Clone, Debug)]
pub struct Phrases {
    automaton: AhoCorasick,
    phrases: Vec<Vec<u8>>,
}

/// A phrase that a value holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The phrase as the list has it.
    pub phrase: &'a [u8],
    /// Where the value has it.
    pub range: Range<usize>,
}

impl Phrases {
    /// Compiles phrases; empty ones are left out.
    pub fn compile(phrases: Vec<Vec<u8>>) -> Result<Self, String> {
        let phrases: Vec<_> = phrases.into_iter().filter(|phrase| !phrase.is_empty()).collect();
        // Lists of a rule set have thousands of phrases; a table of transitions for each state would take tens of
        // megabytes for them.
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&phrases)
            .map_err(|fault| format!("these phrases are too many: {fault}"))?;
        Ok(Self { automaton, phrases })
    }

    /// The phrase that ends first in a value; of those that end together, the longest.
    pub fn find(&self, value: &[u8]) -> Option<Found<'_>> {
        let found = self.automaton.find(value)?;
        let phrase = self.phrases.get(found.pattern().as_usize())?;
        Some(Found { phrase, range: found.range() })
    }

    /// The phrases, for whoever scans for several lists at once.
    pub fn all(&self) -> &[Vec<u8>] {
        &self.phrases
    }
}

/// Phrases of the parameter of `pm`, which are separated by white space.
pub fn of_parameter(parameter: &[u8]) -> Vec<Vec<u8>> {
    let decoded = decode(parameter).unwrap_or_else(|| parameter.to_vec());
    decoded.split(|byte| is_space(*byte)).filter(|phrase| !phrase.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Phrases of a file for `pmFromFile`: one each line, with comments that begin with `#`.
///
/// As in `ModSecurity` 2.9, a phrase of a single byte is passed over.
pub fn of_file(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let decoded = decode(line);
            let phrase = trimmed(decoded.as_deref().unwrap_or(line));
            (phrase.len() > 1 && !phrase.starts_with(b"#")).then(|| phrase.to_vec())
        })
        .collect()
}

/// Decodes quotes around the whole, bytes in hexadecimal digits between bars (`|0d 0a|`), and `:`, `;`, `"` and `\` behind a
/// backslash. Nothing where another sign is behind a backslash: then the text is meant as it is.
fn decode(written: &[u8]) -> Option<Vec<u8>> {
    let start = span(written, is_space);
    let written = written.get(start..)?;
    let written = match written {
        b"\"\"" => return None,
        [b'"', inside @ .., b'"'] => inside,
        all => all,
    };
    let mut decoded = Vec::with_capacity(written.len());
    let (mut in_bars, mut is_escaped, mut has_changed) = (false, false, false);
    let mut high = None;
    for byte in written {
        match byte {
            b'|' => in_bars = !in_bars,
            b'\\' if !is_escaped => is_escaped = true,
            _ if in_bars => {
                if let Some(digit) = hex(*byte) {
                    high = match high {
                        None => Some(digit),
                        Some(high) => {
                            decoded.push(high << 4 | digit);
                            has_changed = true;
                            None
                        }
                    };
                }
            }
            b':' | b';' | b'\\' | b'"' if is_escaped => {
                decoded.push(*byte);
                (is_escaped, has_changed) = (false, true);
            }
            _ if is_escaped => return None,
            _ => decoded.push(*byte),
        }
    }
    // Where nothing was decoded, the text keeps its length: what bars left out is made up for from its end.
    if !has_changed {
        decoded.extend_from_slice(after(written, decoded.len()));
    }
    // C has the end of its texts at the first zero.
    decoded.truncate(memchr::memchr(0, &decoded).unwrap_or(decoded.len()));
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(phrases: &[&str], value: &str) -> Option<String> {
        let phrases = Phrases::compile(phrases.iter().map(|phrase| phrase.as_bytes().to_vec()).collect()).unwrap();
        phrases.find(value.as_bytes()).map(|found| String::from_utf8_lossy(found.phrase).into_owned())
    }

    #[test]
    fn the_phrase_that_ends_first_is_found_whatever_its_case() {
        assert_eq!(found(&["WebZIP", "zip"], "get wEBzIp now"), Some("WebZIP".to_owned()));
        assert_eq!(found(&["abcd", "bc"], "xabcd"), Some("bc".to_owned()));
        assert_eq!(found(&["abc"], "ab c"), None);
        assert_eq!(found(&[], "anything"), None);
    }

    #[test]
    fn a_parameter_can_have_bytes_and_quotes() {
        for (written, expected) in [
            ("one  two\tthree", &["one", "two", "three"][..]),
            ("\"a b\"", &["a", "b"]),
            ("a|42 43|d", &["aBCd"]),
            ("a|b", &["a|b"]),
            ("a||b", &["ab|b"]),
            ("\\:x \\\\y", &[":x", "\\y"]),
            ("c:\\temp x", &["c:\\temp", "x"]),
        ] {
            let read: Vec<_> = of_parameter(written.as_bytes());
            let expected: Vec<_> = expected.iter().map(|phrase| phrase.as_bytes().to_vec()).collect();
            assert_eq!(read, expected, "{written}");
        }
    }

    #[test]
    fn a_file_has_a_phrase_each_line() {
        let read = of_file(b"# comment\n  two words \n\nx\n|41 42|\r\n  # another\nlast");
        assert_eq!(read, [&b"two words"[..], b"AB", b"last"]);
    }
}
