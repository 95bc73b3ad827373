//! `Idempotency-Key`: a request that is made again, because its answer was lost, is done once.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use partners::{Claim, Partners};
use problem::{Problem, ProblemKind};
use serde_json::Value;
use store::Answer;

use crate::access::Asker;
use crate::failure::{Failure, header_text};
use crate::{Admin, body};

/// The key cannot be used.
pub(crate) static BAD_KEY: ProblemKind = ProblemKind {
    code: "bad-idempotency-key",
    status: StatusCode::BAD_REQUEST,
    title: "The Idempotency-Key cannot be used",
};

/// The key was used for something else.
pub(crate) static KEY_REUSED: ProblemKind = ProblemKind {
    code: "idempotency-key-reused",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "The Idempotency-Key belongs to another request",
};

/// The request of this key has no answer yet.
pub(crate) static NOT_ANSWERED: ProblemKind = ProblemKind {
    code: "not-answered-yet",
    status: StatusCode::CONFLICT,
    title: "The request of this Idempotency-Key has no answer yet",
};

/// The field (draft-ietf-httpapi-idempotency-key-header).
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key.
const LONGEST: usize = 255;

/// Has a request with a key done once. Its answer is kept for a day, without the secret that was in it.
pub(crate) async fn once(State(admin): State<Admin>, request: Request, next: Next) -> Result<Response, Failure> {
    let is_dry = request.uri().query().is_some_and(|query| query.split('&').any(|member| member == "dry_run=true"));
    let (Some(key), Some(storage)) = (request.headers().get(KEY), &admin.storage) else {
        return Ok(next.run(request).await);
    };
    if request.method() != Method::POST || is_dry {
        return Ok(next.run(request).await);
    }
    let key = key.to_str().ok().filter(|key| (1..=LONGEST).contains(&key.len())).map(str::to_owned);
    let Some(key) = key else {
        let detail = format!("`Idempotency-Key` is 1 to {LONGEST} visible ASCII characters, such as a UUID.");
        return Err(Problem::new(&BAD_KEY).detail(detail).into());
    };
    let asker = request.extensions().get::<Asker>().map(|asker| asker.name.clone()).unwrap_or_default();
    let (head, sent) = request.into_parts();
    let sent = body::read(sent, body::LONGEST).await?;
    let fingerprint = [head.method.as_str().as_bytes(), head.uri.to_string().as_bytes(), &sent].join(&0);
    match storage.partners.claim(&asker, &key, &fingerprint).await? {
        Claim::Answered(answer) => Ok(replayed(answer)),
        Claim::Other => {
            let detail = "The same key came with another path or body within a day: take a new one.";
            Err(Problem::new(&KEY_REUSED).detail(detail).into())
        }
        Claim::Begun => {
            let detail = "It goes on, or the gateway was ended while it did: look whether it was done, or ask again.";
            let problem = Problem::new(&NOT_ANSWERED).detail(detail);
            Err(problem.header(RETRY_AFTER, HeaderValue::from_static("1")).into())
        }
        Claim::First(claimed) => {
            let response = next.run(Request::from_parts(head, Body::from(sent))).await;
            settle(&storage.partners, claimed, response).await
        }
    }
}

/// Keeps what was answered; what the gateway could not do may be tried again.
async fn settle(partners: &Partners, claimed: store::Reply, response: Response) -> Result<Response, Failure> {
    let (head, said) = response.into_parts();
    let said = said.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let answer = (!head.status.is_server_error()).then(|| {
        let kept = [CONTENT_TYPE, LOCATION, ETAG];
        let header = |name: &HeaderName| Some((name.to_string(), header_text(&head.headers, name.clone())?.to_owned()));
        let headers = kept.iter().filter_map(header).collect();
        Answer { status: head.status.as_u16(), headers, body: without_secret(&said) }
    });
    if let Err(error) = partners.settle(claimed, answer).await {
        tracing::warn!(%error, "an answer is not kept; the same request made again is refused");
    }
    Ok(Response::from_parts(head, Body::from(said)))
}

/// A secret is shown once, and kept nowhere.
fn without_secret(body: &[u8]) -> String {
    let Ok(mut document) = serde_json::from_slice::<Value>(body) else { return String::new() };
    if let Some(members) = document.as_object_mut() {
        members.remove("secret");
    }
    document.to_string()
}

fn replayed(answer: Answer) -> Response {
    let mut response = answer.body.into_response();
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::Tester;

    const KEYS: &str = "/companies/acme/apps/shop/keys";

    #[tokio::test]
    async fn what_is_asked_again_is_done_once_and_its_secret_told_once() {
        let tester = Tester::with_app().await;

        let first = tester.post_once("a-1", KEYS, json!({})).await;
        let second = tester.post_once("a-1", KEYS, json!({})).await;
        let other = tester.post_once("a-2", KEYS, json!({})).await;

        first.is_made();
        assert!(first.json["secret"].is_string());
        second.is_made();
        assert_eq!((&second.json["id"], second.json.get("secret")), (&first.json["id"], None));
        assert_eq!(second.headers["idempotency-replayed"], "true");
        assert_eq!(second.headers["location"], first.headers["location"]);
        assert_ne!(other.json["id"], first.json["id"]);
        assert_eq!(tester.get(KEYS).await.json["items"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_refusal_is_repeated_and_a_key_is_for_one_request() {
        let tester = Tester::with_app().await;
        let taken = tester.post_once("k", "/companies", json!({ "name": "acme" })).await;
        taken.is_problem(StatusCode::CONFLICT, "name-taken");
        tester.delete("/companies/acme").await;

        let again = tester.post_once("k", "/companies", json!({ "name": "acme" })).await;
        again.is_problem(StatusCode::CONFLICT, "name-taken");
        let another = tester.post_once("k", "/companies", json!({ "name": "zeta" })).await;
        another.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused");
        for bad in ["", &"x".repeat(256)] {
            let refused = tester.post_once(bad, "/companies", json!({ "name": "zeta" })).await;
            refused.is_problem(StatusCode::BAD_REQUEST, "bad-idempotency-key");
        }
    }

    #[tokio::test]
    async fn two_askers_have_keys_of_their_own_and_what_has_no_answer_is_not_done_again() {
        let tester = Tester::with_app().await;
        let token = tester.post("/tokens", json!({ "name": "ci", "role": "operator" })).await;
        let partners = tester.partners.clone();
        let body = json!({ "name": "zeta" }).to_string();
        let fingerprint = format!("POST\0/companies\0{body}");
        partners.claim("bootstrap", "k", fingerprint.as_bytes()).await.unwrap();

        let begun = tester.post_once("k", "/companies", json!({ "name": "zeta" })).await;
        begun.is_problem(StatusCode::CONFLICT, "not-answered-yet");
        let made = tester.post_once_as(&token.text_of("secret"), "k", "/companies", json!({ "name": "zeta" })).await;
        made.is_made();
    }
}
