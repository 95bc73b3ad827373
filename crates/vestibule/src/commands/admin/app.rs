//! `vestibule admin app`: the programs of partners.

use std::str::FromStr;

use clap::Subcommand;
use serde_json::json;

use super::call::{Answer, Call};

/// An app, or something else of a company, as it is written on a command line: `company/app`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) company: String,
    pub(crate) app: String,
}

impl FromStr for Named {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((company, app)) if !company.is_empty() && !app.is_empty() && !app.contains('/') => {
                Ok(Self { company: company.to_owned(), app: app.to_owned() })
            }
            _ => Err("write the company and the name with a slash between, such as `acme/shop`"),
        }
    }
}

/// Programs of partners.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists a company's apps.
    List {
        /// The company.
        company: String,
    },
    /// Makes an app of a company.
    Create {
        /// The company and the new app, such as `acme/shop`.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
        /// What people call it.
        #[arg(long)]
        title: Option<String>,
    },
    /// Shows an app.
    Show {
        /// Which one.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
    },
    /// Deletes an app with its keys, which die at once.
    Delete {
        /// Which one.
        #[arg(value_name = "COMPANY/APP")]
        app: Named,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List { company } => {
                Call::get(&["companies", company, "apps"], Answer::List(&["company", "name", "title", "created"]))
            }
            Self::Create { app: Named { company, app }, title } => {
                let body = json!({ "name": app, "title": title });
                Call::post(&["companies", company, "apps"], Some(body), Answer::One)
            }
            Self::Show { app: Named { company, app } } => Call::get(&["companies", company, "apps", app], Answer::One),
            Self::Delete { app: Named { company, app } } => {
                Call::delete(&["companies", company, "apps", app], format!("app {company}/{app} is deleted"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_named_with_its_company() {
        let named = Named { company: "acme".into(), app: "shop".into() };
        assert_eq!("acme/shop".parse(), Ok(named));
        for bad in ["", "acme", "acme/", "/shop", "acme/shop/x"] {
            assert!(bad.parse::<Named>().is_err(), "{bad}");
        }
    }
}
