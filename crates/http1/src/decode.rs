//! Takes content from what was read, without copying it.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use crate::fields::header_value;
use crate::forbidden;
use crate::lines::{self, Fields, Line};
use crate::names::header_name;
use crate::refusal::{Place, Refusal};
use crate::{Framing, Limits};

/// What a [`Decoder`] found.
#[derive(Debug, PartialEq)]
pub enum Decoded {
    /// A part of the content, never empty.
    Data(Bytes),
    /// The trailers, without those that may not be there. Comes at most once, and after all data.
    Trailers(HeaderMap),
    /// The content is complete. What is left of the input belongs to the next message.
    Done,
    /// More input is needed.
    More,
}

/// Finds the content of one message in the bytes after its head.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Bytes that chunk extensions may still take.
    extensions_left: usize,
    trailer_bytes: usize,
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

impl Decoder {
    /// A decoder for content of this framing. Of `limits`, those of heads hold for the trailers.
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, extensions_left: MAX_EXTENSIONS, trailer_bytes: limits.head_bytes, trailers: limits.headers }
    }

    /// Takes the next part of the content out of `input`, and leaves there what does not belong to it.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, Refusal> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::Done),
                _ if input.is_empty() => return Ok(Decoded::More),
                State::UntilClose => return Ok(Decoded::Data(input.split().freeze())),
                State::Length(left) => {
                    let (data, left) = take(input, left);
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(Decoded::Data(data));
                }
                State::ChunkData(left) => {
                    let (data, left) = take(input, left);
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    return Ok(Decoded::Data(data));
                }
                State::ChunkEnd => match &**input {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        self.state = State::ChunkSize;
                    }
                    [b'\r'] => return Ok(Decoded::More),
                    _ => return Err(Refusal::MissingChunkEnd),
                },
                State::ChunkSize => match self.chunk_size(input)? {
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::ChunkData(size),
                    None => return Ok(Decoded::More),
                },
                State::Trailers => match self.trailers(input)? {
                    Some(trailers) if trailers.is_empty() => self.state = State::Done,
                    Some(trailers) => {
                        self.state = State::Done;
                        return Ok(Decoded::Trailers(trailers));
                    }
                    None => return Ok(Decoded::More),
                },
            }
        }
    }

    /// Whether the content is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes of content are still to come, if that is known.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            State::UntilClose | State::ChunkSize | State::ChunkData(_) | State::ChunkEnd | State::Trailers => None,
        }
    }

    /// To be called when the peer has closed the connection. Refuses content that is not complete.
    pub fn end_of_input(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Length(_) | State::ChunkSize | State::ChunkData(_) | State::ChunkEnd | State::Trailers => {
                Err(Refusal::UnexpectedEnd)
            }
        }
    }

    /// Takes a line with the size of a chunk. `None`: it is not complete.
    fn chunk_size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, Refusal> {
        let mut size = 0_u64;
        let mut digits = 0;
        for byte in input.iter() {
            let Some(digit) = char::from(*byte).to_digit(16) else { break };
            size = size << 4 | u64::from(digit);
            digits += 1;
            if digits > MAX_SIZE_DIGITS {
                return Err(Refusal::BadChunkSize);
            }
        }
        let length = match input.get(digits..).unwrap_or_default() {
            _ if digits == 0 => return Err(Refusal::BadChunkSize),
            [b'\r', b'\n', ..] => 0,
            [] | [b'\r'] => return Ok(None),
            [b'\r', ..] => return Err(Refusal::BareCarriageReturn(Place::ChunkLine)),
            [b'\n', ..] => return Err(Refusal::BareLineFeed(Place::ChunkLine)),
            [b';', ..] => match self.extension_length(input, digits)? {
                Some(length) => length,
                None => return Ok(None),
            },
            _ => return Err(Refusal::BadChunkSize),
        };
        self.extensions_left -= length;
        input.advance(digits + length + 2);
        Ok(Some(size))
    }

    /// The length of the chunk extensions that begin at `start`. `None`: they are not complete.
    fn extension_length(&self, input: &[u8], start: usize) -> Result<Option<usize>, Refusal> {
        let bounded = input.get(..start + self.extensions_left + 2).unwrap_or(input);
        match lines::line(bounded, start, Place::ChunkLine) {
            Line::Whole { end } => Ok(Some(end - start)),
            Line::Broken { refusal, .. } => Err(refusal),
            Line::Partial { .. } if bounded.len() < start + self.extensions_left + 2 => Ok(None),
            Line::Partial { .. } => Err(Refusal::ChunkExtensionsTooLong { limit: MAX_EXTENSIONS }),
        }
    }

    /// Takes the trailer section. `None`: it is not complete.
    fn trailers(&self, input: &mut BytesMut) -> Result<Option<HeaderMap>, Refusal> {
        let visible = input.get(..self.trailer_bytes).unwrap_or(input);
        let mut fields = Fields::new();
        let Some(end) = lines::section(visible, 0, self.trailers, Place::Trailer, &mut fields)? else {
            if input.len() >= self.trailer_bytes {
                return Err(Refusal::TrailersTooLarge { limit: self.trailer_bytes });
            }
            return Ok(None);
        };
        if fields.is_empty() {
            input.advance(end);
            return Ok(Some(HeaderMap::new()));
        }
        let section = input.split_to(end).freeze();
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            let bad_name = || Refusal::BadName(Place::Trailer(index + 1));
            let name = header_name(&section, field.start, field.colon).ok_or_else(bad_name)?;
            let value = header_value(&section, field).ok_or_else(bad_name)?;
            if !forbidden::in_trailers(&name) {
                trailers.append(name, value);
            }
        }
        Ok(Some(trailers))
    }
}

/// Takes as much of `wanted` as there is, and says how much is left of it.
fn take(input: &mut BytesMut, wanted: u64) -> (Bytes, u64) {
    let length = usize::try_from(wanted).unwrap_or(usize::MAX).min(input.len());
    let data = input.split_to(length).freeze();
    (data, wanted - length as u64)
}

/// Sixteen digits are all that fit in 64 bits.
const MAX_SIZE_DIGITS: usize = 16;

/// What the extensions of all chunks of a message may take together. Nobody uses them for anything good.
const MAX_EXTENSIONS: usize = 4 * 1024;
