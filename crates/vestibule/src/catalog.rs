//! The policies of this build, as far as documents are concerned.

use policies::CATALOG;
use schemars::Schema;
use serde_json::Value;

/// Every policy by its name, with the schema of its settings.
fn policies() -> impl Iterator<Item = (&'static str, Schema)> {
    CATALOG.iter().map(|entry| (entry.name, (entry.schema)()))
}

/// The JSON Schema of documents for this build.
pub(crate) fn schema() -> Value {
    model::schema::schema(policies())
}
