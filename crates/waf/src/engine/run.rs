//! A phase: rules in their order, chains, skips, and what a match leads to.

use std::sync::Arc;

use smallvec::smallvec;

use super::matched::{Ending, Record};
use super::state::{Evaluation, Found, Transaction};
use crate::Phase;
use crate::action::{Actions, Disruptive, Reach, Removal, Scope};
use crate::operator::{Answer, Captures, Operator};
use crate::prefilter::{Domain, Foreseen, Settled};
use crate::rules::{Rule, RuleAt, Rules};
use crate::settings::Engine;
use crate::slots::{Slot, Slots};
use crate::values::ValueId;
use crate::variable::Variable;

/// What a phase comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The transaction goes on.
    Pass,
    /// It does not.
    Interrupt(Intervention),
}

/// Why a transaction does not go on, and what is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervention {
    /// The rule, unless it is a limit that was exceeded.
    pub rule: Option<RuleAt>,
    /// The phase in which it matched.
    pub phase: Phase,
    /// The status to answer with.
    pub status: u16,
    /// Where to send the client instead.
    pub redirect: Option<Vec<u8>>,
    /// Whether the connection is to be closed without an answer.
    pub drop: bool,
}

/// A rule that is asked, and what it stands in.
#[derive(Clone, Copy)]
struct Asked<'r> {
    rules: &'r Rules,
    rule: &'r Rule,
    /// The rules of its chain, itself included.
    links: &'r [Rule],
    at: RuleAt,
    phase: Phase,
}

/// What a rule or a chain came to.
enum Came {
    Matched,
    Not,
    Interrupted,
}

impl Transaction {
    /// Runs the rules of a phase.
    ///
    /// Phases are asked in their order; what a phase needs must be told before. Once the transaction was interrupted, only
    /// the phase of logging still runs.
    pub fn phase(&mut self, phase: Phase) -> Verdict {
        if phase >= Phase::ResponseHead && self.control.allowed == Some(Scope::Request) {
            self.control.allowed = None;
        }
        if self.control.engine == Engine::Off || !self.is_due(phase) {
            return Verdict::Pass;
        }
        if phase == Phase::RequestBody
            && let Some(intervention) = self.read_request_body()
        {
            return self.interrupt(intervention);
        }
        let rules = Arc::clone(&self.rules);
        self.domain = if phase <= Phase::RequestBody { Domain::Request } else { Domain::Answer };
        self.matched_vars.clear();
        let settled = self.settled(phase);
        self.foresee_phase(&rules, phase, settled);
        let steps = &rules.program(phase).steps;
        let course = rules.index.course(phase);
        let mut next = 0;
        while let Some((place, step)) = self.sieve.next(next).and_then(|place| Some((place, steps.get(place)?))) {
            if let Some(to) = self.hasten(&rules, phase, place) {
                next = to;
                continue;
            }
            next = place + 1;
            if self.control.removed.contains(step.chain) {
                self.check_left_out(course, place);
                continue;
            }
            match self.chain(&rules, step.chain, phase) {
                Came::Matched => next = step.then as usize,
                Came::Not => {}
                Came::Interrupted => return self.leave(phase),
            }
            self.check_chain(course, step.chain, place..next);
            self.matched_vars.clear();
            let allowed = self.control.allowed.is_some() && phase != Phase::Logging;
            if allowed || self.control.engine == Engine::Off {
                return self.leave(phase);
            }
        }
        if settled == Settled::Yes {
            self.completed = Some(phase);
        }
        self.leave(phase)
    }

    /// Whether every phase before this one ran to its end, from the very beginning on.
    fn settled(&mut self, phase: Phase) -> Settled {
        let completed = self.completed.take();
        let is_first = || self.variables.iter().all(Option::is_none) && self.others.is_empty();
        let is_settled = match phase {
            Phase::RequestHead => is_first(),
            Phase::RequestBody => completed == Some(Phase::RequestHead),
            Phase::ResponseHead => completed == Some(Phase::RequestBody),
            Phase::ResponseBody => completed == Some(Phase::ResponseHead),
            Phase::Logging => completed == Some(Phase::ResponseBody),
        };
        let is_settled = is_settled && self.control.foreseen == Settled::Yes;
        self.check_course(is_settled);
        // The rules of the last phase are all taken for such that may run.
        let is_settled = is_settled || phase == Phase::Logging;
        if is_settled { Settled::Yes } else { Settled::No }
    }

    fn leave(&mut self, phase: Phase) -> Verdict {
        if self.control.allowed == Some(Scope::Phase) {
            self.control.allowed = None;
        }
        self.verdict(phase)
    }

    pub(super) fn is_due(&self, phase: Phase) -> bool {
        if phase == Phase::Logging {
            return true;
        }
        self.intervention.is_none() && self.control.allowed.is_none()
    }

    fn verdict(&self, phase: Phase) -> Verdict {
        match &self.intervention {
            Some(intervention) if phase != Phase::Logging => Verdict::Interrupt(intervention.clone()),
            _ => Verdict::Pass,
        }
    }

    pub(super) fn interrupt(&mut self, intervention: Intervention) -> Verdict {
        self.intervention = Some(intervention.clone());
        Verdict::Interrupt(intervention)
    }

    fn chain(&mut self, rules: &Rules, number: u32, phase: Phase) -> Came {
        let Some(chain) = rules.chains.get(number as usize) else { return Came::Not };
        for (link, rule) in (0..).zip(&chain.links) {
            let at = RuleAt { chain: number, link };
            let came = match self.foresee(rules, rule, at) {
                Foreseen::No => Came::Not,
                Foreseen::Gate(found) => {
                    self.last_match = Some((found, found.value));
                    self.records.push(Record { at, found, value: found.value, ending: Some(Ending::SILENT) });
                    Came::Matched
                }
                Foreseen::Holds(found) => {
                    self.matched(&Asked { rules, rule, links: &chain.links, at, phase }, &found, found.value);
                    let is_over = self.intervention.is_some() && phase != Phase::Logging;
                    if is_over { Came::Interrupted } else { Came::Matched }
                }
                Foreseen::Perhaps => self.link(&Asked { rules, rule, links: &chain.links, at, phase }),
            };
            match came {
                Came::Matched => {}
                ended @ (Came::Not | Came::Interrupted) => return ended,
            }
        }
        Came::Matched
    }

    /// Asks one rule about all its values; each that matches has its effects.
    fn link(&mut self, asked: &Asked<'_>) -> Came {
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        self.recorded = 0;
        self.gather(&asked.rule.targets, asked.at, &mut found);
        if !self.control.removals.is_empty() {
            self.take_out(asked.at, &mut found);
        }
        let came = self.ask_all(asked, &found);
        self.found = found;
        came
    }

    fn ask_all(&mut self, asked: &Asked<'_>, found: &[Found]) -> Came {
        let actions = &asked.rule.actions;
        let mut came = Came::Not;
        for value in found {
            let stages = if actions.multi_match {
                self.stages(value.value, &actions.transformations)
            } else {
                smallvec![self.transformed(value.value, &actions.transformations)]
            };
            for stage in stages {
                match self.ask(asked, value, stage) {
                    Answer::Yes => came = Came::Matched,
                    Answer::No => {}
                    Answer::Unclear => return Came::Not,
                }
                if self.intervention.is_some() && asked.phase != Phase::Logging {
                    return Came::Interrupted;
                }
            }
        }
        came
    }

    /// Takes out what `ctl:ruleRemoveTarget...` said, and exclusions beside the rules.
    fn take_out(&self, at: RuleAt, found: &mut Vec<Found>) {
        let reaches = |removal: &Removal| at.is_head() || removal.reach == Reach::Chain;
        let meant = |removal: &&Arc<Removal>| removal.chains.contains(at.chain) && reaches(removal);
        for removal in self.control.removals.iter().filter(meant) {
            for target in &removal.targets {
                found.retain(|value| !self.is_meant(target, value));
            }
        }
    }

    /// Asks a rule about one value, and does what follows from a match.
    fn ask(&mut self, asked: &Asked<'_>, found: &Found, value: ValueId) -> Answer {
        let Asked { rules, rule, at, .. } = *asked;
        let fast = self.environment.evaluation == Evaluation::Fast;
        if fast && !self.can_match(rules, rule, value) {
            return Answer::No;
        }
        let parameter = match &rule.operator {
            Operator::MatchesTemplate(template) => self.expand_pattern(template, Some(at)),
            operator => match operator.template() {
                Some(template) => self.expand(template, Some(at)),
                None => ValueId::EMPTY,
            },
        };
        let mut captures = rule.actions.capture.then(Captures::default);
        let answer = rule.operator.ask(self.values.bytes(value), self.values.bytes(parameter), captures.as_mut());
        if let Some(captures) = captures.filter(|_| answer == Answer::Yes) {
            self.keep_captures(value, &captures);
        }
        match (answer, rule.negated) {
            (Answer::Yes, false) | (Answer::No, true) => {
                self.matched(asked, found, value);
                Answer::Yes
            }
            (Answer::Unclear, _) => Answer::Unclear,
            (Answer::Yes, true) => Answer::No,
            (Answer::No, false) => {
                if fast {
                    self.does_not_hold(rules, rule, value);
                }
                Answer::No
            }
        }
    }

    fn matched(&mut self, asked: &Asked<'_>, found: &Found, value: ValueId) {
        let Asked { rule, links, at, phase, .. } = *asked;
        self.last_match = Some((*found, value));
        // What matched in MATCHED_VARS is there already.
        if !matches!(found.variable, Variable::MatchedVars | Variable::MatchedVarsNames) {
            self.matched_vars.push((*found, value));
        }
        let head = links.first().unwrap_or(rule);
        let is_last = at.link as usize + 1 == links.len();
        if let Some(severity) = head.actions.severity.filter(|severity| is_last && *severity > 0) {
            self.highest_severity = self.highest_severity.min(severity);
        }
        for effect in &rule.actions.effects {
            self.perform(effect, at);
        }
        if is_last && self.recorded >= MOST_RECORDS {
            self.disrupted(&head.actions, at, phase);
            // The last record stands for what follows, too.
            if let Some(ending) = self.records.last_mut().and_then(|record| record.ending.as_mut()) {
                ending.repeated += 1;
            }
            return;
        }
        self.recorded += u32::from(is_last);
        let ending = is_last.then(|| self.end(&head.actions, at, phase));
        self.records.push(Record { at, found: *found, value, ending });
    }

    /// What the last rule of a chain leads to.
    fn end(&mut self, actions: &Actions, at: RuleAt, phase: Phase) -> Ending {
        let shown = actions.log || actions.audit_log;
        let message = actions.message.as_ref().filter(|_| shown).map(|text| self.compose(text, at));
        let data = actions.data.as_ref().filter(|_| shown).map(|text| self.compose(text, at));
        let interrupted = self.disrupted(actions, at, phase);
        Ending { message, data, log: actions.log, audit: actions.audit_log, interrupted, repeated: 0 }
    }

    fn disrupted(&mut self, actions: &Actions, at: RuleAt, phase: Phase) -> bool {
        phase != Phase::Logging && self.control.engine == Engine::On && self.disrupt(actions, at, phase)
    }

    /// Does what interrupts the transaction; says whether anything did.
    fn disrupt(&mut self, actions: &Actions, at: RuleAt, phase: Phase) -> bool {
        let deny = Intervention { rule: Some(at), phase, status: actions.status, redirect: None, drop: false };
        self.intervention = Some(match &actions.disruptive {
            Disruptive::Pass => return false,
            Disruptive::Allow(scope) => {
                self.control.allowed = Some(*scope);
                return false;
            }
            Disruptive::Deny => deny,
            Disruptive::Drop => Intervention { drop: true, ..deny },
            Disruptive::Redirect(to) => {
                let to = self.expand(to, Some(at));
                let status = if (300..400).contains(&actions.status) { actions.status } else { FOUND };
                Intervention { status, redirect: Some(self.values.bytes(to).to_vec()), ..deny }
            }
        });
        true
    }

    fn keep_captures(&mut self, value: ValueId, captures: &Captures) {
        let mut slots = (0..).map(Slot).take(Slots::CAPTURES);
        self.touched |= slots.any(|slot| self.rules.index.is_on_course(slot));
        if let Some(text) = &captures.text {
            let text = self.values.intern(text);
            if let Some(first) = self.variables.first_mut() {
                *first = Some(text);
            }
            return;
        }
        for number in 0..Slots::CAPTURES {
            let captured = captures.groups.get(number).map(|group| self.values.intern_part(value, group.clone()));
            if let Some(place) = self.variables.get_mut(number) {
                *place = captured;
            }
        }
    }
}

/// Values that are kept of one rule, each time it is asked. Whoever sends thousands of attacks must not fill memory with what
/// is said of them; of others it is known how many they are.
const MOST_RECORDS: u32 = 32;

/// The status of a redirection whose rule names none.
const FOUND: u16 = 302;
