//! `vestibule admin usage`: who has used what.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::call::{Answer, Call};
use super::show;

/// Shows who has used what, up to this moment.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only this company's.
    #[arg(long)]
    company: Option<String>,
    /// Only the apps' of this name.
    #[arg(long)]
    app: Option<String>,
    /// Only this product's.
    #[arg(long)]
    product: Option<String>,
    /// Only this API's.
    #[arg(long)]
    api: Option<String>,
    /// Only this operation's.
    #[arg(long)]
    operation: Option<String>,
    /// From this time or date on, such as `2026-01-31`; without, the last 30 days.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this time or date; without, up to now.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// What sums are told apart by: hour, day, month, company, app, product, api, operation, status.
    #[arg(long, value_name = "WORDS", default_value = "company,app,api")]
    by: String,
    /// The time zone by which days and months begin, such as `Europe/Berlin`; without, UTC.
    #[arg(long)]
    zone: Option<String>,
    /// The plan in whose time zone they begin, instead.
    #[arg(long, conflicts_with = "zone")]
    plan: Option<String>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Makes the sums anew from the records that are kept (`usage: {keep}`); doing it twice changes nothing.
    Rebuild,
}

impl Arguments {
    pub(crate) fn call(&self) -> Call {
        if let Some(Command::Rebuild) = self.command {
            return Call::post(&["usage", "rebuild"], None, Answer::One);
        }
        Call::get(&["usage"], Answer::Special(shown)).with_query([
            ("company", self.company.as_ref()),
            ("app", self.app.as_ref()),
            ("product", self.product.as_ref()),
            ("api", self.api.as_ref()),
            ("operation", self.operation.as_ref()),
            ("from", self.from.as_ref()),
            ("to", self.to.as_ref()),
            ("by", Some(&self.by)),
            ("zone", self.zone.as_ref()),
            ("plan", self.plan.as_ref()),
        ])
    }
}

fn shown(usage: &Value) -> String {
    let nothing = Value::Null;
    let items = usage.get("items").unwrap_or(&nothing);
    let first = items.as_array().and_then(|items| items.first()).and_then(Value::as_object);
    let columns: Vec<&str> = first.map(|first| first.keys().map(String::as_str).collect()).unwrap_or_default();
    let text = |member: &str| usage.get(member).and_then(Value::as_str).unwrap_or_default();
    let requests = usage.pointer("/total/requests").and_then(Value::as_u64).unwrap_or_default();
    let noun = if requests == 1 { "request" } else { "requests" };
    let total = format!("{requests} {noun} from {} to {}\n", text("from"), text("to"));
    let note = match usage.get("complete") {
        Some(Value::Bool(false)) => {
            "The latest requests are not added up yet, so they are missing; ask again in a moment.\n"
        }
        _ => "",
    };
    let table = if columns.is_empty() { String::new() } else { show::table(&columns, items) + "\n" };
    format!("{table}{total}{note}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usage_is_a_table_with_a_total() {
        let usage = json!({
            "from": "A", "to": "B", "complete": false,
            "items": [{ "api": "orders", "requests": 1 }], "total": { "requests": 1 }
        });
        let expected = "API     REQUESTS\norders  1\n\n1 request from A to B\n\
                        The latest requests are not added up yet, so they are missing; ask again in a moment.\n";
        assert_eq!(shown(&usage), expected);
    }
}
