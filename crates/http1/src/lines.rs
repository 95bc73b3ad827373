//! Lines and header fields as ranges of the input. Each byte of a head is checked here, once and from left to right.
//!
//! Because of that order, what is refused does not depend on how the bytes arrived.

use smallvec::SmallVec;

use crate::refusal::{Place, Refusal};
use crate::scan;

/// Where a field stands in the input: its name, and its value without the white space around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// Offset of the name.
    pub(crate) start: usize,
    /// Offset of the colon.
    pub(crate) colon: usize,
    /// Offset of the value.
    pub(crate) value: usize,
    /// Offset behind the value.
    pub(crate) end: usize,
    /// Whether the value is ASCII for sure.
    pub(crate) is_ascii: bool,
}

/// The fields of a section. Most heads have fewer than the inline number, and then nothing is allocated.
pub(crate) type Fields = SmallVec<[Field; 32]>;

/// What is between two line ends, or the part of it that is there.
pub(crate) enum Line {
    /// A line without its CRLF, which stands at `end`.
    Whole { end: usize, is_ascii: bool },
    /// All that is there is clean, but the CRLF is still to come.
    Partial,
    /// Clean up to `end`, where there is something that does not belong in a line.
    Broken { end: usize, refusal: Refusal },
}

/// Finds the end of the line that begins at `start`. There are no control bytes but tabs before it.
#[inline]
pub(crate) fn line(input: &[u8], start: usize, place: impl FnOnce() -> Place) -> Line {
    let rest = input.get(start..).unwrap_or_default();
    let run = scan::until_control(rest);
    let end = start + run.length;
    match rest.get(run.length..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Line::Whole { end, is_ascii: run.is_ascii },
        [] | [b'\r'] => Line::Partial,
        [byte, ..] => Line::Broken { end, refusal: broken(*byte, place()) },
    }
}

/// The refusal of a control byte.
#[cold]
fn broken(byte: u8, place: Place) -> Refusal {
    match byte {
        b'\r' => Refusal::BareCarriageReturn(place),
        b'\n' => Refusal::BareLineFeed(place),
        byte => Refusal::ControlByte(place, byte),
    }
}

/// Reads the fields that begin at `start`, up to and with the empty line, behind which the answer points.
///
/// `None`: the section is not complete yet.
pub(crate) fn section(
    input: &[u8],
    start: usize,
    limit: usize,
    place: fn(usize) -> Place,
    fields: &mut Fields,
) -> Result<Option<usize>, Refusal> {
    let mut at = start;
    loop {
        let number = fields.len() + 1;
        let (end, is_ascii) = match line(input, at, || place(number)) {
            Line::Whole { end, is_ascii } => (end, is_ascii),
            Line::Partial => return Ok(None),
            Line::Broken { refusal, .. } => return Err(refusal),
        };
        if end == at {
            return Ok(Some(end + 2));
        }
        if number > limit {
            return Err(Refusal::TooManyHeaders { limit });
        }
        let Some(field) = field(input, at, end, is_ascii) else {
            return Err(malformed(input.get(at..end).unwrap_or_default(), place(number)));
        };
        fields.push(field);
        at = end + 2;
    }
}

/// Splits the line from `start` to `end` at its colon. `None`: there is none, or white space or nothing is before it.
#[inline]
fn field(input: &[u8], start: usize, end: usize, is_ascii: bool) -> Option<Field> {
    let colon = start + scan::find(b':', input.get(start..)?);
    let (first, last) = (input.get(start)?, input.get(start..colon)?.last()?);
    if is_blank(*first) || is_blank(*last) {
        return None;
    }
    let mut value = input.get(colon + 1..end)?;
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    let start_of_value = end - value.len();
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    Some(Field { start, colon, value: start_of_value, end: start_of_value + value.len(), is_ascii })
}

/// Says what is wrong with a line that has no field in it.
#[cold]
fn malformed(text: &[u8], place: Place) -> Refusal {
    let name = text.split(|byte| *byte == b':').next().unwrap_or_default();
    if text.first().is_some_and(|byte| is_blank(*byte)) {
        Refusal::FoldedLine(place)
    } else if name.len() == text.len() {
        Refusal::MissingColon(place)
    } else if name.is_empty() {
        Refusal::EmptyName(place)
    } else {
        Refusal::SpaceBeforeColon(place)
    }
}

/// White space within a line (`OWS`).
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
