//! `GET /healthz` and `GET /readyz`: whether the process lives, and whether it serves.

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderName};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Admin, Readiness, Serving};

#[derive(Serialize, JsonSchema)]
pub(crate) struct Health {
    status: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Readiness")]
pub(crate) struct Answer {
    ready: bool,
    state: Serving,
    generation: u64,
    hash: String,
}

/// `GET /healthz`: the process lives, for as long as it answers.
pub(crate) async fn health() -> impl IntoResponse {
    (NOT_STORED, Json(Health { status: "ok" }))
}

/// `GET /readyz`: 200 while the gateway takes requests, 503 before that and while it drains.
pub(crate) async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let Readiness { state, generation, hash } = admin.node.readiness();
    let status = match state {
        Serving::Ready => StatusCode::OK,
        Serving::Starting | Serving::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, NOT_STORED, Json(Answer { ready: state == Serving::Ready, state, generation, hash }))
}

const NOT_STORED: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use crate::Serving;
    use crate::tester::Tester;

    #[tokio::test]
    async fn health_needs_no_token() {
        let answer = Tester::new().send_without_token(Method::GET, "/healthz").await;
        assert_eq!((answer.status, &answer.json["status"]), (StatusCode::OK, &"ok".into()));
    }

    #[tokio::test]
    async fn a_gateway_is_ready_from_its_first_configuration_until_it_drains() {
        let tester = Tester::new();
        for (state, status, word) in
            [(Serving::Starting, 503, "starting"), (Serving::Ready, 200, "ready"), (Serving::Draining, 503, "draining")]
        {
            tester.node.set(state);
            let answer = tester.send_without_token(Method::GET, "/readyz").await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.json["ready"], status == 200);
            assert_eq!(answer.json["state"], word);
            assert_eq!(answer.json["generation"], 7);
            assert_eq!(answer.json["hash"], "c0ffee");
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
    }
}
