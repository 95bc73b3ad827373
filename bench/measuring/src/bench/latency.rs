//! Latency at half of what a proxy can do, in an open loop, beside the backend alone at the same rate.

use super::load::{Figures, steady, text};
use super::peers::Running;
use super::rotation::{Plan, spread};
use super::site::Site;
use anyhow::{Context, Result};

/// Microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Of the backend alone at the same rate.
    pub(crate) alone_p99: f64,
    pub(crate) failed: f64,
}

/// Measures one proxy and the backend alone, in turn; answers the middle of the rounds.
pub(crate) fn at_half(site: &Site, proxy: &Running, capacity: f64, plan: Plan) -> Result<Latency> {
    let rate = (capacity / 2.0).round();
    // A time slice of anybody else is as long as a hundred requests: it would be all that the last percent tells.
    for server in [&proxy.server, &site.backend] {
        if !server.stand_above(1) {
            eprintln!("process {} cannot be given priority: what else runs here is measured, too", server.id());
        }
    }
    let mut rounds = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..plan.rounds {
        let through = Figures::read(&text(steady(proxy.plain, &proxy.header, rate, plan.seconds)?)?)?;
        let alone = Figures::read(&text(steady(site.backend_port, "", rate, plan.seconds)?)?)?;
        let failed = through.number("failed") + through.number("refused");
        let figures = [through.number("p50_us"), through.number("p99_us"), alone.number("p99_us"), failed];
        for (round, figure) in rounds.iter_mut().zip(figures) {
            round.push(figure);
        }
    }
    let [p50, p99, alone_p99, failed] = rounds.map(|round| spread(round).map(|spread| spread.middle));
    let nothing = "no round was measured";
    Ok(Latency {
        rate,
        p50: p50.context(nothing)?,
        p99: p99.context(nothing)?,
        alone_p99: alone_p99.context(nothing)?,
        failed: failed.context(nothing)?,
    })
}
