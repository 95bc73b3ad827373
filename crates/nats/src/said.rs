//! What a server says.

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;

/// Something that a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// How the server is; the first thing that it says, and again when that changes.
    Info(Box<Info>),
    /// It wants to hear `PONG`.
    Ping,
    /// It heard `PING`.
    Pong,
    /// It did what it was told.
    Ok,
    /// Something is wrong; after most errors it ends the connection.
    Error(String),
    /// A message for a subscription.
    Message(Message),
}

/// How a server is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Info {
    /// It wants TLS from here on.
    pub tls_required: bool,
    /// It can do TLS from here on.
    pub tls_available: bool,
    /// It knows headers.
    pub headers: bool,
    /// What a client signs that logs in by a key.
    pub nonce: Option<String>,
}

/// A message for a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The subject that it was published to.
    pub subject: String,
    /// A status in place of a message, such as 503: nobody answers.
    pub status: Option<u16>,
    /// What was published.
    pub payload: Bytes,
}

/// It is not what a server of NATS says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not speak NATS: {0}")]
pub struct Malformed(&'static str);

impl Said {
    /// Takes the next thing that was said from the front of what has arrived; none, if it is not whole yet.
    pub fn next(arrived: &mut BytesMut) -> Result<Option<Self>, Malformed> {
        let Some(end) = memchr::memmem::find(arrived, b"\r\n") else {
            if arrived.len() > LONGEST_LINE {
                return Err(Malformed("a line does not end"));
            }
            return Ok(None);
        };
        let line = arrived.get(..end).unwrap_or_default();
        if end > LONGEST_LINE {
            return Err(Malformed("a line is too long"));
        }
        let line = std::str::from_utf8(line).map_err(|_not_text| Malformed("a line is no text"))?;
        let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let said = match verb.to_ascii_uppercase().as_str() {
            "MSG" => return message(&Sizes::of(rest, false)?, arrived, end + 2),
            "HMSG" => return message(&Sizes::of(rest, true)?, arrived, end + 2),
            "INFO" => Self::Info(serde_json::from_str(rest).map_err(|_error| Malformed("INFO is no JSON"))?),
            "PING" => Self::Ping,
            "PONG" => Self::Pong,
            "+OK" => Self::Ok,
            "-ERR" => Self::Error(rest.trim().trim_matches('\'').to_owned()),
            _ => return Err(Malformed("a line begins with no word of it")),
        };
        arrived.advance(end + 2);
        Ok(Some(said))
    }
}

/// What the line before a message says of it.
struct Sizes {
    subject: String,
    head: usize,
    total: usize,
}

impl Sizes {
    /// `subject sid [reply] [bytes of the head] bytes`
    fn of(rest: &str, has_head: bool) -> Result<Self, Malformed> {
        let words: Vec<_> = rest.split_ascii_whitespace().collect();
        let wrong = || Malformed("a message has no size");
        let number = |word: Option<&&str>| word.and_then(|word| word.parse().ok()).ok_or_else(wrong);
        let total = number(words.last())?;
        let head = if has_head { number(words.iter().rev().nth(1))? } else { 0 };
        let fits = if has_head { 4..=5 } else { 3..=4 };
        if !fits.contains(&words.len()) || head > total || total > LONGEST_MESSAGE {
            return Err(wrong());
        }
        Ok(Self { subject: words.first().copied().unwrap_or_default().to_owned(), head, total })
    }
}

/// The message that begins behind its line, if it has arrived.
fn message(sizes: &Sizes, arrived: &mut BytesMut, begin: usize) -> Result<Option<Said>, Malformed> {
    let Sizes { subject, head, total } = sizes;
    let Some(end) = arrived.get(begin + total..begin + total + 2) else { return Ok(None) };
    if end != b"\r\n" {
        return Err(Malformed("a message is longer than it says"));
    }
    let subject = subject.clone();
    arrived.advance(begin);
    let mut payload = arrived.split_to(*total).freeze();
    arrived.advance(2);
    let status = status(&payload.split_to(*head));
    Ok(Some(Said::Message(Message { subject, status, payload })))
}

/// The status in `NATS/1.0 503`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line.strip_prefix(b"NATS/1.0")?).ok()?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// `INFO` of a large cluster names all of its servers.
const LONGEST_LINE: usize = 64 * 1024;
/// Acknowledgements are some 60 bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &[u8]) -> Result<Vec<Said>, Malformed> {
        let (mut arrived, mut said) = (BytesMut::from(text), Vec::new());
        while let Some(next) = Said::next(&mut arrived)? {
            said.push(next);
        }
        Ok(said)
    }

    fn message(subject: &str, status: Option<u16>, payload: &'static str) -> Said {
        Said::Message(Message { subject: subject.to_owned(), status, payload: payload.into() })
    }

    const SPOKEN: &[u8] =
        b"INFO {\"tls_required\":true,\"max_payload\":1048576,\"headers\":true,\"nonce\":\"abc\",\"x\":1}\r\n\
        PING\r\nPONG\r\n+OK\r\n-ERR 'Authorization Violation'\r\n\
        MSG _INBOX.a.1 1 5\r\nhe\r\no\r\nMSG _INBOX.a.2\t1 reply 0\r\n\r\n\
        HMSG _INBOX.a.3 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\nHMSG a 1 to 18 20\r\nNATS/1.0\r\na: b\r\n\r\nhi\r\n";

    #[test]
    fn what_a_server_says_is_understood() {
        let info = Info { tls_required: true, tls_available: false, headers: true, nonce: Some("abc".to_owned()) };
        let expected = [
            Said::Info(Box::new(info)),
            Said::Ping,
            Said::Pong,
            Said::Ok,
            Said::Error("Authorization Violation".to_owned()),
            message("_INBOX.a.1", None, "he\r\no"),
            message("_INBOX.a.2", None, ""),
            message("_INBOX.a.3", Some(503), ""),
            message("a", None, "hi"),
        ];
        assert_eq!(all(SPOKEN).unwrap(), expected);
    }

    #[test]
    fn what_no_server_says_is_refused() {
        let long = vec![b'x'; LONGEST_LINE + 1];
        let wrong: [&[u8]; 9] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\xff\r\n",
            b"INFO nothing\r\n",
            b"MSG a\r\n",
            b"MSG a 1 99999999999\r\n",
            b"MSG a 1 2\r\nhello\r\n",
            b"HMSG a 1 9 8\r\nNATS/1.0\r\n",
            b"MSG a 1 r s 2\r\nhi\r\n",
            &long,
        ];
        for text in wrong {
            assert!(all(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    proptest! {
        #[test]
        fn every_split_reads_alike(cuts in proptest::collection::vec(0..SPOKEN.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, SPOKEN.len()]);
            cuts.sort_unstable();
            let (mut arrived, mut said) = (BytesMut::new(), Vec::new());
            for part in cuts.windows(2) {
                arrived.extend_from_slice(&SPOKEN[part[0]..part[1]]);
                while let Some(next) = Said::next(&mut arrived).unwrap() {
                    said.push(next);
                }
            }
            prop_assert_eq!(said, all(SPOKEN).unwrap());
        }

        #[test]
        fn nothing_panics(text: Vec<u8>) {
            drop(all(&text));
            drop(all(&[b"HMSG a 1 2 3\r\n", &text[..]].concat()));
        }
    }
}
