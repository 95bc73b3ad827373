//! Where lines go: a terminal, a pipe or a file that others may move away.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a file is moved away for a new one, to its own name with the time behind it.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// The size at which it is moved away.
    pub at: u64,
    /// How many of those that were moved away are kept.
    pub keep: usize,
    /// The time, in microseconds since 1970.
    pub clock: fn() -> u64,
}

/// Where lines go.
pub enum Output {
    /// The standard output.
    Stdout,
    /// The standard error output.
    Stderr,
    /// A file, which is made if it does not exist and only ever appended to.
    File(PathBuf),
    /// As [`Self::File`], moved away when it is large.
    Rotated(PathBuf, Rotation),
    /// Anything else.
    Other(Box<dyn Write + Send>),
}

impl Output {
    pub(super) fn open(self) -> io::Result<Writer> {
        let (path, rotation) = match self {
            Self::Stdout => return Ok(Writer::of(Box::new(io::stdout()))),
            Self::Stderr => return Ok(Writer::of(Box::new(io::stderr()))),
            Self::Other(output) => return Ok(Writer::of(output)),
            Self::File(path) => (path, None),
            Self::Rotated(path, rotation) => (path, Some(rotation)),
        };
        let file = open(&path)?;
        let inode = file.metadata()?.ino();
        Ok(Writer { path: Some(path), rotation, inode, ..Writer::of(Box::new(file)) })
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// An output and what became of the last lines that were written to it.
pub(super) struct Writer {
    output: Box<dyn Write + Send>,
    path: Option<PathBuf>,
    rotation: Option<Rotation>,
    /// Which file is open.
    inode: u64,
    /// The last line was cut short.
    torn: bool,
    failing: bool,
}

impl Writer {
    fn of(output: Box<dyn Write + Send>) -> Self {
        Self { output, path: None, rotation: None, inode: 0, torn: false, failing: false }
    }

    /// Writes whole lines, and says whether that worked.
    pub(super) fn write(&mut self, lines: &[u8]) -> bool {
        self.rotate();
        let result = self.try_write(lines);
        match &result {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(%error, path = ?self.path, "lines cannot be written and are dropped");
            }
            Err(_) => {}
        }
        result.is_ok()
    }

    /// Opens a file by its name again. If that fails, the old one goes on being written.
    pub(super) fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => {
                self.inode = file.metadata().map_or(0, |metadata| metadata.ino());
                self.output = Box::new(file);
                self.torn = false;
            }
            Err(error) => tracing::error!(%error, ?path, "a log file cannot be opened again"),
        }
    }

    /// Moves a large file away, and removes those that were moved away long ago. If that fails, it grows on.
    fn rotate(&mut self) {
        let (Some(path), Some(rotation)) = (&self.path, self.rotation) else { return };
        let named = std::fs::metadata(path).ok();
        let is_large = named.as_ref().is_some_and(|named| named.len() >= rotation.at);
        if is_large {
            if let Err(error) = std::fs::rename(path, moved(path, (rotation.clock)())) {
                tracing::error!(%error, ?path, "a log file cannot be moved away");
                return;
            }
            remove_old(path, rotation.keep);
        }
        // Another process may have moved it away, and then this one goes on in the new one, too.
        if is_large || named.is_none_or(|named| named.ino() != self.inode) {
            self.reopen();
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_all(b"\n")?;
            self.torn = false;
        }
        self.write_all(lines)?;
        self.output.flush()
    }

    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    self.torn = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody else made the terminal non-blocking; this thread has nothing better to do than to wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn moved(path: &Path, now: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{now}"));
    name.into()
}

/// Removes all but the latest `keep` files that were moved away.
fn remove_old(path: &Path, keep: usize) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let time = |entry: &std::fs::DirEntry| -> Option<u64> {
        entry.file_name().to_str()?.strip_prefix(name)?.strip_prefix('.')?.parse().ok()
    };
    let mut old: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().and_then(|entry| Some((time(&entry)?, entry.path()))))
        .collect();
    old.sort_unstable();
    old.truncate(old.len().saturating_sub(keep));
    for (_, path) in old {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::error!(%error, ?path, "an old log file cannot be removed");
        }
    }
}

const RETRY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// An output that takes three bytes and then fails once.
    struct Failing {
        taken: Arc<Mutex<Vec<u8>>>,
        failures: usize,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut taken = self.taken.lock();
            if taken.len() == 3 && self.failures == 0 {
                self.failures += 1;
                return Err(ErrorKind::StorageFull.into());
            }
            let count = if self.failures == 0 { bytes.len().min(3) } else { bytes.len() };
            taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_after_one_that_was_cut_short_begins_on_its_own() {
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let mut writer = Output::Other(Box::new(Failing { taken: taken.clone(), failures: 0 })).open().unwrap();

        assert!(!writer.write(b"first\n"));
        assert!(writer.write(b"second\n"));

        assert_eq!(taken.lock().as_slice(), b"fir\nsecond\n");
    }

    #[test]
    fn a_large_file_is_moved_away_and_only_the_latest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        std::fs::write(folder.path().join("access.log.txt"), "of somebody else").unwrap();
        let clock = || {
            static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(999);
            NOW.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
        };
        let mut writer = Output::Rotated(path.clone(), Rotation { at: 20, keep: 2, clock }).open().unwrap();

        for number in 0..9 {
            assert!(writer.write(format!("line {number} of many\n").as_bytes()));
        }

        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["access.log", "access.log.1001", "access.log.1002", "access.log.txt"]);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "line 8 of many\n");
        let before = std::fs::read_to_string(folder.path().join("access.log.1002")).unwrap();
        assert_eq!(before, "line 6 of many\nline 7 of many\n");
    }

    #[test]
    fn a_file_that_another_process_moved_away_is_left_for_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let rotation = Rotation { at: 1000, keep: 2, clock: || 7 };
        let mut writer = Output::Rotated(path.clone(), rotation).open().unwrap();
        assert!(writer.write(b"first\n"));
        std::fs::rename(&path, folder.path().join("access.log.1")).unwrap();

        assert!(writer.write(b"second\n"));

        assert_eq!(std::fs::read_to_string(path).unwrap(), "second\n");
    }
}
