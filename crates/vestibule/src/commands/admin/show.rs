//! Answers for people: tables, and one thing a line.

use serde_json::Value;

/// A table of these members, or a word that there is nothing.
pub(crate) fn table(columns: &[&str], items: &Value) -> String {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return "nothing\n".to_owned();
    }
    let heading = columns.iter().map(|column| column.replace('_', " ").to_uppercase()).collect();
    let row = |item: &Value| columns.iter().map(|column| item.get(*column).map(text).unwrap_or_default()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(items.iter().map(row)).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(column).unwrap_or_default()).collect();
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// One thing: a member a line.
pub(crate) fn record(thing: &Value) -> String {
    let Some(members) = thing.as_object() else { return format!("{}\n", text(thing)) };
    let width = members.keys().map(String::len).max().unwrap_or_default();
    let line = |(name, value): (&String, &Value)| format!("{:width$}  {}\n", name.replace('_', " "), text(value));
    members.iter().map(line).collect()
}

/// A key that was just made. The secret comes last, where people look, with a word of warning.
pub(crate) fn key(made: &Value) -> String {
    let mut key = made.clone();
    let secret = key.as_object_mut().and_then(|members| members.shift_remove("secret"));
    let secret = secret.as_ref().map(text).unwrap_or_default();
    format!("{}\n{secret}\n\nThis is the secret. It is shown now and never again.\n", record(&key))
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// A value as people write it. Control characters of others do not reach the terminal.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(members) if members.is_empty() => "-".to_owned(),
        // A quota: so many requests per day.
        Value::Object(members) if members.contains_key("per") => {
            members.values().map(text).collect::<Vec<_>>().join(" per ")
        }
        Value::Object(members) => members.iter().map(named).collect::<Vec<_>>().join(", "),
    }
}

/// A member of something within something else.
fn named((name, value): (&String, &Value)) -> String {
    let (name, value_text) = (text(&name.as_str().into()), text(value));
    if value.is_object() { format!("{name}: {value_text}") } else { format!("{name}={value_text}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let items = json!([{ "name": "acme", "last_four": null }, { "name": "ä", "last_four": ["a", "b"] }]);
        assert_eq!(table(&["name", "last_four"], &items), "NAME  LAST FOUR\nacme  -\nä     a, b\n");
        assert_eq!(table(&["name"], &json!([])), "nothing\n");
    }

    #[test]
    fn what_is_within_something_is_shown_with_its_name_and_a_quota_as_one_says_it() {
        let thing = json!({
            "quota": { "requests": 5, "per": "day" }, "labels": { "api": "orders", "failure": "late" },
            "told": { "ops": { "stage": null, "attempts": 1 } }, "none": {},
        });
        assert_eq!(
            record(&thing),
            "quota   5 per day\nlabels  api=orders, failure=late\ntold    ops: stage=-, attempts=1\nnone    -\n"
        );
    }

    #[test]
    fn a_secret_stands_alone() {
        let shown = key(&json!({ "id": "x", "secret": "vk_live_1" }));
        assert_eq!(shown, "id  x\n\nvk_live_1\n\nThis is the secret. It is shown now and never again.\n");
    }

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(record(&json!({ "title": "\u{1b}[31mred" })), "title  ?[31mred\n");
    }
}
