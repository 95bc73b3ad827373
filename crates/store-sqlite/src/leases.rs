//! Leases in two tables.
//!
//! Each method but `list`, `find` and `count` is one transaction of the thread that writes, so nobody sees it half done, and
//! what was granted is on the disk. Renewals come in batches.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use store::{
    Clock, Done, Ending, Lease, LeaseId, LeaseListing, LeaseState, Leases, NewLease, Opened, Taken, Unavailable,
    UnixMicros, WhenFull, Which, Why,
};

use crate::SqliteStore;
use crate::rows::{changed, parsed, signed, unsigned, word};
use crate::trouble::Trouble;
use crate::usage::unavailable;

/// Leases in the embedded store.
pub struct SqliteLeases {
    store: Arc<SqliteStore>,
    clock: Clock,
}

impl SqliteLeases {
    /// The leases of this store, by this clock.
    pub fn new(store: Arc<SqliteStore>, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Does `work` on what there is now, all of it or nothing.
    async fn now<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>, UnixMicros) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let clock = self.clock.clone();
        let swept = move |transaction: &Transaction<'_>| {
            let now = clock();
            sweep(transaction, now)?;
            work(transaction, now)
        };
        self.store.write(swept).await.map_err(unavailable)
    }

    /// As [`Self::now`], to look only. What is over and was not swept yet is left out.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>, UnixMicros) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let now = (self.clock)();
        self.store.read(move |transaction| work(transaction, now)).await.map_err(unavailable)
    }
}

/// A lease as it is moved to another store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLease {
    /// The lease.
    pub lease: Lease,
    /// How long it is held without being renewed.
    pub ttl: Duration,
    /// The names of its groups.
    pub groups: Vec<String>,
}

impl SqliteStore {
    /// All leases that stand for something, in the order in which they were taken.
    pub async fn all_leases(&self) -> Result<Vec<KeptLease>, Unavailable> {
        self.read(|transaction| {
            let sql = format!("{SELECT} WHERE state IN ('open', 'closing') ORDER BY leases.opened, leases.id");
            let leases: Vec<Lease> =
                transaction.prepare_cached(&sql)?.query_map([], read)?.collect::<Result<_, _>>()?;
            leases.into_iter().map(|lease| kept(transaction, lease)).collect()
        })
        .await
        .map_err(unavailable)
    }
}

fn kept(transaction: &Transaction<'_>, lease: Lease) -> Result<KeptLease, Trouble> {
    let mut statement = transaction.prepare_cached("SELECT ttl FROM leases WHERE id = ?")?;
    let ttl = statement.query_row([lease.id.as_str()], |row| unsigned(row, 0))?;
    let mut statement = transaction.prepare_cached("SELECT name FROM lease_groups WHERE id = ?")?;
    let groups = statement.query_map([lease.id.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(KeptLease { lease, ttl: Duration::from_micros(ttl), groups })
}

#[async_trait]
impl Leases for SqliteLeases {
    async fn take(&self, lease: &NewLease) -> Result<Taken, Unavailable> {
        let lease = lease.clone();
        self.now(move |transaction, now| take(transaction, &lease, now)).await
    }

    async fn open(&self, taken: &LeaseId, opened: &Opened) -> Result<Done, Unavailable> {
        let (taken, opened) = (taken.clone(), opened.clone());
        self.now(move |transaction, now| open(transaction, &taken, &opened, now)).await
    }

    async fn renew(&self, used: &[LeaseId]) -> Result<Vec<LeaseId>, Unavailable> {
        let used = used.to_vec();
        let renew = move |transaction: &Transaction<'_>, now: UnixMicros| {
            let sql = "UPDATE leases SET renewed = ?1, ends = MIN(?1 + ttl, latest) WHERE id = ?2 AND state = 'open'";
            let mut gone = Vec::new();
            for id in used {
                if !changed(transaction, sql, params![signed(now.0), id.as_str()])? {
                    gone.push(id);
                }
            }
            Ok(gone)
        };
        self.now(renew).await
    }

    async fn release(&self, id: &LeaseId) -> Result<Done, Unavailable> {
        let id = id.clone();
        let release = move |transaction: &Transaction<'_>, _: UnixMicros| match find(transaction, &id)? {
            Some(Lease { state: LeaseState::Opening | LeaseState::Open, .. }) => {
                forget(transaction, &id)?;
                Ok(Done::Now)
            }
            _ => Ok(Done::Gone),
        };
        self.now(release).await
    }

    async fn end(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable> {
        let id = id.clone();
        self.now(move |transaction, now| end_by_hand(transaction, &id, now)).await
    }

    async fn find(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable> {
        let wanted = id.clone();
        let is_over = |lease: &Lease, now| match lease.state {
            LeaseState::Opening | LeaseState::Open => lease.ends <= now,
            LeaseState::Closing => false,
            LeaseState::Closed => lease.due <= now,
        };
        let found = self
            .read(move |transaction, now| Ok(find(transaction, &wanted)?.map(|lease| (is_over(&lease, now), lease))));
        match found.await? {
            Some((false, lease)) => Ok(Some(lease)),
            None => Ok(None),
            Some((true, _)) => {
                let id = id.clone();
                self.now(move |transaction, _| find(transaction, &id)).await
            }
        }
    }

    async fn list(&self, listing: &LeaseListing) -> Result<Vec<Lease>, Unavailable> {
        let listing = listing.clone();
        self.now(move |transaction, _| list(transaction, &listing)).await
    }

    async fn count(&self, group: &str) -> Result<u32, Unavailable> {
        let group = group.to_owned();
        self.now(move |transaction, _| count(transaction, &group)).await
    }

    async fn claim(&self, limit: usize, how_long: Duration) -> Result<Vec<Lease>, Unavailable> {
        self.now(move |transaction, now| claim(transaction, now, limit, how_long)).await
    }

    async fn closed(&self, id: &LeaseId, claim: u32, note: &str, keep: Duration) -> Result<Done, Unavailable> {
        let (id, note) = (id.clone(), note.to_owned());
        let closed = move |transaction: &Transaction<'_>, now| {
            let sql = "UPDATE leases SET state = 'closed', note = ?, due = ?, body = X'', replaced_by = NULL \
                       WHERE id = ? AND state = 'closing' AND attempts = ?";
            let done = done(transaction, sql, params![note, after(now, keep), id.as_str(), claim])?;
            if done == Done::Now {
                give_back(transaction, &id)?;
            }
            Ok(done)
        };
        self.now(closed).await
    }

    async fn retry(&self, id: &LeaseId, claim: u32, note: &str, pause: Duration) -> Result<Done, Unavailable> {
        let (id, note) = (id.clone(), note.to_owned());
        let retry = move |transaction: &Transaction<'_>, now| {
            let sql = "UPDATE leases SET note = ?, due = ? WHERE id = ? AND state = 'closing' AND attempts = ?";
            done(transaction, sql, params![note, after(now, pause), id.as_str(), claim])
        };
        self.now(retry).await
    }
}

/// Ends what is over.
fn sweep(transaction: &Transaction<'_>, now: UnixMicros) -> Result<(), Trouble> {
    let sql = format!("{SELECT} WHERE state IN ('opening', 'open') AND ends <= ?");
    let over: Vec<Lease> =
        transaction.prepare_cached(&sql)?.query_map([signed(now.0)], read)?.collect::<Result<_, _>>()?;
    for lease in over {
        let why = if lease.ends == lease.latest { Why::Life } else { Why::Idle };
        end(transaction, &lease, why, now)?;
    }
    changed(transaction, "DELETE FROM leases WHERE state = 'closed' AND due <= ?", [signed(now.0)])?;
    Ok(())
}

/// Ends a lease, and says how it is then: nothing if it is forgotten.
fn end(transaction: &Transaction<'_>, lease: &Lease, why: Why, now: UnixMicros) -> Result<Option<Lease>, Trouble> {
    if lease.state != LeaseState::Open || lease.ending == Ending::Forget {
        forget(transaction, &lease.id)?;
        return Ok(None);
    }
    let sql = "UPDATE leases SET state = 'closing', ended = ?1, why = ?2, due = ?1 WHERE id = ?3";
    changed(transaction, sql, params![signed(now.0), why.as_str(), lease.id.as_str()])?;
    Ok(Some(Lease { state: LeaseState::Closing, ended: Some((now, why)), due: now, ..lease.clone() }))
}

fn forget(transaction: &Transaction<'_>, id: &LeaseId) -> Result<(), Trouble> {
    give_back(transaction, id)?;
    changed(transaction, "DELETE FROM leases WHERE id = ?", [id.as_str()])?;
    Ok(())
}

/// What gave its place to this one counts again.
fn give_back(transaction: &Transaction<'_>, id: &LeaseId) -> Result<(), Trouble> {
    changed(transaction, "UPDATE leases SET replaced_by = NULL WHERE replaced_by = ?", [id.as_str()])?;
    Ok(())
}

fn take(transaction: &Transaction<'_>, new: &NewLease, now: UnixMicros) -> Result<Taken, Trouble> {
    if find(transaction, &new.id)?.is_some() {
        return Ok(Taken::Granted { ousted: Vec::new() });
    }
    transaction.execute_batch("SAVEPOINT before")?;
    let mut ousted = Vec::new();
    for group in &new.groups {
        while let Some(most) = group.most
            && count(transaction, &group.name)? >= most
        {
            let Some(lease) = oust(transaction, new, &group.name, now)? else {
                transaction.execute_batch("ROLLBACK TO before")?;
                return Ok(Taken::Full { group: group.name.clone() });
            };
            ousted.push(lease);
        }
    }
    insert(transaction, new, now)?;
    Ok(Taken::Granted { ousted })
}

/// Has the oldest of a group give its place to a newcomer, if it may.
fn oust(transaction: &Transaction<'_>, by: &NewLease, group: &str, now: UnixMicros) -> Result<Option<Lease>, Trouble> {
    let WhenFull::Oust { claim } = by.when_full else { return Ok(None) };
    let sql = format!(
        "{SELECT} WHERE state = 'open' AND id = (SELECT leases.id FROM lease_groups JOIN leases USING (id) \
         WHERE lease_groups.name = ? AND state = 'open' ORDER BY lease_groups.opened, lease_groups.id LIMIT 1)"
    );
    let oldest = transaction.prepare_cached(&sql)?.query_row([group], read).optional()?;
    let Some(oldest) = oldest else { return Ok(None) };
    let Some(ended) = end(transaction, &oldest, Why::Ousted, now)? else { return Ok(Some(oldest)) };
    let sql = "UPDATE leases SET attempts = attempts + 1, due = ?, replaced_by = ? WHERE id = ?";
    let due = UnixMicros(after(now, claim).unsigned_abs());
    changed(transaction, sql, params![signed(due.0), by.id.as_str(), oldest.id.as_str()])?;
    Ok(Some(Lease { attempts: ended.attempts + 1, due, ..ended }))
}

fn insert(transaction: &Transaction<'_>, new: &NewLease, now: UnixMicros) -> Result<(), Trouble> {
    changed(
        transaction,
        "INSERT INTO leases (id, state, ending, opened, renewed, ends, latest, ttl, about, body, attempts, due, note) \
         VALUES (?1, 'opening', 'forget', ?2, ?2, ?3, ?4, ?5, ?6, X'', 0, ?2, '')",
        params![
            new.id.as_str(),
            signed(now.0),
            after(now, new.ttl.min(new.life)),
            after(now, new.life),
            micros(new.ttl),
            new.about,
        ],
    )?;
    for group in &new.groups {
        let sql = "INSERT OR IGNORE INTO lease_groups (name, opened, id) VALUES (?, ?, ?)";
        changed(transaction, sql, params![group.name, signed(now.0), new.id.as_str()])?;
    }
    Ok(())
}

fn open(transaction: &Transaction<'_>, taken: &LeaseId, opened: &Opened, now: UnixMicros) -> Result<Done, Trouble> {
    match find(transaction, taken)? {
        Some(Lease { state: LeaseState::Opening, .. }) => {}
        _ => return Ok(Done::Gone),
    }
    if *taken != opened.id {
        forget(transaction, &opened.id)?;
    }
    let sql = "UPDATE leases SET replaced_by = ? WHERE replaced_by = ?";
    changed(transaction, sql, [opened.id.as_str(), taken.as_str()])?;
    let sql = "UPDATE leases SET id = ?1, state = 'open', ending = ?2, renewed = ?3, ends = MIN(?3 + ttl, latest), \
               about = ?4, body = ?5 WHERE id = ?6";
    let Opened { id, ending, about, body } = opened;
    changed(transaction, sql, params![id.as_str(), ending.as_str(), signed(now.0), about, body, taken.as_str()])?;
    Ok(Done::Now)
}

fn end_by_hand(transaction: &Transaction<'_>, id: &LeaseId, now: UnixMicros) -> Result<Option<Lease>, Trouble> {
    let Some(lease) = find(transaction, id)? else { return Ok(None) };
    match lease.state {
        LeaseState::Opening | LeaseState::Closed => Ok(None),
        LeaseState::Open => Ok(Some(end(transaction, &lease, Why::Asked, now)?.unwrap_or(lease))),
        LeaseState::Closing => {
            changed(transaction, "UPDATE leases SET due = ? WHERE id = ?", params![signed(now.0), id.as_str()])?;
            Ok(Some(Lease { due: now, ..lease }))
        }
    }
}

fn list(transaction: &Transaction<'_>, listing: &LeaseListing) -> Result<Vec<Lease>, Trouble> {
    let LeaseListing { group, which, after, limit } = listing;
    let (opened, id) = after.as_ref().map_or((-1, ""), |(opened, id)| (signed(opened.0), id.as_str()));
    let state = match which {
        Which::Current => "state != 'closed'",
        Which::Closed => "state = 'closed'",
    };
    let sql = format!(
        "{SELECT} JOIN lease_groups USING (id) WHERE name = ? AND (lease_groups.opened, lease_groups.id) > (?, ?) \
         AND {state} ORDER BY lease_groups.opened, lease_groups.id LIMIT ?"
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let rows = statement.query_map(params![group, opened, id, signed(*limit as u64)], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn count(transaction: &Transaction<'_>, group: &str) -> Result<u32, Trouble> {
    let sql = "SELECT COUNT(*) FROM lease_groups JOIN leases USING (id) \
               WHERE name = ? AND state != 'closed' AND replaced_by IS NULL";
    Ok(transaction.prepare_cached(sql)?.query_row([group], |row| row.get(0))?)
}

fn claim(
    transaction: &Transaction<'_>,
    now: UnixMicros,
    limit: usize,
    how_long: Duration,
) -> Result<Vec<Lease>, Trouble> {
    let sql = format!("{SELECT} WHERE state = 'closing' AND due <= ? ORDER BY due LIMIT ?");
    let mut due: Vec<Lease> = transaction
        .prepare_cached(&sql)?
        .query_map(params![signed(now.0), signed(limit as u64)], read)?
        .collect::<Result<_, _>>()?;
    for lease in &mut due {
        lease.attempts += 1;
        lease.due = UnixMicros(after(now, how_long).unsigned_abs());
        let sql = "UPDATE leases SET attempts = ?, due = ? WHERE id = ?";
        changed(transaction, sql, params![lease.attempts, signed(lease.due.0), lease.id.as_str()])?;
    }
    Ok(due)
}

fn done(transaction: &Transaction<'_>, sql: &str, params: impl rusqlite::Params) -> Result<Done, Trouble> {
    Ok(if changed(transaction, sql, params)? { Done::Now } else { Done::Gone })
}

fn find(transaction: &Transaction<'_>, id: &LeaseId) -> Result<Option<Lease>, Trouble> {
    let mut statement = transaction.prepare_cached(&format!("{SELECT} WHERE id = ?"))?;
    Ok(statement.query_row([id.as_str()], read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Lease> {
    let time = |column| unsigned(row, column).map(UnixMicros);
    let ended: Option<i64> = row.get(9)?;
    let why: Option<String> = row.get(10)?;
    let why = why.map(|why| parsed(10, &why)).transpose()?;
    Ok(Lease {
        id: word(row, 0)?,
        state: word(row, 1)?,
        ending: word(row, 2)?,
        opened: time(3)?,
        renewed: time(4)?,
        ends: time(5)?,
        latest: time(6)?,
        about: row.get(7)?,
        body: row.get(8)?,
        ended: ended.map(|at| UnixMicros(at.unsigned_abs())).zip(why),
        attempts: row.get(11)?,
        due: time(12)?,
        note: row.get(13)?,
    })
}

/// A time that is so much later, as `SQLite` has it.
fn after(now: UnixMicros, time: Duration) -> i64 {
    signed(now.0).saturating_add(micros(time))
}

/// A span that can be added to any time of this era.
fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

const SELECT: &str = "SELECT leases.id, state, ending, leases.opened, renewed, ends, latest, about, body, ended, why, \
                      attempts, due, note FROM leases";

#[cfg(test)]
mod tests {
    use store::suite::leases::{Bench, SetClock};

    use super::*;

    /// Leases in an empty store, and the directory that it is in.
    struct OnBench {
        leases: SqliteLeases,
        clock: SetClock,
        _directory: tempfile::TempDir,
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
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("store.db")).unwrap();
        let clock = SetClock::default();
        OnBench { leases: SqliteLeases::new(Arc::new(store), clock.clock()), clock, _directory: directory }
    }

    store::leases_suite!(in_a_file, Box::new(super::open()));
}
