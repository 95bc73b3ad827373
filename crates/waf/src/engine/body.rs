//! The body of a request, taken apart before phase 2.

use bytes::Bytes;
use payload::arguments::Arguments;
use payload::multipart::{self, Flags, Multipart};
use payload::{json, xml};

use super::feed::TOO_MANY;
use super::run::{Intervention, Verdict};
use super::state::{BodyState, File, Named, Origin, Transaction};
use crate::Phase;
use crate::action::Processor;
use crate::settings::Beyond;
use crate::variable::Variable;

impl Transaction {
    /// Says after the first phase how long the body of the request will be: one that would be refused for its length need not
    /// come.
    pub fn expect_request_body(&mut self, length: u64) -> Verdict {
        let is_read = self.is_due(Phase::RequestBody) && self.wants_request_body();
        if is_read && length > self.control.request_limit && self.refuses_long_bodies() {
            self.set(Variable::InboundDataError, b"1");
            return self.interrupt(TOO_LONG);
        }
        Verdict::Pass
    }

    fn refuses_long_bodies(&self) -> bool {
        self.beyond(self.rules.settings().request_body_beyond) == Beyond::Reject
    }

    /// Reads the body, once. A body beyond its limit may be a reason to go no further.
    pub(super) fn read_request_body(&mut self) -> Option<Intervention> {
        if self.body_state == BodyState::Read {
            return None;
        }
        self.body_state = BodyState::Read;
        self.fed();
        self.decode_path();
        if !self.control.request_body {
            self.body = Bytes::new();
            return None;
        }
        let limit = usize::try_from(self.control.request_limit).unwrap_or(usize::MAX);
        let refused = self.limit_body(limit);
        let body = self.body.clone();
        self.set(Variable::RequestBodyLength, body.len().to_string().as_bytes());
        let had_error = match self.control.processor {
            Some(processor) => self.process(processor, &body),
            None => true,
        };
        // As in ModSecurity, the raw body is there for forms, and for whatever nothing else could read.
        let is_form = self.control.processor == Some(Processor::Urlencoded);
        if !body.is_empty() && (is_form || (had_error && self.control.force_request_body)) {
            self.set(Variable::RequestBody, &body);
            self.set(Variable::StreamInputBody, &body);
        }
        refused
    }

    fn limit_body(&mut self, limit: usize) -> Option<Intervention> {
        if self.body.len() <= limit {
            return None;
        }
        self.set(Variable::InboundDataError, b"1");
        if self.refuses_long_bodies() {
            return Some(TOO_LONG);
        }
        self.body.truncate(limit);
        None
    }

    /// Takes the body apart; says whether that failed.
    fn process(&mut self, processor: Processor, body: &Bytes) -> bool {
        let (without_files, error) = match processor {
            Processor::Urlencoded => (body.len(), self.read_form(body)),
            Processor::Multipart => self.read_multipart(body),
            Processor::Json => (body.len(), self.read_json(body)),
            Processor::Xml => (body.len(), self.read_xml(body)),
            Processor::Any => (body.len(), self.read_any(body)),
        };
        let limit = usize::try_from(self.rules.settings().request_body_no_files_limit).unwrap_or(usize::MAX);
        let error = error.or_else(|| {
            (without_files >= limit)
                .then(|| "the body without files is larger than SecRequestBodyNoFilesLimit".to_owned())
        });
        let Some(error) = error else { return false };
        self.body_error(&error);
        true
    }

    fn body_error(&mut self, what: &str) {
        for variable in [Variable::ReqbodyError, Variable::ReqbodyProcessorError] {
            self.set(variable, b"1");
        }
        for variable in [Variable::ReqbodyErrorMsg, Variable::ReqbodyProcessorErrorMsg] {
            self.set(variable, what.as_bytes());
        }
    }

    fn read_form(&mut self, body: &Bytes) -> Option<String> {
        let settings = self.rules.settings();
        let arguments = Arguments::of_form(body, settings.argument_separator, settings.arguments_limit);
        if arguments.invalid_escapes > 0 {
            self.set(Variable::UrlencodedError, b"1");
        }
        self.take_arguments(&arguments, body, Origin::Body);
        arguments.over_limit.then(|| TOO_MANY.to_owned())
    }

    fn read_json(&mut self, body: &Bytes) -> Option<String> {
        let settings = self.rules.settings();
        let limits =
            json::Limits { depth: settings.json_depth, arguments: settings.arguments_limit, ..json::Limits::default() };
        let read = json::read(body, &limits);
        self.take_arguments(&read.arguments, body, Origin::Body);
        read.error.map(|error| format!("JSON parsing error: {error}"))
    }

    /// What is no JSON is one value of this name; but not what is no text either, such as pictures.
    fn read_any(&mut self, body: &Bytes) -> Option<String> {
        if self.read_json(body).is_some() && is_text(body) {
            self.argument(b"REQUEST_BODY", body, Origin::Body);
        }
        None
    }

    fn read_xml(&mut self, body: &Bytes) -> Option<String> {
        // Requests without a body may say what it would be.
        if body.is_empty() {
            return None;
        }
        let read = xml::read(body, &xml::Limits::default());
        let error = read.error.as_ref().map(|error| format!("XML parsing error: {error}"));
        self.xml = Some(read);
        error
    }

    fn read_multipart(&mut self, body: &Bytes) -> (usize, Option<String>) {
        let content_type = self.request_header_value(b"content-type").map(<[u8]>::to_vec);
        let limits =
            multipart::Limits { files: Some(self.rules.settings().files_limit), ..multipart::Limits::default() };
        let read = Multipart::read(content_type.as_deref(), body, &limits);
        self.set_flags(&read.flags);
        let mut sizes = 0;
        for part in &read.parts {
            let data = body.get(part.data.clone()).unwrap_or_default();
            let field = self.values.intern(&part.name);
            for line in &part.headers {
                let value = self.values.intern(line);
                self.part_headers.push(Named::new(&self.values, field, value));
            }
            match &part.file_name {
                None => self.argument(&part.name, data, Origin::Body),
                Some(name) => {
                    sizes += data.len() as u64;
                    let (name, content) = (self.values.intern(name), self.values.intern(data));
                    self.files.push(File { field, name, content, size: data.len() as u64 });
                }
            }
        }
        for (variable, last) in
            [(Variable::MultipartName, &read.last_name), (Variable::MultipartFilename, &read.last_file_name)]
        {
            if let Some(last) = last {
                self.set(variable, last);
            }
        }
        self.set(Variable::FilesCombinedSize, sizes.to_string().as_bytes());
        (read.length_without_files, read.error.map(|error| format!("Multipart parsing error: {error}")))
    }

    fn set_flags(&mut self, flags: &Flags) {
        for (variable, flag) in [
            (Variable::MultipartBoundaryQuoted, flags.boundary_quoted),
            (Variable::MultipartBoundaryWhitespace, flags.boundary_whitespace),
            (Variable::MultipartDataBefore, flags.data_before),
            (Variable::MultipartDataAfter, flags.data_after),
            (Variable::MultipartHeaderFolding, flags.header_folding),
            (Variable::MultipartCrlfLine, flags.crlf_line),
            (Variable::MultipartLfLine, flags.lf_line),
            (Variable::MultipartCrlfLfLines, flags.mixed_lines()),
            (Variable::MultipartMissingSemicolon, flags.missing_semicolon),
            (Variable::MultipartInvalidQuoting, flags.invalid_quoting),
            (Variable::MultipartInvalidPart, flags.invalid_part),
            (Variable::MultipartInvalidHeaderFolding, flags.invalid_header_folding),
            (Variable::MultipartFileLimitExceeded, flags.file_limit_exceeded),
            (Variable::MultipartUnmatchedBoundary, flags.unmatched_boundary),
            (Variable::MultipartStrictError, flags.strict_error()),
        ] {
            self.set(variable, if flag { b"1" } else { b"0" });
        }
    }
}

/// Whether a body is a text, or mostly one: a single control character must not hide all that stands around it.
fn is_text(body: &[u8]) -> bool {
    let is_control = |byte: &&u8| matches!(byte, 0..=8 | 14..=31 | 127);
    let controls = body.iter().filter(is_control).count();
    if controls == 0 {
        return true;
    }
    let letters: usize = body.utf8_chunks().map(|chunk| chunk.valid().len()).sum();
    (letters - controls) * 2 >= body.len()
}

/// What becomes of a body beyond its limit.
const TOO_LONG: Intervention =
    Intervention { rule: None, phase: Phase::RequestBody, status: 413, redirect: None, drop: false };
