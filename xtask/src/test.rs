//! `cargo xtask test`: everything that must hold before a change lands, cheapest first.

use crate::packages::{Needed, provide, provide_node};
use crate::run::{installed, run, run_with};
use crate::{docs, layers};
use anyhow::Result;
use servers::{Postgres, Redis};

/// Programs that acceptance tests start or talk to.
const NEEDED: &[Needed] = &[
    Needed { sign: "nginx", package: "nginx" },
    Needed { sign: "curl", package: "curl" },
    Needed { sign: "h2load", package: "nghttp2-client" },
    Needed { sign: "rsyslogd", package: "rsyslog" },
    Needed { sign: "node", package: "nodejs" },
    Needed { sign: "npm", package: "npm" },
    Needed { sign: "/usr/lib/postgresql", package: "postgresql" },
    Needed { sign: "redis-server", package: "redis-server" },
    Needed { sign: "openssl", package: "openssl" },
    Needed { sign: "pkill", package: "procps" },
    Needed { sign: "/usr/bin/python3", package: "python3" },
    Needed { sign: "/usr/lib/python3/dist-packages/aiosmtpd", package: "python3-aiosmtpd" },
];

/// An independent server of the Forward protocol.
pub(crate) const FLUENT_SERVER: &str = "@fluent-org/logger@1.0.10";

/// Checks formatting, levels, lints and generated files, then runs all tests.
pub(crate) fn test() -> Result<()> {
    provide(NEEDED)?;
    provide_node(&[FLUENT_SERVER])?;
    run("cargo", &["fmt", "--all", "--check"])?;
    layers::layers()?;
    run("cargo", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // Fuzz targets stand outside of the workspace, and would rot unseen.
    run("cargo", &["check", "--manifest-path", "fuzz/Cargo.toml"])?;
    docs::check()?;
    // One of each for all tests; each test has a database, or keys, of its own.
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let servers = [(servers::POSTGRES, postgres.address()), (servers::REDIS, redis.address())];
    if installed("cargo-nextest").is_some() {
        run_with("cargo", &["nextest", "run", "--locked", "--workspace", "--no-fail-fast"], &servers)
    } else {
        run_with("cargo", &["test", "--locked", "--workspace", "--no-fail-fast"], &servers)
    }
}
