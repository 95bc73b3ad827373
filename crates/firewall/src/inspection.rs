//! An exchange as rules see it: told to a transaction, phase by phase.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Version, response};
use pipeline::Exchange;
use waf::{Environment, Evaluation, Moment, Persistence, Phase, Response, Transaction, Verdict};

/// A transaction that knows the head of a request, as it came. `take` gives one that knows nothing yet.
pub(crate) fn begin(
    take: impl FnOnce(Environment) -> Transaction,
    exchange: &Exchange,
    persistence: Option<Arc<dyn Persistence>>,
) -> Transaction {
    let now = Moment {
        seconds: exchange.began_at / 1_000_000,
        micros: u32::try_from(exchange.began_at % 1_000_000).unwrap_or_default(),
        offset: 0,
    };
    let unique_id = exchange.id.to_string().into_boxed_str();
    let environment = Environment { now, unique_id, persistence, evaluation: Evaluation::Fast };
    let mut transaction = take(environment);
    let connection = &exchange.connection;
    transaction.connection(SocketAddr::new(exchange.client, connection.peer.port()), connection.local);
    transaction.request_line(
        exchange.method.as_str().as_bytes(),
        target(exchange).as_bytes(),
        protocol(exchange.head.version).as_bytes(),
    );
    let headers = headers(exchange);
    if let (None, Some(authority)) = (headers.get(HOST), authority(exchange)) {
        transaction.request_header(b"Host", authority.as_bytes());
    }
    if let Some(user) = headers.get(AUTHORIZATION).and_then(basic_user) {
        transaction.user(&user);
    }
    for name in headers.keys() {
        let written = usual(name, exchange.head.version);
        transaction.request_header(written.as_bytes(), &together(headers, name));
    }
    transaction
}

/// The name that a client of basic authentication says it has.
fn basic_user(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, credentials) = value.as_bytes().split_at_checked(6)?;
    let mut decoded =
        STANDARD.decode(credentials.trim_ascii()).ok().filter(|_| scheme.eq_ignore_ascii_case(b"basic "))?;
    let end = decoded.iter().position(|byte| *byte == b':')?;
    decoded.truncate(end);
    Some(decoded)
}

/// Tells how long the request has lasted.
pub(crate) fn tell_time(transaction: &mut Transaction, exchange: &Exchange) {
    transaction.lasts(u64::try_from(exchange.began.elapsed().as_micros()).unwrap_or(u64::MAX));
}

/// A header's name as nearly everybody writes it: of HTTP/1.1 with capitals, of HTTP/2 without. Rules compare names in any
/// case; logs, and whoever reads them, expect it so.
fn usual(name: &HeaderName, version: Version) -> Cow<'_, str> {
    if version == Version::HTTP_2 {
        return Cow::Borrowed(name.as_str());
    }
    let mut begins = true;
    let letters = name.as_str().chars().map(|letter| {
        let written = if begins { letter.to_ascii_uppercase() } else { letter };
        begins = letter == '-';
        written
    });
    Cow::Owned(letters.collect())
}

/// The first phase and, if no body will follow, the second. `body` is how long one will be, and 0 if that is not known.
pub(crate) fn judge_head(transaction: &mut Transaction, body: Option<u64>) -> Verdict {
    match (transaction.phase(Phase::RequestHead), body) {
        (Verdict::Pass, None) => transaction.phase(Phase::RequestBody),
        (Verdict::Pass, Some(length)) => transaction.expect_request_body(length),
        (verdict @ Verdict::Interrupt(_), _) => verdict,
    }
}

/// How long the body of a request will be, if one follows.
pub(crate) fn expected(exchange: &Exchange) -> Option<u64> {
    let length = || exchange.head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    exchange.has_body.then(|| length().unwrap_or_default())
}

/// The second phase, with what is known of the body.
pub(crate) fn judge_body(transaction: &mut Transaction, begun: Bytes) -> Verdict {
    transaction.request_body(begun);
    transaction.phase(Phase::RequestBody)
}

/// The third phase.
pub(crate) fn judge_answer(transaction: &mut Transaction, version: Version, head: &response::Parts) -> Verdict {
    let status = head.status.as_u16();
    let reason = head.status.canonical_reason().unwrap_or_default().as_bytes();
    transaction.response(&Response { protocol: protocol(version).as_bytes(), status, reason });
    for name in head.headers.keys() {
        transaction.response_header(name.as_str().as_bytes(), &together(&head.headers, name));
    }
    transaction.phase(Phase::ResponseHead)
}

/// The fourth phase, with what is known of the answer's body.
pub(crate) fn judge_answer_body(transaction: &mut Transaction, begun: Option<&Bytes>) -> Verdict {
    match begun.map_or(Verdict::Pass, |begun| transaction.response_body(begun)) {
        Verdict::Pass => transaction.phase(Phase::ResponseBody),
        verdict @ Verdict::Interrupt(_) => verdict,
    }
}

/// How many bytes rules look at in the head.
pub(crate) fn size(exchange: &Exchange) -> usize {
    let headers = headers(exchange).iter().map(|(name, value)| name.as_str().len() + value.len());
    target(exchange).len() + headers.sum::<usize>()
}

/// The headers as they came.
pub(crate) fn headers(exchange: &Exchange) -> &HeaderMap {
    exchange.arrived.as_ref().map_or(&exchange.head.headers, |arrived| &arrived.headers)
}

/// The target as it came. Of HTTP/2 it is the path, for its scheme and host are fields of their own.
pub(crate) fn target(exchange: &Exchange) -> Cow<'_, str> {
    let uri = exchange.arrived.as_ref().map_or(&exchange.target, |arrived| &arrived.target);
    let has_path = exchange.arrived.as_ref().is_none_or(|arrived| arrived.has_path);
    match uri.path_and_query() {
        Some(path) if uri.authority().is_none() || exchange.head.version == Version::HTTP_2 => path.as_str().into(),
        Some(path) if !has_path => {
            let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), authority(exchange).unwrap_or_default());
            format!("{scheme}://{authority}{}", path.as_str().strip_prefix('/').unwrap_or(path.as_str())).into()
        }
        _ => uri.to_string().into(),
    }
}

pub(crate) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

fn authority(exchange: &Exchange) -> Option<&str> {
    let uri = exchange.arrived.as_ref().map_or(&exchange.target, |arrived| &arrived.target);
    uri.authority().map(http::uri::Authority::as_str)
}

/// Headers of one name are one, as rules expect.
fn together<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, [u8]> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next().unwrap_or_default();
    let Some(second) = values.next() else { return Cow::Borrowed(first) };
    let between: &[u8] = if name == COOKIE { b"; " } else { b", " };
    let mut all = [first, between, second].concat();
    for more in values {
        all.extend_from_slice(between);
        all.extend_from_slice(more);
    }
    Cow::Owned(all)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use pipeline::{Arrived, tester};
    use waf::{Compatibility, Rules};

    use super::*;

    fn logged(rule: &str, exchange: &Exchange) -> usize {
        let rule = format!("SecRule {rule} \"id:1,phase:1,pass\"");
        let rules = Arc::new(Rules::parse("a.conf", rule.as_bytes(), Compatibility::Strict).unwrap());
        let mut transaction = begin(|environment| Transaction::new(rules, environment), exchange, None);
        judge_head(&mut transaction, None);
        transaction.matches().count()
    }

    #[test]
    fn rules_see_the_request_as_it_came() {
        let request = Request::get("/a%62?c=d").header("x-a", "1").header("x-a", "2").header("cookie", "e=f");
        let mut exchange = tester::exchange(request);
        let mut headers = exchange.head.headers.clone();
        headers.append("connection", HeaderValue::from_static("close"));
        exchange.arrived = Some(Box::new(Arrived { target: exchange.target.clone(), has_path: true, headers }));
        exchange.head.headers.remove("x-a");
        for rule in [
            "REQUEST_URI_RAW \"@streq /a%62?c=d\"",
            "REQUEST_LINE \"@streq GET /a%62?c=d HTTP/1.1\"",
            "REQUEST_HEADERS:X-A \"@streq 1, 2\"",
            "REQUEST_HEADERS:Connection \"@streq close\"",
            "REQUEST_COOKIES:e \"@streq f\"",
            "REMOTE_ADDR \"@streq 192.0.2.1\"",
            "ARGS:c \"@streq d\"",
        ] {
            assert_eq!(logged(rule, &exchange), 1, "{rule}");
        }
    }

    #[test]
    fn rules_see_who_a_client_of_basic_authentication_says_it_is() {
        // `ada:secret`, and what is no such thing.
        for (header, matches) in [("Basic YWRhOnNlY3JldA==", 1), ("Bearer YWRhOnNlY3JldA==", 0), ("Basic ?", 0)] {
            let exchange = tester::exchange(Request::get("/").header("authorization", header));
            assert_eq!(logged("REMOTE_USER \"@streq ada\"", &exchange), matches, "{header}");
        }
    }

    #[test]
    fn a_body_that_will_be_too_long_is_refused_before_it_comes_unless_nobody_looks_at_it() {
        let head = |more: &str, length: u64| {
            let rules = format!("SecRequestBodyAccess On\nSecRequestBodyLimit 8\n{more}");
            let rules = Arc::new(Rules::parse("a.conf", rules.as_bytes(), Compatibility::Strict).unwrap());
            let mut exchange = tester::exchange(Request::post("/").header("content-length", length));
            exchange.has_body = true;
            let mut transaction = begin(|environment| Transaction::new(rules, environment), &exchange, None);
            transaction.set_engine(waf::Engine::On);
            match judge_head(&mut transaction, expected(&exchange)) {
                Verdict::Pass => None,
                Verdict::Interrupt(intervention) => Some(intervention.status),
            }
        };
        let control = |what: &str| format!("SecAction \"id:1,phase:1,nolog,{what}\"");
        assert_eq!(head("", 9), Some(413));
        assert_eq!(head("", 8), None);
        for what in
            ["pass,ctl:requestBodyLimit=9", "pass,ctl:requestBodyAccess=Off", "allow", "pass,ctl:ruleEngine=Off"]
        {
            assert_eq!(head(&control(what), 9), None, "{what}");
        }
        assert_eq!(head("SecRequestBodyLimitAction ProcessPartial", 9), None);
    }

    #[test]
    fn a_target_without_a_path_has_none() {
        let mut exchange = tester::exchange(Request::get("http://a.example/?b=c"));
        let headers = exchange.head.headers.clone();
        exchange.arrived = Some(Box::new(Arrived { target: exchange.target.clone(), has_path: false, headers }));
        assert_eq!(target(&exchange), "http://a.example?b=c");
    }

    #[test]
    fn requests_of_http_2_have_a_host_and_a_path() {
        let mut exchange = tester::exchange(Request::get("https://a.example/b?c=d"));
        exchange.head.version = Version::HTTP_2;
        for rule in ["REQUEST_HEADERS:Host \"@streq a.example\"", "REQUEST_LINE \"@streq GET /b?c=d HTTP/2.0\""] {
            assert_eq!(logged(rule, &exchange), 1, "{rule}");
        }
    }
}
