//! `/sessions`: what partners have open at backends, and what was closed for them.

use axum::extract::Extension;
use axum::response::{IntoResponse, Json};
use partners::{AppName, CompanyName};
use problem::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sessions::{About, group_of};
use store::{Lease, LeaseId, LeaseListing, LeaseState, UnixMicros, Which, Why};

use crate::access::Asker;
use crate::failure::{Failure, NOT_FOUND};
use crate::page::{Listed, Page};
use crate::parts::{Asked, BAD_QUERY, Named, Nothing, Stored};
use crate::time;

/// Which sessions are asked for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionQuery")]
pub(crate) struct Question {
    /// Only those of the policy of this name.
    name: Option<String>,
    /// Only this company's.
    company: Option<CompanyName>,
    /// Only this app's of the company.
    app: Option<AppName>,
    /// `current`, or `closed` for those that were closed by the gateway.
    #[serde(default)]
    which: Kept,
    /// The list goes on after this one: `next` of the page before.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SessionsKept")]
enum Kept {
    #[default]
    Current,
    Closed,
}

/// A session as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
pub(crate) struct Shown {
    id: LeaseId,
    /// The name under which its policy counts.
    name: String,
    company: Option<String>,
    app: Option<String>,
    credential: Option<String>,
    api: String,
    client: String,
    state: LeaseState,
    opened: String,
    /// When it was last used, within a second or so.
    last_used: String,
    /// When it ends unless it is used.
    ends: String,
    /// When it ends even if it is used.
    latest: String,
    ended: Option<String>,
    why: Option<Why>,
    /// How often the backend was asked to close it.
    attempts: u32,
    /// When it is asked next.
    next_try: Option<String>,
    /// What came of the last time.
    note: Option<String>,
}

/// `GET /sessions`: lists them in the order in which they were opened.
pub(crate) async fn list(Stored(storage): Stored, Asked(question): Asked<Question>) -> Result<Listed<Shown>, Failure> {
    let Question { name, company, app, which, after, limit } = question;
    if app.is_some() && company.is_none() {
        return Err(Problem::new(&BAD_QUERY).detail("The query is wrong: `app` needs its `company`.").into());
    }
    let page = Page::new(after, limit);
    let listing = LeaseListing {
        group: group_of(name.as_deref(), company.as_ref().map(CompanyName::as_str), app.as_ref().map(AppName::as_str)),
        which: match which {
            Kept::Current => Which::Current,
            Kept::Closed => Which::Closed,
        },
        after: page.after(place)?,
        limit: page.fetched()?,
    };
    let found = storage.sessions.list(&listing).await?;
    page.of(found, |lease| format!("{}-{}", lease.opened.0, lease.id), shown)
}

/// `GET /sessions/{session}`: shows one.
pub(crate) async fn show(Stored(storage): Stored, Named(id): Named<String>) -> Result<impl IntoResponse, Failure> {
    let found = storage.sessions.find(&read(&id)?).await?;
    found.map(|lease| Json(shown(lease))).ok_or_else(|| no_session(&id))
}

/// `DELETE /sessions/{session}`: has one closed, at once if the backend does it, or tried again until it does.
pub(crate) async fn end(
    Stored(storage): Stored,
    Extension(asker): Extension<Asker>,
    Named(id): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let before = storage.sessions.find(&read(&id)?).await?;
    let is_closing = before.as_ref().is_some_and(|lease| lease.state == LeaseState::Closing);
    if let (Some(closing), true, true) = (before, is_closing, asker.is_company()) {
        // It is tried again when it is due. Only operators may ask the backend before that.
        return Ok(Json(shown(closing)));
    }
    let lease = storage.sessions.end(&read(&id)?).await?.ok_or_else(|| no_session(&id))?;
    let id = lease.id.to_string();
    let shown = shown(lease);
    if !is_closing {
        storage.partners.note("closed", ("session", &id), json!(shown)).await?;
    }
    Ok(Json(shown))
}

fn read(id: &str) -> Result<LeaseId, Failure> {
    id.parse().map_err(|_unknown| no_session(id))
}

fn no_session(id: &str) -> Failure {
    Problem::new(&NOT_FOUND).detail(format!("There is no session `{id}` that is open.")).into()
}

/// After which one a list goes on.
fn place(text: &str) -> Option<(UnixMicros, LeaseId)> {
    let (opened, id) = text.split_once('-')?;
    Some((UnixMicros(opened.parse().ok()?), id.parse().ok()?))
}

fn shown(lease: Lease) -> Shown {
    let About { pool, company, app, credential, api, client } = serde_json::from_str(&lease.about).unwrap_or_default();
    Shown {
        id: lease.id,
        name: pool,
        company,
        app,
        credential,
        api,
        client,
        state: lease.state,
        opened: time::text(lease.opened),
        last_used: time::text(lease.renewed),
        ends: time::text(lease.ends),
        latest: time::text(lease.latest),
        ended: lease.ended.map(|(at, _)| time::text(at)),
        why: lease.ended.map(|(_, why)| why),
        attempts: lease.attempts,
        next_try: (lease.state == LeaseState::Closing).then(|| time::text(lease.due)),
        note: Some(lease.note).filter(|note| !note.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use serde_json::json;
    use sessions::{Begun, Closing, Maxima, Opening, Terms, session_id};

    use super::*;
    use crate::tester::{NOW, Tester};

    /// Opens a session of this id for `acme/shop`.
    async fn open(tester: &Tester, id: &str, company: &str) -> String {
        let hour = Duration::from_hours(1);
        let terms = Terms { most: Maxima::default(), idle: hour, limit: hour, when_full: Opening::Refused };
        let about = About {
            pool: "orders".to_owned(),
            company: Some(company.to_owned()),
            app: Some("shop".to_owned()),
            api: "orders".to_owned(),
            ..About::default()
        };
        let Begun::Granted { place, .. } = tester.sessions.begin(&about, &terms).await.unwrap() else { panic!("full") };
        let id = session_id("orders", Some(company), id);
        tester.sessions.opened(&place, &id, &about, None).await.unwrap();
        id.to_string()
    }

    #[tokio::test]
    async fn sessions_are_listed_by_whom_they_belong_to() {
        let tester = Tester::new();
        let (first, other) = (open(&tester, "s1", "acme").await, open(&tester, "s1", "zeta").await);

        let ids = |answer: crate::tester::Answer| {
            let items = answer.json["items"].as_array().unwrap().clone();
            items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids(tester.get("/sessions").await).len(), 2);
        for query in ["company=acme", "company=acme&app=shop", "name=orders&company=acme", "limit=1&company=acme"] {
            assert_eq!(ids(tester.get(&format!("/sessions?{query}")).await), [first.as_str()], "{query}");
        }
        for query in ["company=nobody", "name=other", "which=closed", "company=acme&app=site"] {
            assert!(ids(tester.get(&format!("/sessions?{query}")).await).is_empty(), "{query}");
        }
        let page = tester.get("/sessions?limit=1").await;
        let next = page.text_of("next");
        let mut both = [ids(page), ids(tester.get(&format!("/sessions?limit=1&after={next}")).await)].concat();
        both.sort();
        let mut expected = vec![first, other];
        expected.sort();
        assert_eq!(both, expected);
        for query in ["app=shop", "which=all", "after=x", "company=Not%20a%20name"] {
            let answer = tester.get(&format!("/sessions?{query}")).await;
            answer.is_problem(StatusCode::BAD_REQUEST, "bad-query");
        }
    }

    #[tokio::test]
    async fn a_session_is_shown_and_ended_which_is_noted() {
        let tester = Tester::new();
        let id = open(&tester, "s1", "acme").await;
        let path = format!("/sessions/{id}");

        let shown = tester.get(&path).await;
        assert_eq!((&shown.json["state"], &shown.json["opened"]), (&json!("open"), &json!(NOW)));
        assert_eq!(shown.json["company"], "acme");
        assert!(!shown.text.contains("s1"), "the id that opens it is not told: {}", shown.text);
        let refused = tester.delete(&format!("{path}?dry_run=true")).await;
        refused.is_problem(StatusCode::BAD_REQUEST, "bad-query");
        assert_eq!(tester.delete(&path).await.status, StatusCode::OK);

        tester.get(&path).await.is_problem(StatusCode::NOT_FOUND, "not-found");
        tester.delete(&path).await.is_problem(StatusCode::NOT_FOUND, "not-found");
        tester.get("/sessions/none").await.is_problem(StatusCode::NOT_FOUND, "not-found");
        let noted = tester.get("/audit").await;
        let change = &noted.json["items"][0]["changes"][0];
        assert_eq!(
            (&change["change"], &change["kind"], &change["id"]),
            (&json!("closed"), &json!("session"), &json!(id))
        );
        assert_eq!(change["now"]["company"], "acme");
    }

    #[tokio::test]
    async fn a_session_that_is_being_closed_is_noted_once_however_often_that_is_asked_for() {
        let tester = Tester::with_app().await;
        let hour = Duration::from_hours(1);
        let terms = Terms { most: Maxima::default(), idle: hour, limit: hour, when_full: Opening::Refused };
        let about = About { pool: "orders".to_owned(), company: Some("acme".to_owned()), ..About::default() };
        let Begun::Granted { place, .. } = tester.sessions.begin(&about, &terms).await.unwrap() else { panic!("full") };
        let id = session_id("orders", Some("acme"), "s1");
        let closing = Closing {
            upstream: "crm".to_owned(),
            method: "DELETE".to_owned(),
            path: "/sessions/s1".to_owned(),
            headers: Vec::new(),
            body: String::new(),
            accept: Vec::new(),
            timeout: hour,
            first_pause: hour,
            longest_pause: hour,
            give_up: hour,
            history: hour,
        };
        tester.sessions.opened(&place, &id, &about, Some(&closing)).await.unwrap();
        let token = json!({ "name": "theirs", "role": "company", "company": "acme" });
        let secret = tester.post("/tokens", token).await.text_of("secret");

        for _ in 0..3 {
            let answer = tester.send_as(&secret, "DELETE", &format!("/sessions/{id}"), "").await;
            assert_eq!((answer.status, &answer.json["state"]), (StatusCode::OK, &json!("closing")), "{}", answer.text);
        }

        let noted = tester.get("/audit").await.text.matches("\"closed\"").count();
        assert_eq!(noted, 1);
    }

    #[tokio::test]
    async fn a_company_sees_and_ends_its_own_sessions_only() {
        let tester = Tester::with_app().await;
        let (own, other) = (open(&tester, "s1", "acme").await, open(&tester, "s1", "zeta").await);
        let token = json!({ "name": "theirs", "role": "company", "company": "acme" });
        let secret = tester.post("/tokens", token).await.text_of("secret");
        for (method, path, allowed) in [
            ("GET", "/sessions".to_owned(), false),
            ("GET", "/sessions?company=zeta".to_owned(), false),
            ("GET", "/sessions?company=acme".to_owned(), true),
            ("GET", format!("/sessions/{other}"), false),
            ("DELETE", format!("/sessions/{other}"), false),
            ("GET", format!("/sessions/{own}"), true),
            ("DELETE", format!("/sessions/{own}"), true),
        ] {
            let answer = tester.send_as(&secret, method, &path, "").await;
            let expected = if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(answer.status, expected, "{method} {path}");
        }
    }
}
