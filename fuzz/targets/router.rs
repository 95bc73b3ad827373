//! The router: any routes are compiled or refused, and the route that is found is the most specific of those that fit.
#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;
use model::Document;
use serde_json::{Map, Value, json};
use snapshot::{Lent, Lost, Router, Snapshot, Wanted};

#[derive(Arbitrary, Debug)]
struct Api<'a> {
    host: Option<&'a str>,
    path: &'a str,
    is_exact: bool,
    method: Option<bool>,
    header: Option<(&'a str, &'a str)>,
    query: Option<(&'a str, &'a str)>,
    operations: Vec<&'a str>,
}

#[derive(Arbitrary, Debug)]
struct Asked<'a> {
    host: &'a str,
    path: &'a str,
    is_post: bool,
    header: Option<(&'a str, &'a str)>,
    query: Option<&'a str>,
}

fuzz_target!(|input: (Vec<Api<'_>>, Vec<Asked<'_>>)| {
    let (apis, asked) = input;
    let Ok(document) = serde_json::from_value::<Document>(document(&apis)) else { return };
    let Ok(snapshot) = Snapshot::compile(&document.into(), 1, "", &Lent::default()) else { return };
    for one in asked {
        look_up(&snapshot.router, &one);
    }
    // Each route is there for the path that it was written with.
    for api in &apis {
        look_up(
            &snapshot.router,
            &Asked { host: "a", path: api.path, is_post: false, header: api.header, query: None },
        );
    }
});

fn document(apis: &[Api<'_>]) -> Value {
    let apis: Map<String, Value> = apis
        .iter()
        .take(12)
        .enumerate()
        .map(|(number, api)| {
            let path = if api.is_exact { json!({ "exact": api.path }) } else { json!(api.path) };
            let mut matched = json!({ "path": path });
            if let Some(host) = api.host {
                matched["host"] = json!(host);
            }
            if let Some(is_post) = api.method {
                matched["method"] = json!(if is_post { "POST" } else { "GET" });
            }
            if let Some((name, value)) = api.header {
                matched["header"] = json!({ name: value });
            }
            if let Some((name, value)) = api.query {
                matched["query"] = json!({ name: value });
            }
            let operations: Vec<Value> = api.operations.iter().take(4).map(|text| json!({ "match": text })).collect();
            (format!("a{number}"), json!({ "match": matched, "upstream": "a", "operations": operations }))
        })
        .collect();
    json!({
        "version": 1,
        "listeners": { "a": { "bind": "127.0.0.1:1" } },
        "upstreams": { "a": { "targets": ["http://127.0.0.1:1"] } },
        "apis": apis,
    })
}

fn look_up(router: &Router, asked: &Asked<'_>) {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = asked.header
        && let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse())
    {
        headers.insert(name, value);
    }
    let method = if asked.is_post { Method::POST } else { Method::GET };
    let host = asked.host.to_ascii_lowercase();
    let wanted = Wanted { host: &host, path: asked.path, method: &method, headers: &headers, query: asked.query };

    let candidates = router.candidates(&wanted);
    let fits = candidates.iter().find(|(_, lacking)| lacking.is_empty()).map(|(route, _)| *route);
    match router.find(&wanted) {
        Ok(found) => assert_eq!(Some(found.route), fits, "{asked:?}"),
        Err(Lost::NoRoute) => assert_eq!(fits, None, "{asked:?}"),
        Err(Lost::OtherMethods(methods)) => {
            assert_eq!(fits, None, "{asked:?}");
            assert!(!methods.is_empty() && !methods.contains(&method), "{asked:?}");
        }
    }
}
