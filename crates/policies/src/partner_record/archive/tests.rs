//! Nodes with one store, of which each asks a source of its own.

use futures::FutureExt;
use pipeline::Services;
use pipeline::tester::PolicyUnderTest;
use serde_json::json;
use store::InMemory;
use store::suite::leases::SetClock;

use super::super::PartnerRecord;
use super::super::tests::{Asked, acme, record_with};
use super::*;

const GOLD: &str = r#"{"tier":"gold"}"#;

#[derive(Clone)]
struct Nodes {
    registry: Arc<InMemory>,
    clock: SetClock,
    key: SealingKey,
}

struct Node {
    archive: Arc<Archive>,
    policy: PolicyUnderTest<PartnerRecord>,
    asked: Asked,
}

impl Nodes {
    fn new() -> Self {
        Self { registry: Arc::default(), clock: SetClock::default(), key: SealingKey::generate().unwrap() }
    }

    /// One that starts, and whose source answers like this.
    fn start(&self, status: u16, body: &'static str) -> Node {
        let archive = Arc::new(Archive::new(self.registry.clone(), self.key.clone(), self.clock.clock()));
        let services = Services::default().with(archive.clone());
        let (policy, asked) = record_with(status, body, &json!({ "ttl": "5m", "stale": "1h" }), services);
        Node { archive, policy, asked }
    }

    fn kept(&self) -> Vec<Stored> {
        self.registry.list(Listing::of(Kind::Record)).now_or_never().unwrap().unwrap()
    }
}

impl Node {
    fn write(&self) {
        self.archive.write().now_or_never().expect("memory never waits");
    }

    /// The tier of the caller's record.
    fn tier(&self) -> String {
        let passed = self.policy.request().called_by(acme()).passes();
        passed.record.unwrap().member("tier").unwrap().to_owned()
    }
}

#[test]
fn a_node_that_starts_while_the_source_is_down_serves_what_is_kept_as_long_as_it_may() {
    let nodes = Nodes::new();
    let before = nodes.start(200, GOLD);
    before.tier();
    before.write();

    for (passes, is_asked) in [(100, false), (500, true), (3000 - 1, true)] {
        nodes.clock.pass(Duration::from_secs(passes));
        let after = nodes.start(500, "");
        assert_eq!(after.tier(), "gold", "{passes}");
        assert_eq!(!after.asked.lock().is_empty(), is_asked, "as good as new is what is {passes} s old");
    }
    nodes.clock.pass(Duration::from_secs(302));
    nodes.start(500, "").policy.request().called_by(acme()).is_refused_with("record-unavailable");
}

#[test]
fn what_is_kept_is_nothing_to_those_who_read_the_store() {
    let nodes = Nodes::new();
    let node = nodes.start(200, GOLD);
    node.tier();
    node.write();
    let kept = nodes.kept();
    assert_eq!(kept.len(), 1);
    for plain in ["gold", "tier", "cme"] {
        assert!(!kept[0].row.body.contains(plain) && !kept[0].row.id.path().contains(plain), "{plain}");
    }

    let other = Nodes { key: SealingKey::generate().unwrap(), ..nodes };
    other.start(500, "").policy.request().called_by(acme()).is_refused_with("record-unavailable");
}

#[test]
fn a_record_that_is_gone_at_its_source_is_kept_no_more() {
    let nodes = Nodes::new();
    let node = nodes.start(200, GOLD);
    node.tier();
    node.write();
    nodes.clock.pass(Duration::from_mins(10));

    let other = nodes.start(404, "");
    other.policy.request().called_by(acme()).is_refused_with("record-unknown");
    other.write();

    assert_eq!(nodes.kept(), []);
}

#[test]
fn what_is_over_is_taken_out_of_the_store() {
    let nodes = Nodes::new();
    let node = nodes.start(200, GOLD);
    node.tier();
    node.write();
    nodes.clock.pass(Duration::from_mins(66));

    node.write();

    assert_eq!(nodes.kept(), []);
}

#[test]
fn what_nodes_write_at_once_is_kept_and_the_same_is_not_written_again() {
    let nodes = Nodes::new();
    let lead = r#"{"tier":"lead"}"#;
    let (one, two, three) = (nodes.start(200, GOLD), nodes.start(200, lead), nodes.start(200, lead));
    for node in [&one, &two, &three] {
        node.tier();
    }
    one.write();
    two.write();
    assert_eq!(nodes.start(500, "").tier(), "lead");

    let kept = nodes.kept();
    three.write();
    assert_eq!(nodes.kept(), kept);
}

#[test]
fn a_record_that_is_too_long_or_one_too_many_is_not_kept() {
    let nodes = Nodes::new();
    let long = format!(r#"{{"tier":"{}"}}"#, "x".repeat(LONGEST)).leak();
    let node = nodes.start(200, long);
    node.tier();
    node.write();
    assert_eq!(nodes.kept(), []);

    let full = nodes.start(200, GOLD);
    full.archive.sweep.try_lock().unwrap().count = MOST;
    full.tier();
    full.write();
    assert_eq!(nodes.kept(), []);
}
