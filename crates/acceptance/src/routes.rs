//! Which API a request belongs to, and how that changes while the gateway runs.

use testkit::{Gateway, Stub, Wire, eventually};

/// A backend that answers with its own name.
async fn named(name: &str) -> Stub {
    Stub::saying(name).await
}

/// A gateway with an upstream for each API, each API being named by what it matches.
async fn routed(apis: &[(&str, &str)]) -> (Vec<Stub>, Gateway) {
    let (mut upstreams, mut routes) = ("upstreams:\n".to_owned(), "apis:\n".to_owned());
    let mut backends = Vec::new();
    for (name, matches) in apis {
        let backend = named(name).await;
        upstreams += &format!("  {name}: {{targets: [\"http://{}\"]}}\n", backend.address);
        routes += &format!("  {name}: {{match: {matches}, upstream: {name}}}\n");
        backends.push(backend);
    }
    (backends, Gateway::serving(&(upstreams + &routes)).await)
}

#[tokio::test]
async fn the_most_specific_route_wins_whatever_the_order() {
    let (_backends, gateway) = routed(&[
        ("all", "{path: /}"),
        ("below", "{path: /orders}"),
        ("one", "{path: \"/orders/{id}\"}"),
        ("exact", "{path: {exact: /orders/new}}"),
        ("host", "{host: a.example, path: /}"),
        ("wild", "{host: \"*.example\", path: /}"),
        ("method", "{path: {exact: /orders/new}, method: DELETE}"),
    ])
    .await;

    for (method, host, path, api) in [
        ("GET", "x", "/", "all"),
        ("GET", "x", "/ordersx", "all"),
        ("GET", "x", "/orders", "below"),
        ("GET", "x", "/orders/", "below"),
        ("GET", "x", "/orders/7", "one"),
        ("GET", "x", "/orders/7/items", "one"),
        ("GET", "x", "/orders/new", "exact"),
        ("DELETE", "x", "/orders/new", "method"),
        ("GET", "a.example", "/orders/new", "host"),
        ("GET", "A.EXAMPLE:8080", "/orders", "host"),
        ("GET", "b.example", "/orders", "wild"),
        ("GET", "c.b.example", "/orders", "wild"),
        ("GET", "example", "/orders", "below"),
    ] {
        let reply = gateway.send(method, path, &[("Host", host)]).await;
        assert_eq!(reply.text(), api, "{method} {host}{path}");
    }
}

#[tokio::test]
async fn headers_and_query_parameters_tell_routes_apart() {
    let (_backends, gateway) = routed(&[
        ("plain", "{path: /}"),
        ("beta", "{path: /, header: {x-channel: beta}}"),
        ("both", "{path: /, header: {x-channel: beta}, query: {debug: \"1\"}}"),
    ])
    .await;

    for (path, channel, api) in [
        ("/", "stable", "plain"),
        ("/", "beta", "beta"),
        ("/?a=b&debug=2", "beta", "beta"),
        ("/?a=b&debug=1", "beta", "both"),
        ("/?undebug=1", "stable", "plain"),
    ] {
        assert_eq!(gateway.get_with(path, &[("X-Channel", channel)]).await.text(), api, "{path} {channel}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_told_which_are() {
    let (backends, gateway) =
        routed(&[("read", "{path: /a, method: [GET, HEAD]}"), ("write", "{path: /a, method: PUT}")]).await;

    let reply = gateway.send("DELETE", "/a", &[]).await;

    assert_eq!((reply.status, reply.problem().as_str()), (405, "method-not-allowed"));
    assert_eq!(reply.header("allow"), Some("GET, HEAD, PUT"));
    assert!(backends.iter().all(|backend| backend.count() == 0));
}

#[tokio::test]
async fn two_routes_that_nothing_tells_apart_are_refused() {
    let findings = Gateway::refusing(
        "upstreams: {u: {targets: [\"http://127.0.0.1:1\"]}}\n\
         apis:\n  a: {match: {path: /x}, upstream: u}\n  b: {match: {path: /x}, upstream: u}\n",
    )
    .await;

    assert!(findings.contains("vestibule.yaml:") && findings.contains("/apis/b"), "{findings}");
}

#[tokio::test]
async fn a_split_follows_its_weights() {
    let (old, new) = (named("old").await, named("new").await);
    let document = format!(
        "upstreams: {{old: {{targets: [\"http://{}\"]}}, new: {{targets: [\"http://{}\"]}}}}\n\
         apis: {{a: {{match: {{path: /}}, upstream: [{{upstream: old, weight: 3}}, {{upstream: new, weight: 1}}]}}}}\n",
        old.address, new.address
    );
    let gateway = Gateway::serving(&document).await;

    for _ in 0..40 {
        assert_eq!(gateway.get("/").await.status, 200);
    }

    assert_eq!((old.count(), new.count()), (30, 10));
}

#[tokio::test]
async fn a_mirror_gets_copies_and_its_answers_do_not_matter() {
    let backend = named("hello").await;
    let mirror = Stub::answering("HTTP/1.1 500 Oh no\r\nContent-Length: 0\r\n\r\n").await;
    let document = format!(
        "upstreams: {{u: {{targets: [\"http://{}\"]}}, m: {{targets: [\"http://{}\"]}}}}\n\
         apis: {{a: {{match: {{path: /}}, upstream: u, mirror: {{upstream: m}}}}}}\n",
        backend.address, mirror.address
    );
    let gateway = Gateway::serving(&document).await;

    let reply = gateway.connect().await.ask("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;

    assert_eq!(reply.text(), "hello");
    eventually("the copy arrives", || mirror.count() == 1).await;
    let copy = mirror.request();
    assert_eq!((copy.line(), copy.body.as_slice()), ("POST /x HTTP/1.1", &b"hi"[..]));
}

#[tokio::test]
async fn a_reload_changes_where_requests_go_without_a_broken_connection() {
    let (old, new) = (named("old").await, named("new").await);
    let to = |backend: &Stub| {
        let address = backend.address;
        format!(
            "upstreams: {{u: {{targets: [\"http://{address}\"]}}}}\napis: {{a: {{match: {{path: /}}, upstream: u}}}}\n"
        )
    };
    let gateway = Gateway::serving(&to(&old)).await;
    let mut client = gateway.connect().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    assert_eq!(client.ask(get).await.text(), "old");
    let published = gateway.reload(&to(&new)).unwrap();
    assert_eq!(client.ask(get).await.text(), "new");

    assert_eq!(published.generation, 2);
}

#[tokio::test]
async fn a_changed_file_is_noticed() {
    let (old, new) = (named("old").await, named("new").await);
    let gateway = Gateway::before(&old).await;

    let file = gateway.folder().join("vestibule.yaml");
    let changed = std::fs::read_to_string(&file).unwrap().replace(&old.address.to_string(), &new.address.to_string());
    let first = changed_at(&file);
    // Two changes in one tick of the file system's clock are one.
    while changed_at(&file) == first {
        std::fs::write(&file, &changed).unwrap();
    }

    eventually("the change is taken", || gateway.node().live.current().generation == 2).await;
    assert_eq!(gateway.get("/").await.text(), "new");
}

fn changed_at(file: &std::path::Path) -> std::time::SystemTime {
    std::fs::metadata(file).unwrap().modified().unwrap()
}

#[tokio::test]
async fn a_bad_reload_changes_nothing_and_says_everything_that_is_wrong() {
    let backend = named("hello").await;
    let gateway = Gateway::before(&backend).await;

    let findings = gateway
        .reload(
            "listeners: {public: {bind: \"127.0.0.1:0\", http3: on}}\n\
             apis: {a: {match: {path: /}, upstreem: u}, b: {match: {path: x}}}\n",
        )
        .unwrap_err();

    for wanted in ["vestibule.yaml:3:", "http3", "vestibule.yaml:4:", "upstreem", "upstream"] {
        assert!(findings.contains(wanted), "{wanted}: {findings}");
    }
    assert_eq!(gateway.get("/").await.text(), "hello");
    assert_eq!(gateway.node().live.current().generation, 1);
}

#[tokio::test]
async fn listeners_come_and_go_with_reloads() {
    let backend = named("hello").await;
    let document = |listeners: &str| {
        format!(
            "listeners: {{{listeners}}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\n\
             apis: {{a: {{match: {{path: /}}, upstream: u}}}}\n",
            backend.address
        )
    };
    let public = "public: {bind: \"127.0.0.1:0\"}";
    let gateway = Gateway::serving(&document(public)).await;
    let address = gateway.address();

    gateway.reload(&document(&format!("{public}, more: {{bind: \"127.0.0.1:0\"}}"))).unwrap();
    let more = gateway.listener("more").unwrap();
    let mut kept = Wire::connect(more).await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(kept.ask(get).await.text(), "hello");
    assert_eq!(gateway.address(), address, "a listener that stays keeps its socket");

    gateway.reload(&document(public)).unwrap();
    assert!(kept.end().await.is_empty(), "idle connections of a closed listener end");
    assert_eq!(gateway.listener("more"), None);
    eventually("nobody listens there any more", || std::net::TcpStream::connect(more).is_err()).await;
    assert_eq!(gateway.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_listener_that_cannot_be_opened_is_a_finding_and_changes_nothing() {
    let backend = named("hello").await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::before(&backend).await;

    let findings = gateway
        .reload(&format!("listeners: {{public: {{bind: \"{}\"}}}}\napis: {{}}\n", taken.local_addr().unwrap()))
        .unwrap_err();

    assert!(findings.contains("cannot be listened on"), "{findings}");
    assert_eq!(gateway.get("/").await.text(), "hello");
}

#[tokio::test]
async fn a_request_under_way_ends_with_the_configuration_that_it_began_with() {
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let signal = go.clone();
    let backend = Stub::talking(move |mut talk| {
        let go = signal.clone();
        async move {
            talk.request().await;
            go.notified().await;
            talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the backend is asked", || backend.count() == 1).await;
    gateway.reload("apis: {}").unwrap();
    go.notify_one();

    assert_eq!(client.reply().await.text(), "ok");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 404);
}

#[tokio::test]
async fn stopping_ends_what_is_under_way_and_lets_nobody_in() {
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let signal = go.clone();
    let backend = Stub::talking(move |mut talk| {
        let go = signal.clone();
        async move {
            while let Some(request) = talk.request().await {
                if request.line().contains("/slow") {
                    go.notified().await;
                }
                talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let (mut busy, mut idle) = (gateway.connect().await, gateway.connect().await);
    let address = gateway.address();

    assert_eq!(idle.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.text(), "ok");
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the backend is asked", || backend.count() == 2).await;
    let ends = async {
        // Idle connections end first: by then it stops.
        let said = idle.end().await;
        go.notify_one();
        said
    };
    let (reply, (), idle) = tokio::join!(busy.reply(), gateway.stop(), ends);

    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(idle.is_empty());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
