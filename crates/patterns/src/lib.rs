//! Regular expressions as `ModSecurity` 2 reads them: over bytes, where a dot takes a newline too and `$` stands only
//! at the very end. No engine here goes back and forth, so that matching takes a time linear in the value.

mod pcre;
mod search;
mod statuses;

use regex::bytes::{Regex, RegexBuilder};

pub use self::pcre::keeps_what_it_matched;
use self::pcre::translated;
pub use self::search::{Groups, Search};
pub use self::statuses::Statuses;

/// Compiles an expression that is not asked often.
pub fn compile(pattern: &[u8]) -> Result<Regex, String> {
    build(pattern, false)
}

/// Compiles the expression of a selector, for which case never matters.
pub fn selector(pattern: &[u8]) -> Result<Regex, String> {
    build(pattern, true)
}

fn build(pattern: &[u8], caseless: bool) -> Result<Regex, String> {
    RegexBuilder::new(&translated(pattern).map_err(explained)?)
        .unicode(false)
        .dot_matches_new_line(true)
        .case_insensitive(caseless)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|cause| explained(&cause.to_string()))
}

/// What is wrong in one line, with what can be written instead of what no linear engine can do.
fn explained(cause: &str) -> String {
    let last =
        cause.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim_start_matches("error: ");
    format!("this expression cannot be read: {last}")
}

/// Why an expression could only be matched by going back and forth, if that is so.
pub fn needs_backtracking(what: &str) -> Option<&'static str> {
    what.ends_with("not supported")
        .then_some("going back and forth can take unlimited time on hostile input; split the rule into a chain of two")
}

/// How large a compiled expression may be.
const SIZE_LIMIT: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            assert!(Search::compile(pattern).unwrap().is_match(input), "{pattern:?}");
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
        assert!(needs_backtracking(&compile(b"a(?=b)").unwrap_err()).is_some());
        assert!(needs_backtracking(&compile(br"(a)\1").unwrap_err()).is_some());
        assert!(needs_backtracking(&compile(br"a\Kb").unwrap_err()).is_some());
        assert!(needs_backtracking(&Search::compile(br"(?|a)").unwrap_err()).is_some());
        assert!(needs_backtracking(&compile(b"(").unwrap_err()).is_none());
    }

    proptest! {
        #[test]
        fn both_engines_find_the_same(
            pattern in prop::sample::select(vec![
                "a(b*)c?", "^(a|b)+$", "(?i)x(y)?|(z)", r"\ba\b", "(a?)(b?)", "b*$", "[^a]{2,3}(a)", ".", "", "(?:ab|a)(c|bcd)(d*)",
            ]),
            value in "[abcdxyZ \n]{0,12}",
        ) {
            let (one, other) = (compile(pattern.as_bytes()).unwrap(), Search::compile(pattern.as_bytes()).unwrap());
            prop_assert_eq!(one.is_match(value.as_bytes()), other.is_match(value.as_bytes()));
            let expected: Vec<Groups> = one
                .captures_iter(value.as_bytes())
                .map(|found| found.iter().map(|group| group.map(|group| group.range())).collect())
                .collect();
            prop_assert_eq!(other.groups(value.as_bytes(), usize::MAX), expected);
        }
    }
}
