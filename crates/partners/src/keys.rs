//! What is done with keys: made, imported, rotated, ended.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use problem::Pointer;
use store::{
    AppId, Environment, Key, KeyHash, KeyId, KeyMark, KeyMarkId, Kind, Listing, ProductName, Replaced, Row, StoreError,
    UnixMicros, Write,
};

use crate::input::{Checking, ImportedKey, NewKey};
use crate::key::NoRandomness;
use crate::records::At;
use crate::{Error, KeyState, Partners, Secret, Unknown, key};

/// Keys of an app that work at the same time.
const MOST_KEYS: usize = 100;

/// Rotations of an app's keys within a day: each leaves a dead key behind.
pub(crate) const MOST_ROTATIONS: usize = 200;

/// How long dead keys are shown, in microseconds.
const KEPT_DEAD: u64 = 90 * DAY;

/// Dead keys that are forgotten at a time.
const MOST_FORGOTTEN: usize = 500;

/// Microseconds.
pub(crate) const DAY: u64 = 86_400_000_000;

/// A key that was just made, with its secret: the only time that anybody sees it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The key as it is kept.
    pub key: At<Key>,
    /// The whole key, to be shown once.
    pub secret: Secret,
}

/// What a key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whoami {
    /// Which key.
    pub key: KeyId,
    /// The app that it identifies.
    pub app: AppId,
    /// What it is for.
    pub environment: Environment,
    /// Whether it works.
    pub state: KeyState,
    /// When it stops working by itself.
    pub expires: Option<UnixMicros>,
    /// What it may do.
    pub scopes: Vec<Arc<str>>,
    /// The products it opens.
    pub products: Vec<ProductName>,
    /// The products that wait for approval.
    pub pending: Vec<ProductName>,
}

/// A key that was rotated and still works beside the one that took its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The key that was rotated.
    pub old: Key,
    /// The one that took its place.
    pub new: KeyId,
    /// When the new one was last used, within a minute or so.
    pub new_used: Option<UnixMicros>,
    /// Since when.
    pub since: UnixMicros,
}

impl Partners {
    /// Makes a key for an app. Its secret is in the answer and nowhere else, ever.
    pub async fn create_key(&self, app: &AppId, new: NewKey) -> Result<Issued, Error> {
        let mut checking = Checking::default();
        checking.scopes(&Pointer::default(), &new.scopes);
        checking.expires(&Pointer::default(), new.expires, self.now());
        checking.done(Some(()))?;
        self.make_room_for_keys(app, 1).await?;
        let (key, secret) = self.mint(app, new)?;
        let key = self.records.create(key).await?;
        self.tell().await;
        Ok(Issued { key, secret })
    }

    /// Takes over keys that another program made, all of them or none; nobody has to change anything who uses them.
    pub async fn import_keys(&self, app: &AppId, imported: Vec<ImportedKey>) -> Result<Vec<Key>, Error> {
        let (mut checking, mut keys) = (Checking::default(), Vec::with_capacity(imported.len()));
        let at = Pointer::default().at("keys");
        if imported.is_empty() || MOST_KEYS < imported.len() {
            checking.wrong(&at, format!("has {} keys; 1 to {MOST_KEYS} are imported at a time", imported.len()));
            return checking.done(None);
        }
        let (peppers, mut marks) = (self.index.peppers(), Vec::new());
        for (position, import) in imported.into_iter().enumerate() {
            let at = at.at(position);
            checking.import(&at, &import, self.now());
            match import.known.hash(self.index.pepper(), &peppers, &at) {
                Err(finding) => checking.found(finding),
                Ok(hash) => {
                    let hashes = [vec![hash.clone()], import.known.others(&peppers)].concat();
                    let found_by: Vec<_> = hashes.iter().filter_map(|hash| self.index.mark(hash)).collect();
                    let is_known = |mark: &KeyMarkId| marks.iter().any(|(_, known): &(_, KeyMark)| known.id == *mark);
                    if hashes.iter().any(|hash| self.index.has(hash)) || found_by.iter().any(is_known) {
                        checking.wrong(&at, IS_KNOWN);
                        continue;
                    }
                    let key = self.imported(app, import, hash)?;
                    marks.extend(found_by.into_iter().map(|id| (at.clone(), KeyMark { id, key: key.id })));
                    keys.push(key);
                }
            }
        }
        checking.done(Some(()))?;
        self.make_room_for_keys(app, keys.len()).await?;
        let rows = keys.iter().map(Row::of).chain(marks.iter().map(|(_, mark)| Row::of(mark)));
        match self.records.commit(rows.map(Write::Create).collect()).await {
            // Somebody else imports it at this moment, or has imported a hash of it.
            Err(StoreError::Exists(taken)) if taken.kind() == Kind::KeyMark => {
                let mut checking = Checking::default();
                for (at, _) in marks.iter().filter(|(_, mark)| mark.id.0 == taken.path()) {
                    checking.wrong(at, IS_KNOWN);
                }
                return checking.done(None);
            }
            done => done?,
        };
        self.tell().await;
        Ok(keys)
    }

    /// Lists an app's keys, dead ones too.
    pub async fn keys(&self, app: &AppId) -> Result<Vec<Key>, Error> {
        self.records.expect(app).await?;
        let keys = self.records.list(Listing { parent: Some(&app.into()), ..Listing::of(Kind::Key) }).await?;
        Ok(keys.into_iter().map(|key| seen(key).entity).collect())
    }

    /// Finds a key.
    pub async fn key(&self, id: &KeyId) -> Result<At<Key>, Error> {
        Ok(seen(self.records.get(id).await?))
    }

    /// Lists the keys of all apps that were rotated and still work, with who of both is used, a page at a time.
    pub async fn overlaps(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<Overlap>, Error> {
        let (mut found, mut after) = (Vec::new(), after.map(ToString::to_string));
        let now = self.now();
        loop {
            let listing =
                Listing { label: Some(Key::ROTATED), after: after.as_deref(), limit: LISTED, ..Listing::of(Kind::Key) };
            let page: Vec<At<Key>> = self.records.list(listing).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.id.to_string());
            for key in page.into_iter().map(seen).filter(|key| key.is_alive(now)) {
                let Some(Replaced { by, at }) = key.replaced else { continue };
                // The new one may have been deleted with nothing left of it.
                let new_used = self.key(&by).await.ok().and_then(|new| new.last_used);
                found.push(Overlap { old: key.entity, new: by, new_used, since: at });
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
    }

    /// Revokes a key: it opens nothing from now on.
    pub async fn revoke_key(&self, id: &KeyId) -> Result<At<Key>, Error> {
        let now = self.now();
        self.change_key(id, |key| key.revoked = key.revoked.or(Some(now))).await
    }

    /// Says when a key stops working by itself, or that it never does.
    pub async fn expire_key(&self, id: &KeyId, expires: Option<UnixMicros>) -> Result<At<Key>, Error> {
        let mut checking = Checking::default();
        checking.expires(&Pointer::default(), expires, self.now());
        checking.done(Some(()))?;
        let key = self.living(id).await?;
        if let Some(Replaced { by, .. }) = key.replaced {
            return Err(Error::KeyIsRotated { key: *id, by });
        }
        self.change_key(id, |key| key.expires = expires).await
    }

    /// Makes a key that takes this one's place, which works on for `overlap` so that its users can change over.
    ///
    /// The new one expires when the old one would have: who may rotate a key must not make it live longer by that.
    pub async fn rotate_key(&self, id: &KeyId, overlap: Duration) -> Result<Issued, Error> {
        let At { entity: old, revision, .. } = self.living(id).await?;
        let revision = self.records.expected().unwrap_or(revision);
        let now = self.now();
        if let Some(Replaced { by, .. }) = old.replaced {
            return Err(Error::KeyIsRotated { key: old.id, by });
        }
        if let Some(before) = self.overlapped(&old).await? {
            return Err(Error::Overlaps { key: old.id, before: before.id });
        }
        let keys = self.make_room_for_keys(&old.app, 1).await?;
        let is_recent = |replaced: &Replaced| now.0 < replaced.at.0.saturating_add(DAY);
        if MOST_ROTATIONS <= keys.iter().filter(|key| key.replaced.as_ref().is_some_and(is_recent)).count() {
            return Err(Error::TooOften { app: old.app, what: "rotations of keys", most: MOST_ROTATIONS });
        }
        let new = NewKey { environment: Some(old.environment), scopes: old.scopes.clone(), expires: old.expires };
        let (key, secret) = self.mint(&old.app, new)?;
        let key = Key { replaces: Some(old.id), ..key };
        let over = u64::try_from(overlap.as_micros()).map_or(now, |micros| UnixMicros(now.0.saturating_add(micros)));
        // An overlap never lengthens the life of a key.
        let expires = old.expires.map_or(over, |expires| expires.min(over));
        let old = Key { expires: Some(expires), replaced: Some(Replaced { by: key.id, at: now }), ..old };
        // Both or neither: there is never a new key without an end of the old one.
        let writes = vec![Write::Replace(Row::of(&old), Some(revision)), Write::Create(Row::of(&key))];
        let revision = self.records.commit(writes).await?;
        self.tell().await;
        Ok(Issued { key: At { entity: key, revision, used: None }, secret })
    }

    /// Ends the overlap of a rotation at once: of the two keys that work, the old one stops. Either may be named.
    pub async fn end_overlap(&self, id: &KeyId) -> Result<At<Key>, Error> {
        let key = self.key(id).await?.entity;
        let now = self.now();
        let old = if key.is_rotated() && key.is_alive(now) { Some(key) } else { self.overlapped(&key).await? };
        let Some(old) = old else { return Err(Error::NoOverlap(*id)) };
        self.change_key(&old.id, |key| key.expires = Some(now)).await
    }

    /// What a key opens, as its holder may know.
    pub fn whoami(&self, presented: &str) -> Result<Whoami, Unknown> {
        let found = self.index.find(presented)?;
        let grants = found.app().grants();
        let name = |product: &Arc<crate::Product>| product.name.clone();
        Ok(Whoami {
            key: found.id(),
            app: found.app().id().clone(),
            environment: found.environment(),
            state: found.state(self.now()),
            expires: found.expires(),
            scopes: found.caller().scopes.clone(),
            products: grants.approved().map(name).collect(),
            pending: grants.pending().map(name).collect(),
        })
    }

    async fn change_key(&self, id: &KeyId, change: impl Fn(&mut Key)) -> Result<At<Key>, Error> {
        let key = self.records.change(id, change).await?;
        self.tell().await;
        Ok(seen(key))
    }

    async fn living(&self, id: &KeyId) -> Result<At<Key>, Error> {
        let key = self.key(id).await?;
        if key.is_alive(self.now()) { Ok(key) } else { Err(Error::KeyIsDead(*id)) }
    }

    /// The key whose place this one took, if that still works.
    async fn overlapped(&self, key: &Key) -> Result<Option<Key>, Error> {
        let Some(before) = key.replaces else { return Ok(None) };
        match self.key(&before).await {
            Ok(before) => Ok(Some(before.entity).filter(|before| before.is_alive(self.now()))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A key that is kept nowhere yet.
    fn mint(&self, app: &AppId, new: NewKey) -> Result<(Key, Secret), Error> {
        let environment = new.environment.unwrap_or(Environment::Live);
        let (id, secret) = drawn(environment)?;
        let key = Key {
            id,
            app: app.clone(),
            environment,
            hash: self.index.pepper().hash(secret.hashed()),
            imported: false,
            scopes: new.scopes,
            prefix: secret.prefix().to_owned(),
            last_four: secret.last_four().to_owned(),
            created: self.now(),
            expires: new.expires,
            revoked: None,
            replaces: None,
            replaced: None,
            last_used: None,
        };
        Ok((key, secret))
    }

    /// A key that was made elsewhere. Its id is ours, like every key's.
    fn imported(&self, app: &AppId, import: ImportedKey, hash: KeyHash) -> Result<Key, Error> {
        let (key, _) = self.mint(app, import.key)?;
        let (prefix, last_four) = import.known.shown();
        let prefix = import.prefix.unwrap_or(prefix);
        let last_four = import.last_four.unwrap_or(last_four);
        Ok(Key { hash, imported: true, prefix, last_four, ..key })
    }

    /// Sees to it that an app may have more keys than it has, and forgets those that have been dead for long.
    async fn make_room_for_keys(&self, app: &AppId, more: usize) -> Result<Vec<Key>, Error> {
        let now = self.now();
        let keys = self.keys(app).await?;
        let living = keys.iter().filter(|key| key.is_alive(now)).count();
        if MOST_KEYS < living.saturating_add(more) {
            return Err(Error::TooManyKeys { app: app.clone(), most: MOST_KEYS });
        }
        let died =
            |key: &&Key| key.revoked.or(key.expires).is_some_and(|died| died.0.saturating_add(KEPT_DEAD) < now.0);
        let old = keys.iter().filter(|key| !key.is_alive(now)).filter(died).take(MOST_FORGOTTEN);
        let old: Vec<_> = old.map(|key| Write::Delete(key.id.into(), None)).collect();
        // If somebody else is at it, they are forgotten next time.
        if !old.is_empty() && self.records.commit(old).await.is_err() {
            tracing::debug!(%app, "keys that are dead for long are not forgotten yet");
        }
        Ok(keys)
    }
}

fn drawn(environment: Environment) -> Result<(KeyId, Secret), NoRandomness> {
    let mut fill = |bytes: &mut [u8]| rand::fill(bytes).map_err(|_unspecified| NoRandomness);
    key::mint(environment, &mut fill)
}

/// A key, and when it was last used.
fn seen(mut key: At<Key>) -> At<Key> {
    key.entity.last_used = key.used;
    key
}

/// Said of a key that is imported and is there.
const IS_KNOWN: &str = "is a key already";

/// Keys that are looked at together in search of those that still work.
const LISTED: usize = 1_000;
