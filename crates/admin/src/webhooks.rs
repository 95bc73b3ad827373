//! `/webhooks`: who is told what changes in the registry.

use std::time::Duration;

use axum::response::{IntoResponse, Json};
use control::{Told, WebhookError};
use http::{StatusCode, header};
use model::units::Span;
use partners::{At, Delivery, DeliveryId, NewWebhook, Webhook, WebhookName};
use problem::{Finding, Pointer, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{Json as Sent, OptionalJson};
use crate::failure::{FAILED, Failure};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Nothing, Stored, tag};
use crate::{Storage, time};

/// An endpoint to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWebhook")]
pub(crate) struct New {
    /// Its name, in kebab case.
    name: String,
    /// Where it is: https, and not on this machine, unless the configuration says otherwise under `webhooks`.
    url: String,
    /// What it is told, such as `key.rotated`, `key.*` and `*`.
    kinds: Vec<String>,
}

/// What an endpoint is from now on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebhookReplacement")]
pub(crate) struct Replacement {
    /// Where it is.
    url: String,
    /// What it is told.
    kinds: Vec<String>,
}

/// How a secret is replaced.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebhookRotation")]
pub(crate) struct Rotation {
    /// How long the old one signs beside the new one, such as `1d`.
    overlap: Option<Span>,
}

/// An endpoint as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub(crate) struct Shown {
    name: WebhookName,
    url: String,
    kinds: Vec<String>,
    /// Whether it is told anything.
    enabled: bool,
    disabled: Option<String>,
    disabled_because: Option<String>,
    created: String,
}

/// An endpoint with what its events are signed with.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MadeWebhook")]
pub(crate) struct Made {
    #[serde(flatten)]
    webhook: Shown,
    /// `whsec_` and a key in base64, as Standard Webhooks write it. Absent after a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// What an endpoint did with an event.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookTest")]
pub(crate) struct Tested {
    taken: bool,
    status: Option<u16>,
    took_ms: u64,
    error: Option<String>,
}

/// What became of an event on its way to an endpoint.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookDelivery")]
pub(crate) struct Delivered {
    /// Its number in the audit log, and its place there: `webhook-id` is `evt_` and this.
    event: String,
    kind: String,
    at: String,
    attempts: u32,
    taken: bool,
    status: Option<u16>,
    took_ms: u64,
    error: Option<String>,
}

/// `GET /webhooks`: lists endpoints by name.
pub(crate) async fn list(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Shown>, Failure> {
    let after: Option<WebhookName> = page.after(|text| text.parse().ok())?;
    let all = storage.partners.webhooks().await?.into_iter().map(|at| at.entity).collect();
    page.out_of(all, after.as_ref(), |webhook: &Webhook| webhook.name.clone(), shown)
}

/// `POST /webhooks`: makes an endpoint, which is told what changes from now on.
pub(crate) async fn create(Stored(storage): Stored, Sent(new): Sent<New>) -> Result<impl IntoResponse, Failure> {
    let New { name, url, kinds } = new;
    refuse_url(&storage, &url)?;
    let made = storage.webhooks.create(&storage.partners, NewWebhook { name, url, kinds }).await?;
    let location = format!("/webhooks/{}", made.0.name);
    Ok((StatusCode::CREATED, tag(&made.0), [(header::LOCATION, location)], with_secret(&storage, made)))
}

/// `GET /webhooks/{webhook}`: shows one.
pub(crate) async fn show(
    Stored(storage): Stored,
    Named(name): Named<WebhookName>,
) -> Result<impl IntoResponse, Failure> {
    Ok(tagged(storage.partners.webhook(&name).await?))
}

/// `PUT /webhooks/{webhook}`: changes where it is and what it is told.
pub(crate) async fn replace(
    Stored(storage): Stored,
    Named(name): Named<WebhookName>,
    Sent(Replacement { url, kinds }): Sent<Replacement>,
) -> Result<impl IntoResponse, Failure> {
    refuse_url(&storage, &url)?;
    let new = NewWebhook { name: name.to_string(), url, kinds };
    Ok(tagged(storage.partners.replace_webhook(&name, new).await?))
}

/// `DELETE /webhooks/{webhook}`: deletes one.
pub(crate) async fn delete(Stored(storage): Stored, Named(name): Named<WebhookName>) -> Result<StatusCode, Failure> {
    storage.webhooks.delete(&storage.partners, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /webhooks/{webhook}/enable`: tells it again what changes; what changed meanwhile too.
pub(crate) async fn enable(
    Stored(storage): Stored,
    Named(name): Named<WebhookName>,
) -> Result<impl IntoResponse, Failure> {
    Ok(tagged(storage.partners.enable_webhook(&name).await?))
}

/// `POST /webhooks/{webhook}/disable`: tells it nothing until it is enabled.
pub(crate) async fn disable(
    Stored(storage): Stored,
    Named(name): Named<WebhookName>,
) -> Result<impl IntoResponse, Failure> {
    Ok(tagged(storage.partners.disable_webhook(&name, "an operator said so").await?))
}

/// `POST /webhooks/{webhook}/rotate-secret`: makes another secret, beside which the old one signs for a while.
pub(crate) async fn rotate(
    Stored(storage): Stored,
    Named(name): Named<WebhookName>,
    OptionalJson(rotation): OptionalJson<Rotation>,
) -> Result<impl IntoResponse, Failure> {
    let overlap = rotation.overlap.map_or(USUAL_OVERLAP, Span::duration);
    if LONGEST_OVERLAP < overlap {
        return Err(Failure::invalid(&[Finding::new(&Pointer::default().at("overlap"), "is too long: 0s to 30d")]));
    }
    let made = storage.webhooks.rotate(&storage.partners, &name, overlap).await?;
    Ok((tag(&made.0), with_secret(&storage, made)))
}

/// `POST /webhooks/{webhook}/test`: tells it an event that is none, and says what it did.
pub(crate) async fn test(
    Stored(storage): Stored,
    Named(name): Named<WebhookName>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let Told { taken, status, took_ms, error } = storage.webhooks.test(&name).await?;
    Ok(Json(Tested { taken, status, took_ms, error }))
}

/// `GET /webhooks/{webhook}/deliveries`: lists what became of the last hundred events, oldest first.
pub(crate) async fn deliveries(
    Stored(storage): Stored,
    Named(name): Named<WebhookName>,
    Asked(page): Asked<Page>,
) -> Result<Listed<Delivered>, Failure> {
    let is_event = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let cursor = |text: &str| is_event(text).then(|| DeliveryId { webhook: name.clone(), event: text.to_owned() });
    let after = page.after(cursor)?;
    let found = storage.partners.deliveries(&name, after.as_ref(), page.fetched()?).await?;
    page.of(found, |delivery| delivery.id.event.clone(), delivered)
}

fn refuse_url(storage: &Storage, url: &str) -> Result<(), Failure> {
    let wrong = storage.webhooks.wrong_url(url);
    wrong.map_or(Ok(()), |reason| Err(Failure::invalid(&[Finding::new(&Pointer::default().at("url"), reason)])))
}

fn with_secret(storage: &Storage, (webhook, secret): (At<Webhook>, String)) -> Json<Made> {
    let secret = storage.partners.is_real().then_some(secret);
    Json(Made { webhook: shown(webhook.entity), secret })
}

fn tagged(webhook: At<Webhook>) -> impl IntoResponse + use<> {
    (tag(&webhook), Json(shown(webhook.entity)))
}

fn shown(webhook: Webhook) -> Shown {
    let Webhook { name, url, kinds, disabled, created } = webhook;
    Shown {
        name,
        url,
        kinds,
        enabled: disabled.is_none(),
        disabled: disabled.as_ref().map(|disabled| time::text(disabled.at)),
        disabled_because: disabled.map(|disabled| disabled.because),
        created: time::text(created),
    }
}

fn delivered(delivery: Delivery) -> Delivered {
    let Delivery { id, kind, at, attempts, taken, status, took_ms, error } = delivery;
    Delivered { event: id.event, kind, at: time::text(at), attempts, taken, status, took_ms, error }
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Partners(error) => error.into(),
            error @ (WebhookError::Vault(_) | WebhookError::NoRandomness) => {
                Problem::new(&FAILED).detail("The secret of the webhook cannot be kept or read.").because(error).into()
            }
        }
    }
}

/// How long an old secret signs on where nobody says it.
const USUAL_OVERLAP: Duration = Duration::from_hours(24);

/// How long an old secret signs on at most.
const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::{Value, json};

    use crate::tester::{NOW, Tester};

    fn portal() -> Value {
        json!({ "name": "portal", "url": "https://portal.example/hooks", "kinds": ["key.*"] })
    }

    #[tokio::test]
    async fn an_endpoint_is_made_changed_stopped_and_deleted() {
        let tester = Tester::new();

        let made = tester.post("/webhooks", portal()).await;

        made.is_made();
        assert!(made.text_of("secret").starts_with("whsec_"));
        let shown = tester.get("/webhooks/portal").await;
        let expected = json!({
            "name": "portal", "url": "https://portal.example/hooks", "kinds": ["key.*"], "enabled": true, "disabled": null,
            "disabled_because": null, "created": NOW,
        });
        assert_eq!(shown.json, expected);
        let tag = made.headers["etag"].to_str().unwrap();
        let change = json!({ "url": "https://other.example/", "kinds": ["*"] });
        assert_eq!(tester.put_with("/webhooks/portal", "if-match", tag, change.clone()).await.status, StatusCode::OK);
        let late = tester.put_with("/webhooks/portal", "if-match", tag, change).await;
        late.is_problem(StatusCode::PRECONDITION_FAILED, "changed-meanwhile");
        let stopped = tester.post_nothing("/webhooks/portal/disable").await;
        assert_eq!((&stopped.json["enabled"], &stopped.json["disabled"]), (&json!(false), &json!(NOW)));
        assert_eq!(tester.post_nothing("/webhooks/portal/enable").await.json["enabled"], true);
        let rotated = tester.post_nothing("/webhooks/portal/rotate-secret").await;
        assert_ne!(rotated.text_of("secret"), made.text_of("secret"));
        assert_eq!(tester.get("/webhooks/portal/deliveries").await.json["items"], json!([]));
        let log = tester.get("/audit").await.text;
        assert!(log.contains("rotate-secret") && !log.contains("whsec_"), "{log}");
        assert_eq!(tester.delete("/webhooks/portal").await.status, StatusCode::NO_CONTENT);
        tester.get("/webhooks/portal").await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn every_mistake_is_named_with_its_field() {
        let tester = Tester::new();
        for (member, value, pointer) in [
            ("name", json!("Portal"), "/name"),
            ("url", json!("portal"), "/url"),
            ("url", json!("http://portal.example/"), "/url"),
            ("url", json!("https://127.0.0.1/"), "/url"),
            ("url", json!("https://[fe80::1]/"), "/url"),
            ("kinds", json!([]), "/kinds"),
            ("kinds", json!(["*", "keys"]), "/kinds/1"),
            ("secret", json!("x"), "/secret"),
        ] {
            let mut new = portal();
            new[member] = value;
            let answer = tester.post("/webhooks", new).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
        }
        tester.post_nothing("/webhooks/nobody/test").await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn a_dry_run_makes_no_endpoint_and_no_secret() {
        let tester = Tester::new();
        let made = tester.post("/webhooks?dry_run=true", portal()).await;
        assert_eq!((made.status, made.json.get("secret")), (StatusCode::CREATED, None), "{}", made.text);
        assert!(tester.get("/webhooks").await.names().is_empty());
    }
}
