//! What a transaction is told of the answer.

use bytes::Bytes;

use super::run::{Intervention, Verdict};
use super::state::{Named, Transaction};
use crate::Phase;
use crate::settings::{Beyond, Engine};
use crate::variable::Variable;

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Its protocol, such as `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// Its status.
    pub status: u16,
    /// What follows the status in its first line.
    pub reason: &'a [u8],
}

impl Transaction {
    /// The first line of the answer.
    pub fn response(&mut self, response: &Response<'_>) {
        let status = response.status.to_string();
        self.set(Variable::ResponseProtocol, response.protocol);
        self.set(Variable::ResponseStatus, status.as_bytes());
        self.set(Variable::Status, status.as_bytes());
        let line = [response.protocol, b" ", status.as_bytes(), b" ", response.reason].concat();
        self.set(Variable::StatusLine, &line);
        self.fed();
    }

    /// A header of the answer.
    pub fn response_header(&mut self, name: &[u8], value: &[u8]) {
        let (name_id, value_id) = (self.values.intern(name), self.values.intern(value));
        let header = Named::new(&self.values, name_id, value_id);
        self.response_headers.push(header);
        if name.eq_ignore_ascii_case(b"content-type") {
            let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            self.set(Variable::ResponseContentType, kind);
        }
        self.fed();
    }

    /// Whether phase 4 looks at the body of the answer, whose head is known.
    pub fn wants_response_body(&self) -> bool {
        if !self.control.response_body || self.control.engine == Engine::Off {
            return false;
        }
        let kind = self.scalar(Variable::ResponseContentType).map_or(&b"null"[..], |kind| self.values.bytes(kind));
        let types = &self.rules.settings().response_types;
        types.iter().any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(kind))
    }

    /// How many bytes of the answer's body are looked at, as it stands now.
    pub fn response_body_limit(&self) -> u64 {
        self.control.response_limit
    }

    /// The body of the answer, before phase 4; what is beyond the limit need not be in it, but for one byte that shows
    /// there is more.
    pub fn response_body(&mut self, body: &Bytes) -> Verdict {
        self.set(Variable::ResponseContentLength, body.len().to_string().as_bytes());
        if !self.wants_response_body() {
            return Verdict::Pass;
        }
        let limit = usize::try_from(self.control.response_limit).unwrap_or(usize::MAX);
        if body.len() > limit {
            self.set(Variable::OutboundDataError, b"1");
            if self.beyond(self.rules.settings().response_body_beyond) == Beyond::Reject {
                let phase = Phase::ResponseBody;
                return self.interrupt(Intervention { rule: None, phase, status: 500, redirect: None, drop: false });
            }
        }
        let looked_at = body.get(..limit.min(body.len())).unwrap_or_default();
        self.set(Variable::ResponseBody, looked_at);
        self.fed();
        Verdict::Pass
    }
}
