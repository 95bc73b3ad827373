//! The log that tests look into, in the form that `ModSecurity` 2 writes.

use waf::{Matched, Transaction};

/// The lines of a transaction.
pub(crate) fn lines(transaction: &Transaction) -> Vec<String> {
    transaction.matches().filter(Matched::is_logged).filter_map(|matched| line(&matched)).collect()
}

/// The rules that are in the log.
pub(crate) fn ids(transaction: &Transaction) -> Vec<u64> {
    let logged = transaction.matches().filter(Matched::is_logged);
    logged.filter_map(|matched| matched.rule()?.id()).collect()
}

fn line(matched: &Matched<'_>) -> Option<String> {
    let rule = matched.rule()?;
    let name = match matched.name() {
        Some(name) => format!("{}:{}", matched.variable().name(), escaped(name)),
        None => matched.variable().name().to_owned(),
    };
    let mut line = format!(
        "ModSecurity: Warning. {} found within {name}: {} [file \"{}\"] [line \"{}\"]",
        rule.operator(),
        escaped(matched.value()),
        rule.spot().file,
        rule.spot().line,
    );
    let mut field = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.extend([" [", name, " \"", &value, "\"]"]);
        }
    };
    field("id", rule.id().map(|id| id.to_string()));
    field("msg", matched.message().map(escaped));
    field("data", matched.data().map(escaped));
    field("severity", rule.severity().map(|severity| severity.to_string()));
    field("ver", rule.version().map(str::to_owned));
    for tag in rule.tags() {
        field("tag", Some(tag));
    }
    Some(line)
}

/// A text for one line: what cannot be shown is written as an escape, and quotes too.
fn escaped(text: &[u8]) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'"' | b'\\' => written.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => written.push(char::from(*byte)),
            b'\n' => written.push_str("\\n"),
            b'\r' => written.push_str("\\r"),
            b'\t' => written.push_str("\\t"),
            _ => {
                let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap_or('0');
                written.extend(['\\', 'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    written
}
