//! Transformations of paths: `.`, `..` and empty segments taken out, without going above where the path begins.

use crate::bytes::at;

pub(super) fn normalize(input: &[u8], out: &mut Vec<u8>) {
    append(input, out);
}

pub(super) fn normalize_windows(input: &[u8], out: &mut Vec<u8>) {
    let slashes: Vec<u8> = input.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    append(&slashes, out);
}

fn append(input: &[u8], out: &mut Vec<u8>) {
    let Some(last) = input.len().checked_sub(1) else { return };
    let mut path = Path { input, last, place: 0, out: Vec::with_capacity(input.len()), hit_root: false };
    while path.place <= last {
        if !path.step() {
            break;
        }
    }
    // Only where there was a slash at the end, there is one.
    if at(input, last) != b'/' && path.out.last() == Some(&b'/') {
        path.out.pop();
    }
    out.append(&mut path.out);
}

/// A path on its way through, with the peculiarities of `ModSecurity`: a backward reference in a relative path stays where
/// nothing is left to go back from.
struct Path<'a> {
    input: &'a [u8],
    last: usize,
    place: usize,
    out: Vec<u8>,
    hit_root: bool,
}

/// What follows from the end of a segment.
enum Then {
    Copy,
    Stop,
}

impl Path<'_> {
    /// Looks at one byte; `false` says that it was the last one.
    fn step(&mut self) -> bool {
        let is_last = self.place == self.last;
        let ends_segment = is_last || at(self.input, self.place + 1) == b'/';
        let is_empty_segment = !is_last && at(self.input, self.place) == b'/';
        if ends_segment && !is_empty_segment {
            if let Then::Stop = self.end_segment(is_last) {
                return false;
            }
        }
        self.copy();
        !is_last
    }

    fn end_segment(&mut self, is_last: bool) -> Then {
        if at(self.input, self.place) != b'.' {
            if !self.out.is_empty() {
                self.hit_root = false;
            }
            return Then::Copy;
        }
        match self.out.last() {
            Some(b'.') => {
                if self.is_relative() && (self.hit_root || self.out.len() <= 2) {
                    self.hit_root = true;
                    return Then::Copy;
                }
                self.go_back(is_last);
            }
            None => {}
            Some(b'/') => {
                if is_last {
                    return Then::Stop;
                }
                self.out.pop();
            }
            Some(_) => return Then::Copy,
        }
        if is_last {
            return Then::Stop;
        }
        self.place += 1;
        Then::Copy
    }

    fn is_relative(&self) -> bool {
        at(self.input, 0) != b'/'
    }

    /// Takes away the segment before, and the slash that ended it.
    fn go_back(&mut self, is_last: bool) {
        let start = self.out.len().saturating_sub(3);
        let kept = self.out.get(..=start).and_then(|before| before.iter().rposition(|byte| *byte == b'/')).unwrap_or(0);
        self.out.truncate(kept);
        if kept == 0 {
            self.hit_root = true;
            if !self.is_relative() && is_last {
                self.out.push(b'/');
            }
        }
    }

    /// Takes over a byte, or the last one of several slashes.
    fn copy(&mut self) {
        if at(self.input, self.place) == b'/' {
            while self.place < self.last && at(self.input, self.place + 1) == b'/' {
                self.place += 1;
            }
            if self.is_relative() && self.out.is_empty() {
                self.place += 1;
                return;
            }
        }
        if let Some(byte) = self.input.get(self.place) {
            self.out.push(*byte);
        }
        self.place += 1;
    }
}
