//! Looks for bytes sixteen at a time.

/// What is known about a run of bytes up to the one that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Its length: the offset of what was found, or all if nothing was.
    pub(crate) length: usize,
    /// Whether all of it is ASCII.
    pub(crate) is_ascii: bool,
}

/// The bytes before the first control byte other than a tab (0x00-0x08, 0x0a-0x1f, 0x7f).
#[inline]
pub(crate) fn until_control(bytes: &[u8]) -> Run {
    let mut high = 0;
    let (blocks, tail) = bytes.as_chunks::<16>();
    for (index, block) in blocks.iter().enumerate() {
        let (controls, highs) = (block::controls(block), block::highs(block));
        if controls != 0 {
            high |= highs & (controls - 1);
            return Run { length: index * 16 + controls.trailing_zeros() as usize, is_ascii: high == 0 };
        }
        high |= highs;
    }
    let block = padded(tail);
    let controls = block::controls(&block) | 1 << tail.len();
    high |= block::highs(&block) & (controls - 1);
    Run { length: blocks.len() * 16 + controls.trailing_zeros() as usize, is_ascii: high == 0 }
}

/// The offset of the first `byte`, or the length if there is none.
#[inline]
pub(crate) fn find(byte: u8, bytes: &[u8]) -> usize {
    let (blocks, tail) = bytes.as_chunks::<16>();
    for (index, block) in blocks.iter().enumerate() {
        let found = block::equals(block, byte);
        if found != 0 {
            return index * 16 + found.trailing_zeros() as usize;
        }
    }
    let found = block::equals(&padded(tail), byte) | 1 << tail.len();
    blocks.len() * 16 + found.trailing_zeros() as usize
}

/// Whether all bytes can be in a request target: visible ASCII other than `#`.
#[inline]
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    let (blocks, tail) = bytes.as_chunks::<16>();
    let others = blocks.iter().fold(0, |others, block| others | block::others(block));
    others | (block::others(&padded(tail)) & ((1 << tail.len()) - 1)) == 0
}

/// A block that begins with `tail`, which is shorter.
#[inline]
fn padded(tail: &[u8]) -> [u8; 16] {
    let mut block = [b' '; 16];
    for (to, from) in block.iter_mut().zip(tail) {
        *to = *from;
    }
    block
}

/// Sixteen comparisons at once, by instructions that every processor of this kind has.
#[cfg(target_arch = "x86_64")]
mod block {
    use std::arch::x86_64::{
        __m128i, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8,
    };

    #[inline]
    pub(super) fn controls(block: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        #[expect(unsafe_code, reason = "the compiler asks for it even where every processor has the instructions")]
        unsafe {
            controls_sse2(block)
        }
    }

    #[inline]
    pub(super) fn highs(block: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        #[expect(unsafe_code, reason = "the compiler asks for it even where every processor has the instructions")]
        unsafe {
            highs_sse2(block)
        }
    }

    #[inline]
    pub(super) fn equals(block: &[u8; 16], byte: u8) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        #[expect(unsafe_code, reason = "the compiler asks for it even where every processor has the instructions")]
        unsafe {
            equals_sse2(block, byte)
        }
    }

    #[inline]
    pub(super) fn others(block: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        #[expect(unsafe_code, reason = "the compiler asks for it even where every processor has the instructions")]
        unsafe {
            others_sse2(block)
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn controls_sse2(block: &[u8; 16]) -> u32 {
        let bytes = load(block);
        let low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x09));
        let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        _mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), delete)).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn highs_sse2(block: &[u8; 16]) -> u32 {
        _mm_movemask_epi8(load(block)).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equals_sse2(block: &[u8; 16], byte: u8) -> u32 {
        _mm_movemask_epi8(_mm_cmpeq_epi8(load(block), _mm_set1_epi8(byte.cast_signed()))).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn others_sse2(block: &[u8; 16]) -> u32 {
        // As signed numbers, bytes above ASCII are below all others.
        let bytes = load(block);
        let low_or_high = _mm_cmpgt_epi8(_mm_set1_epi8(0x21), bytes);
        let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        let hash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x23));
        _mm_movemask_epi8(_mm_or_si128(low_or_high, _mm_or_si128(delete, hash))).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the block")]
    fn load(block: &[u8; 16]) -> __m128i {
        let both = u128::from_le_bytes(*block).cast_signed();
        _mm_set_epi64x((both >> 64) as i64, both as i64)
    }
}

/// The same for other processors, one byte after another.
#[cfg(not(target_arch = "x86_64"))]
mod block {
    #[inline]
    pub(super) fn controls(block: &[u8; 16]) -> u32 {
        mask(block, |byte| (byte < 0x20 && byte != 0x09) || byte == 0x7f)
    }

    #[inline]
    pub(super) fn highs(block: &[u8; 16]) -> u32 {
        mask(block, |byte| byte >= 0x80)
    }

    #[inline]
    pub(super) fn equals(block: &[u8; 16], wanted: u8) -> u32 {
        mask(block, |byte| byte == wanted)
    }

    #[inline]
    pub(super) fn others(block: &[u8; 16]) -> u32 {
        mask(block, |byte| !matches!(byte, 0x21..=0x7e) || byte == b'#')
    }

    #[inline]
    fn mask(block: &[u8; 16], has: impl Fn(u8) -> bool) -> u32 {
        block.iter().rev().fold(0, |mask, byte| mask << 1 | u32::from(has(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn is_control(byte: u8) -> bool {
        byte != b'\t' && byte.is_ascii_control()
    }

    #[test]
    fn each_byte_is_found_at_each_offset_of_each_length() {
        for length in 0..50 {
            for offset in 0..length {
                for byte in 0..=255 {
                    let mut bytes = vec![b'a'; length];
                    bytes[offset] = byte;
                    let end = if is_control(byte) { offset } else { length };
                    assert_eq!(until_control(&bytes), Run { length: end, is_ascii: byte < 0x80 }, "{byte} at {offset}");
                    bytes.fill(!byte);
                    bytes[offset] = byte;
                    assert_eq!(find(byte, &bytes), offset);
                    bytes.fill(b'a');
                    bytes[offset] = byte;
                    assert_eq!(is_target(&bytes), byte.is_ascii_graphic() && byte != b'#', "{byte} at {offset}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn runs_end_at_the_first_control_byte(bytes in vec(prop_oneof![9 => 0x20..=0xff_u8, 1 => any::<u8>()], 0..80)) {
            let length = bytes.iter().position(|byte| is_control(*byte)).unwrap_or(bytes.len());
            prop_assert_eq!(until_control(&bytes), Run { length, is_ascii: bytes[..length].is_ascii() });
        }
    }
}
