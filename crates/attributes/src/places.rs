//! Where values are in requests and in answers.

use std::borrow::Cow;
use std::cell::OnceCell;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use http::response;
use members::xml;
use pipeline::Exchange;
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::attribute::{form_decoded, pairs};

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
pub struct Carrier(Found);

enum Found {
    Header(HeaderName),
    Bearer,
    Cookie(String),
    Query(String),
    Parameter(String),
}

/// A compiled [`InAnswer`].
pub struct Source(Told);

enum Told {
    Header(HeaderName),
    Cookie(String),
    Json(Box<JsonPath>),
    Xml(xml::Path),
}

impl InRequest {
    /// Reads what was written, or says what is wrong with it.
    pub fn compile(self, at: &Pointer) -> Result<Carrier, Finding> {
        Ok(Carrier(match self {
            Self::Header(name) => Found::Header(header(&name, at)?),
            Self::Bearer => Found::Bearer,
            Self::Cookie(name) => Found::Cookie(name),
            Self::Query(name) => Found::Query(name),
            Self::Parameter(name) => Found::Parameter(name),
        }))
    }
}

impl InAnswer {
    /// Reads what was written, or says what is wrong with it.
    pub fn compile(self, at: &Pointer) -> Result<Source, Finding> {
        Ok(Source(match self {
            Self::Header(name) => Told::Header(header(&name, at)?),
            Self::Cookie(name) => Told::Cookie(name),
            Self::Json(path) => Told::Json(Box::new(json_path(&path, at)?)),
            Self::Xml(path) => Told::Xml(xml_path(&path, at)?),
        }))
    }
}

/// A header of this name.
pub(crate) fn header(name: &str, at: &Pointer) -> Result<HeaderName, Finding> {
    let name_of = HeaderName::from_bytes(name.as_bytes());
    name_of.map_err(|_invalid| Finding::new(at, format!("`{name}` is no name of a header")))
}

pub(crate) fn json_path(path: &str, at: &Pointer) -> Result<JsonPath, Finding> {
    let wrong = |error| Finding::new(at, format!("is no JSONPath such as `$.session.id`: {error}"));
    JsonPath::parse(path).map_err(wrong)
}

pub(crate) fn xml_path(path: &str, at: &Pointer) -> Result<xml::Path, Finding> {
    xml::Path::parse(path).map_err(|message| Finding::new(at, message))
}

impl Carrier {
    /// Shows each value in a request that is not empty and not too long to be one: a backend may go by any of them.
    pub fn each<'a>(&self, exchange: &'a Exchange, mut shown: impl FnMut(Cow<'a, str>)) {
        let headers = exchange.headers();
        let mut show = |value: Cow<'a, str>| {
            if is_id(&value) {
                shown(value);
            }
        };
        match &self.0 {
            Found::Header(name) => headers.get_all(name).iter().for_each(|field| show(trimmed(text(field)))),
            Found::Bearer => {
                for field in headers.get_all(AUTHORIZATION).iter().map(text) {
                    if let Some((scheme, token)) = field.split_once(' ')
                        && scheme.eq_ignore_ascii_case("bearer")
                    {
                        show(trimmed(token.to_owned().into()));
                    }
                }
            }
            Found::Cookie(name) => {
                for field in headers.get_all(COOKIE).iter().map(text) {
                    let pairs = field.split(';').filter_map(|pair| pair.split_once('='));
                    pairs
                        .filter(|(known, _)| known.trim() == name)
                        .for_each(|(_, value)| show(value.trim().to_owned().into()));
                }
            }
            Found::Query(name) => {
                let pairs = exchange.target.query().into_iter().flat_map(pairs);
                pairs
                    .filter(|(known, _)| form_decoded(known) == name.as_str())
                    .for_each(|(_, value)| show(form_decoded(value)));
            }
            Found::Parameter(name) => exchange.parameter(name).into_iter().for_each(|value| show(value.into())),
        }
    }
}

/// A field's text. Bytes that are none must not hide what a backend reads beside them.
fn text(field: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(field.as_bytes())
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => text.trim().into(),
        Cow::Owned(text) => text.trim().to_owned().into(),
    }
}

/// An answer, whose body is read once however many values are looked for.
pub struct Answer<'a> {
    pub(crate) head: &'a response::Parts,
    body: Option<&'a Bytes>,
    json: OnceCell<Option<Value>>,
}

impl<'a> Answer<'a> {
    /// An answer of this head, and this body as far as it was read.
    pub fn new(head: &'a response::Parts, body: Option<&'a Bytes>) -> Self {
        let body = body.filter(|_| !head.headers.contains_key(CONTENT_ENCODING));
        Self { head, body, json: OnceCell::new() }
    }

    /// The text at a place of a JSON body.
    pub(crate) fn json(&self, path: &JsonPath) -> Option<String> {
        let document = self.json.get_or_init(|| serde_json::from_slice(self.body?).ok()).as_ref()?;
        match path.query(document).first()? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The text at a place of an XML body.
    pub(crate) fn xml(&self, path: &xml::Path) -> Option<String> {
        xml::read(std::str::from_utf8(self.body?).ok()?, path)
    }
}

impl Source {
    /// Whether the value is in the body.
    pub fn is_in_body(&self) -> bool {
        matches!(self.0, Told::Json(_) | Told::Xml(_))
    }

    /// The value in an answer, unless it is empty or too long to be one.
    pub fn find(&self, answer: &Answer<'_>) -> Option<String> {
        let found = match &self.0 {
            Told::Header(name) => answer.head.headers.get(name)?.to_str().ok()?.trim().to_owned(),
            Told::Cookie(name) => {
                let set = answer.head.headers.get_all(SET_COOKIE).iter().filter_map(|field| field.to_str().ok());
                let mut pairs = set.filter_map(|field| field.split(';').next()?.split_once('='));
                pairs.find(|(known, _)| known.trim() == name)?.1.trim().to_owned()
            }
            Told::Json(path) => answer.json(path)?,
            Told::Xml(path) => answer.xml(path)?,
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
    fn ids_are_found_wherever_requests_have_them() {
        let mut exchange = exchange(
            Request::get("/?sid=a%20b&x=1&sid=&s%69d=c")
                .header("x-session", "")
                .header("x-session", " h1 ")
                .header("x-session", "h2")
                .header("authorization", "bearer t1")
                .header("authorization", "Bearer t2")
                .header("authorization", "Basic t3")
                .header("cookie", "a=1; SID=c1")
                .header("cookie", HeaderValue::from_bytes(b"b=\xff; SID=c2").unwrap()),
        );
        exchange.parameters = vec![("session".into(), "p1".to_owned())];
        for (place, expected) in [
            (InRequest::Header("X-Session".into()), &["h1", "h2"][..]),
            (InRequest::Header("x-other".into()), &[]),
            (InRequest::Bearer, &["t1", "t2"]),
            (InRequest::Cookie("SID".into()), &["c1", "c2"]),
            (InRequest::Cookie("sid".into()), &[]),
            (InRequest::Query("sid".into()), &["a b", "c"]),
            (InRequest::Parameter("session".into()), &["p1"]),
        ] {
            let carrier = place.clone().compile(&Pointer::default()).unwrap();
            let mut found = Vec::new();
            carrier.each(&exchange, |value| found.push(value.into_owned()));
            assert_eq!(found, expected, "{place:?}");
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
