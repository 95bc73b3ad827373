//! What a node remembers of its partners, behind traits: entities in [`Registry`], sums of usage in [`UsageTotals`], what
//! they are to pay in [`Statements`], places that are held for as long as somebody needs them in [`Leases`], and what several
//! nodes write down by turns in [`SharedLog`].
//!
//! Each trait has a version in memory and one conformance suite ([`registry_suite!`], [`usage_totals_suite!`],
//! [`statements_suite!`], [`leases_suite!`], [`shared_log_suite!`]); a backend proves itself by one line per suite.
//! Deliberately not here: databases, and what the entities mean to a request. Both stand one level up.

mod alert;
mod certificate;
mod collection;
mod entity;
mod error;
mod job;
mod key;
mod lease;
mod log_readers;
mod memory;
mod memory_leases;
mod memory_log;
mod memory_statements;
mod memory_usage;
mod name;
mod nodes;
mod people;
mod record;
mod registry;
mod reply;
mod shared_log;
mod statement;
pub mod suite;
mod usage;
mod webhook;

pub use authority::Reason;
pub use model::api::{Period, ProductQuota as Quota};

pub use self::alert::{Alert, AlertId, AlertLevel, AlertStage, Duty, DutyId, Silence, SilenceId, ToldAlert};
pub use self::certificate::{
    Certificate, CertificateId, CertificateName, CertificateRule, Issuance, IssuanceId, IssuerKey, Revocation,
};
pub use self::collection::{Collection, CollectionId, Remembered};
pub use self::entity::{
    App, AppId, Company, Entity, EntityId, Environment, Kind, ManagedBy, Product, Role, Subscription, SubscriptionId,
    SubscriptionState, Token, UnixMicros, UnknownWord,
};
pub use self::error::{StoreError, Unavailable};
pub use self::job::{JobState, Run, RunId, RunState, Running};
pub use self::key::{Key, KeyHash, KeyMark, KeyMarkId, Replaced};
pub use self::lease::{
    Clock, Done, Ending, Group, Lease, LeaseId, LeaseListing, LeaseState, Leases, NewLease, Opened, Taken, WhenFull,
    Which, Why,
};
pub use self::log_readers::{Cursor, CursorKept, LogReaders, Reads};
pub use self::memory::InMemory;
pub use self::memory_leases::InMemoryLeases;
pub use self::memory_log::InMemoryLog;
pub use self::memory_statements::InMemoryStatements;
pub use self::memory_usage::InMemoryTotals;
pub use self::name::{
    AppName, BadName, CompanyName, ContractName, DeveloperName, JobName, KeyId, ProductName, TokenName, WebhookName,
};
pub use self::nodes::{Alone, Heard, Nodes, SILENCE, Straggler};
pub use self::people::{Contract, ContractId, Developer, DeveloperId};
pub use self::record::{KeptRecord, KeptRecordId};
pub use self::registry::{
    Change, Changed, Commit, Listing, Mode, Noted, Registry, Revision, Row, Stored, Write, chained, hex,
};
pub use self::reply::{Answer, Reply, ReplyId};
pub use self::shared_log::{Base, Behind, Place, SharedLog, Then, Turn, Wrote};
pub use self::statement::{
    Closed, Credited, Discarded, Drafted, NewCredit, NewStatement, StatementQuery, StatementRow, Statements,
};
pub use self::usage::{Added, UsageQuery, UsageRow, UsageSource, UsageTotals};
pub use self::webhook::{Delivery, DeliveryId, Disabled, Progress, ProgressId, Webhook};
