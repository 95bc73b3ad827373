//! Reading a segment from a place on, also while it is being written.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::Error;
use crate::frame::{self, HEAD, Word};
use crate::segment::{FIRST, SegmentId, opening, release};

/// What comes next in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// This record.
    Record(&'a [u8]),
    /// Nothing yet: the segment's writer lives.
    NothingYet,
    /// Nothing ever again.
    End(End),
}

/// Why nothing follows in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The writer went on to another segment.
    Sealed,
    /// The writer's process died; everything that it appended has been read.
    Abandoned,
    /// What stands here is no frame: torn by a loss of power, or damaged later. What follows it, if anything, is lost.
    Damaged,
}

/// A place in a segment, and what follows it.
#[derive(Debug)]
pub struct SegmentReader {
    id: SegmentId,
    file: File,
    // None if the file is shorter than its opening.
    map: Option<MmapRaw>,
    salt: u32,
    at: usize,
    // Up to here pages are no longer in this process's memory.
    released: usize,
    end: Option<End>,
}

impl SegmentReader {
    /// Reads from `offset` on, which is 0 or what [`Self::offset`] said earlier. `None`: there is no such segment.
    pub(crate) fn open(directory: &Path, id: SegmentId, offset: u64) -> Result<Option<Self>, Error> {
        let path = id.file_in(directory);
        let file = match File::open(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Error::of("open", &path))?,
        };
        let length = file.metadata().map_err(Error::of("examine", &path))?.len();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut reader = Self { id, file, map: None, salt: 0, at: FIRST, released: 0, end: Some(End::Damaged) };
        if length < FIRST {
            return Ok(Some(reader));
        }
        let map = MmapOptions::new().len(length).map_raw_read_only(&reader.file).map_err(Error::of("map", &path))?;
        reader.map = Some(map);
        reader.go_to(offset);
        Ok(Some(reader))
    }

    /// Goes on at `offset`, which is 0 or what [`Self::offset`] said earlier.
    pub fn go_to(&mut self, offset: u64) {
        let salt = self.published(24..28).and_then(|salt| salt.try_into().ok()).map_or(0, u32::from_le_bytes);
        let opened = self.published(0..FIRST) == Some(&opening(self.id, salt));
        self.end = if opened { None } else { Some(End::Damaged) };
        self.salt = salt;
        self.released = 0;
        // Frames stand at multiples of eight; an offset that is none would make the word unaligned.
        self.at = usize::try_from(offset).unwrap_or(usize::MAX - 7).max(FIRST) & !7;
    }

    /// The segment.
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// The place behind the record that was read last.
    pub fn offset(&self) -> u64 {
        self.at as u64
    }

    /// The next record, if there is one by now.
    #[expect(clippy::should_implement_trait, reason = "it lends, and its end need not be the end")]
    pub fn next(&mut self) -> io::Result<Next<'_>> {
        if let Some(end) = self.end {
            return Ok(Next::End(end));
        }
        let mut word = self.word();
        if word == Word::Nothing {
            if self.is_being_written()? {
                return Ok(Next::NothingYet);
            }
            // Once more, because the writer may have written a last record before it died.
            word = self.word();
        }
        let length = match word {
            Word::Record(length) => length,
            Word::Seal if self.holds(word, 0) => return Ok(self.ends(End::Sealed)),
            Word::Nothing => return Ok(self.ends(End::Abandoned)),
            Word::Seal | Word::Nonsense => return Ok(self.ends(End::Damaged)),
        };
        if !self.holds(word, length) {
            return Ok(self.ends(End::Damaged));
        }
        if let Some(map) = &self.map {
            self.released = release(map, self.released, self.at);
        }
        let payload = frame::payload(self.at, length);
        self.at += frame::framed(length);
        Ok(self.published(payload).map_or(Next::End(End::Damaged), Next::Record))
    }

    fn ends(&mut self, end: End) -> Next<'static> {
        self.end = Some(end);
        Next::End(end)
    }

    /// Whether the frame here, by its checksum, is what was written.
    fn holds(&self, word: Word, length: usize) -> bool {
        let Some(payload) = self.published(frame::payload(self.at, length)) else { return false };
        let Some(sum) = self.published(self.at + 4..self.at + HEAD) else { return false };
        sum == frame::checksum(self.salt, self.at, word, payload).to_le_bytes()
    }

    #[expect(unsafe_code, reason = "the journal is memory that is shared with its writer")]
    fn word(&self) -> Word {
        let Some(map) = &self.map else { return Word::Nothing };
        if self.at.checked_add(HEAD).is_none_or(|end| end > map.len()) {
            return Word::Nothing;
        }
        // SAFETY: it is inside the map, aligned to eight bytes because `at` is and the map begins at a page, and
        // nobody accesses it other than atomically. The map is read-only memory, of which a relaxed load is allowed;
        // the fence makes it as good as an acquiring one.
        let word = unsafe { AtomicU32::from_ptr(map.as_mut_ptr().add(self.at).cast()).load(Ordering::Relaxed) };
        fence(Ordering::Acquire);
        Word::decoded(u32::from_le(word))
    }

    /// Bytes that nobody writes any more, if the file is that long.
    #[expect(unsafe_code, reason = "the journal is memory that is shared with its writer")]
    fn published(&self, range: std::ops::Range<usize>) -> Option<&[u8]> {
        let map = self.map.as_ref()?;
        if range.end > map.len() || range.start > range.end {
            return None;
        }
        // SAFETY: it is inside the map, and what lies before a published word is never written again; the word's
        // acquiring load made it visible. A segment is never cut before its last frame while it is read.
        Some(unsafe { std::slice::from_raw_parts(map.as_ptr().add(range.start), range.len()) })
    }

    /// Whether the process that writes the segment lives: it holds a lock that ends with it.
    fn is_being_written(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                rustix::fs::flock(&self.file, FlockOperation::Unlock)?;
                Ok(false)
            }
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(other) => Err(other.into()),
        }
    }
}
