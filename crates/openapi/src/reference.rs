//! The description as a page. It refers to nothing outside of itself and has no scripts.

use std::fmt::Write;

use serde_json::{Map, Value};

/// One operation with the place where it is described.
struct Described<'a> {
    path: &'a str,
    verb: &'a str,
    operation: &'a Value,
}

/// The page for people: operations by group, then types.
pub fn page(document: &Value) -> String {
    let mut groups: Vec<(&str, Vec<Described<'_>>)> = Vec::new();
    for (path, verbs) in members(document, "paths") {
        for (verb, operation) in verbs.as_object().into_iter().flatten() {
            let group = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or_default();
            let described = Described { path, verb, operation };
            match groups.iter_mut().find(|(name, _)| *name == group) {
                Some((_, operations)) => operations.push(described),
                None => groups.push((group, vec![described])),
            }
        }
    }
    groups.sort_by_key(|(name, _)| ORDER.iter().position(|known| known == name));
    let (mut contents, mut main) = (String::new(), String::new());
    for (name, operations) in &groups {
        let _written = write!(contents, "<a href=\"#{name}\">{name}<i>{}</i></a>", operations.len());
        let _written = write!(main, "<section id=\"{name}\"><h2>{name}</h2>");
        for described in operations {
            operation(&mut main, described, document);
        }
        main.push_str("</section>");
    }
    types(&mut main, document);
    contents.push_str("<a href=\"#types\">Types</a>");
    let said = |pointer: &str| text(document.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    let (title, version, about) = (said("/info/title"), said("/info/version"), said("/info/description"));
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style>\
         <nav><b>Vestibule</b><small>Admin API {version}</small>{contents}</nav><main><h1>{title}</h1><p>{about}</p>{HOW}\
         {main}</main></html>"
    )
}

fn operation(page: &mut String, described: &Described<'_>, document: &Value) {
    let Described { path, verb, operation } = described;
    let summary = text(operation.get("summary").and_then(Value::as_str).unwrap_or_default());
    let id = text(operation.get("operationId").and_then(Value::as_str).unwrap_or_default());
    let is_open = operation.get("security").and_then(Value::as_array).is_some_and(Vec::is_empty);
    let lock = if is_open { "<em>no token</em>" } else { "" };
    let path = text(path).replace('{', "<var>{").replace('}', "}</var>");
    let _written = write!(
        page,
        "<details id=\"{id}\"><summary><span class=\"verb {verb}\">{verb}</span><code>{path}</code>\
         <span class=what>{summary}</span>{lock}</summary><div>"
    );
    let parameters = operation.get("parameters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        page.push_str("<h4>Parameters</h4><table>");
        for parameter in parameters {
            let word = |member: &str| text(parameter.get(member).and_then(Value::as_str).unwrap_or_default());
            let kind = kind(parameter.get("schema").unwrap_or(&Value::Null));
            let (name, place, told) = (word("name"), word("in"), prose(&word("description")));
            let _written = write!(page, "<tr><td><code>{name}</code><td><small>{place}</small><td>{kind}<td>{told}");
        }
        page.push_str("</table>");
    }
    if let Some(body) = operation.get("requestBody") {
        let optional = if body.get("required") == Some(&Value::Bool(true)) { "" } else { " <small>optional</small>" };
        let _written = write!(page, "<h4>Body{optional}</h4>");
        content(page, body, document);
    }
    for (status, answer) in members(operation, "responses").filter(|(status, _)| *status != "default") {
        let _written = write!(page, "<h4>Answer <b class=status>{status}</b></h4>");
        content(page, answer, document);
    }
    page.push_str("</div></details>");
}

fn content(page: &mut String, of: &Value, document: &Value) {
    for (media, described) in members(of, "content") {
        let schema = described.get("schema").unwrap_or(&Value::Null);
        match resolved(schema, document) {
            Some((name, schema)) => {
                let _written =
                    write!(page, "<p><small>{}</small> <a href=\"#type-{name}\">{name}</a></p>", text(media));
                table(page, schema);
            }
            None => {
                let _written = write!(page, "<p><small>{}</small></p>", text(media));
            }
        }
    }
}

fn types(page: &mut String, document: &Value) {
    page.push_str("<section id=types><h2>Types</h2>");
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
    for (name, schema) in schemas.into_iter().flatten() {
        let told = prose(&text(schema.get("description").and_then(Value::as_str).unwrap_or_default()));
        let _written = write!(page, "<details id=\"type-{name}\"><summary><code>{name}</code>");
        let _written = write!(page, "<span class=what>{told}</span></summary><div>");
        table(page, schema);
        page.push_str("</div></details>");
    }
    page.push_str("</section>");
}

/// The members of an object, or the words of a choice.
fn table(page: &mut String, schema: &Value) {
    if schema.get("properties").is_none() {
        let _written = write!(page, "<p>{}</p>", kind(schema));
        return;
    }
    let needed = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    page.push_str("<table>");
    for (name, member) in members(schema, "properties") {
        let is_needed = needed.iter().any(|needed| needed == name);
        let needed = if is_needed { "<small>required</small>" } else { "" };
        let told = prose(&text(member.get("description").and_then(Value::as_str).unwrap_or_default()));
        let _written = write!(page, "<tr><td><code>{}</code><td>{needed}<td>{}<td>{told}", text(name), kind(member));
    }
    page.push_str("</table>");
}

/// What a value is, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = named(schema) {
        return format!("<a href=\"#type-{name}\">{name}</a>");
    }
    let word = |value: &Value| text(value.as_str().unwrap_or("null"));
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return choices.iter().map(|choice| format!("<code>{}</code>", word(choice))).collect::<Vec<_>>().join(" ");
    }
    if let Some(choice) = schema.get("const") {
        return format!("<code>{}</code>", word(choice));
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = schema.get(several).and_then(Value::as_array) {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "array" => {
            format!("list of {}", self::kind(schema.get("items").unwrap_or(&Value::Null)))
        }
        Some(Value::String(kind)) => text(kind),
        Some(Value::Array(kinds)) => kinds.iter().map(word).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

fn resolved<'a>(schema: &'a Value, document: &'a Value) -> Option<(&'a str, &'a Value)> {
    let name = named(schema)?;
    Some((name, document.pointer(&format!("/components/schemas/{name}"))?))
}

fn named(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

fn members<'a>(of: &'a Value, member: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let members: Option<&Map<String, Value>> = of.get(member).and_then(Value::as_object);
    members.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A text with what is between backticks as code; it is escaped already.
fn prose(escaped: &str) -> String {
    let part = |(index, part): (usize, &str)| {
        if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }
    };
    escaped.split('`').enumerate().map(part).collect()
}

/// A text that cannot be anything else in a page.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The order of headings.
const ORDER: &[&str] = &[
    "Companies",
    "Developers",
    "Apps",
    "Keys",
    "Certificates",
    "Sessions",
    "Products",
    "Subscriptions",
    "Contracts",
    "Usage",
    "Statements",
    "Webhooks",
    "Waiting rooms",
    "Alerts",
    "Jobs",
    "Operators",
    "Gateway",
];

/// What holds for all operations.
const HOW: &str = "<ul class=how>\
    <li><b>Who asks</b> is told by <code>Authorization: Bearer</code> and a token.\
    <li><b>Lists</b> come in pages: <code>?limit=</code>, and <code>?after=</code> with the <code>next</code> of the page before.\
    <li><b>Changes</b> heed <code>If-Match</code> with an <code>ETag</code> that was seen, and <code>?dry_run=true</code>.\
    <li><b>Requests made again</b> with one <code>Idempotency-Key</code> are done once.\
    <li><b>What goes wrong</b> is <code>application/problem+json</code> (RFC 9457); <code>findings</code> name each wrong member \
    by a JSON pointer.\
    <li>The same for programs: <a href=\"/openapi.json\">openapi.json</a>.</ul>";

const STYLE: &str = include_str!("reference.css");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_group_has_its_place() {
        let paths =
            ["/companies", "/keys", "/rooms/{name}", "/alerts", "/jobs/{name}/runs", "/status", "/webhooks", "/audit"];
        for path in paths {
            let document = crate::document(&[crate::Operation::get(path, "Something")]);
            let pointer = format!("/paths/{}/get/tags/0", path.replace('/', "~1"));
            let group = document.pointer(&pointer).unwrap().as_str().unwrap();
            assert!(ORDER.contains(&group), "{group}");
        }
    }

    #[test]
    fn a_description_is_text_whatever_is_in_it() {
        let document = json!({
            "info": { "title": "<b>", "version": "1", "description": "a & b" },
            "paths": { "/x": { "get": { "tags": ["Gateway"], "operationId": "get-x", "summary": "<script>" } } },
        });
        let page = page(&document);
        assert!(page.contains("&lt;script&gt;") && page.contains("<h1>&lt;b&gt;</h1>") && page.contains("a &amp; b"));
    }
}
