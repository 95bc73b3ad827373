//! What is exposed, and to whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::named::Named;
use crate::share::Share;

/// Something exposed: what it matches, what is asked of requests, and where they go.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The requests that belong to it.
    #[serde(rename = "match")]
    pub matches: OneOrMany<Match>,
    /// Where they go. Left out, a policy must answer.
    #[serde(default)]
    pub upstream: Option<Destination>,
    /// A copy of requests goes here too; its answers are thrown away.
    #[serde(default)]
    pub mirror: Option<Mirror>,
    /// What is asked of every request, by stage and then in this order.
    #[serde(default)]
    pub policies: Vec<PolicyUse>,
    /// Parts of the API that have a name or policies of their own.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// Headers that tell the backend about the client.
    #[serde(default)]
    pub forwarded: ForwardedHeaders,
}

/// One, or a list.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Any of these.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// What a request must be like. Everything that is written must hold.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The host: exact, or `*.example.com` for one or more labels below. Left out, any host.
    #[serde(default)]
    pub host: Option<OneOrMany<String>>,
    /// The path.
    pub path: PathMatch,
    /// The method. Left out, any.
    #[serde(default)]
    pub method: Option<OneOrMany<String>>,
    /// Headers with the exact values that they must have, or `*` for any value.
    #[serde(default)]
    pub header: Named<String>,
    /// Query parameters with the exact values that they must have, or `*` for any value.
    #[serde(default)]
    pub query: Named<String>,
}

/// What a path must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PathMatch {
    /// This path and everything below it; `{name}` stands for one segment.
    Prefix(String),
    /// In full.
    Detailed(DetailedPath),
}

/// A path by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DetailedPath {
    /// This path and no other; `{name}` stands for one segment.
    Exact(String),
    /// This path and everything below it; `{name}` stands for one segment.
    Prefix(String),
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Destination {
    /// To this upstream.
    Upstream(String),
    /// To these upstreams by weight.
    Split(Vec<SplitPart>),
}

/// A part of a weighted split.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitPart {
    /// The upstream's name.
    pub upstream: String,
    /// Requests in relation to the other parts.
    #[schemars(range(max = 1000))]
    pub weight: u32,
}

/// A copy of the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The upstream's name.
    pub upstream: String,
    /// The share of requests that are copied. Default 100%.
    #[serde(default = "all")]
    pub share: Share,
}

fn all() -> Share {
    Share::from_percent(100)
}

/// One use of a policy: `- name: {settings}`, and beside the name `when` and `on_failure`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyUse {
    /// A name from the catalog.
    pub policy: String,
    /// That policy's settings.
    pub settings: Value,
    /// A condition (CEL); where it does not hold, the policy is left out.
    pub when: Option<String>,
    /// What becomes of requests that the policy could not judge.
    pub on_failure: OnFailure,
}

/// What becomes of a request that a policy could not judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Close,
    /// It passes.
    Open,
}

/// A part of an API.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Method and path below the API's own, such as `GET /orders/{id}`; `*` is any method, `/**` at the end anything below.
    #[serde(rename = "match")]
    pub matches: String,
    /// What is asked beside the API's own policies.
    #[serde(default)]
    pub policies: Vec<PolicyUse>,
    /// Where these requests go, if not where the API's go.
    #[serde(default)]
    pub upstream: Option<Destination>,
}

/// Headers that tell the backend about the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeaders {
    /// `Forwarded` (RFC 7239).
    #[default]
    Standard,
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded,
    /// All of them.
    Both,
    /// None.
    None,
}

/// A bundle of operations that apps subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Operations as `api: METHOD /path`; `*` is any method, `{name}` one segment, `/**` at the end anything below.
    #[schemars(length(min = 1))]
    pub operations: Vec<String>,
    /// How much each subscribed app may use.
    #[serde(default)]
    pub quota: Option<ProductQuota>,
}

/// A number of requests in a calendar window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductQuota {
    /// How many.
    pub requests: u64,
    /// In which window.
    pub per: Period,
}

/// A calendar window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    /// From second 0.
    Minute,
    /// From minute 0.
    Hour,
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
    /// From the first of January.
    Year,
}

impl<'de> Deserialize<'de> for PolicyUse {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut written = serde_json::Map::<String, Value>::deserialize(deserializer)?;
        let when = match written.remove("when") {
            None => None,
            Some(Value::String(when)) => Some(when),
            Some(_) => return Err(D::Error::custom("`when` is not a text")),
        };
        let on_failure =
            written.remove("on_failure").map(serde_json::from_value).transpose().map_err(D::Error::custom)?;
        let mut rest = written.into_iter();
        match (rest.next(), rest.next()) {
            (Some((policy, settings)), None) => {
                let settings = if settings.is_null() { Value::Object(serde_json::Map::new()) } else { settings };
                Ok(Self { policy, settings, when, on_failure: on_failure.unwrap_or_default() })
            }
            (None, _) => Err(D::Error::custom("names no policy")),
            (Some((first, _)), Some((second, _))) => {
                Err(D::Error::custom(format!("names two policies, `{first}` and `{second}`; begin each with `-`")))
            }
        }
    }
}

impl Serialize for PolicyUse {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(&self.policy, &self.settings)?;
        if let Some(when) = &self.when {
            map.serialize_entry("when", when)?;
        }
        if self.on_failure == OnFailure::Open {
            map.serialize_entry("on_failure", &self.on_failure)?;
        }
        map.end()
    }
}

/// The schema lists no policies; whoever knows the catalog puts their settings in.
impl JsonSchema for PolicyUse {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PolicyUse".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let on_failure = generator.subschema_for::<OnFailure>();
        schemars::json_schema!({
            "type": "object",
            "description": "One policy by its name with its settings, and when it applies.",
            "properties": {
                "when": { "type": "string", "description": "A condition (CEL); where it does not hold, the policy is left out." },
                "on_failure": on_failure,
            },
            "additionalProperties": false,
        })
    }
}
