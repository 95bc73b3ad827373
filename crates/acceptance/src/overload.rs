//! Backends with more to do than they can: who waits for a connection, for how long, and how long anything may take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::{Gateway, Reply, Stub, Wire, eventually};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A backend that answers a request whenever it is allowed to.
async fn controlled(allowed: &Arc<Semaphore>) -> Stub {
    let allowed = allowed.clone();
    Stub::talking(move |mut talk| {
        let allowed = allowed.clone();
        async move {
            while talk.request().await.is_some() {
                allowed.acquire().await.unwrap().forget();
                talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await
}

async fn before(targets: &[SocketAddr], settings: &str) -> Gateway {
    let targets: Vec<_> = targets.iter().map(|target| format!("\"http://{target}\"")).collect();
    let targets = targets.join(", ");
    Gateway::serving(&format!(
        "upstreams: {{u: {{targets: [{targets}], {settings}}}}}\napis: {{a: {{match: {{path: /}}, upstream: u}}}}\n"
    ))
    .await
}

fn upstream(gateway: &Gateway) -> Arc<upstream::Upstream> {
    gateway.node().live.current().upstreams["u"].clone()
}

/// Sends a request that finds no connection, and waits until it waits.
async fn waiting(gateway: &Gateway, number: usize) -> Wire {
    let mut client = gateway.connect().await;
    client.send(GET).await;
    let upstream = upstream(gateway);
    eventually("a request waits for a connection", || upstream.pending() == number).await;
    client
}

fn assert_refused(reply: &Reply) {
    assert_eq!((reply.status, reply.problem().as_str()), (503, "upstream-unavailable"), "{reply:?}");
    assert_eq!(reply.header("proxy-status"), Some("vestibule; error=connection_limit_reached"));
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn requests_beyond_the_connections_wait_and_are_answered_in_their_order() {
    let allowed = Arc::new(Semaphore::new(0));
    let backend = controlled(&allowed).await;
    let gateway = before(&[backend.address], "breaker: {connections: 1, pending: 2, pending_time: 1h}").await;
    let mut first = gateway.connect().await;
    first.send(GET).await;
    eventually("the first is under way", || backend.count() == 1).await;
    let mut second = waiting(&gateway, 1).await;
    let mut third = waiting(&gateway, 2).await;

    assert_refused(&gateway.get("/").await);

    for client in [&mut first, &mut second, &mut third] {
        allowed.add_permits(1);
        assert_eq!(client.reply().await.text(), "ok");
    }
    assert_eq!((backend.connections(), upstream(&gateway).pending()), (1, 0), "a connection is handed on");
    assert_eq!(upstream(&gateway).connections(), 1);
}

#[tokio::test]
async fn nobody_waits_for_a_connection_for_longer_than_he_may() {
    let allowed = Arc::new(Semaphore::new(0));
    let backend = controlled(&allowed).await;
    let gateway = before(&[backend.address], "breaker: {connections: 1, pending_time: 200ms}").await;
    let mut first = gateway.connect().await;
    first.send(GET).await;
    eventually("the first is under way", || backend.count() == 1).await;

    assert_refused(&gateway.get("/").await);

    allowed.add_permits(2);
    assert_eq!(first.reply().await.text(), "ok");
    assert_eq!(gateway.get("/").await.text(), "ok");
    assert_eq!(backend.count(), 2, "the one that was refused was never sent");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_the_queue() {
    let allowed = Arc::new(Semaphore::new(0));
    let backend = controlled(&allowed).await;
    let gateway = before(&[backend.address], "breaker: {connections: 1, pending: 1, pending_time: 1h}").await;
    let mut first = gateway.connect().await;
    first.send(GET).await;
    eventually("the first is under way", || backend.count() == 1).await;

    drop(waiting(&gateway, 1).await);
    eventually("nobody waits", || upstream(&gateway).pending() == 0).await;
    let mut second = waiting(&gateway, 1).await;

    allowed.add_permits(2);
    assert_eq!((first.reply().await.text(), second.reply().await.text()), ("ok".into(), "ok".into()));
}

#[tokio::test]
async fn a_connection_that_breaks_makes_room_for_the_next_one() {
    let backend = Stub::talking(|mut talk| async move {
        if talk.request().await.is_some_and(|request| request.line().contains("/hang")) {
            talk.wire.end().await;
            return;
        }
        talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let gateway = before(&[backend.address], "breaker: {connections: 1, pending_time: 1h}").await;
    let mut first = gateway.connect().await;
    first.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the first is under way", || backend.count() == 1).await;
    let mut second = waiting(&gateway, 1).await;

    drop(first);

    assert_eq!(second.reply().await.text(), "ok");
}

#[tokio::test]
async fn an_idle_connection_to_one_target_never_keeps_another_target_waiting() {
    let (one, other) = (Stub::saying("1").await, Stub::saying("2").await);
    let gateway = before(&[one.address, other.address], "breaker: {connections: 1, pending_time: 1h}").await;

    for _ in 0..6 {
        assert_eq!(gateway.get("/").await.status, 200);
    }

    assert_eq!((one.count(), other.count()), (3, 3));
}

#[tokio::test]
async fn an_exchange_takes_no_longer_than_it_may_in_all() {
    let silent = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.end().await;
    })
    .await;
    let gateway = before(&[silent.address], "timeouts: {total: 200ms}").await;
    let reply = gateway.get("/").await;
    assert_eq!((reply.status, reply.problem().as_str()), (504, "upstream-late"));

    // Neither does one that always has something to send, in either direction.
    let mut client = gateway.connect().await;
    let failures = upstream(&gateway).targets()[0].failures_in_a_row();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 504);
    assert_eq!(upstream(&gateway).targets()[0].failures_in_a_row(), failures, "a slow client is no target's failure");

    let endless = Stub::talking(|mut talk| async move {
        talk.request().await;
        let mut sent = talk.wire.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while sent.is_ok() {
            sent = talk.wire.try_send("1\r\nx\r\n").await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let gateway = before(&[endless.address], "timeouts: {total: 200ms}").await;
    let mut client = gateway.connect().await;
    client.send(GET).await;
    let got = client.end().await;
    assert!(got.starts_with(b"HTTP/1.1 200") && !got.ends_with(b"0\r\n\r\n"));
}

/// A backend of HTTP/2 that never answers `/hang`, and anything else once it has the whole request.
async fn speaking_http_2() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let builder = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(tcp), service_fn(answer)));
        }
    });
    address
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/hang" {
        std::future::pending::<()>().await;
    }
    let body = request.into_body().collect().await.unwrap();
    Ok(Response::new(Full::new(body.to_bytes())))
}

#[tokio::test]
async fn a_backend_of_http_2_has_the_same_time() {
    let backend = speaking_http_2().await;
    for limit in ["total: 200ms", "first_byte: 200ms"] {
        let gateway = before(&[backend], &format!("http: \"2\", timeouts: {{{limit}}}")).await;
        let reply = gateway.get("/hang").await;
        assert_eq!((reply.status, reply.problem().as_str()), (504, "upstream-late"), "{limit}");
    }
    let gateway = before(&[backend], "http: \"2\", timeouts: {total: 200ms}").await;
    let mut client = gateway.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 504);
}

#[tokio::test]
async fn a_slow_upload_is_not_a_slow_backend_of_http_2() {
    let backend = speaking_http_2().await;
    let gateway = before(&[backend], "http: \"2\", timeouts: {first_byte: 200ms}").await;
    let mut client = gateway.connect().await;

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n").await;
    for _ in 0..8 {
        assert!(client.is_silent().await, "answered before the end of the request");
        client.send("x").await;
    }

    assert_eq!(client.reply().await.text(), "xxxxxxxx");
}

#[tokio::test]
async fn workers_share_a_connection_of_http_2_where_there_may_be_but_one() {
    let backend = speaking_http_2().await;
    let gateway = Gateway::serving(&format!(
        "version: 1\nworkers: 2\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\n\
         upstreams: {{u: {{targets: [\"http://{backend}\"], http: \"2\", breaker: {{connections: 1, pending: 0}}}}}}\n\
         apis: {{a: {{match: {{path: /}}, upstream: u}}}}\n"
    ))
    .await;

    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.status, 200);
    }

    assert_eq!(upstream(&gateway).connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_forgotten_where_workers_share_few_connections() {
    let (one, other) = (Stub::saying("1").await, Stub::saying("2").await);
    let gateway = Gateway::serving(&format!(
        "version: 1\nworkers: 3\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\n\
         upstreams: {{u: {{targets: [\"http://{}\", \"http://{}\"], breaker: {{connections: 2, pending_time: 1h}}}}}}\n\
         apis: {{a: {{match: {{path: /}}, upstream: u}}}}\n",
        one.address, other.address
    ))
    .await;

    for round in 0..10 {
        let replies = futures::future::join_all((0..50).map(|_| gateway.get("/"))).await;
        assert!(replies.iter().all(|reply| reply.status == 200), "round {round}");
        assert!(upstream(&gateway).connections() <= 2);
    }

    assert_eq!(upstream(&gateway).pending(), 0);
    eventually("nothing is under way", || upstream(&gateway).in_flight() == 0).await;
}
