//! Bodies of `multipart/form-data`, read as strictly as `ModSecurity` 2.9 reads them.
//!
//! Two readers of one body must not disagree, so that what is unusual is flagged, even where it can be understood: rules
//! decide what becomes of it. Data of parts is not copied, it stays where it is in the body.

mod boundary;
mod disposition;
mod head;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem::Finder;

use self::head::{Head, Line};
use crate::arguments::{Arguments, Place};
use crate::bytes::{after, between, is_space};
use crate::scan::{count, find, span};

/// What a body may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Parts.
    pub parts: usize,
    /// Lines in the head of a part.
    pub headers: usize,
    /// Files, beyond which there is a flag; nothing if none may be too many.
    pub files: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { parts: 1000, headers: 100, files: None }
    }
}

/// What is unusual about a body; each is a variable of rules (`MULTIPART_...`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a variable of its own")]
pub struct Flags {
    /// It could not be read to its end.
    pub error: bool,
    /// The boundary was in quotes.
    pub boundary_quoted: bool,
    /// There was white space around the `=` before the boundary.
    pub boundary_whitespace: bool,
    /// There was something before the first boundary.
    pub data_before: bool,
    /// There was something after the last boundary.
    pub data_after: bool,
    /// A header went on in the next line.
    pub header_folding: bool,
    /// A line ended with CR LF.
    pub crlf_line: bool,
    /// A line ended with LF alone.
    pub lf_line: bool,
    /// There was no semicolon before the boundary.
    pub missing_semicolon: bool,
    /// A name was in single quotes, or had one in it.
    pub invalid_quoting: bool,
    /// A part had no data, no name, or a header whose name has an odd character.
    pub invalid_part: bool,
    /// A header went on behind other white space than spaces and tabs.
    pub invalid_header_folding: bool,
    /// There were more files than allowed.
    pub file_limit_exceeded: bool,
    /// A line looked like a boundary, and was none.
    pub unmatched_boundary: bool,
}

impl Flags {
    /// Whether any of those is set that `MULTIPART_STRICT_ERROR` stands for.
    pub fn strict_error(&self) -> bool {
        self.error
            || self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.invalid_header_folding
            || self.file_limit_exceeded
    }

    /// Whether lines ended in both ways (`MULTIPART_CRLF_LF_LINES`).
    pub fn mixed_lines(&self) -> bool {
        self.crlf_line && self.lf_line
    }
}

/// A part that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: Vec<u8>,
    /// The name of its file; a part without one is an argument.
    pub file_name: Option<Vec<u8>>,
    /// The lines of its head, without what ended them; those that were folded are put together.
    pub headers: Vec<Vec<u8>>,
    /// Where its data stands in the body.
    pub data: Range<usize>,
}

/// A body that was read.
#[derive(Clone, Debug, Default)]
pub struct Multipart {
    /// The parts that are complete.
    pub parts: Vec<Part>,
    /// What is unusual.
    pub flags: Flags,
    /// Why it could not be read to its end, in the words of `ModSecurity`.
    pub error: Option<Cow<'static, str>>,
    /// The last name that was seen, of whatever part.
    pub last_name: Option<Vec<u8>>,
    /// The last file name that was seen.
    pub last_file_name: Option<Vec<u8>>,
    /// How many bytes belong to heads and to arguments, and not to files.
    pub length_without_files: usize,
}

impl Multipart {
    /// Reads a body by its `Content-Type`.
    pub fn read(content_type: Option<&[u8]>, body: &[u8], limits: &Limits) -> Self {
        let mut read = Self::default();
        match boundary::of(content_type, &mut read.flags) {
            Ok(boundary) => {
                let mut reader = Reader::of(boundary, limits, body, &mut read);
                let outcome = reader.run();
                read.error = outcome.err();
            }
            Err(message) => {
                read.flags.error = true;
                read.error = Some(message.into());
            }
        }
        read
    }

    /// The arguments that the parts without files are; none if the body could not be read to its end.
    pub fn arguments(&self, limit: usize) -> Arguments {
        let mut arguments = Arguments::default();
        let parts = self.parts.iter().filter(|part| part.file_name.is_none() && self.error.is_none());
        for part in parts {
            let name = arguments.written(|text| text.extend_from_slice(&part.name));
            arguments.add(name, Place::Source(part.data.clone()), limit);
        }
        arguments
    }

    /// The parts that are files.
    pub fn files(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.file_name.is_some())
    }
}

/// What ends the reading of a body; a message in the words of `ModSecurity`.
type Fault = Cow<'static, str>;

/// Lines are looked at as long as this at most; what is longer is read in pieces, of which only the first is a line.
const LONGEST_LINE: usize = 4096;

/// How a piece ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// With CR LF, or at the beginning of all.
    CrLf,
    /// With LF alone.
    Lf,
    /// In the middle of a line.
    Open,
}

struct Reader<'a> {
    boundary: Vec<u8>,
    /// Finds the boundary anywhere in a line.
    finder: Finder<'static>,
    limits: &'a Limits,
    body: &'a [u8],
    into: &'a mut Multipart,
    /// The part that is being read.
    part: Option<Head>,
    /// Where its data is, once its head is complete, and whether there was any.
    data: Option<Range<usize>>,
    has_data: bool,
    boundaries: usize,
    is_complete: bool,
    /// How the piece before ended.
    before: End,
}

impl<'a> Reader<'a> {
    fn of(boundary: Vec<u8>, limits: &'a Limits, body: &'a [u8], into: &'a mut Multipart) -> Self {
        let finder = Finder::new(&[b"--", boundary.as_slice()].concat()).into_owned();
        Self {
            boundary,
            finder,
            limits,
            body,
            into,
            part: None,
            data: None,
            has_data: false,
            boundaries: 0,
            is_complete: false,
            before: End::CrLf,
        }
    }

    fn run(&mut self) -> Result<(), Fault> {
        let mut place = 0;
        while let Some((length, is_cut)) = self.piece(place) {
            let outcome = self.read(place..place + length, is_cut);
            if outcome.is_err() {
                self.into.flags.error = true;
                return outcome;
            }
            place += length;
            if self.is_complete {
                self.into.flags.data_after = place < self.body.len();
                return Ok(());
            }
        }
        self.end(place)
    }

    /// How long the next piece is, and whether it was cut because it is too long for a line; nothing where the body ends
    /// before the line does.
    fn piece(&self, place: usize) -> Option<(usize, bool)> {
        let rest = between(self.body, place, place + LONGEST_LINE);
        match find(b'\n', rest) {
            // CR is never the last byte of a piece.
            Some(end) if end + 1 < LONGEST_LINE => Some((end + 1, false)),
            _ if rest.len() == LONGEST_LINE => {
                let is_cr_last = rest.last() == Some(&b'\r');
                Some((if is_cr_last { LONGEST_LINE - 1 } else { LONGEST_LINE }, true))
            }
            _ => None,
        }
    }

    fn read(&mut self, range: Range<usize>, is_cut: bool) -> Result<(), Fault> {
        let piece = between(self.body, range.start, range.end);
        let was_boundary = self.before != End::Open && self.look_for_boundary(piece)?;
        if !was_boundary {
            match (self.part.is_some(), self.data.is_some()) {
                (false, _) => self.into.flags.data_before = true,
                (true, true) => self.take_data(range),
                (true, false) if is_cut => {
                    return Err(format!("Multipart: Part header line over {LONGEST_LINE} bytes long").into());
                }
                (true, false) => self.take_head(piece, range.end)?,
            }
        }
        self.before = match piece {
            [.., b'\r', b'\n'] => End::CrLf,
            [.., b'\n'] => End::Lf,
            _ => End::Open,
        };
        Ok(())
    }

    /// Whether a line is a boundary, which ends a part and may begin another one.
    fn look_for_boundary(&mut self, piece: &[u8]) -> Result<bool, Fault> {
        // C sees no further than to the first zero.
        let text = piece.split(|byte| *byte == 0).next().unwrap_or_default();
        if text.len() <= 3 || !text.starts_with(b"--") {
            count(piece.len());
            if self.finder.find(piece).is_some() {
                self.into.flags.unmatched_boundary = true;
            }
            return Ok(false);
        }
        let Some(behind) = after(text, 2).strip_prefix(self.boundary.as_slice()) else {
            return self.look_for_distorted_boundary(text).map(|()| false);
        };
        if self.before == End::Lf {
            self.into.flags.lf_line = true;
        }
        if !self.has_data && self.boundaries > 0 {
            // It is where the data of a part should begin.
            self.into.flags.invalid_part = true;
            return Ok(false);
        }
        let is_final = behind.starts_with(b"--");
        match if is_final { after(behind, 2) } else { behind } {
            b"\r\n" => self.into.flags.crlf_line = true,
            b"\n" => self.into.flags.lf_line = true,
            _ => return Err(format!("Multipart: Invalid boundary: {}", text.escape_ascii()).into()),
        }
        self.end_part();
        if is_final {
            self.is_complete = true;
        } else {
            self.begin_part()?;
        }
        self.boundaries += 1;
        Ok(true)
    }

    fn look_for_distorted_boundary(&mut self, text: &[u8]) -> Result<(), Fault> {
        let behind = after(text, 2);
        let is_quoted = behind.strip_prefix(b"\"").is_some_and(|inside| inside.starts_with(&self.boundary));
        if self.into.flags.boundary_quoted && is_quoted {
            return Err("Multipart: Invalid boundary (quotes).".into());
        }
        let spaces = span(behind, is_space);
        if spaces > 0 && after(behind, spaces).starts_with(&self.boundary) {
            return Err("Multipart: Invalid boundary (whitespace).".into());
        }
        self.into.flags.unmatched_boundary = true;
        Ok(())
    }

    fn begin_part(&mut self) -> Result<(), Fault> {
        if self.into.parts.len() >= self.limits.parts {
            return Err(format!("Multipart: More than {} parts.", self.limits.parts).into());
        }
        self.part = Some(Head::default());
        self.data = None;
        self.has_data = false;
        Ok(())
    }

    /// Keeps a part that has a name.
    fn end_part(&mut self) {
        let Some(head) = self.part.take() else { return };
        let Some(name) = head.name else {
            self.into.flags.invalid_part = true;
            return;
        };
        let data = self.data.take().unwrap_or_default();
        if head.file_name.is_none() {
            self.into.length_without_files += data.len();
        } else if self.limits.files.is_some_and(|most| self.into.files().count() >= most) {
            self.into.flags.file_limit_exceeded = true;
        }
        self.into.parts.push(Part { name, file_name: head.file_name, headers: head.lines, data });
    }

    fn take_head(&mut self, line: &[u8], end: usize) -> Result<(), Fault> {
        let Some(head) = &mut self.part else { return Ok(()) };
        if line.contains(&0) {
            return Err("Multipart: Nul byte in part headers.".into());
        }
        self.into.length_without_files += line.len();
        let flags = &mut self.into.flags;
        match line {
            [.., b'\r', b'\n'] => flags.crlf_line = true,
            _ => flags.lf_line = true,
        }
        let line_read = head.take(line, self.limits, flags);
        if let Line::Last = line_read? {
            let outcome = head.complete(flags);
            self.into.last_name = head.name.clone().or(self.into.last_name.take());
            self.into.last_file_name = head.file_name.clone().or(self.into.last_file_name.take());
            outcome?;
            self.data = Some(end..end);
        }
        Ok(())
    }

    /// Data goes to the end of the piece, without the end of the line: that belongs to a boundary, if one follows.
    fn take_data(&mut self, range: Range<usize>) {
        self.has_data = true;
        let piece = between(self.body, range.start, range.end);
        let end = match piece {
            [.., b'\r', b'\n'] => range.end - 2,
            [.., b'\n'] => range.end - 1,
            _ => range.end,
        };
        if let Some(data) = &mut self.data {
            data.end = end;
        }
    }

    /// The body ends, and perhaps within the last boundary.
    fn end(&mut self, place: usize) -> Result<(), Fault> {
        let rest = after(self.body, place);
        if self.body.is_empty() {
            return Ok(());
        }
        if self.boundaries == 0 {
            return Err("Multipart: No boundaries found in payload.".into());
        }
        let behind = rest.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(self.boundary.as_slice()));
        if self.before == End::Open || behind != Some(b"--") {
            return Err("Multipart: Final boundary missing.".into());
        }
        self.into.flags.lf_line |= self.before == End::Lf;
        self.into.flags.invalid_part |= !self.has_data;
        self.end_part();
        self.is_complete = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
