//! Reads and writes one head many times, to be run by `valgrind --tool=callgrind`.

use std::hint::black_box;

use bytes::BytesMut;
use http1::{Framing, Limits, parse_request, write_request};

const HEAD: &[u8] = b"GET /orders/4711?expand=items HTTP/1.1\r\n\
Host: api.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0\r\n\
Accept: application/json, text/plain;q=0.9, */*;q=0.8\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
X-Api-Key: vst_live_0123456789abcdefghijklmnop\r\n\
X-Request-Id: 0190f1c2-7d6a-7c3e-9f3e-0123456789ab\r\n\
Cookie: session=0123456789abcdef; theme=dark\r\n\
Connection: keep-alive\r\n\r\n";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(1000);
    let limits = Limits::default();
    let mut out = BytesMut::with_capacity(4096);
    let unfinished = HEAD.strip_suffix(b"\r\n").unwrap_or_default();
    let Ok(Some((head, _))) = parse_request(HEAD, &limits) else { return };
    for _ in 0..rounds {
        match task.as_str() {
            "parse" => drop(black_box(parse_request(black_box(HEAD), &limits))),
            "write" => {
                out.clear();
                write_request(
                    &mut out,
                    &head.method,
                    "/orders/4711?expand=items",
                    black_box(&head.headers),
                    Framing::None,
                );
            }
            _ => drop(black_box(parse_request(black_box(unfinished), &limits))),
        }
    }
}
