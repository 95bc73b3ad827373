//! What an operator writes for `complete`, and what it becomes.

use std::collections::BTreeMap;

use model::units::Size;
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Complete, Field, json, xml};
use crate::headers::{Host, header_name};
use attributes::template::{Secrets, Template};

/// Gives a request what its backend needs and its caller does not have: headers, parameters, a path, members of a body.
///
/// Values are templates over the request, the caller, the caller's record and `secrets`. Where a value has no text
/// because an attribute in it is not there, the request is answered with `completion-failed`, which names the field
/// and nothing of its value. Headers, query and path are made before any of them changes, members of a body after that.
/// Everything else in a body stays as it was, byte for byte; a request without a body stays without one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Headers to set.
    #[serde(default)]
    headers: BTreeMap<String, Setting>,
    /// Parameters of the query to set.
    #[serde(default)]
    query: BTreeMap<String, Setting>,
    /// The path to ask the backend for, a template such as `/v2/{caller.company}/orders`.
    path: Option<String>,
    /// Pairs to set in bodies of type `application/x-www-form-urlencoded`.
    #[serde(default)]
    form: BTreeMap<String, Setting>,
    /// Members to set in bodies of JSON, by JSON Pointer, such as `/order/account`. Objects that are missing on the way
    /// are made; a pointer leads through objects only.
    #[serde(default)]
    json: BTreeMap<String, JsonSetting>,
    /// Elements and attributes to set in bodies of XML, by the names that lead there from the root element on, such as
    /// `order/customer/@id`. Without a prefix a name means any; what is missing is made.
    #[serde(default)]
    xml: BTreeMap<String, Setting>,
    /// What becomes of a value that the caller sent, unless the field says otherwise.
    #[serde(default)]
    on_present: OnPresent,
    /// What becomes of a request if a value for it cannot be made, unless the field says otherwise.
    #[serde(default)]
    on_missing: OnMissing,
    /// What becomes of bodies of another type than those with members above.
    #[serde(default)]
    other_bodies: OtherBodies,
    /// The longest body that is held to set a member in it; a longer one is refused.
    #[serde(default = "body_limit")]
    body_limit: Size,
    /// Values that templates name as `{secret.NAME}`, such as `${file:token.txt}`.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    secrets: BTreeMap<String, String>,
}

fn body_limit() -> Size {
    Size::new(1024 * 1024)
}

/// A value: a template, alone or with what becomes of the caller's own.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Setting {
    /// A template.
    Text(String),
    /// A template and how it is set.
    Detailed(DetailedSetting),
}

/// A template and how it is set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedSetting {
    /// The template.
    value: String,
    /// What becomes of a value that the caller sent. Left out, that of the policy.
    on_present: Option<OnPresent>,
    /// What becomes of a request if the value cannot be made. Left out, that of the policy.
    on_missing: Option<OnMissing>,
}

/// A value of JSON: a template for a text, alone or with more about it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum JsonSetting {
    /// A template for a text.
    Text(String),
    /// A template and how it is set.
    Detailed(DetailedJsonSetting),
}

/// A template for JSON and how it is set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedJsonSetting {
    /// The template.
    value: String,
    /// Whether the value is a text, or JSON of any type. For `json` the template is constant or one attribute alone.
    #[serde(default, rename = "as")]
    kind: As,
    /// What becomes of a value that the caller sent. Left out, that of the policy.
    on_present: Option<OnPresent>,
    /// What becomes of a request if the value cannot be made. Left out, that of the policy.
    on_missing: Option<OnMissing>,
}

/// What a value in JSON is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum As {
    /// A text.
    #[default]
    Text,
    /// A number, true, false, null, an array or an object, as its text says.
    Json,
}

/// What becomes of a value that the caller sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnPresent {
    /// It stays, and nothing is set.
    Keep,
    /// The gateway's takes its place.
    #[default]
    Override,
    /// The request is refused (400).
    Refuse,
}

/// What becomes of a request if a value for it cannot be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissing {
    /// It is answered with `completion-failed` (502).
    #[default]
    Fail,
    /// It goes on without the value; one of the caller's that would have been overridden is taken out.
    Skip,
}

/// What becomes of bodies of another type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OtherBodies {
    /// They are refused (415).
    #[default]
    Refuse,
    /// They pass as they are.
    Pass,
}

/// What is the same for all fields.
struct Common {
    secrets: Secrets,
    on_present: OnPresent,
    on_missing: OnMissing,
}

impl Config {
    pub(super) fn compile(self, at: &Pointer) -> Result<Complete, Finding> {
        let common =
            Common { secrets: Secrets::new(self.secrets), on_present: self.on_present, on_missing: self.on_missing };
        let path = self.path.map(|path| {
            let at = at.at("path");
            if !path.starts_with('/') {
                return Err(Finding::new(&at, "must begin with `/`"));
            }
            Template::parse_with(&path, &common.secrets, &at)
        });
        let complete = Complete {
            headers: common.fields("headers", self.headers, at, |name, at| header_name(name, at, Host::CanBeSet))?,
            query: common.fields("query", self.query, at, pair_name)?,
            path: path.transpose()?,
            form: common.fields("form", self.form, at, pair_name)?,
            json: common.fields("json", self.json, at, pointer)?,
            xml: common.fields("xml", self.xml, at, |name, at| {
                xml::Path::parse(name).map_err(|message| Finding::new(at, message))
            })?,
            other_bodies: self.other_bodies,
            body_limit: self.body_limit.as_usize(),
        };
        for field in &complete.headers {
            field.value.check_for_header(&at.at("headers").at(field.name.as_str()))?;
        }
        let sets_head = !complete.headers.is_empty() || !complete.query.is_empty() || complete.path.is_some();
        if !sets_head && !complete.changes_bodies() {
            return Err(Finding::new(at, "sets nothing: write `headers`, `query`, `path`, `form`, `json` or `xml`"));
        }
        Ok(complete)
    }
}

impl Common {
    fn fields<N, S: Into<DetailedJsonSetting>>(
        &self,
        part: &str,
        written: BTreeMap<String, S>,
        at: &Pointer,
        read: impl Fn(&str, &Pointer) -> Result<N, Finding>,
    ) -> Result<Vec<Field<N>>, Finding> {
        let field = |(name, setting): (String, S)| {
            let at = at.at(part).at(&name);
            let setting = setting.into();
            let field = Field {
                name: read(&name, &at)?,
                written: format!("{part}.{name}"),
                value: Template::parse_with(&setting.value, &self.secrets, &at)?,
                on_present: setting.on_present.unwrap_or(self.on_present),
                on_missing: setting.on_missing.unwrap_or(self.on_missing),
                kind: setting.kind,
            };
            if field.kind == As::Json {
                check_json(&field.value, &at)?;
            }
            Ok(field)
        };
        written.into_iter().map(field).collect()
    }
}

impl From<Setting> for DetailedJsonSetting {
    fn from(setting: Setting) -> Self {
        match setting {
            Setting::Text(value) => JsonSetting::Text(value).into(),
            Setting::Detailed(DetailedSetting { value, on_present, on_missing }) => {
                Self { value, kind: As::Text, on_present, on_missing }
            }
        }
    }
}

impl From<JsonSetting> for DetailedJsonSetting {
    fn from(setting: JsonSetting) -> Self {
        match setting {
            JsonSetting::Text(value) => Self { value, kind: As::Text, on_present: None, on_missing: None },
            JsonSetting::Detailed(setting) => setting,
        }
    }
}

fn pair_name(name: &str, at: &Pointer) -> Result<String, Finding> {
    if name.is_empty() { Err(Finding::new(at, "is no name")) } else { Ok(name.to_owned()) }
}

/// The names of a JSON Pointer (RFC 6901).
fn pointer(written: &str, at: &Pointer) -> Result<json::Path, Finding> {
    let names = written.strip_prefix('/').ok_or_else(|| {
        Finding::new(at, format!("`{written}` is no JSON Pointer to a member; write one such as `/order/account`"))
    })?;
    Ok(names.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect())
}

/// Parts of text around values would let one value become several.
fn check_json(template: &Template, at: &Pointer) -> Result<(), Finding> {
    match template.constant() {
        Some(text) => serde_json::from_str::<&serde_json::value::RawValue>(text)
            .map(|_| ())
            .map_err(|error| Finding::new(at, format!("is no JSON: {error}"))),
        None if template.lone_attribute().is_some() => Ok(()),
        None => Err(Finding::new(at, "must be one attribute alone, or have none, to be set `as: json`")),
    }
}
