//! Whether a value is what it should be: allowed bytes, escapes of URLs, UTF-8.

use crate::bytes::{ByteSet, after, hex_pair};
use crate::scan::find;

/// Bytes that a value may have (`validateByteRange`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRanges(ByteSet);

impl ByteRanges {
    /// Reads numbers and ranges such as `9,10,32-126`, or says what is wrong with them.
    pub fn parse(written: &str) -> Result<Self, String> {
        let mut allowed = ByteSet::EMPTY;
        for part in written.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let number = |text: &str| {
                let text = text.trim();
                text.parse::<u8>().ok().ok_or_else(|| format!("`{text}` is no byte; write a number from 0 to 255"))
            };
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(format!("`{part}` ends before it begins"));
            }
            allowed = allowed.with_range(first, last);
        }
        if allowed.is_empty() {
            return Err("names no byte; write numbers and ranges such as `9,10,32-126`".to_owned());
        }
        Ok(Self(allowed))
    }

    /// How many bytes of a value are not among them.
    pub fn outside(&self, value: &[u8]) -> usize {
        value.iter().filter(|byte| !self.0.contains(**byte)).count()
    }

    /// The allowed bytes.
    pub fn allowed(&self) -> &ByteSet {
        &self.0
    }
}

/// What is wrong with an escape of a URL (`validateUrlEncoding`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlFault {
    /// What follows `%` is no hexadecimal number.
    NotHexadecimal,
    /// The value ends too early.
    Incomplete,
}

/// The first fault in the escapes of a value.
pub fn url_fault(value: &[u8]) -> Option<UrlFault> {
    let mut rest = value;
    while let Some(place) = find(b'%', rest) {
        match after(rest, place + 1) {
            [high, low, behind @ ..] if hex_pair(*high, *low).is_some() => rest = behind,
            [_, _, ..] => return Some(UrlFault::NotHexadecimal),
            _ => return Some(UrlFault::Incomplete),
        }
    }
    None
}

/// What is wrong with a character of UTF-8 (`validateUtf8Encoding`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Utf8Fault {
    /// The value ends within it.
    Incomplete,
    /// One of its bytes cannot stand there.
    InvalidByte,
    /// Fewer bytes would do.
    Overlong,
    /// It is half of a surrogate pair, or beyond Unicode.
    Restricted,
}

/// The first fault of a value, and where the character begins that has it.
///
/// As in `ModSecurity`, F4 followed by anything from 90 on passes, although it is beyond Unicode.
pub fn utf8_fault(value: &[u8]) -> Option<(Utf8Fault, usize)> {
    let mut place = std::str::from_utf8(value).map_or_else(|fault| fault.valid_up_to(), |_| value.len());
    while place < value.len() {
        match character(after(value, place)) {
            Ok(length) => place += length,
            Err(fault) => return Some((fault, place)),
        }
    }
    None
}

fn character(rest: &[u8]) -> Result<usize, Utf8Fault> {
    let (length, mask) = match rest.first() {
        None | Some(0..=0x7F) => return Ok(1),
        Some(0xC0..=0xDF) => (2, 0x1F),
        Some(0xE0..=0xEF) => (3, 0x0F),
        Some(0xF0..=0xF4) => (4, 0x07),
        Some(0xF5..=0xF7) => return Err(Utf8Fault::Restricted),
        Some(_) => return Err(Utf8Fault::InvalidByte),
    };
    let [first, following @ ..] = rest.get(..length).ok_or(Utf8Fault::Incomplete)? else {
        return Err(Utf8Fault::Incomplete);
    };
    let mut number = u32::from(first & mask);
    for byte in following {
        if byte & 0xC0 != 0x80 {
            return Err(Utf8Fault::InvalidByte);
        }
        number = number << 6 | u32::from(byte & 0x3F);
    }
    if (0xD800..=0xDFFF).contains(&number) {
        return Err(Utf8Fault::Restricted);
    }
    let least = match length {
        2 => 0x80,
        3 => 0x800,
        _ => 0x1_0000,
    };
    if number < least { Err(Utf8Fault::Overlong) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_outside_of_the_ranges_are_counted() {
        let ranges = ByteRanges::parse("9, 10,32-126").unwrap();
        assert_eq!(ranges.outside(b"a\tb\n~ "), 0);
        assert_eq!(ranges.outside(b"\0a\x7F\xFF"), 3);
        assert_eq!(ByteRanges::parse("0-255").unwrap().outside(&[0, 128, 255]), 0);
    }

    #[test]
    fn ranges_that_make_no_sense_are_mistakes() {
        for (written, said) in [
            ("256", "`256` is no byte"),
            ("5-x", "`x` is no byte"),
            ("9-5", "`9-5` ends before it begins"),
            (" , ", "names no byte"),
        ] {
            let fault = ByteRanges::parse(written).unwrap_err();
            assert!(fault.starts_with(said), "{fault}");
        }
    }

    #[test]
    fn the_first_wrong_escape_is_told() {
        for (value, expected) in [
            (&b"plain"[..], None),
            (b"%41%zz", Some(UrlFault::NotHexadecimal)),
            (b"%4", Some(UrlFault::Incomplete)),
            (b"%", Some(UrlFault::Incomplete)),
            (b"a%2", Some(UrlFault::Incomplete)),
            (b"%%41", Some(UrlFault::NotHexadecimal)),
            (b"%fF", None),
        ] {
            assert_eq!(url_fault(value), expected, "{value:?}");
        }
    }

    #[test]
    fn each_kind_of_wrong_character_is_told_with_its_place() {
        for (value, expected) in [
            (&b"\xC3\xA9t\xC3\xA9"[..], None),
            (b"a\xC3", Some((Utf8Fault::Incomplete, 1))),
            (b"a\xC3b", Some((Utf8Fault::InvalidByte, 1))),
            (b"\x80", Some((Utf8Fault::InvalidByte, 0))),
            (b"\xF8\x80\x80\x80\x80", Some((Utf8Fault::InvalidByte, 0))),
            (b"\xC0\xAF", Some((Utf8Fault::Overlong, 0))),
            (b"\xE0\x80\xAF", Some((Utf8Fault::Overlong, 0))),
            (b"\xF0\x80\x80\xAF", Some((Utf8Fault::Overlong, 0))),
            (b"ab\xED\xA0\x80", Some((Utf8Fault::Restricted, 2))),
            (b"\xF5\x80\x80\x80", Some((Utf8Fault::Restricted, 0))),
            (b"\xF4\x90\x80\x80", None),
            (b"\xF0\x9F\x98", Some((Utf8Fault::Incomplete, 0))),
            (b"\xF0\x9F\x98\x80", None),
        ] {
            assert_eq!(utf8_fault(value), expected, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn text_has_no_fault(text: String) {
            prop_assert_eq!(utf8_fault(text.as_bytes()), None);
        }

        #[test]
        fn what_is_no_text_has_a_fault_unless_it_is_beyond_unicode(value: Vec<u8>) {
            let is_beyond = value.windows(2).any(|pair| pair[0] == 0xF4 && pair[1] >= 0x90);
            if !is_beyond {
                prop_assert_eq!(utf8_fault(&value).is_none(), std::str::from_utf8(&value).is_ok());
            }
        }
    }
}
