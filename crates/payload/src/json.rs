//! Bodies of JSON: their values as arguments, named as `ModSecurity` 2.9 names them, and read as its parser (yajl) reads.
//!
//! A value's name is made of the keys that lead to it, with dots between; elements of an array share the name of the
//! array, twice. What was read before a mistake stays.

mod text;

use std::borrow::Cow;
use std::ops::Range;

use crate::arguments::{Arguments, Place};
use crate::bytes::{after, at, between, is_space};
use crate::scan::{count, find, span};

/// What a body may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Levels of objects and arrays within each other; the outermost object does not count.
    pub depth: usize,
    /// Values.
    pub arguments: usize,
    /// Bytes that all names together have beyond sixteen times the body. Names repeat the keys above them, so that a small
    /// body could have very large ones.
    pub names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 512, arguments: 1000, names: 1 << 20 }
    }
}

/// A body that was read.
#[derive(Clone, Debug, Default)]
pub struct Json {
    /// Its values.
    pub arguments: Arguments,
    /// Why it could not be read to its end.
    pub error: Option<Cow<'static, str>>,
}

/// Reads a body. An empty one has no values, and is no mistake. Many readers pass over a mark of the byte order before it,
/// and what they see must be seen here.
pub fn read(body: &[u8], limits: &Limits) -> Json {
    let mut reader = Reader::of(body, limits);
    reader.place = if body.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let outcome = if body.is_empty() { Ok(()) } else { reader.run() };
    Json { arguments: reader.arguments, error: outcome.err() }
}

type Fault = Cow<'static, str>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Object,
    Array,
}

struct Reader<'a> {
    body: &'a [u8],
    limits: &'a Limits,
    place: usize,
    arguments: Arguments,
    open: Vec<Inside>,
    /// The names of keys that lead here, with dots between; nothing on the outermost level.
    prefix: Option<Vec<u8>>,
    /// The key that was read last; nothing before the first one.
    key: Option<Vec<u8>>,
    depth: i64,
    /// The name of the value before, if the next one has the same.
    name: Option<Place>,
    /// How much was written to put names together.
    written: usize,
}

impl<'a> Reader<'a> {
    fn of(body: &'a [u8], limits: &'a Limits) -> Self {
        Self {
            body,
            limits,
            place: 0,
            arguments: Arguments::default(),
            open: Vec::new(),
            prefix: None,
            key: None,
            depth: 0,
            name: None,
            written: 0,
        }
    }

    fn run(&mut self) -> Result<(), Fault> {
        loop {
            if self.value()? {
                continue;
            }
            // A value is complete, and perhaps what it stands in.
            loop {
                let Some(inside) = self.open.last().copied() else { return self.end() };
                match (self.sign()?, inside) {
                    (b',', Inside::Array) => break,
                    (b',', Inside::Object) => {
                        if self.sign()? != b'"' {
                            return Err("parse error: invalid object key (must be a string)".into());
                        }
                        self.key()?;
                        break;
                    }
                    (b']', Inside::Array) => self.leave_array(),
                    (b'}', Inside::Object) => self.leave_object(),
                    (_, Inside::Array) => {
                        return Err("parse error: after array element, I expect ',' or ']'".into());
                    }
                    (_, Inside::Object) => {
                        return Err("parse error: after key and value, inside map, I expect ',' or '}'".into());
                    }
                }
            }
        }
    }

    /// Reads a value, or the beginning of one that holds others: then another value is next.
    fn value(&mut self) -> Result<bool, Fault> {
        let start = self.skip_space();
        match self.sign()? {
            b'{' => self.enter_object(),
            b'[' => self.enter_array(),
            b'"' => {
                let (range, has_escape) = text::end(self.body, self.place)?;
                self.place = range.end + 1;
                let value = self.text(range, has_escape);
                self.add(value).map(|()| false)
            }
            b't' => self.literal(start, b"true"),
            b'f' => self.literal(start, b"false"),
            b'n' => self.literal(start, b"null"),
            b'-' | b'0'..=b'9' => {
                self.place = number(self.body, start)?;
                self.add(Place::Source(start..self.place)).map(|()| false)
            }
            b']' | b'}' | b',' | b':' => Err("parse error: unallowed token at this point in JSON text".into()),
            _ => Err("lexical error: invalid char in json text.".into()),
        }
    }

    fn literal(&mut self, start: usize, literal: &[u8]) -> Result<bool, Fault> {
        if !after(self.body, start).starts_with(literal) {
            return Err("lexical error: invalid string in json text.".into());
        }
        self.place = start + literal.len();
        let value = if literal == b"null" { Place::EMPTY } else { Place::Source(start..self.place) };
        self.add(value).map(|()| false)
    }

    fn enter_object(&mut self) -> Result<bool, Fault> {
        if self.key.is_some() {
            self.deepen()?;
        }
        self.open.push(Inside::Object);
        match self.sign()? {
            b'}' => {
                self.leave_object();
                Ok(false)
            }
            b'"' => self.key().map(|()| true),
            _ => Err("parse error: invalid object key (must be a string)".into()),
        }
    }

    fn enter_array(&mut self) -> Result<bool, Fault> {
        if self.key.is_none() && self.prefix.is_none() {
            self.key = Some(b"array".to_vec());
        }
        self.deepen()?;
        self.open.push(Inside::Array);
        self.skip_space();
        if at(self.body, self.place) == b']' {
            self.place += 1;
            self.leave_array();
            return Ok(false);
        }
        Ok(true)
    }

    /// What follows is named after the key that was read last.
    fn deepen(&mut self) -> Result<(), Fault> {
        let key = self.key.as_deref().unwrap_or_default();
        self.written += key.len() + 1;
        count(key.len());
        if self.written > self.most_written() {
            return Err("JSON names are too long".into());
        }
        match &mut self.prefix {
            Some(prefix) => {
                prefix.push(b'.');
                prefix.extend_from_slice(key);
            }
            None => self.prefix = Some(key.to_vec()),
        }
        self.name = None;
        self.depth += 1;
        if usize::try_from(self.depth).is_ok_and(|depth| depth > self.limits.depth) {
            return Err("JSON depth limit exceeded".into());
        }
        Ok(())
    }

    fn leave_array(&mut self) {
        self.open.pop();
        self.leave();
    }

    /// After an object, its own name is the key again: the part of the name behind the last dot, wherever that is from.
    fn leave_object(&mut self) {
        self.open.pop();
        if let Some(key) = self.leave() {
            self.key = Some(key);
        }
    }

    /// Takes the last part of the names away.
    fn leave(&mut self) -> Option<Vec<u8>> {
        let prefix = self.prefix.as_mut()?;
        self.name = None;
        self.depth -= 1;
        match memchr::memrchr(b'.', prefix) {
            Some(dot) => {
                let last = after(prefix, dot + 1).to_vec();
                prefix.truncate(dot);
                Some(last)
            }
            None => self.prefix.take(),
        }
    }

    /// Reads a key, whose quote is read already, and the colon.
    fn key(&mut self) -> Result<(), Fault> {
        let (range, has_escape) = text::end(self.body, self.place)?;
        self.place = range.end + 1;
        let sent = between(self.body, range.start, range.end);
        // The text of the key before is used again.
        let mut key = self.key.take().unwrap_or_default();
        key.clear();
        if has_escape {
            text::decode(sent, &mut key);
        } else {
            key.extend_from_slice(sent);
        }
        // C has the end of its texts at the first zero.
        if let Some(zero) = find(0, &key) {
            key.truncate(zero);
        }
        self.key = Some(key);
        self.name = None;
        if self.sign()? != b':' {
            return Err("parse error: object key and value must be separated by a colon (':')".into());
        }
        Ok(())
    }

    fn text(&mut self, range: Range<usize>, has_escape: bool) -> Place {
        if !has_escape {
            return Place::Source(range);
        }
        let sent = between(self.body, range.start, range.end);
        self.arguments.written(|text| text::decode(sent, text))
    }

    fn add(&mut self, value: Place) -> Result<(), Fault> {
        if self.arguments.len() >= self.limits.arguments {
            self.arguments.over_limit = true;
            return Err(format!("More than {} JSON keys", self.limits.arguments).into());
        }
        let name = match self.name.clone() {
            Some(name) => name,
            None => self.write_name()?,
        };
        self.name = Some(name.clone());
        self.arguments.add(name, value, self.limits.arguments);
        Ok(())
    }

    fn write_name(&mut self) -> Result<Place, Fault> {
        self.key.get_or_insert_default();
        let (key, prefix) = (self.key.as_deref().unwrap_or_default(), self.prefix.as_deref());
        let length = prefix.map_or(0, |prefix| prefix.len() + 1) + key.len();
        self.written += length;
        count(length);
        if self.written > self.most_written() {
            return Err("JSON names are too long".into());
        }
        Ok(self.arguments.written(|text| {
            if let Some(prefix) = prefix {
                text.extend_from_slice(prefix);
                text.push(b'.');
            }
            text.extend_from_slice(key);
        }))
    }

    fn most_written(&self) -> usize {
        self.limits.names.saturating_add(self.body.len().saturating_mul(16))
    }

    fn skip_space(&mut self) -> usize {
        let rest = after(self.body, self.place);
        self.place += span(rest, is_space);
        self.place
    }

    /// The next byte that is no white space.
    fn sign(&mut self) -> Result<u8, Fault> {
        self.skip_space();
        let sign = self.body.get(self.place).copied().ok_or("parse error: premature EOF")?;
        self.place += 1;
        Ok(sign)
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.place < self.body.len() { Err("parse error: trailing garbage".into()) } else { Ok(()) }
    }
}

/// Where a number ends.
fn number(body: &[u8], start: usize) -> Result<usize, Fault> {
    let digits = |place: usize| span(after(body, place), |byte| byte.is_ascii_digit());
    let mut place = start + usize::from(at(body, start) == b'-');
    place += match at(body, place) {
        b'0' => 1,
        b'1'..=b'9' => digits(place),
        _ => return Err("lexical error: malformed number, a digit is required after the minus sign.".into()),
    };
    if at(body, place) == b'.' {
        let fraction = digits(place + 1);
        if fraction == 0 {
            return Err("lexical error: malformed number, a digit is required after the decimal point.".into());
        }
        place += 1 + fraction;
    }
    if matches!(at(body, place), b'e' | b'E') {
        place += 1;
        place += usize::from(matches!(at(body, place), b'+' | b'-'));
        let exponent = digits(place);
        if exponent == 0 {
            return Err("lexical error: malformed number, a digit is required after the exponent.".into());
        }
        place += exponent;
    }
    Ok(place)
}

#[cfg(test)]
mod tests;
