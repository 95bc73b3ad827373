//! `vestibule admin certificate-rule`: names in certificates by which apps are known.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::app::Named;
use super::call::{Answer, Call};
use super::certificate::text;

/// Names in certificates by which apps are known, whichever certificate it is.
///
/// Every authority that a listener believes can write any name: bind rules to one of them, or make them where all are careful.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists all rules.
    List,
    /// Has an app be known by a name.
    Create {
        /// The app.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
        /// The name, such as `dns:acme.example`, `email:ops@acme.example`, `uri:urn:acme:shop` or `subject:O=acme,CN=shop`.
        name: String,
        /// What it may do; may be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// The certificate (PEM) of the authority that must have signed; left out, any that a listener believes.
        #[arg(long, value_name = "FILE")]
        issuer: Option<PathBuf>,
    },
    /// Shows a rule.
    Show {
        /// The name.
        name: String,
    },
    /// Deletes a rule; what is open by it ends.
    Delete {
        /// The name.
        name: String,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Result<Call, String> {
        Ok(match self {
            Self::List => Call::get(
                &["certificate-rules"],
                Answer::List(&["name", "company", "app", "scopes", "issuer", "created"]),
            ),
            Self::Create { app: Named { company, app }, name, scopes, issuer } => {
                let issuer = issuer.as_deref().map(text).transpose()?;
                let body = json!({ "name": name, "scopes": scopes, "issuer": issuer });
                Call::post(&["companies", company, "apps", app, "certificate-rules"], Some(body), Answer::One)
            }
            Self::Show { name } => Call::get(&["certificate-rules", name], Answer::One),
            Self::Delete { name } => Call::delete(
                &["certificate-rules", name],
                format!("nobody is known by `{name}` any more, and what is open by it ends"),
            ),
        })
    }
}
