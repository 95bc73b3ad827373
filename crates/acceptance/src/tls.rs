//! TLS on both sides.

use std::sync::Arc;

use rustls::HandshakeKind;
use tempfile::TempDir;
use testkit::{Asks, Authority, Gateway, Stub, curl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A gateway before `backend` whose listener has certificates of these names.
async fn secured(backend: &Stub, authority: &Authority, names: &[&str], settings: &str) -> Gateway {
    let folder = TempDir::new().unwrap();
    let mut certificates = Vec::new();
    for name in names {
        authority.sign(&[name]).write(folder.path(), &name.replace('*', "any"));
        let file = name.replace('*', "any");
        certificates.push(format!("{{cert: \"{file}.crt\", key: \"{file}.key\"}}"));
    }
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let document = format!(
        "listeners: {{public: {{bind: \"127.0.0.1:0\", tls: {{certificates: [{}]{settings}}}}}}}\n\
         upstreams: {{u: {{targets: [\"http://{}\"]}}}}\napis: {{a: {{match: {{path: /}}, upstream: u}}}}\n",
        certificates.join(", "),
        backend.address
    );
    Gateway::in_folder(folder, &document).await
}

#[tokio::test]
async fn the_server_name_chooses_the_certificate() {
    let (authority, backend) = (Authority::default(), Stub::saying("hello").await);
    let gateway = secured(&backend, &authority, &["a.example", "b.example", "*.c.example"], "").await;

    // A client that believes the authority checks the name, so it gets through only with the right certificate.
    for name in ["a.example", "b.example", "x.c.example"] {
        let mut client = gateway.connect_tls(name, authority.client(None)).await.unwrap();
        assert_eq!(client.ask(GET).await.text(), "hello", "{name}");
    }
    let unknown = gateway.connect_tls("d.example", authority.client(None)).await.err().unwrap();
    assert!(unknown.to_string().contains("a.example"), "the first is for everybody else: {unknown}");
    assert!(backend.requests()[0].header("forwarded").unwrap().contains("proto=https"));
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_unless_one_is_forbidden() {
    let (authority, backend) = (Authority::default(), Stub::saying("hello").await);
    for (settings, old) in [("", "hello"), (", min_version: \"1.3\"", "")] {
        let gateway = secured(&backend, &authority, &["a.example"], settings).await;
        let address = gateway.address();
        let connect = format!("a.example:443:{address}");
        let ca = gateway.folder().join("ca.pem");
        for (most, expected) in [("1.2", old), ("1.3", "hello")] {
            let arguments =
                ["--connect-to", &connect, "--cacert", ca.to_str().unwrap(), "--tls-max", most, "https://a.example/"];
            let said = curl(&arguments).await;
            assert_eq!(said == "hello", expected == "hello", "TLS {most}{settings}: {said}");
        }
    }
}

#[tokio::test]
async fn http_2_is_agreed_on_by_alpn() {
    let (authority, backend) = (Authority::default(), Stub::saying("hello").await);
    let gateway = secured(&backend, &authority, &["a.example"], "").await;
    let connect = format!("a.example:443:{}", gateway.address());
    let ca = gateway.folder().join("ca.pem");

    for (version, expected) in [("--http2", "hello 2"), ("--http1.1", "hello 1.1")] {
        let arguments = [
            "--connect-to",
            &connect,
            "--cacert",
            ca.to_str().unwrap(),
            version,
            "-w",
            " %{http_version}",
            "https://a.example/",
        ];
        assert_eq!(curl(&arguments).await, expected);
    }
}

#[tokio::test]
async fn sessions_are_resumed() {
    let (authority, backend) = (Authority::default(), Stub::saying("hello").await);
    let gateway = secured(&backend, &authority, &["a.example"], "").await;
    let client = Arc::new(authority.client(None));

    let mut kinds = Vec::new();
    for _ in 0..2 {
        let tls = gateway.handshake("a.example", client.clone()).await.unwrap();
        kinds.push(tls.get_ref().1.handshake_kind());
        // The ticket comes with the answer.
        testkit::Wire::over(tls).ask(GET).await;
    }

    assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
}

#[tokio::test]
async fn an_answer_that_ends_the_connection_is_whole_and_followed_by_a_farewell() {
    let authority = Authority::default();
    let backend = Stub::replying(|request| {
        let size: usize = request.line().split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size)).into_bytes()
    })
    .await;
    let gateway = secured(&backend, &authority, &["a.example"], "").await;

    // More than the kernels on the way take at once, less than is held back, and nothing.
    for size in [8 * 1024 * 1024, 20_000, 1000, 0] {
        let mut client = gateway.handshake("a.example", Arc::new(authority.client(None))).await.unwrap();
        let request = format!("GET /{size} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        // Without a farewell it fails, because what came might be cut.
        testkit::within("the farewell", client.read_to_end(&mut said)).await.unwrap();
        let head = said.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(said.len() - head, size);
    }
}

#[tokio::test]
async fn a_changed_certificate_is_taken_without_a_restart() {
    let (authority, backend) = (Authority::default(), Stub::saying("hello").await);
    let gateway = secured(&backend, &authority, &["a.example"], "").await;
    let mut before = gateway.connect_tls("a.example", authority.client(None)).await.unwrap();
    assert!(gateway.connect_tls("new.example", authority.client(None)).await.is_err());

    authority.sign(&["new.example"]).write(gateway.folder(), "a.example");
    assert!(gateway.node().gateway.reload_certificates().is_empty());

    let mut after = gateway.connect_tls("new.example", authority.client(None)).await.unwrap();
    assert_eq!(after.ask(GET).await.text(), "hello");
    assert_eq!(before.ask(GET).await.text(), "hello", "connections that are open go on");
}

#[tokio::test]
async fn a_changed_certificate_file_is_noticed_and_a_broken_one_is_not_taken() {
    let (authority, backend) = (Authority::default(), Stub::saying("hello").await);
    let gateway = secured(&backend, &authority, &["a.example"], "").await;

    std::fs::write(gateway.folder().join("a.example.crt"), "broken").unwrap();
    assert!(!gateway.node().gateway.reload_certificates().is_empty());
    assert!(gateway.connect_tls("a.example", authority.client(None)).await.is_ok());

    authority.sign(&["new.example"]).write(gateway.folder(), "a.example");
    let looks = async { while gateway.connect_tls("new.example", authority.client(None)).await.is_err() {} };
    testkit::within("the new certificate", looks).await;
}

#[tokio::test]
async fn client_certificates_are_asked_for_as_the_operator_says() {
    let (authority, stranger, backend) = (Authority::default(), Authority::default(), Stub::saying("hello").await);
    let (known, unknown) = (authority.sign(&["client"]), stranger.sign(&["client"]));
    for (mode, without, with_unknown) in [("optional", true, false), ("required", false, false)] {
        let settings = format!(", client_ca: ca.pem, client_auth: {mode}");
        let gateway = secured(&backend, &authority, &["a.example"], &settings).await;
        for (shown, serves) in [(None, without), (Some(&unknown), with_unknown), (Some(&known), true)] {
            let said = match gateway.connect_tls("a.example", authority.client(shown)).await {
                // With TLS 1.3 a client hears of its refusal only after its own handshake is done.
                Ok(mut client) => {
                    drop(client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await);
                    client.end().await
                }
                Err(_) => Vec::new(),
            };
            assert_eq!(said.starts_with(b"HTTP/1.1 200"), serves, "{mode} {}", shown.is_some());
        }
    }
}

#[tokio::test]
async fn plain_http_to_a_tls_port_reaches_nobody() {
    let (authority, backend) = (Authority::default(), Stub::saying("hello").await);
    let gateway = secured(&backend, &authority, &["a.example"], "").await;
    let mut client = gateway.connect().await;

    client.send(GET).await;

    assert!(!client.end().await.starts_with(b"HTTP/1.1 200"));
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_backend_is_believed_only_with_the_right_certificate() {
    let (authority, stranger) = (Authority::default(), Authority::default());
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let right = Stub::secured(authority.server(&authority.sign(&["in.example"]), Asks::ForCertificate), answer).await;
    let folder = || {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("other.pem"), stranger.pem()).unwrap();
        authority.sign(&["gateway"]).write(folder.path(), "mine");
        stranger.sign(&["gateway"]).write(folder.path(), "wrong");
        folder
    };

    for (tls, status) in [
        ("ca: ca.pem, server_name: in.example, cert: mine.crt, key: mine.key", 200),
        ("ca: other.pem, server_name: in.example, cert: mine.crt, key: mine.key", 502),
        ("ca: ca.pem, server_name: out.example, cert: mine.crt, key: mine.key", 502),
        ("ca: ca.pem, server_name: in.example, cert: wrong.crt, key: wrong.key", 502),
        ("ca: ca.pem, server_name: in.example", 502),
        ("server_name: in.example, cert: mine.crt, key: mine.key", 502),
    ] {
        let document = format!(
            "upstreams: {{u: {{targets: [\"https://{}\"], tls: {{{tls}}}, retries: {{attempts: 0}}}}}}\n\
             apis: {{a: {{match: {{path: /}}, upstream: u}}}}\n",
            right.address
        );
        let gateway = Gateway::in_folder(folder(), &document).await;
        let reply = gateway.get("/").await;
        assert_eq!(reply.status, status, "{tls}: {reply:?}");
    }
    assert_eq!(right.count(), 1);
}
