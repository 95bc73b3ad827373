//! The proxies that are measured: how each is started, from its configuration in `bench/peers`.

use super::site::Site;
use anyhow::{Context, Result, bail};
use programs::process::{PROXY_CORE, Server, free_ports, pinned};
use programs::run::{installed, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A proxy in one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Vestibule,
    VestibulePartner,
    /// 5,000 routes instead of one.
    VestibuleRoutes,
    Nginx,
    NginxLua,
    Haproxy,
    Envoy,
    EnvoyPartner,
    Caddy,
    Pingora,
}

/// The key of the partner case, for peers that read it from their configuration.
const API_KEY: &str = "vk_bench_4f0c2f1f0a5f4f6e9d3b";
/// Routes of the case that has many.
pub(crate) const ROUTES: usize = 5000;

/// How a proxy runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Under {
    Nothing,
    /// Counts instructions into this many requests' file.
    Callgrind,
}

/// A proxy that answers.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) peer: Peer,
    pub(crate) server: Server,
    pub(crate) plain: u16,
    pub(crate) tls: u16,
    /// Where its configuration and logs are.
    pub(crate) folder: PathBuf,
    /// Its configuration file.
    pub(crate) config: PathBuf,
    /// A header line that it asks for, without line end; or nothing.
    pub(crate) header: String,
}

impl Peer {
    pub(crate) const ALL: [Self; 10] = [
        Self::Vestibule,
        Self::VestibulePartner,
        Self::VestibuleRoutes,
        Self::Nginx,
        Self::NginxLua,
        Self::Haproxy,
        Self::Envoy,
        Self::EnvoyPartner,
        Self::Caddy,
        Self::Pingora,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vestibule => "vestibule",
            Self::VestibulePartner => "vestibule-partner",
            Self::VestibuleRoutes => "vestibule-routes",
            Self::Nginx => "nginx",
            Self::NginxLua => "nginx-lua",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::EnvoyPartner => "envoy-partner",
            Self::Caddy => "caddy",
            Self::Pingora => "pingora",
        }
    }

    /// The product, without the role.
    pub(crate) fn product(self) -> &'static str {
        self.name().split('-').next().unwrap_or_default()
    }

    /// Its configuration in `bench/peers`.
    fn template(self) -> Option<&'static str> {
        match self {
            Self::Vestibule | Self::VestibuleRoutes => Some("vestibule.yaml"),
            Self::VestibulePartner => Some("vestibule-partner.yaml"),
            Self::Nginx => Some("nginx.conf"),
            Self::NginxLua => Some("nginx-lua.conf"),
            Self::Haproxy => Some("haproxy.cfg"),
            Self::Envoy => Some("envoy.yaml"),
            Self::EnvoyPartner => Some("envoy-partner.yaml"),
            Self::Caddy => Some("Caddyfile"),
            Self::Pingora => None,
        }
    }

    pub(crate) fn program(self, site: &Site) -> Result<PathBuf> {
        let root = root()?;
        match self {
            Self::Vestibule | Self::VestibulePartner | Self::VestibuleRoutes => {
                Ok(root.join("target/release/vestibule"))
            }
            Self::Nginx | Self::NginxLua => installed("nginx").context("nginx is not installed"),
            Self::Haproxy => installed("haproxy").context("haproxy is not installed"),
            Self::Envoy | Self::EnvoyPartner => site.python_program("envoy/_bin/envoy"),
            Self::Caddy => Ok(site.venv().join("bin/caddy")),
            Self::Pingora => Ok(root.join("target/pingora/release/bench-pingora")),
        }
    }

    fn arguments(self, config: &Path, ports: &[String]) -> Vec<String> {
        let config = config.display().to_string();
        let words: &[&str] = match self {
            Self::Vestibule | Self::VestibulePartner | Self::VestibuleRoutes => &["run", &config],
            Self::Nginx | Self::NginxLua => &["-c", &config],
            Self::Haproxy => &["-f", &config],
            Self::Envoy | Self::EnvoyPartner => {
                &["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "-c", &config]
            }
            Self::Caddy => &["run", "--adapter", "caddyfile", "--config", &config],
            Self::Pingora => return ports.to_vec(),
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// Starts the proxy before the site's backend, and waits until it answers.
    pub(crate) fn start(self, site: &Site, under: Under) -> Result<Running> {
        self.try_start(site, under).with_context(|| {
            let log = site.folder.join(self.name()).join("log");
            let said = fs::read_to_string(log).unwrap_or_default();
            format!("could not start {}\n{said}", self.name())
        })
    }

    fn try_start(self, site: &Site, under: Under) -> Result<Running> {
        let folder = site.folder.join(self.name());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let [plain, tls, admin] = free_ports()?;
        let config = self.configure(site, &folder, [plain, tls, admin])?;
        let ports = [plain, tls, site.backend_port].map(|port| port.to_string());
        let certificates = [&site.certificate, &site.key].map(|path| path.display().to_string());
        let arguments = self.arguments(&config, &[ports.as_slice(), &certificates].concat());
        let program = self.program(site)?;
        let mut command = match under {
            Under::Nothing => pinned(PROXY_CORE, &program),
            Under::Callgrind => self.callgrind(&program, &folder),
        };
        command.args(arguments).current_dir(&folder).env("GOMAXPROCS", "1").env("HOME", &folder);
        let server = Server::start(command, &folder.join("log"))?;
        let mut server = if under == Under::Callgrind { server.with_patience() } else { server };
        let header = self.header(&mut server, &program, &config, admin)?;
        let line = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        server.wait_for(plain, &line)?;
        Ok(Running { peer: self, server, plain, tls, folder, config, header })
    }

    fn callgrind(self, program: &Path, folder: &Path) -> Command {
        let mut command = pinned(PROXY_CORE, Path::new("valgrind"));
        command.args(["--tool=callgrind", "-q", "--trace-children=no"]);
        command.arg(format!("--callgrind-out-file={}/callgrind", folder.display())).arg(program);
        if self.product() == "nginx" {
            command.args(["-g", "master_process off;"]);
        }
        command
    }

    /// Fills in the template.
    fn configure(self, site: &Site, folder: &Path, [plain, tls, admin]: [u16; 3]) -> Result<PathBuf> {
        let Some(name) = self.template() else { return Ok(PathBuf::new()) };
        let mut text = fs::read_to_string(root()?.join("bench/peers").join(name))?;
        if self == Self::VestibuleRoutes {
            for number in 1..ROUTES {
                let route = format!(
                    "  bench-{number}: {{match: {{path: /area-{}/api-{number}}}, upstream: backend}}\n",
                    number % 50
                );
                text.push_str(&route);
            }
        }
        let values = [
            ("folder", folder.display().to_string()),
            ("plain", plain.to_string()),
            ("tls", tls.to_string()),
            ("admin", admin.to_string()),
            ("backend", site.backend_port.to_string()),
            ("certificate", site.certificate.display().to_string()),
            ("key", site.key.display().to_string()),
            ("both", site.both.display().to_string()),
            ("api_key", API_KEY.to_owned()),
        ];
        for (name, value) in values {
            text = text.replace(&format!("{{{{{name}}}}}"), &value);
        }
        let file = folder.join(name);
        fs::write(&file, text)?;
        Ok(file)
    }

    /// The header that the proxy asks for; Vestibule has to be asked for a key first.
    fn header(self, server: &mut Server, program: &Path, config: &Path, admin: u16) -> Result<String> {
        match self {
            Self::NginxLua | Self::EnvoyPartner => Ok(format!("X-Api-Key: {API_KEY}")),
            Self::VestibulePartner => {
                // Its token is there before it listens here.
                server.wait_until_open(admin)?;
                let output =
                    Command::new(root()?.join("bench/peers/vestibule-key.sh")).arg(program).arg(config).output()?;
                let said = String::from_utf8_lossy(&output.stdout);
                let Some(key) = said.split_whitespace().last().filter(|_| output.status.success()) else {
                    bail!("no key was made: {}", String::from_utf8_lossy(&output.stderr));
                };
                Ok(format!("X-Api-Key: {key}"))
            }
            _ => Ok(String::new()),
        }
    }
}
