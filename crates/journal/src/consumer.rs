//! Named consumers: who reads all of a journal, and which segments each is done with.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::Error;
use crate::reader::SegmentReader;
use crate::segment::{SegmentId, sync_directory_of};

/// The one who reads a journal under a name, in all processes. It ends being it when dropped, or with its process.
#[derive(Debug)]
pub struct Consumer {
    directory: PathBuf,
    path: PathBuf,
    done: BTreeSet<SegmentId>,
    // The name belongs to whoever holds its lock.
    _lock: File,
}

impl Consumer {
    pub(crate) fn acquire(directory: &Path, name: &str) -> Result<Option<Self>, Error> {
        let lock_path = directory.join(format!("{name}.lock"));
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = opened.map_err(Error::of("open", &lock_path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(cause) => return Err(Error::of("lock", &lock_path)(cause.into())),
        }
        let path = done_file(directory, name);
        let done = done(&path)?;
        Ok(Some(Self { directory: directory.to_owned(), path, done, _lock: lock }))
    }

    /// The segments that this consumer is not done with, in the order of their ids.
    pub fn segments(&self) -> Result<Vec<SegmentId>, Error> {
        let mut left: Vec<_> = segments_in(&self.directory)?.into_iter().filter(|id| !self.done.contains(id)).collect();
        left.sort_unstable();
        Ok(left)
    }

    /// Reads a segment from `offset` on, which is 0 or what [`SegmentReader::offset`] said earlier.
    ///
    /// `None`: it is gone. That can happen to any segment after it was listed: a writer that ends takes back the one
    /// that it has not come to.
    pub fn read(&self, id: SegmentId, offset: u64) -> Result<Option<SegmentReader>, Error> {
        SegmentReader::open(&self.directory, id, offset)
    }

    /// The segments that this consumer was done with and that are removed by now, also after a loss of power: none of them will
    /// ever be read again.
    pub fn gone(&self) -> Result<BTreeSet<SegmentId>, Error> {
        // What is taken for gone and comes back is read once more from its beginning. So each is looked for by its name,
        // which a listing may miss while others come and go, and its removal must survive a loss of power.
        let is_gone = |id: &SegmentId| matches!(id.file_in(&self.directory).try_exists(), Ok(false));
        let gone: BTreeSet<_> = self.done.iter().copied().filter(is_gone).collect();
        if !gone.is_empty() {
            sync_directory_of(&self.path)?;
        }
        Ok(gone)
    }

    /// Remembers, also after a crash, that this consumer needs the segments no more.
    pub fn done(&mut self, ids: impl IntoIterator<Item = SegmentId>) -> Result<(), Error> {
        let gone = self.gone()?;
        self.done_and_gone(ids, &gone)
    }

    /// As [`Self::done`], and forgets nothing but these, which [`Self::gone`] named: whoever knows something else of them has
    /// time to forget it before.
    pub fn done_and_gone(
        &mut self,
        ids: impl IntoIterator<Item = SegmentId>,
        gone: &BTreeSet<SegmentId>,
    ) -> Result<(), Error> {
        self.done.retain(|id| !gone.contains(id));
        self.done.extend(ids);

        let written = self.path.with_extension("new");
        let failed = |doing| Error::of(doing, &written);
        let mut file = File::create(&written).map_err(failed("create"))?;
        let mut lines = String::new();
        for id in &self.done {
            lines += &id.to_string();
            lines.push('\n');
        }
        file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()).map_err(failed("write"))?;
        fs::rename(&written, &self.path).map_err(failed("rename"))
    }
}

/// The segments that all of `names` are done with.
pub(crate) fn done_by_all(directory: &Path, names: &[String]) -> Result<BTreeSet<SegmentId>, Error> {
    let mut names = names.iter();
    let Some(first) = names.next() else { return Ok(BTreeSet::new()) };
    let mut common = done(&done_file(directory, first))?;
    for name in names {
        let others = done(&done_file(directory, name))?;
        common.retain(|id| others.contains(id));
    }
    Ok(common)
}

/// Whether no living process holds a lock on the file.
pub(crate) fn is_abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}

fn done_file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.done"))
}

fn done(path: &Path) -> Result<BTreeSet<SegmentId>, Error> {
    match fs::read_to_string(path) {
        Ok(lines) => Ok(lines.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(cause) => Err(Error::of("read", path)(cause)),
    }
}

fn segments_in(directory: &Path) -> Result<Vec<SegmentId>, Error> {
    let failed = || Error::of("list", directory);
    let mut ids = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed())? {
        ids.extend(entry.map_err(failed())?.file_name().to_str().and_then(SegmentId::of_file));
    }
    Ok(ids)
}
