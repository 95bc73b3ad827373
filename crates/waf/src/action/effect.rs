//! What a match does besides interrupting.

use super::Control;
use crate::slots::Slot;
use crate::template::Template;
use crate::variable::Variable;

/// What a match changes in the transaction.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// `setvar` in `TX`, under a name without macros.
    Set { slot: Slot, change: Change },
    /// `setvar` in any collection, under a name that may have macros.
    SetNamed { collection: Variable, name: Template, change: Change },
    /// `expirevar`: after so many seconds the value is gone.
    Expire { collection: Variable, name: Template, after: Template },
    /// `deprecatevar`: the value falls by so much every so many seconds.
    Deprecate { collection: Variable, name: Template, by: u32, every: u32 },
    /// `initcol`, `setsid`, `setuid`, `setrsc`.
    Initialise { collection: Initialised, key: Template },
    /// `setenv`.
    SetEnv { name: Template, value: Option<Template> },
    /// `ctl`.
    Control(Control),
    /// `sanitiseArg` and its like: what the audit log must not show.
    Mask(Masked),
}

/// How `setvar` changes a value.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Unset,
    To(Template),
    /// Adds a number.
    Up(Template),
    /// Takes a number away; never below zero.
    Down(Template),
}

impl Change {
    /// The number that comes of counting up or down; it never is below zero.
    pub(crate) fn counted(&self, old: i64, by: i64) -> u64 {
        let by = if matches!(self, Self::Up(_)) { by } else { -by };
        u64::try_from(old.saturating_add(by)).unwrap_or(0)
    }
}

/// A collection that is made known by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initialised {
    Ip,
    Global,
    Resource,
    Session,
    User,
}

impl Initialised {
    pub(crate) fn of(variable: Variable) -> Option<Self> {
        match variable {
            Variable::Ip => Some(Self::Ip),
            Variable::Global => Some(Self::Global),
            Variable::Resource => Some(Self::Resource),
            Variable::Session => Some(Self::Session),
            Variable::User => Some(Self::User),
            _ => None,
        }
    }
}

/// What `allow` skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All that is left, but for the phase of logging.
    Transaction,
    /// The phases of the request.
    Request,
    /// The phase that is running.
    Phase,
}

/// What the audit log must not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masked {
    /// An argument by its name.
    Argument(Box<str>),
    /// A header of the request.
    RequestHeader(Box<str>),
    /// A header of the response.
    ResponseHeader(Box<str>),
    /// The value that matched.
    Matched,
    /// The bytes that matched.
    MatchedBytes,
}
