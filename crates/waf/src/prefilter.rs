//! What makes most rules not worth asking: which bytes and which texts a value must have for an operator to hold.
//!
//! For each operator the loader works out what every match of it has: one of some literals, and bytes out of some sets.
//! A value is scanned once for the literals of all operators together. Before a phase runs, all values that its rules look
//! at are gone through, those of many rules at once; what is left are rules that may match, and those of which nothing is
//! known. Only they are asked. All of it only ever says "perhaps": the verdict always comes from the operator itself.

mod course;
mod plan;
mod reach;
mod sieve;
mod values;

use hashbrown::HashMap;
use payload::ByteSet;
pub(crate) use payload::candidates::Domain;
use payload::candidates::{Demand, ROW, Scanner};
use payload::transform::Transformation;

pub(crate) use self::course::Course;
use self::plan::Plan;
pub(crate) use self::sieve::{Settled, Sieve};
use crate::Phase;
use crate::action::Disruptive;
use crate::chains::ChainSet;
use crate::engine::Found;
use crate::operator::{Comparison, Operator, Relation, integer};
use crate::rules::{Chain, Program, Rule};
use crate::slots::{Slot, Slots};
use crate::target::{Manner, Selector, Target};
use crate::values::Fixed;
use crate::variable::Variable;

/// What is worked out about all rules before any request.
#[derive(Debug)]
pub(crate) struct Index {
    /// By rule: how to find out soon that it cannot match.
    tests: Vec<Test>,
    /// By rule: its operator among those that values are sieved for.
    probes: Vec<Option<Probe>>,
    /// Variables with what is taken out of them, each once.
    atoms: Vec<Vec<Target>>,
    parts: Vec<Part>,
    /// The parts of rules, one rule after another.
    spans: Vec<u32>,
    plans: [Plan; Phase::COUNT],
    /// Chains whose match plans rely on.
    relied_on: ChainSet,
    courses: [Course; Phase::COUNT],
    /// By slot: whether it is looked at or changed on the courses.
    on_course: Vec<u64>,
    scanner: Scanner,
}

/// An operator that values are sieved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Probe(u32);

/// The parts of a rule: from one to another in [`Index::spans`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// What says soon that a rule cannot match.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    /// Nothing does: it is asked.
    None,
    /// The operator holds for no value of the parts, which only their candidates are asked about.
    Sieved { span: Span, probe: Probe },
    /// A detector finds nothing in any value of the parts.
    Detected { span: Span, detector: Detector },
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
    /// It matches with this value and no other.
    Holds(Found),
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

/// The values of a variable, looked at in one way by many rules.
#[derive(Debug)]
pub(crate) struct Part {
    /// The number of its variable.
    atom: u32,
    way: Way,
    /// A value without any of these bytes is left as it is.
    may_change: ByteSet,
    may_change_empty: bool,
}

/// How values are looked at.
#[derive(Debug)]
enum Way {
    /// As they are.
    Plain,
    /// As another part has them, after one transformation more.
    Step { from: u32, last: Transformation },
    /// As any of some other parts has them: at each step of a row of transformations, for `multiMatch`.
    Any(Vec<u32>),
}

impl Index {
    pub(crate) fn of(chains: &[Chain], programs: &[Program; Phase::COUNT], slots: &Slots, fixed: &mut Fixed) -> Self {
        let mut building = Building::default();
        let mut probes = Vec::new();
        let mut tests = Vec::new();
        let (reachable, relied_on) = reach::reachable(chains, programs, slots);
        for (number, chain) in (0..).zip(chains) {
            for rule in &chain.links {
                // What no request comes to is not looked for in any value.
                let probe = if reachable.contains(number) { building.probe(rule, chain.phase) } else { None };
                probes.push(probe);
                tests.push(building.test(rule, probe, chain.links.len()));
            }
        }
        let Building { demands, atoms, parts, spans, .. } = building;
        let known = plan::Known { chains, tests: &tests, spans: &spans, parts: &parts, reachable: &reachable };
        let plans = programs.each_ref().map(|program| known.plan(program));
        let (courses, on_course) = course::courses((chains, programs), &plans, slots.len(), fixed);
        Self {
            tests,
            probes,
            atoms,
            parts,
            spans,
            plans,
            relied_on,
            courses,
            on_course,
            scanner: Scanner::of(&demands),
        }
    }

    /// What rules of a phase come to in each transaction in which nothing is found.
    pub(crate) fn course(&self, phase: Phase) -> Option<&Course> {
        self.courses.get(phase as usize)
    }

    /// Whether plans rely on a match of a chain.
    pub(crate) fn relies_on(&self, chain: u32) -> bool {
        self.relied_on.contains(chain)
    }

    /// Whether it may decide whether such a chain matches that it looks at a target.
    pub(crate) fn decides(target: &Target) -> bool {
        reach::decides(target)
    }

    /// Whether a variable of `TX` is looked at or changed by such rules.
    pub(crate) fn is_on_course(&self, slot: Slot) -> bool {
        plan::is_marked(&self.on_course, slot.0)
    }

    fn test(&self, rule: &Rule) -> &Test {
        self.tests.get(rule.number as usize).unwrap_or(&Test::None)
    }

    pub(crate) fn probe(&self, rule: &Rule) -> Option<Probe> {
        self.probes.get(rule.number as usize).copied().flatten()
    }
}

#[derive(Default)]
struct Building {
    demands: Vec<Demand>,
    by_text: HashMap<String, Probe>,
    atoms: Vec<Vec<Target>>,
    by_targets: HashMap<String, u32>,
    parts: Vec<Part>,
    by_values: HashMap<(u32, Vec<Transformation>, bool), u32>,
    spans: Vec<u32>,
}

impl Building {
    /// The probe of a rule's operator, if what it needs can be told.
    fn probe(&mut self, rule: &Rule, phase: Phase) -> Option<Probe> {
        if rule.negated {
            return None;
        }
        let domain = if phase <= Phase::RequestBody { Domain::Request } else { Domain::Answer };
        // The same expression is the same probe, wherever it stands.
        let text = match &rule.operator {
            Operator::Matches(matcher) => Some(matcher.search.text().to_owned()),
            _ => None,
        };
        if let Some(probe) = text.as_ref().and_then(|text| self.by_text.get(text)).copied() {
            if let Some(known) = self.demands.get_mut(probe.0 as usize).filter(|_| domain == Domain::Request) {
                known.domain = domain;
            }
            return Some(probe);
        }
        let demand = demand(&rule.operator, domain)?;
        let probe = Probe(number(self.demands.len()));
        self.demands.push(demand);
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
            (Some(probe), _) => Test::Sieved { span: self.span(rule), probe },
            (None, Some(detector)) => Test::Detected { span: self.span(rule), detector },
            (None, None) => Test::None,
        }
    }

    fn span(&mut self, rule: &Rule) -> Span {
        let start = number(self.spans.len());
        for atom in atoms(&rule.targets) {
            let next = number(self.atoms.len());
            let place = *self.by_targets.entry(format!("{atom:?}")).or_insert(next);
            if place == next {
                self.atoms.push(atom);
            }
            let part = self.part(place, &rule.actions.transformations, rule.actions.multi_match);
            self.spans.push(part);
        }
        Span { start, end: number(self.spans.len()) }
    }

    fn part(&mut self, atom: u32, transformations: &[Transformation], multi_match: bool) -> u32 {
        let key = (atom, transformations.to_vec(), multi_match);
        if let Some(known) = self.by_values.get(&key) {
            return *known;
        }
        let (way, last) = match transformations.split_last() {
            None => (Way::Plain, None),
            Some(_) if multi_match => {
                let starts = (0..=transformations.len()).filter_map(|length| transformations.get(..length));
                (Way::Any(starts.map(|start| self.part(atom, start, false)).collect()), None)
            }
            Some((last, before)) => (Way::Step { from: self.part(atom, before, false), last: *last }, Some(last)),
        };
        let may_change = last.map_or(ByteSet::EMPTY, |last| *last.may_change());
        let may_change_empty = last.is_some_and(|last| last.may_change_empty());
        let part = number(self.parts.len());
        self.parts.push(Part { atom, way, may_change, may_change_empty });
        self.by_values.insert(key, part);
        part
    }
}

/// The variables of a list of targets, each with what is taken out of it behind it.
fn atoms(targets: &[Target]) -> Vec<Vec<Target>> {
    let mut atoms = Vec::new();
    let mut rest = targets;
    while let [target, behind @ ..] = rest {
        rest = behind;
        if target.manner == Manner::Exclude {
            continue;
        }
        let taken_out =
            behind.iter().filter(|other| other.manner == Manner::Exclude && other.variable == target.variable);
        atoms.push(std::iter::once(target).chain(taken_out).cloned().collect());
    }
    atoms
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What a value must have for an operator to hold.
fn demand(operator: &Operator, domain: Domain) -> Option<Demand> {
    match operator {
        Operator::Matches(matcher) => Some(Demand::pattern(matcher.search.text(), domain)),
        Operator::Phrases(phrases) => Some(Demand::texts(phrases.all(), domain)),
        Operator::Text(relation, template) => match relation {
            Relation::Equals
            | Relation::BeginsWith
            | Relation::EndsWith
            | Relation::Contains
            | Relation::ContainsWord => template.constant().map(|text| Demand::texts(&[text.to_vec()], domain)),
            Relation::Within => None,
        },
        Operator::ByteRange(ranges) => Some(Demand::byte(ranges.allowed().complement(), domain)),
        Operator::UrlEncoding => Some(Demand::byte(ByteSet::new(b"%"), domain)),
        Operator::Utf8Encoding => Some(Demand::byte(ByteSet::EMPTY.with_range(0x80, 0xff), domain)),
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
    if !actions.transformations.is_empty() || actions.capture || target.manner == Manner::Exclude {
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

#[cfg(test)]
mod tests;
