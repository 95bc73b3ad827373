//! `vestibule admin contract`: by which plan companies pay, and from when to when.

use clap::{Args, Subcommand};
use serde_json::json;

use super::app::Named;
use super::call::{Answer, Call};

/// By which plan companies pay, and from when to when.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists a company's contracts.
    List {
        /// The company.
        company: String,
    },
    /// Makes a contract of a company, which has one at a time.
    Create(Content),
    /// Shows a contract.
    Show {
        /// Which one.
        #[arg(value_name = "COMPANY/CONTRACT")]
        contract: Named,
    },
    /// Changes a contract's plan and dates.
    Replace(Content),
    /// Deletes a contract. Statements that were made by it stay.
    Delete {
        /// Which one.
        #[arg(value_name = "COMPANY/CONTRACT")]
        contract: Named,
    },
}

/// What a contract is.
#[derive(Args)]
pub(crate) struct Content {
    /// The company and the contract, such as `acme/first`.
    #[arg(value_name = "COMPANY/CONTRACT")]
    contract: Named,
    /// A rate plan of the configuration.
    plan: String,
    /// Its first day, such as `2026-01-31`.
    start: String,
    /// The day after its last one; without, it goes on.
    #[arg(long, value_name = "DATE")]
    end: Option<String>,
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List { company } => {
                let columns = &["company", "name", "plan", "start", "end"];
                Call::get(&["companies", company, "contracts"], Answer::List(columns))
            }
            Self::Create(Content { contract: Named { company, app: name }, plan, start, end }) => {
                let body = json!({ "name": name, "plan": plan, "start": start, "end": end });
                Call::post(&["companies", company, "contracts"], Some(body), Answer::One)
            }
            Self::Show { contract: Named { company, app: name } } => {
                Call::get(&["companies", company, "contracts", name], Answer::One)
            }
            Self::Replace(Content { contract: Named { company, app: name }, plan, start, end }) => {
                let body = json!({ "plan": plan, "start": start, "end": end });
                Call::put(&["companies", company, "contracts", name], body, Answer::One)
            }
            Self::Delete { contract: Named { company, app: name } } => Call::delete(
                &["companies", company, "contracts", name],
                format!("contract {company}/{name} is deleted"),
            ),
        }
    }
}
