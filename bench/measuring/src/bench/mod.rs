//! `cargo xtask bench`: Vestibule beside its peers, one core each, in slices that take turns.

mod bars;
mod chain;
mod idle;
mod instructions;
mod latency;
pub(crate) mod load;
mod options;
mod peers;
mod reload;
mod report;
pub mod room;
mod rotation;
mod site;
mod successor;

use anyhow::Result;
use chain::Chain;
use idle::Wire;
use instructions::Counter;
use latency::Latency;
use load::{Load, slice};
use options::{Case, Options};
use peers::{Peer, Running, Under};
use programs::run::root;
use reload::Noticed;
use rotation::{Taken, rotate};
use site::Site;
use std::collections::BTreeMap;
use std::fs;

/// Everything that was measured.
#[derive(Debug, Default)]
struct Results {
    rotations: BTreeMap<Case, Taken>,
    /// For each request, with the way they were counted.
    instructions: BTreeMap<Peer, f64>,
    counted_by: &'static str,
    /// Bytes for each connection.
    idle: BTreeMap<(Wire, Peer), f64>,
    latency: BTreeMap<Peer, Latency>,
    reloads: BTreeMap<Peer, Noticed>,
    chain: Option<Chain>,
    versions: BTreeMap<&'static str, String>,
    /// What could not be measured, and why.
    missing: Vec<String>,
}

/// Plain proxies, all serving the same.
const PLAIN: &[Peer] = &[Peer::Vestibule, Peer::Nginx, Peer::Haproxy, Peer::Envoy, Peer::Caddy, Peer::Pingora];
/// Those that check a key, limit, count and log, beside Vestibule without all that.
const PARTNER: &[Peer] = &[Peer::Vestibule, Peer::VestibulePartner, Peer::NginxLua, Peer::EnvoyPartner];
const ROUTES: &[Peer] = &[Peer::Vestibule, Peer::VestibuleRoutes];
const INSTRUCTIONS: &[Peer] =
    &[Peer::Vestibule, Peer::Nginx, Peer::Haproxy, Peer::VestibulePartner, Peer::NginxLua, Peer::Pingora];

/// Measures, and writes the report.
pub fn bench(words: &[&str]) -> Result<()> {
    let options = Options::read(words)?;
    let site = Site::open(&options.peers)?;
    let mut results = Results { versions: site.versions(&options.peers), ..Results::default() };
    results.rotations(&site, &options, PLAIN, &Case::PLAIN);
    results.rotations(&site, &options, PARTNER, &[Case::Partner]);
    results.rotations(&site, &options, ROUTES, &[Case::Routes]);
    if options.has(Case::Latency) {
        results.latency(&site, &options);
    }
    if options.has(Case::Reload) {
        results.reload(&site, &options);
    }
    if options.has(Case::Idle) {
        results.idle(&site, &options);
    }
    if options.has(Case::Instructions) {
        results.instructions(&site, &options);
    }
    if options.has(Case::Chain) {
        results.chain();
    }

    let report = report::write(&results, &options)?;
    let file = root()?.join(&options.out);
    fs::write(&file, &report)?;
    println!("{report}\nwritten to {}", file.display());
    Ok(())
}

impl Results {
    /// Starts the proxies of one group, and takes them through its cases.
    fn rotations(&mut self, site: &Site, options: &Options, group: &[Peer], cases: &[Case]) {
        let cases: Vec<Case> = cases.iter().copied().filter(|case| options.has(*case)).collect();
        if cases.is_empty() {
            return;
        }
        let running = self.start(site, options, group);
        if running.is_empty() {
            return;
        }
        for case in cases {
            eprint!("{} ", case.name());
            let Some(load) = case.load() else { continue };
            match rotate(site, &running, case.reference(), load, options.plan) {
                Ok(taken) => drop(self.rotations.insert(case, taken)),
                Err(error) => self.misses(case.name(), &error),
            }
        }
    }

    /// Starts what can be started; one proxy's trouble does not end the others' measurement.
    fn start(&mut self, site: &Site, options: &Options, group: &[Peer]) -> Vec<Running> {
        let mut running = Vec::new();
        for peer in group.iter().filter(|peer| options.peers.contains(peer)) {
            match peer.start(site, Under::Nothing) {
                Ok(proxy) => running.push(proxy),
                Err(error) => self.misses(peer.name(), &error),
            }
        }
        running
    }

    fn latency(&mut self, site: &Site, options: &Options) {
        for proxy in self.start(site, options, &options.alone(PLAIN)) {
            eprintln!("latency {}", proxy.peer.name());
            let full = slice(site, &proxy, Load::Get("/1k"), 2.0);
            match full.and_then(|full| latency::at_half(site, &proxy, full.rate, options.slow_plan)) {
                Ok(latency) => drop(self.latency.insert(proxy.peer, latency)),
                Err(error) => self.misses("latency", &error),
            }
        }
    }

    fn reload(&mut self, site: &Site, options: &Options) {
        for (peer, upgrade) in [(Peer::Vestibule, Some("USR2")), (Peer::Nginx, None)] {
            for proxy in self.start(site, options, &[peer]) {
                eprintln!("reload {}", peer.name());
                match reload::under_load(&proxy, upgrade) {
                    Ok(noticed) => drop(self.reloads.insert(peer, noticed)),
                    Err(error) => self.misses("reload", &error),
                }
            }
        }
    }

    fn idle(&mut self, site: &Site, options: &Options) {
        for wire in [Wire::Plain, Wire::Tls] {
            for peer in options.alone(PLAIN) {
                eprintln!("idle {wire:?} {}", peer.name());
                match idle::per_connection(site, peer, wire) {
                    Ok(bytes) => drop(self.idle.insert((wire, peer), bytes)),
                    Err(error) => self.misses("idle", &error),
                }
            }
        }
    }

    fn instructions(&mut self, site: &Site, options: &Options) {
        let counter = Counter::available();
        self.counted_by = counter.name();
        for peer in options.alone(INSTRUCTIONS).into_iter().filter(|peer| counter.can_count(*peer)) {
            eprintln!("instructions {}", peer.name());
            match counter.per_request(site, peer) {
                Ok(count) => drop(self.instructions.insert(peer, count)),
                Err(error) => self.misses("instructions", &error),
            }
        }
    }

    fn chain(&mut self) {
        eprintln!("chain");
        match Chain::measure() {
            Ok(chain) => self.chain = Some(chain),
            Err(error) => self.misses("chain", &error),
        }
    }

    fn misses(&mut self, what: &str, error: &anyhow::Error) {
        eprintln!("{what}: {error:#}");
        let first = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
        self.missing.push(format!("{what}: {first}"));
    }
}
