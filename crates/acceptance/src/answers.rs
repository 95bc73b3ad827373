//! Answers: the backend's pass untouched, the gateway's own are problems.

use testkit::{Gateway, Stub};

#[tokio::test]
async fn the_backends_errors_pass_byte_for_byte() {
    for status in ["404 Not Found", "500 Oh no", "502 Bad Gateway", "503 Busy", "429 Slow Down"] {
        let body = "<h1>It broke</h1>";
        let backend = Stub::answering(format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nX-Reason: because\r\nSet-Cookie: a=1\r\n\
             Set-Cookie: b=2\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        let gateway = Gateway::before(&backend).await;

        let reply = gateway.get("/").await;

        assert_eq!(reply.status.to_string(), status[..3]);
        assert_eq!(reply.text(), body);
        assert_eq!(reply.header("content-type"), Some("text/html"));
        assert_eq!(reply.header("x-reason"), Some("because"));
        assert_eq!(reply.head.to_ascii_lowercase().matches("set-cookie: ").count(), 2);
        assert_eq!(reply.header("proxy-status"), None, "it is the backend's answer, not the gateway's");
    }
}

#[tokio::test]
async fn what_the_client_sends_arrives_byte_for_byte() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    gateway
        .connect()
        .await
        .ask("GET /a%2Fb/c;d=1?x=%20y&&z=[1] HTTP/1.1\r\nHost: A.example:80\r\nX-Many: 1\r\nX-Many: 2\r\nX-Odd:  t\u{e4}b\t \r\n\r\n")
        .await;

    let request = backend.request();
    assert_eq!(request.line(), "GET /a%2Fb/c;d=1?x=%20y&&z=[1] HTTP/1.1");
    assert_eq!(request.header("host"), Some("A.example:80"));
    assert_eq!(request.head.to_ascii_lowercase().matches("x-many: ").count(), 2);
    assert_eq!(
        request.header("x-odd").unwrap().chars().map(|c| c as u32).collect::<Vec<_>>(),
        [0x74, 0xc3, 0xa4, 0x62]
    );
}

#[tokio::test]
async fn an_unknown_method_is_handed_on() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    gateway.send("PROPFIND", "/", &[]).await;

    assert_eq!(backend.request().line(), "PROPFIND / HTTP/1.1");
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let backend = Stub::answering("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    for _ in 0..2 {
        let reply = client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(reply.header("content-length"), Some("12345"));
    }

    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn no_content_and_not_modified_have_no_body() {
    for status in ["204 No Content", "304 Not Modified"] {
        let backend = Stub::answering(format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\n\r\n")).await;
        let gateway = Gateway::before(&backend).await;
        let mut client = gateway.connect().await;

        for _ in 0..2 {
            let reply = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(reply.header("etag"), Some("\"1\""));
            assert_eq!(reply.header("transfer-encoding"), None);
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[tokio::test]
async fn ranges_are_the_backends_business() {
    let backend =
        Stub::answering("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 4\r\n\r\nabcd")
            .await;
    let gateway = Gateway::before(&backend).await;

    let reply = gateway.get_with("/", &[("Range", "bytes=0-3"), ("If-Range", "\"x\"")]).await;

    assert_eq!((reply.status, reply.header("content-range")), (206, Some("bytes 0-3/10")));
    assert_eq!(backend.request().header("range"), Some("bytes=0-3"));
    assert_eq!(backend.request().header("if-range"), Some("\"x\""));
}

#[tokio::test]
async fn the_gateways_own_answers_are_problems_with_proxy_status() {
    let (backend, dead) = (Stub::saying("hello").await, Stub::refusing());
    let document = format!(
        "upstreams: {{a: {{targets: [\"http://{}\"]}}, dead: {{targets: [\"http://{}\"], retries: {{attempts: 0}}}}}}\n\
         apis:\n  a: {{match: {{path: /a, method: GET}}, upstream: a}}\n  dead: {{match: {{path: /dead}}, upstream: dead}}\n",
        backend.address, dead.address,
    );
    let gateway = Gateway::serving(&document).await;

    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "no-route"),
        ("POST", "/a", 405, "method-not-allowed"),
        ("GET", "/dead", 502, "upstream-failed"),
        ("GET", "/a/%2e%2e/b", 400, "ambiguous-path"),
        ("GET", "/a/..;/b", 400, "ambiguous-path"),
        ("GET", "/a%5Cb", 400, "ambiguous-path"),
    ] {
        let reply = gateway.send(method, path, &[]).await;
        assert_eq!((reply.status, reply.problem().as_str()), (status, code), "{method} {path}");
        let told = reply.header("proxy-status").unwrap_or_else(|| panic!("no Proxy-Status: {reply:?}"));
        assert!(told.starts_with("vestibule"), "{told}");
        assert!(!reply.text().contains("127.0.0.1"), "nothing about the inside gets out: {}", reply.text());
    }
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_problem_for_head_has_no_body() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "apis: {all: {match: {path: /a}, upstream: backend}}").await;
    let mut client = gateway.connect().await;

    for _ in 0..2 {
        assert_eq!(client.ask("HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 404);
    }
}

#[tokio::test]
async fn answers_that_are_no_http_are_a_failure_of_the_backend() {
    for answer in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n",
    ] {
        let backend = Stub::answering(answer).await;
        let gateway = Gateway::with(&backend, "").await;

        let reply = gateway.get("/").await;

        assert_eq!((reply.status, reply.problem().as_str()), (502, "upstream-failed"), "{answer:?}");
        assert_eq!(reply.header("proxy-status"), Some("vestibule; error=http_protocol_error"), "{answer:?}");
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_never_answer_the_next_request() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        let more = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
        talk.wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood{more}")).await;
        talk.wire.end().await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    for _ in 0..3 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.text(), "good");
    }
}
