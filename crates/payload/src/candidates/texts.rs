//! Thousands of texts, all looked for at once, in whatever case.
//!
//! Of each text four bytes in a row are remembered, the rarest ones, and of short texts three. A value is gone through
//! once, byte by byte; a table of bits says of nearly all places that no text has what stands there, and at the few others
//! texts are compared in full. For texts that mostly are not there this takes less time than an automaton, and a hundredth
//! of its memory.

use hashbrown::HashMap;

use super::facts::END;
use super::frequency::weight;
use crate::ByteSet;

/// Texts that operators need.
#[derive(Debug)]
pub(super) struct Texts {
    /// By a hash of three bytes: whether any anchor begins so.
    begins: Box<[u64; 1 << (BEGINS - 6)]>,
    four: Anchors,
    three: Anchors,
    pairs: Pairs,
    /// By byte: the text that is this byte alone.
    single: Vec<(u8, u32)>,
    /// All texts, one after another, and where each begins.
    bytes: Vec<u8>,
    starts: Vec<u32>,
    /// The operators that need texts, one text after another, and where those of each begin.
    owners: Vec<u32>,
    owned: Vec<u32>,
}

/// Texts of two bytes.
#[derive(Debug, Default)]
struct Pairs {
    /// By both bytes; empty if there is none.
    marks: Vec<u64>,
    texts: HashMap<u16, u32>,
}

/// Texts by some bytes in a row that they have.
#[derive(Debug)]
struct Anchors {
    marks: Marks,
    /// By the place of a mark among those that are set: where its anchors begin and end.
    buckets: Vec<(u32, u32)>,
    list: Vec<Anchor>,
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

impl Texts {
    /// Texts with the operators that need them, each text once.
    pub(super) fn of<'a>(needed: impl Iterator<Item = (u32, &'a [u8])>) -> Self {
        let mut by_text: Vec<(&[u8], u32)> = needed.map(|(owner, text)| (text, owner)).collect();
        by_text.sort_unstable();
        by_text.dedup();
        let mut texts = Self {
            begins: Box::new([0; 1 << (BEGINS - 6)]),
            four: Anchors::of(Vec::new()),
            three: Anchors::of(Vec::new()),
            pairs: Pairs::default(),
            single: Vec::new(),
            bytes: Vec::new(),
            starts: vec![0],
            owners: by_text.iter().map(|(_, owner)| *owner).collect(),
            owned: vec![0],
        };
        let (mut four, mut three) = (Vec::new(), Vec::new());
        for same in by_text.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((text, _)) = same.first() else { continue };
            let number = texts.add(text, same.len());
            match *text {
                [] => {}
                [byte] => texts.single.push((*byte, number)),
                [first, second] => texts.pairs.add(u16::from_be_bytes([*first, *second]), number),
                [_, _, _] => three.extend(anchor(text, number, 3)),
                _ => four.extend(anchor(text, number, 4)),
            }
        }
        let starts =
            four.iter().map(|anchor: &Anchor| anchor.bytes >> 8).chain(three.iter().map(|anchor| anchor.bytes));
        starts.for_each(|bytes| mark(&mut *texts.begins, hash(bytes, BEGINS)));
        (texts.four, texts.three) = (Anchors::of(four), Anchors::of(three));
        texts
    }

    fn add(&mut self, text: &[u8], owners: usize) -> u32 {
        let number = small(self.starts.len() - 1);
        self.bytes.extend_from_slice(text);
        self.starts.push(small(self.bytes.len()));
        self.owned.push(self.owned.last().copied().unwrap_or_default() + small(owners));
        number
    }

    /// Calls `met` with the operators that need a text which a value has, for each such text at least once.
    ///
    /// The value is given in small letters, with a zero byte before it and one behind it, and as the bytes that it held.
    pub(super) fn find(&self, (value, held): (&[u8], &ByteSet), mut met: impl FnMut(&[u32])) {
        let mut report = |text: u32| met(between(&self.owners, &self.owned, text));
        if !self.pairs.marks.is_empty() {
            for pair in value.array_windows().map(|pair| u16::from_be_bytes(*pair)) {
                if is_marked(&self.pairs.marks, usize::from(pair)) {
                    self.pairs.report(pair, &mut report);
                }
            }
        }
        for (place, four) in value.array_windows().enumerate() {
            let window = u32::from_be_bytes(*four);
            // By the first three bytes, which stand here for texts that have no more.
            if is_begun(&self.begins, window >> 8) {
                self.compare_all(window, (value, place), &mut report);
            }
        }
        if let Some([a, b, c]) = value.last_chunk() {
            let window = u32::from_be_bytes([0, *a, *b, *c]);
            for anchor in self.three.at(window) {
                self.compare(anchor, window, (value, value.len() - 3), &mut report);
            }
        }
        for (byte, text) in &self.single {
            if *byte == END || held.contains(*byte) || held.contains(byte.to_ascii_uppercase()) {
                report(*text);
            }
        }
    }

    /// Compares all texts that four bytes of a value may belong to, or the first three of them.
    fn compare_all(&self, window: u32, at: (&[u8], usize), report: &mut impl FnMut(u32)) {
        for anchor in self.four.at(window) {
            self.compare(anchor, window, at, report);
        }
        for anchor in self.three.at(window >> 8) {
            self.compare(anchor, window >> 8, at, report);
        }
    }

    /// Compares a text that bytes of a value may belong to, which stand at a place.
    fn compare(&self, anchor: &Anchor, bytes: u32, (value, place): (&[u8], usize), report: &mut impl FnMut(u32)) {
        if anchor.bytes != bytes {
            return;
        }
        let text = between(&self.bytes, &self.starts, anchor.text);
        let Some(begin) = place.checked_sub(anchor.offset as usize) else { return };
        if value.get(begin..begin + text.len()).is_some_and(|found| found == text) {
            report(anchor.text);
        }
    }
}

impl Pairs {
    fn add(&mut self, pair: u16, text: u32) {
        self.texts.insert(pair, text);
        self.marks.resize(PAIRS / 64, 0);
        mark(&mut self.marks, usize::from(pair));
    }

    /// Reports the text of two bytes.
    fn report(&self, pair: u16, report: &mut impl FnMut(u32)) {
        if let Some(text) = self.texts.get(&pair) {
            report(*text);
        }
    }
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

/// What stands in a list from the beginning of one entry to that of the next.
fn between<'a, T>(list: &'a [T], starts: &[u32], entry: u32) -> &'a [T] {
    let entry = entry as usize;
    let (Some(start), Some(end)) = (starts.get(entry), starts.get(entry + 1)) else { return &[] };
    list.get(*start as usize..*end as usize).unwrap_or_default()
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
    let rank = |window: &[u8]| window.iter().map(|byte| u64::from(weight(*byte))).product::<u64>();
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

/// Whether any anchor begins with three bytes.
fn is_begun(begins: &[u64; 1 << (BEGINS - 6)], bytes: u32) -> bool {
    let at = hash(bytes, BEGINS);
    // A hash has so many bits that it always is within.
    begins.get(at >> 6).is_some_and(|word| word >> (at & 63) & 1 == 1)
}

/// Where bytes are marked.
fn hash(bytes: u32, bits: u32) -> usize {
    (bytes.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as usize
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Writes a value as it is searched: in small letters, with its ends marked.
pub(super) fn prepare(value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.reserve(value.len() + 2);
    out.push(END);
    out.extend(value.iter().map(u8::to_ascii_lowercase));
    out.push(END);
}

/// How many bits there are for each text.
const SPARSE: usize = 16;
const SMALLEST: usize = 1 << 10;
const MOST_BITS: u32 = 17;
const PAIRS: usize = 1 << 16;
const BEGINS: u32 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(texts: &[String], value: &str) -> Vec<bool> {
        let mut found = vec![false; texts.len()];
        let lower: Vec<String> = texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        let mut prepared = Vec::new();
        prepare(value.as_bytes(), &mut prepared);
        Texts::of((0..).zip(lower.iter().map(String::as_bytes))).find(
            (&prepared, &ByteSet::of(value.as_bytes())),
            |owners| {
                for owner in owners {
                    found[*owner as usize] = true;
                }
            },
        );
        found
    }

    proptest! {
        #[test]
        fn a_text_is_found_wherever_it_stands(
            texts in prop::collection::vec("[a-cX<]{1,5}", 1..20),
            value in "[a-cA-Cx<]{0,40}",
        ) {
            let lower = value.to_ascii_lowercase();
            let expected: Vec<bool> = texts.iter().map(|text| lower.contains(&text.to_ascii_lowercase())).collect();
            prop_assert_eq!(found(&texts, &value), expected);
        }

        #[test]
        fn a_zero_stands_for_the_ends_too(
            texts in prop::collection::vec("\0?[a-b]{1,4}\0?", 1..20),
            value in "[a-b]{0,8}",
        ) {
            let whole = format!("\0{value}\0");
            let expected: Vec<bool> = texts.iter().map(|text| whole.contains(text.as_str())).collect();
            prop_assert_eq!(found(&texts, &value), expected);
        }
    }
}
