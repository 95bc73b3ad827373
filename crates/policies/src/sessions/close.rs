//! The request by which a session is closed that nobody closes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use attributes::template::{Place, Secrets, Template};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request};
use model::units::Span;
use pipeline::Exchange;
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use sessions::{Answered, Asks, Closing};

use crate::headers::{Host, header_name};
use crate::outside::Backends;
use crate::rewrite::leads_elsewhere;

/// How the backend is told to close a session.
///
/// The request is made when the session is opened, from what the request and the answer have, and kept encrypted until it
/// is needed. Templates name the session's id as `{session.id}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The upstream to ask.
    upstream: String,
    /// The method.
    #[serde(default = "method")]
    method: String,
    /// Path and query; a template.
    path: String,
    /// Headers; templates.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body; a template. Values are made fit for JSON, XML or a form, as `content-type` in `headers` says.
    #[serde(default)]
    body: String,
    /// Values that templates name as `{secret.NAME}`, such as `${file:token.txt}`.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    secrets: BTreeMap<String, String>,
    /// Statuses of answers after which the session is closed. Left out: 200, 202, 204, 205, and 404 and 410, which say
    /// that there is none any more.
    #[serde(default)]
    accept: Vec<u16>,
    /// How long the backend may take.
    #[serde(default = "timeout")]
    timeout: Span,
    /// The pause after the first try that failed. Each further one is twice as long, up to `longest_pause`.
    #[serde(default = "pause")]
    pause: Span,
    /// The longest pause between tries.
    #[serde(default = "longest_pause")]
    longest_pause: Span,
    /// How long after its end a session is given up that cannot be closed. Until then it counts.
    #[serde(default = "give_up")]
    give_up: Span,
    /// How long the list of closed sessions says what was done.
    #[serde(default = "history")]
    history: Span,
}

fn method() -> String {
    "DELETE".to_owned()
}

fn timeout() -> Span {
    Span::seconds(4)
}

fn pause() -> Span {
    Span::seconds(5)
}

fn longest_pause() -> Span {
    Span::seconds(300)
}

fn give_up() -> Span {
    Span::seconds(24 * 3600)
}

fn history() -> Span {
    Span::seconds(7 * 24 * 3600)
}

/// A compiled [`Close`].
pub(super) struct Closes {
    upstream: String,
    method: Method,
    path: Template,
    headers: Vec<(String, Template)>,
    body: Template,
    body_place: Place,
    accept: Vec<u16>,
    times: [Duration; 5],
}

impl Close {
    pub(super) fn compile(self, backends: &dyn Backends, at: &Pointer) -> Result<Closes, Finding> {
        if backends.named(&self.upstream).is_none() {
            let names = backends.names();
            let known: Vec<_> = names.iter().map(String::as_str).collect();
            let advice = model::read::advice(&self.upstream, &known);
            return Err(Finding::new(&at.at("upstream"), format!("there is no upstream `{}`{advice}", self.upstream)));
        }
        let method = self.method.parse().map_err(|_invalid| Finding::new(&at.at("method"), "is no method"))?;
        if !self.path.starts_with('/') {
            return Err(Finding::new(&at.at("path"), "must begin with `/`"));
        }
        if self.timeout.duration().is_zero() || LONGEST_TIMEOUT < self.timeout.duration() {
            return Err(Finding::new(&at.at("timeout"), "is 1ms to 30s"));
        }
        let body_place = body_place(&self.headers);
        let secrets = Secrets::new(self.secrets);
        let headers = self.headers.into_iter().map(|(name, value)| {
            let at = at.at("headers").at(&name);
            let template = Template::parse_with(&value, &secrets, &at)?;
            template.check_for_header(&at)?;
            Ok((header_name(&name, &at, Host::CanBeSet)?.as_str().to_owned(), template))
        });
        Ok(Closes {
            upstream: self.upstream,
            method,
            path: Template::parse_with(&self.path, &secrets, &at.at("path"))?,
            headers: headers.collect::<Result<_, Finding>>()?,
            body: Template::parse_with(&self.body, &secrets, &at.at("body"))?,
            body_place,
            accept: self.accept,
            times: [self.timeout, self.pause, self.longest_pause, self.give_up, self.history].map(Span::duration),
        })
    }
}

/// What values in a body have to be made fit for.
fn body_place(headers: &BTreeMap<String, String>) -> Place {
    let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = content_type.map(|(_, value)| value.to_ascii_lowercase()).unwrap_or_default();
    if content_type.contains("json") {
        Place::Json
    } else if content_type.contains("xml") {
        Place::Html
    } else if content_type.contains("form-urlencoded") {
        Place::Uri
    } else {
        Place::Text
    }
}

impl Closes {
    /// Every template, and the names of the settings that it stands in.
    pub(super) fn templates(&self) -> impl Iterator<Item = (Vec<&str>, &Template)> {
        let headers = self.headers.iter().map(|(name, template)| (vec!["headers", name], template));
        headers.chain([(vec!["path"], &self.path), (vec!["body"], &self.body)])
    }

    /// The request for the session that an exchange has just opened, or the field that has no value, and why.
    pub(super) fn closing(&self, exchange: &Exchange) -> Result<Closing, (String, String)> {
        let render = |field: &str, template: &Template, place| {
            let text = template.render_in_full(exchange, place);
            text.map(Cow::into_owned).map_err(|missing| (field.to_owned(), missing.to_string()))
        };
        let path = render("close.path", &self.path, Place::Uri)?;
        if leads_elsewhere(path.split('?').next().unwrap_or_default()) {
            return Err(("close.path".to_owned(), "a value would lead elsewhere".to_owned()));
        }
        let headers = self.headers.iter().map(|(name, template)| {
            let value = render(&format!("close.headers.{name}"), template, Place::Header)?;
            Ok((name.clone(), value.trim().to_owned()))
        });
        let [timeout, first_pause, longest_pause, give_up, history] = self.times;
        Ok(Closing {
            upstream: self.upstream.clone(),
            method: self.method.to_string(),
            path,
            headers: headers.collect::<Result<_, (String, String)>>()?,
            body: render("close.body", &self.body, self.body_place)?,
            accept: self.accept.clone(),
            timeout,
            first_pause,
            longest_pause,
            give_up,
            history,
        })
    }
}

/// The upstreams of the document that a policy stands in.
pub(super) struct ByBackends(pub(super) Arc<dyn Backends>);

impl Asks for ByBackends {
    fn ask(&self, upstream: &str, request: Request<Bytes>, most: usize) -> BoxFuture<'static, Answered> {
        match self.0.named(upstream) {
            Some(backend) => backend.ask(request, most),
            None => std::future::ready(Err(format!("there is no upstream `{upstream}`"))).boxed(),
        }
    }
}

/// The longest time that the backend may be given.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);
