//! Hosts and paths that a backend reads in another way than it looks like lead past no policy; neither does what anybody says of
//! clients.

use testkit::{Gateway, Stub};
use tokio::net::TcpStream;

const GUARDED: &str = "\
apis:
  all: {match: {path: /}, upstream: backend}
  admin: {match: {path: /admin}, upstream: backend, policies: [respond: {status: 403}]}
  intern: {match: {host: intern.example, path: /}, upstream: backend, policies: [respond: {status: 403}]}
";

#[tokio::test]
async fn encoded_slashes_hide_no_segment_that_leads_elsewhere() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, GUARDED).await;

    for path in [
        "/public/..%2Fadmin",
        "/public/..%2fadmin",
        "/a%2F..%2F..%2Fadmin",
        "/a%2f%2E%2e/admin",
        "/a%2F./b",
        "/a/..;x%2fadmin",
    ] {
        let reply = gateway.get(path).await;
        assert_eq!((reply.status, reply.problem().as_str()), (400, "ambiguous-path"), "{path}");
    }
    assert_eq!(backend.count(), 0);
    for path in ["/projects/group%2Fname", "/a%2F...%2Fb", "/a%2F.b"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
        assert_eq!(backend.requests().last().unwrap().line(), format!("GET {path} HTTP/1.1"));
    }
}

#[tokio::test]
async fn the_dot_of_the_root_makes_no_other_host() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, GUARDED).await;

    for host in ["intern.example", "Intern.Example.", "intern.example.:80"] {
        let reply = gateway.connect().await.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(reply.status, 403, "{host}");
    }
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_host_that_is_none_is_refused_over_http2_too_and_no_fault_of_the_backend() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, GUARDED).await;
    let (sender, connection) =
        h2::client::handshake(TcpStream::connect(gateway.address()).await.unwrap()).await.unwrap();
    tokio::spawn(connection);

    for host in ["a/b", "a b", "user@a", "a,b", "[::1"] {
        let request = http::Request::get("/").header("host", host).body(()).unwrap();
        let (answer, _) = sender.clone().ready().await.unwrap().send_request(request, true).unwrap();
        assert!(answer.await.unwrap_err().is_reset(), "{host}");
    }
    let request = http::Request::get("http://user@a.example/").body(()).unwrap();
    let (answer, _) = sender.clone().ready().await.unwrap().send_request(request, true).unwrap();
    assert!(answer.await.unwrap_err().is_reset());
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_tunnel_that_would_carry_requests_is_not_made() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, GUARDED).await;

    for protocol in ["h2c", "websocket, H2C", "HTTP/2.0", "TLS/1.0"] {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        );
        assert_eq!(gateway.connect().await.ask(head).await.status, 200, "{protocol}");
        let unnamed = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AA\r\n\r\n"
        );
        assert_eq!(gateway.connect().await.ask(unnamed).await.status, 200, "{protocol}");
    }

    for request in backend.requests() {
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(request.header(name), None, "{}", request.head);
        }
    }
}

const FILTER: &str = "\
trusted_proxies: [127.0.0.0/8]
apis:
  all: {match: {path: /}, upstream: backend, forwarded: none, policies: [ip-filter: {allow: [198.51.100.7]}]}
  intern: {match: {host: intern.example, path: /}, upstream: backend, policies: [respond: {status: 418}]}
";

#[tokio::test]
async fn what_clients_say_of_themselves_in_the_other_form_than_the_proxy_is_not_believed() {
    let (good, bad) = ("198.51.100.7", "203.0.113.9");
    for (written, by_header, by_standard) in
        [("either", bad, good), ("x-forwarded", bad, good), ("standard", good, bad)]
    {
        let backend = Stub::saying("hello").await;
        let gateway = Gateway::with(&backend, &format!("requests: {{proxies_write: {written}}}\n{FILTER}")).await;

        let (header, standard) = (by_header, format!("for={by_standard}"));
        let forged = gateway.get_with("/", &[("X-Forwarded-For", header), ("Forwarded", &standard)]).await;
        assert_eq!(forged.status, 403, "{written}");

        let (header, standard) = (by_standard, format!("for={by_header}"));
        let right = gateway.get_with("/", &[("X-Forwarded-For", header), ("Forwarded", &standard)]).await;
        assert_eq!(right.status, 200, "{written}");
        let other = if written == "standard" { "x-forwarded-for" } else { "forwarded" };
        assert_eq!(backend.request().header(other), None, "{written}");
    }
}

#[tokio::test]
async fn a_forwarded_host_counts_only_if_it_is_said_who_writes_it() {
    let backend = Stub::saying("hello").await;
    for (written, status) in [("either", 200), ("x-forwarded", 418), ("standard", 403)] {
        let gateway = Gateway::with(&backend, &format!("requests: {{proxies_write: {written}}}\n{FILTER}")).await;

        let said = [("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Host", "intern.example")];
        assert_eq!(gateway.get_with("/", &said).await.status, status, "{written}");
    }
}
