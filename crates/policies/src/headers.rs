//! `headers`: sets, adds, removes and renames headers of requests and of responses.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response;
use pipeline::{ChainBuilder, Exchange, Flow, OnRequest, OnResponse, Policy, Stage, Verdict};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use attributes::record;
use attributes::template::HeaderText;

/// Sets, adds, removes and renames headers of requests and of responses.
///
/// First names are changed, then headers removed, then set, then added. Values are templates, such as
/// `{client.address}`. Headers that frame a message or belong to one connection cannot be changed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to change on the way to the upstream. `host` can be set here.
    request: Option<Edits>,
    /// What to change on the way to the client, on the gateway's own answers too.
    response: Option<Edits>,
}

/// What to change in the headers of a message.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Edits {
    /// Names to change, old to new. A header that is not there is left alone.
    rename: BTreeMap<String, String>,
    /// Names to remove.
    remove: Vec<String>,
    /// Values to set, in place of any that are there. A template that comes out empty removes the header, so that
    /// no value of the client's stands where the gateway's should.
    set: BTreeMap<String, String>,
    /// Values to add to those that are there. A template that comes out empty adds nothing.
    add: BTreeMap<String, String>,
}

/// The compiled policy.
pub struct Headers {
    request: Option<Edit>,
    response: Option<Edit>,
}

impl Policy for Headers {
    const NAME: &'static str = "headers";
    const STAGE: Stage = Stage::Complete;
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        if config.request.is_none() && config.response.is_none() {
            return Err(Finding::new(at, "changes nothing: write what to change in `request` or `response`"));
        }
        let compile =
            |edits: Option<Edits>, of: Side, at: &Pointer| edits.map(|edits| edits.compile(of, chain, at)).transpose();
        Ok(Self {
            request: compile(config.request, Side::Request, &at.at("request"))?,
            response: compile(config.response, Side::Response, &at.at("response"))?,
        })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        if self.request.is_some() {
            chain.on_request(self.clone());
        }
        if self.response.is_some() {
            chain.on_response(self);
        }
    }
}

impl OnRequest for Headers {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        if let Some(edit) = &self.request {
            let values = edit.values(exchange);
            edit.apply(values, &mut exchange.head.headers);
        }
        Ok(Flow::Next)
    }
}

impl OnResponse for Headers {
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        if let Some(edit) = &self.response {
            edit.apply(edit.values(exchange), &mut head.headers);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// Compiled [`Edits`].
struct Edit {
    rename: Vec<(HeaderName, HeaderName)>,
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderText)>,
    add: Vec<(HeaderName, HeaderText)>,
}

/// The values to set and then those to add, in the order of their names.
type Values = SmallVec<[Option<HeaderValue>; 4]>;

impl Edits {
    fn compile(self, side: Side, chain: &ChainBuilder, at: &Pointer) -> Result<Edit, Finding> {
        let texts = |values: BTreeMap<String, String>, at: &Pointer, host: Host| {
            let compile = |(name, value): (String, String)| {
                let at = at.at(&name);
                let text = HeaderText::parse(&value, &at)?;
                record::check_header(&text, chain, &at)?;
                Ok((header_name(&name, &at, host)?, text))
            };
            values.into_iter().map(compile).collect::<Result<Vec<_>, Finding>>()
        };
        let rename = |(old, new): (String, String)| {
            let at = at.at("rename").at(&old);
            Ok((header_name(&old, &at, Host::Stays)?, header_name(&new, &at, Host::Stays)?))
        };
        let remove = |(index, name): (usize, String)| header_name(&name, &at.at("remove").at(index), Host::Stays);
        let host = if side == Side::Request { Host::CanBeSet } else { Host::Stays };

        Ok(Edit {
            rename: self.rename.into_iter().map(rename).collect::<Result<_, Finding>>()?,
            remove: self.remove.into_iter().enumerate().map(remove).collect::<Result<_, _>>()?,
            set: texts(self.set, &at.at("set"), host)?,
            add: texts(self.add, &at.at("add"), Host::Stays)?,
        })
    }
}

impl Edit {
    /// What there is to set and to add. Made before anything changes, so that templates see headers as they came.
    fn values(&self, exchange: &Exchange) -> Values {
        self.set.iter().chain(&self.add).map(|(_, text)| text.render(exchange)).collect()
    }

    fn apply(&self, values: Values, headers: &mut HeaderMap) {
        let mut values = values.into_iter();
        for (old, new) in &self.rename {
            if let header::Entry::Occupied(entry) = headers.entry(old) {
                let values: Vec<_> = entry.remove_entry_mult().1.collect();
                headers.remove(new);
                for value in values {
                    headers.append(new, value);
                }
            }
        }
        for name in &self.remove {
            headers.remove(name);
        }
        for ((name, _), value) in self.set.iter().zip(values.by_ref()) {
            match value {
                Some(value) => {
                    headers.insert(name, value);
                }
                None => {
                    headers.remove(name);
                }
            }
        }
        for ((name, _), value) in self.add.iter().zip(values) {
            if let Some(value) = value {
                headers.append(name, value);
            }
        }
    }
}

/// Whether `host` is among the headers that can be changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    CanBeSet,
    Stays,
}

/// A header's name, unless it is one that only the gateway itself may write.
pub(crate) fn header_name(name: &str, at: &Pointer, host: Host) -> Result<HeaderName, Finding> {
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed.map_err(|_invalid| Finding::new(at, format!("`{name}` is no name of a header")))?;
    if parsed == header::HOST && host == Host::Stays {
        return Err(Finding::new(at, "`host` cannot be changed here; a request's can be `set`"));
    }
    if FRAMING.contains(&parsed.as_str()) {
        let why = "it belongs to one connection, or says how long a message is, which the gateway itself must know";
        return Err(Finding::new(at, format!("`{name}` cannot be changed: {why}")));
    }
    Ok(parsed)
}

/// Headers that are hop-by-hop (RFC 9110, section 7.6.1) or frame the message (RFC 9112, section 6).
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use http::Response;
    use pipeline::Body;
    use pipeline::tester::policy;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_s_headers_are_renamed_removed_set_and_added_in_this_order() {
        let headers = policy::<Headers>(json!({ "request": {
            "rename": { "x-old": "x-new" },
            "remove": ["x-gone"],
            "set": { "x-client": "{client.address}", "x-was": "{request.headers.x-client}", "host": "inner.example" },
            "add": { "x-tag": "b" },
        }}));

        let passed = headers
            .request()
            .header("x-old", "1")
            .header("x-old", "2")
            .header("x-new", "0")
            .header("x-gone", "1")
            .header("x-client", "forged")
            .header("x-tag", "a")
            .passes();

        let values =
            |name: &str| passed.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(values("x-old"), [""; 0]);
        assert_eq!(values("x-new"), ["1", "2"]);
        assert_eq!(values("x-gone"), [""; 0]);
        assert_eq!(values("x-client"), ["192.0.2.1"]);
        assert_eq!(values("x-was"), ["forged"]);
        assert_eq!(values("host"), ["inner.example"]);
        assert_eq!(values("x-tag"), ["a", "b"]);
    }

    #[test]
    fn a_client_cannot_forge_what_the_gateway_sets_even_when_there_is_nothing_to_set() {
        let headers = policy::<Headers>(json!({ "request": { "set": { "x-company": "{caller.company}" } } }));
        let passed = headers.request().header("x-company", "forged").passes();
        assert!(!passed.headers().contains_key("x-company"));
    }

    #[test]
    fn a_response_s_headers_are_changed_with_attributes_of_the_request() {
        let headers = policy::<Headers>(json!({ "response": {
            "remove": ["server"], "set": { "x-path": "{request.path}" }, "add": { "vary": "x-path" },
        }}));
        let upstream = Response::builder().header("server", "x").header("vary", "accept").body(Body::Empty).unwrap();

        let answer = headers.request().to("/a").answered(upstream);

        assert!(!answer.headers.contains_key("server"));
        assert_eq!(answer.headers["x-path"], "/a");
        assert_eq!(answer.headers.get_all("vary").iter().count(), 2);
    }

    #[test]
    fn a_value_cannot_begin_a_second_header() {
        let headers = policy::<Headers>(json!({ "request": { "set": { "x-q": "{request.query.q}" } } }));
        let passed = headers.request().to("/?q=a%0d%0ax-evil:%201").passes();
        assert_eq!(passed.headers()["x-q"], "a  x-evil: 1");
        assert!(!passed.headers().contains_key("x-evil"));
    }

    #[test]
    fn what_frames_a_message_is_refused() {
        for (settings, expected) in [
            (json!({}), "/with: changes nothing: write what to change in `request` or `response`"),
            (
                json!({ "request": { "set": { "Content-Length": "5" } } }),
                "/with/request/set/Content-Length: `Content-Length` cannot be changed",
            ),
            (
                json!({ "response": { "remove": ["x", "transfer-encoding"] } }),
                "/with/response/remove/1: `transfer-encoding` cannot",
            ),
            (
                json!({ "response": { "set": { "host": "a" } } }),
                "/with/response/set/host: `host` cannot be changed here",
            ),
            (json!({ "request": { "remove": ["host"] } }), "/with/request/remove/0: `host` cannot be changed here"),
            (json!({ "request": { "rename": { "a": "connection" } } }), "/with/request/rename/a: `connection` cannot"),
            (json!({ "request": { "set": { "a b": "" } } }), "/with/request/set/a b: `a b` is no name of a header"),
            (json!({ "request": { "set": { "a": "x\r\ny: z" } } }), "/with/request/set/a: cannot stand in a header"),
            (
                json!({ "request": { "set": { "a": "{request.path}\n" } } }),
                "/with/request/set/a: cannot stand in a header",
            ),
            (json!({ "request": { "set": { "a": "{clint.address}" } } }), "did you mean `client.address`?"),
            (json!({ "request": { "sett": {} } }), "unknown field `sett`"),
        ] {
            let finding = policy::<Headers>(settings).finding();
            assert!(finding.contains(expected), "{finding}");
        }
    }
}
