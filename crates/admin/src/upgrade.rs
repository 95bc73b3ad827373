//! `POST /upgrade`: the binary that is installed now takes over.

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::parts::{Asked, Log, Nothing};
use crate::{Admin, Refused};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Upgrade")]
pub(crate) struct Begun {
    process: u32,
}

/// `POST /upgrade`: hands the sockets over to a new process; this one ends what it has begun.
pub(crate) async fn start(
    State(admin): State<Admin>,
    log: Log,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let Some(upgrade) = &admin.upgrade else {
        return Err(Refused::Conflict("this process cannot hand its sockets over".to_owned()).into());
    };
    let failed = |cause: std::io::Error| Refused::Failed("no new process could be started".to_owned(), cause.into());
    let process = upgrade().map_err(failed)?;
    tracing::info!(process, "a new process takes over");
    log.note("upgraded", ("process", &process.to_string()), json!({ "process": process })).await?;
    Ok((StatusCode::ACCEPTED, Json(Begun { process })))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::Tester;

    #[tokio::test]
    async fn an_upgrade_names_the_new_process() {
        let tester = Tester::new().changed(|admin| admin.upgrading_by(|| Ok(4711)));
        let answer = tester.post_nothing("/upgrade").await;
        assert_eq!((answer.status, answer.json), (StatusCode::ACCEPTED, json!({ "process": 4711 })));
    }

    #[tokio::test]
    async fn what_cannot_be_rehearsed_is_not_done_by_a_dry_run() {
        let tester = Tester::new().changed(|admin| admin.upgrading_by(|| panic!("it was done")));
        for path in ["/upgrade?dry_run=true", "/config/reload?dry_run=true", "/usage/rebuild?dry_run=true"] {
            let refused = tester.post_nothing(path).await;
            refused.is_problem(StatusCode::BAD_REQUEST, "bad-query");
            assert!(refused.text_of("detail").contains("cannot be tried"), "{}", refused.text);
        }
    }

    #[tokio::test]
    async fn an_upgrade_that_fails_says_what_did_and_not_why() {
        let tester = Tester::new().changed(|admin| admin.upgrading_by(|| Err(std::io::Error::other("inner cause"))));
        let answer = tester.post_nothing("/upgrade").await;
        answer.is_problem(StatusCode::INTERNAL_SERVER_ERROR, "failed");
        assert_eq!(answer.json["detail"], "No new process could be started.");
        assert!(!answer.text.contains("inner cause"));
    }

    #[tokio::test]
    async fn a_process_that_cannot_be_upgraded_says_so() {
        Tester::new().post_nothing("/upgrade").await.is_problem(StatusCode::CONFLICT, "conflict");
    }
}
