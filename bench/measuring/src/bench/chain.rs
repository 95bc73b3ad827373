//! The chain of policies alone, without a connection: `crates/policies/examples/chain_cost.rs`, on one core.

use super::load::text;
use anyhow::{Result, bail};
use programs::process::{PROXY_CORE, pinned};
use programs::run::{root, run};

/// What passing through policies costs.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) costs: Vec<Cost>,
}

/// One set of policies, for each request.
#[derive(Debug, PartialEq)]
pub(crate) struct Cost {
    pub(crate) policies: String,
    pub(crate) nanoseconds: f64,
    pub(crate) allocations: f64,
}

impl Chain {
    pub(crate) fn measure() -> Result<Self> {
        run("cargo", &["build", "--release", "--locked", "-p", "policies", "--example", "chain_cost"])?;
        let said = text(pinned(PROXY_CORE, &root()?.join("target/release/examples/chain_cost")))?;
        let costs: Vec<Cost> = said.lines().filter_map(read).collect();
        if costs.is_empty() {
            bail!("the measurement of the chain said nothing that can be read:\n{said}");
        }
        Ok(Self { costs })
    }

    pub(crate) fn of(&self, policies: &str) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.policies == policies)
    }
}

/// Reads `NAME: p10 N ns, median N ns, N allocations`.
fn read(line: &str) -> Option<Cost> {
    let (policies, figures) = line.rsplit_once(": p10 ")?;
    let (_, figures) = figures.split_once("median ")?;
    let (nanoseconds, figures) = figures.split_once(" ns, ")?;
    let allocations = figures.strip_suffix(" allocations")?;
    Some(Cost {
        policies: policies.trim().to_owned(),
        nanoseconds: nanoseconds.parse().ok()?,
        allocations: allocations.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_measurement_is_read_whatever_the_condition_in_it() {
        let cost = read("  respond Some(\"'x: y' in request.headers\"): p10 60 ns, median 70 ns, 1.5 allocations");
        let policies = "respond Some(\"'x: y' in request.headers\")".to_owned();
        assert_eq!(cost, Some(Cost { policies, nanoseconds: 70.0, allocations: 1.5 }));
        assert_eq!(read("nothing"), None);
    }
}
