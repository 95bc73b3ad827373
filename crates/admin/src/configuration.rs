//! `/config`: the configuration that serves, and how it is changed.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Json};
use model::diff::Change;
use problem::{Pointer, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::body::{self, MALFORMED};
use crate::failure::Failure;
use crate::parts::{Asked, Log, Nothing};
use crate::{Admin, Applied, Apply, Configuration};

/// A configuration as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Configuration")]
pub(crate) struct Shown {
    generation: u64,
    hash: String,
    document: Value,
}

/// What became of a new configuration.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConfigurationChange")]
pub(crate) struct Changed {
    generation: u64,
    hash: String,
    changes: Vec<Value>,
}

/// How a document is sent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ConfigurationQuestion")]
pub(crate) struct How {
    /// Whether to say only what would change.
    #[serde(default)]
    dry_run: bool,
}

/// `GET /config`: shows the document that serves, without its secrets.
pub(crate) async fn show(State(admin): State<Admin>) -> Result<impl IntoResponse, Failure> {
    let Some(configuration) = admin.node.configuration() else {
        return Err(Failure::not_found("configuration yet"));
    };
    let Configuration { generation, hash, mut document } = configuration;
    control::hide(&Pointer::default(), &mut document);
    Ok(Json(Shown { generation, hash, document }))
}

/// `POST /config/reload`: reads the file again and serves by it, or goes on as before.
pub(crate) async fn reload(
    State(admin): State<Admin>,
    log: Log,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let applied = admin.node.reload().await?;
    note(&log, "reloaded", &applied).await?;
    Ok(shown(applied))
}

async fn note(log: &Log, change: &str, applied: &Applied) -> Result<(), Failure> {
    let Applied { generation, hash, .. } = applied;
    log.note(change, ("configuration", &generation.to_string()), json!({ "generation": generation, "hash": hash }))
        .await
}

/// `PUT /config`: says what the document that is sent, YAML or JSON, would change (`dry_run`), or serves by it. The latter is
/// refused where the configuration comes from a file: what is meant to stay is written there.
pub(crate) async fn replace(
    State(admin): State<Admin>,
    log: Log,
    Asked(How { dry_run }): Asked<How>,
    request: Request,
) -> Result<impl IntoResponse, Failure> {
    body::expect_type(&request, TYPES)?;
    let document = body::read(request.into_body(), LONGEST).await?;
    let document = std::str::from_utf8(&document)
        .map_err(|error| Problem::new(&MALFORMED).detail(format!("This is no UTF-8: {error}.")))?;
    let apply = if dry_run { Apply::DryRun } else { Apply::Now };
    let applied = admin.node.apply(document, apply).await?;
    if apply == Apply::Now {
        note(&log, "replaced", &applied).await?;
    }
    Ok(shown(applied))
}

fn shown(applied: Applied) -> Json<Changed> {
    let Applied { generation, hash, changes } = applied;
    let hidden = |change: &Change| {
        let mut told = change.as_json();
        for member in ["old", "new"] {
            if let Some(part) = told.get_mut(member) {
                control::hide(&change.at, part);
            }
        }
        told
    };
    Json(Changed { generation, hash, changes: changes.iter().map(hidden).collect() })
}

pub(crate) const TYPES: &[&str] =
    &["application/yaml", "application/json", "application/x-yaml", "text/yaml", "text/x-yaml"];

/// Bytes of a document.
const LONGEST: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::tester::Tester;

    #[tokio::test]
    async fn the_document_is_shown_without_its_secrets() {
        let answer = Tester::new().get("/config").await;
        assert_eq!((&answer.json["generation"], &answer.json["hash"]), (&json!(7), &json!("c0ffee")));
        assert_eq!(answer.json["document"]["version"], 1);
        assert!(!answer.text.contains("argon2"));
    }

    #[tokio::test]
    async fn a_reload_says_what_has_changed() {
        let answer = Tester::new().post_nothing("/config/reload").await;
        let change = json!({ "pointer": "/workers", "change": "changed", "old": 1, "new": 2 });
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json, json!({ "generation": 8, "hash": "decade", "changes": [change] }));
    }

    #[tokio::test]
    async fn a_document_with_findings_changes_nothing_and_every_finding_has_its_place() {
        let tester = Tester::new();
        let answer = tester.send("PUT", "/config", "application/yaml", "version: 2\n").await;
        answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        let finding = &answer.json["findings"][0];
        assert_eq!((&finding["line"], &finding["column"]), (&json!(1), &json!(10)));
        assert_eq!(finding["pointer"], "/version");
    }

    #[tokio::test]
    async fn a_dry_run_is_no_change() {
        let tester = Tester::new();
        let dry = tester.send("PUT", "/config?dry_run=true", "application/yaml", "version: 1\n").await;
        let wet = tester.send("PUT", "/config", "application/json", "{\"version\": 1}").await;
        assert_eq!((dry.status, &dry.json["generation"]), (StatusCode::OK, &json!(7)));
        assert_eq!((wet.status, &wet.json["generation"]), (StatusCode::OK, &json!(8)));
    }

    #[tokio::test]
    async fn a_body_that_is_no_document_is_refused() {
        let tester = Tester::new();
        let form = tester.send("PUT", "/config", "application/x-www-form-urlencoded", "version=1").await;
        form.is_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type");
        let binary = tester.send("PUT", "/config", "application/yaml", &b"\xff"[..]).await;
        binary.is_problem(StatusCode::BAD_REQUEST, "malformed");
        let endless = tester.send("PUT", "/config", "application/yaml", vec![b' '; LONGEST + 1]).await;
        endless.is_problem(StatusCode::PAYLOAD_TOO_LARGE, "too-long");
        let query = tester.send("PUT", "/config?dryrun=true", "application/yaml", "version: 1").await;
        query.is_problem(StatusCode::BAD_REQUEST, "bad-query");
    }
}
