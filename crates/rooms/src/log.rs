//! Where what happens is written down, so that it happened for good.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use journal::{Consumer, Journal, Mark, Next, SegmentId, Settings, Writer};
use parking_lot::Mutex;
use tokio::sync::watch;
use turns::MayWrite;

/// Where what happens in rooms is written down, in one order.
pub trait Log: Send + Sync {
    /// Whether rooms are in this process.
    fn is_here(&self) -> bool;

    /// Whether several processes have them together.
    fn is_shared(&self) -> bool;

    /// Waits until they are.
    fn here(&self) -> BoxFuture<'_, ()>;

    /// Leave to write, if this process may write now.
    fn at_once(&self) -> Option<MayWrite>;

    /// Waits until this process may write, and knows all that happened.
    fn turn(&self) -> BoxFuture<'_, Result<MayWrite, NotKept>>;

    /// Waits until what other processes wrote before now has happened here, too.
    fn catch_up(&self) -> BoxFuture<'_, ()>;

    /// Writes a record behind all others. When this returns, the end of this process cannot undo it.
    fn append(&self, record: &[u8]) -> Result<Written, NotKept>;

    /// Everything that was written so far.
    fn so_far(&self) -> Result<Written, NotKept>;

    /// Waits until a loss of power cannot undo it either.
    fn durable<'a>(&'a self, written: &'a Written) -> BoxFuture<'a, Result<(), NotKept>>;
}

/// A place in a log: everything up to it.
#[derive(Clone, Debug)]
pub enum Written {
    /// In the journal of this machine.
    Journal(Mark),
    /// In a batch for the log that nodes share: the one of this number.
    Batch(u64),
}

/// Why nothing happened, or may not have happened for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Rooms are not in this process: another one of the same store has them, for the moment.
    #[error("rooms are in another process for the moment")]
    Elsewhere,
    /// There is no room on the disk.
    #[error("there is no room to write down what happens in rooms")]
    NoRoom,
    /// The disk failed to take it.
    #[error("the disk failed to take what happened in a room")]
    Failed,
    /// Several nodes share rooms, and it is the turn of another one.
    #[error("it is another node's turn to change rooms")]
    NotOurTurn,
    /// Several nodes share rooms, and another one had the turn before this was written. It did not happen.
    #[error("another node changed rooms before this was written, so it did not happen")]
    Lost,
    /// The server that nodes share does not answer. It may have happened.
    #[error("the server that keeps waiting rooms does not answer")]
    Away,
}

/// A log in a folder of this machine, which one process has at a time.
pub(crate) struct JournalLog {
    journal: Arc<Journal>,
    /// None while rooms are in another process.
    writer: Mutex<Option<Writer>>,
    /// Who reads the log, which only the process does that has it.
    reader: Mutex<Option<Consumer>>,
    /// Bytes since the log was made short.
    bytes: AtomicU64,
    is_here: AtomicBool,
    arrivals: watch::Sender<()>,
}

impl JournalLog {
    /// A log that `others` read, too.
    pub(crate) fn open(folder: &Path, opened_at: u64, others: &[String]) -> Result<Self, journal::Error> {
        let consumers = || [READER.to_owned()].into_iter().chain(others.iter().cloned()).collect();
        let settings = || Settings {
            consumers: consumers(),
            reserve: 256 * 1024,
            commit_every: COMMIT_EVERY,
            ..Settings::default()
        };
        let mut journal = Journal::open(folder, settings(), opened_at)?;
        // What is written from now on must come after what is there, also if somebody set the clock back.
        let latest = journal.segments()?.last().map_or(0, |id| u64::try_from(id.0 >> 64).unwrap_or(u64::MAX));
        if latest >= opened_at {
            drop(journal);
            journal = Journal::open(folder, settings(), latest.saturating_add(1))?;
        }
        Ok(Self {
            journal: Arc::new(journal),
            writer: Mutex::default(),
            reader: Mutex::default(),
            bytes: AtomicU64::new(0),
            is_here: AtomicBool::new(false),
            arrivals: watch::Sender::new(()),
        })
    }

    /// Has the log, unless another process has it. Nothing is written before [`Self::begin`].
    pub(crate) fn take(&self) -> Result<bool, journal::Error> {
        let Some(consumer) = self.journal.consumer(READER)? else { return Ok(false) };
        *self.reader.lock() = Some(consumer);
        Ok(true)
    }

    /// Reads the log from its beginning.
    pub(crate) fn read(&self, mut read: impl FnMut(&[u8])) -> Result<(), journal::Error> {
        self.bytes.store(0, Ordering::Relaxed);
        let reader = self.reader.lock();
        let Some(reader) = &*reader else { return Ok(()) };
        for id in reader.segments()? {
            let Some(mut segment) = reader.read(id, 0)? else { continue };
            loop {
                match segment.next() {
                    Ok(Next::Record(record)) => {
                        self.bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
                        read(record);
                    }
                    Ok(Next::End(journal::End::Damaged)) => {
                        tracing::error!(segment = %id, "a part of what happened in rooms is damaged");
                        break;
                    }
                    // Nobody writes it any more who had the log.
                    Ok(Next::End(_) | Next::NothingYet) => break,
                    Err(cause) => return Err(unreadable(cause)),
                }
            }
        }
        Ok(())
    }

    /// Writes from now on.
    pub(crate) fn begin(&self) -> Result<(), journal::Error> {
        *self.writer.lock() = Some(self.journal.writer()?);
        self.is_here.store(true, Ordering::Release);
        self.arrivals.send_replace(());
        Ok(())
    }

    /// Lets another process have the log.
    pub(crate) fn let_go(&self) {
        self.is_here.store(false, Ordering::Release);
        drop(self.writer.lock().take());
        drop(self.reader.lock().take());
    }

    /// The journal, for those who tell others what happens.
    pub(crate) fn journal(&self) -> Arc<Journal> {
        self.journal.clone()
    }

    /// How many bytes a start would have to read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Where the log is now, to be made short up to there.
    pub(crate) fn here(&self) -> Option<Here> {
        let writer = self.writer.lock();
        let segment = writer.as_ref()?.mark()?.segment();
        Some(Here { segment, bytes: self.bytes() })
    }

    /// Forgets what was written before this place, as far as whole segments go.
    pub(crate) fn shorten(&self, here: &Here) -> Result<(), journal::Error> {
        let mut reader = self.reader.lock();
        let Some(reader) = &mut *reader else { return Ok(()) };
        let over: Vec<SegmentId> = reader.segments()?.into_iter().filter(|id| *id < here.segment).collect();
        reader.done(over)?;
        self.bytes.fetch_sub(here.bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// A place in the log.
pub(crate) struct Here {
    segment: SegmentId,
    bytes: u64,
}

impl Log for JournalLog {
    fn is_here(&self) -> bool {
        self.is_here.load(Ordering::Acquire)
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn here(&self) -> BoxFuture<'_, ()> {
        let mut arrivals = self.arrivals.subscribe();
        // It fails only without a sender, which `self` has.
        async move { drop(arrivals.wait_for(|()| self.is_here()).await) }.boxed()
    }

    fn at_once(&self) -> Option<MayWrite> {
        self.is_here().then(MayWrite::default)
    }

    fn turn(&self) -> BoxFuture<'_, Result<MayWrite, NotKept>> {
        ready(self.at_once().ok_or(NotKept::Elsewhere)).boxed()
    }

    fn catch_up(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    fn append(&self, record: &[u8]) -> Result<Written, NotKept> {
        let mut writer = self.writer.lock();
        let writer = writer.as_mut().ok_or(NotKept::Elsewhere)?;
        // It goes on to another segment if the disk failed to take this one.
        if !writer.has_room() {
            return Err(NotKept::NoRoom);
        }
        writer.append(record).map_err(|_no_room| NotKept::NoRoom)?;
        self.bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
        writer.mark().map(Written::Journal).ok_or(NotKept::Failed)
    }

    fn so_far(&self) -> Result<Written, NotKept> {
        let writer = self.writer.lock();
        writer.as_ref().ok_or(NotKept::Elsewhere)?.mark().map(Written::Journal).ok_or(NotKept::Failed)
    }

    fn durable<'a>(&'a self, written: &'a Written) -> BoxFuture<'a, Result<(), NotKept>> {
        async move {
            let Written::Journal(mark) = written else { return Ok(()) };
            self.journal.committed(mark).await.map_err(|_not_committed| NotKept::Failed)
        }
        .boxed()
    }
}

fn unreadable(cause: std::io::Error) -> journal::Error {
    journal::Error { doing: "read a segment in", path: Path::new("rooms").to_owned(), cause }
}

/// For what nobody waits for. A commit holds up whoever asks other rooms on its core for some 0.3 ms; done ten times a
/// second, it is what the slowest hundredth of them saw of a rush.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// The name by which the journal knows who reads it.
const READER: &str = "rooms";

/// Dropped before the threads of the journal end, so that the last commit takes what it sealed.
impl Drop for JournalLog {
    fn drop(&mut self) {
        self.let_go();
    }
}
