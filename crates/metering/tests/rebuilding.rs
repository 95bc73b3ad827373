//! Totals are what the records of the journal come to, however often they are made anew.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use journal::{Journal, Settings};
use metering::{Aggregator, Rebuilt, UsageRecord};
use store::{InMemoryTotals, UsageQuery, UsageRow, UsageTotals};
use tempfile::TempDir;

const HOUR: u64 = 3_600_000_000;

/// A journal that lets nothing go: nobody is the second consumer.
fn journal(directory: &Path) -> Journal {
    let consumers = vec!["totals".to_owned(), "kept".to_owned()];
    Journal::open(directory, Settings { segment: 8192, reserve: 1024, consumers, ..Settings::default() }, 1).unwrap()
}

/// Writes a record an hour, by a writer of its own each, so that there are many segments.
fn write(journal: &Journal, hours: std::ops::Range<u64>) {
    for hour in hours {
        let mut record = Vec::new();
        UsageRecord {
            id: hour.into(),
            at: hour * HOUR,
            status: 200,
            complete: true,
            cost: 2,
            received: 3,
            sent: 4,
            took: 5,
            company: "acme",
            app: "shop",
            product: "gold",
            api: "orders",
            method: "GET",
            template: "/",
        }
        .encode(&mut record);
        journal.writer().unwrap().append(&record).unwrap();
    }
}

async fn rows(totals: &InMemoryTotals) -> Vec<UsageRow> {
    let everything = UsageQuery { hours: 0..u32::MAX, limit: usize::MAX, ..UsageQuery::default() };
    totals.query(&everything).await.unwrap()
}

fn aggregator(journal: &Journal, totals: &Arc<InMemoryTotals>) -> Aggregator {
    Aggregator::new(journal.consumer("totals").unwrap().unwrap(), totals.clone())
}

#[tokio::test]
async fn records_that_are_read_once_more_change_nothing_however_often() {
    let directory = TempDir::new().unwrap();
    let journal = journal(directory.path());
    let totals = Arc::new(InMemoryTotals::default());
    let mut aggregator = aggregator(&journal, &totals);
    write(&journal, 0..6);
    aggregator.round().await.unwrap();
    let before = rows(&totals).await;

    for _ in 0..2 {
        let rebuilt = aggregator.rebuild(&journal, 0).await.unwrap();
        assert_eq!(rebuilt, Rebuilt { records: 6, rows: 6, changed: 0 });
        assert_eq!(rows(&totals).await, before);
    }
    assert_eq!(aggregator.round().await.unwrap().records, 0);

    write(&journal, 6..8);
    assert_eq!(aggregator.round().await.unwrap().records, 2);
    assert_eq!(rows(&totals).await.len(), 8);
}

#[tokio::test]
async fn what_was_not_added_up_yet_is_in_rebuilt_totals_and_not_added_again() {
    let directory = TempDir::new().unwrap();
    let journal = journal(directory.path());
    let totals = Arc::new(InMemoryTotals::default());
    let mut aggregator = aggregator(&journal, &totals);
    write(&journal, 0..3);

    assert_eq!(aggregator.rebuild(&journal, 0).await.unwrap(), Rebuilt { records: 3, rows: 3, changed: 3 });

    assert_eq!(aggregator.round().await.unwrap().records, 0);
    assert_eq!(rows(&totals).await.iter().map(|row| row.requests).sum::<u64>(), 3);
}

#[tokio::test]
async fn wrong_totals_are_right_again_from_the_hour_on_that_the_journal_is_whole() {
    let directory = TempDir::new().unwrap();
    let journal = journal(directory.path());
    let totals = Arc::new(InMemoryTotals::default());
    let mut aggregator = aggregator(&journal, &totals);
    write(&journal, 0..4);
    aggregator.round().await.unwrap();
    let right = rows(&totals).await;
    let wrong: Vec<_> = right.iter().map(|row| UsageRow { requests: row.requests + 7, ..row.clone() }).collect();
    totals.replace(0, &wrong, &[]).await.unwrap();

    assert_eq!(aggregator.rebuild(&journal, 2).await.unwrap(), Rebuilt { records: 4, rows: 2, changed: 2 });

    let (early, late) = (0..2, 2..4);
    let now = rows(&totals).await;
    assert_eq!(now.get(early.clone()), wrong.get(early));
    assert_eq!(now.get(late.clone()), right.get(late));
}
