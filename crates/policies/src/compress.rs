//! `compress`: encodes answers as the client can read them, piece by piece as they pass.

use std::sync::Arc;

use bytes::Bytes;
pub use compression::Coding;
use compression::{Encoder, Levels, negotiated};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, response};
use model::units::Size;
use pipeline::{
    ChainBuilder, Exchange, Failure, Flow, OnRequest, OnResponse, OnResponseChunk, Policy, Slot, Stage, Verdict,
};
use problem::{Finding, Pointer, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// Encodes answers as the client can read them: gzip, brotli or zstd.
///
/// An answer stays as it is when it is encoded already, is small, is a part of something (206), has no body, or says
/// `no-transform`. Leave this policy out where an answer holds a secret beside what a client chose: its length would
/// tell (the BREACH attack).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The encodings to offer. Of those that a client likes best, the first here is taken.
    encodings: Vec<Coding>,
    /// Media types to encode: `text/html`, all of a kind as `text/*`, or by suffix as `application/*+json`.
    types: Vec<String>,
    /// Answers that say to be shorter stay as they are.
    min_size: Size,
    /// Effort of gzip, 1 to 9.
    #[schemars(range(min = 1, max = 9))]
    gzip_level: u32,
    /// Effort of brotli, 0 to 7. What is above is for files that are compressed once.
    #[schemars(range(min = 0, max = 7))]
    brotli_level: u32,
    /// Effort of zstd, 1 to 9.
    #[schemars(range(min = 1, max = 9))]
    zstd_level: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            encodings: vec![Coding::Brotli, Coding::Zstd, Coding::Gzip],
            types: DEFAULT_TYPES.map(str::to_owned).to_vec(),
            min_size: Size::new(1024),
            gzip_level: 5,
            brotli_level: 4,
            zstd_level: 3,
        }
    }
}

/// The compiled policy.
pub struct Compress {
    encodings: Vec<Coding>,
    types: Vec<MediaRange>,
    min_size: u64,
    levels: Levels,
    work: Slot<Work>,
}

/// How far an exchange is with its encoding.
enum Work {
    /// The client would like this.
    Wanted(Coding),
    /// The answer is being encoded.
    Underway(Box<Encoder>),
}

impl Policy for Compress {
    const NAME: &'static str = "compress";
    const STAGE: Stage = Stage::Encode;
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        for (key, level, most) in [
            ("gzip_level", config.gzip_level, 9),
            ("brotli_level", config.brotli_level, 7),
            ("zstd_level", config.zstd_level, 9),
        ] {
            let least = u32::from(key != "brotli_level");
            if !(least..=most).contains(&level) {
                return Err(Finding::new(&at.at(key), format!("{level} is no effort from {least} to {most}")));
            }
        }
        if config.encodings.is_empty() {
            return Err(Finding::new(&at.at("encodings"), "names no encoding: write `br`, `zstd` or `gzip`"));
        }
        let range = |(index, range): (usize, &String)| MediaRange::read(range, &at.at("types").at(index));
        Ok(Self {
            types: config.types.iter().enumerate().map(range).collect::<Result<_, _>>()?,
            encodings: config.encodings,
            min_size: config.min_size.bytes(),
            levels: Levels { gzip: config.gzip_level, brotli: config.brotli_level, zstd: config.zstd_level },
            work: chain.slot(),
        })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self.clone());
        chain.on_response(self.clone());
        chain.on_response_chunk(self);
    }
}

impl OnRequest for Compress {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        if exchange.method != Method::HEAD
            && let Some(coding) = negotiated(exchange.headers(), &self.encodings)
        {
            exchange.note(self.work, Work::Wanted(coding));
        }
        Ok(Flow::Next)
    }
}

impl OnResponse for Compress {
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        let wanted = exchange.take(self.work);
        if !self.concerns(head) {
            return;
        }
        // On what goes out as it is too: a cache must not give that to those who want less, nor the other way round.
        vary(&mut head.headers);
        let Some(Work::Wanted(coding)) = wanted.as_deref() else { return };
        let length = length(&head.headers);
        let Ok(encoder) = Encoder::new(*coding, self.levels, length, flushes(&head.headers)) else { return };

        head.headers.insert(header::CONTENT_ENCODING, coding.value());
        for name in &SPOILED {
            head.headers.remove(name);
        }
        weaken(&mut head.headers);
        exchange.note(self.work, Work::Underway(Box::new(encoder)));
    }
}

impl OnResponseChunk for Compress {
    fn on_response_chunk(&self, exchange: &mut Exchange, chunk: Bytes) -> Result<Bytes, Failure> {
        match exchange.noted_mut(self.work) {
            Some(Work::Underway(encoder)) => Ok(encoder.encode(&chunk)?),
            Some(Work::Wanted(_)) | None => Ok(chunk),
        }
    }

    fn on_response_end(&self, exchange: &mut Exchange) -> Result<Bytes, Failure> {
        match exchange.take(self.work).map(|work| *work) {
            Some(Work::Underway(encoder)) => Ok(encoder.finish()?),
            Some(Work::Wanted(_)) | None => Ok(Bytes::new()),
        }
    }
}

impl Compress {
    /// Whether an answer is one that could be encoded, whoever asks.
    fn concerns(&self, head: &response::Parts) -> bool {
        let bodiless = matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
        );
        let headers = &head.headers;
        // The gateway's own problems are short.
        !bodiless
            && !head.status.is_informational()
            && !headers.contains_key(header::CONTENT_ENCODING)
            && !headers.contains_key(header::CONTENT_RANGE)
            && head.extensions.get::<&'static ProblemKind>().is_none()
            && length(headers).is_none_or(|length| length >= self.min_size)
            && media_type(headers).is_some_and(|kind| self.types.iter().any(|range| range.holds(kind)))
            && !lists(headers, &header::CACHE_CONTROL, "no-transform")
    }
}

/// Media types as settings name them.
enum MediaRange {
    Exact(String),
    /// `text/`.
    Kind(String),
    /// `application/` and `+json`.
    Suffix(String, String),
}

impl MediaRange {
    fn read(range: &str, at: &Pointer) -> Result<Self, Finding> {
        let wrong = || {
            Finding::new(
                at,
                format!("`{range}` is no media type; write one such as `text/html`, `text/*` or `application/*+json`"),
            )
        };
        let lower = range.to_ascii_lowercase();
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        let (kind, name) = lower.split_once('/').filter(|(kind, _)| is_name(kind)).ok_or_else(wrong)?;
        match name.strip_prefix('*') {
            Some("") => Ok(Self::Kind(format!("{kind}/"))),
            Some(suffix) if suffix.starts_with('+') && is_name(suffix) => {
                Ok(Self::Suffix(format!("{kind}/"), suffix.to_owned()))
            }
            None if is_name(name) => Ok(Self::Exact(lower)),
            _ => Err(wrong()),
        }
    }

    fn holds(&self, media_type: &str) -> bool {
        let starts = |with: &str| media_type.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        match self {
            Self::Exact(known) => media_type.eq_ignore_ascii_case(known),
            Self::Kind(kind) => starts(kind),
            Self::Suffix(kind, suffix) => {
                let end = media_type.len().checked_sub(suffix.len()).and_then(|from| media_type.get(from..));
                starts(kind) && end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
        }
    }
}

/// The media type without its parameters.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether a header that is a list has this word in it.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Whether what comes is meant to be read as it comes, so that nothing may be held back.
fn flushes(headers: &HeaderMap) -> bool {
    let streamed = ["text/event-stream", "application/x-ndjson", "application/jsonl", "application/json-seq"];
    media_type(headers).is_some_and(|kind| streamed.iter().any(|known| kind.eq_ignore_ascii_case(known)))
        || lists(headers, &HeaderName::from_static("x-accel-buffering"), "no")
}

fn vary(headers: &mut HeaderMap) {
    if !lists(headers, &header::VARY, "accept-encoding") && !lists(headers, &header::VARY, "*") {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// A strong `ETag` promises the same bytes (RFC 9110, section 8.8.1), which these no longer are.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else { return };
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => headers.insert(header::ETAG, weak),
        Err(_) => headers.remove(header::ETAG),
    };
}

/// Headers about the bytes as they were.
const SPOILED: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// What is text, under names of all kinds.
const DEFAULT_TYPES: [&str; 9] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/xml",
    "application/*+xml",
    "application/javascript",
    "application/x-ndjson",
    "application/wasm",
    "image/svg+xml",
];

#[cfg(test)]
mod tests;
