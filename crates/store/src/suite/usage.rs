//! What every [`UsageTotals`] has to do.

#![expect(missing_docs, reason = "the names are the promises")]

use crate::{Added, UsageQuery, UsageRow, UsageSource, UsageTotals};

fn row(company: &str, operation: &str, hour: u32) -> UsageRow {
    UsageRow {
        company: company.into(),
        app: "shop".into(),
        product: "gold".into(),
        api: "orders".into(),
        operation: operation.into(),
        hour,
        status_class: 2,
        requests: 1,
        cost: 2,
        bytes_in: 3,
        bytes_out: 4,
        latency_micros: 5,
    }
}

fn part(segment: &str, from: u64, offset: u64) -> UsageSource {
    UsageSource { segment: segment.to_owned(), from, offset }
}

fn everything() -> UsageQuery {
    UsageQuery { hours: 0..u32::MAX, limit: 99, ..UsageQuery::default() }
}

pub async fn sums_grow_by_what_is_added(totals: &dyn UsageTotals) {
    let refused = UsageRow { status_class: 4, ..row("acme", "GET /", 7) };
    let batch = [row("acme", "GET /", 7), refused.clone(), row("acme", "GET /", 7)];
    assert_eq!(totals.add(&batch, &part("n1/1", 0, 10)).await.unwrap(), Added::Now);
    assert_eq!(totals.add(&[row("acme", "GET /", 7)], &part("n1/1", 10, 20)).await.unwrap(), Added::Now);

    let sum =
        UsageRow { requests: 3, cost: 6, bytes_in: 9, bytes_out: 12, latency_micros: 15, ..row("acme", "GET /", 7) };
    assert_eq!(totals.query(&everything()).await.unwrap(), [sum, refused]);
}

pub async fn a_batch_counts_once_however_often_it_is_sent(totals: &dyn UsageTotals) {
    let batch = [row("acme", "GET /", 7)];
    assert_eq!(totals.counted("n1/1").await.unwrap(), 0);
    totals.add(&batch, &part("n1/1", 0, 10)).await.unwrap();

    assert_eq!(totals.add(&batch, &part("n1/1", 0, 10)).await.unwrap(), Added::Refused { counted: 10 });

    assert_eq!(totals.query(&everything()).await.unwrap(), batch);
    assert_eq!(totals.counted("n1/1").await.unwrap(), 10);
}

pub async fn a_batch_that_does_not_begin_where_the_last_one_ended_changes_nothing(totals: &dyn UsageTotals) {
    let batch = [row("acme", "GET /", 7)];
    assert_eq!(totals.add(&batch, &part("n1/1", 5, 10)).await.unwrap(), Added::Refused { counted: 0 });
    totals.add(&batch, &part("n1/1", 0, 10)).await.unwrap();

    for (from, offset) in [(0, 5), (0, 20), (5, 20), (15, 20)] {
        let added = totals.add(&batch, &part("n1/1", from, offset)).await.unwrap();
        assert_eq!(added, Added::Refused { counted: 10 }, "{from}..{offset}");
    }

    assert_eq!(totals.query(&everything()).await.unwrap(), batch);
    assert_eq!(totals.counted("n1/1").await.unwrap(), 10);
}

pub async fn segments_are_counted_apart(totals: &dyn UsageTotals) {
    let batch = [row("acme", "GET /", 7)];
    totals.add(&batch, &part("n1/1", 0, 10)).await.unwrap();

    assert_eq!(totals.add(&batch, &part("n2/1", 0, 10)).await.unwrap(), Added::Now);
    assert_eq!(totals.add(&[], &part("n1/2", 0, 3)).await.unwrap(), Added::Now);

    assert_eq!(totals.query(&everything()).await.unwrap().first().unwrap().requests, 2);
    assert_eq!(totals.counted("n1/2").await.unwrap(), 3);
}

pub async fn a_forgotten_segment_begins_again(totals: &dyn UsageTotals) {
    for segment in ["n1/1", "n1/2"] {
        totals.add(&[row("acme", "GET /", 7)], &part(segment, 0, 10)).await.unwrap();
    }

    totals.forget(&["n1/1".to_owned(), "n9/9".to_owned()]).await.unwrap();

    assert_eq!(totals.counted("n1/1").await.unwrap(), 0);
    assert_eq!(totals.counted("n1/2").await.unwrap(), 10);
    assert_eq!(totals.query(&everything()).await.unwrap().first().unwrap().requests, 2);
}

pub async fn a_query_narrows_by_each_name_and_hour(totals: &dyn UsageTotals) {
    let rows = [
        row("acme", "GET /", 7),
        UsageRow { app: "site".into(), ..row("acme", "GET /", 8) },
        UsageRow { product: "free".into(), ..row("acme", "GET /", 9) },
        UsageRow { api: "users".into(), ..row("acme", "GET /", 10) },
        row("zeta", "POST /", 11),
    ];
    totals.add(&rows, &part("n1/1", 0, 10)).await.unwrap();
    let some = |name: &str| Some(name.to_owned());
    let cases = [
        (everything(), vec![7, 8, 9, 10, 11]),
        (UsageQuery { hours: 8..10, ..everything() }, vec![8, 9]),
        (UsageQuery { company: some("acme"), ..everything() }, vec![7, 8, 9, 10]),
        (UsageQuery { app: some("site"), ..everything() }, vec![8]),
        (UsageQuery { product: some("free"), ..everything() }, vec![9]),
        (UsageQuery { api: some("users"), ..everything() }, vec![10]),
        (UsageQuery { operation: some("POST /"), ..everything() }, vec![11]),
        (UsageQuery { company: some("acme"), api: some("orders"), hours: 8..99, ..everything() }, vec![8, 9]),
        (UsageQuery { company: some("nobody"), ..everything() }, vec![]),
    ];
    for (query, hours) in cases {
        let answer = totals.query(&query).await.unwrap();
        assert_eq!(answer.iter().map(|row| row.hour).collect::<Vec<_>>(), hours, "{query:?}");
    }
}

pub async fn rows_come_by_hour_and_no_more_than_asked_for(totals: &dyn UsageTotals) {
    let rows = [row("zeta", "GET /", 7), row("acme", "GET /", 8), row("acme", "GET /", 7)];
    totals.add(&rows, &part("n1/1", 0, 10)).await.unwrap();

    let answer = totals.query(&UsageQuery { limit: 2, ..everything() }).await.unwrap();

    assert_eq!(answer, [row("acme", "GET /", 7), row("zeta", "GET /", 7)]);
}

pub async fn sums_are_replaced_from_an_hour_on(totals: &dyn UsageTotals) {
    let batch = [row("acme", "GET /", 7), row("acme", "GET /", 8), row("zeta", "GET /", 9)];
    totals.add(&batch, &part("n1/1", 0, 10)).await.unwrap();
    let rows = [row("acme", "GET /", 8), row("acme", "GET /", 10), row("acme", "GET /", 10)];
    let counted = [("n1/1".to_owned(), 30), ("n1/2".to_owned(), 5)];

    totals.replace(8, &rows, &counted).await.unwrap();

    let twice = UsageRow { requests: 2, cost: 4, bytes_in: 6, bytes_out: 8, latency_micros: 10, ..rows[1].clone() };
    let expected = [batch[0].clone(), rows[0].clone(), twice];
    assert_eq!(totals.query(&everything()).await.unwrap(), expected);
    assert_eq!((totals.counted("n1/1").await.unwrap(), totals.counted("n1/2").await.unwrap()), (30, 5));
    totals.replace(8, &[], &[]).await.unwrap();
    assert_eq!(totals.query(&everything()).await.unwrap(), expected[..1]);
    assert_eq!(totals.counted("n1/1").await.unwrap(), 30);
}

pub async fn large_numbers_are_kept(totals: &dyn UsageTotals) {
    let large = u64::from(u32::MAX) * 1_000_000;
    let row = UsageRow { bytes_out: large, latency_micros: large, ..row("acme", "GET /", u32::MAX - 1) };
    totals.add(std::slice::from_ref(&row), &part("n1/1", 0, large)).await.unwrap();

    assert_eq!(totals.query(&everything()).await.unwrap(), [row]);
    assert_eq!(totals.counted("n1/1").await.unwrap(), large);
}
