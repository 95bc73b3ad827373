//! Where sealed texts lie.

use std::error::Error;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::private_file::{read, replace};

/// What keeps sealed texts under names of letters, digits, `-` and `_`. Each function may block for a moment.
pub trait Shelf: Send + Sync {
    /// The text of this name, if there is one.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble>;
    /// Puts a text in place of the one of this name, durably.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), Trouble>;
    /// All names.
    fn names(&self) -> Result<Vec<String>, Trouble>;
    /// Whoever else wants to change something, in whatever process, waits until what is returned is dropped.
    fn lock(&self) -> Result<Box<dyn Held + '_>, Trouble>;
}

/// Why a shelf cannot be used.
pub type Trouble = Box<dyn Error + Send + Sync>;

/// Something that others wait for until it is dropped.
pub trait Held {}

/// A folder with a file for each text.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// This folder, made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, Trouble> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(path, &error))?;
        Ok(Self(path.to_owned()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{SEALED}"))
    }
}

impl Shelf for Folder {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        Ok(read(&self.file(name), LONGEST)?)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Trouble> {
        Ok(replace(&self.file(name), content)?)
    }

    fn names(&self) -> Result<Vec<String>, Trouble> {
        let failed = |error| unusable(&self.0, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let file = entry.map_err(failed)?.file_name();
            names.extend(file.to_str().and_then(|file| file.strip_suffix(SEALED)).map(str::to_owned));
        }
        Ok(names)
    }

    fn lock(&self) -> Result<Box<dyn Held + '_>, Trouble> {
        let lock = || -> io::Result<File> {
            let file = File::create(self.0.join("lock"))?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        Ok(Box::new(lock().map_err(|error| unusable(&self.0, &error))?))
    }
}

impl Held for File {}

fn unusable(path: &Path, error: &io::Error) -> Trouble {
    format!("{} cannot be used: {error}", path.display()).into()
}

const SEALED: &str = ".sealed";
/// Bytes that are read of a file.
const LONGEST: u64 = 1024 * 1024;
