//! Which path leads to which operation, and what holds for all of them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use problem::{Problem, ProblemKind};

use crate::failure::Failure;
use crate::{Admin, Changes, access, body, everywhere, failure, idempotency, parts, statements, table, usage};

/// Nothing is asked by this path.
pub(crate) static NO_SUCH_PATH: ProblemKind =
    ProblemKind { code: "no-such-path", status: StatusCode::NOT_FOUND, title: "The Admin API has no such path" };

/// The path is not asked by this method.
pub(crate) static METHOD_NOT_ALLOWED: ProblemKind = ProblemKind {
    code: "admin-method-not-allowed",
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "The Admin API has no such method here",
};

/// The answer was not there in time.
pub(crate) static LATE: ProblemKind =
    ProblemKind { code: "late", status: StatusCode::SERVICE_UNAVAILABLE, title: "It took too long" };

/// Every problem that the Admin API answers with; the documentation lists them.
pub static PROBLEMS: &[&ProblemKind] = &[
    &access::TOKEN_NEEDED,
    &access::NOT_ALLOWED,
    &NO_SUCH_PATH,
    &METHOD_NOT_ALLOWED,
    &LATE,
    &body::UNSUPPORTED_TYPE,
    &body::TOO_LONG,
    &body::MALFORMED,
    &parts::BAD_QUERY,
    &idempotency::BAD_KEY,
    &idempotency::KEY_REUSED,
    &idempotency::NOT_ANSWERED,
    &parts::NO_STORE,
    &parts::NO_TAG,
    &failure::INVALID,
    &failure::NOT_FOUND,
    &failure::NAME_TAKEN,
    &failure::IN_USE,
    &failure::CHANGED,
    &failure::MANAGED_BY_FILE,
    &failure::TOO_OFTEN,
    &failure::TOO_MANY_KEYS,
    &failure::TOO_MANY_TOKENS,
    &failure::TOO_MANY_CERTIFICATES,
    &failure::CERTIFICATE_IS_DEAD,
    &failure::NO_AUTHORITY,
    &failure::TOO_MANY_WEBHOOKS,
    &failure::KEY_IS_DEAD,
    &failure::KEY_IS_ROTATED,
    &failure::KEY_OVERLAPS,
    &failure::STORE_UNAVAILABLE,
    &failure::CONFLICT,
    &failure::FAILED,
    &usage::TOO_MUCH,
    &statements::OVERLAPS,
    &statements::CLOSED,
    &statements::STALE,
];

/// Who can reach the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Programs of this machine.
    Loopback,
    /// Others, too: metrics need the token.
    Network,
}

impl Admin {
    /// All paths, for a listener at this address.
    pub fn routes_at(&self, address: SocketAddr) -> Router {
        self.routes(if address.ip().is_loopback() { Exposure::Loopback } else { Exposure::Network })
    }

    /// All paths, for a listener that can be reached so.
    pub fn routes(&self, exposure: Exposure) -> Router {
        let with_token = || middleware::from_fn_with_state(self.clone(), access::with_token);
        let metrics = table::metrics().router;
        let metrics = match exposure {
            Exposure::Loopback => metrics,
            Exposure::Network => metrics.route_layer(with_token()),
        };
        // Below the layer stand unknown paths too: who has no token learns nothing of what there is.
        let once = middleware::from_fn_with_state(self.clone(), idempotency::once);
        let wait = middleware::from_fn_with_state(self.clone(), everywhere::wait);
        let closed = table::closed().router.fallback(no_such_path).layer(once).layer(wait).layer(with_token());
        // Who is signed in with a browser asks for the same by another path.
        let api = closed.clone().method_not_allowed_fallback(method_not_allowed).with_state(self.clone());
        let console = self.console.routes(api, self.clone(), exposure == Exposure::Network);
        table::open()
            .router
            .merge(metrics)
            .merge(closed)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(self.clone())
            .merge(console)
            .layer(middleware::from_fn_with_state(self.changes.clone(), in_time))
    }
}

async fn no_such_path(request: Request) -> Failure {
    Problem::new(&NO_SUCH_PATH).detail(format!("Nothing is asked by `{}`.", request.uri().path())).into()
}

async fn method_not_allowed(request: Request) -> Failure {
    let detail = format!("`{}` is not asked by {}; `Allow` says how.", request.uri().path(), request.method());
    Problem::new(&METHOD_NOT_ALLOWED).detail(detail).into()
}

/// Bounds the time of every request, logs what may have changed something, and keeps answers out of caches.
async fn in_time(State(changes): State<Changes>, request: Request, next: Next) -> Response {
    let changing = match *request.method() {
        Method::GET | Method::HEAD => None,
        _ => Some((request.method().clone(), request.uri().path().to_owned())),
    };
    let answering = match &changing {
        None => next.run(request).boxed(),
        Some(_) => async move {
            let made = changes.make(next.run(request)).await;
            made.unwrap_or_else(|| Failure(Problem::new(&failure::FAILED)).into_response())
        }
        .boxed(),
    };
    let mut response = match tokio::time::timeout(LONGEST, answering).await {
        Ok(response) if changing.is_none() && is_unavailable(&response) => Failure::of_a_look().into_response(),
        Ok(response) => response,
        Err(_elapsed) => {
            let detail = match changing {
                None => "Try again, or ask for less.",
                Some(_) => "Whether a change was made is not known: look before you try again.",
            };
            let problem = Problem::new(&LATE).detail(detail).header(RETRY_AFTER, HeaderValue::from_static("5"));
            Failure(problem).into_response()
        }
    };
    if let Some((method, path)) = changing {
        tracing::info!(%method, path, status = response.status().as_u16(), "admin request");
    }
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether the store could not be asked.
fn is_unavailable(response: &Response) -> bool {
    let kind = response.extensions().get::<&'static ProblemKind>();
    kind.is_some_and(|kind| **kind == failure::STORE_UNAVAILABLE)
}

/// The time of a request, from its head to the answer's.
const LONGEST: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;
    use crate::tester::Tester;

    #[tokio::test]
    async fn an_unknown_path_is_a_problem() {
        let tester = Tester::new();
        for path in ["/", "/nothing", "/companies/", "/companies/acme/apps/shop/more", "/healthz/x"] {
            tester.get(path).await.is_problem(StatusCode::NOT_FOUND, "no-such-path");
        }
    }

    #[tokio::test]
    async fn an_unknown_method_is_a_problem_that_names_the_known_ones() {
        let tester = Tester::new();
        let answer = tester.delete("/companies").await;
        answer.is_problem(StatusCode::METHOD_NOT_ALLOWED, "admin-method-not-allowed");
        assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
    }

    #[tokio::test]
    async fn a_body_of_another_type_is_refused() {
        let tester = Tester::new();
        for media in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            let answer = tester.send("POST", "/companies", media, "{\"name\": \"acme\"}").await;
            answer.is_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type");
        }
        let typed = "application/json; charset=utf-8";
        tester.send("POST", "/companies", typed, "{\"name\": \"acme\"}").await.is_made();
    }

    #[tokio::test]
    async fn a_body_that_is_no_json_is_refused_with_the_place() {
        let tester = Tester::new();
        for body in ["", "{", "{\"name\": }", "nonsense", "{\"name\": \"a\"} more", "\u{feff}{}"] {
            let answer = tester.send("POST", "/companies", "application/json", body).await;
            answer.is_problem(StatusCode::BAD_REQUEST, "malformed");
            assert!(answer.text_of("detail").contains("line 1 column"), "{}", answer.text);
        }
        let deep = "[".repeat(100_000);
        let answer = tester.send("POST", "/companies", "application/json", deep).await;
        assert_eq!(answer.status.as_u16() / 100, 4);
    }

    #[tokio::test]
    async fn a_body_that_says_something_else_is_refused_with_the_field() {
        let tester = Tester::new();
        let cases = [
            (json!({ "name": "acme", "nmae": "x" }), "/nmae", "unknown field"),
            (json!({ "name": 7 }), "/name", "invalid type"),
            (json!({}), "/name", "missing field `name`"),
            (json!([1]), "/0", "invalid"),
        ];
        for (body, pointer, message) in cases {
            let answer = tester.post("/companies", body).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
            assert!(answer.text_of("detail").contains(message), "{}", answer.text);
        }
        let twice = tester.send("POST", "/companies", "application/json", "{\"name\":\"a\",\"name\":\"b\"}").await;
        twice.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    }

    #[tokio::test]
    async fn a_body_has_a_bound() {
        let tester = Tester::new();
        let long = format!("{{\"name\": \"{}\"}}", "a".repeat(300_000));
        let answer = tester.send("POST", "/companies", "application/json", long).await;
        answer.is_problem(StatusCode::PAYLOAD_TOO_LARGE, "too-long");
    }

    #[tokio::test]
    async fn a_gateway_without_a_store_says_so() {
        let tester = Tester::without_storage();
        for path in ["/companies", "/products", "/usage", "/subscriptions", "/statements", "/keys/abcdefghijkl"] {
            tester.get(path).await.is_problem(StatusCode::CONFLICT, "no-store");
        }
        assert_eq!(tester.get("/status").await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn of_a_store_that_is_away_a_look_says_nothing_of_changes_and_a_change_does() {
        let failing = || async { Failure::from(store::Unavailable::because("no connection")) };
        let routes = Router::new()
            .route("/", axum::routing::get(failing).post(failing))
            .layer(middleware::from_fn_with_state(Changes::default(), in_time));
        for (method, speaks_of_changes) in [(Method::GET, false), (Method::POST, true)] {
            let request = Request::builder().method(method).uri("/").body(axum::body::Body::empty()).unwrap();

            let answer = routes.clone().oneshot(request).await.unwrap();

            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.headers()[RETRY_AFTER], "1");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let said = String::from_utf8_lossy(&body);
            assert!(said.contains("store-unavailable") && said.contains("log says what is wrong"), "{said}");
            assert_eq!(said.contains("Whether a change was made"), speaks_of_changes, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_late() {
        let tester = Tester::new();
        tester.node.hang();
        tester.post_nothing("/config/reload").await.is_problem(StatusCode::SERVICE_UNAVAILABLE, "late");
    }

    #[test]
    fn no_two_problems_have_the_same_code() {
        let mut codes: Vec<_> = PROBLEMS.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), PROBLEMS.len());
    }
}
