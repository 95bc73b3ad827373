//! From what an operator wrote of a sink to what ships to it, or everything that is wrong with it.

use http::{HeaderName, HeaderValue};
use model::logs::{KeepLogs, LogBatch, LogRecord, LogSink};
use model::named::Named;
use problem::{Finding, Pointer};
use watch::Secrets;

use crate::layout::Layout;
use crate::outlet::{Outlet, bulk, fluent, http_json, otlp, syslog};
use crate::record::{Selection, Shown};

/// A sink that records are shipped to, with settings that can be used.
pub struct Plan {
    /// Its name.
    pub name: String,
    /// How much is kept until it is taken.
    pub keep: KeepLogs,
    pub(crate) batch: LogBatch,
    pub(crate) selection: Selection,
    pub(crate) outlet: Outlet,
}

impl Plan {
    /// The plan of a sink, or what is wrong with it. None: nothing is shipped to this kind of sink.
    pub fn of(sink: &LogSink, at: &Pointer) -> Option<Result<Self, Vec<Finding>>> {
        let (kind, name, common) = match sink {
            LogSink::Stdout(_) | LogSink::File(_) => return None,
            LogSink::Fluent(sink) => ("fluent", &sink.name, (&sink.record, sink.keep, sink.batch)),
            LogSink::Elasticsearch(sink) => ("elasticsearch", &sink.name, (&sink.record, sink.keep, sink.batch)),
            LogSink::Otlp(sink) => ("otlp", &sink.name, (&sink.record, sink.keep, sink.batch)),
            LogSink::Http(sink) => ("http", &sink.name, (&sink.record, sink.keep, sink.batch)),
            LogSink::Syslog(sink) => ("syslog", &sink.name, (&sink.record, sink.keep, sink.batch)),
        };
        let name = name.as_ref().map_or_else(|| kind.to_owned(), |name| name.0.clone());
        Some(Self::compile(sink, name, common, &at.at(kind)))
    }

    fn compile(
        sink: &LogSink,
        name: String,
        (record, keep, batch): (&LogRecord, KeepLogs, LogBatch),
        at: &Pointer,
    ) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        if keep.max.bytes() < LEAST {
            findings.push(Finding::new(&at.at("keep").at("max"), "is too small: write at least `64MiB`"));
        }
        let selection = selection(record, &at.at("record"), &mut findings);
        let layout = Layout::of(record);
        let outlet = match sink {
            LogSink::Fluent(settings) => fluent::Forward::compile(settings, layout, at).map(Outlet::Fluent),
            LogSink::Elasticsearch(settings) => bulk::Bulk::compile(settings, layout, at).map(Outlet::Bulk),
            LogSink::Otlp(settings) => otlp::Otlp::compile(settings, layout, at).map(Outlet::Otlp),
            LogSink::Http(settings) => http_json::HttpJson::compile(settings, layout, at).map(Outlet::Http),
            LogSink::Syslog(settings) => syslog::Syslog::compile(settings, layout, at).map(Outlet::Syslog),
            LogSink::Stdout(_) | LogSink::File(_) => Err(Vec::new()),
        };
        match outlet {
            Ok(outlet) if findings.is_empty() => Ok(Self { name, keep, batch, selection, outlet }),
            outlet => {
                findings.extend(outlet.err().unwrap_or_default());
                Err(findings)
            }
        }
    }
}

/// What is written of exchanges for a sink.
fn selection(record: &LogRecord, at: &Pointer, findings: &mut Vec<Finding>) -> Selection {
    let wanted: Vec<_> = record.fields.values().copied().collect();
    let secrets = Secrets::and(record.mask.headers.iter().map(String::as_str));
    let mut headers = Vec::new();
    for name in record.headers.keys() {
        match name.parse::<HeaderName>() {
            Ok(header) => {
                let is_secret = secrets.is_secret(header.as_str().as_bytes()) || ALWAYS.contains(&header.as_str());
                headers.push((header, if is_secret { Shown::Masked } else { Shown::Kept }));
            }
            Err(_invalid) => {
                findings.push(Finding::new(&at.at("headers").at(name), format!("`{name}` is no name of a header")));
            }
        }
    }
    let query = Secrets::and(record.mask.query.iter().map(String::as_str));
    for (index, field) in record.mask.fields.iter().enumerate() {
        if matches!(field, model::logs::Field::Id | model::logs::Field::Time) {
            let message = "is in every record, by which they are told apart and put in order; it cannot be masked";
            findings.push(Finding::new(&at.at("mask").at("fields").at(index), message));
        }
    }
    Selection::new(&wanted, &record.mask.fields, headers, query)
}

/// Headers that an operator gave to requests, or what is wrong with them. Their values may be secrets.
pub(crate) fn headers(written: &Named<String>, at: &Pointer) -> Result<Vec<(HeaderName, HeaderValue)>, Vec<Finding>> {
    let (mut headers, mut findings) = (Vec::new(), Vec::new());
    for (name, value) in written {
        let at = at.at("headers").at(name);
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value.trim())) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            (Err(_invalid), _) => findings.push(Finding::new(&at, format!("`{name}` is no name of a header"))),
            (_, Err(_invalid)) => findings.push(Finding::new(&at, "has a value that no header can have")),
        }
    }
    if findings.is_empty() { Ok(headers) } else { Err(findings) }
}

const LEAST: u64 = 64 * 1024 * 1024;
/// Headers whose names do not look like a secret's.
const ALWAYS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
