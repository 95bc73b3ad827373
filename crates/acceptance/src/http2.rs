//! HTTP/2 on either side, as real clients speak it.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::{Gateway, Stub, curl, within};
use tokio::net::{TcpListener, TcpStream};

type Sent = BoxBody<Bytes, Infallible>;

fn message(text: &'static str, trailer: Option<&'static str>) -> Sent {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    match trailer {
        Some(status) => {
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]);
            body.with_trailers(async { Some(Ok(trailers)) }).boxed()
        }
        None => body.boxed(),
    }
}

/// A backend that speaks HTTP/2 without TLS, and answers with what it heard.
async fn grpc() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let serves =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tcp), service_fn(echo));
            tokio::spawn(serves);
        }
    });
    address
}

async fn echo(request: Request<Incoming>) -> Result<Response<Sent>, Infallible> {
    let (head, body) = request.into_parts();
    assert_eq!(head.headers.get("te").unwrap(), "trailers");
    assert_eq!(head.headers.get("host"), None);
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "7");
    let mut response = Response::new(message("pong", Some("0")));
    response.headers_mut().insert("x-uri", HeaderValue::try_from(head.uri.to_string()).unwrap());
    Ok(response)
}

/// A client of HTTP/2 by prior knowledge.
async fn client(gateway: &Gateway) -> SendRequest<Sent> {
    let tcp = TcpStream::connect(gateway.address()).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn grpc_passes_with_its_trailers() {
    let backend = grpc().await;
    let gateway = Gateway::serving(&format!(
        "upstreams: {{u: {{targets: [\"http://{backend}\"], http: \"2\"}}}}\napis: {{a: {{match: {{path: /}}, upstream: u}}}}\n"
    ))
    .await;
    let mut client = client(&gateway).await;

    for _ in 0..3 {
        let call = Request::post("http://api.example/pkg.Service/Call").header("te", "trailers");
        let answer = client.send_request(call.body(message("ping", Some("7"))).unwrap());
        let answer = within("the answer", answer).await.unwrap();
        assert_eq!(answer.headers()["x-uri"], "http://api.example/pkg.Service/Call");
        let collected = answer.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "pong");
    }
}

#[tokio::test]
async fn trailers_pass_between_http_2_and_http_1() {
    let backend =
        Stub::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nGrpc-Status: 5\r\n\r\n")
            .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = client(&gateway).await;

    // Trailers of a request pass if its length is not written, as in gRPC; HTTP/1.1 has no place for both.
    let frames = futures::stream::iter([
        Ok(Frame::data(Bytes::from_static(b"ping"))),
        Ok(Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("7"))]))),
    ]);
    let body = BodyExt::boxed(StreamBody::new(frames));
    let call = Request::post("http://api.example/x").header("te", "trailers").body(body).unwrap();
    let answer = within("the answer", client.send_request(call)).await.unwrap();
    let collected = answer.into_body().collect().await.unwrap();

    assert_eq!(collected.trailers().unwrap()["grpc-status"], "5");
    assert_eq!(collected.to_bytes(), "abc");
    let request = backend.request();
    assert_eq!(request.line(), "POST /x HTTP/1.1");
    assert_eq!(request.header("host"), Some("api.example"));
    assert_eq!(request.body, b"ping");
    assert_eq!(request.trailers.join("").to_ascii_lowercase(), "grpc-status: 7");
}

#[tokio::test]
async fn curl_speaks_http_2_by_prior_knowledge() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    let url = gateway.url("/a?b=c");
    let format = " %{http_version} %{http_code}";
    assert_eq!(curl(&["--http2-prior-knowledge", "-w", format, &url]).await, "hello 2 200");
    assert_eq!(curl(&["--http2-prior-knowledge", "-w", format, "-d", "x=y", &url]).await, "hello 2 200");
    assert_eq!(backend.requests()[0].line(), "GET /a?b=c HTTP/1.1");
    assert_eq!(backend.requests()[1].body, b"x=y");
    assert_eq!(backend.requests()[1].header("content-length"), Some("3"));
}

#[tokio::test]
async fn a_head_request_by_http_2_keeps_its_length() {
    let backend = Stub::answering("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n").await;
    let gateway = Gateway::before(&backend).await;

    let said = curl(&["--http2-prior-knowledge", "--head", &gateway.url("/")]).await;

    assert!(said.contains("content-length: 12345"), "{said}");
}

#[tokio::test]
async fn problems_by_http_2_are_problems_too() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "apis: {all: {match: {path: /a}, upstream: backend}}").await;

    let said = curl(&["--http2-prior-knowledge", "-i", &gateway.url("/b")]).await;

    assert!(said.starts_with("HTTP/2 404"), "{said}");
    assert!(said.contains("application/problem+json") && said.contains("proxy-status: vestibule"), "{said}");
    assert!(!said.contains("connection:"), "{said}");
}

#[tokio::test]
async fn headers_about_connections_stay_on_the_side_of_http_1() {
    let backend = Stub::answering(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let gateway = Gateway::before(&backend).await;

    let said = curl(&["--http2-prior-knowledge", "-i", &gateway.url("/")]).await;

    assert!(said.starts_with("HTTP/2 200") && said.ends_with("ok"), "{said}");
    assert!(!said.contains("x-hop") && !said.contains("keep-alive"), "{said}");
}

#[tokio::test]
async fn large_bodies_pass_by_http_2_in_both_directions() {
    let large: Vec<u8> = (0..5_000_000_u32).map(|number| b'a' + (number % 23) as u8).collect();
    let answer = [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len()).as_bytes(), &large].concat();
    let backend = Stub::answering(answer).await;
    let gateway = Gateway::before(&backend).await;
    let file = gateway.folder().join("large");
    std::fs::write(&file, &large).unwrap();

    let data = format!("@{}", file.display());
    let said = curl(&["--http2-prior-knowledge", "--data-binary", &data, &gateway.url("/")]).await;

    assert!(said.as_bytes() == large);
    assert!(backend.request().body == large);
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_the_request_at_the_backend() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.end().await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = client(&gateway).await;

    let call = Request::get("http://api.example/").body(message("", None)).unwrap();
    let answer = tokio::spawn(client.send_request(call));
    testkit::eventually("the backend is asked", || backend.count() == 1).await;
    answer.abort();

    backend.is_left_alone().await;
    drop(client);
}

#[tokio::test]
async fn http_2_can_be_switched_off() {
    let backend = Stub::saying("hello").await;
    let listeners = "listeners: {public: {bind: \"127.0.0.1:0\", http2: off}}\n";
    let gateway = Gateway::with(&backend, listeners).await;

    let said = curl(&["--http2-prior-knowledge", &gateway.url("/")]).await;

    assert!(said.contains("curl: ("), "{said}");
    assert_eq!(gateway.get("/").await.text(), "hello");
}
