//! Where lines go: a terminal, a pipe or a file that others may move away.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// Where lines go.
pub enum Output {
    /// The standard output.
    Stdout,
    /// The standard error output.
    Stderr,
    /// A file, which is made if it does not exist and only ever appended to.
    File(PathBuf),
    /// Anything else.
    Other(Box<dyn Write + Send>),
}

impl Output {
    pub(super) fn open(self) -> io::Result<Writer> {
        let (output, path): (Box<dyn Write + Send>, _) = match self {
            Self::Stdout => (Box::new(io::stdout()), None),
            Self::Stderr => (Box::new(io::stderr()), None),
            Self::File(path) => (Box::new(open(&path)?), Some(path)),
            Self::Other(output) => (output, None),
        };
        Ok(Writer { output, path, torn: false, failing: false })
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// An output and what became of the last lines that were written to it.
pub(super) struct Writer {
    output: Box<dyn Write + Send>,
    path: Option<PathBuf>,
    /// The last line was cut short.
    torn: bool,
    failing: bool,
}

impl Writer {
    /// Writes whole lines, and says whether that worked.
    pub(super) fn write(&mut self, lines: &[u8]) -> bool {
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
                self.output = Box::new(file);
                self.torn = false;
            }
            Err(error) => tracing::error!(%error, ?path, "a log file cannot be opened again"),
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
}
