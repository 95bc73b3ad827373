//! Clients that mean harm by HTTP/2: frames that no library would send, and how soon they have no connection any more.

use testkit::{Gateway, Stub, Wire};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Frames by the standard (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// A header block without compression.
fn block(method: &str, host: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x86];
    let text = |text: &str, block: &mut Vec<u8>| {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend(text.bytes());
    };
    for (index, value) in [(2, method), (4, "/"), (1, host)] {
        block.push(index);
        text(value, &mut block);
    }
    for (name, value) in more {
        block.push(0);
        text(name, &mut block);
        text(value, &mut block);
    }
    block
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block("GET", "a.example", &[]))
}

fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block("POST", "a.example", &[]))
}

/// What came: kinds of frames, with the last four bytes of each one's content where there are so many.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u32)> {
    let mut frames = Vec::new();
    while let [high, middle, low, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let content = &rest[..length.min(rest.len())];
        let code = if *kind == GOAWAY { content.get(4..8) } else { content.last_chunk::<4>().map(<[u8; 4]>::as_slice) };
        frames.push((*kind, code.map_or(0, |code| u32::from_be_bytes(code.try_into().unwrap()))));
        bytes = &rest[content.len()..];
    }
    frames
}

/// Begins a connection.
async fn greet(gateway: &Gateway, settings: &[u8]) -> Wire {
    let mut client = gateway.connect().await;
    client.send([PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await;
    client
}

/// The code with which a connection ends on which this is sent.
async fn goodbye(gateway: &Gateway, sent: &[u8]) -> Option<u32> {
    let mut client = greet(gateway, &[]).await;
    // The gateway may have said goodbye before it has taken everything.
    drop(client.try_send(sent).await);
    let said = client.end().await;
    frames(&said).into_iter().find(|(kind, _)| *kind == GOAWAY).map(|(_, code)| code)
}

#[tokio::test]
async fn floods_of_frames_that_cost_nothing_are_cut() {
    let backend = Stub::saying("hello").await;
    let limits = "limits: {http2_control_frames_per_second: 100, http2_resets_per_second: 20}";
    let gateway = Gateway::with(&backend, limits).await;
    let many = |frame: Vec<u8>| frame.repeat(2000);

    for (name, flood) in [
        ("PING", many(frame(PING, 0, 0, &[0; 8]))),
        ("SETTINGS", many(frame(SETTINGS, 0, 0, &[]))),
        ("PRIORITY", many(frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 9]))),
        ("WINDOW_UPDATE", many(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ("empty DATA", [post(1), many(frame(DATA, 0, 1, &[]))].concat()),
        ("unknown", many(frame(0xbe, 0, 0, b"x"))),
        ("CONTINUATION", [frame(HEADERS, 0, 1, &[0x82]), many(frame(CONTINUATION, 0, 1, &[]))].concat()),
        (
            "large CONTINUATION",
            [frame(HEADERS, 0, 1, &[0x82]), frame(CONTINUATION, 0, 1, &b"\0\x01x\x01y".repeat(2000)).repeat(50)]
                .concat(),
        ),
    ] {
        assert_eq!(goodbye(&gateway, &flood).await, Some(ENHANCE_YOUR_CALM), "{name}");
    }
    assert_eq!(gateway.get("/").await.text(), "hello");
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection_and_are_not_passed_on() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.end().await;
    })
    .await;
    let gateway = Gateway::with(&backend, "limits: {http2_resets_per_second: 20}").await;

    let flood: Vec<u8> =
        (0..500).flat_map(|n| [get(n * 2 + 1), frame(RST_STREAM, 0, n * 2 + 1, &[0, 0, 0, 8])].concat()).collect();
    assert_eq!(goodbye(&gateway, &flood).await, Some(ENHANCE_YOUR_CALM));

    assert!(backend.count() <= 20, "{} requests were passed on", backend.count());
}

#[tokio::test]
async fn resets_that_a_client_provokes_count_as_its_own() {
    let backend = Stub::talking(|mut talk| async move {
        talk.request().await;
        talk.wire.end().await;
    })
    .await;
    let gateway = Gateway::with(&backend, "limits: {http2_resets_per_second: 20}").await;
    let mut client = greet(&gateway, &[]).await;

    // A window that grows too large is a mistake for which its stream is reset (CVE-2025-8671).
    for first in (0..500).step_by(10) {
        let streams = (first..first + 10).map(|n| n * 2 + 1);
        let group: Vec<u8> = streams
            .flat_map(|stream| [get(stream), frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])].concat())
            .collect();
        if client.try_send(group).await.is_err() {
            break;
        }
    }

    let said = frames(&client.end().await);
    let resets = said.iter().filter(|(kind, code)| (*kind, *code) == (RST_STREAM, FLOW_CONTROL_ERROR)).count();
    assert!((1..250).contains(&resets), "{resets} streams were reset");
    assert!(said.contains(&(GOAWAY, ENHANCE_YOUR_CALM)), "{said:?}");
    backend_is_left(&backend).await;
}

/// Nothing that was passed on is still waited for.
async fn backend_is_left(backend: &Stub) {
    if backend.connections() > 0 {
        backend.is_left_alone().await;
    }
}

#[tokio::test]
async fn a_head_that_is_large_only_when_it_is_unpacked_is_refused() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    // A long field in the table, and thousands of references to it.
    let mut bomb = block("GET", "a.example", &[]);
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'y'; 4000]);
    bomb.extend([0xbe; 12_000]);
    assert_eq!(goodbye(&gateway, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await, Some(ENHANCE_YOUR_CALM));

    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn mistakes_end_the_connection_with_the_code_that_the_standard_names() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    for (sent, code) in [
        (frame(PING, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0, 0, 0]), FLOW_CONTROL_ERROR),
        ([get(1), frame(DATA, 0, 1, b"x")].concat(), STREAM_CLOSED),
        ([get(1), get(1)].concat(), STREAM_CLOSED),
        ([frame(HEADERS, 0, 1, &[0x82]), get(3)].concat(), PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 1, &block("GET", "a.example", &[("Upper", "case")])), PROTOCOL_ERROR),
        (frame(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]), PROTOCOL_ERROR),
    ] {
        assert_eq!(goodbye(&gateway, &sent).await, Some(code), "{sent:?}");
    }
}

/// The last four bytes of the first frame of this kind that comes.
async fn first(client: &mut Wire, wanted: u8) -> u32 {
    loop {
        let mut frame = client.exactly(9).await;
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
        frame.extend(client.exactly(length).await);
        if let Some((_, code)) = frames(&frame).into_iter().find(|(kind, _)| *kind == wanted) {
            return code;
        }
    }
}

#[tokio::test]
async fn requests_that_contradict_themselves_are_reset_and_not_passed_on() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;

    for more in [
        &[("host", "b.example")][..],
        &[("host", "a.example"), ("host", "a.example")],
        &[("x-lead", " a")],
        &[("x-trail", "a\t")],
        &[("connection", "close")],
        &[("transfer-encoding", "chunked")],
        &[("content-length", "1"), ("content-length", "2")],
    ] {
        let mut client = greet(&gateway, &[]).await;
        let flags = END_HEADERS | END_STREAM;
        client.send(frame(HEADERS, flags, 1, &block("GET", "a.example", more))).await;
        assert_eq!(first(&mut client, RST_STREAM).await, PROTOCOL_ERROR, "{more:?}");
    }
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn half_a_head_does_not_keep_a_connection() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "limits: {head_time: 500ms, idle_time: 1h}").await;

    for beginning in [Vec::new(), frame(HEADERS, 0, 1, &[0x82]), get(1)[..12].to_vec()] {
        let mut client = gateway.connect().await;
        client.send(&PREFACE[..20]).await;
        if !beginning.is_empty() {
            client.send([&PREFACE[20..], &frame(SETTINGS, 0, 0, &[]), &beginning].concat()).await;
        }
        client.end().await;
    }
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_slow_body_is_answered_and_its_connection_ends() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "limits: {min_rate: 100B, min_rate_grace: 300ms, idle_time: 1h}").await;
    let mut client = greet(&gateway, &[]).await;

    client.send([post(1), frame(DATA, 0, 1, b"x")].concat()).await;
    let said = client.end().await;

    let text = String::from_utf8_lossy(&said);
    assert!(text.contains("too-slow"), "{text}");
    backend.is_left_alone().await;
}

#[tokio::test]
async fn a_window_that_never_opens_is_cut_whatever_else_is_sent() {
    let backend = Stub::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000))).await;
    let gateway = Gateway::with(&backend, "limits: {min_rate: 100B, min_rate_grace: 1s, idle_time: 1h}").await;
    let mut client = greet(&gateway, &[0, 4, 0, 0, 0, 1]).await;

    client.send(get(1)).await;
    // Each ping is answered with as many bytes as a second must bring, which are not those that count.
    while client.try_send(frame(PING, 0, 0, &[0; 8]).repeat(8)).await.is_ok() && client.is_silent().await {}

    let said = frames(&client.end().await);
    assert!(said.iter().any(|(kind, code)| (*kind, *code) == (RST_STREAM, 8)), "{said:?}");
}

#[tokio::test]
async fn an_idle_connection_is_told_so_and_closed() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "limits: {idle_time: 300ms}").await;
    let mut client = greet(&gateway, &[]).await;

    client.send(get(1)).await;
    let said = client.end().await;

    assert!(frames(&said).contains(&(GOAWAY, 0)), "{said:?}");
    assert!(String::from_utf8_lossy(&said).contains("hello"));
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_hold_up_a_stop() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "limits: {head_time: 1h, idle_time: 1h}").await;
    let present = gateway.node().gateway.present().remove(0).1;
    let mut silent = gateway.connect().await;
    testkit::eventually("it is there", || present.count() == 1).await;

    gateway.stop().await;

    assert_eq!(present.count(), 0);
    assert!(silent.end().await.is_empty());
}

#[tokio::test]
async fn a_connection_of_http_2_without_a_request_does_not_hold_up_a_stop() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, "limits: {head_time: 1h, idle_time: 1h}").await;
    let mut client = greet(&gateway, &[]).await;
    client.send(get(1)).await;
    testkit::eventually("it is served", || backend.count() == 1).await;

    gateway.stop().await;

    assert!(frames(&client.end().await).contains(&(GOAWAY, 0)));
}
