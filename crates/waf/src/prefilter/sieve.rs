//! What a transaction knows of its values: of which operators they are candidates.

use hashbrown::HashMap;

use super::{NumberTest, Probe, Test};
use crate::engine::{Evaluation, Found, Transaction};
use crate::operator::{Operator, integer};
use crate::rules::{Rule, RuleAt, Rules};
use crate::values::ValueId;

/// What is known of the values of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    /// By value: where its candidates begin, if it was scanned.
    places: Vec<Option<u32>>,
    candidates: Vec<u64>,
    /// By group: when its candidates were put together, and what they are.
    groups: Vec<Option<(u32, Vec<u64>)>>,
    /// What the two detectors said of a value.
    detected: HashMap<(ValueId, bool), bool>,
    found: Vec<Found>,
}

impl Transaction {
    /// Whether the first rule of a chain may match.
    pub(crate) fn may_match(&mut self, rules: &Rules, chain: u32) -> bool {
        if self.environment.evaluation == Evaluation::Plain {
            return true;
        }
        match rules.index.test(chain) {
            Test::None => true,
            Test::Number(test) => self.compares(&test),
            Test::Sieved { group, probe } => self.group_has(rules, group, probe),
        }
    }

    fn compares(&self, test: &NumberTest) -> bool {
        let value = self.variables.get(test.slot.0 as usize).copied().flatten();
        let number = match (value, test.counted) {
            (value, true) => i64::from(value.is_some()),
            (Some(value), false) => integer(self.values.bytes(value)),
            (None, false) => return false,
        };
        test.comparison.holds(number, test.number) != test.negated
    }

    /// Whether a value of a group is a candidate of an operator.
    fn group_has(&mut self, rules: &Rules, group: u32, probe: Probe) -> bool {
        let at = group as usize;
        let is_known = |sieve: &Sieve, epoch| {
            sieve.groups.get(at).is_some_and(|known| matches!(known, Some((when, _)) if *when == epoch))
        };
        if !is_known(&self.sieve, self.epoch) {
            self.sieve_group(rules, at);
        }
        let candidates = self.sieve.groups.get(at).and_then(|known| known.as_ref());
        candidates.is_none_or(|(_, candidates)| has(candidates, probe))
    }

    fn sieve_group(&mut self, rules: &Rules, at: usize) {
        let Some(group) = rules.index.groups.get(at) else { return };
        let mut found = std::mem::take(&mut self.sieve.found);
        found.clear();
        self.gather(&group.targets, RuleAt::NOWHERE, &mut found);
        let mut together = vec![0; rules.index.scanner.words()];
        for value in &found {
            if group.multi_match {
                for stage in self.stages(value.value, &group.transformations) {
                    self.add_candidates(rules, stage, &mut together);
                }
            } else {
                let last = self.transformed(value.value, &group.transformations);
                self.add_candidates(rules, last, &mut together);
            }
        }
        self.sieve.found = found;
        if self.sieve.groups.len() < rules.index.groups.len() {
            self.sieve.groups.resize(rules.index.groups.len(), None);
        }
        let epoch = self.epoch;
        if let Some(place) = self.sieve.groups.get_mut(at) {
            *place = Some((epoch, together));
        }
    }

    fn add_candidates(&mut self, rules: &Rules, value: ValueId, together: &mut [u64]) {
        let start = self.scanned(rules, value);
        let candidates = self.sieve.candidates.get(start..start + together.len()).unwrap_or_default();
        for (word, more) in together.iter_mut().zip(candidates) {
            *word |= more;
        }
    }

    /// Where the candidates of a value begin; it is scanned if it was not yet.
    fn scanned(&mut self, rules: &Rules, value: ValueId) -> usize {
        if let Some(Some(start)) = self.sieve.places.get(value.index()) {
            return *start as usize;
        }
        let words = rules.index.scanner.words();
        let start = self.sieve.candidates.len();
        self.sieve.candidates.resize(start + words, 0);
        if let Some(candidates) = self.sieve.candidates.get_mut(start..) {
            rules.index.scanner.scan(self.values.bytes(value), self.values.held(value), candidates);
        }
        if self.sieve.places.len() <= value.index() {
            self.sieve.places.resize(self.values.len().max(value.index() + 1), None);
        }
        if let Some(place) = self.sieve.places.get_mut(value.index()) {
            *place = u32::try_from(start).ok();
        }
        start
    }

    /// Whether an operator may hold for a value.
    pub(crate) fn can_match(&mut self, rules: &Rules, rule: &Rule, value: ValueId) -> bool {
        if let Some(probe) = rules.index.probe(rule) {
            let start = self.scanned(rules, value);
            return self.sieve.candidates.get(start..).is_some_and(|candidates| has(candidates, probe));
        }
        let is_xss = match rule.operator {
            Operator::Sqli => false,
            Operator::Xss => true,
            _ => return true,
        };
        let found = match self.sieve.detected.get(&(value, is_xss)) {
            Some(found) => *found,
            None => {
                let bytes = self.values.bytes(value);
                let found = if is_xss { payload::xss(bytes) } else { payload::sqli(bytes).is_some() };
                self.sieve.detected.insert((value, is_xss), found);
                found
            }
        };
        found != rule.negated
    }

    /// Remembers that an operator does not hold for a value, so that it is not asked again.
    pub(crate) fn does_not_hold(&mut self, rules: &Rules, rule: &Rule, value: ValueId) {
        let Some(probe) = rules.index.probe(rule) else { return };
        let start = self.scanned(rules, value);
        if let Some(word) = self.sieve.candidates.get_mut(start + probe.0 as usize / 64) {
            *word &= !(1 << (probe.0 % 64));
        }
    }
}

fn has(candidates: &[u64], probe: Probe) -> bool {
    candidates.get(probe.0 as usize / 64).is_some_and(|word| word >> (probe.0 % 64) & 1 == 1)
}
