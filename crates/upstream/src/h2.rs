//! HTTP/2 towards targets.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use alarm::Alarm;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, header, request};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use parking_lot::Mutex;
use pipeline::{Body, BoxError};

use crate::io::Io;
use crate::target::{Lease, Target};
use crate::{Attempt, Kind, Outgoing, Upstream};

impl Upstream {
    pub(crate) async fn attempt_http2(
        &self,
        target: &Arc<Target>,
        request: &mut Outgoing<'_>,
        lease: Lease,
    ) -> Result<(Response<Body>, Option<(Io, Bytes)>), Attempt> {
        let mut sender = match existing(target) {
            Some(sender) => sender,
            None => match self.connector.connect_http2(target, request.alarm).await {
                Ok(sender) => {
                    target.http2.get_or(Mutex::default).lock().push(sender.clone());
                    sender
                }
                Err(error) => {
                    let body = Some(std::mem::take(&mut request.body));
                    return Err(Attempt { kind: Kind::from(&error), cause: error.into(), body });
                }
            },
        };
        let outgoing = self::request(request.head, target, std::mem::take(&mut request.body));
        let timeouts = &self.settings.timeouts;
        let sent = request.alarm.limit(timeouts.first_byte.duration(), sender.try_send_request(outgoing)).await;
        let failed = |kind, cause: BoxError, body| Attempt { kind, cause, body };
        match sent {
            Err(expired) => Err(failed(Kind::Late, expired.into(), None)),
            Ok(Err(mut error)) => {
                // What never left the connection's queue can go to another one.
                let kept = error.take_message().map(Request::into_body);
                let kind = if kept.is_some() { Kind::Connect } else { Kind::Closed };
                Err(failed(kind, error.into_error().into(), kept))
            }
            Ok(Ok(response)) => {
                let idle = timeouts.idle.duration();
                let receiving = |body| Receiving { body, alarm: None, is_waiting: false, idle, _lease: lease };
                let response =
                    response.map(|body| if body.is_end_stream() { Body::Empty } else { Body::stream(receiving(body)) });
                Ok((response, None))
            }
        }
    }
}

/// A connection of this thread that is still open.
fn existing(target: &Target) -> Option<SendRequest<Body>> {
    let mut senders = target.http2.get()?.lock();
    senders.retain(|sender| !sender.is_closed());
    senders.iter().find(|sender| sender.is_ready()).cloned()
}

/// A request as HTTP/2 wants it: with scheme and authority, without `Host` and what concerns connections.
pub(crate) fn request(head: &request::Parts, target: &Target, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = head.headers.clone();
    let host = request.headers_mut().remove(header::HOST).unwrap_or_else(|| target.authority.clone());
    let mut parts = Uri::default().into_parts();
    parts.scheme = Some(if target.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Authority::try_from(host.as_bytes()).ok();
    parts.path_and_query = Some(head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = http::Version::HTTP_2;
    request
}

/// The body of an answer as it comes.
struct Receiving {
    body: Incoming,
    alarm: Option<Alarm>,
    is_waiting: bool,
    idle: Duration,
    _lease: Lease,
}

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.is_waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let alarm = this.alarm.get_or_insert_default();
        if !this.is_waiting {
            alarm.set(this.idle);
            this.is_waiting = true;
        }
        ready!(alarm.poll_expired(context));
        Poll::Ready(Some(Err(alarm::Expired.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
