//! Sizes, spans of time and rates as operators write them: a number and its unit, never a bare number.
//!
//! Each is read from text such as `64KiB`, `1h30m` or `100/s`, and written back in the same form.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use thiserror::Error;

/// Why a text is no size, span or rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAUnit {
    /// The number is missing or is not a whole number.
    #[error("`{0}` does not begin with a whole number; write {1}")]
    Number(String, &'static str),
    /// There is a number alone.
    #[error("`{0}` has no unit; write {1}")]
    NoUnit(String, &'static str),
    /// There is a unit that does not exist.
    #[error("`{0}` is no unit here; write {1}")]
    UnknownUnit(String, &'static str),
    /// The units of a span are repeated or not in falling order.
    #[error("`{0}` names its units out of order; write {1}")]
    Order(String, &'static str),
    /// The number does not fit.
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// A rate of nothing, or per no time at all.
    #[error("`{0}` lets nothing pass; write {1}")]
    Nothing(String, &'static str),
}

/// A number of bytes, such as `64KiB` or `1MB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes, or the largest number that memory can hold.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = NotAUnit;

    fn from_str(text: &str) -> Result<Self, NotAUnit> {
        let (count, unit, rest) = first_term(text, SIZE_FORM)?;
        let known = SIZES.iter().find(|(name, _)| *name == unit && rest.is_empty());
        let Some((_, factor)) = known else {
            return Err(NotAUnit::UnknownUnit(format!("{unit}{rest}"), SIZE_FORM));
        };
        count.checked_mul(*factor).map(Self).ok_or_else(|| NotAUnit::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |factor: u64| self.0 != 0 && self.0.is_multiple_of(factor);
        let (name, factor) = SIZES.iter().find(|(_, factor)| fits(*factor)).copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

/// A span of time, such as `250ms`, `5s` or `1h30m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    /// The span of a duration. What is smaller than a microsecond is cut off.
    pub const fn new(duration: Duration) -> Self {
        Self(Duration::new(duration.as_secs(), duration.subsec_micros() * 1000))
    }

    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// How long it is.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = NotAUnit;

    fn from_str(text: &str) -> Result<Self, NotAUnit> {
        let too_large = || NotAUnit::TooLarge(text.to_owned());
        let (mut rest, mut total, mut before) = (text, 0_u64, u64::MAX);
        loop {
            let (count, unit, after) = first_term(rest, SPAN_FORM)?;
            let Some((_, factor)) = SPANS.iter().find(|(name, _)| *name == unit) else {
                return Err(NotAUnit::UnknownUnit(unit.to_owned(), SPAN_FORM));
            };
            if *factor >= before {
                return Err(NotAUnit::Order(text.to_owned(), SPAN_FORM));
            }
            let term = count.checked_mul(*factor).ok_or_else(too_large)?;
            total = total.checked_add(term).ok_or_else(too_large)?;
            if after.is_empty() {
                return Ok(Self(Duration::from_micros(total)));
            }
            (rest, before) = (after, *factor);
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        let mut rest = self.0.as_micros();
        for (name, factor) in SPANS {
            let count = rest / u128::from(factor);
            rest %= u128::from(factor);
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
        }
        Ok(())
    }
}

/// So many in a span of time, such as `100/s`, `10/m` or `500/15m`. Never zero, never per no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u64,
    per: Span,
}

impl Rate {
    /// So many in a span of time, unless one of them is zero.
    pub const fn new(count: u64, per: Span) -> Option<Self> {
        if count == 0 || per.is_zero() { None } else { Some(Self { count, per }) }
    }

    /// How many.
    pub const fn count(self) -> u64 {
        self.count
    }

    /// In which time.
    pub const fn per(self) -> Duration {
        self.per.duration()
    }
}

impl FromStr for Rate {
    type Err = NotAUnit;

    fn from_str(text: &str) -> Result<Self, NotAUnit> {
        let (count, per) = text.split_once('/').ok_or_else(|| NotAUnit::NoUnit(text.trim().to_owned(), RATE_FORM))?;
        let count = whole(count.trim(), text, RATE_FORM)?;
        let per = per.trim();
        let per = match SPANS.iter().find(|(name, _)| *name == per) {
            Some((_, factor)) => Span(Duration::from_micros(*factor)),
            None if per.starts_with(|first: char| first.is_ascii_digit()) => per.parse()?,
            None => return Err(NotAUnit::UnknownUnit(per.to_owned(), RATE_FORM)),
        };
        Self::new(count, per).ok_or_else(|| NotAUnit::Nothing(text.to_owned(), RATE_FORM))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.per.0.as_micros();
        match SPANS.iter().find(|(_, factor)| u128::from(*factor) == micros) {
            Some((name, _)) => write!(f, "{}/{name}", self.count),
            None => write!(f, "{}/{}", self.count, self.per),
        }
    }
}

/// The first number of `text`, its unit, and what follows.
fn first_term<'a>(text: &'a str, form: &'static str) -> Result<(u64, &'a str, &'a str), NotAUnit> {
    let text = text.trim();
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, after) = text.split_at(unit_at);
    let count = whole(digits, text, form)?;
    let after = after.trim_start();
    let rest_at = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
    let (unit, rest) = after.split_at(rest_at);
    if unit.is_empty() {
        return Err(NotAUnit::NoUnit(text.to_owned(), form));
    }
    Ok((count, unit.trim_end(), rest))
}

/// Reads a whole number without a sign.
fn whole(digits: &str, text: &str, form: &'static str) -> Result<u64, NotAUnit> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NotAUnit::Number(text.to_owned(), form));
    }
    // Digits alone can only fail by being too many.
    digits.parse().ok().ok_or_else(|| NotAUnit::TooLarge(text.to_owned()))
}

/// Serde and the schema by way of the text form.
macro_rules! written_as_text {
    ($unit:ident, $format:literal, $form:expr, $pattern:literal, $description:literal, $example:literal) => {
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $unit;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($form)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$unit, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$unit, E> {
                        Err(E::custom(NotAUnit::NoUnit(number.to_string(), $form)))
                    }
                }
                // Any, so that a bare number comes with advice and not only with its type.
                deserializer.deserialize_any(Text)
            }
        }

        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $unit {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($unit).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "format": $format, "pattern": $pattern, "description": $description,
                    "examples": [$example],
                })
            }
        }
    };
}

written_as_text!(
    Size,
    "size",
    SIZE_FORM,
    r"^\s*[0-9]+\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*$",
    "A number of bytes with its unit: B, KiB, MiB, GiB, TiB, KB, MB, GB or TB.",
    "64KiB"
);
written_as_text!(
    Span,
    "span",
    SPAN_FORM,
    r"^\s*([0-9]+\s*(d|h|m|s|ms|us)\s*)+$",
    "A span of time with its units: d, h, m, s, ms, us.",
    "1h30m"
);
written_as_text!(
    Rate,
    "rate",
    RATE_FORM,
    r"^\s*[0-9]+\s*/\s*(d|h|m|s|ms|us|([0-9]+\s*(d|h|m|s|ms|us)\s*)+)\s*$",
    "How many in which time: a number, a slash and a unit or a span of time.",
    "100/s"
);

const SIZE_FORM: &str = "a size such as `64KiB` or `1MB`";
const SPAN_FORM: &str = "a span of time such as `250ms`, `5s` or `1h30m`";
const RATE_FORM: &str = "a rate such as `100/s`, `10/m` or `500/15m`";

/// Units of size with their bytes, in the order in which writing prefers them.
const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("kB", 1000),
    ("B", 1),
];

/// Units of time with their microseconds, largest first.
const SPANS: [(&str, u64); 6] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1)];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0B", 0),
            ("17B", 17),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("1KB", 1000),
            ("1kB", 1000),
            ("3MiB", 3 << 20),
            ("2GB", 2_000_000_000),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Size::new(bytes)), "{text}");
        }
    }

    #[test]
    fn spans_are_read_with_one_unit_or_several() {
        for (text, milliseconds) in
            [("250ms", 250), ("5s", 5000), ("1h30m", 5_400_000), ("1m 30s", 90_000), ("2d", 172_800_000), ("0s", 0)]
        {
            assert_eq!(text.parse(), Ok(Span::milliseconds(milliseconds)), "{text}");
        }
    }

    #[test]
    fn rates_are_read_per_unit_or_per_span() {
        for (text, count, seconds) in [("100/s", 100, 1), ("10/m", 10, 60), ("10 / h", 10, 3600), ("500/15m", 500, 900)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.count(), rate.per()), (count, Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn a_mistake_says_what_to_write_instead() {
        let said = |text: &str| text.parse::<Span>().unwrap_err().to_string();
        assert_eq!(said("5"), "`5` has no unit; write a span of time such as `250ms`, `5s` or `1h30m`");
        assert_eq!(said("5 years"), "`years` is no unit here; write a span of time such as `250ms`, `5s` or `1h30m`");
        assert!(said("1.5s").starts_with("`.` is no unit here"));
        assert!(said("5s1h").starts_with("`5s1h` names its units out of order"));
        assert!(said("").starts_with("`` does not begin with a whole number"));
        assert!(said("-5s").starts_with("`-5s` does not begin with a whole number"));
        assert_eq!(said("99999999999999999999s"), "`99999999999999999999s` is too large");
        assert_eq!(said("9999999999999999s"), "`9999999999999999s` is too large");

        let said = |text: &str| text.parse::<Size>().unwrap_err().to_string();
        assert_eq!(said("64k"), "`k` is no unit here; write a size such as `64KiB` or `1MB`");
        assert_eq!(said("1KiB2B"), "`KiB2B` is no unit here; write a size such as `64KiB` or `1MB`");

        let said = |text: &str| text.parse::<Rate>().unwrap_err().to_string();
        assert_eq!(said("100"), "`100` has no unit; write a rate such as `100/s`, `10/m` or `500/15m`");
        assert!(said("100/second").starts_with("`second` is no unit here"));
        assert!(said("0/s").starts_with("`0/s` lets nothing pass"));
        assert!(said("5/0s").starts_with("`5/0s` lets nothing pass"));
    }

    #[test]
    fn a_bare_number_in_a_document_is_refused_with_the_same_advice() {
        let error = serde_json::from_value::<Size>(json!(1024)).unwrap_err();
        assert_eq!(error.to_string(), "`1024` has no unit; write a size such as `64KiB` or `1MB`");

        let error = serde_json::from_value::<Rate>(json!(true)).unwrap_err();
        assert!(error.to_string().contains("expected a rate such as `100/s`"), "{error}");
    }

    #[test]
    fn documents_keep_the_text_form() {
        let span: Span = serde_json::from_value(json!("90s")).unwrap();
        assert_eq!(serde_json::to_value(span).unwrap(), json!("1m30s"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bytes: u64, micros: u64, count in 1_u64.., per in 1_u64..) {
            let size = Size::new(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let span = Span::new(Duration::from_micros(micros));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            let rate = Rate::new(count, Span::new(Duration::from_micros(per))).unwrap();
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text: String, digits in "[0-9 dhmsuKiB/.]{0,20}") {
            for text in [text, digits] {
                let _ = (text.parse::<Size>().is_ok(), text.parse::<Span>().is_ok(), text.parse::<Rate>().is_ok());
            }
        }
    }
}
