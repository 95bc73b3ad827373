//! `vestibule admin developer`: the people of partners.

use clap::{Args, Subcommand};
use serde_json::json;

use super::app::Named;
use super::call::{Answer, Call};

/// People of companies.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists a company's developers.
    List {
        /// The company.
        company: String,
    },
    /// Makes a developer of a company.
    Create(Content),
    /// Shows a developer.
    Show {
        /// Which one.
        #[arg(value_name = "COMPANY/DEVELOPER")]
        developer: Named,
    },
    /// Changes what a developer is called, and where mail reaches the person.
    Replace(Content),
    /// Deletes a developer.
    Delete {
        /// Which one.
        #[arg(value_name = "COMPANY/DEVELOPER")]
        developer: Named,
    },
}

/// What a developer is.
#[derive(Args)]
pub(crate) struct Content {
    /// The company and the person, such as `acme/ann`.
    #[arg(value_name = "COMPANY/DEVELOPER")]
    developer: Named,
    /// Where mail reaches the person.
    email: String,
    /// What people call the person.
    #[arg(long)]
    title: Option<String>,
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List { company } => {
                let columns = &["company", "name", "title", "email", "created"];
                Call::get(&["companies", company, "developers"], Answer::List(columns))
            }
            Self::Create(Content { developer: Named { company, app: name }, email, title }) => {
                let body = json!({ "name": name, "email": email, "title": title });
                Call::post(&["companies", company, "developers"], Some(body), Answer::One)
            }
            Self::Show { developer: Named { company, app: name } } => {
                Call::get(&["companies", company, "developers", name], Answer::One)
            }
            Self::Replace(Content { developer: Named { company, app: name }, email, title }) => {
                let body = json!({ "email": email, "title": title });
                Call::put(&["companies", company, "developers", name], body, Answer::One)
            }
            Self::Delete { developer: Named { company, app: name } } => Call::delete(
                &["companies", company, "developers", name],
                format!("developer {company}/{name} is deleted"),
            ),
        }
    }
}
