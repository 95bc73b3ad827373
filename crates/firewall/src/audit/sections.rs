//! The audit log as `ModSecurity` writes it: sections by letters, between lines that name the record.

use std::io::Write;

use pipeline::Reached;
use watch::text::Moment;

use super::{Found, Record};
use crate::settings::Mode;

/// Appends the sections that the rules want (`SecAuditLogParts`), without the end of the last line. Bodies are never
/// written.
pub(super) fn write(record: &Record, to: &mut Vec<u8>) {
    let boundary = record.id.get(..8).unwrap_or_default().to_owned();
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
    for found in &record.rules {
        message(found, to);
    }
    if record.more > 0 {
        line(to, &format!("Message: {} further matches are not told.", record.more));
    }
    match record.reached {
        Reached::Detected => {}
        Reached::BlockedRequest => line(to, "Action: Intercepted (phase 2)"),
        Reached::BlockedAnswer => line(to, "Action: Intercepted (phase 4)"),
    }
    line(to, &format!("Producer: Vestibule/{}", env!("CARGO_PKG_VERSION")));
    let mode = if record.mode == Mode::Block { "ENABLED" } else { "DETECTION_ONLY" };
    line(to, &format!("Engine-Mode: \"{mode}\""));
}

fn message(found: &Found, to: &mut Vec<u8>) {
    let what = if found.blocked { "Access denied" } else { "Warning" };
    let mut text = format!(
        "Message: {what}. {} found within {}: {}",
        escaped(&found.operator),
        escaped(&found.target),
        escaped(&found.value)
    );
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
