//! What a statement promises.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::calendar::Contract;
use crate::plan::tests::plan;

/// The first hour of 2026.
const HOUR: u32 = 490_896;

fn row(hour: u32, [product, operation]: [&str; 2], status_class: u8, requests: u64) -> UsageRow {
    UsageRow {
        company: "acme".into(),
        app: "shop".into(),
        product: product.into(),
        api: "orders".into(),
        operation: operation.into(),
        hour,
        status_class,
        requests,
        cost: requests * 2,
        bytes_in: requests * 100,
        bytes_out: requests * 1000,
        latency_micros: 0,
    }
}

fn account(written: Value, contract: Contract) -> Account {
    let period = contract.within("2026-01".parse().unwrap()).unwrap();
    Account::new(Arc::new(plan(written)), "acme".to_owned(), period).unwrap()
}

fn statement(written: Value, rows: &[UsageRow]) -> Statement {
    let mut account = account(written, Contract::default());
    rows.iter().try_for_each(|row| account.add(row)).unwrap();
    account.statement().unwrap().0
}

#[test]
fn a_statement_can_be_traced_to_totals() {
    let rows = [
        row(HOUR, ["gold", "GET /"], 2, 100),
        row(HOUR + 5, ["gold", "GET /"], 3, 20),
        row(HOUR + 9, ["gold", "GET /"], 4, 3),
        row(HOUR + 7, ["gold", "POST /"], 2, 10),
    ];
    let told = statement(json!({ "charges": [{ "meter": "successful-calls", "price": "0.01 EUR" }] }), &rows);

    let trace = |operation: &str, first: &str, last: &str, quantity| Trace {
        product: "gold".into(),
        api: "orders".into(),
        operation: operation.into(),
        first: first.into(),
        last: last.into(),
        quantity,
    };
    let expected = [
        trace("GET /", "2026-01-01T00:00:00Z", "2026-01-01T05:00:00Z", 120),
        trace("POST /", "2026-01-01T07:00:00Z", "2026-01-01T07:00:00Z", 10),
    ];
    assert_eq!(told.items[0].usage, expected);
    assert_eq!((told.subtotal.as_str(), told.total.as_str()), ("1.30", "1.30"));
    assert_eq!((told.from.as_str(), told.to.as_str()), ("2026-01-01", "2026-02-01"));
}

#[test]
fn usage_of_other_companies_times_products_and_apis_is_not_in_it() {
    let rows = [
        row(HOUR, ["gold", "GET /"], 2, 1),
        row(HOUR - 1, ["gold", "GET /"], 2, 10),
        row(HOUR + 31 * 24, ["gold", "GET /"], 2, 10),
        row(HOUR, ["free", "GET /"], 2, 10),
        UsageRow { company: "other".into(), ..row(HOUR, ["gold", "GET /"], 2, 10) },
        UsageRow { api: "stock".into(), ..row(HOUR, ["gold", "GET /"], 2, 10) },
    ];
    let charge = json!({ "meter": "calls", "price": "1 EUR", "products": ["gold"], "apis": ["orders"] });
    assert_eq!(statement(json!({ "charges": [charge] }), &rows).total, "1.00");
}

#[test]
fn each_product_or_operation_has_what_is_included_for_itself() {
    let rows = [
        row(HOUR, ["gold", "GET /"], 2, 10),
        row(HOUR, ["gold", "POST /"], 2, 10),
        row(HOUR, ["silver", "GET /"], 2, 10),
    ];
    for (each, total) in [("company", "26.00"), ("product", "22.00"), ("operation", "18.00")] {
        let charge = json!({ "meter": "calls", "included": 4, "price": "1 EUR", "each": each });
        assert_eq!(statement(json!({ "charges": [charge] }), &rows).total, total, "{each}");
    }
}

#[test]
fn every_meter_counts_what_it_says() {
    let rows = [
        row(HOUR, ["gold", "GET /"], 2, 1024),
        row(HOUR, ["gold", "GET /"], 4, 1024),
        row(HOUR, ["gold", "GET /"], 0, 1024),
    ];
    for (meter, total) in [
        ("calls", "3072.00"),
        ("successful-calls", "1024.00"),
        ("cost", "6144.00"),
        ("bytes-in", "300.00"),
        ("bytes-out", "3000.00"),
        ("bytes", "3300.00"),
    ] {
        let charge = json!({ "meter": meter, "price": "1 EUR" });
        assert_eq!(statement(json!({ "charges": [charge] }), &rows).total, total, "{meter}");
    }
}

#[test]
fn a_fee_and_a_minimum_are_shared_by_the_days_of_the_contract() {
    let written = json!({ "monthly": "31 EUR", "minimum": "62 EUR" });
    let whole = statement(written.clone(), &[]);
    assert_eq!((whole.subtotal.as_str(), whole.total.as_str()), ("31.00", "62.00"));

    let part = account(written, Contract::read(Some("2026-01-22"), None).unwrap()).statement().unwrap().0;
    assert_eq!((part.subtotal.as_str(), part.total.as_str()), ("10.00", "20.00"));
    assert_eq!(
        (part.items[0].lines[0].text.as_str(), part.usage_from.as_str()),
        ("10 of 31 days", "2026-01-22T00:00:00Z")
    );
}

#[test]
fn a_minimum_that_is_reached_adds_nothing() {
    let written = json!({ "minimum": "1 EUR", "charges": [{ "meter": "calls", "price": "1 EUR" }] });
    let told = statement(written, &[row(HOUR, ["gold", "GET /"], 2, 1)]);
    assert_eq!((told.items.len(), told.total.as_str()), (1, "1.00"));
}

#[test]
fn sums_that_do_not_fit_are_an_error() {
    let mut account = account(json!({ "charges": [{ "meter": "calls", "price": "1 EUR" }] }), Contract::default());
    let large = UsageRow { requests: u64::MAX, ..row(HOUR, ["gold", "GET /"], 2, 1) };
    account.add(&large).unwrap();
    assert!(account.statement().is_err());
    assert!(account.add(&large).is_err());
}

#[test]
fn the_hash_is_of_the_content_as_it_is_kept() {
    assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

prop_compose! {
    fn usage()(hour in 0_u32..800, product in 0_usize..3, operation in 0_usize..3, status in 0_u8..6, requests in 0_u64..5000)
        -> UsageRow {
        row(HOUR + hour, [["a", "b", "c"][product], ["GET /", "POST /", "PUT /"][operation]], status, requests)
    }
}

fn everything() -> Value {
    let tiers = json!([{ "up_to": 5000, "price": "0.0123 EUR" }, { "price": "0.0077 EUR" }]);
    json!({
        "monthly": "9.99 EUR",
        "minimum": "100 EUR",
        "charges": [
            { "meter": "calls", "included": 100, "each": "product", "tiers": { "graduated": tiers } },
            { "meter": "bytes", "tiers": { "volume": tiers } },
            { "meter": "successful-calls", "price": "0.000333 EUR", "each": "operation" },
        ],
    })
}

proptest! {
    #[test]
    fn a_total_is_the_sum_of_lines_as_they_are_shown(rows in prop::collection::vec(usage(), 0..60)) {
        let told = statement(everything(), &rows);
        let cents = |text: &str| text.replace('.', "").parse::<i64>().unwrap();
        let lines = told.items.iter().flat_map(|item| &item.lines);
        let sum: i64 = lines.map(|line| cents(&line.amount)).sum();
        prop_assert_eq!(sum, cents(&told.total));
        for item in &told.items {
            let sum: i64 = item.lines.iter().map(|line| cents(&line.amount)).sum();
            prop_assert_eq!(sum, cents(&item.amount));
        }
    }

    #[test]
    fn usage_costs_the_same_in_whatever_parts_and_order_it_came(
        rows in prop::collection::vec(usage(), 0..40), cuts in prop::collection::vec(0_u64..100, 40), turn in 0_usize..40,
    ) {
        let mut parts = Vec::new();
        for (row, cut) in rows.iter().zip(&cuts) {
            let first = row.requests * cut / 100;
            let part = |requests| UsageRow {
                requests, cost: requests * 2, bytes_in: requests * 100, bytes_out: requests * 1000, ..row.clone()
            };
            parts.extend([part(first), part(row.requests - first)]);
        }
        if !parts.is_empty() {
            let by = turn % parts.len();
            parts.rotate_left(by);
        }
        prop_assert_eq!(statement(everything(), &parts), statement(everything(), &rows));
    }

    #[test]
    fn what_is_kept_is_read_as_it_was(rows in prop::collection::vec(usage(), 0..20)) {
        let told = statement(everything(), &rows);
        let kept = serde_json::to_string(&told).unwrap();
        prop_assert_eq!(serde_json::from_str::<Statement>(&kept).unwrap(), told);
    }
}
