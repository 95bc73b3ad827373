//! What `/statements` promises.

use http::StatusCode;
use serde_json::{Value, json};
use store::{UsageRow, UsageSource, UsageTotals};

use crate::tester::{NOW, Tester};

/// With 1,000 calls of `acme` in December 2025, beside the row that the node adds whenever it is asked to.
async fn tester() -> Tester {
    let tester = Tester::new();
    use_up(&tester, 0, 1000).await;
    tester
}

/// Adds calls, as the batch that follows this one.
async fn use_up(tester: &Tester, from: u64, requests: u64) {
    let row = UsageRow {
        company: "acme".into(),
        app: "shop".into(),
        product: "gold".into(),
        api: "orders".into(),
        operation: "GET /".into(),
        hour: 490_895,
        status_class: 2,
        requests,
        cost: requests,
        bytes_in: 0,
        bytes_out: 0,
        latency_micros: 0,
    };
    let source = UsageSource { segment: "s".into(), from, offset: from + 1 };
    tester.totals.add(&[row], &source).await.unwrap();
}

fn december() -> Value {
    json!({ "company": "acme", "plan": "gold", "period": "2025-12" })
}

#[tokio::test]
async fn a_statement_is_made_closed_and_corrected() {
    let tester = tester().await;

    let made = tester.post("/statements", december()).await;
    made.is_made();
    assert_eq!((made.text_of("total"), made.text_of("state")), ("51.00".into(), "draft".into()));
    assert_eq!(made.json["content"]["items"][1]["lines"][0]["quantity"], "1000");
    let seen = json!({ "hash": made.json["hash"] });
    let closed = tester.post("/statements/1/close", seen.clone()).await;
    assert_eq!((closed.status, &closed.json["closed"]), (StatusCode::OK, &json!(NOW)), "{}", closed.text);
    assert_eq!(tester.post("/statements/1/close", seen).await.status, StatusCode::OK, "twice is once");
    let lines = json!({ "lines": [{ "text": "an outage", "amount": "1" }] });
    let note = tester.post("/statements/1/credit-notes", lines).await;
    note.is_made();

    assert_eq!((note.text_of("total"), &note.json["corrects"]), ("1.00".into(), &json!(1)));
    let list = tester.get("/statements?company=acme").await;
    let kinds: Vec<_> = list.json["items"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
    assert_eq!(kinds, ["statement", "credit-note"]);
    assert_eq!(tester.get("/statements?limit=1").await.json["next"], "1");
    let recount = tester.get("/statements/1/recount").await;
    assert_eq!((&recount.json["same"], &recount.json["intact"]), (&json!(true), &json!(true)), "{}", recount.text);
}

#[tokio::test]
async fn usage_that_came_too_late_for_its_statement_is_listed() {
    let tester = tester().await;
    let made = tester.post("/statements", december()).await;
    tester.post("/statements/1/close", json!({ "hash": made.json["hash"] })).await;
    assert_eq!(tester.get("/statements/late").await.json, json!({ "items": [] }));

    use_up(&tester, 1, 7).await;

    let late = json!({
        "statement": 1, "company": "acme", "from": made.json["from"], "to": made.json["to"], "meter": "calls",
        "product": "gold", "api": "orders", "operation": "GET /", "stated": 1000, "today": 1007
    });
    assert_eq!(tester.get("/statements/late?company=acme").await.json, json!({ "items": [late] }));
    assert_eq!(tester.get("/statements/late?limit=1").await.json["next"], "1");
    assert_eq!(tester.get("/statements/late?after=1").await.json, json!({ "items": [] }));
    assert_eq!(tester.get("/statements/late?company=zeta").await.json, json!({ "items": [] }));
    assert_eq!(tester.get("/statements/1").await.json["total"], made.json["total"], "what is closed stays");
}

#[tokio::test]
async fn a_statement_is_shown_as_json_a_table_or_a_page() {
    let tester = tester().await;
    tester.post("/statements", december()).await.is_made();
    for (query, accept, media) in [
        ("", "*/*", "application/json"),
        ("", "text/html,application/xhtml+xml;q=0.9", "text/html; charset=utf-8"),
        ("", "text/csv", "text/csv; charset=utf-8; header=present"),
        ("?format=csv", "text/html", "text/csv; charset=utf-8; header=present"),
        ("?format=html", "*/*", "text/html; charset=utf-8"),
    ] {
        let answer = tester.get_with(&format!("/statements/1{query}"), "accept", accept.to_owned()).await;
        assert_eq!(answer.headers["content-type"], media);
        assert!(answer.text.contains("50.00"), "{}", answer.text);
    }
    let page = tester.get("/statements/1?format=html").await;
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    tester.get("/statements/1?format=pdf").await.is_problem(StatusCode::BAD_REQUEST, "bad-query");
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_told_with_its_field() {
    let tester = tester().await;
    for (changed, pointers) in [
        (json!({ "company": "A B", "period": "2025-13" }), vec!["/company", "/period"]),
        (json!({ "plan": "lead" }), vec!["/plan"]),
        (json!({ "contract_start": "x", "contract_end": "2025-1-1" }), vec!["/contract_start", "/contract_end"]),
        (json!({ "contract_start": "2026-01-01" }), vec!["/period"]),
        (json!({ "contrakt": 1 }), vec!["/contrakt"]),
    ] {
        let mut order = december();
        order.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        let answer = tester.post("/statements", order).await;
        answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        assert_eq!(answer.pointers(), pointers, "{}", answer.text);
    }
}

#[tokio::test]
async fn what_is_closed_stays() {
    let tester = tester().await;
    let made = tester.post("/statements", december()).await;
    let stale = tester.post("/statements/1/close", json!({ "hash": "another" })).await;
    stale.is_problem(StatusCode::CONFLICT, "statement-stale");
    tester.post("/statements/1/close", json!({ "hash": made.json["hash"] })).await;

    tester.post("/statements", december()).await.is_problem(StatusCode::CONFLICT, "statement-overlaps");
    tester.delete("/statements/1").await.is_problem(StatusCode::CONFLICT, "statement-closed");
    let much = json!({ "lines": [{ "text": "all and more", "amount": "51.01" }] });
    let refused = tester.post("/statements/1/credit-notes", much).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    assert!(refused.text_of("detail").contains("51.00 EUR is all that is left"), "{}", refused.text);
    let long = json!({ "lines": [{ "text": "x", "amount": "1" }, { "text": "y", "amount": "5.123" }] });
    let refused = tester.post("/statements/1/credit-notes", long).await;
    let finding = "/lines/1/amount: has no amount of EUR above zero with at most 2 digits behind the point";
    assert!(refused.text_of("detail").starts_with(finding), "{}", refused.text);
    tester.get("/statements/2").await.is_problem(StatusCode::NOT_FOUND, "not-found");
}

#[tokio::test]
async fn a_period_that_is_not_over_is_not_closed_and_a_draft_goes() {
    let tester = tester().await;
    let made = tester.post("/statements", json!({ "company": "acme", "plan": "gold", "period": "2026-01" })).await;
    made.is_made();

    let early = tester.post("/statements/1/close", json!({ "hash": made.json["hash"] })).await;
    early.is_problem(StatusCode::CONFLICT, "conflict");
    let note = tester.post("/statements/1/credit-notes", json!({ "lines": [{ "text": "x", "amount": "1" }] })).await;
    note.is_problem(StatusCode::CONFLICT, "conflict");
    assert_eq!(tester.delete("/statements/1").await.status, StatusCode::NO_CONTENT);
    tester.get("/statements/1").await.is_problem(StatusCode::NOT_FOUND, "not-found");
}

#[tokio::test]
async fn nothing_is_done_for_good_by_a_request_that_is_not_understood() {
    let tester = tester().await;
    tester.post("/statements?dry_run=true", december()).await.is_problem(StatusCode::BAD_REQUEST, "bad-query");
    let made = tester.post("/statements", december()).await;
    let seen = json!({ "hash": made.json["hash"] });
    let close = tester.post("/statements/1/close?dry_run=true", seen).await;
    close.is_problem(StatusCode::BAD_REQUEST, "bad-query");
    tester.delete("/statements/1?dry_run=true").await.is_problem(StatusCode::BAD_REQUEST, "bad-query");
    assert_eq!(tester.get("/statements/1").await.json["state"], "draft");
}

#[tokio::test]
async fn nothing_is_billed_while_usage_cannot_be_counted() {
    let tester = tester().await;
    tester.node.fail();
    tester.post("/statements", december()).await.is_problem(StatusCode::INTERNAL_SERVER_ERROR, "failed");
}

#[tokio::test]
async fn who_bills_may_do_all_of_this_and_a_company_sees_its_own() {
    let tester = Tester::new();
    tester.post("/companies", json!({ "name": "acme" })).await.is_made();
    use_up(&tester, 0, 1000).await;
    let token = async |role: &str, company: Option<&str>| {
        let token = json!({ "name": format!("a-{role}"), "role": role, "company": company });
        tester.post("/tokens", token).await.text_of("secret")
    };
    let (billing, company, auditor) =
        (token("billing", None).await, token("company", Some("acme")).await, token("auditor", None).await);
    let status = async |token: &str, method: &str, path: &str, body: Value| {
        tester.send_as(token, method, path, body.to_string()).await.status.as_u16()
    };
    let zeta = json!({ "company": "zeta", "plan": "gold", "period": "2025-12" });

    assert_eq!(status(&billing, "POST", "/statements", december()).await, 201);
    assert_eq!(status(&billing, "POST", "/statements", zeta).await, 201);

    for (token, method, path, expected) in [
        (&company, "GET", "/statements/1", 200),
        (&company, "GET", "/statements/2", 403),
        (&company, "GET", "/statements/9", 403),
        (&company, "GET", "/statements?company=acme", 200),
        (&company, "GET", "/statements", 403),
        (&company, "GET", "/usage/series?company=acme", 200),
        (&company, "GET", "/usage/series?company=zeta", 403),
        (&company, "DELETE", "/statements/1", 403),
        (&company, "POST", "/usage/rebuild", 403),
        (&auditor, "GET", "/statements/2", 200),
        (&auditor, "DELETE", "/statements/2", 403),
        (&billing, "POST", "/usage/rebuild", 403),
        (&billing, "DELETE", "/statements/2", 204),
    ] {
        assert_eq!(status(token, method, path, json!(null)).await, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_statement_follows_the_contract_of_its_company() {
    let tester = Tester::new();
    tester.post("/companies", json!({ "name": "acme" })).await.is_made();
    use_up(&tester, 0, 1000).await;
    let wanted = || json!({ "company": "acme", "period": "2025-12" });
    assert_eq!(tester.post("/statements", wanted()).await.pointers(), ["/plan"], "there is no contract");
    let contract = |name: &str, start: &str, end: Option<&str>| {
        tester.post("/companies/acme/contracts", json!({ "name": name, "plan": "gold", "start": start, "end": end }))
    };
    contract("first", "2025-12-16", Some("2026-01-01")).await.is_made();
    contract("next", "2026-01-01", None).await.is_made();

    let made = tester.post("/statements", wanted()).await;

    made.is_made();
    assert_eq!((made.text_of("plan"), made.text_of("from")), ("gold".into(), "2025-12-16T00:00:00Z".into()));
    contract("before", "2025-01-01", Some("2025-12-16")).await.is_made();
    assert_eq!(tester.post("/statements", wanted()).await.pointers(), ["/contract"], "there are two");
    let by_name = json!({ "company": "acme", "period": "2025-12", "contract": "before" });
    assert_eq!(tester.post("/statements", by_name).await.text_of("to"), "2025-12-16T00:00:00Z");
    for (more, pointer) in [
        (json!({ "contract": "next" }), "/contract"),
        (json!({ "contract": "first", "plan": "gold" }), "/contract"),
        (json!({ "contract_start": "2025-12-02" }), "/plan"),
    ] {
        let mut wanted = wanted();
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(tester.post("/statements", wanted).await.pointers(), [pointer]);
    }
}

#[tokio::test]
async fn what_becomes_of_statements_is_in_the_audit_log() {
    let tester = tester().await;
    tester.post("/statements", december()).await.is_made();
    tester.delete("/statements/1").await;
    let made = tester.post("/statements", december()).await;
    let seen = json!({ "hash": made.json["hash"] });
    let number = made.json["number"].as_u64().unwrap();
    tester.post(&format!("/statements/{number}/close"), seen.clone()).await;
    tester.post(&format!("/statements/{number}/close"), seen).await;
    let lines = json!({ "lines": [{ "text": "an outage", "amount": "1" }] });
    tester.post(&format!("/statements/{number}/credit-notes"), lines).await.is_made();

    let log = tester.get("/audit").await;

    let told = |entry: &Value| {
        let change = &entry["changes"][0];
        (entry["actor"].clone(), change["kind"].clone(), change["change"].as_str().unwrap().to_owned())
    };
    let told: Vec<_> = log.json["items"].as_array().unwrap().iter().map(told).collect();
    let expected = ["drafted", "discarded", "drafted", "closed", "credited"];
    assert_eq!(told, expected.map(|change| (json!("bootstrap"), json!("statement"), change.to_owned())));
    assert_eq!(log.json["items"][4]["changes"][0]["now"]["total"], "1.00");
}
