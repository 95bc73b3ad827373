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
        Some(name) => format!("{}:{}", matched.variable().name(), String::from_utf8_lossy(name)),
        None => matched.variable().name().to_owned(),
    };
    let mut line = format!(
        "ModSecurity: Warning. {} found within {name}: {} [file \"{}\"] [line \"{}\"]",
        rule.operator(),
        String::from_utf8_lossy(matched.value()),
        rule.spot().file,
        rule.spot().line,
    );
    let mut field = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" [{name} \"{value}\"]"));
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    field("id", rule.id().map(|id| id.to_string()));
    field("msg", matched.message().map(text));
    field("data", matched.data().map(text));
    field("severity", rule.severity().map(|severity| severity.to_string()));
    field("ver", rule.version().map(str::to_owned));
    for tag in rule.tags() {
        field("tag", Some(tag));
    }
    Some(line)
}
