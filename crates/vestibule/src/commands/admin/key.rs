//! `vestibule admin key`: what apps identify themselves with.

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
    /// Makes a key like another one, which works on for a while, and shows it once.
    Rotate {
        /// The other one's id: the 12 characters after `vk_live_`.
        id: String,
        /// How long the other one works on: 0s to 30d.
        #[arg(long, value_name = "SPAN", default_value = "7d")]
        overlap: String,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List { app: Named { company, app } } => {
                let columns = &["id", "state", "environment", "last_four", "scopes", "expires", "last_used"];
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
        }
    }
}
