//! What the audit log has of an exchange: who asked for what, which rules matched on which values, and what came of it.

mod sections;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use http::{HeaderMap, StatusCode};
use pipeline::{Audited, Exchange, Outcome, Reached};
use serde::Serialize;
use waf::{Audit, Matched, RuleAt, Transaction, Variable};

use crate::inspection::{headers, protocol, target};
use crate::masking::{Masking, STARS, Secrecy, is_address};
use crate::settings::Mode;

/// What is told of an exchange.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    time: String,
    id: String,
    client: String,
    client_port: u16,
    #[serde(skip)]
    server: String,
    #[serde(skip)]
    server_port: u16,
    api: String,
    route: String,
    method: String,
    /// Method and path below the API's own, as exclusions name it.
    operation: String,
    target: String,
    #[serde(skip)]
    protocol: &'static str,
    host: String,
    status: Option<u16>,
    action: &'static str,
    mode: Mode,
    /// Why it was refused, if no rule did.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inbound_score: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outbound_score: Option<u64>,
    rules: Vec<Found>,
    /// How many matches more there were than are told.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
    #[serde(skip)]
    asked: Vec<(String, String)>,
    #[serde(skip)]
    answered: Vec<(String, String)>,
    #[serde(skip)]
    parts: String,
    #[serde(skip)]
    groups: Vec<(Box<str>, u64)>,
    #[serde(skip)]
    reached: Reached,
    #[serde(skip)]
    is_logged: bool,
    #[serde(skip)]
    began_at: u64,
}

/// A rule that matched, and on what.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    id: u64,
    phase: u8,
    group: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// The variable, with the name of the value in it.
    target: String,
    /// What it had after transformations; not that of a target which is a whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    tags: Vec<String>,
    file: String,
    line: u32,
    #[serde(skip)]
    operator: String,
    #[serde(skip)]
    version: Option<String>,
    /// Whether it stopped the exchange.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    blocked: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// All that a record is made of.
pub(crate) struct Seen<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) outcome: &'a Outcome,
    pub(crate) transaction: &'a Transaction,
    pub(crate) mode: Mode,
    /// What was blocked, if anything was.
    pub(crate) blocked: Option<Reached>,
    /// The headers of the answer, as rules saw them.
    pub(crate) answer: Option<HeaderMap>,
}

impl Record {
    /// The record of an exchange, if a rule matched that is to be told, or it is to be told anyway.
    pub(crate) fn of(seen: Seen<'_>) -> Option<Self> {
        let Seen { exchange, outcome, transaction, mode, blocked, answer } = seen;
        let masking = Masking::of(transaction);
        let told = told(transaction, &masking);
        // Whoever was refused without a rule, for a body that is too long, has an id to tell, too.
        let is_refused = blocked.is_some() && !transaction.matches().any(|matched| matched.has_interrupted());
        let is_logged = is_refused || is_audited(transaction, &told, outcome);
        if told.is_empty() && blocked.is_none() && !is_logged {
            return None;
        }
        let rules = chosen(&told, &masking);
        let mut time = Vec::with_capacity(32);
        watch::text::time(&mut time, exchange.began_at);
        let connection = &exchange.connection;
        let target = masking.within(&target(exchange));
        let score = |names: &[&str]| {
            let value = names.iter().find_map(|name| transaction.tx(name))?;
            std::str::from_utf8(value).ok()?.parse().ok()
        };
        Some(Self {
            time: String::from_utf8_lossy(&time).into_owned(),
            id: exchange.id.to_string(),
            client: exchange.client.to_string(),
            client_port: connection.peer.port(),
            server: connection.local.ip().to_string(),
            server_port: connection.local.port(),
            api: exchange.route.api.to_string(),
            route: exchange.route.template.to_string(),
            method: exchange.method.to_string(),
            operation: operation(exchange),
            target: cut(&target, LONGEST_TARGET),
            protocol: protocol(exchange.head.version),
            host: exchange.host.to_string(),
            status: outcome.status.map(|status| status.as_u16()),
            action: blocked.unwrap_or(Reached::Detected).name(),
            mode,
            reason: blocked.filter(|_| is_refused).and_then(too_long),
            inbound_score: score(INBOUND),
            outbound_score: score(OUTBOUND),
            groups: groups(&told),
            more: told.iter().map(|(matched, _)| times(matched)).sum::<usize>().saturating_sub(rules.len()),
            rules,
            asked: shown(headers(exchange), &masking, |name| masking.is_secret_header(name)),
            answered: shown(&answer.unwrap_or_default(), &masking, |name| masking.is_masked_answer(name)),
            parts: transaction.audit().1.to_owned(),
            reached: blocked.unwrap_or(Reached::Detected),
            is_logged,
            began_at: exchange.began_at,
        })
    }
}

impl Audited for Record {
    fn reached(&self) -> Reached {
        self.reached
    }

    fn groups(&self) -> &[(Box<str>, u64)] {
        &self.groups
    }

    fn is_logged(&self) -> bool {
        self.is_logged
    }

    fn json(&self, to: &mut Vec<u8>) {
        // Memory takes all that is written, and nothing in a record is without a form in JSON.
        serde_json::to_writer(to, self).ok();
    }

    fn sections(&self, to: &mut Vec<u8>) {
        sections::write(self, to);
    }
}

impl Found {
    fn of(matched: &Matched<'_>, secrecy: Secrecy, masking: &Masking<'_>) -> Option<Self> {
        let rule = matched.rule()?;
        let text = |bytes: &[u8]| {
            let text = beginning(bytes);
            match secrecy {
                Secrecy::None => cut(&masking.anywhere(&text), LONGEST),
                Secrecy::Within | Secrecy::Body => cut(&masking.anywhere(&masking.within(&text)), LONGEST),
                Secrecy::Whole => STARS.to_owned(),
            }
        };
        let message = matched.message().map(|message| {
            let message = beginning(message);
            // A message has the beginning of a long value, if it has any of it.
            let value = cut(&beginning(matched.value()), LONGEST_NAME);
            let tells = secrecy != Secrecy::None && value.len() > 2 && message.contains(&*value);
            if tells { STARS.to_owned() } else { cut(&masking.anywhere(&message), LONGEST) }
        });
        let name = matched.name().map(|name| cut(&String::from_utf8_lossy(name), LONGEST_NAME));
        let variable = matched.variable().name();
        Some(Self {
            id: rule.id().unwrap_or_default(),
            phase: rule.phase().number(),
            group: group(matched).unwrap_or_default(),
            severity: rule.severity().and_then(|severity| SEVERITIES.get(usize::from(severity)).copied()),
            message,
            data: matched.data().map(text),
            target: match name {
                // Its name is that of the value, with its variable.
                Some(name) if matches!(matched.variable(), Variable::MatchedVars | Variable::MatchedVarsNames) => name,
                Some(name) => format!("{variable}:{name}"),
                None => variable.to_owned(),
            },
            value: (secrecy != Secrecy::Body).then(|| text(matched.value())),
            tags: rule.tags().take(MOST_TAGS).collect(),
            file: rule.spot().file.to_string(),
            line: rule.spot().line,
            operator: rule.operator(),
            version: rule.version().map(str::to_owned),
            blocked: matched.has_interrupted(),
        })
    }
}

/// Why something was refused that no rule stopped: a limit is all that can do so.
fn too_long(refused: Reached) -> Option<&'static str> {
    match refused {
        Reached::Detected => None,
        Reached::BlockedRequest => Some("the body is larger than can be inspected"),
        Reached::BlockedAnswer => Some("the answer is larger than can be inspected"),
    }
}

/// Matches that are told, each with how far it tells a secret.
type Told<'a> = Vec<&'a (Matched<'a>, Secrecy)>;

/// What is told of matches, as far as there is room: of each rule one, and then others.
fn chosen(told: &[(Matched<'_>, Secrecy)], masking: &Masking<'_>) -> Vec<Found> {
    let mut seen = HashSet::new();
    let (first, others): (Told<'_>, Told<'_>) = told.iter().partition(|(matched, _)| seen.insert(matched.at()));
    let (mut chosen, mut room) = (Vec::new(), ROOM);
    for (matched, secrecy) in first.into_iter().chain(others) {
        if room < SMALLEST {
            break;
        }
        let Some(found) = Found::of(matched, *secrecy, masking) else { continue };
        let size = serde_json::to_string(&found).map_or(0, |text| text.len());
        if size > room {
            continue;
        }
        room -= size;
        chosen.push(found);
    }
    chosen
}

/// How many values a match stands for.
fn times(matched: &Matched<'_>) -> usize {
    1 + matched.repeated() as usize
}

/// The groups of what is told, each with how many values its rules matched.
fn groups(told: &[(Matched<'_>, Secrecy)]) -> Vec<(Box<str>, u64)> {
    let mut rules: HashMap<RuleAt, (&Matched<'_>, u64)> = HashMap::new();
    for (matched, _) in told {
        rules.entry(matched.at()).or_insert((matched, 0)).1 += times(matched) as u64;
    }
    let mut groups: BTreeMap<Box<str>, u64> = BTreeMap::new();
    for (matched, count) in rules.into_values() {
        if let Some(group) = group(matched) {
            *groups.entry(group).or_default() += count;
        }
    }
    groups.into_iter().collect()
}

/// The matches that are to be told, each with how far it tells a secret: as far as any rule of its chain.
fn told<'a>(transaction: &'a Transaction, masking: &Masking<'_>) -> Vec<(Matched<'a>, Secrecy)> {
    let mut told = Vec::new();
    let mut chain: Option<(RuleAt, Secrecy)> = None;
    for matched in transaction.matches() {
        let so_far = chain.filter(|(at, _)| at.is_with(matched.at())).map_or(Secrecy::None, |(_, secrecy)| secrecy);
        let secrecy = if matched.is_logged() || matched.is_audited() || !matched.is_complete() {
            so_far.max(masking.secrecy(&matched))
        } else {
            so_far
        };
        chain = Some((matched.at(), secrecy));
        if matched.is_logged() || matched.is_audited() {
            told.push((matched, secrecy));
        }
    }
    told
}

/// Whether the transaction belongs into the audit log.
fn is_audited(transaction: &Transaction, told: &[(Matched<'_>, Secrecy)], outcome: &Outcome) -> bool {
    match transaction.audit().0 {
        Audit::On => true,
        Audit::Off => false,
        Audit::RelevantOnly => {
            let pattern = transaction.rules().settings().audit_status.as_ref();
            let status = outcome.status.as_ref().map_or("", StatusCode::as_str);
            told.iter().any(|(matched, _)| matched.is_audited())
                || pattern.is_some_and(|pattern| pattern.is_match(status.as_bytes()))
        }
    }
}

/// The group of a rule: what it is tagged to be an attack of, or the file that it stands in.
pub(crate) fn group(matched: &Matched<'_>) -> Option<Box<str>> {
    let rule = matched.rule()?;
    if let Some(attack) = rule.tags().find(|tag| tag.starts_with("attack-")) {
        return Some(attack.into());
    }
    let file = rule.spot().file.rsplit('/').next().unwrap_or_default().to_owned();
    Some(file.trim_end_matches(".conf").to_ascii_lowercase().into())
}

/// What an exclusion would name: the pattern of the operation, or the path if the API has no operation for it.
fn operation(exchange: &Exchange) -> String {
    let route = &exchange.route;
    let below = |path: &str| {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).skip(route.base).collect();
        segments.join("/")
    };
    let mut path = below(&route.template);
    if path.is_empty() {
        // As it was asked for, whatever a policy made of it since.
        path = below(exchange.target.path());
    }
    format!("{} /{}", exchange.method, cut(&path, LONGEST_NAME))
}

fn shown(headers: &HeaderMap, masking: &Masking<'_>, is_secret: impl Fn(&[u8]) -> bool) -> Vec<(String, String)> {
    let shown = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = match name.as_str().as_bytes() {
            name if is_secret(name) => STARS.to_owned(),
            name if is_address(name) => cut(&masking.within(&value), LONGEST),
            _ => cut(&value, LONGEST),
        };
        (name.as_str().to_owned(), value)
    });
    shown.collect()
}

/// At most so many bytes of a text, whole characters of it.
fn cut(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default().to_owned()
}

/// So much of a value as text that more than is told is in it, however long the value is.
fn beginning(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.get(..LONGEST_READ).unwrap_or(bytes))
}

/// Bytes of matches that are told of one exchange: journals take records of 64 KiB, and more is in them than this.
const ROOM: usize = 28 * 1024;
/// No match is told in fewer bytes.
const SMALLEST: usize = 128;
const MOST_TAGS: usize = 16;
const LONGEST: usize = 256;
const LONGEST_NAME: usize = 128;
/// Four times what is told, for secrets that are taken out shorten it.
const LONGEST_READ: usize = 1024;
const LONGEST_TARGET: usize = 4096;

pub(crate) const SEVERITIES: [&str; 8] =
    ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];

/// Where rules keep their scores: the Core Rule Set from version 4 on, and before.
const INBOUND: &[&str] = &["blocking_inbound_anomaly_score", "anomaly_score"];
const OUTBOUND: &[&str] = &["blocking_outbound_anomaly_score", "outbound_anomaly_score"];
