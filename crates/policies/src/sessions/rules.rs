//! Which requests open and end sessions, as seen in what is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use attributes::answered::{Answered, Wanted};
use attributes::expression;
use attributes::places::{Answer, InAnswer, Source};
use http::StatusCode;
use pipeline::{ChainBuilder, Condition, Exchange, Failure};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;

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

/// Requests that end what they belong to, a session or a visit, if they are answered so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRule {
    /// Which requests, as an expression. Left out, all that belong to one.
    when: Option<String>,
    /// Which answers say that it has ended. Left out, those with a status of 200 to 299.
    #[serde(default)]
    answered: Answered,
}

/// A compiled [`OpenRule`].
pub(super) struct Opens {
    when: Arc<dyn Condition>,
    answered: Wanted,
    pub(super) id: Source,
    pub(super) values: Vec<(Arc<str>, Source)>,
}

/// A compiled [`EndRule`].
pub(crate) struct Ends {
    when: Option<Arc<dyn Condition>>,
    answered: Wanted,
}

impl OpenRule {
    pub(super) fn compile(self, chain: &ChainBuilder, at: &Pointer) -> Result<Opens, Finding> {
        let values = self.values.into_iter().map(|(name, source)| {
            let at = at.at("values").at(&name);
            if name == "id" || name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(Finding::new(&at, "has a name that cannot be used: letters, digits and `_`, and not `id`"));
            }
            Ok((name.into(), source.compile(&at)?))
        });
        Ok(Opens {
            when: expression::condition_in(chain, &self.when, &at.at("when"))?,
            answered: self.answered.compile(&at.at("answered"))?,
            id: self.id.compile(&at.at("id"))?,
            values: values.collect::<Result<_, _>>()?,
        })
    }
}

impl EndRule {
    pub(crate) fn compile(self, chain: &ChainBuilder, at: &Pointer) -> Result<Ends, Finding> {
        let when = self.when.map(|when| expression::condition_in(chain, &when, &at.at("when"))).transpose()?;
        Ok(Ends { when, answered: self.answered.compile(&at.at("answered"))? })
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
    pub(crate) fn reads_body(&self, status: StatusCode) -> bool {
        self.answered.reads_body() && self.answered.has(status)
    }

    pub(crate) fn holds(&self, exchange: &Exchange, answer: &Answer<'_>) -> Result<bool, Failure> {
        if !self.answered.holds(answer) {
            return Ok(false);
        }
        self.when.as_ref().map_or(Ok(true), |when| when.holds(exchange))
    }
}
