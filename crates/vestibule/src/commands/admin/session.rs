//! `vestibule admin session`: what partners have open at backends.

use clap::Subcommand;
use http::Method;

use super::call::{Answer, Call};

/// Sessions that partners have at backends.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists sessions in the order in which they were opened.
    List {
        /// Only those of the policy of this name, which is its API's unless it says otherwise.
        #[arg(long)]
        name: Option<String>,
        /// Only this company's.
        #[arg(long)]
        company: Option<String>,
        /// Only this app's of the company.
        #[arg(long, requires = "company")]
        app: Option<String>,
        /// Those that the gateway has closed, and what came of it.
        #[arg(long)]
        closed: bool,
    },
    /// Shows a session.
    Show {
        /// Its id, as lists show it.
        id: String,
    },
    /// Has a session closed at its backend.
    Close {
        /// Its id, as lists show it.
        id: String,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List { name, company, app, closed } => {
                let columns: &[&str] = if *closed {
                    &["id", "name", "company", "app", "opened", "ended", "why", "attempts", "note"]
                } else {
                    &["id", "name", "company", "app", "state", "opened", "last_used", "ends"]
                };
                let which = closed.then(|| "closed".to_owned());
                let [name, company, app, which] = [name, company, app, &which].map(Option::as_ref);
                Call::get(&["sessions"], Answer::List(columns)).with_query([
                    ("name", name),
                    ("company", company),
                    ("app", app),
                    ("which", which),
                ])
            }
            Self::Show { id } => Call::get(&["sessions", id], Answer::One),
            Self::Close { id } => Call { method: Method::DELETE, ..Call::get(&["sessions", id], Answer::One) },
        }
    }
}
