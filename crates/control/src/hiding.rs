//! What of a configuration is hidden from those who may read it and operate nothing.

use std::sync::LazyLock;

use model::secret::Secrets;
use problem::Pointer;
use serde_json::Value;

use crate::document::schema;

/// Hides in a part of a document what is secret though it was written into it and not referred to.
pub fn hide(at: &Pointer, part: &mut Value) {
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema);
    Secrets::of(&SCHEMA).hide(at, part);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A document with secrets, of which each is `secret`.
    fn with_secrets(secret: &str) -> Value {
        let templates = json!({ "a": secret });
        json!({
            "encryption": { "master_keys": [secret], "transit": { "url": "http://a/", "key": "k", "token": secret } },
            "imported_keys": { "peppers": { "legacy": secret } },
            "rooms": { "sale": { "openid": { "issuer": "http://a/", "client_secret": secret, "redirect_uris": [] } } },
            "room_events": {
                "a": { "to": { "webhook": { "url": "http://a/", "secret": secret } } },
                "b": { "to": { "nats": { "servers": ["a:1"], "subject": "s", "login": { "nkey": secret } } } },
            },
            "usage": { "events": {
                "a": { "http": { "url": "http://a/", "authorization": secret } },
                "b": { "nats": { "servers": ["a:1"], "subject": "s", "login": { "user": { "name": secret, "password": secret } } } },
            } },
            "alerts": { "to": {
                "a": { "webhook": { "url": "http://a/", "secret": secret } },
                "b": { "mail": { "server": "a:1", "from": "a@b", "to": ["a@b"], "password": secret } },
            } },
            "jobs": { "a": { "run": { "call": { "headers": { "Authorization": secret } } } } },
            "logs": [
                { "fluent": { "address": "a:1", "shared_key": secret } },
                { "http": { "url": "http://a/", "headers": { "authorization": secret, "x-team": secret } } },
                { "elasticsearch": { "url": "http://a/", "headers": { "x": secret } } },
            ],
            "apis": { "orders": { "policies": [
                { "complete": { "headers": { "x": "{secret.a}" }, "secrets": templates } },
                { "partner-record": { "path": "/a", "secrets": templates } },
                { "sessions": { "close": { "path": "/a", "secrets": templates } } },
                { "client-credentials": { "issuer": { "client_id": "a", "client_secret": secret } } },
            ], "operations": [{ "policies": [{ "token-exchange": { "issuer": { "client_secret": secret } } }] }] } },
        })
    }

    #[test]
    fn each_secret_of_a_document_is_hidden_unless_it_is_a_reference() {
        let mut document = with_secrets("s3cret");
        hide(&Pointer::default(), &mut document);
        assert_eq!(document, with_secrets("***"));

        let mut document = with_secrets("${env:A}");
        hide(&Pointer::default(), &mut document);
        assert_eq!(document, with_secrets("${env:A}"));
    }

    #[test]
    fn every_setting_with_the_name_of_a_secret_is_marked() {
        const NAMES: [&str; 8] =
            ["authorization", "client_secret", "master_keys", "password", "peppers", "secret", "secrets", "shared_key"];
        fn look(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    for (name, schema) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
                        if NAMES.contains(&name.as_str()) && schema.get("writeOnly").is_none() {
                            found.push(format!("{name}: {schema}"));
                        }
                    }
                    members.values().for_each(|member| look(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| look(item, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        look(&schema(), &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
