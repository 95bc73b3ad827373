//! The body of a message on its way through the gateway, whichever protocol it came by.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

/// Any error, as bodies report it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A message body. What is whole in memory costs no box.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// All of it.
    Full(Bytes),
    /// Frames as they come.
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// A body that is read as it comes.
    pub fn stream(body: impl http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static) -> Self {
        Self::Stream(Box::pin(body))
    }

    /// All of it, if that is not longer than so much; then, or if it is longer, it still has everything in it.
    ///
    /// What it cannot be read for is an error here.
    pub async fn held(&mut self, most: usize) -> Result<Option<Bytes>, BoxError> {
        let begun = self.begun(most.saturating_add(1)).await?;
        Ok(Some(begun).filter(|begun| begun.len() <= most))
    }

    /// So many bytes of its beginning, or a few more, or all of it if it has no more; it still has everything in it.
    pub async fn begun(&mut self, least: usize) -> Result<Bytes, BoxError> {
        let mut stream = match std::mem::take(self) {
            Self::Empty => return Ok(Bytes::new()),
            Self::Full(bytes) => {
                *self = Self::Full(bytes.clone());
                return Ok(bytes);
            }
            Self::Stream(stream) => stream,
        };
        let (mut frames, mut begun) = (VecDeque::new(), BytesMut::new());
        while begun.len() < least {
            let Some(frame) = stream.frame().await else { break };
            let frame = frame?;
            begun.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            frames.push_back(frame);
        }
        *self = Self::stream(Begun { frames, rest: stream });
        Ok(begun.freeze())
    }

    /// Has it end where its content does, whatever stands behind it.
    pub fn drop_trailers(&mut self) {
        *self = match std::mem::take(self) {
            Self::Stream(stream) => Self::stream(Content(stream)),
            whole @ (Self::Empty | Self::Full(_)) => whole,
        };
    }

    /// A second body with the same content, if all of it is in memory.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Full(bytes) => Some(Self::Full(bytes.clone())),
            Self::Stream(_) => None,
        }
    }
}

/// A body without its trailers.
struct Content(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>);

impl http_body::Body for Content {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0
            .as_mut()
            .poll_frame(context)
            .map(|frame| frame.filter(|frame| !matches!(frame, Ok(frame) if frame.is_trailers())))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A body of which some frames have been read.
struct Begun {
    frames: VecDeque<Frame<Bytes>>,
    rest: Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => self.rest.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read: usize = self.frames.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
        let (rest, read) = (self.rest.size_hint(), read as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Stream(stream) => stream.as_mut().poll_frame(context),
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, stream};
    use http::HeaderMap;
    use http_body::Body as _;
    use http_body_util::StreamBody;

    use super::*;

    fn body() -> Body {
        let frames =
            [Frame::data(Bytes::from("ab")), Frame::data(Bytes::from("cd")), Frame::trailers(HeaderMap::new())];
        Body::stream(StreamBody::new(stream::iter(frames.map(Ok))))
    }

    #[test]
    fn what_is_held_back_is_still_all_there() {
        for (most, seen) in [(0, None), (3, None), (4, Some("abcd")), (99, Some("abcd"))] {
            let mut body = body();
            let held = body.held(most).now_or_never().unwrap().unwrap();
            assert_eq!(held.as_deref(), seen.map(str::as_bytes), "{most}");
            assert!(!body.is_end_stream());
            let all = body.collect().now_or_never().unwrap().unwrap();
            assert!(all.trailers().is_some());
            assert_eq!(all.to_bytes(), "abcd");
        }
        let mut full = Body::from(Bytes::from("abcd"));
        assert_eq!(full.held(3).now_or_never().unwrap().unwrap(), None);
        assert_eq!(full.held(4).now_or_never().unwrap().unwrap().unwrap(), "abcd");
        assert!(matches!(full, Body::Full(bytes) if bytes == "abcd"));
    }

    #[test]
    fn its_beginning_is_seen_and_all_of_it_is_still_there() {
        for (least, seen) in [(0, ""), (1, "ab"), (2, "ab"), (3, "abcd"), (99, "abcd")] {
            let mut body = body();
            assert_eq!(body.begun(least).now_or_never().unwrap().unwrap(), seen, "{least}");
            assert_eq!(body.collect().now_or_never().unwrap().unwrap().to_bytes(), "abcd");
        }
    }

    #[test]
    fn without_its_trailers_all_of_its_content_is_there() {
        let mut body = body();
        assert_eq!(body.begun(9).now_or_never().unwrap().unwrap(), "abcd");
        body.drop_trailers();
        let all = body.collect().now_or_never().unwrap().unwrap();
        assert!(all.trailers().is_none());
        assert_eq!(all.to_bytes(), "abcd");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let frames = [Ok(Frame::data(Bytes::from("ab"))), Err(BoxError::from("cut"))];
        let mut body = Body::stream(StreamBody::new(stream::iter(frames)));
        assert!(body.held(99).now_or_never().unwrap().is_err());
    }
}
