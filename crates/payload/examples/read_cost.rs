//! What it costs to judge values that people and browsers send, and to take bodies apart: nanoseconds a value or a byte.
//!
//! `cargo run --release -p payload --example read_cost`; the best of several rounds counts, so that a busy machine matters
//! less.

#![expect(clippy::cast_precision_loss, clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use payload::ByteSet;
use payload::arguments::Arguments;
use payload::multipart::{self, Multipart};
use payload::transform::Transformation;
use payload::{json, sqli, xml, xss};

const SENTENCES: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "https://www.example.com/catalog?page=2&sort=price",
    "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    "550e8400-e29b-41d4-a716-446655440000",
    "2026-11-26T01:43:05Z",
    "anna.schmidt@example.com",
    "Patrick O'Brien",
    "+49 170 1234567",
    "The quick brown fox jumps over a lazy dog while our customers order umbrellas.",
    "Please select the shipping from Europe, and note that delivery takes up to five days.",
    "Main Street 17, 2nd floor",
    "sku-000042",
    "19.95",
    "4711",
    "true",
];

fn main() {
    let values: Vec<&[u8]> = SENTENCES.iter().map(|value| value.as_bytes()).collect();
    let each = |what: &str, judge: &dyn Fn(&[u8])| {
        let nanoseconds = best(2000, &|| values.iter().for_each(|value| judge(black_box(value))));
        println!("{what:40} {:9.1} ns a value", nanoseconds / values.len() as f64);
    };
    each("sqli", &|value| {
        black_box(sqli(value));
    });
    each("xss", &|value| {
        black_box(xss(value));
    });
    each("the set of a value's bytes", &|value| {
        black_box(ByteSet::of(value));
    });
    for transformation in Transformation::ALL {
        each(transformation.name(), &|value| {
            black_box(transformation.apply(value, &mut Vec::new()));
        });
    }

    let (form, parts, object, document) = bodies();
    let body = |what: &str, body: &str, read: &dyn Fn(&[u8])| {
        let nanoseconds = best(200, &|| read(black_box(body.as_bytes())));
        println!("{what:40} {:9.2} ns a byte, {} bytes", nanoseconds / body.len() as f64, body.len());
    };
    body("form", &form, &|body| drop(black_box(Arguments::of_form(body, b'&', 1000))));
    let content_type = Some(&b"multipart/form-data; boundary=BOUNDARY"[..]);
    let limits = multipart::Limits::default();
    body("multipart", &parts, &|body| drop(black_box(Multipart::read(content_type, body, &limits))));
    body("json", &object, &|body| drop(black_box(json::read(body, &json::Limits::default()))));
    body("xml", &document, &|body| drop(black_box(xml::read(body, &xml::Limits::default()))));
}

/// The least time that one of several rounds took, by itself.
fn best(rounds: u32, work: &dyn Fn()) -> f64 {
    let time = |_| {
        let begin = Instant::now();
        for _ in 0..rounds {
            work();
        }
        begin.elapsed().as_nanos() as f64 / f64::from(rounds)
    };
    (0..9).map(time).fold(f64::MAX, f64::min)
}

/// Each value several times, as a form, in parts, in objects, in elements.
fn bodies() -> (String, String, String, String) {
    let (mut form, mut parts, mut items, mut elements) = (String::new(), String::new(), String::new(), String::new());
    for (number, value) in SENTENCES.iter().cycle().take(100).enumerate() {
        // Writing into a string does not fail.
        let _written = write!(form, "field{number}={}&", value.replace(' ', "+"));
        let head = format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"field{number}\"\r\n\r\n");
        parts.extend([head.as_str(), value, "\r\n"]);
        let _written = write!(items, "{{\"id\":{number},\"name\":{value:?},\"tags\":[\"red\",\"blue\"],\"ok\":true}},");
        let _written = write!(elements, "<item id=\"{number}\"><name>{}</name></item>", value.replace('&', "&amp;"));
    }
    parts.push_str("--BOUNDARY--\r\n");
    (form, parts, format!("{{\"items\":[{}]}}", items.trim_end_matches(',')), format!("<list>{elements}</list>"))
}
