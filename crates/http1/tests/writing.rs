//! What is written for heads and content.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http1::{
    CHUNK_END, Framing, Persistence, ResponseFraming, write_chunk_size, write_interim, write_last_chunk, write_request,
    write_response,
};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.iter().map(field).collect()
}

fn written(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn request(target: &str, fields: &[(&'static str, &'static str)], framing: Framing) -> String {
    written(|out| write_request(out, &Method::POST, target, &headers(fields), framing))
}

fn response(status: u16, framing: impl Into<ResponseFraming>, connection: Option<Persistence>) -> String {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let headers = headers(&[("date", "x")]);
    written(|out| write_response(out, status, Version::HTTP_11, &headers, framing, connection, DATE))
}

#[test]
fn requests_carry_the_framing_they_are_given_and_no_other() {
    let own = &[
        ("host", "a"),
        ("content-length", "7"),
        ("transfer-encoding", "gzip"),
        ("connection", "close, x"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
    ];
    for (framing, field) in [
        (Framing::None, ""),
        (Framing::Length(0), "content-length: 0\r\n"),
        (Framing::Length(u64::MAX), "content-length: 18446744073709551615\r\n"),
        (Framing::Chunked, "transfer-encoding: chunked\r\n"),
        (Framing::UntilClose, "connection: close\r\n"),
    ] {
        let expected = format!("POST /a HTTP/1.1\r\n{field}host: a\r\nte: trailers\r\n\r\n");
        assert_eq!(request("/a", own, framing), expected);
    }
}

#[test]
fn only_an_upgrade_is_left_of_connection() {
    let fields = &[("connection", "x, Upgrade"), ("upgrade", "websocket")];
    assert_eq!(
        request("/", fields, Framing::None),
        "POST / HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    );
}

#[test]
fn a_target_cannot_break_the_request_line() {
    let written = request("/a b\r\nX: y#\u{e4}\u{7f}", &[], Framing::None);
    assert_eq!(written, "POST /a%20b%0D%0AX:%20y%23%C3%A4%7F HTTP/1.1\r\n\r\n");
}

#[test]
fn responses_announce_content_only_where_there_can_be_some() {
    for (status, framing, field) in [
        (200, Framing::None.into(), "content-length: 0\r\n"),
        (200, Framing::Length(12).into(), "content-length: 12\r\n"),
        (200, Framing::Chunked.into(), "transfer-encoding: chunked\r\n"),
        (200, Framing::UntilClose.into(), "connection: close\r\n"),
        (200, ResponseFraming::HeadOnly(Some(5)), "content-length: 5\r\n"),
        (200, ResponseFraming::HeadOnly(None), ""),
        (204, Framing::None.into(), ""),
        (204, Framing::Length(0).into(), ""),
        (204, ResponseFraming::HeadOnly(Some(5)), ""),
        (304, Framing::None.into(), ""),
        (304, Framing::Length(0).into(), ""),
        (304, ResponseFraming::HeadOnly(Some(5)), "content-length: 5\r\n"),
    ] {
        let written = response(status, framing, None);
        let fields = written.split_once("\r\n").map(|(_, fields)| fields);
        let expected = if field.starts_with("connection") {
            format!("date: x\r\n{field}\r\n")
        } else {
            format!("{field}date: x\r\n\r\n")
        };
        assert_eq!(fields, Some(&*expected), "{status} {framing:?}");
    }
}

#[test]
fn responses_say_whether_the_connection_stays() {
    let with = |connection| response(200, Framing::Length(0), connection);
    assert!(with(Some(Persistence::Close)).contains("\r\nconnection: close\r\n"));
    assert!(with(Some(Persistence::KeepAlive)).contains("\r\nconnection: keep-alive\r\n"));
    assert!(!with(None).contains("connection"));
}

#[test]
fn an_old_client_is_not_announced_chunks() {
    let none = HeaderMap::new();
    let head = written(|out| {
        write_response(out, StatusCode::OK, Version::HTTP_10, &none, Framing::Chunked, None, DATE);
    });
    assert_eq!(head, "HTTP/1.1 200 OK\r\nconnection: close\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
    assert_eq!(Framing::Chunked.towards(Version::HTTP_10), Framing::UntilClose);
    assert_eq!(Framing::Chunked.towards(Version::HTTP_11), Framing::Chunked);
}

#[test]
fn an_upgrade_is_answered_with_its_headers() {
    let fields = headers(&[("connection", "Upgrade"), ("upgrade", "websocket"), ("date", "x")]);
    let status = StatusCode::SWITCHING_PROTOCOLS;
    let head = written(|out| write_response(out, status, Version::HTTP_11, &fields, Framing::None, None, DATE));
    assert_eq!(
        head,
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\ndate: x\r\nconnection: upgrade\r\n\r\n"
    );
}

#[test]
fn unknown_statuses_have_no_reason() {
    assert!(response(599, Framing::None, None).starts_with("HTTP/1.1 599 \r\n"));
}

#[test]
fn interim_responses_have_headers_but_no_framing() {
    let fields = headers(&[("link", "</a>"), ("content-length", "5"), ("connection", "close")]);
    let head = written(|out| write_interim(out, StatusCode::EARLY_HINTS, &fields));
    assert_eq!(head, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
}

#[test]
fn chunks_begin_with_their_size_in_hexadecimal() {
    for (length, line) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (0xabc, "abc\r\n"), (1 << 20, "100000\r\n")] {
        assert_eq!(written(|out| write_chunk_size(out, length)), line);
    }
    assert_eq!(written(|out| write_chunk_size(out, usize::MAX)), format!("{:x}\r\n", usize::MAX));
    assert_eq!(CHUNK_END, b"\r\n");
}

#[test]
fn the_last_chunk_takes_allowed_trailers_along() {
    assert_eq!(written(|out| write_last_chunk(out, None)), "0\r\n\r\n");
    let trailers = headers(&[("grpc-status", "0"), ("content-length", "5")]);
    assert_eq!(written(|out| write_last_chunk(out, Some(&trailers))), "0\r\ngrpc-status: 0\r\n\r\n");
}
