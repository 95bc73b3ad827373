//! Which rules can run at all: what rules before them leave in `TX` decides where most skips lead, before any request.
//!
//! Rule sets switch whole levels off by comparing a number in `TX` and skipping on. That number mostly comes from a rule
//! that always runs. Here each phase is gone through once with what is known of `TX`: the same value on all ways that lead
//! to a place, or nothing. It holds for transactions that begin with nothing in `TX` and run each phase to its end; others
//! do without.

use hashbrown::HashMap;

use super::{NumberTest, number_test};
use crate::Phase;
use crate::action::{Change, Control, Effect};
use crate::chains::ChainSet;
use crate::operator::{Operator, integer};
use crate::rules::{Chain, Program, Rule, Step};
use crate::slots::{Slot, Slots};
use crate::target::{Manner, Selector, Target};
use crate::template::{Part, Template};
use crate::variable::Variable;

/// The chains that some transaction may come to, and those of them that must be asked for it to hold: of which it is relied on
/// that they match.
pub(super) fn reachable(chains: &[Chain], programs: &[Program; Phase::COUNT], slots: &Slots) -> (ChainSet, ChainSet) {
    let mut walk = Walk {
        chains,
        slots,
        removals: Vec::new(),
        weakened: ChainSet::default(),
        texts: Vec::new(),
        reached: ChainSet::default(),
        relied_on: ChainSet::default(),
    };
    let mut state = vec![Known::Unset; slots.len()];
    for (phase, program) in programs.iter().enumerate() {
        if phase == Phase::Logging as usize {
            // It runs whatever became of the phases before it.
            program.steps.iter().for_each(|step| walk.reached.insert(step.chain));
        } else {
            state = walk.phase(program, state);
        }
    }
    (walk.reached, walk.relied_on)
}

/// What is known of a name in `TX` at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Unset,
    /// The text of that number.
    Is(u32),
    Unknown,
}

type State = Vec<Known>;

/// Whether a rule matches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Always,
    Never,
    Perhaps,
}

/// How a chain is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LeftOut {
    Alone,
    /// Together with all chains that a match of it would pass over.
    WithSkipped,
}

struct Walk<'r> {
    chains: &'r [Chain],
    slots: &'r Slots,
    /// Chains that some `ctl` has taken out by then, each with those that it takes out together with them.
    removals: Vec<&'r ChainSet>,
    /// Chains that may not look at what decides them.
    weakened: ChainSet,
    texts: Vec<Box<[u8]>>,
    reached: ChainSet,
    relied_on: ChainSet,
}

impl<'r> Walk<'r> {
    /// What is known behind a phase, given what is known before it.
    fn phase(&mut self, program: &Program, before: State) -> State {
        let end = program.steps.len();
        // What comes to a step on ways that jumped over others.
        let mut jumps: HashMap<usize, State> = HashMap::new();
        let mut here = Some(before.clone());
        for (place, step) in program.steps.iter().enumerate() {
            let state = merge(here.take(), jumps.remove(&place));
            let Some(state) = state else { continue };
            let then = (step.then as usize).min(end);
            let skipped = program.steps.get(place + 1..then).unwrap_or_default();
            let left_out = self.left_out(step.chain, skipped).map(|left_out| (left_out, state.clone()));
            let (mut matched, mut not) = self.step(step.chain, state);
            match left_out {
                Some((LeftOut::Alone, state)) => not = merge(not, Some(state)),
                // What it would have passed over is left out with it.
                Some((LeftOut::WithSkipped, state)) => matched = merge(matched, Some(state)),
                None => {}
            }
            here = not;
            if then == place + 1 {
                here = merge(here, matched);
            } else {
                let joined = merge(jumps.remove(&then), matched);
                jumps.extend(joined.map(|state| (then, state)));
            }
        }
        // A phase that nobody comes out of is one in which nothing runs.
        merge(here, jumps.remove(&end)).unwrap_or(before)
    }

    /// What is known if a chain matched, and if it did not.
    fn step(&mut self, number: u32, state: State) -> (Option<State>, Option<State>) {
        let chain = self.chains.get(number as usize);
        let Some((chain, head)) = chain.and_then(|chain| Some((chain, chain.links.first()?))) else {
            return (None, Some(state));
        };
        self.reached.insert(number);
        let mut state = state;
        let mut not = None;
        for rule in &chain.links {
            let outcome = match self.outcome(rule, &state) {
                Outcome::Always if self.weakened.contains(number) => Outcome::Perhaps,
                outcome => outcome,
            };
            if outcome == Outcome::Always && std::ptr::eq(rule, head) {
                self.relied_on.insert(number);
            }
            if outcome != Outcome::Always {
                not = merge(not, Some(state.clone()));
            }
            if outcome == Outcome::Never {
                return (None, not);
            }
            self.affect(rule, &mut state);
        }
        (Some(state), not)
    }

    fn outcome(&self, rule: &Rule, state: &State) -> Outcome {
        match &rule.operator {
            Operator::Always if !rule.negated && is_unconditional(rule) => Outcome::Always,
            Operator::Never if !rule.negated => Outcome::Never,
            _ => number_test(rule, 1).map_or(Outcome::Perhaps, |test| self.compared(&test, state)),
        }
    }

    fn compared(&self, test: &NumberTest, state: &State) -> Outcome {
        let known = state.get(test.slot.0 as usize).copied().unwrap_or(Known::Unknown);
        let number = match (known, test.counted) {
            (Known::Unknown, _) => return Outcome::Perhaps,
            (Known::Unset, false) => return Outcome::Never,
            (Known::Unset, true) => 0,
            (Known::Is(_), true) => 1,
            (Known::Is(text), false) => integer(self.text(text)),
        };
        if test.comparison.holds(number, test.number) == test.negated { Outcome::Never } else { Outcome::Always }
    }

    /// Whether some `ctl` before may have taken a chain out, and perhaps all that it passes over.
    fn left_out(&self, number: u32, skipped: &[Step]) -> Option<LeftOut> {
        let mut removals = self.removals.iter().filter(|removed| removed.contains(number)).peekable();
        removals.peek()?;
        let with_skipped = removals.all(|removed| skipped.iter().all(|step| removed.contains(step.chain)));
        Some(if with_skipped { LeftOut::WithSkipped } else { LeftOut::Alone })
    }

    /// What a match of a rule changes.
    fn affect(&mut self, rule: &'r Rule, state: &mut State) {
        if rule.actions.capture {
            state.iter_mut().take(Slots::CAPTURES).for_each(|known| *known = Known::Unknown);
        }
        // A rule with several values may match, and have its effects, several times.
        let is_once = is_unconditional(rule) || number_test(rule, 1).is_some();
        for effect in &rule.actions.effects {
            match effect {
                Effect::Set { slot, change } => {
                    let new = match change {
                        Change::Unset => Known::Unset,
                        Change::To(template) if is_once || template.constant().is_some() => {
                            self.expanded(template, state)
                        }
                        Change::To(_) | Change::Up(_) | Change::Down(_) => Known::Unknown,
                    };
                    if let Some(known) = state.get_mut(slot.0 as usize) {
                        *known = new;
                    }
                }
                Effect::SetNamed { collection: Variable::Tx, name, .. } => self.affect_named(name, state),
                Effect::Control(Control::RemoveRules(_, chains)) => self.removals.push(chains),
                Effect::Control(Control::RemoveTargets(_, removal)) if removal.targets.iter().any(decides) => {
                    self.weakened.add(&removal.chains);
                }
                _ => {}
            }
        }
    }

    /// A name with macros may be any that begins like it.
    fn affect_named(&self, name: &Template, state: &mut State) {
        let start = match name.parts.first() {
            Some(Part::Text(text)) => text.to_ascii_lowercase(),
            _ => Vec::new(),
        };
        for (number, known) in (0..).zip(state.iter_mut()) {
            if self.slots.name(Slot(number)).to_ascii_lowercase().starts_with(&start) {
                *known = Known::Unknown;
            }
        }
    }

    fn expanded(&mut self, template: &Template, state: &State) -> Known {
        let mut text = Vec::new();
        for part in &template.parts {
            match part {
                Part::Text(plain) => text.extend_from_slice(plain),
                Part::Macro(target) => match (target.variable, &target.selector) {
                    (Variable::Tx, Selector::Slot(slot)) => match state.get(slot.0 as usize) {
                        Some(Known::Is(known)) => text.extend_from_slice(self.text(*known)),
                        Some(Known::Unset) => {}
                        Some(Known::Unknown) | None => return Known::Unknown,
                    },
                    _ => return Known::Unknown,
                },
            }
        }
        let known = self.texts.iter().position(|known| **known == *text);
        let number = known.unwrap_or_else(|| {
            self.texts.push(text.into());
            self.texts.len() - 1
        });
        u32::try_from(number).map_or(Known::Unknown, Known::Is)
    }

    fn text(&self, number: u32) -> &[u8] {
        self.texts.get(number as usize).map_or(&[], |text| text)
    }
}

/// Whether a rule looks at nothing but what every transaction has.
fn is_unconditional(rule: &Rule) -> bool {
    matches!(rule.targets.as_slice(), [target] if target.variable == Variable::UniqueId && target.manner == Manner::Include)
}

fn merge(one: Option<State>, other: Option<State>) -> Option<State> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            for (known, other) in one.iter_mut().zip(other) {
                if *known != other {
                    *known = Known::Unknown;
                }
            }
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

/// Whether rules whose outcome is known look at such a variable.
pub(super) fn decides(target: &Target) -> bool {
    matches!(target.variable, Variable::Tx | Variable::UniqueId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;
    use crate::settings::Compatibility;

    /// The rules that requests come to.
    fn reached(content: &str) -> Vec<u64> {
        let rules = Rules::parse("rules.conf", content.as_bytes(), Compatibility::Strict).unwrap();
        let (reached, _) = reachable(&rules.chains, &rules.programs, &rules.slots);
        let all = (0..).zip(&rules.chains).filter(|(number, _)| reached.contains(*number));
        all.filter_map(|(_, chain)| chain.links.first()?.actions.id).collect()
    }

    const LEVELS: &str = r#"
        SecRule &TX:blocking "@eq 0" "id:1,phase:1,pass,nolog,setvar:tx.blocking=1"
        SecRule &TX:level "@eq 0" "id:2,phase:1,pass,nolog,setvar:tx.level=%{tx.blocking}"
        SecRule TX:level "@lt 1" "id:3,phase:2,pass,nolog,skipAfter:END"
        SecRule ARGS "@rx a" "id:4,phase:2,pass"
        SecRule TX:level "@lt 2" "id:5,phase:2,pass,nolog,skipAfter:END"
        SecRule ARGS "@rx b" "id:6,phase:2,pass"
        SecMarker END
        SecRule ARGS "@rx c" "id:7,phase:2,pass"
    "#;

    #[test]
    fn what_a_constant_skips_is_not_reached() {
        assert_eq!(reached(LEVELS), [1, 2, 3, 4, 5, 7]);
        let higher = format!("SecAction \"id:8,phase:1,pass,nolog,setvar:tx.blocking=2\"\n{LEVELS}");
        assert_eq!(reached(&higher), [8, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn what_is_taken_out_with_the_skip_over_it_is_not_reached() {
        let all = r#"SecRule ARGS "@rx x" "id:8,phase:1,pass,ctl:ruleRemoveById=5-6""#;
        let [before, after] = LEVELS.split_once("SecRule TX:level \"@lt 1\"").map(|(a, b)| [a, b]).unwrap();
        let late = format!("{before}\n{all}\nSecRule TX:level \"@lt 1\"{after}");
        assert!(!reached(&late).contains(&6));
    }

    #[test]
    fn what_a_request_decides_is_reached() {
        for rule in [
            r#"SecRule ARGS "@rx x" "id:8,phase:1,pass,setvar:tx.level=3""#,
            r#"SecRule ARGS "@rx x" "id:8,phase:1,pass,setvar:tx.%{MATCHED_VAR}=3""#,
            r#"SecAction "id:8,phase:1,pass,setvar:tx.level=%{ARGS.level}""#,
            r#"SecAction "id:8,phase:1,pass,ctl:ruleRemoveById=5""#,
            r#"SecRule ARGS "@rx x" "id:8,phase:1,pass,ctl:ruleRemoveTargetById=5;TX:level""#,
        ] {
            assert!(reached(&format!("{rule}\n{LEVELS}")).contains(&6), "{rule}");
        }
    }
}
