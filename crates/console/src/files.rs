//! The files of the page: as they are written, without anything that makes them.

use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// `GET /console/`.
pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", include_str!("console.html"))
}

/// `GET /console/console.js`.
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("console.js"))
}

/// `GET /console/plot.js`.
pub(crate) async fn plot() -> Response {
    file("text/javascript; charset=utf-8", include_str!("plot.js"))
}

/// `GET /console/simulate.js`.
pub(crate) async fn simulate() -> Response {
    file("text/javascript; charset=utf-8", include_str!("simulate.js"))
}

/// `GET /console/words.js`.
pub(crate) async fn words() -> Response {
    file("text/javascript; charset=utf-8", include_str!("words.js"))
}

/// `GET /console/console.css`.
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("console.css"))
}

fn file(media: &'static str, content: &'static str) -> Response {
    let mut response = content.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, media),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Nothing from elsewhere, nothing that stands in the page itself, and in no other page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
