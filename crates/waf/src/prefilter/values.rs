//! What is found out about one value.

use payload::candidates::{Domain, Known, NONE, Row, keep};

use super::sieve::{DIRECTLY, NOWHERE, Sieve, has};
use super::{Detector, Probe, ROW};
use crate::engine::Transaction;
use crate::rules::{Rule, Rules};
use crate::values::ValueId;

impl Transaction {
    /// Where the candidates of a value begin; it is looked at if it was not yet.
    #[inline]
    pub(super) fn scanned(&mut self, rules: &Rules, value: ValueId) -> usize {
        match self.sieve.of(value).place {
            NOWHERE => self.scan(rules, value),
            place => place as usize,
        }
    }

    // Most values were looked at before: those are to pay for nothing but the question.
    #[inline(never)]
    fn scan(&mut self, rules: &Rules, value: ValueId) -> usize {
        let scanner = &rules.index.scanner;
        let Self { values, sieve, domain, .. } = self;
        let start = sieve.candidates.len();
        sieve.candidates.extend(std::iter::repeat_n(NONE, scanner.rows()));
        sieve.met.extend(std::iter::repeat_n(NONE, scanner.rows()));
        sieve.of_mut(value).place = super::number(start);
        let candidates = sieve.candidates.get_mut(start..).unwrap_or_default();
        let bytes = values.bytes(value);
        if *domain == Domain::Request
            && let Some(known) = sieve.memory.recall(values.hash(value), bytes)
        {
            candidates.copy_from_slice(&known.candidates);
            let (searched, detected) = (known.searched, known.detected);
            let of = sieve.of_mut(value);
            (of.searched, of.detected) = (searched, detected);
        } else {
            scanner.sift(bytes.len(), values.held(value), candidates);
        }
        start
    }

    /// Looks for texts in a value.
    #[inline]
    pub(super) fn search(&mut self, rules: &Rules, value: ValueId) {
        if !self.sieve.of(value).searched {
            self.look_for_texts(rules, value);
        }
    }

    #[inline(never)]
    fn look_for_texts(&mut self, rules: &Rules, value: ValueId) {
        let place = self.scanned(rules, value);
        let rows = rules.index.scanner.rows();
        // What has the same texts is only searched once.
        let like = self.sieve.of(value).like;
        let source = like.map_or(place, |like| self.scanned(rules, like));
        if like.is_none_or(|like| !self.sieve.of(like).has_met) {
            let Self { values, sieve, domain, .. } = self;
            let met = sieve.met.get_mut(source..source + rows).unwrap_or_default();
            let searched = like.unwrap_or(value);
            let looked_at = (values.bytes(searched), values.held(searched));
            rules.index.scanner.search(looked_at, *domain, met, &mut sieve.scratch);
            sieve.of_mut(searched).has_met = true;
        }
        for (value, place) in [(value, place), (like.unwrap_or(value), source)] {
            let sieve = &mut self.sieve;
            let met = sieve.met.get(source..source + rows).unwrap_or_default();
            let candidates = sieve.candidates.get_mut(place..place + rows).unwrap_or_default();
            candidates.iter_mut().zip(met).for_each(|(row, met)| keep(row, met));
            sieve.of_mut(value).searched = true;
            if self.domain == Domain::Request {
                self.sieve.learn(value);
            }
        }
    }

    /// Keeps what was found out about values for transactions to come.
    pub(crate) fn remember(&mut self) {
        let Self { values, sieve, .. } = self;
        let rows = self.rules.index.scanner.rows();
        let mut learned = std::mem::take(&mut sieve.learned);
        for value in learned.drain(..) {
            let of = sieve.of(value);
            let start = of.place as usize;
            let Sieve { memory, candidates, .. } = &mut *sieve;
            let Some(candidates) = candidates.get(start..start.saturating_add(rows)) else { continue };
            memory.learn(values.hash(value), values.bytes(value), || Known {
                candidates: candidates.into(),
                detected: of.detected,
                searched: of.searched,
            });
        }
        sieve.learned = learned;
    }

    /// Whether an operator may hold for a value; texts are looked for in it if that decides.
    pub(super) fn is_candidate(&mut self, rules: &Rules, value: ValueId, probe: Probe) -> bool {
        let place = self.scanned(rules, value);
        let is_one = |this: &Self| this.sieve.candidates.get(place..).is_some_and(|candidates| has(candidates, probe));
        if !is_one(self) {
            return false;
        }
        let of = self.sieve.of(value);
        if !of.searched && has(rules.index.scanner.textual(self.domain), probe) {
            // For a few operators it is less work to ask them.
            if u32::from(of.asked) < DIRECTLY && !has(rules.index.scanner.lists(), probe) {
                self.sieve.of_mut(value).asked += 1;
                return true;
            }
            self.search(rules, value);
        }
        is_one(self)
    }

    /// Whether an operator may hold for a value.
    pub(crate) fn can_match(&mut self, rules: &Rules, rule: &Rule, value: ValueId) -> bool {
        if let Some(probe) = rules.index.probe(rule) {
            return self.is_candidate(rules, value, probe);
        }
        match Detector::of(&rule.operator) {
            Some(detector) => self.detects(value, detector) != rule.negated,
            None => true,
        }
    }

    /// Remembers that an operator does not hold for a value, so that it is not asked again.
    pub(crate) fn does_not_hold(&mut self, rules: &Rules, rule: &Rule, value: ValueId) {
        let Some(Probe(number)) = rules.index.probe(rule) else { return };
        let place = self.scanned(rules, value) + number as usize / ROW;
        let row = self.sieve.candidates.get_mut(place);
        if let Some(word) = row.and_then(|row| row.get_mut(number as usize % ROW / 64)) {
            *word &= !(1 << (number % 64));
            self.sieve.learn(value);
        }
    }
}

/// Whether a set has more operators than so many.
pub(super) fn has_more(row: &Row, most: u32) -> bool {
    let mut left = most;
    for word in row {
        let mut word = *word;
        while word != 0 {
            if left == 0 {
                return true;
            }
            left -= 1;
            word &= word - 1;
        }
    }
    false
}
