//! A service that is posted to, by the client that backends are asked with.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use alarm::Alarm;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Limited};
use model::units::{Size, Span};
use model::upstream::{Breaker, HostHeader, Retries, Target, Timeouts, Upstream as Settings};
use pipeline::Body;
use problem::{Finding, Pointer};
use telemetry::export::Sent;
use upstream::{Outgoing, Upstream};

/// A service that is posted to.
pub(crate) struct Receiver {
    upstream: Upstream,
    target: Uri,
    authorization: Option<HeaderValue>,
}

/// What a service is posted at: a path below that of its URL, or the URL itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Below {
    /// This path.
    Path(&'static str),
    /// Nothing.
    Nothing,
}

impl Receiver {
    /// The service at a URL, or what is wrong with that. `advice` says what to write.
    pub(crate) fn of(
        name: &str,
        url: &str,
        below: Below,
        (at, advice): (&Pointer, &str),
    ) -> Result<Self, Vec<Finding>> {
        let wrong = |message: String| vec![Finding::new(at, message)];
        let parsed: Uri = url.parse().map_err(|error| wrong(format!("is no URL ({error}): {advice}")))?;
        let (Some(scheme), Some(authority)) = (parsed.scheme_str(), parsed.authority()) else {
            return Err(wrong(format!("has no scheme or no host: {advice}")));
        };
        if parsed.query().is_some() {
            return Err(wrong(format!("has a query: {advice}")));
        }
        let target = match below {
            Below::Path(path) => format!("{}{path}", parsed.path().trim_end_matches('/')),
            Below::Nothing => parsed.path().to_owned(),
        };
        let target = target.parse().map_err(|error| wrong(format!("has no path ({error}): {advice}")))?;
        let upstream = Upstream::compile(name, &settings(format!("{scheme}://{authority}")), at)
            // Whatever is wrong, it is wrong with this one text.
            .map_err(|found| found.into_iter().map(|finding| Finding::new(at, finding.message)).collect::<Vec<_>>())?;
        Ok(Self { upstream, target, authorization: None })
    }

    /// Presents this as `Authorization`.
    pub(crate) fn authorized(self, authorization: HeaderValue) -> Self {
        Self { authorization: Some(authorization), ..self }
    }

    /// Posts a body once, and says what became of it.
    pub(crate) async fn post(&self, content_type: &'static str, body: Bytes) -> Sent {
        let request = Request::post(self.target.clone()).header(CONTENT_TYPE, content_type).body(());
        let Ok((mut head, ())) = request.map(Request::into_parts) else { return Sent::Refused };
        if let Some(authorization) = &self.authorization {
            head.headers.insert(AUTHORIZATION, authorization.clone());
        }
        let (alarm, client) = (Alarm::new(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let outgoing = Outgoing { head: &mut head, body: Body::from(body), client, alarm: &alarm, interim: None };
        let Ok(answer) = self.upstream.send(outgoing).await else { return Sent::Later(None) };
        let (head, body) = answer.response.into_parts();
        // Read to its end, so that the connection can be used again; what it says is of no use.
        drop(Limited::new(body, LONGEST_ANSWER).collect().await);
        match head.status.as_u16() {
            200..=299 => Sent::Taken,
            429 | 502..=504 => Sent::Later(retry_after(&head.headers)),
            _ => Sent::Refused,
        }
    }
}

/// One attempt at a time: whether and when to try again is for the exporter to say.
fn settings(target: String) -> Settings {
    Settings {
        targets: vec![Target::Url(target)],
        balance: model::upstream::Balance::default(),
        health: None,
        ejection: model::upstream::Ejection::default(),
        breaker: Breaker { failures: 0, ..Breaker::default() },
        retries: Retries { attempts: 0, ..Retries::default() },
        timeouts: Timeouts { first_byte: Span::seconds(10), idle: Span::seconds(10), ..Timeouts::default() },
        tls: model::upstream::ClientTls::default(),
        http: model::upstream::HttpVersion::default(),
        bind: None,
        host: HostHeader::Target,
        keep_alive: model::upstream::KeepAlive::default(),
        dns_refresh: Span::seconds(30),
        head_bytes: Size::new(16 * 1024),
    }
}

/// `Retry-After` in seconds; dates are not worth the trouble here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 64 * 1024;
