//! The promise of a store of leases: places in groups with a maximum, each held for as long as somebody renews it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Unavailable, UnixMicros, UnknownWord};

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> UnixMicros + Send + Sync>;

/// Which lease: a hash of what it stands for, or chance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "SessionId")]
pub struct LeaseId(String);

impl LeaseId {
    /// The id that is this hash.
    pub fn of(hash: &[u8]) -> Self {
        Self(crate::hex(hash))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LeaseId {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if text.is_empty() || text.len() > LONGEST_ID || !text.bytes().all(is_digit) {
            return Err(UnknownWord(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Digits of an id, at most.
const LONGEST_ID: usize = 128;

/// A group that a lease belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many leases may count in it when this one is among them, if there is a maximum.
    pub most: Option<u32>,
}

/// What becomes of a lease that nobody renews, or that somebody ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It is gone at once.
    Forget,
    /// It is to be closed elsewhere, and counts until that is done.
    Close,
}

/// How far a lease is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SessionState")]
pub enum LeaseState {
    /// It was taken, and what it stands for is being made. If that takes too long, it is gone.
    Opening,
    /// It is held.
    Open,
    /// It has ended and is to be closed.
    Closing,
    /// It was closed, and is kept for those who ask. It counts for nothing.
    Closed,
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SessionEnd")]
pub enum Why {
    /// Nobody renewed it in time.
    Idle,
    /// It was as old as it may become.
    Life,
    /// Another one took its place.
    Ousted,
    /// Somebody asked for it.
    Asked,
}

/// A lease as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which one.
    pub id: LeaseId,
    /// How far it is.
    pub state: LeaseState,
    /// What becomes of it in the end.
    pub ending: Ending,
    /// When it was taken.
    pub opened: UnixMicros,
    /// When it was renewed last.
    pub renewed: UnixMicros,
    /// When it ends unless it is renewed.
    pub ends: UnixMicros,
    /// Until when it can be renewed.
    pub latest: UnixMicros,
    /// What people are shown of it, in JSON. Nothing in it is secret.
    pub about: String,
    /// What is needed to close it. Sealed, if that is a secret.
    pub body: Vec<u8>,
    /// When and why it ended, if it did.
    pub ended: Option<(UnixMicros, Why)>,
    /// How often it was claimed to be closed.
    pub attempts: u32,
    /// When it is to be closed next; of one that was closed, until when it is kept.
    pub due: UnixMicros,
    /// What became of the last try to close it.
    pub note: String,
}

/// A lease to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLease {
    /// Which one. It is chance, until it is known what the lease stands for.
    pub id: LeaseId,
    /// The groups that it belongs to.
    pub groups: Vec<Group>,
    /// How long it is held without being renewed.
    pub ttl: Duration,
    /// How long it is held at most.
    pub life: Duration,
    /// What to do if a group has its maximum.
    pub when_full: WhenFull,
    /// What people are shown of it.
    pub about: String,
}

/// What to do if a group has its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Nobody gets in.
    Refuse,
    /// The lease of the group that was taken first, of those that are open, gives its place away.
    Oust {
        /// One that is to be closed is claimed by the newcomer for so long: see [`Leases::claim`].
        claim: Duration,
    },
}

/// What became of a lease that was to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is held.
    Granted {
        /// Those that gave their places away. Those of them that are to be closed are claimed by whoever took this one,
        /// and must be closed before it is used: until then they have one place together.
        ousted: Vec<Lease>,
    },
    /// A group has its maximum. Nothing has changed.
    Full {
        /// Which one: the first of those that were named.
        group: String,
    },
}

/// What a lease stands for, once that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its name from now on. If there is another one of this name, this one takes its place.
    pub id: LeaseId,
    /// What becomes of it in the end.
    pub ending: Ending,
    /// What people are shown of it.
    pub about: String,
    /// What is needed to close it.
    pub body: Vec<u8>,
}

/// Whether something was done with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was.
    Now,
    /// There is none that it can be done with, or not any more.
    Gone,
}

/// Which leases somebody wants to see.
#[derive(Clone, Debug)]
pub struct LeaseListing {
    /// Of this group.
    pub group: String,
    /// Those that were closed, or those that were not.
    pub which: Which,
    /// Only those after the one that was taken at this time and is this one.
    pub after: Option<(UnixMicros, LeaseId)>,
    /// At most so many.
    pub limit: usize,
}

/// Those that were closed, or those that were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Those that were not.
    #[default]
    Current,
    /// Those that were.
    Closed,
}

/// Keeps leases. No group ever has more of them than its maximum, however many ask at once and from wherever.
///
/// A lease is taken before what it stands for is made, which is *opening*; then it is *open* for as long as it is renewed.
/// One that has ended is *closing* until somebody has closed what it stands for, and *closed* then. What is opening, open or
/// closing counts; a lease that gave its place away does not count while the one that has it does.
///
/// A backend has a clock of its own, the same for all who use it. Each method is one step that nobody sees half done, but
/// for [`Self::list`], [`Self::renew`] and [`Self::claim`], which may do a lease at a time. A backend that is spread over
/// several machines needs all leases on one of them, because the groups of a lease have nothing in common.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes a lease, unless one of its groups has its maximum.
    ///
    /// If there is one of this id, nothing changes: whoever is not sure whether it was granted may ask again.
    async fn take(&self, lease: &NewLease) -> Result<Taken, Unavailable>;
    /// Says what a lease stands for that is opening. It is open from now on, and renewed.
    ///
    /// [`Done::Gone`] if it took too long: then its place may be another's.
    async fn open(&self, taken: &LeaseId, opened: &Opened) -> Result<Done, Unavailable>;
    /// Renews leases that are open, and says which of them are not any more.
    async fn renew(&self, used: &[LeaseId]) -> Result<Vec<LeaseId>, Unavailable>;
    /// Lets a lease go that is opening or open: what it stands for was not made, or is closed already.
    async fn release(&self, id: &LeaseId) -> Result<Done, Unavailable>;
    /// Ends a lease that is open, as if its time were over. One that is closing already is due at once.
    async fn end(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable>;
    /// The lease of this id, if there is one. One whose time is over is not open any more.
    async fn find(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable>;
    /// Leases of a group, in the order in which they were taken; those of one time by their id.
    async fn list(&self, listing: &LeaseListing) -> Result<Vec<Lease>, Unavailable>;
    /// How many leases of a group count.
    async fn count(&self, group: &str) -> Result<u32, Unavailable>;
    /// Claims leases that are closing and due, those first that are due for longest.
    ///
    /// They are the caller's to close for `how_long`, and anybody's after: a node that is gone leaves nothing behind.
    /// [`Lease::attempts`] counts up, and names the claim. Forgets what was kept long enough.
    async fn claim(&self, limit: usize, how_long: Duration) -> Result<Vec<Lease>, Unavailable>;
    /// Says that a lease was closed, by the claim of this number. It is kept for those who ask for so long.
    async fn closed(&self, id: &LeaseId, claim: u32, note: &str, keep: Duration) -> Result<Done, Unavailable>;
    /// Says that a lease could not be closed, by the claim of this number. It is due again after a pause.
    async fn retry(&self, id: &LeaseId, claim: u32, note: &str, pause: Duration) -> Result<Done, Unavailable>;
}

crate::entity::words! {
    Ending: Forget "forget" Close "close";
    LeaseState: Opening "opening" Open "open" Closing "closing" Closed "closed";
    Why: Idle "idle" Life "life" Ousted "ousted" Asked "asked";
}
