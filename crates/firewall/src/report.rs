//! What the audit log says of the rules: which match most, and which probably stop what is meant to pass.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

/// What is known of the rules from the audit log.
#[derive(Debug, Default)]
pub struct Report {
    records: u64,
    blocked: u64,
    rules: BTreeMap<u64, Rule>,
    /// Matches by place.
    places: BTreeMap<Key, Place>,
    /// The rules and targets that each client met: who meets many attacks.
    clients: HashMap<String, HashSet<(u64, String)>>,
}

#[derive(Debug, Default)]
struct Rule {
    message: String,
    matches: u64,
    clients: HashSet<String>,
}

/// A rule that matches values of one name in requests of one operation.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rule: u64,
    target: String,
    operation: String,
    api: String,
}

/// What is known of such a place.
#[derive(Debug, Default)]
struct Place {
    exchanges: u64,
    /// Those in which no other rule found anything.
    alone: u64,
    clients: HashSet<String>,
}

/// A place that is probably no attack.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Suspect {
    rule: u64,
    target: String,
    operation: String,
    api: String,
    exchanges: u64,
    clients: usize,
}

/// A record as far as it is needed.
#[derive(Deserialize)]
struct Line {
    client: String,
    action: String,
    api: String,
    operation: String,
    rules: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    id: u64,
    target: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    file: String,
}

impl Found {
    /// Whether the rule finds nothing itself, but looks at scores or tells of them: what the Core Rule Set marks so, and
    /// whatever looks at variables of rules other than captures.
    fn is_about_scores(&self) -> bool {
        let is_capture = |name: &str| name.len() == 1 && name.bytes().all(|byte| byte.is_ascii_digit());
        self.target.strip_prefix("TX").is_some_and(|name| !name.strip_prefix(':').is_some_and(is_capture))
            || self.tags.iter().any(|tag| SCORING_TAGS.contains(&tag.as_str()))
            || SCORING_FILES.iter().any(|file| self.file.ends_with(file))
    }
}

impl Report {
    /// Takes a line of the log. One that is no record of the firewall is passed over.
    pub fn take(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return };
        self.records += 1;
        self.blocked += u64::from(line.action != "detected");
        let found: Vec<&Found> = line.rules.iter().filter(|found| !found.is_about_scores()).collect();
        let distinct: HashSet<u64> = found.iter().map(|found| found.id).collect();
        let mut seen = HashSet::new();
        for found in &found {
            let rule = self.rules.entry(found.id).or_default();
            rule.matches += 1;
            remember(&mut rule.clients, &line.client);
            if rule.message.is_empty() {
                rule.message.clone_from(&found.message);
            }
            let met = self.clients.entry(line.client.clone()).or_default();
            if met.len() < MOST {
                met.insert((found.id, found.target.clone()));
            }
            if seen.insert((found.id, &found.target)) {
                let (target, operation) = (found.target.clone(), line.operation.clone());
                let key = Key { rule: found.id, target, operation, api: line.api.clone() };
                let place = self.places.entry(key).or_default();
                place.exchanges += 1;
                place.alone += u64::from(distinct.len() == 1);
                remember(&mut place.clients, &line.client);
            }
        }
    }

    /// Whether no record was found.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// For people: at most so many rules.
    pub fn text(&self, top: usize) -> String {
        let mut text = String::new();
        let mut put = |line: String| text.extend([line.as_str(), "\n"]);
        put(format!("{} records, {} blocked", self.records, self.blocked));
        put(String::new());
        put(format!("{:>9} {:>8}  rule", "matches", "clients"));
        for (id, rule) in self.top(top) {
            put(format!("{:>9} {:>8}  {id} {}", rule.matches, rule.clients.len(), rule.message));
        }
        let suspects = self.suspects();
        if suspects.is_empty() {
            put(String::new());
            put("nothing looks like a false positive".to_owned());
            return text;
        }
        put(String::new());
        put("probably no attacks: many clients, each of which met hardly anything else".to_owned());
        for suspect in suspects {
            put(String::new());
            put(format!(
                "  {} on {} in `{}` of API `{}`: {} exchanges, {} clients",
                suspect.rule, suspect.target, suspect.operation, suspect.api, suspect.exchanges, suspect.clients
            ));
            put("  exclusions:".to_owned());
            put(format!("    - {}", suspect.yaml()));
            put(format!("  or in SecLang: {}", suspect.seclang()));
        }
        text
    }

    /// For machines.
    pub fn as_json(&self, top: usize) -> Value {
        let rules: Vec<Value> = self
            .top(top)
            .into_iter()
            .map(|(id, rule)| {
                json!({ "id": id, "message": rule.message, "matches": rule.matches, "clients": rule.clients.len() })
            })
            .collect();
        let suspects: Vec<Value> = self
            .suspects()
            .iter()
            .map(|suspect| {
                json!({
                    "rule": suspect.rule, "target": suspect.target, "operation": suspect.operation, "api": suspect.api,
                    "exchanges": suspect.exchanges, "clients": suspect.clients, "exclusion": suspect.yaml(),
                    "seclang": suspect.seclang(),
                })
            })
            .collect();
        json!({ "records": self.records, "blocked": self.blocked, "rules": rules, "suspects": suspects })
    }

    fn top(&self, top: usize) -> Vec<(u64, &Rule)> {
        let mut rules: Vec<(u64, &Rule)> = self.rules.iter().map(|(id, rule)| (*id, rule)).collect();
        rules.sort_by_key(|(id, rule)| (std::cmp::Reverse(rule.matches), *id));
        rules.truncate(top);
        rules
    }

    /// Places that several clients met, most of whom met little else, and where mostly no other rule found anything: an
    /// attack is tried by few, who try much.
    fn suspects(&self) -> Vec<Suspect> {
        let mut suspects = Vec::new();
        for (key, place) in &self.places {
            let quiet =
                place.clients.iter().filter(|client| self.clients.get(*client).is_none_or(|met| met.len() <= QUIET));
            let is_suspect = place.clients.len() >= SEVERAL
                && quiet.count() * 10 >= place.clients.len() * 8
                && place.alone * 10 >= place.exchanges * 5;
            if is_suspect {
                suspects.push(Suspect {
                    rule: key.rule,
                    target: key.target.clone(),
                    operation: key.operation.clone(),
                    api: key.api.clone(),
                    exchanges: place.exchanges,
                    clients: place.clients.len(),
                });
            }
        }
        suspects.sort_by_key(|suspect| (std::cmp::Reverse(suspect.exchanges), suspect.rule));
        suspects.truncate(TOLD);
        suspects
    }
}

impl Suspect {
    /// The entry of `exclusions`.
    fn yaml(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let target = if self.has_target() { format!(", targets: [{}]", quoted(&self.target)) } else { String::new() };
        format!("{{rules: [{}]{target}, operations: [{}]}}", self.rule, quoted(&self.operation))
    }

    /// The directive, which holds for all operations.
    fn seclang(&self) -> String {
        if self.has_target() {
            format!("SecRuleUpdateTargetById {} \"!{}\"", self.rule, self.target)
        } else {
            format!("SecRuleRemoveById {}", self.rule)
        }
    }

    /// Whether the value has a name by which it can be excluded.
    fn has_target(&self) -> bool {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_:.-[]".contains(letter);
        // What a capture has in it says nothing of where it stood.
        self.target.contains(':') && !self.target.starts_with("TX:") && self.target.chars().all(is_plain)
    }
}

/// So many clients are told apart; more are many in any case.
fn remember(clients: &mut HashSet<String>, client: &str) {
    if clients.len() < MOST && !clients.contains(client) {
        clients.insert(client.to_owned());
    }
}

const MOST: usize = 10_000;
/// Clients that must have met a rule before it is a suspect.
const SEVERAL: usize = 3;
/// A client that met no more rules and targets than this is no scanner.
const QUIET: usize = 3;
const TOLD: usize = 50;

/// How the Core Rule Set tags rules that look at scores or tell of them, from version 4 on and before.
const SCORING_TAGS: [&str; 3] = ["anomaly-evaluation", "reporting", "event-correlation"];
/// The files that it has them in, for not all of them have such a tag.
const SCORING_FILES: [&str; 3] =
    ["REQUEST-949-BLOCKING-EVALUATION.conf", "RESPONSE-959-BLOCKING-EVALUATION.conf", "RESPONSE-980-CORRELATION.conf"];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(client: &str, operation: &str, rules: &[(u64, &str)]) -> Vec<u8> {
        line_of("shop", client, operation, rules)
    }

    fn line_of(api: &str, client: &str, operation: &str, rules: &[(u64, &str)]) -> Vec<u8> {
        let rules: Vec<Value> =
            rules.iter().map(|(id, target)| json!({"id": id, "target": target, "message": "m"})).collect();
        let record = json!({
            "client": client, "action": "request-blocked", "api": api, "operation": operation, "rules": rules,
        });
        record.to_string().into_bytes()
    }

    #[test]
    fn what_many_quiet_clients_meet_is_a_suspect_and_what_a_scanner_meets_is_none() {
        let mut report = Report::default();
        for client in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1"] {
            report.take(&line(client, "POST /reviews", &[(942_100, "ARGS:text"), (949_110, "TX:score")]));
        }
        for number in 0..20 {
            report.take(&line("192.0.2.9", "GET /", &[(941_100, &format!("ARGS:a{number}")), (930_100, "ARGS:b")]));
        }
        report.take(b"{\"time\": \"an access log\"}");

        let told = report.as_json(1);
        assert_eq!((&told["records"], &told["rules"][0]["id"]), (&24.into(), &930_100.into()));
        let suspects = told["suspects"].as_array().unwrap();
        assert_eq!(suspects.len(), 1, "{told}");
        assert_eq!(
            suspects[0]["exclusion"],
            "{rules: [942100], targets: ['ARGS:text'], operations: ['POST /reviews']}"
        );
        assert_eq!(suspects[0]["seclang"], "SecRuleUpdateTargetById 942100 \"!ARGS:text\"");
        assert!(report.text(5).contains("  exclusions:\n    - {rules: [942100]"), "what is printed is to be pasted");
    }

    #[test]
    fn a_value_without_a_plain_name_is_excluded_with_its_rule() {
        let mut report = Report::default();
        for client in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            report.take(&line(client, "GET /it's", &[(920_100, "REQUEST_LINE")]));
        }
        let told = report.as_json(1);
        assert_eq!(told["suspects"][0]["exclusion"], "{rules: [920100], operations: ['GET /it''s']}");
        assert_eq!(told["suspects"][0]["seclang"], "SecRuleRemoveById 920100");
    }

    #[test]
    fn rules_that_tell_of_scores_hide_no_suspect() {
        let rule = |id: u64, target: &str, tag: &str, file: &str| json!({"id": id, "target": target, "tags": [tag], "file": file});
        for telling in [
            rule(980_170, "UNIQUE_ID", "reporting", "/crs/rules/RESPONSE-980-CORRELATION.conf"),
            rule(980_130, "REMOTE_ADDR", "event-correlation", "a.conf"),
            rule(949_110, "UNIQUE_ID", "anomaly-evaluation", "a.conf"),
            rule(980_115, "UNIQUE_ID", "x", "/usr/share/modsecurity-crs/rules/RESPONSE-980-CORRELATION.conf"),
            rule(9, "TX:score", "x", "a.conf"),
        ] {
            let mut report = Report::default();
            for client in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
                let rules = json!([rule(920_480, "TX:1", "attack-protocol", "a.conf"), telling]);
                let record =
                    json!({"client": client, "action": "detected", "api": "a", "operation": "GET /", "rules": rules});
                report.take(record.to_string().as_bytes());
            }
            let told = report.as_json(5);
            assert_eq!(told["rules"].as_array().unwrap().len(), 1, "{told}");
            assert_eq!(told["suspects"][0]["exclusion"], "{rules: [920480], operations: ['GET /']}", "{told}");
        }
    }

    #[test]
    fn what_two_apis_met_is_told_of_each() {
        let mut report = Report::default();
        for (api, times) in [("shop", 2), ("blog", 1)] {
            for client in ["10.0.0.1", "10.0.0.2", "10.0.0.3"].repeat(times) {
                report.take(&line_of(api, client, "POST /", &[(942_100, "ARGS:text")]));
            }
        }
        let told = report.as_json(1);
        let suspects = told["suspects"].as_array().unwrap();
        let of =
            |suspect: &Value| (suspect["api"].as_str().unwrap().to_owned(), suspect["exchanges"].as_u64().unwrap());
        assert_eq!(suspects.iter().map(of).collect::<Vec<_>>(), [("shop".to_owned(), 6), ("blog".to_owned(), 3)]);
    }
}
