//! Rules as a document has them, ready to be held to.

use std::time::Duration;

use model::Document;
use model::alerts::{
    AlertRule, BeforeRule, BudgetRule, FailureRateRule, FailuresRule, FillRule, ForRule, QuotaRule, Usual,
};
use model::read::advice;
use model::units::Span;
use problem::{Finding, Pointer};

/// Everything that counts as wrong, and what holds for all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The rules. Without any, nobody looks.
    pub rules: Vec<Rule>,
    /// How long something must be well before its alert is over.
    pub calm: Duration,
    /// How long after a notice another one says that an alert is open still; never, if it is zero.
    pub remind: Duration,
    /// Alerts that are open at a time.
    pub most_open: usize,
    /// How long alerts are kept that are over.
    pub keep: Duration,
}

/// Something that counts as wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The receivers that are told; all, if there are none.
    pub to: Vec<String>,
    /// What it looks at.
    pub watch: Watch,
}

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    /// So many failures of one group within a while.
    Failures {
        /// Of these APIs; of all, if there are none.
        apis: Vec<String>,
        /// How many.
        count: u64,
        /// Within which time.
        within: Duration,
    },
    /// So many of a million answers failing within a while.
    Rate {
        /// Of these APIs; of all, if there are none.
        apis: Vec<String>,
        /// Of a million answers, how many are too many.
        of_a_million: u64,
        /// Within which time.
        within: Duration,
        /// With fewer answers nothing is said.
        at_least: u64,
        /// What is said about it.
        meaning: Meaning,
    },
    /// An upstream without a target for so long.
    Upstream(Duration),
    /// A sink that has taken nothing for so long.
    SinkLag(Duration),
    /// A journal of usage records that has so many hundredths of what it may.
    UsageJournal(u8),
    /// A source of records that is unwell for so long.
    RecordSource(Duration),
    /// Certificates that expire within so long.
    Certificates(Duration),
    /// Keys that expire within so long.
    Keys(Duration),
    /// Quotas of which so many hundredths are used.
    Quota {
        /// The shares.
        at: Vec<u8>,
        /// Of windows that are at least so long.
        windows_from: Duration,
    },
    /// Jobs.
    Job,
}

/// What a rate is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Itself.
    Share,
    /// A budget, which has this objective.
    Budget {
        /// The objective, as it was written.
        objective: String,
        /// Hundredths of the budget that must not be spent within the while.
        spent: u8,
        /// For which time the objective is meant.
        per: Span,
    },
}

impl Rules {
    /// The rule of this name.
    pub fn named(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// The rules about jobs, or about quotas.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.watch.kind() == kind)
    }
}

impl Rule {
    /// Whether a receiver is told what this rule finds.
    pub fn tells(&self, receiver: &str) -> bool {
        self.to.is_empty() || self.to.iter().any(|name| name == receiver)
    }
}

impl Watch {
    /// The word for it in documents.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Failures { .. } => "failures",
            Self::Rate { meaning: Meaning::Share, .. } => "failure-rate",
            Self::Rate { meaning: Meaning::Budget { .. }, .. } => "budget",
            Self::Upstream(_) => "upstream",
            Self::SinkLag(_) => "sink-lag",
            Self::UsageJournal(_) => "usage-journal",
            Self::RecordSource(_) => "record-source",
            Self::Certificates(_) => "certificate-expiry",
            Self::Keys(_) => "key-expiry",
            Self::Quota { .. } => "quota",
            Self::Job => "job",
        }
    }
}

/// The rules of a document, or what is wrong with them, unless it follows from a part that is doubtful.
pub fn compile(document: &Document, is_doubtful: &dyn Fn(&Pointer) -> bool) -> Result<Rules, Vec<Finding>> {
    let alerts = &document.alerts;
    if alerts.to.is_empty() && alerts.rules.is_empty() {
        return Ok(Rules::default());
    }
    let root = Pointer::default();
    let at = root.at("alerts");
    let mut compiling = Compiling { document, is_doubtful, findings: Vec::new() };
    if document.store.is_none() && !is_doubtful(&root.at("store")) {
        compiling.wrong(
            &at,
            "needs a store for what is open and who was told; write `store: {embedded: ./data}`".to_owned(),
        );
    }
    for name in alerts.to.keys() {
        let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if name.is_empty() || !name.chars().all(is_letter) {
            let message = format!("`{name}` cannot be a name here: write lower case letters, digits and `-`");
            compiling.wrong(&at.at("to").at(name), message);
        }
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (index, written) in alerts.rules.iter().enumerate() {
        let at = at.at("rules").at(index);
        let rule = compiling.rule(written, &at.at(word(written)));
        if rules.iter().any(|known| known.name == rule.name) {
            let message = format!("there is a rule `{}` already; give this one a `name` of its own", rule.name);
            compiling.wrong(&at, message);
        }
        rules.push(rule);
    }
    if alerts.usual == Usual::On {
        let is_written = |kind: &str| alerts.rules.iter().any(|rule| word(rule) == kind);
        for rule in usual().iter().filter(|rule| !is_written(word(rule))) {
            rules.push(compiling.rule(rule, &at));
        }
    }
    let findings = compiling.findings;
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(Rules {
        rules,
        calm: alerts.calm.duration(),
        remind: alerts.remind.duration(),
        most_open: usize::try_from(alerts.most_open).unwrap_or(usize::MAX).max(1),
        keep: alerts.keep.duration(),
    })
}

/// The rules that hold where nobody says otherwise.
fn usual() -> [AlertRule; 10] {
    [
        AlertRule::Failures(FailuresRule::default()),
        AlertRule::FailureRate(FailureRateRule::default()),
        AlertRule::Upstream(ForRule::default()),
        AlertRule::SinkLag(ForRule::default()),
        AlertRule::UsageJournal(FillRule::default()),
        AlertRule::RecordSource(ForRule::default()),
        AlertRule::CertificateExpiry(BeforeRule::default()),
        AlertRule::KeyExpiry(BeforeRule::default()),
        AlertRule::Quota(QuotaRule::default()),
        AlertRule::Job(model::alerts::PlainRule::default()),
    ]
}

fn word(rule: &AlertRule) -> &'static str {
    match rule {
        AlertRule::Failures(_) => "failures",
        AlertRule::FailureRate(_) => "failure-rate",
        AlertRule::Budget(_) => "budget",
        AlertRule::Upstream(_) => "upstream",
        AlertRule::SinkLag(_) => "sink-lag",
        AlertRule::UsageJournal(_) => "usage-journal",
        AlertRule::RecordSource(_) => "record-source",
        AlertRule::CertificateExpiry(_) => "certificate-expiry",
        AlertRule::KeyExpiry(_) => "key-expiry",
        AlertRule::Quota(_) => "quota",
        AlertRule::Job(_) => "job",
    }
}

struct Compiling<'a> {
    document: &'a Document,
    is_doubtful: &'a dyn Fn(&Pointer) -> bool,
    findings: Vec<Finding>,
}

impl Compiling<'_> {
    fn rule(&mut self, written: &AlertRule, at: &Pointer) -> Rule {
        let (name, to, watch) = match written {
            AlertRule::Failures(rule) => (&rule.name, &rule.to, self.failures(rule, at)),
            AlertRule::FailureRate(rule) => (&rule.name, &rule.to, self.rate(rule, at)),
            AlertRule::Budget(rule) => (&rule.name, &rule.to, self.budget(rule, at)),
            AlertRule::Upstream(rule) => (&rule.name, &rule.to, Watch::Upstream(lasting(rule, 60))),
            AlertRule::SinkLag(rule) => (&rule.name, &rule.to, Watch::SinkLag(lasting(rule, 600))),
            AlertRule::UsageJournal(rule) => (&rule.name, &rule.to, Watch::UsageJournal(rule.reach.percent())),
            AlertRule::RecordSource(rule) => (&rule.name, &rule.to, Watch::RecordSource(lasting(rule, 300))),
            AlertRule::CertificateExpiry(rule) => (&rule.name, &rule.to, Watch::Certificates(before(rule, 21))),
            AlertRule::KeyExpiry(rule) => (&rule.name, &rule.to, Watch::Keys(before(rule, 14))),
            AlertRule::Quota(rule) => (&rule.name, &rule.to, self.quota(rule, at)),
            AlertRule::Job(rule) => (&rule.name, &rule.to, Watch::Job),
        };
        let receivers: Vec<&str> = self.document.alerts.to.keys().map(String::as_str).collect();
        for (index, name) in to.iter().enumerate().filter(|(_, name)| !receivers.contains(&name.as_str())) {
            let message = format!("there is no receiver `{name}`{}", advice(name, &receivers));
            self.wrong(&at.at("to").at(index), message);
        }
        Rule { name: name.clone().unwrap_or_else(|| word(written).to_owned()), to: to.clone(), watch }
    }

    fn failures(&mut self, rule: &FailuresRule, at: &Pointer) -> Watch {
        let (count, within) = rule.reach.map_or((5, Duration::from_mins(5)), |rate| (rate.count(), rate.per()));
        self.while_of(within, &at.at("reach"));
        Watch::Failures { apis: self.apis(&rule.apis, at), count, within }
    }

    fn rate(&mut self, rule: &FailureRateRule, at: &Pointer) -> Watch {
        let within = rule.within.duration();
        self.while_of(within, &at.at("within"));
        if rule.reach.percent() == 0 {
            self.wrong(&at.at("reach"), "would be reached without any failure; write `1%` or more".to_owned());
        }
        Watch::Rate {
            apis: self.apis(&rule.apis, at),
            of_a_million: u64::from(rule.reach.percent()) * 10_000,
            within,
            at_least: rule.at_least,
            meaning: Meaning::Share,
        }
    }

    /// A budget of all the time, of which a share is spent in a while, is a rate in that while.
    fn budget(&mut self, rule: &BudgetRule, at: &Pointer) -> Watch {
        let within = rule.within.duration();
        self.while_of(within, &at.at("within"));
        let (per, spent) = (rule.per.duration().as_micros(), u128::from(rule.reach.percent()));
        let allowed = u128::from(rule.objective.failures_of_a_million());
        let of_a_million = (allowed * spent * per).div_ceil((100 * within.as_micros()).max(1));
        if per < within.as_micros() {
            self.wrong(&at.at("within"), "is longer than `per`".to_owned());
        } else if of_a_million == 0 || 1_000_000 < of_a_million {
            let message =
                "can never be reached in that while, or is by nothing; write a smaller `reach`, or a longer `within`";
            self.wrong(&at.at("reach"), message.to_owned());
        }
        Watch::Rate {
            apis: self.apis(&rule.apis, at),
            of_a_million: u64::try_from(of_a_million).unwrap_or(u64::MAX),
            within,
            at_least: rule.at_least,
            meaning: Meaning::Budget {
                objective: rule.objective.to_string(),
                spent: rule.reach.percent(),
                per: rule.per,
            },
        }
    }

    fn quota(&mut self, rule: &QuotaRule, at: &Pointer) -> Watch {
        if rule.at.iter().any(|share| share.percent() == 0) {
            self.wrong(&at.at("at"), "names `0%`, which every quota has reached".to_owned());
        }
        let at = rule.at.iter().map(|share| share.percent()).collect();
        Watch::Quota { at, windows_from: rule.windows_from.duration() }
    }

    fn apis(&mut self, apis: &[String], at: &Pointer) -> Vec<String> {
        let known: Vec<&str> = self.document.apis.keys().map(String::as_str).collect();
        for (index, api) in apis.iter().enumerate() {
            if !known.contains(&api.as_str()) && !(self.is_doubtful)(&Pointer::default().at("apis").at(api)) {
                let message = format!("there is no API `{api}`{}", advice(api, &known));
                self.wrong(&at.at("apis").at(index), message);
            }
        }
        apis.to_vec()
    }

    fn while_of(&mut self, within: Duration, at: &Pointer) {
        if within < Duration::from_secs(1) || DAY < within {
            self.wrong(at, "is looked back upon from memory: write a time from 1s to 1d".to_owned());
        }
    }

    fn wrong(&mut self, at: &Pointer, message: String) {
        self.findings.push(Finding::new(at, message));
    }
}

fn lasting(rule: &ForRule, usual: u64) -> Duration {
    rule.lasting.map_or(Duration::from_secs(usual), Span::duration)
}

fn before(rule: &BeforeRule, usual: u32) -> Duration {
    rule.before.map_or(DAY * usual, Span::duration)
}

const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn compiled(alerts: &Value) -> Result<Rules, Vec<String>> {
        let document = json!({
            "version": 1, "listeners": {}, "store": { "embedded": "data" },
            "apis": { "orders": { "match": { "path": "/orders" } } }, "alerts": alerts,
        });
        let document = serde_json::from_value(document).unwrap();
        compile(&document, &|_| false).map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    fn with(rules: &Value) -> Value {
        json!({ "to": { "ops": { "webhook": { "url": "https://ops.example/", "secret": "whsec_AAAA" } } }, "rules": rules })
    }

    #[test]
    fn a_receiver_alone_brings_the_usual_rules() {
        assert!(compiled(&json!({})).unwrap().rules.is_empty());
        let rules = compiled(&with(&json!([]))).unwrap();
        assert_eq!(rules.rules.len(), 10);
        assert_eq!(rules.named("failures").unwrap().watch.kind(), "failures");
        assert!(rules.named("budget").is_none() && rules.calm == Duration::from_mins(5));
    }

    #[test]
    fn a_rule_takes_the_place_of_the_usual_one_of_its_kind() {
        let rules = compiled(&with(&json!([
            { "failures": { "reach": "1/1m" } }, { "failures": { "name": "orders", "apis": ["orders"], "to": ["ops"] } },
        ])));
        let rules = rules.unwrap();
        assert_eq!(rules.of_kind("failures").count(), 2);
        let expected = Watch::Failures { apis: vec![], count: 1, within: Duration::from_mins(1) };
        assert_eq!(rules.named("failures").unwrap().watch, expected);
        let mut off = with(&json!([{ "quota": {} }]));
        off["usual"] = "off".into();
        assert_eq!(compiled(&off).unwrap().rules.len(), 1);
    }

    #[test]
    fn a_budget_is_a_rate_in_a_while() {
        // Two hundredths of a month's budget in an hour is 14.4 times as fast as it may be spent.
        let rules = compiled(&with(&json!([{ "budget": { "objective": "99.9%" } }]))).unwrap();
        let Watch::Rate { of_a_million, within, .. } = rules.named("budget").unwrap().watch.clone() else { panic!() };
        assert_eq!((of_a_million, within), (14_400, Duration::from_hours(1)));
    }

    #[test]
    fn every_mistake_is_found_where_it_is() {
        for (rules, expected) in [
            (
                json!([{ "failures": { "apis": ["order"] } }]),
                "/alerts/rules/0/failures/apis/0: there is no API `order`",
            ),
            (json!([{ "quota": { "to": ["opts"] } }]), "/alerts/rules/0/quota/to/0: there is no receiver `opts`"),
            (json!([{ "quota": {} }, { "quota": {} }]), "/alerts/rules/1: there is a rule `quota` already"),
            (json!([{ "quota": { "at": ["0%"] } }]), "/alerts/rules/0/quota/at: names `0%`"),
            (json!([{ "failures": { "reach": "5/2d" } }]), "/alerts/rules/0/failures/reach: is looked back upon"),
            (json!([{ "failure-rate": { "reach": "0%" } }]), "/alerts/rules/0/failure-rate/reach: would be reached"),
            (
                json!([{ "budget": { "objective": "90%", "reach": "50%", "within": "1h" } }]),
                "/alerts/rules/0/budget/reach: can never be reached",
            ),
        ] {
            let findings = compiled(&with(&rules)).unwrap_err();
            assert!(findings.len() == 1 && findings[0].starts_with(expected), "{findings:?}");
        }
        let nameless = json!({ "to": { "On Call": { "sentry": { "dsn": "https://k@s.example/1" } } } });
        assert!(compiled(&nameless).unwrap_err()[0].starts_with("/alerts/to/On Call: `On Call` cannot be a name here"));
    }
}
