//! The tokens that SQL is made of, as many databases at once would see them.

use super::kind;
use super::words::{LONGEST, kind_of, kind_of_padded};
use crate::bytes::{ByteSet, after, at, between};
use crate::scan::{self, find, find_text};

/// A token, and its beginning.
#[derive(Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: u8,
    /// The quote that opened it; zero if none did, or only the context.
    pub(super) open: u8,
    /// The quote that closed it; zero if none did.
    pub(super) close: u8,
    length: u8,
    text: [u8; LONGEST + 1],
}

impl Token {
    /// Where there is no token.
    pub(super) const NONE: Self = Self { kind: kind::NONE, open: 0, close: 0, length: 0, text: [0; LONGEST + 1] };

    pub(super) fn new(kind: u8, text: &[u8]) -> Self {
        let mut token = Self { kind, ..Self::NONE };
        token.set_text(text);
        token
    }

    /// A token of as many bytes as are said, with what follows them at hand: copying a fixed number of bytes is quicker.
    fn beginning(kind: u8, rest: &[u8], length: usize) -> Self {
        let Some(text) = rest.first_chunk().filter(|_| length <= LONGEST) else {
            return Self::new(kind, between(rest, 0, length));
        };
        let length_kept = u8::try_from(length).unwrap_or_default();
        Self { kind, open: 0, close: 0, length: length_kept, text: up_to(*text, length) }
    }

    /// What its beginning means as a word.
    fn meaning(&self) -> u8 {
        kind_of_padded(self.text, usize::from(self.length))
    }

    /// Its beginning.
    pub(super) fn text(&self) -> &[u8] {
        between(&self.text, 0, usize::from(self.length))
    }

    /// Takes another kind and another text, and keeps its quotes.
    pub(super) fn set(&mut self, kind: u8, first: &[u8], second: &[u8]) {
        let mut text = [0; LONGEST + 1];
        let (start, rest) = text.split_at_mut(first.len());
        start.copy_from_slice(first);
        if let [space, rest @ ..] = rest {
            *space = b' ';
            if let Some(end) = rest.get_mut(..second.len()) {
                end.copy_from_slice(second);
            }
        }
        self.kind = kind;
        self.set_text(between(&text, 0, first.len() + 1 + second.len()));
    }

    fn set_text(&mut self, text: &[u8]) {
        let kept = between(text, 0, LONGEST);
        if let Some(start) = self.text.get_mut(..kept.len()) {
            start.copy_from_slice(kept);
        }
        self.length = u8::try_from(kept.len()).unwrap_or_default();
    }

    /// Whether it is this word, which is given in large letters.
    pub(super) fn is(&self, word: &[u8]) -> bool {
        self.text().eq_ignore_ascii_case(word)
    }

    pub(super) fn is_arithmetic(&self) -> bool {
        self.kind == kind::OPERATOR && matches!(self.text(), [b'*' | b'/' | b'-' | b'+' | b'%'])
    }

    pub(super) fn is_unary(&self) -> bool {
        self.kind == kind::OPERATOR
            && match self.text() {
                [b'+' | b'-' | b'!' | b'~'] | b"!!" => true,
                text => text.eq_ignore_ascii_case(b"NOT"),
            }
    }
}

/// Which database's comments count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Ansi,
    MySql,
}

/// A value with room behind it, if it is short.
#[derive(Clone, Copy)]
pub(super) struct Spacious<'a> {
    pub(super) value: &'a [u8],
    with_room: &'a [u8],
}

/// The room for short values.
pub(super) type Room = [u8; 160];

impl<'a> Spacious<'a> {
    pub(super) fn of(value: &'a [u8], room: &'a mut Room) -> Self {
        let is_short = value.len() + LONGEST < room.len();
        match room.get_mut(..value.len()) {
            Some(start) if is_short => {
                start.copy_from_slice(value);
                Self { value, with_room: room }
            }
            _ => Self { value, with_room: value },
        }
    }
}

/// Cuts a value into tokens.
pub(super) struct Tokens<'a> {
    pub(super) value: &'a [u8],
    /// The value, and perhaps zeros behind it, so that tokens at its end can be copied like others.
    with_room: &'a [u8],
    place: usize,
    /// The quote that the value is taken to begin with, or zero.
    quote: u8,
    dialect: Dialect,
    /// How many there were so far.
    pub(super) count: usize,
    /// Whether something was a comment for some databases and none for others.
    pub(super) is_ambiguous: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(Spacious { value, with_room }: Spacious<'a>, quote: u8, dialect: Dialect) -> Self {
        Self { value, with_room, place: 0, quote, dialect, count: 0, is_ambiguous: false }
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Option<Token> {
        if self.place == 0 && self.quote != 0 && !self.value.is_empty() {
            let token = self.string(0, self.quote, 0);
            self.count += 1;
            return Some(token);
        }
        while let Some(byte) = self.value.get(self.place) {
            if let Some(token) = self.read(*byte) {
                self.count += 1;
                return Some(token);
            }
        }
        None
    }

    fn read(&mut self, byte: u8) -> Option<Token> {
        Some(match byte {
            0..=b' ' | 0x7F | 0xA0 => {
                self.place += 1;
                return None;
            }
            b'"' | b'\'' => self.string(self.place, byte, 1),
            b'0'..=b'9' | b'.' => self.number(),
            b'(' | b')' | b',' | b';' | b'{' | b'}' => self.sign(byte),
            b'%' | b'+' | b'^' | b'~' => self.sign(kind::OPERATOR),
            b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|' => self.operator(),
            b'?' | b']' => self.sign(kind::UNKNOWN),
            b'#' => self.hash(),
            b'$' => self.money(),
            b'-' => self.dash(),
            b'/' => self.slash(),
            b'@' => self.variable(),
            b'[' => self.bracketed(),
            b'\\' => self.backslash(),
            b'`' => self.backtick(),
            b'B' | b'b' => self.digits_in_quotes(&BINARY),
            b'X' | b'x' => self.digits_in_quotes(&HEXADECIMAL),
            b'E' | b'e' => self.escaped_string(),
            b'N' | b'n' => self.national_string(),
            b'Q' | b'q' => self.quoted_string(self.place),
            b'U' | b'u' => self.unicode_string(),
            _ => self.word(),
        })
    }

    /// Takes so many bytes as a token.
    fn take(&mut self, kind: u8, length: usize) -> Token {
        let token = Token::beginning(kind, after(self.with_room, self.place), length);
        self.place += length;
        token
    }

    fn sign(&mut self, kind: u8) -> Token {
        self.take(kind, 1)
    }

    fn rest(&self) -> &'a [u8] {
        after(self.value, self.place)
    }

    fn line_comment(&mut self) -> Token {
        let rest = self.rest();
        let end = find(b'\n', rest);
        let token = self.take(kind::COMMENT, end.unwrap_or(rest.len()));
        self.place += usize::from(end.is_some());
        token
    }

    fn hash(&mut self) -> Token {
        self.is_ambiguous = true;
        match self.dialect {
            Dialect::MySql => self.line_comment(),
            Dialect::Ansi => self.sign(kind::OPERATOR),
        }
    }

    /// Two dashes are a comment for `MySQL` only where white space or nothing follows.
    fn dash(&mut self) -> Token {
        match self.rest() {
            [_, b'-'] => self.line_comment(),
            [_, b'-', next, ..] if is_white(*next) => self.line_comment(),
            [_, b'-', ..] if self.dialect == Dialect::Ansi => {
                self.is_ambiguous = true;
                self.line_comment()
            }
            _ => self.sign(kind::OPERATOR),
        }
    }

    /// Comments within comments, and those whose content `MySQL` runs, are evil.
    fn slash(&mut self) -> Token {
        let rest = self.rest();
        if !rest.starts_with(b"/*") {
            return self.sign(kind::OPERATOR);
        }
        let end = find_text(after(rest, 2), b"*/");
        let is_nested = end.is_some_and(|end| find_text(between(rest, 2, end + 3), b"/*").is_some());
        let kind = if is_nested || rest.get(2) == Some(&b'!') { kind::EVIL } else { kind::COMMENT };
        self.take(kind, end.map_or(rest.len(), |end| end + 4))
    }

    fn backslash(&mut self) -> Token {
        match self.rest() {
            [_, b'N', ..] => self.take(kind::NUMBER, 2),
            _ => self.sign(kind::BACKSLASH),
        }
    }

    fn operator(&mut self) -> Token {
        let rest = self.rest();
        let Some(two) = rest.get(..2) else { return self.sign(kind::OPERATOR) };
        if rest.starts_with(b"<=>") {
            return self.take(kind::OPERATOR, 3);
        }
        match kind_of(two) {
            kind::NONE if two.starts_with(b":") => self.sign(kind::COLON),
            kind::NONE => self.sign(kind::OPERATOR),
            kind => self.take(kind, 2),
        }
    }

    /// A text in quotes that begins at a place; `skipped` bytes are before it.
    fn string(&mut self, place: usize, quote: u8, skipped: usize) -> Token {
        let start = place + skipped;
        let mut from = start;
        let end = loop {
            let Some(found) = find(quote, after(self.value, from)) else { break None };
            let found = from + found;
            let backslashes = between(self.value, start, found).iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 1 {
                from = found + 1;
            } else if self.value.get(found + 1) == Some(&quote) {
                from = found + 2;
            } else {
                break Some(found);
            }
        };
        let mut token = Token::new(kind::STRING, between(self.value, start, end.unwrap_or(self.value.len())));
        token.open = if skipped > 0 { quote } else { 0 };
        token.close = if end.is_some() { quote } else { 0 };
        self.place = end.map_or(self.value.len(), |end| end + 1);
        token
    }

    fn escaped_string(&mut self) -> Token {
        match self.rest() {
            [_, b'\'', _, ..] => self.string(self.place, b'\'', 2),
            _ => self.word(),
        }
    }

    fn unicode_string(&mut self) -> Token {
        if !matches!(self.rest(), [_, b'&', b'\'', ..]) {
            return self.word();
        }
        let mut token = self.string(self.place + 2, b'\'', 1);
        token.open = b'u';
        if token.close == b'\'' {
            token.close = b'u';
        }
        token
    }

    fn national_string(&mut self) -> Token {
        match self.rest() {
            [_, b'\'', _, ..] => self.string(self.place, b'\'', 2),
            _ => self.quoted_string(self.place + 1),
        }
    }

    /// Oracle's strings: `q'[ ... ]'`.
    fn quoted_string(&mut self, place: usize) -> Token {
        let [b'q' | b'Q', b'\'', delimiter @ 33..=127, text @ ..] = after(self.value, place) else {
            return self.word();
        };
        let close = match delimiter {
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            other => *other,
        };
        let end = find_text(text, &[close, b'\'']);
        let mut token = Token::new(kind::STRING, between(text, 0, end.unwrap_or(text.len())));
        token.open = b'q';
        token.close = if end.is_some() { b'q' } else { 0 };
        self.place = end.map_or(self.value.len(), |end| place + 3 + end + 2);
        token
    }

    fn digits_in_quotes(&mut self, digits: &ByteSet) -> Token {
        let rest = self.rest();
        if let [_, b'\'', text @ ..] = rest {
            let length = span(text, digits);
            if text.get(length) == Some(&b'\'') {
                return self.take(kind::NUMBER, length + 3);
            }
        }
        self.word()
    }

    fn bracketed(&mut self) -> Token {
        let rest = self.rest();
        self.take(kind::BAREWORD, find(b']', rest).map_or(rest.len(), |end| end + 1))
    }

    /// A word, or the part before `.` or a backtick where that is a word that means something.
    fn word(&mut self) -> Token {
        let rest = self.rest();
        let length = scan::span(rest, |byte| !ENDS_WORD.get(usize::from(byte)).is_some_and(|ends| *ends));
        let word = between(rest, 0, length);
        for (place, byte) in between(word, 0, LONGEST).iter().enumerate() {
            if matches!(byte, b'.' | b'`') {
                let kind = kind_of(between(word, 0, place));
                if kind != kind::NONE && kind != kind::BAREWORD {
                    return self.take(kind, place);
                }
            }
        }
        let mut token = self.take(kind::BAREWORD, length);
        let meaning = if length <= LONGEST { token.meaning() } else { kind::NONE };
        if meaning != kind::NONE {
            token.kind = meaning;
        }
        token
    }

    fn backtick(&mut self) -> Token {
        let mut token = self.string(self.place, b'`', 1);
        let is_function = token.meaning() == kind::FUNCTION;
        token.kind = if is_function { kind::FUNCTION } else { kind::BAREWORD };
        token
    }

    fn variable(&mut self) -> Token {
        self.place += 1;
        self.place += usize::from(at(self.value, self.place) == b'@');
        let mut token = match self.rest() {
            [b'`', ..] => self.backtick(),
            [quote @ (b'\'' | b'"'), ..] => self.string(self.place, *quote, 1),
            rest => {
                let length = scan::span(rest, |byte| !END_OF_VARIABLE.contains(byte));
                self.take(kind::VARIABLE, length)
            }
        };
        token.kind = kind::VARIABLE;
        token
    }

    /// Sums of money, and strings of `PostgreSQL` between `$$` or `$name$`.
    fn money(&mut self) -> Token {
        let [_, rest @ ..] = self.rest() else { return self.sign(kind::BAREWORD) };
        if rest.is_empty() {
            return self.sign(kind::BAREWORD);
        }
        match (span(rest, &AMOUNT), rest) {
            (0, [b'$', ..]) => self.dollar_string(2),
            (0, _) => {
                let name = span(rest, &NAME);
                if name > 0 && rest.get(name) == Some(&b'$') {
                    self.dollar_string(name + 2)
                } else {
                    self.sign(kind::BAREWORD)
                }
            }
            (1, [b'.', ..]) => self.word(),
            (length, _) => self.take(kind::NUMBER, 1 + length),
        }
    }

    fn dollar_string(&mut self, mark: usize) -> Token {
        let rest = self.rest();
        let text = after(rest, mark);
        let end = find_text(text, between(rest, 0, mark));
        let mut token = Token::new(kind::STRING, between(text, 0, end.unwrap_or(text.len())));
        token.open = b'$';
        token.close = if end.is_some() { b'$' } else { 0 };
        self.place += end.map_or(rest.len(), |end| end + 2 * mark);
        token
    }

    fn number(&mut self) -> Token {
        let rest = self.rest();
        let digits = match rest {
            [b'0', b'x' | b'X', ..] => Some(&HEXADECIMAL),
            [b'0', b'b' | b'B', ..] => Some(&BINARY),
            _ => None,
        };
        if let Some(digits) = digits {
            let length = span(after(rest, 2), digits);
            return self.take(if length == 0 { kind::BAREWORD } else { kind::NUMBER }, 2 + length);
        }
        let count = |place: usize| scan::span(after(rest, place), |byte| byte.is_ascii_digit());
        let mut place = count(0);
        if at(rest, place) == b'.' {
            place += 1 + count(place + 1);
            if place == 1 {
                return self.sign(kind::DOT);
            }
        }
        let mut is_word = false;
        if matches!(at(rest, place), b'e' | b'E') {
            place += 1;
            place += usize::from(matches!(at(rest, place), b'+' | b'-'));
            let exponent = count(place);
            place += exponent;
            is_word = exponent == 0;
        }
        if matches!(at(rest, place), b'd' | b'D' | b'f' | b'F') {
            // Oracle's suffixes; `1fUNION` is `1f UNION`.
            let is_suffix =
                rest.get(place + 1).is_none_or(|byte| is_white(*byte) || matches!(byte, b';' | b'u' | b'U'));
            place += usize::from(is_suffix);
        }
        self.take(if is_word { kind::BAREWORD } else { kind::NUMBER }, place)
    }
}

/// The beginning of a text, with zeros behind it.
fn up_to(text: [u8; LONGEST + 1], length: usize) -> [u8; LONGEST + 1] {
    let mut kept = text;
    for (place, byte) in kept.iter_mut().enumerate() {
        *byte = if place < length { *byte } else { 0 };
    }
    kept
}

/// How many bytes of a set a text begins with. A zero byte counts as one of each set, as it does for libinjection.
fn span(text: &[u8], set: &ByteSet) -> usize {
    scan::span(text, |byte| byte == 0 || set.contains(byte))
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xA0 | 0)
}

const BINARY: ByteSet = ByteSet::new(b"01");
const HEXADECIMAL: ByteSet = ByteSet::new(b"0123456789ABCDEFabcdef");
const AMOUNT: ByteSet = ByteSet::new(b"0123456789.,");
const NAME: ByteSet = ByteSet::EMPTY.with_range(b'a', b'z').with_range(b'A', b'Z');
const END_OF_WORD: ByteSet = ByteSet::new(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0B\x0C\r\"\xA0\0");
/// The same by byte, because it is asked for each byte of each word.
static ENDS_WORD: [bool; 256] = END_OF_WORD.table();
const END_OF_VARIABLE: ByteSet = ByteSet::new(b" <>:\\?=@!#~+-*/&|^%(),';\t\n\x0B\x0C\r'`\"\0");
