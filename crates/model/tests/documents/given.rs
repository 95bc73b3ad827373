//! Two policies, an environment and a file, for tests that read documents.

use std::path::Path;
use std::sync::LazyLock;

use model::Document;
use model::read::{References, Source, read};
use model::schema::schema;
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

/// Settings of `api-key`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema matters")]
struct ApiKey {
    /// The header.
    header: Option<String>,
}

/// Settings of `quota`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema matters")]
struct Quota {
    /// How much.
    rate: model::units::Rate,
}

/// The schema of documents in which `api-key` and `quota` can be used.
pub(crate) fn test_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> =
        LazyLock::new(|| schema([("api-key", schema_for!(ApiKey)), ("quota", schema_for!(Quota))].into_iter()));
    &SCHEMA
}

/// What `v.yaml` is read as.
pub(crate) fn outcome(text: &str) -> Result<(Document, Source), Vec<String>> {
    let read = read(text, "v.yaml", test_schema(), &Given);
    read.map_err(|findings| findings.iter().map(ToString::to_string).collect())
}

/// What is wrong with `v.yaml`.
pub(crate) fn findings(text: &str) -> Vec<String> {
    outcome(text).err().unwrap_or_default()
}

/// An environment with `HALF`, `FOUR`, `SECRET` and `LONG`, and one file, `token`.
#[derive(Clone, Copy)]
pub(crate) struct Given;

impl References for Given {
    fn variable(&self, name: &str) -> Result<String, String> {
        match name {
            "HALF" => Ok("0.5".into()),
            "FOUR" => Ok("4".into()),
            "SECRET" => Ok("swordfish".into()),
            "LONG" => Ok("correct-horse-battery-staple".into()),
            _ => Err("the variable is not set".into()),
        }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        if path == Path::new("token") { Ok("swordfish".into()) } else { Err("no such file".into()) }
    }
}
