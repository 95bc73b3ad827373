//! `client-certificate`: finds out by the certificate of a TLS connection who calls, and lets pass what the app's products
//! allow.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode};
use partners::{CertificateFacts, Index, KeyState, RuleFacts, Tie, UnixMicros};
use pipeline::{ChainBuilder, Exchange, Flow, Life, Lives, OnRequest, PeerCertificate, Policy, Said, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::entrance::{OPERATION_NOT_ALLOWED, SUBSCRIPTION_PENDING, enter};

/// The connection shows no certificate.
pub static CLIENT_CERTIFICATE_MISSING: ProblemKind = ProblemKind {
    code: "client-certificate-missing",
    status: StatusCode::FORBIDDEN,
    title: "A client certificate is needed",
};

/// The connection shows a certificate that is valid, but of no app.
pub static CLIENT_CERTIFICATE_UNKNOWN: ProblemKind = ProblemKind {
    code: "client-certificate-unknown",
    status: StatusCode::FORBIDDEN,
    title: "The client certificate is not known",
};

/// The certificate's time is over.
pub static CLIENT_CERTIFICATE_EXPIRED: ProblemKind = ProblemKind {
    code: "client-certificate-expired",
    status: StatusCode::FORBIDDEN,
    title: "The client certificate has expired",
};

/// The certificate was revoked.
pub static CLIENT_CERTIFICATE_REVOKED: ProblemKind = ProblemKind {
    code: "client-certificate-revoked",
    status: StatusCode::FORBIDDEN,
    title: "The client certificate was revoked",
};

/// Finds out by the client's certificate which company and app calls, as `api-key` does by a key.
///
/// The listener asks for certificates and checks them: chain, validity, and that they are for clients (`tls:
/// {client_auth: optional}` or `required`, with `client_authorities` or `client_ca`). Which app it is, its fingerprint
/// says: that of a certificate that the gateway signed or that was made known, see `vestibule admin certificate`. A
/// certificate whose fingerprint is not known may be known by a name in it, see `vestibule admin certificate-rule`. When
/// a certificate is revoked or deleted, or a rule, its open connections end.
///
/// `Client-Cert` and `Client-Cert-Chain` of clients never reach a backend, with this policy or without it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the backend is told of the certificate (RFC 9440).
    #[serde(default)]
    tell: Tell,
}

/// What the backend is told of the certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tell {
    /// Nothing.
    #[default]
    Nothing,
    /// The certificate, in `Client-Cert`.
    Certificate,
    /// The certificate, and in `Client-Cert-Chain` those that the client sent with it.
    Chain,
}

/// The compiled policy.
pub struct ClientCertificate {
    index: Arc<Index>,
    tell: Tell,
}

impl Policy for ClientCertificate {
    const NAME: &'static str = "client-certificate";
    const STAGE: Stage = Stage::Identify;
    const PROBLEMS: &'static [&'static ProblemKind] = &[
        &CLIENT_CERTIFICATE_MISSING,
        &CLIENT_CERTIFICATE_UNKNOWN,
        &CLIENT_CERTIFICATE_EXPIRED,
        &CLIENT_CERTIFICATE_REVOKED,
        &SUBSCRIPTION_PENDING,
        &OPERATION_NOT_ALLOWED,
    ];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Some(index) = chain.service::<Index>() else {
            return Err(Finding::new(at, "needs the registry of partners: configure a `store`"));
        };
        Ok(Self { index, tell: config.tell })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for ClientCertificate {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        let connection = exchange.connection.clone();
        let Some(certificate) = connection.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) else {
            let detail = "Show the certificate of your app when the connection begins, by TLS.";
            return Ok(Problem::new(&CLIENT_CERTIFICATE_MISSING).detail(detail).into());
        };
        let Some(known) = Known::of(&self.index, certificate) else {
            return Ok(Problem::new(&CLIENT_CERTIFICATE_UNKNOWN).into());
        };
        let tie = known.tie();
        // From here on it is known who calls, also if nothing is allowed: a refusal belongs into that company's usage.
        exchange.caller = Some(tie.caller().clone());
        // The connection is of no other use than to whom its certificate belongs.
        let lives = connection.depends_on.get_or_init(|| known.lives());
        let now = UnixMicros(exchange.began_at);
        match tie.state(now) {
            KeyState::Alive if lives.iter().all(|life| life.over(now.0).is_none()) => {}
            KeyState::Alive | KeyState::Expired(_) => return Ok(Problem::new(&CLIENT_CERTIFICATE_EXPIRED).into()),
            KeyState::Revoked(_) => return Ok(Problem::new(&CLIENT_CERTIFICATE_REVOKED).into()),
        }
        if let Err(problem) = enter(tie, exchange) {
            return Ok(problem.into());
        }
        exchange.lives.extend(lives.iter().skip(1).cloned());
        tie.used(now);
        tell(self.tell, certificate, exchange);
        Ok(Flow::Next)
    }
}

/// What a connection depends on by its client's certificate, if that is known by its fingerprint or a name in it.
pub fn lives(index: &Index, certificate: &PeerCertificate) -> Option<Lives> {
    Known::of(index, certificate).map(|known| known.lives())
}

/// By what a certificate is known.
enum Known<'a> {
    Fingerprint(Arc<CertificateFacts>),
    Name(Arc<RuleFacts>, &'a Said),
}

impl<'a> Known<'a> {
    fn of(index: &Index, certificate: &'a PeerCertificate) -> Option<Self> {
        if let Some(known) = index.certificate(&certificate.sha256) {
            return Some(Self::Fingerprint(known));
        }
        if !index.has_certificate_rules() {
            return None;
        }
        let said = certificate.said.get_or_init(|| {
            // What was verified can be read; what cannot has no names.
            let read = authority::Certificate::of(&certificate.der).ok();
            let not_after = read.as_ref().map_or(0, |read| read.not_after.saturating_mul(1_000_000));
            Said::new(read.map(authority::Certificate::known_by).unwrap_or_default(), not_after)
        });
        let is_signed_by = |key: &[u8]| said.is_signed_by(key, || authority::is_signed_by(&certificate.der, key));
        Some(Self::Name(index.certificate_rule(&said.names, is_signed_by)?, said))
    }

    fn tie(&self) -> &Tie {
        match self {
            Self::Fingerprint(facts) => facts,
            Self::Name(rule, _) => rule,
        }
    }

    /// What a connection depends on: its credential, and where that is a name, the certificate's own time.
    fn lives(&self) -> Lives {
        let own = match self {
            Self::Fingerprint(_) => None,
            Self::Name(_, said) => {
                let own = Life::new();
                own.lasts_until(Some(said.not_after));
                Some(Arc::new(own))
            }
        };
        [self.tie().life().clone()].into_iter().chain(own).collect()
    }
}

/// Tells the backend of the certificate. What the client may have written there is gone since its request arrived.
fn tell(tell: Tell, certificate: &PeerCertificate, exchange: &mut Exchange) {
    let headers = &mut exchange.head.headers;
    if matches!(tell, Tell::Certificate | Tell::Chain) {
        insert(headers, CLIENT_CERT, &bytes(&certificate.der));
    }
    if tell == Tell::Chain && !certificate.chain.is_empty() {
        let chain: Vec<_> = certificate.chain.iter().map(|der| bytes(der)).collect();
        insert(headers, CLIENT_CERT_CHAIN, &chain.join(", "));
    }
}

/// Bytes as an item of a structured field (RFC 9651, section 3.3.5).
fn bytes(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

fn insert(headers: &mut http::HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::OnceLock;

    use partners::{
        At, Certificate, Error, NewApp, NewCertificate, NewCertificateRule, NewCompany, NewProduct, Partners, Pepper,
        Reason, SubscriptionState,
    };
    use pipeline::tester::{Judged, PolicyUnderTest, policy, policy_with};
    use pipeline::{Route, Services, Tls};
    use rcgen::{CertificateParams, KeyPair};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    use serde_json::json;

    use super::*;

    /// When the tester's exchanges begin.
    const NOW: u64 = 1_767_225_600_000_000;

    /// `acme/shop`, which may read orders, and its certificate.
    struct Fixture {
        partners: Partners,
        certificate: At<Certificate>,
        der: Vec<u8>,
    }

    fn expired() -> Fixture {
        fixture(2025)
    }

    fn wait<T>(future: impl Future<Output = Result<T, Error>>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future).unwrap()
    }

    fn fixture(not_after: i32) -> Fixture {
        let index = Arc::new(Index::new(Pepper::new(&[7; 32])));
        let clock = Arc::new(|| UnixMicros(NOW - 86_400_000_000 * 400));
        let partners = Partners::new(Arc::new(store::InMemory::default()), index, clock);
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(not_after, 1, 1);
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = wait(async {
            let new = NewCompany { name: "acme".to_owned(), title: None };
            let company = partners.create_company(new).await?.entity.name;
            let app = partners.create_app(&company, NewApp { name: "shop".to_owned(), title: None }).await?.entity.id;
            let operations = vec!["orders: GET /**".to_owned()];
            let new = NewProduct { name: "reading".to_owned(), operations, quota: None };
            let product = partners.create_product(new).await?.entity.name;
            partners.subscribe(&app, &product, SubscriptionState::Approved).await?;
            let new = NewCertificate { certificate: signed.pem(), scopes: vec!["all".to_owned()] };
            partners.register_certificate(&app, new).await
        });
        Fixture { partners, certificate, der: signed.der().to_vec() }
    }

    impl Fixture {
        fn policy(&self, with: serde_json::Value) -> PolicyUnderTest<ClientCertificate> {
            policy_with(with, Services::default().with(self.partners.index().clone()))
        }

        fn shown<'a>(&self, judged: Judged<'a>) -> Judged<'a> {
            shown(judged, &self.der, self.certificate.id.0)
        }
    }

    fn shown<'a>(judged: Judged<'a>, der: &[u8], sha256: [u8; 32]) -> Judged<'a> {
        let certificate =
            PeerCertificate { der: der.into(), sha256, chain: vec![[1, 2].into(), [3].into()], said: OnceLock::new() };
        judged.tls(Tls { server_name: None, certificate: Some(certificate) }).to("/orders/7").with(|exchange| {
            exchange.route = Arc::new(Route { api: "orders".into(), template: "/orders/{rest}".into(), base: 1 });
        })
    }

    #[test]
    fn a_certificate_says_who_calls_by_which_product_and_what_it_depends_on() {
        let fixture = fixture(2030);

        let passed = fixture.shown(fixture.policy(json!({})).request()).passes();

        let caller = passed.caller.unwrap();
        let credential = fixture.certificate.id.to_string();
        assert_eq!((caller.by, &*caller.credential), ("client-certificate", credential.as_str()));
        assert_eq!((caller.company.as_deref(), caller.app.as_deref()), (Some("acme"), Some("shop")));
        assert_eq!(caller.scopes, [Arc::from("all")]);
        assert_eq!(passed.product.as_deref(), Some("reading"));
        assert_eq!(passed.lives.len(), 2);
        assert!(passed.connection.depends_on.get().is_some());
        assert!(passed.head.headers.is_empty());
    }

    #[test]
    fn each_refusal_has_a_problem_of_its_own() {
        let fixture = fixture(2030);
        let policy = fixture.policy(json!({}));
        policy.request().is_refused_with("client-certificate-missing");
        policy.request().tls(Tls::default()).is_refused_with("client-certificate-missing");
        shown(policy.request(), &fixture.der, [7; 32]).is_refused_with("client-certificate-unknown");
        fixture.shown(policy.request().by("POST")).is_refused_with("operation-not-allowed");

        wait(fixture.partners.revoke_certificate(&fixture.certificate.id, Reason::KeyCompromise));
        fixture.shown(policy.request()).is_refused_with("client-certificate-revoked");
        wait(fixture.partners.delete_certificate(&fixture.certificate.id));
        fixture.shown(policy.request()).is_refused_with("client-certificate-unknown");

        let old = expired();
        old.shown(old.policy(json!({})).request()).is_refused_with("client-certificate-expired");
    }

    #[test]
    fn a_backend_is_told_as_much_as_the_operator_wants() {
        let fixture = fixture(2030);
        let told = |tell| fixture.shown(fixture.policy(json!({ "tell": tell })).request()).passes().head.headers;
        let encoded = format!(":{}:", STANDARD.encode(&fixture.der));

        let certificate = told("certificate");
        assert_eq!((certificate.len(), certificate["client-cert"].to_str().unwrap()), (1, encoded.as_str()));
        let chain = told("chain");
        assert_eq!(chain["client-cert"], encoded.as_str());
        assert_eq!(chain["client-cert-chain"], ":AQI=:, :Aw==:");
    }

    #[test]
    fn a_name_in_a_certificate_says_who_calls_until_the_certificate_or_the_rule_is_over() {
        let (fixture, expired) = (fixture(2030), expired());
        let policy = fixture.policy(json!({}));
        let other = || shown(policy.request(), &fixture.der, [7; 32]);
        let subject = format!("subject:{}", fixture.certificate.subject);
        let new = NewCertificateRule { name: subject.clone(), scopes: vec!["some".to_owned()], issuer: None };
        other().is_refused_with("client-certificate-unknown");
        let rule = wait(fixture.partners.create_certificate_rule(&fixture.certificate.app, new));

        let passed = other().passes();

        let caller = passed.caller.unwrap();
        assert_eq!((&*caller.credential, caller.app.as_deref()), (subject.as_str(), Some("shop")));
        assert_eq!(passed.lives.len(), 3);
        shown(policy.request(), &expired.der, [8; 32]).is_refused_with("client-certificate-expired");
        wait(fixture.partners.delete_certificate_rule(&rule.name));
        other().is_refused_with("client-certificate-unknown");
        assert!(passed.lives.iter().any(|life| life.over(NOW).is_some()));
    }

    #[test]
    fn a_rule_about_one_authority_is_about_nothing_that_others_sign() {
        let fixture = fixture(2030);
        let policy = fixture.policy(json!({}));
        let made =
            |common_name: &str| authority::Authority::make(common_name, [1; 16], 1_767_225_600, 2_000_000_000).unwrap();
        let signed = |kept: &authority::Kept| {
            let key = KeyPair::generate().unwrap();
            let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
            let leaf = authority::Leaf {
                organization: "acme",
                unit: "shop",
                common_name: "till",
                serial: [2; 16],
                now: 1_767_225_600,
                until: 1_900_000_000,
                revocations_at: None,
            };
            let authority = authority::Authority::read(&kept.certificate, &kept.key).unwrap();
            let pem = authority.sign(&authority::Request::read(&request).unwrap(), &leaf).unwrap();
            CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
        };
        // Both have one name, and so have their certificates.
        let (ours, theirs) = (made("partners"), made("partners"));
        let new = NewCertificateRule {
            name: "subject:O=acme,OU=shop,CN=till".to_owned(),
            scopes: Vec::new(),
            issuer: Some(ours.certificate.clone()),
        };
        let rule = wait(fixture.partners.create_certificate_rule(&fixture.certificate.app, new));
        assert_eq!(rule.issuer.as_ref().unwrap().subject, "CN=partners");

        shown(policy.request(), &signed(&ours), [7; 32]).passes();
        shown(policy.request(), &signed(&theirs), [8; 32]).is_refused_with("client-certificate-unknown");
    }

    #[test]
    fn it_needs_the_registry_of_partners() {
        assert!(policy::<ClientCertificate>(json!({})).finding().contains("configure a `store`"));
    }
}
