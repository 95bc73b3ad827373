//! Tokens of HTML, as lenient as browsers read it.

use crate::bytes::{after, at, between, is_space};
use crate::scan::{self, find_text, span};

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    TagName,
    TagEnd,
    AttributeName,
    AttributeValue,
    Comment,
    Doctype,
}

/// What a value is taken for the inside of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Context {
    Text,
    Tag,
    Quote(u8),
}

/// Cuts a value into tokens.
pub(super) struct Html<'a> {
    value: &'a [u8],
    place: usize,
    state: State,
    is_closing: bool,
}

/// What is read next.
#[derive(Clone, Copy)]
enum State {
    End,
    Text,
    TagNameClose,
    BeforeAttributeName,
    AfterAttributeName,
    BeforeAttributeValue,
    AttributeValue(u8),
    AfterQuotedValue,
    SelfClosing,
}

/// A token: its kind, where it begins and where it ends.
pub(super) type Token = (Kind, usize, usize);

impl<'a> Html<'a> {
    pub(super) fn of(value: &'a [u8], context: Context) -> Self {
        let state = match context {
            Context::Text => State::Text,
            Context::Tag => State::BeforeAttributeName,
            Context::Quote(quote) => State::AttributeValue(quote),
        };
        Self { value, place: 0, state, is_closing: false }
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        match self.state {
            State::End => None,
            State::Text => self.text(),
            State::TagNameClose => Some(self.tag_name_close()),
            State::BeforeAttributeName => self.before_attribute_name(),
            State::AfterAttributeName => self.after_attribute_name(),
            State::BeforeAttributeValue => self.before_attribute_value(),
            State::AttributeValue(quote) => Some(self.quoted_value(quote)),
            State::AfterQuotedValue => self.after_quoted_value(),
            State::SelfClosing => self.self_closing(),
        }
    }

    fn rest(&self) -> &'a [u8] {
        after(self.value, self.place)
    }

    /// Where a sign stands from here on.
    fn find(&self, sign: u8) -> Option<usize> {
        scan::find(sign, self.rest()).map(|place| self.place + place)
    }

    /// A token from here on, after which it goes on elsewhere.
    fn token(&mut self, kind: Kind, end: usize, place: usize, state: State) -> Token {
        let start = self.place;
        self.place = place;
        self.state = state;
        (kind, start, end)
    }

    /// A token of all the rest.
    fn last(&mut self, kind: Kind) -> Token {
        let end = self.value.len();
        self.token(kind, end, end, State::End)
    }

    /// The next byte that is neither white space nor zero. FF is the end, because it is -1 in C, where characters have a
    /// sign.
    fn skip_white(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.place += span(rest, is_white);
        self.value.get(self.place).copied().filter(|byte| *byte != 0xFF)
    }

    fn text(&mut self) -> Option<Token> {
        let Some(end) = self.find(b'<') else {
            self.state = State::End;
            return None;
        };
        self.place = end + 1;
        self.tag_open()
    }

    fn tag_open(&mut self) -> Option<Token> {
        match self.value.get(self.place)? {
            b'!' => {
                self.place += 1;
                Some(self.declaration())
            }
            b'/' => {
                self.place += 1;
                self.is_closing = true;
                self.end_tag_open()
            }
            b'?' => {
                self.place += 1;
                Some(self.bogus_comment())
            }
            b'%' => {
                self.place += 1;
                Some(self.percent_comment())
            }
            b'a'..=b'z' | b'A'..=b'Z' | 0 => Some(self.tag_name()),
            _ => {
                self.state = State::Text;
                Some((Kind::Text, self.place - 1, self.place))
            }
        }
    }

    fn end_tag_open(&mut self) -> Option<Token> {
        match self.value.get(self.place)? {
            b'>' => self.text(),
            b'a'..=b'z' | b'A'..=b'Z' => Some(self.tag_name()),
            _ => {
                self.is_closing = false;
                Some(self.bogus_comment())
            }
        }
    }

    fn tag_name_close(&mut self) -> Token {
        self.is_closing = false;
        let next = self.place + 1;
        let state = if next < self.value.len() { State::Text } else { State::End };
        self.token(Kind::TagEnd, next, next, state)
    }

    fn tag_name(&mut self) -> Token {
        let rest = self.rest();
        let end = self.place + span(rest, |byte| !is_space(byte) && !matches!(byte, b'/' | b'>'));
        if end == self.value.len() {
            return self.last(Kind::TagName);
        }
        match at(self.value, end) {
            b'/' => self.token(Kind::TagName, end, end + 1, State::SelfClosing),
            b'>' if self.is_closing => {
                self.is_closing = false;
                self.token(Kind::TagEnd, end, end + 1, State::Text)
            }
            b'>' => self.token(Kind::TagName, end, end, State::TagNameClose),
            _ => self.token(Kind::TagName, end, end + 1, State::BeforeAttributeName),
        }
    }

    fn before_attribute_name(&mut self) -> Option<Token> {
        loop {
            match self.skip_white()? {
                b'/' => {
                    self.place += 1;
                    if self.value.get(self.place).is_none_or(|byte| *byte == b'>') {
                        return self.self_closing();
                    }
                }
                b'>' => {
                    let next = self.place + 1;
                    return Some(self.token(Kind::TagEnd, next, next, State::Text));
                }
                _ => return Some(self.attribute_name()),
            }
        }
    }

    fn attribute_name(&mut self) -> Token {
        let rest = after(self.value, self.place + 1);
        let end = self.place + 1 + span(rest, |byte| !is_white(byte) && !matches!(byte, b'/' | b'=' | b'>'));
        if end >= self.value.len() {
            return self.last(Kind::AttributeName);
        }
        let (place, state) = match at(self.value, end) {
            b'/' => (end + 1, State::SelfClosing),
            b'=' => (end + 1, State::BeforeAttributeValue),
            b'>' => (end, State::TagNameClose),
            _ => (end + 1, State::AfterAttributeName),
        };
        self.token(Kind::AttributeName, end, place, state)
    }

    fn after_attribute_name(&mut self) -> Option<Token> {
        match self.skip_white()? {
            b'/' => {
                self.place += 1;
                self.self_closing()
            }
            b'=' => {
                self.place += 1;
                self.before_attribute_value()
            }
            b'>' => Some(self.tag_name_close()),
            _ => Some(self.attribute_name()),
        }
    }

    fn before_attribute_value(&mut self) -> Option<Token> {
        match self.skip_white() {
            None => {
                self.state = State::End;
                None
            }
            Some(quote @ (b'"' | b'\'' | b'`')) => Some(self.quoted_value(quote)),
            Some(_) => Some(self.bare_value()),
        }
    }

    /// At the very beginning there is no quote to pass over: the value is taken to stand behind one.
    fn quoted_value(&mut self, quote: u8) -> Token {
        self.place += usize::from(self.place > 0);
        match self.find(quote) {
            None => self.last(Kind::AttributeValue),
            Some(end) => self.token(Kind::AttributeValue, end, end + 1, State::AfterQuotedValue),
        }
    }

    fn bare_value(&mut self) -> Token {
        let rest = self.rest();
        let end = self.place + span(rest, |byte| !is_white(byte) && byte != b'>');
        if end == self.value.len() {
            return self.last(Kind::AttributeValue);
        }
        if at(self.value, end) == b'>' {
            self.token(Kind::AttributeValue, end, end, State::TagNameClose)
        } else {
            self.token(Kind::AttributeValue, end, end + 1, State::BeforeAttributeName)
        }
    }

    fn after_quoted_value(&mut self) -> Option<Token> {
        match self.value.get(self.place)? {
            b'/' => {
                self.place += 1;
                self.self_closing()
            }
            b'>' => {
                let next = self.place + 1;
                Some(self.token(Kind::TagEnd, next, next, State::Text))
            }
            _ => self.before_attribute_name(),
        }
    }

    fn self_closing(&mut self) -> Option<Token> {
        if *self.value.get(self.place)? != b'>' {
            return self.before_attribute_name();
        }
        let next = self.place + 1;
        Some(self.token(Kind::TagEnd, next, next, State::Text))
    }

    fn bogus_comment(&mut self) -> Token {
        match self.find(b'>') {
            None => self.last(Kind::Comment),
            Some(end) => self.token(Kind::Comment, end, end + 1, State::Text),
        }
    }

    /// `<% ... %>`, which some browsers took for a comment.
    fn percent_comment(&mut self) -> Token {
        match find_text(self.rest(), b"%>") {
            None => self.last(Kind::Comment),
            Some(length) => {
                let end = self.place + length;
                self.token(Kind::Comment, end, end + 2, State::Text)
            }
        }
    }

    fn declaration(&mut self) -> Token {
        let rest = self.rest();
        if between(rest, 0, 7).eq_ignore_ascii_case(b"DOCTYPE") {
            return match self.find(b'>') {
                None => self.last(Kind::Doctype),
                Some(end) => self.token(Kind::Doctype, end, end + 1, State::Text),
            };
        }
        if rest.starts_with(b"[CDATA[") {
            self.place += 7;
            return match find_text(self.rest(), b"]]>") {
                None => self.last(Kind::Text),
                Some(length) => {
                    let end = self.place + length;
                    self.token(Kind::Text, end, end + 3, State::Text)
                }
            };
        }
        if rest.starts_with(b"--") {
            self.place += 2;
            return self.comment();
        }
        self.bogus_comment()
    }

    /// A comment ends with `-->` or `-!>`, with zeros within.
    fn comment(&mut self) -> Token {
        let mut from = self.place;
        while let Some(dash) = scan::find(b'-', after(self.value, from)).map(|place| from + place) {
            let zeros = span(after(self.value, dash + 1), |byte| byte == 0);
            let second = dash + 1 + zeros;
            if self.value.len() < dash + 3 || second + 1 >= self.value.len() {
                break;
            }
            if matches!(at(self.value, second), b'-' | b'!') && at(self.value, second + 1) == b'>' {
                return self.token(Kind::Comment, dash, second + 2, State::Text);
            }
            from = dash + 1;
        }
        self.last(Kind::Comment)
    }
}

/// White space, and zeros, which some browsers passed over.
fn is_white(byte: u8) -> bool {
    is_space(byte) || byte == 0
}
