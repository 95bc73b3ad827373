//! A question, and what it says.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor as Reader};
use serde_json::Value;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use waiting_room::{Compatibility, RequestId, Seconds};

use super::answer::Failed;
use super::text::{after_id, cleaned};
use crate::{Settings, Visitor};

/// What was asked with, beside method and path.
pub struct Question<'a> {
    /// The path, with that of the API.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: &'a str,
    /// Whether it came by TLS.
    pub is_secure: bool,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
    /// When, in seconds since 1970.
    pub now: Seconds,
    /// Where it comes from, if anybody asks from somewhere.
    pub client: Option<IpAddr>,
}

/// An id that was sent: well-formed, and perhaps nobody's.
pub(super) type Sent = Option<RequestId>;

impl Question<'_> {
    /// Who asks, as somebody who looks at a page.
    pub(super) fn onlooker(&self) -> Visitor<'_> {
        let Self { path, query, headers, is_secure, now, .. } = *self;
        Visitor { headers, path, query, is_secure, now }
    }

    /// The values of query parameters, all of which have to be there.
    pub(super) fn parameters<const N: usize>(&self, names: [&str; N]) -> Result<[Cow<'_, str>; N], Failed> {
        let values = names.map(|name| self.parameter(name));
        let missing: Vec<_> = names.iter().zip(&values).filter(|(_, value)| value.is_none()).collect();
        if missing.is_empty() {
            return Ok(values.map(Option::unwrap_or_default));
        }
        let names = missing.into_iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        Err(Failed::Refused(StatusCode::BAD_REQUEST, format!("Missing required request parameters: [{names}]")))
    }

    /// The value of a query parameter, if it has one.
    pub(super) fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = pairs(self.query).find(|(known, _)| known == name);
        found.map(|(_, value)| value).filter(|value| !value.trim().is_empty())
    }

    /// Who asks, if they say so beside what they ask.
    pub(super) fn visitor(&self, settings: &Arc<Settings>) -> Sent {
        id(settings, &self.parameter("request_id")?).flatten()
    }

    /// The body, which is a JSON object.
    pub(super) fn object(&self) -> Result<Members<'_>, Failed> {
        let content_type = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let essence = content_type.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        if essence.is_some_and(|essence| essence != "application/json" && !essence.ends_with("+json")) {
            return Err(Failed::Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type".to_owned()));
        }
        serde_json::from_slice(self.body).map_err(|_malformed| Failed::bad_body())
    }
}

/// The members of a body. Those that nobody asks for are ignored, and of two of the same name the last one counts.
pub(super) struct Members<'a>(SmallVec<[(Text<'a>, &'a RawValue); 4]>);

/// A text, which most often is in the body as it is.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Reader<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = SmallVec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Members<'_> {
    /// The value of a member, as what it is asked for as.
    fn get<'b, T: Deserialize<'b>>(&'b self, name: &str) -> Result<Option<T>, Failed> {
        let found = self.0.iter().rev().find(|(known, _)| known.0 == name);
        let read = found.map(|(_, value)| serde_json::from_str(value.get()));
        read.transpose().map_err(|_other| Failed::bad_body())
    }

    /// A text that has to be there.
    pub(super) fn text(&self, name: &str) -> Result<Cow<'_, str>, Failed> {
        self.optional_text(name)?.ok_or_else(Failed::bad_body)
    }

    /// A text that may be there.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<Cow<'_, str>>, Failed> {
        Ok(self.get::<Text<'_>>(name)?.map(|Text(text)| text))
    }

    /// A number that may be there, without its fraction.
    pub(super) fn optional_whole(&self, name: &str) -> Result<Option<i64>, Failed> {
        self.get::<Value>(name)?.map(|value| truncated(&value).ok_or_else(Failed::bad_body)).transpose()
    }

    /// A number without a fraction that has to be there.
    pub(super) fn integer(&self, name: &str) -> Result<i64, Failed> {
        let value: Value = self.get(name)?.ok_or_else(Failed::bad_body)?;
        let whole = truncated(&value).ok_or_else(Failed::bad_body)?;
        let has_fraction = value.as_i64().is_none() && value.as_f64().is_some_and(|number| number.fract() != 0.0);
        if has_fraction { Err(Failed::bad_body()) } else { Ok(whole) }
    }

    /// A number that has to be there, without its fraction.
    pub(super) fn whole(&self, name: &str) -> Result<i64, Failed> {
        self.optional_whole(name)?.ok_or_else(Failed::bad_body)
    }

    /// As [`Self::optional_whole`], or a text of digits.
    pub(super) fn optional_numeric(&self, name: &str) -> Result<Option<i64>, Failed> {
        match self.get(name)? {
            Some(Value::String(digits)) => digits.trim().parse().map(Some).map_err(|_no_number| Failed::bad_body()),
            _ => self.optional_whole(name),
        }
    }

    /// A list of texts that may be there.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Failed> {
        Ok(self.get(name)?.unwrap_or_default())
    }
}

/// Whether an event is this room's.
pub(super) fn is_event(settings: &Arc<Settings>, event: &str) -> bool {
    cleaned(event) == *settings.event
}

/// The id that a text is, if it is well-formed: none if it can be nobody's.
pub(super) fn id(settings: &Settings, text: &str) -> Option<Sent> {
    let text: Cow<'_, str> = cleaned(text);
    let rest = after_id(&text)?;
    if !rest.is_empty() && settings.rules.compatibility == Compatibility::Mended {
        return None;
    }
    Some(text.parse().ok())
}

/// Names and values of a query or a form.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value)))
}

pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    // Most texts are as they are.
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// A number without its fraction.
fn truncated(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "what is larger is at the bound, which is refused or harmless")]
    value.as_i64().or_else(|| value.as_f64().map(|number| number.trunc() as i64))
}
