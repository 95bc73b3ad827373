//! Endpoints of webhooks: where they may be, what their events are signed with, and one event to try them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use exports::{rfc3339, signed_headers};
use http::{HeaderMap, Uri};
use ipnet::IpNet;
use model::upstream::ClientTls;
use model::webhooks::{PlainHttp, Webhooks as Settings};
use parking_lot::RwLock;
use partners::{At, NewWebhook, Partners};
use problem::{Finding, Pointer};
use secrets::Vault;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Registry, UnixMicros, Webhook, WebhookName};
use tokio::time::Instant;
use upstream::{Address, Below, Guard, Recipient};

/// Where the time is taken from.
pub(crate) type Clock = Arc<dyn Fn() -> UnixMicros + Send + Sync>;

/// Endpoints, and what it takes to tell them.
pub struct Webhooks {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) partners: Arc<Partners>,
    vault: Arc<Vault>,
    pub(crate) settings: RwLock<Settings>,
    pub(crate) clock: Clock,
    /// What tells this process from others of the same store.
    pub(crate) holder: String,
}

/// Why something was not done with an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The registry did not do it.
    #[error(transparent)]
    Partners(#[from] partners::Error),
    /// What it is signed with cannot be kept or read.
    #[error("the secret of the webhook cannot be kept or read")]
    Vault(#[from] secrets::Error),
    /// There is no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// What events of an endpoint are signed with, the newest first.
#[derive(Default, Serialize, Deserialize)]
struct Secrets {
    secrets: Vec<Kept>,
}

/// A secret, and until when it is used beside a newer one.
#[derive(Serialize, Deserialize)]
struct Kept {
    secret: String,
    until: Option<UnixMicros>,
}

/// An event that an endpoint is told.
pub(crate) struct Event<'a> {
    /// The same each time that it is told.
    pub(crate) id: &'a str,
    /// What it is, such as `key.rotated`.
    pub(crate) kind: &'a str,
    pub(crate) at: UnixMicros,
    pub(crate) data: Value,
}

/// What an endpoint did with an event.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Whether it took it: a status of 2xx.
    pub taken: bool,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
    /// Why it was not taken, for people.
    pub error: Option<String>,
}

impl Webhooks {
    /// Endpoints of a registry, whose secrets are in a vault.
    pub fn new(registry: Arc<dyn Registry>, partners: Arc<Partners>, vault: Arc<Vault>, clock: Clock) -> Self {
        let mut drawn = [0; 16];
        // Without randomness there would be no keys either; two processes then tell endpoints in turn.
        rand::fill(&mut drawn).ok();
        let settings = RwLock::default();
        Self { registry, partners, vault, settings, clock, holder: store::hex(&drawn) }
    }

    /// From now on this holds.
    pub(crate) fn set(&self, settings: Settings) {
        *self.settings.write() = settings;
    }

    /// What is wrong with where an endpoint is said to be.
    pub fn wrong_url(&self, url: &str) -> Option<String> {
        let form = "write one such as `https://portal.example/hooks`";
        let settings = self.settings.read();
        let Ok(parsed) = url.parse::<Uri>() else { return Some(format!("is no URL: {form}")) };
        let (Some(scheme), Some(host)) = (parsed.scheme_str(), parsed.host()) else {
            return Some(format!("has no scheme or no host: {form}"));
        };
        if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Some(format!("has a user or a password: {form}"));
        }
        match (scheme, settings.http) {
            ("https", _) | ("http", PlainHttp::Accepted) => {}
            ("http", PlainHttp::Refused) => {
                return Some(
                    "is without TLS; where that is meant, the configuration says `webhooks: {http: accepted}`"
                        .to_owned(),
                );
            }
            _ => return Some(format!("is of another scheme than https: {form}")),
        }
        let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let is_refused = address.is_some_and(|address| !is_allowed(address.to_canonical(), &settings.allow));
        is_refused.then(|| {
            format!("{host} is this machine's or its link's own; where that is meant, `webhooks: {{allow: [...]}}` names its network")
        })
    }

    /// Makes an endpoint, and what its events are signed with: the second value, shown once.
    pub async fn create(&self, partners: &Partners, new: NewWebhook) -> Result<(At<Webhook>, String), WebhookError> {
        let secret = drawn()?;
        let webhook = partners.create_webhook(new).await?;
        if partners.is_real() {
            let content = Secrets { secrets: vec![Kept { secret: secret.clone(), until: None }] };
            self.vault.update(&place(&webhook.name), |_| Ok::<_, secrets::Error>(((), Some(written(&content)))))?;
        }
        Ok((webhook, secret))
    }

    /// Makes another secret, beside which the one before is used for `overlap`.
    pub async fn rotate(
        &self,
        partners: &Partners,
        name: &WebhookName,
        overlap: Duration,
    ) -> Result<(At<Webhook>, String), WebhookError> {
        let webhook = partners.webhook(name).await?;
        let secret = drawn()?;
        if partners.is_real() {
            let now = (self.clock)();
            let until = UnixMicros(now.0.saturating_add(u64::try_from(overlap.as_micros()).unwrap_or(u64::MAX)));
            self.vault.update(&place(name), |kept| {
                let before = read(kept.as_deref()).secrets.into_iter().next();
                let before = before.map(|kept| Kept { until: Some(until), ..kept });
                let secrets = std::iter::once(Kept { secret: secret.clone(), until: None }).chain(before).collect();
                Ok::<_, secrets::Error>(((), Some(written(&Secrets { secrets }))))
            })?;
            partners.note("rotate-secret", ("webhook", name.as_str()), json!({ "name": name })).await?;
        }
        Ok((webhook, secret))
    }

    /// Deletes an endpoint with what its events were signed with.
    pub async fn delete(&self, partners: &Partners, name: &WebhookName) -> Result<(), WebhookError> {
        partners.delete_webhook(name).await?;
        if partners.is_real() {
            let nothing = written(&Secrets::default());
            self.vault.update(&place(name), |_| Ok::<_, secrets::Error>(((), Some(nothing))))?;
        }
        Ok(())
    }

    /// Tells an endpoint an event that is none, and says what it did.
    pub async fn test(&self, name: &WebhookName) -> Result<Told, WebhookError> {
        let webhook = self.partners.webhook(name).await?.entity;
        let at = (self.clock)();
        let id = format!("test_{}", at.0);
        let event = Event { id: &id, kind: "webhook.test", at, data: json!({ "webhook": name }) };
        Ok(self.tell(&webhook, &event).await)
    }

    /// Tells an endpoint an event, once.
    pub(crate) async fn tell(&self, webhook: &Webhook, event: &Event<'_>) -> Told {
        let began = Instant::now();
        let told = self.posted(webhook, event).await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match told {
            Ok(status @ 200..=299) => Told { taken: true, status: Some(status), took_ms, error: None },
            Ok(status) => Told {
                taken: false,
                status: Some(status),
                took_ms,
                error: Some(format!("it answered with status {status}")),
            },
            Err(reason) => Told { taken: false, status: None, took_ms, error: Some(reason) },
        }
    }

    async fn posted(&self, webhook: &Webhook, event: &Event<'_>) -> Result<u16, String> {
        let at = &Pointer::default().at("url");
        if let Some(wrong) = self.wrong_url(&webhook.url) {
            return Err(format!("its URL {wrong}"));
        }
        let tls = &ClientTls::default();
        let address = Address {
            name: "webhook",
            url: &webhook.url,
            url_at: at,
            below: Below::Nothing,
            tls,
            at,
            advice: "",
            patience: PATIENCE,
        };
        let told = |findings: Vec<Finding>| findings.first().map(|finding| finding.message.clone()).unwrap_or_default();
        let recipient = Recipient::compile(&address).map_err(told)?.guarded(self.guard());
        let body = json!({ "type": event.kind, "timestamp": rfc3339(event.at), "data": event.data }).to_string();
        let headers = self.headers(webhook, event.id, &body)?;
        let reply = recipient
            .post(headers, Bytes::from(body), LONGEST_ANSWER)
            .await
            .map_err(|failed| failed.cause.map_or_else(|| "it did not answer".to_owned(), |cause| cause.to_string()))?;
        Ok(reply.status.as_u16())
    }

    /// The headers of Standard Webhooks: an id, the time, and a signature with each secret that is in use.
    fn headers(&self, webhook: &Webhook, id: &str, body: &str) -> Result<HeaderMap, String> {
        let now = (self.clock)();
        let kept =
            self.vault.get(&place(&webhook.name)).map_err(|error| format!("its secret cannot be read: {error}"))?;
        let secrets = read(kept.as_deref()).secrets;
        let in_use = secrets.iter().filter(|kept| kept.until.is_none_or(|until| now < until));
        let in_use: Vec<&str> = in_use.map(|kept| kept.secret.as_str()).collect();
        if in_use.is_empty() {
            return Err("it has no secret; `vestibule admin webhook rotate-secret` makes one".to_owned());
        }
        signed_headers(&in_use, id, now, body)
    }

    fn guard(&self) -> Guard {
        let allow = self.settings.read().allow.clone();
        Arc::new(move |address| is_allowed(address, &allow))
    }
}

/// Whether an endpoint may have an address: it is nobody's own, or its network is allowed.
fn is_allowed(address: IpAddr, allow: &[IpNet]) -> bool {
    let is_own = match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_unspecified()
                || address.is_multicast()
        }
    };
    !is_own || allow.iter().any(|network| network.contains(&address))
}

/// Where the vault has the secrets of an endpoint.
fn place(name: &WebhookName) -> String {
    format!("webhook-{name}")
}

fn read(kept: Option<&[u8]>) -> Secrets {
    kept.and_then(|kept| serde_json::from_slice(kept).ok()).unwrap_or_default()
}

fn written(secrets: &Secrets) -> Vec<u8> {
    serde_json::to_vec(secrets).unwrap_or_default()
}

/// A new secret as Standard Webhooks write it.
fn drawn() -> Result<String, WebhookError> {
    let mut secret = [0; 32];
    rand::fill(&mut secret).map_err(|_unspecified| WebhookError::NoRandomness)?;
    Ok(format!("whsec_{}", STANDARD.encode(secret)))
}

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: usize = 64 * 1024;

#[cfg(test)]
#[path = "webhooks_tests.rs"]
mod tests;
