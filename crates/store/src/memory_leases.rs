//! Leases in memory: for tests, for trying things out, and the plainest reading of the promise.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    Clock, Done, Ending, Lease, LeaseId, LeaseListing, LeaseState, Leases, NewLease, Opened, Taken, Unavailable,
    UnixMicros, WhenFull, Which, Why,
};

/// Leases that are gone when the process is.
pub struct InMemoryLeases {
    clock: Clock,
    held: Mutex<BTreeMap<LeaseId, Held>>,
}

#[derive(Clone)]
struct Held {
    lease: Lease,
    groups: Vec<String>,
    ttl: u64,
    /// Who has its place.
    replaced_by: Option<LeaseId>,
}

type All = BTreeMap<LeaseId, Held>;

impl InMemoryLeases {
    /// No leases yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, held: Mutex::default() }
    }

    /// Does `work` on what there is now.
    fn now<T>(&self, work: impl FnOnce(&mut All, UnixMicros) -> T) -> T {
        let mut all = self.held.lock();
        let now = (self.clock)();
        sweep(&mut all, now);
        work(&mut all, now)
    }
}

/// Ends what is over.
fn sweep(all: &mut All, now: UnixMicros) {
    let is_over = |lease: &Lease| match lease.state {
        LeaseState::Opening | LeaseState::Open => lease.ends <= now,
        LeaseState::Closing => false,
        LeaseState::Closed => lease.due <= now,
    };
    let over: Vec<_> = all.values().filter(|held| is_over(&held.lease)).map(|held| held.lease.id.clone()).collect();
    for id in over {
        let Some(held) = all.get_mut(&id) else { continue };
        let why = if held.lease.ends == held.lease.latest { Why::Life } else { Why::Idle };
        if held.lease.state == LeaseState::Closed || !held.end(why, now) {
            forget(all, &id);
        }
    }
}

/// Has the oldest of a group give its place to a newcomer, if it may.
fn oust(all: &mut All, by: &NewLease, group: &str, now: UnixMicros) -> Option<Lease> {
    let WhenFull::Oust { claim } = by.when_full else { return None };
    let open = all.values_mut().filter(|held| held.lease.state == LeaseState::Open && held.is_in(group));
    let oldest = open.min_by(|one, other| place(&one.lease).cmp(&place(&other.lease)))?;
    if !oldest.end(Why::Ousted, now) {
        let gone = oldest.lease.clone();
        forget(all, &gone.id);
        return Some(gone);
    }
    oldest.claim(now, claim);
    oldest.replaced_by = Some(by.id.clone());
    Some(oldest.lease.clone())
}

impl Held {
    fn taken(new: &NewLease, now: UnixMicros) -> Self {
        let lease = Lease {
            id: new.id.clone(),
            state: LeaseState::Opening,
            ending: Ending::Forget,
            opened: now,
            renewed: now,
            ends: after(now, new.ttl.min(new.life)),
            latest: after(now, new.life),
            about: new.about.clone(),
            body: Vec::new(),
            ended: None,
            attempts: 0,
            due: now,
            note: String::new(),
        };
        let groups = new.groups.iter().map(|group| group.name.clone()).collect();
        Self { lease, groups, ttl: micros(new.ttl), replaced_by: None }
    }

    /// Ends it; `false` if it is to be forgotten.
    fn end(&mut self, why: Why, now: UnixMicros) -> bool {
        if self.lease.state != LeaseState::Open || self.lease.ending == Ending::Forget {
            return false;
        }
        self.lease.state = LeaseState::Closing;
        self.lease.ended = Some((now, why));
        self.lease.due = now;
        true
    }

    fn claim(&mut self, now: UnixMicros, how_long: Duration) {
        self.lease.attempts += 1;
        self.lease.due = after(now, how_long);
    }

    fn counts(&self) -> bool {
        self.lease.state != LeaseState::Closed && self.replaced_by.is_none()
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

fn forget(all: &mut All, id: &LeaseId) {
    all.remove(id);
    give_back(all, id);
}

/// What gave its place to this one counts again.
fn give_back(all: &mut All, id: &LeaseId) {
    for held in all.values_mut().filter(|held| held.replaced_by.as_ref() == Some(id)) {
        held.replaced_by = None;
    }
}

fn count(all: &All, group: &str) -> u32 {
    let counting = all.values().filter(|held| held.counts() && held.is_in(group)).count();
    u32::try_from(counting).unwrap_or(u32::MAX)
}

fn after(now: UnixMicros, time: Duration) -> UnixMicros {
    UnixMicros(now.0.saturating_add(micros(time)))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Leases for InMemoryLeases {
    async fn take(&self, lease: &NewLease) -> Result<Taken, Unavailable> {
        Ok(self.now(|all, now| {
            if all.contains_key(&lease.id) {
                return Taken::Granted { ousted: Vec::new() };
            }
            let mut changed = all.clone();
            let mut ousted = Vec::new();
            for group in &lease.groups {
                while group.most.is_some_and(|most| count(&changed, &group.name) >= most) {
                    match oust(&mut changed, lease, &group.name, now) {
                        Some(gone) => ousted.push(gone),
                        None => return Taken::Full { group: group.name.clone() },
                    }
                }
            }
            changed.insert(lease.id.clone(), Held::taken(lease, now));
            *all = changed;
            Taken::Granted { ousted }
        }))
    }

    async fn open(&self, taken: &LeaseId, opened: &Opened) -> Result<Done, Unavailable> {
        Ok(self.now(|all, now| {
            if all.get(taken).is_none_or(|held| held.lease.state != LeaseState::Opening) {
                return Done::Gone;
            }
            let Some(mut held) = all.remove(taken) else { return Done::Gone };
            if *taken != opened.id {
                forget(all, &opened.id);
            }
            for replaced in all.values_mut().filter(|held| held.replaced_by.as_ref() == Some(taken)) {
                replaced.replaced_by = Some(opened.id.clone());
            }
            let ttl = Duration::from_micros(held.ttl);
            held.lease = Lease {
                id: opened.id.clone(),
                state: LeaseState::Open,
                ending: opened.ending,
                renewed: now,
                ends: after(now, ttl).min(held.lease.latest),
                about: opened.about.clone(),
                body: opened.body.clone(),
                ..held.lease
            };
            all.insert(opened.id.clone(), held);
            Done::Now
        }))
    }

    async fn renew(&self, used: &[LeaseId]) -> Result<Vec<LeaseId>, Unavailable> {
        Ok(self.now(|all, now| {
            let mut gone = Vec::new();
            for id in used {
                match all.get_mut(id).filter(|held| held.lease.state == LeaseState::Open) {
                    Some(held) => {
                        held.lease.renewed = now;
                        held.lease.ends = after(now, Duration::from_micros(held.ttl)).min(held.lease.latest);
                    }
                    None => gone.push(id.clone()),
                }
            }
            gone
        }))
    }

    async fn release(&self, id: &LeaseId) -> Result<Done, Unavailable> {
        Ok(self.now(|all, _| {
            let state = all.get(id).map(|held| held.lease.state);
            let Some(LeaseState::Opening | LeaseState::Open) = state else { return Done::Gone };
            forget(all, id);
            Done::Now
        }))
    }

    async fn end(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable> {
        Ok(self.now(|all, now| {
            let held = all.get_mut(id)?;
            match held.lease.state {
                LeaseState::Opening | LeaseState::Closed => None,
                LeaseState::Closing => {
                    held.lease.due = now;
                    Some(held.lease.clone())
                }
                LeaseState::Open => {
                    let is_closing = held.end(Why::Asked, now);
                    let ended = held.lease.clone();
                    if !is_closing {
                        forget(all, id);
                    }
                    Some(ended)
                }
            }
        }))
    }

    async fn find(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable> {
        Ok(self.now(|all, _| all.get(id).map(|held| held.lease.clone())))
    }

    async fn list(&self, listing: &LeaseListing) -> Result<Vec<Lease>, Unavailable> {
        Ok(self.now(|all, _| {
            let is_wanted = |held: &&Held| {
                let is_closed = held.lease.state == LeaseState::Closed;
                held.is_in(&listing.group)
                    && is_closed == (listing.which == Which::Closed)
                    && listing.after.as_ref().is_none_or(|(opened, id)| (*opened, id) < place(&held.lease))
            };
            let mut wanted: Vec<_> = all.values().filter(is_wanted).map(|held| held.lease.clone()).collect();
            wanted.sort_by(|one, other| place(one).cmp(&place(other)));
            wanted.truncate(listing.limit);
            wanted
        }))
    }

    async fn count(&self, group: &str) -> Result<u32, Unavailable> {
        Ok(self.now(|all, _| count(all, group)))
    }

    async fn claim(&self, limit: usize, how_long: Duration) -> Result<Vec<Lease>, Unavailable> {
        Ok(self.now(|all, now| {
            let is_due = |held: &&mut Held| held.lease.state == LeaseState::Closing && held.lease.due <= now;
            let mut due: Vec<_> = all.values_mut().filter(is_due).collect();
            due.sort_by_key(|held| held.lease.due);
            due.truncate(limit);
            let claim = |held: &mut Held| {
                held.claim(now, how_long);
                held.lease.clone()
            };
            due.into_iter().map(claim).collect()
        }))
    }

    async fn closed(&self, id: &LeaseId, claim: u32, note: &str, keep: Duration) -> Result<Done, Unavailable> {
        Ok(self.now(|all, now| {
            let Some(held) = claimed(all, id, claim) else { return Done::Gone };
            held.lease.state = LeaseState::Closed;
            note.clone_into(&mut held.lease.note);
            held.lease.due = after(now, keep);
            held.lease.body.clear();
            held.replaced_by = None;
            give_back(all, id);
            Done::Now
        }))
    }

    async fn retry(&self, id: &LeaseId, claim: u32, note: &str, pause: Duration) -> Result<Done, Unavailable> {
        Ok(self.now(|all, now| {
            let Some(held) = claimed(all, id, claim) else { return Done::Gone };
            note.clone_into(&mut held.lease.note);
            held.lease.due = after(now, pause);
            Done::Now
        }))
    }
}

/// The place of a lease in lists.
fn place(lease: &Lease) -> (UnixMicros, &LeaseId) {
    (lease.opened, &lease.id)
}

fn claimed<'a>(all: &'a mut All, id: &LeaseId, claim: u32) -> Option<&'a mut Held> {
    all.get_mut(id).filter(|held| held.lease.state == LeaseState::Closing && held.lease.attempts == claim)
}

#[cfg(test)]
mod tests {
    use crate::suite::leases::{Bench, SetClock};

    use super::*;

    struct OnBench {
        leases: InMemoryLeases,
        clock: SetClock,
    }

    #[async_trait]
    impl Bench for OnBench {
        fn leases(&self) -> &dyn Leases {
            &self.leases
        }

        async fn pass(&self, time: Duration) {
            self.clock.pass(time);
        }
    }

    fn open() -> OnBench {
        let clock = SetClock::default();
        OnBench { leases: InMemoryLeases::new(clock.clock()), clock }
    }

    crate::leases_suite!(in_memory, Box::new(super::open()));
}
