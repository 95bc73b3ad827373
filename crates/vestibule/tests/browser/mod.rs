//! Programs that test pages in Chromium, run by node.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program for node, and what it needs beside it.
pub(crate) struct Browsing {
    command: Command,
    // The program is in it.
    _folder: tempfile::TempDir,
}

/// A program, with the gateway's address, the admin listener's, and its token. Where `VESTIBULE_TEST_PICTURES` names a folder,
/// there are pictures of each page in it then.
pub(crate) fn browsing(program: &str, arguments: &[&str]) -> Browsing {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/npm/node_modules");
    assert!(modules.join("puppeteer-core").exists(), "`cargo xtask test` installs what this needs");
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    std::fs::write(folder.path().join("common.mjs"), include_str!("common.mjs")).unwrap();
    std::fs::write(folder.path().join("program.mjs"), program).unwrap();
    let mut command = Command::new("node");
    command.arg(folder.path().join("program.mjs")).args(arguments).args(std::env::var_os("VESTIBULE_TEST_PICTURES"));
    command.stderr(Stdio::piped());
    Browsing { command, _folder: folder }
}

impl Browsing {
    /// Starts it, to be talked to. It ends before this does.
    pub(crate) fn starts(&mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end, which is to be a good one.
    pub(crate) fn succeeds(mut self) {
        let output = self.starts().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
