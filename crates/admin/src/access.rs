//! Who may ask: those who present the token.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use problem::{Problem, ProblemKind};

use crate::Admin;
use crate::failure::Failure;

/// The request presents no token, or another one.
pub(crate) static TOKEN_NEEDED: ProblemKind = ProblemKind {
    code: "admin-token-needed",
    status: StatusCode::UNAUTHORIZED,
    title: "The Admin API needs its token",
};

/// Lets requests pass that present the token (RFC 6750, section 2.1).
pub(crate) async fn with_token(State(admin): State<Admin>, request: Request, next: Next) -> Result<Response, Failure> {
    match presented(request.headers()) {
        Some(token) if admin.token.is(token) => Ok(next.run(request).await),
        Some(_) => Err(refusal("That is not the token of this gateway.", INVALID_TOKEN)),
        None => Err(refusal("Send `Authorization: Bearer` with the token of this gateway.", NO_TOKEN)),
    }
}

fn refusal(detail: &str, challenge: &'static str) -> Failure {
    let challenge = HeaderValue::from_static(challenge);
    Problem::new(&TOKEN_NEEDED).detail(detail).header(WWW_AUTHENTICATE, challenge).into()
}

/// The token of a request. Several `Authorization` fields are none: nobody means that.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, token) = field.as_bytes().split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim_ascii())
}

const BEARER: &[u8] = b"bearer ";
const NO_TOKEN: &str = "Bearer realm=\"vestibule admin\"";
const INVALID_TOKEN: &str = "Bearer realm=\"vestibule admin\", error=\"invalid_token\"";

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use crate::tester::{TOKEN, Tester};

    #[tokio::test]
    async fn nothing_is_told_without_the_token() {
        let tester = Tester::new();
        for (method, path) in [
            (Method::GET, "/companies"),
            (Method::POST, "/companies"),
            (Method::GET, "/status"),
            (Method::GET, "/config"),
            (Method::PUT, "/config"),
            (Method::POST, "/upgrade"),
            (Method::GET, "/nothing-here"),
        ] {
            let answer = tester.send_without_token(method, path).await;
            answer.is_problem(StatusCode::UNAUTHORIZED, "admin-token-needed");
            assert_eq!(answer.headers["www-authenticate"], super::NO_TOKEN);
        }
    }

    #[tokio::test]
    async fn only_the_token_as_a_bearer_opens() {
        let tester = Tester::new();
        let opens = |authorization: String| tester.get_with("/status", "authorization", authorization);
        for right in [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}"), format!("BEARER  {TOKEN}")] {
            assert_eq!(opens(right).await.status, StatusCode::OK);
        }
        for wrong in ["", "Bearer", "Bearer ", TOKEN, &format!("Basic {TOKEN}"), &format!("Bearer {TOKEN}x")] {
            assert_eq!(opens(wrong.to_owned()).await.status, StatusCode::UNAUTHORIZED, "{wrong}");
        }
    }
}
