//! What a process says about itself: log lines, metrics, spans and the ids that tie them together.
//!
//! Deliberately not here: exchanges and their hooks (`watch` writes them down with what is here), and
//! any HTTP: the metrics are rendered for whoever serves them, spans are handed to whoever sends them.

pub mod export;
pub mod ids;
pub mod logging;
pub mod metrics;
pub mod otlp;
pub mod seat;
pub mod sink;
pub mod traceparent;
