//! Rules that come to the same in every transaction, done at once.

use std::ops::Range;

use super::state::{Course, Evaluation, Transaction};
use crate::Phase;
use crate::prefilter;
use crate::rules::Rules;
use crate::variable::Variable;

impl Transaction {
    /// Finds out whether all before a phase went as it was foreseen.
    pub(super) fn check_course(&mut self, in_order: bool) {
        if !in_order || self.environment.evaluation == Evaluation::Plain {
            self.course = Course::Left;
        }
    }

    /// Does what the rules from a step on come to in each transaction on course, and says where to go on.
    pub(super) fn hasten(&mut self, rules: &Rules, phase: Phase, place: usize) -> Option<usize> {
        if self.course == Course::Left {
            return None;
        }
        let stretch = rules.index.course(phase)?.at(place)?;
        if stretch.chains.iter().any(|chain| self.loses(*chain)) {
            self.course = Course::Left;
            return None;
        }
        // A rule in between that may match is asked at its place.
        if !self.sieve.only_always(rules, phase, place..stretch.to as usize) {
            return None;
        }
        for (slot, value) in &stretch.changes {
            if let Some(place) = self.variables.get_mut(slot.0 as usize) {
                *place = *value;
            }
        }
        let unique_id = self.scalar(Variable::UniqueId).unwrap_or_default();
        let before = self.records.len();
        self.records.extend_from_slice(&stretch.records);
        for record in self.records.iter_mut().skip(before) {
            if record.found.variable == Variable::UniqueId {
                (record.found.value, record.value) = (unique_id, unique_id);
            }
        }
        if let Some(last) = self.records.get(before..).and_then(<[_]>::last) {
            self.last_match = Some((last.found, last.value));
        }
        Some(stretch.to as usize)
    }

    /// Notes where a chain has led that was asked by itself: from its step to the one that is next.
    pub(super) fn check_chain(&mut self, course: Option<&prefilter::Course>, chain: u32, steps: Range<usize>) {
        let touched = std::mem::replace(&mut self.touched, false);
        if self.course == Course::Left {
            return;
        }
        let leaves = course.is_none_or(|course| {
            if course.has(steps.start) {
                self.loses(chain)
            } else {
                touched || course.changes_between(steps.start + 1, steps.end)
            }
        });
        if leaves {
            self.course = Course::Left;
        }
    }

    /// Notes that a chain was left out.
    pub(super) fn check_left_out(&mut self, course: Option<&prefilter::Course>, place: usize) {
        if course.is_none_or(|course| course.has(place)) {
            self.course = Course::Left;
        }
    }

    /// Whether some `ctl` or exclusion took a chain out, or something that it looks at.
    fn loses(&self, chain: u32) -> bool {
        let removals = &self.control.removals;
        self.control.removed.contains(chain) || removals.iter().any(|removal| removal.chains.contains(chain))
    }
}
