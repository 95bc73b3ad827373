//! The audit log as `ModSecurity` writes it: sections by letters, between lines that name the record.

use std::io::Write;

use pipeline::Reached;
use watch::text::Moment;

use super::{Found, Record};
use crate::settings::Mode;

/// Appends the sections that the rules want (`SecAuditLogParts`), without the end of the last line. Those
/// of bodies are never written.
pub(super) fn write(record: &Record, to: &mut Vec<u8>) {
    let boundary = boundary(&record.id);
    let wants = |part: char| record.parts.contains(part);
    begin(to, &boundary, 'A');
    head(record, to);
    if wants('B') {
        begin(to, &boundary, 'B');
        line(to, &format!("{} {} {}", record.method, record.target, record.protocol));
        fields(to, &record.asked);
    }
    if wants('F') {
        begin(to, &boundary, 'F');
        line(to, &format!("HTTP/1.1 {}", record.status.map_or_else(|| "-".to_owned(), |status| status.to_string())));
        fields(to, &record.answered);
    }
    if wants('H') {
        begin(to, &boundary, 'H');
        trailer(record, to);
    }
    // Memory takes all that is written.
    writeln!(to, "--{boundary}-Z--").ok();
}

/// What marks the sections of a record. It is no piece of its id, which readers would take for it.
fn boundary(id: &str) -> String {
    let number = u128::from_str_radix(id, 16).unwrap_or_default();
    let half = (number ^ (number >> 64)) & u128::from(u64::MAX);
    format!("{:08x}", ((half * 0x9E37_79B9_7F4A_7C15) >> 32) & 0xFFFF_FFFF)
}

fn begin(to: &mut Vec<u8>, boundary: &str, part: char) {
    if part != 'A' {
        to.push(b'\n');
    }
    writeln!(to, "--{boundary}-{part}--").ok();
}

fn line(to: &mut Vec<u8>, text: &str) {
    to.extend(escaped(text).bytes());
    to.push(b'\n');
}

fn fields(to: &mut Vec<u8>, fields: &[(String, String)]) {
    for (name, value) in fields {
        line(to, &format!("{name}: {value}"));
    }
}

/// When, which one, from where, to where.
fn head(record: &Record, to: &mut Vec<u8>) {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let moment = Moment::after_1970(record.began_at);
    let month = usize::try_from(moment.month).ok().and_then(|month| MONTHS.get(month.saturating_sub(1)));
    writeln!(
        to,
        "[{:02}/{}/{}:{:02}:{:02}:{:02}.{:06} +0000] {} {} {} {} {}",
        moment.day,
        month.unwrap_or(&"Jan"),
        moment.year,
        moment.hour,
        moment.minute,
        moment.second,
        moment.microsecond,
        record.id,
        record.client,
        record.client_port,
        record.server,
        record.server_port,
    )
    .ok();
}

fn trailer(record: &Record, to: &mut Vec<u8>) {
    let stopped = record.rules.iter().find(|found| found.blocked && record.reached != Reached::Detected);
    for found in &record.rules {
        let what = match stopped {
            Some(stopped) if std::ptr::eq(found, stopped) => {
                let status = record.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
                format!("Access denied with code {status} (phase {})", found.phase)
            }
            Some(_) | None => "Warning".to_owned(),
        };
        message(&what, found, to);
    }
    if record.more > 0 {
        line(to, &format!("Message: {} further matches are not told.", record.more));
    }
    if let Some(reason) = record.reason {
        let phase = if record.reached == Reached::BlockedAnswer { 4 } else { 2 };
        let status = record.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        line(to, &format!("Message: Access denied with code {status} (phase {phase}). Reason: {reason}."));
    }
    let phase = match record.reached {
        Reached::Detected => None,
        // A body that is too long is refused without a rule.
        Reached::BlockedRequest => Some(stopped.map_or(2, |found| found.phase)),
        Reached::BlockedAnswer => Some(stopped.map_or(4, |found| found.phase)),
    };
    if let Some(phase) = phase {
        line(to, &format!("Action: Intercepted (phase {phase})"));
    }
    line(to, &format!("Producer: Vestibule/{}", env!("CARGO_PKG_VERSION")));
    let mode = if record.mode == Mode::Block { "ENABLED" } else { "DETECTION_ONLY" };
    // Memory takes all that is written.
    writeln!(to, "Engine-Mode: \"{mode}\"").ok();
}

/// A line for a match. Readers take what stands before the full stop and the first field for its text.
fn message(what: &str, found: &Found, to: &mut Vec<u8>) {
    let value = found.value.as_ref().map(|value| format!(" \"{}\"", escaped(value))).unwrap_or_default();
    let (operator, target) = (escaped(&found.operator), escaped(&found.target));
    let mut text = format!("Message: {what}. Operator {operator} matched{value} at {target}.");
    let mut field = |name: &str, value: &str| {
        text.extend([" [", name, " \"", &escaped(value), "\"]"]);
    };
    field("file", &found.file);
    field("line", &found.line.to_string());
    field("id", &found.id.to_string());
    if let Some(message) = &found.message {
        field("msg", message);
    }
    if let Some(data) = &found.data {
        field("data", data);
    }
    if let Some(severity) = found.severity {
        field("severity", &severity.to_ascii_uppercase());
    }
    if let Some(version) = &found.version {
        field("ver", version);
    }
    for tag in &found.tags {
        field("tag", tag);
    }
    to.extend(text.bytes());
    to.push(b'\n');
}

/// A text for one line: what would end it, or a field of it, is written as an escape.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\\' => written.extend(['\\', letter]),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            letter if letter.is_control() => written.extend(letter.escape_default()),
            letter => written.push(letter),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_a_mark_of_its_own_that_is_no_piece_of_its_id() {
        let ids = ["000649f3a1b2c3d4e5f60718293a0001", "000649f3a1b2c3d4e5f60718293a0002"];
        let marks = ids.map(boundary);
        assert_ne!(marks[0], marks[1]);
        for (id, mark) in ids.iter().zip(&marks) {
            assert!(mark.len() == 8 && !id.contains(mark.as_str()), "{mark}");
        }
        assert_eq!(boundary("").len(), 8);
    }
}
