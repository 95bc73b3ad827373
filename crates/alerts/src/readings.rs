//! What a node sees of itself.

use std::time::Duration;

use store::UnixMicros;

/// What a node sees of itself at one time.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// What failed since the last time.
    pub failures: Vec<Failure>,
    /// Answers of each API since the node began, if they were looked at.
    pub answers: Option<Vec<Answers>>,
    /// Upstreams, and whether no target of theirs is in service.
    pub upstreams: Vec<(String, bool)>,
    /// Log sinks, and how long the next record has waited.
    pub sinks: Vec<(String, Duration)>,
    /// Sinks of events, and how long the next one has waited.
    pub event_sinks: Vec<(String, Duration)>,
    /// How many hundredths of what it may have the journal of usage records has, if there is one.
    pub usage_journal: Option<u8>,
    /// Sources of partners' records, and whether they answer.
    pub sources: Vec<(String, bool)>,
    /// Certificates that are there, if they were looked at.
    pub certificates: Option<Vec<Ending>>,
    /// Keys that will end, if they were looked at.
    pub keys: Option<Vec<Ending>>,
}

/// Exchanges that failed in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The API, by name; empty, if no API wanted it.
    pub api: String,
    /// The path pattern that matched.
    pub route: String,
    /// The code of the gateway's problem, or `status-503` and the like for an upstream's own.
    pub kind: String,
    /// The upstream that was asked, if one was.
    pub upstream: Option<String>,
    /// How many.
    pub count: u64,
    /// The id of one of them.
    pub example: String,
}

/// Answers of an API since the node began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The API, by name.
    pub api: String,
    /// How many.
    pub all: u64,
    /// How many of them had a status of 500 or more.
    pub failed: u64,
}

/// Something that ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Whose it is, such as `listener public` or `app acme/shop`.
    pub owner: String,
    /// What it is, for people.
    pub what: String,
    /// When it ends.
    pub at: UnixMicros,
}
