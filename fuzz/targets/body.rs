//! Bodies and arguments: whatever is sent is read, and what is found stands within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use payload::arguments::Arguments;
use payload::cookies::{self, Format};
use payload::multipart::{self, Multipart};
use payload::{json, phrases, validate, xml};

fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = input.split_first() else { return };
    match kind % 6 {
        0 => bounded(&Arguments::of_form(body, b'&', 50), body),
        1 => {
            // As many as there are; what is made of them is not larger by more than a few names.
            for format in [Format::Netscape, Format::Rfc2109] {
                let read = cookies::read(body, format, b';');
                assert!(read.len() <= body.len() + 1);
                small(&read, body);
            }
        }
        2 => {
            let limits = json::Limits { depth: 20, arguments: 50, names: 4096 };
            bounded(&json::read(body, &limits).arguments, body);
        }
        3 => {
            let (head, body) = body.split_at(body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len()));
            let limits = multipart::Limits { parts: 50, headers: 20, files: Some(2) };
            let read = Multipart::read(Some(head), body, &limits);
            assert!(read.parts.len() <= 50);
            assert!(read.parts.iter().all(|part| body.get(part.data.clone()).is_some()));
            bounded(&read.arguments(50), body);
        }
        4 => {
            let read = xml::read(body, &xml::Limits { depth: 20, nodes: 100 });
            for path in ["/*", "//@*", "//*", "//text()", "/a//b/@c"] {
                let path = xml::Path::parse(path).expect("a simple path");
                assert!(read.values(&path).len() <= 300);
            }
        }
        _ => {
            let text = std::str::from_utf8(body).is_ok();
            assert!(!text || validate::utf8_fault(body).is_none());
            validate::url_fault(body);
            phrases::of_parameter(body);
            phrases::of_file(body);
        }
    }
});

fn bounded(arguments: &Arguments, source: &[u8]) {
    assert!(arguments.len() <= 50);
    small(arguments, source);
}

fn small(arguments: &Arguments, source: &[u8]) {
    let all: usize = arguments.iter(source).map(|(name, value)| name.len() + value.len()).sum();
    assert!(all <= source.len() * 51 + 4096 * 51);
}
