//! Everything that a node keeps in its store: partners, usage, what quotas consumed.

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firewall::Collections;
use journal::Journal;
use limits::{Brink, Period, Plans};
use metering::Rebuilt;
use metering::{Aggregator, Ledger, Meter};
use model::Document;
use model::document::Store;
use model::keys::Encryption;
use model::read::advice;
use model::usage::Usage;
use partners::{Index, Operation, Partners, Pepper, Product};
use pipeline::Services;
use policies::backend_token::Signers;
use policies::partner_record::Archive;
use policies::revocation_list::Revocations;
use policies::waiting_room_api::{Operators, WaitingRooms};
use problem::{Finding, Pointer};
use secrets::Vault;
use sessions::Sessions;
use store::{Nodes, Registry, UnixMicros, UsageQuery, UsageTotals};
use store_redis::RedisCounts;
use tokio::sync::{Mutex, RwLock};
use waf::Persistence;

use crate::accounts::Accounts;
use crate::alerting::Alerts;
use crate::authorities::Authorities;
use crate::backends::{self, Backends};
use crate::clock::now;
use crate::cron::Jobs;
use crate::everywhere::Everywhere;
use crate::kept_usage::{KEPT, KeptUsage};
use crate::quota_ledger::QuotaLedger;
use crate::room_operators::RoomOperators;
use crate::rooms::Rooms;
use crate::sessions::sealing_key;
use crate::signers::KeptSigners;
use crate::start_error::StartError;
use crate::webhooks::Webhooks;

/// The name by which the usage journal knows who adds its records up.
const TOTALS: &str = "totals";

/// The name of the key in the vault that seals what other services said of partners.
const RECORDS: &str = "records";

/// Everything that a node keeps in its store.
pub struct Keeping {
    /// The folder.
    pub folder: PathBuf,
    /// What operators do with partners.
    pub partners: Arc<Partners>,
    /// The sums of usage.
    pub totals: Arc<dyn UsageTotals>,
    /// What companies are to pay.
    pub accounts: Arc<Accounts>,
    /// What others are told of changes.
    pub webhooks: Arc<Webhooks>,
    /// What is wrong, and who is told.
    pub alerts: Arc<Alerts>,
    /// What is done at certain times.
    pub jobs: Arc<Jobs>,
    /// Secrets under encryption.
    pub vault: Arc<Vault>,
    /// Sessions of partners at backends.
    pub sessions: Arc<Sessions>,
    pub(crate) signers: Arc<KeptSigners>,
    /// Authorities that sign certificates of partners.
    pub authorities: Arc<Authorities>,
    /// Waiting rooms.
    pub rooms: Arc<Rooms>,
    /// Who may operate them.
    pub room_operators: Arc<RoomOperators>,
    /// What rules of the firewall remember.
    pub(crate) collections: Arc<Collections>,
    /// What other services said of partners.
    pub(crate) records: Arc<Archive>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) nodes: Arc<dyn Nodes>,
    /// Whether all nodes know what is in the store.
    pub everywhere: Everywhere,
    /// What this process is called among the nodes of its store.
    pub(crate) name: String,
    /// Where limits are counted, if several nodes do.
    pub(crate) counts: Option<Arc<RedisCounts>>,
    pub(crate) index: Arc<Index>,
    pub(crate) usage: Arc<Journal>,
    pub(crate) quotas: Arc<QuotaLedger>,
    pub(crate) meter: Arc<Meter>,
    /// Held for reading by whoever tells somebody something, so that it can be waited for what was told to be kept.
    pub(crate) telling: RwLock<()>,
    /// Up to when the uses of keys are written down.
    noted: Mutex<UnixMicros>,
    /// Records that stay after they were added up, if any do.
    pub(crate) kept: Option<KeptUsage>,
    /// Adds usage up; none while another process of this store does it.
    aggregator: Mutex<Option<Aggregator>>,
}

impl Keeping {
    /// Opens everything in a store, and makes what is missing.
    pub(crate) async fn open(
        store: &Store,
        usage_settings: &Usage,
        encryption: &Encryption,
    ) -> Result<Self, StartError> {
        let folder = store.folder();
        let trouble = |what: &'static str| {
            let folder = folder.to_owned();
            move |cause: Box<dyn std::error::Error + Send + Sync>| StartError::Store { folder, what, cause }
        };
        make_private(folder).map_err(|error| trouble("the folder")(error.into()))?;
        let Backends { registry, totals, statements, leases, nodes, counts, rooms } =
            backends::open(store).await.map_err(|(part, cause)| part.fails(store, cause))?;
        let unopened = |cause| {
            transit::finding(cause)
                .map_or_else(trouble("the vault of secrets"), |found| StartError::Findings(vec![found]))
        };
        let vault = Arc::new(backends::vault(store, encryption).map_err(unopened)?);
        let pepper = Pepper::load_or_create(&vault).map_err(|error| trouble("the pepper")(error.into()))?;
        let sessions = crate::sessions::sessions(leases, &vault).map_err(|error| trouble("sessions")(error.into()))?;
        let records = sealing_key(&vault, RECORDS).map_err(|error| trouble("records of partners")(error.into()))?;
        let index = Arc::new(Index::new(pepper));
        index.refresh(&*registry).await.map_err(|error| trouble("the keys")(error.into()))?;

        let settings = journal::Settings { consumers: consumers(usage_settings), ..journal::Settings::default() };
        let usage = journal(folder, "usage", settings).map_err(|error| trouble("the usage journal")(error.into()))?;
        let kept = keep(&usage, &folder.join("usage"), usage_settings, &*totals).await;
        let quotas = quota_ledger(folder).map_err(trouble("the ledger of quotas"))?;
        let partners = Arc::new(Partners::new(registry.clone(), index.clone(), Arc::new(now)));
        let name = process_name();
        let alerts = Arc::new(Alerts::new(registry.clone(), name.clone(), Arc::new(now)));
        let rooms = Arc::new(Rooms::kept_in(folder, vault.clone()).shared_in(rooms));
        Ok(Self {
            folder: folder.to_owned(),
            accounts: Arc::new(Accounts::new(statements, totals.clone(), Arc::new(now))),
            webhooks: Arc::new(Webhooks::new(registry.clone(), partners.clone(), vault.clone(), Arc::new(now))),
            jobs: Arc::new(Jobs::new(registry.clone(), name.clone(), alerts.clone(), Arc::new(now))),
            alerts,
            totals,
            signers: Arc::new(KeptSigners::new(vault.clone())),
            authorities: Arc::new(Authorities::kept_in(vault.clone(), folder)),
            room_operators: Arc::new(RoomOperators::new(partners.clone(), rooms.access_keys.clone())),
            rooms,
            collections: Arc::new(Collections::shared(registry.clone(), Arc::new(now))),
            records: Arc::new(Archive::new(registry.clone(), records, Arc::new(now))),
            partners,
            vault,
            sessions: Arc::new(sessions),
            everywhere: Everywhere::new(registry.clone(), nodes.clone()),
            registry,
            nodes,
            name,
            counts,
            meter: Arc::new(Meter::new(usage.clone())),
            quotas: Arc::new(quotas),
            telling: RwLock::default(),
            noted: Mutex::default(),
            aggregator: Mutex::new(None),
            usage,
            kept: kept.map_err(trouble("kept usage"))?,
            index,
        })
    }

    /// How the journal of usage is.
    pub fn journal(&self) -> journal::State {
        self.usage.state()
    }

    /// How the server does where limits are counted, if several nodes do that together.
    pub fn counts(&self) -> Option<store_redis::Reading> {
        self.counts.as_ref().map(|counts| counts.reading())
    }

    /// Writes down when keys were last used, for operators who look for those that nobody needs.
    pub(crate) async fn note_uses(&self) {
        /// Keys in one transaction.
        const AT_ONCE: usize = 10_000;
        let mut noted = self.noted.lock().await;
        let uses = self.index.uses_since(*noted);
        for some in uses.chunks(AT_ONCE) {
            if let Err(cause) = self.registry.touch(some).await {
                tracing::warn!(%cause, "when keys were last used could not be written down; it is tried again");
                return;
            }
        }
        *noted = uses.iter().map(|(_, at)| *at).fold(*noted, UnixMicros::max);
    }

    /// What policies find of it.
    pub(crate) fn lend(&self, services: Services) -> Services {
        let services = services
            .with(self.index.clone())
            .with(self.sessions.clone())
            .with(self.records.clone())
            .with::<dyn Brink>(self.alerts.clone())
            .with::<dyn Plans>(Arc::new(IndexedPlans::new(self.index.clone())))
            .with::<dyn Signers>(self.signers.clone())
            .with::<dyn Revocations>(self.authorities.clone())
            .with::<dyn WaitingRooms>(self.rooms.clone())
            .with::<dyn Operators>(self.room_operators.clone())
            .with::<dyn Persistence>(self.collections.clone());
        // Either several nodes remember what quotas consumed, or this one does.
        match &self.counts {
            Some(counts) => services.with::<dyn limits::Shared>(counts.clone()),
            None => services.with::<dyn limits::Ledger>(self.quotas.clone()),
        }
    }

    /// Adds up what is in the journal now. Where another process does that, it is left to it.
    pub async fn add_up(&self) -> Result<(), NotAddedUp> {
        let mut aggregator = self.aggregator.lock().await;
        if aggregator.is_none() {
            match self.usage.consumer(TOTALS) {
                Ok(consumer) => {
                    *aggregator = consumer.map(|consumer| Aggregator::new(consumer, self.totals.clone()));
                }
                Err(error) => return Err(NotAddedUp::Failed(error.into())),
            }
        }
        let Some(aggregator) = &mut *aggregator else { return Err(NotAddedUp::Elsewhere) };
        aggregator.round().await?;
        Ok(())
    }

    /// Makes the totals anew from the records that are kept, and says from which hour on.
    pub async fn rebuild(&self) -> Result<(u32, Rebuilt), NotRebuilt> {
        let Some(kept) = &self.kept else { return Err(NotRebuilt::NothingKept) };
        if self.counts.is_some() {
            return Err(NotRebuilt::Shared);
        }
        self.add_up().await?;
        let mut aggregator = self.aggregator.lock().await;
        let Some(aggregator) = &mut *aggregator else { return Err(NotAddedUp::Elsewhere.into()) };
        let (from_hour, held) = kept.hold().await.map_err(|error| NotRebuilt::Unreadable(error.into()))?;
        let rebuilt = aggregator.rebuild(&self.usage, from_hour).await.map_err(NotAddedUp::Failed)?;
        drop(held);
        Ok((from_hour, rebuilt))
    }
}

/// Why the sums of usage are without what was answered last. It is in the journal and will be added.
#[derive(Debug, thiserror::Error)]
pub enum NotAddedUp {
    /// Another process of this store does it.
    #[error("another process adds usage up")]
    Elsewhere,
    /// It failed.
    #[error("usage could not be added up; it stays in the journal")]
    Failed(#[from] metering::AggregateError),
}

/// Why totals were not made anew.
#[derive(Debug, thiserror::Error)]
pub enum NotRebuilt {
    /// Records go once they are added up.
    #[error("no usage records are kept; write `usage: {{keep: 40d}}` and start again, and later ones will be")]
    NothingKept,
    /// Other nodes have records, too.
    #[error(
        "totals of several nodes cannot be made anew by one of them, which has its own records only: if they were damaged, \
         restore the database from a backup and compare with the events of `usage: {{events: ...}}`"
    )]
    Shared,
    /// It cannot be told which records are there.
    #[error("it cannot be told from which hour on all usage records are kept")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What adds them up failed, or is in another process.
    #[error(transparent)]
    NotAddedUp(#[from] NotAddedUp),
}

fn journal(folder: &Path, name: &str, settings: journal::Settings) -> Result<Arc<Journal>, journal::Error> {
    Journal::open(&folder.join(name), settings, now().0).map(Arc::new)
}

fn quota_ledger(folder: &Path) -> Result<QuotaLedger, Box<dyn std::error::Error + Send + Sync>> {
    let settings = journal::Settings { segment: 1024 * 1024, reserve: 256 * 1024, ..journal::Settings::default() };
    Ok(QuotaLedger::open(Ledger::new(journal(folder, "quotas", settings)?), folder)?)
}

/// Who reads the usage journal.
fn consumers(settings: &Usage) -> Vec<String> {
    let others = settings.events.keys().map(|name| exports::consumer_of(name));
    [TOTALS.to_owned()].into_iter().chain(settings.keep.map(|_| KEPT.to_owned())).chain(others).collect()
}

/// Records that stay after they were added up, if they are to.
async fn keep(
    journal: &Arc<Journal>,
    folder: &Path,
    settings: &Usage,
    totals: &dyn UsageTotals,
) -> Result<Option<KeptUsage>, Box<dyn std::error::Error + Send + Sync>> {
    let Some(keep) = settings.keep else {
        KeptUsage::end(folder)?;
        return Ok(None);
    };
    // Records of hours that are in the totals may have gone before; those that come from the next hour on will not.
    let any = UsageQuery { hours: 0..u32::MAX, limit: 1, ..UsageQuery::default() };
    let next = u32::try_from(now().0 / 3_600_000_000).unwrap_or(u32::MAX).saturating_add(1);
    let first = if totals.query(&any).await?.is_empty() { 0 } else { next };
    let bounds = (keep.duration(), settings.keep_bytes.bytes());
    let kept = KeptUsage::open(journal.clone(), folder, bounds, first)?;
    Ok(Some(kept))
}

/// Which quota comes with a product, as the index knows it.
pub(crate) struct IndexedPlans(Arc<Index>);

impl IndexedPlans {
    pub(crate) fn new(index: Arc<Index>) -> Self {
        Self(index)
    }
}

impl Plans for IndexedPlans {
    fn quota(&self, product: &str) -> Option<(u64, Period)> {
        let quota = self.0.product(product)?.quota?;
        let per = match quota.per {
            store::Period::Minute => Period::Minute,
            store::Period::Hour => Period::Hour,
            store::Period::Day => Period::Day,
            store::Period::Week => Period::Week,
            store::Period::Month => Period::Month,
            store::Period::Year => Period::Year,
        };
        Some((quota.requests, per))
    }
}

/// The products of a document, or what is wrong with them, unless it follows from a part that is doubtful.
pub(crate) fn products(
    document: &Document,
    is_doubtful: &dyn Fn(&Pointer) -> bool,
) -> Result<Vec<Product>, Vec<Finding>> {
    let (mut products, mut findings) = (Vec::new(), Vec::new());
    for (name, written) in &document.products {
        let at = Pointer::default().at("products").at(name);
        let mut operations = Vec::new();
        for (index, text) in written.operations.iter().enumerate() {
            let at = at.at("operations").at(index);
            match text.parse::<Operation>() {
                Ok(operation) => {
                    let api = operation.api();
                    if !document.apis.contains_key(api) && !is_doubtful(&Pointer::default().at("apis").at(api)) {
                        let known: Vec<_> = document.apis.keys().map(String::as_str).collect();
                        findings.push(Finding::new(&at, format!("there is no api `{api}`{}", advice(api, &known))));
                    }
                    operations.push(operation);
                }
                Err(error) => findings.push(Finding::new(&at, error.to_string())),
            }
        }
        let quota = written.quota.map(|quota| store::Quota { requests: quota.requests, per: period(quota.per) });
        match name.parse() {
            Ok(name) => products.push(Product { name, operations, quota, managed_by: store::ManagedBy::File }),
            Err(error) => findings.push(Finding::new(&at, format!("`{name}` cannot be a product's name: {error}"))),
        }
    }
    if findings.is_empty() { Ok(products) } else { Err(findings) }
}

fn period(period: model::api::Period) -> store::Period {
    match period {
        model::api::Period::Minute => store::Period::Minute,
        model::api::Period::Hour => store::Period::Hour,
        model::api::Period::Day => store::Period::Day,
        model::api::Period::Week => store::Period::Week,
        model::api::Period::Month => store::Period::Month,
        model::api::Period::Year => store::Period::Year,
    }
}

/// What this process is called: by chance, after its machine.
fn process_name() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let chance = std::collections::hash_map::RandomState::new().hash_one(now().0);
    format!("{}-{}-{:08x}", machine.trim(), std::process::id(), chance >> 32)
}

/// Makes a folder that nobody else may look into.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(folder: &Path) -> Keeping {
        let store = serde_json::from_value(serde_json::json!({ "embedded": folder })).unwrap();
        Keeping::open(&store, &Usage::default(), &Encryption::default()).await.unwrap()
    }

    #[tokio::test]
    async fn usage_is_known_to_be_incomplete_while_another_process_adds_it_up() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (open(folder.path()).await, open(folder.path()).await);

        assert!(first.add_up().await.is_ok());
        assert!(matches!(second.add_up().await, Err(NotAddedUp::Elsewhere)));

        drop(first);
        assert!(second.add_up().await.is_ok());
    }
}
