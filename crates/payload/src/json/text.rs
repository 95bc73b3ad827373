//! Texts of JSON: where they end, and what their escapes stand for.

use std::ops::Range;

use super::Fault;
use crate::bytes::{after, at, between, hex};
use crate::scan::{find, span};

/// Where the text is that begins at a place behind its quote, and whether it has escapes.
///
/// Bytes from 80 on must have the form of UTF-8, but overlong characters and surrogates pass, as they do for yajl.
pub(super) fn end(body: &[u8], start: usize) -> Result<(Range<usize>, bool), Fault> {
    let mut place = start;
    let mut has_escape = false;
    loop {
        let plain = span(after(body, place), is_plain);
        place += plain;
        match body.get(place) {
            None => return Err("parse error: premature EOF".into()),
            Some(b'"') => return Ok((start..place, has_escape)),
            Some(b'\\') => {
                has_escape = true;
                place += escape_length(after(body, place + 1))? + 1;
            }
            Some(0..=0x1F) => return Err("lexical error: invalid character inside string.".into()),
            Some(first) => place += character_length(*first, after(body, place + 1))?,
        }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=0x7F) && byte != b'"' && byte != b'\\'
}

fn escape_length(rest: &[u8]) -> Result<usize, Fault> {
    match rest {
        [] => Err("parse error: premature EOF".into()),
        [b'u', digits @ ..] => {
            let count = digits.iter().take(4).take_while(|byte| hex(**byte).is_some()).count();
            if count < 4 {
                return Err("lexical error: invalid (non-hex) character occurs after '\\u' inside string.".into());
            }
            Ok(5)
        }
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(1),
        _ => Err("lexical error: inside a string, '\\' occurs before a character which it may not.".into()),
    }
}

fn character_length(first: u8, rest: &[u8]) -> Result<usize, Fault> {
    let length = match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 0,
    };
    let following = rest.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
    if length == 0 || following + 1 < length {
        return Err("lexical error: invalid bytes in UTF8 string.".into());
    }
    Ok(length)
}

/// Appends what a text stands for. It must be one that [`end`] has found.
///
/// As with yajl, the first half of a surrogate pair that has no escape behind it becomes `?`.
pub(super) fn decode(sent: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(next) = find(b'\\', after(sent, place)) {
        out.extend_from_slice(between(sent, place, place + next));
        place += next + 2;
        match at(sent, place - 1) {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0C),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => place += unicode(after(sent, place), out),
            other => out.push(other),
        }
    }
    out.extend_from_slice(after(sent, place));
}

/// Decodes four digits and perhaps another escape; says how many bytes that was.
fn unicode(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let number = four_digits(rest);
    if number & 0xFC00 != 0xD800 {
        write(number, out);
        return 4;
    }
    if !after(rest, 4).starts_with(b"\\u") {
        out.push(b'?');
        return 4;
    }
    let low = four_digits(after(rest, 6)) & 0x3FF;
    write(((number & 0x3F) << 10) | (((number >> 6 & 0xF) + 1) << 16) | low, out);
    10
}

fn four_digits(rest: &[u8]) -> u32 {
    rest.iter().take(4).fold(0, |number, byte| number << 4 | u32::from(hex(*byte).unwrap_or_default()))
}

/// Writes a number as UTF-8, surrogates too.
fn write(number: u32, out: &mut Vec<u8>) {
    let byte = |shift: u32, mask: u32, mark: u8| u8::try_from(number >> shift & mask).unwrap_or_default() | mark;
    match number {
        0..=0x7F => out.push(byte(0, 0x7F, 0)),
        0x80..=0x7FF => out.extend([byte(6, 0x1F, 0xC0), byte(0, 0x3F, 0x80)]),
        0x800..=0xFFFF => out.extend([byte(12, 0x0F, 0xE0), byte(6, 0x3F, 0x80), byte(0, 0x3F, 0x80)]),
        _ => out.extend([byte(18, 0x07, 0xF0), byte(12, 0x3F, 0x80), byte(6, 0x3F, 0x80), byte(0, 0x3F, 0x80)]),
    }
}
