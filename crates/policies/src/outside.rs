//! What policies ask other services for: by the upstreams of their document, and beside the request that wants to know.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::sync::Arc;

/// The upstreams of a document, as policies may ask them.
pub trait Backends: Send + Sync {
    /// The upstream of this name; one that is itself mistaken answers nothing.
    fn named(&self, name: &str) -> Option<Arc<dyn Backend>>;
    /// All names.
    fn names(&self) -> Vec<String>;
}

/// An upstream, as policies may ask it.
pub trait Backend: Send + Sync {
    /// Sends a request, and reads the answer whole, if it has no more than so many bytes.
    fn ask(&self, request: Request<Bytes>, most: usize) -> BoxFuture<'static, Result<Response<Bytes>, String>>;
}

/// Runs work to its end that nobody may wait for any more.
pub trait Background: Send + Sync {
    /// Begins with it.
    fn run(&self, work: BoxFuture<'static, ()>);
}

/// Drops all work, for documents that are only looked at.
pub struct NoBackground;

impl Background for NoBackground {
    fn run(&self, _: BoxFuture<'static, ()>) {}
}
