//! The JSON Schema of a document: for editors, and for the check of what was written.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::Document;

/// The schema of a document (draft 2020-12), in which these policies can be used.
pub fn schema<'a>(policies: impl Iterator<Item = (&'a str, Schema)>) -> Value {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut root = generator.into_root_schema_for::<Document>().to_value();
    let mut definitions = match root.as_object_mut().and_then(|root| root.remove("$defs")) {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    let mut uses = Vec::new();
    for (name, schema) in policies {
        let schema = settings(name, schema.to_value(), &mut definitions);
        uses.push((name.to_owned(), schema));
    }
    if let Some(Value::Object(policy_use)) = definitions.get_mut("PolicyUse") {
        fill(policy_use, uses);
    }
    definitions.sort_keys();
    let Value::Object(root) = root else { return root };
    let leading = ["$schema", "title", "description"].into_iter().filter_map(|key| root.get_key_value(key));
    let mut ordered: Map<_, _> = leading.map(|(key, value)| (key.clone(), value.clone())).collect();
    ordered.extend(root);
    ordered.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(ordered)
}

/// Every use names exactly one policy, beside `when` and `on_failure`.
fn fill(policy_use: &mut Map<String, Value>, uses: Vec<(String, Value)>) {
    let one_of: Vec<_> = uses.iter().map(|(name, _)| json!({ "required": [name] })).collect();
    if let Some(Value::Object(properties)) = policy_use.get_mut("properties") {
        properties.extend(uses);
    }
    if !one_of.is_empty() {
        policy_use.insert("oneOf".to_owned(), one_of.into());
    }
}

/// Moves a policy's settings to the definitions, and says how to refer to them.
fn settings(name: &str, mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    let own = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("title");
        schema.remove("$defs")
    });
    if let Some(Value::Object(own)) = own {
        define(name, own, &mut schema, definitions);
    }
    let description = schema.get("description").cloned();
    let needs_settings = schema.get("required").and_then(Value::as_array).is_some_and(|required| !required.is_empty());
    let definition = format!("policy.{name}");
    let reference = json!({ "$ref": format!("#/$defs/{definition}") });
    definitions.insert(definition, schema);
    let mut used = if needs_settings { reference } else { json!({ "anyOf": [reference, { "type": "null" }] }) };
    if let (Some(used), Some(description)) = (used.as_object_mut(), description) {
        used.insert("description".to_owned(), description);
    }
    used
}

/// Adds the types that a policy's settings are made of.
///
/// Two policies may have different types of one name; then the later policy's types get its name before theirs.
fn define(name: &str, own: Map<String, Value>, schema: &mut Value, definitions: &mut Map<String, Value>) {
    let clashes = own.iter().any(|(key, schema)| definitions.get(key).is_some_and(|known| known != schema));
    if !clashes {
        definitions.extend(own);
        return;
    }
    let renamed: Vec<_> = own.keys().map(|key| (key.clone(), format!("{name}.{key}"))).collect();
    rename(schema, &renamed);
    for (key, mut schema) in own {
        rename(&mut schema, &renamed);
        definitions.insert(format!("{name}.{key}"), schema);
    }
}

/// Gives references the new names of what they refer to.
fn rename(schema: &mut Value, renamed: &[(String, String)]) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, renamed)),
        Value::Object(entries) => {
            for (key, value) in entries.iter_mut() {
                match value {
                    Value::String(target) if key == "$ref" => {
                        let to = renamed.iter().find(|(old, _)| target.strip_prefix("#/$defs/") == Some(old));
                        if let Some((_, new)) = to {
                            *target = format!("#/$defs/{new}");
                        }
                    }
                    value => rename(value, renamed),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
