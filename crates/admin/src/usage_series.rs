//! `GET /usage/series`: usage over time, for plots.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use billing::{By, Sums, hour_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Admin;
use crate::failure::Failure;
use crate::parts::{Asked, Stored};
use crate::usage::{Counted, Question as Usage, bad, by, count, named, too_much};

/// What is asked: as `GET /usage`, and by which steps.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SeriesQuestion")]
pub(crate) struct Question {
    company: Option<String>,
    app: Option<String>,
    product: Option<String>,
    api: Option<String>,
    operation: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// What series are told apart by, such as `company,status`.
    by: Option<String>,
    zone: Option<String>,
    plan: Option<String>,
    /// `hour`, `day` or `month`; day, if it is left out.
    step: Option<Step>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "UsageStep")]
enum Step {
    Hour,
    #[default]
    Day,
    Month,
}

/// The answer: each series has a number for each time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageSeries")]
pub(crate) struct Plotted {
    from: String,
    to: String,
    step: Step,
    zone: String,
    /// Whether everything is in it that was answered before the question.
    complete: bool,
    times: Vec<String>,
    series: Vec<Series>,
}

/// One line of a plot.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsagePlot")]
struct Series {
    of: Map<String, Value>,
    requests: Vec<u64>,
    cost: Vec<u64>,
    bytes_in: Vec<u64>,
    bytes_out: Vec<u64>,
    latency_micros: Vec<u64>,
}

/// `GET /usage/series`: sums for each hour, day or month, zeros included.
pub(crate) async fn show(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Asked(question): Asked<Question>,
) -> Result<impl IntoResponse, Failure> {
    let Question { company, app, product, api, operation, from, to, by: told_by, zone, plan, step } = question;
    let step = step.unwrap_or_default();
    let step_by = match step {
        Step::Hour => By::Hour,
        Step::Day => By::Day,
        Step::Month => By::Month,
    };
    let mut words = by(told_by.as_deref().unwrap_or_default())?;
    if words.iter().any(|word| matches!(word, By::Hour | By::Day | By::Month)) {
        return Err(bad("`by` has a time; `step` says by which time"));
    }
    words.push(step_by);
    let usage = Usage { company, app, product, api, operation, from, to, by: None, zone, plan };
    let Counted { hours, complete, mut groups } = count(&admin, &storage, usage, words, POINTS).await?;
    let times = groups.times(&hours, step_by, POINTS).map_err(|_too_many| too_much())?;
    let (from, to, zone) = (hour_text(hours.start), hour_text(hours.end), groups.calendar.zone().to_owned());
    let series = series(groups.sums, &times)?;
    let times = times.iter().map(ToString::to_string).collect();
    Ok(Json(Plotted { from, to, step, zone, complete, times, series }))
}

type Place = Vec<(&'static str, Arc<str>)>;

/// The sums as one series for each of what they are told apart by.
fn series(sums: BTreeMap<Place, Sums>, times: &[Arc<str>]) -> Result<Vec<Series>, Failure> {
    let mut found: BTreeMap<Place, BTreeMap<Arc<str>, Sums>> = BTreeMap::new();
    for (mut place, sums) in sums {
        // The time came last.
        if let Some((_, time)) = place.pop() {
            found.entry(place).or_default().insert(time, sums);
        }
    }
    if found.len().saturating_mul(times.len()) > POINTS {
        return Err(too_much());
    }
    let series = found.into_iter().map(|(place, sums)| {
        let points: Vec<Sums> = times.iter().map(|time| sums.get(time).copied().unwrap_or_default()).collect();
        let all = |of: fn(&Sums) -> u64| points.iter().map(of).collect();
        Series {
            of: place.into_iter().map(named).collect(),
            requests: all(|sums| sums.requests),
            cost: all(|sums| sums.cost),
            bytes_in: all(|sums| sums.bytes_in),
            bytes_out: all(|sums| sums.bytes_out),
            latency_micros: all(|sums| sums.latency_micros),
        }
    });
    Ok(series.collect())
}

/// Points of an answer.
const POINTS: usize = 50_000;

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;
    use store::{UsageRow, UsageSource, UsageTotals};

    use crate::tester::Tester;

    /// The hour in which 2026 begins.
    const HOUR_OF_2026: u32 = 490_896;

    async fn tester() -> Tester {
        let tester = Tester::new();
        let row = |hour: u32, api: &str, requests: u64| UsageRow {
            company: "acme".into(),
            app: "shop".into(),
            product: "gold".into(),
            api: api.into(),
            operation: "GET /".into(),
            hour,
            status_class: 2,
            requests,
            cost: requests,
            bytes_in: requests,
            bytes_out: requests,
            latency_micros: requests,
        };
        let rows = [
            row(HOUR_OF_2026 - 49, "orders", 1),
            row(HOUR_OF_2026 - 1, "orders", 2),
            row(HOUR_OF_2026 - 1, "stock", 4),
        ];
        tester.totals.add(&rows, &UsageSource { segment: "s".into(), from: 0, offset: 1 }).await.unwrap();
        tester
    }

    #[tokio::test]
    async fn a_series_has_a_number_for_each_time_zeros_included() {
        let tester = tester().await;

        let answer = tester.get("/usage/series?company=acme&by=api&from=2025-12-29&to=2026-01-01&step=day").await;

        assert_eq!(answer.json["times"], json!(["2025-12-29", "2025-12-30", "2025-12-31"]), "{}", answer.text);
        let series: Vec<_> =
            answer.json["series"].as_array().unwrap().iter().map(|one| (&one["of"], &one["requests"])).collect();
        let expected = [(json!({ "api": "orders" }), json!([1, 0, 2])), (json!({ "api": "stock" }), json!([0, 0, 4]))];
        assert_eq!(series, expected.iter().map(|(of, requests)| (of, requests)).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn days_and_months_are_those_of_the_zone() {
        let tester = tester().await;
        for (query, times, requests) in [
            ("step=month&zone=UTC&from=2025-12-01", json!(["2025-12", "2026-01"]), json!([7, 0])),
            ("step=month&zone=Asia/Tokyo&from=2025-12-01", json!(["2025-12", "2026-01"]), json!([1, 6])),
            ("step=day&zone=Asia/Tokyo&from=2026-01-01&to=2026-01-02", json!(["2026-01-01"]), json!([6])),
        ] {
            let answer = tester.get(&format!("/usage/series?company=acme&{query}")).await;
            assert_eq!(
                (&answer.json["times"], &answer.json["series"][0]["requests"]),
                (&times, &requests),
                "{query}: {}",
                answer.text
            );
        }
    }

    #[tokio::test]
    async fn a_plot_that_nobody_can_see_is_refused() {
        let tester = tester().await;
        for query in ["by=day", "by=api,hour", "step=week", "zone=Mars", "zone=UTC&zone=UTC"] {
            let answer = tester.get(&format!("/usage/series?{query}")).await;
            answer.is_problem(StatusCode::BAD_REQUEST, "bad-query");
        }
        let ever = "from=1970-01-01&to=9999-12-30";
        for query in ["step=hour&from=2000-01-01", &format!("step=day&{ever}"), &format!("step=month&{ever}")] {
            let long = tester.get(&format!("/usage/series?{query}")).await;
            long.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "too-much");
        }
    }
}
