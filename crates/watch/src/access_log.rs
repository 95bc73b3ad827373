//! The access log: a line for every exchange, as JSON or in Apache's combined format.

use std::sync::Arc;

use pipeline::{Exchange, OnFinish, Outcome};
use telemetry::sink::Sink;

use crate::secrets::Secrets;

mod combined;
mod json;

/// Writes a line for every exchange, into the memory of its thread; the sink's thread brings it out.
pub struct AccessLog {
    sink: Arc<Sink>,
    form: Form,
    query: Query,
}

/// What a line of the access log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A JSON object with all that is known.
    #[default]
    Json,
    /// Apache's combined format, which many programs read.
    Combined,
    /// What a firewall found, as a JSON object; of other exchanges nothing.
    Firewall,
    /// What a firewall found, in the sections of `ModSecurity`'s audit log.
    Sections,
}

/// What becomes of the query of a request's target, and of a referrer's.
#[derive(Clone, Debug)]
pub enum Query {
    /// Written, but for the values of secrets.
    Mask(Secrets),
    /// Written as it is, secrets included.
    Keep,
    /// Not written.
    Drop,
}

impl AccessLog {
    /// An access log whose lines go to `sink`, which outlives changes of the configuration.
    pub fn new(sink: Arc<Sink>, form: Form, query: Query) -> Self {
        Self { sink, form, query }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self::Mask(Secrets::default())
    }
}

impl OnFinish for AccessLog {
    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        let audited = || exchange.audited.get().filter(|audited| audited.is_logged());
        match self.form {
            Form::Json => self.sink.append(|line| json::write(line, exchange, outcome, &self.query)),
            Form::Combined => self.sink.append(|line| combined::write(line, exchange, outcome, &self.query)),
            Form::Firewall => {
                if let Some(audited) = audited() {
                    self.sink.append(|line| audited.json(line));
                }
            }
            Form::Sections => {
                if let Some(audited) = audited() {
                    self.sink.append(|line| audited.sections(line));
                }
            }
        }
    }
}

impl Query {
    /// Hands what may be written of a target to `put`, piece by piece.
    pub fn pieces<'a>(&self, target: &'a str, mut put: impl FnMut(&'a str)) {
        let query = target.bytes().position(|byte| byte == b'?').and_then(|at| target.split_at_checked(at + 1));
        match (query, self) {
            (None, _) | (_, Self::Keep) => put(target),
            (Some((path, _)), Self::Drop) => put(path.strip_suffix('?').unwrap_or(path)),
            (Some((path, query)), Self::Mask(secrets)) => {
                put(path);
                secrets.mask(query, put);
            }
        }
    }
}

/// The target as it was requested, without the scheme and authority that a proxy's client sends.
pub fn target(exchange: &Exchange) -> &str {
    match (exchange.target.path_and_query(), exchange.target.authority()) {
        (Some(target), _) => target.as_str(),
        (None, Some(authority)) => authority.as_str(),
        (None, None) => "*",
    }
}

/// The version of HTTP, without its name.
pub fn version(exchange: &Exchange) -> &'static str {
    match exchange.head.version {
        http::Version::HTTP_09 => "0.9",
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        http::Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
