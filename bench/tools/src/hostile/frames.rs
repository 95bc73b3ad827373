//! HTTP/2 by hand: frames that no library would send.

use tokio::io::{AsyncRead, AsyncReadExt};

/// What a client of HTTP/2 begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The preface with settings, each an identifier and its value.
pub(crate) fn greeting(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes())).collect();
    [PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()
}

/// A header block of a request, without any compression.
pub(crate) fn head(method: &str, path: &str) -> Vec<u8> {
    let mut block = vec![0x86];
    for (index, value) in [(2, method), (4, path), (1, "hostile.example")] {
        block.push(index);
        block.push(u8::try_from(value.len()).unwrap_or(0));
        block.extend(value.bytes());
    }
    block
}

/// A GET that is complete.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", path))
}

/// The head of a POST whose body follows.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head("POST", path))
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// A frame that came.
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

/// Reads a frame; none at the end of the connection, however it ends.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Option<Came> {
    let mut head = [0; 9];
    from.read_exact(&mut head).await.ok()?;
    let [high, middle, low, kind, ..] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?];
    from.read_exact(&mut payload).await.ok()?;
    Some(Came { kind, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_can_be_read() {
        let sent = [window_update(3, 7), get(5, "/")].concat();
        let mut from = sent.as_slice();

        let first = read(&mut from).await.unwrap();
        assert_eq!((first.kind, first.payload), (WINDOW_UPDATE, vec![0, 0, 0, 7]));
        assert_eq!(read(&mut from).await.unwrap().kind, HEADERS);
        assert!(read(&mut from).await.is_none());
    }
}
