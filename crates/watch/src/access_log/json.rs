//! A line of the access log as a JSON object. What is not known of an exchange is left out.

use http::header::USER_AGENT;
use pipeline::{Exchange, Outcome, Upstreamed};

use super::{Query, target, version};
use crate::text::{MOST, address, bounded, hex, json, milliseconds, number, time};

/// Appends the line, without its end.
pub(super) fn write(line: &mut Vec<u8>, exchange: &Exchange, outcome: &Outcome, query: &Query) {
    line.reserve(USUAL);
    line.extend_from_slice(b"{\"time\":\"");
    time(line, exchange.began_at);
    line.extend_from_slice(b"\",\"id\":\"");
    hex(line, exchange.id.0.to_be_bytes());
    line.extend_from_slice(b"\",\"client\":\"");
    address(line, exchange.client);
    line.push(b'"');
    request(line, exchange, query);
    answer(line, outcome);
    caller(line, exchange);
    if let Some(upstream) = &outcome.upstream {
        upstreamed(line, upstream);
    }
    if let Some(problem) = outcome.problem {
        plain(line, b",\"problem\":\"", problem);
    }
    if let Some(agent) = exchange.headers().get(USER_AGENT) {
        text(line, b",\"user_agent\":\"", agent.as_bytes());
    }
    if exchange.trace.trace_id != 0 {
        line.extend_from_slice(b",\"trace_id\":\"");
        hex(line, exchange.trace.trace_id.to_be_bytes());
        line.push(b'"');
    }
    line.push(b'}');
}

fn request(line: &mut Vec<u8>, exchange: &Exchange, query: &Query) {
    text(line, b",\"method\":\"", exchange.method.as_str().as_bytes());
    line.extend_from_slice(b",\"target\":\"");
    let mut room = MOST;
    query.pieces(target(exchange), |piece| {
        let piece = piece.as_bytes();
        json(line, piece.get(..room).unwrap_or(piece));
        room = room.saturating_sub(piece.len());
    });
    line.push(b'"');
    text(line, b",\"host\":\"", exchange.host.as_bytes());
    plain(line, b",\"scheme\":\"", exchange.scheme);
    plain(line, b",\"http_version\":\"", version(exchange));
}

fn answer(line: &mut Vec<u8>, outcome: &Outcome) {
    match outcome.status {
        Some(status) => {
            line.extend_from_slice(b",\"status\":");
            line.extend_from_slice(status.as_str().as_bytes());
        }
        None => line.extend_from_slice(b",\"status\":null"),
    }
    line.extend_from_slice(if outcome.complete { b",\"complete\":true" } else { b",\"complete\":false" });
    line.extend_from_slice(b",\"bytes_in\":");
    number(line, outcome.received);
    line.extend_from_slice(b",\"bytes_out\":");
    number(line, outcome.sent);
    line.extend_from_slice(b",\"duration_ms\":");
    milliseconds(line, outcome.took);
}

fn caller(line: &mut Vec<u8>, exchange: &Exchange) {
    if !exchange.route.api.is_empty() {
        text(line, b",\"api\":\"", exchange.route.api.as_bytes());
        text(line, b",\"route\":\"", exchange.route.template.as_bytes());
    }
    if let Some(caller) = &exchange.caller {
        if let Some(company) = &caller.company {
            text(line, b",\"company\":\"", company.as_bytes());
        }
        if let Some(app) = &caller.app {
            text(line, b",\"app\":\"", app.as_bytes());
        }
        text(line, b",\"credential\":\"", caller.credential.as_bytes());
    }
    if let Some(product) = &exchange.product {
        text(line, b",\"product\":\"", product.as_bytes());
    }
}

fn upstreamed(line: &mut Vec<u8>, upstream: &Upstreamed) {
    text(line, b",\"upstream\":\"", upstream.name.as_bytes());
    text(line, b",\"upstream_target\":\"", upstream.target.as_bytes());
    line.extend_from_slice(b",\"upstream_attempts\":");
    number(line, upstream.attempts);
    if let Some(first_byte) = upstream.first_byte {
        line.extend_from_slice(b",\"upstream_first_byte_ms\":");
        milliseconds(line, first_byte);
    }
}

/// Appends a member whose value is text; `name` is all of it up to the value's opening quote.
fn text<const N: usize>(line: &mut Vec<u8>, name: &[u8; N], value: &[u8]) {
    line.extend_from_slice(name);
    json(line, bounded(value));
    line.push(b'"');
}

/// As [`text`], for text that needs no escape: names that the program knows, tokens.
fn plain<const N: usize>(line: &mut Vec<u8>, name: &[u8; N], value: &str) {
    line.extend_from_slice(name);
    line.extend_from_slice(value.as_bytes());
    line.push(b'"');
}

/// Most lines are shorter.
const USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{HeaderValue, Request, StatusCode};
    use pipeline::tester::exchange;
    use pipeline::{Caller, Trace};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn line(exchange: &Exchange, outcome: &Outcome) -> String {
        let mut line = Vec::new();
        write(&mut line, exchange, outcome, &Query::default());
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_tells_all_that_is_known_of_an_exchange() {
        let mut exchange = exchange(Request::post("/orders/7?page=2&api_key=s3").header("user-agent", "curl/8"));
        exchange.began_at += 1_234_567;
        exchange.caller = Some(Arc::new(Caller {
            by: "api-key",
            credential: "k1".into(),
            company: Some("acme".into()),
            app: Some("shop".into()),
            scopes: vec![],
        }));
        exchange.product = Some("gold".into());
        exchange.trace = Trace { trace_id: 0xabc, span_id: 1, parent_id: None, sampled: true };
        let outcome = Outcome {
            status: Some(StatusCode::CREATED),
            received: 12,
            sent: 345,
            complete: true,
            took: Duration::from_micros(2_345),
            problem: Some("late"),
            cut: None,
            upstream: Some(Upstreamed {
                name: "orders".into(),
                target: "http://10.0.0.5:8080".into(),
                first_byte: Some(Duration::from_micros(1_500)),
                attempts: 2,
            }),
        };

        let read: Value = serde_json::from_str(&line(&exchange, &outcome)).unwrap();

        let expected = json!({
            "time": "2026-01-01T00:00:01.234567Z", "id": "00000000000000000000000000000001", "client": "192.0.2.1",
            "method": "POST", "target": "/orders/7?page=2&api_key=***", "host": "example.com", "scheme": "http",
            "http_version": "1.1", "status": 201, "complete": true, "bytes_in": 12, "bytes_out": 345,
            "duration_ms": 2.345, "api": "test", "route": "/{path}", "company": "acme", "app": "shop",
            "credential": "k1", "product": "gold", "upstream": "orders", "upstream_target": "http://10.0.0.5:8080",
            "upstream_attempts": 2, "upstream_first_byte_ms": 1.5, "problem": "late", "user_agent": "curl/8",
            "trace_id": "00000000000000000000000000000abc",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_client_that_went_away_has_no_status() {
        let read: Value = serde_json::from_str(&line(&exchange(Request::get("/")), &Outcome::default())).unwrap();

        assert_eq!(read["status"], Value::Null);
        assert_eq!(read["complete"], false);
        assert_eq!(read.get("user_agent"), None);
    }

    #[test]
    fn a_long_target_is_cut() {
        let exchange = exchange(Request::get(format!("/{}?a={}", "x".repeat(5000), "y".repeat(5000))));

        let read: Value = serde_json::from_str(&line(&exchange, &Outcome::default())).unwrap();

        assert_eq!(read["target"].as_str().unwrap().len(), 4096);
    }

    proptest! {
        #[test]
        fn no_head_makes_more_than_one_line(agent: Vec<u8>, path in "[!-~&&[^#\"<>\\\\^`{}|]]{0,40}") {
            let agent = agent.into_iter().filter_map(|byte| HeaderValue::from_bytes(&[b'x', byte]).ok());
            let agent: Vec<u8> = agent.flat_map(|value| value.as_bytes().to_vec()).collect();
            let mut exchange = exchange(Request::get("/"));
            if let Ok(target) = format!("/{path}").parse() {
                exchange.target = target;
            }
            exchange.head.headers.insert(USER_AGENT, HeaderValue::from_bytes(&agent).unwrap());

            let line = line(&exchange, &Outcome::default());

            prop_assert_eq!(line.lines().count(), 1);
            prop_assert!(serde_json::from_str::<Value>(&line).is_ok(), "{}", line);
        }
    }
}
