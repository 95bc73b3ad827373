//! HTTP/2 towards targets.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use alarm::Alarm;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, header, request};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use parking_lot::Mutex;
use pipeline::{Body, BoxError};
use tokio::time::Instant;

use crate::attempt::{Attempt, Given};
use crate::connect::{ConnectError, Time};
use crate::target::{Lease, Target};
use crate::{Kind, Outgoing, Upstream};

impl Upstream {
    pub(crate) async fn attempt_http2(
        &self,
        target: &Arc<Target>,
        request: &mut Outgoing<'_>,
        lease: Lease,
        time: Time<'_>,
    ) -> Result<Given, Attempt> {
        let mut sender = match self.sender(target, time).await {
            Ok(sender) => sender,
            Err(error) => {
                let body = Some(std::mem::take(&mut request.body));
                return Err(Attempt { kind: Kind::from(&error), cause: error.into(), body });
            }
        };
        let (body, progress) = Watched::over(std::mem::take(&mut request.body));
        let outgoing = self::request(request.head, target, body);
        let timeouts = &self.settings.timeouts;
        let sent = answer_in_time(sender.try_send_request(outgoing), &progress, timeouts.first_byte.duration(), time);
        let failed = |kind, cause: BoxError, body| Attempt { kind, cause, body };
        match sent.await {
            Err(late @ Late::Target) => Err(failed(Kind::Late, late.into(), None)),
            Err(late @ Late::Client) => Err(failed(Kind::ClientLate, late.into(), None)),
            Ok(Err(mut error)) => {
                // What never left the connection's queue can go to another one.
                let kept = error.take_message().map(Request::into_body);
                Err(failed(Kind::Closed, error.into_error().into(), kept))
            }
            Ok(Ok(response)) => {
                let (idle, until) = (timeouts.idle.duration(), time.until);
                let receiving = |body| Receiving { body, alarm: None, is_waiting: false, idle, until, _lease: lease };
                let response =
                    response.map(|body| if body.is_end_stream() { Body::Empty } else { Body::stream(receiving(body)) });
                Ok((response, None))
            }
        }
    }

    /// A connection to the target: one of this thread, else a new one, else one of another thread, else one that is waited
    /// for.
    async fn sender(&self, target: &Arc<Target>, time: Time<'_>) -> Result<SendRequest<Body>, ConnectError> {
        if let Some(sender) = existing(target) {
            return Ok(sender);
        }
        let counted = match self.places.take() {
            Some(counted) => counted,
            None => match of_any_thread(target) {
                Some(sender) => return Ok(sender),
                None => self.place_for_shared(target, time).await?,
            },
        };
        let sender = self.connector.connect_http2(target, time, counted).await?;
        target.http2.get_or(Mutex::default).lock().push(sender.clone());
        Ok(sender)
    }
}

/// The answer, if its head comes in time. The target's time begins when it has everything that the client sent so far.
async fn answer_in_time<F: Future>(
    answer: F,
    progress: &Progress,
    first_byte: Duration,
    time: Time<'_>,
) -> Result<F::Output, Late> {
    let mut answer = pin!(answer);
    let Time { alarm, .. } = time;
    alarm.set(time.left(first_byte));
    let answer = poll_fn(|context| {
        if let Poll::Ready(answer) = answer.as_mut().poll(context) {
            return Poll::Ready(Ok(answer));
        }
        while alarm.poll_expired(context).is_ready() {
            let left = time.left(progress.left(first_byte));
            if left.is_zero() {
                return Poll::Ready(Err(progress.late()));
            }
            alarm.set(left);
        }
        Poll::Pending
    });
    let answer = answer.await;
    alarm.clear();
    answer
}

/// Who was too slow.
#[derive(Debug, thiserror::Error)]
enum Late {
    #[error("the target gave no answer in time")]
    Target,
    #[error("the client had not sent everything when the time was over")]
    Client,
}

/// How far the client's body has been taken.
struct Progress {
    began: Instant,
    /// Whether more of it is waited for.
    is_awaited: AtomicBool,
    /// When some of it came last, in milliseconds since `began`.
    at: AtomicU64,
}

impl Progress {
    fn late(&self) -> Late {
        if self.is_awaited.load(Ordering::Relaxed) { Late::Client } else { Late::Target }
    }

    /// What is left of the target's time.
    fn left(&self, first_byte: Duration) -> Duration {
        if self.is_awaited.load(Ordering::Relaxed) {
            return first_byte;
        }
        let since = self.began.elapsed().saturating_sub(Duration::from_millis(self.at.load(Ordering::Relaxed)));
        first_byte.saturating_sub(since)
    }
}

/// A request's body that tells how far it has been taken.
struct Watched {
    body: Body,
    progress: Arc<Progress>,
}

impl Watched {
    fn over(body: Body) -> (Body, Arc<Progress>) {
        let progress =
            Arc::new(Progress { began: Instant::now(), is_awaited: AtomicBool::new(false), at: AtomicU64::new(0) });
        let body = match body {
            Body::Stream(_) => Body::stream(Self { body, progress: progress.clone() }),
            Body::Empty | Body::Full(_) => body,
        };
        (body, progress)
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.progress.is_awaited.store(polled.is_pending(), Ordering::Relaxed);
        if polled.is_ready() {
            let now = u64::try_from(this.progress.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            this.progress.at.store(now, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection of this thread that is still open.
fn existing(target: &Target) -> Option<SendRequest<Body>> {
    let mut senders = target.http2.get()?.lock();
    senders.retain(|sender| !sender.is_closed());
    senders.iter().find(|sender| sender.is_ready()).cloned()
}

/// A connection of any thread, where no further one may be opened. What it has no stream for waits within it.
fn of_any_thread(target: &Target) -> Option<SendRequest<Body>> {
    target.http2.iter().find_map(|senders| senders.lock().iter().find(|sender| !sender.is_closed()).cloned())
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
    until: Option<Instant>,
    _lease: Lease,
}

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let left = this.until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Poll::Ready(Some(Err(alarm::Expired.into())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.is_waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let alarm = this.alarm.get_or_insert_default();
        if !this.is_waiting {
            alarm.set(left.map_or(this.idle, |left| left.min(this.idle)));
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
