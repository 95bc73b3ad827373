//! Backends that are several, slow, gone, or come back.

use testkit::{Gateway, Stub, eventually, within};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A gateway before one upstream with these targets and settings.
async fn before(targets: &[&Stub], settings: &str) -> Gateway {
    let targets: Vec<_> = targets.iter().map(|target| format!("\"http://{}\"", target.address)).collect();
    of(&targets.join(", "), settings).await
}

async fn of(targets: &str, settings: &str) -> Gateway {
    let separator = if settings.is_empty() { "" } else { ", " };
    Gateway::serving(&format!(
        "upstreams: {{u: {{targets: [{targets}]{separator}{settings}}}}}\napis: {{a: {{match: {{path: /}}, upstream: u}}}}\n"
    ))
    .await
}

/// Closes each connection when it is asked something.
async fn closing() -> Stub {
    Stub::talking(|mut talk| async move {
        talk.request().await;
    })
    .await
}

async fn hanging() -> Stub {
    Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.end().await;
    })
    .await
}

#[tokio::test]
async fn targets_take_turns() {
    let (one, other, third) = (Stub::saying("1").await, Stub::saying("2").await, Stub::saying("3").await);
    let gateway = before(&[&one, &other, &third], "").await;

    for _ in 0..30 {
        assert_eq!(gateway.get("/").await.status, 200);
    }

    assert_eq!((one.count(), other.count(), third.count()), (10, 10, 10));
}

#[tokio::test]
async fn targets_get_as_many_as_their_weights_say() {
    let (one, other, none) = (Stub::saying("1").await, Stub::saying("2").await, Stub::saying("3").await);
    let targets = [(&one, 3), (&other, 1), (&none, 0)]
        .map(|(stub, weight)| format!("{{url: \"http://{}\", weight: {weight}}}", stub.address));
    let gateway = of(&targets.join(", "), "").await;

    for _ in 0..40 {
        assert_eq!(gateway.get("/").await.status, 200);
    }

    assert_eq!((one.count(), other.count(), none.count()), (30, 10, 0));
}

#[tokio::test]
async fn the_same_value_goes_to_the_same_target() {
    let (one, other) = (Stub::saying("1").await, Stub::saying("2").await);
    let gateway = before(&[&one, &other], "balance: {hash: {header: x-user}}").await;

    let mut answers = std::collections::BTreeMap::new();
    for round in 0..3 {
        for user in 0..20 {
            let answer = gateway.get_with("/", &[("X-User", &format!("user-{user}"))]).await.text();
            assert_eq!(answers.entry(user).or_insert_with(|| answer.clone()), &answer, "round {round}");
        }
    }

    assert!(one.count() > 0 && other.count() > 0);
}

#[tokio::test]
async fn a_refusing_target_costs_no_request() {
    let (dead, alive) = (Stub::refusing(), Stub::saying("hello").await);
    let gateway = before(&[&dead, &alive], "ejection: {failures: 0}").await;

    for _ in 0..40 {
        assert_eq!(gateway.get("/").await.text(), "hello");
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(gateway.connect().await.ask(post).await.text(), "hello", "nothing was sent, so nothing is repeated");
    }
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_never_sent_twice() {
    let (one, other) = (closing().await, closing().await);
    let gateway = before(&[&one, &other], "").await;

    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let reply = gateway.connect().await.ask(post).await;
    assert_eq!((reply.status, reply.header("proxy-status")), (502, Some("vestibule; error=connection_terminated")));
    assert_eq!(one.count() + other.count(), 1);

    assert_eq!(gateway.get("/").await.status, 502);
    assert_eq!(one.count() + other.count(), 4, "a GET may be sent again, two times");
}

#[tokio::test]
async fn a_connection_that_the_backend_closed_meanwhile_is_not_noticed_by_clients() {
    let backend = Stub::talking(|mut talk| async move {
        if talk.request().await.is_some() {
            talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let gateway = before(&[&backend], "retries: {attempts: 0}").await;
    let mut client = gateway.connect().await;

    for _ in 0..20 {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(client.ask(post).await.status, 200);
        backend.is_left_alone().await;
    }
}

#[tokio::test]
async fn statuses_worth_a_retry_are_retried() {
    let busy = Stub::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    let alive = Stub::saying("hello").await;
    let gateway = before(&[&busy, &alive], "retries: {statuses: [503]}, ejection: {failures: 0}").await;

    for _ in 0..6 {
        assert_eq!(gateway.get("/").await.text(), "hello");
    }

    assert!(busy.count() > 0);
}

#[tokio::test]
async fn an_open_circuit_answers_without_asking() {
    let settings = "breaker: {failures: 3, retry_after: 1h}, ejection: {failures: 0}, retries: {attempts: 0}, timeouts: {first_byte: 100ms}";
    let backend = hanging().await;
    let gateway = before(&[&backend], settings).await;

    for _ in 0..3 {
        let reply = gateway.get("/").await;
        assert_eq!((reply.status, reply.problem().as_str()), (504, "upstream-late"));
        assert_eq!(reply.header("proxy-status"), Some("vestibule; error=http_response_timeout"));
    }
    let refused = gateway.get("/").await;

    assert_eq!((refused.status, refused.problem().as_str()), (503, "upstream-unavailable"));
    assert_eq!(refused.header("proxy-status"), Some("vestibule; error=destination_unavailable"));
    let again: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&again), "when the next request may try: {again}");
    assert_eq!(backend.count(), 3, "an open circuit asks nobody");
}

#[tokio::test]
async fn a_circuit_closes_when_the_backend_is_back() {
    let backend = Stub::replying(|request| match request.line() {
        "GET /close HTTP/1.1" => Vec::new(),
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into(),
    })
    .await;
    let gateway = before(&[&backend], "breaker: {failures: 3, retry_after: 300ms}, retries: {attempts: 0}").await;
    let upstream = gateway.node().live.current().upstreams["u"].clone();

    for _ in 0..3 {
        assert_eq!(gateway.get("/close").await.status, 502);
    }
    assert!(upstream.breaker().is_open());

    within("the circuit to close", async { while gateway.get("/").await.status != 200 {} }).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_slow_upload_is_not_a_slow_backend() {
    let backend = Stub::saying("thanks").await;
    let gateway = before(&[&backend], "timeouts: {first_byte: 1s}").await;
    let mut client = gateway.connect().await;

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n").await;
    for _ in 0..8 {
        // A moment is 150 ms, so all of them take longer than the backend may.
        assert!(client.is_silent().await, "answered before the end of the request");
        client.send("x").await;
    }

    assert_eq!(client.reply().await.text(), "thanks");
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
        talk.wire.end().await;
    })
    .await;
    let gateway = before(&[&backend], "timeouts: {idle: 200ms}").await;
    let mut client = gateway.connect().await;

    client.send(GET).await;
    let got = client.end().await;

    assert!(got.ends_with(b"abc"));
    backend.is_left_alone().await;
}

#[tokio::test]
async fn a_target_that_fails_is_left_out() {
    let (bad, good) = (closing().await, Stub::saying("hello").await);
    let settings = "ejection: {failures: 2, period: 1h}, retries: {attempts: 0}";
    let gateway = before(&[&bad, &good], settings).await;

    let mut failed = 0;
    for _ in 0..20 {
        failed += usize::from(gateway.get("/").await.status != 200);
    }

    assert_eq!((failed, bad.count()), (2, 2));
}

#[tokio::test]
async fn a_target_that_was_left_out_is_tried_by_a_single_request() {
    let (bad, good) = (hanging().await, Stub::saying("hello").await);
    let settings = "timeouts: {first_byte: 1s}, ejection: {failures: 1, period: 1500ms}, retries: {attempts: 0}";
    let gateway = before(&[&bad, &good], settings).await;
    let upstream = gateway.node().live.current().upstreams["u"].clone();
    let is_in = || upstream.targets()[0].is_in_service(|| upstream.now());
    while is_in() {
        gateway.get("/").await;
    }
    let before = bad.count();

    eventually("its time is over", is_in).await;
    let replies = futures::future::join_all((0..20).map(|_| gateway.get("/"))).await;

    let failed = replies.iter().filter(|reply| reply.status != 200).count();
    assert_eq!((failed, bad.count() - before), (1, 1));
    assert!(!is_in(), "it failed, so it is left out again");
}

#[tokio::test]
async fn one_target_that_fails_many_requests_at_once_opens_no_circuit() {
    let (bad, good) = (hanging().await, Stub::saying("hello").await);
    let settings = "timeouts: {first_byte: 200ms}, ejection: {failures: 0}, breaker: {failures: 3, retry_after: 1h}";
    let gateway = before(&[&bad, &good], settings).await;

    let replies = futures::future::join_all((0..40).map(|_| gateway.get("/"))).await;

    let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    assert!(statuses.iter().all(|status| [200, 504].contains(status)), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 20);
    assert!(!gateway.node().live.current().upstreams["u"].breaker().is_open());
}

#[tokio::test]
async fn a_failure_says_what_to_do_about_it() {
    let dead = Stub::refusing();
    let gateway = before(&[&dead], "").await;

    let reply = gateway.get("/").await;

    assert_eq!((reply.status, reply.problem().as_str()), (502, "upstream-failed"));
    assert!(reply.text().contains("nothing was sent. Try again in a moment"), "{reply:?}");
    assert_eq!(gateway.node().live.current().upstreams["u"].sent.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn health_checks_take_targets_out_and_bring_them_back() {
    let is_well = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = is_well.clone();
    let moody = Stub::replying(move |request| {
        let is_check = request.line() == "GET /healthz HTTP/1.1";
        let status = if !is_check || asked.load(std::sync::atomic::Ordering::SeqCst) { 200 } else { 500 };
        format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nmoody").into()
    })
    .await;
    let good = Stub::saying("good").await;
    let settings = "health: {path: /healthz, every: 50ms, timeout: 1s, unhealthy_after: 2}";
    let gateway = before(&[&moody, &good], settings).await;
    let targets = gateway.node().live.current().upstreams["u"].targets().to_vec();

    let is_in = |index: usize| targets[index].is_in_service(|| 0);
    is_well.store(false, std::sync::atomic::Ordering::SeqCst);
    eventually("the target is left out", || !is_in(0)).await;
    for _ in 0..6 {
        assert_eq!(gateway.get("/").await.text(), "good");
    }
    is_well.store(true, std::sync::atomic::Ordering::SeqCst);
    eventually("the target is back", || is_in(0)).await;

    let answers = [gateway.get("/").await.text(), gateway.get("/").await.text()];
    assert!(answers.contains(&"moody".to_owned()), "{answers:?}");
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_may_be() {
    let backend = hanging().await;
    let gateway = before(&[&backend], "breaker: {requests: 2}").await;
    let mut clients = [gateway.connect().await, gateway.connect().await];
    for client in &mut clients {
        client.send(GET).await;
    }
    eventually("both are under way", || backend.count() == 2).await;

    let reply = gateway.get("/").await;

    assert_eq!((reply.status, reply.problem().as_str()), (503, "upstream-unavailable"));
    assert_eq!(reply.header("proxy-status"), Some("vestibule; error=connection_limit_reached"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    drop(clients);
    backend.is_left_alone().await;
    let upstream = gateway.node().live.current().upstreams["u"].clone();
    eventually("nothing is under way", || upstream.in_flight() == 0).await;
}

#[tokio::test]
async fn the_backend_sees_the_host_that_the_operator_chose() {
    let backend = Stub::saying("hello").await;
    let target = backend.address.to_string();

    for (setting, host) in
        [("preserve", "api.example"), ("target", target.as_str()), ("{fixed: in.example}", "in.example")]
    {
        let gateway = before(&[&backend], &format!("host: {setting}")).await;
        gateway.get("/").await;
        assert_eq!(backend.requests().last().unwrap().header("host"), Some(host));
    }
}

#[tokio::test]
async fn a_name_is_looked_up_and_one_that_is_not_known_is_told_so() {
    let backend = Stub::saying("hello").await;
    let gateway = of(&format!("\"http://localhost:{}\"", backend.address.port()), "").await;
    assert_eq!(gateway.get("/").await.text(), "hello");

    let gateway = of("\"http://nowhere.invalid\"", "retries: {attempts: 0}").await;
    let reply = gateway.get("/").await;
    assert_eq!((reply.status, reply.header("proxy-status")), (502, Some("vestibule; error=dns_error")));
}

#[tokio::test]
async fn a_backend_that_refuses_is_a_bad_gateway_and_then_left_alone() {
    let dead = Stub::refusing();
    let gateway = before(&[&dead], "breaker: {failures: 5, retry_after: 1h}").await;

    for _ in 0..20 {
        let reply = gateway.get("/").await;
        assert!(matches!(reply.status, 502 | 503), "{reply:?}");
        reply.problem();
    }

    assert_eq!(gateway.get("/").await.header("proxy-status"), Some("vestibule; error=destination_unavailable"));
}

#[tokio::test]
async fn connections_come_from_the_address_that_the_operator_chose() {
    let backend = Stub::saying("hello").await;
    let gateway = before(&[&backend], "bind: 127.0.0.2").await;

    assert_eq!(gateway.get("/").await.status, 200);

    let gateway = before(&[&backend], "bind: 192.0.2.1, retries: {attempts: 0}").await;
    assert_eq!(gateway.get("/").await.status, 502);
}
