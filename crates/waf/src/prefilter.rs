//! What makes most rules not worth asking: which bytes and which texts a value must have for an operator to hold.
//!
//! For each operator the loader works out what every match of it has: one of some literals, and bytes out of some sets.
//! A value is scanned once for the literals of all operators together. What is left are candidates, which are asked; a
//! rule none of whose values is a candidate cannot match, and has no effect. All of it only ever says "perhaps": the
//! verdict always comes from the operator itself.

mod needs;
mod scan;
mod sieve;
mod texts;

use hashbrown::HashMap;
use payload::ByteSet;
use payload::transform::Transformation;

pub(crate) use self::needs::Domain;
use self::needs::Needs;
use self::scan::Scanner;
pub(crate) use self::sieve::Sieve;
use crate::Phase;
use crate::action::Disruptive;
use crate::engine::Found;
use crate::operator::{Comparison, Operator, Relation, integer};
use crate::rules::{Chain, Rule};
use crate::slots::Slot;
use crate::target::{Manner, Selector, Target};
use crate::variable::Variable;

/// What is worked out about all rules before any request.
#[derive(Debug)]
pub(crate) struct Index {
    /// By rule: how to find out soon that it cannot match.
    tests: Vec<Test>,
    /// By rule: its operator among those that values are sieved for.
    probes: Vec<Option<Probe>>,
    /// Lists of targets, each once.
    lists: Vec<Vec<Target>>,
    groups: Vec<Group>,
    scanner: Scanner,
}

/// An operator that values are sieved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Probe(u32);

/// What says soon that a rule cannot match.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    /// Nothing does: it is asked.
    None,
    /// The operator holds for no value of the group, which only its candidates are asked about.
    Sieved { group: u32, probe: Probe },
    /// A detector finds nothing in any value of the group.
    Detected { group: u32, detector: Detector },
    /// A number in `TX` does not compare as it must.
    Number(NumberTest),
}

/// What is known of a rule before it is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Foreseen {
    /// It does not match, and has no effect.
    No,
    /// It matches with this value, and all that follows is where to go on.
    Gate(Found),
    Perhaps,
}

/// An operator that takes a value apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Detector {
    Sqli,
    Xss,
}

impl Detector {
    fn of(operator: &Operator) -> Option<Self> {
        match operator {
            Operator::Sqli => Some(Self::Sqli),
            Operator::Xss => Some(Self::Xss),
            _ => None,
        }
    }
}

/// The comparison of a number in `TX`, or of whether it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberTest {
    slot: Slot,
    counted: bool,
    comparison: Comparison,
    number: i64,
    negated: bool,
    /// Whether all that follows from a match is where to go on.
    is_gate: bool,
}

/// Rules that look at the same values in the same way.
#[derive(Debug)]
pub(crate) struct Group {
    /// The number of its list of targets.
    list: u32,
    transformations: Vec<Transformation>,
    multi_match: bool,
    /// A value without any of these bytes is left as it is.
    may_change: ByteSet,
    may_change_empty: bool,
}

impl Index {
    pub(crate) fn of(chains: &[Chain]) -> Self {
        let mut building = Building::default();
        let mut probes = Vec::new();
        let mut tests = Vec::new();
        for chain in chains {
            for rule in &chain.links {
                let probe = building.probe(rule, chain.phase);
                probes.push(probe);
                tests.push(building.test(rule, probe, chain.links.len()));
            }
        }
        let Building { needs, lists, groups, .. } = building;
        Self { tests, probes, lists, groups, scanner: Scanner::of(&needs) }
    }

    fn test(&self, rule: &Rule) -> Test {
        self.tests.get(rule.number as usize).copied().unwrap_or(Test::None)
    }

    pub(crate) fn probe(&self, rule: &Rule) -> Option<Probe> {
        self.probes.get(rule.number as usize).copied().flatten()
    }
}

#[derive(Default)]
struct Building {
    needs: Vec<Needs>,
    by_text: HashMap<String, Probe>,
    lists: Vec<Vec<Target>>,
    by_targets: HashMap<String, u32>,
    groups: Vec<Group>,
    by_values: HashMap<(u32, Vec<Transformation>, bool), u32>,
}

impl Building {
    /// The probe of a rule's operator, if what it needs can be told.
    fn probe(&mut self, rule: &Rule, phase: Phase) -> Option<Probe> {
        if rule.negated {
            return None;
        }
        let domain = if phase <= Phase::RequestBody { Domain::Request } else { Domain::Answer };
        let needs = Needs { domain, ..needs(&rule.operator)? };
        // The same expression is the same probe, wherever it stands.
        let text = match &rule.operator {
            Operator::Matches(matcher) => Some(matcher.regex.as_str().to_owned()),
            _ => None,
        };
        if let Some(probe) = text.as_ref().and_then(|text| self.by_text.get(text)).copied() {
            if let Some(known) = self.needs.get_mut(probe.0 as usize).filter(|_| domain == Domain::Request) {
                known.domain = domain;
            }
            return Some(probe);
        }
        let probe = Probe(u32::try_from(self.needs.len()).unwrap_or(u32::MAX));
        self.needs.push(needs);
        if let Some(text) = text {
            self.by_text.insert(text, probe);
        }
        Some(probe)
    }

    fn test(&mut self, rule: &Rule, probe: Option<Probe>, links: usize) -> Test {
        if let Some(test) = number_test(rule, links) {
            return Test::Number(test);
        }
        if rule.targets.iter().any(|target| target.variable.is_volatile()) {
            return Test::None;
        }
        match (probe, Detector::of(&rule.operator).filter(|_| !rule.negated)) {
            (Some(probe), _) => Test::Sieved { group: self.group(rule), probe },
            (None, Some(detector)) => Test::Detected { group: self.group(rule), detector },
            (None, None) => Test::None,
        }
    }

    fn group(&mut self, rule: &Rule) -> u32 {
        let next = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        let list = *self.by_targets.entry(format!("{:?}", rule.targets)).or_insert(next);
        if list == next {
            self.lists.push(rule.targets.clone());
        }
        let transformations = rule.actions.transformations.clone();
        let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let key = (list, transformations.clone(), rule.actions.multi_match);
        let group = *self.by_values.entry(key).or_insert(next);
        if group == next {
            let may_change = transformations.iter().fold(ByteSet::EMPTY, |set, step| set.or(*step.may_change()));
            let may_change_empty = transformations.iter().any(|step| step.may_change_empty());
            let multi_match = rule.actions.multi_match;
            self.groups.push(Group { list, transformations, multi_match, may_change, may_change_empty });
        }
        group
    }
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
fn number_test(rule: &Rule, links: usize) -> Option<NumberTest> {
    let [target] = rule.targets.as_slice() else { return None };
    let (Variable::Tx, Selector::Slot(slot)) = (target.variable, &target.selector) else { return None };
    let Operator::Compare(comparison, template) = &rule.operator else { return None };
    let actions = &rule.actions;
    if !actions.transformations.is_empty() || target.manner == Manner::Exclude {
        return None;
    }
    let is_silent = !actions.log && !actions.audit_log && actions.effects.is_empty() && actions.severity.is_none();
    let is_gate = is_silent && links == 1 && matches!(actions.disruptive, Disruptive::Pass);
    Some(NumberTest {
        slot: *slot,
        counted: target.manner == Manner::Count,
        comparison: *comparison,
        number: integer(template.constant()?),
        negated: rule.negated,
        is_gate,
    })
}
