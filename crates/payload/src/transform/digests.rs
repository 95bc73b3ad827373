//! Transformations into and out of other writings of bytes: digests, Base64, hexadecimal digits, lengths.

use ::md5::Digest;

use crate::bytes::{after, at, hex_pair};
use crate::scan::find;

pub(super) fn length(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(input.len().to_string().as_bytes());
}

pub(super) fn md5(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&::md5::Md5::digest(input));
}

pub(super) fn sha1(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&::sha1::Sha1::digest(input));
}

pub(super) fn hex_encode(input: &[u8], out: &mut Vec<u8>) {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
    for byte in input {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// What is no digit counts as something all the same, by the arithmetic of C; an odd digit at the end is left out.
pub(super) fn hex_decode(input: &[u8], out: &mut Vec<u8>) {
    out.extend(
        input
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[high, low]| lax_digit(*high).wrapping_mul(16).wrapping_add(lax_digit(*low))),
    );
}

fn lax_digit(byte: u8) -> u8 {
    if byte >= b'A' { (byte & 0xDF).wrapping_sub(b'A').wrapping_add(10) } else { byte.wrapping_sub(b'0') }
}

/// After the digits of a number, the next byte is taken over unseen. The result ends with its first zero byte.
pub(super) fn sql_hex_decode(input: &[u8], out: &mut Vec<u8>) {
    let before = out.len();
    let mut place = 0;
    loop {
        let byte = at(input, place);
        if byte == b'0' && matches!(at(input, place + 1), b'x' | b'X') {
            let mut digits = place + 2;
            while let Some(decoded) = hex_pair(at(input, digits), at(input, digits + 1)) {
                out.push(decoded);
                digits += 2;
            }
            if digits > place + 2 {
                place = digits;
            }
        }
        let byte = at(input, place);
        if byte == 0 {
            break;
        }
        out.push(byte);
        place += 1;
    }
    if let Some(end) = find(0, after(out, before)) {
        out.truncate(before + end);
    }
}

pub(super) fn base64_encode(input: &[u8], out: &mut Vec<u8>) {
    for group in input.chunks(3) {
        let bits = u32::from(at(group, 0)) << 16 | u32::from(at(group, 1)) << 8 | u32::from(at(group, 2));
        for place in 0..4_u32 {
            let six = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default();
            let is_there = usize::try_from(place).is_ok_and(|place| place <= group.len());
            out.push(if is_there { at(ALPHABET, six) } else { b'=' });
        }
    }
}

/// Reads up to the first byte that is no digit of Base64, and leaves out bits that make no byte.
pub(super) fn base64_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut bits = Bits::default();
    for byte in input {
        let Some(six) = six_bits(*byte) else { return };
        bits.take(six, out);
    }
}

/// Passes over what is no digit of Base64, up to the first zero byte. A lonely `=` after the first digit of four makes
/// the whole of it nothing.
pub(super) fn base64_decode_lenient(input: &[u8], out: &mut Vec<u8>) {
    let before = out.len();
    let mut bits = Bits::default();
    for (place, byte) in input.iter().enumerate() {
        match byte {
            0 => return,
            b'=' => {
                if bits.digits % 4 == 1 && at(input, place + 1) != b'=' {
                    out.truncate(before);
                    return;
                }
            }
            _ => {
                if let Some(six) = six_bits(*byte) {
                    bits.take(six, out);
                }
            }
        }
    }
}

/// Bits of Base64 that make no byte yet.
#[derive(Default)]
struct Bits {
    digits: usize,
    held: u32,
}

impl Bits {
    fn take(&mut self, six: u8, out: &mut Vec<u8>) {
        self.held = self.held << 6 | u32::from(six);
        let spare = match self.digits % 4 {
            0 => None,
            1 => Some(4),
            2 => Some(2),
            _ => Some(0),
        };
        if let Some(spare) = spare {
            let [.., byte] = (self.held >> spare).to_be_bytes();
            out.push(byte);
        }
        self.digits += 1;
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn six_bits(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
