//! The shortcuts of the engine against "ask every rule about every value", on requests that nobody thought of.
//!
//! Requests are those of the regression tests of the OWASP Core Rule Set, with pieces of each exchanged, doubled, cut off
//! and encoded. `VESTIBULE_TEST_CRS` names its folder.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod folder;

use std::sync::Arc;

use ftw::{Head, Read, parse, raw, read, transact_with};
use waf::{Evaluation, Exclusions, Rules};

/// Numbers that look like chance and are the same in each run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

#[test]
fn the_same_rules_match_with_and_without_shortcuts() {
    let folder = folder::path();
    let levels = [1, 2, 4].map(|paranoia| folder::rules(&folder, paranoia));
    let excluded = excluded(&levels);
    let heads = heads(&folder);
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for round in 0..ROUNDS {
        let mut head = heads[chance.below(heads.len())].clone();
        let other = heads[chance.below(heads.len())].clone();
        for _ in 0..=chance.below(3) {
            mutate(&mut head, &other, &mut chance);
        }
        for rules in &levels {
            compare(rules, &head, &Exclusions::default(), round);
        }
        let one = &excluded[round % excluded.len()];
        compare(one.0, &head, &one.1, round);
    }
}

/// Exclusions that take away what levels of paranoia are decided by, and some that do not.
fn excluded<'a>(levels: &'a [Arc<Rules>]) -> Vec<(&'a Arc<Rules>, Exclusions)> {
    let of = |rules: &'a Arc<Rules>, written| {
        let mut exclusions = Exclusions::default();
        exclusions.add(rules, written).unwrap();
        (rules, exclusions)
    };
    let written = [
        "ruleRemoveById=942014",
        "ruleRemoveTargetById=1-999999;TX:detection_paranoia_level",
        "ruleRemoveById=942000-942999",
        "ruleRemoveById=901120-901125",
        "ruleRemoveTargetByTag=attack-sqli;ARGS:a",
    ];
    levels.iter().take(2).flat_map(|rules| written.map(|written| of(rules, written))).collect()
}

fn compare(rules: &Arc<Rules>, head: &Head, exclusions: &Exclusions, round: usize) {
    let [fast, plain] = [Evaluation::Fast, Evaluation::Plain]
        .map(|evaluation| transact_with(rules, head, evaluation, &|transaction| transaction.exclude(exclusions)));
    assert_eq!(fast.lines, plain.lines, "round {round}, {exclusions:?}: {head:?}");
    assert_eq!(fast.status, plain.status, "round {round}, {exclusions:?}: {head:?}");
}

fn heads(folder: &std::path::Path) -> Vec<Head> {
    let mut heads = Vec::new();
    for file in folder::files(folder) {
        let text = std::fs::read_to_string(file).unwrap();
        let Ok(tests) = read(&text) else { continue };
        for stage in tests.tests.iter().flat_map(|test| &test.stages) {
            if let Read::Request(head) = parse(&raw(&stage.input)) {
                heads.push(*head);
            }
        }
    }
    heads
}

/// Changes a request at one place.
fn mutate(head: &mut Head, other: &Head, chance: &mut Chance) {
    let place = match chance.below(4) {
        0 => &mut head.target,
        1 if !head.body.is_empty() => &mut head.body,
        _ if !head.headers.is_empty() => {
            let at = chance.below(head.headers.len());
            &mut head.headers[at].1
        }
        _ => &mut head.target,
    };
    let source = [&other.target, &other.body][chance.below(2)];
    let at = chance.below(place.len() + 1);
    match chance.below(6) {
        0 => {
            let from = chance.below(source.len() + 1);
            let length = chance.below(source.len() - from + 1);
            place.splice(at..at, source[from..from + length].iter().copied());
        }
        1 => place.truncate(at),
        2 => place.insert(at, u8::try_from(chance.below(256)).unwrap()),
        3 => {
            if let Some(byte) = place.get(at).copied() {
                place.splice(at..=at, format!("%{byte:02x}").into_bytes());
            }
        }
        4 => {
            let byte = place.get(at).copied();
            if let (Some(byte), Some(place)) = (byte, place.get_mut(at)) {
                *place = if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
            }
        }
        _ => {
            let tail = place[at..].to_vec();
            place.extend(tail.into_iter().take(200));
        }
    }
}

const ROUNDS: usize = 400;
