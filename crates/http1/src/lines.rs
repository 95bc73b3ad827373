//! Lines and header fields as ranges of the input. Each byte of a head is checked here, once and from left to right.
//!
//! Because of that order, what is refused does not depend on how the bytes arrived.

use smallvec::SmallVec;

use crate::refusal::{Place, Refusal};

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
}

/// The fields of a section. Most heads have fewer than the inline number, and then nothing is allocated.
pub(crate) type Fields = SmallVec<[Field; 32]>;

/// What is between two line ends, or the part of it that is there.
pub(crate) enum Line {
    /// A line without its CRLF, which stands at `end`.
    Whole { end: usize },
    /// All that is there is clean, but the CRLF is still to come.
    Partial,
    /// Clean up to `end`, where there is something that does not belong in a line.
    Broken { end: usize, refusal: Refusal },
}

/// Finds the end of the line that begins at `start`. There are no control bytes but tabs before it.
#[inline]
pub(crate) fn line(input: &[u8], start: usize, place: Place) -> Line {
    let mut from = start;
    loop {
        let rest = input.get(from..).unwrap_or_default();
        let found = first_control(rest);
        let end = from + found;
        match rest.get(found..).unwrap_or_default() {
            [b'\r', b'\n', ..] => return Line::Whole { end },
            [] | [b'\r'] => return Line::Partial,
            [b'\t', ..] => from = end + 1,
            [byte, ..] => return Line::Broken { end, refusal: broken(*byte, place) },
        }
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
        let end = match line(input, at, place(number)) {
            Line::Whole { end } => end,
            Line::Partial => return Ok(None),
            Line::Broken { refusal, .. } => return Err(refusal),
        };
        if end == at {
            return Ok(Some(end + 2));
        }
        if number > limit {
            return Err(Refusal::TooManyHeaders { limit });
        }
        let text = input.get(at..end).unwrap_or_default();
        fields.push(field(text, at).ok_or_else(|| malformed(text, place(number)))?);
        at = end + 2;
    }
}

/// Splits a line at its colon. `None`: there is none, or white space or nothing is before it.
#[inline]
fn field(text: &[u8], at: usize) -> Option<Field> {
    let colon = memchr::memchr(b':', text)?;
    let (name, value) = (text.get(..colon)?, text.get(colon + 1..)?);
    let (first, last) = (name.first()?, name.last()?);
    if is_blank(*first) || is_blank(*last) {
        return None;
    }
    let leading = value.iter().take_while(|byte| is_blank(**byte)).count();
    let trailing = value.iter().skip(leading).rev().take_while(|byte| is_blank(**byte)).count();
    let colon = at + colon;
    Some(Field { start: at, colon, value: colon + 1 + leading, end: at + text.len() - trailing })
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

/// The offset of the first control byte (0x00-0x1f, 0x7f), or the length if there is none.
#[inline]
pub(crate) fn first_control(bytes: &[u8]) -> usize {
    let (blocks, tail) = bytes.as_chunks::<16>();
    for (index, block) in blocks.iter().enumerate() {
        let found = block.iter().fold(false, |found, byte| found | is_control(*byte));
        if found {
            return index * 16 + block.iter().position(|byte| is_control(*byte)).unwrap_or(0);
        }
    }
    let done = bytes.len() - tail.len();
    done + tail.iter().position(|byte| is_control(*byte)).unwrap_or(tail.len())
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}
