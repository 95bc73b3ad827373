//! `vestibule admin product`: bundles of operations that apps subscribe to.

use std::str::FromStr;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::call::{Answer, Call};

/// Bundles of operations that apps subscribe to.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists products, those of the configuration file too.
    List,
    /// Makes a product.
    Create {
        /// Its name, in kebab case.
        name: String,
        #[command(flatten)]
        content: Content,
    },
    /// Shows a product.
    Show {
        /// Its name.
        name: String,
    },
    /// Changes a product's operations and quota.
    Replace {
        /// Its name.
        name: String,
        #[command(flatten)]
        content: Content,
    },
    /// Deletes a product that no app is subscribed to.
    Delete {
        /// Its name.
        name: String,
    },
}

/// What a product is.
#[derive(Args)]
pub(crate) struct Content {
    /// What it allows, such as `orders: GET /**`; may be given several times.
    #[arg(long = "operation", value_name = "OPERATION", required = true)]
    operations: Vec<String>,
    /// How much of it an app may use, such as `1000/month`; without, it is unlimited.
    #[arg(long, value_name = "REQUESTS/PERIOD")]
    quota: Option<Quota>,
}

/// A quota, as it is written on a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Quota {
    requests: u64,
    per: String,
}

impl FromStr for Quota {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "write it as `1000/month`: a number and a minute, hour, day, week, month or year";
        let (requests, per) = text.split_once('/').ok_or(form)?;
        let per = per.trim();
        if !["minute", "hour", "day", "week", "month", "year"].contains(&per) {
            return Err(form);
        }
        let requests = requests.trim().parse().ok().ok_or(form)?;
        Ok(Self { requests, per: per.to_owned() })
    }
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List => Call::get(&["products"], Answer::List(&["name", "managed_by", "quota", "operations"])),
            Self::Create { name, content } => {
                let Content { operations, quota } = content;
                let body = json!({ "name": name, "operations": operations, "quota": quota });
                Call::post(&["products"], Some(body), Answer::One)
            }
            Self::Show { name } => Call::get(&["products", name], Answer::One),
            Self::Replace { name, content } => {
                let Content { operations, quota } = content;
                let body = json!({ "operations": operations, "quota": quota });
                Call::put(&["products", name], body, Answer::One)
            }
            Self::Delete { name } => Call::delete(&["products", name], format!("product {name} is deleted")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_number_and_a_period() {
        assert_eq!("1000/month".parse(), Ok(Quota { requests: 1000, per: "month".into() }));
        for bad in ["", "1000", "month", "x/month", "1000/eon", "-1/day"] {
            assert!(bad.parse::<Quota>().is_err(), "{bad}");
        }
    }
}
