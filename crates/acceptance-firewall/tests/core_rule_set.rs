//! The regression tests of the OWASP Core Rule Set through a gateway, over sockets.
//!
//! `VESTIBULE_TEST_CRS` names a folder with `crs-setup.conf.example`, `rules` and `tests` in it, as a checkout of the rule set
//! has them (`tests` are its `tests/regression/tests`).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and its figure is wanted")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ftw::outside::{Log, Sent, send};
use testkit::{Gateway, Stub};

/// Tests whose request no rule can see, because the gateway refuses it before: status, test, reason.
const REFUSED_EARLIER: &str = include_str!("refused_earlier.txt");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_regression_test_passes_but_those_that_are_refused_before_any_rule() {
    let named = std::env::vars_os().find(|(name, _)| name == "VESTIBULE_TEST_CRS");
    let folder = named.map(|(_, value)| PathBuf::from(value)).expect("VESTIBULE_TEST_CRS must name the rule set");
    let backend = Stub::replying(|request| {
        let mut words = request.line().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        ftw::reflect(method.as_bytes(), target.as_bytes(), &request.body)
    })
    .await;
    let own = tempfile::TempDir::new().unwrap();
    std::fs::write(own.path().join("setup.conf"), ftw::setup()).unwrap();
    let gateway = Gateway::in_folder(own, &document(&folder, &backend)).await;

    let address = gateway.address();
    let files = files(&folder.join("tests"));
    let sent = tokio::task::spawn_blocking(move || {
        let mut ports = BTreeSet::new();
        let mut sent: Vec<Sent> = Vec::new();
        for file in files {
            let tests = ftw::read(&std::fs::read_to_string(&file).unwrap()).unwrap();
            sent.extend(send(address, &tests, &mut ports).unwrap());
        }
        sent
    });
    let sent = sent.await.unwrap();
    gateway.stop().await;
    let log = std::fs::read_to_string(gateway.folder().join("audit.log")).unwrap();

    told(&sent, &Log::read(&log));
}

/// Compares what failed with what must.
fn told(sent: &[Sent], log: &Log) {
    let mut tests: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
    for stage in sent {
        let failures = tests.entry((stage.rule, stage.test)).or_default();
        failures.extend(stage.failure(log).map(|failure| {
            format!("{:?} {} (log: {:?}; answer: {})", stage.status(), failure.what, failure.logged, stage.text())
        }));
    }
    let refused: BTreeMap<&str, u16> = REFUSED_EARLIER
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let status = words.next()?.parse().ok()?;
            Some((words.next()?, status))
        })
        .collect();
    let mut wrong = Vec::new();
    for ((rule, test), failures) in &tests {
        let refused = refused.get(format!("{rule}-{test}").as_str()).copied();
        let statuses: Vec<_> =
            sent.iter().filter(|stage| (stage.rule, stage.test) == (*rule, *test)).map(Sent::status).collect();
        match refused {
            Some(status) if statuses.contains(&Some(status)) && !failures.is_empty() => {}
            Some(status) => wrong.push(format!("{rule}-{test} must be refused with {status}: {statuses:?}")),
            None if failures.is_empty() => {}
            None => wrong.push(format!("{rule}-{test}: {}", failures.join("; "))),
        }
    }
    let passed = tests.values().filter(|failures| failures.is_empty()).count();
    println!("{passed} of {} tests pass through the gateway", tests.len());
    assert!(wrong.is_empty(), "{passed} of {} pass, and these are not as expected:\n{}", tests.len(), wrong.join("\n"));
    assert!(tests.len() >= 5082, "only {} tests were found", tests.len());
}

fn document(folder: &Path, backend: &Stub) -> String {
    let rules = serde_json::to_string(&[
        "setup.conf".to_owned(),
        folder.join("crs-setup.conf.example").display().to_string(),
        folder.join("rules/*.conf").display().to_string(),
    ]);
    format!(
        "upstreams: {{backend: {{targets: [\"http://{}\"]}}}}\nrequests: {{underscore_headers: keep, repeated_slashes: \
         keep}}\nlimits: {{head_bytes: 256KiB, uri_bytes: 128KiB, headers: 1000, connections_per_address: 60000}}\nlogs: \
         [{{file: {{path: audit.log, format: modsecurity}}}}]\napis:\n  all:\n    match: {{path: /}}\n    upstream: \
         backend\n    policies:\n      - waf: {{mode: detect, rules: {}}}\n",
        backend.address,
        rules.unwrap(),
    )
}

/// The test files, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for group in std::fs::read_dir(folder).unwrap() {
        let group = group.unwrap().path();
        if group.is_dir() {
            files.extend(std::fs::read_dir(group).unwrap().map(|file| file.unwrap().path()));
        }
    }
    files.sort();
    files
}
