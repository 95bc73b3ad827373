//! Where a node keeps what it keeps: embedded, or in servers that several nodes share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use limits::Fallback;
use model::Document;
use model::document::{LimitsAlone, Store};
use model::keys::Encryption;
use problem::{Finding, Pointer};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrets::{Masters, Vault};
use store::{Alone, Leases, Nodes, Registry, Statements, UsageTotals};
use store_postgres::{Notices, PostgresStore, Sealed};
use store_redis::{RedisCounts, RedisLeases, RedisLog};
use store_sqlite::{SqliteLeases, SqliteStore};

use crate::clock::now;
use crate::start_error::StartError;
use transit::Transit;

/// What went wrong, of whatever kind.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How long a node that starts waits for Redis. Without it limits are alone until it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a session that opens waits for Redis.
const LEASES: Duration = Duration::from_secs(2);

/// What stands behind the traits of a store.
pub(crate) struct Backends {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) totals: Arc<dyn UsageTotals>,
    pub(crate) statements: Arc<dyn Statements>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) nodes: Arc<dyn Nodes>,
    /// Where limits are counted, if several nodes do.
    pub(crate) counts: Option<Arc<RedisCounts>>,
    /// Where waiting rooms are written down, if several nodes have them.
    pub(crate) rooms: Option<Arc<RedisLog>>,
}

/// Says that nothing is wrong with the settings of a store.
pub(crate) fn expect(document: &Document) -> Result<(), Vec<Finding>> {
    let findings = check(document);
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

/// What is wrong with the settings of a store.
pub(crate) fn check(document: &Document) -> Vec<Finding> {
    let Some(store) = &document.store else { return Vec::new() };
    let at = Pointer::default().at("store");
    let mut findings = Vec::new();
    let mut wrong = |at: &Pointer, message: &str| findings.push(Finding::new(at, message));
    match (&store.embedded, &store.postgres) {
        (None, None) => wrong(&at, "needs `embedded`, a folder, or for several nodes `postgres`, `redis` and `folder`"),
        (Some(_), Some(_)) => wrong(&at, "has both `embedded` and `postgres`: one of them keeps everything"),
        (Some(_), None) => {
            for (name, is_there) in [("redis", store.redis.is_some()), ("folder", store.folder.is_some())] {
                if is_there {
                    wrong(&at.at(name), "goes with `postgres`; what is embedded needs it not");
                }
            }
        }
        (None, Some(_)) => {
            if store.redis.is_none() {
                wrong(&at, "needs `redis`, too: there several nodes count together");
            }
            if store.folder.is_none() {
                wrong(&at, "needs a `folder`, too, for the journals of this node");
            }
            if document.encryption.master_keys.is_none() && document.encryption.transit.is_none() {
                let message = "is shared, and so must be the keys that close its secrets: give all nodes the same \
                               `encryption: {master_keys: [\"${env:MASTER_KEY}\"]}`, or the same `transit`";
                wrong(&at, message);
            }
        }
    }
    findings
}

/// The vault of a store, made if it is not there.
///
/// Blocks, and needs no runtime.
pub fn vault(store: &Store, encryption: &Encryption) -> Result<Vault, Cause> {
    let local = match &encryption.master_keys {
        Some(keys) => Masters::Given(keys.clone()),
        None => Masters::File(master_file(store.folder())),
    };
    let masters = masters(local, encryption)?;
    match postgres(store)? {
        Some(settings) => Ok(Vault::on(Box::new(Sealed::open(settings)?), masters)?),
        None => Ok(Vault::open(&store.folder().join("secrets"), masters)?),
    }
}

/// Master keys of this machine, or one elsewhere that takes their place.
pub(crate) fn masters(local: Masters, encryption: &Encryption) -> Result<Masters, Cause> {
    let Some(settings) = &encryption.transit else { return Ok(local) };
    let before = match local {
        // Where there was none before, none is made.
        Masters::File(path) if !path.exists() => None,
        local => Some(Box::new(local)),
    };
    Ok(Masters::Elsewhere(Arc::new(Transit::open(settings)?), before))
}

/// The file of a store's own master key.
pub(crate) fn master_file(folder: &Path) -> std::path::PathBuf {
    folder.join("master.key")
}

/// The database of an embedded store.
pub(crate) fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("vestibule.db")
}

/// How to get at the database that is shared, if one is.
pub fn postgres(store: &Store) -> Result<Option<store_postgres::Settings>, Cause> {
    let Some(address) = &store.postgres else { return Ok(None) };
    let mut settings = store_postgres::Settings::of(address);
    if let Some(path) = &store.ca {
        let unreadable = |error: rustls_pki_types::pem::Error| format!("{}: {error}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            settings.authorities.push(certificate.map_err(unreadable)?);
        }
    }
    Ok(Some(settings))
}

/// Which part of a store cannot be used.
pub(crate) enum Part {
    /// One in its folder.
    Here(&'static str),
    /// A server, with the setting that says where it is.
    Server(&'static str),
}

impl Part {
    /// That a node does not start for it.
    pub(crate) fn fails(self, store: &Store, cause: Cause) -> StartError {
        match self {
            Self::Here(what) => StartError::Store { folder: store.folder().to_owned(), what, cause },
            Self::Server(what) => StartError::Server { what, cause },
        }
    }
}

const POSTGRES: Part = Part::Server("PostgreSQL, by the address in `store.postgres`,");
const REDIS: Part = Part::Server("Redis, by the address in `store.redis`,");

/// Opens what a store is kept in, or says which part of it fails.
pub(crate) async fn open(store: &Store) -> Result<Backends, (Part, Cause)> {
    let Some(settings) = postgres(store).map_err(|cause| (Part::Server("the authorities in `store.ca`"), cause))?
    else {
        let opened = SqliteStore::open(&database(store.folder()));
        let sqlite = Arc::new(opened.map_err(|error| (Part::Here("the database"), error.into()))?);
        return Ok(Backends {
            registry: sqlite.clone(),
            totals: sqlite.clone(),
            statements: sqlite.clone(),
            leases: Arc::new(SqliteLeases::new(sqlite, Arc::new(now))),
            nodes: Arc::new(Alone),
            counts: None,
            rooms: None,
        });
    };
    let opened = PostgresStore::open(settings).await;
    let postgres = Arc::new(opened.map_err(|error| (POSTGRES, Cause::from(error)))?);
    let Some(address) = &store.redis else { return Err((REDIS, "there is no address of it".into())) };
    let settings = redis(store, address).map_err(|cause| (REDIS, cause))?;
    // A session that opens waits for longer than a request that is counted: it has no other way.
    let patient = store_redis::Settings { patience: LEASES, ..settings.clone() };
    let rooms = RedisLog::open(patient.clone()).map_err(|error| (REDIS, error.into()))?;
    let leases = RedisLeases::open(patient).map_err(|error| (REDIS, error.into()))?;
    let counts = RedisCounts::open(settings).map_err(|error| (REDIS, error.into()))?;
    // Whether it came is told where it is looked for.
    let _is_there = counts.is_there_within(PATIENCE).await;
    Ok(Backends {
        registry: postgres.clone(),
        totals: postgres.clone(),
        statements: postgres.clone(),
        leases: Arc::new(leases),
        nodes: Arc::new(Notices::of(postgres)),
        counts: Some(Arc::new(counts)),
        rooms: Some(Arc::new(rooms)),
    })
}

/// How to get at the Redis of a store.
pub(crate) fn redis(store: &Store, address: &str) -> Result<store_redis::Settings, Cause> {
    let mut settings = store_redis::Settings::of(address);
    settings.authorities = store.ca.as_ref().map(std::fs::read).transpose()?;
    settings.fallback = match store.limits_without_redis {
        LimitsAlone::CountAlone => Fallback::Alone,
        LimitsAlone::Fail => Fallback::Fail,
    };
    Ok(settings)
}
