//! Asks the admin listener by HTTP/1.1: one connection for each question.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::call::{Answer, Call, encoded};
use super::place::Place;

/// Asks one gateway.
pub(crate) struct Client {
    place: Place,
}

impl Client {
    pub(crate) fn new(place: Place) -> Self {
        Self { place }
    }

    /// The answer to a question, of a list all pages.
    pub(crate) async fn answer(&self, call: &Call) -> Result<Value, String> {
        let has_pages = call.method == Method::GET && matches!(call.answer, Answer::List(_) | Answer::Checked(_));
        if !has_pages {
            return self.page(call, &call.target).await;
        }
        let mark = if call.target.contains('?') { '&' } else { '?' };
        let (mut items, mut target) = (Vec::new(), format!("{}{mark}limit=1000", call.target));
        loop {
            let mut page = self.page(call, &target).await?;
            if let Some(found) = page.get_mut("items").and_then(Value::as_array_mut) {
                items.append(found);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => target = format!("{}{mark}limit=1000&after={}", call.target, encoded(next)),
                None => return Ok(json!({ "items": items })),
            }
        }
    }

    async fn page(&self, call: &Call, target: &str) -> Result<Value, String> {
        let url = &self.place.url;
        match timeout(WHOLE, self.exchange(call, target)).await {
            Ok(answered) => read(answered?, &call.answer),
            Err(_elapsed) => Err(format!("the gateway at {url} did not answer within {} s", WHOLE.as_secs())),
        }
    }

    async fn exchange(&self, call: &Call, target: &str) -> Result<Response<Bytes>, String> {
        let request = self.request(call, target)?;
        let stream = self.connect().await?;
        match &self.place.tls {
            None => send(stream, request).await,
            Some((connector, name)) => {
                let handshake = connector.connect(name.clone(), stream);
                let failed =
                    |error| format!("no TLS connection to {}: {error}; `--ca` names whom to believe", self.place.url);
                send(handshake.await.map_err(failed)?, request).await
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let Place { url, address, start, .. } = &self.place;
        match timeout(CONNECT, TcpStream::connect(address.as_str())).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(format!("no gateway answers at {url} ({error}); {start}")),
            Err(_elapsed) => Err(format!("no gateway answers at {url} within {} s; {start}", CONNECT.as_secs())),
        }
    }

    fn request(&self, call: &Call, target: &str) -> Result<Request<Full<Bytes>>, String> {
        let mut token = HeaderValue::try_from(format!("Bearer {}", self.place.token))
            .map_err(|_invalid| "the token has characters that no token has".to_owned())?;
        token.set_sensitive(true);
        let request = Request::builder()
            .method(call.method.clone())
            .uri(target)
            .header(HOST, &self.place.host)
            .header(AUTHORIZATION, token)
            .header(ACCEPT, "application/json, application/problem+json");
        let request = match &call.body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(Full::from(body.to_string())),
            None => request.body(Full::default()),
        };
        request.map_err(|error| format!("this cannot be asked: {error}"))
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, String> {
    let broken = |error: hyper::Error| format!("the connection broke: {error}; is that the admin listener?");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
    let body = Limited::new(body, LONGEST).collect().await.map_err(|error| format!("the answer broke off: {error}"))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// The document of an answer, or its problem in words.
fn read(answer: Response<Bytes>, expected: &Answer) -> Result<Value, String> {
    let (head, body) = answer.into_parts();
    if head.status == StatusCode::NO_CONTENT {
        return Ok(Value::Object(Map::new()));
    }
    let media = head.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    if head.status.is_success() && matches!(expected, Answer::Text) && media.starts_with("text/") {
        return Ok(Value::String(String::from_utf8_lossy(&body).into_owned()));
    }
    let document: Option<Value> = serde_json::from_slice(&body).ok();
    match document {
        Some(document) if head.status.is_success() => Ok(document),
        Some(problem) if problem.get("title").is_some() => Err(told(head.status, &problem)),
        Some(_) | None => Err(format!("the answer {} is none of an admin listener", head.status)),
    }
}

/// A problem in words, each finding on a line of its own.
fn told(status: StatusCode, problem: &Value) -> String {
    let text = |member: &str| problem.get(member).and_then(Value::as_str).unwrap_or_default();
    let mut told = format!("{} ({})", text("title"), status.as_u16());
    let findings = problem.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if findings.is_empty() && !text("detail").is_empty() {
        told = format!("{told}: {}", text("detail"));
    }
    for finding in findings {
        let text = |member: &str| finding.get(member).and_then(Value::as_str).unwrap_or_default();
        let line = finding.get("line").and_then(Value::as_u64);
        let place = line.map(|line| format!("{}:{line}: ", text("file"))).unwrap_or_default();
        let pointer = text("pointer");
        let pointer = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
        told = format!("{told}\n  {place}{pointer}{}", text("message"));
    }
    if status == StatusCode::UNAUTHORIZED {
        told =
            format!("{told} The token is in the gateway's store, in the file `admin.token`: `--token-file` names it.");
    }
    told
}

/// The time to connect, and for a whole exchange: longer than the gateway takes at most.
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(75);

/// Bytes of an answer.
const LONGEST: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_every_field() {
        let findings = json!([
            { "pointer": "/name", "message": "is bad", "line": null },
            { "pointer": "", "message": "is empty", "line": 3, "file": "a.yaml" },
        ]);
        let problem = json!({ "title": "Some of it is wrong", "detail": "2 things", "findings": findings });
        let expected = "Some of it is wrong (422)\n  /name: is bad\n  a.yaml:3: is empty";
        assert_eq!(told(StatusCode::UNPROCESSABLE_ENTITY, &problem), expected);
    }

    #[test]
    fn an_answer_of_somebody_else_is_recognised() {
        let html = Response::builder().status(404).body(Bytes::from_static(b"<html>")).unwrap();
        assert_eq!(read(html, &Answer::One).unwrap_err(), "the answer 404 Not Found is none of an admin listener");
    }
}
