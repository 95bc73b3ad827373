//! Sets of bytes, and the classes of bytes that many parsers here share.

/// A set of bytes.
///
/// Whoever judges a value many times takes [`ByteSet::of`] it once, and asks that set instead of the value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// The set without any byte.
    pub const EMPTY: Self = Self([0; 4]);

    /// The set of all bytes.
    pub const FULL: Self = Self([u64::MAX; 4]);

    /// The bytes of a text, as a constant.
    pub const fn new(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        let mut rest = bytes;
        while let [first, after @ ..] = rest {
            set = set.with(*first);
            rest = after;
        }
        set
    }

    /// The bytes that a value holds.
    pub fn of(value: &[u8]) -> Self {
        // Four sets in turn, so that no byte has to wait for the one before.
        let mut sets = [[0_u64; 4]; 4];
        let (groups, rest) = value.as_chunks::<4>();
        for group in groups {
            for (set, byte) in sets.iter_mut().zip(group) {
                // Four words and two bits of index: always inside.
                if let Some(word) = set.get_mut(usize::from(byte >> 6)) {
                    *word |= 1 << (byte & 63);
                }
            }
        }
        let [one, two, three, four] = sets.map(Self);
        rest.iter().fold(one.or(two).or(three).or(four), |set, byte| set.with(*byte))
    }

    /// This set and one byte more.
    #[must_use]
    pub const fn with(self, byte: u8) -> Self {
        let [a, b, c, d] = self.0;
        let bit = 1_u64 << (byte & 63);
        Self(match byte >> 6 {
            0 => [a | bit, b, c, d],
            1 => [a, b | bit, c, d],
            2 => [a, b, c | bit, d],
            _ => [a, b, c, d | bit],
        })
    }

    /// This set and the bytes from the first to the last one.
    #[must_use]
    pub const fn with_range(self, first: u8, last: u8) -> Self {
        let mut set = self;
        let mut byte = first;
        while byte < last {
            set = set.with(byte);
            byte += 1;
        }
        if first <= last { set.with(last) } else { set }
    }

    /// What is in this set or in the other one.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        let ([a, b, c, d], other) = (self.0, other.0);
        Self([a | other[0], b | other[1], c | other[2], d | other[3]])
    }

    /// What is in this set and in the other one.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        let ([a, b, c, d], other) = (self.0, other.0);
        Self([a & other[0], b & other[1], c & other[2], d & other[3]])
    }

    /// All that is not in this set.
    #[must_use]
    pub const fn complement(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([!a, !b, !c, !d])
    }

    /// Whether it holds this byte.
    pub const fn contains(&self, byte: u8) -> bool {
        let [a, b, c, d] = self.0;
        let word = match byte >> 6 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
        word >> (byte & 63) & 1 == 1
    }

    /// Whether the two have a byte in common.
    pub const fn meets(&self, other: &Self) -> bool {
        let ([a, b, c, d], other) = (self.0, other.0);
        (a & other[0]) | (b & other[1]) | (c & other[2]) | (d & other[3]) != 0
    }

    /// Whether each byte of this set is in the other one too.
    pub const fn is_within(&self, other: &Self) -> bool {
        !self.meets(&other.complement())
    }

    /// Whether there is no byte in it.
    pub const fn is_empty(&self) -> bool {
        let [a, b, c, d] = self.0;
        a | b | c | d == 0
    }

    /// Whether it holds each byte, by byte.
    pub const fn table(&self) -> [bool; 256] {
        let mut table = [false; 256];
        let mut byte = 0_u8;
        let mut rest = table.as_mut_slice();
        while let [first, after @ ..] = rest {
            *first = self.contains(byte);
            byte = byte.wrapping_add(1);
            rest = after;
        }
        table
    }

    /// The set as bits: byte `n` is bit `n % 64` of word `n / 64`.
    pub const fn words(&self) -> [u64; 4] {
        self.0
    }

    /// Where the first byte of a value stands that is in this set. Sets of up to three bytes are looked for many bytes at
    /// once.
    pub fn first_in(&self, value: &[u8]) -> Option<usize> {
        let mut bytes = self.iter();
        match (bytes.next(), bytes.next(), bytes.next(), bytes.next()) {
            (None, ..) => None,
            (Some(one), None, ..) => memchr::memchr(one, value),
            (Some(one), Some(two), None, _) => memchr::memchr2(one, two, value),
            (Some(one), Some(two), Some(three), None) => memchr::memchr3(one, two, three, value),
            _ => value.iter().position(|byte| self.contains(*byte)),
        }
    }

    /// Its bytes, from the lowest on.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        let words = (0_u8..4).zip(self.0);
        words.flat_map(|(number, word)| {
            let bits = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            let places = bits.take_while(|rest| *rest != 0).filter_map(|rest| u8::try_from(rest.trailing_zeros()).ok());
            places.map(move |place| number << 6 | place)
        })
    }
}

/// White space as `isspace` has it in the locale `C`.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// The bytes of [`is_space`].
pub(crate) const SPACE: ByteSet = ByteSet::new(b" \t\n\x0B\x0C\r");

/// The no-break space of Latin 1, which rules for white space take for white space too.
pub(crate) const NO_BREAK_SPACE: u8 = 0xA0;

/// A value without white space at its ends.
pub(crate) fn trimmed(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    let value = value.get(..end).unwrap_or_default();
    after(value, value.iter().position(|byte| !is_space(*byte)).unwrap_or(0))
}

/// The byte at a place, and zero behind the end, where C has the end of its text.
pub(crate) fn at(value: &[u8], place: usize) -> u8 {
    value.get(place).copied().unwrap_or(0)
}

/// What follows a place; nothing behind the end.
pub(crate) fn after(value: &[u8], place: usize) -> &[u8] {
    value.get(place..).unwrap_or_default()
}

/// A part of a value, cut off where the value ends.
pub(crate) fn between(value: &[u8], start: usize, end: usize) -> &[u8] {
    value.get(start..end.min(value.len())).unwrap_or_default()
}

/// What a hexadecimal digit stands for.
pub(crate) const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte that two hexadecimal digits stand for.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    Some(hex(high)? << 4 | hex(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_has_its_first_and_its_last_byte() {
        let set = ByteSet::EMPTY.with_range(0x7F, 0xFF);
        assert!(set.contains(0x7F) && set.contains(0xFF) && !set.contains(0x7E));
        assert!(ByteSet::EMPTY.with_range(2, 1).is_empty());
        assert_eq!(ByteSet::EMPTY.with_range(0, 255), ByteSet::FULL);
    }

    proptest! {
        #[test]
        fn the_set_of_a_value_holds_its_bytes_and_no_others(value: Vec<u8>, byte: u8) {
            prop_assert_eq!(ByteSet::of(&value).contains(byte), value.contains(&byte));
            prop_assert_eq!(ByteSet::of(&value), ByteSet::new(&value));
        }

        #[test]
        fn sets_meet_where_values_share_a_byte(one: Vec<u8>, other: Vec<u8>) {
            let shares = one.iter().any(|byte| other.contains(byte));
            prop_assert_eq!(ByteSet::of(&one).meets(&ByteSet::of(&other)), shares);
            let within = one.iter().all(|byte| other.contains(byte));
            prop_assert_eq!(ByteSet::of(&one).is_within(&ByteSet::of(&other)), within);
        }

        #[test]
        fn the_bytes_of_a_set_come_in_order(value: Vec<u8>) {
            let sorted: std::collections::BTreeSet<u8> = value.iter().copied().collect();
            prop_assert!(ByteSet::of(&value).iter().eq(sorted));
        }

        #[test]
        fn the_first_byte_of_a_set_is_found(value: Vec<u8>, set in prop::collection::vec(any::<u8>(), 0..6)) {
            let first = value.iter().position(|byte| set.contains(byte));
            prop_assert_eq!(ByteSet::of(&set).first_in(&value), first);
        }
    }
}
