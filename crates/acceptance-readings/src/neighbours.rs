//! Proxies in front: whose word about clients counts, and what a backend is told.

use testkit::{Gateway, Stub};

const TRUSTING: &str = "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]\n";
const FILTER: &str = "apis: {all: {match: {path: /}, upstream: backend, forwarded: both, policies: [ip-filter: {deny: [203.0.113.0/24]}]}}\n";

#[tokio::test]
async fn nobody_may_say_who_he_is_unless_he_is_trusted() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, FILTER).await;

    let reply = gateway
        .get_with(
            "/",
            &[
                ("Forwarded", "for=203.0.113.7"),
                ("X-Forwarded-For", "203.0.113.7"),
                ("X-Real-IP", "203.0.113.7"),
                ("X-Forwarded-Host", "evil.example"),
                ("X-Forwarded-Proto", "https"),
            ],
        )
        .await;

    assert_eq!(reply.status, 200);
    let request = backend.request();
    assert_eq!(request.header("forwarded"), Some("for=127.0.0.1;proto=http;host=api.example"));
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-host"), Some("api.example"));
    assert_eq!(request.header("x-real-ip"), None);
    assert!(!request.head.contains("203.0.113.7"), "{}", request.head);
}

#[tokio::test]
async fn the_client_is_the_first_address_that_is_no_trusted_proxy() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, &format!("{TRUSTING}{FILTER}")).await;

    for (name, value, status) in [
        ("Forwarded", "for=203.0.113.7", 403),
        ("Forwarded", "for=203.0.113.7, for=10.1.1.1", 403),
        ("Forwarded", "for=203.0.113.7, for=198.51.100.1", 200),
        ("Forwarded", "for=\"203.0.113.7:4711\";proto=https", 403),
        ("X-Forwarded-For", "203.0.113.7, 10.1.1.1", 403),
        ("X-Forwarded-For", "203.0.113.7, 198.51.100.1, 10.1.1.1", 200),
        ("X-Forwarded-For", "198.51.100.1", 200),
        ("X-Real-IP", "203.0.113.7", 200),
    ] {
        assert_eq!(gateway.get_with("/", &[(name, value)]).await.status, status, "{name}: {value}");
    }

    let last = backend.requests().into_iter().rfind(|request| request.head.contains("198.51.100.1")).unwrap();
    assert_eq!(last.header("x-forwarded-for"), Some("198.51.100.1, 127.0.0.1"));
}

#[tokio::test]
async fn a_backend_is_told_nothing_if_it_must_not_be() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "apis: {all: {match: {path: /}, upstream: backend, forwarded: none}}").await;

    gateway.get_with("/", &[("Forwarded", "for=192.0.2.1")]).await;

    assert_eq!(backend.request().header("forwarded"), None);
}

fn version_2(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(source);
    header.extend([127, 0, 0, 1, 0x13, 0x88, 0x01, 0xbb]);
    header
}

#[tokio::test]
async fn the_proxy_protocol_says_who_the_client_is() {
    let backend = Stub::saying("hello").await;
    for mode in ["optional", "required"] {
        let listener = format!("listeners: {{public: {{bind: \"127.0.0.1:0\", proxy_protocol: {mode}}}}}\n");
        let gateway = Gateway::with(&backend, &format!("{listener}{TRUSTING}{FILTER}")).await;
        for (header, status) in [
            (b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 443\r\n".to_vec(), 403),
            (b"PROXY TCP4 198.51.100.7 127.0.0.1 5000 443\r\n".to_vec(), 200),
            (b"PROXY UNKNOWN\r\n".to_vec(), 200),
            (version_2([203, 0, 113, 7]), 403),
            (version_2([198, 51, 100, 7]), 200),
        ] {
            let mut client = gateway.connect().await;
            client.send(&header).await;
            let reply = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(reply.status, status, "{mode} {:?}", String::from_utf8_lossy(&header));
            if status == 200 && header.windows(4).any(|bytes| bytes == b"198.") {
                assert_eq!(backend.requests().last().unwrap().header("x-forwarded-for"), Some("198.51.100.7"));
            }
        }
        let mut without = gateway.connect().await;
        without.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(without.end().await.is_empty(), mode == "required", "{mode}");
    }
}

#[tokio::test]
async fn the_proxy_protocol_of_a_stranger_is_not_believed() {
    let backend = Stub::saying("hello").await;
    for mode in ["optional", "required", "off"] {
        let listener = format!("listeners: {{public: {{bind: \"127.0.0.1:0\", proxy_protocol: {mode}}}}}\n");
        let gateway = Gateway::with(&backend, &format!("{listener}trusted_proxies: [10.0.0.0/8]\n{FILTER}")).await;
        let mut client = gateway.connect().await;

        client.send("PROXY TCP4 198.51.100.7 127.0.0.1 5000 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let got = String::from_utf8(client.end().await).unwrap();

        assert!(got.is_empty() || got.starts_with("HTTP/1.1 400"), "{mode}: {got}");
    }
    assert_eq!(backend.count(), 0);
}
