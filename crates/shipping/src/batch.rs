//! Records that are sent together, and where they came from.

use std::ops::Range;

use journal::SegmentId;

/// Records that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    records: Vec<Range<usize>>,
    pub(crate) parts: Vec<Part>,
}

/// How far a segment is read once a batch is taken.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) segment: SegmentId,
    pub(crate) upto: u64,
    /// Nothing more will come from it.
    pub(crate) finished: bool,
}

impl Batch {
    pub(crate) fn push(&mut self, record: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.records.push(begin..self.bytes.len());
    }

    /// Whether it has `most` records, or as many bytes as one request should have.
    pub(crate) fn is_full(&self, most: usize) -> bool {
        self.records.len() >= most || self.bytes.len() >= MOST_BYTES
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn record(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.records.get(index)?.clone())
    }

    /// The time of the first record; 0 if there is none.
    pub(crate) fn oldest(&self) -> u64 {
        self.record(0).map_or(0, crate::record::time_of)
    }
}

/// In the short form of the disk; as JSON it is some five times as much.
const MOST_BYTES: usize = 1024 * 1024;
