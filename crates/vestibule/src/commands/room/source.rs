//! Asks a room's public API for what is published of its lottery.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rooms::lottery::{Published, read_lots};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::commands::admin::place::connector;

/// Where a room's public API is.
pub(super) struct Source {
    url: Uri,
    host: String,
    address: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Source {
    pub(super) fn new(url: &str, ca: Option<&Path>) -> Result<Self, String> {
        let unusable = |why: &dyn std::fmt::Display| format!("{url} cannot be asked: {why}");
        let parsed: Uri = url.trim_end_matches('/').parse().map_err(|error| unusable(&error))?;
        let authority = parsed.authority().ok_or_else(|| unusable(&"it names no host"))?;
        let is_https = parsed.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let host = authority.host();
        let tls = if is_https { Some(connector(host, ca)?) } else { None };
        Ok(Self { host: authority.to_string(), address: format!("{host}:{port}"), tls, url: parsed })
    }

    /// All that is published.
    pub(super) async fn published(&self, event: &str) -> Result<Published, String> {
        let stream = timeout(WHOLE, TcpStream::connect(&self.address)).await;
        let stream = stream.map_err(|_elapsed| self.silent())?;
        let stream = stream.map_err(|error| format!("nobody answers at {}: {error}", self.address))?;
        match &self.tls {
            None => self.over(stream, event).await,
            Some((connector, name)) => {
                let failed =
                    |error| format!("no TLS connection to {}: {error}; `--ca` names whom to believe", self.host);
                self.over(connector.connect(name.clone(), stream).await.map_err(failed)?, event).await
            }
        }
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        event: &str,
    ) -> Result<Published, String> {
        let broken = |error: hyper::Error| format!("the connection to {} broke: {error}", self.host);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut driving = JoinSet::new();
        driving.spawn(connection);
        let event = utf8_percent_encode(event, NON_ALPHANUMERIC);
        let told = self.get(&mut sender, &format!("/lottery?event_id={event}")).await?;
        let told = Published::read_told(&told).map_err(|wrong| format!("{}: {wrong}", self.host))?;
        let mut lots = Vec::new();
        let visitors = told.drawn.as_ref().map_or(0, |drawn| drawn.visitors as usize);
        while lots.len() < visitors {
            let target = format!("/lottery_places?event_id={event}&from={}", lots.len());
            let some = read_lots(&self.get(&mut sender, &target).await?);
            let some = some.map_err(|wrong| format!("{}: {wrong}", self.host))?;
            if some.is_empty() {
                break;
            }
            lots.extend(some);
        }
        Ok(Published { told, lots })
    }

    async fn get(&self, sender: &mut SendRequest<Empty<Bytes>>, target: &str) -> Result<String, String> {
        let path = self.url.path().trim_end_matches('/');
        let host = HeaderValue::try_from(&self.host).map_err(|_invalid| format!("{} is no host", self.host))?;
        let request = Request::get(format!("{path}{target}")).header(HOST, host).body(Empty::new());
        let request = request.map_err(|error| format!("{target} cannot be asked: {error}"))?;
        let broken = |error: &dyn std::fmt::Display| format!("the connection to {} broke: {error}", self.host);
        let response = timeout(WHOLE, sender.send_request(request)).await.map_err(|_elapsed| self.silent())?;
        let (head, body) = response.map_err(|error| broken(&error))?.into_parts();
        let body = timeout(WHOLE, Limited::new(body, LONGEST).collect()).await.map_err(|_elapsed| self.silent())?;
        let body = body.map_err(|error| broken(&error))?.to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        if head.status == StatusCode::OK {
            return Ok(text);
        }
        let (said, url) = (text.trim(), self.url.to_string());
        let asked = format!("{}{target}", url.trim_end_matches('/'));
        Err(format!("{asked} answers {}, and not as the public API of a room with a lottery: {said}", head.status))
    }

    fn silent(&self) -> String {
        format!("{} did not answer within {} s", self.host, WHOLE.as_secs())
    }
}

/// The time for each answer.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const LONGEST: usize = 16 * 1024 * 1024;
