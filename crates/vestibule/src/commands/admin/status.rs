//! `vestibule admin status`: how the gateway is.

use clap::Args;
use serde_json::Value;

use super::call::{Answer, Call};
use super::show;

/// Shows how the gateway is: its listeners, its backends, its journal, and which configuration serves.
#[derive(Args)]
pub(crate) struct Arguments {}

impl Arguments {
    #[expect(clippy::unused_self, reason = "every command becomes a call in the same way")]
    pub(crate) fn call(&self) -> Call {
        Call::get(&["status"], Answer::Special(shown))
    }
}

fn shown(status: &Value) -> String {
    let mut plain = status.clone();
    let mut taken =
        |name: &str| plain.as_object_mut().and_then(|members| members.shift_remove(name)).unwrap_or_default();
    let (listeners, upstreams, journal) = (taken("listeners"), taken("upstreams"), taken("journal"));
    let journal = journal.as_object().map(|journal| {
        let number = |name: &str| journal.get(name).and_then(Value::as_u64).unwrap_or_default();
        let (bytes, segments, failures) = (number("bytes"), number("segments"), number("failures"));
        format!("journal     {bytes} bytes in {segments} files, {failures} failures\n")
    });
    let targets: Vec<Value> = list(Some(&upstreams)).iter().flat_map(targets).collect();
    let sections = [
        show::record(&plain),
        journal.unwrap_or_default(),
        "\n".to_owned(),
        show::table(&["name", "address", "connections"], &listeners),
        "\n".to_owned(),
        show::table(&["upstream", "breaker", "url", "in_service", "in_flight"], &Value::Array(targets)),
    ];
    sections.concat()
}

/// The targets of an upstream, each with what is known of the upstream.
fn targets(upstream: &Value) -> Vec<Value> {
    let of = |target: &Value| {
        let mut target = target.clone();
        if let Some(members) = target.as_object_mut() {
            members.insert("upstream".to_owned(), upstream.get("name").cloned().unwrap_or_default());
            members.insert("breaker".to_owned(), upstream.get("breaker").cloned().unwrap_or_default());
        }
        target
    };
    list(upstream.get("targets")).iter().map(of).collect()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
