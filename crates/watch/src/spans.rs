//! Spans of exchanges, by OpenTelemetry's semantic conventions for HTTP.

use std::sync::Arc;

use http::header::USER_AGENT;
use http::{Method, StatusCode, Uri};
use pipeline::{Exchange, OnFinish, Outcome, Upstreamed};
use telemetry::export::SpanQueue;
use telemetry::otlp::{Attribute, Span, SpanKind, Status};
use telemetry::traceparent::client_span;

use crate::access_log::{Query, version};
use crate::trace::TRACESTATE;

/// Makes spans of the exchanges whose trace is recorded: one for the exchange, one for asking the upstream.
pub struct Spans {
    queue: Arc<SpanQueue>,
    query: Query,
}

impl Spans {
    /// Spans for `queue`; what becomes of queries is said as for an access log.
    pub fn new(queue: Arc<SpanQueue>, query: Query) -> Self {
        Self { queue, query }
    }
}

impl OnFinish for Spans {
    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        if !exchange.trace.sampled {
            return;
        }
        if let Some(upstream) = &outcome.upstream {
            self.queue.add(client(exchange, outcome, upstream));
        }
        self.queue.add(server(exchange, outcome, &self.query));
    }
}

fn server(exchange: &Exchange, outcome: &Outcome, query: &Query) -> Span {
    let mut attributes = Vec::with_capacity(24);
    request(&mut attributes, exchange, query);
    names(&mut attributes, exchange);
    attributes.push(Attribute::number("http.request.body.size", outcome.received));
    attributes.push(Attribute::number("http.response.body.size", outcome.sent));
    answered(&mut attributes, outcome.status);
    // A client's fault (4xx) is none of the server's; a client that went away has no answer to blame.
    let failed = outcome.status.is_some_and(|status| status.is_server_error());
    if let Some(problem) = outcome.problem {
        attributes.push(Attribute::text("error.type", problem));
    } else if let Some(status) = outcome.status.filter(|_| failed) {
        attributes.push(Attribute::text("error.type", status.as_str().to_owned()));
    }
    let remote = if exchange.trace.parent_id.is_some() { Span::IS_REMOTE } else { 0 };
    Span {
        parent_span_id: exchange.trace.parent_id,
        span_id: exchange.trace.span_id,
        trace_state: trace_state(exchange),
        flags: Span::SAMPLED | Span::HAS_IS_REMOTE | remote,
        name: name(exchange),
        kind: SpanKind::Server,
        attributes,
        status: if failed { Status::Error } else { Status::Unset },
        ..blank(exchange, outcome)
    }
}

fn client(exchange: &Exchange, outcome: &Outcome, upstream: &Upstreamed) -> Span {
    let mut attributes = Vec::with_capacity(8);
    method(&mut attributes, &exchange.head.method);
    attributes.push(Attribute::text("vestibule.upstream", upstream.name.clone()));
    match upstream.target.parse::<Uri>().ok().and_then(|target| Some((target.host()?.to_owned(), target.port_u16()))) {
        Some((host, port)) => {
            attributes.push(Attribute::text("server.address", host));
            attributes.extend(port.map(|port| Attribute::number("server.port", port.into())));
        }
        None => attributes.push(Attribute::text("server.address", upstream.target.clone())),
    }
    if let Some(again @ 1..) = upstream.attempts.checked_sub(1) {
        attributes.push(Attribute::number("http.request.resend_count", again.into()));
    }
    // What the gateway said itself is not what the upstream answered.
    let status = outcome.status.filter(|_| outcome.problem.is_none() && upstream.first_byte.is_some());
    answered(&mut attributes, status);
    let failed = match status {
        Some(status) => status.is_client_error() || status.is_server_error(),
        None => upstream.first_byte.is_none(),
    };
    match status {
        Some(status) if failed => attributes.push(Attribute::text("error.type", status.as_str().to_owned())),
        None if failed => attributes.push(Attribute::text("error.type", outcome.problem.unwrap_or("_OTHER"))),
        _ => {}
    }
    Span {
        parent_span_id: Some(exchange.trace.span_id),
        span_id: client_span(exchange.trace.span_id),
        name: known(&exchange.head.method).unwrap_or("HTTP").to_owned(),
        kind: SpanKind::Client,
        attributes,
        status: if failed { Status::Error } else { Status::Unset },
        ..blank(exchange, outcome)
    }
}

/// What both spans share. Both last as long as the exchange: when the upstream was asked is not known.
fn blank(exchange: &Exchange, outcome: &Outcome) -> Span {
    let began = exchange.began_at.saturating_mul(1000);
    let took = u64::try_from(outcome.took.as_nanos()).unwrap_or(u64::MAX);
    Span {
        trace_id: exchange.trace.trace_id,
        span_id: 0,
        parent_span_id: None,
        trace_state: String::new(),
        flags: Span::SAMPLED | Span::HAS_IS_REMOTE,
        name: String::new(),
        kind: SpanKind::Server,
        began,
        ended: began.saturating_add(took),
        attributes: Vec::new(),
        status: Status::Unset,
    }
}

fn request(attributes: &mut Vec<Attribute>, exchange: &Exchange, query: &Query) {
    method(attributes, &exchange.method);
    attributes.push(Attribute::text("url.scheme", exchange.scheme));
    let mut target = String::new();
    query.pieces(crate::access_log::target(exchange), |piece| target.push_str(piece));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    attributes.push(Attribute::text("url.path", bounded(path)));
    if !query.is_empty() {
        attributes.push(Attribute::text("url.query", bounded(query)));
    }
    attributes.push(Attribute::text("server.address", bounded(&exchange.host)));
    attributes.push(Attribute::text("client.address", exchange.client.to_string()));
    attributes.push(Attribute::text("network.peer.address", exchange.connection.peer.ip().to_string()));
    attributes.push(Attribute::number("network.peer.port", exchange.connection.peer.port().into()));
    attributes.push(Attribute::text("network.protocol.version", version(exchange)));
    if let Some(agent) = exchange.headers().get(USER_AGENT) {
        attributes.push(Attribute::text("user_agent.original", bounded(&String::from_utf8_lossy(agent.as_bytes()))));
    }
}

fn names(attributes: &mut Vec<Attribute>, exchange: &Exchange) {
    attributes.push(Attribute::text("vestibule.request.id", exchange.id.to_string()));
    if !exchange.route.api.is_empty() {
        attributes.push(Attribute::text("http.route", exchange.route.template.clone()));
        attributes.push(Attribute::text("vestibule.api", exchange.route.api.clone()));
    }
    let caller = exchange.caller.as_deref();
    let company = caller.and_then(|caller| caller.company.clone());
    let app = caller.and_then(|caller| caller.app.clone());
    let product = exchange.product.clone();
    for (key, name) in [("vestibule.company", company), ("vestibule.app", app), ("vestibule.product", product)] {
        attributes.extend(name.map(|name| Attribute::text(key, name)));
    }
}

fn method(attributes: &mut Vec<Attribute>, method: &Method) {
    attributes.push(Attribute::text("http.request.method", known(method).unwrap_or("_OTHER")));
    if known(method).is_none() {
        attributes.push(Attribute::text("http.request.method_original", bounded(method.as_str())));
    }
}

fn answered(attributes: &mut Vec<Attribute>, status: Option<StatusCode>) {
    attributes.extend(status.map(|status| Attribute::number("http.response.status_code", status.as_u16().into())));
}

/// Few names for many exchanges: a collector groups by them.
fn name(exchange: &Exchange) -> String {
    let method = known(&exchange.method).unwrap_or("HTTP");
    if exchange.route.api.is_empty() { method.to_owned() } else { format!("{method} {}", exchange.route.template) }
}

fn trace_state(exchange: &Exchange) -> String {
    let state = exchange.headers().get(TRACESTATE).filter(|_| exchange.trace.parent_id.is_some());
    // Half a state would be another one.
    state.and_then(|state| state.to_str().ok()).filter(|state| state.len() <= MOST).unwrap_or_default().to_owned()
}

/// The methods that the conventions know. Clients can invent others.
fn known(method: &Method) -> Option<&'static str> {
    let known = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY"];
    known.into_iter().find(|known| *known == method.as_str())
}

/// The beginning of an outsider's text.
fn bounded(text: &str) -> String {
    text.get(..text.floor_char_boundary(MOST)).unwrap_or_default().to_owned()
}

/// So many bytes of one text are kept, because many spans may wait for a collector.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use pipeline::Trace;
    use pipeline::tester::exchange;
    use telemetry::otlp::{Text, Value};

    use super::*;

    fn sampled(method: &str, target: &str) -> Exchange {
        let mut exchange = exchange(Request::builder().method(method).uri(target).header("user-agent", "curl/8"));
        exchange.trace = Trace { trace_id: 0xabc, span_id: 0xdef, parent_id: Some(0x123), sampled: true };
        exchange
    }

    fn outcome(status: u16) -> Outcome {
        Outcome {
            status: StatusCode::from_u16(status).ok(),
            took: Duration::from_millis(2),
            cut: None,
            upstream: Some(Upstreamed {
                name: "orders".into(),
                target: "http://10.0.0.5:8080".into(),
                first_byte: Some(Duration::from_millis(1)),
                attempts: 2,
            }),
            ..Outcome::default()
        }
    }

    fn shown(span: &Span, key: &str) -> Option<String> {
        let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
        Some(match &attribute.value {
            Value::StringValue(Text::Own(text)) => text.to_string(),
            Value::StringValue(Text::Shared(text)) => text.to_string(),
            Value::IntValue(number) => number.to_string(),
        })
    }

    #[test]
    fn a_server_span_follows_the_conventions() {
        let span = server(&sampled("GET", "/orders/7?page=2&token=s3"), &outcome(502), &Query::default());

        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.route", "/{path}"),
            ("http.response.status_code", "502"),
            ("url.path", "/orders/7"),
            ("url.query", "page=2&token=***"),
            ("url.scheme", "http"),
            ("server.address", "example.com"),
            ("client.address", "192.0.2.1"),
            ("network.peer.port", "50000"),
            ("network.protocol.version", "1.1"),
            ("user_agent.original", "curl/8"),
            ("error.type", "502"),
        ] {
            assert_eq!(shown(&span, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(span.name, "GET /{path}");
        assert_eq!((span.parent_span_id, span.kind, span.status), (Some(0x123), SpanKind::Server, Status::Error));
        assert_eq!(span.ended - span.began, 2_000_000);
    }

    #[test]
    fn a_client_span_is_within_the_server_span_and_is_the_upstreams_parent() {
        let span = client(&sampled("GET", "/"), &outcome(404), &outcome(404).upstream.unwrap());

        assert_eq!((span.parent_span_id, span.span_id), (Some(0xdef), client_span(0xdef)));
        assert_eq!((span.kind, span.status), (SpanKind::Client, Status::Error));
        for (key, value) in [
            ("vestibule.upstream", "orders"),
            ("server.address", "10.0.0.5"),
            ("server.port", "8080"),
            ("http.request.resend_count", "1"),
            ("http.response.status_code", "404"),
        ] {
            assert_eq!(shown(&span, key).as_deref(), Some(value), "{key}");
        }
    }

    #[test]
    fn a_clients_fault_or_an_invented_method_is_no_failure_of_the_server() {
        let span = server(&sampled("BREW", "/"), &outcome(404), &Query::default());

        assert_eq!(span.status, Status::Unset);
        assert_eq!(span.name, "HTTP /{path}");
        assert_eq!(shown(&span, "http.request.method").as_deref(), Some("_OTHER"));
        assert_eq!(shown(&span, "http.request.method_original").as_deref(), Some("BREW"));
    }

    #[test]
    fn only_recorded_traces_make_spans_and_long_targets_are_cut() {
        let queue = SpanQueue::new(1);
        let spans = Spans::new(queue.clone(), Query::default());
        let mut exchange = sampled("GET", &format!("/{}", "x".repeat(3000)));

        exchange.trace.sampled = false;
        spans.on_finish(&exchange, &outcome(200));
        assert_eq!(queue.dropped(), 0);

        exchange.trace.sampled = true;
        spans.on_finish(&exchange, &outcome(200));
        assert_eq!(queue.dropped(), 1, "the queue has room for one of the two spans");
        let span = server(&exchange, &outcome(200), &Query::default());
        assert_eq!(shown(&span, "url.path").map(|path| path.len()), Some(1024));
    }
}
