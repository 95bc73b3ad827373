//! Thousands of texts, all looked for at once, in whatever case.
//!
//! Of each text three bytes in a row are remembered, the rarest ones. A value is gone through once, three bytes at a time;
//! a table of bits says of nearly all of them that no text has them, and the few others are compared in full. For texts
//! that mostly are not there this takes a third of the time of an automaton, and a hundredth of its memory.

use hashbrown::HashMap;
use payload::ByteSet;

use super::needs::{Needs, weight};

/// Texts that operators need.
#[derive(Debug)]
pub(super) struct Texts {
    /// Whether a text may have three bytes with this hash.
    marks: Vec<u64>,
    /// By three bytes: where the texts that are known by them begin among the anchors, and how many there are.
    places: HashMap<u32, (u32, u32)>,
    anchors: Vec<Anchor>,
    /// Whether a text is these two bytes.
    pairs: Vec<u64>,
    by_pair: HashMap<u16, u32>,
    /// By byte: the text that is this byte alone.
    single: Vec<(u8, u32)>,
    all: Vec<Box<[u8]>>,
    /// By text: the operators that need it.
    owners: Vec<Vec<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    text: u32,
    /// Where in the text its three bytes stand.
    offset: u32,
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
        let mut found = Self {
            marks: vec![0; MARKS / 64],
            places: HashMap::new(),
            anchors: Vec::new(),
            pairs: vec![0; PAIRS / 64],
            by_pair: HashMap::new(),
            single: Vec::new(),
            all: texts,
            owners,
        };
        found.index();
        found
    }

    fn index(&mut self) {
        let mut by_bytes: HashMap<u32, Vec<Anchor>> = HashMap::new();
        for (number, text) in (0..).zip(&self.all) {
            match (&**text, rarest(text)) {
                ([byte], _) => self.single.push((*byte, number)),
                ([first, second], _) => {
                    let pair = u16::from_be_bytes([*first, *second]);
                    self.by_pair.insert(pair, number);
                    mark(&mut self.pairs, usize::from(pair));
                }
                (_, Some((bytes, offset))) => by_bytes.entry(bytes).or_default().push(Anchor { text: number, offset }),
                (_, None) => {}
            }
        }
        for (bytes, anchors) in by_bytes {
            let start = u32::try_from(self.anchors.len()).unwrap_or(u32::MAX);
            self.places.insert(bytes, (start, u32::try_from(anchors.len()).unwrap_or(u32::MAX)));
            self.anchors.extend(anchors);
            mark(&mut self.marks, hash(bytes));
        }
    }

    /// Calls `met` with the operators that need a text which a value has, for each such text at least once.
    pub(super) fn find(&self, value: &[u8], held: &ByteSet, mut met: impl FnMut(&[u32])) {
        let mut report = |text: u32| met(self.owners.get(text as usize).map_or(&[][..], Vec::as_slice));
        let mut window = 0;
        for (end, byte) in value.iter().enumerate() {
            window = (window << 8 | u32::from(byte.to_ascii_lowercase())) & 0x00ff_ffff;
            if is_marked(&self.marks, hash(window)) && end >= 2 {
                self.compare(window, value, end - 2, &mut report);
            }
            let pair = u16::try_from(window & 0xffff).unwrap_or_default();
            if is_marked(&self.pairs, usize::from(pair)) && end >= 1 {
                self.by_pair.get(&pair).into_iter().for_each(|text| report(*text));
            }
        }
        for (byte, text) in &self.single {
            if held.contains(*byte) || held.contains(byte.to_ascii_uppercase()) {
                report(*text);
            }
        }
    }

    /// Compares the texts that three bytes at a place may belong to.
    fn compare(&self, window: u32, value: &[u8], at: usize, report: &mut impl FnMut(u32)) {
        let Some((start, count)) = self.places.get(&window) else { return };
        let anchors = self.anchors.get(*start as usize..(start + count) as usize).unwrap_or_default();
        for anchor in anchors {
            let text = self.all.get(anchor.text as usize).map_or(&[][..], |text| text);
            let Some(begin) = at.checked_sub(anchor.offset as usize) else { continue };
            if value.get(begin..begin + text.len()).is_some_and(|found| found.eq_ignore_ascii_case(text)) {
                report(anchor.text);
            }
        }
    }
}

/// The three bytes in a row of a text that are least likely to be anywhere else, and where they stand.
fn rarest(text: &[u8]) -> Option<(u32, u32)> {
    let rank =
        |window: &[u8]| window.iter().map(|byte| weight(&ByteSet::new(&[*byte]))).map(u64::from).product::<u64>();
    let (offset, window) = text.windows(3).enumerate().min_by_key(|(_, window)| rank(window))?;
    let bytes = window.iter().fold(0, |bytes, byte| bytes << 8 | u32::from(*byte));
    Some((bytes, u32::try_from(offset).ok()?))
}

fn mark(marks: &mut [u64], at: usize) {
    if let Some(word) = marks.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn is_marked(marks: &[u64], at: usize) -> bool {
    marks.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

/// Where three bytes are marked.
fn hash(bytes: u32) -> usize {
    (bytes.wrapping_mul(0x9E37_79B1) >> (32 - MARK_BITS)) as usize
}

const MARK_BITS: u32 = 17;
const MARKS: usize = 1 << MARK_BITS;
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
