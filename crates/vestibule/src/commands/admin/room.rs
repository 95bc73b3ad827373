//! `vestibule admin room`: waiting rooms.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use model::rooms::Moment;
use model::units::Span;
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::show;

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
    /// Moves the serving number: so many more may enter, or, if the number is negative, so many fewer, down to 0.
    Move {
        /// The room's name in the configuration.
        name: String,
        /// By how much.
        #[arg(allow_negative_numbers = true)]
        by: i64,
    },
    /// Opens a room: visitors are let in.
    Open {
        /// The room's name in the configuration.
        name: String,
    },
    /// Pauses a room: visitors keep their places and join, and nobody is let in for the moment.
    Pause {
        /// The room's name in the configuration.
        name: String,
    },
    /// Closes a room: nobody can join or is let in any more. Who is in stays in.
    Close {
        /// The room's name in the configuration.
        name: String,
    },
    /// Has everybody pass who comes, with or without a place.
    PassEverybody {
        /// The room's name in the configuration.
        name: String,
    },
    /// Has the room's schedule decide again whether it is open; without one it is.
    FollowSchedule {
        /// The room's name in the configuration.
        name: String,
    },
    /// Makes invites to a lane, and prints them, a line each. They are told once.
    Invite {
        /// The room's name in the configuration.
        name: String,
        /// The lane by which those come who have one.
        #[arg(long)]
        lane: String,
        /// How often each can be used.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How many.
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// For how long they can be used, such as `7d`.
        #[arg(long, default_value = "7d")]
        valid: String,
    },
    /// Takes invites back: nobody comes in by them from now on, at any node. Who came by one before stays.
    RevokeInvites {
        /// The room's name in the configuration.
        name: String,
        /// The invites, as they were printed.
        #[arg(required_unless_present = "list", value_name = "INVITE")]
        invites: Vec<String>,
        /// A file with an invite on each line, or `-` for what comes in.
        #[arg(long, value_name = "FILE", conflicts_with = "invites")]
        list: Option<PathBuf>,
    },
    /// Has lots drawn that wait for a public value.
    Draw {
        /// The room's name in the configuration.
        name: String,
        /// The value, exactly as everybody can read it.
        #[arg(long, value_name = "TEXT")]
        public_value: String,
    },
    /// Begins everything in a room anew. It can be undone for an hour.
    Reset {
        /// The room's name in the configuration.
        name: String,
    },
    /// Takes a reset of the last hour back. Who came since is behind the others.
    UndoReset {
        /// The room's name in the configuration.
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
    /// Makes another key that signs a room's tokens. Those that were signed before stay valid until they expire.
    RotateKey {
        /// The room's name in the configuration.
        name: String,
        /// After which time it signs, such as `1d`, for verifiers that keep public keys. Left out, at once.
        #[arg(long, value_name = "SPAN")]
        signs_in: Option<String>,
    },
    /// What programs sign their requests with that operate rooms as those of AWS (Signature Version 4).
    #[command(subcommand)]
    AccessKey(AccessKey),
}

/// Access keys.
#[derive(Subcommand)]
pub(crate) enum AccessKey {
    /// Lists access keys, without their secrets.
    List,
    /// Makes an access key, and shows its secret once.
    Create {
        /// Its name, in kebab case.
        name: String,
        /// What it may do: `operator` look at rooms and change them, `auditor` look.
        #[arg(long, value_parser = ["operator", "auditor"], default_value = "operator")]
        role: String,
    },
    /// Has what an access key signs be refused from now on.
    Delete {
        /// Its name.
        name: String,
    },
}

impl AccessKey {
    fn call(&self) -> Call {
        const KEYS: &str = "room-access-keys";
        match self {
            Self::List => Call::get(&[KEYS], Answer::List(&["name", "id", "role", "created"])),
            Self::Create { name, role } => {
                Call::post(&[KEYS], Some(json!({ "name": name, "role": role })), Answer::Key)
            }
            Self::Delete { name } => Call::delete(&[KEYS, name], format!("access key {name} is deleted")),
        }
    }
}

impl Command {
    pub(crate) fn call(&self) -> Result<Call, String> {
        Ok(match self {
            Self::List => Call::get(&["rooms"], Answer::List(COLUMNS)),
            Self::Show { name } => Call::get(&["rooms", name], Answer::Special(room)),
            Self::Move { name, by } => {
                Call::post(&["rooms", name, "move"], Some(json!({ "by": by })), Answer::Special(moved))
            }
            Self::Open { name } => set(name, "open"),
            Self::Pause { name } => set(name, "paused"),
            Self::Close { name } => set(name, "closed"),
            Self::PassEverybody { name } => set(name, "passing-everybody"),
            Self::FollowSchedule { name } => set(name, "scheduled"),
            Self::Invite { name, lane, uses, count, valid } => {
                let new = json!({ "lane": lane, "uses": uses, "count": count, "valid": valid });
                Call::post(&["rooms", name, "invites"], Some(new), Answer::Special(invites))
            }
            Self::RevokeInvites { name, invites, list } => {
                let listed = list.as_deref().map(listed).transpose()?;
                let body = json!({ "invites": listed.as_ref().unwrap_or(invites) });
                Call::post(&["rooms", name, "invites", "revoke"], Some(body), Answer::Special(revoked))
            }
            Self::Draw { name, public_value } => Call::post(
                &["rooms", name, "draw"],
                Some(json!({ "public_value": public_value })),
                Answer::Special(room),
            ),
            Self::Reset { name } => Call::post(&["rooms", name, "reset"], None, Answer::Special(room)),
            Self::UndoReset { name } => Call::post(&["rooms", name, "undo-reset"], None, Answer::Special(room)),
            Self::ImportKey { name, jwk } => {
                let unread = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", jwk.display());
                let text = std::fs::read_to_string(jwk).map_err(|error| unread(&error))?;
                let key: Value = serde_json::from_str(&text).map_err(|error| unread(&error))?;
                Call::post(&["rooms", name, "keys"], Some(json!({ "key": key })), Answer::Special(imported))
            }
            Self::RotateKey { name, signs_in } => {
                let body = json!({ "signs_in": signs_in });
                Call::post(&["rooms", name, "rotate-key"], Some(body), Answer::Special(rotated))
            }
            Self::AccessKey(command) => command.call(),
        })
    }
}

/// A room for people: moments and times with their units.
fn room(answer: &Value) -> String {
    show::record(&readable(answer))
}

fn readable(value: &Value) -> Value {
    let member = |(name, value): (&String, &Value)| {
        let seconds = value.as_u64();
        let shown = match (name.as_str(), seconds) {
            // Since it is there, or at once.
            ("state_since" | "from", Some(0)) => return None,
            ("state_since" | "undoable_until" | "pre_queue" | "opens" | "closes" | "from" | "until", Some(seconds)) => {
                u32::try_from(seconds)
                    .map_or_else(|_beyond| value.clone(), |seconds| Moment::at(seconds).to_string().into())
            }
            ("position_expiry" | "validity" | "every" | "at_least" | "at_most", Some(seconds)) => {
                Span::seconds(seconds).to_string().into()
            }
            _ => readable(value),
        };
        Some((name.clone(), shown))
    };
    match value {
        Value::Object(members) => Value::Object(members.iter().filter_map(member).collect()),
        other => other.clone(),
    }
}

fn set(name: &str, state: &str) -> Call {
    Call::post(&["rooms", name, "state"], Some(json!({ "state": state })), Answer::Special(is_now))
}

fn is_now(answer: &Value) -> String {
    let state = answer.get("state").and_then(Value::as_str).unwrap_or_default();
    format!("the room is {state}\n")
}

fn invites(answer: &Value) -> String {
    let invites = answer.get("invites").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    invites.iter().filter_map(Value::as_str).flat_map(|invite| [invite, "\n"]).collect()
}

/// The lines of a file that say anything.
fn listed(file: &Path) -> Result<Vec<String>, String> {
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = read.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn revoked(answer: &Value) -> String {
    let revoked = answer.get("revoked").and_then(Value::as_u64).unwrap_or_default();
    format!("{revoked} open nothing any more that did before\n")
}

fn moved(answer: &Value) -> String {
    let serving = answer.get("serving_counter").and_then(Value::as_i64).unwrap_or_default();
    format!("the serving number is {serving}\n")
}

fn imported(answer: &Value) -> String {
    let id = answer.pointer("/public_key/kid").and_then(Value::as_str).unwrap_or_default();
    format!("tokens are signed with the key {id} from now on\n")
}

fn rotated(answer: &Value) -> String {
    let member = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("tokens are signed with the key {} from {} on\n", member("id"), member("signs_from"))
}

const COLUMNS: &[&str] =
    &["name", "event", "state", "queue_counter", "serving_counter", "token_counter", "waiting", "active"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_shown_moments_and_times_with_units() {
        let shown = room(&json!({
            "waiting": 20, "position_expiry": 20, "validity": 5400, "state_since": 0, "undoable_until": 1_795_712_400,
            "inlet": { "periodic": { "by": 10, "every": 60, "from": 0 } },
            "schedule": { "opens": 1_795_708_800 }, "wait": { "at_least": 90, "judged": 60, "held": 51 },
        }));
        let expected = "\
waiting          20
position expiry  20s
validity         1h30m
undoable until   2026-11-26T17:00:00Z
inlet            periodic: by=10, every=1m
schedule         opens=2026-11-26T16:00:00Z
wait             at_least=1m30s, judged=60, held=51
";
        assert_eq!(shown, expected);
    }
}
