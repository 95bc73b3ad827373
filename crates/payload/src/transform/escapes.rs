//! Transformations that decode escapes: of HTML, `JavaScript`, CSS and C.

use crate::bytes::{after, at, between, hex, hex_pair, is_space};
use crate::scan::{find, span};

/// Numbers are cut to their last byte; one that is larger than 63 bits is 255.
pub(super) fn html_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(next) = find(b'&', after(input, place)) {
        out.extend_from_slice(between(input, place, place + next));
        place += next;
        let rest = after(input, place + 1);
        let (copied, decoded) = match rest {
            [b'#', b'x' | b'X', digits @ ..] => (3, number(digits, 16, 3)),
            [b'#', digits @ ..] => (2, number(digits, 10, 2)),
            _ => {
                let length = span(rest, |byte| byte.is_ascii_alphanumeric());
                (length + 1, named(between(rest, 0, length)).map(|byte| (byte, length + 1)))
            }
        };
        if let Some((byte, length)) = decoded {
            out.push(byte);
            place += length;
            place += usize::from(at(input, place) == b';');
        } else {
            out.extend_from_slice(between(input, place, place + copied));
            place += copied;
        }
    }
    out.extend_from_slice(after(input, place));
}

/// The byte of a numeric entity, and how long it is with the sign before its digits.
fn number(digits: &[u8], radix: u32, sign: usize) -> Option<(u8, usize)> {
    let mut sum: i64 = 0;
    let mut length = 0;
    while let Some(digit) = digits.get(length).and_then(|byte| char::from(*byte).to_digit(radix)) {
        sum = sum.saturating_mul(i64::from(radix)).saturating_add(i64::from(digit));
        length += 1;
    }
    let [.., byte] = sum.to_be_bytes();
    (length > 0).then_some((byte, sign + length))
}

fn named(name: &[u8]) -> Option<u8> {
    const NAMES: [(&[u8], u8); 5] =
        [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", crate::bytes::NO_BREAK_SPACE)];
    NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, byte)| *byte)
}

/// `\uHHHH` gives its lower byte, and full-width forms of ASCII become ASCII.
pub(super) fn js_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(next) = find(b'\\', after(input, place)) {
        out.extend_from_slice(between(input, place, place + next));
        place += next;
        let (byte, length) = js_escape(after(input, place + 1));
        out.push(byte);
        place += 1 + length;
    }
    out.extend_from_slice(after(input, place));
}

/// What stands for an escape, and how much of what follows the backslash belongs to it.
fn js_escape(rest: &[u8]) -> (u8, usize) {
    match rest {
        [] => (b'\\', 0),
        [b'u', a, b, c, d, ..] if hex_pair(*a, *b).is_some() && hex_pair(*c, *d).is_some() => {
            let low = hex_pair(*c, *d).unwrap_or_default();
            (full_width(low, hex_pair(*a, *b) == Some(0xFF)), 5)
        }
        [b'x', a, b, ..] if hex_pair(*a, *b).is_some() => (hex_pair(*a, *b).unwrap_or_default(), 3),
        [b'0'..=b'7', ..] => {
            let digits = octal_digits(rest);
            // Three digits only where they make one byte.
            let digits = if digits == 3 && at(rest, 0) > b'3' { 2 } else { digits };
            (octal(between(rest, 0, digits)), digits)
        }
        [letter, ..] => (control(*letter).unwrap_or(*letter), 1),
    }
}

/// ASCII from its full-width form (U+FF01 to U+FF5E).
pub(super) fn full_width(low: u8, is_full_width: bool) -> u8 {
    if is_full_width && (0x01..0x5F).contains(&low) { low + 0x20 } else { low }
}

fn octal_digits(rest: &[u8]) -> usize {
    rest.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count()
}

fn octal(digits: &[u8]) -> u8 {
    digits.iter().fold(0_u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit & 7))
}

fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0B,
        _ => return None,
    })
}

/// An escape that C does not know loses its backslash; three octal digits are cut to a byte.
pub(super) fn c_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(next) = find(b'\\', after(input, place)) {
        out.extend_from_slice(between(input, place, place + next));
        place += next;
        let (byte, length) = match after(input, place + 1) {
            [] => (b'\\', 0),
            [b'x' | b'X', a, b, ..] if hex_pair(*a, *b).is_some() => (hex_pair(*a, *b).unwrap_or_default(), 3),
            rest @ [b'0'..=b'7', ..] => {
                let digits = octal_digits(rest);
                (octal(between(rest, 0, digits)), digits)
            }
            [letter, ..] => (control(*letter).unwrap_or(*letter), 1),
        };
        out.push(byte);
        place += 1 + length;
    }
    out.extend_from_slice(after(input, place));
}

/// One to six hexadecimal digits give a byte, and a single white space behind them belongs to them.
pub(super) fn css_decode(input: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(next) = find(b'\\', after(input, place)) {
        out.extend_from_slice(between(input, place, place + next));
        place += next + 1;
        let rest = after(input, place);
        let count = rest.iter().take(6).take_while(|byte| hex(**byte).is_some()).count();
        if count > 0 {
            out.push(css_byte(between(rest, 0, count)));
            place += count + usize::from(rest.get(count).is_some_and(|byte| is_space(*byte)));
        } else if let Some(byte) = rest.first() {
            if *byte != b'\n' {
                out.push(*byte);
            }
            place += 1;
        }
    }
    out.extend_from_slice(after(input, place));
}

/// The last two digits; full-width forms of ASCII are looked for where what is before them is zero.
fn css_byte(digits: &[u8]) -> u8 {
    match digits {
        [a, b, c, d] | [b'0', a, b, c, d] | [b'0', b'0', a, b, c, d] => {
            full_width(hex_pair(*c, *d).unwrap_or_default(), hex_pair(*a, *b) == Some(0xFF))
        }
        [.., a, b] => hex_pair(*a, *b).unwrap_or_default(),
        [a] => hex(*a).unwrap_or_default(),
        [] => 0,
    }
}
