//! What words mean to databases, and which sequences of meanings are attacks.
//!
//! Both lists are libinjection's. Words are found by a hash of their letters, and most of what people write is turned
//! away before that, by its first letter and its length.

use std::sync::LazyLock;

/// Words of a line each: what kind they are of, and the word in large letters.
const WORDS: &str = include_str!("../../data/sqli_words.txt");

/// Sequences of one to five kinds, in large letters.
const FINGERPRINTS: &str = include_str!("../../data/sqli_fingerprints.txt");

/// The longest text that can be a word, and the largest part of a token that counts.
pub(super) const LONGEST: usize = 31;

static TABLE: LazyLock<Words> = LazyLock::new(Words::read);
static ATTACKS: LazyLock<Attacks> = LazyLock::new(Attacks::read);

/// The kind of a word, or zero if it is none.
pub(super) fn kind_of(word: &[u8]) -> u8 {
    TABLE.kind(word)
}

/// The kind of a word that is filled up with zeros, or zero if it is none.
pub(super) fn kind_of_padded(text: [u8; LONGEST + 1], length: usize) -> u8 {
    let word = text.get(..length).unwrap_or_default();
    if has_length(&TABLE.lengths, word, word, length) { TABLE.find(&large(text), length) } else { 0 }
}

/// The kind of two words with a space between them, or zero.
pub(super) fn kind_of_both(first: &[u8], second: &[u8]) -> u8 {
    TABLE.kind_of_both(first, second)
}

/// Whether a sequence of kinds is one of an attack.
pub(super) fn is_attack(kinds: &[u8]) -> bool {
    ATTACKS.hold(kinds)
}

/// A word in large letters, filled up with zeros.
type Letters = [u64; 4];

#[derive(Clone, Copy, Default)]
struct Word {
    letters: Letters,
    length: usize,
    kind: u8,
}

/// Words by hash, with room enough that a search is short.
struct Words {
    slots: Vec<Word>,
    /// For the first and the last letter, the lengths of words that begin and end so, as bits.
    lengths: Lengths,
    /// The same for those with a space in them.
    spaced: Lengths,
}

/// Five bits of the first byte and five of the last: they are the same for a letter of either case.
type Lengths = [u32; 1024];

const SLOTS: usize = 4096;

impl Words {
    fn read() -> Self {
        let mut words = Self { slots: vec![Word::default(); SLOTS], lengths: [0; 1024], spaced: [0; 1024] };
        for line in WORDS.lines() {
            if let Some((kind, word)) = line.split_once(' ')
                && let [kind] = kind.as_bytes()
            {
                words.add(word.as_bytes(), *kind);
            }
        }
        words
    }

    fn add(&mut self, word: &[u8], kind: u8) {
        let bit = 1 << word.len();
        if let Some(lengths) = self.lengths.get_mut(ends(word, word)) {
            *lengths |= bit;
        }
        if word.contains(&b' ')
            && let Some(lengths) = self.spaced.get_mut(ends(word, word))
        {
            *lengths |= bit;
        }
        let letters = letters(word);
        let mut place = hash(&letters);
        while let Some(slot) = self.slots.get_mut(place) {
            if slot.kind == 0 {
                *slot = Word { letters, length: word.len(), kind };
                return;
            }
            place = (place + 1) % SLOTS;
        }
    }

    fn kind(&self, word: &[u8]) -> u8 {
        if has_length(&self.lengths, word, word, word.len()) { self.find(&letters(word), word.len()) } else { 0 }
    }

    fn kind_of_both(&self, first: &[u8], second: &[u8]) -> u8 {
        let length = first.len() + 1 + second.len();
        if !has_length(&self.spaced, first, second, length) {
            return 0;
        }
        let mut text = [0; LONGEST + 1];
        let (start, rest) = text.split_at_mut(first.len());
        start.copy_from_slice(first);
        if let [space, rest @ ..] = rest {
            *space = b' ';
            if let Some(end) = rest.get_mut(..second.len()) {
                end.copy_from_slice(second);
            }
        }
        self.find(&large(text), length)
    }

    fn find(&self, letters: &Letters, length: usize) -> u8 {
        let mut place = hash(letters);
        loop {
            match self.slots.get(place) {
                None | Some(Word { kind: 0, .. }) => return 0,
                Some(word) if word.length == length && word.letters == *letters => return word.kind,
                Some(_) => place = (place + 1) % SLOTS,
            }
        }
    }
}

/// Whether words that begin like the first part and end like the last one have this length.
fn has_length(lengths: &Lengths, first: &[u8], last: &[u8], length: usize) -> bool {
    length <= LONGEST && lengths.get(ends(first, last)).is_some_and(|lengths| (lengths >> length) & 1 == 1)
}

fn ends(first: &[u8], last: &[u8]) -> usize {
    let five = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or(0) & 31);
    five(first.first()) << 5 | five(last.last())
}

/// The letters of a word of at most [`LONGEST`] bytes.
fn letters(word: &[u8]) -> Letters {
    let mut text = [0; LONGEST + 1];
    if let Some(start) = text.get_mut(..word.len()) {
        start.copy_from_slice(word);
    }
    large(text)
}

fn large(text: [u8; LONGEST + 1]) -> Letters {
    let (words, _) = text.as_chunks::<8>();
    let mut letters = [0; 4];
    for (word, bytes) in letters.iter_mut().zip(words) {
        *word = large_letters(u64::from_le_bytes(*bytes));
    }
    letters
}

/// Eight bytes at once with their small letters made large.
fn large_letters(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = bytes & (ONES * 0x7F);
    let from_a = low + ONES * (0x80 - 0x61);
    let beyond_z = low + ONES * (0x7F - 0x7A);
    let small = (from_a ^ beyond_z) & !bytes & (ONES * 0x80);
    bytes ^ (small >> 2)
}

fn hash(letters: &Letters) -> usize {
    let [a, b, c, d] = *letters;
    let mixed = (a ^ b.rotate_left(23) ^ c.rotate_left(41) ^ d.rotate_left(7)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(mixed >> 52).unwrap_or_default()
}

/// Sequences of kinds, packed into five bits each.
struct Attacks {
    /// All of them, in order.
    packed: Vec<u32>,
    /// Those that begin with the same three kinds, as bits; they turn away most of what is no attack.
    beginnings: Vec<u64>,
}

impl Attacks {
    fn read() -> Self {
        let mut attacks = Self { packed: Vec::new(), beginnings: vec![0; (1 << 15) / 64] };
        for line in FINGERPRINTS.lines() {
            if let Some(packed) = pack(line.as_bytes()) {
                attacks.packed.push(packed);
                let (word, bit) = beginning(packed);
                if let Some(bits) = attacks.beginnings.get_mut(word) {
                    *bits |= bit;
                }
            }
        }
        attacks.packed.sort_unstable();
        attacks
    }

    fn hold(&self, kinds: &[u8]) -> bool {
        pack(kinds).is_some_and(|packed| {
            let (word, bit) = beginning(packed);
            self.beginnings.get(word).is_some_and(|bits| bits & bit != 0) && self.packed.binary_search(&packed).is_ok()
        })
    }
}

/// Where the bit of the first three kinds stands.
fn beginning(packed: u32) -> (usize, u64) {
    let three = packed >> 10;
    (usize::try_from(three >> 6).unwrap_or_default(), 1 << (three & 63))
}

/// One to five kinds as a number, or nothing where one of them is in no attack.
fn pack(kinds: &[u8]) -> Option<u32> {
    let mut packed = 0;
    for place in 0..5 {
        let code = match kinds.get(place).map(u8::to_ascii_uppercase) {
            None => 0,
            // No kind has these letters, so that two other signs can have their codes.
            Some(b'D' | b'G') => return None,
            Some(letter @ b'A'..=b'Z') => u32::from(letter - b'A' + 1),
            Some(b'&') => 27,
            Some(b'(') => 28,
            Some(b')') => 29,
            Some(b',') => 30,
            Some(b':') => 31,
            Some(b';') => 4,
            Some(b'1') => 7,
            Some(_) => return None,
        };
        packed = (packed << 5) | code;
    }
    (!kinds.is_empty() && kinds.len() <= 5).then_some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_letters_of_either_case() {
        for line in WORDS.lines() {
            let (kind, word) = line.split_once(' ').unwrap();
            let kind = kind.as_bytes()[0];
            assert_eq!(kind_of(word.as_bytes()), kind, "{word}");
            assert_eq!(kind_of(word.to_ascii_lowercase().as_bytes()), kind, "{word}");
            assert_eq!(kind_of(format!("{word}\0").as_bytes()), 0, "{word}");
            if let Some((first, second)) = word.split_once(' ') {
                assert_eq!(kind_of_both(first.as_bytes(), second.to_ascii_lowercase().as_bytes()), kind, "{word}");
            }
        }
        for none in ["", "selec", "selectt", "hello", "SELECT \0", "\u{17F}elect"] {
            assert_eq!(kind_of(none.as_bytes()), 0, "{none}");
        }
    }

    #[test]
    fn every_fingerprint_is_found_and_its_neighbours_are_not() {
        let all: std::collections::HashSet<&str> = FINGERPRINTS.lines().collect();
        assert_eq!(ATTACKS.packed.len(), all.len());
        let signs = b"1&()ABCEFKNOSTUVX,;.:{}\\?";
        for line in &all {
            assert!(is_attack(line.as_bytes()), "{line}");
            for place in 0..line.len() {
                for sign in signs {
                    let mut other = line.as_bytes().to_vec();
                    other[place] = *sign;
                    let expected = all.contains(std::str::from_utf8(&other).unwrap());
                    assert_eq!(is_attack(&other), expected, "{other:?}");
                }
            }
        }
        assert!(!is_attack(b"") && !is_attack(b"1&1&11"));
    }
}
