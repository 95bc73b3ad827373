//! The journal: a directory of segments, and the two threads that keep it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::consumer::{self, Consumer};
use crate::error::{Error, NotCommitted};
use crate::frame;
use crate::keeper;
use crate::paced;
use crate::reader::SegmentReader;
use crate::segment::{FIRST, Pen, Segment, SegmentId, UNFINISHED, Unfinished};
use crate::writer::{Mark, NextPen, Writer};

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The size of a segment. Each writer has one, and the next one.
    pub segment: usize,
    /// What all segments of the directory may take together. Beyond it there is no room.
    pub limit: u64,
    /// What a new segment must leave free on the disk, for those who make the journal shorter: a consumer's store.
    pub keep_free: u64,
    /// What [`Writer::has_room`] keeps for requests that have begun; less than `segment`.
    pub reserve: usize,
    /// How long a record may wait until it is put on the disk. Each time costs some 0.2 ms of CPU a writer, which
    /// is why it is not done more often; who waits for the disk need not wait for this.
    pub commit_every: Duration,
    /// Who reads everything. A segment is removed once each of them is done with it; without any, never.
    pub consumers: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: 4 * 1024 * 1024,
            limit: 8 * 1024 * 1024 * 1024,
            keep_free: 64 * 1024 * 1024,
            reserve: 1024 * 1024,
            commit_every: Duration::from_millis(100),
            consumers: Vec::new(),
        }
    }
}

/// What an operator wants to know of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The segments in the directory, when they were last counted.
    pub segments: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// What further segments may take, by the limit and by the disk.
    pub room: u64,
    /// How often the disk failed to take records.
    pub failed_commits: u64,
    /// How often there was no room for a further segment.
    pub refused_segments: u64,
}

/// A directory of segments. Several processes may have it open at once.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal in `directory`, which is made if need be. `opened_at` is the time, in microseconds since
    /// 1970; it orders the segments of one process after those of earlier ones, and nothing hangs on it.
    pub fn open(directory: &Path, settings: Settings, opened_at: u64) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(Error::of("create", directory))?;
        let mut chance = [0; 8];
        getrandom::fill(&mut chance)
            .map_err(|cause| Error::of("name segments of", directory)(io::Error::other(cause.to_string())))?;
        let [a, b, c, d, salt @ ..] = chance;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            consumers: Mutex::new(settings.consumers.clone()),
            settings,
            instance: u128::from(opened_at) << 64 | u128::from(u32::from_le_bytes([a, b, c, d])) << 32,
            salt: u32::from_le_bytes(salt),
            sequence: AtomicU32::new(0),
            live: Mutex::default(),
            awaited: Mutex::default(),
            commits: watch::Sender::new(0),
            committed: (Mutex::new(0), Condvar::new()),
            closing: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            threads: OnceLock::new(),
            counts: Counts::default(),
        });
        shared.sweep(opened_at)?;
        let mut journal = Self { shared, threads: Vec::new() };
        let committing = journal.start("journal-commit", keeper::commit_until_closed)?;
        let supplying = journal.start("journal-supply", keeper::supply_until_closed)?;
        // Nobody else sets it.
        drop(journal.shared.threads.set(Threads { committing, supplying }));
        Ok(journal)
    }

    /// A new writer. It blocks while a segment is allocated, so it is best asked for before there is traffic.
    pub fn writer(&self) -> Result<Writer, Error> {
        let pen = self.shared.first_segment().inspect_err(|_| {
            self.shared.refusing.store(true, Ordering::Relaxed);
        })?;
        let next = Arc::new(NextPen::default());
        self.shared.awaited.lock().push(next.clone());
        self.shared.ask_for_segments();
        Ok(Writer::new(pen, next, self.shared.clone()))
    }

    /// All segments, of this and of other processes, the living and the dead; in the order of their ids.
    pub fn segments(&self) -> Result<Vec<SegmentId>, Error> {
        Ok(self.shared.listed()?.into_iter().map(|(id, _)| id).collect())
    }

    /// As [`Self::segments`], with the bytes that each takes on the disk.
    pub fn sizes(&self) -> Result<Vec<(SegmentId, u64)>, Error> {
        self.shared.listed()
    }

    /// Whether a segment was made by this handle.
    pub fn is_own(&self, id: SegmentId) -> bool {
        id.0 >> 32 == self.shared.instance >> 32
    }

    /// Reads a segment from `offset` on, which is 0 or what [`SegmentReader::offset`] said earlier. `None`: it is
    /// gone, as can happen after it was listed.
    pub fn read(&self, id: SegmentId, offset: u64) -> Result<Option<SegmentReader>, Error> {
        SegmentReader::open(&self.shared.directory, id, offset)
    }

    /// The named consumer, unless somebody else is it at this time, in this or another process.
    pub fn consumer(&self, name: &str) -> Result<Option<Consumer>, Error> {
        Consumer::acquire(&self.shared.directory, name)
    }

    /// Writes a whole segment at once: after a crash it is there with all its records, or not at all.
    pub fn write_whole<'a>(&self, records: impl Iterator<Item = &'a [u8]> + Clone) -> Result<SegmentId, Error> {
        let size = records.clone().map(|record| frame::framed(record.len())).sum::<usize>() + FIRST + frame::HEAD;
        let id = self.shared.next_id();
        let mut unfinished = Unfinished::create(&self.shared.directory, id, self.shared.salt_of(id), size)?;
        let fitted = records.map(|record| unfinished.append(record)).all(|end| end.is_some());
        debug_assert!(fitted, "the size is the sum of the frames");
        unfinished.finish_whole()?;
        Ok(id)
    }

    /// Removes a segment that nobody needs any more, if it is still there.
    pub fn remove(&self, id: SegmentId) -> Result<(), Error> {
        let path = id.file_in(&self.shared.directory);
        match paced::remove(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(Error::of("remove", &path)(cause)),
            _ => Ok(()),
        }
    }

    /// Waits until everything before `mark` is on the disk.
    pub async fn committed(&self, mark: &Mark) -> Result<(), NotCommitted> {
        let mut commits = self.shared.commits.subscribe();
        loop {
            if let Some(known) = known(mark) {
                return known;
            }
            self.shared.ask_for_commit();
            // It fails only without a sender, which `self` has.
            commits.changed().await.map_err(|_closed| NotCommitted)?;
        }
    }

    /// As [`Self::committed`], for a thread that may block.
    pub fn wait_until_committed(&self, mark: &Mark) -> Result<(), NotCommitted> {
        let (rounds, changed) = &self.shared.committed;
        let mut rounds = rounds.lock();
        loop {
            if let Some(known) = known(mark) {
                return known;
            }
            self.shared.ask_for_commit();
            changed.wait(&mut rounds);
        }
    }

    /// Waits for a consumer no more: what the others are done with goes, whether this one has read it or not.
    pub fn let_go(&self, consumer: &str) {
        self.shared.consumers.lock().retain(|name| name != consumer);
    }

    /// What an operator wants to know.
    pub fn state(&self) -> State {
        let Counts { segments, bytes, room, failed_commits, refused_segments } = &self.shared.counts;
        State {
            segments: segments.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
            room: room.load(Ordering::Relaxed),
            failed_commits: failed_commits.load(Ordering::Relaxed),
            refused_segments: refused_segments.load(Ordering::Relaxed),
        }
    }

    /// Whether a writer was refused a moment ago.
    pub(crate) fn is_refusing(&self) -> bool {
        self.shared.refusing.load(Ordering::Relaxed)
    }

    fn start(&mut self, name: &str, work: fn(&Shared)) -> Result<Thread, Error> {
        let shared = self.shared.clone();
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || work(&shared));
        let handle = started.map_err(Error::of("start a thread for", &self.shared.directory))?;
        let thread = handle.thread().clone();
        self.threads.push(handle);
        Ok(thread)
    }
}

impl Drop for Journal {
    /// Puts everything on the disk. Writers that live on can append, but get no further segment.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        for handle in self.threads.drain(..) {
            handle.thread().unpark();
            // A thread that panicked has nothing more to say.
            drop(handle.join());
        }
    }
}

fn known(mark: &Mark) -> Option<Result<(), NotCommitted>> {
    if mark.segment.is_durable(mark.end) {
        return Some(Ok(()));
    }
    mark.segment.is_broken().then_some(Err(NotCommitted))
}

/// What the journal, its writers and its threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) directory: PathBuf,
    pub(crate) settings: Settings,
    instance: u128,
    salt: u32,
    sequence: AtomicU32,
    /// The segments that may have something to commit.
    pub(crate) live: Mutex<Vec<Arc<Segment>>>,
    /// Where each writer finds its next segment.
    pub(crate) awaited: Mutex<Vec<Arc<NextPen>>>,
    pub(crate) commits: watch::Sender<u64>,
    pub(crate) committed: (Mutex<u64>, Condvar),
    pub(crate) closing: AtomicBool,
    /// A writer was refused, and the supplying thread has not looked since.
    pub(crate) refusing: AtomicBool,
    threads: OnceLock<Threads>,
    pub(crate) counts: Counts,
    /// Who is still waited for.
    consumers: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Threads {
    committing: Thread,
    supplying: Thread,
}

/// See [`State`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) segments: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) room: AtomicU64,
    pub(crate) failed_commits: AtomicU64,
    pub(crate) refused_segments: AtomicU64,
}

impl Shared {
    /// As [`Self::new_segment`], for a writer that has none, if the limit allows it.
    fn first_segment(&self) -> Result<Pen, Error> {
        let bytes: u64 = self.listed()?.iter().map(|(_, size)| size).sum();
        if bytes.saturating_add(self.settings.segment as u64) > self.settings.limit {
            return Err(Error::of("keep to the limit of", &self.directory)(io::ErrorKind::StorageFull.into()));
        }
        self.new_segment()
    }

    /// Makes a segment, and has it committed from now on.
    pub(crate) fn new_segment(&self) -> Result<Pen, Error> {
        let size = self.settings.segment;
        let (there, keep_free) = (self.available()?, self.settings.keep_free);
        if there.saturating_sub(keep_free) < size as u64 {
            let needed = keep_free.saturating_add(size as u64).div_ceil(MIB);
            let why = format!(
                "{needed} MiB must be free, {} of which stay so, and {} MiB are",
                keep_free.div_ceil(MIB),
                there / MIB
            );
            let full = io::Error::new(io::ErrorKind::StorageFull, why);
            return Err(Error::of("leave enough free on the disk of", &self.directory)(full));
        }
        let id = self.next_id();
        let pen = Pen::create(&self.directory, id, self.salt_of(id), size)?;
        self.live.lock().push(pen.segment().clone());
        Ok(pen)
    }

    /// What segments may take of the disk.
    pub(crate) fn free(&self) -> Result<u64, Error> {
        Ok(self.available()?.saturating_sub(self.settings.keep_free))
    }

    /// Bytes of the disk that this process may still write.
    fn available(&self) -> Result<u64, Error> {
        let disk = rustix::fs::statvfs(&self.directory)
            .map_err(|cause| Error::of("examine the disk of", &self.directory)(cause.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Every segment and its size.
    pub(crate) fn listed(&self) -> Result<Vec<(SegmentId, u64)>, Error> {
        let failed = || Error::of("list", &self.directory);
        let mut listed = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let Some(id) = entry.file_name().to_str().and_then(SegmentId::of_file) else { continue };
            // It may just have been removed.
            let Ok(metadata) = entry.metadata() else { continue };
            listed.push((id, metadata.len()));
        }
        listed.sort_unstable();
        Ok(listed)
    }

    /// Removes the segments that every consumer is done with.
    pub(crate) fn retain(&self) -> Result<(), Error> {
        for id in consumer::done_by_all(&self.directory, &self.consumers.lock())? {
            // Another process may have been faster.
            drop(paced::remove(&id.file_in(&self.directory)));
        }
        Ok(())
    }

    /// Has the supplying thread look for writers without a next segment.
    pub(crate) fn ask_for_segments(&self) {
        if let Some(threads) = self.threads.get() {
            threads.supplying.unpark();
        }
    }

    pub(crate) fn forget(&self, gone: &Arc<NextPen>) {
        self.awaited.lock().retain(|next| !Arc::ptr_eq(next, gone));
    }

    fn ask_for_commit(&self) {
        if let Some(threads) = self.threads.get() {
            threads.committing.unpark();
        }
    }

    /// Differs from segment to segment, so that what a file system mixes up shows.
    fn salt_of(&self, id: SegmentId) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is the sequence number")]
        let sequence = id.0 as u32;
        self.salt ^ sequence.wrapping_mul(0x9e37_79b1)
    }

    fn next_id(&self) -> SegmentId {
        SegmentId(self.instance | u128::from(self.sequence.fetch_add(1, Ordering::Relaxed)))
    }

    /// Removes what processes left behind that died while they made a segment. One that was begun a moment ago may
    /// be of a living process that has not come to lock it.
    fn sweep(&self, now: u64) -> Result<(), Error> {
        for entry in fs::read_dir(&self.directory).map_err(Error::of("list", &self.directory))? {
            let Ok(entry) = entry else { continue };
            let is_old = entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|modified| {
                let age = (UNIX_EPOCH + Duration::from_micros(now)).duration_since(modified);
                age.is_ok_and(|age| age > UNFINISHED_FOR)
            });
            let is_unfinished = entry.file_name().to_str().is_some_and(|name| name.ends_with(UNFINISHED));
            if is_unfinished && is_old && consumer::is_abandoned(&entry.path()) {
                drop(fs::remove_file(entry.path()));
            }
        }
        Ok(())
    }
}

const MIB: u64 = 1024 * 1024;
const UNFINISHED_FOR: Duration = Duration::from_mins(1);
