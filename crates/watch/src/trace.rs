//! An exchange's place in a trace: taken from its caller, handed on to its upstream.

use http::{HeaderMap, HeaderName, HeaderValue};
use pipeline::Trace;
use telemetry::ids;
use telemetry::traceparent::{Parent, Sampler, client_span};

/// Finds the place of a request with these headers in its caller's trace, or begins a trace.
pub fn begin_trace(headers: &HeaderMap, sampler: &Sampler) -> Trace {
    let parent = parent(headers);
    let trace_id = parent.map_or_else(ids::trace_id, |parent| parent.trace_id);
    Trace {
        trace_id,
        span_id: ids::span_id(),
        parent_id: parent.map(|parent| parent.span_id),
        sampled: sampler.samples(trace_id, parent.as_ref()),
    }
}

/// Tells an upstream its place: the span in which it is asked is its parent.
///
/// A `tracestate` goes on only in the trace that it came with.
pub fn hand_on_trace(trace: &Trace, headers: &mut HeaderMap) {
    let asked = Parent { trace_id: trace.trace_id, span_id: client_span(trace.span_id), sampled: trace.sampled };
    // Hexadecimal digits and dashes are always a value.
    if let Ok(value) = HeaderValue::from_bytes(&asked.format()) {
        headers.insert(TRACEPARENT, value);
    }
    if trace.parent_id.is_none() {
        headers.remove(TRACESTATE);
    }
}

/// The caller's span, unless there is none or more than one.
fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => Parent::parse(field.as_bytes()),
        _ => None,
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests {
    use telemetry::traceparent::Callers;

    use super::*;

    const FIELD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(pair).collect()
    }

    #[test]
    fn a_callers_trace_goes_on() {
        let mut headers = headers(&[("traceparent", FIELD), ("tracestate", "a=b")]);
        let trace = begin_trace(&headers, &Sampler::new(0.0, Callers::Decide));
        hand_on_trace(&trace, &mut headers);

        assert_eq!(trace.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(trace.parent_id, Some(0x00f0_67aa_0ba9_02b7));
        assert!(trace.sampled);
        let handed_on = Parent::parse(headers["traceparent"].as_bytes()).unwrap();
        assert_eq!(handed_on.trace_id, trace.trace_id);
        assert_eq!(handed_on.span_id, client_span(trace.span_id));
        assert_eq!(headers["tracestate"], "a=b");
    }

    #[test]
    fn a_malformed_or_doubled_field_begins_a_new_trace_without_a_state() {
        for fields in [
            &[("traceparent", "00-zz"), ("tracestate", "a=b")][..],
            &[("traceparent", FIELD), ("traceparent", FIELD), ("tracestate", "a=b")],
            &[("tracestate", "a=b")],
        ] {
            let mut headers = headers(fields);
            let trace = begin_trace(&headers, &Sampler::new(0.0, Callers::Decide));
            hand_on_trace(&trace, &mut headers);

            assert_eq!((trace.parent_id, trace.sampled), (None, false));
            assert_eq!(headers.get_all("traceparent").iter().count(), 1);
            assert_eq!(headers.get("tracestate"), None);
        }
    }
}
