//! How a record lies in a segment: a word, a checksum, the payload, and padding to the next multiple of eight.
//!
//! The word is written last. It is zero until then, because a new segment is all zeros; once it is there, everything
//! that it speaks of is there too. It holds the payload's length and a mark of what the frame is.

use std::ops::Range;

use crc32fast::Hasher;

/// The longest record that a journal takes.
pub const MAX_RECORD: usize = 64 * 1024;

/// The bytes of a frame before its payload.
pub(crate) const HEAD: usize = 8;

/// What the word of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Nothing has been written here yet.
    Nothing,
    /// A record with a payload of this length.
    Record(usize),
    /// The writer went on to another segment: nothing will ever follow.
    Seal,
    /// No writer writes such a word.
    Nonsense,
}

impl Word {
    /// As it lies in the file.
    pub(crate) fn encoded(self) -> u32 {
        match self {
            Self::Nothing => 0,
            // The length is at most `MAX_RECORD`, whoever makes such a word.
            Self::Record(length) => RECORD | u32::try_from(length).unwrap_or(LENGTH),
            Self::Seal => SEAL,
            Self::Nonsense => u32::MAX,
        }
    }

    /// As it was meant.
    pub(crate) fn decoded(word: u32) -> Self {
        let length = (word & LENGTH) as usize;
        match word & !LENGTH {
            0 if length == 0 => Self::Nothing,
            RECORD if length <= MAX_RECORD => Self::Record(length),
            SEAL if length == 0 => Self::Seal,
            _ => Self::Nonsense,
        }
    }
}

/// How many bytes a frame takes in all.
pub(crate) const fn framed(length: usize) -> usize {
    (HEAD + length).next_multiple_of(8)
}

/// Where in a segment the payload of the frame at `at` lies.
pub(crate) const fn payload(at: usize, length: usize) -> Range<usize> {
    at + HEAD..at + HEAD + length
}

/// The checksum of a frame.
///
/// It covers the place as well: a frame that a file system brought back from another file, or from another place,
/// is no frame.
pub(crate) fn checksum(salt: u32, at: usize, word: Word, payload: &[u8]) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what tells places in a segment apart")]
    let place = at as u32;
    let mut hasher = Hasher::new_with_initial(salt ^ place.rotate_left(8) ^ word.encoded());
    hasher.update(payload);
    hasher.finalize()
}

const RECORD: u32 = 1 << 31;
const SEAL: u32 = 1 << 30;
const LENGTH: u32 = SEAL - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_was_written() {
        for word in [Word::Nothing, Word::Record(0), Word::Record(200), Word::Record(MAX_RECORD), Word::Seal] {
            assert_eq!(Word::decoded(word.encoded()), word);
        }
    }

    #[test]
    fn a_word_that_nobody_writes_is_nonsense() {
        for word in [1, u32::MAX, RECORD | SEAL, SEAL | 1, RECORD | LENGTH] {
            assert_eq!(Word::decoded(word), Word::Nonsense);
        }
    }

    #[test]
    fn frames_begin_at_multiples_of_eight() {
        assert_eq!([0, 1, 8, 9, 200].map(framed), [8, 16, 16, 24, 208]);
    }
}
