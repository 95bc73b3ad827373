//! The promise of a store of usage sums.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use crate::Unavailable;

/// What was used within one hour, summed over everything that the first eight members have in common.
///
/// A name is empty where there is none, such as the company of a request without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The company that called.
    pub company: Arc<str>,
    /// The app that called.
    pub app: Arc<str>,
    /// The product by which it was allowed.
    pub product: Arc<str>,
    /// The API that was called.
    pub api: Arc<str>,
    /// The operation that was called: method and path template.
    pub operation: Arc<str>,
    /// Hours since 1970.
    pub hour: u32,
    /// The first digit of the status, 0 if nothing was answered.
    pub status_class: u8,
    /// Exchanges.
    pub requests: u64,
    /// What they count for in quotas and bills.
    pub cost: u64,
    /// Body bytes read from clients.
    pub bytes_in: u64,
    /// Body bytes sent to clients.
    pub bytes_out: u64,
    /// The time they took, in microseconds.
    pub latency_micros: u64,
}

/// Where a batch was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSource {
    /// The journal segment, by a name that no other node or time gives to another one.
    pub segment: String,
    /// Where the batch begins in it: how far the segment is counted, as far as the caller knows.
    pub from: u64,
    /// Where the batch ends in it.
    pub offset: u64,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is in the sums now.
    Now,
    /// The segment is counted up to here, which is not where the batch begins. Nothing has changed.
    Refused {
        /// As [`UsageTotals::counted`] says it.
        counted: u64,
    },
}

/// Which sums somebody wants to see. What is `None` is not asked about.
#[derive(Clone, Debug, Default)]
pub struct UsageQuery {
    /// Only this company's.
    pub company: Option<String>,
    /// Only the apps' of this name.
    pub app: Option<String>,
    /// Only this product's.
    pub product: Option<String>,
    /// Only this API's.
    pub api: Option<String>,
    /// Only this operation's.
    pub operation: Option<String>,
    /// Only these hours', counted since 1970.
    pub hours: Range<u32>,
    /// At most so many rows.
    pub limit: usize,
}

/// Keeps sums of usage per company, app, product, API, operation, hour and class of status.
#[async_trait]
pub trait UsageTotals: Send + Sync {
    /// Adds a batch to the sums and remembers how far its segment is counted, both or neither.
    ///
    /// A batch that does not begin where the last one of its segment ended changes nothing, so whoever is not sure
    /// sends it again, or another one: what a store was too slow to answer, it may do later.
    async fn add(&self, batch: &[UsageRow], source: &UsageSource) -> Result<Added, Unavailable>;
    /// How far a segment is counted.
    async fn counted(&self, segment: &str) -> Result<u64, Unavailable>;
    /// Forgets how far segments are counted that will never be read again.
    async fn forget(&self, segments: &[String]) -> Result<(), Unavailable>;
    /// Puts these sums in place of all from an hour on, and remembers how far these segments are counted, all or nothing.
    async fn replace(&self, from_hour: u32, rows: &[UsageRow], counted: &[(String, u64)]) -> Result<(), Unavailable>;
    /// The sums that match, by hour, then by the names in the order of [`UsageRow`].
    async fn query(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, Unavailable>;
}

impl UsageRow {
    /// Adds the sums of another row of the same place.
    pub fn absorb(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.cost = self.cost.saturating_add(other.cost);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.latency_micros = self.latency_micros.saturating_add(other.latency_micros);
    }
}

impl UsageQuery {
    /// Whether `row` is asked about.
    pub fn matches(&self, row: &UsageRow) -> bool {
        let is_wanted = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        self.hours.contains(&row.hour)
            && is_wanted(&self.company, &row.company)
            && is_wanted(&self.app, &row.app)
            && is_wanted(&self.product, &row.product)
            && is_wanted(&self.api, &row.api)
            && is_wanted(&self.operation, &row.operation)
    }
}
