//! `/companies/{company}/apps/{app}/certificate-rules` and `/certificate-rules/{name}`: names in certificates by which apps
//! are known.

use axum::response::{IntoResponse, Json};
use http::StatusCode;
use http::header::LOCATION;
use partners::{AppId, AppName, CertificateName, CertificateRule, CompanyName, NewCertificateRule};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::body::Json as Sent;
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::time;

/// A rule as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CertificateRule")]
pub(crate) struct Shown {
    name: CertificateName,
    company: CompanyName,
    app: AppName,
    scopes: Vec<String>,
    /// The authority that must have signed the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    created: String,
}

/// `GET /certificate-rules`: lists them by name.
pub(crate) async fn list(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Shown>, Failure> {
    let after: Option<CertificateName> = page.after(|text| text.parse().ok())?;
    let found = storage.partners.certificate_rules(after.as_ref(), page.fetched()?).await?;
    page.of(found, |rule| rule.name.to_string(), shown)
}

/// `POST /companies/{company}/apps/{app}/certificate-rules`: makes one.
pub(crate) async fn create(
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Sent(new): Sent<NewCertificateRule>,
) -> Result<impl IntoResponse, Failure> {
    let rule = storage.partners.create_certificate_rule(&app, new).await?;
    // A name may have any letters, slashes among them.
    let location = format!("/certificate-rules/{}", utf8_percent_encode(&rule.name.0, NON_ALPHANUMERIC));
    Ok((StatusCode::CREATED, tag(&rule), [(LOCATION, location)], Json(shown(rule.entity))))
}

/// `GET /certificate-rules/{name}`: shows one.
pub(crate) async fn show(
    Stored(storage): Stored,
    Named(name): Named<CertificateName>,
) -> Result<impl IntoResponse, Failure> {
    let rule = storage.partners.certificate_rule(&name).await?;
    Ok((tag(&rule), Json(shown(rule.entity))))
}

/// `DELETE /certificate-rules/{name}`: deletes one; what is open by it ends.
pub(crate) async fn delete(
    Stored(storage): Stored,
    Named(name): Named<CertificateName>,
) -> Result<StatusCode, Failure> {
    storage.partners.delete_certificate_rule(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(rule: CertificateRule) -> Shown {
    let CertificateRule { name, app: AppId { company, app }, scopes, issuer, created } = rule;
    Shown { name, company, app, scopes, issuer: issuer.map(|issuer| issuer.subject), created: time::text(created) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    const RULES: &str = "/companies/acme/apps/shop/certificate-rules";

    #[tokio::test]
    async fn a_rule_is_made_shown_listed_and_deleted() {
        let tester = Tester::with_app().await;

        let made = tester.post(RULES, json!({ "name": "dns:Acme.example", "scopes": ["read"] })).await;

        made.is_made();
        let rule = json!({
            "name": "dns:acme.example", "company": "acme", "app": "shop", "scopes": ["read"], "created": NOW
        });
        assert_eq!(made.json, rule);
        assert_eq!(tester.get("/certificate-rules").await.json["items"], json!([rule]));
        tester.post(RULES, json!({ "name": "dns:acme.example" })).await.is_problem(StatusCode::CONFLICT, "name-taken");
        let subject = tester.post(RULES, json!({ "name": "uri:urn:x/y" })).await;
        subject.is_made();
        let location = subject.headers["location"].to_str().unwrap();
        assert_eq!(location, "/certificate-rules/uri%3Aurn%3Ax%2Fy");
        assert_eq!(tester.get(location).await.json["name"], "uri:urn:x/y");
        assert_eq!(tester.delete("/certificate-rules/dns:acme.example").await.status, StatusCode::NO_CONTENT);
        assert_eq!(tester.delete("/companies/acme").await.status, StatusCode::NO_CONTENT);
        assert_eq!(tester.get("/certificate-rules").await.json["items"], json!([]));
    }

    #[tokio::test]
    async fn what_is_no_name_in_a_certificate_is_refused() {
        let tester = Tester::with_app().await;
        for name in ["acme.example", "dns:", "ip:10.0.0.1", "subject:a\u{1}b", &format!("dns:{}", "a".repeat(600))] {
            let answer = tester.post(RULES, json!({ "name": name })).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), ["/name"], "{name}");
        }
    }
}
