//! What is done before a phase runs: which values are gone through, and for which rules.

use std::ops::Range;

use super::{Detector, Part, Probe, Span, Test};
use crate::chains::ChainSet;
use crate::rules::{Chain, Program};
use payload::candidates::{NONE, ROW, Row};

/// What of a phase is looked at before it runs.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By step: whether its chain is asked whatever values there are.
    pub(super) always: Vec<u64>,
    /// Variables, each with the ways in which it is looked at.
    pub(super) atoms: Vec<(u32, Vec<Planned>)>,
}

/// Values that rules of a phase look at.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) part: u32,
    /// The operators that are asked about them.
    pub(super) wanted: Vec<Row>,
    /// The steps whose rules ask, with their chains, by their operators and in order.
    pub(super) asking: Vec<(Probe, u32, u32)>,
    /// The steps whose rules have them taken apart.
    pub(super) detecting: Vec<(Detector, u32)>,
}

/// What is known of rules when plans are made.
pub(super) struct Known<'r> {
    pub(super) chains: &'r [Chain],
    pub(super) tests: &'r [Test],
    pub(super) spans: &'r [u32],
    pub(super) parts: &'r [Part],
    /// Chains that some request comes to.
    pub(super) reachable: &'r ChainSet,
}

impl Known<'_> {
    pub(super) fn plan(&self, program: &Program) -> Plan {
        let mut planned: Vec<Planned> = Vec::new();
        let mut always = vec![0; program.steps.len().div_ceil(64)];
        for (place, step) in (0_u32..).zip(&program.steps) {
            if !self.reachable.contains(step.chain) {
                continue;
            }
            let head = self.chains.get(step.chain as usize).and_then(|chain| chain.links.first());
            let test = head.and_then(|head| self.tests.get(head.number as usize));
            match test {
                Some(Test::Sieved { span, probe }) => {
                    for part in self.parts(*span) {
                        of(&mut planned, *part).ask(*probe, (place, step.chain));
                    }
                }
                Some(Test::Detected { span, detector }) => {
                    for part in self.parts(*span) {
                        of(&mut planned, *part).detecting.push((*detector, place));
                    }
                }
                Some(Test::None | Test::Number(_)) | None => mark(&mut always, place),
            }
        }
        let mut atoms: Vec<(u32, Vec<Planned>)> = Vec::new();
        for mut planned in planned {
            planned.asking.sort_unstable();
            let atom = self.parts.get(planned.part as usize).map_or(0, |part| part.atom);
            match atoms.iter_mut().find(|(known, _)| *known == atom) {
                Some((_, parts)) => parts.push(planned),
                None => atoms.push((atom, vec![planned])),
            }
        }
        Plan { always, atoms }
    }

    fn parts(&self, span: Span) -> &[u32] {
        self.spans.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

/// What is planned for a part.
fn of(planned: &mut Vec<Planned>, part: u32) -> &mut Planned {
    let place = planned.iter().position(|planned| planned.part == part).unwrap_or_else(|| {
        planned.push(Planned { part, wanted: Vec::new(), asking: Vec::new(), detecting: Vec::new() });
        planned.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "the place is that of an entry")]
    &mut planned[place]
}

impl Planned {
    fn ask(&mut self, probe: Probe, (step, chain): (u32, u32)) {
        let number = probe.0 as usize;
        if self.wanted.len() <= number / ROW {
            self.wanted.resize(number / ROW + 1, NONE);
        }
        if let Some(word) = self.wanted.get_mut(number / ROW).and_then(|row| row.get_mut(number % ROW / 64)) {
            *word |= 1 << (number % 64);
        }
        self.asking.push((probe, step, chain));
    }

    /// The steps whose rules ask about one operator, with their chains.
    pub(super) fn asking(&self, probe: Probe) -> impl Iterator<Item = (u32, u32)> {
        let start = self.asking.partition_point(|(other, ..)| *other < probe);
        let rest = self.asking.get(start..).unwrap_or_default();
        rest.iter().take_while(move |(other, ..)| *other == probe).map(|(_, step, chain)| (*step, *chain))
    }
}

/// Marks a step.
pub(super) fn mark(steps: &mut [u64], place: u32) {
    if let Some(word) = steps.get_mut(place as usize / 64) {
        *word |= 1 << (place % 64);
    }
}

/// Whether a step is marked.
pub(super) fn is_marked(steps: &[u64], place: u32) -> bool {
    steps.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
}

/// The first marked step from one on.
pub(super) fn next(steps: &[u64], from: usize) -> Option<usize> {
    let mut place = from / 64;
    let mut word = steps.get(place)? & (u64::MAX << (from % 64));
    while word == 0 {
        place += 1;
        word = *steps.get(place)?;
    }
    Some(place * 64 + word.trailing_zeros() as usize)
}

/// Whether nothing is marked in a range but what is marked in another list too.
pub(super) fn is_within(steps: &[u64], others: &[u64], range: Range<usize>) -> bool {
    let words = steps.iter().zip(others).enumerate();
    words.take(range.end.div_ceil(64)).skip(range.start / 64).all(|(number, (word, other))| {
        let first = range.start.saturating_sub(number * 64).min(63);
        let behind = (range.end - number * 64).min(64);
        let mask = (u64::MAX << first) & (u64::MAX >> (64 - behind));
        word & !other & mask == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_steps_are_found_in_order() {
        let mut steps = vec![0; 4];
        for place in [0, 63, 64, 200] {
            mark(&mut steps, place);
        }
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(place) = next(&steps, from) {
            found.push(place);
            from = place + 1;
        }
        assert_eq!(found, [0, 63, 64, 200]);
        assert_eq!(next(&steps, 300), None);
    }

    #[test]
    fn only_marks_in_the_range_count() {
        let (mut steps, mut others) = (vec![0; 4], vec![0; 4]);
        for place in [3, 64, 127, 200] {
            mark(&mut steps, place);
        }
        mark(&mut others, 64);
        for (range, expected) in [
            (4..127, true),
            (4..128, false),
            (3..4, false),
            (0..3, true),
            (128..200, true),
            (128..201, false),
            (201..256, true),
        ] {
            assert_eq!(is_within(&steps, &others, range.clone()), expected, "{range:?}");
        }
    }
}
