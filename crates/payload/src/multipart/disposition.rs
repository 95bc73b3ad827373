//! What `Content-Disposition` says of a part.

use super::Flags;
use crate::bytes::{ByteSet, at, between};

/// The names of a part.
#[derive(Default)]
pub(super) struct Disposition {
    pub(super) name: Option<Vec<u8>>,
    pub(super) file_name: Option<Vec<u8>>,
}

/// Reads names; the code of what is wrong is that of `ModSecurity`, which its messages show.
pub(super) fn read(value: &[u8], into: &mut Disposition, flags: &mut Flags) -> Result<(), i32> {
    let rest = value.strip_prefix(b"form-data").ok_or(-1)?;
    let mut place = value.len() - rest.len();
    skip_blanks(value, &mut place);
    if place >= value.len() {
        return Ok(());
    }
    if at(value, place) != b';' {
        return Err(-2);
    }
    place += 1;
    while place < value.len() {
        parameter(value, &mut place, into, flags)?;
        if place >= value.len() {
            break;
        }
        skip_blanks(value, &mut place);
        match value.get(place) {
            None => break,
            Some(b';') => place += 1,
            Some(_) => {
                flags.invalid_quoting |= place > 0 && matches!(at(value, place - 1), b'"' | b'\'');
                return Err(-12);
            }
        }
    }
    Ok(())
}

fn parameter(value: &[u8], place: &mut usize, into: &mut Disposition, flags: &mut Flags) -> Result<(), i32> {
    let more = |place: usize, code: i32| if place < value.len() { Ok(()) } else { Err(code) };
    skip_blanks(value, place);
    more(*place, -3)?;
    let start = *place;
    while *place < value.len() && !matches!(at(value, *place), b'=' | b'\t' | b' ') {
        *place += 1;
    }
    more(*place, -4)?;
    let name = between(value, start, *place);
    skip_blanks(value, place);
    more(*place, -5)?;
    if at(value, *place) != b'=' {
        return Err(-13);
    }
    *place += 1;
    skip_blanks(value, place);
    more(*place, -6)?;

    let quote = at(value, *place);
    let text = match quote {
        b'"' | b'\'' => {
            flags.invalid_quoting |= quote == b'\'';
            *place += 1;
            more(*place, -7)?;
            quoted(value, place, quote)?
        }
        _ => {
            let start = *place;
            while TOKEN.contains(at(value, *place)) {
                *place += 1;
            }
            between(value, start, *place).to_vec()
        }
    };
    flags.invalid_quoting |= quote != b'"' && matches!(name, b"name" | b"filename") && text.contains(&b'\'');
    let (target, code) = match name {
        b"name" => (&mut into.name, -14),
        b"filename" => (&mut into.file_name, -15),
        _ => return Err(-11),
    };
    if target.is_some() {
        return Err(code);
    }
    *target = Some(text);
    Ok(())
}

/// A text in quotes, of which only the quote itself and backslashes can be escaped.
fn quoted(value: &[u8], place: &mut usize, quote: u8) -> Result<Vec<u8>, i32> {
    let mut text = Vec::new();
    while let Some(byte) = value.get(*place).copied() {
        if byte == quote {
            *place += 1;
            return Ok(text);
        }
        if byte == b'\\' {
            match value.get(*place + 1) {
                None => return Err(-8),
                Some(next) if *next == quote || *next == b'\\' => *place += 1,
                // Some browsers send paths with backslashes that escape nothing.
                Some(_) => {}
            }
        }
        text.push(at(value, *place));
        *place += 1;
    }
    Err(-10)
}

fn skip_blanks(value: &[u8], place: &mut usize) {
    while matches!(at(value, *place), b'\t' | b' ') {
        *place += 1;
    }
}

/// Bytes of a value that is not in quotes.
const TOKEN: ByteSet =
    ByteSet::new(b"!#$%&'*+-.^_`{|}~").with_range(b'0', b'9').with_range(b'A', b'Z').with_range(b'a', b'z');
