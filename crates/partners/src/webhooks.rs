//! What is done with endpoints of webhooks. Telling them is the node's affair.

use problem::Pointer;
use store::{
    Commit, Delivery, DeliveryId, Disabled, EntityId, Kind, Listing, Progress, ProgressId, Row, StoreError, UnixMicros,
    Webhook, WebhookName, Write,
};

use crate::input::{Checking, NewWebhook};
use crate::records::At;
use crate::{Error, Partners};

/// Endpoints at a time.
const MOST: usize = 100;

impl Partners {
    /// Makes an endpoint.
    pub async fn create_webhook(&self, new: NewWebhook) -> Result<At<Webhook>, Error> {
        let mut checking = Checking::default();
        let name = checking.name("name", &new.name);
        checking.kinds(&new.kinds);
        let name = checking.done(name)?;
        if MOST <= self.webhooks().await?.len() {
            return Err(Error::TooManyWebhooks(MOST));
        }
        let NewWebhook { url, kinds, .. } = new;
        Ok(self.records.create(Webhook { name, url, kinds, disabled: None, created: self.now() }).await?)
    }

    /// Finds an endpoint.
    pub async fn webhook(&self, name: &WebhookName) -> Result<At<Webhook>, Error> {
        Ok(self.records.get::<Webhook>(name).await?)
    }

    /// Lists all endpoints by name.
    pub async fn webhooks(&self) -> Result<Vec<At<Webhook>>, Error> {
        Ok(self.records.list(Listing::of(Kind::Webhook)).await?)
    }

    /// Changes where an endpoint is, and what it is told.
    pub async fn replace_webhook(&self, name: &WebhookName, new: NewWebhook) -> Result<At<Webhook>, Error> {
        let mut checking = Checking::default();
        checking.kinds(&new.kinds);
        checking.done(Some(()))?;
        let change = |webhook: &mut Webhook| (webhook.url, webhook.kinds) = (new.url.clone(), new.kinds.clone());
        Ok(self.records.change(name, change).await?)
    }

    /// Tells an endpoint again what changes, at once; what changed meanwhile too. It has as much time as one that is new.
    pub async fn enable_webhook(&self, name: &WebhookName) -> Result<At<Webhook>, Error> {
        self.begin_anew(name).await?;
        Ok(self.records.change(name, |webhook: &mut Webhook| webhook.disabled = None).await?)
    }

    /// Forgets how often an endpoint took nothing, and since when. Nobody tells one that is disabled, so this comes first.
    async fn begin_anew(&self, name: &WebhookName) -> Result<(), Error> {
        const TRIES: usize = 8;
        let id = EntityId::from(&ProgressId(name.clone()));
        for _ in 0..TRIES {
            let found = self.records.registry().find(&id).await?.filter(|_| self.records.is_real());
            let Some(stored) = found else { return Ok(()) };
            let now = Progress { attempts: 0, failing: None, due: UnixMicros(0), ..stored.entity()? };
            let write = Write::Replace(Row::of(&now), Some(stored.revision));
            match self.records.registry().commit(Commit::of(write)).await {
                Err(StoreError::Changed(_)) => {}
                done => return Ok(done.map(drop)?),
            }
        }
        // Somebody tells it all the time.
        Ok(())
    }

    /// Tells an endpoint nothing, until it is enabled.
    pub async fn disable_webhook(&self, name: &WebhookName, because: &str) -> Result<At<Webhook>, Error> {
        let at = self.now();
        let change = |webhook: &mut Webhook| webhook.disabled = Some(Disabled { at, because: because.to_owned() });
        Ok(self.records.change(name, change).await?)
    }

    /// Deletes an endpoint.
    pub async fn delete_webhook(&self, name: &WebhookName) -> Result<(), Error> {
        self.records.delete(name).await?;
        Ok(())
    }

    /// What became of events on their way to an endpoint, oldest first, a page at a time.
    pub async fn deliveries(
        &self,
        name: &WebhookName,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, Error> {
        self.records.expect(name).await?;
        let (parent, after) = (EntityId::from(name), after.map(ToString::to_string));
        let listing = Listing { parent: Some(&parent), after: after.as_deref(), limit, ..Listing::of(Kind::Delivery) };
        self.list(listing).await
    }
}

/// Whether an endpoint that is told these kinds is told an event of this one.
pub fn tells(kinds: &[String], event: &str) -> bool {
    kinds.iter().any(|kind| match kind.strip_suffix('*') {
        Some(beginning) => event.starts_with(beginning),
        None => kind == event,
    })
}

/// What endpoints can be told about.
const ABOUT: &[&str] = &[
    "company",
    "developer",
    "contract",
    "app",
    "product",
    "subscription",
    "key",
    "certificate",
    "certificate-rule",
    "session",
    "token",
    "webhook",
    "statement",
    "silence",
    "alert",
    "job",
];

impl Checking {
    /// Kinds of events that there are.
    fn kinds(&mut self, kinds: &[String]) {
        let at = Pointer::default().at("kinds");
        if kinds.is_empty() || MOST < kinds.len() {
            self.wrong(&at, format!("has {} kinds; write 1 to {MOST}, or `*` for all", kinds.len()));
        }
        for (index, kind) in kinds.iter().enumerate().filter(|(_, kind)| !is_kind(kind)) {
            let about = ABOUT.join("`, `");
            let reason =
                format!("`{kind}` is no kind of event: write `*`, `key.*` or `key.rotated`; they are about `{about}`");
            self.wrong(&at.at(index), reason);
        }
    }
}

fn is_kind(kind: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let about = |(about, what): (&str, &str)| ABOUT.contains(&about) && (what == "*" || is_word(what));
    kind == "*" || kind.split_once('.').is_some_and(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words_and_stand_for_many_with_a_star() {
        for (kind, event, expected) in [
            ("*", "key.rotated", true),
            ("key.*", "key.rotated", true),
            ("key.rotated", "key.rotated", true),
            ("key.created", "key.rotated", false),
            ("app.*", "key.rotated", false),
        ] {
            assert!(is_kind(kind), "{kind}");
            assert_eq!(tells(&[kind.to_owned()], event), expected, "{kind} {event}");
        }
        for kind in ["", "key", "key.", ".created", "reply.created", "key.*.x", "k*", "Key.created"] {
            assert!(!is_kind(kind), "{kind}");
        }
    }
}
