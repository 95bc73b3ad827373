//! What a transaction knows of its values: of which operators they are candidates.

use hashbrown::HashMap;
use smallvec::{SmallVec, smallvec};

use super::scan::{NONE, ROW, Row, add};
use super::{Detector, Foreseen, Group, NumberTest, Probe, Test};
use crate::engine::{Evaluation, Found, Name, Transaction};
use crate::operator::{Answer, integer};
use crate::rules::{Rule, RuleAt, Rules};
use crate::values::ValueId;
use crate::variable::Variable;

/// What is known of the values of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    /// By value: where its candidates begin, or [`NOWHERE`] if it was not scanned yet.
    places: Vec<u32>,
    candidates: Vec<Row>,
    /// By list of targets: the values it gives, each once, and when that was found out.
    lists: Vec<(u32, Vec<ValueId>)>,
    /// By group: when its candidates were put together, and what they are.
    when: Vec<u32>,
    groups: Vec<Row>,
    /// By group: what its values have become, and the operators are asked about.
    stages: Vec<Vec<ValueId>>,
    /// By value: the last list that it was put into.
    seen: Vec<u32>,
    round: u32,
    /// What the two detectors said of a value.
    detected: HashMap<(ValueId, Detector), bool>,
    found: Vec<Found>,
}

impl Transaction {
    /// What is known of a rule before it is asked.
    pub(crate) fn foresee(&mut self, rules: &Rules, rule: &Rule) -> Foreseen {
        if self.environment.evaluation == Evaluation::Plain {
            return Foreseen::Perhaps;
        }
        let may = match rules.index.test(rule) {
            Test::None => true,
            Test::Number(test) => return self.compares(&test),
            Test::Sieved { group, probe } => self.group_holds(rules, rule, group as usize, probe),
            Test::Detected { group, detector } => self.group_detects(rules, group as usize, detector),
        };
        if may { Foreseen::Perhaps } else { Foreseen::No }
    }

    fn compares(&self, test: &NumberTest) -> Foreseen {
        let present = self.variables.get(test.slot.0 as usize).copied().flatten();
        let number = match (present, test.counted) {
            (present, true) => i64::from(present.is_some()),
            (Some(value), false) => integer(self.values.bytes(value)),
            (None, false) => return Foreseen::No,
        };
        match present {
            _ if test.comparison.holds(number, test.number) == test.negated => Foreseen::No,
            Some(value) if test.is_gate && !test.counted && self.control.removals.is_empty() => {
                Foreseen::Gate(Found { variable: Variable::Tx, name: Name::Slot(test.slot), value })
            }
            _ => Foreseen::Perhaps,
        }
    }

    /// Whether an operator holds for a value of a group.
    fn group_holds(&mut self, rules: &Rules, rule: &Rule, group: usize, probe: Probe) -> bool {
        let rows = rules.index.scanner.rows();
        self.sieve_group(rules, group, rows);
        let together = self.sieve.groups.get(group * rows..).unwrap_or_default();
        if !has(together, probe) {
            return false;
        }
        // Some operators are only looked at one value at a time.
        if rule.operator.template().is_some() {
            return true;
        }
        let values = self.sieve.stages.get_mut(group).map(std::mem::take).unwrap_or_default();
        let holds = values.iter().any(|value| self.holds(rules, rule, *value, probe));
        if let Some(place) = self.sieve.stages.get_mut(group) {
            *place = values;
        }
        holds
    }

    /// Whether an operator holds for a value, if that is a candidate; remembers if it does not.
    fn holds(&mut self, rules: &Rules, rule: &Rule, value: ValueId, probe: Probe) -> bool {
        let place = self.scanned(rules, value);
        if !self.sieve.candidates.get(place..).is_some_and(|candidates| has(candidates, probe)) {
            return false;
        }
        let holds = rule.operator.ask(self.values.bytes(value), b"", None) == Answer::Yes;
        if !holds {
            self.does_not_hold(rules, rule, value);
        }
        holds
    }

    fn group_detects(&mut self, rules: &Rules, group: usize, detector: Detector) -> bool {
        self.sieve_group(rules, group, rules.index.scanner.rows());
        let values = self.sieve.stages.get_mut(group).map(std::mem::take).unwrap_or_default();
        let detects = values.iter().any(|value| self.detects(*value, detector));
        if let Some(place) = self.sieve.stages.get_mut(group) {
            *place = values;
        }
        detects
    }

    fn detects(&mut self, value: ValueId, detector: Detector) -> bool {
        if let Some(found) = self.sieve.detected.get(&(value, detector)) {
            return *found;
        }
        let bytes = self.values.bytes(value);
        let found = match detector {
            Detector::Sqli => payload::sqli(bytes).is_some(),
            Detector::Xss => payload::xss(bytes),
        };
        self.sieve.detected.insert((value, detector), found);
        found
    }

    /// Finds out what the values of a group are candidates of, if that is not known.
    fn sieve_group(&mut self, rules: &Rules, at: usize, rows: usize) {
        if self.sieve.when.get(at) == Some(&self.epoch) {
            return;
        }
        let index = &rules.index;
        let Some(group) = index.groups.get(at) else { return };
        if self.sieve.when.is_empty() {
            self.sieve.when.resize(index.groups.len(), NEVER);
            self.sieve.groups.resize(index.groups.len() * rows, NONE);
            self.sieve.stages.resize(index.groups.len(), Vec::new());
            self.sieve.lists.resize(index.lists.len(), (NEVER, Vec::new()));
        }
        let values = self.list(rules, group.list as usize);
        let mut stages = self.sieve.stages.get_mut(at).map(std::mem::take).unwrap_or_default();
        stages.clear();
        let mut together: SmallVec<[Row; 2]> = smallvec![NONE; rows];
        for value in &values {
            self.stages_of(group, *value, &mut stages);
        }
        for stage in &stages {
            let place = self.scanned(rules, *stage);
            let candidates = self.sieve.candidates.get(place..place + rows).unwrap_or_default();
            for (row, more) in together.iter_mut().zip(candidates) {
                add(row, more);
            }
        }
        if let Some(place) = self.sieve.groups.get_mut(at * rows..(at + 1) * rows) {
            place.copy_from_slice(&together);
        }
        if let Some(place) = self.sieve.stages.get_mut(at) {
            *place = stages;
        }
        if let Some(list) = self.sieve.lists.get_mut(group.list as usize) {
            list.1 = values;
        }
        if let Some(when) = self.sieve.when.get_mut(at) {
            *when = self.epoch;
        }
    }

    /// Adds what rules of a group see of a value.
    fn stages_of(&mut self, group: &Group, value: ValueId, stages: &mut Vec<ValueId>) {
        // Most values are left as they are by all transformations of a group.
        if !group.may_change.meets(self.values.held(value)) && (value != ValueId::EMPTY || !group.may_change_empty) {
            stages.push(value);
        } else if group.multi_match {
            stages.extend(self.stages(value, &group.transformations));
        } else {
            stages.push(self.transformed(value, &group.transformations));
        }
    }

    /// The values that a list of targets gives, each once. The caller puts them back.
    fn list(&mut self, rules: &Rules, list: usize) -> Vec<ValueId> {
        let epoch = self.epoch;
        let known = self.sieve.lists.get_mut(list).map(|(when, values)| (*when, std::mem::take(values)));
        let (when, mut values) = known.unwrap_or((NEVER, Vec::new()));
        if when == epoch {
            return values;
        }
        values.clear();
        let mut found = std::mem::take(&mut self.sieve.found);
        found.clear();
        let targets = rules.index.lists.get(list).map(Vec::as_slice).unwrap_or_default();
        self.gather(targets, RuleAt::NOWHERE, &mut found);
        let sieve = &mut self.sieve;
        sieve.round += 1;
        sieve.seen.resize(self.values.len(), 0);
        for value in found.iter().map(|found| found.value) {
            if let Some(seen) = sieve.seen.get_mut(value.index()).filter(|seen| **seen != sieve.round) {
                *seen = sieve.round;
                values.push(value);
            }
        }
        sieve.found = found;
        if let Some((when, _)) = sieve.lists.get_mut(list) {
            *when = epoch;
        }
        values
    }

    /// Where the candidates of a value begin; it is scanned if it was not yet.
    fn scanned(&mut self, rules: &Rules, value: ValueId) -> usize {
        match self.sieve.places.get(value.index()) {
            Some(place) if *place != NOWHERE => *place as usize,
            _ => self.scan(rules, value),
        }
    }

    fn scan(&mut self, rules: &Rules, value: ValueId) -> usize {
        let scanner = &rules.index.scanner;
        let start = self.sieve.candidates.len();
        self.sieve.candidates.resize(start + scanner.rows(), NONE);
        if let Some(candidates) = self.sieve.candidates.get_mut(start..) {
            scanner.scan(self.values.bytes(value), self.values.held(value), candidates);
        }
        if self.sieve.places.len() <= value.index() {
            self.sieve.places.resize(self.values.len().max(value.index() + 1), NOWHERE);
        }
        if let Some(place) = self.sieve.places.get_mut(value.index()) {
            *place = u32::try_from(start).unwrap_or(NOWHERE);
        }
        start
    }

    /// Whether an operator may hold for a value.
    pub(crate) fn can_match(&mut self, rules: &Rules, rule: &Rule, value: ValueId) -> bool {
        if let Some(probe) = rules.index.probe(rule) {
            let start = self.scanned(rules, value);
            return self.sieve.candidates.get(start..).is_some_and(|candidates| has(candidates, probe));
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
        }
    }
}

fn has(candidates: &[Row], Probe(number): Probe) -> bool {
    let number = number as usize;
    let word = candidates.get(number / ROW).and_then(|row| row.get(number % ROW / 64));
    word.is_some_and(|word| word >> (number % 64) & 1 == 1)
}

/// No place.
const NOWHERE: u32 = u32::MAX;

/// No time at all.
const NEVER: u32 = u32::MAX;
