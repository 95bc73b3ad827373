//! Commands that exchange keys whose master key stays in `OpenBao`, a real server whose API is that of Vault.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like one")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use servers::OpenBao;

const GOOD: &str = "version: 1\nlisteners:\n  public: {bind: \"127.0.0.1:0\"}\nstore: {embedded: ./data}\n";

fn secrets(folder: &Path, what: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule")).arg("secrets").args(what).current_dir(folder).output();
    let Output { status, stdout, stderr } = output.unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn write(folder: &Path, server: &OpenBao, token: &str) {
    let transit = format!("encryption: {{transit: {{url: \"{}\", key: vestibule, token: {token}}}}}\n", server.url());
    fs::write(folder.join("vestibule.yaml"), GOOD.to_owned() + &transit).unwrap();
}

#[test]
fn data_keys_go_over_to_a_server_and_from_version_to_version_of_its_key() {
    let (server, folder) = (OpenBao::start(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    fs::write(folder.join("vestibule.yaml"), GOOD).unwrap();
    assert!(secrets(folder, &["rotate-data-key"]).0);
    let master = folder.join("data/master.key");
    assert!(master.exists());

    // What the file wrapped is wrapped by the server, and the file is needed no more.
    write(folder, &server, server.root());
    let (done, said) = secrets(folder, &["rotate-master-key", "--wrap-only"]);
    assert_eq!((done, said.as_str()), (true, "the data keys are wrapped with the master key in use\n"));
    fs::remove_file(&master).unwrap();
    assert!(secrets(folder, &["rotate-data-key"]).0);
    assert_eq!(server.version(), 1);

    let (done, said) = secrets(folder, &["rotate-master-key"]);
    assert_eq!((done, said.as_str()), (true, "the data keys are wrapped with another master key\n"));
    assert_eq!(server.version(), 2);
    server.forget_versions_before(2);
    assert!(secrets(folder, &["rotate-data-key"]).0);

    // Without the server nothing opens them.
    fs::write(folder.join("vestibule.yaml"), GOOD).unwrap();
    let (done, said) = secrets(folder, &["rotate-data-key"]);
    assert!(!done && said.contains("which `transit:transit/vestibule` wrapped"), "{said}");
}

#[test]
fn a_token_that_may_not_make_versions_is_told_what_to_do() {
    let (server, folder) = (OpenBao::start(), tempfile::tempdir().unwrap());
    let rights = ["transit/encrypt/vestibule", "transit/decrypt/vestibule", "transit/rewrap/vestibule"];
    write(folder.path(), &server, &server.token(&rights));

    let (done, said) = secrets(folder.path(), &["rotate-master-key"]);

    assert!(!done && said.contains("may not make a new version of the key") && said.contains("--wrap-only"), "{said}");
    assert!(secrets(folder.path(), &["rotate-master-key", "--wrap-only"]).0);
}
