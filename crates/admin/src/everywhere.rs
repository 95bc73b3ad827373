//! `?wait=all`: an answer that comes when all nodes know what was changed.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Uri;
use http::header::{HeaderName, HeaderValue};
use http::uri::PathAndQuery;

use crate::Admin;

/// Names the nodes that did not follow in time, and is empty if it cannot be told.
const BEHIND: HeaderName = HeaderName::from_static("vestibule-behind");

/// Has an answer wait for all nodes, if the request wants that. The change is made in any case.
pub(crate) async fn wait(State(admin): State<Admin>, mut request: Request, next: Next) -> Response {
    let Some(uri) = without(request.uri()) else { return next.run(request).await };
    *request.uri_mut() = uri;
    let mut response = next.run(request).await;
    if let (true, Some(storage)) = (response.status().is_success(), &admin.storage) {
        let behind = match storage.everywhere.known().await {
            Ok(behind) if behind.is_empty() => return response,
            Ok(behind) => {
                let names: Vec<_> = behind.iter().map(ToString::to_string).collect();
                HeaderValue::try_from(names.join(", ")).ok()
            }
            Err(_) => None,
        };
        response.headers_mut().insert(BEHIND, behind.unwrap_or(HeaderValue::from_static("")));
    }
    response
}

/// The address without `wait=all`, if that is in its query.
fn without(uri: &Uri) -> Option<Uri> {
    let mut rest: Vec<&str> = uri.query()?.split('&').collect();
    let all = rest.len();
    rest.retain(|member| *member != "wait=all");
    if rest.len() == all {
        return None;
    }
    let path = if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), rest.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tester::Tester;

    #[test]
    fn the_wish_is_taken_out_of_the_query() {
        let without = |uri: &'static str| without(&Uri::from_static(uri)).map(|uri| uri.to_string());
        assert_eq!(without("/companies?wait=all").as_deref(), Some("/companies"));
        assert_eq!(without("/companies?dry_run=true&wait=all").as_deref(), Some("/companies?dry_run=true"));
        assert_eq!(without("/companies?wait=al"), None);
        assert_eq!(without("/companies"), None);
    }

    #[tokio::test]
    async fn where_there_is_one_node_nobody_is_behind() {
        let tester = Tester::new();
        let made = tester.post("/companies?wait=all", json!({ "name": "acme" })).await;
        made.is_made();
        assert!(!made.headers.contains_key(BEHIND));
    }
}
