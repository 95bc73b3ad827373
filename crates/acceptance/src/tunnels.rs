//! HTTP/2 beyond a request and its answer: answers before the answer, and tunnels inside a stream.

use std::future::poll_fn;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use h2::client::{self, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, StatusCode};
use testkit::{Gateway, Stub, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// A client of HTTP/2 by prior knowledge.
async fn client(gateway: &Gateway) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(gateway.address()).await.unwrap();
    let (sender, connection) = client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    within("the gateway's settings", sender.ready()).await.unwrap()
}

async fn interim(answer: &mut ResponseFuture) -> http::Response<()> {
    within("an answer before the answer", poll_fn(|context| answer.poll_informational(context))).await.unwrap().unwrap()
}

#[tokio::test]
async fn early_hints_arrive_before_the_answer() {
    let backend = Stub::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nLink: </more.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = client(&gateway).await;

    let (mut answer, _) = client.send_request(Request::get("http://a.example/").body(()).unwrap(), true).unwrap();

    for link in ["</style.css>", "</more.css>"] {
        let hint = interim(&mut answer).await;
        assert_eq!((hint.status(), hint.headers()["link"].to_str().unwrap()), (StatusCode::EARLY_HINTS, link));
        assert!(!hint.headers().contains_key("x-hop"));
    }
    assert_eq!(within("the answer", answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_waits_is_asked_for() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        talk.wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        let body = talk.wire.exactly(5).await;
        talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        talk.wire.send(body).await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = client(&gateway).await;

    let request = Request::post("http://a.example/").header("expect", "100-continue").header("content-length", "5");
    let (mut answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    assert_eq!(interim(&mut answer).await.status(), 100);
    body.send_data(Bytes::from_static(b"hello"), true).unwrap();

    let mut said = within("the answer", answer).await.unwrap().into_body();
    assert_eq!(said.data().await.unwrap().unwrap(), "hello");
}

/// An extended CONNECT for a WebSocket (RFC 8441).
fn connect(protocol: &'static str) -> Request<()> {
    Request::builder()
        .method(Method::CONNECT)
        .uri("http://a.example/chat?room=1")
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static(protocol))
        .body(())
        .unwrap()
}

/// A stream of HTTP/2 as the stream of bytes that a WebSocket needs.
fn bytes_of(mut recv: RecvStream, mut send: SendStream<Bytes>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(1024);
    let (mut read, mut write) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some(Ok(data)) = recv.data().await {
            recv.flow_control().release_capacity(data.len()).unwrap();
            write.write_all(&data).await.unwrap();
        }
        drop(write.shutdown().await);
    });
    tokio::spawn(async move {
        let mut piece = vec![0; 1024];
        while let Ok(length @ 1..) = read.read(&mut piece).await {
            let data = Bytes::copy_from_slice(&piece[..length]);
            if send.send_data(data, false).is_err() {
                return;
            }
        }
        drop(send.send_data(Bytes::new(), true));
    });
    near
}

#[tokio::test]
async fn a_websocket_goes_through_a_stream_in_both_directions() {
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
    let mut client = client(&gateway).await;
    testkit::eventually("extended CONNECT is offered", || client.is_extended_connect_protocol_enabled()).await;

    let (answer, send) = client.send_request(connect("websocket"), false).unwrap();
    let answer = within("the handshake", answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    let mut socket = WebSocketStream::from_raw_socket(bytes_of(answer.into_body(), send), Role::Client, None).await;

    // The second one is larger than any window.
    for message in [Message::text("hello"), Message::binary(vec![7; 300_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(within("the echo", socket.next()).await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    assert!(within("the closing", socket.next()).await.unwrap().unwrap().is_close());

    backend.is_left_alone().await;
    drop(client);
}

#[tokio::test]
async fn a_websocket_that_the_backend_refuses_is_an_ordinary_answer() {
    let backend = Stub::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = client(&gateway).await;
    testkit::eventually("extended CONNECT is offered", || client.is_extended_connect_protocol_enabled()).await;

    let (answer, _send) = client.send_request(connect("websocket"), false).unwrap();
    let answer = within("the answer", answer).await.unwrap();

    assert_eq!(answer.status(), 403);
    assert_eq!(answer.into_body().data().await.unwrap().unwrap(), "no");
}

#[tokio::test]
async fn no_other_protocol_is_let_through() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = client(&gateway).await;
    testkit::eventually("extended CONNECT is offered", || client.is_extended_connect_protocol_enabled()).await;

    let (answer, _send) = client.send_request(connect("connect-udp"), false).unwrap();

    assert_eq!(within("the answer", answer).await.unwrap().status(), 501);
    assert_eq!(backend.count(), 0);
}
