//! `cost`: says what a request counts for.

use std::sync::Arc;

use pipeline::{ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;

/// Says what a request counts for: in quotas, and where usage is billed by `cost`.
///
/// It stands behind the policies that find out who calls, so that `when` may ask for the caller. A request for which nothing
/// is said, or which is refused before, counts for 1. Of several, the last one counts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For how many requests it counts.
    counts_for: u32,
}

/// The compiled policy.
pub struct Cost(u32);

impl Policy for Cost {
    const NAME: &'static str = "cost";
    const STAGE: Stage = Stage::Authorize;
    type Config = Config;

    fn compile(Config { counts_for }: Config, _: &Pointer, _: &mut ChainBuilder) -> Result<Self, Finding> {
        Ok(Self(counts_for))
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for Cost {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        exchange.cost = self.0;
        Ok(Flow::Next)
    }
}
