//! Connections of HTTP/1.1: how they are kept, shared, upgraded and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{SinkExt, StreamExt};
use testkit::{Gateway, Stub, within};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other_on_both_sides() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    for _ in 0..5 {
        assert_eq!(client.ask(GET).await.text(), "hello");
    }

    assert_eq!(backend.count(), 5);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let backend = Stub::replying(|request| {
        let line = request.line();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len()).into()
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client
        .send(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
             POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
             POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\
             GET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;

    for expected in ["GET /1 HTTP/1.1", "POST /2 HTTP/1.1", "POST /3 HTTP/1.1", "GET /4 HTTP/1.1"] {
        assert_eq!(client.reply().await.text(), expected);
    }
    assert_eq!(backend.requests()[1].body, b"abc");
    assert_eq!(backend.requests()[2].body, b"a");
}

#[tokio::test]
async fn a_client_that_says_close_is_told_so_and_closed() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    let reply = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;

    assert_eq!(reply.header("connection"), Some("close"));
    assert!(client.end().await.is_empty());
}

#[tokio::test]
async fn a_backend_that_closes_does_not_close_the_client() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx").await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    for _ in 0..3 {
        let reply = client.ask(GET).await;
        assert_eq!((reply.status, reply.header("connection")), (200, None));
    }

    assert_eq!(backend.connections(), 3);
}

#[tokio::test]
async fn an_answer_that_ends_with_the_backends_connection_is_chunked_for_the_client() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.send("HTTP/1.1 200 OK\r\n\r\nto the end").await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    let reply = client.ask(GET).await;

    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    assert_eq!(reply.text(), "to the end");
    assert_eq!(client.ask(GET).await.status, 200);
}

#[tokio::test]
async fn clients_of_http_1_0_get_plain_bodies_to_the_end_of_the_connection() {
    let backend =
        Stub::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let all = String::from_utf8(client.end().await).unwrap();

    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") || head.starts_with("HTTP/1.0 200 OK"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "abc");
    let request = backend.request();
    assert!(request.line().ends_with("HTTP/1.1"));
    assert_eq!(request.header("host"), Some(backend.address.to_string().as_str()), "HTTP/1.1 asks for one");
}

#[tokio::test]
async fn clients_of_http_1_0_may_keep_a_connection_if_they_ask() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    for _ in 0..2 {
        let reply = client.ask("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!(reply.text(), "hello");
        assert!(reply.header("connection").unwrap().eq_ignore_ascii_case("keep-alive"));
    }
}

#[tokio::test]
async fn a_backend_of_http_1_0_is_understood() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.send("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold").await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    assert_eq!(client.ask(GET).await.text(), "old");
    assert_eq!(client.ask(GET).await.text(), "old");
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn the_absolute_form_is_understood_and_handed_on_as_a_path() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    gateway.connect().await.ask("GET http://a.example/b?c HTTP/1.1\r\nHost: a.example\r\n\r\n").await;

    let request = backend.request();
    assert_eq!(request.line(), "GET /b?c HTTP/1.1");
    assert_eq!(request.header("host"), Some("a.example"));
}

#[tokio::test]
async fn options_for_the_whole_server_stay_that() {
    let backend = Stub::saying("").await;
    let gateway = Gateway::before(&backend).await;

    let reply = gateway.send("OPTIONS", "*", &[]).await;

    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(backend.request().line(), "OPTIONS * HTTP/1.1");
}

#[tokio::test]
async fn what_connection_names_goes_no_further() {
    let backend = Stub::answering(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: close\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let gateway = Gateway::before(&backend).await;

    let reply = gateway
        .connect()
        .await
        .ask(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Private, TE\r\nX-Private: 1\r\nTE: gzip\r\nKeep-Alive: 5\r\n\
             Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nUpgrade: h2c\r\nX-Stays: 1\r\n\r\n",
        )
        .await;

    let request = backend.request();
    for gone in ["connection", "x-private", "te", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade"] {
        assert_eq!(request.header(gone), None, "{request:?}");
    }
    for gone in ["x-hop", "keep-alive", "proxy-connection", "connection"] {
        assert_eq!(reply.header(gone), None, "{reply:?}");
    }
    assert_eq!((request.header("x-stays"), reply.header("x-stays")), (Some("1"), Some("1")));
}

#[tokio::test]
async fn connection_cannot_take_away_what_the_message_needs() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    gateway
        .connect()
        .await
        .ask("POST / HTTP/1.1\r\nHost: a\r\nConnection: Host, Content-Length\r\nContent-Length: 3\r\n\r\nabc")
        .await;

    let request = backend.request();
    assert_eq!((request.header("host"), request.body.as_slice()), (Some("a"), &b"abc"[..]));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request_at_the_backend() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let backend = Stub::talking(move |mut talk| {
        let ended = count.clone();
        async move {
            talk.request().await;
            talk.wire.end().await;
            ended.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let gateway = Gateway::before(&backend).await;

    for goes in ["by FIN", "by RST"] {
        let before = backend.count();
        let mut client = gateway.connect().await;
        client.send(GET).await;
        testkit::eventually("the backend is asked", || backend.count() > before).await;
        if goes == "by RST" { client.reset() } else { drop(client) }
    }

    testkit::eventually("both requests ended", || ended.load(Ordering::SeqCst) == 2).await;
    backend.is_left_alone().await;
}

#[tokio::test]
async fn a_client_that_goes_away_during_the_answer_ends_it_at_the_backend() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while talk.wire.try_send("5\r\nhello\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send(GET).await;
    client.head().await;
    client.reset();

    backend.is_left_alone().await;
}

#[tokio::test]
async fn a_websocket_goes_through_in_both_directions() {
    let backend = Stub::talking(|talk| async move {
        let mut socket = accept_async(talk.wire).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let tcp = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    let url = format!("ws://{}/chat", gateway.address());
    let (mut socket, answer) = within("the handshake", client_async(url, tcp)).await.unwrap();

    for message in [Message::text("hello"), Message::binary(vec![7; 300_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(within("the echo", socket.next()).await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();

    assert_eq!(answer.status(), 101);
    assert!(within("the closing", socket.next()).await.unwrap().unwrap().is_close());
    backend.is_left_alone().await;
}

#[tokio::test]
async fn what_is_said_right_behind_an_upgrade_is_not_lost() {
    let backend = Stub::talking(|mut talk| async move {
        let request = talk.request().await.unwrap();
        assert_eq!(request.header("upgrade"), Some("echo"));
        let said = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome";
        talk.wire.send(said).await;
        let heard = talk.wire.exactly(5).await;
        talk.wire.send(heard).await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly").await;
    let reply = client.head().await;

    assert_eq!((reply.status, reply.header("upgrade")), (101, Some("echo")));
    assert_eq!(client.end().await, b"welcomeearly");
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let backend = Stub::answering("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let first = client.ask(upgrade).await;
    let second = client.ask(GET).await;

    assert_eq!((first.status, first.text().as_str(), second.status), (426, "no", 426));
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_failure_of_the_backend() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let backend = Stub::answering(answer).await;
    let gateway = Gateway::before(&backend).await;

    let reply = gateway.get("/").await;

    assert_eq!(reply.status, 502);
    assert_eq!(reply.problem(), "upstream-failed");
}

#[tokio::test]
async fn websocket_close_codes_pass_unchanged() {
    let backend = Stub::talking(|talk| async move {
        let mut socket = accept_async(talk.wire).await.unwrap();
        if let Some(Ok(Message::Close(Some(frame)))) = socket.next().await {
            assert_eq!(u16::from(frame.code), 4321);
        }
        drop(socket.next().await);
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;
    let handshake = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.send(handshake).await;
    let reply = client.head().await;
    let mut socket = WebSocketStream::from_raw_socket(client, Role::Client, None).await;

    let code = 4321.into();
    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code, reason: "done".into() };
    socket.close(Some(frame.clone())).await.unwrap();

    assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(within("the closing", socket.next()).await.unwrap().unwrap(), Message::Close(Some(frame)));
}
