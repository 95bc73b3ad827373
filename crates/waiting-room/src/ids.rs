//! What visitors are known by.

use std::fmt;
use std::str::FromStr;

/// What a visitor gets when joining, and shows ever after: a UUID of version 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

/// What a join is known by that may be repeated: a digest of what the client named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JoinKey(pub [u8; 16]);

/// The text is no UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no UUID")]
pub struct NoRequestId;

impl RequestId {
    /// The id that is made of these random bytes (RFC 9562, section 5.4).
    pub fn of(mut random: [u8; 16]) -> Self {
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut random;
        *version = *version & 0x0f | 0x40;
        *variant = *variant & 0x3f | 0x80;
        Self(random)
    }

    /// As it is written.
    pub fn text(&self) -> [u8; 36] {
        let mut text = [b'-'; 36];
        for (byte, at) in self.0.iter().zip(PLACES) {
            if let Some(pair) = text.get_mut(at..at + 2) {
                pair.copy_from_slice(
                    &[byte >> 4, byte & 0x0f].map(|half| if half < 10 { b'0' + half } else { b'a' + half - 10 }),
                );
            }
        }
        text
    }
}

/// Where the digits of each byte are in the text of an id.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// Only as it was given out: in lower case.
impl FromStr for RequestId {
    type Err = NoRequestId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; 16];
        let mut digits = text.bytes();
        for (index, byte) in id.iter_mut().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) && digits.next() != Some(b'-') {
                return Err(NoRequestId);
            }
            let (Some(high), Some(low)) = (digits.next().and_then(value), digits.next().and_then(value)) else {
                return Err(NoRequestId);
            };
            *byte = high << 4 | low;
        }
        if digits.next().is_some() { Err(NoRequestId) } else { Ok(Self(id)) }
    }
}

/// Ids to be given out, of which some are drawn at a time.
#[derive(Debug, Default)]
pub struct FreshIds(Vec<RequestId>);

impl FreshIds {
    /// The next one. None: `fill` found no randomness.
    pub fn next(&mut self, fill: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<RequestId> {
        if self.0.is_empty() {
            let mut random = [[0; 16]; DRAWN];
            fill(random.as_flattened_mut())?;
            self.0.extend(random.into_iter().map(RequestId::of));
        }
        self.0.pop()
    }
}

const DRAWN: usize = 64;

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_in_no_other_way() {
        let id = RequestId::of([0xff; 16]);
        let text = id.to_string();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(text.parse(), Ok(id));
        let shorter = text.strip_prefix('f').unwrap();
        for wrong in ["", "ffffffff", &text.to_uppercase(), &format!("{text}0"), &text.replace('-', "f"), shorter] {
            assert_eq!(wrong.parse::<RequestId>(), Err(NoRequestId), "{wrong}");
        }
    }

    #[test]
    fn fresh_ids_are_all_that_were_drawn_each_once() {
        let mut ids = FreshIds::default();
        let numbered = |bytes: &mut [u8]| {
            bytes.chunks_exact_mut(16).zip(1..).for_each(|(chunk, number)| chunk.fill(number));
            Some(())
        };
        let mut given: Vec<_> = (0..DRAWN).map(|_| ids.next(numbered).unwrap()).collect();
        given.sort_unstable();
        let expected: Vec<_> = (1..=DRAWN).map(|number| RequestId::of([u8::try_from(number).unwrap(); 16])).collect();
        assert_eq!(given, expected);
        assert_eq!(ids.next(|_| None), None, "all that were drawn are given out");
    }
}
