//! `complete`: gives a request what its backend needs and its caller does not have.

mod form;
mod settings;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, Uri};
use members::{Change, Presence, json, xml};
use pipeline::{ChainBuilder, Exchange, Flow, OnRequest, OnRequestBody, Policy, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};

pub use self::settings::{
    As, Config, DetailedJsonSetting, DetailedSetting, JsonSetting, OnMissing, OnPresent, OtherBodies, Setting,
};
use crate::rewrite::{REWRITE_IMPOSSIBLE, leads_elsewhere, with_target};
use attributes::record;
use attributes::template::{Place, Template};

/// A value for the backend could not be made.
pub static COMPLETION_FAILED: ProblemKind = ProblemKind {
    code: "completion-failed",
    status: StatusCode::BAD_GATEWAY,
    title: "The request could not be completed for its backend",
};

/// The request has a value of its own where only the gateway sets one.
pub static VALUE_NOT_TAKEN: ProblemKind = ProblemKind {
    code: "value-not-taken",
    status: StatusCode::BAD_REQUEST,
    title: "The request has a value that callers must not set",
};

/// The body is not what it says to be, or has no place for what is to be set.
pub static BODY_UNFIT: ProblemKind = ProblemKind {
    code: "body-unfit",
    status: StatusCode::BAD_REQUEST,
    title: "The body cannot be completed for its backend",
};

/// The body is of a content type that nothing can be set in.
pub static BODY_TYPE_UNFIT: ProblemKind = ProblemKind {
    code: "body-type-unfit",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    title: "The body is of a type that cannot be completed for its backend",
};

/// The compiled policy.
pub struct Complete {
    headers: Vec<Field<HeaderName>>,
    query: Vec<Field<String>>,
    path: Option<Template>,
    form: Vec<Field<String>>,
    json: Vec<Field<json::Path>>,
    xml: Vec<Field<xml::Path>>,
    other_bodies: OtherBodies,
    body_limit: usize,
}

/// One value to set.
struct Field<N> {
    name: N,
    /// As settings and problems name it, such as `headers.x-account`.
    written: String,
    value: Template,
    on_present: OnPresent,
    on_missing: OnMissing,
    /// What the text is, where that can differ.
    kind: As,
}

/// Says what becomes of one value, once it is known whether the caller sent one.
type Decide<'a> = members::Decide<'a, Box<Problem>>;

/// Why a part of a request was not completed: with which problem it is answered, or why its body is unfit.
type Wrong = members::Wrong<Box<Problem>>;

fn into_problem(wrong: Wrong) -> Problem {
    match wrong {
        Wrong::Refused(problem) => *problem,
        Wrong::Unfit(detail) => Problem::new(&BODY_UNFIT).detail(detail),
    }
}

impl Policy for Complete {
    const NAME: &'static str = "complete";
    const STAGE: Stage = Stage::Complete;
    const PROBLEMS: &'static [&'static ProblemKind] =
        &[&COMPLETION_FAILED, &VALUE_NOT_TAKEN, &BODY_UNFIT, &BODY_TYPE_UNFIT, &REWRITE_IMPOSSIBLE];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let complete = config.compile(at)?;
        for (place, template) in complete.templates() {
            record::check(template, chain, &place.iter().fold(at.clone(), |at, name| at.at(*name)))?;
        }
        Ok(complete)
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        if !self.headers.is_empty() || !self.query.is_empty() || self.path.is_some() {
            chain.on_request(self.clone());
        }
        if self.changes_bodies() {
            chain.on_request_body(self);
        }
    }
}

impl OnRequest for Complete {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        // Everything is made before anything changes, so that templates see the request as it came.
        let made = self.headers(exchange).and_then(|headers| Ok((headers, self.target(exchange)?)));
        let (headers, target) = match made {
            Ok(made) => made,
            Err(wrong) => return Ok(into_problem(wrong).into()),
        };
        for (name, value) in headers {
            match value {
                Some(value) => drop(exchange.head.headers.insert(name, value)),
                None => drop(exchange.head.headers.remove(name)),
            }
        }
        if let Some(target) = target {
            exchange.head.uri = target;
        }
        Ok(Flow::Next)
    }
}

impl OnRequestBody for Complete {
    fn limit(&self) -> usize {
        self.body_limit
    }

    fn on_request_body(&self, exchange: &mut Exchange, body: &mut Bytes) -> Verdict {
        let new = match self.body(exchange, body) {
            Ok(Some(new)) => new,
            Ok(None) => return Ok(Flow::Next),
            Err(wrong) => return Ok(into_problem(wrong).into()),
        };
        if new.as_bytes() != &**body {
            *body = new.into();
            for digest in DIGESTS {
                exchange.head.headers.remove(digest);
            }
        }
        Ok(Flow::Next)
    }
}

impl Complete {
    /// Every template, and the names of the settings that it stands in.
    fn templates(&self) -> impl Iterator<Item = (Vec<&str>, &Template)> {
        fn of<N>(fields: &[Field<N>]) -> impl Iterator<Item = (Vec<&str>, &Template)> {
            fields.iter().map(|field| (field.written.splitn(2, '.').collect(), &field.value))
        }
        let path = self.path.iter().map(|path| (vec!["path"], path));
        path.chain(of(&self.headers))
            .chain(of(&self.query))
            .chain(of(&self.form))
            .chain(of(&self.json))
            .chain(of(&self.xml))
    }

    fn changes_bodies(&self) -> bool {
        !self.form.is_empty() || !self.json.is_empty() || !self.xml.is_empty()
    }

    /// The headers to set, or to take out.
    fn headers(&self, exchange: &Exchange) -> Result<Vec<(HeaderName, Option<HeaderValue>)>, Wrong> {
        let mut changes = Vec::with_capacity(self.headers.len());
        for field in &self.headers {
            let presence =
                if exchange.headers().contains_key(&field.name) { Presence::Present } else { Presence::Absent };
            let value = match field.decide(exchange, presence, Place::Header)? {
                Change::Leave => continue,
                Change::Remove => None,
                Change::Set(text) => {
                    let value = HeaderValue::from_str(text.trim());
                    Some(value.map_err(|error| field.failed(&error))?)
                }
            };
            changes.push((field.name.clone(), value));
        }
        Ok(changes)
    }

    /// The target to set, if another is wanted.
    fn target(&self, exchange: &Exchange) -> Result<Option<Uri>, Wrong> {
        if self.path.is_none() && self.query.is_empty() {
            return Ok(None);
        }
        let uri = &exchange.head.uri;
        let path = match &self.path {
            None => uri.path().into(),
            Some(path) => {
                let rendered = path.render_in_full(exchange, Place::Uri);
                rendered.map_err(|missing| failed("path", &missing))?
            }
        };
        if self.path.is_some() && leads_elsewhere(&path) {
            return Err(Wrong::Refused(Box::new(Problem::new(&REWRITE_IMPOSSIBLE))));
        }
        let mut query = uri.query().unwrap_or_default().to_owned();
        for field in &self.query {
            query = form::complete(&query, &field.name, &|presence| field.decide(exchange, presence, Place::Text))?;
        }
        let query = Some(query.as_str()).filter(|query| !query.is_empty());
        match with_target(uri, &path, query) {
            Some(target) => Ok(Some(target)),
            None => Err(Wrong::Refused(Box::new(Problem::new(&REWRITE_IMPOSSIBLE)))),
        }
    }

    /// The body to send on, if it is of a type that is completed.
    fn body(&self, exchange: &Exchange, body: &Bytes) -> Result<Option<String>, Wrong> {
        let content = Content::of(exchange.headers());
        let is_other = match content {
            Content::Form => self.form.is_empty(),
            Content::Json => self.json.is_empty(),
            Content::Xml => self.xml.is_empty(),
            Content::Other => true,
        };
        if is_other {
            return match self.other_bodies {
                OtherBodies::Pass => Ok(None),
                OtherBodies::Refuse => {
                    let detail = format!("Send the body as {}, without a content coding.", self.content_types());
                    Err(Wrong::Refused(Box::new(Problem::new(&BODY_TYPE_UNFIT).detail(detail))))
                }
            };
        }
        let Ok(text) = std::str::from_utf8(body) else {
            return Err(Wrong::Unfit("It is not encoded in UTF-8.".to_owned()));
        };
        let mut new = text.to_owned();
        match content {
            Content::Form => {
                for field in &self.form {
                    new = form::complete(&new, &field.name, &|presence| field.decide(exchange, presence, Place::Text))?;
                }
            }
            Content::Json => {
                for field in &self.json {
                    new = json::complete(&new, &field.name, &|presence| field.decide_json(exchange, presence))?;
                }
            }
            Content::Xml => {
                for field in &self.xml {
                    new = xml::complete(&new, &field.name, &|presence| field.decide(exchange, presence, Place::Text))?;
                }
            }
            Content::Other => {}
        }
        Ok(Some(new))
    }

    fn content_types(&self) -> String {
        let types = [
            (!self.form.is_empty(), "`application/x-www-form-urlencoded`"),
            (!self.json.is_empty(), "`application/json`"),
            (!self.xml.is_empty(), "`application/xml`"),
        ];
        types.iter().filter(|(is_known, _)| *is_known).map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
    }
}

impl<N> Field<N> {
    /// What becomes of the caller's value, and which one there is to set.
    fn decide(&self, exchange: &Exchange, presence: Presence, place: Place) -> Result<Change, Box<Problem>> {
        match (presence, self.on_present) {
            (Presence::Present, OnPresent::Keep) => return Ok(Change::Leave),
            (Presence::Present, OnPresent::Refuse) => {
                let detail = format!("Leave `{}` out: it is set for you.", self.written);
                return Err(Box::new(Problem::new(&VALUE_NOT_TAKEN).detail(detail).member("field", &*self.written)));
            }
            (Presence::Present, OnPresent::Override) | (Presence::Absent, _) => {}
        }
        match (self.value.render_in_full(exchange, place), self.on_missing) {
            (Ok(text), _) => Ok(Change::Set(text.into_owned())),
            (Err(missing), OnMissing::Fail) => Err(self.failed(&missing)),
            // Nor does the caller's own value stand where the gateway's should.
            (Err(_), OnMissing::Skip) => Ok(Change::Remove),
        }
    }

    fn decide_json(&self, exchange: &Exchange, presence: Presence) -> Result<Change, Box<Problem>> {
        let change = self.decide(exchange, presence, Place::Text)?;
        let Change::Set(text) = change else { return Ok(change) };
        match self.kind {
            As::Text => Ok(Change::Set(serde_json::Value::from(text).to_string())),
            As::Json => match serde_json::from_str::<&serde_json::value::RawValue>(&text) {
                Ok(value) => Ok(Change::Set(value.get().to_owned())),
                // What it says about the text could be a secret's.
                Err(_) => Err(self.failed(&"the value is no JSON")),
            },
        }
    }

    fn failed(&self, cause: &dyn std::fmt::Display) -> Box<Problem> {
        failed(&self.written, cause)
    }
}

fn failed(field: &str, cause: &dyn std::fmt::Display) -> Box<Problem> {
    let detail = format!("The policy `{}` has no value for `{field}`.", Complete::NAME);
    let problem = Problem::new(&COMPLETION_FAILED).detail(detail).because(format!("{field}: {cause}"));
    Box::new(problem.member("policy", Complete::NAME).member("field", field))
}

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Form,
    Json,
    Xml,
    Other,
}

impl Content {
    fn of(headers: &HeaderMap) -> Self {
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let (Some(Ok(only)), None) = (types.next().map(HeaderValue::to_str), types.next()) else { return Self::Other };
        if headers.contains_key(CONTENT_ENCODING) {
            return Self::Other;
        }
        let essence = only.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "application/json" => Self::Json,
            "application/xml" | "text/xml" => Self::Xml,
            other if other.ends_with("+json") => Self::Json,
            other if other.ends_with("+xml") => Self::Xml,
            _ => Self::Other,
        }
    }
}

/// Headers that say what the bytes of a body are, and are wrong once they are others.
const DIGESTS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];

#[cfg(test)]
mod tests;
