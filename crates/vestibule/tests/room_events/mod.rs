//! The real program twice, with a waiting room in one Redis, and the one that tells others what happens in it killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use servers::{Postgres, Redis};

use crate::given::{Client, Running};
use crate::room_cluster::Line;

/// A gateway whose events go to a file that all of them write, one after the other.
fn document(postgres: &str, redis: &str, told: &Path) -> String {
    format!(
        "version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\nadmin: {{bind: \"127.0.0.1:0\"}}\nworkers: 1\n\
         store: {{postgres: \"{postgres}\", redis: \"{redis}\", folder: ./data}}\n\
         encryption: {{master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}\n\
         rooms: {{sale: {{event: Sample}}}}\ndiagnostics: {{format: json}}\n\
         room_events: {{told: {{to: {{file: {{path: {}}}}}, types: [visitor_joined]}}}}\n\
         apis: {{wait: {{match: {{path: /wait}}, policies: [{{waiting-room-api: {{room: sale}}}}]}}}}\n",
        told.display()
    )
}

/// What was told: how often, by ids of events, and the visitors in the order in which they were told first.
fn told(file: &PathBuf) -> (BTreeMap<String, usize>, Vec<String>) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let (mut times, mut visitors) = (BTreeMap::new(), Vec::new());
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let count = times.entry(event.get("id").and_then(Value::as_str).unwrap().to_owned()).or_insert(0);
        if *count == 0 {
            visitors.push(event.pointer("/data/request_id").and_then(Value::as_str).unwrap().to_owned());
        }
        *count += 1;
    }
    (times, visitors)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it never came true that {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Whether this node tells others.
fn tells(node: &Running) -> bool {
    let metrics = Client::new(node.admin.parse().unwrap(), false).get("/metrics").unwrap();
    let count =
        metrics.lines().find_map(|line| line.strip_prefix("vestibule_room_event_sink_events_total{sink=\"told\"} "));
    count.is_some_and(|count| count != "0")
}

#[test]
fn what_was_told_by_a_node_that_is_killed_is_gone_on_with_by_the_other_and_nothing_is_missing() {
    let (database, redis) = (Postgres::shared().database(), Redis::start());
    redis.set("appendfsync", "always");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told.jsonl");
    let document = document(&database.address(), &redis.address(), &file);
    let node = || Running::serving(tempfile::tempdir().unwrap(), document.clone());
    let mut nodes = vec![node(), node()];
    let mut joined = Vec::new();
    for _ in 0..3 {
        let mut lines: Vec<_> = nodes.iter().map(|node| Line::open(node.address)).collect();
        for number in 0..200 {
            joined.push(lines[number % 2].join().unwrap().unwrap());
            if number == 150 {
                wait_until("somebody tells", || nodes.iter().any(tells));
            }
        }
        drop(lines);
        // Dropped, it is killed, with events that nobody was told of.
        let dying = nodes.iter().position(tells).unwrap();
        drop(nodes.remove(dying));
        let mut line = Line::open(nodes[0].address);
        joined.push(line.join().unwrap().unwrap());
        wait_until("the other one goes on", || told(&file).1.len() == joined.len());
        nodes.push(node());
    }

    let (times, visitors) = told(&file);
    assert_eq!(visitors.iter().collect::<BTreeSet<_>>(), joined.iter().collect::<BTreeSet<_>>(), "nothing is missing");
    let again = times.values().filter(|times| **times > 1).count();
    assert!(again <= 3 * 500, "only what was not known to have come is told again: {again}");
    // In the order in which it happened: that of places.
    let mut line = Line::open(nodes[0].address);
    let places: Vec<_> = visitors.iter().map(|id| line.place(id).unwrap().unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
}
