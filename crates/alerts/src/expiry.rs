//! What ends soon, one thing for each owner.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use store::UnixMicros;

use crate::readings::Ending;
use crate::rules::Rule;
use crate::sight::{Sight, left};

/// What ends within `before`, gathered by owner; not what has ended long ago.
pub(crate) fn ending(rule: &Rule, endings: &[Ending], before: Duration, now: UnixMicros) -> Vec<Sight> {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let (until, since) = (now.0.saturating_add(micros(before)), now.0.saturating_sub(micros(PASSED)));
    let mut owners: BTreeMap<&str, Vec<&Ending>> = BTreeMap::new();
    for ending in endings.iter().filter(|ending| (since..until).contains(&ending.at.0)) {
        owners.entry(&ending.owner).or_default().push(ending);
    }
    if OWNERS < owners.len() {
        return vec![many(rule, &owners)];
    }
    let sights = owners.into_iter().filter_map(|(owner, mut endings)| {
        endings.sort_by_key(|ending| ending.at);
        let first = *endings.first()?;
        let others = match endings.len() - 1 {
            0 => String::new(),
            1 => ", and another one".to_owned(),
            others => format!(", and {others} others"),
        };
        let day = Timestamp::from_microsecond(i64::try_from(first.at.0).ok()?).ok()?.strftime("%Y-%m-%dT%H:%M:%SZ");
        let summary = if now < first.at {
            format!("{} of {owner} ends in {}, at {day}{others}", first.what, left(first.at, now))
        } else {
            format!("{} of {owner} ended at {day}{others}", first.what)
        };
        let sight = Sight::new(rule, &[("owner", owner)], summary);
        let is_near = first.at.0.saturating_sub(now.0) < micros(before) / 7;
        Some(if is_near { sight } else { sight.warning() })
    });
    sights.collect()
}

/// So many owners are one thing, so that there is room for others.
fn many(rule: &Rule, owners: &BTreeMap<&str, Vec<&Ending>>) -> Sight {
    let count: usize = owners.values().map(Vec::len).sum();
    let first = owners.values().flatten().min_by_key(|ending| ending.at);
    let first = first.map(|first| format!("; the first one is {} of {}", first.what, first.owner)).unwrap_or_default();
    Sight::new(rule, &[("owner", "many")], format!("{count} of {} owners end soon{first}", owners.len())).warning()
}

/// Owners that have an alert each.
const OWNERS: usize = 20;

/// For so long after its end something is still an alert.
const PASSED: Duration = Duration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::tests::compiled;

    #[test]
    fn what_ends_of_very_many_owners_is_one_thing() {
        let rules = compiled(&json!({ "rules": [{ "key-expiry": {} }] })).unwrap();
        let rule = rules.named("key-expiry").unwrap();
        let of = |owners: u64| {
            let one = |number| Ending {
                owner: format!("app {number}"),
                what: "key k".to_owned(),
                at: UnixMicros(5_000_000 + number),
            };
            let endings: Vec<_> = (0..owners).map(one).collect();
            ending(rule, &endings, Duration::from_hours(24), UnixMicros(1))
        };
        assert_eq!(of(20).len(), 20);
        let [many] = &*of(21) else { panic!() };
        assert_eq!(many.summary, "21 of 21 owners end soon; the first one is key k of app 0");
    }
}
