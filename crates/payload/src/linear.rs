//! Tests that nothing here costs more than its size: what is twice as long is not looked at four times as often.

use crate::arguments::Arguments;
use crate::cookies::{self, Format};
use crate::multipart::{self, Multipart};
use crate::scan::work;
use crate::transform::Transformation;
use crate::{json, phrases, sqli, validate, xss};

/// Pieces of which bodies are made by repetition, the nastier the better.
const PIECES: &[&str] = &[
    "a",
    "%",
    "%4",
    "+",
    "&",
    "=",
    "\\",
    "\\\\",
    "\\'",
    "'",
    "\"",
    "`",
    "''",
    "/*",
    "*/",
    "/*/",
    "*",
    "--",
    "-",
    "-\0",
    "->",
    "<",
    "<!--",
    "<!-- -",
    "<![CDATA[",
    "]]",
    "<%",
    "%>",
    "</",
    "<a",
    "<a ",
    "a=",
    "a=b ",
    "a='",
    "=\"",
    "/",
    "./",
    "../",
    "a/../",
    "//",
    "&#",
    "&#x0",
    "&a",
    "#",
    "$",
    "$$",
    "$a$",
    "$a",
    "@",
    "@@`",
    "[",
    "]",
    "{",
    "{a",
    "}",
    "(",
    ")",
    "((",
    ";",
    ";;",
    ",",
    "1,",
    "-1,",
    "1+",
    "n'",
    "q'a",
    "u&'",
    "x'1",
    "b'0",
    "0x",
    "1e",
    ".",
    "a.",
    "union ",
    "a b ",
    "sp_pass",
    " ",
    "\n",
    "\r\n",
    "\0",
    "{\"a\":",
    "[1,",
    "\"a\",",
    "{\"aaaaaaaa\":[",
    "[]",
    "[[],",
    "\"\\u0041",
    "|4",
    "|41|",
    ";a=",
    "a=\"",
    "$a=b;",
    "--B\r\n",
    "--B",
    "a: b\r\n",
    " b\r\n",
    "javascript:",
    "&#10;",
    "href=",
];

const PART: &str = "--B\r\nContent-Disposition: form-data; name=a\r\n";

fn repeated(piece: &str, length: usize) -> Vec<u8> {
    piece.bytes().cycle().take(length).collect()
}

fn is_linear(what: &str, heads: &[&str], run: impl Fn(&[u8])) {
    for head in heads {
        for piece in PIECES {
            let body = |length| [head.as_bytes(), &repeated(piece, length)].concat();
            let (small, large) = (body(1_000), body(8_000));
            let (before, after) = (work(|| run(&small)), work(|| run(&large)));
            assert!(after <= before * 9 + 10_000, "{what} of {head:?} and {piece:?}: {before}, {after}");
            assert!(after <= large.len() * 200, "{what} of {head:?} and {piece:?}: {after}");
        }
    }
}

#[test]
fn detectors_look_at_each_byte_a_bounded_number_of_times() {
    is_linear("sqli", &["", "<a "], |value| {
        sqli(value);
    });
    is_linear("xss", &["", "<a "], |value| {
        xss(value);
    });
}

#[test]
fn transformations_look_at_each_byte_a_bounded_number_of_times() {
    for transformation in Transformation::ALL {
        is_linear(transformation.name(), &[""], |value| {
            transformation.apply(value, &mut Vec::new());
        });
    }
}

#[test]
fn bodies_are_looked_at_a_bounded_number_of_times() {
    is_linear("form", &[""], |body| drop(Arguments::of_form(body, b'&', usize::MAX)));
    is_linear("cookies", &[""], |body| drop(cookies::read(body, Format::Netscape, b';')));
    is_linear("new cookies", &[""], |body| drop(cookies::read(body, Format::Rfc2109, b';')));
    let limits = json::Limits { depth: usize::MAX, arguments: usize::MAX, names: 0 };
    is_linear("json", &["", "{\"aaaaaaaaaaaaaaaa\":["], |body| drop(json::read(body, &limits)));
    let content_type = b"multipart/form-data; boundary=B";
    is_linear("multipart", &["", PART], |body| {
        drop(Multipart::read(Some(content_type), body, &multipart::Limits::default()));
    });
    let dashes = format!("multipart/form-data; boundary={}", "-".repeat(900));
    is_linear("multipart", &["", PART], |body| {
        drop(Multipart::read(Some(dashes.as_bytes()), body, &multipart::Limits::default()));
    });
}

#[test]
fn validators_look_at_each_byte_a_bounded_number_of_times() {
    is_linear("urls", &[""], |value| {
        validate::url_fault(value);
    });
    is_linear("phrases", &[""], |value| drop(phrases::of_file(value)));
}
