//! HTTP/1.1 messages: any bytes are a message or refused, however they arrive, and what is written again reads alike.
#![no_main]

use bytes::{Bytes, BytesMut};
use http::Method;
use http1::{Decoded, Decoder, Framing, Limits, Refusal, parse_request, parse_response, write_request};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { head_bytes: 512, headers: 8, uri_bytes: 64 };

fuzz_target!(|input: &[u8]| {
    let Some((&step, input)) = input.split_first() else { return };
    let step = usize::from(step).max(1);
    request(input, step);
    for method in [Method::GET, Method::HEAD, Method::CONNECT] {
        if let Ok(Some((head, length))) = parse_response(input, &method, &LIMITS) {
            content(&input[length..], head.framing, step);
        }
    }
});

fn request(input: &[u8], step: usize) {
    let whole = parse_request(input, &LIMITS);
    // Once decided, more bytes change nothing.
    for end in (0..input.len()).step_by(step) {
        match (parse_request(&input[..end], &LIMITS), &whole) {
            (Ok(None), _) => {}
            (Ok(Some((_, early))), Ok(Some((_, length)))) => assert_eq!(early, *length),
            (Err(early), Err(late)) => assert_eq!(early, *late),
            (early, _) => panic!("{early:?} after {end} bytes, but {whole:?} after all"),
        }
    }
    let Ok(Some((head, length))) = whole else { return };
    content(&input[length..], head.framing, step);

    let mut written = BytesMut::new();
    let target = head.uri.to_string();
    write_request(&mut written, &head.method, &target, &head.headers, head.framing);
    if written.len() < LIMITS.head_bytes {
        let again = parse_request(&written, &Limits { headers: 16, uri_bytes: 128, ..LIMITS });
        let (again, length) = again.expect("what is written is unambiguous").expect("what is written is whole");
        assert_eq!(length, written.len());
        assert_eq!((again.method, again.framing), (head.method, head.framing));
        assert_eq!(again.uri.to_string(), target);
    }
}

/// Content is the same in one piece and in many.
fn content(bytes: &[u8], framing: Framing, step: usize) {
    let at_once = decode(bytes, framing, bytes.len().max(1));
    assert_eq!(at_once, decode(bytes, framing, step));
}

/// The content, how it ended, and what is left; nothing of a message that was refused matters.
fn decode(bytes: &[u8], framing: Framing, step: usize) -> Result<(Vec<u8>, bool, Vec<u8>), Refusal> {
    let mut decoder = Decoder::new(framing, &LIMITS);
    let (mut content, mut input) = (Vec::new(), BytesMut::new());
    let mut pieces = bytes.chunks(step);
    loop {
        match decoder.decode(&mut input)? {
            Decoded::Data(data) => take(&mut content, &data),
            Decoded::Trailers(_) => {}
            Decoded::Done => break,
            Decoded::More => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => break,
            },
        }
    }
    for piece in pieces {
        input.extend_from_slice(piece);
    }
    Ok((content, decoder.is_done(), input.to_vec()))
}

fn take(content: &mut Vec<u8>, data: &Bytes) {
    assert!(!data.is_empty(), "data is never empty, or a reader would spin");
    content.extend_from_slice(data);
}
