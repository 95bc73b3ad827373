//! What rules say of a request, told to people: each match, on what value after which transformations, and the score.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use pipeline::Exchange;
use problem::{Finding, Pointer};
use serde_json::{Value, json};
use waf::{Engine, Intervention, Matched, Rules, Transaction, Variable, Verdict};

use crate::exclusions::Excluded;
use crate::inspection::{begin, judge_body, judge_head};
use crate::rule_set::RuleSet;
use crate::settings::{Config, Mode};

/// The firewall of a route, without its place in the way of requests.
pub struct Prepared {
    /// The rules.
    pub rules: Arc<Rules>,
    excluded: Excluded,
    mode: Mode,
}

/// What rules say of a request.
#[derive(Debug)]
pub struct Story {
    mode: Mode,
    matches: Vec<Match>,
    unseen: Unseen,
    scores: Vec<(&'static str, String)>,
    verdict: String,
    status: Option<u16>,
}

/// What rules could not be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unseen {
    Nothing,
    /// There is no answer, and there are rules that look at answers.
    Answers,
}

/// A rule that matched a value, as a link of a chain or by itself.
#[derive(Debug)]
struct Match {
    id: u64,
    phase: u8,
    place: String,
    operator: String,
    transformations: Vec<&'static str>,
    target: String,
    original: String,
    value: String,
    message: Option<String>,
    is_complete: bool,
    is_logged: bool,
}

impl Prepared {
    /// The firewall of these settings, for the API of this name; or everything that is wrong with them.
    pub fn of(config: &Config, api: &str, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let set = RuleSet::load(config, at)?;
        let excluded = Excluded::compile(&config.exclusions, &set.rules, api, &at.at("exclusions"))?;
        Ok(Self { rules: set.rules, excluded, mode: config.mode })
    }

    /// Sets a transaction up as the route does, but for exclusions that hold for some operations only.
    pub fn apply(&self, transaction: &mut Transaction) {
        transaction.set_engine(if self.mode == Mode::Block { Engine::On } else { Engine::DetectionOnly });
        self.excluded.apply_always(transaction);
    }

    /// Says what the rules say of a request.
    pub fn tell(&self, exchange: &Exchange, body: &Bytes) -> Story {
        let new = |environment| Transaction::new(self.rules.clone(), environment);
        let mut transaction = begin(new, exchange, None);
        transaction.set_engine(if self.mode == Mode::Block { Engine::On } else { Engine::DetectionOnly });
        self.excluded.apply(exchange, &mut transaction);
        let length = (!body.is_empty()).then_some(body.len() as u64);
        let mut verdict = judge_head(&mut transaction, length);
        if verdict == Verdict::Pass && length.is_some() {
            verdict = judge_body(&mut transaction, body.clone());
        }
        transaction.phase(waf::Phase::Logging);
        Story::of(&transaction, self.mode, &verdict)
    }
}

impl Story {
    fn of(transaction: &Transaction, mode: Mode, verdict: &Verdict) -> Self {
        let matches = transaction.matches().filter(is_told).filter_map(|matched| Match::of(&matched)).collect();
        let score = |name: &'static str| {
            let value = transaction.tx(name)?;
            Some((name, String::from_utf8_lossy(value).into_owned()))
        };
        let (told, status) = match verdict {
            Verdict::Pass => ("passes".to_owned(), None),
            Verdict::Interrupt(intervention) => (stopped(transaction, intervention), Some(intervention.status)),
        };
        let scores = SCORES.iter().filter_map(|name| score(name)).collect();
        let unseen = if transaction.rules().look_at_answers() { Unseen::Answers } else { Unseen::Nothing };
        Self { mode, matches, unseen, scores, verdict: told, status }
    }

    /// The status that it would be answered with, if it is stopped.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// For machines.
    pub fn as_json(&self) -> Value {
        let matches = self.matches.iter().map(|one| {
            json!({
                "id": one.id, "phase": one.phase, "place": one.place, "operator": one.operator,
                "transformations": one.transformations, "target": one.target, "original": one.original,
                "value": one.value, "message": one.message, "complete": one.is_complete, "logged": one.is_logged,
            })
        });
        let scores: serde_json::Map<String, Value> =
            self.scores.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
        json!({
            "mode": self.mode, "answers_seen": self.unseen == Unseen::Nothing, "verdict": self.verdict, "status": self.status, "scores": scores,
            "matches": matches.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.matches.iter().filter(|one| !one.is_about_reading()).peekable();
        let is_quiet = told.peek().is_none();
        for one in told {
            write!(f, "{one}")?;
        }
        if is_quiet {
            writeln!(f, "no rule matched")?;
        }
        if self.unseen == Unseen::Answers {
            writeln!(f, "(rules of phases 3 and 4 look at answers: not asked)")?;
        }
        for (name, value) in &self.scores {
            writeln!(f, "tx.{name} = {value}")?;
        }
        match self.mode {
            Mode::Block => writeln!(f, "verdict: {}", self.verdict),
            Mode::Detect | Mode::Off => writeln!(f, "verdict: {} (mode `detect`)", self.verdict),
        }
    }
}

impl Match {
    /// Whether a rule of the gateway's own only says how a body is to be read, which is nothing about the request.
    fn is_about_reading(&self) -> bool {
        let is_own = self.place.starts_with("(before)") || self.place.starts_with("(builtin)");
        !self.is_logged && self.is_complete && self.message.is_none() && is_own
    }

    fn of(matched: &Matched<'_>) -> Option<Self> {
        let rule = matched.rule()?;
        let variable = matched.variable().name();
        let name = matched.name().map(shown);
        let count = if matched.is_count() { "&" } else { "" };
        let spot = rule.spot();
        Some(Self {
            id: rule.id().unwrap_or_default(),
            phase: rule.phase().number(),
            place: format!("{}:{}", spot.file, spot.line),
            operator: rule.operator(),
            transformations: rule.transformations().iter().map(|step| step.name()).collect(),
            // A chain that looks at what it found before names where that was.
            target: match name {
                Some(name) if matches!(matched.variable(), Variable::MatchedVars | Variable::MatchedVarsNames) => name,
                Some(name) => format!("{count}{variable}:{name}"),
                None => format!("{count}{variable}"),
            },
            original: shown(matched.original()),
            value: shown(matched.value()),
            message: matched.message().map(shown),
            is_complete: matched.is_complete(),
            is_logged: matched.is_logged(),
        })
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match (self.is_complete, self.is_logged) {
            (false, _) => " (a link of a chain)",
            (true, false) => " (not logged)",
            (true, true) => "",
        };
        writeln!(f, "{} in phase {}{part}: {}", self.id, self.phase, self.place)?;
        if let Some(message) = &self.message {
            writeln!(f, "    {message}")?;
        }
        writeln!(f, "    {} found in {}", self.operator, self.target)?;
        writeln!(f, "    value: {}", self.original)?;
        if !self.transformations.is_empty() && self.original != self.value {
            writeln!(f, "    after {}: {}", self.transformations.join(", "), self.value)?;
        }
        Ok(())
    }
}

/// Rules that only count and skip are left out, unless they want to be told: what an attack was found by are those that say
/// something of a value.
fn is_told(matched: &Matched<'_>) -> bool {
    let is_bookkeeping = matches!(matched.variable(), Variable::UniqueId | Variable::Tx) || matched.is_count();
    !is_bookkeeping || matched.is_logged() || matched.has_interrupted()
}

fn stopped(transaction: &Transaction, intervention: &Intervention) -> String {
    let by = intervention.rule.and_then(|at| transaction.rules().rule(at)?.id());
    let by = by.map_or_else(|| "a limit".to_owned(), |id| format!("rule {id}"));
    format!("stopped with {} by {by} in phase {}", intervention.status, intervention.phase.number())
}

/// A value for people: what cannot be shown is written as an escape.
fn shown(bytes: &[u8]) -> String {
    let cut = bytes.get(..LONGEST.min(bytes.len())).unwrap_or_default();
    let mut text: String = cut.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"");
    if cut.len() < bytes.len() {
        text.extend(["... (", &bytes.len().to_string(), " bytes)"]);
    }
    text
}

const LONGEST: usize = 400;

/// What the Core Rule Set counts in, now and before version 4.
const SCORES: &[&str] = &[
    "blocking_inbound_anomaly_score",
    "detection_inbound_anomaly_score",
    "inbound_anomaly_score_threshold",
    "anomaly_score",
    "sql_injection_score",
    "xss_score",
    "rfi_score",
    "lfi_score",
    "rce_score",
    "php_injection_score",
    "http_violation_score",
    "session_fixation_score",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(directives: &str) -> String {
        let config: Config = serde_json::from_value(json!({"rules": ["builtin"], "directives": directives})).unwrap();
        let prepared = Prepared::of(&config, "shop", &Pointer::default()).unwrap();
        let request = http::Request::get("/?a=1&b=2&c=3").header("host", "shop.example");
        prepared.tell(&pipeline::tester::exchange(request), &Bytes::new()).to_string()
    }

    #[test]
    fn whatever_is_logged_or_stops_the_request_is_told_even_if_it_only_counts() {
        let counted = told("SecRule &ARGS \"@gt 2\" \"id:1,phase:2,deny,nolog\"");
        assert!(
            counted.contains("@gt 2 found in &ARGS") && counted.contains("stopped with 403 by rule 1"),
            "{counted}"
        );
        let noted = told("SecAction \"id:2,phase:1,pass,log,msg:'seen'\"");
        assert!(noted.contains("2 in phase 1: (directives):1\n    seen"), "{noted}");
        let quiet = told("SecRule &ARGS \"@gt 2\" \"id:1,phase:2,pass,nolog\"");
        assert!(quiet.contains("no rule matched"), "{quiet}");
    }

    #[test]
    fn that_rules_of_answers_were_not_asked_is_told() {
        assert!(!told("").contains("phases 3 and 4"));
        assert!(told("SecRule RESPONSE_STATUS 500 \"id:1,phase:3,deny\"").contains("phases 3 and 4 look at answers"));
    }
}
