//! What the gateway tells about exchanges when they end: metrics, access log lines and spans.
//!
//! Everything here is an [`OnFinish`](pipeline::OnFinish) hook or made for the code that places them.
//! Deliberately not here: usage records, which are billed and must not be lost, and any I/O: lines go
//! out through [`telemetry::sink`], spans through [`telemetry::export`].

mod access_log;
mod duties;
mod failures;
mod metrics;
mod secrets;
mod spans;
pub mod text;
mod trace;
mod vitals;

pub use self::access_log::{AccessLog, Form, Query, target, version};
pub use self::duties::{AlertsReading, show_alerts, show_jobs};
pub use self::failures::{Failed, Failures, How};
pub use self::metrics::Metrics;
pub use self::secrets::Secrets;
pub use self::spans::Spans;
pub use self::trace::{begin_trace, hand_on_trace};
pub use self::vitals::{
    Breaker, CountsReading, JournalReading, LinesReading, SourceReading, UpstreamReading, Vitals, show_counts,
    show_journal, show_lines, show_sources, show_spans, show_upstreams,
};
