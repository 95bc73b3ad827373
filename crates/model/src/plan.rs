//! What companies pay: rate plans.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::Money;

/// What a company with a contract of this plan pays. All amounts are of one currency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What stands on statements. Left out, the plan's name.
    #[serde(default)]
    pub title: Option<String>,
    /// The time zone by which days and months begin, such as `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// The fee of a month. Of a month that the contract covers in part, the share of its days.
    #[serde(default)]
    pub monthly: Option<Money>,
    /// What a month costs at least, fee included. Of a month that the contract covers in part, the share of its days.
    #[serde(default)]
    pub minimum: Option<Money>,
    /// What usage costs. Each charge counts for itself, so a call may be in several.
    #[serde(default)]
    pub charges: Vec<Charge>,
}

/// A price for usage of one kind: `price`, or `tiers`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// What is counted.
    pub meter: Meter,
    /// What stands on statements. Left out, what is counted.
    #[serde(default)]
    pub title: Option<String>,
    /// Only usage by these products. Left out, by all.
    #[serde(default)]
    pub products: Vec<String>,
    /// Only usage of these APIs. Left out, of all.
    #[serde(default)]
    pub apis: Vec<String>,
    /// What is counted together; `included` and `tiers` are for each by itself.
    #[serde(default)]
    pub each: Each,
    /// So many calls a month cost nothing, or so many KiB where bytes are counted. Not less in a month that is covered
    /// in part.
    #[serde(default)]
    pub included: u64,
    /// The price of a call, or of a KiB where bytes are counted.
    #[serde(default)]
    pub price: Option<Money>,
    /// Prices by how much is used beyond what is included.
    #[serde(default)]
    pub tiers: Option<Tiers>,
}

/// What a charge counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Meter {
    /// Every call, refused ones too.
    Calls,
    /// Calls that were answered with a status from 200 to 399.
    SuccessfulCalls,
    /// Calls by what the policy `cost` says that they count for; 1 each where it says nothing.
    Cost,
    /// Bytes of request bodies.
    BytesIn,
    /// Bytes of response bodies.
    BytesOut,
    /// Bytes of both.
    Bytes,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Each {
    /// All that a company uses.
    #[default]
    Company,
    /// What it uses by one product.
    Product,
    /// What it uses of one operation by one product.
    Operation,
}

/// Prices by how much is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tiers {
    /// Each call costs what the tier says that it is in: the first ones this, those beyond them that.
    Graduated(Vec<Tier>),
    /// All calls cost what the tier says that the last one is in.
    Volume(Vec<Tier>),
}

/// Up to where a price holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The last call that is in it, or the last KiB, counted from 1. Left out in the last tier, and only there.
    #[serde(default)]
    pub up_to: Option<u64>,
    /// The price of a call, or of a KiB.
    pub price: Money,
}

fn utc() -> String {
    "UTC".to_owned()
}
