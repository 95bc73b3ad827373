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
    Whole { end: usize },
    /// Clean up to `end`, but the CRLF behind it is still to come.
    Partial { end: usize },
    /// Clean up to `end`, where there is something that does not belong in a line.
    Broken { end: usize, refusal: Refusal },
}

/// Finds the end of the line that begins at `start`. There are no control bytes but tabs before it.
#[inline]
pub(crate) fn line(input: &[u8], start: usize, place: Place) -> Line {
    let rest = input.get(start..).unwrap_or_default();
    let run = scan::until_control(rest);
    let end = start + run.length;
    match rest.get(run.length..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Line::Whole { end },
        [] | [b'\r'] => Line::Partial { end },
        [byte, ..] => Line::Broken { end, refusal: broken(*byte, place) },
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
    let limit = limit.min(MOST_FIELDS);
    let mut rest = input.get(start..).unwrap_or_default();
    loop {
        let number = fields.len() + 1;
        let run = scan::until_control(rest);
        let (text, behind) = rest.split_at_checked(run.length).unwrap_or_default();
        let next = match behind {
            [b'\r', b'\n', next @ ..] => next,
            [] | [b'\r'] => return Ok(None),
            [byte, ..] => return Err(broken(*byte, place(number))),
        };
        if text.is_empty() {
            return Ok(Some(input.len() - next.len()));
        }
        if number > limit {
            return Err(Refusal::TooManyHeaders { limit });
        }
        // The colon is searched beyond the line, because that is faster in long runs of bytes than in short ones.
        let colon = scan::find(b':', rest);
        let Some(field) = field(text, colon, input.len() - rest.len(), run.is_ascii) else {
            return Err(malformed(text, place(number)));
        };
        fields.push(field);
        rest = next;
    }
}

/// Splits a line at its colon. `None`: it is not in the line, or white space or nothing is before it.
#[inline]
fn field(text: &[u8], colon: usize, start: usize, is_ascii: bool) -> Option<Field> {
    let (name, value) = text.split_at_checked(colon)?;
    let [_, value @ ..] = value else { return None };
    let (first, last) = (name.first()?, name.last()?);
    if is_blank(*first) || is_blank(*last) {
        return None;
    }
    let mut value = value;
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    let value_start = start + text.len() - value.len();
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    Some(Field { start, colon: start + colon, value: value_start, end: value_start + value.len(), is_ascii })
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

/// No setting goes beyond this, because a header map has an end and would panic there.
const MOST_FIELDS: usize = 10_000;
