//! A line of the access log in Apache's combined format.

use http::header::{HeaderName, REFERER, USER_AGENT};
use pipeline::{Exchange, Outcome};

use super::{Query, target, version};
use crate::text::{MOST, Moment, address, bounded, digits, number, quoted};

/// Appends the line, without its end.
pub(super) fn write(line: &mut Vec<u8>, exchange: &Exchange, outcome: &Outcome, query: &Query) {
    address(line, exchange.client);
    line.extend_from_slice(b" - ");
    user(line, exchange);
    line.extend_from_slice(b" [");
    time(line, exchange.began_at);
    line.extend_from_slice(b"] \"");
    quoted(line, bounded(exchange.method.as_str().as_bytes()));
    line.push(b' ');
    masked(line, target(exchange), query);
    line.extend_from_slice(b" HTTP/");
    line.extend_from_slice(version(exchange).as_bytes());
    line.extend_from_slice(b"\" ");
    // nginx writes 499 for a client that went away, and programs that read logs know it.
    line.extend_from_slice(outcome.status.as_ref().map_or("499", |status| status.as_str()).as_bytes());
    line.push(b' ');
    match outcome.sent {
        0 => line.push(b'-'),
        sent => number(line, sent),
    }
    line.extend_from_slice(b" \"");
    match exchange.headers().get(REFERER).map(|value| value.to_str()) {
        Some(Ok(referrer)) => masked(line, referrer, query),
        // No URL has such bytes, and whether they hold a secret cannot be told.
        Some(Err(_)) | None => line.push(b'-'),
    }
    line.extend_from_slice(b"\" \"");
    header(line, exchange, &USER_AGENT);
    line.push(b'"');
}

/// The field is not quoted, so a blank would end it.
fn user(line: &mut Vec<u8>, exchange: &Exchange) {
    let Some(caller) = exchange.caller.as_deref().filter(|caller| !caller.credential.is_empty()) else {
        return line.push(b'-');
    };
    let mut words = bounded(caller.credential.as_bytes()).split(|byte| *byte == b' ');
    quoted(line, words.next().unwrap_or_default());
    words.for_each(|word| {
        line.extend_from_slice(b"\\x20");
        quoted(line, word);
    });
}

fn masked(line: &mut Vec<u8>, target: &str, query: &Query) {
    let mut room = MOST;
    query.pieces(target, |piece| {
        let piece = piece.as_bytes();
        quoted(line, piece.get(..room).unwrap_or(piece));
        room = room.saturating_sub(piece.len());
    });
}

fn header(line: &mut Vec<u8>, exchange: &Exchange, name: &HeaderName) {
    match exchange.headers().get(name) {
        Some(value) => quoted(line, bounded(value.as_bytes())),
        None => line.push(b'-'),
    }
}

/// `10/Oct/2000:13:55:36 +0000`
fn time(line: &mut Vec<u8>, microseconds: u64) {
    let moment = Moment::after_1970(microseconds);
    let month = usize::try_from(moment.month).ok().and_then(|month| MONTHS.get(month - 1)).unwrap_or(&"-");
    digits::<2>(line, moment.day);
    line.push(b'/');
    line.extend_from_slice(month.as_bytes());
    line.push(b'/');
    digits::<4>(line, moment.year);
    for part in [moment.hour, moment.minute, moment.second] {
        line.push(b':');
        digits::<2>(line, part);
    }
    line.extend_from_slice(b" +0000");
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderValue, Request, StatusCode};
    use pipeline::Caller;
    use pipeline::tester::exchange;

    use super::*;

    fn line(exchange: &Exchange, outcome: &Outcome, query: &Query) -> String {
        let mut line = Vec::new();
        write(&mut line, exchange, outcome, query);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_as_apache_writes_it() {
        let request = Request::get("/a?token=s3").header("referer", "http://x/?key=s3").header("user-agent", "curl/8");
        let mut exchange = exchange(request);
        exchange.caller = Some(Arc::new(Caller { credential: "Jo \"x\"".into(), ..Caller::default() }));
        let outcome = Outcome { status: Some(StatusCode::OK), sent: 2326, ..Outcome::default() };

        assert_eq!(
            line(&exchange, &outcome, &Query::default()),
            r#"192.0.2.1 - Jo\x20\"x\" [01/Jan/2026:00:00:00 +0000] "GET /a?token=*** HTTP/1.1" 200 2326 "http://x/?key=***" "curl/8""#
        );
    }

    #[test]
    fn the_query_is_kept_or_dropped_on_request() {
        let exchange = exchange(Request::get("/a?token=s3"));

        assert!(line(&exchange, &Outcome::default(), &Query::Keep).contains("\"GET /a?token=s3 HTTP"));
        assert!(line(&exchange, &Outcome::default(), &Query::Drop).contains("\"GET /a HTTP"));
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_hostile_bytes_are_escaped() {
        let mut exchange = exchange(Request::get("/"));
        exchange.head.headers.insert("user-agent", HeaderValue::from_bytes(b"a\"\\\xff\tb").unwrap());

        assert_eq!(
            line(&exchange, &Outcome::default(), &Query::default()),
            r#"192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 499 - "-" "a\"\\\xff\tb""#
        );
    }
}
