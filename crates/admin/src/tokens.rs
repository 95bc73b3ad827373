//! `/tokens`: who else may ask the Admin API, and how far.

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use partners::{CompanyName, NewToken, Role, Token, TokenName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::Json as Sent;
use crate::failure::Failure;
use crate::keys::expiry;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::{Admin, time};
use model::units::Span;

/// A token to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewToken")]
pub(crate) struct New {
    /// Its name, in kebab case.
    name: String,
    /// `owner`, `operator`, `billing`, `auditor` or `company`.
    role: Role,
    /// Whose it is, for the role `company`.
    company: Option<String>,
    /// When it stops working by itself, in RFC 3339.
    expires: Option<String>,
    /// After which time it stops working by itself, such as `90d`.
    expires_in: Option<Span>,
}

/// A token as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub(crate) struct Shown {
    name: TokenName,
    role: Role,
    company: Option<CompanyName>,
    created: String,
    expires: Option<String>,
}

/// A token that was just made, with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MadeToken")]
pub(crate) struct Made {
    #[serde(flatten)]
    token: Shown,
    /// Absent after a dry run: it would open nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// `GET /tokens`: lists them by name, without their secrets.
pub(crate) async fn list(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Shown>, Failure> {
    let after: Option<TokenName> = page.after(|text| text.parse().ok())?;
    let all = storage.partners.tokens().await?;
    page.out_of(all, after.as_ref(), |at| at.name.clone(), |at| shown(at.entity))
}

/// `POST /tokens`: makes one. Its secret is in the answer and nowhere else, ever.
pub(crate) async fn create(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Sent(new): Sent<New>,
) -> Result<impl IntoResponse, Failure> {
    let New { name, role, company, expires, expires_in } = new;
    let expires = expiry(expires.as_deref(), expires_in, (admin.clock)())?;
    let issued = storage.partners.create_token(NewToken { name, role, company, expires }).await?;
    let secret = storage.partners.is_real().then(|| issued.expose().to_owned());
    let location = format!("/tokens/{}", issued.token.name);
    let made = Made { token: shown(issued.token.entity.clone()), secret };
    Ok((StatusCode::CREATED, tag(&issued.token), [(header::LOCATION, location)], Json(made)))
}

/// `DELETE /tokens/{token}`: makes one open nothing from now on.
pub(crate) async fn delete(Stored(storage): Stored, Named(name): Named<TokenName>) -> Result<StatusCode, Failure> {
    storage.partners.delete_token(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(token: Token) -> Shown {
    let Token { name, role, company, created, expires, .. } = token;
    Shown { name, role, company, created: time::text(created), expires: expires.map(time::text) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::Tester;

    #[tokio::test]
    async fn a_token_opens_until_it_is_deleted_and_its_secret_is_told_once() {
        let tester = Tester::new();

        let made = tester.post("/tokens", json!({ "name": "ci", "role": "operator", "expires_in": "90d" })).await;

        made.is_made();
        let secret = made.text_of("secret");
        assert!(secret.starts_with("va_") && secret.len() == 46, "{secret}");
        assert_eq!(tester.get_as(&secret, "/companies").await.status, StatusCode::OK);
        let listed = tester.get("/tokens").await;
        assert_eq!(listed.names(), ["ci"]);
        assert!(!listed.text.contains(&secret) && !listed.text.contains("hash"), "{}", listed.text);
        assert_eq!(tester.delete("/tokens/ci").await.status, StatusCode::NO_CONTENT);
        let refused = tester.get_as(&secret, "/companies").await;
        refused.is_problem(StatusCode::UNAUTHORIZED, "admin-token-needed");
    }

    #[tokio::test]
    async fn every_mistake_is_named_with_its_field() {
        let tester = Tester::new();
        for (body, pointers) in [
            (json!({ "name": "A", "role": "company" }), vec!["/name", "/company"]),
            (json!({ "name": "a", "role": "owner", "company": "acme" }), vec!["/company"]),
            (json!({ "name": "a", "role": "owner", "expires": "2020-01-01T00:00:00Z" }), vec!["/expires"]),
            (json!({ "name": "a", "role": "king" }), vec!["/role"]),
            (json!({ "name": "bootstrap", "role": "operator" }), vec!["/name"]),
            (json!({ "name": "gateway", "role": "operator" }), vec!["/name"]),
        ] {
            let answer = tester.post("/tokens", body).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), pointers);
        }
        let missing = tester.post("/tokens", json!({ "name": "a", "role": "company", "company": "acme" })).await;
        missing.is_problem(StatusCode::NOT_FOUND, "not-found");
    }
}
