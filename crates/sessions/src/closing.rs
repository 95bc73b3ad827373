//! How one session is closed at its backend: a request that was made when it was opened, and is kept sealed until then.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use serde::{Deserialize, Serialize};

/// Asks the upstreams of the document that serves.
pub trait Asks: Send + Sync {
    /// Sends a request to the upstream of this name, and reads the answer whole, if it has no more than so many bytes.
    fn ask(&self, upstream: &str, request: Request<Bytes>, most: usize) -> BoxFuture<'static, Answered>;
}

/// What an upstream answered, or why it did not.
pub type Answered = Result<Response<Bytes>, String>;

/// The request that closes a session. It holds what opens the session, so it is kept sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The upstream to ask.
    pub upstream: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// The statuses of answers after which the session is closed, or was closed before.
    pub accept: Vec<u16>,
    /// How long the backend may take.
    pub timeout: Duration,
    /// The pause after the first try. Each further one is twice as long, up to `longest_pause`.
    pub first_pause: Duration,
    /// The longest pause between tries.
    pub longest_pause: Duration,
    /// How long after its end the session is given up, and its place free.
    pub give_up: Duration,
    /// How long it is kept what was done.
    pub history: Duration,
}

/// What became of a try to close a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is closed.
    Closed,
    /// It is tried again later.
    Later,
    /// It was tried for long enough, and counts no more.
    GivenUp,
    /// Another one has it by now.
    Elsewhere,
}

impl Closing {
    /// Asks the backend once; a sentence about what came of it.
    pub(crate) async fn attempt(&self, asks: &dyn Asks) -> Result<String, String> {
        let Self { method, path, .. } = self;
        let mut request = Request::builder().method(method.as_str()).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Bytes::from(self.body.clone()));
        let request = request.map_err(|_cause| "the request that closes it is none".to_owned())?;
        let asked = tokio::time::timeout(self.timeout, asks.ask(&self.upstream, request, LONGEST_ANSWER)).await;
        let status = match asked {
            Ok(Ok(answer)) => answer.status().as_u16(),
            Ok(Err(cause)) => return Err(cause),
            Err(_elapsed) => return Err(format!("no answer within {:?}", self.timeout)),
        };
        let is_closed = if self.accept.is_empty() { CLOSED.contains(&status) } else { self.accept.contains(&status) };
        let said = format!("the backend answered {status}");
        if is_closed { Ok(said) } else { Err(said) }
    }

    /// Closes a session that has no place. Nobody tries again: the backend's own time ends it.
    pub async fn undo(&self, asks: &dyn Asks) {
        if let Err(cause) = self.attempt(asks).await {
            tracing::error!(cause, "a session was opened that could not be held, and not closed either");
        }
    }

    /// How long to wait after the try of this number, before a part of it by chance.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_pause.saturating_mul(doubled).min(self.longest_pause)
    }
}

/// It was closed, or there is none any more.
const CLOSED: [u16; 6] = [200, 202, 204, 205, 404, 410];

/// Bytes that are read of what the backend says.
const LONGEST_ANSWER: usize = 64 * 1024;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn closing() -> Closing {
        Closing {
            upstream: "crm".to_owned(),
            method: "DELETE".to_owned(),
            path: "/sessions/s1".to_owned(),
            headers: vec![("authorization".to_owned(), "Bearer s1".to_owned())],
            body: String::new(),
            accept: Vec::new(),
            timeout: Duration::from_secs(4),
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_mins(5),
            give_up: Duration::from_hours(24),
            history: Duration::from_hours(24),
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = [1, 2, 3, 7, 99].map(|attempt| closing().pause(attempt).as_secs());
        assert_eq!(pauses, [5, 10, 20, 300, 300]);
    }
}
