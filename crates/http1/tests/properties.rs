//! What holds for all input: no panic, no dependence on how bytes arrive, no ambiguity in what is written.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use http1::{
    CHUNK_END, Decoded, Decoder, Framing, Limits, Refusal, RequestHead, ResponseFraming, parse_request, parse_response,
    write_chunk_size, write_last_chunk, write_request, write_response,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// Small enough that random heads reach them.
const LIMITS: Limits = Limits { head_bytes: 180, headers: 5, uri_bytes: 30 };

/// Pieces from which most attacks on framing can be put together.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = select(vec![
        "GET ",
        "POST ",
        "CONNECT ",
        "OPTIONS ",
        "/",
        "*",
        "a:443",
        "http://a",
        "#",
        "?b=c",
        " HTTP/1.1",
        " HTTP/1.0",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 204",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r",
        "\n",
        " ",
        "\t",
        "\0",
        ":",
        ": ",
        ",",
        "Host: a",
        "Host",
        "Content-Length: 5",
        "Content-Length",
        "5",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding",
        "chunked",
        "gzip",
        "Connection: close",
        "Connection: upgrade",
        "Upgrade: b",
        "Expect: 100-continue",
        "X: y",
        ";",
    ]);
    let piece = prop_oneof![9 => pieces.prop_map(|piece| piece.as_bytes().to_vec()), 1 => vec(any::<u8>(), 1..3)];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// Heads that are valid or wrong in one place.
fn nearly_valid(start_lines: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let field = select(vec![
        "Host: a",
        "host: b:80",
        "Content-Length: 5",
        "content-length: 0",
        "Transfer-Encoding: chunked",
        "X-A: b",
        "X-A:c",
        "X-A:\t d \t",
        "X-Empty:",
        "Connection: close",
        "Connection: Upgrade, keep-alive",
        "Upgrade: x",
        "Cookie: a=b; c",
        "Expect: 100-continue",
        "Accept: \u{fc}",
    ]);
    let mistake = (any::<prop::sample::Index>(), select(b"\r\n\0 \t:\x7f\xffaA5,".to_vec()));
    (select(start_lines), vec(field, 0..5), any::<bool>(), prop::option::weighted(0.5, mistake)).prop_map(
        |(start_line, fields, with_host, mistake)| {
            let host = if with_host { "Host: a\r\n" } else { "" };
            let fields = fields.join("\r\n");
            let end = if fields.is_empty() { "" } else { "\r\n" };
            let mut head = format!("{start_line}\r\n{host}{fields}{end}\r\n").into_bytes();
            if let Some((at, byte)) = mistake {
                let at = at.index(head.len());
                head.splice(at..=at, [byte]);
            }
            head
        },
    )
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let lines = &[
        "GET / HTTP/1.1",
        "POST /a?b=c HTTP/1.1",
        "GET / HTTP/1.0",
        "GET http://a/ HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "BREW /%20;x HTTP/1.1",
        "\r\nGET / HTTP/1.1",
    ];
    prop_oneof![hostile(), nearly_valid(lines)]
}

fn responses() -> impl Strategy<Value = Vec<u8>> {
    let lines = &[
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 204",
        "HTTP/1.1 304 ",
        "HTTP/1.1 100 Continue",
        "HTTP/1.1 599 x",
    ];
    prop_oneof![hostile(), nearly_valid(lines)]
}

fn methods() -> impl Strategy<Value = Method> {
    select(vec![Method::GET, Method::HEAD, Method::CONNECT, Method::POST])
}

/// The first answer other than "more" when one byte after another arrives.
fn byte_by_byte<T>(input: &[u8], parse: impl Fn(&[u8]) -> Result<Option<T>, Refusal>) -> Result<Option<T>, Refusal> {
    let early = (0..input.len()).find_map(|end| parse(input.get(..end)?).transpose());
    early.map_or_else(|| parse(input), |answer| answer.map(Some))
}

fn reads_the_same(one: &RequestHead, other: &RequestHead) -> bool {
    let without_own = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        for name in ["connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection"] {
            headers.remove(name);
        }
        headers
    };
    one.method == other.method
        && one.uri.to_string() == other.uri.to_string()
        && without_own(&one.headers) == without_own(&other.headers)
        && one.framing == other.framing
        && one.expect_continue == other.expect_continue
        && one.upgrade == other.upgrade
}

/// All data, the trailers and what is left, when `input` arrives in pieces of these lengths.
fn decoded(input: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), Refusal> {
    let mut decoder = Decoder::new(Framing::Chunked, &LIMITS);
    let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
    let (mut rest, mut buffer) = (input, BytesMut::new());
    for length in pieces.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        buffer.extend_from_slice(piece);
        rest = after;
        loop {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                Decoded::Trailers(map) => trailers = map,
                Decoded::Done => {
                    buffer.extend_from_slice(rest);
                    return Ok((data, trailers, buffer.to_vec()));
                }
                Decoded::More => break,
            }
        }
    }
    decoder.end_of_input().map(|()| (data, trailers, Vec::new()))
}

fn chunked(parts: &[Vec<u8>], trailers: Option<&HeaderMap>) -> BytesMut {
    let mut out = BytesMut::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        write_chunk_size(&mut out, part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(CHUNK_END);
    }
    write_last_chunk(&mut out, trailers);
    out
}

#[expect(clippy::unwrap_used, reason = "a helper of tests only")]
fn header_maps() -> impl Strategy<Value = HeaderMap> {
    let name = "[a-z][a-z0-9-]{0,12}".prop_map(|name| HeaderName::try_from(format!("x-{name}")).unwrap());
    let value = vec(prop_oneof![b'!'..=b'~', 0x80_u8..=0xff], 0..9);
    let value = value.prop_map(|value| HeaderValue::try_from(value).unwrap());
    vec((name, value), 0..4).prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(input: Vec<u8>, length: u64) {
        let limits = Limits::default();
        let _request = parse_request(&input, &limits);
        let _response = parse_response(&input, &Method::GET, &limits);
        for framing in [Framing::None, Framing::Length(length), Framing::Chunked, Framing::UntilClose] {
            let mut decoder = Decoder::new(framing, &limits);
            let mut buffer = BytesMut::from(&*input);
            while matches!(decoder.decode(&mut buffer), Ok(Decoded::Data(_) | Decoded::Trailers(_))) {}
        }
    }

    #[test]
    fn a_request_reads_the_same_however_it_arrives(input in requests()) {
        let whole = parse_request(&input, &LIMITS);
        let arriving = byte_by_byte(&input, |seen| parse_request(seen, &LIMITS));
        prop_assert_eq!(format!("{whole:?}"), format!("{arriving:?}"));
    }

    #[test]
    fn a_response_reads_the_same_however_it_arrives(input in responses(), method in methods()) {
        let whole = parse_response(&input, &method, &LIMITS);
        let arriving = byte_by_byte(&input, |seen| parse_response(seen, &method, &LIMITS));
        prop_assert_eq!(format!("{whole:?}"), format!("{arriving:?}"));
    }

    #[test]
    fn an_accepted_request_is_written_so_that_it_reads_the_same(input in requests()) {
        let Ok(Some((head, _))) = parse_request(&input, &Limits::default()) else { return Ok(()) };
        let mut out = BytesMut::new();
        let mut headers = head.headers.clone();
        // A request of HTTP/1.0 may have no `Host`, which who forwards it has to add.
        if !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, HeaderValue::from_static("a"));
        }
        let forwarded = RequestHead { headers, ..head };
        if forwarded.version == Version::HTTP_11 {
            write_request(&mut out, &forwarded.method, &forwarded.uri.to_string(), &forwarded.headers, forwarded.framing);
            let (again, consumed) = parse_request(&out, &Limits::default()).unwrap().unwrap();
            prop_assert_eq!(consumed, out.len());
            prop_assert!(reads_the_same(&forwarded, &again), "{:?}\n{:?}", forwarded, again);
        }
    }

    #[test]
    fn an_accepted_response_is_written_so_that_it_reads_the_same(input in responses(), method in methods()) {
        let Ok(Some((head, _))) = parse_response(&input, &method, &Limits::default()) else { return Ok(()) };
        prop_assume!(!head.status.is_informational());
        let mut out = BytesMut::new();
        let framing = match head.framing {
            Framing::None => ResponseFraming::HeadOnly(None),
            framing => framing.into(),
        };
        write_response(&mut out, head.status, Version::HTTP_11, &head.headers, framing, None, DATE);
        let (again, consumed) = parse_response(&out, &method, &Limits::default()).unwrap().unwrap();
        prop_assert_eq!(consumed, out.len());
        prop_assert_eq!((head.status, head.framing), (again.status, again.framing));
        for (name, value) in &again.headers {
            let is_own = ["date", "connection", "content-length", "transfer-encoding"].contains(&name.as_str());
            prop_assert!(is_own || head.headers.get_all(name).iter().any(|sent| sent == value));
        }
    }

    #[test]
    fn written_requests_are_read_as_they_were_meant(headers in header_maps(), target in "/[ -~\u{e4}\r\n]{0,20}", length: u64) {
        let mut headers = headers;
        headers.insert(header::HOST, HeaderValue::from_static("a"));
        let mut out = BytesMut::new();
        write_request(&mut out, &Method::PUT, &target, &headers, Framing::Length(length));
        match parse_request(&out, &Limits::default()) {
            Ok(Some((head, consumed))) => {
                prop_assert_eq!(consumed, out.len());
                prop_assert_eq!(head.framing, Framing::Length(length));
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                prop_assert_eq!(head.headers, headers);
            }
            // What a URI cannot hold is refused, not taken for something else.
            Err(Refusal::BadTarget(_)) => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn written_responses_are_read_as_they_were_meant(headers in header_maps(), status in 200_u16..600) {
        prop_assume!(![204, 304].contains(&status));
        let mut out = BytesMut::new();
        let status = StatusCode::from_u16(status).unwrap();
        write_response(&mut out, status, Version::HTTP_11, &headers, Framing::Chunked, None, DATE);
        let (head, _) = parse_response(&out, &Method::GET, &Limits::default()).unwrap().unwrap();
        prop_assert_eq!((head.status, head.framing, head.keep_alive), (status, Framing::Chunked, true));
        for (name, value) in &headers {
            prop_assert!(head.headers.get_all(name).iter().any(|read| read == value));
        }
    }

    #[test]
    fn chunks_are_decoded_to_what_was_encoded(
        parts in vec(vec(any::<u8>(), 0..40), 0..6),
        trailers in header_maps(),
        pieces in vec(0..20_usize, 0..60),
    ) {
        let mut input = chunked(&parts, Some(&trailers));
        input.extend_from_slice(b"GET");
        prop_assert_eq!(decoded(&input, &pieces), Ok((parts.concat(), trailers, b"GET".to_vec())));
    }

    #[test]
    fn chunks_are_refused_or_read_the_same_however_they_arrive(
        parts in vec(vec(any::<u8>(), 0..20), 0..3),
        trailers in header_maps(),
        mistake: (prop::sample::Index, u8),
        pieces in vec(0..9_usize, 0..60),
    ) {
        let mut input = chunked(&parts, Some(&trailers));
        let at = mistake.0.index(input.len());
        input[at] = mistake.1;
        prop_assert_eq!(decoded(&input, &pieces), decoded(&input, &[]));
    }

    #[test]
    fn content_of_known_length_is_never_copied(content in vec(any::<u8>(), 1..100)) {
        let mut input = BytesMut::from(&*content);
        let place = input.as_ptr();
        let Decoded::Data(data) = Decoder::new(Framing::Length(content.len() as u64), &LIMITS).decode(&mut input).unwrap()
        else { return Err(TestCaseError::fail("no data")) };
        prop_assert_eq!(data.as_ptr(), place);
        prop_assert_eq!(data, Bytes::from(content));
    }
}
