//! A share of a whole as operators write it: a percentage such as `20%`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const FORM: &str = "a share from `0%` to `100%`";

/// A share of a whole, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// So many hundredths, at most all of them.
    pub const fn from_percent(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// In hundredths, 0 to 100.
    pub const fn percent(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        percent
            .filter(|percent| *percent <= 100)
            .map(Self)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not a share; write {FORM}")))
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "share",
            "description": "A share of a whole, such as `20%`.",
            "pattern": "^(100|[0-9]{1,2}) ?%$",
            "examples": ["20%"],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_is_a_percentage_up_to_all() {
        assert_eq!(serde_json::from_value::<Share>(json!("20%")).unwrap().percent(), 20);
        for wrong in ["101%", "20", "-1%", ""] {
            let error = serde_json::from_value::<Share>(json!(wrong)).unwrap_err().to_string();
            assert!(error.ends_with("write a share from `0%` to `100%`"), "{error}");
        }
    }
}
