//! The reference of all policies as Markdown, made from the catalog, so that it cannot say something else.

use std::fmt::Write as _;

use pipeline::{Entry, Stage};
use serde_json::{Map, Value};

use crate::CATALOG;

/// The reference page: what each policy does, its settings, and the problems it answers with.
pub fn reference() -> String {
    let mut page = PREFACE.to_owned();
    // Writing to a `String` cannot fail.
    let _written = write_index(&mut page);
    for entry in CATALOG {
        let _written = write_policy(&mut page, entry);
    }
    page
}

fn write_index(page: &mut String) -> std::fmt::Result {
    writeln!(page, "| policy | stage | in short |\n|---|---|---|")?;
    for entry in CATALOG {
        let schema = Value::from((entry.schema)());
        let short = description(&schema).split("\n\n").next().unwrap_or_default().replace('\n', " ");
        writeln!(page, "| [`{name}`](#{name}) | {} | {} |", stage(entry.stage), cell(&short), name = entry.name)?;
    }
    Ok(())
}

fn write_policy(page: &mut String, entry: &Entry) -> std::fmt::Result {
    let schema = Value::from((entry.schema)());
    writeln!(page, "\n## {}\n\nStage: {}\n\n{}", entry.name, stage(entry.stage), description(&schema))?;
    write_settings(page, &schema, &schema)?;
    for (name, part) in parts(&schema) {
        if part.get("properties").is_some() {
            writeln!(page, "\n### {}: {name}\n\n{}", entry.name, description(part))?;
            write_settings(page, part, &schema)?;
        }
    }
    if !entry.problems.is_empty() {
        writeln!(page, "\n| problem | status | title |\n|---|---|---|")?;
        for problem in entry.problems {
            writeln!(page, "| `{}` | {} | {} |", problem.code, problem.status.as_u16(), cell(problem.title))?;
        }
    }
    Ok(())
}

fn write_settings(page: &mut String, schema: &Value, root: &Value) -> std::fmt::Result {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
    writeln!(page, "\n| setting | type | default | meaning |\n|---|---|---|---|")?;
    for (name, setting) in properties {
        let default = match setting.get("default") {
            _ if is_required(name) => "required".to_owned(),
            None | Some(Value::Null) => "–".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let meaning = description(setting).replace("\n\n", "<br>").replace('\n', " ");
        writeln!(page, "| `{name}` | {} | {} | {} |", cell(&kind(setting, root)), cell(&default), cell(&meaning))?;
    }
    Ok(())
}

/// What a setting is, in few words.
fn kind(setting: &Value, root: &Value) -> String {
    if let Some(part) = setting.get("$ref").and_then(Value::as_str) {
        let name = part.rsplit('/').next().unwrap_or(part);
        return match parts(root).find(|(known, _)| *known == name) {
            Some((_, part)) if part.get("properties").is_none() => kind(part, root),
            _ => name.to_owned(),
        };
    }
    if let Some(choices) = setting.get("enum").and_then(Value::as_array) {
        return listed(choices.iter().map(|choice| format!("`{}`", text(choice))));
    }
    if let Some(constant) = setting.get("const") {
        return format!("`{}`", text(constant));
    }
    if let Some(choices) = setting.get("oneOf").or_else(|| setting.get("anyOf")).and_then(Value::as_array) {
        let choices = choices.iter().filter(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
        return listed(choices.map(|choice| kind(choice, root)));
    }
    let example = setting.get("examples").and_then(|examples| examples.get(0)).map(text);
    match setting.get("type") {
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter(|kind| kind.as_str() != Some("null"));
            listed(kinds.map(|kind| named(&text(kind), setting, root, example.as_deref())))
        }
        Some(one) => named(&text(one), setting, root, example.as_deref()),
        None => "any".to_owned(),
    }
}

fn named(kind_of: &str, setting: &Value, root: &Value, example: Option<&str>) -> String {
    match kind_of {
        "array" => match setting.get("items") {
            Some(items) => format!("list of {}", kind(items, root)),
            None => "list".to_owned(),
        },
        "object" => match (setting.get("additionalProperties"), setting.get("properties")) {
            (Some(Value::Object(values)), _) => format!("map to {}", kind(&Value::Object(values.clone()), root)),
            (_, Some(Value::Object(members))) => {
                format!("map of {}", listed(members.keys().map(|name| format!("`{name}`"))))
            }
            _ => "map".to_owned(),
        },
        "string" => example.map_or_else(|| "text".to_owned(), |example| format!("text such as `{example}`")),
        "integer" => "whole number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        other => other.to_owned(),
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The parts of a schema that have names of their own.
fn parts(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let parts = schema.get("$defs").and_then(Value::as_object).into_iter().flat_map(Map::iter);
    parts.map(|(name, part)| (name.as_str(), part))
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn stage(stage: Stage) -> String {
    serde_json::to_value(stage).map(|stage| text(&stage)).unwrap_or_default()
}

/// A text as it stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

const PREFACE: &str = "\
# Policies

This page is made from the code by `cargo xtask docs`; change the doc comments there, not this page.

A route's policies run stage by stage, and inside a stage in the order written. Besides its settings every policy can
have `when`, an expression ([CEL](https://cel.dev)) that says for which requests it applies.

In expressions and in templates the same names stand for the same things; a template has them in braces, as
`{client.address}`, and writes braces themselves twice. An attribute that a request does not have is an empty text;
an expression asks with `has(caller.company)` or `'x-debug' in request.headers` whether it is there.

| name | meaning |
|---|---|
| `request.id` | the exchange's id, 32 hexadecimal digits |
| `request.method`, `request.path`, `request.host`, `request.scheme` | as requested; the path still percent-encoded, the host in lower case and without a port |
| `request.headers` | headers by name; in a template `{request.headers.x-foo}`, in an expression `request.headers['x-foo']` |
| `request.query` | parameters by name, decoded, the first of several; in a template `{request.query.page}`, and `{request.query}` is all of it as requested |
| `client.address` | the client's address, behind trusted proxies; expressions ask `client.address.isIn('192.0.2.0/24')` |
| `tls.server_name` | the server name that the client asked for by TLS |
| `route.api`, `route.template` | the API's name and the path pattern that matched |
| `parameters` | the path's parameters by name, decoded |
| `caller.company`, `caller.app`, `caller.credential`, `caller.scopes` | who calls, once a policy of the stage `identify` found out; in an expression `caller.scopes` is a list |
| `product` | the product by which the caller may do this |

An expression has at most 1024 bytes, its parts stand at most 48 deep within each other, and it has no loop within a
loop; what fails when it is evaluated, such as `int('abc')`, counts as the policy's own failure.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_repository_is_current() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policies.md");
        let written = std::fs::read_to_string(&page).unwrap_or_default();
        assert!(written == reference(), "docs/policies.md is not what the code says: run `cargo xtask docs`");
    }

    #[test]
    fn a_choice_that_may_be_left_out_says_what_it_is_then() {
        fn expect(object: &Value, root: &Value, policy: &str) {
            let is_word = |choice: &Value| choice.get("const").is_some() || choice.get("enum").is_some();
            let is_choice = |setting: &Value| {
                let Some(name) = setting["$ref"].as_str().and_then(|part| part.rsplit('/').next()) else {
                    return false;
                };
                let part = &root["$defs"][name];
                is_word(part) || part["oneOf"].as_array().is_some_and(|choices| choices.iter().any(is_word))
            };
            let required = object["required"].as_array().cloned().unwrap_or_default();
            for (name, setting) in object["properties"].as_object().into_iter().flatten() {
                let is_told = setting.get("default").is_some() || required.iter().any(|known| known == name);
                assert!(!is_choice(setting) || is_told, "{policy}: {name}: {setting}");
            }
        }
        for entry in CATALOG {
            let schema = Value::from((entry.schema)());
            expect(&schema, &schema, entry.name);
            parts(&schema).for_each(|(_, part)| expect(part, &schema, entry.name));
        }
    }

    #[test]
    fn the_page_shows_settings_with_their_types_and_defaults() {
        let page = reference();
        for line in [
            "| [`ip-filter`](#ip-filter) | access | Lets a request pass or not by its client's address. |",
            "| `max_age` | text such as `1h30m` | `\"10m\"` | How long browsers may remember the answer to a preflight request. |",
            "| `encodings` | list of `gzip`, `br`, `zstd` | `[\"br\",\"zstd\",\"gzip\"]` |",
            "| `origins` | list of text | required |",
            "| `strip` | `remove`, `keep` | `\"remove\"` |",
            "`product`, `address`, map of `header`, map of `expression` | `\"api\"` |",
            "| `address-forbidden` | 403 | Requests from your address are not allowed |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
