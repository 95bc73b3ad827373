//! Bodies: framed, streamed, large, cut, with trailers.

use testkit::{Gateway, Stub, within};
use tokio::sync::Notify;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn large() -> Vec<u8> {
    (0..5 * 1024 * 1024_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sized(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut message = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(7777) {
        message.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        message.extend(chunk);
        message.extend(b"\r\n");
    }
    message.extend(b"0\r\n\r\n");
    message
}

#[tokio::test]
async fn large_answers_arrive_as_they_were_sent() {
    for answer in [sized(&large()), chunked(&large())] {
        let backend = Stub::answering(answer).await;
        let gateway = Gateway::before(&backend).await;

        let reply = gateway.connect().await.ask(GET).await;

        assert!(reply.body == large());
    }
}

#[tokio::test]
async fn a_connection_to_a_backend_is_used_again_after_answers_of_any_length() {
    for length in [1, 1024, 32 * 1024, 40_000, 100 * 1024, 164_000, 1024 * 1024] {
        let backend = Stub::answering(sized(&vec![b'x'; length])).await;
        let gateway = Gateway::before(&backend).await;
        let mut client = gateway.connect().await;

        for _ in 0..4 {
            assert_eq!(client.ask(GET).await.body.len(), length);
        }

        assert_eq!(backend.connections(), 1, "{length} bytes");
    }
}

#[tokio::test]
async fn large_uploads_arrive_as_they_were_sent() {
    let backend = Stub::saying("thanks").await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;
    let body = large();

    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    client.send(&body).await;
    assert_eq!(client.reply().await.text(), "thanks");
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for chunk in body.chunks(100_000) {
        client.send([format!("{:X};x=y\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.reply().await.text(), "thanks");

    let requests = backend.requests();
    assert!(requests.iter().all(|request| request.body == body));
    assert_eq!(requests[0].header("content-length"), Some("5242880"));
    assert_eq!(requests[0].header("transfer-encoding"), None);
    assert_eq!(requests[1].header("transfer-encoding"), Some("chunked"));
    assert_eq!(requests[1].header("content-length"), None);
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let backend = Stub::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n",
    )
    .await;
    let gateway = Gateway::before(&backend).await;

    let reply = gateway
        .connect()
        .await
        .ask(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n\
             2\r\nhi\r\n0\r\nX-Check: 7\r\n\r\n",
        )
        .await;

    assert_eq!(reply.trailers.join("").to_ascii_lowercase(), "x-sum: 42");
    let request = backend.request();
    assert_eq!(request.body, b"hi");
    assert_eq!(request.trailers.join("").to_ascii_lowercase(), "x-check: 7");
}

#[tokio::test]
async fn trailers_cannot_bring_what_belongs_into_a_head() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    let reply = gateway
        .connect()
        .await
        .ask(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nContent-Length: 7\r\nHost: b\r\nAuthorization: x\r\nX-Fine: 1\r\n\r\n",
        )
        .await;

    if reply.status == 200 {
        assert_eq!(backend.request().trailers.join("").to_ascii_lowercase(), "x-fine: 1");
    } else {
        assert_eq!(reply.status, 400);
    }
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_before_the_next_is_sent() {
    static GO_ON: Notify = Notify::const_new();
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        for number in 0..5 {
            talk.wire.send(format!("9\r\ndata: {number}\n\n\r\n")).await;
            GO_ON.notified().await;
        }
        talk.wire.send("0\r\n\r\n").await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send(GET).await;
    assert_eq!(client.head().await.header("content-type"), Some("text/event-stream"));

    for number in 0..5 {
        assert_eq!(client.chunk().await, format!("data: {number}\n\n").into_bytes());
        GO_ON.notify_one();
    }
    assert!(client.chunk().await.is_empty());
}

#[tokio::test]
async fn each_piece_of_an_upload_arrives_before_the_next_is_sent() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.extend(talk.wire.chunk().await);
            talk.wire.send("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n").await;
        }
        assert!(talk.wire.chunk().await.is_empty());
        talk.wire.line().await;
        talk.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n").await;
        talk.wire.send(seen).await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for piece in ["a", "b", "c"] {
        client.send(format!("1\r\n{piece}\r\n")).await;
        assert_eq!(client.reply().await.status, 103);
    }
    client.send("0\r\n\r\n").await;

    assert_eq!(client.reply().await.text(), "abc");
}

#[tokio::test]
async fn an_answer_may_come_while_the_client_still_sends() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        talk.wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull").await;
        talk.wire.finish().await;
        talk.wire.end().await;
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\nbeginning").await;
    let reply = client.reply().await;

    assert_eq!((reply.status, reply.text().as_str()), (413, "full"));
    backend.is_left_alone().await;
}

#[tokio::test]
async fn both_directions_may_flow_at_once() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        talk.wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        loop {
            let chunk = talk.wire.chunk().await;
            if chunk.is_empty() {
                talk.wire.line().await;
                return talk.wire.send("0\r\n\r\n").await;
            }
            talk.wire.send([format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat()).await;
        }
    })
    .await;
    let gateway = Gateway::before(&backend).await;
    let mut client = gateway.connect().await;

    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    for _ in 0..5 {
        client.send("4\r\nping\r\n").await;
        assert_eq!(client.chunk().await, b"ping");
    }
    client.send("0\r\n\r\n").await;

    assert!(client.chunk().await.is_empty());
}

#[tokio::test]
async fn a_cut_answer_is_cut_for_the_client_too() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nwrong\r\n",
    ] {
        let backend = Stub::talking(move |mut talk| async move {
            talk.request().await;
            talk.wire.send(answer).await;
        })
        .await;
        let gateway = Gateway::before(&backend).await;
        let mut client = gateway.connect().await;

        client.send(GET).await;
        let got = String::from_utf8(client.end().await).unwrap();

        assert!(got.starts_with("HTTP/1.1 200 OK"), "{answer:?}: {got:?}");
        assert!(!got.ends_with("0\r\n\r\n"), "a cut answer must not look complete: {answer:?}: {got:?}");
    }
}

#[tokio::test]
async fn a_cut_upload_never_looks_complete_to_the_backend() {
    for cut in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let backend = Stub::talking(|mut talk| async move {
            talk.head().await;
            let rest = talk.wire.end().await;
            assert!(!rest.ends_with(b"0\r\n\r\n"));
        })
        .await;
        let gateway = Gateway::before(&backend).await;
        let mut client = gateway.connect().await;

        client.send(cut).await;
        testkit::eventually("the backend is asked", || backend.count() == 1).await;
        client.finish().await;

        within("the end", client.end()).await;
        backend.is_left_alone().await;
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_refused_and_ends_the_request_at_the_backend() {
    for (chunks, reason) in [("x\r\n", "size"), ("3\r\nabcd\r\n", "CRLF"), ("3\nabc\r\n0\r\n\r\n", "line feed")] {
        let backend = Stub::talking(|mut talk| async move {
            talk.head().await;
            talk.wire.end().await;
        })
        .await;
        let gateway = Gateway::before(&backend).await;
        let mut client = gateway.connect().await;

        let reply =
            client.ask(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")).await;

        assert_eq!((reply.status, reply.problem().as_str()), (400, "bad-request"), "{chunks:?}");
        assert!(reply.text().contains(reason), "{}", reply.text());
        client.end().await;
        backend.is_left_alone().await;
    }
}
