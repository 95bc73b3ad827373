//! Recognises injections of SQL: a port of libinjection's detector (BSD-3-Clause, see the file `NOTICE` of this crate).
//!
//! A value is cut into tokens as several databases would cut it, in several contexts: as it is, behind a single quote,
//! behind a double quote. What is left of the tokens after folding is a fingerprint of up to five signs, and either known
//! as an attack's, or not.

mod fold;
mod kind;
mod token;
mod words;

use fold::Folded;
use token::{Dialect, Room, Spacious, Token, Tokens};

use crate::bytes::{ByteSet, after, at};
use crate::scan::{find, find_text};

/// The kinds of tokens that made a value an attack, such as `s&1c`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    kinds: [u8; fold::MOST],
    length: usize,
}

impl Fingerprint {
    /// Its signs.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.signs()).unwrap_or_default()
    }

    fn signs(&self) -> &[u8] {
        self.kinds.get(..self.length).unwrap_or_default()
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a value is an injection of SQL, and by which fingerprint.
pub fn sqli(value: &[u8]) -> Option<Fingerprint> {
    if is_single_word(value) {
        return None;
    }
    let mut room = [0; size_of::<Room>()];
    let spacious = Spacious::of(value, &mut room);
    in_context(spacious, 0, Dialect::Ansi)
        .or_else(|| find(b'\'', value).and_then(|_| in_context(spacious, b'\'', Dialect::Ansi)))
        .or_else(|| find(b'"', value).and_then(|_| judge(spacious, b'"', Dialect::MySql).0))
}

/// One token is an attack only if it is a comment that `MySQL` runs; a word or a number is not.
fn is_single_word(value: &[u8]) -> bool {
    const LETTERS: ByteSet = ByteSet::new(b"_").with_range(b'a', b'z').with_range(b'A', b'Z');
    const DIGITS: ByteSet = ByteSet::EMPTY.with_range(b'0', b'9');
    const BOTH: ByteSet = LETTERS.or(DIGITS);
    match value {
        [] => true,
        [first, rest @ ..] if LETTERS.contains(*first) => rest.iter().all(|byte| BOTH.contains(*byte)),
        all => all.iter().all(|byte| DIGITS.contains(*byte)),
    }
}

/// What is a comment for some databases only is looked at a second time, as `MySQL` does.
fn in_context(value: Spacious<'_>, quote: u8, dialect: Dialect) -> Option<Fingerprint> {
    let (found, is_ambiguous) = judge(value, quote, dialect);
    found.or_else(|| if is_ambiguous { judge(value, quote, Dialect::MySql).0 } else { None })
}

fn judge(value: Spacious<'_>, quote: u8, dialect: Dialect) -> (Option<Fingerprint>, bool) {
    let (mut folded, left) = Folded::fold(Tokens::of(value, quote, dialect));
    // PHP takes a backtick that is never closed for a comment.
    if left > 2
        && let Some(last) = folded.token_mut(left - 1)
        && is_open_backtick(last)
    {
        last.kind = kind::COMMENT;
    }
    let mut kinds = [0; fold::MOST];
    for (place, sign) in kinds.iter_mut().enumerate().take(left) {
        *sign = folded.token(place).kind;
    }
    let is_evil = (0..left).any(|place| folded.token(place).kind == kind::EVIL);
    let fingerprint = if is_evil {
        Fingerprint { kinds: [kind::EVIL, 0, 0, 0, 0], length: 1 }
    } else {
        Fingerprint { kinds, length: left }
    };
    let is_known = words::is_attack(fingerprint.signs());
    let is_attack = is_known && !is_harmless(&folded, &fingerprint);
    (is_attack.then_some(fingerprint), folded.tokens.is_ambiguous)
}

fn is_open_backtick(token: &Token) -> bool {
    token.kind == kind::BAREWORD && token.open == b'`' && token.close == 0 && token.text().is_empty()
}

/// What people write that has a fingerprint of an attack.
fn is_harmless(folded: &Folded<'_>, fingerprint: &Fingerprint) -> bool {
    let signs = fingerprint.signs();
    // SQL Server does not log statements that hold this name.
    if signs.len() > 1
        && signs.last() == Some(&kind::COMMENT)
        && find_text(folded.tokens.value, b"sp_password").is_some()
    {
        return false;
    }
    match signs {
        [_, second] => is_harmless_pair(folded, *second),
        b"sos" | b"s&s" => !continues_string(folded),
        b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => folded.tokens.count == 3,
        [_, kind::KEYWORD, _] => {
            let word = folded.token(1).text();
            !(word.len() >= 5 && word.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"INTO")))
        }
        _ => false,
    }
}

/// `...foo" + "bar...`: neither opened nor closed, and the same quote within.
fn continues_string(folded: &Folded<'_>) -> bool {
    let (first, last) = (folded.token(0), folded.token(2));
    first.open == 0 && last.close == 0 && first.close == last.open
}

fn is_harmless_pair(folded: &Folded<'_>, second_sign: u8) -> bool {
    if second_sign == kind::UNION {
        // Only a number and the word: likely a part of a sentence.
        return folded.tokens.count == 2;
    }
    let (first, second) = (folded.token(0), folded.token(1));
    let begins_with = |sign: u8| second.text().first() == Some(&sign);
    if begins_with(b'#') {
        return true;
    }
    if first.kind == kind::BAREWORD && second.kind == kind::COMMENT && !begins_with(b'/') {
        return true;
    }
    if first.kind == kind::NUMBER && second.kind == kind::COMMENT {
        return !begins_with(b'/') && !is_number_before_comment(folded);
    }
    second.text().len() > 2 && begins_with(b'-')
}

/// Whether there really is a number and then a comment, and not some text such as `1234-ABCDEF--`.
fn is_number_before_comment(folded: &Folded<'_>) -> bool {
    if folded.tokens.count > 2 {
        return true;
    }
    let value = folded.tokens.value;
    let behind = folded.token(0).text().len();
    let rest = after(value, behind);
    // Bytes from 80 on count as white space here, because they are negative in C.
    !(33..=127).contains(&at(value, behind)) || rest.starts_with(b"/*") || rest.starts_with(b"--")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fingerprint(value: &str) -> Option<String> {
        sqli(value.as_bytes()).map(|found| found.as_str().to_owned())
    }

    #[test]
    fn attacks_have_their_fingerprint() {
        for (value, expected) in [
            ("1' OR '1'='1", "s&sos"),
            ("' or 1=1--", "s&1c"),
            ("1 UNION ALL SELECT 1,2,3", "1UE1"),
            ("-1 union select password from users", "1UEnk"),
            ("1; drop table users", "1;T"),
            ("admin'--", "sc"),
            ("\" or \"\"=\"", "s&sos"),
            ("1 /*!50000or*/ 1=1", "X"),
        ] {
            let found = fingerprint(value).unwrap_or_else(|| panic!("{value} is not found"));
            assert!(found.starts_with(expected), "{value}: {found}");
        }
    }

    #[test]
    fn what_people_write_is_no_attack() {
        for value in [
            "",
            "hello",
            "42",
            "O'Reilly",
            "rock and roll",
            "John said \"hi\" and left",
            "the union of workers",
            "price--",
            "user@example.com",
            "https://example.com/a?b=c&d=e#f",
            "550e8400-e29b-41d4-a716-446655440000",
            "2026-11-26T01:43:05Z",
            "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
        ] {
            assert_eq!(fingerprint(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_judged(value: Vec<u8>) {
            if let Some(found) = sqli(&value) {
                prop_assert!(!found.as_str().is_empty());
            }
        }

        #[test]
        fn the_short_cut_for_single_words_agrees_with_the_long_way(value in "[a-zA-Z_0-9.]{0,12}") {
            if is_single_word(value.as_bytes()) {
                let mut room = [0; size_of::<Room>()];
                prop_assert!(in_context(Spacious::of(value.as_bytes(), &mut room), 0, Dialect::Ansi).is_none());
            }
        }
    }
}
