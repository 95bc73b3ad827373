//! POST to a service, by the client that backends are asked with.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use alarm::Alarm;
use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Limited};
use model::document::Named;
use model::logs::BodyCompression;
use model::units::{Size, Span};
use model::upstream::{Breaker, ClientTls, HostHeader, Retries, Target, Timeouts, Upstream as Settings};
use pipeline::Body;
use problem::{Finding, Pointer};
use upstream::{Outgoing, Upstream};

use super::{PATIENCE, Sent};

/// A service that is posted to.
pub(crate) struct Post {
    upstream: Upstream,
    target: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    content_type: &'static str,
    compression: BodyCompression,
}

/// What a sink's settings say of the service.
pub(crate) struct Service<'a> {
    pub(crate) url: &'a str,
    pub(crate) headers: &'a Named<String>,
    pub(crate) tls: &'a ClientTls,
    pub(crate) compression: BodyCompression,
}

/// An answer that means neither that all was taken nor that anything is wrong.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

impl Post {
    /// A service at `path` below its URL, or what is wrong with it.
    pub(crate) fn compile(
        service: &Service<'_>,
        path: &str,
        content_type: &'static str,
        at: &Pointer,
    ) -> Result<Self, Vec<Finding>> {
        let url_at = at.at("url");
        let wrong = |message: String| vec![Finding::new(&url_at, message)];
        let advice = "write a URL such as `https://logs.example`";
        let url: Uri = service.url.parse().map_err(|error| wrong(format!("is no URL ({error}): {advice}")))?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(wrong(format!("has no scheme or no host: {advice}")));
        };
        let target = match path {
            "" => url.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            _ if url.query().is_some() => return Err(wrong(format!("has a query: {advice}"))),
            path => format!("{}{path}", url.path().trim_end_matches('/')),
        };
        let target = target.parse().map_err(|error| wrong(format!("has no path ({error}): {advice}")))?;
        let settings = settings(format!("{scheme}://{authority}"), service.tls);
        let upstream = Upstream::compile("logs", &settings, at).map_err(|found| {
            let tls = at.at("tls").to_string();
            // Whatever is wrong and is not of TLS is wrong with the URL.
            let of = |found: Finding| {
                if found.at.to_string().starts_with(&tls) { found } else { Finding::new(&url_at, found.message) }
            };
            found.into_iter().map(of).collect::<Vec<_>>()
        })?;
        let headers = crate::plan::headers(service.headers, at)?;
        Ok(Self { upstream, target, headers, content_type, compression: service.compression })
    }

    /// A body as it is sent.
    pub(crate) fn compressed(&self, body: Vec<u8>) -> Bytes {
        let packed = match self.compression {
            BodyCompression::None => Ok(body),
            BodyCompression::Gzip => gzip(&body),
            BodyCompression::Zstd => zstd::bulk::compress(&body, ZSTD_LEVEL),
        };
        // Memory takes all that is written.
        packed.unwrap_or_default().into()
    }

    /// Posts a body, and reads the answer if its status says success.
    pub(crate) async fn send(&self, body: Bytes) -> Result<Answer, Sent> {
        let mut request = Request::post(self.target.clone()).header(CONTENT_TYPE, self.content_type);
        match self.compression {
            BodyCompression::None => {}
            BodyCompression::Gzip => request = request.header(CONTENT_ENCODING, "gzip"),
            BodyCompression::Zstd => request = request.header(CONTENT_ENCODING, "zstd"),
        }
        let request = request.header(ACCEPT_ENCODING, "identity").body(());
        let (mut head, ()) = request.map(Request::into_parts).map_err(Sent::later)?;
        for (name, value) in &self.headers {
            head.headers.insert(name, value.clone());
        }
        let (alarm, client) = (Alarm::new(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let outgoing = Outgoing { head: &mut head, body: Body::from(body), client, alarm: &alarm, interim: None };
        let answer = self.upstream.send(outgoing).await.map_err(|failed| match failed.cause {
            Some(cause) => Sent::later(cause),
            None => Sent::later(format_args!("{:?}", failed.kind)),
        })?;
        let (head, body) = answer.response.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes);
        let status = head.status;
        match status.as_u16() {
            200..=299 => Ok(Answer { body: body.map_err(Sent::later)? }),
            400 | 413 | 422 => Err(Sent::Unfit(format!("{status}: {}", beginning(&body.unwrap_or_default())))),
            // Whoever forgot a token or a path wants the records all the same, once it is put right.
            _ => Err(Sent::Later {
                after: retry_after(&head.headers),
                why: format!("{status}: {}", beginning(&body.unwrap_or_default())),
            }),
        }
    }
}

/// The beginning of an answer, for the log.
fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned()
}

/// Compresses with little effort: records are much alike.
pub(crate) fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// `Retry-After` in seconds; dates are not worth the trouble here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// One attempt at a time: whether and when to try again is for the shipment to say.
fn settings(target: String, tls: &ClientTls) -> Settings {
    Settings {
        targets: vec![Target::Url(target)],
        balance: model::upstream::Balance::default(),
        health: None,
        ejection: model::upstream::Ejection::default(),
        breaker: Breaker { failures: 0, ..Breaker::default() },
        retries: Retries { attempts: 0, ..Retries::default() },
        timeouts: Timeouts { first_byte: Span::new(PATIENCE), idle: Span::new(PATIENCE), ..Timeouts::default() },
        tls: tls.clone(),
        http: model::upstream::HttpVersion::default(),
        bind: None,
        host: HostHeader::Target,
        keep_alive: model::upstream::KeepAlive::default(),
        dns_refresh: Span::seconds(30),
        head_bytes: Size::new(16 * 1024),
    }
}

/// An answer to `_bulk` has a line for every record.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
const ZSTD_LEVEL: i32 = 1;
