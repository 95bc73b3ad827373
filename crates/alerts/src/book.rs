//! What becomes of an alert: seen by nodes, over, silenced, told.

use std::collections::BTreeMap;
use std::time::Duration;

use store::{Alert, AlertStage, Silence, SilenceId, ToldAlert, UnixMicros};

use crate::rules::Rules;
use crate::sight::{Scope, Sight, Verdict};

/// An alert that a node opens; nothing, if what it sees is well.
pub fn opened(sight: &Sight, node: &str, now: UnixMicros) -> Option<Alert> {
    let Verdict::Wrong(holds) = sight.verdict else { return None };
    let Sight { id, rule, kind, level, summary, advice, labels, count, example, .. } = sight.clone();
    Some(Alert {
        id,
        rule,
        kind: kind.to_owned(),
        level,
        summary,
        advice,
        labels,
        since: now,
        seen: now,
        count: count.max(1),
        example,
        nodes: [(node.to_owned(), after(now, holds))].into(),
        over: None,
        settled: false,
        times: 1,
        first: now,
        silence: None,
        told: BTreeMap::new(),
    })
}

/// Takes in what a node sees; answers whether that changes anything.
pub fn absorb(alert: &mut Alert, sight: &Sight, node: &str, calm: Duration, now: UnixMicros) -> bool {
    match sight.verdict {
        Verdict::Wrong(_) if alert.over.is_some() => {
            if let Some(again) = opened(sight, node, now) {
                *alert = Alert { times: alert.times.saturating_add(1), first: alert.first, ..again };
            }
            true
        }
        Verdict::Wrong(holds) => {
            alert.count = alert.count.saturating_add(sight.count);
            (alert.level, alert.seen) = (sight.level, now);
            alert.summary.clone_from(&sight.summary);
            alert.labels.clone_from(&sight.labels);
            if sight.example.is_some() {
                alert.example.clone_from(&sight.example);
            }
            if alert.nodes.len() < NODES || alert.nodes.contains_key(node) {
                let until = alert.nodes.entry(node.to_owned()).or_default();
                *until = after(now, holds).max(*until);
            }
            true
        }
        Verdict::Well(_) if alert.over.is_some() => false,
        Verdict::Well(scope) => {
            let mut is_changed = false;
            for (name, until) in &mut alert.nodes {
                let calm = after(now, calm);
                if (scope == Scope::Everywhere || name == node) && calm < *until {
                    (*until, is_changed) = (calm, true);
                }
            }
            is_changed
        }
    }
}

/// Closes an alert that no node sees any more; answers whether it does.
pub fn close_if_over(alert: &mut Alert, now: UnixMicros) -> bool {
    if alert.over.is_some() || alert.nodes.values().any(|until| now < *until) {
        return false;
    }
    alert.over = Some(now);
    true
}

/// The silence for which nobody is told of an alert, if there is one.
pub fn silenced(alert: &Alert, silences: &[Silence], now: UnixMicros) -> Option<SilenceId> {
    let is_meant = |silence: &&Silence| {
        now < silence.until
            && silence.alert.as_ref().is_none_or(|id| *id == alert.id)
            && silence.rule.as_ref().is_none_or(|rule| *rule == alert.rule)
            && silence.labels.iter().all(|(name, value)| alert.labels.get(name) == Some(value))
    };
    silences.iter().find(is_meant).map(|silence| silence.id.clone())
}

/// What a receiver is to be told of an alert now, unless it was told.
pub fn due(alert: &Alert, receiver: &str, rules: &Rules, now: UnixMicros) -> Option<AlertStage> {
    if !rules.named(&alert.rule).is_none_or(|rule| rule.tells(receiver)) {
        return None;
    }
    let told = alert.told.get(receiver);
    let stage = told.and_then(|told| told.stage);
    match (alert.over, stage) {
        (Some(_), Some(AlertStage::Resolved)) => None,
        // Who knows that it was open is told that it is over; who does not, only where nobody said to be quiet.
        (Some(_), Some(AlertStage::Opened | AlertStage::Reminded)) => Some(AlertStage::Resolved),
        (Some(_), None) => alert.silence.is_none().then_some(AlertStage::Resolved),
        (None, _) if alert.silence.is_some() => None,
        (None, None) => Some(AlertStage::Opened),
        (None, Some(_)) => {
            let told = told?;
            let is_worse = told.level < alert.level;
            let is_long_ago =
                !rules.remind.is_zero() && rules.remind.as_micros() <= u128::from(now.0.saturating_sub(told.at.0));
            (is_worse || is_long_ago).then_some(AlertStage::Reminded)
        }
    }
}

/// Notes that a receiver took a notice, or why it did not.
pub fn note(alert: &mut Alert, receiver: &str, taken: Result<AlertStage, String>, now: UnixMicros) {
    let level = alert.level;
    let none = || ToldAlert { stage: None, level, at: now, attempts: 0, error: None };
    let told = alert.told.entry(receiver.to_owned()).or_insert_with(none);
    match taken {
        Ok(stage) => *told = ToldAlert { stage: Some(stage), ..none() },
        Err(error) => {
            told.attempts = told.attempts.saturating_add(1);
            // Reminders count from what was taken, so that this time stays.
            if told.stage.is_none() {
                told.at = now;
            }
            told.error = Some(error);
        }
    }
}

/// How long to wait until a receiver is tried again that took nothing so many times: longer each time, up to an hour, and
/// not at the same time as others.
pub fn pause(attempts: u32, chance: u64) -> Duration {
    let seconds = 5_u64.saturating_mul(3_u64.saturating_pow(attempts.saturating_sub(1).min(12))).min(3600);
    Duration::from_millis(seconds * 1000 - seconds * (chance % 200))
}

fn after(now: UnixMicros, span: Duration) -> UnixMicros {
    UnixMicros(now.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
}

/// Nodes that an alert remembers.
const NODES: usize = 32;

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::AlertLevel;

    use super::*;
    use crate::rules::tests::compiled;

    const CALM: Duration = Duration::from_mins(1);

    fn at(minutes: u64) -> UnixMicros {
        UnixMicros(1_767_225_600_000_000 + minutes * 60_000_000)
    }

    fn rules() -> Rules {
        let to = json!({ "sentry": { "dsn": "https://k@s.example/1" } });
        compiled(&json!({
            "to": { "ops": to, "desk": to }, "remind": "1h",
            "rules": [{ "job": { "to": ["ops"] } }],
        }))
        .unwrap()
    }

    fn sight() -> Sight {
        crate::job_trouble(rules().named("job").unwrap(), "nightly", "failed: the upstream answered 500")
    }

    fn well(scope: Scope) -> Sight {
        Sight { verdict: Verdict::Well(scope), ..sight() }
    }

    #[test]
    fn what_several_nodes_see_is_one_alert_until_all_of_them_see_it_no_more() {
        let mut alert = opened(&sight(), "a", at(0)).unwrap();
        assert!(absorb(&mut alert, &sight(), "b", CALM, at(1)));
        assert_eq!((alert.count, alert.nodes.len(), alert.since, alert.seen), (2, 2, at(0), at(1)));

        assert!(absorb(&mut alert, &well(Scope::Here), "a", CALM, at(2)));
        assert!(!absorb(&mut alert, &well(Scope::Here), "a", CALM, at(2)));
        assert!(!close_if_over(&mut alert, at(4)));
        assert!(absorb(&mut alert, &well(Scope::Everywhere), "a", CALM, at(5)));
        assert!(!close_if_over(&mut alert, at(5)) && close_if_over(&mut alert, at(6)));
        assert!(!close_if_over(&mut alert, at(7)) && alert.over == Some(at(6)));
    }

    #[test]
    fn what_is_wrong_again_is_the_same_alert_once_more() {
        let mut alert = opened(&sight(), "a", at(0)).unwrap();
        note(&mut alert, "ops", Ok(AlertStage::Resolved), at(1));
        (alert.over, alert.settled) = (Some(at(1)), true);
        assert!(!absorb(&mut alert, &well(Scope::Here), "a", CALM, at(2)));

        assert!(absorb(&mut alert, &sight(), "b", CALM, at(9)));

        assert_eq!((alert.times, alert.since, alert.first, alert.count), (2, at(9), at(0), 1));
        assert!(alert.over.is_none() && !alert.settled && alert.told.is_empty());
    }

    #[test]
    fn a_receiver_is_told_that_it_opens_now_and_then_that_it_is_open_and_that_it_is_over() {
        let (rules, mut alert) = (rules(), opened(&sight(), "a", at(0)).unwrap());
        assert_eq!(due(&alert, "desk", &rules, at(0)), None);
        assert_eq!(due(&alert, "ops", &rules, at(0)), Some(AlertStage::Opened));
        note(&mut alert, "ops", Err("no answer".to_owned()), at(0));
        assert_eq!(due(&alert, "ops", &rules, at(1)), Some(AlertStage::Opened));
        assert_eq!((alert.told["ops"].attempts, alert.told["ops"].error.as_deref()), (1, Some("no answer")));
        note(&mut alert, "ops", Ok(AlertStage::Opened), at(1));
        assert_eq!(due(&alert, "ops", &rules, at(60)), None);
        assert_eq!(due(&alert, "ops", &rules, at(61)), Some(AlertStage::Reminded));
        note(&mut alert, "ops", Ok(AlertStage::Reminded), at(61));
        alert.over = Some(at(62));
        assert_eq!(due(&alert, "ops", &rules, at(62)), Some(AlertStage::Resolved));
        note(&mut alert, "ops", Ok(AlertStage::Resolved), at(62));
        assert_eq!(due(&alert, "ops", &rules, at(999)), None);
    }

    #[test]
    fn what_becomes_worse_is_told_at_once() {
        let mut alert = opened(&sight().warning(), "a", at(0)).unwrap();
        note(&mut alert, "ops", Ok(AlertStage::Opened), at(0));
        assert_eq!(due(&alert, "ops", &rules(), at(1)), None);
        absorb(&mut alert, &sight(), "a", CALM, at(1));
        assert_eq!((alert.level, due(&alert, "ops", &rules(), at(1))), (AlertLevel::Error, Some(AlertStage::Reminded)));
    }

    #[test]
    fn a_silence_is_for_what_it_names_and_as_long_as_it_lasts() {
        let alert = opened(&sight(), "a", at(0)).unwrap();
        let silence = |change: &dyn Fn(&mut Silence)| {
            let mut silence = Silence {
                id: SilenceId::at(at(0)),
                alert: None,
                rule: None,
                labels: BTreeMap::new(),
                reason: "moving".to_owned(),
                until: at(10),
                created: at(0),
            };
            change(&mut silence);
            silenced(&alert, &[silence], at(5)).is_some()
        };
        assert!(silence(&|_| {}));
        assert!(silence(&|silence| silence.rule = Some("job".to_owned())));
        assert!(silence(&|silence| silence.alert = Some(alert.id.clone())));
        assert!(silence(&|silence| drop(silence.labels.insert("job".to_owned(), "nightly".to_owned()))));
        assert!(!silence(&|silence| drop(silence.labels.insert("job".to_owned(), "other".to_owned()))));
        assert!(!silence(&|silence| silence.rule = Some("quota".to_owned())));
        assert!(!silence(&|silence| silence.until = at(5)));
    }

    #[test]
    fn nobody_is_told_during_a_silence_but_who_knows_of_it_learns_that_it_is_over() {
        let mut alert = opened(&sight(), "a", at(0)).unwrap();
        alert.silence = Some(SilenceId::at(at(0)));
        assert_eq!(due(&alert, "ops", &rules(), at(0)), None);
        alert.over = Some(at(1));
        assert_eq!(due(&alert, "ops", &rules(), at(1)), None);
        note(&mut alert, "ops", Ok(AlertStage::Opened), at(1));
        assert_eq!(due(&alert, "ops", &rules(), at(1)), Some(AlertStage::Resolved));
    }

    #[test]
    fn pauses_grow_up_to_an_hour() {
        assert_eq!([1, 2, 3, 6, 7, 99].map(|attempts| pause(attempts, 0).as_secs()), [5, 15, 45, 1215, 3600, 3600]);
        assert!(pause(1, 199) < pause(1, 0) && Duration::from_secs(4) <= pause(1, 199));
    }
}
