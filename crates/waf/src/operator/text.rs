//! Comparisons that need more than a line.

use patterns::Search;

use super::{Answer, Captures, Matcher};

/// The number at the beginning of a text, as `atoi` reads it: 0 if there is none.
pub(crate) fn integer(text: &[u8]) -> i64 {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -number } else { number }
}

/// Whether a text has a word that stands by itself. Nothing stands everywhere.
pub(super) fn contains_word(text: &[u8], word: &[u8]) -> bool {
    if word.is_empty() {
        return true;
    }
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (0..text.len()).any(|at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        text.get(at..).is_some_and(|rest| rest.starts_with(word))
            && !is_word(before)
            && !is_word(text.get(at + word.len()))
    })
}

/// Matches an expression that macros were expanded in.
///
/// It is compiled for this one value: whoever writes such a rule pays for it on each request. What a value from
/// outside means to an expression was taken away when its macro was expanded.
pub(super) fn matches_expanded(pattern: &[u8], value: &[u8], captures: Option<&mut Captures>) -> Answer {
    match Search::compile(pattern) {
        Ok(search) => super::matches(&Matcher { search, global: false }, value, captures).into(),
        Err(_) => Answer::No,
    }
}

/// Whether ten digits have the check sum of an Austrian social security number.
pub(super) fn is_svnr(found: &[u8]) -> bool {
    let digits: Vec<u32> =
        found.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0')).collect();
    let [first, second, third, check, rest @ ..] = digits.as_slice() else { return false };
    let [day1, day2, month1, month2, year1, year2] = rest else { return false };
    let sum = 3 * first + 7 * second + 9 * third + 5 * day1 + 8 * day2 + 4 * month1 + 2 * month2 + year1 + 6 * year2;
    sum % 11 == *check
}

/// Whether a text has another one in it. The search of the library begins with a plan, which takes longer than a short text.
pub(super) fn contains(text: &[u8], wanted: &[u8]) -> bool {
    let middle = wanted.len() / 2;
    let Some(byte) = wanted.get(middle).filter(|_| text.len() <= SHORT) else {
        return memchr::memmem::find(text, wanted).is_some();
    };
    memchr::memchr_iter(*byte, text).any(|at| {
        let from_there = at.checked_sub(middle).and_then(|start| text.get(start..));
        from_there.is_some_and(|text| text.starts_with(wanted))
    })
}

/// Texts that are gone through without a plan.
const SHORT: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_far_as_it_goes() {
        for (text, number) in
            [("12", 12), (" -3x", -3), ("x", 0), ("", 0), ("+7", 7), ("99999999999999999999", i64::MAX)]
        {
            assert_eq!(integer(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn a_text_is_found_wherever_it_stands_however_long_all_is() {
        for long in ["", &"ba".repeat(SHORT)] {
            for text in ["", "a", "ab", "abab", "aab", "bbb", "abc", "ababac"] {
                let text = format!("{text}{long}");
                for wanted in ["", "a", "ab", "ba", "abc", "abab", "bac", "c", "ababacb"] {
                    assert_eq!(
                        contains(text.as_bytes(), wanted.as_bytes()),
                        text.contains(wanted),
                        "{wanted} in {text}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_word_stands_by_itself() {
        for (text, found) in [("a b", true), ("ab", false), ("x-b_", false), ("b", true), ("(b)", true)] {
            assert_eq!(contains_word(text.as_bytes(), b"b"), found, "{text}");
        }
    }
}
