//! What takes long is done in parts, between which other threads go on: whoever has no core of its own answers requests on the
//! one where this is done. A thread that never waits is not thought of by the system before milliseconds have passed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;
use std::thread;

use rustix::fs::Advice;

/// `range` in parts that end at multiples of `size`.
pub(crate) fn parts(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at > range.start {
            thread::yield_now();
        }
        let part = at..(at / size + 1).saturating_mul(size).min(range.end);
        at = part.end;
        (!part.is_empty()).then_some(part)
    })
}

/// A new file, which goes to the disk while it is written and not all of it at its end. Whoever makes what is written gives way
/// to other threads meanwhile.
#[derive(Debug)]
pub struct PacedFile {
    file: File,
    part: Vec<u8>,
    unsynced: usize,
}

impl PacedFile {
    /// As [`File::create`].
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, part: Vec::with_capacity(WRITTEN_AT_ONCE), unsynced: 0 })
    }

    /// Has all of it on the disk, and puts it in the place of what has that name. What has it now and what had it are in the
    /// same folder, which is on the disk afterwards, too.
    pub fn replace(mut self, unfinished: &Path, path: &Path) -> io::Result<()> {
        self.put_part()?;
        self.file.sync_all()?;
        // If there is one, it goes by the renaming.
        uncache(path);
        fs::rename(unfinished, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn put_part(&mut self) -> io::Result<()> {
        self.file.write_all(&self.part)?;
        self.unsynced += self.part.len();
        self.part.clear();
        if self.unsynced >= SYNCED_AT_ONCE {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl Write for PacedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() >= WRITTEN_AT_ONCE {
            self.put_part()?;
        }
        let taken = bytes.len().min(WRITTEN_AT_ONCE - self.part.len());
        self.part.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put_part()
    }
}

/// As [`fs::remove_file`].
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    uncache(path);
    fs::remove_file(path)
}

/// Takes a file out of the system's cache, which would do it all at once when the file goes.
fn uncache(path: &Path) {
    // Only better, never needed.
    let Ok(file) = File::open(path) else { return };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let Ok(length) = usize::try_from(length) else { return };
    for part in parts(0..length, UNCACHED_AT_ONCE) {
        let length = NonZeroU64::new(part.len() as u64);
        if rustix::fs::fadvise(&file, part.start as u64, length, Advice::DontNeed).is_err() {
            return;
        }
    }
}

/// Larger parts hold a core longer, smaller ones are more calls.
const WRITTEN_AT_ONCE: usize = 64 * 1024;
const SYNCED_AT_ONCE: usize = 1024 * 1024;
const UNCACHED_AT_ONCE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_of_a_range_and_end_at_multiples() {
        for (range, size, expected) in [
            (0..10, 4, "0..4 4..8 8..10"),
            (3..9, 4, "3..4 4..8 8..9"),
            (4..8, 4, "4..8"),
            (5..6, 4, "5..6"),
            (5..5, 4, ""),
        ] {
            let parts: Vec<_> = parts(range, size).map(|part| format!("{part:?}")).collect();
            assert_eq!(parts.join(" "), expected);
        }
    }

    #[test]
    fn a_file_has_all_that_was_written_and_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let (unfinished, path) = (folder.path().join("new"), folder.path().join("old"));
        for length in [0, 1, WRITTEN_AT_ONCE, SYNCED_AT_ONCE + 1, 3 * SYNCED_AT_ONCE] {
            let content: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut file = PacedFile::create(&unfinished).unwrap();
            for piece in content.chunks(70_001) {
                file.write_all(piece).unwrap();
            }
            file.replace(&unfinished, &path).unwrap();
            assert!(fs::read(&path).unwrap() == content, "{length}");
            assert!(!unfinished.exists());
        }
        remove(&path).unwrap();
        assert_eq!(remove(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
