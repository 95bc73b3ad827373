//! `/alerts`, `/silences` and `/alert-receivers`: what is wrong, and who is told.

use std::collections::BTreeMap;

use alerts::{ShownAlert, ShownSilence, shown_silence};
use axum::response::{IntoResponse, Json};
use control::{AlertError, ReceiverState};
use http::{StatusCode, header};
use model::units::Span;
use problem::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Alert, AlertId, Silence, SilenceId};

use crate::body::Json as Sent;
use crate::failure::{Failure, NOT_FOUND};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Nothing, Stored, tag};
use crate::time;

/// Which alerts are asked for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertQuery")]
pub(crate) struct Question {
    /// `open`, or `over` for those that were.
    #[serde(default)]
    state: State,
    /// Only those of this rule.
    rule: Option<String>,
    /// The list goes on after this one: `next` of the page before.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlertState")]
enum State {
    #[default]
    Open,
    Over,
}

/// A silence to be made. What is left out is not asked about; at least one of the first four has to be there.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSilence {
    /// Only this alert.
    alert: Option<AlertId>,
    /// Only alerts of this rule.
    rule: Option<String>,
    /// Only alerts with these labels.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Really all alerts: then nothing of the above is said.
    #[serde(default)]
    all: bool,
    /// Why, for those who wonder.
    reason: String,
    /// How long, such as `4h`; at most 90d.
    #[serde(rename = "for")]
    lasts: Span,
}

/// Who is told of alerts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertReceiver")]
pub(crate) struct Receiver {
    /// Its name in the configuration.
    name: String,
    /// `webhook`, `mail` or `sentry`.
    kind: &'static str,
    /// Notices that it took from this node.
    taken: u64,
    /// Times that it did not take one.
    failed: u64,
    /// Until when it is left alone, because it takes nothing.
    paused_until: Option<String>,
}

/// What a receiver did with a test.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertTest")]
pub(crate) struct Tested {
    taken: bool,
    /// Why it did not take it.
    error: Option<String>,
}

/// `GET /alerts`: lists those that are open, or over.
pub(crate) async fn list(
    Stored(storage): Stored,
    Asked(question): Asked<Question>,
) -> Result<Listed<ShownAlert>, Failure> {
    let Question { state, rule, after, limit } = question;
    let page = Page::new(after, limit);
    let after: Option<AlertId> = page.after(|text| text.parse().ok())?;
    let mut alerts = storage.alerts.list(state == State::Open).await?;
    alerts.retain(|alert| rule.as_ref().is_none_or(|rule| *rule == alert.rule));
    page.out_of(alerts, after.as_ref(), |alert: &Alert| alert.id.clone(), ShownAlert::from)
}

/// `GET /alerts/{alert}`: shows one.
pub(crate) async fn show(Stored(storage): Stored, Named(id): Named<AlertId>) -> Result<Json<ShownAlert>, Failure> {
    Ok(Json(storage.alerts.alert(&id).await?.into()))
}

/// `POST /alerts/{alert}/close`: says that what it is about is well.
pub(crate) async fn close(
    Stored(storage): Stored,
    Named(id): Named<AlertId>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<ShownAlert>, Failure> {
    let alert = storage.alerts.close(&id).await?;
    storage.partners.note("closed", ("alert", &id.to_string()), json!({ "summary": alert.summary })).await?;
    Ok(Json(alert.into()))
}

/// `GET /silences`: lists them, those that are over too, for as long as alerts are kept.
pub(crate) async fn silences(
    Stored(storage): Stored,
    Asked(page): Asked<Page>,
) -> Result<Listed<ShownSilence>, Failure> {
    let after: Option<SilenceId> = page.after(|text| text.parse().ok())?;
    let all = storage.partners.silences().await?.into_iter().map(|at| at.entity).collect();
    page.out_of(all, after.as_ref(), |silence: &Silence| silence.id.clone(), shown_silence)
}

/// `POST /silences`: has nobody told of some alerts for a while.
pub(crate) async fn silence(
    Stored(storage): Stored,
    Sent(new): Sent<NewSilence>,
) -> Result<impl IntoResponse, Failure> {
    let NewSilence { alert, rule, labels, all, reason, lasts } = new;
    let new = partners::NewSilence { alert, rule, labels, all, reason, lasts: lasts.duration() };
    let made = storage.partners.create_silence(new, &storage.alerts.rule_names()).await?;
    let location = format!("/silences/{}", made.id);
    Ok((StatusCode::CREATED, tag(&made), [(header::LOCATION, location)], Json(shown_silence(made.entity))))
}

/// `DELETE /silences/{silence}`: ends one.
pub(crate) async fn end_silence(Stored(storage): Stored, Named(id): Named<SilenceId>) -> Result<StatusCode, Failure> {
    storage.partners.delete_silence(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /alert-receivers`: lists who is told.
pub(crate) async fn receivers(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Receiver>, Failure> {
    let after = page.after(|text| Some(text.to_owned()))?;
    page.out_of(
        storage.alerts.receivers(),
        after.as_ref(),
        |state| state.name.clone(),
        |state: ReceiverState| {
            let ReceiverState { name, kind, taken, failed, paused_until } = state;
            Receiver { name, kind, taken, failed, paused_until: paused_until.map(time::text) }
        },
    )
}

/// `POST /alert-receivers/{receiver}/test`: tells one of an alert that is none.
pub(crate) async fn test(
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<Tested>, Failure> {
    let error = storage.alerts.test(&name).await?.err();
    Ok(Json(Tested { taken: error.is_none(), error }))
}

impl From<AlertError> for Failure {
    fn from(error: AlertError) -> Self {
        match error {
            AlertError::Store(error) => partners::Error::from(error).into(),
            error @ (AlertError::NoAlert(_) | AlertError::NoReceiver(_)) => {
                Problem::new(&NOT_FOUND).detail(format!("There is none: {error}.")).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    #[tokio::test]
    async fn a_silence_has_an_end_and_a_reason_and_is_in_the_audit_log() {
        let tester = Tester::new();
        let new = json!({ "labels": { "caller": "acme/shop" }, "reason": "agreed", "for": "4h" });

        let made = tester.post("/silences", new).await;

        made.is_made();
        assert_eq!((made.text_of("created"), made.text_of("until")), (NOW.into(), "2026-01-01T04:00:00Z".into()));
        assert_eq!(tester.get("/silences").await.json["items"][0], made.json);
        assert!(tester.get("/audit").await.text.contains("agreed"));
        assert_eq!(tester.delete(&format!("/silences/{}", made.text_of("id"))).await.status, StatusCode::NO_CONTENT);
        assert_eq!(tester.get("/silences").await.json["items"], json!([]));
        let [reason, long, short] = [("reason", json!("")), ("for", json!("91d")), ("for", json!("0s"))];
        for (member, value) in [reason, long, short, ("rule", json!("upstrem")), ("all", json!(true))] {
            let mut new = json!({ "labels": { "api": "orders" }, "reason": "agreed", "for": "4h" });
            new[member] = value;
            assert_eq!(tester.post("/silences", new).await.pointers(), [format!("/{member}")]);
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_said_to_be_not_there() {
        let tester = Tester::new();
        assert_eq!(tester.get("/alerts?state=over").await.json, json!({ "items": [] }));
        for path in ["/alerts/0123456789abcdef", "/silences/x", "/jobs/nightly", "/jobs/nightly/runs"] {
            let answer = tester.get(path).await;
            assert!([404, 405].contains(&answer.status.as_u16()), "{path} {}", answer.text);
        }
        for path in ["/alert-receivers/ops/test", "/jobs/nightly/run", "/alerts/0123456789abcdef/close"] {
            tester.post_nothing(path).await.is_problem(StatusCode::NOT_FOUND, "not-found");
        }
        let unsilenced = tester.delete("/silences/nope").await;
        assert_eq!(unsilenced.text_of("detail"), "The name is no id: those have 16 hexadecimal digits.");
        assert_eq!(tester.get("/alert-receivers").await.json, tester.get("/jobs").await.json);
    }
}
