//! The one way in which a request is written to be signed.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::Request;

/// What stays as it is in a query.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What stays as it is in a path.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// The request, with these headers and a body of this hash. None: one of the headers is not there.
pub(crate) fn request(request: Request<'_>, names: &str, hash: &str) -> Option<String> {
    let Request { method, path, query, headers } = request;
    // As it was sent, encoded once more: all services but one want that.
    let path = utf8_percent_encode(if path.is_empty() { "/" } else { path }, IN_PATH);
    let mut canonical = format!("{method}\n{path}\n{}\n", sorted(query));
    for name in names.split(';') {
        let mut values = headers.get_all(name).iter().peekable();
        values.peek()?;
        let values: Vec<_> = values.map(|value| value.to_str().map(spaced)).collect::<Result<_, _>>().ok()?;
        // Formatting into a text does not fail.
        let _written = writeln!(canonical, "{name}:{}", values.join(","));
    }
    let _written = write!(canonical, "\n{names}\n{hash}");
    Some(canonical)
}

/// A query in order, each part encoded as it has to be.
fn sorted(query: &str) -> String {
    let encoded = |text: &str| utf8_percent_encode(&percent_decode_str(text).decode_utf8_lossy(), IN_QUERY).to_string();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A value without spaces around it, and with single ones inside.
fn spaced(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that so many digits in lower case stand for.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.len() == 2 * N && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = if is_hex { text.get(2 * index..2 * index + 2)? } else { return None };
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_sorted_by_names_and_then_values_and_written_in_one_way() {
        for (query, expected) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&a", "a=&a=1&a=2"),
            ("a=x%20y&%61b=%2f~", "a=x%20y&ab=%2F~"),
            ("a=b=c", "a=b%3Dc"),
            ("ä=1", "%C3%A4=1"),
        ] {
            assert_eq!(sorted(query), expected);
        }
    }

    #[test]
    fn hex_is_read_as_it_is_written_and_in_no_other_way() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some([0, 255, 16]));
        for wrong in ["", "00ff1", "00ff100", "00FF10", "00fg10", "00ff1ä"] {
            assert_eq!(unhex::<3>(wrong), None, "{wrong}");
        }
    }
}
