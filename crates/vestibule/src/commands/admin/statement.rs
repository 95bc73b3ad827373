//! `vestibule admin statement`: what companies are to pay.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::show;

/// Statements of what companies are to pay, and credit notes.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists statements and credit notes.
    List {
        /// Only this company's.
        #[arg(long)]
        company: Option<String>,
    },
    /// Makes a draft from what was used until now, or makes it anew.
    Create {
        /// Who pays.
        company: String,
        /// For which month, such as `2026-01`.
        period: String,
        /// By which plan of the configuration; without, by the company's contract in that month.
        #[arg(long)]
        plan: Option<String>,
        /// By which contract, if the company has several in that month.
        #[arg(long, conflicts_with_all = ["plan", "contract_start", "contract_end"])]
        contract: Option<String>,
        /// The first day of the contract, if it began within the month.
        #[arg(long, value_name = "DATE")]
        contract_start: Option<String>,
        /// The day after the last one of the contract, if it ended within the month.
        #[arg(long, value_name = "DATE")]
        contract_end: Option<String>,
    },
    /// Shows a statement or a credit note.
    Show {
        /// Its number.
        number: u64,
        /// As a table for spreadsheets, or as a page to print.
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Closes a draft, which never changes from then on.
    Close {
        /// Its number.
        number: u64,
        /// The hash of the draft as it was seen.
        #[arg(long)]
        hash: String,
    },
    /// Discards a draft.
    Discard {
        /// Its number.
        number: u64,
    },
    /// Gives back a part of a closed statement.
    Credit {
        /// Its number.
        number: u64,
        /// How much, such as `12.50`.
        amount: String,
        /// Why.
        text: String,
    },
    /// Lists usage that came after its statement was closed, and is in no statement.
    Late {
        /// Only this company's.
        #[arg(long)]
        company: Option<String>,
    },
    /// Compares a statement with what was used, as it is counted today.
    Recount {
        /// Its number.
        number: u64,
    },
}

/// The form of a statement.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// A table for spreadsheets.
    Csv,
    /// A page to print.
    Html,
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        let steps =
            |number: &u64, last: &str| Call::post(&["statements", &number.to_string(), last], None, Answer::One);
        match self {
            Self::List { company } => {
                let columns = &["number", "kind", "state", "company", "plan", "from", "to", "total", "currency"];
                Call::get(&["statements"], Answer::List(columns)).with_query([("company", company.as_ref())])
            }
            Self::Create { company, period, plan, contract, contract_start, contract_end } => {
                let body = json!({
                    "company": company, "plan": plan, "period": period, "contract": contract,
                    "contract_start": contract_start, "contract_end": contract_end,
                });
                Call::post(&["statements"], Some(body), Answer::Special(shown))
            }
            Self::Show { number, format: None } => {
                Call::get(&["statements", &number.to_string()], Answer::Special(shown))
            }
            Self::Show { number, format: Some(format) } => {
                let format = match format {
                    Format::Csv => "csv",
                    Format::Html => "html",
                };
                Call::get(&["statements", &number.to_string()], Answer::Text)
                    .with_query([("format", Some(&format.to_owned()))])
            }
            Self::Close { number, hash } => {
                Call { body: Some(json!({ "hash": hash })), answer: Answer::Special(shown), ..steps(number, "close") }
            }
            Self::Discard { number } => {
                Call::delete(&["statements", &number.to_string()], format!("draft {number} is discarded"))
            }
            Self::Credit { number, amount, text } => {
                let body = json!({ "lines": [{ "text": text, "amount": amount }] });
                Call { body: Some(body), answer: Answer::Special(shown), ..steps(number, "credit-notes") }
            }
            Self::Late { company } => {
                let columns =
                    &["statement", "company", "from", "meter", "product", "api", "operation", "stated", "today"];
                Call::get(&["statements", "late"], Answer::List(columns)).with_query([("company", company.as_ref())])
            }
            Self::Recount { number } => Call::get(&["statements", &number.to_string(), "recount"], Answer::One),
        }
    }
}

/// A statement with its lines.
fn shown(statement: &Value) -> String {
    let mut brief = statement.clone();
    let content = brief.as_object_mut().and_then(|members| members.shift_remove("content")).unwrap_or_default();
    let part = |of: &Value, member: &str| of.get(member).cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for item in content.get("items").and_then(Value::as_array).into_iter().flatten() {
        for line in item.get("lines").and_then(Value::as_array).into_iter().flatten() {
            lines.push(json!({
                "item": part(item, "text"), "product": part(item, "product"), "operation": part(item, "operation"),
                "part": part(line, "text"), "quantity": part(line, "quantity"), "unit": part(line, "unit"),
                "unit_price": part(line, "unit_price"), "amount": part(line, "amount"),
            }));
        }
    }
    // A credit note has lines alone.
    for line in content.get("lines").and_then(Value::as_array).into_iter().flatten() {
        lines.push(json!({ "item": part(line, "text"), "amount": part(line, "amount") }));
    }
    let columns = ["item", "product", "operation", "part", "quantity", "unit", "unit_price", "amount"];
    let used: Vec<&str> = columns
        .into_iter()
        .filter(|column| lines.iter().any(|line| line.get(column).is_some_and(|cell| !cell.is_null() && cell != "")))
        .collect();
    format!("{}\n{}", show::table(&used, &Value::Array(lines)), show::record(&brief))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_a_table_of_its_lines() {
        let line = json!({ "text": "", "quantity": "5", "unit": "calls", "unit_price": "0.1", "amount": "0.50" });
        let statement = json!({
            "number": 1, "total": "0.50", "content": { "items": [{ "text": "Calls", "lines": [line] }] }
        });
        let expected = "ITEM   QUANTITY  UNIT   UNIT PRICE  AMOUNT\nCalls  5         calls  0.1         0.50\n\n\
                        number  1\ntotal   0.50\n";
        assert_eq!(shown(&statement), expected);
    }
}
