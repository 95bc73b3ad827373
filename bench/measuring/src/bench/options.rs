//! The command line of `cargo xtask bench`, and the cases there are.

use super::load::Load;
use super::peers::Peer;
use super::rotation::Plan;
use anyhow::{Context, Result, bail};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    Plain,
    Tls,
    Handshake,
    Large,
    Post,
    Http2,
    Partner,
    Routes,
    Latency,
    Reload,
    Idle,
    Instructions,
    Chain,
}

impl Case {
    pub(crate) const ALL: [Self; 13] = [
        Self::Plain,
        Self::Tls,
        Self::Handshake,
        Self::Large,
        Self::Post,
        Self::Http2,
        Self::Partner,
        Self::Routes,
        Self::Latency,
        Self::Reload,
        Self::Idle,
        Self::Instructions,
        Self::Chain,
    ];

    /// The cases that the plain proxies go through together.
    pub(crate) const PLAIN: [Self; 6] = [Self::Plain, Self::Tls, Self::Handshake, Self::Large, Self::Post, Self::Http2];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::Handshake => "handshake",
            Self::Large => "large",
            Self::Post => "post",
            Self::Http2 => "http2",
            Self::Partner => "partner",
            Self::Routes => "routes",
            Self::Latency => "latency",
            Self::Reload => "reload",
            Self::Idle => "idle",
            Self::Instructions => "instructions",
            Self::Chain => "chain",
        }
    }

    /// The proxy that others are compared with.
    pub(crate) fn reference(self) -> Peer {
        match self {
            Self::Partner => Peer::NginxLua,
            Self::Routes => Peer::Vestibule,
            _ => Peer::Nginx,
        }
    }

    /// The load of a case that is measured in rotation.
    pub(crate) fn load(self) -> Option<Load> {
        match self {
            Self::Plain | Self::Partner => Some(Load::Get("/1k")),
            Self::Tls => Some(Load::TlsGet("/1k")),
            Self::Handshake => Some(Load::TlsClose),
            Self::Large => Some(Load::Get("/100k")),
            Self::Post => Some(Load::Post),
            Self::Http2 => Some(Load::Http2),
            // Among many routes this one is number 4,957.
            Self::Routes => Some(Load::Get("/area-7/api-4957/orders/4711")),
            Self::Latency | Self::Reload | Self::Idle | Self::Instructions | Self::Chain => None,
        }
    }
}

/// What the user asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) cases: Vec<Case>,
    pub(crate) peers: Vec<Peer>,
    /// For rotations.
    pub(crate) plan: Plan,
    /// For what is not compared by CPU time.
    pub(crate) slow_plan: Plan,
    /// Who is measured where proxies are measured one after the other.
    pub(crate) alone: &'static [&'static str],
    /// The report, from the workspace's root.
    pub(crate) out: String,
}

impl Options {
    pub(crate) fn read(words: &[&str]) -> Result<Self> {
        let mut options = Self {
            cases: Vec::new(),
            peers: Peer::ALL.to_vec(),
            plan: Plan { rounds: 7, seconds: 1.0 },
            slow_plan: Plan { rounds: 3, seconds: 3.0 },
            alone: &["vestibule", "nginx", "haproxy", "envoy", "caddy", "pingora"],
            out: "bench/RESULTS.md".to_owned(),
        };
        let mut whole = true;
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word {
                "--quick" => {
                    options.plan.rounds = 2;
                    options.slow_plan = Plan { rounds: 1, seconds: 2.0 };
                    options.alone = &["vestibule", "nginx"];
                    whole = false;
                }
                "--no-pingora" => {
                    options.peers.retain(|peer| *peer != Peer::Pingora);
                    whole = false;
                }
                "--rounds" => options.plan.rounds = value()?.parse()?,
                "--peers" => {
                    let names: Vec<&str> = value()?.split(',').collect();
                    options.peers.retain(|peer| names.contains(&peer.product()));
                    whole = false;
                }
                "--out" => value()?.clone_into(&mut options.out),
                name => {
                    let case = Case::ALL.into_iter().find(|case| case.name() == name);
                    options.cases.push(case.with_context(|| unknown(name))?);
                }
            }
        }
        // A part of the figures must not replace all of them.
        if (!whole || !options.cases.is_empty()) && options.out == "bench/RESULTS.md" {
            "target/bench/RESULTS.md".clone_into(&mut options.out);
        }
        if options.peers.is_empty() {
            bail!("no peer is left to measure");
        }
        Ok(options)
    }

    /// Those of a group that are measured one after the other.
    pub(crate) fn alone(&self, group: &[Peer]) -> Vec<Peer> {
        let wanted = |peer: &Peer| self.peers.contains(peer) && self.alone.contains(&peer.product());
        group.iter().copied().filter(wanted).collect()
    }

    pub(crate) fn has(&self, case: Case) -> bool {
        self.cases.is_empty() || self.cases.contains(&case)
    }
}

fn unknown(name: &str) -> String {
    let names: Vec<&str> = Case::ALL.into_iter().map(Case::name).collect();
    format!("there is no case `{name}`: {}", names.join(", "))
}
