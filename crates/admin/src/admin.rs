//! What answers: the gateway, its partners, and who may ask.

use std::io;
use std::sync::Arc;

use admin_listener::Pace;
use console::Console;
use control::{Accounts, Alerts, Authorities, Everywhere, Jobs, Rooms, Webhooks};
use partners::{Clock, Partners};
use sessions::Sessions;
use store::UsageTotals;

use crate::{Changes, Node, Token};

/// Answers the Admin API.
#[derive(Clone)]
pub struct Admin {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) storage: Option<Storage>,
    pub(crate) token: Token,
    pub(crate) clock: Clock,
    pub(crate) upgrade: Option<Upgrade>,
    pub(crate) console: Console,
    pub(crate) changes: Changes,
    pub(crate) pace: Arc<Pace>,
}

/// Starts a new process of the binary that is installed now, which takes the sockets over; returns its process id.
pub(crate) type Upgrade = Arc<dyn Fn() -> io::Result<u32> + Send + Sync>;

/// What a gateway with a store has.
#[derive(Clone)]
pub struct Storage {
    /// Companies and what is theirs.
    pub partners: Arc<Partners>,
    /// What was used.
    pub totals: Arc<dyn UsageTotals>,
    /// Who signs certificates.
    pub authorities: Arc<Authorities>,
    /// What companies are to pay.
    pub accounts: Arc<Accounts>,
    /// What companies have open at backends.
    pub sessions: Arc<Sessions>,
    /// Waiting rooms.
    pub rooms: Arc<Rooms>,
    /// Whether other nodes know what is changed here.
    pub everywhere: Everywhere,
    /// Who is told of changes.
    pub webhooks: Arc<Webhooks>,
    /// What is wrong, and who is told.
    pub alerts: Arc<Alerts>,
    /// What is done at certain times.
    pub jobs: Arc<Jobs>,
}

impl Admin {
    /// Answers for `node` to those who have the token. Without `storage`, partners and usage are not kept here.
    pub fn new(node: Arc<dyn Node>, storage: Option<Storage>, token: Token, clock: Clock) -> Self {
        let (console, changes, pace) = (Console::default(), Changes::default(), Arc::default());
        Self { node, storage, token, clock, upgrade: None, console, changes, pace }
    }

    /// The page for people, and who is signed in there.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// What is being changed.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Upgrades the binary in this way: a new process takes the sockets over, and its id is returned.
    #[must_use]
    pub fn upgrading_by(mut self, upgrade: impl Fn() -> io::Result<u32> + Send + Sync + 'static) -> Self {
        self.upgrade = Some(Arc::new(upgrade));
        self
    }
}
