//! `GET /usage`: who has used what, summed as asked.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use billing::{By, Calendar, Groups, Sums, hour_text};
use http::StatusCode;
use partners::UnixMicros;
use problem::{Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{UsageQuery, UsageTotals};

use crate::failure::Failure;
use crate::parts::{Asked, BAD_QUERY, Log, Nothing, Stored};
use crate::{Admin, Rebuilt, Storage, time};

/// The answer would be longer than anybody reads.
pub(crate) static TOO_MUCH: ProblemKind =
    ProblemKind { code: "too-much", status: StatusCode::UNPROCESSABLE_ENTITY, title: "The answer would be too long" };

/// What is asked.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UsageQuestion")]
pub(crate) struct Question {
    pub(crate) company: Option<String>,
    pub(crate) app: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) api: Option<String>,
    pub(crate) operation: Option<String>,
    /// A time or a date; 30 days ago, if it is left out.
    pub(crate) from: Option<String>,
    /// A time or a date; now, if it is left out.
    pub(crate) to: Option<String>,
    /// What the sums are told apart by, such as `day,api`.
    pub(crate) by: Option<String>,
    /// The time zone by which days and months begin, such as `Europe/Berlin`; UTC, if it is left out.
    pub(crate) zone: Option<String>,
    /// The plan in whose time zone they begin, instead.
    pub(crate) plan: Option<String>,
}

/// The answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Usage {
    from: String,
    to: String,
    /// Whether everything is in it that was answered before the question.
    complete: bool,
    zone: String,
    items: Vec<Item>,
    total: Sums,
}

/// One sum, and what it is the sum of.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageItem")]
struct Item {
    #[serde(flatten)]
    of: Map<String, Value>,
    #[serde(flatten)]
    sums: Sums,
}

/// `GET /usage`: sums of usage, up to this moment.
pub(crate) async fn show(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Asked(question): Asked<Question>,
) -> Result<impl IntoResponse, Failure> {
    let by = by(question.by.as_deref().unwrap_or_default())?;
    let Counted { hours, complete, groups } = count(&admin, &storage, question, by, GROUPS).await?;
    let Groups { sums, total, calendar, .. } = groups;
    let items = sums.into_iter().map(|(of, sums)| Item { of: of.into_iter().map(named).collect(), sums }).collect();
    let (from, to) = (hour_text(hours.start), hour_text(hours.end));
    Ok(Json(Usage { from, to, complete, zone: calendar.zone().to_owned(), items, total }))
}

/// What was found of a question.
pub(crate) struct Counted {
    pub(crate) hours: Range<u32>,
    /// Whether everything is in it that was answered before the question.
    pub(crate) complete: bool,
    pub(crate) groups: Groups,
}

/// Sums up what is asked about, in at most so many groups.
pub(crate) async fn count(
    admin: &Admin,
    storage: &Storage,
    question: Question,
    by: Vec<By>,
    most: usize,
) -> Result<Counted, Failure> {
    let calendar = match (&question.zone, &question.plan) {
        (Some(_), Some(_)) => return Err(bad("`zone` and `plan` both say when days begin; leave one out")),
        (_, Some(plan)) => storage.accounts.plan(plan).map_err(|error| bad(&error.to_string()))?.calendar().clone(),
        (zone, None) => {
            let zone = zone.as_deref().unwrap_or("UTC");
            let unknown = || bad(&format!("`zone` is `{zone}`; write one such as `Europe/Berlin`"));
            Calendar::of(zone).ok_or_else(unknown)?
        }
    };
    let hours = hours(&question, &calendar, (admin.clock)())?;
    // What was answered already and is not in the sums yet would be missing. If it cannot be added now, the rest is
    // still worth knowing.
    let counted = admin.node.count_usage().await;
    if let Err(cause) = &counted {
        tracing::warn!(%cause, "usage is told without what the journal still holds");
    }
    let Question { company, app, product, api, operation, .. } = question;
    let query = UsageQuery { company, app, product, api, operation, hours: hours.clone(), limit: ROWS };
    let mut groups = Groups::new(by, calendar, most);
    collect(&*storage.totals, query, &mut groups).await?;
    Ok(Counted { hours, complete: counted.is_ok(), groups })
}

/// What became of the sums.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageRebuilt")]
pub(crate) struct Remade {
    from: String,
    records: u64,
    rows: usize,
    changed: usize,
}

/// `POST /usage/rebuild`: makes the sums anew from the records that are kept.
pub(crate) async fn rebuild(
    State(admin): State<Admin>,
    Stored(_): Stored,
    log: Log,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let Rebuilt { from_hour, records, rows, changed } = admin.node.rebuild_usage().await?;
    let remade = Remade { from: hour_text(from_hour), records, rows, changed };
    log.note("rebuilt", ("usage", &remade.from), json!(remade)).await?;
    Ok(Json(remade))
}

pub(crate) fn named((by, of): (&str, Arc<str>)) -> (String, Value) {
    (by.to_owned(), Value::from(&*of))
}

/// Reads the rows that are asked about in pieces of time, each short enough for memory.
async fn collect(totals: &dyn UsageTotals, query: UsageQuery, groups: &mut Groups) -> Result<(), Failure> {
    let Range { mut start, end } = query.hours.clone();
    let mut step = end.saturating_sub(start).max(1);
    while start < end {
        let hours = start..end.min(start.saturating_add(step));
        let rows = totals.query(&UsageQuery { hours: hours.clone(), ..query.clone() }).await?;
        if rows.len() < query.limit {
            rows.iter().try_for_each(|row| groups.add(row)).map_err(|_too_many| too_much())?;
            start = hours.end;
        } else if step == 1 {
            return Err(too_much());
        } else {
            step = (step / 2).max(1);
        }
    }
    Ok(())
}

pub(crate) fn by(written: &str) -> Result<Vec<By>, Failure> {
    let mut known = Vec::new();
    for word in written.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let Some(by) = By::ALL.into_iter().find(|by| by.word() == word) else {
            let words: Vec<_> = By::ALL.iter().map(|by| by.word()).collect();
            return Err(bad(&format!("`by` has `{word}`; it may have {}", words.join(", "))));
        };
        if known.contains(&by) {
            return Err(bad(&format!("`by` has `{word}` twice")));
        }
        known.push(by);
    }
    Ok(known)
}

/// The hours that are asked about: usage is summed by the hour, so the first and the last one are whole.
fn hours(question: &Question, calendar: &Calendar, now: UnixMicros) -> Result<Range<u32>, Failure> {
    let read = |member: &str, written: &Option<String>, otherwise: u64| match written {
        None => Ok(otherwise),
        Some(written) => match moment(written, calendar) {
            Some(time) => Ok(time),
            None => Err(bad(&format!("`{member}` is no time; write `2026-01-31` or `2026-01-31T12:00:00Z`"))),
        },
    };
    let from = read("from", &question.from, now.0.saturating_sub(USUAL_TIME))?;
    let to = read("to", &question.to, now.0.saturating_add(1))?;
    if to <= from {
        return Err(bad("`to` is not after `from`"));
    }
    let hour = |hour: u64| u32::try_from(hour).unwrap_or(u32::MAX);
    Ok(hour(from / HOUR)..hour(to.div_ceil(HOUR)))
}

/// A time, or the beginning of a day by a calendar, in microseconds.
fn moment(written: &str, calendar: &Calendar) -> Option<u64> {
    let day = written.parse().ok().filter(|_| written.len() == "2026-01-31".len());
    match day {
        Some(day) => Some(u64::from(calendar.first_hour(day).ok()?) * HOUR),
        None => time::read(written).map(|time| time.0),
    }
}

pub(crate) fn bad(reason: &str) -> Failure {
    Problem::new(&BAD_QUERY).detail(format!("The query is wrong: {reason}.")).into()
}

pub(crate) fn too_much() -> Failure {
    let detail = "Ask about less: one `company` or `api`, a shorter time, or fewer words in `by`.";
    Problem::new(&TOO_MUCH).detail(detail).into()
}

/// Microseconds.
const HOUR: u64 = 3_600_000_000;

/// The time that is asked about where nobody says it: 30 days, in microseconds.
const USUAL_TIME: u64 = 30 * 24 * HOUR;

/// Rows in memory at a time.
const ROWS: usize = 50_000;

/// Items of an answer.
const GROUPS: usize = 10_000;

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::{InMemoryTotals, UsageRow, UsageSource};

    use super::*;
    use crate::tester::Tester;

    /// The hour in which 2026 begins.
    const HOUR_OF_2026: u32 = 490_896;

    fn row(hour: u32, [company, app, api]: [&str; 3], status_class: u8, requests: u64) -> UsageRow {
        UsageRow {
            company: company.into(),
            app: app.into(),
            product: "gold".into(),
            api: api.into(),
            operation: "GET /".into(),
            hour,
            status_class,
            requests,
            cost: requests,
            bytes_in: requests * 10,
            bytes_out: requests * 100,
            latency_micros: requests * 1000,
        }
    }

    async fn tester() -> Tester {
        let tester = Tester::new();
        let rows = [
            row(HOUR_OF_2026 - 25, ["acme", "shop", "orders"], 2, 1),
            row(HOUR_OF_2026 - 1, ["acme", "shop", "orders"], 4, 2),
            row(HOUR_OF_2026, ["acme", "till", "stock"], 2, 4),
            row(HOUR_OF_2026, ["umbrella", "lab", "orders"], 0, 8),
        ];
        tester.totals.add(&rows, &UsageSource { segment: "s".into(), from: 0, offset: 1 }).await.unwrap();
        tester
    }

    async fn sums(tester: &Tester, query: &str) -> Vec<(String, u64)> {
        let answer = tester.get(&format!("/usage?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let key = |item: &Value| item.as_object().unwrap().values().filter_map(text).collect::<Vec<_>>().join(" ");
        let items = answer.json["items"].as_array().unwrap();
        items.iter().map(|item| (key(item), item["requests"].as_u64().unwrap())).collect()
    }

    #[tokio::test]
    async fn usage_is_told_up_to_this_moment() {
        let tester = tester().await;

        let answer = tester.get("/usage").await;

        // The node has put another row into the sums when it was asked to.
        let total = json!({
            "requests": 31, "cost": 31, "bytes_in": 310, "bytes_out": 3100, "latency_micros": 31_000
        });
        assert_eq!(answer.json["total"], total);
        assert_eq!((&answer.json["complete"], &answer.json["items"]), (&json!(true), &json!([])));
        assert_eq!(answer.json["from"], "2025-12-02T00:00:00Z");
        assert_eq!(answer.json["to"], "2026-01-01T01:00:00Z");
    }

    #[tokio::test]
    async fn a_journal_that_cannot_be_read_shows() {
        let tester = tester().await;
        tester.node.fail();
        let answer = tester.get("/usage").await;
        assert_eq!((&answer.json["complete"], &answer.json["total"]["requests"]), (&json!(false), &json!(15)));
    }

    #[tokio::test]
    async fn sums_are_told_apart_as_asked() {
        let tester = tester().await;
        let cases: [(&str, &[(&str, u64)]); 11] = [
            ("by=company", &[("acme", 7), ("node", 16), ("umbrella", 8)]),
            ("by=company,api&company=acme", &[("stock acme", 4), ("orders acme", 3)]),
            ("by=day&company=acme", &[("2025-12-30", 1), ("2025-12-31", 2), ("2026-01-01", 4)]),
            ("by=month&company=acme", &[("2025-12", 3), ("2026-01", 4)]),
            ("by=hour&app=till", &[("2026-01-01T00:00:00Z", 4)]),
            ("by=status&api=orders", &[("2xx", 1), ("4xx", 2), ("none", 8)]),
            ("by=app&from=2025-12-31&to=2026-01-01", &[("shop", 2)]),
            ("by=operation&api=none", &[]),
            ("by=day&company=acme&zone=Asia/Kolkata", &[("2025-12-31", 1), ("2026-01-01", 6)]),
            ("by=month&company=acme&plan=gold", &[("2025-12", 3), ("2026-01", 4)]),
            ("by=day&zone=Asia/Kolkata&from=2025-12-31&to=2026-01-01", &[("2025-12-31", 1)]),
        ];
        for (query, expected) in cases {
            let mut expected: Vec<_> = expected.iter().map(|(of, sum)| ((*of).to_owned(), *sum)).collect();
            let mut told = sums(&tester, query).await;
            for (of, _) in told.iter_mut().chain(&mut expected) {
                *of = sorted(of);
            }
            told.sort();
            expected.sort();
            assert_eq!(told, expected, "{query}");
        }
    }

    fn sorted(words: &str) -> String {
        let mut words: Vec<_> = words.split(' ').collect();
        words.sort_unstable();
        words.join(" ")
    }

    #[tokio::test]
    async fn a_question_that_is_not_understood_is_refused() {
        let tester = tester().await;
        for query in [
            "by=week",
            "by=day,day",
            "from=yesterday",
            "from=2026-01-02&to=2026-01-01",
            "until=now",
            "zone=Mars",
            "plan=lead",
            "plan=gold&zone=UTC",
        ] {
            let answer = tester.get(&format!("/usage?{query}")).await;
            answer.is_problem(StatusCode::BAD_REQUEST, "bad-query");
        }
    }

    #[tokio::test]
    async fn sums_are_made_anew() {
        let tester = tester().await;
        let answer = tester.post_nothing("/usage/rebuild").await;
        assert_eq!(answer.json, json!({ "from": "2026-01-01T00:00:00Z", "records": 5, "rows": 3, "changed": 1 }));
        tester.node.fail();
        tester.post_nothing("/usage/rebuild").await.is_problem(StatusCode::INTERNAL_SERVER_ERROR, "failed");
    }

    #[tokio::test]
    async fn more_rows_than_fit_are_read_in_pieces_and_an_hour_that_does_not_fit_is_too_much() {
        let totals = InMemoryTotals::default();
        let rows: Vec<_> = (0..6).map(|hour| row(hour, ["a", "b", "c"], 2, 1)).collect();
        totals.add(&rows, &UsageSource { segment: "s".into(), from: 0, offset: 1 }).await.unwrap();
        let asked = |limit| UsageQuery { hours: 0..6, limit, ..UsageQuery::default() };
        let groups = || Groups::new(vec![By::Hour], Calendar::of("UTC").unwrap(), 9);

        for limit in [2, 3, 5, 7] {
            let mut read = groups();
            collect(&totals, asked(limit), &mut read).await.unwrap();
            assert_eq!((read.total.requests, read.sums.len()), (6, 6));
        }
        assert!(collect(&totals, asked(1), &mut groups()).await.is_err());
    }
}
