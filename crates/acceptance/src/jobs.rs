//! What is done at certain times: by one node, with what came of it.

use std::sync::Arc;

use control::Jobs;
use store::{JobName, Run, RunState};
use testkit::{Gateway, Stub, until};

const DOCUMENT: &str = "
store: {embedded: ./data}
upstreams: {crm: {targets: [\"http://BACKEND\"]}}
apis: {orders: {match: {path: /orders}, upstream: crm, policies: [{api-key: {}}]}}
products: {all: {operations: [\"orders: GET /**\"]}}
plans: {gold: {monthly: 100 EUR}}
alerts: {rules: [{job: {}}], usual: off}
jobs:
  report:
    at: \"30 2 * * *\"
    time_zone: Europe/Berlin
    run:
      call:
        upstream: crm
        path: \"/reports/{job}?day={last_date}\"
        headers: {x-run: \"{run}\"}
        body: \"{{\\\"month\\\": \\\"{month}\\\"}}\"
        expect: [201]
  export: {at: \"0 1 * * *\", run: {export: {file: \"usage-{last_month}.csv\", of: month}}}
  statements: {at: \"0 6 1 * *\", run: {statements: {then: close}}}
  keys: {at: \"0 4 1 * *\", run: {rotate-data-key: {}}}
";

fn jobs(gateway: &Gateway) -> Arc<Jobs> {
    gateway.node().keeping.as_ref().unwrap().jobs.clone()
}

/// Has a job run now, and waits until it is over.
async fn run(gateway: &Gateway, name: &str) -> Run {
    let (jobs, name): (_, JobName) = (jobs(gateway), name.parse().unwrap());
    let before = jobs.runs(&name, None, 100).await.unwrap_or_default().len();
    jobs.want(&name, "ann").await.unwrap();
    until("the run is over", async || {
        let runs = jobs.runs(&name, None, 100).await.unwrap();
        runs.len() > before && runs.last().is_some_and(|run| run.state != RunState::Running)
    })
    .await;
    jobs.runs(&name, None, 100).await.unwrap().pop().unwrap()
}

#[tokio::test]
async fn a_job_asks_an_upstream_and_says_what_came_of_it() {
    let backend = Stub::replying(|request| {
        let status = if request.body.is_empty() { "404 Gone" } else { "201 Made" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    })
    .await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;

    let done = run(&gateway, "report").await;

    assert_eq!((done.state, done.said.as_deref()), (RunState::Done, Some("the upstream answered 201")));
    assert_eq!(done.by.as_deref(), Some("ann"));
    let request = &backend.requests()[0];
    assert!(request.line().starts_with("POST /reports/report?day=20"), "{}", request.line());
    assert_eq!(request.header("x-run"), Some(done.id.run.as_str()));
    assert!(String::from_utf8_lossy(&request.body).starts_with("{\"month\": \"20"));

    let without_body = DOCUMENT.replace("        body: \"{{\\\"month\\\": \\\"{month}\\\"}}\"\n", "");
    gateway.reload(&without_body.replace("BACKEND", &backend.address.to_string())).unwrap();
    let failed = run(&gateway, "report").await;
    assert_eq!(
        (failed.state, failed.said.as_deref()),
        (RunState::Failed, Some("the upstream answered 404, and 201 is expected"))
    );
    let alerts = &gateway.node().keeping.as_ref().unwrap().alerts;
    until("it is an alert", async || {
        let open = alerts.list(true).await.unwrap();
        open.iter().any(|alert| alert.summary == "job `report` failed: the upstream answered 404, and 201 is expected")
    })
    .await;
    let shown = gateway.node().registry.render(None).body;
    assert!(shown.contains("vestibule_job_runs_total{job=\"report\",state=\"failed\"} 1"), "{shown}");
}

#[tokio::test]
async fn what_one_of_several_nodes_is_asked_is_done_once() {
    let backend = Stub::answering("HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n").await;
    let first = Gateway::with(&backend, DOCUMENT).await;
    let second = first.successor().await;

    for round in 1..=4 {
        let asked = if round % 2 == 0 { &first } else { &second };
        run(asked, "report").await;
        assert_eq!(backend.count(), round);
    }
}

#[tokio::test]
async fn statements_of_the_month_before_are_closed_once() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    gateway.key("acme", "all").await;
    let keeping = gateway.node().keeping.as_ref().unwrap();
    let company = "acme".parse().unwrap();
    let new = |name: &str, start: &str, end: Option<&str>| partners::NewContract {
        name: name.to_owned(),
        plan: "gold".to_owned(),
        start: start.to_owned(),
        end: end.map(str::to_owned),
    };
    keeping.partners.create_contract(&company, new("now", "2020-01-01", None)).await.unwrap();

    let first = run(&gateway, "statements").await;
    let again = run(&gateway, "statements").await;

    let said = |run: &Run| run.said.clone().unwrap();
    assert!(said(&first).starts_with("1 statements of 20") && said(&first).ends_with("closed, 0 were closed before"));
    assert!(again.state == RunState::Done && said(&again).ends_with("closed, 1 were closed before"), "{again:?}");
    let statements =
        keeping.accounts.statements(&store::StatementQuery { limit: 10, ..Default::default() }).await.unwrap();
    assert_eq!((statements.len(), statements[0].closed.is_some()), (1, true));
}

#[tokio::test]
async fn usage_is_exported_and_the_data_key_is_exchanged() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;

    let exported = run(&gateway, "export").await;
    let exchanged = run(&gateway, "keys").await;

    assert_eq!(exported.state, RunState::Done, "{exported:?}");
    let mut files = std::fs::read_dir(gateway.folder()).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|extension| extension == "csv")).unwrap();
    assert!(std::fs::read_to_string(file).unwrap().starts_with("hour,company,app,product,api,operation,"));
    assert!(exchanged.state == RunState::Done && exchanged.said.unwrap().ends_with("closed with a new data key"));
}

#[tokio::test]
async fn a_mistake_in_a_job_is_found_where_it_is() {
    let found =
        Gateway::refusing(&DOCUMENT.replace("30 2 * * *", "30 25 * * *").replace("BACKEND", "127.0.0.1:1")).await;
    assert!(found.contains("/jobs/report/at: is no cron expression: ") && found.contains("vestibule.yaml:"), "{found}");
}
