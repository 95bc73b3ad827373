//! `/audit`: who changed what, in a chain that nobody can mend unnoticed.

use partners::{Noted, UnixMicros};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Stored};
use crate::time;

/// An entry as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub(crate) struct Shown {
    /// Its number: the first is 1, and none is left out.
    number: u64,
    at: Option<String>,
    actor: Value,
    /// What was changed, and how each change is called, as webhooks are told it, such as `key.revoked`.
    changes: Value,
    /// The entry as it is hashed.
    body: String,
    /// SHA-256 over the hash of the entry before and `body`, in hexadecimal digits.
    hash: String,
}

/// `GET /audit`: lists entries, oldest first.
pub(crate) async fn list(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Shown>, Failure> {
    let after: Option<u64> = page.after(|text| text.parse().ok())?;
    let found = storage.partners.noted(after.unwrap_or(0), page.fetched()?).await?;
    page.of(found, |noted| noted.number.to_string(), shown)
}

fn shown(noted: Noted) -> Shown {
    let Noted { number, body, hash } = noted;
    let mut says: Value = serde_json::from_str(&body).unwrap_or_default();
    let mut taken = |member: &str| says.get_mut(member).map(Value::take).unwrap_or_default();
    let at = taken("at").as_u64().map(|at| time::text(UnixMicros(at)));
    let mut changes = taken("changes");
    for change in changes.as_array_mut().into_iter().flatten() {
        let event = partners::event(change);
        if let Some(members) = change.as_object_mut() {
            members.insert("event".to_owned(), event.into());
        }
    }
    Shown { number, at, actor: taken("actor"), changes, body, hash: store::hex(&hash) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    #[tokio::test]
    async fn what_is_done_to_the_gateway_itself_is_noted() {
        let tester = Tester::new().changed(|admin| admin.upgrading_by(|| Ok(4711)));
        tester.send("PUT", "/config?dry_run=true", "application/json", "{\"version\": 1}").await;
        tester.send("PUT", "/config", "application/json", "{\"version\": 1}").await;
        for path in ["/config/reload", "/upgrade", "/usage/rebuild"] {
            tester.post_nothing(path).await;
        }

        let log = tester.get("/audit").await;

        let entries = log.json["items"].as_array().unwrap().iter();
        let told: Vec<_> =
            entries.map(|entry| (&entry["changes"][0]["change"], &entry["changes"][0]["kind"])).collect();
        let expected = [
            ("replaced", "configuration"),
            ("reloaded", "configuration"),
            ("upgraded", "process"),
            ("rebuilt", "usage"),
        ];
        assert_eq!(
            told,
            expected.map(|(change, kind)| (json!(change), json!(kind))).iter().map(|(a, b)| (a, b)).collect::<Vec<_>>()
        );
    }

    #[tokio::test]
    async fn every_change_is_noted_with_its_maker_and_without_secrets() {
        let tester = Tester::with_app().await;
        let token = tester.post("/tokens", json!({ "name": "ci", "role": "operator" })).await;
        let secret = token.text_of("secret");
        tester.post_as(&secret, "/companies/acme/apps/shop/keys", json!({})).await.is_made();
        tester.delete("/companies/nobody").await;
        tester.post("/companies?dry_run=true", json!({ "name": "zeta" })).await.is_made();
        tester.delete("/companies/acme").await;

        let log = tester.get("/audit").await;

        let entries = log.json["items"].as_array().unwrap();
        let told: Vec<_> = entries
            .iter()
            .map(|entry| {
                let change = &entry["changes"][0];
                [&entry["actor"], &change["change"], &change["kind"]].map(|word| word.as_str().unwrap())
            })
            .collect();
        assert_eq!(
            told,
            [
                ["bootstrap", "create", "company"],
                ["bootstrap", "create", "app"],
                ["bootstrap", "create", "token"],
                ["ci", "create", "key"],
                ["bootstrap", "delete", "company"],
            ]
        );
        assert_eq!(entries[0]["at"], NOW);
        assert_eq!(entries[3]["changes"][0]["event"], "key.created");
        assert!(!log.text.contains(&secret) && !log.text.contains("digest"), "{}", log.text);
        let second = tester.get("/audit?after=1&limit=1").await;
        assert_eq!((&second.json["items"][0]["number"], &second.json["next"]), (&json!(2), &json!("2")));
    }
}
