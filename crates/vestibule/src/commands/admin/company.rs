//! `vestibule admin company`: the partners.

use clap::Subcommand;
use serde_json::json;

use super::call::{Answer, Call};

/// Partners.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists companies.
    List,
    /// Makes a company.
    Create {
        /// Its name, in kebab case.
        name: String,
        /// What people call it.
        #[arg(long)]
        title: Option<String>,
    },
    /// Shows a company.
    Show {
        /// Its name.
        name: String,
    },
    /// Deletes a company with its apps and keys, which die at once.
    Delete {
        /// Its name.
        name: String,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List => Call::get(&["companies"], Answer::List(&["name", "title", "created"])),
            Self::Create { name, title } => {
                Call::post(&["companies"], Some(json!({ "name": name, "title": title })), Answer::One)
            }
            Self::Show { name } => Call::get(&["companies", name], Answer::One),
            Self::Delete { name } => Call::delete(&["companies", name], format!("company {name} is deleted")),
        }
    }
}
