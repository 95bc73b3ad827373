//! What the index knows of a key, ready for the request that presents it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use pipeline::{Caller, Life, Over};
use smallvec::SmallVec;
use store::{AppId, CertificateId, Environment, KeyId, UnixMicros};

use crate::pepper::Mark;
use crate::{Product, Target};

/// No such time: a credential that never expires, or was never revoked.
const NEVER: u64 = u64::MAX;

/// How far apart two uses are for the second to be noted, in microseconds. To write one down costs as much as a third of a
/// request, and there may be a million keys.
const NOTED_EVERY: u64 = 600_000_000;

/// The same for what has a successor: somebody waits for it not to be used any more.
const NOTED_EVERY_IF_ROTATED: u64 = 60_000_000;

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
    pub(crate) mark: Mark,
    pub(crate) tie: Tie,
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

    /// Notes a use, see [`Tie::used`]; about once a minute if the key has a successor.
    pub fn used(&self, now: UnixMicros) {
        self.tie.note_use(now, if self.rotated { NOTED_EVERY_IF_ROTATED } else { NOTED_EVERY });
    }

    /// Until when it works beside the key that took its place.
    pub fn sunset(&self) -> Option<UnixMicros> {
        self.expires().filter(|_| self.rotated)
    }
}

impl std::ops::Deref for KeyFacts {
    type Target = Tie;

    fn deref(&self) -> &Tie {
        &self.tie
    }
}

/// What the index knows of one certificate.
pub struct CertificateFacts {
    pub(crate) id: CertificateId,
    pub(crate) tie: Tie,
}

impl CertificateFacts {
    /// Which certificate.
    pub fn id(&self) -> CertificateId {
        self.id
    }
}

impl std::ops::Deref for CertificateFacts {
    type Target = Tie;

    fn deref(&self) -> &Tie {
        &self.tie
    }
}

/// What the index knows of one name in certificates.
pub struct RuleFacts {
    pub(crate) tie: Tie,
    /// The key of whoever must have signed, in DER.
    pub issuer: Option<Vec<u8>>,
}

impl std::ops::Deref for RuleFacts {
    type Target = Tie;

    fn deref(&self) -> &Tie {
        &self.tie
    }
}

/// What a credential ties requests to: who calls, and for how long.
pub struct Tie {
    pub(crate) caller: Arc<Caller>,
    pub(crate) app: Arc<AppFacts>,
    expires: u64,
    revoked: u64,
    /// What requests depend on that were let in. It stays the same however the credential changes.
    life: Arc<Life>,
    /// When it was last used, or 0.
    used: AtomicU64,
}

/// When a credential ends, and when it was used last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) expires: Option<UnixMicros>,
    pub(crate) revoked: Option<UnixMicros>,
    pub(crate) used: Option<UnixMicros>,
}

/// Whether a credential opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It does.
    Alive,
    /// It expired by itself.
    Expired(UnixMicros),
    /// Somebody revoked it.
    Revoked(UnixMicros),
}

impl Tie {
    pub(crate) fn new(caller: Caller, app: Arc<AppFacts>, times: Times) -> Self {
        let micros = |at: Option<UnixMicros>| at.map_or(NEVER, |at| at.0);
        let tie = Self {
            caller: Arc::new(caller),
            app,
            expires: micros(times.expires),
            revoked: micros(times.revoked),
            life: Arc::default(),
            used: AtomicU64::new(times.used.unwrap_or_default().0),
        };
        tie.settle();
        tie
    }

    /// Looks at everything that a request takes from here. Of a million keys nothing is in the processor's caches: so it all
    /// comes from memory at the same time, not one after the other as it is counted up.
    pub(crate) fn approach(&self) {
        let counts = [Arc::strong_count(&self.caller), Arc::strong_count(&self.life), Arc::strong_count(&self.app)];
        std::hint::black_box(counts);
    }

    /// Who presents it, ready to be put into an exchange.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The app that it identifies.
    pub fn app(&self) -> &Arc<AppFacts> {
        &self.app
    }

    /// What its requests depend on.
    pub fn life(&self) -> &Arc<Life> {
        &self.life
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

    /// Notes a use, about once in ten minutes: what is in every request's hands is written to seldom.
    pub fn used(&self, now: UnixMicros) {
        self.note_use(now, NOTED_EVERY);
    }

    fn note_use(&self, now: UnixMicros, every: u64) {
        let last = self.used.load(Ordering::Relaxed);
        if last.saturating_add(every) <= now.0 {
            self.used.store(now.0, Ordering::Relaxed);
        }
    }

    /// When it was last used.
    pub(crate) fn last_used(&self) -> UnixMicros {
        UnixMicros(self.used.load(Ordering::Relaxed))
    }

    /// Takes over from what was known before, so that requests under way learn of what has changed.
    pub(crate) fn succeed(&mut self, before: &Self) {
        *self.used.get_mut() = before.used.load(Ordering::Relaxed).max(*self.used.get_mut());
        self.life = before.life.clone();
        self.settle();
    }

    /// The credential is not there any more.
    pub(crate) fn end(&self) {
        self.life.end(Over::Deleted);
    }

    /// Has the life end when the credential does.
    fn settle(&self) {
        self.life.lasts_until(Some(self.expires));
        if self.revoked != NEVER {
            self.life.end(Over::Revoked);
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
    /// Mostly a single one, which is then at hand with no step more.
    pub(crate) approved: SmallVec<[Granted; 1]>,
    pub(crate) pending: Vec<Arc<Product>>,
}

/// A product that an app may use, and for how long.
#[derive(Clone, Debug)]
pub struct Granted {
    pub(crate) product: Arc<Product>,
    pub(crate) life: Arc<Life>,
}

impl Granted {
    /// The product.
    pub fn product(&self) -> &Arc<Product> {
        &self.product
    }

    /// What requests depend on that are let in by the subscription.
    pub fn life(&self) -> &Arc<Life> {
        &self.life
    }
}

impl Grants {
    /// The product by which the app may do this: the first by name that allows it. Allocates nothing.
    pub fn product_for(&self, target: &Target<'_>) -> Option<&Granted> {
        self.approved.iter().find(|granted| granted.product.allows(target))
    }

    /// The product by which the app might do this, once somebody approves its subscription.
    pub fn pending_for(&self, target: &Target<'_>) -> Option<&Arc<str>> {
        self.pending.iter().find(|product| product.allows(target)).map(|product| product.name.shared())
    }

    /// The products that the app may use.
    pub fn approved(&self) -> impl Iterator<Item = &Arc<Product>> {
        self.approved.iter().map(Granted::product)
    }

    /// The products that the app has asked for.
    pub fn pending(&self) -> impl Iterator<Item = &Arc<Product>> {
        self.pending.iter()
    }
}
