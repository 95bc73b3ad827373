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
        let set = Arc::new(recipe.load(folders)?);
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
}
