//! Statements and credit notes as a page to print. It refers to nothing outside of itself.

use std::fmt::Write;

use crate::credit::CreditNote;
use crate::statement::{Item, Statement};

/// A statement as a page. `number` is what it is known by; `state` says what it is, such as `draft`, and `hash` names its content.
pub(crate) fn statement(statement: &Statement, (number, state, hash): (u64, &str, &str)) -> String {
    let title = format!("Statement {number}");
    let facts = [
        ("Company", statement.company.clone()),
        ("Plan", statement.plan_title.clone()),
        ("Period", format!("{}, from {} to before {}", statement.period, statement.from, statement.to)),
        ("Time zone", statement.time_zone.clone()),
        ("State", state.to_owned()),
    ];
    let head = "<tr><th>What<th class=n>Quantity<th>Unit<th class=n>Price<th class=n>Amount";
    let mut rows = String::new();
    for item in &statement.items {
        let _written = write!(rows, "<tbody>{}</tbody>", item_rows(item));
    }
    let total = format!("<tr><td colspan=4>Total, {}<td class=n>{}", text(&statement.currency), text(&statement.total));
    let table = format!("<table><thead>{head}</thead>{rows}<tfoot>{total}</tfoot></table>");
    page(&title, &facts, &format!("{table}{}", usage(statement)), hash)
}

/// A credit note as a page.
pub(crate) fn credit_note(note: &CreditNote, (number, hash): (u64, &str)) -> String {
    let title = format!("Credit note {number}");
    let facts = [("Company", note.company.clone()), ("For statement", note.statement.to_string())];
    let mut rows = String::new();
    for line in &note.lines {
        let _written = write!(rows, "<tr><td>{}<td class=n>{}", text(&line.text), text(&line.amount));
    }
    let total = format!("<tr><td>Total credit, {}<td class=n>{}", text(&note.currency), text(&note.total));
    let head = "<tr><th>What<th class=n>Amount";
    let table = format!("<table><thead>{head}</thead><tbody>{rows}</tbody><tfoot>{total}</tfoot></table>");
    page(&title, &facts, &table, hash)
}

fn item_rows(item: &Item) -> String {
    let of = [&item.product, &item.operation].into_iter().flatten().map(|name| text(name)).collect::<Vec<_>>();
    let of = if of.is_empty() { String::new() } else { format!(" <small>{}</small>", of.join(", ")) };
    let mut rows = format!("<tr class=i><td colspan=4>{}{of}<td class=n>{}", text(&item.text), text(&item.amount));
    for line in &item.lines {
        let part = if line.text.is_empty() { "all" } else { &line.text };
        let [part, quantity, unit, price, amount] =
            [part, &line.quantity, &line.unit, &line.unit_price, &line.amount].map(text);
        let _written = write!(
            rows,
            "<tr><td class=p>{part}<td class=n>{quantity}<td>{unit}<td class=n>{price}<td class=n>{amount}"
        );
    }
    rows
}

/// What the quantities are the sums of.
fn usage(statement: &Statement) -> String {
    let mut rows = String::new();
    for item in &statement.items {
        for trace in &item.usage {
            let operation = format!("{}: {}", trace.api, trace.operation);
            let quantity = trace.quantity.to_string();
            let [what, product, operation, first, last, quantity] =
                [&item.text, &trace.product, &operation, &hour(&trace.first), &hour(&trace.last), &quantity]
                    .map(|cell| text(cell));
            let _written =
                write!(rows, "<tr><td>{what}<td>{product}<td>{operation}<td>{first}<td>{last}<td class=n>{quantity}");
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let head = "<tr><th>What<th>Product<th>Operation<th>First hour, UTC<th>Last hour, UTC<th class=n>Counted";
    format!("<h2>Usage</h2><table class=u><thead>{head}</thead><tbody>{rows}</tbody></table>")
}

/// An hour as people write it.
fn hour(time: &str) -> String {
    time.replace('T', " ").trim_end_matches(":00Z").to_owned()
}

fn page(title: &str, facts: &[(&str, String)], body: &str, hash: &str) -> String {
    let mut listed = String::new();
    for (name, value) in facts {
        let _written = write!(listed, "<dt>{}<dd>{}", text(name), text(value));
    }
    let (title, hash) = (text(title), text(hash));
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1><dl>{listed}</dl>{body}<footer>SHA-256 {hash}</footer></html>\n"
    )
}

/// A text as HTML shows it.
fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

const STYLE: &str = "\
@page{size:A4;margin:18mm}\
body{font:14px/1.45 system-ui,sans-serif;color:#1a1a1a;background:#fff;max-width:48rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin:0 0 1rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.5rem;margin:0 0 1.5rem}dt{color:#666}dd{margin:0}\
table{width:100%;border-collapse:collapse}th{text-align:left;color:#666;font-weight:500;border-bottom:1px solid #999}\
th,td{padding:.3rem .5rem .3rem 0;vertical-align:top}th:last-child,td:last-child{padding-right:0}.n+td{padding-left:.5rem}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.p{padding-left:1rem;color:#555}\
.i td{border-top:1px solid #ddd;font-weight:600}.i small{font-weight:400;color:#555}\
tfoot td{border-top:2px solid #1a1a1a;font-weight:700;font-size:1.1rem}\
.u{font-size:.85em}.u td{border-top:1px solid #eee}\
tbody,tr{break-inside:avoid}thead{display:table-header-group}tfoot{display:table-row-group}\
footer{margin-top:2rem;color:#888;font-size:.7rem;word-break:break-all}\
@media print{body{margin:0;padding:0;max-width:none;font-size:11px}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_becomes_markup() {
        assert_eq!(text("<b a=\"x\" b='y'>&</b>"), "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;&lt;/b&gt;");
        let shown = page("<script>", &[("a", "<i>".to_owned())], "", "<p>");
        assert!(!shown.contains("<script>") && !shown.contains("<i>") && !shown.contains("<p>"), "{shown}");
    }

    #[test]
    fn a_page_refers_to_nothing_outside_of_itself() {
        let shown = page("Statement 1", &[], "", "");
        for word in ["http", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!shown.contains(word), "{word}");
        }
    }
}
