//! Transformations that take comments out of a value, or only their signs.

use crate::bytes::{after, at};
use crate::scan::{find_either, find_text};

/// `/* */` becomes a space, to the end of the value if nothing closes it.
pub(super) fn replace(input: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(byte) = input.get(place) {
        if !after(input, place).starts_with(b"/*") {
            out.push(*byte);
            place += 1;
            continue;
        }
        let inside = after(input, place + 2);
        place = find_text(inside, b"*/").map_or(input.len(), |end| place + 2 + end + 2);
        out.push(b' ');
    }
}

/// What follows `--` or `#` goes. After a comment that is closed, the next byte is taken over unseen, and be it the zero
/// behind the end; one that is not closed becomes a space. Either sign closes either comment.
pub(super) fn remove(input: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(byte) = input.get(place) {
        let rest = after(input, place);
        let inside = if rest.starts_with(b"/*") {
            place + 2
        } else if rest.starts_with(b"<!--") {
            place + 4
        } else if rest.starts_with(b"--") || *byte == b'#' {
            return;
        } else {
            out.push(*byte);
            place += 1;
            continue;
        };
        let Some(end) = end_of_comment(input, inside) else {
            out.push(b' ');
            return;
        };
        out.push(at(input, end));
        place = end + 1;
    }
}

fn end_of_comment(input: &[u8], inside: usize) -> Option<usize> {
    let mut place = inside;
    loop {
        place += find_either(b'*', b'-', after(input, place))?;
        let rest = after(input, place);
        if rest.starts_with(b"*/") {
            return Some(place + 2);
        }
        if rest.starts_with(b"-->") {
            return Some(place + 3);
        }
        place += 1;
    }
}

pub(super) fn remove_signs(input: &[u8], out: &mut Vec<u8>) {
    const SIGNS: [&[u8]; 6] = [b"/*", b"*/", b"<!--", b"-->", b"--", b"#"];
    let mut place = 0;
    while let Some(byte) = input.get(place) {
        if matches!(byte, b'/' | b'*' | b'<' | b'-' | b'#') {
            let rest = after(input, place);
            if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(sign)) {
                place += sign.len();
                continue;
            }
        }
        out.push(*byte);
        place += 1;
    }
}
