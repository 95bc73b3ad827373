//! What running jobs promises, also with several processes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::FutureExt;
use serde_json::{Value, json};
use store::{InMemory, UnixMicros};

use super::*;

const MINUTE: u64 = 60_000_000;
/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600_000_000;

/// Several processes that share a registry and a clock.
struct Nodes {
    registry: Arc<InMemory>,
    time: Arc<AtomicU64>,
}

struct Process {
    jobs: Arc<Jobs>,
    tasks: JoinSet<()>,
}

/// Counts how often it was asked to do something, and does it, fails, or never comes to an end.
#[derive(Default)]
struct Counting {
    times: AtomicUsize,
    failures: AtomicUsize,
    hangs: bool,
}

impl Does for Counting {
    fn work(&self, _: Arc<Job>, _: Run) -> BoxFuture<'static, Result<String, String>> {
        let nth = self.times.fetch_add(1, Ordering::SeqCst);
        if self.hangs {
            return std::future::pending().boxed();
        }
        let fails = nth < self.failures.load(Ordering::SeqCst);
        std::future::ready(if fails { Err("it does not work".to_owned()) } else { Ok("it works".to_owned()) }).boxed()
    }
}

impl Nodes {
    fn new() -> Self {
        Self { registry: Arc::default(), time: Arc::new(AtomicU64::new(START)) }
    }

    fn process(&self, name: &str, settings: &Value) -> Process {
        let time = self.time.clone();
        let clock: Clock = Arc::new(move || UnixMicros(time.load(Ordering::SeqCst)));
        let mut written = json!({ "at": "*/10 * * * *", "run": { "rotate-data-key": {} } });
        written.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let document = json!({
            "version": 1, "listeners": {}, "store": { "embedded": "data" }, "jobs": { "tidy": written },
            "alerts": { "rules": [{ "job": {} }], "usual": "off" },
        });
        let document = serde_json::from_value(document).unwrap();
        let alerts = Arc::new(Alerts::new(self.registry.clone(), name.to_owned(), clock.clone()));
        alerts.set(::alerts::compile(&document, &|_| false).unwrap(), BTreeMap::new());
        let jobs = Jobs::new(self.registry.clone(), name.to_owned(), alerts, clock);
        jobs.set(::jobs::compile(&document, &|_| false).unwrap());
        Process { jobs: Arc::new(jobs), tasks: JoinSet::new() }
    }

    fn at(&self, minutes: u64) {
        self.time.store(START + minutes * MINUTE, Ordering::SeqCst);
    }
}

impl Process {
    async fn round(&mut self, does: &Arc<Counting>) {
        let does: Arc<dyn Does> = does.clone();
        self.jobs.round(&does, &mut self.tasks).await;
    }

    /// Until everything that it runs is over.
    async fn rest(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    async fn history(&self) -> Vec<(RunState, u32, Option<String>)> {
        let runs = self.jobs.runs(&"tidy".parse().unwrap(), None, 1000).await.unwrap();
        runs.into_iter().map(|run| (run.state, run.times, run.said)).collect()
    }

    /// What is wrong with jobs, as its alerts have it.
    async fn alerts(&self) -> Vec<String> {
        self.jobs.alerts.observe(::alerts::Readings::default()).await;
        self.jobs.alerts.list(true).await.unwrap().into_iter().map(|alert| alert.summary).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_one_processs_however_many_look_at_once() {
    let (nodes, does) = (Nodes::new(), Arc::new(Counting::default()));
    let mut processes: Vec<_> = ["a", "b", "c"].map(|name| nodes.process(name, &json!({}))).into();
    for minutes in [0, 10, 20, 30] {
        nodes.at(minutes);
        futures::future::join_all(processes.iter_mut().map(|process| process.round(&does))).await;
        for process in &mut processes {
            process.rest().await;
        }
    }

    assert_eq!(does.times.load(Ordering::SeqCst), 3);
    assert_eq!(processes[1].history().await, vec![(RunState::Done, 1, Some("it works".to_owned())); 3]);
    assert!(processes[0].alerts().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_nobody_was_there_is_reported_and_made_up_for() {
    let (nodes, does) = (Nodes::new(), Arc::new(Counting::default()));
    nodes.process("a", &json!({})).round(&does).await;

    nodes.at(45);
    let mut later = nodes.process("b", &json!({}));
    later.round(&does).await;

    later.rest().await;
    assert_eq!(later.history().await, [(RunState::Missed, 4, None), (RunState::Done, 4, Some("it works".to_owned()))]);
    assert_eq!(later.alerts().await, ["job `tidy` was not run when it was due, 4 times: no node was there"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_as_often_as_wanted_then_reported_and_over_when_it_works() {
    let (nodes, does) = (Nodes::new(), Arc::new(Counting::default()));
    does.failures.store(5, Ordering::SeqCst);
    let mut process = nodes.process("a", &json!({ "retries": 2 }));
    process.round(&does).await;
    nodes.at(10);
    process.round(&does).await;
    process.rest().await;

    assert_eq!(does.times.load(Ordering::SeqCst), 3);
    assert_eq!(process.history().await, [(RunState::Failed, 1, Some("it does not work".to_owned()))]);
    assert_eq!(process.alerts().await, ["job `tidy` failed: it does not work"]);

    nodes.at(20);
    process.round(&does).await;
    process.rest().await;
    assert_eq!(process.history().await[1], (RunState::Done, 1, Some("it works".to_owned())));
    assert_eq!(process.alerts().await.len(), 1, "it is over only after a while");
    nodes.at(26);
    process.jobs.alerts.round().await;
    assert!(process.alerts().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_process_is_gone_is_lost_and_run_by_another_one() {
    let (nodes, hangs) = (Nodes::new(), Arc::new(Counting { hangs: true, ..Counting::default() }));
    let mut gone = nodes.process("a", &json!({}));
    gone.round(&hangs).await;
    nodes.at(10);
    gone.round(&hangs).await;
    let (mut other, does) = (nodes.process("b", &json!({})), Arc::new(Counting::default()));
    other.round(&does).await;
    assert_eq!(does.times.load(Ordering::SeqCst), 0, "it is run elsewhere");

    drop(gone);
    nodes.at(11);
    other.round(&does).await;
    other.rest().await;

    let history = other.history().await;
    assert_eq!((history[0].0, history[0].2.as_deref()), (RunState::Lost, Some("a ended before it did")));
    assert_eq!((history[1].0, history.len(), does.times.load(Ordering::SeqCst)), (RunState::Done, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_lets_others_begin_at_once() {
    let (nodes, hangs) = (Nodes::new(), Arc::new(Counting { hangs: true, ..Counting::default() }));
    let mut ends = nodes.process("a", &json!({}));
    ends.round(&hangs).await;
    nodes.at(10);
    ends.round(&hangs).await;

    ends.jobs.let_go().await;
    nodes.time.fetch_add(1_000_000, Ordering::SeqCst);
    let (mut other, does) = (nodes.process("b", &json!({})), Arc::new(Counting::default()));
    other.round(&does).await;
    other.rest().await;

    assert_eq!(other.history().await.iter().map(|run| run.0).collect::<Vec<_>>(), [RunState::Lost, RunState::Done]);
}

#[tokio::test(start_paused = true)]
async fn a_long_run_stays_its_processs_and_a_time_that_comes_meanwhile_is_left_out() {
    let (nodes, hangs) = (Nodes::new(), Arc::new(Counting { hangs: true, ..Counting::default() }));
    let mut busy = nodes.process("a", &json!({}));
    busy.round(&hangs).await;
    nodes.at(10);
    busy.round(&hangs).await;
    // It says so every ten seconds.
    nodes.at(20);
    tokio::time::sleep(BEAT * 2).await;

    let (mut other, does) = (nodes.process("b", &json!({})), Arc::new(Counting::default()));
    other.round(&does).await;

    assert_eq!(does.times.load(Ordering::SeqCst), 0);
    assert_eq!(
        other.history().await.iter().map(|run| run.0).collect::<Vec<_>>(),
        [RunState::Running, RunState::Skipped]
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_is_run_now_for_whoever_wants_it_and_history_has_a_bound() {
    let (nodes, does) = (Nodes::new(), Arc::new(Counting::default()));
    let mut process = nodes.process("a", &json!({ "history": 3 }));
    let name: JobName = "tidy".parse().unwrap();
    for round in 0..6 {
        nodes.time.fetch_add(1_000_000, Ordering::SeqCst);
        let (_, state) = process.jobs.want(&name, "ann").await.unwrap();
        assert_eq!(state.unwrap().wish.as_deref(), Some("ann"), "{round}");
        process.round(&does).await;
        process.rest().await;
    }
    assert_eq!(does.times.load(Ordering::SeqCst), 6);
    let runs = process.jobs.runs(&name, None, 1000).await.unwrap();
    assert_eq!((runs.len(), runs[0].by.as_deref()), (3, Some("ann")));
    let nobody: JobName = "nobody".parse().unwrap();
    assert!(matches!(process.jobs.want(&nobody, "ann").await, Err(JobError::NoJob(_))));
    assert!(matches!(process.jobs.runs(&nobody, None, 1).await, Err(JobError::NoJob(_))));
}
