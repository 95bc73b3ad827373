//! Whose turn it is to write, as those see it who have something to write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal::wire::put_bytes;
use parking_lot::Mutex;
use store::SharedLog;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// A log that several nodes write by turns, as those see it who change rooms.
pub struct Turns {
    pub(crate) server: Arc<dyn SharedLog>,
    /// What this process is called among those that take turns.
    pub(crate) who: String,
    inside: Mutex<Inside>,
    is_here: AtomicBool,
    /// Whether the server has not answered for a while.
    away: watch::Sender<bool>,
    arrivals: watch::Sender<()>,
    /// How often the turn came.
    opened: watch::Sender<u64>,
    told: watch::Sender<Told>,
    /// There is something to do for whoever writes.
    work: Notify,
}

#[derive(Default)]
struct Inside {
    /// Whether it may be written.
    is_open: bool,
    /// How many may write that have not done so.
    deciding: usize,
    /// How many wait for the turn.
    waiting: usize,
    batch: Vec<u8>,
    records: usize,
    /// The number of the batch that is put together, counted by this process.
    number: u64,
    /// How often it was begun to read what others wrote.
    readings: u64,
    wants_news: bool,
}

/// What became of what.
#[derive(Clone, Default)]
struct Told {
    /// Batches of this process up to this one are written, or lost.
    settled: u64,
    /// Those that are lost, as far as anybody may ask.
    lost: Vec<u64>,
    /// What was written before this reading began is known.
    read: u64,
}

/// A batch to be written.
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: usize,
}

impl Turns {
    /// Nobody's turn yet, in a log that this process knows nothing of.
    pub fn new(server: Arc<dyn SharedLog>, who: String) -> Self {
        Self {
            server,
            who,
            inside: Mutex::new(Inside { number: 1, ..Inside::default() }),
            is_here: AtomicBool::new(false),
            away: watch::Sender::new(false),
            arrivals: watch::Sender::new(()),
            opened: watch::Sender::new(0),
            told: watch::Sender::new(Told::default()),
            work: Notify::new(),
        }
    }

    /// Whether everything is known, as it was a moment ago.
    pub fn is_here(&self) -> bool {
        self.is_here.load(Ordering::Acquire)
    }

    /// Rooms are known from now on, as they were a moment ago.
    pub(crate) fn arrive(&self) {
        self.is_here.store(true, Ordering::Release);
        self.arrivals.send_replace(());
    }

    /// Rooms are not known any more. To be called before they are forgotten.
    pub(crate) fn leave(&self) {
        self.is_here.store(false, Ordering::Release);
    }

    /// The server does not answer, or does so again. While it does not, nobody waits for it in vain.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.away.send_replace(is_away);
    }

    /// Has something be waited for as long as the server answers, but no longer than this. None: it did not come.
    async fn within<T>(&self, patience: Duration, what: impl Future<Output = T>) -> Option<T> {
        let mut away = self.away.subscribe();
        tokio::select! {
            biased;
            done = timeout(patience, what) => done.ok(),
            _ = away.wait_for(|is_away| *is_away) => None,
        }
    }

    /// Waits until somebody wants something, but no longer than this.
    pub(crate) async fn work_within(&self, patience: Duration) {
        let is_wanted = || {
            let inside = self.inside.lock();
            inside.waiting > 0 || inside.wants_news
        };
        if !is_wanted() {
            // Whoever wants something from now on leaves a note.
            drop(timeout(patience, self.work.notified()).await);
        }
    }

    pub(crate) fn anybody_waits(&self) -> bool {
        self.inside.lock().waiting > 0
    }

    /// It is begun to read what others wrote.
    pub(crate) fn begin_reading(&self) -> u64 {
        let mut inside = self.inside.lock();
        inside.wants_news = false;
        inside.readings += 1;
        inside.readings
    }

    /// A reading has come to its end, and everything is known.
    pub(crate) fn has_read(&self, number: u64) {
        self.told.send_modify(|told| told.read = number);
    }

    /// It is this process's turn, and everything is known.
    pub(crate) fn open(&self) {
        self.inside.lock().is_open = true;
        self.opened.send_modify(|times| *times += 1);
    }

    /// Waits until everybody who waited has decided.
    pub(crate) async fn gathered(&self) {
        let is_quiet = || {
            let inside = self.inside.lock();
            inside.waiting == 0 && inside.deciding == 0
        };
        let quiet = async {
            while !is_quiet() {
                self.work.notified().await;
            }
        };
        // Somebody who went away without a word holds nobody up.
        drop(timeout(GATHER, quiet).await);
    }

    /// Nobody writes any more: what was written is the batch. None: it was nothing. A moment is waited for who still writes.
    pub(crate) async fn shut(&self) -> Option<Batch> {
        self.inside.lock().is_open = false;
        loop {
            {
                let mut inside = self.inside.lock();
                if inside.deciding == 0 {
                    let (bytes, records) = (std::mem::take(&mut inside.batch), std::mem::take(&mut inside.records));
                    let number = inside.number;
                    if records == 0 {
                        return None;
                    }
                    inside.number += 1;
                    return Some(Batch { number, bytes, records });
                }
            }
            // Who decides does not wait for anything.
            tokio::task::yield_now().await;
        }
    }

    /// A batch is written, so that neither the end of this process nor another one takes it back.
    pub(crate) fn settle(&self, number: u64) {
        self.told.send_modify(|told| told.settled = number);
    }

    /// What was decided and is not written never happened.
    pub(crate) fn lose(&self) {
        let last = {
            let mut inside = self.inside.lock();
            inside.is_open = false;
            inside.batch.clear();
            inside.records = 0;
            inside.number += 2;
            inside.number - 2
        };
        self.told.send_modify(|told| {
            told.lost.extend(told.settled + 1..=last);
            let too_many = told.lost.len().saturating_sub(REMEMBERED);
            told.lost.drain(..too_many);
            // One more, so that what was so far is nothing that was lost.
            told.settled = last + 1;
        });
    }

    fn done(&self) {
        let is_quiet = {
            let mut inside = self.inside.lock();
            inside.deciding -= 1;
            inside.deciding == 0 && inside.waiting == 0
        };
        if is_quiet {
            self.work.notify_one();
        }
    }
}

/// Whoever has it may write. It must be for a moment only.
#[derive(Default)]
pub struct MayWrite(Option<Arc<Turns>>);

impl Drop for MayWrite {
    fn drop(&mut self) {
        if let Some(turns) = &self.0 {
            turns.done();
        }
    }
}

/// Somebody waits for the turn.
struct Waiting<'a>(&'a Turns);

impl<'a> Waiting<'a> {
    fn new(turns: &'a Turns) -> Self {
        turns.inside.lock().waiting += 1;
        turns.work.notify_one();
        Self(turns)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.inside.lock().waiting -= 1;
    }
}

impl Turns {
    /// Leave to write, if it is this process's turn.
    pub fn try_write(self: &Arc<Self>) -> Option<MayWrite> {
        let mut inside = self.inside.lock();
        let has_room = inside.batch.len() < LONGEST;
        // Who waits already is not overtaken for ever: all of them decide before the turn ends.
        (inside.is_open && has_room && self.is_here()).then(|| {
            inside.deciding += 1;
            drop(inside);
            MayWrite(Some(self.clone()))
        })
    }

    /// Waits until it is this process's turn.
    pub async fn may_write(self: &Arc<Self>) -> Result<MayWrite, NotWritten> {
        let mut opened = self.opened.subscribe();
        let waiting = Waiting::new(self);
        let ours = async {
            loop {
                opened.borrow_and_update();
                if let Some(may_write) = self.try_write() {
                    return Ok(may_write);
                }
                if opened.changed().await.is_err() {
                    return Err(NotWritten::Away);
                }
            }
        };
        let ours = self.within(PATIENCE, ours).await.unwrap_or(Err(NotWritten::Away));
        // Not before it may be written: otherwise nobody would seem to want it.
        drop(waiting);
        ours
    }

    /// Waits until everything is known.
    pub async fn here(&self) {
        let mut arrivals = self.arrivals.subscribe();
        // It fails only without a sender, which `self` has.
        drop(arrivals.wait_for(|()| self.is_here()).await);
    }

    /// Waits until what other processes wrote before now is known.
    pub async fn catch_up(&self) {
        let mut told = self.told.subscribe();
        let number = {
            let mut inside = self.inside.lock();
            inside.wants_news = true;
            inside.readings + 1
        };
        self.work.notify_one();
        // Without the server what is known is what is told.
        let _read = self.within(CATCH_UP, told.wait_for(|told| told.read >= number)).await;
    }

    /// Writes a record behind all others; says in which batch.
    pub fn append(&self, record: &[u8]) -> Result<u64, NotWritten> {
        let mut inside = self.inside.lock();
        if !self.is_here() {
            return Err(NotWritten::Elsewhere);
        }
        // Whoever may write is waited for before the batch is closed.
        if !inside.is_open && inside.deciding == 0 {
            return Err(NotWritten::NotOurTurn);
        }
        put_bytes(&mut inside.batch, record);
        inside.records += 1;
        Ok(inside.number)
    }

    /// The batch that was written to last.
    pub fn so_far(&self) -> u64 {
        let inside = self.inside.lock();
        if inside.records > 0 { inside.number } else { inside.number - 1 }
    }

    /// Waits until a batch is written, so that neither the end of this process nor another one takes it back.
    pub async fn durable(&self, number: u64) -> Result<(), NotWritten> {
        let mut told = self.told.subscribe();
        let settled = timeout(PATIENCE, told.wait_for(|told| told.settled >= number)).await;
        match settled {
            Ok(Ok(told)) if told.lost.contains(&number) => Err(NotWritten::Lost),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NotWritten::Away),
        }
    }
}

/// Why nothing is written, or may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// Nothing is known yet, or not any more.
    #[error("what was written is not known at the moment")]
    Elsewhere,
    /// It is the turn of another node.
    #[error("it is another node's turn")]
    NotOurTurn,
    /// Another node had the turn before this was written.
    #[error("another node had the turn before this was written")]
    Lost,
    /// The server does not answer. It may have been written.
    #[error("the server does not answer")]
    Away,
}

/// How long somebody waits for the turn, or for what they did to be written.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long somebody waits for what others wrote a moment ago.
const CATCH_UP: Duration = Duration::from_millis(1500);
/// How long those who waited are waited for to decide.
const GATHER: Duration = Duration::from_millis(5);
/// Bytes of a batch, after which others have their turn.
const LONGEST: usize = 512 * 1024;
/// Lost batches that somebody may still ask for.
const REMEMBERED: usize = 64;
