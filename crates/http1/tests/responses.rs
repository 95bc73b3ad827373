//! What is accepted and refused as the head of a response.

use http::Method;
use http1::{Framing, Limits, ResponseHead, parse_response};

#[expect(clippy::unwrap_used, reason = "a helper of tests only")]
fn parsed(method: &Method, input: &str) -> ResponseHead {
    let (head, consumed) = parse_response(input.as_bytes(), method, &Limits::default()).unwrap().unwrap();
    assert_eq!(consumed, input.len());
    head
}

fn refused(input: &str) -> &'static str {
    match parse_response(input.as_bytes(), &Method::GET, &Limits::default()) {
        Err(refusal) => refusal.code(),
        Ok(None) => "incomplete",
        Ok(Some(_)) => "accepted",
    }
}

#[test]
fn status_lines_are_read_with_and_without_a_reason() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 404 Not  Found, \u{e4}", 404),
        ("HTTP/1.1 204 ", 204),
        ("HTTP/1.1 204", 204),
        ("HTTP/1.0 999 x", 999),
    ] {
        assert_eq!(parsed(&Method::GET, &format!("{line}\r\n\r\n")).status, status, "{line}");
    }
}

#[test]
fn malformed_heads_are_refused() {
    for (head, code) in [
        ("HTTP/1.1  200 OK\r\n\r\n", "bad-status-line"),
        ("HTTP/1.1 20 OK\r\n\r\n", "bad-status-line"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "bad-status-line"),
        ("HTTP/1.1 099 OK\r\n\r\n", "bad-status-line"),
        ("HTTP/1.1 2x0 OK\r\n\r\n", "bad-status-line"),
        ("HTTP/1.1\t200 OK\r\n\r\n", "bad-status-line"),
        ("HTTP/1.1 200\tOK\r\n\r\n", "bad-status-line"),
        (" HTTP/1.1 200 OK\r\n\r\n", "bad-status-line"),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", "bad-status-line"),
        ("http/1.1 200 OK\r\n\r\n", "bad-status-line"),
        ("ICY 200 OK\r\n\r\n", "bad-status-line"),
        ("<html>\r\n\r\n", "bad-status-line"),
        ("HTTP/2.0 200 OK\r\n\r\n", "unsupported-version"),
        ("HTTP/1.1 200 OK\n\n", "bare-line-feed"),
        ("HTTP/1.1 200 O\0K\r\n\r\n", "control-byte"),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "space-before-colon"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "folded-line"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "repeated-header"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "bad-content-length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "length-and-transfer-encoding"),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "length-and-transfer-encoding"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unknown-transfer-coding"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "bad-transfer-encoding"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer-encoding-in-http-1-0"),
        ("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", "forbidden-content"),
        ("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n", "forbidden-content"),
    ] {
        assert_eq!(refused(head), code, "{head:?}");
    }
}

#[test]
fn the_status_and_the_method_decide_about_content() {
    let (get, head, connect) = (Method::GET, Method::HEAD, Method::CONNECT);
    for (method, status, fields, framing, keep_alive) in [
        (&get, "1.1 200", "Content-Length: 5\r\n", Framing::Length(5), true),
        (&get, "1.1 200", "Transfer-Encoding: chunked\r\n", Framing::Chunked, true),
        (&get, "1.1 200", "", Framing::UntilClose, false),
        (&get, "1.1 200", "Connection: close\r\nContent-Length: 5\r\n", Framing::Length(5), false),
        (&get, "1.0 200", "Content-Length: 5\r\n", Framing::Length(5), false),
        (&get, "1.0 200", "Content-Length: 5\r\nConnection: keep-alive\r\n", Framing::Length(5), true),
        (&get, "1.1 204", "", Framing::None, true),
        (&get, "1.1 204", "Content-Length: 0\r\n", Framing::None, true),
        (&get, "1.1 204", "Content-Length: 5\r\n", Framing::None, false),
        (&get, "1.1 204", "Transfer-Encoding: chunked\r\n", Framing::None, false),
        (&get, "1.1 304", "Content-Length: 5\r\n", Framing::None, true),
        (&get, "1.1 304", "Transfer-Encoding: chunked\r\n", Framing::None, true),
        (&head, "1.1 200", "Content-Length: 5\r\n", Framing::None, true),
        (&head, "1.1 200", "Transfer-Encoding: chunked\r\n", Framing::None, true),
        (&head, "1.1 200", "", Framing::None, true),
        (&get, "1.1 100", "", Framing::None, true),
        (&get, "1.1 103", "Link: </a>\r\n", Framing::None, true),
        (&get, "1.1 101", "Connection: upgrade\r\nUpgrade: websocket\r\n", Framing::None, true),
        (&connect, "1.1 200", "Content-Length: 5\r\n", Framing::None, true),
        (&connect, "1.1 403", "Content-Length: 5\r\n", Framing::Length(5), true),
    ] {
        let response = parsed(method, &format!("HTTP/{status} X\r\n{fields}\r\n"));
        assert_eq!((response.framing, response.keep_alive), (framing, keep_alive), "{method} {status} {fields:?}");
    }
}

#[test]
fn limits_hold_while_the_head_is_incomplete() {
    let limits = Limits { head_bytes: 50, headers: 2, uri_bytes: 10 };
    let refused = |input: &str| parse_response(input.as_bytes(), &Method::GET, &limits).unwrap_err().code();
    assert_eq!(refused(&format!("HTTP/1.1 200 {}", "a".repeat(50))), "head-too-large");
    assert_eq!(refused("HTTP/1.1 200 OK\r\nA: b\r\nA: c\r\nA: d\r\n"), "too-many-headers");
}
