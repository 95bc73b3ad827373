//! What a browser asks for: the files, to sign in and out, and what the Admin API answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderValue, ORIGIN, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::files;
use crate::sessions::Sessions;

/// The page, and who is signed in.
#[derive(Clone, Default)]
pub struct Console {
    sessions: Arc<Mutex<Sessions>>,
}

/// Finds out whose token something is.
pub trait Check: Send + Sync + 'static {
    /// Whose it is; none if it is none, or cannot be looked up.
    fn whose(&self, token: Box<str>) -> BoxFuture<'_, Option<Who>>;
    /// Now, in seconds since 1970.
    fn now(&self) -> u64;
}

/// Whose token something is.
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// The name of the token.
    pub name: String,
    /// Its role.
    pub role: String,
}

/// Who is signed in, and until when at most, in seconds since 1970.
#[derive(Serialize)]
struct SignedIn {
    #[serde(flatten)]
    who: Who,
    ends: u64,
}

#[derive(Clone)]
struct Desk {
    console: Console,
    check: Arc<dyn Check>,
    /// What the cookie says of where it may go.
    reach: &'static str,
}

/// What somebody signs in by.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Token(String),
    Link(String),
}

impl Console {
    /// What somebody who has the link can sign in by, once and within an hour. None: there are too many.
    pub fn invite(&self, token: &str, now: u64) -> Option<String> {
        let link = self.sessions.lock().invite(token, now)?;
        Some(format!("/console/#link={link}"))
    }

    /// All paths below `/console`, and there `api` for those who are signed in. `by_tls`: whether browsers come by TLS only.
    pub fn routes(&self, api: Router, check: impl Check, by_tls: bool) -> Router {
        let reach = if by_tls { "; Secure" } else { "" };
        let desk = Desk { console: self.clone(), check: Arc::new(check), reach };
        let session = get(who).post(sign_in).delete(sign_out);
        let guarded = Router::new()
            .route("/console/session", session)
            .nest_service("/console/api", api.layer(middleware::from_fn_with_state(desk.clone(), by_cookie)))
            .layer(middleware::from_fn(from_the_page));
        Router::new()
            .route("/console", get(|| async { Redirect::to("/console/") }))
            .route("/console/", get(files::page))
            .route("/console/console.js", get(files::script))
            .route("/console/plot.js", get(files::plot))
            .route("/console/simulate.js", get(files::simulate))
            .route("/console/words.js", get(files::words))
            .route("/console/console.css", get(files::style))
            .merge(guarded)
            .with_state(desk)
    }
}

/// Lets only what the page itself asks for pass. A browser sends cookies for pages of others, too, and takes every port of a
/// machine for the same site; but none lets another origin send a header of its own.
async fn from_the_page(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_same = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    if headers.get(MARK).is_none() || !is_same || !is_own_origin(headers) {
        return refusal(StatusCode::FORBIDDEN, "Only the page itself may ask for this.");
    }
    next.run(request).await
}

/// Whether the origin, if a browser names it, is this host.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, authority)| host == Some(authority))
}

/// Asks the Admin API in the name of who is signed in.
async fn by_cookie(State(desk): State<Desk>, mut request: Request, next: Next) -> Response {
    let token = desk.token(request.headers());
    let field = token.and_then(|(token, _)| HeaderValue::try_from(format!("Bearer {token}")).ok());
    let headers = request.headers_mut();
    headers.remove(COOKIE);
    match field {
        Some(mut field) => {
            field.set_sensitive(true);
            headers.insert(AUTHORIZATION, field)
        }
        None => headers.remove(AUTHORIZATION),
    };
    next.run(request).await
}

/// `GET /console/session`: who is signed in.
async fn who(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    let Some((token, ends)) = desk.token(&headers) else {
        return refusal(StatusCode::UNAUTHORIZED, "Nobody is signed in.");
    };
    match desk.check.whose(token).await {
        Some(who) => Json(SignedIn { who, ends }).into_response(),
        None => refusal(StatusCode::UNAUTHORIZED, "The token is deleted or expired."),
    }
}

/// `POST /console/session`: signs somebody in.
async fn sign_in(State(desk): State<Desk>, Json(entry): Json<Entry>) -> Response {
    let now = desk.check.now();
    let token = match entry {
        Entry::Token(token) => Some(token.trim().into()),
        Entry::Link(link) => desk.console.sessions.lock().redeem(&link, now),
    };
    let Some(token): Option<Box<str>> = token else {
        return refusal(StatusCode::UNAUTHORIZED, "That link was used, or is older than an hour.");
    };
    let Some(who) = desk.check.whose(token.clone()).await else {
        return refusal(StatusCode::UNAUTHORIZED, "That is no token of this gateway, or it is deleted or expired.");
    };
    let begun = desk.console.sessions.lock().begin(&token, now);
    let Some((shown, ends)) = begun else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "The system gives no randomness.");
    };
    let cookie = format!("{NAME}={shown}; Path=/console; HttpOnly; SameSite=Strict{}", desk.reach);
    ([(SET_COOKIE, cookie)], Json(SignedIn { who, ends })).into_response()
}

/// `DELETE /console/session`: signs somebody out.
async fn sign_out(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    if let Some(shown) = shown(&headers) {
        desk.console.sessions.lock().end(shown);
    }
    let cookie = format!("{NAME}=; Path=/console; Max-Age=0; HttpOnly; SameSite=Strict{}", desk.reach);
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}

impl Desk {
    /// The token of who is signed in, and until when at most.
    fn token(&self, headers: &HeaderMap) -> Option<(Box<str>, u64)> {
        let shown = shown(headers)?;
        self.console.sessions.lock().token(shown, self.check.now())
    }
}

/// What a browser shows.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).map(|(_, shown)| shown)
}

fn refusal(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({ "detail": detail }))).into_response()
}

/// The cookie.
const NAME: &str = "vestibule-console";
/// The header that only the page itself sends.
const MARK: &str = "x-vestibule-console";

#[cfg(test)]
mod tests;
