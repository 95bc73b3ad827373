//! What jobs do: ask an upstream, make statements, write down what was used, exchange the data key.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Weak};

use billing::{Contract, Month};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Request;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use jobs::{Action, Call, Export, Facts, Job};
use model::jobs::{Lately, Statements};
use serde_json::json;
use store::{Run, StatementRow, UnixMicros, UsageQuery, UsageRow};

use crate::Node;
use crate::accounts::{AccountError, Order};
use crate::cron::Does;
use crate::keeping::{Keeping, NotAddedUp};

/// Does what jobs are for, on a node.
pub(crate) struct Doing(pub(crate) Weak<Node>);

impl Does for Doing {
    fn work(&self, job: Arc<Job>, run: Run) -> BoxFuture<'static, Result<String, String>> {
        let Some(node) = self.0.upgrade() else { return std::future::ready(Err(GONE.to_owned())).boxed() };
        async move {
            let Some(keeping) = node.keeping.clone() else { return Err(GONE.to_owned()) };
            let zone = job.schedule.zone().clone();
            let facts = Facts { job: job.name.as_str(), run: &run.id.run, due: run.due, zone: &zone };
            match &job.action {
                Action::Call(call) => call_upstream(&node, call, &facts).await,
                Action::Statements(then) => make_statements(&keeping, &facts, *then).await,
                Action::Export(export) => write_usage(&keeping, export, &facts).await,
                Action::RotateDataKey => rotate_data_key(&keeping).await,
            }
        }
        .boxed()
    }
}

async fn call_upstream(node: &Node, call: &Call, facts: &Facts<'_>) -> Result<String, String> {
    let Some(backend) = node.live.current().backend(&call.upstream) else {
        return Err(format!("there is no upstream `{}`", call.upstream));
    };
    let mut request = Request::builder().method(&call.method).uri(call.path.filled(facts));
    for (name, value) in &call.headers {
        request = request.header(name, value.filled(facts));
    }
    let request =
        request.body(Bytes::from(call.body.filled(facts))).map_err(|error| format!("it is no request: {error}"))?;
    let answer = tokio::time::timeout(call.timeout, backend.ask(request, LONGEST_ANSWER)).await;
    let answer = answer.map_err(|_elapsed| format!("no answer within {:?}", call.timeout))??;
    call.outcome(answer.status().as_u16())
}

/// Makes the statements of the month before for everybody who had a contract in it.
async fn make_statements(keeping: &Keeping, facts: &Facts<'_>, then: Statements) -> Result<String, String> {
    match keeping.add_up().await {
        // Another process of this store adds up, and has what there is within a second.
        Ok(()) | Err(NotAddedUp::Elsewhere) => {}
        Err(error) => return Err(error.to_string()),
    }
    let (last, _) = month_before(facts)?;
    let month =
        format!("{:04}-{:02}", last.year(), last.month()).parse::<Month>().map_err(|error| error.to_string())?;
    let (mut made, mut there, mut failed, mut after) = (0_u64, 0_u64, Vec::new(), None);
    loop {
        let companies = keeping.partners.companies(after.as_ref(), PAGE).await.map_err(|error| error.to_string())?;
        for company in &companies {
            let contracts = keeping.partners.contracts(&company.name).await.map_err(|error| error.to_string())?;
            for contract in contracts {
                let Ok(dates) = Contract::read(Some(&contract.start), contract.end.as_deref()) else { continue };
                if dates.within(month).is_err() {
                    continue;
                }
                let order =
                    Order { company: company.name.to_string(), plan: contract.plan.clone(), month, contract: dates };
                match make_statement(keeping, &order, then).await {
                    Ok(Made::Now) => made += 1,
                    Ok(Made::Before) => there += 1,
                    Err(error) => failed.push(format!("{}: {error}", company.name)),
                }
            }
        }
        match companies.last() {
            Some(last) if companies.len() == PAGE => after = Some(last.name.clone()),
            _ => break,
        }
    }
    let verb = match then {
        Statements::Draft => "drafted",
        Statements::Close => "closed",
    };
    let said = format!("{made} statements of {month} {verb}, {there} were closed before");
    match failed.as_slice() {
        [] => Ok(said),
        failed => Err(format!(
            "{said}; {} failed: {}",
            failed.len(),
            failed.iter().take(5).cloned().collect::<Vec<_>>().join("; ")
        )),
    }
}

enum Made {
    Now,
    Before,
}

async fn make_statement(keeping: &Keeping, order: &Order, then: Statements) -> Result<Made, AccountError> {
    let row = match keeping.accounts.draft(order).await {
        Ok(row) => row,
        // What is closed stays as it is.
        Err(AccountError::Stated(_)) => return Ok(Made::Before),
        Err(error) => return Err(error),
    };
    note(keeping, "drafted", &row).await;
    if then == Statements::Close {
        let row = keeping.accounts.close(row.number, &row.hash).await?;
        note(keeping, "closed", &row).await;
    }
    Ok(Made::Now)
}

/// Notes in the audit log what became of a statement.
async fn note(keeping: &Keeping, change: &str, row: &StatementRow) {
    let now = json!({ "number": row.number, "company": row.company, "plan": row.plan, "hash": row.hash });
    if let Err(error) = keeping.partners.note(change, ("statement", &row.number.to_string()), now).await {
        tracing::warn!(number = row.number, %error, "it cannot be noted what became of a statement");
    }
}

async fn write_usage(keeping: &Keeping, export: &Export, facts: &Facts<'_>) -> Result<String, String> {
    match keeping.add_up().await {
        Ok(()) | Err(NotAddedUp::Elsewhere) => {}
        Err(error) => return Err(error.to_string()),
    }
    let hours = match export.of {
        Lately::Day => day_before(facts)?,
        Lately::Month => month_before(facts)?.1,
    };
    let query = UsageQuery { hours, limit: MOST_ROWS, ..UsageQuery::default() };
    let rows = keeping.totals.query(&query).await.map_err(|error| error.to_string())?;
    if rows.len() == MOST_ROWS {
        return Err(format!("there are more than {MOST_ROWS} sums; export a day at a time"));
    }
    let (path, count) = (export.path(facts), rows.len());
    let written = path.clone();
    let done = tokio::task::spawn_blocking(move || place(&written, &table(&rows))).await;
    done.map_err(io::Error::other)
        .flatten()
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(format!("{count} sums are in {}", path.display()))
}

/// Hours of the day before, by UTC.
fn day_before(facts: &Facts<'_>) -> Result<Range<u32>, String> {
    let today = day(facts)?;
    hours(today.saturating_sub(1.day()), today)
}

/// The last day of the month before, and its hours, by UTC.
fn month_before(facts: &Facts<'_>) -> Result<(Date, Range<u32>), String> {
    let first = day(facts)?.first_of_month();
    let last = first.saturating_sub(1.day());
    Ok((last, hours(last.first_of_month(), first)?))
}

fn day(facts: &Facts<'_>) -> Result<Date, String> {
    let UnixMicros(due) = facts.due;
    let due = i64::try_from(due).ok().and_then(|due| Timestamp::from_microsecond(due).ok());
    Ok(due.ok_or("the time of the run is none")?.to_zoned(facts.zone.clone()).date())
}

fn hours(from: Date, to: Date) -> Result<Range<u32>, String> {
    let hour = |day: Date| {
        let at = day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
        u32::try_from(at / 3600).ok()
    };
    Ok(hour(from).ok_or("there is no such day")?..hour(to).ok_or("there is no such day")?)
}

/// Sums as CSV (RFC 4180). Names have no letters that would need quotes; operations may.
fn table(rows: &[UsageRow]) -> String {
    let mut table =
        "hour,company,app,product,api,operation,status_class,requests,cost,bytes_in,bytes_out,latency_micros\r\n"
            .to_owned();
    for row in rows {
        let at = Timestamp::from_second(i64::from(row.hour) * 3600).unwrap_or(Timestamp::MAX);
        let UsageRow { company, app, product, api, operation, status_class, requests, cost, .. } = row;
        let operation = operation.replace('"', "\"\"");
        // A text in memory takes everything.
        write!(table, "{at},{company},{app},{product},{api},\"{operation}\",{status_class}xx,{requests},{cost},").ok();
        write!(table, "{},{},{}\r\n", row.bytes_in, row.bytes_out, row.latency_micros).ok();
    }
    table
}

/// Puts a file in place at once: whoever reads it never reads half of it.
fn place(path: &Path, content: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    std::fs::write(&fresh, content)?;
    std::fs::File::open(&fresh)?.sync_all()?;
    std::fs::rename(&fresh, path)
}

async fn rotate_data_key(keeping: &Keeping) -> Result<String, String> {
    let vault = keeping.vault.clone();
    let done = tokio::task::spawn_blocking(move || vault.rotate_data_key()).await;
    let count = done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(format!("{count} secrets are closed with a new data key"))
}

const GONE: &str = "the node ends";
const LONGEST_ANSWER: usize = 64 * 1024;
const PAGE: usize = 500;
const MOST_ROWS: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_and_the_month_before_are_by_the_clock_of_the_zone_and_their_hours_by_utc() {
        // 2026-03-01T00:30:00Z.
        let due = UnixMicros(1_772_325_000_000_000);
        let of = |zone: &str| TimeZone::get(zone).unwrap();
        let facts = |zone| Facts { job: "a", run: "1", due, zone };
        let (utc, york) = (of("UTC"), of("America/New_York"));
        let midnight = 1_772_323_200 / 3600;
        assert_eq!(day_before(&facts(&utc)), Ok(midnight - 24..midnight));
        assert_eq!(day_before(&facts(&york)), Ok(midnight - 48..midnight - 24));
        assert_eq!(month_before(&facts(&utc)).unwrap().1, midnight - 28 * 24..midnight);
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.csv");
        place(&path, "one").unwrap();
        place(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(place(&folder.path().join("nowhere/usage.csv"), "x").is_err());
    }
}
