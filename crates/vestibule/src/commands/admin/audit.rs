//! `vestibule admin audit`: who changed what.

use clap::Args;
use serde_json::Value;
use store::{chained, hex};

use super::call::{Answer, Call};

/// Shows who changed what, oldest first, and whether the log is whole: each entry's hash holds the one before.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Says only whether the log is whole.
    #[arg(long)]
    verify: bool,
}

impl Arguments {
    pub(crate) fn call(&self) -> Call {
        let answer = if self.verify { Answer::Checked(verified) } else { Answer::Checked(shown) };
        Call::get(&["audit"], answer)
    }
}

/// The entries, a line for each change, and whether they are a whole chain.
fn shown(log: &Value) -> Result<String, String> {
    let word = |value: &Value, member: &str| value.get(member).and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut lines = Vec::new();
    for entry in items(log) {
        let changes = entry.get("changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let number = entry.get("number").and_then(Value::as_u64).unwrap_or_default();
        for change in changes {
            let words = [word(entry, "at"), word(entry, "actor"), word(change, "event"), word(change, "id")];
            lines.push(format!("{number:>6}  {}\n", words.join("  ")));
        }
    }
    verified(log).map(|told| lines.concat() + &told)
}

/// Whether every entry's hash is the one that it must have.
fn verified(log: &Value) -> Result<String, String> {
    let mut before = [0; 32];
    for (expected, entry) in (1_u64..).zip(items(log)) {
        let number = entry.get("number").and_then(Value::as_u64);
        if number != Some(expected) {
            return Err(format!("the audit log has no entry {expected}: entries were taken out"));
        }
        let body = entry.get("body").and_then(Value::as_str).unwrap_or_default();
        before = chained(&before, body);
        if entry.get("hash").and_then(Value::as_str) != Some(hex(&before).as_str()) {
            return Err(format!("entry {expected} of the audit log was changed: its hash is another one"));
        }
    }
    let count = items(log).len();
    Ok(format!("{count} entries, a whole chain; the last hash is {}\n", hex(&before)))
}

fn items(log: &Value) -> &[Value] {
    log.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log(bodies: &[&str]) -> Value {
        let mut before = [0; 32];
        let entry = |(number, body): (u64, &&str)| {
            before = chained(&before, body);
            json!({ "number": number, "body": body, "hash": hex(&before), "changes": [{ "change": "create" }] })
        };
        json!({ "items": (1_u64..).zip(bodies).map(entry).collect::<Vec<_>>() })
    }

    #[test]
    fn whatever_is_changed_or_taken_out_is_noticed() {
        let whole = log(&["{}", "{\"a\":1}", "{}"]);
        assert!(verified(&whole).unwrap().starts_with("3 entries, a whole chain"));
        assert_eq!(shown(&whole).unwrap().lines().count(), 4);
        assert!(verified(&log(&[])).unwrap().starts_with("0 entries"));

        let mut changed = whole.clone();
        changed["items"][1]["body"] = json!("{\"a\":2}");
        assert!(verified(&changed).unwrap_err().contains("entry 2"));
        let mut shorter = whole.clone();
        shorter["items"].as_array_mut().unwrap().remove(1);
        assert!(verified(&shorter).unwrap_err().contains("no entry 2"));
        // Who writes a hash anew breaks the next one.
        let mut mended = whole;
        mended["items"][0]["body"] = json!("{\"b\":1}");
        mended["items"][0]["hash"] = json!(hex(&chained(&[0; 32], "{\"b\":1}")));
        assert!(verified(&mended).unwrap_err().contains("entry 2"));
    }
}
