//! What a node makes of its readings: what is wrong, and what is well again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use store::{AlertId, UnixMicros};

use crate::expiry::ending;
use crate::readings::{Answers, Ending, Failure, Readings};
use crate::rules::{Meaning, Rule, Rules, Watch};
use crate::sight::{Scope, Sight, Verdict};
use crate::window::Window;

/// Remembers as much of the last while as rules look back upon.
#[derive(Debug, Default)]
pub struct Judge {
    groups: HashMap<Group, Counting>,
    /// Answers of APIs by rule and API.
    rates: HashMap<(String, String), Window>,
    /// What was found of rates by rule, when answers were looked at last.
    rated: HashMap<String, Vec<Sight>>,
    /// Answers that were read last, if they were read at all.
    answers: Option<HashMap<String, Answers>>,
    /// Since when something lasts that must not, by rule and name.
    lasting: HashMap<(String, String), UnixMicros>,
    certificates: Vec<Ending>,
    keys: Vec<Ending>,
    /// What is wrong, and when that was said last.
    said: HashMap<AlertId, (UnixMicros, Sight)>,
}

/// What failures have in common that are one alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Group {
    rule: String,
    api: String,
    route: String,
    kind: String,
    upstream: Option<String>,
}

#[derive(Debug)]
struct Counting {
    window: Window,
    /// Failures that were not said yet.
    unsaid: u64,
    example: String,
    said: Option<UnixMicros>,
}

impl Judge {
    /// What is to be said now.
    pub fn judge(&mut self, rules: &Rules, readings: Readings, now: UnixMicros) -> Vec<Sight> {
        let Readings { failures, answers, upstreams, sinks, event_sinks, usage_journal, sources, certificates, keys } =
            readings;
        self.certificates = certificates.unwrap_or(std::mem::take(&mut self.certificates));
        self.keys = keys.unwrap_or(std::mem::take(&mut self.keys));
        let mut sights = self.failures(rules, &failures, now);
        if let Some(answers) = answers {
            let answers = self.since_last(answers);
            self.rates.retain(|(rule, _), _| rules.named(rule).is_some());
            self.rated = rules.rules.iter().map(|rule| (rule.name.clone(), self.rates(rule, &answers, now))).collect();
        }
        let mut wrong = Vec::new();
        for rule in &rules.rules {
            match &rule.watch {
                Watch::Failures { .. } | Watch::Quota { .. } | Watch::Job => {}
                Watch::Rate { .. } => wrong.extend(self.rated.get(&rule.name).into_iter().flatten().cloned()),
                Watch::Upstream(lasting) => {
                    let say = |name: &str| format!("no target of upstream `{name}` is in service");
                    wrong.extend(self.lasting(rule, ("upstream", &upstreams), (*lasting, now), say));
                }
                Watch::RecordSource(lasting) => {
                    let unwell: Vec<_> = sources.iter().map(|(name, is_well)| (name.clone(), !is_well)).collect();
                    let say = |name: &str| format!("the source of partners' records at {name} gives no answers");
                    wrong.extend(
                        self.lasting(rule, ("source", &unwell), (*lasting, now), say).into_iter().map(Sight::warning),
                    );
                }
                Watch::SinkLag(lasting) => {
                    let of_logs = sinks.iter().map(|(name, age)| ("log", name, age));
                    let all = of_logs.chain(event_sinks.iter().map(|(name, age)| ("event", name, age)));
                    for (what, name, _) in all.filter(|(.., age)| lasting <= *age) {
                        let summary = format!("{what} sink `{name}` takes nothing; records wait on the disk");
                        wrong.push(Sight::new(rule, &[("sink", name)], summary));
                    }
                }
                Watch::UsageJournal(most) => {
                    for fill in usage_journal.into_iter().filter(|fill| most <= fill) {
                        let summary = format!(
                            "the journal of usage records is {fill}% full; with no room left, requests are refused"
                        );
                        let sight = Sight::new(rule, &[("journal", "usage")], summary);
                        wrong.push(if fill < NEARLY_FULL { sight.warning() } else { sight });
                    }
                }
                Watch::Certificates(before) => wrong.extend(ending(rule, &self.certificates, *before, now)),
                Watch::Keys(before) => wrong.extend(ending(rule, &self.keys, *before, now)),
            }
        }
        sights.extend(self.changes(wrong, rules.calm, now));
        sights
    }

    /// How many things are wrong at the moment, as far as the node sees.
    pub fn wrong(&self) -> usize {
        self.said.len() + self.groups.values().filter(|counting| counting.said.is_some()).count()
    }

    /// Failures by groups: said when there are enough of them, and then now and then for as long as there are more.
    fn failures(&mut self, rules: &Rules, failures: &[Failure], now: UnixMicros) -> Vec<Sight> {
        for rule in rules.of_kind("failures") {
            let Watch::Failures { apis, within, .. } = &rule.watch else { continue };
            for failure in failures.iter().filter(|failure| apis.is_empty() || apis.contains(&failure.api)) {
                self.count(rule, *within, failure, now);
            }
        }
        let mut sights = Vec::new();
        // Said again before the alert would count for over.
        let soon = u128::from(SOON).min(rules.calm.as_micros() / 2);
        self.groups.retain(|group, counting| {
            let Some(rule) = rules.named(&group.rule) else { return false };
            let Watch::Failures { count, within, .. } = rule.watch else { return false };
            if !counting.window.lasts(within) {
                return false;
            }
            let [sum, _] = counting.window.sums(now);
            let is_open = counting.said.is_some();
            let is_time = counting.said.is_none_or(|at| soon <= u128::from(now.0.saturating_sub(at.0)));
            if 0 < counting.unsaid && is_time && (is_open || count <= sum) {
                sights.push(Sight {
                    count: std::mem::take(&mut counting.unsaid),
                    example: Some(counting.example.clone()).filter(|example| !example.is_empty()),
                    ..group.sight(rule).holding(rules.calm + LOOK)
                });
                counting.said = Some(now);
            }
            let is_quiet = match counting.said {
                None => true,
                Some(at) => counting.unsaid == 0 && rules.calm.as_micros() < u128::from(now.0.saturating_sub(at.0)),
            };
            !(counting.window.is_empty() && is_quiet)
        });
        sights
    }

    fn count(&mut self, rule: &Rule, within: Duration, failure: &Failure, now: UnixMicros) {
        let Failure { api, route, kind, upstream, count, example } = failure;
        let rule = rule.name.clone();
        let mut group =
            Group { rule, api: api.clone(), route: route.clone(), kind: kind.clone(), upstream: upstream.clone() };
        if GROUPS <= self.groups.len() && !self.groups.contains_key(&group) {
            (group.route, group.kind, group.upstream) = (String::new(), OTHER.to_owned(), None);
        }
        let counting = self.groups.entry(group).or_insert_with(|| Counting {
            window: Window::new(within),
            unsaid: 0,
            example: String::new(),
            said: None,
        });
        counting.window.add(now, [*count, 0]);
        counting.unsaid = counting.unsaid.saturating_add(*count);
        counting.example.clone_from(example);
    }

    /// What was answered since the last time, by API; the first time, nothing.
    fn since_last(&mut self, answers: Vec<Answers>) -> Vec<Answers> {
        let before = self.answers.take();
        let since = |now: &Answers| {
            let before = before.as_ref()?;
            // An API that nobody had asked yet.
            let (then, failed_then) = before.get(&now.api).map_or((0, 0), |then| (then.all, then.failed));
            let (all, failed) = (now.all.saturating_sub(then), now.failed.saturating_sub(failed_then));
            Some(Answers { api: now.api.clone(), all, failed: failed.min(all) })
        };
        let found = answers.iter().filter_map(since).collect();
        self.answers = Some(answers.into_iter().map(|answers| (answers.api.clone(), answers)).collect());
        found
    }

    fn rates(&mut self, rule: &Rule, answers: &[Answers], now: UnixMicros) -> Vec<Sight> {
        let Watch::Rate { apis, of_a_million, within, at_least, meaning } = &rule.watch else { return Vec::new() };
        let mut wrong = Vec::new();
        for answer in answers.iter().filter(|answer| apis.is_empty() || apis.contains(&answer.api)) {
            let key = (rule.name.clone(), answer.api.clone());
            let window = self.rates.entry(key).or_insert_with(|| Window::new(*within));
            if !window.lasts(*within) {
                *window = Window::new(*within);
            }
            if 0 < answer.all {
                window.add(now, [answer.failed, answer.all]);
            }
            let [failed, all] = window.sums(now);
            let is_reached = u128::from(all) * u128::from(*of_a_million) <= u128::from(failed) * 1_000_000;
            if *at_least <= all && 0 < failed && is_reached {
                let api = answer.api.as_str();
                wrong.push(Sight::new(rule, &[("api", api)], meaning.said(api, (failed, all), *within)));
            }
        }
        wrong
    }

    /// Things that have been so for longer than they may.
    fn lasting(
        &mut self,
        rule: &Rule,
        (label, seen): (&str, &[(String, bool)]),
        (longest, now): (Duration, UnixMicros),
        say: impl Fn(&str) -> String,
    ) -> Vec<Sight> {
        let mut wrong = Vec::new();
        for (name, is_so) in seen {
            let key = (rule.name.clone(), name.clone());
            if !is_so {
                self.lasting.remove(&key);
                continue;
            }
            let since = *self.lasting.entry(key).or_insert(now);
            if longest.as_micros() <= u128::from(now.0.saturating_sub(since.0)) {
                wrong.push(Sight::new(rule, &[(label, name)], say(name)));
            }
        }
        let names: Vec<&String> = seen.iter().map(|(name, _)| name).collect();
        self.lasting.retain(|(of, name), _| *of != rule.name || names.contains(&name));
        wrong
    }

    /// Of what is wrong, what was not said for a while; and what is well again.
    fn changes(&mut self, wrong: Vec<Sight>, calm: Duration, now: UnixMicros) -> Vec<Sight> {
        let wrong: BTreeMap<AlertId, Sight> = wrong.into_iter().map(|sight| (sight.id.clone(), sight)).collect();
        let mut sights = Vec::new();
        self.said.retain(|id, (_, said)| {
            let is_wrong = wrong.contains_key(id);
            if !is_wrong {
                sights.push(Sight { count: 0, verdict: Verdict::Well(Scope::Here), ..said.clone() });
            }
            is_wrong
        });
        for (id, sight) in wrong {
            let said = self.said.get(&id).map(|(at, _)| *at);
            if said.is_some_and(|at| now.0.saturating_sub(at.0) < AGAIN) {
                continue;
            }
            // Seen again, it is the same thing and did not happen once more.
            let count = if said.is_some() { 0 } else { sight.count };
            let sight = Sight { count, ..sight.holding(calm + STANDS) };
            self.said.insert(id, (now, sight.clone()));
            sights.push(sight);
        }
        sights
    }
}

impl Group {
    fn sight(&self, rule: &Rule) -> Sight {
        let Self { api, route, kind, upstream, .. } = self;
        let mut labels = vec![("api", api.as_str()), ("route", route.as_str()), ("failure", kind.as_str())];
        labels.extend(upstream.as_deref().map(|upstream| ("upstream", upstream)));
        let at = upstream.as_deref().map(|upstream| format!(" from upstream `{upstream}`")).unwrap_or_default();
        let place = match (api.as_str(), route.as_str()) {
            ("", _) => "requests that no API wants".to_owned(),
            (api, "") => format!("API `{api}`"),
            (api, route) => format!("{route} of API `{api}`"),
        };
        let summary = match kind.as_str() {
            OTHER => format!("more answers to {place} fail, each in another way"),
            kind => format!("answers to {place} fail: {kind}{at}"),
        };
        Sight::new(rule, &labels, summary)
    }
}

impl Meaning {
    fn said(&self, api: &str, (failed, all): (u64, u64), within: Duration) -> String {
        let thousandths = u128::from(failed) * 1000 / u128::from(all.max(1));
        let within = model::units::Span::new(within);
        let share =
            format!("{}.{}% of the answers of API `{api}` failed in {within}", thousandths / 10, thousandths % 10);
        match self {
            Self::Share => share,
            Self::Budget { objective, spent, per } => {
                format!("{share}, which spends more than {spent}% of what {objective} allows in {per}")
            }
        }
    }
}

/// Groups that are told apart; what fails beyond them is one group for each API.
const GROUPS: usize = 256;

/// Hundredths of a journal from which on it is more than a warning.
const NEARLY_FULL: u8 = 90;

/// The kind of failures that are not told apart.
const OTHER: &str = "other";

/// How long counts of failures are gathered before they are said again, at most.
const SOON: u64 = 10_000_000;

/// How long it may take from one look to the next, on a machine that has other things to do.
const LOOK: Duration = Duration::from_secs(3);

/// How often it is said that something is wrong still.
const AGAIN: u64 = 30_000_000;

/// How long it stands what was said, beside the time to calm down.
const STANDS: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::tests::compiled;

    const SECOND: u64 = 1_000_000;

    fn rules(rules: &Value) -> Rules {
        compiled(&json!({ "rules": rules, "usual": "off", "calm": "1m" })).unwrap()
    }

    fn at(seconds: u64) -> UnixMicros {
        UnixMicros(1_767_225_600_000_000 + seconds * SECOND)
    }

    fn failing(kind: &str, count: u64) -> Readings {
        let failure = Failure {
            api: "orders".to_owned(),
            route: "/orders/{id}".to_owned(),
            kind: kind.to_owned(),
            upstream: Some("crm".to_owned()),
            count,
            example: format!("id-of-{count}"),
        };
        Readings { failures: vec![failure], ..Readings::default() }
    }

    #[test]
    fn a_thousand_failures_of_one_kind_are_one_thing_with_a_count() {
        let (mut judge, rules) = (Judge::default(), rules(&json!([{ "failures": { "reach": "5/1m" } }])));
        assert_eq!(judge.judge(&rules, failing("timeout", 4), at(0)), []);

        let sights = judge.judge(&rules, failing("timeout", 996), at(1));

        let [sight] = &*sights else { panic!("{sights:?}") };
        assert_eq!((sight.count, sight.example.as_deref()), (1000, Some("id-of-996")));
        assert_eq!(sight.summary, "answers to /orders/{id} of API `orders` fail: timeout from upstream `crm`");
        assert_eq!(sight.labels["failure"], "timeout");
        // What comes soon after waits for others.
        assert_eq!(judge.judge(&rules, failing("timeout", 1), at(2)), []);
        let later = judge.judge(&rules, failing("timeout", 1), at(11));
        assert_eq!((later[0].count, &later[0].id), (2, &sight.id));
        assert_ne!(judge.judge(&rules, failing("status-503", 5), at(12))[0].id, sight.id);
    }

    #[test]
    fn few_failures_in_a_long_time_are_nothing() {
        let (mut judge, rules) = (Judge::default(), rules(&json!([{ "failures": { "reach": "5/1m" } }])));
        for minutes in 0..20 {
            assert_eq!(judge.judge(&rules, failing("timeout", 1), at(minutes * 30)), []);
        }
        assert_eq!(judge.judge(&rules, Readings::default(), at(100_000)), []);
        assert!(judge.groups.is_empty());
    }

    #[test]
    fn a_flood_of_groups_has_a_bound() {
        let (mut judge, rules) = (Judge::default(), rules(&json!([{ "failures": { "reach": "1/1m" } }])));
        let mut sights = Vec::new();
        for kind in 0..10_000 {
            sights.extend(judge.judge(&rules, failing(&format!("kind-{kind}"), 1), at(kind / 1000)));
        }
        sights.extend(judge.judge(&rules, Readings::default(), at(20)));
        assert_eq!(judge.groups.len(), GROUPS + 1);
        assert_eq!(sights.iter().map(|sight| sight.count).sum::<u64>(), 10_000);
        let other = sights.iter().filter(|sight| sight.labels["failure"] == OTHER);
        assert_eq!(other.map(|sight| sight.count).sum::<u64>(), 10_000 - GROUPS as u64);
    }

    fn answered(all: u64, failed: u64) -> Readings {
        let answers = vec![Answers { api: "orders".to_owned(), all, failed }];
        Readings { answers: Some(answers), ..Readings::default() }
    }

    #[test]
    fn a_rate_is_of_the_last_while_and_of_enough_answers() {
        let (mut judge, rules) =
            (Judge::default(), rules(&json!([{ "failure-rate": { "reach": "10%", "within": "1m", "at_least": 20 } }])));
        // What was answered before the node looked does not count.
        assert_eq!(judge.judge(&rules, answered(1000, 900), at(0)), []);
        assert_eq!(judge.judge(&rules, answered(1010, 910), at(1)), []);
        let sights = judge.judge(&rules, answered(1100, 910), at(2));
        assert_eq!(sights[0].summary, "10.0% of the answers of API `orders` failed in 1m");
        assert_eq!(sights[0].verdict, Verdict::Wrong(Duration::from_secs(150)));
        assert_eq!(judge.judge(&rules, answered(1100, 910), at(3)), []);
        // Where nobody looked at answers, it stands what was found.
        assert_eq!(judge.judge(&rules, Readings::default(), at(3)), []);
        let sights = judge.judge(&rules, answered(1200, 910), at(4));
        assert_eq!(sights[0].verdict, Verdict::Well(Scope::Here));
    }

    #[test]
    fn what_lasts_too_long_is_wrong_until_it_does_not() {
        let (mut judge, rules) = (Judge::default(), rules(&json!([{ "upstream": { "for": "30s" } }])));
        let down = |is_down| Readings { upstreams: vec![("crm".to_owned(), is_down)], ..Readings::default() };
        assert_eq!(judge.judge(&rules, down(true), at(0)), []);
        assert_eq!(judge.judge(&rules, down(false), at(29)), []);
        assert_eq!(judge.judge(&rules, down(true), at(30)), []);
        assert_eq!(judge.judge(&rules, down(true), at(60))[0].summary, "no target of upstream `crm` is in service");
        assert_eq!(judge.judge(&rules, down(true), at(70)), []);
        // It is said again while it lasts, and did not happen again.
        let again = judge.judge(&rules, down(true), at(90));
        assert_eq!((again.len(), again[0].count), (1, 0));
        assert_eq!(judge.judge(&rules, down(false), at(91))[0].verdict, Verdict::Well(Scope::Here));
        assert_eq!(judge.wrong(), 0);
    }

    #[test]
    fn sinks_that_take_nothing_and_the_journal_that_waits_for_them_are_told_of() {
        let (mut judge, rules) = (Judge::default(), rules(&json!([{ "sink-lag": {} }, { "usage-journal": {} }])));
        let seen = |minutes: u64, fill: u8| Readings {
            sinks: vec![("loki".to_owned(), Duration::from_mins(1))],
            event_sinks: vec![("usage.events.meter".to_owned(), Duration::from_mins(minutes))],
            usage_journal: Some(fill),
            ..Readings::default()
        };
        assert_eq!(judge.judge(&rules, seen(9, 49), at(0)), []);
        let sights = judge.judge(&rules, seen(10, 50), at(1));
        let mut told: Vec<_> = sights.iter().map(|sight| (sight.summary.as_str(), sight.level)).collect();
        told.sort_unstable_by_key(|(summary, _)| *summary);
        let expected = [
            ("event sink `usage.events.meter` takes nothing; records wait on the disk", store::AlertLevel::Error),
            (
                "the journal of usage records is 50% full; with no room left, requests are refused",
                store::AlertLevel::Warning,
            ),
        ];
        assert_eq!(told, expected);
        assert!(sights.iter().all(|sight| !sight.advice.is_empty()));
        let worse = judge.judge(&rules, seen(40, 90), at(60));
        assert!(worse.iter().all(|sight| sight.level == store::AlertLevel::Error));
        assert_eq!(judge.judge(&rules, seen(0, 3), at(61)).len(), 2);
        assert_eq!(judge.wrong(), 0);
    }

    #[test]
    fn keys_that_end_soon_are_one_thing_for_each_app() {
        let (mut judge, rules) = (Judge::default(), rules(&json!([{ "key-expiry": { "before": "14d" } }])));
        let day = 24 * 3600;
        let key = |what: &str, days: u64| Ending {
            owner: "app acme/shop".to_owned(),
            what: format!("key {what}"),
            at: at(days * day),
        };
        let readings = Readings { keys: Some(vec![key("b", 13), key("a", 10), key("c", 15)]), ..Readings::default() };
        let sights = judge.judge(&rules, readings, at(0));
        let expected = "key a of app acme/shop ends in 10d, at 2026-01-11T00:00:00Z, and another one";
        assert_eq!(
            (sights.len(), sights[0].summary.as_str(), sights[0].level),
            (1, expected, store::AlertLevel::Warning)
        );
        // Nobody looked again, and it is nearer now.
        let later = judge.judge(&rules, Readings::default(), at(9 * day));
        assert_eq!(later[0].level, store::AlertLevel::Error);
        let gone = judge.judge(&rules, Readings { keys: Some(vec![]), ..Readings::default() }, at(9 * day + 1));
        assert_eq!(gone[0].verdict, Verdict::Well(Scope::Here));
    }
}
