//! Frames as bytes (RFC 6455, section 5.2), valid or not.

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opcode(pub(super) u8);

pub(super) const CONTINUATION: Opcode = Opcode(0);
pub(super) const TEXT: Opcode = Opcode(1);
pub(super) const BINARY: Opcode = Opcode(2);
pub(super) const CLOSE: Opcode = Opcode(8);
pub(super) const PING: Opcode = Opcode(9);
pub(super) const PONG: Opcode = Opcode(10);

/// Who sends a frame: clients mask what they send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Client,
    Server,
}

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The only frame of a message.
pub(super) fn whole(by: By, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(by, FIN, opcode, payload)
}

/// A frame that another one follows.
pub(super) fn part(by: By, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(by, 0, opcode, payload)
}

/// A frame with reserved bits.
pub(super) fn reserved(by: By, bits: u8, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(by, FIN | (bits << 4), opcode, payload)
}

/// A close frame.
pub(super) fn close(by: By, code: u16, reason: &[u8]) -> Vec<u8> {
    whole(by, CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A message in frames of this many bytes.
pub(super) fn fragmented(by: By, opcode: Opcode, payload: &[u8], size: usize) -> Vec<u8> {
    let pieces: Vec<&[u8]> = payload.chunks(size).collect();
    let last = pieces.len().saturating_sub(1);
    let frames = pieces.iter().enumerate().map(|(index, piece)| {
        let opcode = if index == 0 { opcode } else { CONTINUATION };
        if index == last { whole(by, opcode, piece) } else { part(by, opcode, piece) }
    });
    frames.collect::<Vec<_>>().concat()
}

fn frame(by: By, bits: u8, Opcode(opcode): Opcode, payload: &[u8]) -> Vec<u8> {
    let masked = if by == By::Client { MASKED } else { 0 };
    let mut bytes = vec![bits | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => bytes.push(masked | length),
        (_, Ok(length)) => {
            bytes.push(masked | 0x7e);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(masked | 0x7f);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    match by {
        By::Client => {
            bytes.extend(MASK);
            bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
        By::Server => bytes.extend(payload),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_in_the_examples_of_the_standard() {
        assert_eq!(whole(By::Server, TEXT, b"Hello"), *b"\x81\x05Hello");
        assert_eq!(whole(By::Client, TEXT, b"Hello"), *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(fragmented(By::Server, TEXT, b"Hello", 3), *b"\x01\x03Hel\x80\x02lo");
        assert_eq!(whole(By::Server, BINARY, &[0; 256])[..4], *b"\x82\x7E\x01\x00");
        assert_eq!(whole(By::Server, BINARY, &vec![0; 65536])[..10], *b"\x82\x7F\0\0\0\0\0\x01\0\0");
    }
}
