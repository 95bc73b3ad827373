//! Where values are in requests and in answers.

use std::borrow::Cow;
use std::cell::OnceCell;

use attributes::attribute::{form_decoded, pairs};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, COOKIE, HeaderName, SET_COOKIE};
use http::response;
use members::xml;
use pipeline::Exchange;
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::headers::{Host, header_name};

/// Where a value is in requests.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum InRequest {
    /// A header of this name.
    Header(String),
    /// `Authorization: Bearer`.
    Bearer,
    /// A cookie of this name.
    Cookie(String),
    /// A parameter of the query of this name.
    Query(String),
    /// A parameter of the path, as the route's template names it.
    Parameter(String),
}

/// Where a value is in answers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum InAnswer {
    /// A header of this name.
    Header(String),
    /// A cookie of this name that the answer sets.
    Cookie(String),
    /// A member of a JSON body, by `JSONPath` (RFC 9535), such as `$.session.id`.
    Json(String),
    /// An element or attribute of an XML body, by a path such as `login/session/@id`.
    Xml(String),
}

/// A compiled [`InRequest`].
pub(super) enum Carrier {
    Header(HeaderName),
    Bearer,
    Cookie(String),
    Query(String),
    Parameter(String),
}

/// A compiled [`InAnswer`].
pub(super) enum Source {
    Header(HeaderName),
    Cookie(String),
    Json(Box<JsonPath>),
    Xml(xml::Path),
}

impl InRequest {
    pub(super) fn compile(self, at: &Pointer) -> Result<Carrier, Finding> {
        Ok(match self {
            Self::Header(name) => Carrier::Header(header_name(&name, at, Host::CanBeSet)?),
            Self::Bearer => Carrier::Bearer,
            Self::Cookie(name) => Carrier::Cookie(name),
            Self::Query(name) => Carrier::Query(name),
            Self::Parameter(name) => Carrier::Parameter(name),
        })
    }
}

impl InAnswer {
    pub(super) fn compile(self, at: &Pointer) -> Result<Source, Finding> {
        Ok(match self {
            Self::Header(name) => Source::Header(header_name(&name, at, Host::CanBeSet)?),
            Self::Cookie(name) => Source::Cookie(name),
            Self::Json(path) => Source::Json(Box::new(json_path(&path, at)?)),
            Self::Xml(path) => Source::Xml(xml_path(&path, at)?),
        })
    }
}

pub(super) fn json_path(path: &str, at: &Pointer) -> Result<JsonPath, Finding> {
    let wrong = |error| Finding::new(at, format!("is no JSONPath such as `$.session.id`: {error}"));
    JsonPath::parse(path).map_err(wrong)
}

pub(super) fn xml_path(path: &str, at: &Pointer) -> Result<xml::Path, Finding> {
    xml::Path::parse(path).map_err(|message| Finding::new(at, message))
}

impl Carrier {
    /// The value in a request, unless it is empty or too long to be one.
    pub(super) fn find<'a>(&self, exchange: &'a Exchange) -> Option<Cow<'a, str>> {
        let found: Cow<'a, str> = match self {
            Self::Header(name) => exchange.headers().get(name)?.to_str().ok()?.trim().into(),
            Self::Bearer => {
                let field = exchange.headers().get(AUTHORIZATION)?.to_str().ok()?;
                let (scheme, token) = field.split_once(' ')?;
                token.trim().get(..).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?.into()
            }
            Self::Cookie(name) => {
                let fields = exchange.headers().get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
                let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.split_once('='));
                pairs.find(|(known, _)| known.trim() == name)?.1.trim().into()
            }
            Self::Query(name) => {
                let mut pairs = pairs(exchange.target.query()?);
                form_decoded(pairs.find(|(known, _)| form_decoded(known) == name.as_str())?.1)
            }
            Self::Parameter(name) => exchange.parameter(name)?.into(),
        };
        Some(found).filter(|value| is_id(value))
    }
}

/// An answer, whose body is read once however many values are looked for.
pub(super) struct Answer<'a> {
    pub(super) head: &'a response::Parts,
    body: Option<&'a Bytes>,
    json: OnceCell<Option<Value>>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(head: &'a response::Parts, body: Option<&'a Bytes>) -> Self {
        let body = body.filter(|_| !head.headers.contains_key(CONTENT_ENCODING));
        Self { head, body, json: OnceCell::new() }
    }

    pub(super) fn json(&self, path: &JsonPath) -> Option<String> {
        let document = self.json.get_or_init(|| serde_json::from_slice(self.body?).ok()).as_ref()?;
        match path.query(document).first()? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    pub(super) fn xml(&self, path: &xml::Path) -> Option<String> {
        xml::read(std::str::from_utf8(self.body?).ok()?, path)
    }
}

impl Source {
    /// Whether the value is in the body.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Xml(_))
    }

    /// The value in an answer, unless it is empty or too long to be one.
    pub(super) fn find(&self, answer: &Answer<'_>) -> Option<String> {
        let found = match self {
            Self::Header(name) => answer.head.headers.get(name)?.to_str().ok()?.trim().to_owned(),
            Self::Cookie(name) => {
                let set = answer.head.headers.get_all(SET_COOKIE).iter().filter_map(|field| field.to_str().ok());
                let mut pairs = set.filter_map(|field| field.split(';').next()?.split_once('='));
                pairs.find(|(known, _)| known.trim() == name)?.1.trim().to_owned()
            }
            Self::Json(path) => answer.json(path)?,
            Self::Xml(path) => answer.xml(path)?,
        };
        Some(found).filter(|value| is_id(value))
    }
}

/// What is longer is no id, and nobody should make this remember it.
fn is_id(value: &str) -> bool {
    (1..=4096).contains(&value.len())
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use pipeline::tester::exchange;

    use super::*;

    #[test]
    fn an_id_is_found_where_requests_have_it() {
        let mut exchange = exchange(
            Request::get("/?sid=a%20b&x=1")
                .header("x-session", " h1 ")
                .header("authorization", "bearer t1")
                .header("cookie", "a=1; SID=c1")
                .header("cookie", "b=2"),
        );
        exchange.parameters = vec![("session".into(), "p1".to_owned())];
        for (place, expected) in [
            (InRequest::Header("X-Session".into()), Some("h1")),
            (InRequest::Header("x-other".into()), None),
            (InRequest::Bearer, Some("t1")),
            (InRequest::Cookie("SID".into()), Some("c1")),
            (InRequest::Cookie("sid".into()), None),
            (InRequest::Query("sid".into()), Some("a b")),
            (InRequest::Parameter("session".into()), Some("p1")),
        ] {
            let carrier = place.clone().compile(&Pointer::default()).unwrap();
            assert_eq!(carrier.find(&exchange).as_deref(), expected, "{place:?}");
        }
    }

    #[test]
    fn a_value_is_found_where_answers_have_it() {
        let answer = |body: &'static str| {
            let response = Response::builder()
                .header("x-session", "h1")
                .header("set-cookie", "a=1; Path=/")
                .header("set-cookie", "SID=c1; HttpOnly")
                .header("set-cookie", "OLD=; Max-Age=0");
            (response.body(()).unwrap().into_parts().0, Bytes::from(body))
        };
        for (place, body, expected) in [
            (InAnswer::Header("x-session".into()), "", Some("h1")),
            (InAnswer::Cookie("SID".into()), "", Some("c1")),
            (InAnswer::Cookie("OLD".into()), "", None),
            (InAnswer::Json("$.session.id".into()), r#"{"session":{"id":"j1"}}"#, Some("j1")),
            (InAnswer::Json("$.session.id".into()), r#"{"session":{"id":17}}"#, Some("17")),
            (InAnswer::Json("$.session.id".into()), r#"{"session":{"id":null}}"#, None),
            (InAnswer::Json("$.session.id".into()), "<html>", None),
            (InAnswer::Xml("login/@id".into()), "<login id='x1'/>", Some("x1")),
            (InAnswer::Xml("login/id".into()), "<login><id>x2</id></login>", Some("x2")),
        ] {
            let (head, body) = answer(body);
            let source = place.clone().compile(&Pointer::default()).unwrap();
            assert_eq!(source.find(&Answer::new(&head, Some(&body))).as_deref(), expected, "{place:?}");
        }
    }
}
