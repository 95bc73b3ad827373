//! `partner-record`: fetches what another service knows of a caller.

mod archive;
mod mapping;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use lookup::{Known, Lookups, Reading, Said, Terms, Ties, Trouble};
use model::units::{Size, Span};
use parking_lot::Mutex;
use pipeline::{AskOnRequest, ChainBuilder, Exchange, Flow, Life, Over, Policy, Record, Stage, Step};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::archive::Archive;
use self::archive::Archived;
use self::mapping::{Mapping, Member};
use crate::headers::{Host, header_name};
use crate::outside::{Backend, Backends, Background};
use crate::rewrite::leads_elsewhere;
use attributes::record::Members;
use attributes::template::{Missing, Place, Secrets, Template};

/// The source has no record of the caller, or not any more.
pub static RECORD_UNKNOWN: ProblemKind = ProblemKind {
    code: "record-unknown",
    status: StatusCode::FORBIDDEN,
    title: "There is no record of your credential",
};

/// The source of records is in trouble, and none is remembered.
pub static RECORD_UNAVAILABLE: ProblemKind = ProblemKind {
    code: "record-unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The record of your credential cannot be had now",
};

/// The record cannot be asked for, because a value for the question is missing.
pub static RECORD_NOT_ASKED: ProblemKind = ProblemKind {
    code: "record-not-asked",
    status: StatusCode::BAD_GATEWAY,
    title: "The record of your credential cannot be asked for",
};

/// Fetches the record behind a credential from another service, and gives its members to conditions and templates as
/// `record.NAME`.
///
/// It stands after the policy that finds out who calls. A record is remembered for `ttl`, fetched again before that is
/// over, once at a time, and served for `stale` longer while the source is down, slow or answers what is no record: then
/// no request of a caller that is known waits longer than `patience`. A source that answers 404 or 410 has no record; the
/// request is refused, also if there was one before, and what is open by it ends. While something is open, its record is
/// fetched again when that is due, although nobody asks.
///
/// With a `store`, records are kept there, too, under encryption, within a second or two. So a start, also after `kill -9`,
/// finds those that may still serve while the source is down, and a node does not ask for what another one just fetched.
/// Of one that has more than 16 KiB, or is one too many after 100,000, each node knows by itself.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The upstream that has the records.
    upstream: String,
    /// Path and query to ask for by GET, a template such as `/partners/{caller.company}`.
    path: String,
    /// Headers to ask with; templates.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Values that `headers` name as `{secret.NAME}`, such as `${file:token.txt}`.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    secrets: BTreeMap<String, String>,
    /// What the record's members are called, and where in the answer (JSON) they are: by `JSONPath` (RFC 9535), such as
    /// `$.account.tier`, or by a program in jq, such as `{jq: .account.tier // "none"}`, whose first value counts. What is no text
    /// is written as JSON.
    members: BTreeMap<String, Member>,
    /// Names of members that an answer may lack. One that lacks another is no record.
    #[serde(default)]
    optional: Vec<String>,
    /// How long a record is as good as new.
    #[serde(default = "ttl")]
    ttl: Span,
    /// How long before the end of `ttl` a record that is in use is fetched again. Left out, a fifth of `ttl`.
    refresh_ahead: Option<Span>,
    /// How long after `ttl` a record serves while there is no newer one.
    #[serde(default = "stale")]
    stale: Span,
    /// How long it is remembered that there is no record.
    #[serde(default = "absent")]
    absent: Span,
    /// How long a request waits for a new record where it could be served a stale one.
    #[serde(default = "patience")]
    patience: Span,
    /// How long the source may take. A request without any record waits as long, but no more than `4s`.
    #[serde(default = "timeout")]
    timeout: Span,
    /// How long the source is left alone about a record that it could not give.
    #[serde(default = "pause")]
    pause: Span,
    /// How many records are remembered.
    #[serde(default = "entries")]
    #[schemars(range(min = 16, max = 10_000_000))]
    entries: usize,
    /// The longest answer that is read.
    #[serde(default = "answer_limit")]
    answer_limit: Size,
}

fn ttl() -> Span {
    Span::seconds(300)
}

fn stale() -> Span {
    Span::seconds(24 * 3600)
}

fn absent() -> Span {
    Span::seconds(10)
}

fn patience() -> Span {
    Span::milliseconds(500)
}

fn timeout() -> Span {
    Span::seconds(10)
}

fn pause() -> Span {
    Span::seconds(5)
}

fn entries() -> usize {
    100_000
}

fn answer_limit() -> Size {
    Size::new(64 * 1024)
}

/// The compiled policy.
pub struct PartnerRecord {
    backend: Arc<dyn Backend>,
    background: Arc<dyn Background>,
    path: Template,
    headers: Vec<(HeaderName, String, Template)>,
    mapping: Arc<Mapping>,
    lookups: Arc<Lookups<Remembered>>,
    timeout: Duration,
    answer_limit: usize,
}

/// A record as it is remembered, and what exchanges depend on that have it. That stays the same however it changes.
struct Remembered {
    record: Arc<Record>,
    life: Arc<Life>,
}

impl From<Record> for Remembered {
    fn from(record: Record) -> Self {
        Self { record: record.into(), life: Arc::default() }
    }
}

const TIES: Ties<Remembered> = Ties {
    succeed: |remembered, before| remembered.life = before.life.clone(),
    end: |remembered| remembered.life.end(Over::RecordGone),
    is_in_use: |remembered| Arc::strong_count(&remembered.life) > 1,
};

/// The sources of records that are in use, by serving configurations and by what is open since earlier ones.
#[derive(Default)]
pub struct Sources {
    known: Mutex<Vec<(String, Weak<PartnerRecord>)>>,
}

impl Sources {
    /// How each does, by the place where it is configured.
    pub fn readings(&self) -> Vec<(String, Reading)> {
        // Of several at one place, the last counts, which serves what begins now.
        let latest: BTreeMap<_, _> = self.all().into_iter().collect();
        latest.into_iter().map(|(place, source)| (place, source.lookups.reading())).collect()
    }

    /// Fetches records again that are due and on which something depends, although nobody asks for them.
    pub fn refresh(&self) {
        // What was learnt is shared with the same policy of earlier configurations, whose upstream may have moved.
        let mut seen = Vec::new();
        for (_, source) in self.all().iter().rev() {
            if !seen.contains(&Arc::as_ptr(&source.lookups)) {
                seen.push(Arc::as_ptr(&source.lookups));
                source.refresh();
            }
        }
    }

    fn all(&self) -> Vec<(String, Arc<PartnerRecord>)> {
        let mut known = self.known.lock();
        known.retain(|(_, source)| source.strong_count() > 0);
        known.iter().filter_map(|(place, source)| Some((place.clone(), source.upgrade()?))).collect()
    }
}

impl Policy for PartnerRecord {
    const NAME: &'static str = "partner-record";
    const STAGE: Stage = Stage::Identify;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&RECORD_UNKNOWN, &RECORD_UNAVAILABLE, &RECORD_NOT_ASKED];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        // First, so that one mistake here is not told again of everything that names the record.
        chain.lend(Arc::new(Members(config.members.keys().cloned().collect())));
        let backend = backend(&config.upstream, &at.at("upstream"), chain)?;
        let Some(background) = chain.service::<dyn Background>() else {
            return Err(Finding::new(at, "cannot be used: nothing runs beside requests here"));
        };
        let terms = config.terms(at)?;
        // A record of other settings is another record.
        let written = serde_json::to_string(&config).unwrap_or_default();
        let name = format!("{} {written}", chain.place());
        let lookups = chain.keep(Some(&name), || {
            let lookups = Lookups::tied(terms, TIES);
            match chain.service::<Archive>() {
                Some(archive) => {
                    lookups.with_memory(Box::new(Archived::new(archive, &name, terms.fresh + terms.stale)))
                }
                None => lookups,
            }
        });
        if !config.path.starts_with('/') {
            return Err(Finding::new(&at.at("path"), "must begin with `/`"));
        }
        let secrets = Secrets::new(config.secrets);
        let headers = config.headers.into_iter().map(|(name, value)| {
            let at = at.at("headers").at(&name);
            let template = Template::parse_with(&value, &secrets, &at)?;
            template.check_for_header(&at)?;
            Ok((header_name(&name, &at, Host::CanBeSet)?, name, template))
        });
        Ok(Self {
            backend,
            background,
            path: Template::parse(&config.path, &at.at("path"))?,
            headers: headers.collect::<Result<_, Finding>>()?,
            mapping: Arc::new(Mapping::compile(config.members, &config.optional, at)?),
            lookups,
            timeout: config.timeout.duration(),
            answer_limit: config.answer_limit.as_usize(),
        })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        if let Some(sources) = chain.service::<Sources>() {
            sources.known.lock().push((chain.place(), Arc::downgrade(&self)));
        }
        chain.ask_on_request(self);
    }
}

impl Config {
    fn terms(&self, at: &Pointer) -> Result<Terms, Finding> {
        let fresh = self.ttl.duration();
        let ahead = self.refresh_ahead.map_or(fresh / 5, Span::duration);
        if fresh.is_zero() {
            return Err(Finding::new(&at.at("ttl"), "is no time at all"));
        }
        let Some(refresh_after) = fresh.checked_sub(ahead).filter(|after| !after.is_zero()) else {
            return Err(Finding::new(&at.at("refresh_ahead"), "must be less than `ttl`"));
        };
        let timeout = self.timeout.duration();
        if timeout.is_zero() {
            return Err(Finding::new(&at.at("timeout"), "is no time at all"));
        }
        Ok(Terms {
            fresh,
            refresh_after,
            stale: self.stale.duration(),
            absent: self.absent.duration(),
            patience: self.patience.duration().min(LONGEST_WAIT),
            cold_patience: timeout.min(LONGEST_WAIT),
            pause: self.pause.duration(),
            most: self.entries,
        })
    }
}

impl AskOnRequest for PartnerRecord {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let question = match self.question(exchange) {
            Ok(question) => question,
            Err((field, missing)) => return Step::Now(Ok(not_asked(field, &missing.to_string()))),
        };
        if leads_elsewhere(question.path.split('?').next().unwrap_or_default()) {
            return Step::Now(Ok(not_asked("path", "a value would lead elsewhere")));
        }
        let run = |work| self.background.run(work);
        match self.lookups.find(question.key(), || self.ask(question), run) {
            lookup::Step::Now(known) => Step::Now(Ok(settle(exchange, known))),
            lookup::Step::Wait(wait) => Step::Wait(Box::pin(async move { Ok(settle(exchange, wait.await)) })),
        }
    }
}

/// What is asked for one caller.
struct Question {
    path: String,
    headers: Vec<HeaderValue>,
}

impl Question {
    /// The question that this is the key of.
    fn of(key: &str) -> Self {
        let mut lines = key.split('\n');
        let path = lines.next().unwrap_or_default().to_owned();
        let value = |line: &str| HeaderValue::from_str(line).unwrap_or(HeaderValue::from_static(""));
        Self { path, headers: lines.map(value).collect() }
    }

    /// What makes it another question than that for another caller.
    fn key(&self) -> String {
        let mut key = self.path.clone();
        for value in &self.headers {
            // No path and no value of a header has a line break.
            key.push('\n');
            key.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
        key
    }
}

impl PartnerRecord {
    /// What is to be asked, or the field that has no value.
    fn question(&self, exchange: &Exchange) -> Result<Question, (&str, Missing)> {
        let path = self.path.render_in_full(exchange, Place::Uri).map_err(|missing| ("path", missing))?;
        let headers = self.headers.iter().map(|(_, written, template)| {
            let value = template.render_in_full(exchange, Place::Header).map_err(|missing| (&**written, missing))?;
            // A rendered header has no controls, and so is always one.
            Ok(HeaderValue::from_str(value.trim()).unwrap_or(HeaderValue::from_static("")))
        });
        Ok(Question { path: path.into_owned(), headers: headers.collect::<Result<_, _>>()? })
    }

    fn refresh(&self) {
        for key in self.lookups.due_in_use() {
            let question = Question::of(&key);
            self.lookups.refresh(key, || self.ask(question), |work| self.background.run(work));
        }
    }

    /// Asks the source, within the time that it has.
    fn ask(&self, question: Question) -> BoxFuture<'static, Said<Remembered>> {
        let mut request = Request::get(question.path).header(ACCEPT, "application/json");
        for ((name, ..), value) in self.headers.iter().zip(question.headers) {
            request = request.header(name, value);
        }
        let request = request.body(Bytes::new());
        let (backend, most) = (self.backend.clone(), self.answer_limit);
        let (mapping, timeout) = (self.mapping.clone(), self.timeout);
        Box::pin(async move {
            let said = async {
                let answer = backend.ask(request.map_err(|error| error.to_string())?, most).await?;
                match answer.status() {
                    StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
                    StatusCode::OK => {
                        let record = mapping::record(mapping, answer.into_body()).await?;
                        Ok(Some(Remembered::from(record).into()))
                    }
                    status => Err(format!("it answered {status}")),
                }
            };
            let said = tokio::time::timeout(timeout, said).await;
            let said = said.unwrap_or_else(|_elapsed| Err(format!("it did not answer within {timeout:?}")));
            said.map_err(|cause| {
                tracing::warn!(policy = Self::NAME, cause, "the source of records is in trouble");
                Trouble(cause)
            })
        })
    }
}

fn settle(exchange: &mut Exchange, known: Known<Remembered>) -> Flow {
    match known {
        Known::Found(remembered) => {
            exchange.record = Some(remembered.record.clone());
            exchange.lives.push(remembered.life.clone());
            Flow::Next
        }
        Known::Absent => Problem::new(&RECORD_UNKNOWN).into(),
        Known::Unavailable => {
            let retry = HeaderValue::from_static("5");
            Problem::new(&RECORD_UNAVAILABLE).header(http::header::RETRY_AFTER, retry).into()
        }
    }
}

fn not_asked(field: &str, cause: &str) -> Flow {
    let detail = format!("The policy `{}` has no value for `{field}`.", PartnerRecord::NAME);
    let problem = Problem::new(&RECORD_NOT_ASKED).detail(detail).because(format!("{field}: {cause}"));
    problem.member("policy", PartnerRecord::NAME).member("field", field).into()
}

/// The upstream of this name, or what is to be written.
pub(crate) fn backend(name: &str, at: &Pointer, chain: &ChainBuilder) -> Result<Arc<dyn Backend>, Finding> {
    let backends = chain.service::<dyn Backends>();
    let found = backends.as_ref().and_then(|backends| backends.named(name));
    found.ok_or_else(|| {
        let names = backends.map(|backends| backends.names()).unwrap_or_default();
        let known: Vec<_> = names.iter().map(String::as_str).collect();
        Finding::new(at, format!("there is no upstream `{name}`{}", model::read::advice(name, &known)))
    })
}

/// A chain gives a policy no more time than 5 seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests;
