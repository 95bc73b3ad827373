//! Which processes work with a store: each holds a lock that ends with it, however it ends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::clock::now;

/// This process among those that work with a store.
pub(crate) struct Presence {
    folder: PathBuf,
    file: PathBuf,
    _held: File,
}

impl Presence {
    /// Says in `folder` that this process is there.
    pub(crate) fn claim(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let name = format!("{}-{}", std::process::id(), now().0);
        let (unfinished, file) = (folder.join(format!("{name}.new")), folder.join(format!("{name}.process")));
        let held = File::create(&unfinished)?;
        flock(&held, FlockOperation::NonBlockingLockExclusive)?;
        // Others see it only when it is locked, and so never take it for that of a dead process.
        fs::rename(&unfinished, &file)?;
        Ok(Self { folder: folder.to_owned(), file, _held: held })
    }

    /// Whether there are others. What dead ones left is removed.
    pub(crate) fn has_others(&self) -> io::Result<bool> {
        let mut has_others = false;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path == self.file || path.extension().is_none_or(|end| end != "process") {
                continue;
            }
            let other = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            match flock(&other, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => fs::remove_file(&path).or_else(missing_is_fine)?,
                Err(rustix::io::Errno::WOULDBLOCK) => has_others = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(has_others)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // Whoever finds it later removes it.
        drop(fs::remove_file(&self.file));
    }
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_seen_as_long_as_they_are_there_and_what_dead_ones_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1-1.process"), "").unwrap();
        let first = Presence::claim(folder.path()).unwrap();
        assert!(!first.has_others().unwrap());

        let second = Presence::claim(folder.path()).unwrap();
        assert!(first.has_others().unwrap() && second.has_others().unwrap());

        drop(first);
        assert!(!second.has_others().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
