//! `bench-billing RECORDS FOLDER`: usage records in a journal, their totals, a statement from these, and the same once more
//! call by call from the records. Prints what it found as JSON.
#![expect(clippy::print_stdout, reason = "a command line tool talks to its user")]
#![expect(clippy::disallowed_methods, reason = "it measures, so it takes the time")]

use anyhow::{Context, Result, ensure};
use billing::{Calendar, Contract, Plan, plans};
use control::{Accounts, Order};
use journal::{Journal, Next, Settings};
use metering::{Aggregator, UsageRecord};
use model::Document;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use store::{UnixMicros, UsageQuery, UsageTotals};
use store_sqlite::SqliteStore;

const MONTH: &str = "2026-10";
const ZONE: &str = "Europe/Berlin";
const MICROS_AN_HOUR: u64 = 3_600_000_000;
/// From the afternoon before the month to the morning after it.
const HOURS: u64 = 764;
/// Bounds of the tiers with the price of a call in millionths of a millionth.
const TIERS: [(u64, u64); 3] = [(100_000, 2_000_000_000), (2_000_000, 1_500_000_000), (u64::MAX, 333_333_333)];
/// The price of a KiB.
const DATA: u64 = 12_345_678;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [records, folder] = words.as_slice() else { anyhow::bail!("usage: bench-billing RECORDS FOLDER") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(measure(records.parse()?, Path::new(folder)))?);
    Ok(())
}

async fn measure(records: u64, folder: &Path) -> Result<Value> {
    let settings = Settings { consumers: vec!["totals".to_owned()], limit: u64::MAX, ..Settings::default() };
    let journal = Journal::open(&folder.join("usage"), settings, 1)?;
    write(&journal, records)?;
    let began = Instant::now();
    let by_hand = recount(&journal)?;
    let recounted = began.elapsed();

    let store = Arc::new(SqliteStore::open(&folder.join("vestibule.db"))?);
    let consumer = journal.consumer("totals")?.context("the journal is read by somebody else")?;
    let mut aggregator = Aggregator::new(consumer, store.clone());
    let began = Instant::now();
    let added = aggregator.round().await?.records;
    let added_up = began.elapsed();
    let again = aggregator.round().await?.records;
    ensure!((added, again) == (records, 0), "{added} and {again} of {records} records were added up");

    let accounts = Accounts::new(store.clone(), store.clone(), Arc::new(|| UnixMicros(u64::MAX >> 8)));
    accounts.set_plans(plans(&document()?, &|_| false).ok().context("the plan is wrong")?);
    let order = Order {
        company: "acme".to_owned(),
        plan: "gold".to_owned(),
        month: MONTH.parse()?,
        contract: Contract::default(),
    };
    let (mut millis, mut total) = (Vec::new(), 0);
    for _ in 0..7 {
        let began = Instant::now();
        let row = accounts.draft(&order).await?;
        millis.push(began.elapsed().as_secs_f64() * 1000.0);
        total = row.total;
    }
    let everything = UsageQuery { hours: 0..u32::MAX, limit: usize::MAX, ..UsageQuery::default() };
    let rows = store.query(&everything).await?.len();
    Ok(json!({
        "records": records, "rows": rows, "total": total, "by_hand": by_hand, "statement_ms": millis,
        "recount_ms": recounted.as_secs_f64() * 1000.0, "added_up_ms": added_up.as_secs_f64() * 1000.0,
    }))
}

/// The document with the plan.
fn document() -> Result<Document> {
    let price = |picos: u64| format!("0.{picos:012} EUR");
    let tiers: Vec<Value> = TIERS
        .iter()
        .map(
            |(up_to, picos)| json!({ "up_to": Some(up_to).filter(|up_to| **up_to < u64::MAX), "price": price(*picos) }),
        )
        .collect();
    let charges = json!([
        { "meter": "successful-calls", "each": "product", "tiers": { "graduated": tiers } },
        { "meter": "bytes", "price": price(DATA) },
    ]);
    let plan = json!({ "gold": { "time_zone": ZONE, "charges": charges } });
    Ok(serde_json::from_value(json!({ "version": 1, "listeners": {}, "plans": plan }))?)
}

/// Writes records of one company, over the month and some hours before and after it.
fn write(journal: &Journal, records: u64) -> Result<()> {
    let mut writer = journal.writer()?;
    let first = u64::from(Calendar::of("UTC").context("no UTC")?.first_hour("2026-09-30".parse()?)?) + 14;
    let (mut chance, mut record) = (1_u64, Vec::new());
    let templates: Vec<String> = (0..20).map(|number| format!("/things/{number}/{{id}}")).collect();
    for id in 0..records {
        let mut roll = |sides: u64| {
            // Knuth's generator of 64 bits: the same records each time.
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % sides
        };
        let pick =
            |from: &[&'static str], roll: u64| from.get(usize::try_from(roll).unwrap_or(0)).copied().unwrap_or("");
        let status = match roll(20) {
            0 => 404,
            1 => 429,
            2 => 503,
            3 => 304,
            _ => 200,
        };
        record.clear();
        UsageRecord {
            id: id.into(),
            // One hour after another, as they come.
            at: (first + id * HOURS / records) * MICROS_AN_HOUR + roll(MICROS_AN_HOUR),
            status,
            complete: true,
            cost: 1,
            received: roll(2000),
            sent: roll(20_000),
            took: roll(100_000),
            company: "acme",
            app: pick(&["shop", "till"], roll(2)),
            product: pick(&["gold", "silver"], roll(2)),
            api: "orders",
            method: "GET",
            template: templates.get(usize::try_from(roll(20))?).map_or("/", String::as_str),
        }
        .encode(&mut record);
        // The next segment may still be laid out.
        while writer.append(&record).is_err() {
            std::thread::yield_now();
        }
    }
    Ok(())
}

/// What all records come to, call by call and byte by byte, in cents.
fn recount(journal: &Journal) -> Result<i128> {
    let plan = plans(&document()?, &|_| false).ok().context("the plan is wrong")?;
    let plan: &Plan = plan.get("gold").context("no plan")?;
    let month = Contract::default().within(MONTH.parse()?)?;
    let hours = plan.calendar().hours(month)?;
    let within = u64::from(hours.start) * MICROS_AN_HOUR..u64::from(hours.end) * MICROS_AN_HOUR;
    let mut calls: std::collections::HashMap<String, (u64, [i128; TIERS.len()])> = std::collections::HashMap::new();
    let mut bytes = 0_i128;
    for id in journal.segments()? {
        let Some(mut reader) = journal.read(id, 0)? else { continue };
        while let Next::Record(record) = reader.next()? {
            let record = UsageRecord::decode(record).context("a record cannot be read")?;
            if !within.contains(&record.at) {
                continue;
            }
            bytes += i128::from(record.received + record.sent);
            if !(200..400).contains(&record.status) {
                continue;
            }
            let (count, costs) = calls.entry(record.product.to_owned()).or_default();
            *count += 1;
            for (cost, (tier, (up_to, picos))) in costs.iter_mut().zip(TIERS.iter().enumerate()) {
                let before = tier.checked_sub(1).and_then(|before| TIERS.get(before)).map_or(0, |(end, _)| *end);
                if before < *count && *count <= *up_to {
                    *cost += i128::from(*picos);
                }
            }
        }
    }
    let cents = |numerator: i128, denominator: i128| (2 * numerator + denominator) / (2 * denominator);
    let cent = 10_000_000_000;
    let calls: i128 = calls.into_values().flat_map(|(_, costs)| costs).map(|cost| cents(cost, cent)).sum();
    Ok(calls + cents(bytes * i128::from(DATA), cent * 1024))
}
