//! Statements and credit notes as they are kept, and how they are shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{StatementRow, UnixMicros, time};

use crate::{CreditNote, Statement, decimal, page, table};

/// A statement or a credit note in a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Statement")]
pub struct Brief {
    /// By which it is asked for.
    pub number: u64,
    kind: &'static str,
    state: &'static str,
    /// Whom it is for.
    pub company: String,
    plan: String,
    /// The beginning of its first hour (RFC 3339).
    pub from: String,
    /// The end of its last hour.
    pub to: String,
    total: String,
    currency: String,
    corrects: Option<u64>,
    made: String,
    closed: Option<String>,
    hash: String,
}

impl Brief {
    /// What is told of one.
    pub fn of(row: StatementRow) -> Self {
        let total = kept_amount(&row, row.total);
        let hour = |hour: u32| time::text(UnixMicros(u64::from(hour) * 3_600_000_000));
        Self {
            number: row.number,
            kind: if row.corrects.is_some() { "credit-note" } else { "statement" },
            state: state(&row),
            total,
            from: hour(row.hours.start),
            to: hour(row.hours.end),
            company: row.company,
            plan: row.plan,
            currency: row.currency,
            corrects: row.corrects,
            made: time::text(row.made),
            closed: row.closed.map(time::text),
            hash: row.hash,
        }
    }
}

/// An amount in the currency of a statement, as it is written.
pub fn kept_amount(row: &StatementRow, units: i64) -> String {
    // Only known currencies are written down.
    row.currency.parse().map_or_else(|_unknown| units.to_string(), |currency| decimal(units, currency))
}

/// It as CSV (RFC 4180). An error: its content cannot be read.
pub fn kept_table(row: &StatementRow) -> serde_json::Result<String> {
    match row.corrects {
        None => Ok(table::statement(&read::<Statement>(row)?)),
        Some(_) => Ok(table::credit_note(&read::<CreditNote>(row)?)),
    }
}

/// It as a page of HTML to print. An error: its content cannot be read.
pub fn kept_page(row: &StatementRow) -> serde_json::Result<String> {
    match row.corrects {
        None => Ok(page::statement(&read::<Statement>(row)?, (row.number, state(row), &row.hash))),
        Some(_) => Ok(page::credit_note(&read::<CreditNote>(row)?, (row.number, &row.hash))),
    }
}

fn state(row: &StatementRow) -> &'static str {
    if row.closed.is_some() { "closed" } else { "draft" }
}

fn read<T: for<'de> Deserialize<'de>>(row: &StatementRow) -> serde_json::Result<T> {
    serde_json::from_str(&row.body)
}
