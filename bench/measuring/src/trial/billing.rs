//! `billing`: the statement of ten million records, and the same call by call.

use crate::trial::report::Section;
use anyhow::{Context, Result};
use programs::run::{output, root, run as obey};
use serde_json::Value;
use std::fs;

const RECORDS: u64 = 10_000_000;
const BAR_MS: f64 = 2000.0;

/// Makes a statement from totals, and compares it with all records.
pub(crate) fn run() -> Result<Section> {
    obey("cargo", &["build", "--release", "--locked", "-p", "bench-tools", "--bin", "bench-billing"])?;
    let folder = root()?.join("target/trial-billing");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let program = root()?.join("target/release/bench-billing").display().to_string();
    let said = output(&program, &[&RECORDS.to_string(), &folder.display().to_string()])?;
    fs::remove_dir_all(&folder)?;
    let found: Value = serde_json::from_str(&said).with_context(|| format!("no JSON: {said}"))?;

    let number = |member: &str| found.get(member).and_then(Value::as_f64).with_context(|| format!("no `{member}`"));
    let mut millis: Vec<f64> =
        found.get("statement_ms").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64).collect();
    millis.sort_by(f64::total_cmp);
    let slowest = *millis.last().context("no statement was made")?;
    let median = *millis.get(millis.len() / 2).context("no statement was made")?;
    let mut section = Section::new(
        "The statement of ten million records",
        format!(
            "{RECORDS} records of one company in a month are in the journal and are added up into the embedded store: {} rows \
             of hour, app, product, operation and class, in {:.1} s. Then its statement is made seven times from totals: graduated \
             tiers by product and data by the KiB, in a zone whose clocks change that month. The recount reads every record \
             and prices it by itself, in {:.1} s.",
            number("rows")?,
            number("added_up_ms")? / 1000.0,
            number("recount_ms")? / 1000.0,
        ),
    );
    let measured = format!("{median:.0} ms, at most {slowest:.0} ms");
    section.row("statement from totals", format!("≤ {BAR_MS:.0} ms"), measured, slowest <= BAR_MS);
    let (total, by_hand) = (number("total")?, number("by_hand")?);
    let measured = format!("{:.2} EUR, {:.2} EUR", total / 100.0, by_hand / 100.0);
    section.row("its total, and that of the recount", "equal", measured, total.total_cmp(&by_hand).is_eq());
    Ok(section)
}
