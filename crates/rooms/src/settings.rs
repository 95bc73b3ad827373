//! What an operator says about a room, compiled.

use std::fmt;
use std::sync::Arc;

use waiting_page::Page;
use waiting_room::{Adaptive, MaxSize, Periodic, Rules};

use crate::Fairness;

/// What an operator says about a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The event that the room is for, which every question names.
    pub event: Arc<str>,
    /// What its decisions depend on.
    pub rules: Rules,
    /// Who issues its tokens, as those say.
    pub issuer: Arc<str>,
    /// For how many seconds a token holds.
    pub validity: u32,
    /// What raises the serving number by itself.
    pub inlet: Inlet,
    /// When a change counts as made.
    pub durability: Durability,
    /// What it is for OpenID clients, if it is anything.
    pub openid: Option<Arc<OpenId>>,
    /// What visitors see who wait.
    pub page: Arc<Page>,
    /// Who comes before whom, beside the order in which they come.
    pub fairness: Fairness,
    /// The rule of alerts while whose alert is open the clock's inlet rests.
    pub alarm: Option<Arc<str>>,
    /// Whether what is counted is written down each minute, for those who are told.
    pub metrics_events: bool,
}

/// What a room is for OpenID clients.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenId {
    /// The address of its OpenID API, which tokens that it gets name as their issuer.
    pub issuer: Arc<str>,
    /// What the client, whose name is the event, proves itself with.
    pub client_secret: Arc<str>,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The page where people join. None: they wait where they are asked to authorize.
    pub login: Option<Arc<str>>,
}

impl Settings {
    /// Those of a room that no document has.
    pub(crate) fn unused(name: &str) -> Self {
        let (event, rules, inlet, durability) =
            (name.into(), Rules::default(), Inlet::default(), Durability::default());
        let (openid, page, alarm, metrics_events, fairness) = (None, Arc::default(), None, false, Fairness::default());
        Self {
            event,
            rules,
            issuer: name.into(),
            validity: 0,
            inlet,
            durability,
            openid,
            page,
            alarm,
            metrics_events,
            fairness,
        }
    }
}

/// What raises the serving number by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inlet {
    /// Nothing does.
    #[default]
    Manual,
    /// The clock.
    Periodic(Periodic),
    /// Those who leave.
    MaxSize(MaxSize),
    /// What is behind the room, by what it answers.
    Adaptive(Adaptive),
}

/// When a change counts as made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When no loss of power can undo it.
    #[default]
    Disk,
    /// When the end of this process cannot undo it.
    Process,
}

impl fmt::Debug for OpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenId").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
