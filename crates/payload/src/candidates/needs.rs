//! What a value must have for an operator to hold, told apart by the bytes that the value is made of.

use crate::ByteSet;

use super::facts;
use super::frequency::{Rarity, set_weight};

/// What a value must have for an operator to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// One of these texts, in small letters and whatever the case; none if nothing is known. A zero byte in them also
    /// stands for either end of the value.
    pub(crate) literals: Option<Vec<Vec<u8>>>,
    /// A byte of each of these sets.
    pub(crate) sets: Vec<ByteSet>,
    /// So many bytes.
    pub(crate) length: usize,
}

/// What an operator needs of values, by the smallest of [`ALPHABETS`] that holds all their bytes; nothing where no such
/// value can be meant.
#[derive(Clone, Debug)]
pub struct Demand {
    pub(crate) by_alphabet: [Option<Needs>; ALPHABETS.len()],
    /// Where values come from that are looked at.
    pub domain: Domain,
    /// Whether the operator itself looks for the texts, and takes longer for it.
    pub(crate) is_list: bool,
}

/// Where values come from that an operator looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Domain {
    /// From answers, or after all is done.
    #[default]
    Answer,
    /// From requests, and perhaps from answers too.
    Request,
}

/// Bytes that values are made of, from the plainest on. Each set holds the one before it, and letters in either case.
///
/// An expression says much more about a value when it is known that none of its bytes are, say, quotes: all that the
/// expression has for them falls away, and what is left often is a word. Most values of most requests have such bytes only.
pub(crate) const ALPHABETS: [ByteSet; 4] = [WORDS, MILD, SIGNS, ByteSet::FULL];

const WORDS: ByteSet = ByteSet::new(b" _").with_range(b'a', b'z').with_range(b'A', b'Z').with_range(b'0', b'9');
const MILD: ByteSet = WORDS.or(ByteSet::new(b".,-:/+"));
const SIGNS: ByteSet = MILD.or(ByteSet::new(b"=&?;*()%@!"));

impl Demand {
    /// One of some texts, in whatever case.
    pub fn texts(texts: &[Vec<u8>], domain: Domain) -> Self {
        Self { by_alphabet: ALPHABETS.map(|alphabet| Needs::one_of(texts, &alphabet)), domain, is_list: true }
    }

    /// A byte of a set.
    pub fn byte(set: ByteSet, domain: Domain) -> Self {
        let by_alphabet = ALPHABETS.map(|alphabet| {
            let set = set.and(alphabet);
            (!set.is_empty()).then(|| Needs { sets: vec![set], length: 1, ..Needs::default() })
        });
        Self { by_alphabet, domain, is_list: false }
    }

    /// What every match of an expression has.
    pub fn pattern(pattern: &str, domain: Domain) -> Self {
        Self { by_alphabet: facts::needs(pattern), domain, is_list: false }
    }
}

impl Needs {
    /// One of those texts that have bytes of an alphabet only.
    fn one_of(texts: &[Vec<u8>], alphabet: &ByteSet) -> Option<Self> {
        let possible = texts.iter().filter(|text| ByteSet::of(text).is_within(alphabet));
        let literals: Vec<_> = possible.map(|text| text.to_ascii_lowercase()).collect();
        let length = literals.iter().map(Vec::len).min()?;
        if length == 0 {
            return Some(Self::default());
        }
        // Of each text the rarest byte, in either case; together they are a set that a match has a byte of.
        let both = |byte: u8| ByteSet::new(&[byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
        let rarest = |text: &Vec<u8>| text.iter().map(|byte| both(*byte)).min_by_key(set_weight).unwrap_or_default();
        let set = literals.iter().fold(ByteSet::EMPTY, |set, text| set.or(rarest(text)));
        Some(Self { literals: Some(literals), sets: vec![set], length })
    }

    /// Leaves out what says nothing about most values.
    pub(super) fn trimmed(literals: Option<Vec<Vec<u8>>>, mut sets: Vec<ByteSet>, length: usize) -> Self {
        let literals = literals.filter(|texts| Rarity::of(texts).is_useful());
        sets.sort_by_key(set_weight);
        sets.dedup();
        sets.truncate(SETS);
        Self { literals, sets, length }
    }
}

/// How many sets of bytes are looked at.
const SETS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alphabet_holds_the_one_before_and_letters_of_either_case() {
        for pair in ALPHABETS.windows(2) {
            assert!(pair[0].is_within(&pair[1]));
        }
        for alphabet in ALPHABETS {
            assert!(alphabet.iter().all(|byte| {
                alphabet.contains(byte.to_ascii_lowercase()) && alphabet.contains(byte.to_ascii_uppercase())
            }));
        }
        assert_eq!(ALPHABETS.last(), Some(&ByteSet::FULL));
    }

    #[test]
    fn texts_that_an_alphabet_does_not_have_are_not_needed() {
        let demand = Demand::texts(&[b"a'b".to_vec(), b"Union".to_vec()], Domain::Request);
        let [words, .., all] = &demand.by_alphabet;
        assert_eq!(words.as_ref().unwrap().literals, Some(vec![b"union".to_vec()]));
        assert_eq!(all.as_ref().unwrap().literals, Some(vec![b"a'b".to_vec(), b"union".to_vec()]));
        assert_eq!(Demand::texts(&[b"<?".to_vec()], Domain::Request).by_alphabet[0], None);
    }
}
