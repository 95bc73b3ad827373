//! The phases of an exchange, the hooks that policies place in them, and the chain that runs the hooks.
//!
//! ```text
//! head ─▶ OnRequest ─▶ body ─▶ OnRequestBody ─▶ upstream ─▶ AskOnAnswer ─▶ OnResponse ─▶ OnResponseBody/Chunk ─▶ OnFinish
//!             │ in order             │                        ▲ in reverse
//!             └────── Flow::Respond ─┴────────────────────────┘
//! ```
//!
//! Every response leaves by the same door: response hooks see the gateway's own answers too.
//! Deliberately not here: sockets, stores and files. A hook gets what it needs when it is compiled.

mod audit;
mod body;
mod builder;
mod chain;
mod exchange;
mod hooks;
mod kept;
mod policy;
pub mod tester;

pub use alarm::{Life, Lives, Over};

pub use self::audit::{Audited, Reached};
pub use self::body::{Body, BoxError};
pub use self::builder::ChainBuilder;
pub use self::chain::{Chain, Explained, POLICY_FAILED, tell};
pub use self::exchange::{
    Arrived, Caller, Connection, Exchange, Figures, Gates, Outcome, PeerCertificate, Record, RequestId, Route, Said,
    Slot, Slots, Tls, Told, Trace, Upstreamed,
};
pub use self::hooks::{
    AskOnAnswer, AskOnBodyBegun, AskOnRequest, AskOnRequestBody, Condition, Failure, Flow, OnFailure, OnFinish,
    OnGiveBack, OnRequest, OnRequestBody, OnResponse, OnResponseBody, OnResponseChunk, Room, Step, Verdict,
};
pub use self::kept::{Kept, Services};
pub use self::policy::{Entry, Policy, Settings, Stage};
