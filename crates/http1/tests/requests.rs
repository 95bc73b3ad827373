//! What is accepted and refused as the head of a request.

use http::{Method, Version};
use http1::{Framing, Limits, Place, Refusal, RequestHead, parse_request};

#[expect(clippy::unwrap_used, reason = "a helper of tests only")]
fn parsed(input: &str) -> RequestHead {
    let (head, consumed) = parse_request(input.as_bytes(), &Limits::default()).unwrap().unwrap();
    assert_eq!(consumed, input.len());
    head
}

fn refused(input: impl AsRef<[u8]>) -> &'static str {
    match parse_request(input.as_ref(), &Limits::default()) {
        Err(refusal) => refusal.code(),
        Ok(None) => "incomplete",
        Ok(Some(_)) => "accepted",
    }
}

/// A POST with these header lines after a valid `Host`.
fn post(lines: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n")
}

#[test]
fn a_plain_request_is_read_in_all_its_parts() {
    let head = parsed("GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nX-Two:  a b \t\r\nx-two:c\r\nEmpty:\r\n\r\n");

    assert_eq!(head.method, Method::GET);
    assert_eq!(head.uri.path(), "/a/b");
    assert_eq!(head.uri.query(), Some("c=d"));
    assert_eq!(head.version, Version::HTTP_11);
    assert_eq!(head.headers["host"], "example.com");
    assert_eq!(head.headers.get_all("x-two").iter().collect::<Vec<_>>(), ["a b", "c"]);
    assert_eq!(head.headers["empty"], "");
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive && !head.expect_continue && !head.upgrade);
}

#[test]
fn what_follows_the_head_is_not_consumed() {
    let first = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (_, consumed) = parse_request(format!("{first}GET").as_bytes(), &Limits::default()).unwrap().unwrap();
    assert_eq!(consumed, first.len());
}

#[test]
fn one_empty_line_before_a_request_is_skipped_and_no_more() {
    assert_eq!(parsed("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").method, Method::GET);
    assert_eq!(refused("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "bad-request-line");
    assert_eq!(refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "bare-line-feed");
    assert_eq!(refused("\r\n"), "incomplete");
}

#[test]
fn the_four_forms_of_targets_are_kept_as_sent() {
    for (line, uri) in [
        ("GET /", "/"),
        ("GET //a//../%2e?x=/?#", ""),
        ("GET http://a/b?c", "http://a/b?c"),
        ("GET https://a:443/", "https://a:443/"),
        ("OPTIONS *", "*"),
        ("CONNECT a:443", "a:443"),
        ("CONNECT [::1]:443", "[::1]:443"),
    ] {
        let host = if line.contains("[::1]") { "[::1]:443" } else { "a" };
        let input = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        if uri.is_empty() {
            assert_eq!(refused(input), "bad-target");
        } else {
            assert_eq!(parsed(&input).uri.to_string(), uri);
        }
    }
}

#[test]
fn request_lines_with_anything_unusual_are_refused() {
    for (line, code) in [
        ("GET  / HTTP/1.1", "bad-request-line"),
        ("GET /  HTTP/1.1", "bad-request-line"),
        (" GET / HTTP/1.1", "bad-request-line"),
        ("GET / HTTP/1.1 ", "bad-request-line"),
        ("GET /a b HTTP/1.1", "bad-request-line"),
        ("GET / ", "bad-request-line"),
        ("GET /", "bad-request-line"),
        ("GET", "bad-request-line"),
        ("GET HTTP/1.1", "bad-request-line"),
        ("GET / http/1.1", "bad-request-line"),
        ("GET / HTTP/1.1x", "bad-request-line"),
        ("GET / HTTP/01.1", "bad-request-line"),
        ("GET / HTTP/1", "bad-request-line"),
        ("GET / HTTP/0.9", "unsupported-version"),
        ("GET / HTTP/1.2", "unsupported-version"),
        ("GET / HTTP/2.0", "unsupported-version"),
        ("PRI * HTTP/2.0", "unsupported-version"),
        ("G@T / HTTP/1.1", "bad-method"),
        ("GET\t/ HTTP/1.1", "bad-method"),
        ("GET /\tHTTP/1.1", "bad-request-line"),
        ("GET\x0b/ HTTP/1.1", "control-byte"),
        ("GET /a\tb HTTP/1.1", "bad-target"),
        ("GET /a\0 HTTP/1.1", "control-byte"),
        ("GET /a\x7f HTTP/1.1", "control-byte"),
        ("GET /\u{e4} HTTP/1.1", "bad-target"),
        ("GET /#a HTTP/1.1", "bad-target"),
        ("GET a HTTP/1.1", "bad-target"),
        ("GET a:80 HTTP/1.1", "bad-target"),
        ("GET * HTTP/1.1", "bad-target"),
        ("GET ?a HTTP/1.1", "bad-target"),
        ("GET http:///a HTTP/1.1", "bad-target"),
        ("GET http:a HTTP/1.1", "bad-target"),
        ("GET ftp://a/ HTTP/1.1", "bad-target"),
        ("GET http://user@a/ HTTP/1.1", "bad-target"),
        ("GET http://a:x/ HTTP/1.1", "bad-target"),
        ("GET http://a,b/ HTTP/1.1", "bad-target"),
        ("CONNECT / HTTP/1.1", "bad-target"),
        ("CONNECT a HTTP/1.1", "bad-target"),
        ("CONNECT a: HTTP/1.1", "bad-target"),
        ("CONNECT a:443/ HTTP/1.1", "bad-target"),
        ("CONNECT http://a:443 HTTP/1.1", "bad-target"),
        ("CONNECT u@a:443 HTTP/1.1", "bad-target"),
        ("CONNECT * HTTP/1.1", "bad-target"),
    ] {
        assert_eq!(refused(format!("{line}\r\nHost: a\r\n\r\n")), code, "{line:?}");
    }
}

#[test]
fn lines_end_with_crlf_and_hold_no_control_bytes() {
    for (lines, code) in [
        ("A: b\nC: d\r\n", "bare-line-feed"),
        ("A: b\n\r\n", "bare-line-feed"),
        ("A: b\rC: d\r\n", "bare-carriage-return"),
        ("A: b\r\r\n", "bare-carriage-return"),
        ("A\r: b\r\n", "bare-carriage-return"),
        ("A\n: b\r\n", "bare-line-feed"),
        ("A: \0\r\n", "control-byte"),
        ("A\0: b\r\n", "control-byte"),
        ("A: \x0b\r\n", "control-byte"),
        ("A: \x0c\r\n", "control-byte"),
        ("A: \x1b\r\n", "control-byte"),
        ("A: \x7f\r\n", "control-byte"),
        ("A: b\r\n\tc\r\n", "folded-line"),
        ("A: b\r\n c\r\n", "folded-line"),
        ("A: b\r\n \r\n", "folded-line"),
        ("A : b\r\n", "space-before-colon"),
        ("A\t: b\r\n", "space-before-colon"),
        ("A b: c\r\n", "bad-header-name"),
        (": b\r\n", "empty-header-name"),
        (":\r\n", "empty-header-name"),
        ("A\r\n", "missing-colon"),
        ("A(b): c\r\n", "bad-header-name"),
        ("\u{e4}: c\r\n", "bad-header-name"),
        ("A/b: c\r\n", "bad-header-name"),
        ("\"A\": c\r\n", "bad-header-name"),
    ] {
        assert_eq!(refused(post(lines)), code, "{lines:?}");
    }
    assert_eq!(refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), "folded-line");
    assert_eq!(refused("GET / HTTP/1.1\nHost: a\n\n"), "bare-line-feed");
}

#[test]
fn what_breaks_a_line_is_refused_before_the_head_is_complete() {
    assert_eq!(refused("GET / HTTP/1.1\n"), "bare-line-feed");
    assert_eq!(refused("\x16\x03\x01\x02"), "control-byte");
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nA: b\0"), "control-byte");
    assert_eq!(refused("GET / HTTP/1.1\r\n Host"), "incomplete");
}

#[test]
fn values_may_hold_tabs_and_bytes_above_ascii() {
    assert_eq!(parsed(&post("A: b\tc\r\n")).headers["a"], "b\tc");
    let head = "GET / HTTP/1.1\r\nHost: a\r\nA: \u{e4}\r\n\r\n";
    assert_eq!(parsed(head).headers["a"].as_bytes(), "\u{e4}".as_bytes());
}

#[test]
fn content_length_is_one_number() {
    assert_eq!(parsed(&post("Content-Length: 0\r\n")).framing, Framing::Length(0));
    assert_eq!(parsed(&post("Content-Length: 007\r\n")).framing, Framing::Length(7));
    assert_eq!(parsed(&post("Content-Length: 18446744073709551615\r\n")).framing, Framing::Length(u64::MAX));

    for value in [
        "",
        "+5",
        "-5",
        "5 5",
        "5,5",
        "5, 5",
        "5,",
        ",5",
        "0x5",
        "5.0",
        "5;",
        "1e3",
        "\u{665}",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        assert_eq!(refused(post(&format!("Content-Length: {value}\r\n"))), "bad-content-length", "{value:?}");
    }
    assert_eq!(refused(post("Content-Length: 5\r\nContent-Length: 5\r\n")), "repeated-header");
    assert_eq!(refused(post("Content-Length: 5\r\ncontent-length: 6\r\n")), "repeated-header");
}

#[test]
fn transfer_encoding_is_chunked_and_nothing_else() {
    assert_eq!(parsed(&post("Transfer-Encoding: chunked\r\n")).framing, Framing::Chunked);
    assert_eq!(parsed(&post("transfer-ENCODING:\tCHUNKED \r\n")).framing, Framing::Chunked);

    for (value, code) in [
        ("", "bad-transfer-encoding"),
        ("xchunked", "bad-transfer-encoding"),
        ("chunkedx", "bad-transfer-encoding"),
        ("\"chunked\"", "bad-transfer-encoding"),
        ("'chunked'", "bad-transfer-encoding"),
        ("chunked,", "bad-transfer-encoding"),
        (",chunked", "bad-transfer-encoding"),
        ("chunked, chunked", "bad-transfer-encoding"),
        ("chunked, gzip", "bad-transfer-encoding"),
        ("chunked, identity", "bad-transfer-encoding"),
        ("chunked;q=1", "bad-transfer-encoding"),
        ("identity", "bad-transfer-encoding"),
        ("gzip", "bad-transfer-encoding"),
        ("chunked\u{a0}", "bad-transfer-encoding"),
        ("\u{17f}chunked", "bad-transfer-encoding"),
        ("chun\u{212a}ed", "bad-transfer-encoding"),
        ("gzip, chunked", "unknown-transfer-coding"),
        ("identity,chunked", "unknown-transfer-coding"),
        ("\x0bchunked", "control-byte"),
        ("\r\n chunked", "folded-line"),
    ] {
        assert_eq!(refused(post(&format!("Transfer-Encoding: {value}\r\n"))), code, "{value:?}");
    }
    for (lines, code) in [
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "repeated-header"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "repeated-header"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "length-and-transfer-encoding"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "length-and-transfer-encoding"),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "length-and-transfer-encoding"),
        ("Transfer-Encoding : chunked\r\n", "space-before-colon"),
        ("Transfer-Encoding\x0b: chunked\r\n", "control-byte"),
        (" Transfer-Encoding: chunked\r\n", "folded-line"),
        ("X: y\nTransfer-Encoding: chunked\r\n", "bare-line-feed"),
        ("X: y\rTransfer-Encoding: chunked\r\n", "bare-carriage-return"),
    ] {
        assert_eq!(refused(post(lines)), code, "{lines:?}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), "transfer-encoding-in-http-1-0");
}

#[test]
fn similar_names_do_not_decide_about_framing() {
    let head = parsed(&post("Transfer_Encoding: chunked\r\nContent_Length: 5\r\nX-Content-Length: 6\r\n"));
    assert_eq!(head.framing, Framing::None);
}

#[test]
fn a_request_names_its_host_once() {
    let get = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    for (lines, code) in [
        ("", "missing-host"),
        ("Host: a\r\nHost: a\r\n", "repeated-header"),
        ("Host: a\r\nhost: b\r\n", "repeated-header"),
        ("Host:\r\n", "bad-host"),
        ("Host: a b\r\n", "bad-host"),
        ("Host: a, b\r\n", "bad-host"),
        ("Host: u@a\r\n", "bad-host"),
        ("Host: a/b\r\n", "bad-host"),
        ("Host: a#b\r\n", "bad-host"),
        ("Host: a?b\r\n", "bad-host"),
        ("Host: a:b\r\n", "bad-host"),
        ("Host: a:80@b\r\n", "bad-host"),
        ("Host: http://a\r\n", "bad-host"),
        ("Host: [::1\r\n", "bad-host"),
        ("Host: a\tb\r\n", "bad-host"),
    ] {
        assert_eq!(refused(get(lines)), code, "{lines:?}");
    }
    assert_eq!(parsed("GET / HTTP/1.0\r\n\r\n").version, Version::HTTP_10);
    assert_eq!(refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), "repeated-header");
}

#[test]
fn the_target_and_host_agree() {
    for (line, host, code) in [
        ("GET http://a/", "a", "accepted"),
        ("GET http://A/", "a:80", "accepted"),
        ("GET https://a/", "a:443", "accepted"),
        ("GET http://a:8080/", "a:8080", "accepted"),
        ("CONNECT a:443", "a", "accepted"),
        ("CONNECT a:443", "a:443", "accepted"),
        ("GET http://a/", "b", "conflicting-host"),
        ("GET http://a/", "a:443", "conflicting-host"),
        ("GET http://a:8080/", "a", "conflicting-host"),
        ("GET https://a/", "a:80", "conflicting-host"),
        ("CONNECT a:443", "b", "conflicting-host"),
        ("CONNECT a:443", "a:80", "conflicting-host"),
    ] {
        assert_eq!(refused(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n")), code, "{line} {host}");
    }
}

#[test]
fn a_connect_request_has_no_content() {
    for field in ["Content-Length: 0", "Content-Length: 5", "Transfer-Encoding: chunked"] {
        let input = format!("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n{field}\r\n\r\n");
        assert_eq!(refused(input), "forbidden-content");
    }
}

#[test]
fn connection_options_decide_about_persistence_and_upgrade() {
    for (version, lines, keep_alive, upgrade) in [
        ("1.1", "", true, false),
        ("1.1", "Connection: close\r\n", false, false),
        ("1.1", "Connection: x, CLOSE\r\n", false, false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false, false),
        ("1.1", "Connection: closed\r\n", true, false),
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true, true),
        ("1.1", "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n", true, true),
        ("1.1", "Upgrade: websocket\r\n", true, false),
        ("1.1", "Connection: upgrade\r\n", true, false),
        ("1.0", "", false, false),
        ("1.0", "Connection: Keep-Alive\r\n", true, false),
        ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", false, false),
    ] {
        let head = parsed(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!((head.keep_alive, head.upgrade), (keep_alive, upgrade), "{version} {lines:?}");
    }
}

#[test]
fn a_client_that_has_no_content_does_not_wait_to_send_it() {
    let expects = |lines: &str| parsed(&post(lines)).expect_continue;
    assert!(expects("Expect: 100-Continue\r\nContent-Length: 5\r\n"));
    assert!(expects("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"));
    assert!(!expects("Expect: 100-continue\r\n"));
    assert!(!expects("Expect: 100-continue\r\nContent-Length: 0\r\n"));
    assert!(!expects("Expect: 200-ok\r\nContent-Length: 5\r\n"));
    assert!(!parsed("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").expect_continue);
}

#[test]
fn limits_hold_while_the_head_is_incomplete() {
    let limits = Limits { head_bytes: 200, headers: 3, uri_bytes: 20 };
    let result = |input: &str| parse_request(input.as_bytes(), &limits);
    let refusal = |input: &str| result(input).unwrap_err();
    let long = |length| "a".repeat(length);

    assert_eq!(refusal(&format!("GET /{}", long(20))), Refusal::UriTooLong { limit: 20 });
    assert_eq!(refusal(&format!("GET /{} HTTP/1.1\r\n\r\n", long(20))), Refusal::UriTooLong { limit: 20 });
    assert!(result(&format!("GET /{}", long(19))).unwrap().is_none());
    assert!(result(&format!("{}\r", long(32))).unwrap().is_none());
    assert_eq!(refusal(&long(33)), Refusal::MethodTooLong { limit: 32 });
    assert_eq!(refusal(&format!("GET / HTTP/1.1\r\nA: {}", long(300))), Refusal::HeadTooLarge { limit: 200 });
    assert_eq!(refusal(&format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", long(300))), Refusal::HeadTooLarge { limit: 200 });
    assert_eq!(refusal("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nA: 2\r\nA: 3\r\n"), Refusal::TooManyHeaders { limit: 3 });
    assert!(result("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nA: 2\r\n\r\n").unwrap().is_some());
}

#[test]
fn no_limit_is_so_high_that_headers_overflow_their_map() {
    let limits = Limits { head_bytes: usize::MAX, headers: usize::MAX, uri_bytes: usize::MAX };
    let head = post(&"A: b\r\n".repeat(40_000));
    assert_eq!(parse_request(head.as_bytes(), &limits).unwrap_err().code(), "too-many-headers");
    let names: Vec<_> = (0..9_990).map(|number| format!("a{number}:\r\n")).collect();
    assert!(parse_request(post(&names.concat()).as_bytes(), &limits).unwrap().is_some());
}

#[test]
fn a_head_of_exactly_the_limit_passes() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let limits = |head_bytes| Limits { head_bytes, ..Limits::default() };
    assert!(parse_request(head.as_bytes(), &limits(head.len())).unwrap().is_some());
    assert_eq!(
        parse_request(head.as_bytes(), &limits(head.len() - 1)).unwrap_err(),
        Refusal::HeadTooLarge { limit: head.len() - 1 }
    );
}

#[test]
fn a_refusal_says_where_and_what_to_do() {
    let refusal = parse_request(post("A: b\r\nC : d\r\n").as_bytes(), &Limits::default()).unwrap_err();

    assert_eq!(refusal, Refusal::SpaceBeforeColon(Place::Header(3)));
    assert_eq!(refusal.status(), 400);
    assert_eq!(refusal.to_string(), "White space stands before the colon in header line 3. Remove it.");
}
