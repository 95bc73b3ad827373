//! Statements and credit notes as CSV (RFC 4180), for spreadsheets.

use crate::credit::CreditNote;
use crate::statement::Statement;

/// A statement, a line each.
pub(crate) fn statement(statement: &Statement) -> String {
    let mut table = row(&[
        "company",
        "plan",
        "period",
        "item",
        "product",
        "operation",
        "part",
        "quantity",
        "unit",
        "unit_price",
        "amount",
        "currency",
    ]);
    for item in &statement.items {
        for line in &item.lines {
            table += &row(&[
                &statement.company,
                &statement.plan,
                &statement.period,
                &item.text,
                item.product.as_deref().unwrap_or_default(),
                item.operation.as_deref().unwrap_or_default(),
                &line.text,
                &line.quantity,
                &line.unit,
                &line.unit_price,
                &line.amount,
                &statement.currency,
            ]);
        }
    }
    table
}

/// A credit note, a line each.
pub(crate) fn credit_note(note: &CreditNote) -> String {
    let mut table = row(&["company", "statement", "text", "amount", "currency"]);
    for line in &note.lines {
        table += &row(&[&note.company, &note.statement.to_string(), &line.text, &line.amount, &note.currency]);
    }
    table
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| written(cell)).collect();
    cells.join(",") + "\r\n"
}

/// A text that a spreadsheet would take for a formula is one no more.
fn written(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_text_whatever_is_in_it() {
        for (cell, expected) in [
            ("GET /orders", "GET /orders"),
            ("a, b", "\"a, b\""),
            ("say \"hi\"\n", "\"say \"\"hi\"\"\n\""),
            ("=1+1", "'=1+1"),
            ("-5", "'-5"),
            ("", ""),
        ] {
            assert_eq!(written(cell), expected);
        }
    }
}
