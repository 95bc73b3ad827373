//! Numbers: whole ones as they are, others as floating point.

use std::cmp::Ordering;

use serde_json::Value;

/// A number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    pub(crate) fn of(number: &serde_json::Number) -> Self {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Whole)
    }

    /// The number in a text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // What else `f64` reads, such as `inf`, is no number here.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
            return None;
        }
        text.parse().map(Self::Whole).or_else(|_not_whole| text.parse().map(Self::Float)).ok()
    }

    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::Whole(whole) => match (i64::try_from(whole), u64::try_from(whole)) {
                (Ok(whole), _) => whole.into(),
                (_, Ok(whole)) => whole.into(),
                _ => Self::Float(self.float()).to_json(),
            },
            // A whole number is written as one, whatever it was computed from.
            Self::Float(float) => match self.index().filter(|_| float.abs() < WHOLE) {
                Some(whole) => whole.into(),
                None => serde_json::Number::from_f64(float).map_or(Value::Null, Value::Number),
            },
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "what is too long to be exact is near enough")]
    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }

    /// It as an index, if it is whole.
    #[expect(clippy::cast_possible_truncation, reason = "it is looked at before")]
    pub(crate) fn index(self) -> Option<i64> {
        match self {
            Self::Whole(whole) => i64::try_from(whole).ok(),
            Self::Float(float) => (float.fract() == 0.0 && float.abs() < WHOLE).then_some(float as i64),
        }
    }

    pub(crate) fn abs(self) -> Self {
        match self {
            Self::Whole(whole) => Self::Whole(whole.saturating_abs()),
            Self::Float(float) => Self::Float(float.abs()),
        }
    }

    pub(crate) fn rounded(self, how: impl FnOnce(f64) -> f64) -> Self {
        match self {
            Self::Whole(_) => self,
            Self::Float(float) => {
                let rounded = Self::Float(how(float));
                rounded.index().map_or(rounded, |whole| Self::Whole(whole.into()))
            }
        }
    }

    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one.cmp(other),
            // What is no number comes before all that are.
            _ => self
                .float()
                .partial_cmp(&other.float())
                .unwrap_or_else(|| other.float().is_nan().cmp(&self.float().is_nan())),
        }
    }

    /// Computes with whole numbers as long as that is exact.
    pub(crate) fn with(
        self,
        other: Self,
        whole: impl FnOnce(i128, i128) -> Option<i128>,
        float: impl FnOnce(f64, f64) -> f64,
    ) -> Self {
        let exact = match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => whole(one, other),
            _ => None,
        };
        exact.map_or_else(|| Self::Float(float(self.float(), other.float())), Self::Whole)
    }
}

impl From<isize> for Number {
    fn from(number: isize) -> Self {
        Self::Whole(number as i128)
    }
}

/// Up to here each whole number is a floating-point number of its own.
const WHOLE: f64 = 9_007_199_254_740_992.0;
