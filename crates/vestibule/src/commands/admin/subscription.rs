//! `vestibule admin subscription`: which app may use which product.

use clap::{Args, Subcommand};
use serde_json::json;

use super::app::Named;
use super::call::{Answer, Call};

/// Which app may use which product.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists an app's subscriptions; without an app, all that wait for a decision.
    List {
        /// The app.
        #[arg(value_name = "COMPANY/APP")]
        app: Option<Named>,
    },
    /// Subscribes an app to a product.
    Create {
        #[command(flatten)]
        which: Which,
        /// Leaves the decision to somebody else: it opens nothing until it is approved.
        #[arg(long)]
        pending: bool,
    },
    /// Shows a subscription.
    Show(Which),
    /// Opens the product's operations to the app.
    Approve(Which),
    /// Says no.
    Refuse(Which),
    /// Closes the product's operations to the app for now.
    Suspend(Which),
    /// Ends a subscription.
    Delete(Which),
}

/// Which subscription.
#[derive(Args)]
pub(crate) struct Which {
    /// The app.
    #[arg(value_name = "COMPANY/APP")]
    app: Named,
    /// The product.
    product: String,
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List { app: None } => Call::get(&["subscriptions"], LIST),
            Self::List { app: Some(Named { company, app }) } => {
                Call::get(&["companies", company, "apps", app, "subscriptions"], LIST)
            }
            Self::Create { which: Which { app: Named { company, app }, product }, pending } => {
                let state = if *pending { "pending" } else { "approved" };
                let body = json!({ "product": product, "state": state });
                Call::post(&["companies", company, "apps", app, "subscriptions"], Some(body), Answer::One)
            }
            Self::Show(which) => Call::get(&which.steps(), Answer::One),
            Self::Approve(which) => which.decide("approve"),
            Self::Refuse(which) => which.decide("refuse"),
            Self::Suspend(which) => which.decide("suspend"),
            Self::Delete(which) => {
                let Which { app: Named { company, app }, product } = which;
                Call::delete(&which.steps(), format!("subscription of {company}/{app} to {product} is deleted"))
            }
        }
    }
}

impl Which {
    fn steps(&self) -> [&str; 6] {
        ["companies", &self.app.company, "apps", &self.app.app, "subscriptions", &self.product]
    }

    fn decide(&self, decision: &str) -> Call {
        let mut steps = self.steps().to_vec();
        steps.push(decision);
        Call::post(&steps, None, Answer::One)
    }
}

const LIST: Answer = Answer::List(&["company", "app", "product", "state", "changed"]);
