//! One look at a value, for all operators together.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use hashbrown::HashMap;
use payload::ByteSet;

use super::needs::Needs;

/// Tells which operators a value is a candidate of.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// How many words a set of operators takes.
    words: usize,
    /// By the place of a set among those of an operator, and by byte: the operators whose set has that byte.
    tables: Vec<Table>,
    /// By length, up to [`LENGTHS`]: the operators for which a value of that length is not too short.
    lengths: Vec<u64>,
    /// The operators that need one of their texts.
    literal: Vec<u64>,
    texts: Option<AhoCorasick>,
    /// By text: the operators that need it.
    owners: Vec<Vec<u32>>,
}

impl Scanner {
    pub(crate) fn of(needs: &[Needs]) -> Self {
        let words = needs.len().div_ceil(64);
        let most = needs.iter().map(|needs| needs.sets.len()).max().unwrap_or(0);
        let tables = (0..most).map(|place| table(needs, place, words)).collect();
        let mut lengths = vec![0; words * (LENGTHS + 1)];
        let mut literal = vec![0; words];
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut texts: Vec<&[u8]> = Vec::new();
        let mut owners: Vec<Vec<u32>> = Vec::new();
        for (number, needs) in (0..).zip(needs) {
            for length in needs.length.min(LENGTHS)..=LENGTHS {
                set(&mut lengths, length * words, number);
            }
            for text in needs.literals.iter().flatten() {
                set(&mut literal, 0, number);
                let place = *numbers.entry(text).or_insert_with(|| {
                    texts.push(text);
                    owners.push(Vec::new());
                    texts.len() - 1
                });
                if let Some(owners) = owners.get_mut(place) {
                    owners.push(number);
                }
            }
        }
        let built = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&texts);
        // Texts that are too many for an automaton are not needed: every operator is asked then.
        let (texts, literal) = match built {
            Ok(texts) => (Some(texts), literal),
            Err(_) => (None, vec![0; words]),
        };
        Self { words, tables, lengths, literal, texts, owners }
    }

    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Writes which operators a value is a candidate of.
    pub(crate) fn scan(&self, value: &[u8], held: &ByteSet, candidates: &mut [u64]) {
        let start = value.len().min(LENGTHS) * self.words;
        candidates.copy_from_slice(self.lengths.get(start..start + self.words).unwrap_or_default());
        let mut met = [0_u64; MOST_WORDS];
        let Some(met) = met.get_mut(..self.words) else { return candidates.fill(u64::MAX) };
        for table in &self.tables {
            met.copy_from_slice(&table.without);
            for byte in bytes_in(held) {
                add(met, table.with.get(usize::from(byte) * self.words..).unwrap_or_default());
            }
            keep(candidates, met);
        }
        let needed = candidates.iter().zip(&self.literal).any(|(candidates, literal)| candidates & literal != 0);
        if !needed {
            return;
        }
        met.fill(0);
        if let Some(texts) = &self.texts {
            for found in texts.find_overlapping_iter(value) {
                for owner in self.owners.get(found.pattern().as_usize()).into_iter().flatten() {
                    set(met, 0, *owner);
                }
            }
        }
        for ((candidates, literal), met) in candidates.iter_mut().zip(&self.literal).zip(met.iter()) {
            *candidates &= !literal | met;
        }
    }
}

/// The operators by the bytes of one of their sets.
#[derive(Debug)]
struct Table {
    /// Those that have no such set, to which it does not matter.
    without: Vec<u64>,
    with: Vec<u64>,
}

fn table(needs: &[Needs], place: usize, words: usize) -> Table {
    let mut table = Table { without: vec![0; words], with: vec![0; words * 256] };
    for (number, needs) in (0..).zip(needs) {
        let Some(bytes) = needs.sets.get(place) else {
            set(&mut table.without, 0, number);
            continue;
        };
        for byte in bytes_in(bytes) {
            set(&mut table.with, usize::from(byte) * words, number);
        }
    }
    table
}

fn set(words: &mut [u64], start: usize, number: u32) {
    if let Some(word) = words.get_mut(start + number as usize / 64) {
        *word |= 1 << (number % 64);
    }
}

fn add(words: &mut [u64], more: &[u64]) {
    for (word, more) in words.iter_mut().zip(more) {
        *word |= more;
    }
}

fn keep(words: &mut [u64], kept: &[u64]) {
    for (word, kept) in words.iter_mut().zip(kept) {
        *word &= kept;
    }
}

/// The bytes of a set, one after another.
fn bytes_in(set: &ByteSet) -> impl Iterator<Item = u8> {
    set.words().into_iter().zip([0_u8, 64, 128, 192]).flat_map(|(mut word, base)| {
        std::iter::from_fn(move || {
            let low = u8::try_from(word.trailing_zeros()).ok().filter(|low| *low < 64)?;
            word &= word - 1;
            Some(base + low)
        })
    })
}

/// Values that are longer are long enough for anything.
const LENGTHS: usize = 24;

/// Room for so many operators; of more, every one is asked.
const MOST_WORDS: usize = 64;
