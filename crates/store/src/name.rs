//! Names of entities: types that cannot hold anything but a name.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest name, in characters.
const LONGEST: usize = 64;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It is longer than a name may be, or empty.
    #[error("has {0} characters; a name has 1 to {LONGEST}")]
    Length(usize),
    /// It is not in kebab case.
    #[error("`{0}` is not in kebab case: lower-case letters and digits, in words joined by single hyphens")]
    Form(String),
    /// It is not the id of a key.
    #[error("is no key id: those have {} letters and digits", KeyId::LENGTH)]
    KeyId,
    /// It is not the fingerprint of a certificate.
    #[error("is no fingerprint of a certificate: SHA-256, 64 hexadecimal digits")]
    Fingerprint,
    /// It is not the id of an alert or a silence.
    #[error("is no id: those have 16 hexadecimal digits")]
    Digits,
}

/// Checks for kebab case: words of lower-case letters and digits, joined by single hyphens.
fn checked(text: &str) -> Result<(), BadName> {
    if text.is_empty() || LONGEST < text.len() {
        return Err(BadName::Length(text.chars().count()));
    }
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !text.split('-').all(is_word) {
        return Err(BadName::Form(text.to_owned()));
    }
    Ok(())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as shared text: a clone of it costs no allocation.
            pub fn shared(&self) -> &Arc<str> {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                checked(text).map(|()| Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": LONGEST })
            }
        }
    )* };
}

names! {
    /// The name of a company, unique among companies.
    CompanyName
    /// The name of an app, unique within its company.
    AppName
    /// The name of a product, unique among products, the configuration file's included.
    ProductName
    /// The name of a token of the Admin API, unique among tokens.
    TokenName
    /// The name of a developer, unique within a company.
    DeveloperName
    /// The name of a contract, unique within its company.
    ContractName
    /// The name of an endpoint of webhooks, unique among them.
    WebhookName
    /// The name of a job, unique among jobs.
    JobName
}

/// The public part of a key: it says which key, and opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; KeyId::LENGTH]);

impl KeyId {
    /// Letters and digits in an id.
    pub const LENGTH: usize = 12;

    /// The id written in `text`, without copying it anywhere else.
    pub fn read(text: &[u8]) -> Option<Self> {
        let id: [u8; Self::LENGTH] = text.try_into().ok()?;
        // Without a branch per byte: requests come by here.
        id.iter().fold(true, |good, byte| good & byte.is_ascii_alphanumeric()).then_some(Self(id))
    }

    /// The id's letters and digits.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // An id holds letters and digits only, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl JsonSchema for KeyId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeyId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9A-Za-z]{12}$" })
    }
}

impl FromStr for KeyId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::read(text.as_bytes()).ok_or(BadName::KeyId)
    }
}

impl TryFrom<String> for KeyId {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_in_kebab_case_and_short() {
        let longest = "a".repeat(LONGEST);
        for good in ["a", "acme", "acme-eu-2", "0", &longest] {
            assert_eq!(good.parse::<CompanyName>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(LONGEST + 1);
        for bad in ["", "-", "a-", "-a", "a--b", "Acme", "a_b", "a b", "a/b", "ä", &too_long] {
            assert!(bad.parse::<CompanyName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_name_does_not_come_in_by_json() {
        assert!(serde_json::from_str::<AppName>("\"Shop\"").is_err());
        assert_eq!(serde_json::from_str::<AppName>("\"shop\"").unwrap().as_str(), "shop");
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_refused(text: String) {
            if let Ok(name) = text.parse::<ProductName>() {
                prop_assert_eq!(name.as_str(), text);
            }
        }

        #[test]
        fn a_key_id_reads_what_it_writes(text in "[0-9A-Za-z]{12}") {
            prop_assert_eq!(text.parse::<KeyId>().unwrap().to_string(), text);
        }
    }
}
