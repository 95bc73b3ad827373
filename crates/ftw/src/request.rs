//! Requests as `go-ftw` completes and writes them.

use crate::file::Input;

/// The bytes that are sent.
pub fn raw(input: &Input) -> Vec<u8> {
    if let Some(encoded) = &input.encoded_request {
        return encoded.clone();
    }
    let mut headers = input.headers.clone();
    let mut data = input.data.clone();
    complete(input, &mut headers, &mut data);
    let mut raw = format!("{} {} {}\r\n", input.method, input.uri, input.version).into_bytes();
    for (name, value) in &headers {
        raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(&data.unwrap_or_default());
    raw
}

fn complete(input: &Input, headers: &mut Vec<(String, String)>, data: &mut Option<Vec<u8>>) {
    let has =
        |headers: &[(String, String)], name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let has_data = data.as_ref().is_some_and(|data| !data.is_empty());
    if input.autocomplete && has_data && !has(headers, "Content-Type") {
        add(headers, "Content-Type", FORM);
    }
    let kind =
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Type")).map(|(_, value)| value.clone());
    if let (Some(kind), Some(body)) = (kind, data.as_mut().filter(|_| has_data)) {
        if input.autocomplete && kind.eq_ignore_ascii_case(FORM) {
            if let Some(encoded) = encoded(body) {
                *body = encoded;
            }
        } else if kind.starts_with("multipart/form-data;") {
            *body = with_carriage_returns(body);
        }
    }
    if !input.autocomplete {
        return;
    }
    if !has(headers, "Connection") {
        add(headers, "Connection", "close");
    }
    let sends_body = has_data || ["POST", "PUT", "PATCH", "DELETE"].contains(&input.method.as_str());
    if sends_body && !has(headers, "Content-Length") && !has(headers, "Transfer-Encoding") {
        add(headers, "Content-Length", &data.as_ref().map_or(0, Vec::len).to_string());
    }
}

/// Headers are written in the order of their names.
fn add(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    headers.push((name.to_owned(), value.to_owned()));
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
}

/// A form that is not encoded yet is: names and values, but not what parts them.
fn encoded(data: &[u8]) -> Option<Vec<u8>> {
    if unescaped(data)? != data {
        return None;
    }
    let pieces = data.split(|byte| *byte == b'&').map(|piece| {
        let (name, value) = match piece.iter().position(|byte| *byte == b'=') {
            Some(at) => (piece.get(..at).unwrap_or_default(), piece.get(at + 1..)),
            None => (piece, None),
        };
        let mut written = escaped(name);
        if let Some(value) = value {
            written.push(b'=');
            written.extend(escaped(value));
        }
        written
    });
    Some(pieces.collect::<Vec<_>>().join(&b'&'))
}

/// What Go's `QueryUnescape` gives; nothing for what is no valid escape.
fn unescaped(data: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, left @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                plain.push(digit(*high)? << 4 | digit(*low)?);
                rest = left;
            }
            (b'%', _) => return None,
            (b'+', _) => plain.push(b' '),
            _ => plain.push(first),
        }
    }
    Some(plain)
}

/// What Go's `QueryEscape` gives.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => written.push(*byte),
            b' ' => written.push(b'+'),
            _ => written.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    written
}

fn with_carriage_returns(data: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(data.len() + 32);
    for byte in data {
        if *byte == b'\n' && written.last() != Some(&b'\r') {
            written.push(b'\r');
        }
        written.push(*byte);
    }
    written
}

const FORM: &str = "application/x-www-form-urlencoded";
