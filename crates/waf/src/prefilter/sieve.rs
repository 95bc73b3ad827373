//! What a transaction knows of its values: of which operators they are candidates.

use std::ops::Range;

use payload::ByteSet;
use smallvec::{SmallVec, smallvec};

use super::plan::{self, Planned};
use super::values::has_more;
use super::{Detector, Foreseen, NumberTest, Probe, Span, Test, Way};
use crate::Phase;
use crate::engine::{Evaluation, Found, Name, Transaction};
use crate::operator::{Answer, integer};
use crate::rules::{Rule, RuleAt, Rules};
use crate::template::Template;
use crate::values::ValueId;
use crate::variable::Variable;
use payload::candidates::{Detected, Memory, NONE, ROW, Row, add, both, is_none};
use payload::transform::Transformation;

/// What is known of the values of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    /// By step of the phase that runs: whether it is asked.
    pending: Vec<u64>,
    /// By value: what is known of it, as far as it comes from this transaction.
    known: Vec<Of>,
    /// The number of this transaction.
    now: u32,
    /// The operators that values are candidates of, and those whose texts they have, one value after another.
    pub(super) candidates: Vec<Row>,
    pub(super) met: Vec<Row>,
    /// By atom, and by part.
    atoms: Vec<Gathered>,
    parts: Vec<Gathered>,
    /// What operators hold perhaps for some value of an atom or a part.
    together: Vec<Row>,
    /// The values of atoms and parts, one after another.
    values: Vec<ValueId>,
    /// By value: the last atom that it was put into.
    seen: Vec<u32>,
    round: u32,
    found: Vec<Found>,
    pub(super) scratch: Vec<u8>,
    /// What earlier transactions found out, and values about which this one found out more.
    pub(super) memory: Memory,
    pub(super) learned: Vec<ValueId>,
}

/// Whether what is in `TX` comes from nothing but rules that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Yes,
    No,
}

/// What is known of a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    /// The transaction that found it out.
    when: u32,
    /// Where its candidates begin, or [`NOWHERE`] if it was not looked at yet.
    pub(super) place: u32,
    /// The value that it is in small letters, or itself.
    pub(super) like: Option<ValueId>,
    /// Whether texts were looked for in it, by this transaction or one before.
    pub(super) searched: bool,
    /// Whether it is known which ones it has.
    pub(super) has_met: bool,
    /// Whether it is among those that were learned about.
    pub(super) learned: bool,
    /// How many operators that need texts were asked about it all the same.
    pub(super) asked: u8,
    pub(super) detected: Detected,
}

impl Of {
    const NOTHING: Self = Self {
        when: u32::MAX,
        place: NOWHERE,
        like: None,
        searched: false,
        has_met: false,
        learned: false,
        asked: 0,
        detected: Detected { sqli: None, xss: None },
    };
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
    /// Forgets everything but the room it took, unless that is large.
    pub(crate) fn clear(&mut self) {
        self.now += 1;
        if self.now == Of::NOTHING.when || self.round > u32::MAX / 2 || self.known.len() > MANY {
            (self.known, self.seen) = (Vec::new(), Vec::new());
            (self.now, self.round) = (0, 0);
        }
        if self.candidates.len() > MANY {
            (self.candidates, self.met) = (Vec::new(), Vec::new());
            (self.together, self.values) = (Vec::new(), Vec::new());
        }
        self.candidates.clear();
        self.met.clear();
        self.together.clear();
        self.values.clear();
        self.learned.clear();
        self.found.clear();
        self.scratch.clear();
    }

    pub(super) fn of(&self, value: ValueId) -> Of {
        self.known.get(value.index()).filter(|of| of.when == self.now).copied().unwrap_or(Of::NOTHING)
    }

    pub(super) fn of_mut(&mut self, value: ValueId) -> &mut Of {
        if self.known.len() <= value.index() {
            self.known.resize(value.index() + 1, Of::NOTHING);
        }
        // It is long enough now.
        #[expect(clippy::indexing_slicing, reason = "the list was made long enough")]
        let of = &mut self.known[value.index()];
        if of.when != self.now {
            *of = Of { when: self.now, ..Of::NOTHING };
        }
        of
    }

    /// Notes that something was found out about a value.
    pub(super) fn learn(&mut self, value: ValueId) {
        let of = self.of_mut(value);
        if !std::mem::replace(&mut of.learned, true) {
            self.learned.push(value);
        }
    }

    /// Notes that a value is another one in small letters: both have the same texts.
    pub(crate) fn is_like(&mut self, value: ValueId, other: ValueId) {
        let root = self.of(other).like.unwrap_or(other);
        if value != root {
            self.of_mut(value).like = Some(root);
        }
    }

    /// Forgets what earlier transactions found out.
    pub(crate) fn forget(&mut self) {
        self.memory.clear();
    }

    fn value(&self, at: u32) -> ValueId {
        self.values.get(at as usize).copied().unwrap_or_default()
    }

    /// Whether of some steps only those are asked that always are.
    pub(crate) fn only_always(&self, rules: &Rules, phase: Phase, steps: Range<usize>) -> bool {
        let plan = rules.index.plans.get(phase as usize);
        plan.is_some_and(|plan| plan::is_within(&self.pending, &plan.always, steps))
    }

    /// The first step from one on that is asked.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        plan::next(&self.pending, from)
    }
}

impl Transaction {
    /// Works out which rules of a phase are asked.
    ///
    /// `settled` says that nothing but its rules decided what is in `TX`, which the plan relies on.
    pub(crate) fn foresee_phase(&mut self, rules: &Rules, phase: Phase, settled: Settled) {
        let Some(plan) = rules.index.plans.get(phase as usize) else { return };
        self.sieve.pending.clear();
        if self.environment.evaluation == Evaluation::Plain || settled == Settled::No {
            self.sieve.pending.resize(plan.always.len(), u64::MAX);
            return;
        }
        self.sieve.pending.extend_from_slice(&plan.always);
        for (atom, ways) in &plan.atoms {
            let atom = self.atom(rules, *atom as usize);
            if atom.start == atom.end {
                continue;
            }
            for planned in ways {
                let part = self.part(rules, planned.part as usize);
                self.foresee_part(rules, planned, &part);
            }
        }
    }

    /// Marks the rules that may match a value of a part.
    fn foresee_part(&mut self, rules: &Rules, planned: &Planned, part: &Gathered) {
        for (number, wanted) in planned.wanted.iter().enumerate() {
            let together = self.sieve.together.get(part.together as usize + number).unwrap_or(&NONE);
            let mut hit = both(wanted, together);
            if is_none(&hit) {
                continue;
            }
            let textual = rules.index.scanner.textual(self.domain).get(number).map_or(NONE, |all| both(all, wanted));
            if !is_none(&both(&hit, &textual)) {
                hit = both(wanted, &self.searched_together(rules, part, number, &textual));
            }
            for (place, word) in hit.into_iter().enumerate() {
                let mut word = word;
                while word != 0 {
                    let probe = number * ROW + place * 64 + word.trailing_zeros() as usize;
                    word &= word - 1;
                    self.foresee_probe(rules, planned, part, Probe(super::number(probe)));
                }
            }
        }
        for (detector, step) in &planned.detecting {
            if self.any_detects(part, *detector) {
                plan::mark(&mut self.sieve.pending, *step);
            }
        }
    }

    /// A row of what values of a part are candidates of, once texts were looked for where that matters.
    fn searched_together(&mut self, rules: &Rules, part: &Gathered, number: usize, textual: &Row) -> Row {
        let mut together = NONE;
        let lists = rules.index.scanner.lists().get(number).unwrap_or(&NONE);
        for at in part.start..part.end {
            let value = self.sieve.value(at);
            let place = self.scanned(rules, value) + number;
            let of = self.sieve.of(value);
            if !of.searched {
                let needed = both(self.sieve.candidates.get(place).unwrap_or(&NONE), textual);
                let left = DIRECTLY.saturating_sub(u32::from(of.asked));
                if has_more(&needed, left) || !is_none(&both(&needed, lists)) {
                    self.search(rules, value);
                }
            }
            add(&mut together, self.sieve.candidates.get(place).unwrap_or(&NONE));
        }
        together
    }

    fn foresee_probe(&mut self, rules: &Rules, planned: &Planned, part: &Gathered, probe: Probe) {
        let first = planned.asking(probe).next();
        let head = first.and_then(|(_, chain)| rules.chains.get(chain as usize)?.links.first());
        if head.is_some_and(|rule| self.any_holds(rules, rule, part, probe)) {
            for (step, _) in planned.asking(probe) {
                plan::mark(&mut self.sieve.pending, step);
            }
        }
    }

    /// What is known of a rule before it is asked. Of the first one of a chain, all was found out before the phase.
    pub(crate) fn foresee(&mut self, rules: &Rules, rule: &Rule, at: RuleAt) -> Foreseen {
        if self.environment.evaluation == Evaluation::Plain {
            return Foreseen::Perhaps;
        }
        let may = match *rules.index.test(rule) {
            Test::Number(test) => return self.compares(&test, at),
            Test::None => true,
            Test::Sieved { .. } | Test::Detected { .. } if at.is_head() => true,
            Test::Sieved { span, probe } => {
                self.any_part(rules, span, |this, part| this.any_holds(rules, rule, part, probe))
            }
            Test::Detected { span, detector } => {
                self.any_part(rules, span, |this, part| this.any_detects(part, detector))
            }
        };
        if may { Foreseen::Perhaps } else { Foreseen::No }
    }

    fn any_part(&mut self, rules: &Rules, span: Span, holds: impl Fn(&mut Self, &Gathered) -> bool) -> bool {
        let parts = rules.index.spans.get(span.start as usize..span.end as usize).unwrap_or_default();
        parts.iter().any(|part| {
            let part = self.part(rules, *part as usize);
            holds(self, &part)
        })
    }

    fn compares(&mut self, test: &NumberTest, at: RuleAt) -> Foreseen {
        let present = self.variables.get(test.slot.0 as usize).copied().flatten();
        let number = match (present, test.counted) {
            (present, true) => i64::from(present.is_some()),
            (Some(value), false) => integer(self.values.bytes(value)),
            (None, false) => return Foreseen::No,
        };
        if test.comparison.holds(number, test.number) == test.negated {
            return Foreseen::No;
        }
        let loses_targets = self.control.removals.iter().any(|removal| removal.chains.contains(at.chain));
        if loses_targets {
            return Foreseen::Perhaps;
        }
        let found = if let Some(value) = present.filter(|_| !test.counted) {
            Found { variable: Variable::Tx, name: Name::Slot(test.slot), value }
        } else {
            let value = self.values.intern_number(u64::from(present.is_some()));
            Found { variable: Variable::Tx, name: Name::Counted, value }
        };
        if test.is_gate { Foreseen::Gate(found) } else { Foreseen::Holds(found) }
    }

    /// Whether an operator holds for a value of a part.
    fn any_holds(&mut self, rules: &Rules, rule: &Rule, part: &Gathered, probe: Probe) -> bool {
        if !self.sieve.together.get(part.together as usize..).is_some_and(|rows| has(rows, probe)) {
            return false;
        }
        (part.start..part.end).any(|at| {
            let value = self.sieve.value(at);
            self.holds(rules, rule, value, probe)
        })
    }

    /// Whether an operator holds for a value, if that is a candidate; remembers if it does not.
    fn holds(&mut self, rules: &Rules, rule: &Rule, value: ValueId, probe: Probe) -> bool {
        if !self.is_candidate(rules, value, probe) {
            return false;
        }
        // Only operators without macros are sieved for.
        let parameter = rule.operator.template().and_then(Template::constant).unwrap_or_default();
        let holds = rule.operator.ask(self.values.bytes(value), parameter, None) == Answer::Yes;
        if !holds {
            self.does_not_hold(rules, rule, value);
        }
        holds
    }

    fn any_detects(&mut self, part: &Gathered, detector: Detector) -> bool {
        (part.start..part.end).any(|at| {
            let value = self.sieve.value(at);
            self.detects(value, detector)
        })
    }

    pub(super) fn detects(&mut self, value: ValueId, detector: Detector) -> bool {
        let detected = self.sieve.of(value).detected;
        let known = match detector {
            Detector::Sqli => detected.sqli,
            Detector::Xss => detected.xss,
        };
        if let Some(known) = known {
            return known;
        }
        let bytes = self.values.bytes(value);
        let found = match detector {
            Detector::Sqli => payload::sqli(bytes).is_some(),
            Detector::Xss => payload::xss(bytes),
        };
        self.sieve.learn(value);
        let detected = &mut self.sieve.of_mut(value).detected;
        match detector {
            Detector::Sqli => detected.sqli = Some(found),
            Detector::Xss => detected.xss = Some(found),
        }
        found
    }

    /// What rules see of a variable, and what that is a candidate of.
    #[inline]
    fn part(&mut self, rules: &Rules, at: usize) -> Gathered {
        match self.sieve.parts.get(at) {
            Some(known) if known.when == self.epoch => *known,
            _ => self.make_part(rules, at),
        }
    }

    #[inline(never)]
    fn make_part(&mut self, rules: &Rules, at: usize) -> Gathered {
        let index = &rules.index;
        if self.sieve.parts.len() < index.parts.len() {
            self.sieve.parts.resize(index.parts.len(), Gathered::default());
            self.sieve.atoms.resize(index.atoms.len(), Gathered::default());
        }
        let Some(part) = index.parts.get(at) else { return Gathered::default() };
        let gathered = match &part.way {
            Way::Plain => self.atom(rules, part.atom as usize),
            Way::Step { from, last } => {
                let before = self.part(rules, *from as usize);
                let has_empty = || (before.start..before.end).any(|at| self.sieve.value(at) == ValueId::EMPTY);
                // Most values are left as they are by most transformations.
                let may_change = part.may_change.meets(&before.held) || (part.may_change_empty && has_empty());
                if may_change { self.transform(rules, *last, before) } else { before }
            }
            Way::Any(parts) => self.all_of(rules, parts),
        };
        if let Some(place) = self.sieve.parts.get_mut(at) {
            *place = gathered;
        }
        gathered
    }

    fn transform(&mut self, rules: &Rules, transformation: Transformation, before: Gathered) -> Gathered {
        let start = self.sieve.values.len();
        let mut has_changed = false;
        for at in before.start..before.end {
            let value = self.sieve.value(at);
            let next = self.step(value, transformation);
            has_changed |= next != value;
            self.sieve.values.push(next);
        }
        if has_changed {
            return self.put_together(rules, start);
        }
        self.sieve.values.truncate(start);
        before
    }

    /// The values of several parts, most of which have the same ones.
    fn all_of(&mut self, rules: &Rules, parts: &[u32]) -> Gathered {
        let mut different: SmallVec<[Gathered; 8]> = SmallVec::new();
        for part in parts {
            let part = self.part(rules, *part as usize);
            if different.iter().all(|other| other.start != part.start) {
                different.push(part);
            }
        }
        if let [one] = different.as_slice() {
            return *one;
        }
        let start = self.sieve.values.len();
        for part in &different {
            self.sieve.values.extend_from_within(part.start as usize..part.end as usize);
        }
        self.put_together(rules, start)
    }

    /// The values of a variable, each once, and what they are candidates of.
    fn atom(&mut self, rules: &Rules, at: usize) -> Gathered {
        if let Some(known) = self.sieve.atoms.get(at).filter(|known| known.when == self.epoch) {
            return *known;
        }
        let mut found = std::mem::take(&mut self.sieve.found);
        found.clear();
        let targets = rules.index.atoms.get(at).map(Vec::as_slice).unwrap_or_default();
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
        if let Some(place) = self.sieve.atoms.get_mut(at) {
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
}

pub(super) fn has(candidates: &[Row], Probe(number): Probe) -> bool {
    let number = number as usize;
    let word = candidates.get(number / ROW).and_then(|row| row.get(number % ROW / 64));
    word.is_some_and(|word| word >> (number % 64) & 1 == 1)
}

/// What is known of more values than these is not kept room for.
const MANY: usize = 16 * 1024;

/// No place.
pub(super) const NOWHERE: u32 = u32::MAX;

/// So many operators are asked about a value before texts are looked for in it.
pub(super) const DIRECTLY: u32 = 2;
