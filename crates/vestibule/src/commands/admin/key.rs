//! `vestibule admin key`: what apps identify themselves with.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::app::Named;
use super::call::{Answer, Call};

/// Keys of apps.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists an app's keys, dead ones too.
    List {
        /// The app.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
    },
    /// Makes a key for an app, and shows it once.
    Create {
        /// The app.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
        /// What it may do; may be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// A key for trying things out.
        #[arg(long)]
        test: bool,
        /// When it stops working by itself, such as `2030-12-31`.
        #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
        expires: Option<String>,
        /// After which time it stops working by itself, such as `90d`.
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
    },
    /// Shows a key, without its secret.
    Show {
        /// Its id: the 12 characters after `vk_live_`.
        id: String,
    },
    /// Makes a key open nothing from now on.
    Revoke {
        /// Its id: the 12 characters after `vk_live_`.
        id: String,
    },
    /// Makes a key that takes another one's place, which works on for a while, and shows it once.
    Rotate {
        /// The other one's id: the 12 characters after `vk_live_`.
        id: String,
        /// How long the other one works on: 0s to 30d.
        #[arg(long, value_name = "SPAN", default_value = "7d")]
        overlap: String,
    },
    /// Ends a rotation's overlap: of the two keys that work, the old one stops at once.
    EndOverlap {
        /// The id of one of them.
        id: String,
    },
    /// Lists keys that were rotated and still work, and whether anybody still uses them.
    Rotated,
    /// Says when a key stops working by itself; without a time, that it never does.
    Expire {
        /// Its id: the 12 characters after `vk_live_`.
        id: String,
        /// When, such as `2030-12-31`.
        #[arg(long, value_name = "TIME", conflicts_with = "after")]
        at: Option<String>,
        /// After which time, such as `90d`.
        #[arg(long, value_name = "SPAN")]
        after: Option<String>,
    },
    /// Takes over keys that another program made: as they are, or their hashes.
    Import {
        /// The app.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
        /// A file with a key a line; `-` is standard input.
        file: PathBuf,
        /// The lines are hashes: `sha-256`, or `hmac-sha-256:NAME` with a pepper of the configuration.
        #[arg(long, value_name = "ALGORITHM")]
        hashed: Option<String>,
        /// What they may do; may be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Result<Call, String> {
        Ok(match self {
            Self::List { app: Named { company, app } } => {
                let columns =
                    &["id", "state", "environment", "last_four", "scopes", "expires", "last_used", "replaced_by"];
                Call::get(&["companies", company, "apps", app, "keys"], Answer::List(columns))
            }
            Self::Create { app: Named { company, app }, scopes, test, expires, expires_in } => {
                let environment = if *test { "test" } else { "live" };
                let body = json!({
                    "environment": environment, "scopes": scopes, "expires": expires, "expires_in": expires_in
                });
                Call::post(&["companies", company, "apps", app, "keys"], Some(body), Answer::Key)
            }
            Self::Show { id } => Call::get(&["keys", id], Answer::One),
            Self::Revoke { id } => Call::post(&["keys", id, "revoke"], None, Answer::One),
            Self::Rotate { id, overlap } => {
                Call::post(&["keys", id, "rotate"], Some(json!({ "overlap": overlap })), Answer::Key)
            }
            Self::EndOverlap { id } => Call::post(&["keys", id, "end-overlap"], None, Answer::One),
            Self::Rotated => {
                let columns = &[
                    "company",
                    "app",
                    "id",
                    "last_four",
                    "ends",
                    "last_used",
                    "still_used",
                    "replaced_by",
                    "new_last_used",
                ];
                Call::get(&["keys", "rotated"], Answer::List(columns))
            }
            Self::Expire { id, at, after } => {
                let body = json!({ "expires": at, "expires_in": after });
                Call::post(&["keys", id, "expire"], Some(body), Answer::One)
            }
            Self::Import { app: Named { company, app }, file, hashed, scopes } => {
                let text = read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
                let key = |line: &str| match hashed {
                    None => json!({ "text": line, "scopes": scopes }),
                    Some(algorithm) => json!({ "algorithm": algorithm, "digest": line, "scopes": scopes }),
                };
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let body = json!({ "keys": lines.map(key).collect::<Vec<_>>() });
                let columns = &["id", "state", "environment", "last_four", "scopes"];
                Call::post(&["companies", company, "apps", app, "keys", "import"], Some(body), Answer::List(columns))
            }
        })
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) }
}
