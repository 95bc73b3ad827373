//! A service that the gateway itself posts to, such as a collector: one attempt at a time, because whoever has something
//! to say keeps it, and knows when to try again.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use alarm::Alarm;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use model::units::{Size, Span};
use model::upstream::{Breaker, ClientTls, HostHeader, Retries, Target, Timeouts, Upstream as Settings};
use pipeline::{Body, BoxError};
use problem::{Finding, Pointer};

use crate::{Failed, Guard, Outgoing, Upstream};

/// A service that is posted to.
pub struct Recipient {
    upstream: Upstream,
    target: Uri,
}

/// What is posted at: a path below that of the service's URL, or the URL itself.
#[derive(Clone, Copy, Debug)]
pub enum Below {
    /// This path.
    Path(&'static str),
    /// Nothing.
    Nothing,
}

/// Where a service is, as an operator wrote it.
pub struct Address<'a> {
    /// What its upstream is called in messages.
    pub name: &'a str,
    /// Its URL.
    pub url: &'a str,
    /// Where the URL stands in the document.
    pub url_at: &'a Pointer,
    /// What is posted at.
    pub below: Below,
    /// TLS towards it.
    pub tls: &'a ClientTls,
    /// Where the settings stand that have TLS as their member `tls`.
    pub at: &'a Pointer,
    /// What to write instead of a URL that is none.
    pub advice: &'a str,
    /// The time for an answer to begin, and for each pause in it.
    pub patience: Duration,
}

/// What a service said.
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// When it wants to be asked again (RFC 9110, section 10.2.3), where it says that in seconds.
    pub retry_after: Option<Duration>,
    /// Its body, unless that broke off or was too long.
    pub body: Result<Bytes, BoxError>,
}

impl Recipient {
    /// The service at an address, or what is wrong with that.
    pub fn compile(address: &Address<'_>) -> Result<Self, Vec<Finding>> {
        let Address { name, url, url_at, below, tls, at, advice, patience } = address;
        let wrong = |message: String| vec![Finding::new(url_at, message)];
        let url: Uri = url.parse().map_err(|error| wrong(format!("is no URL ({error}): {advice}")))?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(wrong(format!("has no scheme or no host: {advice}")));
        };
        let target = match below {
            Below::Nothing => url.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            Below::Path(_) if url.query().is_some() => return Err(wrong(format!("has a query: {advice}"))),
            Below::Path(path) => format!("{}{path}", url.path().trim_end_matches('/')),
        };
        let target = target.parse().map_err(|error| wrong(format!("has no path ({error}): {advice}")))?;
        let settings = settings(format!("{scheme}://{authority}"), tls, *patience);
        let upstream = Upstream::compile(name, &settings, at).map_err(|found| {
            let tls_at = at.at("tls").to_string();
            // Whatever is wrong and is not of TLS is wrong with the URL.
            let of = |found: Finding| {
                if found.at.to_string().starts_with(&tls_at) { found } else { Finding::new(url_at, found.message) }
            };
            found.into_iter().map(of).collect::<Vec<_>>()
        })?;
        Ok(Self { upstream, target })
    }

    /// Is posted to at those addresses alone that the guard lets pass.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { upstream: self.upstream.guarded(guard), ..self }
    }

    /// Posts a body once, and reads at most `most` bytes of the answer, to its end, so that the connection can be used again.
    pub async fn post(&self, headers: HeaderMap, body: Bytes, most: usize) -> Result<Reply, Failed> {
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.uri, head.headers) = (Method::POST, self.target.clone(), headers);
        let (alarm, client) = (Alarm::new(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let outgoing = Outgoing { head: &mut head, body: Body::from(body), client, alarm: &alarm, interim: None };
        let (head, body) = self.upstream.send(outgoing).await?.response.into_parts();
        let body = Limited::new(body, most).collect().await.map(http_body_util::Collected::to_bytes);
        Ok(Reply { status: head.status, retry_after: retry_after(&head.headers), body })
    }
}

fn settings(target: String, tls: &ClientTls, patience: Duration) -> Settings {
    Settings {
        targets: vec![Target::Url(target)],
        balance: model::upstream::Balance::default(),
        health: None,
        ejection: model::upstream::Ejection::default(),
        breaker: Breaker { failures: 0, ..Breaker::default() },
        retries: Retries { attempts: 0, ..Retries::default() },
        timeouts: Timeouts { first_byte: Span::new(patience), idle: Span::new(patience), ..Timeouts::default() },
        tls: tls.clone(),
        http: model::upstream::HttpVersion::default(),
        bind: None,
        host: HostHeader::Target,
        keep_alive: model::upstream::KeepAlive::default(),
        dns_refresh: Span::seconds(30),
        head_bytes: Size::new(16 * 1024),
    }
}

/// Dates are not worth the trouble here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
