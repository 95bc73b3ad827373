//! What makes most rules not worth asking: which bytes and which texts a value must have for an operator to hold.
//!
//! For each operator the loader works out what every match of it has: one of some literals, and bytes out of some sets.
//! A value is scanned once for the literals of all operators together. What is left are candidates, which are asked; a
//! rule none of whose values is a candidate cannot match, and has no effect. All of it only ever says "perhaps": the
//! verdict always comes from the operator itself.

mod needs;
mod scan;
mod sieve;

use hashbrown::HashMap;
use payload::ByteSet;
use payload::transform::Transformation;

use self::needs::Needs;
use self::scan::Scanner;
pub(crate) use self::sieve::Sieve;
use crate::operator::{Comparison, Operator, Relation, integer};
use crate::rules::{Chain, Rule};
use crate::slots::Slot;
use crate::target::{Manner, Selector, Target};
use crate::variable::Variable;

/// What is worked out about all rules before any request.
#[derive(Debug)]
pub(crate) struct Index {
    /// By chain: how to find out soon that it cannot match.
    tests: Vec<Test>,
    /// By rule: its operator among those that values are sieved for.
    probes: Vec<Option<Probe>>,
    groups: Vec<Group>,
    scanner: Scanner,
}

/// An operator that values are sieved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Probe(u32);

/// What says soon that a chain cannot match.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    /// Nothing does: its first rule is asked.
    None,
    /// No value of the group is a candidate of the operator.
    Sieved { group: u32, probe: Probe },
    /// A number in `TX` does not compare as it must.
    Number(NumberTest),
}

/// The comparison of a number in `TX`, or of whether it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberTest {
    slot: Slot,
    counted: bool,
    comparison: Comparison,
    number: i64,
    negated: bool,
}

/// Rules that look at the same values in the same way.
#[derive(Debug)]
pub(crate) struct Group {
    targets: Vec<Target>,
    transformations: Vec<Transformation>,
    multi_match: bool,
}

impl Index {
    pub(crate) fn of(chains: &[Chain]) -> Self {
        let mut building = Building::default();
        let rules = chains.iter().map(|chain| chain.links.len()).sum();
        let mut probes = vec![None; rules];
        let mut tests = Vec::with_capacity(chains.len());
        for chain in chains {
            for rule in &chain.links {
                if let Some(place) = probes.get_mut(rule.number as usize) {
                    *place = building.probe(rule);
                }
            }
            let head = chain.links.first();
            let probe = head.and_then(|head| probes.get(head.number as usize).copied().flatten());
            tests.push(match (head, probe) {
                (None, _) => Test::None,
                (Some(head), None) => number_test(head).map_or(Test::None, Test::Number),
                (Some(head), Some(_)) if is_volatile(head) => Test::None,
                (Some(head), Some(probe)) => Test::Sieved { group: building.group(head), probe },
            });
        }
        Self { tests, probes, groups: building.groups, scanner: Scanner::of(&building.needs) }
    }

    pub(crate) fn test(&self, chain: u32) -> Test {
        self.tests.get(chain as usize).copied().unwrap_or(Test::None)
    }

    pub(crate) fn probe(&self, rule: &Rule) -> Option<Probe> {
        self.probes.get(rule.number as usize).copied().flatten()
    }
}

#[derive(Default)]
struct Building {
    needs: Vec<Needs>,
    by_text: HashMap<String, Probe>,
    groups: Vec<Group>,
    by_values: HashMap<String, u32>,
}

impl Building {
    /// The probe of a rule's operator, if what it needs can be told.
    fn probe(&mut self, rule: &Rule) -> Option<Probe> {
        if rule.negated {
            return None;
        }
        let needs = needs(&rule.operator)?;
        // The same expression is the same probe, wherever it stands.
        let text = match &rule.operator {
            Operator::Matches(matcher) => Some(matcher.regex.as_str().to_owned()),
            _ => None,
        };
        if let Some(probe) = text.as_ref().and_then(|text| self.by_text.get(text)) {
            return Some(*probe);
        }
        let probe = Probe(u32::try_from(self.needs.len()).unwrap_or(u32::MAX));
        self.needs.push(needs);
        if let Some(text) = text {
            self.by_text.insert(text, probe);
        }
        Some(probe)
    }

    fn group(&mut self, rule: &Rule) -> u32 {
        let actions = &rule.actions;
        let key = format!("{:?} {:?} {}", rule.targets, actions.transformations, actions.multi_match);
        let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let group = *self.by_values.entry(key).or_insert(next);
        if group == next {
            self.groups.push(Group {
                targets: rule.targets.clone(),
                transformations: actions.transformations.clone(),
                multi_match: actions.multi_match,
            });
        }
        group
    }
}

fn is_volatile(rule: &Rule) -> bool {
    rule.targets.iter().any(|target| target.variable.is_volatile())
}

/// What a value must have for an operator to hold.
fn needs(operator: &Operator) -> Option<Needs> {
    match operator {
        Operator::Matches(matcher) => Some(needs::of_pattern(matcher.regex.as_str())),
        Operator::Phrases(phrases) => Some(Needs::one_of(phrases.all())),
        Operator::Text(relation, template) => match relation {
            Relation::Equals
            | Relation::BeginsWith
            | Relation::EndsWith
            | Relation::Contains
            | Relation::ContainsWord => template.constant().map(|text| Needs::one_of(&[text.to_vec()])),
            Relation::Within => None,
        },
        Operator::ByteRange(ranges) => Some(Needs::a_byte_of(ranges.allowed().complement())),
        Operator::UrlEncoding => Some(Needs::a_byte_of(ByteSet::new(b"%"))),
        Operator::Utf8Encoding => Some(Needs::a_byte_of(ByteSet::EMPTY.with_range(0x80, 0xff))),
        Operator::MatchesTemplate(_)
        | Operator::Compare(..)
        | Operator::Networks(_)
        | Operator::Sqli
        | Operator::Xss
        | Operator::Number(..)
        | Operator::Always
        | Operator::Never => None,
    }
}

/// Whether a rule compares one number of `TX` with a constant.
fn number_test(rule: &Rule) -> Option<NumberTest> {
    let [target] = rule.targets.as_slice() else { return None };
    let (Variable::Tx, Selector::Slot(slot)) = (target.variable, &target.selector) else { return None };
    let Operator::Compare(comparison, template) = &rule.operator else { return None };
    if !rule.actions.transformations.is_empty() || target.manner == Manner::Exclude {
        return None;
    }
    Some(NumberTest {
        slot: *slot,
        counted: target.manner == Manner::Count,
        comparison: *comparison,
        number: integer(template.constant()?),
        negated: rule.negated,
    })
}
