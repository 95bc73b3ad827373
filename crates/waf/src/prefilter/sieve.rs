//! What a transaction knows of its values: of which operators they are candidates.

use hashbrown::HashMap;
use payload::ByteSet;
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
    /// By list of targets, and by group.
    lists: Vec<Gathered>,
    groups: Vec<Gathered>,
    /// What operators hold perhaps for some value of a list or a group.
    together: Vec<Row>,
    /// The values of lists and groups, one after another.
    values: Vec<ValueId>,
    /// By value: the last list that it was put into.
    seen: Vec<u32>,
    round: u32,
    /// What the two detectors said of a value.
    detected: HashMap<(ValueId, Detector), bool>,
    found: Vec<Found>,
}

/// Values that several rules look at.
#[derive(Clone, Copy, Debug, Default)]
struct Gathered {
    /// When they were gathered; never, if it is zero.
    when: u32,
    /// Where they stand.
    start: u32,
    end: u32,
    /// Where their candidates stand, all together.
    together: u32,
    /// The bytes that they hold, all together.
    held: ByteSet,
}

impl Sieve {
    /// Forgets everything but the room it took.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.candidates.clear();
        self.lists.fill(Gathered::default());
        self.groups.fill(Gathered::default());
        self.together.clear();
        self.values.clear();
        self.seen.clear();
        self.round = 0;
        self.detected.clear();
    }

    fn value(&self, at: u32) -> ValueId {
        self.values.get(at as usize).copied().unwrap_or_default()
    }
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
        let group = self.group(rules, group);
        if !self.sieve.together.get(group.together as usize..).is_some_and(|rows| has(rows, probe)) {
            return false;
        }
        // Some operators are only looked at one value at a time.
        if rule.operator.template().is_some() {
            return true;
        }
        (group.start..group.end).any(|at| {
            let value = self.sieve.value(at);
            self.holds(rules, rule, value, probe)
        })
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
        let group = self.group(rules, group);
        (group.start..group.end).any(|at| {
            let value = self.sieve.value(at);
            self.detects(value, detector)
        })
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

    /// What rules of a group see, and what that is a candidate of.
    fn group(&mut self, rules: &Rules, at: usize) -> Gathered {
        let index = &rules.index;
        if self.sieve.groups.len() < index.groups.len() {
            self.sieve.groups.resize(index.groups.len(), Gathered::default());
            self.sieve.lists.resize(index.lists.len(), Gathered::default());
        }
        if let Some(known) = self.sieve.groups.get(at).filter(|known| known.when == self.epoch) {
            return *known;
        }
        let Some(group) = index.groups.get(at) else { return Gathered::default() };
        let list = self.list(rules, group.list as usize);
        let has_empty = (list.start..list.end).any(|at| self.sieve.value(at) == ValueId::EMPTY);
        // Most values are left as they are by all transformations of a group.
        let may_change = group.may_change.meets(&list.held) || (group.may_change_empty && has_empty);
        let gathered = if may_change { self.transform_list(rules, group, &list) } else { list };
        if let Some(place) = self.sieve.groups.get_mut(at) {
            *place = gathered;
        }
        gathered
    }

    fn transform_list(&mut self, rules: &Rules, group: &Group, list: &Gathered) -> Gathered {
        let start = self.sieve.values.len();
        for at in list.start..list.end {
            let value = self.sieve.value(at);
            if !group.may_change.meets(self.values.held(value)) && (value != ValueId::EMPTY || !group.may_change_empty)
            {
                self.sieve.values.push(value);
            } else if group.multi_match {
                let stages = self.stages(value, &group.transformations);
                self.sieve.values.extend(stages);
            } else {
                let last = self.transformed(value, &group.transformations);
                self.sieve.values.push(last);
            }
        }
        self.put_together(rules, start)
    }

    /// The values that a list of targets gives, each once, and what they are candidates of.
    fn list(&mut self, rules: &Rules, at: usize) -> Gathered {
        if let Some(known) = self.sieve.lists.get(at).filter(|known| known.when == self.epoch) {
            return *known;
        }
        let mut found = std::mem::take(&mut self.sieve.found);
        found.clear();
        let targets = rules.index.lists.get(at).map(Vec::as_slice).unwrap_or_default();
        self.gather(targets, RuleAt::NOWHERE, &mut found);
        let sieve = &mut self.sieve;
        sieve.round += 1;
        sieve.seen.resize(self.values.len().max(sieve.seen.len()), 0);
        let start = sieve.values.len();
        for value in found.iter().map(|found| found.value) {
            if let Some(seen) = sieve.seen.get_mut(value.index()).filter(|seen| **seen != sieve.round) {
                *seen = sieve.round;
                sieve.values.push(value);
            }
        }
        sieve.found = found;
        let gathered = self.put_together(rules, start);
        if let Some(place) = self.sieve.lists.get_mut(at) {
            *place = gathered;
        }
        gathered
    }

    /// Makes one of the values from a place on.
    fn put_together(&mut self, rules: &Rules, start: usize) -> Gathered {
        let rows = rules.index.scanner.rows();
        let end = self.sieve.values.len();
        let mut together: SmallVec<[Row; 2]> = smallvec![NONE; rows];
        let mut held = ByteSet::EMPTY;
        for at in start..end {
            let value = self.sieve.values.get(at).copied().unwrap_or_default();
            held = held.or(*self.values.held(value));
            let place = self.scanned(rules, value);
            let candidates = self.sieve.candidates.get(place..place + rows).unwrap_or_default();
            for (row, more) in together.iter_mut().zip(candidates) {
                add(row, more);
            }
        }
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let place = number(self.sieve.together.len());
        self.sieve.together.extend_from_slice(&together);
        Gathered { when: self.epoch, start: number(start), end: number(end), together: place, held }
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
            scanner.scan(self.values.bytes(value), self.values.held(value), self.domain, candidates);
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
