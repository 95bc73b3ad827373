//! How content is found in what was read.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http1::{Decoded, Decoder, Framing, Limits, Refusal};

/// All content and trailers, with what is left of the input, or the code of the refusal.
#[derive(Debug, PartialEq)]
enum Outcome {
    Complete { data: String, trailers: HeaderMap, rest: String },
    Incomplete,
    Refused(&'static str),
}

fn decode(framing: Framing, input: impl AsRef<[u8]>) -> Outcome {
    let mut input = BytesMut::from(input.as_ref());
    let mut decoder = Decoder::new(framing, &Limits { head_bytes: 60, headers: 3, uri_bytes: 0 });
    let mut content = BytesMut::new();
    let mut received = HeaderMap::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    loop {
        match decoder.decode(&mut input) {
            Ok(Decoded::Data(data)) => content.extend_from_slice(&data),
            Ok(Decoded::Trailers(trailers)) => received = trailers,
            Ok(Decoded::Done) => {
                return Outcome::Complete { data: text(&content), trailers: received, rest: text(&input) };
            }
            Ok(Decoded::More) => return Outcome::Incomplete,
            Err(refusal) => return Outcome::Refused(refusal.code()),
        }
    }
}

fn complete(data: &str, rest: &str) -> Outcome {
    Outcome::Complete { data: data.to_owned(), trailers: HeaderMap::new(), rest: rest.to_owned() }
}

#[test]
fn content_of_known_length_ends_where_it_says() {
    assert_eq!(decode(Framing::Length(5), "helloGET"), complete("hello", "GET"));
    assert_eq!(decode(Framing::Length(5), "hell"), Outcome::Incomplete);
    assert_eq!(decode(Framing::Length(0), "GET"), complete("", "GET"));
    assert_eq!(decode(Framing::None, "GET"), complete("", "GET"));
}

#[test]
fn chunks_are_joined() {
    for (input, data) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ("00A\r\n0123456789\r\n000\r\n\r\n", "0123456789"),
        ("000000000000000a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("1;a\r\nx\r\n0;b=\"c;d\"\r\n\r\n", "x"),
        ("1; a = b\t\r\nx\r\n0\r\n\r\n", "x"),
        ("1\r\n\r\r\n0\r\n\r\n", "\r"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ] {
        assert_eq!(decode(Framing::Chunked, format!("{input}GET")), complete(data, "GET"), "{input:?}");
    }
}

#[test]
fn malformed_chunks_are_refused() {
    for (input, code) in [
        ("\r\n", "bad-chunk-size"),
        ("x\r\n", "bad-chunk-size"),
        ("0x5\r\nhello", "bad-chunk-size"),
        ("+5\r\nhello", "bad-chunk-size"),
        ("-1\r\n", "bad-chunk-size"),
        (" 5\r\nhello", "bad-chunk-size"),
        ("5 \r\nhello", "bad-chunk-size"),
        ("5 ;a\r\nhello", "bad-chunk-size"),
        ("5\t\r\nhello", "bad-chunk-size"),
        ("5,5\r\nhello", "bad-chunk-size"),
        ("5_0\r\nhello", "bad-chunk-size"),
        ("\u{665}\r\nhello", "bad-chunk-size"),
        (";a\r\nhello", "bad-chunk-size"),
        ("00000000000000005\r\nhello", "bad-chunk-size"),
        ("10000000000000000\r\n", "bad-chunk-size"),
        ("5\nhello", "bare-line-feed"),
        ("5\rhello", "bare-carriage-return"),
        ("5\r\rhello", "bare-carriage-return"),
        ("5;a\nhello", "bare-line-feed"),
        ("5;a\rb\r\nhello", "bare-carriage-return"),
        ("5;a\0b\r\nhello", "control-byte"),
        ("5\r\nhello0\r\n\r\n", "missing-chunk-end"),
        ("5\r\nhello\n0\r\n\r\n", "missing-chunk-end"),
        ("5\r\nhello\r0\r\n\r\n", "missing-chunk-end"),
        ("5\r\nhelloworld\r\n", "missing-chunk-end"),
        ("5\r\nhel\r\n0\r\n\r\n", "missing-chunk-end"),
        ("0\n\n", "bare-line-feed"),
        ("0\r\n\n", "bare-line-feed"),
        ("0\r\n\rG", "bare-carriage-return"),
        ("0\r\nA : b\r\n\r\n", "space-before-colon"),
        ("0\r\nA: b\r\n c\r\n\r\n", "folded-line"),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", "missing-colon"),
        ("0\r\nA b: c\r\n\r\n", "bad-header-name"),
        ("0\r\nA: b\nC: d\r\n\r\n", "bare-line-feed"),
        ("0\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n", "too-many-headers"),
    ] {
        assert_eq!(decode(Framing::Chunked, input), Outcome::Refused(code), "{input:?}");
    }
}

#[test]
fn the_largest_chunk_size_is_not_an_overflow() {
    let mut input = BytesMut::from("ffffffffffffffff\r\nabc");
    let mut decoder = Decoder::new(Framing::Chunked, &Limits::default());
    assert_eq!(decoder.decode(&mut input).unwrap(), Decoded::Data(Bytes::from_static(b"abc")));
    assert_eq!(decoder.decode(&mut input).unwrap(), Decoded::More);
}

#[test]
fn extensions_and_trailers_are_bounded_even_when_incomplete() {
    let long = "a".repeat(5000);
    assert_eq!(decode(Framing::Chunked, format!("1;{long}")), Outcome::Refused("chunk-extensions-too-long"));
    assert_eq!(decode(Framing::Chunked, format!("1;{long}\r\n")), Outcome::Refused("chunk-extensions-too-long"));
    assert_eq!(decode(Framing::Chunked, format!("0\r\nA: {long}")), Outcome::Refused("trailers-too-large"));

    let many = "1;aaaaaaaaa\r\nx\r\n".repeat(500);
    assert_eq!(decode(Framing::Chunked, many), Outcome::Refused("chunk-extensions-too-long"));
}

#[test]
fn extensions_of_exactly_the_limit_pass() {
    let with = |length| format!("1{}\r\nx\r\n0\r\n\r\n", format_args!(";{}", "a".repeat(length)));
    assert_eq!(decode(Framing::Chunked, with(4095)), complete("x", ""));
    assert_eq!(decode(Framing::Chunked, with(4096)), Outcome::Refused("chunk-extensions-too-long"));
}

#[test]
fn trailers_that_could_change_the_message_are_dropped() {
    let outcome = decode(Framing::Chunked, "0\r\nContent-Length: 5\r\nGrpc-Status: 0\r\nHost: b\r\n\r\n");
    let trailers = [("grpc-status", "0")];
    let trailers = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    assert_eq!(outcome, Outcome::Complete { data: String::new(), trailers, rest: String::new() });

    let dropped = "0\r\nAuthorization: x\r\nX-Forwarded-For: y\r\nIf-Match: z\r\n\r\nGET";
    assert_eq!(decode(Framing::Chunked, dropped), complete("", "GET"));
}

#[test]
fn the_end_of_the_connection_ends_only_content_without_another_end() {
    for (framing, allowed) in [
        (Framing::UntilClose, Ok(())),
        (Framing::None, Ok(())),
        (Framing::Length(0), Ok(())),
        (Framing::Length(1), Err(Refusal::UnexpectedEnd)),
        (Framing::Chunked, Err(Refusal::UnexpectedEnd)),
    ] {
        let mut decoder = Decoder::new(framing, &Limits::default());
        assert_eq!(decoder.end_of_input(), allowed, "{framing:?}");
        assert_eq!(decoder.is_done(), allowed.is_ok(), "{framing:?}");
    }
}

#[test]
fn content_until_close_takes_everything() {
    let mut input = BytesMut::from("abc");
    let mut decoder = Decoder::new(Framing::UntilClose, &Limits::default());
    assert_eq!(decoder.decode(&mut input).unwrap(), Decoded::Data(Bytes::from_static(b"abc")));
    assert_eq!(decoder.decode(&mut input).unwrap(), Decoded::More);
    assert_eq!(decoder.remaining(), None);
    decoder.end_of_input().unwrap();
    assert_eq!(decoder.decode(&mut input).unwrap(), Decoded::Done);
}

#[test]
fn what_remains_is_known_where_the_length_is() {
    let mut input = BytesMut::from("abc");
    let mut decoder = Decoder::new(Framing::Length(5), &Limits::default());
    assert_eq!(decoder.remaining(), Some(5));
    decoder.decode(&mut input).unwrap();
    assert_eq!(decoder.remaining(), Some(2));
    assert_eq!(Decoder::new(Framing::Chunked, &Limits::default()).remaining(), None);
    assert_eq!(Decoder::new(Framing::None, &Limits::default()).remaining(), Some(0));
}
