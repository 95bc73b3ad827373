//! `vestibule admin alert`: what is wrong, and who is told.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, json};

use super::call::{Answer, Call};

/// What is wrong, and who is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists alerts that are open.
    List {
        /// Those that are over.
        #[arg(long)]
        over: bool,
        /// Only those of this rule.
        #[arg(long)]
        rule: Option<String>,
    },
    /// Shows an alert, with who was told of it.
    Show {
        /// Its id.
        id: String,
    },
    /// Says that what an alert is about is well. It opens again if it is not.
    Close {
        /// Its id.
        id: String,
    },
    /// Has nobody told of some alerts for a while.
    Silence(Silence),
    /// Lists silences.
    Silences,
    /// Ends a silence.
    Unsilence {
        /// The id of the silence.
        id: String,
    },
    /// Lists who is told, and how that went from this node.
    Receivers,
    /// Tells a receiver of an alert that is none, and says whether it took it.
    Test {
        /// Its name.
        receiver: String,
    },
}

/// Of what nobody is told, how long, and why. At least one of `--alert`, `--rule`, `--label` and `--all` says of what.
#[derive(Args)]
#[command(group = ArgGroup::new("about").args(["alert", "rule", "labels", "all"]).required(true).multiple(true))]
pub(crate) struct Silence {
    /// Only this alert.
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
    /// Only alerts of this rule.
    #[arg(long)]
    rule: Option<String>,
    /// Only alerts with this label, such as `api=orders`; may be given several times.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Really all alerts.
    #[arg(long, conflicts_with_all = ["alert", "rule", "labels"])]
    all: bool,
    /// How long, such as `4h`; at most 90d.
    #[arg(long = "for", value_name = "SPAN")]
    lasts: String,
    /// Why, for those who wonder.
    #[arg(long)]
    reason: String,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write a name and a value, such as `api=orders`")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List { over, rule } => {
                let columns = &["id", "level", "rule", "since", "over", "count", "times", "silence", "summary"];
                let state = over.then(|| "over".to_owned());
                Call::get(&["alerts"], Answer::List(columns))
                    .with_query([("state", state.as_ref()), ("rule", rule.as_ref())])
            }
            Self::Show { id } => Call::get(&["alerts", id], Answer::One),
            Self::Close { id } => Call::post(&["alerts", id, "close"], None, Answer::One),
            Self::Silence(Silence { alert, rule, labels, all, lasts, reason }) => {
                let labels: Map<_, _> =
                    labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
                let about = json!({
                    "alert": alert, "rule": rule, "labels": labels, "all": all, "for": lasts, "reason": reason,
                });
                Call::post(&["silences"], Some(about), Answer::One)
            }
            Self::Silences => {
                let columns = &["id", "alert", "rule", "labels", "until", "reason", "created"];
                Call::get(&["silences"], Answer::List(columns))
            }
            Self::Unsilence { id } => Call::delete(&["silences", id], format!("silence {id} is ended")),
            Self::Receivers => {
                let columns = &["name", "kind", "taken", "failed", "paused_until"];
                Call::get(&["alert-receivers"], Answer::List(columns))
            }
            Self::Test { receiver } => Call::post(&["alert-receivers", receiver, "test"], None, Answer::One),
        }
    }
}
