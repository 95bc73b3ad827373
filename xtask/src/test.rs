//! `cargo xtask test`: everything that must hold before a change lands, cheapest first.

use crate::packages::{Needed, provide};
use crate::run::{installed, run};
use crate::{docs, layers};
use anyhow::Result;

/// Programs that acceptance tests start or talk to.
const NEEDED: &[Needed] = &[
    Needed { sign: "nginx", package: "nginx" },
    Needed { sign: "curl", package: "curl" },
    Needed { sign: "h2load", package: "nghttp2-client" },
];

/// Checks formatting, levels, lints and generated files, then runs all tests.
pub(crate) fn test() -> Result<()> {
    provide(NEEDED)?;
    run("cargo", &["fmt", "--all", "--check"])?;
    layers::layers()?;
    run("cargo", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    docs::check()?;
    if installed("cargo-nextest").is_some() {
        run("cargo", &["nextest", "run", "--locked", "--workspace", "--no-fail-fast"])
    } else {
        run("cargo", &["test", "--locked", "--workspace", "--no-fail-fast"])
    }
}
