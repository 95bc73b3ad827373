//! Certificates of partners: signed, shown, published, revoked; and the connections that end with them.

use std::time::Duration;

use ::partners::{AppId, Certificate as Entity, CertificateId, NewCertificate, NewCertificateRule, Partners, Reason};
use control::Wish;
use rustls::ClientConfig;
use tempfile::TempDir;
use testkit::{Authority, Certificate, Gateway, Stub, Wire, eventually, within};
use tokio::io::AsyncReadExt;

const DOCUMENT: &str = "
store: {embedded: ./data}
certificate_authorities:
  partners: {revocations_at: \"http://crl.example/crl/partners.crl\"}
  others: {cert: others.pem}
listeners:
  public:
    bind: \"127.0.0.1:0\"
    tls:
      certificates: [{cert: a.example.crt, key: a.example.key}]
      client_authorities: [partners, others]
      client_auth: optional
  plain: {bind: \"127.0.0.1:0\"}
upstreams: {orders: {targets: [\"http://BACKEND\"]}}
apis:
  orders:
    match: {path: /orders}
    upstream: orders
    policies: [{client-certificate: {tell: chain}}]
  lists: {match: {path: /crl}, policies: [{revocation-list: {authorities: [partners]}}]}
products:
  all: {operations: [\"orders: * /**\"]}
";

/// A gateway whose listener believes its own authority and another one.
struct Given {
    gateway: Gateway,
    servers: Authority,
    others: Authority,
}

impl Given {
    async fn before(backend: &Stub) -> Self {
        let (servers, others, folder) = (Authority::default(), Authority::default(), TempDir::new().unwrap());
        servers.sign(&["a.example"]).write(folder.path(), "a.example");
        std::fs::write(folder.path().join("others.pem"), others.pem()).unwrap();
        let document = DOCUMENT.replace("BACKEND", &backend.address.to_string());
        Self { gateway: Gateway::in_folder(folder, &document).await, servers, others }
    }

    fn partners(&self) -> &Partners {
        &self.gateway.node().keeping.as_ref().unwrap().partners
    }

    /// An app of this company, subscribed to everything, with a certificate that the gateway signed.
    async fn partner(&self, company: &str) -> (Certificate, Entity) {
        self.gateway.key(company, "all").await;
        self.sign(&app(company)).await
    }

    async fn sign(&self, app: &AppId) -> (Certificate, Entity) {
        let (request, key) = testkit::request("till 7");
        let wish = Wish { request, ..Wish::default() };
        let keeping = self.gateway.node().keeping.as_ref().unwrap();
        let signed = keeping.authorities.issue(&keeping.partners, app, &wish).await.unwrap().entity;
        (Certificate { chain: signed.pem.clone(), key }, signed)
    }

    fn shows(&self, certificate: &Certificate) -> ClientConfig {
        self.servers.client(Some(certificate))
    }

    async fn connect(&self, certificate: &Certificate) -> Wire {
        self.gateway.connect_tls("a.example", self.shows(certificate)).await.unwrap()
    }

    async fn revoke(&self, id: &CertificateId) {
        self.partners().revoke_certificate(id, Reason::KeyCompromise).await.unwrap();
    }
}

fn app(company: &str) -> AppId {
    format!("{company}/app").parse().unwrap()
}

const GET: &str = "GET /orders/7 HTTP/1.1\r\nHost: a.example\r\nClient-Cert: :Zm9yZ2Vk:\r\n\r\n";

#[tokio::test]
async fn a_certificate_that_the_gateway_signed_opens_what_its_app_may_use() {
    let backend = Stub::saying("hello").await;
    let given = Given::before(&backend).await;
    let (certificate, entity) = given.partner("acme").await;

    let mut client = given.connect(&certificate).await;
    assert_eq!(client.ask(GET).await.text(), "hello");

    assert_eq!(entity.subject, "O=acme,OU=app,CN=till 7");
    let request = backend.request();
    let told = request.header("client-cert").unwrap();
    assert!(told.starts_with(":MII") && told.ends_with(':'), "the backend is told of the certificate: {told}");
    assert_eq!(given.gateway.usage("acme").await, [(2, 1)]);
    let mut without = given.gateway.connect_tls("a.example", given.servers.client(None)).await.unwrap();
    let reply = without.ask(GET).await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "client-certificate-missing"));
    assert_eq!(backend.count(), 1);
}

#[tokio::test]
async fn a_certificate_of_another_authority_opens_once_it_is_known() {
    let backend = Stub::saying("hello").await;
    let given = Given::before(&backend).await;
    given.gateway.key("acme", "all").await;
    let certificate = given.others.sign(&["acme.example"]);
    let stranger = Authority::default().sign(&["acme.example"]);

    let reply = given.connect(&certificate).await.ask(GET).await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "client-certificate-unknown"));
    let new = NewCertificate { certificate: certificate.chain.clone(), scopes: Vec::new() };
    let known = given.partners().register_certificate(&app("acme"), new).await.unwrap();
    assert_eq!(known.names, ["dns:acme.example"]);
    assert_eq!(given.connect(&certificate).await.ask(GET).await.text(), "hello");

    // Who is not believed does not get as far as a request.
    let said = match given.gateway.connect_tls("a.example", given.shows(&stranger)).await {
        Ok(mut client) => {
            drop(client.try_send(GET).await);
            client.end().await
        }
        Err(_) => Vec::new(),
    };
    assert!(!said.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_end_with_their_certificate_and_no_others_do() {
    let backend = Stub::saying("hello").await;
    let given = Given::before(&backend).await;
    let (neighbours, _) = given.partner("neighbour").await;
    let mut neighbour = given.connect(&neighbours).await;
    assert_eq!(neighbour.ask(GET).await.text(), "hello");
    for (company, is_deleted) in [("revoked", false), ("deleted", true)] {
        let (certificate, entity) = given.partner(company).await;
        let (other, _) = given.sign(&app(company)).await;
        let (mut idle, mut other) = (given.connect(&certificate).await, given.connect(&other).await);
        assert_eq!(idle.ask(GET).await.text(), "hello");
        assert_eq!(other.ask(GET).await.text(), "hello");

        if is_deleted {
            given.partners().delete_certificate(&entity.id).await.unwrap();
        } else {
            given.revoke(&entity.id).await;
        }

        assert_eq!(idle.end().await, b"");
        assert_eq!(other.ask(GET).await.text(), "hello", "the other certificate of the app");
        let reply = given.connect(&certificate).await.ask(GET).await;
        let problem = if is_deleted { "client-certificate-unknown" } else { "client-certificate-revoked" };
        assert_eq!((reply.status, reply.problem().as_str()), (403, problem));
    }
    assert_eq!(neighbour.ask(GET).await.text(), "hello");
}

#[tokio::test]
async fn a_connection_of_http_2_ends_with_its_certificate() {
    let backend = Stub::saying("hello").await;
    let given = Given::before(&backend).await;
    let (certificate, entity) = given.partner("acme").await;
    let mut config = given.shows(&certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = given.gateway.handshake("a.example", config.into()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tls).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = http::Request::get("https://a.example/orders/7").body(()).unwrap();
    let (answer, _) = client.send_request(ask, true).unwrap();
    assert_eq!(within("the answer", answer).await.unwrap().status(), 200);

    given.revoke(&entity.id).await;

    // Said in order or not, it ends.
    drop(within("the end of the connection", connection).await.unwrap());
    assert!(client.ready().await.is_err());
}

#[tokio::test]
async fn a_connection_that_has_asked_nothing_yet_ends_with_its_certificate() {
    let backend = Stub::saying("hello").await;
    let given = Given::before(&backend).await;
    given.gateway.key("named", "all").await;
    let named = given.others.sign(&["named.example"]);
    let rule = NewCertificateRule { name: "dns:named.example".to_owned(), scopes: Vec::new(), issuer: None };
    let rule = given.partners().create_certificate_rule(&app("named"), rule).await.unwrap();
    let (certificate, entity) = given.partner("acme").await;
    let mut silent = given.connect(&certificate).await;
    let mut of_rule = given.connect(&named).await;
    let by_http_2 = async || {
        let mut config = given.shows(&certificate);
        config.alpn_protocols = vec![b"h2".to_vec()];
        given.gateway.handshake("a.example", config.into()).await.unwrap()
    };
    let mut before_its_preface = by_http_2().await;
    let (_client, connection) = h2::client::handshake(by_http_2().await).await.unwrap();
    let connection = tokio::spawn(connection);
    // What has begun later was ready earlier: all of them are there.
    assert_eq!(given.connect(&certificate).await.ask(GET).await.text(), "hello");
    let began = std::time::Instant::now();

    given.revoke(&entity.id).await;
    given.partners().delete_certificate_rule(&rule.name).await.unwrap();

    assert_eq!(silent.end().await, b"");
    assert_eq!(of_rule.end().await, b"");
    drop(within("the end of the connection", connection).await.unwrap());
    let mut said = Vec::new();
    drop(within("the end", before_its_preface.read_to_end(&mut said)).await);
    // The time that a head may take is longer, and that of an idle connection.
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_list_says_what_was_revoked_and_openssl_believes_it() {
    let backend = Stub::saying("hello").await;
    let given = Given::before(&backend).await;
    let (good, _) = given.partner("good").await;
    let (bad, entity) = given.partner("bad").await;
    let (gone, _) = given.partner("gone").await;
    let folder = given.gateway.folder().to_owned();
    for (name, certificate) in [("good", &good), ("bad", &bad), ("gone", &gone)] {
        std::fs::write(folder.join(name), &certificate.chain).unwrap();
    }
    let plain = given.gateway.listener("plain").unwrap();

    given.revoke(&entity.id).await;
    given.partners().delete_company(&"gone".parse().unwrap()).await.unwrap();

    let verdict = |name: &str| {
        let list = folder.join("list.crl");
        let fetched = std::process::Command::new("curl")
            .args(["-sf", "-o", list.to_str().unwrap(), &format!("http://{plain}/crl/partners.crl")])
            .status();
        if !fetched.unwrap().success() {
            return String::new();
        }
        let command = std::process::Command::new("openssl")
            .args(["verify", "-purpose", "sslclient", "-crl_check", "-CRLfile", "list.crl"])
            .args(["-CAfile", "data/authorities/partners.pem", name])
            .current_dir(&folder)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[command.stdout, command.stderr].concat()).into_owned()
    };
    eventually("the list with both", || verdict("bad").contains("certificate revoked")).await;
    assert!(verdict("gone").contains("certificate revoked"), "{}", verdict("gone"));
    assert!(verdict("good").contains("good: OK"), "{}", verdict("good"));
}

#[tokio::test]
async fn the_authority_is_the_same_after_a_restart() {
    let backend = Stub::saying("hello").await;
    let Given { gateway, servers, others } = Given::before(&backend).await;
    let given = Given { gateway, servers, others };
    let (certificate, _) = given.partner("acme").await;

    let Given { gateway, servers, others } = given;
    let given = Given { gateway: gateway.restart().await, servers, others };

    assert_eq!(given.connect(&certificate).await.ask(GET).await.text(), "hello");
    let sealed = std::fs::read_dir(given.gateway.folder().join("data/secrets")).unwrap();
    for file in sealed.map(|file| file.unwrap().path()) {
        let content = std::fs::read(&file).unwrap_or_default();
        assert!(!content.windows(11).any(|text| text == b"PRIVATE KEY"), "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_authority_is_believed_by_those_who_have_either_certificate() {
    let backend = Stub::saying("hello").await;
    let given = Given::before(&backend).await;
    let (first, _) = given.partner("first").await;
    let keeping = given.gateway.node().keeping.as_ref().unwrap().clone();
    let ends = |gateway: &Gateway| {
        let metrics = gateway.node().registry.render(None).body;
        let name = "vestibule_certificate_authority_not_after_timestamp_seconds{authority=\"partners\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(name)).map(|ends| ends.parse::<f64>().unwrap())
    };
    let before = keeping.authorities.named(Some("partners")).unwrap().1.authority.chain().to_owned();
    assert!(ends(&given.gateway) > Some(0.0));

    let renewed = keeping.authorities.renew_authority("partners").unwrap();
    let after = renewed.authority.chain().to_owned();
    let (second, _) = given.partner("second").await;

    assert!(after != before && renewed.before == [before.clone()]);
    for certificate in [&first, &second] {
        assert_eq!(given.connect(certificate).await.ask(GET).await.text(), "hello");
    }
    let folder = given.gateway.folder().to_owned();
    let write = |name: &str, content: &str| std::fs::write(folder.join(name), content).unwrap();
    for (name, content) in [("before", &before), ("after", &after), ("first", &first.chain), ("second", &second.chain)]
    {
        write(name, content);
    }
    for (authority, certificate) in [("before", "first"), ("before", "second"), ("after", "first"), ("after", "second")]
    {
        let verified = std::process::Command::new("openssl")
            .args(["verify", "-purpose", "sslclient", "-CAfile", authority, certificate])
            .current_dir(&folder)
            .output();
        assert!(verified.unwrap().status.success(), "{authority} {certificate}");
    }
    let published = std::fs::read_to_string(folder.join("data/authorities/partners.pem")).unwrap();
    assert_eq!(published, after.clone() + &before);

    let Given { gateway, servers, others } = given;
    let given = Given { gateway: gateway.restart().await, servers, others };
    let keeping = given.gateway.node().keeping.as_ref().unwrap();
    assert_eq!(keeping.authorities.named(Some("partners")).unwrap().1.authority.chain(), after);
    for certificate in [&first, &second] {
        assert_eq!(given.connect(certificate).await.ask(GET).await.text(), "hello");
    }
    let brought = keeping.authorities.renew_authority("others");
    assert!(brought.err().unwrap().to_string().contains("there is no authority `others`"));
}

#[tokio::test]
async fn mistakes_about_authorities_are_findings() {
    let findings = Gateway::refusing(
        "certificate_authorities:\n  partners: {key: a.key}\n  short: {certificates_last: 1s}\n\
         listeners: {public: {bind: \"127.0.0.1:0\", tls: {certificates: [{cert: a, key: b}], client_authorities: [partner]}}}\n",
    )
    .await;
    for finding in [
        "/certificate_authorities/partners: needs a place to note what it signs",
        "/certificate_authorities/partners/key: is the key of nothing",
        "/certificate_authorities/short/certificates_last: is too short",
        "there is no authority `partner` in `certificate_authorities`; did you mean `partners`?",
    ] {
        assert!(findings.contains(finding), "{finding}: {findings}");
    }
}
