//! The operations of the Admin API, each with what does it.

use std::sync::LazyLock;

use axum::Router;
use axum::handler::Handler;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use openapi::{Heeds, Operation, Verb};
use schemars::JsonSchema;
use serde_json::Value;

use crate::page::{Listed, Page};
use crate::{Admin, parts, table};

/// What is described of an operation that answers a page of a list.
pub(crate) trait Lists {
    /// Answers a page of a list.
    fn lists<T: JsonSchema>(self) -> Self;
}

impl Lists for Operation {
    fn lists<T: JsonSchema>(self) -> Self {
        self.answers::<Listed<T>>().asks::<Page>()
    }
}

/// Operations, each with what does it.
#[derive(Default)]
pub(crate) struct Operations {
    pub(crate) router: Router<Admin>,
    pub(crate) described: Vec<Operation>,
}

impl Operations {
    /// Adds an operation: what is served is described, and what is described is served.
    pub(crate) fn on<H: Handler<T, Admin>, T: 'static>(mut self, operation: Operation, handler: H) -> Self {
        let by_method = match operation.verb {
            Verb::Get => get(handler),
            Verb::Post => post(handler),
            Verb::Put => put(handler),
            Verb::Delete => delete(handler),
        };
        let by_method = match operation.heeds {
            Heeds::Nothing => by_method.route_layer(middleware::from_fn(parts::without_condition)),
            Heeds::Both => by_method,
        };
        self.router = self.router.route(operation.path, by_method);
        self.described.push(operation);
        self
    }

    /// Adds others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        self.described.extend(others.described);
        self
    }
}

/// The description of the Admin API, made from the operations as they are served. It is the same as long as the process lives.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let operations = table::open().and(table::metrics()).and(table::closed());
    openapi::document(&operations.described)
});

/// `GET /openapi.json`: the description, for programs that make clients and tests.
pub(crate) async fn show_document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.to_string())
}

/// `GET /reference`: what can be asked, for people.
pub(crate) async fn show_page() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)], openapi::page(&DOCUMENT))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::{Method, StatusCode};

    use serde_json::json;

    use super::*;
    use crate::tester::Tester;

    fn every(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| every(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| every(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[tokio::test]
    async fn everybody_may_read_the_description() {
        let answer = Tester::new().send_without_token(Method::GET, "/openapi.json").await;
        assert_eq!((answer.status, &answer.json["openapi"]), (StatusCode::OK, &json!("3.1.0")));
    }

    #[test]
    fn every_reference_leads_to_a_type_and_every_operation_has_a_name_of_its_own() {
        let mut references = Vec::new();
        every(&DOCUMENT, &mut references);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
        }
        let operations = table::open().and(table::metrics()).and(table::closed()).described;
        let names: BTreeSet<_> = DOCUMENT["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|verbs| verbs.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), operations.len());
    }

    #[test]
    fn types_that_are_sent_and_said_alike_are_described_alike() {
        let types = DOCUMENT["components"]["schemas"].as_object().unwrap();
        // Two types of one name would be told apart by a number.
        let doubled: Vec<_> = types.keys().filter(|name| name.ends_with(|last: char| last.is_ascii_digit())).collect();
        assert!(doubled.is_empty(), "{doubled:?}");
    }

    #[tokio::test]
    async fn what_is_described_is_served_with_or_without_a_token_as_it_says() {
        let tester = Tester::new();
        for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
            let asked = path.replace("{number}", "7").replace("{key}", "abcdefghijkl").replace(['{', '}'], "");
            for (verb, operation) in methods.as_object().unwrap() {
                let method: Method = verb.to_uppercase().parse().unwrap();
                let answer = tester.send(method.as_str(), &asked, "", "").await;
                assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{verb} {path}");
                assert!(!answer.text.contains("no-such-path"), "{verb} {path}");
                let without = tester.send_without_token(method, &asked).await.status;
                let is_open = operation.get("security").is_some();
                assert_eq!(without == StatusCode::UNAUTHORIZED, !is_open, "{verb} {path}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_has_the_members_that_its_description_says() {
        let tester = Tester::with_app().await;
        let of = |name: &str| DOCUMENT["components"]["schemas"][name]["properties"].as_object().unwrap().clone();
        for (path, name) in
            [("/companies/acme", "Company"), ("/companies/acme/apps/shop", "App"), ("/products/gold", "Product")]
        {
            let said = tester.get(path).await.json;
            let described: BTreeSet<_> = of(name).keys().cloned().collect();
            let members: BTreeSet<_> = said.as_object().unwrap().keys().cloned().collect();
            assert_eq!(members, described, "{path}");
        }
        let key = tester.post("/companies/acme/apps/shop/keys", json!({})).await.json;
        let described: BTreeSet<_> = of("MadeKey").keys().cloned().collect();
        assert_eq!(key.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>(), described);
    }

    #[tokio::test]
    async fn the_page_has_every_operation_and_loads_nothing() {
        let answer = Tester::new().send_without_token(Method::GET, "/reference").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        for (_, verbs) in DOCUMENT["paths"].as_object().unwrap() {
            for operation in verbs.as_object().unwrap().values() {
                let id = format!("id=\"{}\"", operation["operationId"].as_str().unwrap());
                assert!(answer.text.contains(&id), "{id}");
            }
        }
        for loads in ["<script", "http://", "https://", "src=", "@import", "url("] {
            assert!(!answer.text.contains(loads), "{loads}");
        }
    }
}
