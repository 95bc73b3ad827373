//! `vestibule admin webhook`: who is told what changes.

use clap::{Args, Subcommand};
use serde_json::json;

use super::call::{Answer, Call};

/// Endpoints that are told what changes in the registry.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists endpoints.
    List,
    /// Makes an endpoint, and shows once what its events are signed with.
    Create(Content),
    /// Shows an endpoint.
    Show {
        /// Its name.
        name: String,
    },
    /// Changes where an endpoint is and what it is told.
    Replace(Content),
    /// Tells an endpoint again what changes; what changed meanwhile too.
    Enable {
        /// Its name.
        name: String,
    },
    /// Tells an endpoint nothing until it is enabled.
    Disable {
        /// Its name.
        name: String,
    },
    /// Makes another secret, beside which the old one signs for a while, and shows it once.
    RotateSecret {
        /// The endpoint's name.
        name: String,
        /// How long the old one signs on: 0s to 30d.
        #[arg(long, value_name = "SPAN", default_value = "1d")]
        overlap: String,
    },
    /// Tells an endpoint an event that is none, and says what it did.
    Test {
        /// Its name.
        name: String,
    },
    /// Lists what became of the last hundred events.
    Deliveries {
        /// The endpoint's name.
        name: String,
    },
    /// Deletes an endpoint.
    Delete {
        /// Its name.
        name: String,
    },
}

/// What an endpoint is.
#[derive(Args)]
pub(crate) struct Content {
    /// Its name, in kebab case.
    name: String,
    /// Where it is, such as `https://portal.example/hooks`.
    #[arg(value_name = "URL")]
    endpoint: String,
    /// What it is told, such as `key.rotated`, `key.*`; may be given several times. Everything, if it is left out.
    #[arg(long = "kind", value_name = "KIND", default_value = "*")]
    kinds: Vec<String>,
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        let to = |name: &str, what: &str| Call::post(&["webhooks", name, what], None, Answer::One);
        match self {
            Self::List => {
                Call::get(&["webhooks"], Answer::List(&["name", "enabled", "url", "kinds", "disabled_because"]))
            }
            Self::Create(Content { name, endpoint, kinds }) => {
                let body = json!({ "name": name, "url": endpoint, "kinds": kinds });
                Call::post(&["webhooks"], Some(body), Answer::Key)
            }
            Self::Show { name } => Call::get(&["webhooks", name], Answer::One),
            Self::Replace(Content { name, endpoint, kinds }) => {
                Call::put(&["webhooks", name], json!({ "url": endpoint, "kinds": kinds }), Answer::One)
            }
            Self::Enable { name } => to(name, "enable"),
            Self::Disable { name } => to(name, "disable"),
            Self::RotateSecret { name, overlap } => {
                let body = json!({ "overlap": overlap });
                Call::post(&["webhooks", name, "rotate-secret"], Some(body), Answer::Key)
            }
            Self::Test { name } => to(name, "test"),
            Self::Deliveries { name } => {
                let columns = &["event", "kind", "at", "attempts", "taken", "status", "took_ms", "error"];
                Call::get(&["webhooks", name, "deliveries"], Answer::List(columns))
            }
            Self::Delete { name } => Call::delete(&["webhooks", name], format!("webhook {name} is deleted")),
        }
    }
}
