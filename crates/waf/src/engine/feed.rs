//! What a transaction is told of its request.

use std::net::SocketAddr;

use bytes::Bytes;
use payload::arguments::Arguments;
use payload::cookies::{self, Format};

use super::state::{Argument, BodyState, Named, Origin, Transaction};
use crate::action::Processor;
use crate::settings::{CookieFormat, Settings};
use crate::values::{Fixed, ValueId};
use crate::variable::Variable;

/// By variable: what it is before anything is told.
pub(crate) fn beginnings(settings: &Settings, fixed: &mut Fixed) -> Box<[Option<ValueId>]> {
    let mut scalars = vec![None; Variable::COUNT];
    let mut set = |variable: &Variable, value: ValueId| {
        if let Some(place) = scalars.get_mut(*variable as usize) {
            *place = Some(value);
        }
    };
    set(&Variable::ModsecBuild, fixed.intern(b"020900000"));
    set(&Variable::Webappid, fixed.intern(settings.application.as_bytes()));
    let zero = fixed.intern(b"0");
    for variable in FLAGS {
        set(variable, zero);
    }
    for variable in NOTHING {
        set(variable, ValueId::EMPTY);
    }
    scalars.into()
}

impl Transaction {
    /// What is known before anything is told.
    pub(super) fn begin(&mut self) {
        self.scalars.copy_from_slice(&self.rules.start.scalars);
        let unique_id = self.values.intern(self.environment.unique_id.as_bytes());
        self.set_id(Variable::UniqueId, unique_id);
    }

    /// Who asks, and where.
    pub fn connection(&mut self, client: SocketAddr, server: SocketAddr) {
        let address = self.values.intern(client.ip().to_canonical().to_string().as_bytes());
        for variable in [Variable::RemoteAddr, Variable::RemoteHost, Variable::UseragentIp] {
            self.set_id(variable, address);
        }
        self.set(Variable::RemotePort, client.port().to_string().as_bytes());
        self.set(Variable::ServerAddr, server.ip().to_canonical().to_string().as_bytes());
        self.set(Variable::ServerPort, server.port().to_string().as_bytes());
        self.fed();
    }

    /// The name of whoever was identified.
    pub fn user(&mut self, name: &[u8]) {
        self.set(Variable::RemoteUser, name);
        self.fed();
    }

    /// The line that the request begins with: its parts, as they were sent. Without a protocol it is one of HTTP/0.9.
    pub fn request_line(&mut self, method: &[u8], target: &[u8], protocol: &[u8]) {
        self.set(Variable::RequestLine, &[method, b" ", target, b" ", protocol].concat());
        self.set(Variable::RequestMethod, method);
        self.set(Variable::RequestProtocol, if protocol.is_empty() { b"HTTP/0.9" } else { protocol });
        self.set(Variable::RequestUriRaw, target);
        let (path, query) = parts_of(target);
        if let Some(path) = path {
            self.path(path, query);
        }
        if let Some(query) = query {
            self.set(Variable::QueryString, query);
            self.query(query);
        }
        self.fed();
    }

    fn path(&mut self, path: &[u8], query: Option<&[u8]>) {
        self.set(Variable::RequestFilename, path);
        let base = path.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |slash| slash + 1);
        self.set(Variable::RequestBasename, path.get(base..).unwrap_or_default());
        match query {
            Some(query) => self.set(Variable::RequestUri, &[path, b"?", query].concat()),
            None => self.set(Variable::RequestUri, path),
        }
    }

    /// Decodes the path. As with `ModSecurity` 2, rules of phase 1 see it as it was sent, and later ones as it is meant.
    pub(super) fn decode_path(&mut self) {
        let Some(raw) = self.scalar(Variable::RequestFilename) else { return };
        let raw = self.values.bytes(raw);
        if memchr::memchr(b'%', raw).is_none() {
            return;
        }
        let decoded: Vec<u8> = percent_encoding::percent_decode(raw).collect();
        let query = self.scalar(Variable::QueryString).map(|query| self.values.bytes(query).to_vec());
        self.path(&decoded, query.as_deref());
    }

    fn query(&mut self, query: &[u8]) {
        let settings = self.rules.settings();
        let arguments = Arguments::of_form(query, settings.argument_separator, settings.arguments_limit);
        if arguments.invalid_escapes > 0 {
            self.set(Variable::UrlencodedError, b"1");
        }
        self.take_arguments(&arguments, query, Origin::Query);
        if arguments.over_limit {
            self.too_many_arguments();
        }
    }

    pub(super) fn take_arguments(&mut self, arguments: &Arguments, source: &[u8], origin: Origin) {
        for (name, value) in arguments.iter(source) {
            self.argument(name, value, origin);
        }
    }

    pub(super) fn argument(&mut self, name: &[u8], value: &[u8], origin: Origin) {
        if self.arguments.len() >= self.rules.settings().arguments_limit {
            return self.too_many_arguments();
        }
        let argument = Argument { name: self.values.intern(name), value: self.values.intern(value), origin };
        self.arguments.push(argument);
    }

    /// Tells rules that there are arguments which they do not see, be it in the query or in the body.
    fn too_many_arguments(&mut self) {
        self.set(Variable::ReqbodyError, b"1");
        self.set(Variable::ReqbodyErrorMsg, TOO_MANY.as_bytes());
    }

    /// A header of the request, in the order in which they were sent.
    pub fn request_header(&mut self, name: &[u8], value: &[u8]) {
        let (name_id, value_id) = (self.values.intern(name), self.values.intern(value));
        let header = Named::new(&self.values, name_id, value_id);
        self.request_headers.push(header);
        if name.eq_ignore_ascii_case(b"cookie") {
            self.cookie(value);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            self.choose_processor(value);
        } else if name.eq_ignore_ascii_case(b"host") {
            self.set(Variable::ServerName, without_port(value));
        } else if name.eq_ignore_ascii_case(b"authorization") {
            let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
            self.set(Variable::AuthType, scheme);
        }
        self.fed();
    }

    fn cookie(&mut self, header: &[u8]) {
        let settings = self.rules.settings();
        let format = match settings.cookie_format {
            CookieFormat::Version0 => Format::Netscape,
            CookieFormat::Version1 => Format::Rfc2109,
        };
        // Without a semicolon, a comma and a space part cookies.
        let comma = memchr::memchr(b',', header).is_some_and(|at| header.get(at + 1) == Some(&b' '));
        let separator = if memchr::memchr(b';', header).is_none() && comma { b',' } else { settings.cookie_separator };
        let read = cookies::read(header, format, separator);
        for (name, value) in read.iter(header) {
            let (name_id, value_id) = (self.values.intern(name), self.values.intern(value));
            let cookie = Named::new(&self.values, name_id, value_id);
            self.cookies.push(cookie);
        }
    }

    fn choose_processor(&mut self, content_type: &[u8]) {
        let begins = |with: &[u8]| content_type.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        if begins(b"application/x-www-form-urlencoded") {
            self.process_with(Processor::Urlencoded);
        } else if begins(b"multipart/form-data") {
            self.process_with(Processor::Multipart);
        }
    }

    pub(super) fn process_with(&mut self, processor: Processor) {
        self.control.processor = Some(processor);
        self.set(Variable::ReqbodyProcessor, processor.name().as_bytes());
    }

    /// Whether phase 2 looks at the body of the request, as it stands now.
    pub fn wants_request_body(&self) -> bool {
        self.control.request_body && self.control.engine != crate::settings::Engine::Off
    }

    /// The body of the request, before phase 2. More than [`Self::request_body_limit`] bytes of it are not needed, but
    /// that there are more must be seen: one byte more will do.
    pub fn request_body(&mut self, body: Bytes) {
        self.body = body;
        self.body_state = BodyState::Awaited;
        self.fed();
    }

    /// How many bytes of the request's body are looked at, as it stands now.
    pub fn request_body_limit(&self) -> u64 {
        self.control.request_limit
    }

    pub(super) fn request_header_value(&self, name: &[u8]) -> Option<&[u8]> {
        let found =
            self.request_headers.iter().find(|header| self.values.bytes(header.name).eq_ignore_ascii_case(name));
        found.map(|header| self.values.bytes(header.value))
    }
}

/// The path and the query of a request's target.
fn parts_of(target: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    let (before, query) = match memchr::memchr(b'?', target) {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        None => (target, None),
    };
    if before.first() == Some(&b'/') {
        return (Some(before), query);
    }
    // `http://host/path`, and `host:port` of CONNECT, which has no path.
    if let Some(scheme) = memchr::memmem::find(before, b"://") {
        let rest = before.get(scheme + 3..).unwrap_or_default();
        return (memchr::memchr(b'/', rest).and_then(|slash| rest.get(slash..)), query);
    }
    let is_authority =
        before.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'))
            && before.contains(&b':');
    ((!is_authority && !before.is_empty()).then_some(before), query)
}

fn without_port(host: &[u8]) -> &[u8] {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    match host.len().checked_sub(digits + 1) {
        Some(colon) if digits > 0 && host.get(colon) == Some(&b':') => host.get(..colon).unwrap_or(host),
        _ => host,
    }
}

pub(super) const TOO_MANY: &str = "there are more arguments than SecArgumentsLimit allows";

/// Variables that are empty until something is known of them.
const NOTHING: &[Variable] = &[
    Variable::Sessionid,
    Variable::Userid,
    Variable::ReqbodyProcessor,
    Variable::ReqbodyErrorMsg,
    Variable::ReqbodyProcessorErrorMsg,
];

/// Variables that say `0` until something goes wrong.
const FLAGS: &[Variable] = &[
    Variable::InboundDataError,
    Variable::OutboundDataError,
    Variable::MscPcreError,
    Variable::MscPcreLimitsExceeded,
    Variable::MultipartBoundaryQuoted,
    Variable::MultipartBoundaryWhitespace,
    Variable::MultipartCrlfLfLines,
    Variable::MultipartCrlfLine,
    Variable::MultipartDataAfter,
    Variable::MultipartDataBefore,
    Variable::MultipartFileLimitExceeded,
    Variable::MultipartHeaderFolding,
    Variable::MultipartInvalidHeaderFolding,
    Variable::MultipartInvalidPart,
    Variable::MultipartInvalidQuoting,
    Variable::MultipartLfLine,
    Variable::MultipartMissingSemicolon,
    Variable::MultipartStrictError,
    Variable::MultipartUnmatchedBoundary,
    Variable::ReqbodyError,
    Variable::ReqbodyProcessorError,
    Variable::RequestBodyLength,
    Variable::FilesCombinedSize,
    Variable::ArgsCombinedSize,
    Variable::FullRequestLength,
    Variable::UrlencodedError,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_path_and_a_query_or_neither() {
        for (target, path, query) in [
            ("/a/b?c=d#e", Some("/a/b"), Some("c=d")),
            ("/a#b?c", Some("/a"), None),
            ("http://x.example/a?b", Some("/a"), Some("b")),
            ("http://x.example", None, None),
            ("x.example:443", None, None),
            ("*", Some("*"), None),
        ] {
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            let (found_path, found_query) = parts_of(target.as_bytes());
            assert_eq!(
                (text(found_path), text(found_query)),
                (path.map(Into::into), query.map(Into::into)),
                "{target}"
            );
        }
    }
}
