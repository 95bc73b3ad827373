//! A document: whatever is written is read, checked and compiled, or refused with findings; and formatting it changes
//! nothing of what it says.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use model::fmt::format;
use model::read::{References, read};
use policies::CATALOG;
use problem::Finding;
use serde_json::Value;
use snapshot::{Lent, Snapshot};

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| model::schema::schema(CATALOG.iter().map(|entry| (entry.name, (entry.schema)()))));

/// An environment of one variable, and one file.
struct Little;

impl References for Little {
    fn variable(&self, name: &str) -> Result<String, String> {
        if name == "A" { Ok("1".into()) } else { Err("the variable is not set".into()) }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        if path == Path::new("a") { Ok("secret".into()) } else { Err("no such file".into()) }
    }
}

fuzz_target!(|text: &str| {
    let formatted = format(text, "fuzz.yaml");
    let Ok((document, _)) = read(text, "fuzz.yaml", &SCHEMA, &Little) else { return };
    // A password that has to be hashed with many rounds is slow on purpose; nothing here is hashed.
    let document = Arc::new(document);
    let _compiled = Snapshot::compile(&document, 1, "", &Lent::default());

    let formatted = match formatted {
        Ok(formatted) => formatted,
        // What anchors are good for, formatting would undo, and a block without text has no other form; it says so.
        Err(findings) => {
            let is_said = |finding: &Finding| finding.message.contains(" not formatted; ");
            return assert!(findings.iter().any(is_said), "what can be read can be formatted: {findings:?}");
        }
    };
    let (again, _) = read(&formatted, "fuzz.yaml", &SCHEMA, &Little).expect("what was formatted can be read");
    assert_eq!(serde_json::to_value(&*document).unwrap(), serde_json::to_value(&again).unwrap(), "{formatted}");
    assert_eq!(format(&formatted, "fuzz.yaml").expect("it can be formatted again"), formatted);
});
