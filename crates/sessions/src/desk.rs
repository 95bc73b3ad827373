//! Where sessions get their places, are looked up, and give their places back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use secrets::SealingKey;
use store::{
    Clock, Done, Ending, Lease, LeaseId, LeaseListing, LeaseState, Leases, NewLease, Opened, Taken, Unavailable,
    WhenFull,
};
use tokio::time::Instant;

use crate::about::group_of;
use crate::counts::{Counts, Reading, count};
use crate::known::Known;
use crate::{About, Asks, Closing, Maxima, Outcome};

/// What holds for the sessions of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How many there may be.
    pub most: Maxima,
    /// How long one stays open without being used.
    pub idle: Duration,
    /// How long one stays open at most.
    pub limit: Duration,
    /// Whether the oldest makes room for a new one.
    pub when_full: Opening,
}

/// What becomes of a new session when there are as many as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It is not opened.
    Refused,
    /// The oldest is closed first.
    InPlaceOfTheOldest,
}

/// What became of the wish to open a session.
#[derive(Clone, Debug)]
pub enum Begun {
    /// It has a place. These are to be closed before it is used: see [`Sessions::close`].
    Granted {
        /// The place.
        place: LeaseId,
        /// Those that gave it away.
        ousted: Vec<Lease>,
    },
    /// There are as many as there may be in this group.
    Full {
        /// As [`crate::group_of`] names it.
        group: String,
    },
}

/// Where sessions get their places, are looked up, and give their places back.
pub struct Sessions {
    leases: Arc<dyn Leases>,
    key: SealingKey,
    clock: Clock,
    known: Known,
    counts: Counts,
}

/// Why a session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] Unavailable),
    /// The system gives no randomness.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    /// What closes it cannot be written.
    #[error("what closes a session cannot be written")]
    Json(#[from] serde_json::Error),
}

impl Sessions {
    /// Sessions whose places are in `leases`, and what closes them sealed with `key`.
    pub fn new(leases: Arc<dyn Leases>, key: SealingKey, clock: Clock) -> Self {
        Self { leases, key, clock, known: Known::default(), counts: Counts::default() }
    }

    /// Takes a place for a session before it is opened.
    pub async fn begin(&self, about: &About, terms: &Terms) -> Result<Begun, Trouble> {
        let place = chance()?;
        let when_full = match terms.when_full {
            Opening::Refused => WhenFull::Refuse,
            Opening::InPlaceOfTheOldest => WhenFull::Oust { claim: CLAIM },
        };
        let new = NewLease {
            id: place.clone(),
            groups: about.groups(terms.most),
            // A use is told to the store a moment later.
            ttl: terms.idle.saturating_add(SLACK),
            life: terms.limit,
            when_full,
            about: text(about)?,
        };
        match self.leases.take(&new).await? {
            Taken::Full { group } => {
                count(&self.counts.refused);
                Ok(Begun::Full { group })
            }
            Taken::Granted { mut ousted } => {
                for lease in &ousted {
                    count(&self.counts.ousted);
                    self.known.remove(&lease.id);
                }
                ousted.retain(|lease| lease.state == LeaseState::Closing);
                Ok(Begun::Granted { place, ousted })
            }
        }
    }

    /// The session was opened, and is this one from now on. [`Done::Gone`] if that took so long that its place is lost.
    pub async fn opened(
        &self,
        place: &LeaseId,
        id: &LeaseId,
        about: &About,
        closing: Option<&Closing>,
    ) -> Result<Done, Trouble> {
        let (ending, body) = match closing {
            None => (Ending::Forget, Vec::new()),
            Some(closing) => (Ending::Close, self.sealed(id, closing)?),
        };
        let opened = Opened { id: id.clone(), ending, about: text(about)?, body };
        let done = self.leases.open(place, &opened).await?;
        if done == Done::Now {
            count(&self.counts.opened);
        }
        Ok(done)
    }

    /// The session was not opened.
    pub async fn given_back(&self, place: &LeaseId) -> Result<(), Unavailable> {
        self.leases.release(place).await?;
        Ok(())
    }

    /// Whether a session is open, if that is known without asking. It is used then.
    pub fn is_known(&self, id: &LeaseId, now: Instant) -> bool {
        self.known.is_open(id, now)
    }

    /// Whether a session is open. It is used then. While the store cannot be asked, those that were open are.
    pub async fn is_open(&self, id: &LeaseId, idle: Duration, now: Instant) -> Result<bool, Unavailable> {
        match self.leases.find(id).await {
            Ok(Some(lease)) if lease.state == LeaseState::Open => {
                let left = lease.latest.0.saturating_sub((self.clock)().0);
                self.known.insert(id, now, idle, Duration::from_micros(left));
                Ok(true)
            }
            Ok(_) => {
                self.known.remove(id);
                Ok(false)
            }
            Err(_) if self.known.may_be_open(id, now) => Ok(true),
            Err(unavailable) => Err(unavailable),
        }
    }

    /// The session was closed as it should be.
    pub async fn ended(&self, id: &LeaseId) -> Result<(), Unavailable> {
        self.known.remove(id);
        if self.leases.release(id).await? == Done::Now {
            count(&self.counts.ended);
        }
        Ok(())
    }

    /// Tells the store which sessions were used since the last time.
    pub async fn tell_uses(&self) -> Result<(), Unavailable> {
        let now = Instant::now();
        let used = self.known.news(now);
        for some in used.chunks(AT_ONCE) {
            match self.leases.renew(some).await {
                Ok(gone) => {
                    self.known.confirm(some, now);
                    for id in &gone {
                        self.known.remove(id);
                    }
                }
                Err(unavailable) => {
                    self.known.untold(&used);
                    return Err(unavailable);
                }
            }
        }
        Ok(())
    }

    /// Closes sessions at their backends that have ended; says how many were tried.
    pub async fn close_due(&self, asks: &dyn Asks) -> Result<usize, Unavailable> {
        let due = self.leases.claim(CLAIMED_AT_ONCE, CLAIM).await?;
        let closed = join_all(due.iter().map(|lease| self.close(lease, asks))).await;
        closed.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(due.len())
    }

    /// Closes a session at its backend that the caller has claimed, and writes down what came of it.
    pub async fn close(&self, lease: &Lease, asks: &dyn Asks) -> Result<Outcome, Unavailable> {
        self.known.remove(&lease.id);
        let Lease { id, attempts, .. } = lease;
        let age = lease.ended.map_or(0, |(at, _)| (self.clock)().0.saturating_sub(at.0));
        let (pause, give_up, history, tried) = match self.unsealed(lease) {
            Some(closing) => {
                let tried = closing.attempt(asks).await;
                (closing.pause(*attempts), closing.give_up, closing.history, tried)
            }
            None => (HOUR, 24 * HOUR, 24 * HOUR, Err("no key that there is opens what closes it".to_owned())),
        };
        let (outcome, note) = match tried {
            Ok(said) => (Outcome::Closed, said),
            Err(said) if Duration::from_micros(age) >= give_up => {
                (Outcome::GivenUp, format!("given up after {attempts} tries: {said}"))
            }
            Err(said) => (Outcome::Later, said),
        };
        let done = match outcome {
            Outcome::Later => self.leases.retry(id, *attempts, &note, jittered(pause)).await?,
            _ => self.leases.closed(id, *attempts, &note, history).await?,
        };
        if done == Done::Gone {
            return Ok(Outcome::Elsewhere);
        }
        count(match outcome {
            Outcome::Closed => &self.counts.closed,
            Outcome::GivenUp => &self.counts.given_up,
            Outcome::Later | Outcome::Elsewhere => &self.counts.failed,
        });
        if outcome == Outcome::Closed {
            tracing::info!(session = %id, about = lease.about, note, "a session was closed");
        } else {
            tracing::warn!(session = %id, about = lease.about, attempts, note, "a session could not be closed");
        }
        Ok(outcome)
    }

    /// Sessions of a group: see [`crate::group_of`].
    pub async fn list(&self, listing: &LeaseListing) -> Result<Vec<Lease>, Unavailable> {
        self.leases.list(listing).await
    }

    /// How many sessions of a group have a place.
    pub async fn count(&self, group: &str) -> Result<u32, Unavailable> {
        self.leases.count(group).await
    }

    /// Counts, for those who measure, how many sessions have a place.
    pub async fn count_all(&self) -> Result<(), Unavailable> {
        let counting = self.leases.count(&group_of(None, None, None)).await?;
        self.counts.counting.store(counting.into(), Ordering::Relaxed);
        Ok(())
    }

    /// What became of sessions.
    pub fn reading(&self) -> Reading {
        self.counts.reading()
    }

    /// The session of this name.
    pub async fn find(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable> {
        self.leases.find(id).await
    }

    /// Has a session closed, because somebody wants it.
    pub async fn end(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable> {
        self.known.remove(id);
        self.leases.end(id).await
    }

    fn sealed(&self, id: &LeaseId, closing: &Closing) -> Result<Vec<u8>, Trouble> {
        let closing = serde_json::to_vec(closing)?;
        Ok(self.key.seal(&closing, &purpose(id))?.into_bytes())
    }

    fn unsealed(&self, lease: &Lease) -> Option<Closing> {
        let sealed = std::str::from_utf8(&lease.body).ok()?;
        serde_json::from_slice(&self.key.open(sealed, &purpose(&lease.id))?).ok()
    }
}

/// What closes a session closes no other.
fn purpose(id: &LeaseId) -> String {
    format!("session {id}")
}

fn text(about: &About) -> Result<String, serde_json::Error> {
    serde_json::to_string(about)
}

fn chance() -> Result<LeaseId, secrets::Error> {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_unspecified| secrets::Error::NoRandomness)?;
    Ok(LeaseId::of(&id))
}

/// A pause of which up to a fifth is left out, so that not all come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness it is the whole pause.
    aws_lc_rs::rand::fill(&mut byte).ok();
    let [byte] = byte;
    pause.saturating_sub(pause / 5 * u32::from(byte) / 256)
}

/// How long a session outlives its idle time in the store: uses are told a second later.
const SLACK: Duration = Duration::from_secs(3);

/// How long whoever claimed a session has to close it.
const CLAIM: Duration = Duration::from_mins(1);

/// Sessions that are closed at once.
const CLAIMED_AT_ONCE: usize = 32;

/// Uses that are told at once.
const AT_ONCE: usize = 1000;

const HOUR: Duration = Duration::from_hours(1);
