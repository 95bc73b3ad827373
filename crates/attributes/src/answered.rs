//! Which answers are meant: by status, headers and members of their bodies.

use std::collections::BTreeMap;

use http::StatusCode;
use http::header::HeaderName;
use members::xml;
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use crate::places::{Answer, header, json_path, xml_path};

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

/// A compiled [`Answered`].
pub struct Wanted {
    status: Vec<u16>,
    headers: Vec<(HeaderName, String)>,
    json: Vec<(JsonPath, String)>,
    xml: Vec<(xml::Path, String)>,
}

impl Answered {
    /// Reads what was written, or says what is wrong with it.
    pub fn compile(self, at: &Pointer) -> Result<Wanted, Finding> {
        if let Some(index) = self.status.iter().position(|status| !(200..=599).contains(status)) {
            return Err(Finding::new(&at.at("status").at(index), "is no status of an answer: 200 to 599"));
        }
        let headers = self.headers.into_iter().map(|(name, value)| {
            let name = header(&name, &at.at("headers").at(&name))?;
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

impl Wanted {
    /// Whether it says anything about the body.
    pub fn reads_body(&self) -> bool {
        !self.json.is_empty() || !self.xml.is_empty()
    }

    /// Whether an answer of this status can be meant.
    pub fn has(&self, status: StatusCode) -> bool {
        if self.status.is_empty() { status.is_success() } else { self.status.contains(&status.as_u16()) }
    }

    /// Whether this answer is meant.
    pub fn holds(&self, answer: &Answer<'_>) -> bool {
        let has_header = |(name, value): &(HeaderName, String)| {
            answer.head.headers.get_all(name).iter().any(|field| field.as_bytes() == value.as_bytes())
        };
        self.has(answer.head.status)
            && self.headers.iter().all(has_header)
            && self.json.iter().all(|(path, value)| answer.json(path).as_ref() == Some(value))
            && self.xml.iter().all(|(path, value)| answer.xml(path).as_ref() == Some(value))
    }
}
