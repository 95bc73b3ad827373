use std::io::Read;

use http::Response;
use pipeline::Body;
use pipeline::tester::{Answer, policy};
use serde_json::{Value, json};

use super::*;

const TEXT: &str = "All work and no play makes Jack a dull boy. ";

fn upstream(change: impl FnOnce(response::Builder) -> response::Builder) -> Response<Body> {
    let body = TEXT.repeat(100);
    let builder = Response::builder().header("content-type", "text/html; charset=utf-8");
    change(builder.header("content-length", body.len())).body(Body::from(Bytes::from(body))).unwrap()
}

fn answered(settings: Value, accepted: &str, upstream: Response<Body>) -> Answer {
    policy::<Compress>(settings).request().header("accept-encoding", accepted).answered(upstream)
}

fn encoding(answer: &Answer) -> Option<&str> {
    answer.headers.get("content-encoding").map(|value| value.to_str().unwrap())
}

#[test]
fn an_answer_is_encoded_as_the_client_likes_it() {
    for accepted in ["gzip", "br", "zstd"] {
        let answer = answered(json!({}), accepted, upstream(|builder| builder));

        assert_eq!(encoding(&answer), Some(accepted));
        assert_eq!(answer.headers["vary"], "Accept-Encoding");
        assert!(!answer.headers.contains_key("content-length"));
        assert!(answer.body.len() < 300, "{} bytes", answer.body.len());
        let mut decoded = String::new();
        match accepted {
            "gzip" => flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut decoded).unwrap(),
            "br" => brotli::Decompressor::new(&*answer.body, 4096).read_to_string(&mut decoded).unwrap(),
            _ => zstd::stream::read::Decoder::new(&*answer.body).unwrap().read_to_string(&mut decoded).unwrap(),
        };
        assert_eq!(decoded, TEXT.repeat(100));
    }
}

#[test]
fn what_was_said_of_the_bytes_is_taken_back() {
    let answer = answered(
        json!({}),
        "gzip",
        upstream(|builder| {
            let builder = builder.header("etag", "\"abc\"").header("accept-ranges", "bytes");
            builder.header("content-digest", "sha-256=:x:").header("vary", "Accept-Encoding, Origin")
        }),
    );
    assert_eq!(answer.headers["etag"], "W/\"abc\"");
    assert_eq!(answer.headers["vary"], "Accept-Encoding, Origin");
    assert!(!answer.headers.contains_key("accept-ranges"));
    assert!(!answer.headers.contains_key("content-digest"));

    let weak = answered(json!({}), "gzip", upstream(|builder| builder.header("etag", "W/\"abc\"")));
    assert_eq!(weak.headers["etag"], "W/\"abc\"");
}

#[test]
fn an_answer_that_must_not_change_stays_as_it_is() {
    type Change = fn(response::Builder) -> response::Builder;
    let cases: [(&str, Change); 7] = [
        ("encoded already", |builder| builder.header("content-encoding", "gzip")),
        ("a part", |builder| builder.status(206).header("content-range", "bytes 0-9/100")),
        ("not modified", |builder| builder.status(304)),
        ("no content", |builder| builder.status(204)),
        ("no-transform", |builder| builder.header("cache-control", "public, No-Transform")),
        ("a picture", |mut builder| {
            builder.headers_mut().unwrap().insert("content-type", HeaderValue::from_static("image/png"));
            builder
        }),
        ("small", |mut builder| {
            builder.headers_mut().unwrap().insert("content-length", HeaderValue::from_static("1023"));
            builder
        }),
    ];
    for (case, change) in cases {
        let before = upstream(change);
        let headers = before.headers().clone();
        let answer = answered(json!({}), "gzip", before);
        assert_eq!(answer.headers, headers, "{case}");
        assert_eq!(answer.body.len(), TEXT.len() * 100, "{case}");
    }
}

#[test]
fn an_answer_to_head_stays_as_it_is() {
    let compress = policy::<Compress>(json!({}));
    let answer = compress.request().by("HEAD").header("accept-encoding", "gzip").answered(upstream(|builder| builder));
    assert_eq!(encoding(&answer), None);
    assert!(answer.headers.contains_key("content-length"));
}

#[test]
fn an_answer_to_a_client_that_reads_no_encoding_varies_all_the_same() {
    let answer = policy::<Compress>(json!({})).request().answered(upstream(|builder| builder));
    assert_eq!(encoding(&answer), None);
    assert_eq!(answer.headers["vary"], "Accept-Encoding");
    assert_eq!(answer.body.len(), TEXT.len() * 100);
}

#[test]
fn settings_say_which_encodings_types_and_sizes() {
    let only_gzip = json!({ "encodings": ["gzip"], "types": ["application/*+json"], "min_size": "0B" });
    let body =
        |kind: &str| Response::builder().header("content-type", kind).body(Body::from(Bytes::from("{}"))).unwrap();

    assert_eq!(encoding(&answered(only_gzip.clone(), "br, gzip", body("application/hal+JSON"))), Some("gzip"));
    assert_eq!(encoding(&answered(only_gzip.clone(), "br, gzip", body("application/json"))), None);
    assert_eq!(encoding(&answered(only_gzip, "br", body("application/hal+json"))), None);
}

#[test]
fn mistakes_are_findings() {
    for (settings, expected) in [
        (json!({ "encodings": [] }), "/with/encodings: names no encoding"),
        (json!({ "encodings": ["deflate"] }), "unknown variant `deflate`"),
        (json!({ "gzip_level": 0 }), "/with/gzip_level: 0 is no effort from 1 to 9"),
        (json!({ "brotli_level": 11 }), "/with/brotli_level: 11 is no effort from 0 to 7"),
        (json!({ "types": ["text"] }), "/with/types/0: `text` is no media type"),
        (json!({ "types": ["*/*"] }), "/with/types/0: `*/*` is no media type"),
        (json!({ "types": ["text/*html"] }), "/with/types/0: `text/*html` is no media type"),
    ] {
        let finding = policy::<Compress>(settings).finding();
        assert!(finding.contains(expected), "{finding}");
    }
}
