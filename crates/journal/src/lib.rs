//! An append-only log for what is written once per request: usage, consumption of quotas, places in a queue.
//!
//! A record is safe from the end of the process, `kill -9` included, as soon as [`Writer::append`] returned, because
//! it is in the system's cache then. It is safe from a loss of power after the next group commit, which comes every
//! [`Settings::commit_every`]; who must not acknowledge before that waits by [`Journal::committed`].
//!
//! ```text
//! worker's thread ── Writer ──▶ segment, 4 MiB, allocated and mapped ──▶ SegmentReader ── consumer's thread
//!                                  │ every 100 ms                          cursor: (segment, offset)
//! journal-commit ── msync ─────────┘
//! journal-supply ── allocates the next segment of each writer; removes those that all consumers are done with
//! ```
//!
//! An append is a checksum, a copy and a release store: no syscall, and no lock or cache line that threads share.
//! A segment is allocated whole, so that a full disk shows when the next one is laid out, while there is still room
//! to finish what has begun, and never as a signal in the middle of a write.
//!
//! # Why not a crate
//!
//! Judged by what an append costs and whom it waits for:
//!
//! - `fjall` 3: one writer behind a mutex that all threads share; records are framed into a `BufWriter`, and each
//!   append flushes it by `write(2)` (`PersistMode::Buffer`), or is not safe from `kill -9`. Every record also goes
//!   into an LSM tree that nobody here asks. The same holds for `sled` and `redb`, which are trees, too; redb has one
//!   writing transaction at a time.
//! - `raft-engine`: writers queue behind a leader that writes the group's batch by `pwrite(2)`; protobuf entries and a
//!   table in memory of every record.
//! - `okaywal`: a buffered file per entry behind a mutex, `fsync` per commit; its authors warn of production use.
//! - `commitlog`: one writer (`&mut self`), appends by `write(2)`, only its index is mapped.
//! - `wal-db`, `walrus-rust`: append without a global lock, yet by `pwrite(2)` for each record; walrus has a mapped
//!   backend, in files of 1 GiB, and looks a topic's writer up under a lock.
//! - `open-wal`: one writer, and a record is in the system's cache only after `commit`.
//! - the mapped log of qdrant (`wal`): closest. One writer that readers must share a lock with, entries numbered
//!   instead of cursors, and one log a directory with an exclusive lock, which two processes during an upgrade
//!   cannot both have.
//!
//! A `write(2)` costs 400 ns or more; the bar is 150 ns for 200 bytes.
//!
//! Deliberately not here: what the records mean. How numbers and texts lie in them is in [`wire`].

mod consumer;
mod error;
mod frame;
mod journal;
mod keeper;
mod paced;
mod per_thread;
mod reader;
mod segment;
pub mod wire;
mod writer;

pub use self::consumer::Consumer;
pub use self::error::{Error, NotAppended, NotCommitted};
pub use self::frame::MAX_RECORD;
pub use self::journal::{Journal, Settings, State};
pub use self::paced::PacedFile;
pub use self::per_thread::PerThread;
pub use self::reader::{End, Next, SegmentReader};
pub use self::segment::SegmentId;
pub use self::writer::{Mark, Writer};
