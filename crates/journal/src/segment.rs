//! A segment: a file of fixed size in memory, and the pen that writes it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};
use rustix::fs::{FallocateFlags, FlockOperation};

use crate::error::Error;
use crate::frame::{self, HEAD, Word};
use crate::paced::parts;

/// The name of a segment, unique for ever: when its process opened the journal, chance, and a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u128);

impl SegmentId {
    /// The id in the name of a segment's file.
    pub(crate) fn of_file(name: &str) -> Option<Self> {
        name.strip_suffix(EXTENSION)?.parse().ok()
    }

    pub(crate) fn file_in(self, directory: &Path) -> PathBuf {
        directory.join(format!("{self}{EXTENSION}"))
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SegmentId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// What is known, by all threads of its process, of a segment that is being written.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    // Held open, because its lock tells readers in every process that the writer lives.
    file: File,
    map: MmapRaw,
    salt: u32,
    // Up to here records are in the system's cache. Written by the pen only.
    published: AtomicUsize,
    // Up to here records are on the disk. Written by the committing thread only.
    durable: AtomicUsize,
    // Up to here pages are no longer in this process's memory. Written by the committing thread only.
    released: AtomicUsize,
    ended: AtomicBool,
    broken: AtomicBool,
}

/// How far the committing thread came with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything that there was is on the disk; more may come.
    Current,
    /// Everything is on the disk, and nothing more will come.
    Complete,
}

impl Segment {
    /// Puts everything that was appended on the disk.
    pub(crate) fn commit(&self) -> Result<Progress, Error> {
        // In this order: what the pen published before it ended is seen.
        let ended = self.ended.load(Ordering::Acquire);
        let published = self.published.load(Ordering::Acquire);
        let durable = self.durable.load(Ordering::Relaxed);
        if self.is_broken() {
            return Ok(if ended { Progress::Complete } else { Progress::Current });
        }
        if durable < published
            && let Err(error) = self.sync(durable, published)
        {
            // The kernel reports a failed write once and forgets it: a later success would mean nothing.
            self.broken.store(true, Ordering::Release);
            return Err(error);
        }
        self.durable.store(published, Ordering::Release);
        self.released.store(release(&self.map, self.released.load(Ordering::Relaxed), published), Ordering::Relaxed);
        if !ended {
            if durable < published {
                self.populate(published, published - durable);
            }
            return Ok(Progress::Current);
        }
        // Gives back what was never written. Readers stop at the seal, which lies before the cut.
        self.file.set_len(published as u64).map_err(Error::of("cut", &self.path))?;
        Ok(Progress::Complete)
    }

    /// Whether everything before `end` is on the disk.
    pub(crate) fn is_durable(&self, end: usize) -> bool {
        self.durable.load(Ordering::Acquire) >= end
    }

    /// Whether the disk failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn sync(&self, durable: usize, published: usize) -> Result<(), Error> {
        for part in parts(durable..published, AT_ONCE) {
            self.map.flush_range(part.start, part.len()).map_err(Error::of("sync", &self.path))?;
        }
        if durable == 0 {
            self.file.sync_all().map_err(Error::of("sync", &self.path))?;
            sync_directory_of(&self.path)?;
        }
        Ok(())
    }

    /// Touches the pages that the pen comes to next, so that it meets no page fault. After every commit, because one
    /// protects all pages of a block of memory that it writes out any part of. As far as a pen comes that writes some
    /// times as much as before the last commit: to look at each page takes time on a core that others need, too.
    fn populate(&self, published: usize, written: usize) {
        let from = published & !(PAGE - 1);
        let ahead = written.saturating_mul(4).clamp(POPULATED_AHEAD.start, POPULATED_AHEAD.end);
        let to = (from + ahead).min(self.map.len());
        for part in parts(from..to, AT_ONCE) {
            // Only faster, never needed; kernels before 5.14 do not know it.
            drop(self.map.advise_range(Advice::PopulateWrite, part.start, part.len()));
        }
    }
}

/// The right to write a segment; there is one.
#[derive(Debug)]
pub(crate) struct Pen {
    segment: Arc<Segment>,
    at: usize,
}

impl Pen {
    /// Makes a segment of `size` bytes, all of them allocated, so that writing to it cannot fail.
    pub(crate) fn create(directory: &Path, id: SegmentId, salt: u32, size: usize) -> Result<Self, Error> {
        Unfinished::create(directory, id, salt, size)?.finish()
    }

    /// The segment that this pen writes.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Where the next record comes to stand.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The bytes that are left for frames.
    pub(crate) fn left(&self) -> usize {
        // The seal must always fit.
        self.segment.map.len().saturating_sub(self.at + HEAD)
    }

    /// Whether `record` would fit into a new segment of this size.
    pub(crate) fn could_hold(&self, record: &[u8]) -> bool {
        frame::framed(record.len()) + FIRST + HEAD <= self.segment.map.len()
    }

    /// Appends `record`, unless it does not fit.
    #[inline]
    pub(crate) fn append(&mut self, record: &[u8]) -> Option<usize> {
        if frame::framed(record.len()) > self.left() {
            return None;
        }
        self.write(Word::Record(record.len()), record);
        Some(self.at)
    }

    /// Says that nothing follows.
    pub(crate) fn seal(mut self) {
        self.write(Word::Seal, &[]);
        self.segment.ended.store(true, Ordering::Release);
    }

    /// Takes back a segment that was never written.
    pub(crate) fn discard(self) {
        // If the file stays, its readers find nothing in it.
        drop(fs::remove_file(&self.segment.path));
        self.seal();
    }

    /// Writes one frame. The caller made sure that it fits.
    #[inline]
    #[expect(unsafe_code, reason = "the journal is memory that is shared with the kernel and with readers")]
    fn write(&mut self, word: Word, payload: &[u8]) {
        let checksum = frame::checksum(self.segment.salt, self.at, word, payload);
        let next = self.at + frame::framed(payload.len());
        debug_assert!(next <= self.segment.map.len(), "a frame is written only where it fits");
        // SAFETY: `at..next` is inside the map (checked by `left`, which keeps room for the seal). Nobody else writes
        // there, because there is one pen, borrowed mutably. Nobody reads there before the word is stored, except the
        // word itself, which is only ever accessed atomically; `at` is a multiple of eight and the map begins at a
        // page, so the word is aligned.
        unsafe {
            let frame = self.segment.map.as_mut_ptr().add(self.at);
            frame.add(HEAD).copy_from_nonoverlapping(payload.as_ptr(), payload.len());
            frame.add(4).copy_from_nonoverlapping(checksum.to_le_bytes().as_ptr(), 4);
            AtomicU32::from_ptr(frame.cast()).store(word.encoded().to_le(), Ordering::Release);
        }
        self.at = next;
        self.segment.published.store(next, Ordering::Release);
    }

    #[expect(unsafe_code, reason = "the journal is memory that is shared with the kernel and with readers")]
    fn begin(&mut self) {
        let opening = opening(self.segment.id, self.segment.salt);
        // SAFETY: a segment is larger than its opening, and under its unfinished name nobody else maps it.
        unsafe { self.segment.map.as_mut_ptr().copy_from_nonoverlapping(opening.as_ptr(), FIRST) };
        self.at = FIRST;
    }
}

/// A segment under a name that no reader looks at. Dropped, it is gone.
pub(crate) struct Unfinished {
    path: PathBuf,
    // None only until it is made, and once it is finished.
    pen: Option<Pen>,
}

impl Unfinished {
    /// Makes a segment of `size` bytes, all of them allocated.
    pub(crate) fn create(directory: &Path, id: SegmentId, salt: u32, size: usize) -> Result<Self, Error> {
        // The opening and the seal are written without asking whether they fit.
        let size = size.max(FIRST + HEAD);
        let mut unfinished = Self { path: directory.join(format!("{id}{UNFINISHED}")), pen: None };
        let path = &unfinished.path;
        let options = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let mut file = options.map_err(Error::of("create", path))?;
        // Before it gets its name: a segment without a lock is one whose writer died.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|cause| Error::of("lock", path)(cause.into()))?;
        allocate(&mut file, size).map_err(Error::of("allocate", path))?;
        let map = MmapOptions::new().len(size).map_raw(&file).map_err(Error::of("map", path))?;
        // Only faster, never needed. Nothing is there that could be read ahead, and the system would fill the memory with it.
        drop(map.advise(Advice::Random));
        let segment = Segment {
            id,
            path: id.file_in(directory),
            file,
            map,
            salt,
            published: AtomicUsize::new(FIRST),
            durable: AtomicUsize::new(0),
            released: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        };
        let mut pen = Pen { segment: Arc::new(segment), at: 0 };
        pen.begin();
        unfinished.pen = Some(pen);
        Ok(unfinished)
    }

    /// Appends `record`, unless it does not fit.
    pub(crate) fn append(&mut self, record: &[u8]) -> Option<usize> {
        self.pen.as_mut()?.append(record)
    }

    /// Shows the segment to readers, for its pen to go on.
    fn finish(mut self) -> Result<Pen, Error> {
        let renamed = self.pen.take().map(|pen| fs::rename(&self.path, &pen.segment.path).map(|()| pen));
        // Without a pen it was never made.
        renamed.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())).map_err(Error::of("rename", &self.path))
    }

    /// Shows the segment to readers once it is on the disk, with all that was appended and nothing to follow.
    pub(crate) fn finish_whole(mut self) -> Result<(), Error> {
        let Some(pen) = self.pen.take() else { return Ok(()) };
        let segment = pen.segment.clone();
        pen.seal();
        segment.commit()?;
        fs::rename(&self.path, &segment.path).map_err(Error::of("rename", &self.path))?;
        sync_directory_of(&segment.path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Most often it was renamed. If not, it is in the way, and nobody knows of it.
        drop(fs::remove_file(&self.path));
    }
}

/// The first bytes of a segment: what it is, its id, its salt, and their checksum.
pub(crate) fn opening(id: SegmentId, salt: u32) -> [u8; FIRST] {
    let mut opening = [0; FIRST];
    let (magic, rest) = opening.split_at_mut(8);
    let (name, rest) = rest.split_at_mut(16);
    let (salted, sum) = rest.split_at_mut(4);
    magic.copy_from_slice(&MAGIC);
    name.copy_from_slice(&id.0.to_le_bytes());
    salted.copy_from_slice(&salt.to_le_bytes());
    sum.copy_from_slice(&frame::checksum(salt, 0, Word::Nothing, &id.0.to_le_bytes()).to_le_bytes());
    opening
}

/// Makes a new or removed name in a directory survive a loss of power.
pub(crate) fn sync_directory_of(path: &Path) -> Result<(), Error> {
    let Some(directory) = path.parent() else { return Ok(()) };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(Error::of("sync", directory))
}

/// Lets go of the pages between `from` and `to`, once they are worth it, and says up to where.
///
/// They stay in the system's cache; a process that has written or read gigabytes need not look as if it used them.
#[expect(unsafe_code, reason = "to let go of pages is dangerous for private memory")]
pub(crate) fn release(map: &MmapRaw, from: usize, to: usize) -> usize {
    let to = to & !(PAGE - 1);
    if to < from + RELEASED_AT_ONCE {
        return from;
    }
    // SAFETY: the map is a shared one of a file, so that letting go of its pages changes no byte: whoever looks again
    // gets them back from the system's cache.
    match unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from) } {
        Ok(()) => to,
        // Only smaller, never needed.
        Err(_) => from,
    }
}

fn allocate(file: &mut File, size: usize) -> io::Result<()> {
    match rustix::fs::fallocate(&*file, FallocateFlags::empty(), 0, size as u64) {
        Ok(()) => Ok(()),
        // Some file systems cannot allocate; they can be written to.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let zeros = [0; PAGE];
            for _ in 0..size.div_ceil(PAGE) {
                file.write_all(&zeros)?;
            }
            Ok(())
        }
        Err(other) => Err(other.into()),
    }
}

/// Where the first frame stands.
pub(crate) const FIRST: usize = 32;
/// The end of an unfinished file's name.
pub(crate) const UNFINISHED: &str = ".unfinished";
const EXTENSION: &str = ".segment";
const MAGIC: [u8; 8] = *b"journal\x01";
const PAGE: usize = 4096;
const POPULATED_AHEAD: Range<usize> = 64 * 1024..1024 * 1024;
/// Bytes that are put on the disk, or whose pages are touched, before other threads go on.
const AT_ONCE: usize = 256 * 1024;
const RELEASED_AT_ONCE: usize = 256 * 1024;
