//! The actions of a rule: as they are written, one by one, and what they amount to together.

mod control;
mod effect;
mod read;

use payload::transform::Transformation;

pub use self::control::{Audit, Processor};
pub(crate) use self::control::{Control, Reach, Removal, audit_parts, number, on_off};
pub use self::effect::Masked;
pub(crate) use self::effect::{Change, Effect, Initialised, Scope};
pub(crate) use self::read::read;
use crate::Phase;
use crate::template::Template;

/// One action as it is written.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Id(u64),
    Phase(Phase),
    Message(Template),
    Data(Template),
    Tag(Template),
    Severity(u8),
    Revision(Box<str>),
    Version(Box<str>),
    Maturity(u8),
    Accuracy(u8),
    /// What interrupts the transaction, or says that nothing does.
    Disruptive(Disruptive),
    /// Whatever `SecDefaultAction` says.
    Block,
    Status(u16),
    Log(bool),
    AuditLog(bool),
    Capture,
    MultiMatch,
    Chain,
    Skip(u32),
    SkipAfter(Box<[u8]>),
    Transform(Transformation),
    /// `t:none`: forgets those before it.
    TransformNothing,
    Effect(Effect),
}

/// What a match does to the transaction.
#[derive(Clone, Debug)]
pub(crate) enum Disruptive {
    Pass,
    Deny,
    Drop,
    Redirect(Template),
    /// Skips what is left of these.
    Allow(Scope),
}

/// What the actions of a rule amount to.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an action of its own")]
pub(crate) struct Actions {
    pub(crate) id: Option<u64>,
    pub(crate) phase: Option<Phase>,
    pub(crate) message: Option<Template>,
    pub(crate) data: Option<Template>,
    pub(crate) tags: Vec<Template>,
    pub(crate) severity: Option<u8>,
    pub(crate) revision: Option<Box<str>>,
    pub(crate) version: Option<Box<str>>,
    pub(crate) maturity: Option<u8>,
    pub(crate) accuracy: Option<u8>,
    pub(crate) disruptive: Disruptive,
    pub(crate) status: u16,
    pub(crate) log: bool,
    pub(crate) audit_log: bool,
    pub(crate) capture: bool,
    pub(crate) multi_match: bool,
    pub(crate) chain: bool,
    pub(crate) skip: u32,
    pub(crate) skip_after: Option<Box<[u8]>>,
    pub(crate) transformations: Vec<Transformation>,
    pub(crate) effects: Vec<Effect>,
}

impl Actions {
    /// What a list of actions amounts to, given what `block` stands for.
    pub(crate) fn of<'a>(list: impl IntoIterator<Item = &'a Action>, block: &Disruptive) -> Self {
        let mut actions = Self::none();
        for action in list {
            actions.take(action, block);
        }
        actions
    }

    fn none() -> Self {
        Self {
            id: None,
            phase: None,
            message: None,
            data: None,
            tags: Vec::new(),
            severity: None,
            revision: None,
            version: None,
            maturity: None,
            accuracy: None,
            disruptive: Disruptive::Pass,
            status: 403,
            log: true,
            audit_log: true,
            capture: false,
            multi_match: false,
            chain: false,
            skip: 0,
            skip_after: None,
            transformations: Vec::new(),
            effects: Vec::new(),
        }
    }

    fn take(&mut self, action: &Action, block: &Disruptive) {
        match action {
            Action::Id(id) => self.id = Some(*id),
            Action::Phase(phase) => self.phase = Some(*phase),
            Action::Message(text) => self.message = Some(text.clone()),
            Action::Data(text) => self.data = Some(text.clone()),
            Action::Tag(tag) => self.tags.push(tag.clone()),
            Action::Severity(severity) => self.severity = Some(*severity),
            Action::Revision(text) => self.revision = Some(text.clone()),
            Action::Version(text) => self.version = Some(text.clone()),
            Action::Maturity(level) => self.maturity = Some(*level),
            Action::Accuracy(level) => self.accuracy = Some(*level),
            Action::Disruptive(disruptive) => self.disruptive = disruptive.clone(),
            Action::Block => self.disruptive = block.clone(),
            Action::Status(status) => self.status = *status,
            // `log` leaves the audit log as it is, `nolog` keeps the match out of both.
            Action::Log(log) => (self.log, self.audit_log) = (*log, *log && self.audit_log),
            Action::AuditLog(audit) => self.audit_log = *audit,
            Action::Capture => self.capture = true,
            Action::MultiMatch => self.multi_match = true,
            Action::Chain => self.chain = true,
            Action::Skip(count) => self.skip = *count,
            Action::SkipAfter(marker) => self.skip_after = Some(marker.clone()),
            Action::Transform(transformation) => self.transformations.push(*transformation),
            Action::TransformNothing => self.transformations.clear(),
            Action::Effect(effect) => self.effects.push(effect.clone()),
        }
    }
}
