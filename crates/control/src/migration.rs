//! A shared database comes to the present version, and takes over what an embedded store keeps.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use limits::{Period, Reading, Shared as _, Window};
use metering::Ledger;
use model::Document;
use model::document::Store;
use rooms::Whereabouts;
use secrets::{Masters, Vault};
use store::{Ending, Group, LeaseState, Leases as _, Mode, NewLease, Opened, Unavailable, WhenFull};
use store_postgres::{Filled, Migration, NotFilled, OpenError, PostgresStore, Source};
use store_redis::{RedisCounts, RedisLeases, RedisLog};
use store_sqlite::{KeptLease, SqliteStore};

use crate::backends;
use crate::clock::now;
use crate::presence::Presence;
use crate::rooms::FOLDER;

/// How long Redis may take to be found, and to take what quotas consumed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was moved from an embedded store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// What went into the database.
    pub filled: Filled,
    /// Secrets.
    pub secrets: usize,
    /// Counters of quotas whose windows are open.
    pub counters: usize,
    /// Sessions that are open or to be closed.
    pub sessions: usize,
    /// Waiting rooms.
    pub rooms: usize,
}

/// Why nothing was migrated.
#[derive(Debug, thiserror::Error)]
pub enum NotMigrated {
    /// There is nothing to migrate to.
    #[error(
        "the document's `store` has no `postgres`; an embedded store comes to the present version when it is started"
    )]
    NotShared,
    /// A gateway would go on to change what is moved.
    #[error("a gateway works with {0}: stop it first")]
    InUse(PathBuf),
    /// There is no embedded store in a folder.
    #[error("there is no embedded store in {0}")]
    Missing(PathBuf),
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    NotFilled(#[from] NotFilled),
    /// Redis is needed for what quotas consumed, and for sessions.
    #[error("Redis does not answer, and quotas that are used up would begin anew, and sessions be lost")]
    NoRedis,
    /// Waiting rooms cannot be had by the nodes of the new store.
    #[error("waiting rooms cannot be moved")]
    NoRooms(#[from] turns::NotMoved),
    /// One of the stores cannot be used.
    #[error("{0} cannot be used")]
    Unusable(&'static str, #[source] Box<dyn Error + Send + Sync>),
}

/// Brings the tables of a document's database to the present version.
pub async fn migrate(document: &Document, mode: Mode) -> Result<Migration, NotMigrated> {
    let store = document.store.as_ref().ok_or(NotMigrated::NotShared)?;
    Ok(PostgresStore::migrate(settings(store)?, mode).await?)
}

/// Has a document's database, and Redis, take over what an embedded store keeps in a folder, which stays as it is.
pub async fn move_in(document: &Document, from: &Path, mode: Mode) -> Result<Moved, NotMigrated> {
    let store = document.store.as_ref().ok_or(NotMigrated::NotShared)?;
    let (settings, file) = (settings(store)?, backends::database(from));
    if !file.exists() {
        return Err(NotMigrated::Missing(from.to_owned()));
    }
    let presence = Presence::claim(&from.join("processes")).map_err(|error| unusable("the folder")(error.into()))?;
    if presence.has_others().map_err(|error| unusable("the folder")(error.into()))? {
        return Err(NotMigrated::InUse(from.to_owned()));
    }
    let old = SqliteStore::open(&file).map_err(|error| unusable("the embedded database")(error.into()))?;
    let counted = old.all_counted().await.map_err(|error| unusable("the embedded database")(error.into()))?;
    let new = match mode {
        Mode::Real => PostgresStore::open(settings).await?,
        Mode::Rehearsal => PostgresStore::to_rehearse(settings)?,
    };
    let (consumed, sessions) = (consumed(from)?, sessions(&old).await?);
    let counts = match (&store.redis, mode) {
        (Some(address), Mode::Real) => Some(redis(store, address).await?),
        _ => None,
    };
    let rooms = rooms(document, from)?;
    let log = match (&store.redis, mode, &rooms.1) {
        (Some(address), Mode::Real, Some(_)) => Some(shared_log(store, address).await?),
        _ => None,
    };
    let source = Source { registry: &old, totals: &old, statements: &old, counted: &counted };
    let secrets = secrets(document, store, from, mode)?;
    let filled = new.fill(&source, mode).await?;
    if let Some(counts) = counts {
        add(&counts, &consumed).await?;
    }
    if let (Some(address), Mode::Real) = (&store.redis, mode) {
        hand_over(store, address, &sessions).await?;
    }
    if let (Some(log), Some(picture)) = (log, &rooms.1) {
        turns::begin_with(&log, picture).await?;
    }
    Ok(Moved { filled, secrets, counters: consumed.len(), sessions: sessions.len(), rooms: rooms.0 })
}

/// How many waiting rooms there are, and all that is known of them.
fn rooms(document: &Document, from: &Path) -> Result<(usize, Option<Vec<u8>>), NotMigrated> {
    let folder = from.join(FOLDER);
    if !folder.exists() {
        return Ok((0, None));
    }
    let trouble = |error: rooms::Unusable| unusable("what is known of waiting rooms")(error.into());
    let rooms = rooms::Rooms::open(&folder, Arc::new(old_vault(document, from)?), now().0).map_err(trouble)?;
    if rooms.take().map_err(trouble)? == Whereabouts::Elsewhere {
        return Err(NotMigrated::InUse(from.to_owned()));
    }
    let picture = rooms.picture_of_all().map_err(|error| trouble(error.into()))?;
    Ok((if picture.is_some() { rooms.count() } else { 0 }, picture))
}

/// The log of waiting rooms that nodes share, in which there is nothing yet.
async fn shared_log(store: &Store, address: &str) -> Result<RedisLog, NotMigrated> {
    let settings = backends::redis(store, address).map_err(unusable("Redis"))?;
    let patient = store_redis::Settings { patience: PATIENCE, ..settings };
    let log = RedisLog::open(patient).map_err(|error| unusable("Redis")(error.into()))?;
    turns::expect_empty(&log).await?;
    Ok(log)
}

fn settings(store: &Store) -> Result<store_postgres::Settings, NotMigrated> {
    backends::postgres(store).map_err(unusable("`ca`"))?.ok_or(NotMigrated::NotShared)
}

fn unusable(what: &'static str) -> impl Fn(Box<dyn Error + Send + Sync>) -> NotMigrated {
    move |cause| NotMigrated::Unusable(what, cause)
}

/// Closes the secrets of a folder with the keys of the new store.
fn secrets(document: &Document, store: &Store, from: &Path, mode: Mode) -> Result<usize, NotMigrated> {
    let trouble = |error: secrets::Error| unusable("a vault of secrets")(error.into());
    let old = old_vault(document, from)?;
    let names = old.names().map_err(trouble)?;
    if mode == Mode::Real {
        let new = backends::vault(store, &document.encryption).map_err(unusable("the vault of secrets"))?;
        for name in &names {
            let content = old.get(name).map_err(trouble)?;
            new.update(name, |_| Ok(((), content))).map_err(trouble)?;
        }
    }
    Ok(names.len())
}

/// The vault of a folder.
fn old_vault(document: &Document, from: &Path) -> Result<Vault, NotMigrated> {
    let local = match (backends::master_file(from), &document.encryption.master_keys) {
        (file, Some(keys)) if !file.exists() => Masters::Given(keys.clone()),
        (file, _) => Masters::File(file),
    };
    let masters = backends::masters(local, &document.encryption).map_err(unusable("a vault of secrets"))?;
    Vault::open(&from.join("secrets"), masters).map_err(|error| unusable("a vault of secrets")(error.into()))
}

/// What quotas consumed in windows that may be open, each with its window.
fn consumed(from: &Path) -> Result<Vec<(Reading, Window)>, NotMigrated> {
    let trouble = |error: Box<dyn Error + Send + Sync>| unusable("the ledger of quotas")(error);
    let journal = Journal::open(&from.join("quotas"), journal::Settings::default(), now().0);
    let ledger = Ledger::new(journal.map_err(|error| trouble(error.into()))?.into());
    let mut sums = std::collections::BTreeMap::new();
    let summed = ledger.sums(|counter, window_start, n| {
        *sums.entry((counter.to_owned(), window_start)).or_insert(0_i64) += n;
    });
    summed.map_err(|error| trouble(error.into()))?;
    let open = sums.into_iter().filter_map(|((counter, window_start), n)| {
        let window = Window { start: window_start, end: window_start.saturating_add(longest(&counter)) };
        let consumed = u64::try_from(n).ok().filter(|consumed| 0 < *consumed)?;
        let is_open = now().0 / 1_000_000 < window.end;
        is_open.then_some((Reading { counter, window_start, consumed }, window))
    });
    Ok(open.collect())
}

/// How long a counter's window may be. Its name has the word for it; where other words are like it, the longest is right.
fn longest(counter: &str) -> u64 {
    const PERIODS: [Period; 7] =
        [Period::Year, Period::Month, Period::Week, Period::Day, Period::Hour, Period::Minute, Period::Second];
    let is_named = |period: &&Period| counter.split('/').any(|word| word == period.word());
    let period = PERIODS.iter().find(is_named).copied().unwrap_or(Period::Year);
    // A month has 31 days at most, a year 366, and a day of a zone 25 hours.
    period.seconds() / 20 * 21 + 4 * 3600
}

/// Sessions that are open or to be closed; those that nobody has to close, and whose time is over, are none.
async fn sessions(old: &SqliteStore) -> Result<Vec<KeptLease>, NotMigrated> {
    let mut leases = old.all_leases().await.map_err(|error| unusable("the embedded database")(error.into()))?;
    leases.retain(|kept| kept.lease.ending == Ending::Close || now() < kept.lease.ends);
    Ok(leases)
}

/// Gives sessions places in the common store, without regard to how many there may be: they are there.
///
/// It can be done again, and changes nothing then.
async fn hand_over(store: &Store, address: &str, sessions: &[KeptLease]) -> Result<(), NotMigrated> {
    let settings = backends::redis(store, address).map_err(unusable("Redis"))?;
    let new = RedisLeases::open(settings).map_err(|error| unusable("Redis")(error.into()))?;
    for KeptLease { lease, ttl, groups } in sessions {
        let left = Duration::from_micros(lease.latest.0.saturating_sub(now().0));
        let is_over = lease.state != LeaseState::Open || lease.ends <= now();
        let place = NewLease {
            id: lease.id.clone(),
            groups: groups.iter().map(|name| Group { name: name.clone(), most: None }).collect(),
            ttl: *ttl,
            // One whose time is over has to live until it is ended.
            life: if is_over { PATIENCE } else { left },
            when_full: WhenFull::Refuse,
            about: lease.about.clone(),
        };
        let opened =
            Opened { id: lease.id.clone(), ending: lease.ending, about: lease.about.clone(), body: lease.body.clone() };
        let handed = async {
            new.take(&place).await?;
            new.open(&lease.id, &opened).await?;
            if is_over {
                new.end(&lease.id).await?;
            }
            Ok::<_, Unavailable>(())
        };
        handed.await.map_err(|error| unusable("Redis")(error.into()))?;
    }
    Ok(())
}

async fn redis(store: &Store, address: &str) -> Result<RedisCounts, NotMigrated> {
    let settings = backends::redis(store, address).map_err(unusable("Redis"))?;
    let counts = RedisCounts::open(settings).map_err(|error| unusable("Redis")(error.into()))?;
    if counts.is_there_within(PATIENCE).await { Ok(counts) } else { Err(NotMigrated::NoRedis) }
}

/// Adds what quotas consumed to the common counts.
async fn add(counts: &RedisCounts, consumed: &[(Reading, Window)]) -> Result<(), NotMigrated> {
    for (Reading { counter, consumed, .. }, window) in consumed {
        counts.owe(counter, *window, i64::try_from(*consumed).unwrap_or(i64::MAX), *consumed);
    }
    let paid = async {
        while 0 < counts.reading().debts {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, paid).await.map_err(|_elapsed| NotMigrated::NoRedis)
}
