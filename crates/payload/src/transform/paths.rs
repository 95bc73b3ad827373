//! Transformations of paths: `.`, `..` and empty segments taken out, without going above where the path begins.

use crate::bytes::{after, at, between};

pub(super) fn normalize(input: &[u8], out: &mut Vec<u8>) {
    Path::of(input, input, out).walk();
}

pub(super) fn normalize_windows(input: &[u8], out: &mut Vec<u8>) {
    Path::of(&with_slashes(input), input, out).walk();
}

fn with_slashes(input: &[u8]) -> Vec<u8> {
    input.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

/// Whether `ModSecurity` says that it changed the path, which it does not always when it did.
pub(super) fn says_changed(input: &[u8]) -> bool {
    Path::of(input, input, &mut Vec::new()).walk()
}

/// The same for a path of Windows.
pub(super) fn says_changed_windows(input: &[u8]) -> bool {
    Path::of(&with_slashes(input), input, &mut Vec::new()).walk()
}

/// A path on its way through, with the peculiarities of `ModSecurity`: a backward reference in a relative path stays where
/// nothing is left to go back from, and the last of several backslashes can stay one.
struct Path<'a> {
    /// The path with slashes only.
    input: &'a [u8],
    /// The path as it was.
    original: &'a [u8],
    last: usize,
    place: usize,
    /// Up to here backslashes have become slashes.
    converted: usize,
    out: &'a mut Vec<u8>,
    /// Where in `out` this path begins.
    start: usize,
    hit_root: bool,
    has_changed: bool,
}

/// What follows from the end of a segment.
enum Then {
    Copy,
    Stop,
}

impl<'a> Path<'a> {
    fn of(input: &'a [u8], original: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        let (last, start) = (input.len().saturating_sub(1), out.len());
        Self { input, original, last, place: 0, converted: 0, out, start, hit_root: false, has_changed: false }
    }

    /// Goes through all of it, and says whether that counts as a change.
    fn walk(mut self) -> bool {
        while self.place < self.input.len() && self.step() {}
        // Only where there was a slash at the end, there is one.
        if at(self.input, self.last) != b'/' && self.kept().last() == Some(&b'/') {
            self.out.pop();
        }
        self.has_changed
    }

    fn kept(&self) -> &[u8] {
        after(self.out, self.start)
    }

    /// Looks at one byte; `false` says that it was the last one.
    fn step(&mut self) -> bool {
        let is_last = self.place == self.last;
        self.converted = self.place + 1;
        self.has_changed |=
            [self.place, self.converted].iter().any(|place| at(self.original, *place) != at(self.input, *place));
        let ends_segment = is_last || at(self.input, self.place + 1) == b'/';
        let is_empty_segment = !is_last && at(self.input, self.place) == b'/';
        if ends_segment && is_empty_segment {
            self.has_changed = true;
        } else if ends_segment && let Then::Stop = self.end_segment(is_last) {
            return false;
        }
        self.copy();
        !is_last
    }

    fn end_segment(&mut self, is_last: bool) -> Then {
        if at(self.input, self.place) != b'.' {
            self.hit_root &= self.kept().is_empty();
            return Then::Copy;
        }
        match self.kept() {
            [.., b'.'] => {
                if self.is_relative() && (self.hit_root || self.kept().len() <= 2) {
                    self.hit_root = true;
                    return Then::Copy;
                }
                self.go_back(is_last);
                self.has_changed |= !is_last;
            }
            [] => self.has_changed = true,
            [.., b'/'] => {
                self.has_changed = true;
                if !is_last {
                    self.out.pop();
                }
            }
            _ => return Then::Copy,
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
        let from = self.kept().len().saturating_sub(3);
        let slash = between(self.kept(), 0, from + 1).iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let root = self.kept().first().copied();
        self.out.truncate(self.start + slash);
        if slash == 0 {
            self.hit_root = true;
            if !self.is_relative() && is_last {
                self.out.extend(root);
            }
        }
    }

    /// Takes over a byte, or the last one of several slashes.
    fn copy(&mut self) {
        if at(self.input, self.place) == b'/' {
            let first = self.place;
            while self.place < self.last && at(self.input, self.place + 1) == b'/' {
                self.place += 1;
            }
            self.has_changed |= self.place != first;
            if self.is_relative() && self.kept().is_empty() {
                self.place += 1;
                return;
            }
        }
        let from = if self.place <= self.converted { self.input } else { self.original };
        self.out.extend(from.get(self.place));
        self.place += 1;
    }
}
