//! `vestibule admin token`: who else may ask the admin listener.

use clap::Subcommand;
use serde_json::json;

use super::call::{Answer, Call};

/// Tokens of the admin listener, and how far they go.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists tokens, without their secrets.
    List,
    /// Makes a token, and shows it once.
    Create {
        /// Its name, in kebab case.
        name: String,
        /// What it may do: `owner` everything; `operator` all but tokens; `billing` look at companies, products and usage;
        /// `auditor` look at everything; `company` look at one company's own, and rotate and revoke its keys.
        #[arg(long, value_parser = ["owner", "operator", "billing", "auditor", "company"])]
        role: String,
        /// Whose it is, for the role `company`.
        #[arg(long)]
        company: Option<String>,
        /// When it stops working by itself, such as `2030-12-31T00:00:00Z`.
        #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
        expires: Option<String>,
        /// After which time it stops working by itself, such as `90d`.
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
    },
    /// Makes a token open nothing from now on.
    Delete {
        /// Its name.
        name: String,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List => Call::get(&["tokens"], Answer::List(&["name", "role", "company", "created", "expires"])),
            Self::Create { name, role, company, expires, expires_in } => {
                let body = json!({
                    "name": name, "role": role, "company": company, "expires": expires, "expires_in": expires_in
                });
                Call::post(&["tokens"], Some(body), Answer::Key)
            }
            Self::Delete { name } => Call::delete(&["tokens", name], format!("token {name} is deleted")),
        }
    }
}
