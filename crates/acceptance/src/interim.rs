//! Answers before the answer: 1xx, and `Expect: 100-continue`.

use testkit::{Gateway, Stub};

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[tokio::test]
async fn early_hints_arrive_before_the_answer() {
    let backend = Stub::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nLink: </more.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    for _ in 0..2 {
        let hint = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!((hint.status, hint.header("link")), (103, Some("</style.css>")));
        assert_eq!(client.reply().await.header("link"), Some("</more.css>"));
        assert_eq!(client.reply().await.text(), "ok");
    }
}

#[tokio::test]
async fn clients_of_http_1_0_hear_only_the_answer() {
    let backend =
        Stub::answering("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let gateway = Gateway::before(&backend).await;

    let reply = gateway.connect().await.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;

    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_body_that_waits_is_asked_for_when_the_backend_asks_for_it() {
    let backend = Stub::talking(|mut talk| async move {
        while let Some(request) = talk.head().await {
            assert_eq!(request.header("expect").map(str::to_ascii_lowercase).as_deref(), Some("100-continue"));
            assert!(talk.wire.is_silent().await, "a body came before it was asked for");
            talk.wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            let body = talk.wire.exactly(5).await;
            talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
            talk.wire.send(body).await;
        }
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    for _ in 0..2 {
        assert_eq!(client.ask(EXPECTING).await.status, 100);
        assert_eq!(client.ask("hello").await.text(), "hello");
    }
}

#[tokio::test]
async fn a_body_that_waits_is_never_asked_for_if_the_backend_refuses_it() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        talk.wire.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await;
        assert!(talk.wire.end().await.is_empty(), "a body came that was not asked for");
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    let reply = client.ask(EXPECTING).await;

    assert_eq!((reply.status, reply.text().as_str()), (401, "no"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(client.end().await.is_empty());
    backend.is_left_alone().await;
}

#[tokio::test]
async fn a_client_need_not_wait_for_100() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        talk.wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        let body = talk.wire.exactly(5).await;
        talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        talk.wire.send(body).await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send(format!("{EXPECTING}hello")).await;
    let mut reply = client.reply().await;
    if reply.status == 100 {
        reply = client.reply().await;
    }

    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
}

#[tokio::test]
async fn a_body_that_waits_in_chunks_is_asked_for_too() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        assert!(talk.wire.is_silent().await, "a body came before it was asked for");
        talk.wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        let (body, _) = talk.wire.chunks().await;
        talk.wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        talk.wire.send(body).await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(client.ask(head).await.status, 100);

    assert_eq!(client.ask("3\r\nabc\r\n0\r\n\r\n").await.text(), "abc");
}

#[tokio::test]
async fn a_refused_request_is_not_asked_for_its_body() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "limits: {body_bytes: 4B}").await;

    let reply = gateway.connect().await.ask(EXPECTING).await;

    assert_eq!(reply.status, 413);
    assert_eq!(backend.count(), 0);
}
