//! `GET /metrics`: everything that is counted, for scrapers.

use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::Admin;
use crate::failure::header_text;

/// `GET /metrics`: in the Prometheus text format, or as `OpenMetrics` for those who accept it.
pub(crate) async fn show(State(admin): State<Admin>, headers: HeaderMap) -> impl IntoResponse {
    let exposition = admin.node.metrics(header_text(&headers, ACCEPT));
    ([(CONTENT_TYPE, exposition.content_type)], exposition.body)
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use crate::Exposure;
    use crate::tester::Tester;

    #[tokio::test]
    async fn metrics_need_no_token_on_a_loopback_address_only() {
        let answer = Tester::new().send_without_token(Method::GET, "/metrics").await;
        assert_eq!(answer.status, StatusCode::OK);

        let outside = Tester::exposed(Exposure::Network);
        let refused = outside.send_without_token(Method::GET, "/metrics").await;
        refused.is_problem(StatusCode::UNAUTHORIZED, "admin-token-needed");
        assert_eq!(outside.get("/metrics").await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_scraper_gets_the_format_that_it_accepts() {
        let tester = Tester::new();
        let plain = tester.get("/metrics").await;
        assert!(plain.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        let open = tester.get_with("/metrics", "accept", "application/openmetrics-text".to_owned()).await;
        assert!(open.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
        assert!(open.text.ends_with("# EOF\n"));
    }
}
