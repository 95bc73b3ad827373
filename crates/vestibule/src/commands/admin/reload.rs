//! `vestibule admin reload`: has the gateway read its configuration again.

use clap::Args;
use serde_json::Value;

use super::call::{Answer, Call};

/// Has the gateway read its configuration again, and says what has changed.
///
/// If something is wrong with it, everything stays as it is, and the findings are shown.
#[derive(Args)]
pub(crate) struct Arguments {}

impl Arguments {
    #[expect(clippy::unused_self, reason = "every command becomes a call in the same way")]
    pub(crate) fn call(&self) -> Call {
        Call::post(&["config", "reload"], None, Answer::Special(shown))
    }
}

fn shown(applied: &Value) -> String {
    let changes = applied.get("changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let generation = applied.get("generation").and_then(Value::as_u64).unwrap_or_default();
    let text = |change: &Value, member: &str| change.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = |change: &Value| format!("{} {}\n", text(change, "pointer"), text(change, "change"));
    let lines: String = changes.iter().map(line).collect();
    format!("{lines}generation {generation} serves, with {} changes\n", changes.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reload_names_what_has_changed() {
        let applied = json!({ "generation": 3, "changes": [{ "pointer": "/workers", "change": "added", "new": 2 }] });
        assert_eq!(shown(&applied), "/workers added\ngeneration 3 serves, with 1 changes\n");
    }
}
