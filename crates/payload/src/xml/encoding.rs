//! The encoding of a document, which may hide what is in it from those who expect UTF-8.

use std::borrow::Cow;

use crate::bytes::{after, between};
use crate::scan::find_text;

/// The text of a document up to the first character that may not stand in one, and what is wrong there.
pub(super) fn decoded(body: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    let (text, fault) = match body {
        [0xFF, 0xFE, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [b'<', 0, ..] => utf_16(body, u16::from_le_bytes),
        [0, b'<', ..] => utf_16(body, u16::from_be_bytes),
        _ => by_declaration(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)),
    };
    match text.char_indices().find(|(_, letter)| !is_allowed(*letter)) {
        None => (text, fault),
        Some((place, _)) => (cut(text, place), Some("XML: a character that may not be in a document")),
    }
}

fn cut(text: Cow<'_, str>, place: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..place).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(place);
            Cow::Owned(text)
        }
    }
}

fn is_allowed(letter: char) -> bool {
    !matches!(letter, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}')
}

fn utf_16(body: &[u8], number: fn([u8; 2]) -> u16) -> (Cow<'_, str>, Option<&'static str>) {
    let (pairs, rest) = body.as_chunks::<2>();
    let mut text = String::with_capacity(body.len());
    for unit in char::decode_utf16(pairs.iter().map(|pair| number(*pair))) {
        match unit {
            Ok(letter) => text.push(letter),
            Err(_) => return (text.into(), Some("XML: half of a surrogate pair")),
        }
    }
    (text.into(), (!rest.is_empty()).then_some("XML: half of a character"))
}

fn by_declaration(body: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    match declared(body).as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => utf_8(body, None),
        Some(name) if name.starts_with("iso-8859-") || name.starts_with("windows-125") || name == "latin1" => {
            (body.iter().map(|byte| char::from(*byte)).collect::<String>().into(), None)
        }
        Some(_) => utf_8(body, Some("XML: an encoding that is not known here")),
    }
}

fn utf_8<'a>(body: &'a [u8], fault: Option<&'static str>) -> (Cow<'a, str>, Option<&'static str>) {
    match std::str::from_utf8(body) {
        Ok(text) => (text.into(), fault),
        Err(error) => {
            let text = std::str::from_utf8(between(body, 0, error.valid_up_to())).unwrap_or_default();
            (text.into(), Some("XML: bytes that are no UTF-8"))
        }
    }
}

/// The encoding that the declaration names, in small letters.
fn declared(body: &[u8]) -> Option<String> {
    let declaration = body.strip_prefix(b"<?xml")?;
    let declaration = between(declaration, 0, find_text(declaration, b"?>")?);
    let behind = after(declaration, find_text(declaration, b"encoding")? + b"encoding".len()).trim_ascii_start();
    let value = behind.strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    let name = value.split(|byte| byte == quote).next()?;
    Some(String::from_utf8_lossy(name).to_ascii_lowercase())
}
