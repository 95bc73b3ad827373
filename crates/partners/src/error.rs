//! Why something was not done, so that an API can answer with the right status.

use crate::key::NoRandomness;
use problem::Finding;
use store::{AppId, CertificateId, EntityId, KeyId, ProductName, StoreError, Unavailable};

/// Why a use case of [`crate::Partners`] was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404: there is no such thing.
    #[error("there is no {0}")]
    NotFound(EntityId),
    /// 409: its name is taken.
    #[error("{0} is there already")]
    Exists(EntityId),
    /// 409: others depend on it.
    #[error("the {0} has subscriptions; delete those first")]
    InUse(EntityId),
    /// 412: somebody else changed it meanwhile.
    #[error("the {0} has been changed meanwhile; look at it again")]
    Changed(EntityId),
    /// 409: only the configuration file may change it.
    #[error("the product `{0}` is managed by the configuration file; change it there")]
    ManagedByFile(ProductName),
    /// 409: an app has only so many keys that work.
    #[error("the app `{app}` has {most} keys that work, which is the most; revoke one first")]
    TooManyKeys {
        /// The app.
        app: AppId,
        /// The most that it may have.
        most: usize,
    },
    /// 409: there are only so many tokens.
    #[error("there are {0} tokens, which is the most; delete one first")]
    TooManyTokens(usize),
    /// 409: there are only so many endpoints.
    #[error("there are {0} webhooks, which is the most; delete one first")]
    TooManyWebhooks(usize),
    /// 409: it does not work any more.
    #[error("the key `{0}` is revoked or expired")]
    KeyIsDead(KeyId),
    /// 409: an app has only so many certificates that work.
    #[error("the app `{app}` has {most} certificates that work, which is the most; revoke one first")]
    TooManyCertificates {
        /// The app.
        app: AppId,
        /// The most that it may have.
        most: usize,
    },
    /// 429: what leaves something behind cannot be done without end.
    #[error("the app `{app}` has had {most} {what} within a day, which is the most; try again tomorrow")]
    TooOften {
        /// The app.
        app: AppId,
        /// What was done.
        what: &'static str,
        /// How often at most.
        most: usize,
    },
    /// 409: it does not work any more.
    #[error("the certificate `{0}` is revoked")]
    CertificateIsDead(CertificateId),
    /// 500: an authority does not sign.
    #[error("the authority does not sign: {0}")]
    NotSigned(#[from] authority::Error),
    /// 500: what an authority signed cannot be read.
    #[error("what the authority signed is no client's certificate: it {0}")]
    Unfit(#[from] authority::Unfit),
    /// 409: another key took its place.
    #[error("the key `{key}` was rotated already: `{by}` took its place")]
    KeyIsRotated {
        /// The key.
        key: KeyId,
        /// The other one.
        by: KeyId,
    },
    /// 409: two secrets are the most.
    #[error("the key `{key}` took the place of `{before}`, which still works: end that overlap first")]
    Overlaps {
        /// The key.
        key: KeyId,
        /// The one before.
        before: KeyId,
    },
    /// 409: no other key works in its place.
    #[error("the key `{0}` is part of no rotation that goes on")]
    NoOverlap(KeyId),
    /// 422: what was sent is wrong; every mistake is named.
    #[error("{} of the values are wrong", .0.len())]
    Invalid(Vec<Finding>),
    /// 503: the store cannot be asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// 503: the system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl From<NoRandomness> for Error {
    fn from(NoRandomness: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => Self::Unavailable(cause),
            StoreError::Exists(id) => Self::Exists(id),
            StoreError::InUse { id, .. } => Self::InUse(id),
            StoreError::NotFound(id) => Self::NotFound(id),
            StoreError::Changed(id) => Self::Changed(id),
            unreadable @ StoreError::Unreadable(..) => Self::Unavailable(Unavailable::because(unreadable)),
        }
    }
}
