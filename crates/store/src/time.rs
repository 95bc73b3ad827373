//! Times as operators read and write them: RFC 3339, in UTC.

use crate::UnixMicros;
use jiff::Timestamp;

/// A time as text, such as `2026-11-22T04:18:42.5Z`.
pub fn text(time: UnixMicros) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX).to_string()
}

/// Reads a time. A date alone is its midnight, in UTC.
pub fn read(text: &str) -> Option<UnixMicros> {
    let time: Timestamp = text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok())?;
    u64::try_from(time.as_microsecond()).ok().map(UnixMicros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_read_with_an_offset_and_a_date_is_its_midnight() {
        let cases = [
            ("1970-01-01T00:00:01Z", Some(1_000_000)),
            ("1970-01-01T01:00:00.25+01:00", Some(250_000)),
            ("1970-01-02", Some(86_400_000_000)),
            ("1969-12-31", None),
            ("yesterday", None),
            ("1970-01-01T00:00:01", None),
            ("", None),
        ];
        for (written, expected) in cases {
            assert_eq!(read(written), expected.map(UnixMicros), "{written}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(micros in 0_u64..253_402_207_200_000_000) {
            prop_assert_eq!(read(&text(UnixMicros(micros))), Some(UnixMicros(micros)));
        }

        #[test]
        fn any_time_can_be_written_and_any_text_read(micros: u64, written: String) {
            text(UnixMicros(micros));
            read(&written);
        }
    }
}
