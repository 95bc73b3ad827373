//! `vestibule admin room`: waiting rooms.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::call::{Answer, Call};

/// Waiting rooms.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists waiting rooms with what is counted in them.
    List,
    /// Shows a waiting room.
    Show {
        /// Its name in the configuration.
        name: String,
    },
    /// Has a key that another program made sign a room's tokens from now on, under the name that it has.
    ImportKey {
        /// The room's name in the configuration.
        name: String,
        /// A file with the private RSA key as a JWK.
        #[arg(long, value_name = "FILE")]
        jwk: PathBuf,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Result<Call, String> {
        Ok(match self {
            Self::List => Call::get(&["rooms"], Answer::List(COLUMNS)),
            Self::Show { name } => Call::get(&["rooms", name], Answer::One),
            Self::ImportKey { name, jwk } => {
                let unread = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", jwk.display());
                let text = std::fs::read_to_string(jwk).map_err(|error| unread(&error))?;
                let key: Value = serde_json::from_str(&text).map_err(|error| unread(&error))?;
                Call::post(&["rooms", name, "keys"], Some(json!({ "key": key })), Answer::Special(imported))
            }
        })
    }
}

fn imported(answer: &Value) -> String {
    let id = answer.pointer("/public_key/kid").and_then(Value::as_str).unwrap_or_default();
    format!("tokens are signed with the key {id} from now on\n")
}

const COLUMNS: &[&str] = &["name", "event", "queue_counter", "serving_counter", "token_counter", "waiting", "active"];
