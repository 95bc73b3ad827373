//! A file that nobody but its owner reads: made once, whole and durable, and refused if others may read it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a private file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It cannot be read or made.
    #[error("{0} cannot be read or made")]
    Io(PathBuf, #[source] io::Error),
    /// Others than its owner may read it.
    #[error("{0} has the mode {1:o}: others may read it; use 600, and if they could, replace what is in it")]
    Exposed(PathBuf, u32),
}

/// What is in the file, but no more than so many bytes; nothing, if it is not there.
pub fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, PrivateFileError> {
    let failed = |cause| PrivateFileError::Io(path.to_owned(), cause);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Exposed(path.to_owned(), mode));
    }
    let mut content = Vec::new();
    file.take(most).read_to_end(&mut content).map_err(failed)?;
    Ok(Some(content))
}

/// Puts the file into its place whole and durable, unless there is one already: that of a faster process counts.
pub fn place(path: &Path, content: &[u8]) -> Result<(), PrivateFileError> {
    link(path, content).map_err(|cause| PrivateFileError::Io(path.to_owned(), cause))
}

/// Puts the file into its place whole and durable, over one that is there.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), PrivateFileError> {
    let rename = || {
        let unfinished = write(path, content)?;
        fs::rename(&unfinished, path)?;
        File::open(folder(path))?.sync_all()
    };
    rename().map_err(|cause| PrivateFileError::Io(path.to_owned(), cause))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the content to a file beside the one that it is for.
fn write(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let unfinished = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(unfinished)
}

fn link(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = write(path, content)?;
    // A link, unlike a rename, fails if there is one: a secret is never overwritten.
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => File::open(folder(path))?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        assert_eq!(read(&path, 9).unwrap(), None);

        place(&path, b"first").unwrap();
        place(&path, b"second").unwrap();

        assert_eq!(read(&path, 9).unwrap().unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        place(&path, b"secret").unwrap();
        for (mode, is_fine) in [(0o640, false), (0o604, false), (0o620, false), (0o400, true), (0o600, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path, 9).is_ok(), is_fine, "{mode:o}");
        }
    }
}
