//! Encoders that take a piece and give what has come of it so far.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Coding;

/// The efforts of the encoders.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    /// Of gzip, 1 to 9.
    pub gzip: u32,
    /// Of brotli, 0 to 11.
    pub brotli: u32,
    /// Of zstd, 1 to 22.
    pub zstd: u32,
}

/// An encoder in the middle of an answer.
pub struct Encoder {
    writer: Writer,
    flushes: bool,
}

enum Writer {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// An encoder at the beginning of an answer, whose length may be known. It flushes each piece, or when it likes.
    pub fn new(coding: Coding, levels: Levels, length: Option<u64>, flushes: bool) -> io::Result<Self> {
        let output = Vec::new();
        // The length is a hint and no promise: a policy within may still change the body.
        let log = WINDOW_LOG.min(length.map_or(WINDOW_LOG, window_log));
        let writer = match coding {
            Coding::Gzip => Writer::Gzip(GzEncoder::new(output, Compression::new(levels.gzip))),
            Coding::Brotli => Writer::Brotli(Box::new(CompressorWriter::new(output, 4096, levels.brotli, log))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(output, i32::try_from(levels.zstd).unwrap_or(3))?;
                encoder.window_log(log)?;
                Writer::Zstd(encoder)
            }
        };
        Ok(Self { writer, flushes })
    }

    /// Takes a piece, and gives what is ready.
    pub fn encode(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        let writer: &mut dyn Write = match &mut self.writer {
            Writer::Gzip(writer) => writer,
            Writer::Brotli(writer) => writer,
            Writer::Zstd(writer) => writer,
        };
        writer.write_all(piece)?;
        if self.flushes {
            writer.flush()?;
        }
        let output = match &mut self.writer {
            Writer::Gzip(writer) => writer.get_mut(),
            Writer::Brotli(writer) => writer.get_mut(),
            Writer::Zstd(writer) => writer.get_mut(),
        };
        Ok(std::mem::take(output).into())
    }

    /// Gives the rest.
    pub fn finish(self) -> io::Result<Bytes> {
        let rest = match self.writer {
            Writer::Gzip(writer) => writer.finish()?,
            Writer::Brotli(writer) => writer.into_inner(),
            Writer::Zstd(writer) => writer.finish()?,
        };
        Ok(rest.into())
    }
}

/// 256 KiB: more would hardly make texts smaller, and each answer underway holds memory for it.
const WINDOW_LOG: u32 = 18;

/// The smallest window that holds this many bytes.
fn window_log(length: u64) -> u32 {
    (length.max(1).ilog2() + 1).max(10)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    const LEVELS: Levels = Levels { gzip: 5, brotli: 4, zstd: 3 };

    fn decoded(coding: Coding, encoded: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(encoded).read_to_end(&mut decoded).unwrap(),
            Coding::Brotli => brotli::Decompressor::new(encoded, 4096).read_to_end(&mut decoded).unwrap(),
            Coding::Zstd => zstd::stream::read::Decoder::new(encoded).unwrap().read_to_end(&mut decoded).unwrap(),
        };
        decoded
    }

    fn coding() -> impl Strategy<Value = Coding> {
        prop::sample::select(vec![Coding::Gzip, Coding::Brotli, Coding::Zstd])
    }

    #[test]
    fn a_flushed_piece_can_be_read_at_once() {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let mut encoder = Encoder::new(coding, LEVELS, None, true).unwrap();
            let first = encoder.encode(b"data: 1\n\n").unwrap();
            let mut read = [0; 9];
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(&*first).read_exact(&mut read).unwrap(),
                Coding::Brotli => brotli::Decompressor::new(&*first, 4096).read_exact(&mut read).unwrap(),
                Coding::Zstd => zstd::stream::read::Decoder::new(&*first).unwrap().read_exact(&mut read).unwrap(),
            }
            assert_eq!(&read, b"data: 1\n\n", "{coding:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_encoded_in_pieces_is_decoded_whole(
            coding in coding(), pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6),
            flushes: bool, length: Option<u64>,
        ) {
            let whole = pieces.concat();
            let mut encoder = Encoder::new(coding, LEVELS, length, flushes).unwrap();
            let mut encoded = Vec::new();
            for piece in &pieces {
                encoded.extend(encoder.encode(piece).unwrap());
            }
            encoded.extend(encoder.finish().unwrap());
            prop_assert_eq!(decoded(coding, &encoded), whole);
        }
    }
}
