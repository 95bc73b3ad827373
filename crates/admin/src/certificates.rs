//! `/companies/{company}/apps/{app}/certificates`, `/certificates/{certificate}` and `/certificate-authorities`: what apps
//! identify themselves with on TLS connections.

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Json};
use control::{NotRenewed, Signing, Wish};
use http::StatusCode;
use http::header::LOCATION;
use model::units::Span;
use partners::{AppId, AppName, At, Certificate, CertificateId, CompanyName, NewCertificate, Reason, UnixMicros};
use problem::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::{Asker, NOT_ALLOWED};
use crate::body::{Json as Sent, OptionalJson};
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Nothing, Stored, tag};
use crate::{Admin, Storage, time};

/// A certificate to be signed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewCertificateRequest")]
pub(crate) struct New {
    /// The certificate request, in PEM.
    request: String,
    /// The authority that signs; the only one there is, if it is left out.
    authority: Option<String>,
    /// What the certificate may do.
    #[serde(default)]
    scopes: Vec<String>,
    /// For how long it is valid, such as `90d`; as long as the authority's settings allow, if it is left out.
    expires_in: Option<Span>,
}

/// A certificate to be signed in the place of another one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CertificateRenewal")]
pub(crate) struct Renewal {
    /// The certificate request, in PEM.
    request: String,
    /// The authority that signs; the one that signed the other one, if it is left out.
    authority: Option<String>,
    /// For how long it is valid.
    expires_in: Option<Span>,
}

/// Why a certificate is revoked.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CertificateRevocation")]
pub(crate) struct Why {
    /// Why, as lists of revoked certificates say it.
    #[serde(default)]
    reason: Reason,
}

/// Which certificates are asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CertificateQuery")]
pub(crate) struct Filter {
    /// Only those that this authority of the gateway signed.
    authority: Option<String>,
    /// The list goes on after this one: `next` of the page before.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

/// A certificate as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Certificate")]
pub(crate) struct Shown {
    fingerprint: CertificateId,
    company: CompanyName,
    app: AppName,
    state: Life,
    authority: Option<String>,
    subject: String,
    serial: String,
    names: Vec<String>,
    scopes: Vec<String>,
    not_before: String,
    expires: String,
    created: String,
    revoked: Option<String>,
    reason: Option<Reason>,
    last_used: Option<String>,
}

/// Whether a certificate opens anything.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CertificateState")]
enum Life {
    Alive,
    Expired,
    Revoked,
}

/// A certificate with its text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WholeCertificate")]
pub(crate) struct Whole {
    #[serde(flatten)]
    shown: Shown,
    /// The certificate, in PEM. Absent after a dry run: nobody would know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// Those above it, in PEM, if the gateway signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
}

/// An authority as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CertificateAuthority")]
pub(crate) struct ShownAuthority {
    name: String,
    subject: String,
    expires: String,
    /// Its certificate and those above it, in PEM.
    certificate: String,
    /// Earlier certificates of its key that are valid still, in PEM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<String>,
}

/// `GET /companies/{company}/apps/{app}/certificates`: lists them by fingerprint, dead ones too.
pub(crate) async fn list_of_app(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Asked(page): Asked<Page>,
) -> Result<Listed<Shown>, Failure> {
    let after: Option<CertificateId> = page.after(|text| text.parse().ok())?;
    let now = (admin.clock)();
    let all = storage.partners.certificates(&app).await?;
    page.out_of(all, after.as_ref(), |certificate| certificate.id, |certificate| shown(certificate, now))
}

/// `GET /certificates`: lists all, or those that an authority signed.
pub(crate) async fn list(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Asked(Filter { authority, after, limit }): Asked<Filter>,
) -> Result<Listed<Shown>, Failure> {
    let page = Page::new(after, limit);
    let after: Option<CertificateId> = page.after(|text| text.parse().ok())?;
    let now = (admin.clock)();
    let found = storage.partners.all_certificates(authority.as_deref(), after.as_ref(), page.fetched()?).await?;
    page.of(found, |certificate| certificate.id.to_string(), |certificate| shown(certificate, now))
}

/// `POST /companies/{company}/apps/{app}/certificates`: has one signed.
pub(crate) async fn create(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Sent(new): Sent<New>,
) -> Result<impl IntoResponse, Failure> {
    let New { request, authority, scopes, expires_in } = new;
    let wish = Wish { authority, request, scopes, lasts: expires_in.map(seconds) };
    let signed = storage.authorities.issue(&storage.partners, &app, &wish).await?;
    Ok(made(&storage, signed, (admin.clock)()))
}

/// `POST /companies/{company}/apps/{app}/certificates/register`: makes one known that somebody else signed.
pub(crate) async fn register(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Sent(new): Sent<NewCertificate>,
) -> Result<impl IntoResponse, Failure> {
    let registered = storage.partners.register_certificate(&app, new).await?;
    Ok(made(&storage, registered, (admin.clock)()))
}

/// `GET /certificates/{certificate}`: shows one, by its fingerprint.
pub(crate) async fn show(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(id): Named<CertificateId>,
) -> Result<impl IntoResponse, Failure> {
    let certificate = storage.partners.certificate(&id).await?;
    Ok((tag(&certificate), Json(whole(&storage, certificate.entity, (admin.clock)()))))
}

/// `POST /certificates/{certificate}/revoke`: makes one open nothing from now on; its connections end.
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(id): Named<CertificateId>,
    OptionalJson(Why { reason }): OptionalJson<Why>,
) -> Result<impl IntoResponse, Failure> {
    let certificate = storage.partners.revoke_certificate(&id, reason).await?;
    Ok((tag(&certificate), Json(shown(certificate.entity, (admin.clock)()))))
}

/// `POST /certificates/{certificate}/renew`: has one signed that takes its place; it works on until it is revoked or over.
pub(crate) async fn renew(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Extension(asker): Extension<Asker>,
    Named(id): Named<CertificateId>,
    Sent(renewal): Sent<Renewal>,
) -> Result<impl IntoResponse, Failure> {
    let Renewal { request, authority, expires_in } = renewal;
    let mut wish = Wish { authority, request, lasts: expires_in.map(seconds), ..Wish::default() };
    if asker.is_company() {
        let before = storage.partners.certificate(&id).await?;
        let own = wish.of_its_own(&before, (admin.clock)());
        wish = own.map_err(|why| Failure::from(Problem::new(&NOT_ALLOWED).detail(why)))?;
    }
    let signed = storage.authorities.renew(&storage.partners, &id, &wish).await?;
    Ok(made(&storage, signed, (admin.clock)()))
}

/// `DELETE /certificates/{certificate}`: forgets one; its connections end.
pub(crate) async fn delete(Stored(storage): Stored, Named(id): Named<CertificateId>) -> Result<StatusCode, Failure> {
    storage.partners.delete_certificate(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /certificate-authorities`: lists those that sign here.
pub(crate) async fn authorities(
    Stored(storage): Stored,
    Asked(page): Asked<Page>,
) -> Result<Listed<ShownAuthority>, Failure> {
    let after: Option<String> = page.after(|text| Some(text.to_owned()))?;
    page.out_of(
        storage.authorities.all(),
        after.as_ref(),
        |(name, _)| name.clone(),
        |(name, signing)| shown_authority(name, &signing),
    )
}

/// `POST /certificate-authorities/{authority}/renew`: has an authority that the gateway made sign with a new certificate.
pub(crate) async fn renew_authority(
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let (_, signing) = storage.authorities.named(Some(&name))?;
    if !storage.partners.is_real() {
        return Ok(Json(shown_authority(name, &signing)));
    }
    let (authorities, of) = (storage.authorities.clone(), name.clone());
    let renewed = tokio::task::spawn_blocking(move || authorities.renew_authority(&of)).await;
    let failed = |panicked: tokio::task::JoinError| NotRenewed::NotThere(panicked.into());
    let shown = shown_authority(name, &*renewed.map_err(failed)??);
    storage.partners.note("renewed", ("certificate-authority", &shown.name), json!(shown)).await?;
    Ok(Json(shown))
}

fn shown_authority(name: String, signing: &Signing) -> ShownAuthority {
    ShownAuthority {
        name,
        subject: signing.authority.subject().to_owned(),
        expires: time::text(UnixMicros(signing.authority.not_after().saturating_mul(1_000_000))),
        certificate: signing.authority.chain().to_owned(),
        before: signing.before.clone(),
    }
}

/// `GET /certificate-authorities/{authority}/crl`: the list of what it signed that is revoked, in PEM.
pub(crate) async fn revocations(
    Stored(storage): Stored,
    Named(name): Named<String>,
) -> Result<impl IntoResponse, Failure> {
    let (_, signing) = storage.authorities.named(Some(&name))?;
    if signing.list().is_none() {
        storage.authorities.tend(&storage.partners).await?;
    }
    let list = signing.list().ok_or_else(|| Failure::not_found(format!("revocation list of `{name}`")))?;
    Ok(authority::list_as_pem(&list))
}

fn made(storage: &Storage, certificate: At<Certificate>, now: UnixMicros) -> impl IntoResponse + use<> {
    let location = format!("/certificates/{}", certificate.id);
    let tag = tag(&certificate);
    let mut whole = whole(storage, certificate.entity, now);
    if !storage.partners.is_real() {
        whole.certificate = None;
    }
    (StatusCode::CREATED, tag, [(LOCATION, location)], Json(whole))
}

fn whole(storage: &Storage, certificate: Certificate, now: UnixMicros) -> Whole {
    let signing = certificate.authority.as_deref().and_then(|name| storage.authorities.named(Some(name)).ok());
    let chain = signing.map(|(_, signing)| signing.authority.chain().to_owned());
    let pem = certificate.pem.clone();
    Whole { shown: shown(certificate, now), certificate: Some(pem), chain }
}

fn shown(certificate: Certificate, now: UnixMicros) -> Shown {
    let state = match certificate.revoked {
        Some(_) => Life::Revoked,
        None if certificate.expires <= now => Life::Expired,
        None => Life::Alive,
    };
    Shown {
        fingerprint: certificate.id,
        company: certificate.app.company,
        app: certificate.app.app,
        state,
        authority: certificate.authority,
        subject: certificate.subject,
        serial: certificate.serial,
        names: certificate.names,
        scopes: certificate.scopes,
        not_before: time::text(certificate.not_before),
        expires: time::text(certificate.expires),
        created: time::text(certificate.created),
        revoked: certificate.revoked.map(|revocation| time::text(revocation.at)),
        reason: certificate.revoked.map(|revocation| revocation.reason),
        last_used: certificate.last_used.map(time::text),
    }
}

fn seconds(span: Span) -> u64 {
    span.duration().as_secs()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::{Value, json};

    use crate::tester::Tester;

    const CERTIFICATES: &str = "/companies/acme/apps/shop/certificates";

    /// A request of an app for a certificate.
    fn request() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    fn self_signed() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec!["acme.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    #[tokio::test]
    async fn a_certificate_is_signed_shown_renewed_revoked_and_deleted() {
        let tester = Tester::with_app().await;

        let made = tester.post(CERTIFICATES, json!({ "request": request(), "expires_in": "90d" })).await;

        made.is_made();
        assert_eq!((&made.json["authority"], &made.json["state"]), (&json!("partners"), &json!("alive")));
        assert_eq!(made.json["expires"], "2026-04-01T00:00:00Z");
        assert!(made.text_of("certificate").starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(made.text_of("chain").starts_with("-----BEGIN CERTIFICATE-----"));
        let path = format!("/certificates/{}", made.text_of("fingerprint"));
        assert_eq!(made.headers["location"], path.as_str());
        assert_eq!(tester.get(&path).await.json["subject"], made.json["subject"]);

        let renewed = tester.post(&format!("{path}/renew"), json!({ "request": request() })).await;
        renewed.is_made();
        let asked = http::Request::post(format!("{path}/renew")).header("if-match", "\"r99\"");
        let asked = asked.header("content-type", "application/json");
        let body = axum::body::Body::from(json!({ "request": request() }).to_string());
        let changed = tester.answer(asked.body(body).unwrap()).await;
        changed.is_problem(StatusCode::PRECONDITION_FAILED, "changed-meanwhile");
        assert_ne!(renewed.json["fingerprint"], made.json["fingerprint"]);
        let revoked = tester.post(&format!("{path}/revoke"), json!({ "reason": "superseded" })).await;
        assert_eq!((&revoked.json["state"], &revoked.json["reason"]), (&json!("revoked"), &json!("superseded")));
        let again = tester.post(&format!("{path}/renew"), json!({ "request": request() })).await;
        again.is_problem(StatusCode::CONFLICT, "certificate-is-dead");
        assert_eq!(tester.get(CERTIFICATES).await.json["items"].as_array().unwrap().len(), 2);
        assert_eq!(tester.get("/certificates?authority=partners").await.json["items"].as_array().unwrap().len(), 2);
        assert_eq!(tester.delete(&path).await.status, StatusCode::NO_CONTENT);
        tester.get(&path).await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn a_company_renews_what_works_by_the_same_authority_and_for_no_longer() {
        let tester = Tester::with_app().await;
        let token = json!({ "name": "acme-ops", "role": "company", "company": "acme" });
        let token = tester.post("/tokens", token).await.text_of("secret");
        let of = |made: &crate::tester::Answer| format!("/certificates/{}/renew", made.text_of("fingerprint"));
        let own = tester.post(CERTIFICATES, json!({ "request": request(), "expires_in": "1d" })).await;
        let foreign = json!({ "certificate": self_signed() });
        let foreign = tester.post(&format!("{CERTIFICATES}/register"), foreign).await;

        for (path, more) in [
            (of(&own), json!({ "authority": "another" })),
            (of(&own), json!({ "expires_in": "2d" })),
            (of(&foreign), json!({})),
        ] {
            let mut body = json!({ "request": request() });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let refused = tester.post_as(&token, &path, body).await;
            refused.is_problem(StatusCode::FORBIDDEN, "admin-not-allowed");
        }
        let renewed = tester.post_as(&token, &of(&own), json!({ "request": request() })).await;

        renewed.is_made();
        assert_eq!(renewed.json["expires"], own.json["expires"]);
    }

    #[tokio::test]
    async fn a_certificate_of_somebody_else_is_made_known_once() {
        let tester = Tester::with_app().await;
        let (path, body) = (format!("{CERTIFICATES}/register"), json!({ "certificate": self_signed() }));

        let made = tester.post(&path, body.clone()).await;

        made.is_made();
        assert_eq!((&made.json["authority"], &made.json["names"]), (&Value::Null, &json!(["dns:acme.example"])));
        tester.post(&path, body).await.is_problem(StatusCode::CONFLICT, "name-taken");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_request_is_said() {
        let tester = Tester::with_app().await;
        for (path, body, pointer, reason) in [
            (CERTIFICATES, json!({ "request": "x" }), "/request", "is no certificate request in PEM"),
            (CERTIFICATES, json!({ "request": self_signed() }), "/request", "is no certificate request in PEM"),
            (CERTIFICATES, json!({ "request": request(), "scopes": ["a b"] }), "/scopes/0", "is no scope"),
            (&format!("{CERTIFICATES}/register"), json!({ "certificate": "x" }), "/certificate", "is no certificate"),
        ] {
            let answer = tester.post(path, body).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
            assert!(answer.text.contains(reason), "{}", answer.text);
        }
        let unknown = tester.post(CERTIFICATES, json!({ "request": request(), "authority": "partner" })).await;
        unknown.is_problem(StatusCode::CONFLICT, "no-authority");
        assert!(unknown.text.contains("did you mean `partners`?"), "{}", unknown.text);
    }

    #[tokio::test]
    async fn nothing_that_could_be_used_comes_of_a_dry_run() {
        let tester = Tester::with_app().await;
        let made = tester.post(&format!("{CERTIFICATES}?dry_run=true"), json!({ "request": request() })).await;
        assert_eq!((made.status, made.json.get("certificate")), (StatusCode::CREATED, None));
        assert_eq!(tester.get(CERTIFICATES).await.json["items"], json!([]));
    }

    #[tokio::test]
    async fn authorities_and_their_lists_are_shown() {
        let tester = Tester::with_app().await;
        let authorities = tester.get("/certificate-authorities").await;
        assert_eq!(authorities.json["items"][0]["subject"], "CN=partners");
        // What is at hand here comes from elsewhere, and nobody can make it anew.
        let renewed = tester.post("/certificate-authorities/partners/renew", json!({})).await;
        renewed.is_problem(StatusCode::CONFLICT, "conflict");
        let list = tester.get("/certificate-authorities/partners/crl").await;
        assert!(list.text.starts_with("-----BEGIN X509 CRL-----\n"), "{}", list.text);
        tester.get("/certificate-authorities/none/crl").await.is_problem(StatusCode::CONFLICT, "no-authority");
    }
}
