//! Upstreams as policies may ask them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use alarm::Alarm;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use model::named::Named;
use pipeline::Body;
use policies::outside::{Backend, Backends};
use upstream::{Outgoing, Upstream};

use crate::Snapshot;

/// The upstreams of a document, and all names, those of mistaken ones too.
#[derive(Default)]
pub(crate) struct Asking {
    upstreams: Named<Arc<Upstream>>,
    names: Vec<String>,
}

impl Asking {
    pub(crate) fn new(upstreams: &Named<Arc<Upstream>>, names: Vec<String>) -> Self {
        Self { upstreams: upstreams.clone(), names }
    }
}

impl Backends for Asking {
    fn named(&self, name: &str) -> Option<Arc<dyn Backend>> {
        if let Some(upstream) = self.upstreams.get(name) {
            return Some(Arc::new(Asked(upstream.clone())));
        }
        let is_mistaken = self.names.iter().any(|known| known == name);
        is_mistaken.then(|| Arc::new(Mistaken) as Arc<dyn Backend>)
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }
}

impl Snapshot {
    /// An upstream, as jobs may ask it.
    pub fn backend(&self, name: &str) -> Option<Arc<dyn Backend>> {
        self.upstreams.get(name).map(|upstream| Arc::new(Asked(upstream.clone())) as Arc<dyn Backend>)
    }
}

struct Asked(Arc<Upstream>);

impl Backend for Asked {
    fn ask(&self, request: Request<Bytes>, most: usize) -> BoxFuture<'static, Result<Response<Bytes>, String>> {
        let upstream = self.0.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let authority = upstream.targets().first().and_then(|target| HeaderValue::from_str(&target.name).ok());
            if let Some(authority) = authority {
                head.headers.entry(HOST).or_insert(authority);
            }
            if !body.is_empty() {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            }
            let (alarm, client) = (Alarm::new(), IpAddr::V4(Ipv4Addr::LOCALHOST));
            let outgoing = Outgoing { head: &mut head, body: Body::from(body), client, alarm: &alarm, interim: None };
            let answer = upstream.send(outgoing).await.map_err(|failed| match failed.cause {
                Some(cause) => format!("{:?}: {cause}", failed.kind),
                None => format!("{:?}", failed.kind),
            })?;
            let (head, body) = answer.response.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| format!("its answer: {error}"))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        })
    }
}

/// An upstream that could not be compiled, which is told elsewhere.
struct Mistaken;

impl Backend for Mistaken {
    fn ask(&self, _: Request<Bytes>, _: usize) -> BoxFuture<'static, Result<Response<Bytes>, String>> {
        Box::pin(async { Err("the upstream is mistaken".to_owned()) })
    }
}
