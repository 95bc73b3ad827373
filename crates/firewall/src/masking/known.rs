//! Secrets by their values, found wherever they stand in a text.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::STARS;

/// The secrets of one exchange, in pieces: each eight bytes of them in small letters, or a short one as a whole.
///
/// Texts that rules put together have values without their names, in part (captures) and changed (`t:lowercase`): of a part
/// of a secret that a text has, seven bytes may be seen at most.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The first byte of a piece is the lowest.
    pieces: HashSet<u64>,
    /// Which hashes the first four bytes of pieces have: most places of a text need no further look.
    starts: Vec<bool>,
    /// The lengths of pieces, as bits.
    lengths: u64,
    /// Whether there were more than are kept.
    is_full: bool,
}

impl Known {
    /// Notes a secret, unless it is so short that any text may have it.
    pub(super) fn add(&mut self, secret: &[u8]) {
        if secret.len() < SHORTEST || self.is_full {
            return;
        }
        if self.pieces.len() + secret.len() > MOST {
            self.is_full = true;
            return;
        }
        self.starts.resize(STARTS, false);
        let length = secret.len().min(PIECE);
        self.lengths |= 1 << length;
        for piece in secret.windows(length) {
            let piece = piece.iter().rev().fold(0, |piece, byte| piece << 8 | u64::from(byte.to_ascii_lowercase()));
            self.pieces.insert(piece);
            if let Some(start) = self.starts.get_mut(start(piece)) {
                *start = true;
            }
        }
    }

    /// A text without them. If there are too many to be looked for, nothing is left of it.
    pub(super) fn replaced<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_full {
            return Cow::Borrowed(STARS);
        }
        let places = self.places(text.as_bytes());
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut kept, mut end) = (Vec::with_capacity(text.len()), 0);
        for place in places {
            kept.extend_from_slice(text.as_bytes().get(end..place.start).unwrap_or_default());
            kept.extend_from_slice(STARS.as_bytes());
            end = place.end;
        }
        kept.extend_from_slice(text.as_bytes().get(end..).unwrap_or_default());
        // A piece may end within a letter.
        Cow::Owned(String::from_utf8_lossy(&kept).into_owned())
    }

    /// Where a text has pieces of them; what touches is one.
    fn places(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        if self.pieces.is_empty() {
            return places;
        }
        let byte = |at: usize| text.get(at).map_or(0, |byte| u64::from(byte.to_ascii_lowercase()));
        let mut next = (0..PIECE).rev().fold(0, |piece, at| piece << 8 | byte(at));
        for at in 0..text.len() {
            let piece = next;
            next = piece >> 8 | byte(at + PIECE) << (8 * (PIECE - 1));
            if !self.starts.get(start(piece)).is_some_and(|is_start| *is_start) {
                continue;
            }
            let is_piece =
                |length: &usize| self.lengths >> length & 1 == 1 && self.pieces.contains(&beginning(piece, *length));
            let Some(length) = (SHORTEST..=PIECE).rev().find(is_piece) else { continue };
            let end = (at + length).min(text.len());
            match places.last_mut() {
                Some(last) if last.end >= at => last.end = last.end.max(end),
                _ => places.push(at..end),
            }
        }
        places
    }
}

/// The first bytes of a piece.
fn beginning(piece: u64, length: usize) -> u64 {
    piece & (u64::MAX >> (8 * (PIECE - length)))
}

/// A hash of the first four bytes of a piece.
fn start(piece: u64) -> usize {
    let hash = (beginning(piece, SHORTEST) * 0x9E37_79B1) >> 20;
    usize::try_from(hash).unwrap_or_default() % STARTS
}

/// The bytes of a piece, which are a number.
pub(super) const PIECE: usize = 8;
/// Of secrets that are shorter, any text may have the bytes.
const SHORTEST: usize = 4;
/// So many pieces are kept.
const MOST: usize = 32 * 1024;
const STARTS: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replaced(secrets: &[&str], text: &str) -> String {
        let mut known = Known::default();
        for secret in secrets {
            known.add(secret.as_bytes());
        }
        known.replaced(text).into_owned()
    }

    #[test]
    fn secrets_are_found_whole_in_part_and_in_any_case() {
        let long = "correct horse battery staple";
        for (secrets, text, expected) in [
            (&["SECRET1"][..], "a=SECRET1&b=secret1!", "a=***&b=***!"),
            (&[long], "x correct horse battery staple y", "x *** y"),
            (&[long], "Matched: horse battery, in CORRECT HORSE BATTERY STAPLE", "Matched:***, in ***"),
            (&[long], "a horse", "a horse"),
            (&["abc"], "abc", "abc"),
            (&["pass", "passwords"], "my passwords pass", "my *** ***"),
            (&["s\u{E9}cr\u{E9}t"], "in s\u{E9}cr\u{E9}t.", "in ***."),
            (&[], "a", "a"),
            (&["secret"], "", ""),
        ] {
            assert_eq!(replaced(secrets, text), expected, "{secrets:?}");
        }
    }

    #[test]
    fn of_more_secrets_than_are_kept_nothing_is_seen() {
        assert_eq!(replaced(&[&"0123456789".repeat(MOST)], "a"), STARS);
    }

    proptest! {
        #[test]
        fn no_secret_is_left(secret in "[a-c]{4,20}", before in "[a-d]{0,9}", after in "[a-d]{0,9}") {
            let text = replaced(&[&secret], &format!("{before}{secret}{after}"));
            prop_assert!(!text.contains(&secret), "{}", text);
        }
    }
}
