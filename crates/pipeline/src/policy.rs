//! What a policy is, and how the gateway comes to know of it.

use std::sync::Arc;

use problem::{Finding, Pointer, ProblemKind};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ChainBuilder;

/// Where in the way of a request a policy stands. Within a stage the order is the one written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Addresses, geography, bots, CORS.
    Access,
    /// Compression of answers: last but CORS on the way back.
    Encode,
    /// The WAF on the head.
    Inspect,
    /// The waiting room.
    Admit,
    /// Who calls.
    Identify,
    /// What the caller may do.
    Authorize,
    /// Sessions, rates, quotas.
    Meter,
    /// Everything that holds a body back.
    Body,
    /// Looking an answer up.
    Cache,
    /// Completion, rewriting, credentials for the backend.
    Complete,
}

/// Something a route can be given by name in its configuration.
pub trait Policy: Sized + Send + Sync + 'static {
    /// The name in configuration, logs and metrics.
    const NAME: &'static str;
    /// Where it stands among the others.
    const STAGE: Stage;
    /// Every problem this policy can answer with; the documentation lists them.
    const PROBLEMS: &'static [&'static ProblemKind] = &[];
    /// What an operator writes.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks `config` and prepares everything that need not wait for a request.
    fn compile(config: Self::Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding>;

    /// Places this policy's hooks.
    fn attach(self: Arc<Self>, chain: &mut ChainBuilder);
}

/// Settings as written, before their policy has read them.
pub type Settings = serde_json::Value;

/// What the rest of the gateway knows about a policy.
pub struct Entry {
    /// [`Policy::NAME`].
    pub name: &'static str,
    /// [`Policy::STAGE`].
    pub stage: Stage,
    /// [`Policy::PROBLEMS`].
    pub problems: &'static [&'static ProblemKind],
    /// The schema of [`Policy::Config`].
    pub schema: fn() -> Schema,
    /// Reads, checks and attaches one use of the policy.
    pub install: fn(Settings, &Pointer, &mut ChainBuilder) -> Result<(), Finding>,
}

impl Entry {
    /// The entry of `P`.
    pub const fn of<P: Policy>() -> Self {
        Self {
            name: P::NAME,
            stage: P::STAGE,
            problems: P::PROBLEMS,
            schema: || schema_for!(P::Config),
            install: |settings, at, chain| {
                let config = serde_json::from_value(settings).map_err(|error| Finding::new(at, error.to_string()))?;
                let policy = P::compile(config, at, chain)?;
                Arc::new(policy).attach(chain);
                Ok(())
            },
        }
    }
}
