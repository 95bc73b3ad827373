//! What a transaction holds.

use std::sync::Arc;

use bytes::Bytes;
use payload::xml::Xml;

use super::clock::Moment;
use super::kept::{Collection, Persistence};
use super::matched::Record;
use super::run::Intervention;
use super::transform::Memo;
use crate::Phase;
use crate::action::{Audit, Initialised, Masked, Processor, Removal, Scope};
use crate::chains::ChainSet;
use crate::prefilter::{Domain, Settled, Sieve};
use crate::rules::Rules;
use crate::settings::Engine;
use crate::slots::Slot;
use crate::target::Selector;
use crate::values::{ValueId, Values};
use crate::variable::Variable;

/// What is given to a transaction from outside.
#[derive(Clone, Default)]
pub struct Environment {
    /// When the request came.
    pub now: Moment,
    /// What no other transaction is called.
    pub unique_id: Box<str>,
    /// Where collections are kept. Without it they live as long as the transaction.
    pub persistence: Option<Arc<dyn Persistence>>,
    /// How rules are evaluated.
    pub evaluation: Evaluation,
}

/// How rules are evaluated; the verdict is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evaluation {
    /// Rules that cannot match are passed over, and no work is done twice.
    #[default]
    Fast,
    /// Every rule is asked about every value. It is what the other one is compared with.
    Plain,
}

/// One request and its answer, as far as they are known.
pub struct Transaction {
    pub(crate) rules: Arc<Rules>,
    pub(crate) environment: Environment,
    pub(crate) values: Values,
    pub(super) memo: Memo,
    pub(crate) sieve: Sieve,
    /// What values are looked at for.
    pub(crate) domain: Domain,
    pub(super) scalars: Box<[Option<ValueId>]>,
    pub(super) arguments: Vec<Argument>,
    pub(super) request_headers: Vec<Named>,
    pub(super) response_headers: Vec<Named>,
    pub(super) cookies: Vec<Named>,
    pub(super) files: Vec<File>,
    pub(super) part_headers: Vec<Named>,
    pub(super) xml: Option<Xml>,
    pub(crate) variables: Vec<Option<ValueId>>,
    /// Variables in `TX` whose names no rule mentions.
    pub(super) others: Vec<Named>,
    pub(super) env: Vec<Named>,
    /// How long it has lasted, in microseconds.
    pub(super) lasted: u64,
    pub(super) collections: Vec<(Initialised, Collection)>,
    /// The last match, and all of the chain that is asked.
    pub(super) last_match: Option<(Found, ValueId)>,
    pub(super) matched_vars: Vec<(Found, ValueId)>,
    pub(super) highest_severity: u8,
    pub(super) body: Bytes,
    pub(super) body_state: BodyState,
    pub(crate) control: Controls,
    pub(super) records: Vec<Record>,
    /// How many of them are of the rule that is asked.
    pub(super) recorded: u32,
    pub(super) masked: Vec<Masked>,
    pub(super) intervention: Option<Intervention>,
    /// The phase that ran to its end last, if all before it did.
    pub(super) completed: Option<Phase>,
    /// Whether what is in `TX` is what was foreseen at load.
    pub(super) course: Course,
    /// Whether the chain that runs has changed a variable that is on this course.
    pub(super) touched: bool,
    /// Grows whenever something is fed, so that what was worked out before is known to be old.
    pub(crate) epoch: u32,
    pub(super) scratch: Vec<u8>,
    /// A text that is put together, kept for its room.
    pub(super) composed: Vec<u8>,
    /// The values of the rule that is asked, kept for its room.
    pub(super) found: Vec<Found>,
}

/// What `ctl` can change.
pub(crate) struct Controls {
    pub(super) engine: Engine,
    pub(super) request_body: bool,
    pub(super) response_body: bool,
    pub(super) force_request_body: bool,
    pub(super) processor: Option<Processor>,
    pub(super) request_limit: u64,
    pub(super) response_limit: u64,
    pub(super) audit: Audit,
    /// `SecAuditLogParts`, unless a rule has changed them.
    pub(super) audit_parts: Option<Box<str>>,
    pub(crate) removed: ChainSet,
    pub(crate) removals: Vec<Arc<Removal>>,
    /// Whether exclusions leave as it is what was foreseen at load.
    pub(crate) foreseen: Settled,
    pub(super) allowed: Option<Scope>,
}

/// Whether rules have changed nothing but what they change in each transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Foreseen,
    Left,
}

/// How far the body of the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyState {
    Awaited,
    Read,
}

/// An argument, and where it came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    pub(super) name: ValueId,
    pub(super) value: ValueId,
    pub(super) origin: Origin,
}

/// Where an argument came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Query,
    Body,
}

/// A value with a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) name: ValueId,
    pub(super) value: ValueId,
    /// The bytes of the name: hardly any other name is as long as one that is looked for.
    length: usize,
}

impl Named {
    /// Something that is called so.
    pub(super) fn new(values: &Values, name: ValueId, value: ValueId) -> Self {
        Self { name, value, length: values.bytes(name).len() }
    }

    /// Whether a selector means it.
    #[inline]
    pub(super) fn is_meant(&self, selector: &Selector, values: &Values) -> bool {
        match selector {
            Selector::Named(wanted) if wanted.len() != self.length => false,
            _ => selector.takes(values.bytes(self.name)),
        }
    }
}

/// A file of a multipart body.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    pub(super) field: ValueId,
    pub(super) name: ValueId,
    pub(super) content: ValueId,
    pub(super) size: u64,
}

/// A value that a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) variable: Variable,
    pub(crate) name: Name,
    pub(crate) value: ValueId,
}

/// What a value is called within its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Its variable has one value only.
    None,
    /// It is how many there are.
    Counted,
    Is(ValueId),
    /// A name in `TX`.
    Slot(Slot),
    /// With the name of the variable, as what matched before has it.
    Whole(ValueId),
}

impl Transaction {
    /// A transaction of which nothing is known yet.
    pub fn new(rules: Arc<Rules>, environment: Environment) -> Self {
        let control = Self::controls(&rules);
        let variables = vec![None; rules.slots.len()];
        let values = Values::new(Arc::clone(&rules.start.fixed));
        let mut transaction = Self {
            rules,
            environment,
            values,
            memo: Memo::default(),
            sieve: Sieve::default(),
            domain: Domain::Request,
            scalars: vec![None; Variable::COUNT].into(),
            arguments: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            cookies: Vec::new(),
            files: Vec::new(),
            part_headers: Vec::new(),
            xml: None,
            variables,
            others: Vec::new(),
            env: Vec::new(),
            lasted: 0,
            collections: Vec::new(),
            last_match: None,
            matched_vars: Vec::new(),
            highest_severity: NO_SEVERITY,
            body: Bytes::new(),
            body_state: BodyState::Awaited,
            control,
            records: Vec::new(),
            recorded: 0,
            masked: Vec::new(),
            intervention: None,
            completed: None,
            course: Course::Foreseen,
            touched: false,
            epoch: 1,
            scratch: Vec::new(),
            composed: Vec::new(),
            found: Vec::new(),
        };
        transaction.begin();
        transaction
    }

    /// The next transaction, in the room that this one took.
    #[must_use]
    pub fn renew(mut self, environment: Environment) -> Self {
        self.rest();
        self.environment = environment;
        self.begin();
        self
    }

    /// Forgets everything of its request, and keeps its room and what it found out about values.
    pub fn rest(&mut self) {
        self.remember();
        self.environment = Environment::default();
        self.control = Self::controls(&self.rules);
        self.values.clear();
        self.memo.clear();
        self.sieve.clear();
        self.scalars.fill(None);
        self.variables.fill(None);
        empty(&mut self.arguments);
        empty(&mut self.request_headers);
        empty(&mut self.response_headers);
        empty(&mut self.cookies);
        empty(&mut self.files);
        empty(&mut self.part_headers);
        self.xml = None;
        empty(&mut self.others);
        empty(&mut self.env);
        self.lasted = 0;
        self.collections.clear();
        self.last_match = None;
        empty(&mut self.matched_vars);
        self.highest_severity = NO_SEVERITY;
        self.body = Bytes::new();
        self.body_state = BodyState::Awaited;
        empty(&mut self.records);
        self.masked.clear();
        self.intervention = None;
        self.completed = None;
        self.course = Course::Foreseen;
        self.touched = false;
        empty(&mut self.scratch);
        empty(&mut self.composed);
        empty(&mut self.found);
        // What was worked out for transactions before is old.
        self.fed();
    }

    /// Forgets what earlier transactions, whose room this one has, found out about values.
    pub fn forget(&mut self) {
        self.sieve.forget();
    }

    fn controls(rules: &Rules) -> Controls {
        let settings = rules.settings();
        Controls {
            engine: settings.engine,
            request_body: settings.request_body,
            response_body: settings.response_body,
            force_request_body: false,
            processor: None,
            request_limit: settings.request_body_limit,
            response_limit: settings.response_body_limit,
            audit: settings.audit,
            audit_parts: None,
            removed: ChainSet::default(),
            removals: Vec::new(),
            foreseen: Settled::Yes,
            allowed: None,
        }
    }

    /// The rules it is judged by.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Whether rules are looked at, and whether they interrupt, as it stands now.
    pub fn engine(&self) -> Engine {
        self.control.engine
    }

    /// Says whether rules are looked at, and whether they interrupt, whatever `SecRuleEngine` says.
    pub fn set_engine(&mut self, engine: Engine) {
        self.control.engine = engine;
    }

    /// A variable of `TX`, such as a score, as it stands now.
    pub fn tx(&self, name: &str) -> Option<&[u8]> {
        let slot = self.rules.slots.find(name.as_bytes())?;
        let value = self.variables.get(slot.0 as usize).copied().flatten()?;
        Some(self.values.bytes(value))
    }

    /// What the audit log is to have of it, as it stands now.
    pub fn audit(&self) -> (Audit, &str) {
        (self.control.audit, self.audit_parts())
    }

    pub(super) fn audit_parts(&self) -> &str {
        self.control.audit_parts.as_deref().unwrap_or(&self.rules.settings().audit_parts)
    }

    /// What the audit log must not show.
    pub fn masked(&self) -> &[Masked] {
        &self.masked
    }

    /// Says how many microseconds ago the request came, which rules see as `DURATION`.
    pub fn lasts(&mut self, micros: u64) {
        self.lasted = micros;
    }

    /// Notes that something was fed.
    pub(super) fn fed(&mut self) {
        self.epoch = self.epoch.wrapping_add(1).max(1);
    }

    pub(super) fn set(&mut self, variable: Variable, value: &[u8]) {
        let value = self.values.intern(value);
        self.set_id(variable, value);
    }

    pub(super) fn set_id(&mut self, variable: Variable, value: ValueId) {
        if let Some(place) = self.scalars.get_mut(variable as usize) {
            *place = Some(value);
        }
    }

    pub(super) fn scalar(&self, variable: Variable) -> Option<ValueId> {
        self.scalars.get(variable as usize).copied().flatten()
    }
}

/// Forgets what is in a list, and keeps its room unless it is large.
fn empty<T>(list: &mut Vec<T>) {
    list.clear();
    list.shrink_to(ROOM / size_of::<T>());
}

/// So many bytes a list keeps for the next transaction.
const ROOM: usize = 16 * 1024;

/// What `HIGHEST_SEVERITY` is while nothing matched.
pub(super) const NO_SEVERITY: u8 = 255;
