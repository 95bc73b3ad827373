//! What the index knows of a key, ready for the request that presents it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use pipeline::Caller;
use store::{AppId, Environment, KeyId, UnixMicros};

use crate::pepper::DIGEST;
use crate::{Product, Target};

/// No such time: a key that never expires, or was never revoked or used.
pub(crate) const NEVER: u64 = u64::MAX;

/// How far apart two uses are for the second to be noted, in microseconds.
const NOTED_EVERY: u64 = 60_000_000;

/// A key that was presented with its right secret.
#[derive(Clone)]
pub struct Found(pub(crate) Arc<KeyFacts>);

impl std::ops::Deref for Found {
    type Target = KeyFacts;

    fn deref(&self) -> &KeyFacts {
        &self.0
    }
}

/// What the index knows of one key.
pub struct KeyFacts {
    pub(crate) id: KeyId,
    pub(crate) environment: Environment,
    pub(crate) imported: bool,
    pub(crate) rotated: bool,
    /// What it is found by.
    pub(crate) digest: [u8; DIGEST],
    pub(crate) caller: Arc<Caller>,
    pub(crate) app: Arc<AppFacts>,
    pub(crate) expires: u64,
    pub(crate) revoked: u64,
    /// When it was last used, or 0.
    pub(crate) used: AtomicU64,
}

/// Whether a key opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It does.
    Alive,
    /// It expired by itself.
    Expired(UnixMicros),
    /// Somebody revoked it.
    Revoked(UnixMicros),
}

impl KeyFacts {
    /// Which key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What it is for.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// Who presents it, ready to be put into an exchange.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The app that it identifies.
    pub fn app(&self) -> &Arc<AppFacts> {
        &self.app
    }

    /// Whether it opens anything at this time.
    pub fn state(&self, now: UnixMicros) -> KeyState {
        if self.revoked != NEVER {
            return KeyState::Revoked(UnixMicros(self.revoked));
        }
        if self.expires <= now.0 {
            return KeyState::Expired(UnixMicros(self.expires));
        }
        KeyState::Alive
    }

    /// When it stops working by itself.
    pub fn expires(&self) -> Option<UnixMicros> {
        (self.expires != NEVER).then_some(UnixMicros(self.expires))
    }

    /// Until when it works beside the key that took its place.
    pub fn sunset(&self) -> Option<UnixMicros> {
        self.expires().filter(|_| self.rotated)
    }

    /// Notes a use, about once a minute: a key in every request's hands is written to seldom.
    pub fn used(&self, now: UnixMicros) {
        let last = self.used.load(Ordering::Relaxed);
        if last.saturating_add(NOTED_EVERY) <= now.0 {
            self.used.store(now.0, Ordering::Relaxed);
        }
    }
}

/// What the index knows of one app.
pub struct AppFacts {
    pub(crate) id: AppId,
    pub(crate) grants: ArcSwap<Grants>,
}

impl AppFacts {
    /// Which app.
    pub fn id(&self) -> &AppId {
        &self.id
    }

    /// What it may do now. Held for the moment only: it changes with subscriptions and products.
    pub fn grants(&self) -> Guard<Arc<Grants>> {
        self.grants.load()
    }
}

/// The products of an app, by name.
#[derive(Debug, Default)]
pub struct Grants {
    pub(crate) approved: Vec<Arc<Product>>,
    pub(crate) pending: Vec<Arc<Product>>,
}

impl Grants {
    /// The product by which the app may do this: the first by name that allows it. Allocates nothing.
    pub fn product_for(&self, target: &Target<'_>) -> Option<&Arc<str>> {
        allowing(&self.approved, target)
    }

    /// The product by which the app might do this, once somebody approves its subscription.
    pub fn pending_for(&self, target: &Target<'_>) -> Option<&Arc<str>> {
        allowing(&self.pending, target)
    }

    /// The products that the app may use.
    pub fn approved(&self) -> &[Arc<Product>] {
        &self.approved
    }

    /// The products that the app has asked for.
    pub fn pending(&self) -> &[Arc<Product>] {
        &self.pending
    }
}

fn allowing<'a>(products: &'a [Arc<Product>], target: &Target<'_>) -> Option<&'a Arc<str>> {
    products.iter().find(|product| product.allows(target)).map(|product| product.name.shared())
}
