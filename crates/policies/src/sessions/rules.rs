//! Which requests open and end sessions, as seen in what is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use attributes::expression;
use http::StatusCode;
use http::header::HeaderName;
use members::xml;
use pipeline::{Condition, Exchange, Failure};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use super::places::{Answer, InAnswer, Source, json_path, xml_path};
use crate::headers::{Host, header_name};

/// Requests that open a session, if they are answered so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenRule {
    /// Which requests, as an expression such as `request.method == 'POST' && request.path == '/login'`.
    when: String,
    /// Which answers say that a session was opened. Left out, those with a status of 200 to 299.
    #[serde(default)]
    answered: Answered,
    /// Where the session's id is in the answer.
    id: InAnswer,
    /// Further values of the answer that `close` names as `{session.NAME}`.
    #[serde(default)]
    values: BTreeMap<String, InAnswer>,
}

/// Requests that end the session they belong to, if they are answered so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRule {
    /// Which requests, as an expression. Left out, all in a session.
    when: Option<String>,
    /// Which answers say that the session has ended. Left out, those with a status of 200 to 299.
    #[serde(default)]
    answered: Answered,
}

/// Which answers are meant. Everything that is given must hold.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// Their statuses. Left out, 200 to 299.
    #[serde(default)]
    status: Vec<u16>,
    /// Headers with these values.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Members of a JSON body with these values, by `JSONPath`, such as `$.ok: "true"`.
    #[serde(default)]
    json: BTreeMap<String, String>,
    /// Texts of an XML body with these values, by a path such as `login/@state`.
    #[serde(default)]
    xml: BTreeMap<String, String>,
}

/// A compiled [`OpenRule`].
pub(super) struct Opens {
    when: Arc<dyn Condition>,
    answered: Wanted,
    pub(super) id: Source,
    pub(super) values: Vec<(Arc<str>, Source)>,
}

/// A compiled [`EndRule`].
pub(super) struct Ends {
    when: Option<Arc<dyn Condition>>,
    answered: Wanted,
}

/// A compiled [`Answered`].
struct Wanted {
    status: Vec<u16>,
    headers: Vec<(HeaderName, String)>,
    json: Vec<(JsonPath, String)>,
    xml: Vec<(xml::Path, String)>,
}

impl OpenRule {
    pub(super) fn compile(self, at: &Pointer) -> Result<Opens, Finding> {
        let values = self.values.into_iter().map(|(name, source)| {
            let at = at.at("values").at(&name);
            if name == "id" || name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(Finding::new(&at, "has a name that cannot be used: letters, digits and `_`, and not `id`"));
            }
            Ok((name.into(), source.compile(&at)?))
        });
        Ok(Opens {
            when: expression::condition(&self.when, &at.at("when"))?,
            answered: self.answered.compile(&at.at("answered"))?,
            id: self.id.compile(&at.at("id"))?,
            values: values.collect::<Result<_, _>>()?,
        })
    }
}

impl EndRule {
    pub(super) fn compile(self, at: &Pointer) -> Result<Ends, Finding> {
        let when = self.when.map(|when| expression::condition(&when, &at.at("when"))).transpose()?;
        Ok(Ends { when, answered: self.answered.compile(&at.at("answered"))? })
    }
}

impl Answered {
    fn compile(self, at: &Pointer) -> Result<Wanted, Finding> {
        if let Some(index) = self.status.iter().position(|status| !(200..=599).contains(status)) {
            return Err(Finding::new(&at.at("status").at(index), "is no status of an answer: 200 to 599"));
        }
        let headers = self.headers.into_iter().map(|(name, value)| {
            let name = header_name(&name, &at.at("headers").at(&name), Host::CanBeSet)?;
            Ok((name, value))
        });
        let json = self.json.into_iter().map(|(path, value)| Ok((json_path(&path, &at.at("json").at(&path))?, value)));
        let xml = self.xml.into_iter().map(|(path, value)| Ok((xml_path(&path, &at.at("xml").at(&path))?, value)));
        Ok(Wanted {
            status: self.status,
            headers: headers.collect::<Result<_, _>>()?,
            json: json.collect::<Result<_, _>>()?,
            xml: xml.collect::<Result<_, _>>()?,
        })
    }
}

impl Opens {
    pub(super) fn concerns(&self, exchange: &Exchange) -> Result<bool, Failure> {
        self.when.holds(exchange)
    }

    /// Whether the body of an answer has to be read.
    pub(super) fn reads_body(&self) -> bool {
        let is_in_body = |(_, source): &(Arc<str>, Source)| source.is_in_body();
        self.answered.reads_body() || self.id.is_in_body() || self.values.iter().any(is_in_body)
    }

    /// As far as the status says it, whether the session is open.
    pub(super) fn may_be(&self, status: StatusCode) -> bool {
        self.answered.has(status)
    }

    pub(super) fn is_answered(&self, answer: &Answer<'_>) -> bool {
        self.answered.holds(answer)
    }
}

impl Ends {
    /// Whether the body of an answer with this status has to be read.
    pub(super) fn reads_body(&self, status: StatusCode) -> bool {
        self.answered.reads_body() && self.answered.has(status)
    }

    pub(super) fn holds(&self, exchange: &Exchange, answer: &Answer<'_>) -> Result<bool, Failure> {
        if !self.answered.holds(answer) {
            return Ok(false);
        }
        self.when.as_ref().map_or(Ok(true), |when| when.holds(exchange))
    }
}

impl Wanted {
    fn reads_body(&self) -> bool {
        !self.json.is_empty() || !self.xml.is_empty()
    }

    fn has(&self, status: StatusCode) -> bool {
        if self.status.is_empty() { status.is_success() } else { self.status.contains(&status.as_u16()) }
    }

    fn holds(&self, answer: &Answer<'_>) -> bool {
        let has_header = |(name, value): &(HeaderName, String)| {
            answer.head.headers.get_all(name).iter().any(|field| field.as_bytes() == value.as_bytes())
        };
        self.has(answer.head.status)
            && self.headers.iter().all(has_header)
            && self.json.iter().all(|(path, value)| answer.json(path).as_ref() == Some(value))
            && self.xml.iter().all(|(path, value)| answer.xml(path).as_ref() == Some(value))
    }
}
