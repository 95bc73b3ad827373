//! Regular expressions as `ModSecurity` 2 reads them: over bytes, where a dot takes a newline too and `$` stands only
//! at the very end.

use regex::bytes::{Regex, RegexBuilder};

/// Compiles the expression of `@rx`.
pub(crate) fn compile(pattern: &[u8]) -> Result<Regex, String> {
    build(pattern, false)
}

/// Compiles the expression of a selector, for which case never matters.
pub(crate) fn selector(pattern: &[u8]) -> Result<Regex, String> {
    build(pattern, true)
}

fn build(pattern: &[u8], caseless: bool) -> Result<Regex, String> {
    RegexBuilder::new(&bytewise(pattern))
        .unicode(false)
        .dot_matches_new_line(true)
        .case_insensitive(caseless)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|cause| explained(&cause))
}

/// The pattern with all that means a byte in PCRE and a character of Unicode here written as a byte.
pub(crate) fn bytewise(pattern: &[u8]) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'\\', [b'x', b'{', braced @ ..]) => {
                let digits = braced.iter().take_while(|digit| digit.is_ascii_hexdigit()).count();
                let hex = braced.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default();
                match (u8::from_str_radix(hex, 16), braced.get(digits)) {
                    (Ok(value), Some(b'}')) => {
                        push_byte(&mut written, value);
                        rest = braced.get(digits + 1..).unwrap_or_default();
                    }
                    _ => written.push('\\'),
                }
            }
            // `\/`, `\"`, `\e` and others are fine in PCRE, and the crate knows some of them not.
            (b'\\', [b'e', ..]) => {
                push_byte(&mut written, 0x1b);
                rest = after.get(1..).unwrap_or_default();
            }
            (b'\\', [next, ..]) => {
                written.push('\\');
                rest = after.get(1..).unwrap_or_default();
                if next.is_ascii() {
                    written.push(char::from(*next));
                } else {
                    written.pop();
                    push_byte(&mut written, *next);
                }
            }
            _ if byte.is_ascii() => written.push(char::from(byte)),
            _ => push_byte(&mut written, byte),
        }
    }
    written
}

fn push_byte(written: &mut String, byte: u8) {
    written.push_str(r"\x");
    for digit in [byte >> 4, byte & 15] {
        written.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    }
}

/// What is wrong in one line, with what can be written instead of what no linear engine can do.
fn explained(cause: &regex::Error) -> String {
    let text = cause.to_string();
    let last =
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim_start_matches("error: ");
    if text.contains("look-around") || text.contains("backreferences") {
        return format!("{last}: they can take unlimited time on hostile input; split the rule into a chain of two");
    }
    format!("this expression cannot be read: {last}")
}

/// How large a compiled expression may be.
const SIZE_LIMIT: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_mean_bytes_and_not_characters() {
        for (pattern, input) in [
            (&br"\x{be}"[..], &b"\xbe"[..]),
            (br"[\x{80}-\x{ff}]", b"\x99"),
            (br"\xbe", b"\xbe"),
            (b"\xc3\xa4", "ä".as_bytes()),
            (b"[\xa0]", b"\xa0"),
            (br"\e", b"\x1b"),
        ] {
            assert!(compile(pattern).unwrap().is_match(input), "{pattern:?}");
        }
        assert!(!compile(br"\x{be}").unwrap().is_match("\u{be}".as_bytes().get(..1).unwrap()));
    }

    #[test]
    fn a_dot_takes_newlines_and_a_dollar_only_the_end() {
        assert!(compile(b"a.b").unwrap().is_match(b"a\nb"));
        assert!(!compile(b"a$").unwrap().is_match(b"a\n"));
        assert!(!compile(b"^b").unwrap().is_match(b"a\nb"));
    }

    #[test]
    fn what_needs_backtracking_is_refused_with_a_reason() {
        assert!(compile(b"a(?=b)").unwrap_err().contains("unlimited time"));
    }
}
