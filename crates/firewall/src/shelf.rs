//! Sets of rules by what they are made of, compiled once for all routes and for as long as their files stay as they are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;
use pipeline::{ChainBuilder, Kept as AllKept, Policy};
use problem::{Finding, Pointer};

use crate::policy::Waf;
use crate::rule_set::{Recipe, RuleSet};
use crate::settings::Config;

/// Sets of rules that are in use.
#[derive(Default)]
pub struct Shelf {
    sets: Mutex<HashMap<Recipe, Kept>>,
}

struct Kept {
    set: Weak<RuleSet>,
    /// What its files were like when it was read.
    stamps: Vec<Stamp>,
}

/// What a file was like: when it was changed, and how long it is.
type Stamp = (PathBuf, Option<(SystemTime, u64)>);

impl Shelf {
    /// The shelf of the firewalls among what is kept, if there are any.
    pub fn kept(kept: &AllKept) -> Option<Arc<Self>> {
        kept.find(&format!("{}/{NAME}", <Waf as Policy>::NAME))
    }

    /// That of the policy being compiled.
    pub(crate) fn of(chain: &ChainBuilder) -> Arc<Self> {
        chain.keep(Some(NAME), Self::default)
    }

    /// The set of these settings: the one that is in use, if its files have not changed since, or a new one.
    ///
    /// One that has changed does not touch the old one, which serves on until nobody uses it.
    pub(crate) fn set(&self, config: &Config, at: &Pointer) -> Result<Arc<RuleSet>, Vec<Finding>> {
        let (recipe, folders) = Recipe::of(config, at)?;
        let mut sets = self.sets.lock();
        sets.retain(|_, kept| kept.set.strong_count() > 0);
        if let Some(kept) = sets.get(&recipe)
            && let Some(set) = kept.set.upgrade()
            && kept.stamps == stamps(&set.files)
        {
            return Ok(set);
        }
        let set = Arc::new(recipe.load(folders, at)?);
        let kept = Kept { set: Arc::downgrade(&set), stamps: stamps(&set.files) };
        sets.insert(recipe, kept);
        Ok(set)
    }

    /// The files of all sets that are in use, for whoever watches whether they change.
    pub fn files(&self) -> Vec<PathBuf> {
        let sets = self.sets.lock();
        let mut files: Vec<PathBuf> =
            sets.values().filter_map(|kept| kept.set.upgrade()).flat_map(|set| set.files.clone()).collect();
        files.sort();
        files.dedup();
        files
    }

    /// How many sets are in use.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.sets.lock().values().filter(|kept| kept.set.strong_count() > 0).count()
    }
}

/// What the shelf is kept as.
const NAME: &str = "rule-sets";

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|file| (file.clone(), stamp(file))).collect()
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_set_is_compiled_once_until_its_files_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.conf");
        std::fs::write(&file, "SecRule ARGS x \"id:1,phase:1,deny\"").unwrap();
        let config: Config = serde_json::from_value(json!({"rules": [file.display().to_string()]})).unwrap();
        let shelf = Shelf::default();
        let at = Pointer::default();

        let first = shelf.set(&config, &at).unwrap();
        let again = shelf.set(&config, &at).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(shelf.files(), std::slice::from_ref(&file));

        std::fs::write(&file, "SecRule ARGS longer \"id:1,phase:1,deny\"").unwrap();
        let changed = shelf.set(&config, &at).unwrap();
        assert!(!Arc::ptr_eq(&first, &changed));

        std::fs::write(&file, "SecRul ARGS broken").unwrap();
        assert!(shelf.set(&config, &at).is_err());

        drop((first, again, changed));
        assert_eq!(shelf.len(), 0);
    }

    #[test]
    fn files_that_includes_look_for_are_taken_up_once_they_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("plugins")).unwrap();
        std::fs::write(path("main.conf"), "IncludeOptional late.conf\nInclude plugins/*.conf").unwrap();
        let main = path("main.conf").display().to_string();
        let config: Config = serde_json::from_value(json!({"rules": [main]})).unwrap();
        let (shelf, at) = (Shelf::default(), Pointer::default());
        let set = shelf.set(&config, &at).unwrap();
        let before = set.rules.len();
        // Whoever watches looks at these.
        assert!(shelf.files().contains(&path("late.conf")) && shelf.files().contains(&path("plugins")));

        std::fs::write(path("late.conf"), "SecAction \"id:1,phase:1,pass\"").unwrap();
        let late = shelf.set(&config, &at).unwrap();
        assert_eq!(late.rules.len(), before + 1);

        // The clock of a file system may be as coarse as a few milliseconds: the folder was changed long ago.
        let long_ago = std::fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        std::fs::File::open(path("plugins")).unwrap().set_times(long_ago).unwrap();
        let late = shelf.set(&config, &at).unwrap();
        std::fs::write(path("plugins/a.conf"), "SecAction \"id:2,phase:1,pass\"").unwrap();
        assert_eq!(shelf.set(&config, &at).unwrap().rules.len(), before + 2);
        drop((set, late));
    }
}
