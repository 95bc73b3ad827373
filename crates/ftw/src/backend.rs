//! The backend that tests expect: any path is answered with nothing, and `/reflect` with what it is asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::front::Head;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Answers a request.
pub(crate) fn answer(head: &Head) -> Answer {
    let path = head.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if head.method == b"POST" && path == b"/reflect" {
        return reflected(&head.body).unwrap_or_else(|| plain(400));
    }
    plain(200)
}

fn plain(status: u16) -> Answer {
    Answer { status, headers: vec![("Content-Length".into(), "0".into())], body: Vec::new() }
}

fn reflected(wanted: &[u8]) -> Option<Answer> {
    let wanted: Value = serde_json::from_slice(wanted).ok()?;
    let wanted = wanted.as_object()?;
    let status =
        wanted.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let headers = wanted.get("headers").and_then(Value::as_object);
    let mut headers: Vec<(String, String)> = headers
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let body = match (wanted.get("body").and_then(Value::as_str), wanted.get("encodedBody").and_then(Value::as_str)) {
        (Some(body), _) if !body.is_empty() => body.as_bytes().to_vec(),
        (_, Some(encoded)) => STANDARD.decode(encoded).ok()?,
        _ => Vec::new(),
    };
    let has =
        |headers: &[(String, String)], wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !body.is_empty() && !has(&headers, "Content-Type") {
        headers.push(("Content-Type".into(), sniffed(&body).into()));
    }
    if !has(&headers, "Content-Length") {
        headers.push(("Content-Length".into(), body.len().to_string()));
    }
    Some(Answer { status, headers, body })
}

/// The type that Go's server gives to a body without one, which is the algorithm of WHATWG's MIME sniffing standard.
fn sniffed(body: &[u8]) -> &'static str {
    let head = body.get(..512.min(body.len())).unwrap_or_default();
    let start = head.iter().position(|byte| !matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')).unwrap_or(head.len());
    let text = head.get(start..).unwrap_or_default();
    let begins_tag = |tag: &str| {
        let begins = text.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag.as_bytes()));
        begins && (tag == "<!--" || matches!(text.get(tag.len()), Some(b' ' | b'>')))
    };
    if TAGS.iter().any(|tag| begins_tag(tag)) {
        return "text/html; charset=utf-8";
    }
    if text.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    if let Some((_, kind)) = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)) {
        return kind;
    }
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    if head.iter().any(is_binary) { "application/octet-stream" } else { "text/plain; charset=utf-8" }
}

const TAGS: &[&str] = &[
    "<!DOCTYPE HTML",
    "<HTML",
    "<HEAD",
    "<SCRIPT",
    "<IFRAME",
    "<H1",
    "<DIV",
    "<FONT",
    "<TABLE",
    "<A",
    "<STYLE",
    "<TITLE",
    "<B",
    "<BODY",
    "<BR",
    "<P",
    "<!--",
];

const SIGNATURES: &[(&[u8], &str)] = &[
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xFE\xFF", "text/plain; charset=utf-16be"),
    (b"\xFF\xFE", "text/plain; charset=utf-16le"),
    (b"\xEF\xBB\xBF", "text/plain; charset=utf-8"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\x0D\x0A\x1A\x0A", "image/png"),
    (b"\xFF\xD8\xFF", "image/jpeg"),
    (b"BM", "image/bmp"),
    (b"\x1F\x8B\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1A\x07", "application/x-rar-compressed"),
    (b"\x00\x61\x73\x6D", "application/wasm"),
    (b"OggS\x00", "application/ogg"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"ID3", "audio/mpeg"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_by_the_first_bytes() {
        for (body, kind) in [
            (&b" <html><b>"[..], "text/html; charset=utf-8"),
            (b"<?xml version", "text/xml; charset=utf-8"),
            (b"hello", "text/plain; charset=utf-8"),
            (b"\x1f\x8b\x08\x00", "application/x-gzip"),
            (b"a\x00", "application/octet-stream"),
        ] {
            assert_eq!(sniffed(body), kind);
        }
    }
}
