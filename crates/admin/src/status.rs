//! `GET /status`: how the gateway is.

use axum::extract::State;
use axum::response::{IntoResponse, Json};

use crate::Admin;

/// `GET /status`: listeners, backends, the journal, and which configuration serves.
pub(crate) async fn show(State(admin): State<Admin>) -> impl IntoResponse {
    Json(admin.node.status())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tester::Tester;

    #[tokio::test]
    async fn status_tells_of_listeners_backends_and_the_journal() {
        let status = Tester::new().get("/status").await.json;

        assert_eq!((&status["state"], &status["generation"]), (&json!("ready"), &json!(7)));
        assert_eq!(status["listeners"][0], json!({ "name": "public", "address": "127.0.0.1:8080", "connections": 3 }));
        assert_eq!(status["upstreams"][0]["breaker"], "closed");
        assert_eq!(status["upstreams"][0]["targets"][0]["in_service"], true);
        assert_eq!(status["journal"], json!({ "bytes": 500, "segments": 1, "failures": 0 }));
    }
}
