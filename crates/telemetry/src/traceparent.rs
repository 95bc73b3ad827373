//! W3C trace context: the `traceparent` field, and which traces are recorded.

/// Where a request stands in its caller's trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace_id: u128,
    /// The caller's span in it.
    pub span_id: u64,
    /// Whether the caller may have recorded it.
    pub sampled: bool,
}

impl Parent {
    /// Reads a `traceparent` field. One that is malformed in any way is none, so that a new trace begins.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let (known, rest) = field.split_first_chunk::<LENGTH>()?;
        let [v1, v2, b'-', trace @ .., _, _] = known else { return None };
        let (trace, after) = trace.split_first_chunk::<32>()?;
        let [b'-', after @ ..] = after else { return None };
        let (span, after) = after.split_first_chunk::<16>()?;
        let ([b'-'], [.., f1, f2]) = (after, known) else { return None };

        // A later version may have more behind another dash, and may not mean less by what is known.
        let version = number(&[*v1, *v2])?;
        match (version, rest) {
            (0xff, _) => return None,
            (_, []) | (1.., [b'-', ..]) => {}
            _ => return None,
        }
        let parent = Self {
            trace_id: number(trace)?,
            span_id: u64::try_from(number(span)?).ok()?,
            sampled: number(&[*f1, *f2])? & 1 == 1,
        };
        (parent.trace_id != 0 && parent.span_id != 0).then_some(parent)
    }

    /// The `traceparent` field that says this, of version 00.
    pub fn format(&self) -> [u8; LENGTH] {
        let mut field = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let mut put = |at: usize, bytes: &[u8]| {
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            for (place, digit) in field.iter_mut().skip(at).zip(digits) {
                *place = if digit < 10 { b'0' + digit } else { b'a' - 10 + digit };
            }
        };
        put(3, &self.trace_id.to_be_bytes());
        put(36, &self.span_id.to_be_bytes());
        put(53, &[u8::from(self.sampled)]);
        field
    }
}

/// The span in which an upstream is asked, within the span of the exchange.
///
/// It follows from the exchange's span, so that whoever sends the request and whoever records the span
/// agree on it without a word. It is another one than the exchange's and never zero.
pub fn client_span(server_span: u64) -> u64 {
    // The finalizer of SplitMix64, which maps every number to another one place.
    let mixed = (server_span ^ server_span >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mixed = mixed ^ mixed >> 31;
    if mixed == 0 || mixed == server_span { server_span ^ 1 << 63 | 1 } else { mixed }
}

/// Decides which traces are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    threshold: u64,
    callers: Callers,
}

/// What a caller's own decision counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callers {
    /// A trace that a caller records is recorded here too, one that it does not record is not.
    #[default]
    Decide,
    /// Nothing: outsiders shall not fill the trace store, nor keep out of it.
    Ignored,
}

impl Sampler {
    /// Records this share of the traces, between 0 and 1, unless the caller decides.
    pub fn new(ratio: f64, callers: Callers) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
        let threshold = (ratio.clamp(0.0, 1.0) * TWO_TO_63) as u64;
        Self { threshold, callers }
    }

    /// Whether a trace is recorded. All who see its id by the same ratio decide alike.
    pub fn samples(&self, trace_id: u128, parent: Option<&Parent>) -> bool {
        match (self.callers, parent) {
            (Callers::Decide, Some(parent)) => parent.sampled,
            (Callers::Decide | Callers::Ignored, _) => {
                // The lower half is random also in ids whose upper half is a time.
                let drawn = trace_id & u128::from(u64::MAX >> 1);
                drawn < u128::from(self.threshold)
            }
        }
    }
}

/// Reads lower-case hexadecimal digits, and only these: RFC-style leniency would let two texts be one trace.
fn number<const N: usize>(digits: &[u8; N]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// The length of a field of version 00.
pub const LENGTH: usize = 55;
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIELD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_recommendation_is_read() {
        let parent = Parent::parse(FIELD.as_bytes()).unwrap();

        assert_eq!(parent.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(parent.span_id, 0x00f0_67aa_0ba9_02b7);
        assert!(parent.sampled);
        assert_eq!(parent.format(), FIELD.as_bytes());
    }

    #[test]
    fn what_is_malformed_is_no_parent() {
        for field in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Parent::parse(field.as_bytes()), None, "{field}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for field in [
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-what the future holds",
        ] {
            assert_eq!(Parent::parse(field.as_bytes()), Parent::parse(FIELD.as_bytes()), "{field}");
        }
    }

    #[test]
    fn a_caller_decides_only_if_it_may() {
        let recorded = Parent::parse(FIELD.as_bytes()).unwrap();
        let not = Parent { sampled: false, ..recorded };

        assert!(Sampler::new(0.0, Callers::Decide).samples(7, Some(&recorded)));
        assert!(!Sampler::new(1.0, Callers::Decide).samples(7, Some(&not)));
        assert!(!Sampler::new(0.0, Callers::Ignored).samples(7, Some(&recorded)));
        assert!(Sampler::new(1.0, Callers::Ignored).samples(7, Some(&not)));
    }

    #[test]
    fn about_the_asked_share_of_new_traces_is_recorded() {
        let sampler = Sampler::new(0.25, Callers::Decide);
        let recorded = (0..100_000).filter(|_| sampler.samples(crate::ids::trace_id(), None)).count();
        assert!((24_000..26_000).contains(&recorded), "{recorded} of 100000");
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_read_back(trace_id in 1_u128.., span_id in 1_u64.., sampled: bool) {
            let parent = Parent { trace_id, span_id, sampled };
            prop_assert_eq!(Parent::parse(&parent.format()), Some(parent));
        }

        #[test]
        fn any_bytes_are_read_or_refused(field: Vec<u8>) {
            prop_assert!(Parent::parse(&field).is_none() || field.len() >= LENGTH);
        }

        #[test]
        fn what_is_read_was_written_so(field in "0[0-1]-[0-9a-fA]{32}-[0-9a-f]{16}-0[0-9a-g]") {
            if let Some(parent) = Parent::parse(field.as_bytes()) {
                let again = String::from_utf8(parent.format().to_vec()).unwrap();
                prop_assert_eq!(again.get(3..52), field.get(3..52));
            }
        }

        #[test]
        fn the_client_span_is_another_one(span in 1_u64..) {
            prop_assert!(client_span(span) != 0 && client_span(span) != span);
        }
    }
}
