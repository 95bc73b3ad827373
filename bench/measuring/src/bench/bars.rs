//! What Vestibule has promised to reach, and whether it did.

use super::Results;
use super::idle::Wire;
use super::options::Case;
use super::peers::Peer;

/// A promise.
pub(crate) struct Bar {
    pub(crate) what: &'static str,
    /// The figure must not be above it.
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    figure: Figure,
}

/// Where a bar's figure comes from.
enum Figure {
    /// CPU time for a request, of one proxy relative to another.
    Cpu(Case, Peer, Peer),
    /// Instructions for a request, relative.
    Instructions(Peer, Peer),
    /// KiB for an idle connection.
    Idle(Wire),
    /// MiB of resident memory.
    Resident(Case, Peer),
    /// Milliseconds of the 99th percentile at half load beyond the backend's alone.
    Added,
    /// Requests without a good answer.
    Reload,
    /// Nanoseconds of the chain of ten ordinary policies.
    Chain,
    /// Allocations of ten policies that allocate nothing themselves.
    ChainAllocations,
}

const TIMES_NGINX: &str = "× nginx";

/// All promises about cost.
pub(crate) const BARS: &[Bar] = &[
    bar("plain GET, instructions", 1.2, TIMES_NGINX, Figure::Instructions(Peer::Vestibule, Peer::Nginx)),
    bar("plain GET, CPU", 1.2, TIMES_NGINX, cpu(Case::Plain, Peer::Nginx)),
    bar("plain GET, CPU", 0.25, "× Envoy", cpu(Case::Plain, Peer::Envoy)),
    bar("plain GET, CPU", 0.2, "× Caddy", cpu(Case::Plain, Peer::Caddy)),
    bar("plain GET, CPU", 0.5, "× Pingora", cpu(Case::Plain, Peer::Pingora)),
    bar("GET over TLS 1.3, CPU", 0.9, TIMES_NGINX, cpu(Case::Tls, Peer::Nginx)),
    bar("TLS handshake, CPU", 0.6, TIMES_NGINX, cpu(Case::Handshake, Peer::Nginx)),
    bar("100 KiB answer, CPU", 1.2, TIMES_NGINX, cpu(Case::Large, Peer::Nginx)),
    bar("64 KiB POST, CPU", 1.2, TIMES_NGINX, cpu(Case::Post, Peer::Nginx)),
    bar("partner case, CPU", 1.35, "× own plain case", partner(Peer::Vestibule)),
    bar("partner case, CPU", 0.7, "× nginx with Lua", partner(Peer::NginxLua)),
    bar("partner case, CPU", 0.25, "× Envoy", partner(Peer::EnvoyPartner)),
    bar("chain of ten ordinary policies", 1000.0, "ns", Figure::Chain),
    bar("chain of ten policies", 0.0, "allocations by the chain", Figure::ChainAllocations),
    bar("5,000 routes, CPU", 1.05, "× one route", Figure::Cpu(Case::Routes, Peer::VestibuleRoutes, Peer::Vestibule)),
    bar("5,000 routes, resident memory", 50.0, "MiB", Figure::Resident(Case::Routes, Peer::VestibuleRoutes)),
    bar("idle connection", 8.0, "KiB", Figure::Idle(Wire::Plain)),
    bar("idle connection with TLS", 20.0, "KiB", Figure::Idle(Wire::Tls)),
    bar("latency added at 50 % load, p99", 1.0, "ms", Figure::Added),
    bar("20 reloads and an upgrade at 2,000 requests/s", 0.0, "failed", Figure::Reload),
];

const fn bar(what: &'static str, limit: f64, unit: &'static str, figure: Figure) -> Bar {
    Bar { what, limit, unit, figure }
}

const fn cpu(case: Case, to: Peer) -> Figure {
    Figure::Cpu(case, Peer::Vestibule, to)
}

const fn partner(to: Peer) -> Figure {
    Figure::Cpu(Case::Partner, Peer::VestibulePartner, to)
}

impl Bar {
    /// The figure that was measured, if it was.
    pub(crate) fn measured(&self, results: &Results) -> Option<f64> {
        match self.figure {
            Figure::Cpu(case, of, to) => Some(results.rotations.get(&case)?.ratio(of, to)?.middle),
            Figure::Instructions(of, to) => Some(results.instructions.get(&of)? / results.instructions.get(&to)?),
            Figure::Idle(wire) => Some(results.idle.get(&(wire, Peer::Vestibule))? / 1024.0),
            #[expect(clippy::cast_precision_loss, reason = "memory far below 2^52 bytes")]
            Figure::Resident(case, of) => {
                Some(results.rotations.get(&case)?.median(of, |slice| slice.resident as f64)? / (1024.0 * 1024.0))
            }
            Figure::Added => {
                let latency = results.latency.get(&Peer::Vestibule)?;
                Some((latency.p99 - latency.alone_p99) / 1000.0)
            }
            Figure::Chain => Some(results.chain.as_ref()?.of("ten ordinary policies")?.nanoseconds),
            Figure::ChainAllocations => Some(results.chain.as_ref()?.of("ten ip-filter")?.allocations),
            Figure::Reload => {
                let noticed = results.reloads.get(&Peer::Vestibule)?;
                // Without an upgrade, half of the promise was not put to the test.
                noticed.upgrade.map(|_| noticed.failed)
            }
        }
    }
}
