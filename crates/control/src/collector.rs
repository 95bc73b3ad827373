//! The way of spans to a collector: OTLP over HTTP, by the client that backends are asked with.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use alarm::Alarm;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Limited};
use model::document::Tracing;
use model::units::{Size, Span};
use model::upstream::{Breaker, HostHeader, Retries, Target, Timeouts, Upstream as Settings};
use parking_lot::Mutex;
use pipeline::Body;
use problem::{Finding, Pointer};
use telemetry::export::{Exporter, Sent, SpanQueue, Transport};
use telemetry::otlp::{Attribute, Resource};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use upstream::{Outgoing, Upstream};

/// A collector, and how it is asked.
pub(crate) struct Collector {
    upstream: Upstream,
    target: Uri,
}

impl Collector {
    /// The collector of a document, or what is wrong with its address.
    pub(crate) fn of(tracing: &Tracing) -> Result<Self, Vec<Finding>> {
        let at = Pointer::default().at("tracing").at("otlp");
        let wrong = |message: String| vec![Finding::new(&at, message)];
        let advice = "write a URL such as `http://127.0.0.1:4318`";
        let url: Uri = tracing.otlp.parse().map_err(|error| wrong(format!("is no URL ({error}): {advice}")))?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(wrong(format!("has no scheme or no host: {advice}")));
        };
        if url.query().is_some() {
            return Err(wrong(format!("has a query: {advice}")));
        }
        let target = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        let target = target.parse().map_err(|error| wrong(format!("has no path ({error}): {advice}")))?;
        let upstream = Upstream::compile("traces", &settings(format!("{scheme}://{authority}")), &at)
            // Whatever is wrong, it is wrong with this one text.
            .map_err(|found| found.into_iter().map(|finding| Finding::new(&at, finding.message)).collect::<Vec<_>>())?;
        Ok(Self { upstream, target })
    }

    async fn post(&self, body: Bytes) -> Sent {
        let request = Request::post(self.target.clone()).header(CONTENT_TYPE, "application/json").body(());
        let Ok((mut head, ())) = request.map(Request::into_parts) else { return Sent::Refused };
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

impl Transport for Collector {
    fn send(&self, body: Bytes) -> BoxFuture<'_, Sent> {
        Box::pin(self.post(body))
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

/// The task that sends spans, and how it is told to end.
#[derive(Default)]
pub(crate) struct Exporting(Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>);

impl Exporting {
    /// Sends what is in `queue` from now on.
    pub(crate) fn start(&self, queue: &Arc<SpanQueue>, collector: Collector, service: &str) {
        let attributes = vec![Attribute::text("service.name", service.to_owned())];
        let resource = Resource { attributes, version: env!("CARGO_PKG_VERSION") };
        let (stop, stopped) = oneshot::channel();
        let exporter = Exporter::new(queue.clone(), resource, collector);
        let run = async move {
            exporter
                .run(async {
                    // An end without a word is an end, too.
                    stopped.await.ok();
                })
                .await;
        };
        #[expect(clippy::disallowed_methods, reason = "it is awaited when the node stops")]
        let task = tokio::spawn(run);
        *self.0.lock() = Some((stop, task));
    }

    /// Gives what is left a last chance, and ends.
    pub(crate) async fn finish(&self) {
        let running = self.0.lock().take();
        if let Some((stop, task)) = running {
            // Whoever hears no more has ended by itself.
            stop.send(()).ok();
            drop(task.await);
        }
    }
}

/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 64 * 1024;
