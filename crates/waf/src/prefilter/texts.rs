//! Thousands of texts, all looked for at once, in whatever case.
//!
//! Of each text four bytes in a row are remembered, the rarest ones, and of short texts three. A value is gone through
//! once, byte by byte; a table of bits says of nearly all places that no text has what stands there, and at the few others
//! texts are compared in full. For texts that mostly are not there this takes less time than an automaton, and a hundredth
//! of its memory.

use hashbrown::HashMap;
use payload::ByteSet;

use super::needs::{Needs, weight};

/// Texts that operators need.
#[derive(Debug)]
pub(super) struct Texts {
    four: Anchors,
    three: Anchors,
    /// Whether a text is these two bytes; empty if none is.
    pairs: Vec<u64>,
    by_pair: HashMap<u16, u32>,
    /// By byte: the text that is this byte alone.
    single: Vec<(u8, u32)>,
    all: Vec<Box<[u8]>>,
    /// By text: the operators that need it.
    owners: Vec<Vec<u32>>,
}

/// Texts by some bytes in a row that they have.
#[derive(Debug)]
struct Anchors {
    marks: Marks,
    /// By the place of a mark among those that are set: where its anchors begin and end.
    buckets: Vec<(u32, u32)>,
    list: Vec<Anchor>,
}

impl Anchors {
    fn of(mut anchors: Vec<Anchor>) -> Self {
        // Few bits for few texts: the table should stay near the processor.
        let bits = (anchors.len() * SPARSE).max(SMALLEST).next_power_of_two().trailing_zeros().min(MOST_BITS);
        let at = |anchor: &Anchor| hash(anchor.bytes, bits);
        anchors.sort_by_key(at);
        let marks = Marks::of(&anchors.iter().map(at).collect::<Vec<_>>(), bits);
        let buckets = buckets(&anchors, bits);
        Self { marks, buckets, list: anchors }
    }

    /// The texts that may have these bytes.
    fn at(&self, bytes: u32) -> &[Anchor] {
        let Some(place) = self.marks.place(hash(bytes, self.marks.bits)) else { return &[] };
        let (start, end) = self.buckets.get(place).copied().unwrap_or_default();
        self.list.get(start as usize..end as usize).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    bytes: u32,
    text: u32,
    /// Where in the text its bytes stand.
    offset: u32,
}

/// Bits that say whether a text may have bytes with this hash.
#[derive(Debug)]
struct Marks {
    /// How many bits a hash has.
    bits: u32,
    words: Vec<u64>,
    /// By word: how many bits are set before it.
    before: Vec<u32>,
}

impl Marks {
    fn of(hashes: &[usize], bits: u32) -> Self {
        let mut words = vec![0_u64; (1 << bits) / 64];
        for hash in hashes {
            mark(&mut words, *hash);
        }
        let mut before = Vec::with_capacity(words.len());
        let mut sum = 0;
        for word in &words {
            before.push(sum);
            sum += word.count_ones();
        }
        Self { bits, words, before }
    }

    /// The place of a mark among those that are set.
    fn place(&self, hash: usize) -> Option<usize> {
        let word = self.words.get(hash / 64)?;
        if word >> (hash % 64) & 1 == 0 {
            return None;
        }
        let below = word & ((1 << (hash % 64)) - 1);
        Some(self.before.get(hash / 64).copied().unwrap_or(0) as usize + below.count_ones() as usize)
    }
}

impl Texts {
    /// Those texts of operators that are wanted, each once.
    pub(super) fn of(needs: &[Needs], wanted: impl Fn(&Needs, &[u8]) -> bool) -> Self {
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut texts: Vec<Box<[u8]>> = Vec::new();
        let mut owners: Vec<Vec<u32>> = Vec::new();
        for (number, needs) in (0..).zip(needs) {
            for text in needs.literals.iter().flatten().filter(|text| wanted(needs, text)) {
                let place = *numbers.entry(text).or_insert_with(|| {
                    texts.push(text.as_slice().into());
                    owners.push(Vec::new());
                    texts.len() - 1
                });
                if let Some(owners) = owners.get_mut(place) {
                    owners.push(number);
                }
            }
        }
        let (mut four, mut three) = (Vec::new(), Vec::new());
        let mut pairs = Vec::new();
        let mut by_pair = HashMap::new();
        let mut single = Vec::new();
        for (number, text) in (0..).zip(&texts) {
            match &**text {
                [] => {}
                [byte] => single.push((*byte, number)),
                [first, second] => {
                    let pair = u16::from_be_bytes([*first, *second]);
                    by_pair.insert(pair, number);
                    pairs.resize(PAIRS / 64, 0);
                    mark(&mut pairs, usize::from(pair));
                }
                [_, _, _] => three.extend(anchor(text, number, 3)),
                _ => four.extend(anchor(text, number, 4)),
            }
        }
        Self { four: Anchors::of(four), three: Anchors::of(three), pairs, by_pair, single, all: texts, owners }
    }

    /// Calls `met` with the operators that need a text which a value has, for each such text at least once.
    pub(super) fn find(&self, value: &[u8], held: &ByteSet, mut met: impl FnMut(&[u32])) {
        let mut report = |text: u32| met(self.owners.get(text as usize).map_or(&[][..], Vec::as_slice));
        let mut window: u32 = 0;
        for (last, byte) in value.iter().enumerate() {
            window = window << 8 | u32::from(byte.to_ascii_lowercase());
            for anchor in self.four.at(window) {
                self.compare(anchor, window, (value, last, 3), &mut report);
            }
            for anchor in self.three.at(window & 0x00ff_ffff) {
                self.compare(anchor, window & 0x00ff_ffff, (value, last, 2), &mut report);
            }
        }
        if !self.pairs.is_empty() {
            self.find_pairs(value, &mut report);
        }
        for (byte, text) in &self.single {
            if held.contains(*byte) || held.contains(byte.to_ascii_uppercase()) {
                report(*text);
            }
        }
    }

    fn find_pairs(&self, value: &[u8], report: &mut impl FnMut(u32)) {
        for window in value.windows(2) {
            let [first, second] = window else { continue };
            let pair = u16::from_be_bytes([first.to_ascii_lowercase(), second.to_ascii_lowercase()]);
            if is_marked(&self.pairs, usize::from(pair)) {
                self.by_pair.get(&pair).into_iter().for_each(|text| report(*text));
            }
        }
    }

    /// Compares a text that bytes of a value may belong to; where they end, and how many come before that.
    fn compare(
        &self,
        anchor: &Anchor,
        bytes: u32,
        (value, last, before): (&[u8], usize, usize),
        report: &mut impl FnMut(u32),
    ) {
        if anchor.bytes != bytes {
            return;
        }
        let text = self.all.get(anchor.text as usize).map_or(&[][..], |text| text);
        let Some(begin) = last.checked_sub(before + anchor.offset as usize) else { return };
        if value.get(begin..begin + text.len()).is_some_and(|found| found.eq_ignore_ascii_case(text)) {
            report(anchor.text);
        }
    }
}

/// Where the anchors of each mark begin and end, in the order of marks.
fn buckets(anchors: &[Anchor], bits: u32) -> Vec<(u32, u32)> {
    let mut buckets: Vec<(u32, u32)> = Vec::new();
    let mut last = None;
    for (number, anchor) in (0..).zip(anchors) {
        let hash = hash(anchor.bytes, bits);
        match buckets.last_mut().filter(|_| last == Some(hash)) {
            Some((_, end)) => *end = number + 1,
            None => buckets.push((number, number + 1)),
        }
        last = Some(hash);
    }
    buckets
}

/// The bytes in a row of a text that are least likely to be anywhere else, and where they stand.
fn anchor(text: &[u8], number: u32, width: usize) -> Option<Anchor> {
    let rank =
        |window: &[u8]| window.iter().map(|byte| weight(&ByteSet::new(&[*byte]))).map(u64::from).product::<u64>();
    let (offset, window) = text.windows(width).enumerate().min_by_key(|(_, window)| rank(window))?;
    let bytes = window.iter().fold(0, |bytes, byte| bytes << 8 | u32::from(*byte));
    Some(Anchor { bytes, text: number, offset: u32::try_from(offset).ok()? })
}

fn mark(marks: &mut [u64], at: usize) {
    if let Some(word) = marks.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn is_marked(marks: &[u64], at: usize) -> bool {
    marks.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

/// Where bytes are marked.
fn hash(bytes: u32, bits: u32) -> usize {
    (bytes.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as usize
}

/// How many bits there are for each text.
const SPARSE: usize = 16;
const SMALLEST: usize = 1 << 10;
const MOST_BITS: u32 = 17;
const PAIRS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_found_wherever_it_stands(
            texts in prop::collection::vec("[a-cX<]{1,5}", 1..20),
            value in "[a-cA-Cx<]{0,40}",
        ) {
            let needs: Vec<Needs> = texts.iter().map(|text| Needs::one_of(&[text.clone().into_bytes()])).collect();
            let mut found = vec![false; texts.len()];
            let held = ByteSet::of(value.as_bytes());
            Texts::of(&needs, |_, _| true).find(value.as_bytes(), &held, |owners| {
                for owner in owners {
                    found[*owner as usize] = true;
                }
            });
            let lower = value.to_ascii_lowercase();
            let expected: Vec<bool> = texts.iter().map(|text| lower.contains(&text.to_ascii_lowercase())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
