//! What changes are called by those who are told of them.

use serde_json::Value;

/// What a change of an entry of the audit log is called: `key.rotated`, `subscription.approved`, `company.created`.
pub fn event(change: &Value) -> String {
    let word = |of: &Value, member: &str| of.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (about, what) = (word(change, "kind"), word(change, "change"));
    let is_there = |member: &str| change.pointer(&format!("/now/{member}")).is_some_and(|value| !value.is_null());
    let what = match (about.as_str(), what.as_str()) {
        (_, "create") => "created".to_owned(),
        (_, "delete") => "deleted".to_owned(),
        ("subscription", "replace") => change.get("now").map(|now| word(now, "state")).unwrap_or_default(),
        ("key" | "certificate", "replace") if is_there("revoked") => "revoked".to_owned(),
        ("key", "replace") if is_there("replaced") => "rotated".to_owned(),
        ("webhook", "replace") if is_there("disabled") => "disabled".to_owned(),
        (_, "replace") => "changed".to_owned(),
        (_, other) => other.to_owned(),
    };
    format!("{about}.{what}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_has_the_name_of_what_it_means() {
        for (change, expected) in [
            (json!({ "kind": "company", "change": "create" }), "company.created"),
            (json!({ "kind": "app", "change": "delete", "now": null }), "app.deleted"),
            (json!({ "kind": "product", "change": "replace", "now": {} }), "product.changed"),
            (
                json!({ "kind": "subscription", "change": "replace", "now": { "state": "approved" } }),
                "subscription.approved",
            ),
            (json!({ "kind": "key", "change": "replace", "now": { "revoked": null } }), "key.changed"),
            (json!({ "kind": "key", "change": "replace", "now": { "revoked": 7, "replaced": {} } }), "key.revoked"),
            (json!({ "kind": "key", "change": "replace", "now": { "revoked": null, "replaced": {} } }), "key.rotated"),
            (
                json!({ "kind": "certificate", "change": "replace", "now": { "revoked": { "at": 7 } } }),
                "certificate.revoked",
            ),
            (json!({ "kind": "session", "change": "closed" }), "session.closed"),
            (json!({ "kind": "webhook", "change": "replace", "now": { "disabled": {} } }), "webhook.disabled"),
            (json!({ "kind": "statement", "change": "closed" }), "statement.closed"),
        ] {
            assert_eq!(event(&change), expected);
        }
    }
}
