//! Every record is in the totals exactly once, whatever crashes.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, StatusCode};
use journal::{Journal, Settings, Writer};
use metering::{AggregateError, Aggregator, Meter, UsageRecord};
use parking_lot::Mutex;
use pipeline::{OnFinish, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::{Mode, OFlags};
use store::{Added, InMemoryTotals, Unavailable, UsageQuery, UsageRow, UsageSource, UsageTotals};
use tempfile::TempDir;

const HOUR: u64 = 3_600_000_000;

fn settings() -> Settings {
    Settings { segment: 8192, reserve: 1024, consumers: vec!["totals".to_owned()], ..Settings::default() }
}

fn record(n: u64) -> UsageRecord<'static> {
    UsageRecord {
        id: n.into(),
        at: n % 3 * HOUR,
        status: [200, 404, 0][usize::try_from(n % 3).unwrap()],
        complete: true,
        cost: 2,
        received: n,
        sent: 10 * n,
        took: 100,
        company: ["acme", "zeta", ""][usize::try_from(n % 5 % 3).unwrap()],
        app: "shop",
        product: "gold",
        api: "orders",
        method: "GET",
        template: "/{id}",
    }
}

fn append(writer: &mut Writer, n: u64) {
    let mut encoded = Vec::new();
    record(n).encode(&mut encoded);
    // The next segment is laid out by another thread.
    while writer.append(&encoded).is_err() {
        std::thread::yield_now();
    }
}

/// Waits for a state; it comes by the journal's own threads.
fn until(mut reached: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if reached() {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_micros(100));
    }
    panic!("it did not come to pass");
}

/// A store that fails at one step, before or after it did what was asked, or before it does it after all.
#[derive(Default)]
struct Fragile {
    totals: InMemoryTotals,
    left: Mutex<Option<usize>>,
    // What its caller gave up on.
    late: Mutex<Option<(Vec<UsageRow>, UsageSource)>>,
    // What happens while the store is asked how far a segment is counted.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Fragile {
    fn step(&self) -> Result<(), Unavailable> {
        let mut left = self.left.lock();
        match &mut *left {
            Some(0) => Err(Unavailable::because("the test said so")),
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A store that was too slow for its caller adds all the same, before it writes anything else.
    async fn add_what_is_late(&self) {
        let late = self.late.lock().take();
        if let Some((batch, source)) = late {
            self.totals.add(&batch, &source).await.unwrap();
        }
    }
}

#[async_trait]
impl UsageTotals for Fragile {
    async fn add(&self, batch: &[UsageRow], source: &UsageSource) -> Result<Added, Unavailable> {
        self.add_what_is_late().await;
        self.step()?;
        self.step().inspect_err(|_| *self.late.lock() = Some((batch.to_vec(), source.clone())))?;
        let added = self.totals.add(batch, source).await?;
        self.step()?;
        Ok(added)
    }

    async fn counted(&self, segment: &str) -> Result<u64, Unavailable> {
        if let Some(happens) = self.meanwhile.lock().take() {
            happens();
        }
        self.step()?;
        self.totals.counted(segment).await
    }

    async fn forget(&self, segments: &[String]) -> Result<(), Unavailable> {
        self.add_what_is_late().await;
        self.step()?;
        self.totals.forget(segments).await?;
        self.step()
    }

    async fn replace(&self, from: u32, rows: &[UsageRow], counted: &[(String, u64)]) -> Result<(), Unavailable> {
        self.totals.replace(from, rows, counted).await
    }

    async fn query(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, Unavailable> {
        self.totals.query(query).await
    }
}

async fn rows(totals: &Fragile) -> Vec<UsageRow> {
    let everything = UsageQuery { hours: 0..u32::MAX, limit: usize::MAX, ..UsageQuery::default() };
    totals.query(&everything).await.unwrap()
}

fn aggregator(journal: &Journal, totals: Arc<Fragile>) -> Aggregator {
    Aggregator::new(journal.consumer("totals").unwrap().unwrap(), totals)
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// So many requests end.
    Append(u8),
    /// A thread ends, and another begins.
    Seal,
    /// The aggregator runs, and crashes at this step of the store, if it comes so far.
    Round(Option<usize>),
    /// As above, and the aggregator lives on.
    Unavailable(usize),
    /// The process ends and another begins.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => any::<u8>().prop_map(Act::Append),
        1 => Just(Act::Seal),
        3 => proptest::option::of(0..12_usize).prop_map(Act::Round),
        1 => (0..12_usize).prop_map(Act::Unavailable),
        1 => Just(Act::Restart),
    ]
}

fn expected(count: u64) -> (u64, u64, u64, u64) {
    (count, 2 * count, (0..count).sum(), 10 * (0..count).sum::<u64>())
}

fn summed(rows: &[UsageRow]) -> (u64, u64, u64, u64) {
    rows.iter().fold((0, 0, 0, 0), |sum, row| {
        (sum.0 + row.requests, sum.1 + row.cost, sum.2 + row.bytes_in, sum.3 + row.bytes_out)
    })
}

async fn live(acts: Vec<Act>) -> (Vec<UsageRow>, u64) {
    let directory = TempDir::new().unwrap();
    let totals = Arc::new(Fragile::default());
    let mut opened = 1;
    let mut journal = Journal::open(directory.path(), settings(), opened).unwrap();
    let mut writer = journal.writer().unwrap();
    let mut running = aggregator(&journal, totals.clone());
    let mut count = 0;
    for act in acts {
        match act {
            Act::Append(n) => {
                (count..count + u64::from(n)).for_each(|n| append(&mut writer, n));
                count += u64::from(n);
            }
            Act::Seal => writer = journal.writer().unwrap(),
            Act::Round(steps) => {
                *totals.left.lock() = steps;
                if running.round().await.is_err() {
                    drop(running);
                    running = aggregator(&journal, totals.clone());
                }
            }
            Act::Unavailable(steps) => {
                *totals.left.lock() = Some(steps);
                drop(running.round().await);
            }
            Act::Restart => {
                drop((running, writer, journal));
                opened += 1;
                journal = Journal::open(directory.path(), settings(), opened).unwrap();
                writer = journal.writer().unwrap();
                running = aggregator(&journal, totals.clone());
            }
        }
    }
    *totals.left.lock() = None;
    running.round().await.unwrap();
    (rows(&totals).await, count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn totals_are_exactly_the_sum_of_the_records(acts in vec(act(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (rows, count) = runtime.block_on(live(acts));
        prop_assert_eq!(summed(&rows), expected(count));
    }
}

#[tokio::test]
async fn sums_are_kept_apart_by_hour_names_and_class_of_status() {
    let directory = TempDir::new().unwrap();
    let journal = Journal::open(directory.path(), settings(), 1).unwrap();
    let mut writer = journal.writer().unwrap();
    (0..30).for_each(|n| append(&mut writer, n));
    let totals = Arc::new(Fragile::default());

    aggregator(&journal, totals.clone()).round().await.unwrap();

    let rows = rows(&totals).await;
    assert_eq!(rows.len(), 9);
    assert!(rows.iter().all(|row| row.operation.as_ref() == "GET /{id}"));
    let row = rows.iter().find(|row| row.hour == 1 && row.company.as_ref() == "zeta").unwrap();
    assert_eq!((row.status_class, row.requests, row.cost), (4, 4, 8));
}

#[tokio::test]
async fn what_is_counted_is_let_go_and_then_forgotten() {
    let directory = TempDir::new().unwrap();
    let journal = Journal::open(directory.path(), settings(), 1).unwrap();
    let totals = Arc::new(Fragile::default());
    let mut aggregator = aggregator(&journal, totals.clone());

    append(&mut journal.writer().unwrap(), 1);
    let first = journal.segments().unwrap()[0];
    let mut n = 1;
    // Each round finishes a segment; those of earlier rounds are removed sooner or later.
    while journal.segments().unwrap().contains(&first) {
        aggregator.round().await.unwrap();
        // The keeper works beside this test: what it has removed by now may be forgotten.
        let is_known = totals.counted(&first.to_string()).await.unwrap() > 0;
        let is_removed = !journal.segments().unwrap().contains(&first);
        assert!(n == 1 || is_known || is_removed, "it could be read again");
        append(&mut journal.writer().unwrap(), n);
        n += 1;
    }
    aggregator.round().await.unwrap();

    assert_eq!(totals.counted(&first.to_string()).await.unwrap(), 0);
    assert_eq!(summed(&rows(&totals).await).0, n);
}

#[tokio::test]
async fn what_a_store_could_not_be_told_to_forget_it_is_told_again() {
    let directory = TempDir::new().unwrap();
    let journal = Journal::open(directory.path(), settings(), 1).unwrap();
    let totals = Arc::new(Fragile::default());
    let first = {
        append(&mut journal.writer().unwrap(), 1);
        journal.segments().unwrap()[0]
    };
    let mut reading = aggregator(&journal, totals.clone());
    reading.round().await.unwrap();
    until(|| !journal.segments().unwrap().contains(&first));

    // Two steps: the next segment, and what it holds; it fails where it would be told to forget the first.
    append(&mut journal.writer().unwrap(), 1);
    let mut failures = 0;
    for steps in 0.. {
        *totals.left.lock() = Some(steps);
        match reading.round().await {
            Ok(_) => break,
            Err(_) => failures += 1,
        }
        // Its process may end as well.
        drop(reading);
        reading = aggregator(&journal, totals.clone());
    }
    *totals.left.lock() = None;

    assert!(failures > 3, "it failed at each step");
    assert_eq!(totals.counted(&first.to_string()).await.unwrap(), 0);
    assert_eq!(summed(&rows(&totals).await).0, 2);
}

/// A journal with one record in the first segment, and a second segment that the writer has not come to.
fn two_segments(directory: &TempDir) -> (Journal, Writer, PathBuf) {
    let journal = Journal::open(directory.path(), settings(), 1).unwrap();
    let mut writer = journal.writer().unwrap();
    append(&mut writer, 0);
    until(|| journal.segments().unwrap().len() == 2);
    let second = directory.path().join(format!("{}.segment", journal.segments().unwrap()[1]));
    (journal, writer, second)
}

#[tokio::test]
async fn a_segment_that_its_writer_takes_back_after_it_was_listed_ends_no_round() {
    let directory = TempDir::new().unwrap();
    let (journal, writer, second) = two_segments(&directory);
    let totals = Arc::new(Fragile::default());
    let mut aggregator = aggregator(&journal, totals.clone());
    *totals.meanwhile.lock() = Some(Box::new(move || {
        drop(writer);
        until(|| !second.exists());
    }));

    let round = aggregator.round().await.unwrap();

    assert_eq!((round.records, round.finished), (1, 1));
}

#[tokio::test]
async fn a_segment_that_was_taken_back_is_not_held_open() {
    let directory = TempDir::new().unwrap();
    let (journal, writer, second) = two_segments(&directory);
    let mut aggregator = aggregator(&journal, Arc::new(Fragile::default()));
    aggregator.round().await.unwrap();

    // Its writer and the journal's threads let go of it.
    drop((writer, journal));
    aggregator.round().await.unwrap();

    assert_eq!(descriptors_of(&second.with_extension("segment (deleted)")), BTreeSet::new());
}

/// Where this process has the file of this name open.
fn descriptors_of(path: &Path) -> BTreeSet<RawFd> {
    let all = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let those = all.filter(|entry| fs::read_link(entry).is_ok_and(|opened| opened == path));
    those.map(|entry| entry.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

/// From now on the system refuses whatever is asked of the file that is open there.
#[expect(unsafe_code, reason = "a descriptor that somebody else owns is exchanged below it")]
fn break_descriptor(number: RawFd) {
    let useless = rustix::fs::open("/", OFlags::PATH, Mode::empty()).unwrap();
    // SAFETY: the descriptor is open, its owner lives on, and this one closes nothing.
    let mut theirs = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    rustix::io::dup2(&useless, &mut theirs).unwrap();
}

#[tokio::test]
async fn records_that_were_read_before_a_failure_count_once() {
    let directory = TempDir::new().unwrap();
    let (journal, mut writer, _) = two_segments(&directory);
    let first = directory.path().join(format!("{}.segment", journal.segments().unwrap()[0]));
    let totals = Arc::new(Fragile::default());
    let mut aggregator = aggregator(&journal, totals.clone());
    let others = descriptors_of(&first);
    aggregator.round().await.unwrap();
    append(&mut writer, 1);
    append(&mut writer, 2);

    // Behind the last record the lock says whether more will follow, and that cannot be asked.
    descriptors_of(&first).difference(&others).for_each(|number| break_descriptor(*number));
    assert!(matches!(aggregator.round().await, Err(AggregateError::Read(_))));
    aggregator.round().await.unwrap();

    assert_eq!(summed(&rows(&totals).await), expected(3));
}

#[tokio::test]
async fn a_batch_that_is_added_after_it_was_given_up_counts_once() {
    let directory = TempDir::new().unwrap();
    let (journal, mut writer, _) = two_segments(&directory);
    let totals = Arc::new(Fragile::default());
    let mut aggregator = aggregator(&journal, totals.clone());

    *totals.left.lock() = Some(2);
    aggregator.round().await.unwrap_err();
    assert!(totals.late.lock().is_some());
    *totals.left.lock() = None;
    // What is read again comes with more.
    append(&mut writer, 1);
    append(&mut writer, 2);
    let round = aggregator.round().await.unwrap();

    assert_eq!(summed(&rows(&totals).await), expected(3));
    assert_eq!(round.records, 2);
}

#[tokio::test]
async fn an_exchange_that_ended_is_in_the_totals() {
    let directory = TempDir::new().unwrap();
    let journal = Arc::new(Journal::open(directory.path(), settings(), 1).unwrap());
    let meter = Meter::new(journal.clone());
    let exchange = pipeline::tester::exchange(Request::get("/"));

    assert!(meter.has_room());
    meter.on_finish(&exchange, &Outcome { status: Some(StatusCode::OK), sent: 7, ..Outcome::default() });

    let totals = Arc::new(Fragile::default());
    assert_eq!(aggregator(&journal, totals.clone()).round().await.unwrap().records, 1);
    let rows = rows(&totals).await;
    assert_eq!((rows.len(), rows[0].requests, rows[0].bytes_out, rows[0].status_class), (1, 1, 7, 2));
    assert_eq!(meter.lost(), 0);
}
