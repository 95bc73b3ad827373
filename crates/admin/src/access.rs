//! Who may ask: those who present a token, as far as its role goes.

use std::sync::Arc;

use admin_listener::Pace;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use console::Who;
use control::AccountError;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode, Uri};
use partners::{CertificateId, CompanyName, KeyId, Role};
use problem::{Problem, ProblemKind};

use crate::Admin;
use crate::failure::{Failure, TOO_OFTEN};

/// The request presents no token, or another one.
pub(crate) static TOKEN_NEEDED: ProblemKind = ProblemKind {
    code: "admin-token-needed",
    status: StatusCode::UNAUTHORIZED,
    title: "The Admin API needs its token",
};

/// The token may not do this.
pub(crate) static NOT_ALLOWED: ProblemKind = ProblemKind {
    code: "admin-not-allowed",
    status: StatusCode::FORBIDDEN,
    title: "The role of the token does not allow it",
};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// The name of the token.
    pub(crate) name: Arc<str>,
    role: Role,
    company: Option<CompanyName>,
}

impl Asker {
    /// Whether it is a company that asks, and not whoever operates the gateway.
    pub(crate) fn is_company(&self) -> bool {
        self.role == Role::Company
    }
}

/// Lets requests pass that present a token (RFC 6750, section 2.1) whose role allows them.
pub(crate) async fn with_token(
    State(admin): State<Admin>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let Some(presented) = presented(request.headers()) else {
        return Err(refusal("Send `Authorization: Bearer` with a token of this gateway.", NO_TOKEN));
    };
    let Some(asker) = asker(&admin, presented).await? else {
        return Err(refusal("That is no token of this gateway, or it is deleted or expired.", INVALID_TOKEN));
    };
    if asker.is_company() && !admin.pace.takes(&asker.name, (admin.clock)().0 / MINUTE) {
        let detail = format!("A token of the role `company` may ask {} times a minute.", Pace::MOST);
        let wait = HeaderValue::from_static("60");
        return Err(Problem::new(&TOO_OFTEN).detail(detail).header(RETRY_AFTER, wait).into());
    }
    let (method, uri) = (request.method().clone(), request.uri().clone());
    if !may(&admin, &asker, &method, &uri).await? {
        let Asker { name, role, .. } = asker;
        let detail =
            format!("The token `{name}` has the role `{role}`, which does not allow {method} `{}`.", uri.path());
        return Err(Problem::new(&NOT_ALLOWED).detail(detail).into());
    }
    request.extensions_mut().insert(asker);
    Ok(next.run(request).await)
}

async fn asker(admin: &Admin, presented: &[u8]) -> Result<Option<Asker>, Failure> {
    if admin.token.is(presented) {
        return Ok(Some(Asker { name: "bootstrap".into(), role: Role::Owner, company: None }));
    }
    let Some(storage) = &admin.storage else { return Ok(None) };
    let token = storage.partners.token(presented).await?;
    Ok(token.map(|token| Asker { name: token.name.shared().clone(), role: token.role, company: token.company }))
}

impl console::Check for Admin {
    fn whose(&self, token: Box<str>) -> BoxFuture<'_, Option<Who>> {
        async move {
            let asker = asker(self, token.as_bytes()).await.ok()??;
            Some(Who { name: asker.name.to_string(), role: asker.role.to_string() })
        }
        .boxed()
    }

    fn now(&self) -> u64 {
        (self.clock)().0 / 1_000_000
    }
}

/// Whether a role allows what is asked.
async fn may(admin: &Admin, asker: &Asker, method: &Method, uri: &Uri) -> Result<bool, Failure> {
    let looks = matches!(*method, Method::GET | Method::HEAD);
    let mut steps = uri.path().split('/').skip(1);
    let (first, second) = (steps.next().unwrap_or_default(), steps.next());
    Ok(match asker.role {
        Role::Owner => true,
        // What makes credentials is the owner's.
        Role::Operator => !matches!(first, "tokens" | "room-access-keys"),
        Role::Auditor => looks,
        Role::Billing if first == "statements" || uri.path().split('/').nth(3) == Some("contracts") => true,
        Role::Billing => looks && matches!(first, "companies" | "products" | "subscriptions" | "usage"),
        Role::Company => {
            let Some(company) = &asker.company else { return Ok(false) };
            match (first, second) {
                ("companies", Some(name)) => looks && name == company.as_str(),
                ("usage", None | Some("series")) | ("statements" | "sessions", None) => {
                    looks && asks_about(uri, company)
                }
                ("statements", Some(number)) => looks && is_billed(admin, company, number).await?,
                // Its own sessions it may see and close.
                ("sessions", Some(session)) => has_opened(admin, company, session).await?,
                // Its own keys it may see, rotate and revoke. It may not have them live longer.
                ("keys", Some(key)) => steps.next() != Some("expire") && owns(admin, company, key).await?,
                ("certificates", Some(id)) => *method != Method::DELETE && shows(admin, company, id).await?,
                _ => false,
            }
        }
    })
}

/// Whether what belongs to this company, and to no other, is asked for.
fn asks_about(uri: &Uri, company: &CompanyName) -> bool {
    let query = uri.query().unwrap_or_default();
    let mut asked = query.split('&').filter_map(|member| member.strip_prefix("company="));
    asked.next() == Some(company.as_str()) && asked.next().is_none()
}

/// Whether a statement or credit note is this company's.
async fn is_billed(admin: &Admin, company: &CompanyName, number: &str) -> Result<bool, Failure> {
    let (Some(storage), Ok(number)) = (&admin.storage, number.parse()) else { return Ok(false) };
    match storage.accounts.statement(number).await {
        Ok(row) => Ok(row.company == company.as_str()),
        Err(AccountError::NoStatement(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn has_opened(admin: &Admin, company: &CompanyName, session: &str) -> Result<bool, Failure> {
    let (Some(storage), Ok(id)) = (&admin.storage, session.parse()) else { return Ok(false) };
    let Some(lease) = storage.sessions.find(&id).await? else { return Ok(false) };
    let about: sessions::About = serde_json::from_str(&lease.about).unwrap_or_default();
    Ok(about.company.as_deref() == Some(company.as_str()))
}

async fn owns(admin: &Admin, company: &CompanyName, key: &str) -> Result<bool, Failure> {
    let (Some(storage), Ok(id)) = (&admin.storage, key.parse::<KeyId>()) else { return Ok(false) };
    match storage.partners.key(&id).await {
        Ok(key) => Ok(key.app.company == *company),
        Err(partners::Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a certificate is this company's.
async fn shows(admin: &Admin, company: &CompanyName, id: &str) -> Result<bool, Failure> {
    let (Some(storage), Ok(id)) = (&admin.storage, id.parse::<CertificateId>()) else { return Ok(false) };
    match storage.partners.certificate(&id).await {
        Ok(certificate) => Ok(certificate.app.company == *company),
        Err(partners::Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
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

/// Microseconds.
const MINUTE: u64 = 60_000_000;

const BEARER: &[u8] = b"bearer ";
const NO_TOKEN: &str = "Bearer realm=\"vestibule admin\"";
const INVALID_TOKEN: &str = "Bearer realm=\"vestibule admin\", error=\"invalid_token\"";

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::json;

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
    async fn a_company_asks_so_often_a_minute_and_nobody_else_has_to_wait_for_it() {
        let tester = Tester::with_app().await;
        let token = json!({ "name": "one", "role": "company", "company": "acme" });
        let one = tester.post("/tokens", token).await.text_of("secret");
        for _ in 0..super::Pace::MOST {
            assert_eq!(tester.get_as(&one, "/companies/acme").await.status, StatusCode::OK);
        }
        let refused = tester.get_as(&one, "/companies/acme").await;
        refused.is_problem(StatusCode::TOO_MANY_REQUESTS, "too-often");
        assert_eq!(tester.get("/companies/acme").await.status, StatusCode::OK);
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

    #[tokio::test]
    async fn a_role_allows_what_it_is_for_and_nothing_else() {
        let tester = Tester::with_app().await;
        tester.post("/companies", json!({ "name": "zeta" })).await.is_made();
        tester.post("/companies/zeta/apps", json!({ "name": "site" })).await.is_made();
        let own = tester.post("/companies/acme/apps/shop/keys", json!({})).await.text_of("id");
        let other = tester.post("/companies/zeta/apps/site/keys", json!({})).await.text_of("id");
        let (own, other) = (format!("/keys/{own}"), format!("/keys/{other}"));
        let own_rotated = format!("{own}/rotate");
        let other_rotated = format!("{other}/rotate");
        let own_expiring = format!("{own}/expire");
        let paths = [
            ("GET", "/companies"),
            ("POST", "/companies"),
            ("GET", "/companies/acme/apps/shop/keys"),
            ("GET", "/companies/zeta"),
            ("DELETE", "/companies/nobody"),
            ("GET", own.as_str()),
            ("GET", other.as_str()),
            ("POST", other_rotated.as_str()),
            ("POST", own_rotated.as_str()),
            ("POST", own_expiring.as_str()),
            ("GET", "/keys/rotated"),
            ("GET", "/usage?company=acme&from=2026-01-01&to=2026-01-02"),
            ("GET", "/usage?from=2026-01-01&to=2026-01-02"),
            ("GET", "/usage?company=acme&company=zeta&from=2026-01-01&to=2026-01-02"),
            ("GET", "/tokens"),
            ("POST", "/tokens"),
            ("GET", "/audit"),
            ("PUT", "/config"),
            ("GET", "/status"),
            ("POST", "/statements"),
        ];
        for (role, company, allowed) in [
            ("owner", None, "xxxxxxxxxxxxxxxxxxxx"),
            ("operator", None, "xxxxxxxxxxxxxx..xxxx"),
            ("auditor", None, "x.xx.xx...xxxxx.x.x."),
            ("billing", None, "x.xx.......xxx.....x"),
            ("company", Some("acme"), "..x..x..x..x........"),
        ] {
            let token = json!({ "name": format!("a-{role}"), "role": role, "company": company });
            let secret = tester.post("/tokens", token).await.text_of("secret");
            let mut found = String::new();
            for (method, path) in paths {
                let answer = tester.send_as(&secret, method, path, "").await;
                let is_refused = answer.status == StatusCode::FORBIDDEN;
                if is_refused {
                    answer.is_problem(StatusCode::FORBIDDEN, "admin-not-allowed");
                }
                found.push(if is_refused { '.' } else { 'x' });
            }
            assert_eq!(found, allowed, "{role}");
        }
    }
}
