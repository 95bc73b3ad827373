//! The head of a part: its lines, its name, the name of its file.

use super::{Fault, Flags, LONGEST_LINE, Limits, disposition};
use crate::bytes::{after, between, is_space};
use crate::scan::{find, find_text, span};

/// The head of a part, as far as it was read.
#[derive(Default)]
pub(super) struct Head {
    pub(super) name: Option<Vec<u8>>,
    pub(super) file_name: Option<Vec<u8>>,
    /// Lines that are complete.
    pub(super) lines: Vec<Vec<u8>>,
    /// The line that the next one may go on with.
    last_line: Option<Vec<u8>>,
    /// Whether it did, so that it has to be put together.
    is_folded: bool,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a line was.
pub(super) enum Line {
    /// A header, or a piece of one.
    Header,
    /// The empty line that ends a head.
    Last,
}

impl Head {
    pub(super) fn take(&mut self, line: &[u8], limits: &Limits, flags: &mut Flags) -> Result<Line, Fault> {
        match line {
            b"\n" | b"\r\n" => return Ok(Line::Last),
            [first, ..] if is_space(*first) => self.fold(line, flags)?,
            _ => self.add(line, limits, flags)?,
        }
        Ok(Line::Header)
    }

    /// A line that goes on with the header before.
    fn fold(&mut self, line: &[u8], flags: &mut Flags) -> Result<(), Fault> {
        flags.header_folding = true;
        let is_odd = |byte: &u8| !matches!(byte, b' ' | b'\t');
        flags.invalid_header_folding |= line.first().is_some_and(is_odd);
        let Some((_, value)) = self.headers.last_mut() else {
            return Err("Multipart: Invalid part header (folding error).".into());
        };
        let spaces = span(line, is_space);
        flags.invalid_header_folding |= between(line, 0, spaces).iter().any(is_odd);
        value.push(b' ');
        value.extend_from_slice(without_end(after(line, spaces)));
        if value.len() > LONGEST_LINE {
            return Err("Multipart: Part header too long.".into());
        }
        self.is_folded = true;
        Ok(())
    }

    fn add(&mut self, line: &[u8], limits: &Limits, flags: &mut Flags) -> Result<(), Fault> {
        self.keep_line();
        self.last_line = Some(without_end(line).to_vec());
        let Some(colon) = find(b':', line) else {
            let said = line.escape_ascii();
            return Err(format!("Multipart: Invalid part header (colon missing): {said}.").into());
        };
        let name = between(line, 0, colon);
        if name.is_empty() {
            return Err("Multipart: Invalid part header (header name missing).".into());
        }
        // Many readers take the blank of `Content-Disposition : ...` away, and would find another name than we do.
        flags.invalid_part |= !name.iter().all(u8::is_ascii_graphic);
        if self.header(name).is_some() {
            return Err(format!("Multipart: Duplicate part header: {}.", name.escape_ascii()).into());
        }
        if self.headers.len() >= limits.headers {
            return Err(format!("Multipart: More than {} headers in a part.", limits.headers).into());
        }
        let behind = after(line, colon + 1);
        let blanks = span(behind, |byte| matches!(byte, b' ' | b'\t'));
        self.headers.push((name.to_vec(), without_end(after(behind, blanks)).to_vec()));
        Ok(())
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }

    /// All lines are there: it has to say a name.
    pub(super) fn complete(&mut self, flags: &mut Flags) -> Result<(), Fault> {
        let Some(value) = self.header(b"Content-Disposition") else {
            return Err("Multipart: Part missing Content-Disposition header.".into());
        };
        let mut said = disposition::Disposition::default();
        let outcome = disposition::read(value, &mut said, flags);
        let has_file_name = find_text(value, b"filename=").is_some();
        let shown = value.escape_ascii().to_string();
        (self.name, self.file_name) = (said.name, said.file_name);
        if let Err(code) = outcome {
            return Err(format!("Multipart: Invalid Content-Disposition header ({code}): {shown}.").into());
        }
        if self.name.is_none() {
            return Err("Multipart: Content-Disposition header missing name field.".into());
        }
        // Who reads headers crudely must find the name of the file where we do.
        if self.file_name.is_some() && !has_file_name {
            return Err("Multipart: Invalid Content-Disposition header (filename).".into());
        }
        self.keep_line();
        Ok(())
    }

    fn keep_line(&mut self) {
        let line = self.last_line.take();
        let folded = self.headers.last().filter(|_| self.is_folded);
        self.lines.extend(folded.map(|(name, value)| [name.as_slice(), b": ", value].concat()).or(line));
        self.is_folded = false;
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line))
}
