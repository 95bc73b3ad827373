//! `vestibule waf explain`: each rule that matches a request, on what value, and the score.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use clap::Args;
use http::header::CONTENT_LENGTH;
use http::{Request, request};
use http1::{Decoded, Decoder, Framing, Limits, RequestHead};
use pipeline::{Connection, Exchange};
use proxy::Rehearsal;
use serde_json::json;

use super::{Found, Meant, firewalls, open};
use crate::output::{self, FOUND, GOOD};

/// Says what the firewall's rules say of a request: each that matched, on what value after which transformations, and the
/// score.
///
/// The file holds the request as it is sent: the request line, headers, an empty line, the body. Ends of lines may be those
/// of this machine, and `Content-Length` may be left out. Values are shown as they are, secrets included.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file with the request.
    request: PathBuf,
    /// The document.
    #[arg(long, value_name = "FILE", default_value = "vestibule.yaml")]
    document: PathBuf,
    /// The address that the request comes from.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    from: IpAddr,
    /// Prints JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// Tells what rules say.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let raw = match std::fs::read(&arguments.request) {
        Ok(raw) => raw,
        Err(error) => return output::fail(&format!("{} cannot be read: {error}", arguments.request.display())),
    };
    let (head, body) = match read(&raw) {
        Ok(read) => read,
        Err(reason) => return output::fail(&format!("{}: {reason}", arguments.request.display())),
    };
    let configuration = match open(&arguments.document) {
        Ok(configuration) => configuration,
        Err(code) => return code,
    };
    let rehearsed = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let rehearsed = match rehearsed {
        Ok(runtime) => runtime.block_on(control::rehearse(&configuration)),
        Err(error) => return output::fail(&format!("no thread can be started: {error}")),
    };
    let snapshot = match rehearsed {
        Ok((snapshot, _)) => snapshot,
        Err(findings) => return output::findings(&findings, arguments.json),
    };
    let Rehearsal { mut exchange, route, refusal } = proxy::rehearse(&snapshot, &connection(arguments.from), head);
    if let Some(refusal) = refusal {
        let kind = refusal.kind();
        return output::print(&format!("no rule is asked: {} {}\n", kind.status.as_u16(), kind.code), FOUND);
    }
    exchange.has_body = !body.is_empty();
    let api = exchange.route.api.to_string();
    match firewalls(&configuration, Meant::Of(&api, snapshot.route(route).operation)) {
        Ok(found) if found.is_empty() => {
            let hint = format!("no firewall looks at it: the API `{api}` has no policy `waf`\n");
            output::print(&hint, FOUND)
        }
        Ok(found) => output::print(&told(&found, &exchange, &body, arguments.json), GOOD),
        Err(findings) => output::findings(&findings, arguments.json),
    }
}

fn told(found: &[Found], exchange: &Exchange, body: &Bytes, for_machines: bool) -> String {
    let mut text = String::new();
    let mut all = Vec::new();
    for Found { at, when, prepared, .. } in found {
        let story = prepared.tell(exchange, body);
        if for_machines {
            all.push(json!({ "policy": at.as_str(), "when": when, "story": story.as_json() }));
            continue;
        }
        let condition = when.as_ref().map(|when| format!(", asked when {when}")).unwrap_or_default();
        // Writing into memory cannot fail.
        write!(text, "{at}{condition}\n{story}").ok();
    }
    if for_machines { format!("{:#}\n", json!({ "firewalls": all })) } else { text }
}

fn connection(from: IpAddr) -> Arc<Connection> {
    Arc::new(Connection {
        peer: SocketAddr::new(from, 50_000),
        local: SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
        listener: "".into(),
        tls: None,
        told: OnceLock::new(),
        depends_on: OnceLock::new(),
    })
}

/// The head and the body of a request in a file.
fn read(raw: &[u8]) -> Result<(request::Parts, Bytes), String> {
    let raw = with_line_ends(raw);
    let limits = Limits::default();
    let parsed = http1::parse_request(&raw, &limits).map_err(|refusal| format!("is no valid request: {refusal}"))?;
    let (read, length) = parsed.ok_or("has no empty line behind its headers")?;
    let rest = raw.get(length..).unwrap_or_default();
    let body = body(&read, rest, &limits)?;
    let RequestHead { method, uri, version, headers, .. } = read;
    let (mut head, ()) = Request::new(()).into_parts();
    (head.method, head.uri, head.version, head.headers) = (method, uri, version, headers);
    if !body.is_empty() {
        head.headers.entry(CONTENT_LENGTH).or_insert_with(|| body.len().into());
    }
    Ok((head, body))
}

fn body(head: &RequestHead, rest: &[u8], limits: &Limits) -> Result<Bytes, String> {
    if head.framing == Framing::None {
        return Ok(Bytes::copy_from_slice(rest));
    }
    let mut decoder = Decoder::new(head.framing, limits);
    let (mut input, mut body) = (BytesMut::from(rest), BytesMut::new());
    loop {
        match decoder.decode(&mut input).map_err(|refusal| format!("has a body that is not valid: {refusal}"))? {
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::Trailers(_) | Decoded::Done => return Ok(body.freeze()),
            Decoded::More => return Err("has less of a body than its head says".to_owned()),
        }
    }
}

/// The request with the ends of lines that its head must have.
fn with_line_ends(raw: &[u8]) -> Vec<u8> {
    if raw.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        return raw.to_vec();
    }
    let end = raw.windows(2).position(|bytes| bytes == b"\n\n");
    let (head, body) = end.and_then(|end| raw.split_at_checked(end)).unwrap_or((raw.trim_ascii_end(), &[]));
    let mut whole = Vec::with_capacity(raw.len() + 64);
    for line in head.split(|byte| *byte == b'\n') {
        whole.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(b"\r\n");
    whole.extend_from_slice(body.get(2..).unwrap_or_default());
    whole
}
