//! Hard limits: what is too large, too slow or too many is refused, and nothing else is.

use testkit::{Gateway, Stub, Wire};

/// A gateway with small limits.
async fn limited(limits: &str) -> (Stub, Gateway) {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, &format!("limits: {{{limits}}}")).await;
    (backend, gateway)
}

#[tokio::test]
async fn large_heads_are_refused() {
    let (backend, gateway) = limited("head_bytes: 1KiB, headers: 5, uri_bytes: 100B").await;
    let filler = "x".repeat(1024);
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {filler}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(5)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &filler[..100]), 414),
    ] {
        let mut client = gateway.connect().await;
        let reply = client.ask(&request).await;
        assert_eq!(reply.status, status, "{request:?}");
        reply.problem();
        assert!(client.end().await.is_empty());
    }
    assert_eq!(backend.count(), 0);

    let fits = format!("GET /{} HTTP/1.1\r\nHost: a\r\n{}\r\n", &filler[..99], "X: y\r\n".repeat(4));
    assert_eq!(gateway.connect().await.ask(fits).await.status, 200);
}

#[tokio::test]
async fn large_bodies_are_refused_before_or_while_they_come() {
    let (backend, gateway) = limited("body_bytes: 10B").await;
    let post = |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}");

    for request in [
        post("Content-Length: 11\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n"),
    ] {
        let mut client = gateway.connect().await;
        let reply = client.ask(&request).await;
        assert_eq!((reply.status, reply.problem().as_str()), (413, "body-too-large"), "{request:?}");
        client.end().await;
    }
    assert!(backend.requests().is_empty(), "no body that is too large arrives whole");

    for request in [
        post("Content-Length: 10\r\n\r\n0123456789"),
        post("Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"),
    ] {
        assert_eq!(gateway.connect().await.ask(request).await.status, 200);
    }
}

#[tokio::test]
async fn a_slow_head_is_answered_and_cut() {
    let (backend, gateway) = limited("head_time: 1s, idle_time: 20s").await;
    let mut silent = gateway.connect().await;
    let mut slow = gateway.connect().await;
    let mut later = gateway.connect().await;
    assert_eq!(later.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);

    slow.send("GET / HTTP/1.1\r\nHost:").await;
    later.send("GET / HTTP/1.1\r\n").await;

    for client in [&mut slow, &mut later] {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.problem().as_str()), (408, "too-slow"));
        assert!(client.end().await.is_empty());
    }
    assert!(silent.end().await.is_empty(), "nothing is said to a client that said nothing");
    assert_eq!(backend.count(), 1);
}

#[tokio::test]
async fn a_head_that_dribbles_is_cut_all_the_same() {
    let (_backend, gateway) = limited("head_time: 300ms").await;
    let mut client = gateway.connect().await;

    let mut sent = 0;
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
        if client.try_send([*byte]).await.is_err() || !client.is_silent().await {
            break;
        }
        sent += 1;
    }

    assert!(sent < 20, "{sent} bytes were taken one after the other");
}

#[tokio::test]
async fn a_slow_body_is_answered_and_cut() {
    let (backend, gateway) = limited("min_rate: 100B, min_rate_grace: 300ms").await;
    let mut client = gateway.connect().await;

    let reply = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx").await;

    assert_eq!((reply.status, reply.problem().as_str()), (408, "too-slow"));
    client.end().await;
    backend.is_left_alone().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await;
        let piece = vec![b'x'; 65_536];
        while talk.wire.try_send(&piece).await.is_ok() {}
    })
    .await;
    let gateway = Gateway::with(&backend, "limits: {min_rate: 1KiB, min_rate_grace: 500ms}").await;
    let mut client = gateway.connect().await;

    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;

    backend.is_left_alone().await;
    assert!(client.end().await.len() < 100_000_000);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let (_backend, gateway) = limited("idle_time: 300ms").await;
    let mut client = gateway.connect().await;

    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);

    assert!(client.end().await.is_empty());
}

#[tokio::test]
async fn a_connection_serves_so_many_requests_and_says_when_it_ends() {
    let (_backend, gateway) = limited("requests_per_connection: 3").await;
    let mut client = gateway.connect().await;

    for expected in [None, None, Some("close")] {
        let reply = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!((reply.status, reply.header("connection")), (200, expected));
    }

    assert!(client.end().await.is_empty());
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_gets_one_for_each_that_it_closes() {
    for limit in ["connections_per_address: 3", "connections: 3"] {
        let (_backend, gateway) = limited(limit).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = gateway.connect().await;
            assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);
            clients.push(client);
        }

        assert!(gateway.connect().await.end().await.is_empty());

        clients.pop();
        let present = &gateway.node().gateway.present()[0].1;
        testkit::eventually("a connection is gone", || present.count() == 2).await;
        assert_eq!(gateway.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_listener_has_limits_of_its_own() {
    let backend = Stub::saying("hello").await;
    let listeners = "listeners:\n  public: {bind: \"127.0.0.1:0\", limits: {body_bytes: 1B}}\n  \
                     inner: {bind: \"127.0.0.1:0\"}\nlimits: {body_bytes: 2B}\n";
    let gateway = Gateway::with(&backend, listeners).await;
    let two = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";

    let public = gateway.connect().await.ask(two).await;
    let inner = Wire::connect(gateway.listener("inner").unwrap()).await.ask(two).await;

    assert_eq!((public.status, inner.status), (413, 200));
}

#[tokio::test]
async fn a_silent_tunnel_is_closed() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
        talk.wire.end().await;
    })
    .await;
    let gateway = Gateway::with(&backend, "limits: {tunnel_idle_time: 300ms}").await;
    let mut client = gateway.connect().await;

    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    assert_eq!(client.ask(upgrade).await.status, 101);

    assert!(client.end().await.is_empty());
    backend.is_left_alone().await;
}
