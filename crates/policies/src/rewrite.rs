//! `rewrite`: changes the path, the query and the method that the upstream gets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use percent_encoding::{percent_decode_str, utf8_percent_encode};
use pipeline::{ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;

use attributes::attribute::form_decoded;
use attributes::record;
use attributes::template::{COMPONENT, Place, Template};

/// The request's values make no path that could be sent on.
pub static REWRITE_IMPOSSIBLE: ProblemKind = ProblemKind {
    code: "rewrite-impossible",
    status: StatusCode::BAD_REQUEST,
    title: "The request's target cannot be passed on",
};

/// Changes the path, the query and the method that the upstream gets.
///
/// Values in templates are percent-encoded, a slash in them too. A path in which a value would make a `.` or `..`
/// is refused, because it could lead out of where the route points.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The new path, a template such as `/v2/{parameters.id}`. Not together with the two prefixes.
    path: Option<String>,
    /// A prefix to take off the path, whole segments only. A path without it stays as it is.
    strip_prefix: Option<String>,
    /// A prefix to put before the path, after `strip_prefix`; a template.
    add_prefix: Option<String>,
    /// What to change in the query.
    query: Option<QueryEdits>,
    /// The new method.
    method: Option<String>,
}

/// What to change in a query.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryEdits {
    /// Names of parameters to remove.
    #[serde(default)]
    remove: Vec<String>,
    /// Parameters to set, in place of any that are there; templates.
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// Parameters to add to those that are there; templates.
    #[serde(default)]
    add: BTreeMap<String, String>,
}

/// The compiled policy.
pub struct Rewrite {
    path: NewPath,
    query: Option<NewQuery>,
    method: Option<Method>,
}

enum NewPath {
    Same,
    Whole(Template),
    Prefix { strip: Option<String>, add: Option<Template> },
}

struct NewQuery {
    /// Names that do not stay: those to remove, and those to set.
    gone: Vec<String>,
    /// Encoded names and their values, to set and then to add.
    more: Vec<(String, Template)>,
}

impl Policy for Rewrite {
    const NAME: &'static str = "rewrite";
    const STAGE: Stage = Stage::Complete;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&REWRITE_IMPOSSIBLE];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { path, strip_prefix, add_prefix, query, method } = config;
        let absolute = |text: String, at: Pointer| {
            if text.starts_with('/') { Ok(text) } else { Err(Finding::new(&at, "must begin with `/`")) }
        };
        let template =
            |text: String, at: Pointer| known(Template::parse(&absolute(text, at.clone())?, &at)?, chain, &at);

        let path = match (path, strip_prefix, add_prefix) {
            (None, None, None) => NewPath::Same,
            (Some(path), None, None) => NewPath::Whole(template(path, at.at("path"))?),
            (None, strip, add) => NewPath::Prefix {
                strip: strip.map(|prefix| absolute(prefix, at.at("strip_prefix"))).transpose()?,
                add: add.map(|prefix| template(prefix, at.at("add_prefix"))).transpose()?,
            },
            (Some(_), _, _) => {
                return Err(Finding::new(
                    &at.at("path"),
                    "says all of the path; leave `strip_prefix` and `add_prefix` out",
                ));
            }
        };
        let query = query.map(|edits| edits.compile(chain, &at.at("query"))).transpose()?;
        let method = method.map(|method| new_method(&method, &at.at("method"))).transpose()?;
        if matches!(path, NewPath::Same) && query.is_none() && method.is_none() {
            return Err(Finding::new(at, "changes nothing: write a `path`, a prefix, a `query` or a `method`"));
        }
        Ok(Self { path, query, method })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for Rewrite {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        if !matches!(self.path, NewPath::Same) || self.query.is_some() {
            let Some(target) = self.target(exchange) else {
                return Ok(Problem::new(&REWRITE_IMPOSSIBLE).into());
            };
            exchange.head.uri = target;
        }
        if let Some(method) = &self.method {
            exchange.head.method = method.clone();
        }
        Ok(Flow::Next)
    }
}

impl Rewrite {
    /// The new target, if one can be made.
    fn target(&self, exchange: &Exchange) -> Option<Uri> {
        let uri = &exchange.head.uri;
        let path = self.path.of(uri.path(), exchange);
        if matches!(path, Cow::Owned(_)) && leads_elsewhere(&path) {
            return None;
        }
        let query = match &self.query {
            None => uri.query().map(Cow::Borrowed),
            Some(query) => query.of(uri.query().unwrap_or_default(), exchange).map(Cow::Owned),
        };
        with_target(uri, &path, query.as_deref())
    }
}

/// A URI with another path and query, if they can stand in one.
pub(crate) fn with_target(uri: &Uri, path: &str, query: Option<&str>) -> Option<Uri> {
    let mut target = path.to_owned();
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

impl NewPath {
    fn of<'a>(&'a self, path: &'a str, exchange: &'a Exchange) -> Cow<'a, str> {
        match self {
            Self::Same => path.into(),
            Self::Whole(template) => template.render(exchange, Place::Uri).into_owned().into(),
            Self::Prefix { strip, add } => {
                let rest = strip.as_deref().and_then(|prefix| below(path, prefix)).unwrap_or(path);
                let prefix = add.as_ref().map(|add| add.render(exchange, Place::Uri)).unwrap_or_default();
                let prefix = prefix.trim_end_matches('/');
                if rest.starts_with('/') { format!("{prefix}{rest}").into() } else { format!("{prefix}/{rest}").into() }
            }
        }
    }
}

/// What of a path stands below a prefix, if it stands below it.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Whether a path has a segment that means this directory or the one above, however it is encoded.
pub(crate) fn leads_elsewhere(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b".."))
}

/// A template whose record the chain can give.
fn known(template: Template, chain: &ChainBuilder, at: &Pointer) -> Result<Template, Finding> {
    record::check(&template, chain, at)?;
    Ok(template)
}

impl QueryEdits {
    fn compile(self, chain: &ChainBuilder, at: &Pointer) -> Result<NewQuery, Finding> {
        let mut gone = self.remove;
        gone.extend(self.set.keys().cloned());
        let set = self.set.into_iter().map(|pair| ("set", pair));
        let add = self.add.into_iter().map(|pair| ("add", pair));
        let more = set.chain(add).map(|(how, (name, value))| {
            let at = at.at(how).at(&name);
            let template = known(Template::parse(&value, &at)?, chain, &at)?;
            Ok((utf8_percent_encode(&name, COMPONENT).to_string(), template))
        });
        let more = more.collect::<Result<Vec<_>, Finding>>()?;
        if gone.is_empty() && more.is_empty() {
            return Err(Finding::new(at, "changes nothing: write `remove`, `set` or `add`"));
        }
        Ok(NewQuery { gone, more })
    }
}

impl NewQuery {
    /// The new query, if anything is left of it.
    fn of(&self, query: &str, exchange: &Exchange) -> Option<String> {
        let stays = |pair: &&str| {
            let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
            !self.gone.iter().any(|gone| form_decoded(name) == gone.as_str())
        };
        let mut new = String::with_capacity(query.len() + 32);
        let mut push = |text: &str| {
            if !new.is_empty() {
                new.push('&');
            }
            new.push_str(text);
        };
        query.split('&').filter(|pair| !pair.is_empty()).filter(stays).for_each(&mut push);
        for (name, value) in &self.more {
            let value = value.render(exchange, Place::Text);
            push(&format!("{name}={}", utf8_percent_encode(&value, COMPONENT)));
        }
        (!new.is_empty()).then_some(new)
    }
}

fn new_method(method: &str, at: &Pointer) -> Result<Method, Finding> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_invalid| Finding::new(at, format!("`{method}` is no method; write one such as `POST`")))?;
    if method == Method::CONNECT {
        return Err(Finding::new(at, "`CONNECT` opens a tunnel, which no other request can be turned into"));
    }
    Ok(method)
}

#[cfg(test)]
mod tests {
    use pipeline::tester::policy;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_made_from_the_route_s_parameters() {
        let rewrite = policy::<Rewrite>(json!({ "path": "/v2/{parameters.id}/items" }));
        let passed =
            rewrite.request().to("/v1/7?a=b").with(|x| x.parameters.push(("id".into(), "7 ü/x".into()))).passes();
        assert_eq!(passed.head.uri, "/v2/7%20%C3%BC%2Fx/items?a=b");
        assert_eq!(passed.target, "/v1/7?a=b");
    }

    #[test]
    fn prefixes_are_taken_off_and_put_before_by_whole_segments() {
        for (settings, from, to) in [
            (json!({ "strip_prefix": "/api" }), "/api/orders", "/orders"),
            (json!({ "strip_prefix": "/api/" }), "/api/orders", "/orders"),
            (json!({ "strip_prefix": "/api" }), "/api", "/"),
            (json!({ "strip_prefix": "/api" }), "/apis/orders", "/apis/orders"),
            (json!({ "add_prefix": "/inner" }), "/orders?x=1", "/inner/orders?x=1"),
            (json!({ "add_prefix": "/inner/" }), "/orders", "/inner/orders"),
            (json!({ "strip_prefix": "/a", "add_prefix": "/b" }), "/a/c", "/b/c"),
            (json!({ "add_prefix": "/{request.method}" }), "/c", "/GET/c"),
            (json!({ "strip_prefix": "/a" }), "http://example.com/a/b", "http://example.com/b"),
        ] {
            let passed = policy::<Rewrite>(settings).request().to(from).passes();
            assert_eq!(passed.head.uri, to);
        }
    }

    #[test]
    fn a_value_cannot_lead_out_of_the_path() {
        let rewrite = policy::<Rewrite>(json!({ "path": "/v2/{parameters.id}" }));
        for id in ["..", ".", "./", "a/../b", "%2e%2e"] {
            let request = rewrite.request().with(|x| x.parameters.push(("id".into(), id.into())));
            if id.contains('%') {
                assert_eq!(request.passes().head.uri, "/v2/%252e%252e");
            } else {
                request.is_refused_with("rewrite-impossible");
            }
        }
    }

    #[test]
    fn a_query_s_parameters_are_removed_set_and_added() {
        let rewrite = policy::<Rewrite>(json!({ "query": {
            "remove": ["debug"], "set": { "limit": "10" }, "add": { "client": "{client.address}&x" },
        }}));
        let passed = rewrite.request().to("/a?limit=99&d%65bug=1&q=a+b&limit=5&").passes();
        assert_eq!(passed.head.uri, "/a?q=a+b&limit=10&client=192.0.2.1%26x");

        let remove = policy::<Rewrite>(json!({ "query": { "remove": ["q"] } }));
        assert_eq!(remove.request().to("/a?q=1").passes().head.uri, "/a");
    }

    #[test]
    fn the_method_is_changed_for_the_upstream_alone() {
        let passed = policy::<Rewrite>(json!({ "method": "PUT" })).request().by("POST").passes();
        assert_eq!(passed.head.method, "PUT");
        assert_eq!(passed.method, "POST");
    }

    #[test]
    fn mistakes_are_findings() {
        for (settings, expected) in [
            (json!({}), "/with: changes nothing"),
            (json!({ "path": "v2" }), "/with/path: must begin with `/`"),
            (
                json!({ "path": "/{parameter.id}" }),
                "/with/path: there is no `parameter.id`; did you mean `parameters`?",
            ),
            (json!({ "path": "/a", "strip_prefix": "/b" }), "/with/path: says all of the path"),
            (json!({ "query": {} }), "/with/query: changes nothing"),
            (json!({ "method": "PO ST" }), "/with/method: `PO ST` is no method"),
            (json!({ "method": "CONNECT" }), "/with/method: `CONNECT` opens a tunnel"),
        ] {
            let finding = policy::<Rewrite>(settings).finding();
            assert!(finding.contains(expected), "{finding}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_value_is_the_path_keeps_its_segments(id: String) {
            let rewrite = policy::<Rewrite>(json!({ "path": "/v2/{parameters.id}/end" }));
            // A backend may take an encoded slash for one.
            let dots = id.split('/').any(|segment| segment == "." || segment == "..");
            let request = rewrite.request().with(|x| x.parameters.push(("id".into(), id)));
            if dots {
                request.is_refused_with("rewrite-impossible");
            } else {
                let passed = request.passes();
                let path = passed.head.uri.path();
                prop_assert!(path.starts_with("/v2/") && path.ends_with("/end") && path.matches('/').count() == 3);
            }
        }
    }
}
