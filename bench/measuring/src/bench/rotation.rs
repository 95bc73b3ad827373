//! Slices in rotation: all proxies are up at once, each gets a short slice in turn, round after round.
//!
//! Virtual machines drift: the same binary may cost a third more a minute later. So a proxy is compared with the
//! reference's slices just before and just after its own, and the median of these ratios is what counts.

use super::load::{Load, Slice, slice};
use super::peers::{Peer, Running};
use super::site::Site;
use anyhow::{Context, Result};

/// Slices in the order they were taken.
#[derive(Debug, Default)]
pub(crate) struct Taken(Vec<(Peer, Slice)>);

/// A median, and the 20th and 80th percentile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) middle: f64,
    pub(crate) high: f64,
}

/// Takes slices of the proxies in rotation, the `reference` between every two others.
pub(crate) fn rotate(site: &Site, running: &[Running], reference: Peer, load: Load, plan: Plan) -> Result<Taken> {
    let reference = running.iter().find(|proxy| proxy.peer == reference).or(running.first());
    let reference = reference.context("there is nothing to measure")?;
    let others: Vec<&Running> = running.iter().filter(|proxy| proxy.peer != reference.peer).collect();
    let mut order = vec![reference];
    for pair in others.chunks(2) {
        order.extend(pair);
        order.push(reference);
    }
    for proxy in running {
        slice(site, proxy, load, 1.0)?;
    }
    let mut taken = Taken::default();
    for _ in 0..plan.rounds {
        for proxy in &order {
            taken.0.push((proxy.peer, slice(site, proxy, load, plan.seconds)?));
        }
        eprint!(".");
    }
    eprintln!();
    Ok(taken)
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
}

impl Taken {
    /// Ratio of the CPU time for a request to the one of another proxy beside it.
    pub(crate) fn ratio(&self, of: Peer, to: Peer) -> Option<Spread> {
        let ratios = self.0.iter().enumerate().filter(|(_, (peer, _))| *peer == of).filter_map(|(at, (_, slice))| {
            let before = self.0.iter().take(at).rev().find(|(peer, _)| *peer == to);
            let after = self.0.iter().skip(at + 1).find(|(peer, _)| *peer == to);
            let beside: Vec<f64> = [before, after].into_iter().flatten().map(|(_, slice)| slice.cpu).collect();
            Some(slice.cpu / average(&beside)?)
        });
        spread(ratios.collect())
    }

    /// The middle of one figure of a proxy.
    pub(crate) fn median(&self, of: Peer, figure: impl Fn(&Slice) -> f64) -> Option<f64> {
        let figures = self.0.iter().filter(|(peer, _)| *peer == of).map(|(_, slice)| figure(slice));
        spread(figures.collect()).map(|spread| spread.middle)
    }

    /// The middle of what others took of the machine.
    pub(crate) fn foreign(&self) -> f64 {
        spread(self.0.iter().map(|(_, slice)| slice.foreign).collect()).map_or(0.0, |spread| spread.middle)
    }

    /// The sum of a figure of a proxy.
    pub(crate) fn sum(&self, of: Peer, figure: impl Fn(&Slice) -> f64) -> f64 {
        self.0.iter().filter(|(peer, _)| *peer == of).map(|(_, slice)| figure(slice)).sum()
    }

    /// Proxies in the order of their first slice.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let mut peers = Vec::new();
        for (peer, _) in &self.0 {
            if !peers.contains(peer) {
                peers.push(*peer);
            }
        }
        peers
    }
}

pub(crate) fn spread(mut figures: Vec<f64>) -> Option<Spread> {
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
        let index = (as_float(figures.len().checked_sub(1)?) * share).round() as usize;
        figures.get(index).copied()
    };
    Some(Spread { low: at(0.2)?, middle: at(0.5)?, high: at(0.8)? })
}

fn average(figures: &[f64]) -> Option<f64> {
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / as_float(figures.len()))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn as_float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(costs: &[(Peer, f64)]) -> Taken {
        Taken(costs.iter().map(|(peer, cpu)| (*peer, Slice { cpu: *cpu, ..Slice::default() })).collect())
    }

    #[test]
    fn a_machine_that_slows_down_changes_no_ratio() {
        let drifting = [10.0, 20.0, 40.0]
            .into_iter()
            .flat_map(|cost| [(Peer::Nginx, cost), (Peer::Vestibule, cost * 1.1), (Peer::Nginx, cost)]);
        let ratio = taken(&drifting.collect::<Vec<_>>()).ratio(Peer::Vestibule, Peer::Nginx).unwrap();
        assert!((ratio.middle - 1.1).abs() < 1e-9, "{ratio:?}");
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        assert_eq!(taken(&[(Peer::Nginx, 1.0)]).ratio(Peer::Nginx, Peer::Caddy), None);
        assert_eq!(spread(Vec::new()), None);
    }

    #[test]
    fn a_spread_ignores_single_outliers() {
        let spread = spread(vec![9.0, 1.0, 1.1, 1.2, 1.3, 0.1]).unwrap();
        assert_eq!(spread, Spread { low: 1.0, middle: 1.2, high: 1.3 });
    }
}
