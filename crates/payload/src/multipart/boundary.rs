//! The boundary, as the `Content-Type` says it.

use super::Flags;
use crate::bytes::{after, between, is_space};
use crate::scan::{find, find_text};

const TYPE: &[u8] = b"multipart/form-data";
const NAME: &[u8] = b"boundary";

/// The boundary, or why there is none.
pub(super) fn of(content_type: Option<&[u8]>, flags: &mut Flags) -> Result<Vec<u8>, &'static str> {
    let content_type = content_type.ok_or("Multipart: Content-Type header not available.")?;
    if content_type.len() > 1024 {
        return Err("Multipart: Invalid boundary in C-T (length).");
    }
    if !between(content_type, 0, TYPE.len()).eq_ignore_ascii_case(TYPE) {
        return Err("Multipart: Invalid MIME type.");
    }
    let named = count(content_type);
    if named > 1 {
        return Err("Multipart: Multiple boundary parameters in C-T.");
    }
    let Some(start) = find_text(content_type, NAME) else {
        return Err(if named > 0 {
            "Multipart: Invalid boundary in C-T (case sensitivity)."
        } else {
            "Multipart: Boundary not found in C-T."
        });
    };
    let before = between(content_type, TYPE.len(), start);
    let mut signs = before.iter().filter(|byte| !is_space(**byte));
    match (signs.next(), signs.next()) {
        (None, _) => flags.missing_semicolon = true,
        (Some(b';'), None) => {}
        _ => return Err("Multipart: Invalid boundary in C-T (malformed)."),
    }

    let behind = after(content_type, start + NAME.len());
    let equals = find(b'=', behind).ok_or("Multipart: Invalid boundary in C-T (malformed).")?;
    if between(behind, 0, equals).iter().any(|byte| !is_space(*byte)) {
        return Err("Multipart: Invalid boundary in C-T (parameter name).");
    }
    let value = after(behind, equals + 1);
    flags.boundary_whitespace = equals > 0 || value.first().is_some_and(|byte| is_space(*byte));
    let boundary = unquoted(value, flags)?;
    check(boundary)?;
    Ok(boundary.to_vec())
}

fn unquoted<'a>(value: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], &'static str> {
    match value {
        [b'"', inside @ .., b'"'] => {
            flags.boundary_quoted = true;
            Ok(inside)
        }
        [b'"', ..] | [_, .., b'"'] => Err("Multipart: Invalid boundary in C-T (quote)."),
        bare => Ok(bare),
    }
}

fn check(boundary: &[u8]) -> Result<(), &'static str> {
    if count(boundary) > 0 {
        return Err("Multipart: Invalid boundary in C-T (content).");
    }
    let is_allowed = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b' ' | b'\'' | b'(' | b')' | b'+' | b'_' | b',' | b'-' | b'.' | b'/' | b':' | b'=' | b'?')
    };
    if !boundary.iter().all(is_allowed) || boundary.last() == Some(&b' ') {
        return Err("Multipart: Invalid boundary in C-T (characters).");
    }
    if boundary.is_empty() {
        return Err("Multipart: Invalid boundary in C-T (empty).");
    }
    Ok(())
}

/// How often the word is there, in whatever case, with a `=` somewhere behind it.
fn count(text: &[u8]) -> usize {
    let text = text.to_ascii_lowercase();
    let last_equals = memchr::memrchr(b'=', &text).unwrap_or(0);
    memchr::memmem::find_iter(&text, NAME).filter(|place| place + NAME.len() <= last_equals).count()
}
