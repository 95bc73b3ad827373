//! What rules do in every transaction in which nothing is found, worked out at load.
//!
//! Rule sets begin by setting variables of `TX`, and pass over levels that are switched off by comparing those. As long as
//! no rule that looks at a request has changed such a variable, all of that comes to the same each time. Here the phases
//! are gone through once with the rules of this kind alone. What a row of them changes is written down, and done at once
//! where a transaction comes to it; one that has left this course goes on rule by rule.

use super::plan::{self, Plan};
use crate::Phase;
use crate::action::{Actions, Change, Disruptive, Effect};
use crate::engine::{Ending, Found, Name, Record};
use crate::operator::{Operator, integer};
use crate::rules::{Chain, Program, Rule, RuleAt};
use crate::slots::Slot;
use crate::target::{Manner, Selector, Target};
use crate::template::{Part, Template};
use crate::values::{Fixed, ValueId};
use crate::variable::Variable;

/// The course of a phase.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// In the order of their steps.
    stretches: Vec<Stretch>,
    /// By step: whether it is in one of them.
    steps: Vec<u64>,
}

/// Rules that come to the same in each transaction on course.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// The first step, and the one that follows.
    from: u32,
    pub(crate) to: u32,
    /// What is in `TX` afterwards, where that changes.
    pub(crate) changes: Vec<(Slot, Option<ValueId>)>,
    /// Their matches. The value of `UNIQUE_ID` is left empty in them.
    pub(crate) records: Vec<Record>,
    /// The chains that are asked.
    pub(crate) chains: Vec<u32>,
}

/// What a chain comes to.
struct Done {
    records: Vec<Record>,
    changes: Vec<(Slot, Option<ValueId>)>,
    is_match: bool,
}

struct Walk<'r> {
    chains: &'r [Chain],
    fixed: &'r mut Fixed,
    variables: Vec<Option<ValueId>>,
    /// What was looked at or changed.
    slots: Vec<Slot>,
}

/// The courses of all phases, run one after another, and the marks of what is in `TX` that they look at or change.
pub(super) fn courses(
    (chains, programs): (&[Chain], &[Program; Phase::COUNT]),
    plans: &[Plan; Phase::COUNT],
    slots: usize,
    fixed: &mut Fixed,
) -> ([Course; Phase::COUNT], Vec<u64>) {
    let mut walk = Walk { chains, fixed, variables: vec![None; slots], slots: Vec::new() };
    let mut both = programs.iter().zip(plans);
    let courses =
        std::array::from_fn(|_| both.next().map(|(program, plan)| walk.phase(program, plan)).unwrap_or_default());
    let mut on_course = vec![0; slots.div_ceil(64)];
    for slot in &walk.slots {
        plan::mark(&mut on_course, slot.0);
    }
    (courses, on_course)
}

impl Course {
    /// The stretch that begins at a step.
    pub(crate) fn at(&self, step: usize) -> Option<&Stretch> {
        let found = self.stretches.binary_search_by_key(&step, |stretch| stretch.from as usize).ok()?;
        self.stretches.get(found)
    }

    /// Whether a step comes to the same in each transaction on course.
    pub(crate) fn has(&self, step: usize) -> bool {
        plan::is_marked(&self.steps, super::number(step))
    }

    /// Whether passing over the steps from one up to another one leaves out what is changed on this course.
    pub(crate) fn changes_between(&self, from: usize, to: usize) -> bool {
        let overlaps = |stretch: &&Stretch| (stretch.from as usize) < to && (stretch.to as usize) > from;
        self.stretches.iter().filter(overlaps).any(|stretch| !stretch.changes.is_empty())
    }
}

impl Stretch {
    fn add(&mut self, chain: u32, done: Done, to: usize) {
        self.to = super::number(to);
        self.chains.push(chain);
        self.records.extend(done.records);
        for (slot, value) in done.changes {
            match self.changes.iter_mut().find(|(changed, _)| *changed == slot) {
                Some((_, last)) => *last = value,
                None => self.changes.push((slot, value)),
            }
        }
    }
}

impl Walk<'_> {
    fn phase(&mut self, program: &Program, plan: &Plan) -> Course {
        let mut course = Course { stretches: Vec::new(), steps: vec![0; plan.always.len()] };
        let mut open: Option<Stretch> = None;
        let mut next = 0;
        // Rules that look at a request are taken for such that do not match.
        while let Some((place, step)) =
            plan::next(&plan.always, next).and_then(|place| Some((place, program.steps.get(place)?)))
        {
            next = place + 1;
            let Some(done) = self.chain(step.chain) else {
                course.stretches.extend(open.take());
                continue;
            };
            if done.is_match {
                next = step.then as usize;
            }
            plan::mark(&mut course.steps, super::number(place));
            let stretch = open.get_or_insert_with(|| Stretch {
                from: super::number(place),
                to: 0,
                changes: Vec::new(),
                records: Vec::new(),
                chains: Vec::new(),
            });
            stretch.add(step.chain, done, next);
        }
        course.stretches.extend(open);
        course
    }

    /// What a chain comes to, if that is the same in each transaction.
    fn chain(&mut self, number: u32) -> Option<Done> {
        let (variables, slots) = (self.variables.clone(), self.slots.len());
        let done = self.links(number);
        if done.is_none() {
            self.variables = variables;
            self.slots.truncate(slots);
        }
        done
    }

    fn links(&mut self, number: u32) -> Option<Done> {
        let links = &self.chains.get(number as usize)?.links;
        let head = &links.first()?.actions;
        let mut done = Done { records: Vec::new(), changes: Vec::new(), is_match: false };
        for (link, rule) in (0_u32..).zip(links) {
            let Some((found, value)) = self.asked(rule)? else { return Some(done) };
            for effect in &rule.actions.effects {
                done.changes.push(self.changed(effect)?);
            }
            let is_last = link as usize + 1 == links.len();
            let ending = if is_last { Some(ending(head)?) } else { None };
            done.records.push(Record { at: RuleAt { chain: number, link }, found, value, ending });
        }
        done.is_match = true;
        Some(done)
    }

    /// What a rule matches, if anything, and the value after transformations; nothing if that depends on the request.
    #[expect(clippy::option_option, reason = "whether it is known and what is known are two questions")]
    fn asked(&mut self, rule: &Rule) -> Option<Option<(Found, ValueId)>> {
        let actions = &rule.actions;
        let [target] = rule.targets.as_slice() else { return None };
        if actions.capture || actions.multi_match {
            return None;
        }
        let Some(found) = self.found(target)? else { return Some(None) };
        if found.variable == Variable::UniqueId {
            let is_plain = actions.transformations.is_empty() && matches!(rule.operator, Operator::Always);
            return is_plain.then_some((!rule.negated).then_some((found, found.value)));
        }
        let value = actions.transformations.iter().fold(found.value, |value, transformation| {
            let mut changed = Vec::new();
            let is_other = transformation.apply(self.fixed.bytes(value), &mut changed);
            if is_other { self.fixed.intern(&changed) } else { value }
        });
        let Operator::Compare(comparison, template) = &rule.operator else { return None };
        let parameter = self.expanded(template)?;
        let holds = comparison.holds(integer(self.fixed.bytes(value)), integer(self.fixed.bytes(parameter)));
        Some((holds != rule.negated).then_some((found, value)))
    }

    #[expect(clippy::option_option, reason = "whether it is known and whether it is there are two questions")]
    fn found(&mut self, target: &Target) -> Option<Option<Found>> {
        let slot = match (target.variable, &target.selector) {
            (Variable::UniqueId, _) if target.manner == Manner::Include => {
                return Some(Some(Found { variable: Variable::UniqueId, name: Name::None, value: ValueId::EMPTY }));
            }
            (Variable::Tx, Selector::Slot(slot)) => *slot,
            _ => return None,
        };
        let present = self.variable(slot);
        let found = match target.manner {
            Manner::Include => present.map(|value| (Name::Slot(slot), value)),
            Manner::Count => {
                let count: &[u8] = if present.is_some() { b"1" } else { b"0" };
                Some((Name::Counted, self.fixed.intern(count)))
            }
            Manner::Exclude => return None,
        };
        Some(found.map(|(name, value)| Found { variable: Variable::Tx, name, value }))
    }

    fn changed(&mut self, effect: &Effect) -> Option<(Slot, Option<ValueId>)> {
        let Effect::Set { slot, change } = effect else { return None };
        let new = match change {
            Change::Unset => None,
            Change::To(template) => Some(self.expanded(template)?),
            Change::Up(template) | Change::Down(template) => {
                let by = self.expanded(template)?;
                let old = self.variable(*slot);
                let number = |value: ValueId| integer(self.fixed.bytes(value));
                let new = change.counted(old.map_or(0, number), number(by));
                Some(self.fixed.intern(new.to_string().as_bytes()))
            }
        };
        self.slots.push(*slot);
        if let Some(place) = self.variables.get_mut(slot.0 as usize) {
            *place = new;
        }
        Some((*slot, new))
    }

    /// The text of a template in which nothing stands but variables of `TX`.
    fn expanded(&mut self, template: &Template) -> Option<ValueId> {
        let mut text = Vec::new();
        for part in &template.parts {
            match part {
                Part::Text(plain) => text.extend_from_slice(plain),
                Part::Macro(target) => {
                    let (Variable::Tx, Selector::Slot(slot)) = (target.variable, &target.selector) else { return None };
                    if let Some(value) = self.variable(*slot) {
                        text.extend_from_slice(self.fixed.bytes(value));
                    }
                }
            }
        }
        Some(self.fixed.intern(&text))
    }

    fn variable(&mut self, slot: Slot) -> Option<ValueId> {
        self.slots.push(slot);
        self.variables.get(slot.0 as usize).copied().flatten()
    }
}

/// What is logged of a chain, if that is the same in each transaction and nothing else follows from its match.
fn ending(actions: &Actions) -> Option<Ending> {
    let (log, audit) = (actions.log, actions.audit_log);
    let says = (log || audit) && (actions.message.is_some() || actions.data.is_some());
    let is_alone = actions.severity.is_none() && matches!(actions.disruptive, Disruptive::Pass);
    (is_alone && !says).then_some(Ending { log, audit, ..Ending::SILENT })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;
    use crate::settings::Compatibility;

    #[test]
    fn rules_in_a_row_that_look_at_variables_alone_are_one_stretch() {
        let content = r#"
            SecAction "id:1,phase:1,pass,nolog,setvar:tx.a=1"
            SecRule TX:a "@lt 2" "id:2,phase:1,pass,nolog,skipAfter:END"
            SecRule ARGS "@rx x" "id:3,phase:1,pass,setvar:tx.a=3"
            SecMarker END
            SecRule REQUEST_METHOD "!@rx GET" "id:4,phase:1,pass"
            SecAction "id:5,phase:1,pass,nolog,setvar:tx.b=+%{tx.a},setvar:tx.b=+%{tx.b}"
        "#;
        let rules = Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap();

        let course = rules.index.course(Phase::RequestHead).unwrap();

        let spans: Vec<_> = course.stretches.iter().map(|stretch| (stretch.from, stretch.to)).collect();
        assert_eq!(spans, [(0, 3), (4, 5)]);
        let changes: Vec<_> = course.at(4).unwrap().changes.iter().map(|(_, value)| value.unwrap()).collect();
        let texts: Vec<_> = changes.iter().map(|value| rules.start.fixed.bytes(*value)).collect();
        assert_eq!(texts, [b"2"]);
        assert!(course.changes_between(2, 5) && !course.changes_between(3, 4));
    }
}
