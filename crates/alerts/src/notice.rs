//! What a receiver is told of an alert, in the form that it reads.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use store::{Alert, AlertLevel, AlertStage, UnixMicros, hex};

use crate::shown::{ShownAlert, text};

/// What a receiver is told of an alert.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The alert as it was when it was to be told.
    pub alert: Alert,
    /// What is told of it.
    pub stage: AlertStage,
    /// The same each time that the same is told.
    pub id: String,
}

/// A project of Sentry, by its DSN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dsn {
    /// The public key.
    pub key: String,
    /// Where envelopes are posted.
    pub envelopes: String,
}

impl Notice {
    /// What a receiver is told now.
    pub fn new(alert: &Alert, receiver: &str, stage: AlertStage) -> Self {
        let Alert { id, since, told, .. } = alert;
        let nth = match stage {
            AlertStage::Opened | AlertStage::Resolved => String::new(),
            // That it is open still is told more than once.
            AlertStage::Reminded => format!("-{}", told.get(receiver).map_or(0, |told| told.at.0)),
        };
        Self { alert: alert.clone(), stage, id: format!("alt_{id}-{}-{stage}{nth}", since.0) }
    }

    /// What kind of event it is: `alert.opened`.
    pub fn kind(&self) -> String {
        format!("alert.{}", self.stage)
    }

    /// Everything there is to say.
    pub fn data(&self) -> Value {
        // Nobody needs to know what others were told.
        let mut data = serde_json::to_value(ShownAlert::from(self.alert.clone())).unwrap_or_default();
        if let Some(members) = data.as_object_mut() {
            members.remove("told");
        }
        data
    }

    /// One mail that says all of these: its subject, and its text.
    pub fn mail(notices: &[Self], now: UnixMicros) -> (String, String) {
        let subject = match notices {
            [only] => format!("[vestibule] {}: {}", only.word(), only.alert.summary),
            several => {
                let open = several.iter().filter(|notice| notice.alert.over.is_none()).count();
                format!("[vestibule] {open} open, {} over: {}", several.len() - open, several_summaries(several))
            }
        };
        let mut body = String::new();
        for notice in notices {
            notice.write(&mut body, now);
        }
        let subject: String = subject.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        (subject.chars().take(SUBJECT).collect(), body)
    }

    fn word(&self) -> &'static str {
        match (self.stage, self.alert.level) {
            (AlertStage::Resolved, _) => "over",
            (AlertStage::Reminded, _) => "open still",
            (AlertStage::Opened, AlertLevel::Error) => "error",
            (AlertStage::Opened, AlertLevel::Warning) => "warning",
        }
    }

    fn write(&self, body: &mut String, now: UnixMicros) {
        let Alert { id, rule, summary, advice, since, seen, count, example, nodes, times, .. } = &self.alert;
        let mut line = |name: &str, value: &str| {
            // A text in memory takes everything.
            writeln!(body, "{name:<10}{value}").ok();
        };
        line(&self.word().to_uppercase(), "");
        line("what", summary);
        line("since", &text(*since));
        match self.alert.over {
            Some(over) => line("over", &text(over)),
            None => line("seen", &format!("{} ({} ago)", text(*seen), ago(*seen, now))),
        }
        line("count", &count.to_string());
        if 1 < *times {
            line("opened", &format!("{times} times, first at {}", text(self.alert.first)));
        }
        if let Some(example) = example {
            line("example", &format!("{example} (`id` in access logs, `x-request-id` of problems)"));
        }
        line("nodes", &nodes.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
        line("rule", rule);
        if self.stage != AlertStage::Resolved {
            line("to do", advice);
            line("silence", &format!("vestibule admin alert silence --alert {id} --for 4h --reason '...'"));
        }
        line("", "");
    }

    /// An envelope for Sentry, which has no word for what is over: then there is none.
    pub fn envelope(&self, environment: &str, node: &str, now: UnixMicros) -> Option<String> {
        let level = match (self.stage, self.alert.level) {
            (AlertStage::Resolved, _) => return None,
            (_, AlertLevel::Error) => "error",
            (_, AlertLevel::Warning) => "warning",
        };
        let hash = digest(&SHA256, self.id.as_bytes());
        let event_id = hex(hash.as_ref().get(..16).unwrap_or_default());
        let Alert { id, rule, kind, summary, advice, labels, since, count, example, nodes, .. } = &self.alert;
        let mut tags = json!({ "rule": rule, "kind": kind, "stage": self.stage });
        if let Some(tags) = tags.as_object_mut() {
            tags.extend(labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        }
        let event = json!({
            "event_id": event_id,
            "timestamp": text(now),
            "platform": "other",
            "logger": "vestibule.alerts",
            "level": level,
            "server_name": node,
            "release": concat!("vestibule@", env!("CARGO_PKG_VERSION")),
            "environment": environment,
            "message": { "formatted": summary },
            // One issue for each alert, however often it is told.
            "fingerprint": ["vestibule", id],
            "tags": tags,
            "extra": {
                "since": text(*since), "count": count, "example": example, "advice": advice,
                "nodes": nodes.keys().collect::<Vec<_>>(),
            },
        })
        .to_string();
        let head = json!({ "event_id": event_id, "sent_at": text(now) });
        let item = json!({ "type": "event", "content_type": "application/json", "length": event.len() });
        Some(format!("{head}\n{item}\n{event}\n"))
    }
}

impl Dsn {
    /// Reads one, or says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let form = "write the DSN of the project, such as `https://KEY@sentry.example/4`";
        let wrong = |what: &str| format!("{what}: {form}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
        if !matches!(scheme, "https" | "http") {
            return Err(wrong("is of another scheme than https"));
        }
        let (keys, rest) = rest.split_once('@').ok_or_else(|| wrong("has no key"))?;
        // Older ones have a secret behind the key, which nobody asks for any more.
        let key = keys.split(':').next().unwrap_or_default();
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let (place, project) = rest.rsplit_once('/').ok_or_else(|| wrong("names no project"))?;
        let is_project = !project.is_empty() && project.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_key || !is_project || place.is_empty() || place.starts_with('/') {
            return Err(wrong("has no key, no host or no project"));
        }
        let (host, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Self { key: key.to_owned(), envelopes: format!("{scheme}://{host}{prefix}/api/{project}/envelope/") })
    }

    /// What says who sends envelopes.
    pub fn authorization(&self) -> String {
        const CLIENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));
        format!("Sentry sentry_version=7, sentry_client={CLIENT}, sentry_key={}", self.key)
    }
}

fn several_summaries(notices: &[Notice]) -> String {
    notices.iter().map(|notice| notice.alert.summary.as_str()).collect::<Vec<_>>().join("; ")
}

/// How long ago, as text for people.
fn ago(at: UnixMicros, now: UnixMicros) -> String {
    match now.0.saturating_sub(at.0) / 1_000_000 {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

/// Letters of a subject.
const SUBJECT: usize = 180;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{note, opened};
    use crate::rules::tests::compiled;

    const NOW: UnixMicros = UnixMicros(1_767_225_600_000_000);

    fn alert() -> Alert {
        let rules = compiled(&json!({ "rules": [{ "job": {} }] })).unwrap();
        let sight = crate::job_trouble(rules.named("job").unwrap(), "nightly", "failed: the upstream answered 500");
        let mut alert = opened(&sight, "node-a", NOW).unwrap();
        alert.example = Some("0af7".to_owned());
        alert
    }

    #[test]
    fn a_notice_says_what_since_when_how_often_by_which_example_and_what_to_do() {
        let notice = Notice::new(&alert(), "ops", AlertStage::Opened);
        let (subject, body) = Notice::mail(std::slice::from_ref(&notice), UnixMicros(NOW.0 + 61_000_000));
        assert_eq!(subject, "[vestibule] error: job `nightly` failed: the upstream answered 500");
        for part in [
            "what      job `nightly` failed: the upstream answered 500\n",
            "since     2026-01-01T00:00:00Z\n",
            "seen      2026-01-01T00:00:00Z (61s ago)\n",
            "count     1\n",
            "example   0af7 (",
            "nodes     node-a\n",
            "to do     `vestibule admin job runs NAME`",
        ] {
            assert!(body.contains(part), "{part}: {body}");
        }
        let data = notice.data();
        assert_eq!(
            (&data["state"], &data["labels"]["job"], data.get("told")),
            (&json!("open"), &json!("nightly"), None)
        );
    }

    #[test]
    fn several_notices_are_one_mail() {
        let (one, mut over) = (alert(), alert());
        over.over = Some(NOW);
        over.summary = "disk\nis full".to_owned();
        let notices = [Notice::new(&one, "ops", AlertStage::Opened), Notice::new(&over, "ops", AlertStage::Resolved)];
        let (subject, body) = Notice::mail(&notices, NOW);
        assert!(subject.starts_with("[vestibule] 1 open, 1 over: job `nightly` failed") && !subject.contains('\n'));
        assert_eq!(body.matches("what  ").count(), 2);
    }

    #[test]
    fn the_same_notice_has_the_same_id_and_the_next_one_another() {
        let mut alert = alert();
        let id = |alert: &Alert, stage| Notice::new(alert, "ops", stage).id;
        let (opened, reminded) = (id(&alert, AlertStage::Opened), id(&alert, AlertStage::Reminded));
        assert_eq!(opened, id(&alert, AlertStage::Opened));
        assert_ne!(opened, reminded);
        note(&mut alert, "ops", Ok(AlertStage::Reminded), UnixMicros(NOW.0 + 1));
        assert_ne!(reminded, id(&alert, AlertStage::Reminded));
        note(&mut alert, "ops", Err("no answer".to_owned()), UnixMicros(NOW.0 + 2));
        assert!(id(&alert, AlertStage::Reminded).ends_with("0001"));
    }

    #[test]
    fn an_envelope_has_the_length_of_its_event() {
        let envelope = Notice::new(&alert(), "ops", AlertStage::Opened).envelope("test", "node-a", NOW).unwrap();
        let lines: Vec<_> = envelope.lines().collect();
        let [head, item, event] = *lines else { panic!("{envelope}") };
        let [head, item, said] = [head, item, event].map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert_eq!(item["length"], event.len());
        assert_eq!((&head["event_id"], &said["level"]), (&said["event_id"], &json!("error")));
        assert_eq!(head["event_id"].as_str().unwrap().len(), 32);
        assert_eq!((&said["tags"]["job"], &said["environment"]), (&json!("nightly"), &json!("test")));
        assert!(Notice::new(&alert(), "ops", AlertStage::Resolved).envelope("test", "node-a", NOW).is_none());
    }

    #[test]
    fn a_dsn_says_where_envelopes_go() {
        let read = |text| Dsn::read(text).map(|dsn| (dsn.key, dsn.envelopes));
        let expected = |key: &str, url: &str| Ok((key.to_owned(), url.to_owned()));
        assert_eq!(
            read("https://abc@o1.sentry.example/4"),
            expected("abc", "https://o1.sentry.example/api/4/envelope/")
        );
        assert_eq!(read("http://abc:def@h:9000/in/here/5"), expected("abc", "http://h:9000/in/here/api/5/envelope/"));
        for wrong in ["", "abc@h/4", "https://h/4", "https://abc@h", "https://abc@/4", "https://@h/4", "ftp://a@h/4"] {
            assert!(Dsn::read(wrong).unwrap_err().ends_with("such as `https://KEY@sentry.example/4`"), "{wrong}");
        }
    }
}
