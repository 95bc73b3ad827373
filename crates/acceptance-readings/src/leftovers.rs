//! What is left of one request on a connection to a backend never becomes the beginning of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testkit::{Gateway, Stub, within};
use tokio::sync::Notify;

#[tokio::test]
async fn a_connection_whose_request_is_not_all_sent_is_nobody_elses() {
    let (go_on, talks) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let told = go_on.clone();
    let backend = Stub::talking(move |mut talk| {
        let (go_on, number) = (told.clone(), talks.fetch_add(1, Ordering::SeqCst));
        async move {
            if number == 0 {
                talk.head().await;
                talk.wire.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
                go_on.notified().await;
                talk.wire.rest().await;
                return;
            }
            while talk.request().await.is_some() {
                talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    // The body is held whole, so that its last byte is queued at once, long before the system takes it.
    let policies = "complete: {json: {/tenant: \"7\"}, body_limit: 32MiB}";
    let gateway = Gateway::with(
        &backend,
        &format!("apis: {{all: {{match: {{path: /}}, upstream: backend, policies: [{policies}]}}}}"),
    )
    .await;
    let body = format!("{{\"filling\": \"{}\"}}", "GET /smuggled HTTP/1.1\\r\\n".repeat(800_000));

    let head = format!(
        "POST /first HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut client = gateway.connect().await;
    assert_eq!(client.ask(head + &body).await.status, 401);
    let next = within("an answer to somebody else", gateway.get("/next")).await;
    go_on.notify_one();

    assert_eq!(next.status, 200);
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_body_waits_for_no_target_that_knows_nothing_of_expectations() {
    for expectation in ["100-continue", "something-else"] {
        let backend = Stub::saying("hello").await;
        let gateway = Gateway::before(&backend).await;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: {expectation}\r\nContent-Length: 5\r\n\r\n");

        let mut client = gateway.connect().await;
        client.send(head + "01234").await;
        let reply = within("an answer", async {
            loop {
                let reply = client.reply().await;
                if reply.status != 100 {
                    return reply;
                }
            }
        })
        .await;

        assert_eq!(reply.status, 200, "{expectation}");
        assert_eq!(backend.request().body, b"01234");
    }
}

/// The beginnings of 20 answers by one connection of HTTP/2, of which nothing more comes after two pieces.
async fn silent_answers() -> (Gateway, Stub, Vec<h2::RecvStream>) {
    let go_on = Arc::new(Notify::new());
    let told = go_on.clone();
    let backend = Stub::talking(move |mut talk| {
        let go_on = told.clone();
        async move {
            talk.head().await;
            talk.wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
            go_on.notified().await;
            talk.wire.send("5\r\nagain\r\n").await;
            talk.wire.rest().await;
        }
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let tcp = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    let (sender, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);

    let mut answers = Vec::new();
    for _ in 0..20 {
        let request = http::Request::get("http://a/").body(()).unwrap();
        let (answer, _) = sender.clone().ready().await.unwrap().send_request(request, true).unwrap();
        let mut body = within("an answer", answer).await.unwrap().into_body();
        assert_eq!(within("its beginning", body.data()).await.unwrap().unwrap(), "hello");
        go_on.notify_one();
        assert_eq!(within("what follows", body.data()).await.unwrap().unwrap(), "again");
        answers.push(body);
    }
    (gateway, backend, answers)
}

#[tokio::test]
async fn answers_that_have_nothing_to_say_hold_up_no_other_on_their_connection() {
    silent_answers().await;
}

/// It runs in a process of its own, whose processor time is theirs alone.
#[tokio::test]
async fn answers_that_have_nothing_to_say_take_no_processor_time() {
    const ALONE: &str = "VESTIBULE_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "leftovers::answers_that_have_nothing_to_say_take_no_processor_time";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        assert!(alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").status().unwrap().success());
        return;
    }
    let _silent = silent_answers().await;
    let before = processor_time();
    tokio::time::sleep(Duration::from_secs(1)).await;

    let spent = processor_time() - before;
    assert!(spent < 50, "{spent} of 100 ticks were spent on answers that wait");
}

/// Of this process, in ticks of 10 ms (`proc_pid_stat(5)`).
fn processor_time() -> u64 {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = told.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}
