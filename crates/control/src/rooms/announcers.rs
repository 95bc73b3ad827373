//! Who announces which networks, by the files that rooms name: each is read once for all rooms, and again when it changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use as_numbers::{AsNumbers, NoNumbers};
use model::Document;
use parking_lot::Mutex;
use rooms::Announced;

/// What the files say that rooms name.
#[derive(Default)]
pub(super) struct Announcers(Mutex<HashMap<PathBuf, Known>>);

/// What a file says.
struct Known {
    /// When it was changed, and how long it is.
    was: Option<(SystemTime, u64)>,
    says: Announced,
}

impl Announcers {
    /// What a file says by now. One that cannot be read any more says what it said.
    pub(super) fn of(&self, file: &Path) -> Option<Announced> {
        let is = state(file);
        let mut known = self.0.lock();
        let before = known.get(file);
        if let Some(known) = before.filter(|known| known.was == is) {
            return Some(known.says.clone());
        }
        match read(file) {
            Ok(numbers) => {
                let numbers = Arc::new(numbers);
                let says = Announced::by(move |address| numbers.of(address));
                known.insert(file.to_owned(), Known { was: is, says: says.clone() });
                Some(says)
            }
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "AS numbers could not be read");
                before.map(|known| known.says.clone())
            }
        }
    }

    /// Forgets files that no room names.
    pub(super) fn keep(&self, document: &Document) {
        let named: Vec<_> = files(document).collect();
        self.0.lock().retain(|file, _| named.contains(&file.as_path()));
    }
}

/// The files of AS numbers that rooms name.
pub(crate) fn files(document: &Document) -> impl Iterator<Item = &Path> {
    document.rooms.values().filter_map(|room| Some(&*room.caps.as_ref()?.asn.as_ref()?.file))
}

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<AsNumbers, NoNumbers> {
    AsNumbers::open(file)
}

fn state(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
