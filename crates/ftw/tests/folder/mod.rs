//! The folder of the OWASP Core Rule Set.
//!
//! `VESTIBULE_TEST_CRS` names it: `crs-setup.conf.example`, `rules` and `tests` lie in it, as a checkout of the rule set has
//! them (`tests` are its `tests/regression/tests`).

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use waf::{Compatibility, Rules, Source};

pub(crate) fn path() -> PathBuf {
    let named =
        std::env::vars_os().find(|(name, _)| name == "VESTIBULE_TEST_CRS").map(|(_, value)| PathBuf::from(value));
    named.expect("VESTIBULE_TEST_CRS must name a folder with the OWASP Core Rule Set and its tests")
}

/// The rule set as its tests want it, but for the level of paranoia, which is 4 there.
pub(crate) fn rules(folder: &Path, paranoia: u8) -> Arc<Rules> {
    let setup = ftw::setup().replace("blocking_paranoia_level=4", &format!("blocking_paranoia_level={paranoia}"));
    let (example, all) = (folder.join("crs-setup.conf.example"), folder.join("rules/*.conf"));
    let sources =
        [Source::Text { name: "setup.conf", content: setup.as_bytes() }, Source::Files(&example), Source::Files(&all)];
    let loaded = Rules::read(&sources, Compatibility::Strict);
    Arc::new(loaded.unwrap_or_else(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("the rule set does not load:\n{}", findings.join("\n"))
    }))
}

/// The test files, in the order of their names.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for group in std::fs::read_dir(folder.join("tests")).unwrap() {
        let group = group.unwrap().path();
        if group.is_dir() {
            files.extend(std::fs::read_dir(group).unwrap().map(|file| file.unwrap().path()));
        }
    }
    files.sort();
    files
}
