//! The description of the Admin API in `OpenAPI` 3.1, made from its operations.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::operation::{Asking, Heeds, Operation, Said, Sent, Verb};

/// What makes schemas: one for what is sent, one for what is said.
struct Schemas {
    sent: SchemaGenerator,
    said: SchemaGenerator,
}

/// Describes operations in `OpenAPI` 3.1.
pub fn document(operations: &[Operation]) -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let sent = settings().for_deserialize().into_generator();
    let mut schemas = Schemas { sent, said: settings().for_serialize().into_generator() };
    let mut paths = Map::<String, Value>::new();
    for operation in operations {
        let at = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(at) = at.as_object_mut() {
            at.insert(operation.verb.word().to_owned(), described(operation, &mut schemas));
        }
    }
    let mut types = schemas.said.take_definitions(true);
    types.extend(schemas.sent.take_definitions(true));
    types.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Vestibule Admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Companies, their people, apps, keys and contracts; usage, statements; the gateway itself.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": types,
        },
    })
}

fn described(operation: &Operation, schemas: &mut Schemas) -> Value {
    let mut said = json!({
        "operationId": id(operation),
        "summary": operation.summary,
        "tags": [group(operation)],
        "parameters": parameters(operation, schemas),
        "responses": { operation.status.as_str(): answer(operation, schemas), "default": refusal() },
    });
    let Some(members) = said.as_object_mut() else { return said };
    match operation.sent {
        Sent::Nothing => {}
        Sent::Json(schema) | Sent::JsonOrNothing(schema) => {
            let is_needed = matches!(operation.sent, Sent::Json(_));
            let content = json!({ "application/json": { "schema": schema(&mut schemas.sent) } });
            members.insert("requestBody".to_owned(), json!({ "required": is_needed, "content": content }));
        }
        Sent::Text(media) => {
            let content: Map<_, _> = media.iter().map(|media| ((*media).to_owned(), json!({}))).collect();
            members.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
        }
    }
    let security = match operation.asking {
        Asking::WithToken => None,
        Asking::LocallyOpen => Some(json!([{}, { "token": [] }])),
        Asking::Open => Some(json!([])),
    };
    members.extend(security.map(|security| ("security".to_owned(), security)));
    said
}

fn parameters(operation: &Operation, schemas: &mut Schemas) -> Vec<Value> {
    let mut parameters = Vec::new();
    for name in operation.path.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}')) {
        let schema = match name {
            "number" => json!({ "type": "integer", "minimum": 1 }),
            "key" => json!({ "type": "string", "pattern": "^[0-9A-Za-z]{12}$" }),
            "certificate" => json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
            "name" | "session" => json!({ "type": "string" }),
            _ => json!({ "type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 64 }),
        };
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    if let Some(query) = operation.query {
        parameters.extend(members(&query(&mut schemas.sent).to_value(), &schemas.sent));
    }
    let is_change = operation.verb != Verb::Get;
    if is_change && operation.heeds == Heeds::Both {
        parameters.push(json!({
            "name": "dry_run", "in": "query", "schema": { "type": "boolean", "default": false },
            "description": "Answers as it would be, and does nothing.",
        }));
        parameters.push(json!({
            "name": "If-Match", "in": "header", "schema": { "type": "string" },
            "description": "An `ETag` that was seen: what has changed since is left as it is (412).",
        }));
    }
    if is_change {
        parameters.push(json!({
            "name": "wait", "in": "query", "schema": { "type": "string", "enum": ["all"] },
            "description": "Answers when all nodes know of the change; `vestibule-behind` names those that did not in time.",
        }));
    }
    if operation.verb == Verb::Post {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
            "description": "A request that is made again with the same key within a day is done once.",
        }));
    }
    parameters
}

/// The members of a query, each as a parameter.
fn members(query: &Value, generator: &SchemaGenerator) -> Vec<Value> {
    let named = query.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    let definition = named.and_then(|name| generator.definitions().get(name)).unwrap_or(query);
    let properties = definition.get("properties").and_then(Value::as_object);
    let of = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let told = schema.as_object_mut().and_then(|members| members.remove("description"));
        // A parameter is there or not; nobody writes null into a query.
        if let Some(kind) = schema.get_mut("type")
            && let Some(first) = kind.as_array().and_then(|kinds| kinds.first()).cloned()
        {
            *kind = first;
        }
        let mut parameter = json!({ "name": name, "in": "query", "schema": schema });
        if let (Some(members), Some(told)) = (parameter.as_object_mut(), told) {
            members.insert("description".to_owned(), told);
        }
        parameter
    };
    properties.into_iter().flatten().map(of).collect()
}

fn answer(operation: &Operation, schemas: &mut Schemas) -> Value {
    let mut content = Map::new();
    let mut add = |media: &str, schema: Value| drop(content.insert(media.to_owned(), json!({ "schema": schema })));
    match operation.said {
        Said::Nothing => {}
        Said::Json(schema) => add("application/json", schema(&mut schemas.said).to_value()),
        Said::Media(media, schema) => {
            if let Some(schema) = schema {
                add("application/json", schema(&mut schemas.said).to_value());
            }
            for media in media {
                add(media, json!({}));
            }
        }
    }
    let mut headers = Map::new();
    let text = || json!({ "type": "string" });
    if operation.has_tag {
        headers.insert("ETag".to_owned(), json!({ "description": "The entity as it is now.", "schema": text() }));
    }
    if operation.status == http::StatusCode::CREATED {
        headers.insert("Location".to_owned(), json!({ "description": "Where it is.", "schema": text() }));
    }
    let mut answer = json!({ "description": operation.status.canonical_reason().unwrap_or_default() });
    if let Some(members) = answer.as_object_mut() {
        for (name, part) in [("headers", headers), ("content", content)] {
            if !part.is_empty() {
                members.insert(name.to_owned(), Value::Object(part));
            }
        }
    }
    answer
}

fn refusal() -> Value {
    json!({
        "description": "What was wrong (RFC 9457)",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "Why something was not done.",
        "properties": {
            "type": { "type": "string", "description": "`/problems/` and a code that never changes." },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What is wrong in this case." },
            "findings": {
                "type": "array",
                "description": "Everything that is wrong with what was sent.",
                "items": {
                    "type": "object",
                    "properties": {
                        "pointer": { "type": "string", "description": "The place, as a JSON pointer (RFC 6901)." },
                        "message": { "type": "string" },
                        "file": { "type": ["string", "null"] },
                        "line": { "type": ["integer", "null"] },
                        "column": { "type": ["integer", "null"] },
                    },
                    "required": ["pointer", "message"],
                },
            },
        },
        "required": ["type", "title", "status"],
    })
}

/// Under which heading an operation stands.
fn group(operation: &Operation) -> &'static str {
    let steps: Vec<&str> = operation.path.split('/').skip(1).collect();
    match *steps.as_slice() {
        ["companies", _, "apps", _, "keys", ..] | ["keys", ..] => "Keys",
        ["companies", _, "apps", _, "certificates" | "certificate-rules", ..]
        | ["certificates" | "certificate-rules" | "certificate-authorities", ..] => "Certificates",
        ["sessions", ..] => "Sessions",
        ["companies", _, "apps", _, "subscriptions", ..] | ["subscriptions", ..] => "Subscriptions",
        ["companies", _, "apps", ..] => "Apps",
        ["companies", _, "developers", ..] => "Developers",
        ["companies", _, "contracts", ..] => "Contracts",
        ["companies", ..] => "Companies",
        ["products", ..] => "Products",
        ["statements", ..] => "Statements",
        ["usage", ..] => "Usage",
        ["webhooks", ..] => "Webhooks",
        ["rooms" | "room-access-keys", ..] => "Waiting rooms",
        ["alerts" | "silences", ..] => "Alerts",
        ["jobs", ..] => "Jobs",
        ["tokens" | "audit", ..] => "Operators",
        _ => "Gateway",
    }
}

/// A name for programs: `get-keys-by-key`.
pub(crate) fn id(operation: &Operation) -> String {
    let words = operation.path.split(['/', '.']).filter(|step| !step.is_empty());
    let word = |step: &str| match step.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        Some(name) => format!("by-{name}"),
        None => step.to_owned(),
    };
    std::iter::once(operation.verb.word().to_owned()).chain(words.map(word)).collect::<Vec<_>>().join("-")
}
