//! What is left of one request on a connection to a backend never becomes the beginning of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

#[tokio::test]
async fn answers_that_have_nothing_to_say_hold_up_no_other_on_their_connection() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        talk.wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        talk.wire.rest().await;
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
        answers.push(body);
    }
}
