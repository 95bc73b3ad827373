//! Partners: the companies that call, what their keys open, and the index that requests ask.
//!
//! [`Partners`] changes things, through a [`store::Registry`]. [`Index`] knows everything that a
//! request needs, in memory, and follows the registry by its revision: a request never waits for a
//! store, and a store that is down stops no traffic.
//!
//! Deliberately not here: HTTP. The policies of the gateway and its Admin API stand above.

mod book;
mod certificate_table;
mod certificates;
mod error;
mod event;
mod facts;
mod imported;
mod index;
#[cfg(test)]
mod index_tests;
mod input;
mod key;
mod key_table;
mod keys;
#[cfg(test)]
mod keys_tests;
mod operation;
mod partners;
mod people;
mod pepper;
mod product;
mod records;
mod replies;
mod silences;
#[cfg(test)]
mod tests;
mod tokens;
mod webhooks;

pub use secrets::private_file;
pub use store::{
    App, AppId, AppName, Certificate, CertificateId, CertificateName, CertificateRule, Company, CompanyName, Contract,
    ContractId, ContractName, Delivery, DeliveryId, Developer, DeveloperId, DeveloperName, EntityId, Environment, Key,
    KeyId, ManagedBy, Mode, Noted, Period, ProductName, Quota, Reason, Registry, Revision, Revocation, Role,
    StoreError, Subscription, SubscriptionId, SubscriptionState, Token, TokenName, UnixMicros, Webhook, WebhookName,
};

pub use self::certificates::{Issue, NewCertificate, NewCertificateRule};
pub use self::error::Error;
pub use self::event::event;
pub use self::facts::{AppFacts, CertificateFacts, Found, Granted, Grants, KeyFacts, KeyState, RuleFacts, Tie};
pub use self::imported::{Known, bytes as pepper_bytes};
pub use self::index::{Expiring, Index, Unknown, follow};
pub use self::input::{
    ImportedKey, NewApp, NewCompany, NewContract, NewDeveloper, NewKey, NewProduct, NewSilence, NewWebhook,
};
pub use self::key::{Malformed, Secret, patterns};
pub use self::keys::{Issued, Overlap, Whoami};
pub use self::operation::{BadOperation, Operation, Target};
pub use self::partners::{Clock, Partners};
pub use self::pepper::{Pepper, PepperError};
pub use self::product::Product;
pub use self::records::{Act, At};
pub use self::replies::Claim;
pub use self::tokens::{IssuedToken, NewToken};
pub use self::webhooks::tells;
