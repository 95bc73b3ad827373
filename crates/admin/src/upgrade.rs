//! `POST /upgrade`: the binary that is installed now takes over.

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use http::StatusCode;
use serde::Serialize;

use crate::Admin;
use crate::failure::Failure;

#[derive(Serialize)]
struct Begun {
    process: u32,
}

/// `POST /upgrade`: hands the sockets over to a new process; this one ends what it has begun.
pub(crate) async fn start(State(admin): State<Admin>) -> Result<impl IntoResponse, Failure> {
    let process = admin.node.upgrade().await?;
    tracing::info!(process, "a new process takes over");
    Ok((StatusCode::ACCEPTED, Json(Begun { process })))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::Tester;

    #[tokio::test]
    async fn an_upgrade_names_the_new_process() {
        let answer = Tester::new().post_nothing("/upgrade").await;
        assert_eq!((answer.status, answer.json), (StatusCode::ACCEPTED, json!({ "process": 4711 })));
    }

    #[tokio::test]
    async fn an_upgrade_that_fails_says_what_did_and_not_why() {
        let tester = Tester::new();
        tester.node.fail();
        let answer = tester.post_nothing("/upgrade").await;
        answer.is_problem(StatusCode::INTERNAL_SERVER_ERROR, "failed");
        assert_eq!(answer.json["detail"], "The new process did not start.");
        assert!(!answer.text.contains("inner cause"));
    }
}
