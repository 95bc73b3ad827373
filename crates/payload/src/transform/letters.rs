//! Transformations that look at one byte after the other: letters, white space, zero bytes, parity, commands.

use crate::bytes::{NO_BREAK_SPACE, after, is_space};
use crate::scan::span;

pub(super) fn nothing(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(input);
}

pub(super) fn lowercase(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(u8::to_ascii_lowercase));
}

pub(super) fn uppercase(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(u8::to_ascii_uppercase));
}

pub(super) fn trim_left(input: &[u8], out: &mut Vec<u8>) {
    let start = span(input, is_space);
    out.extend_from_slice(after(input, start));
}

pub(super) fn trim_right(input: &[u8], out: &mut Vec<u8>) {
    let end = input.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    out.extend_from_slice(input.get(..end).unwrap_or_default());
}

pub(super) fn trim(input: &[u8], out: &mut Vec<u8>) {
    let start = span(input, is_space);
    trim_right(after(input, start), out);
}

pub(super) fn remove_zeros(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().filter(|byte| **byte != 0));
}

pub(super) fn replace_zeros(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
}

pub(super) fn remove_space(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().filter(|byte| !is_wide_space(**byte)));
}

pub(super) fn compress_space(input: &[u8], out: &mut Vec<u8>) {
    let mut in_space = false;
    for byte in input {
        if !is_wide_space(*byte) {
            out.push(*byte);
            in_space = false;
        } else if !in_space {
            out.push(b' ');
            in_space = true;
        }
    }
}

fn is_wide_space(byte: u8) -> bool {
    is_space(byte) || byte == NO_BREAK_SPACE
}

pub(super) fn zero_parity(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(|byte| byte & 0x7F));
}

/// The parity is taken over all eight bits, as `ModSecurity` takes it.
pub(super) fn even_parity(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(|byte| if byte.count_ones() % 2 == 1 { byte | 0x80 } else { byte & 0x7F }));
}

pub(super) fn odd_parity(input: &[u8], out: &mut Vec<u8>) {
    out.extend(input.iter().map(|byte| if byte.count_ones() % 2 == 1 { byte & 0x7F } else { byte | 0x80 }));
}

/// What `cmd.exe` and shells pass over is taken out, separators become one space, a space before `/` and `(` goes too. The
/// value ends with its first zero byte.
pub(super) fn command_line(input: &[u8], out: &mut Vec<u8>) {
    let mut after_space = false;
    for byte in input {
        match byte {
            0 => return,
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !after_space {
                    out.push(b' ');
                    after_space = true;
                }
            }
            b'/' | b'(' => {
                if after_space {
                    out.pop();
                    after_space = false;
                }
                out.push(*byte);
            }
            _ => {
                out.push(byte.to_ascii_lowercase());
                after_space = false;
            }
        }
    }
}
