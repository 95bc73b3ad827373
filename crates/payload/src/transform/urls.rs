//! Transformations into and out of the encoding of URLs.

use super::unicode::best_fit;
use crate::bytes::{ByteSet, after, between, hex_pair};
use crate::scan::find_either;

/// Bytes that [`encode`] does not leave as they are.
pub(super) const TO_ENCODE: ByteSet =
    ByteSet::new(b"*").with_range(b'0', b'9').with_range(b'A', b'Z').with_range(b'a', b'z').complement();

pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) {
    crate::arguments::url_decode(input, out);
}

/// `%uXXXX` becomes one byte: the nearest of ASCII. A `%u` that is no escape is taken over as it is.
pub(super) fn decode_unicode(input: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(next) = find_either(b'%', b'+', after(input, place)) {
        out.extend_from_slice(between(input, place, place + next));
        place += next;
        match after(input, place) {
            [b'+', ..] => {
                out.push(b' ');
                place += 1;
            }
            [_, mark @ (b'u' | b'U'), rest @ ..] => {
                if let Some((high, low)) = number(rest) {
                    out.push(best_fit(high, low));
                    place += 6;
                } else {
                    out.extend([b'%', *mark]);
                    place += 2;
                }
            }
            [_, rest @ ..] => {
                let decoded = rest.first_chunk().and_then(|[high, low]| hex_pair(*high, *low));
                out.push(decoded.unwrap_or(b'%'));
                place += if decoded.is_some() { 3 } else { 1 };
            }
            [] => {}
        }
    }
    out.extend_from_slice(after(input, place));
}

fn number(digits: &[u8]) -> Option<(u8, u8)> {
    let [a, b, c, d] = digits.first_chunk()?;
    Some((hex_pair(*a, *b)?, hex_pair(*c, *d)?))
}

pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
    for byte in input {
        match byte {
            b' ' => out.push(b'+'),
            byte if TO_ENCODE.contains(*byte) => out.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
            byte => out.push(*byte),
        }
    }
}
