//! The sample backend: a few orders, and what shows how a gateway behaves.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// Bytes of a body that are repeated.
const LONGEST: usize = 64 * 1024;

/// How long `/slow` takes.
const SLOW: Duration = Duration::from_secs(2);

type Answer = Response<Full<Bytes>>;

/// Starts it on a free port of this machine. It ends with the runtime.
#[expect(clippy::disallowed_methods, reason = "the demo ends with its process, and so does its backend")]
pub(super) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(async move {
                let serving = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                // A connection that breaks is its client's trouble.
                drop(serving.await);
            });
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/');
    let reads = head.method == Method::GET || head.method == Method::HEAD;
    Ok(match path.strip_prefix("/orders") {
        Some("") if reads => json(StatusCode::OK, &json!({ "orders": [order("7"), order("8"), order("9")] })),
        Some("") if head.method == Method::POST => json(StatusCode::CREATED, &order("10")),
        Some(id) if reads && id.len() > 1 => json(StatusCode::OK, &order(id.trim_start_matches('/'))),
        Some(_) => not_allowed(),
        None => match path {
            "" => page(PAGE),
            "/shop" => page(super::shop::PAGE),
            "/shop/orders" if head.method == Method::POST => bought(),
            "/thanks" => page(super::shop::THANKS),
            "/slow" => {
                tokio::time::sleep(SLOW).await;
                json(StatusCode::OK, &json!({ "took_seconds": SLOW.as_secs() }))
            }
            "/echo" => {
                let body = Limited::new(body, LONGEST).collect().await.map(Collected::to_bytes).unwrap_or_default();
                let told = json!({
                    "method": head.method.as_str(),
                    "target": head.uri.to_string(),
                    "headers": fields(&head.headers),
                    "body": String::from_utf8_lossy(&body),
                });
                json(StatusCode::OK, &told)
            }
            _ => json(StatusCode::NOT_FOUND, &json!({ "error": "the sample backend has nothing here" })),
        },
    })
}

fn order(id: &str) -> Value {
    json!({ "id": id, "article": "umbrella", "pieces": 2, "state": "shipped" })
}

fn fields(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value).into())).collect()
}

fn json(status: StatusCode, body: &Value) -> Answer {
    with(status, "application/json", format!("{body}\n"))
}

fn not_allowed() -> Answer {
    let mut answer = json(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "orders are read, or made by POST" }));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    answer
}

/// Whoever loads what comes then again buys nothing again.
fn bought() -> Answer {
    let mut answer = with(StatusCode::SEE_OTHER, "text/plain", String::new());
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static("/thanks"));
    answer
}

fn page(page: &str) -> Answer {
    with(StatusCode::OK, "text/html; charset=utf-8", page.to_owned())
}

fn with(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vestibule</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }
  code { background: #8882; padding: .1em .3em; border-radius: .2em }
</style>
<h1>It works</h1>
<p>This page came through the gateway, from the sample backend of the demo.</p>
<ul>
  <li><a href="/echo">/echo</a> shows the request as the backend sees it.</li>
  <li><a href="/slow">/slow</a> takes two seconds.</li>
  <li><a href="/shop">/shop</a> is a shop that many want to visit: you wait in line for about a minute, and then you can buy an
    umbrella. The terminal shows a link to its operator's page.</li>
  <li><a href="/orders">/orders</a> is refused here: it needs a key. The terminal shows <code>curl</code> lines with one.</li>
</ul>
</html>
"#;
