//! The cases, after the manner of the Autobahn test suite.

use super::frames::{
    BINARY, By, CLOSE, CONTINUATION, Opcode, PING, PONG, TEXT, close, fragmented, part, reserved, whole,
};

/// What a client does, and what server it meets.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// Header lines of the handshake beside those that each has.
    pub(super) offers: Vec<&'static str>,
    pub(super) sent: Vec<u8>,
    /// Bytes that each end writes at once.
    pub(super) piece: usize,
    /// None: the server is the strict one, which echoes.
    pub(super) script: Option<Script>,
}

/// What a server says, whatever it hears; it hangs up once it has heard all that the client sends.
#[derive(Debug)]
pub(super) struct Script {
    /// Header lines of its answer to the handshake.
    pub(super) accepts: Vec<&'static str>,
    pub(super) says: Vec<u8>,
}

const C: By = By::Client;
const S: By = By::Server;
/// As large as nothing is.
const AT_ONCE: usize = usize::MAX;

pub(super) fn all() -> Vec<Case> {
    let groups = [
        framing(),
        pings(),
        reserved_bits(),
        reserved_opcodes(),
        fragmentation(),
        utf8(),
        closing(),
        closing_by_the_server(),
        masking(),
        volume(),
        handshakes(),
        compression(),
        endings(),
    ];
    groups.into_iter().flatten().collect()
}

/// A case with the strict server; the client says goodbye at last.
fn strict(kind: &'static str, name: String, frames: &[Vec<u8>], piece: usize) -> Case {
    let sent = [frames.concat(), close(C, 1000, b"")].concat();
    Case { kind, name, offers: Vec::new(), sent, piece, script: None }
}

fn scripted(kind: &'static str, name: String, sent: Vec<u8>, says: Vec<u8>, piece: usize) -> Case {
    Case { kind, name, offers: Vec::new(), sent, piece, script: Some(Script { accepts: Vec::new(), says }) }
}

fn payload(length: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(length).collect()
}

fn framing() -> Vec<Case> {
    let lengths = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1 << 20];
    let mut cases = Vec::new();
    for (opcode, length) in [TEXT, BINARY].into_iter().flat_map(|opcode| lengths.map(|length| (opcode, length))) {
        for piece in [AT_ONCE, if length > 128 { 997 } else { 1 }] {
            let message = payload(length);
            let name = format!("opcode {} with {length} bytes, pieces of {piece}", opcode.0);
            cases.push(strict("framing", name.clone(), &[whole(C, opcode, &message)], piece));
            cases.push(scripted("framing", name, whole(C, opcode, &message), whole(S, opcode, &message), piece));
        }
    }
    cases
}

fn pings() -> Vec<Case> {
    let kind = "pings and pongs";
    let mut cases = Vec::new();
    for piece in [AT_ONCE, 1] {
        for length in [0, 1, 125, 126] {
            cases.push(strict(kind, format!("a ping of {length}"), &[whole(C, PING, &payload(length))], piece));
            cases.push(strict(kind, format!("a pong of {length}"), &[whole(C, PONG, &payload(length))], piece));
        }
        let ping = whole(C, PING, b"\0\xff\xfe\xfd\xfc\xfb\0\xff");
        cases.push(strict(kind, "a ping that is no text".to_owned(), std::slice::from_ref(&ping), piece));
        cases.push(strict(kind, "ten pings".to_owned(), &vec![ping.clone(); 10], piece));
        cases.push(strict(kind, "a ping in fragments".to_owned(), &[part(C, PING, b"a"), ping.clone()], piece));
        let between =
            [part(C, TEXT, b"a"), ping.clone(), part(C, CONTINUATION, b"b"), ping, whole(C, CONTINUATION, b"c")];
        cases.push(strict(kind, "pings between fragments".to_owned(), &between, piece));
    }
    cases
}

fn reserved_bits() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in 1..8 {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            let first = whole(C, TEXT, b"before");
            let name = format!("bits {bits} with opcode {}", opcode.0);
            cases.push(strict("reserved bits", name, &[first, reserved(C, bits, opcode, b"\x03\xe8")], AT_ONCE));
        }
    }
    cases
}

fn reserved_opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for opcode in (3..8).chain(11..16).map(Opcode) {
        for message in [&b""[..], b"payload"] {
            let name = format!("opcode {} with {} bytes", opcode.0, message.len());
            let frames = [whole(C, TEXT, b"before"), whole(C, opcode, message), whole(C, PING, b"")];
            cases.push(strict("reserved opcodes", name.clone(), &frames, AT_ONCE));
            let [to, from] = [C, S].map(|by| whole(by, opcode, message));
            cases.push(scripted("reserved opcodes", name, to, from, 1));
        }
    }
    cases
}

fn fragmentation() -> Vec<Case> {
    let kind = "fragmentation";
    let text = payload(1000);
    let mut cases = Vec::new();
    for piece in [AT_ONCE, 7] {
        for (opcode, size) in [TEXT, BINARY].into_iter().flat_map(|opcode| [1, 10, 125, 126, 999].map(|s| (opcode, s)))
        {
            let name = format!("opcode {} in frames of {size}", opcode.0);
            cases.push(strict(kind, name, &[fragmented(C, opcode, &text, size)], piece));
        }
        let (first, next, last) = (part(C, TEXT, b"a"), part(C, CONTINUATION, b"b"), whole(C, CONTINUATION, b"c"));
        for (name, frames) in [
            ("a continuation of nothing", vec![last.clone()]),
            ("a part that continues nothing", vec![next.clone(), last.clone()]),
            ("a continuation after a whole message", vec![whole(C, TEXT, b"a"), last.clone()]),
            ("a message within a message", vec![first.clone(), whole(C, TEXT, b"b"), last.clone()]),
            ("two beginnings", vec![first.clone(), first.clone(), last.clone()]),
            ("empty parts", vec![part(C, TEXT, b""), part(C, CONTINUATION, b""), whole(C, CONTINUATION, b"")]),
            ("a close within a message", vec![first.clone(), close(C, 1001, b""), last.clone()]),
            ("a close in parts", vec![part(C, CLOSE, b"\x03\xe8"), last.clone()]),
            ("a message without an end", vec![first, next]),
        ] {
            cases.push(strict(kind, name.to_owned(), &frames, piece));
        }
    }
    cases
}

fn utf8() -> Vec<Case> {
    let texts: &[&[u8]] = &[
        "κόσμε".as_bytes(),
        b"\xc2\x80",
        b"\xe0\xa0\x80",
        b"\xf0\x90\x80\x80",
        b"\x7f",
        b"\xdf\xbf",
        b"\xef\xbf\xbf",
        b"\xf4\x8f\xbf\xbf",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbd",
        b"\xef\xbb\xbf",
        b"\0",
        b"\x80",
        b"\xbf",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x80\x80\x80\xaf",
        b"\xf4\x90\x80\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xce",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce",
        b"\xfe",
        b"\xff",
        b"a\xf0\x90\x80",
    ];
    let mut cases = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let name = format!("text {number}, whole");
        cases.push(strict("UTF-8", name, &[whole(C, TEXT, text)], AT_ONCE));
        let name = format!("text {number}, a frame for each byte");
        cases.push(strict("UTF-8", name, &[fragmented(C, TEXT, text, 1)], 3));
    }
    cases
}

/// Codes that may be sent, may not be sent, are reserved, and do not exist.
const CODES: [u16; 32] = [
    0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016,
    1100, 1999, 2000, 2999, 3000, 3001, 3999, 4000, 4500, 4999, 5000, 65_535,
];

/// Payloads of close frames that are none, or too long, or no text.
fn odd_goodbyes() -> [Vec<u8>; 6] {
    let with = |reason: &[u8]| [&1000_u16.to_be_bytes(), reason].concat();
    [
        Vec::new(),
        vec![3],
        with(&payload(123)),
        with(&payload(124)),
        with(b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"),
        with("κόσμε".as_bytes()),
    ]
}

fn closing() -> Vec<Case> {
    let kind = "close by the client";
    let mut cases = Vec::new();
    for code in CODES {
        for reason in [&b""[..], b"done"] {
            let frames = [whole(C, TEXT, b"before"), close(C, code, reason), whole(C, PING, b"late")];
            cases.push(strict(kind, format!("code {code} with {} bytes", reason.len()), &frames, AT_ONCE));
        }
    }
    for goodbye in odd_goodbyes() {
        let name = format!("a goodbye of {} bytes", goodbye.len());
        cases.push(strict(kind, name, &[whole(C, CLOSE, &goodbye)], 1));
    }
    cases
}

fn closing_by_the_server() -> Vec<Case> {
    let kind = "close by the server";
    let answer = close(C, 1000, b"");
    let mut cases = Vec::new();
    for code in CODES {
        for reason in [&b""[..], b"done"] {
            let says = [whole(S, TEXT, b"before"), close(S, code, reason)].concat();
            cases.push(scripted(
                kind,
                format!("code {code} with {} bytes", reason.len()),
                answer.clone(),
                says,
                AT_ONCE,
            ));
        }
    }
    for goodbye in odd_goodbyes() {
        let name = format!("a goodbye of {} bytes", goodbye.len());
        cases.push(scripted(kind, name, answer.clone(), whole(S, CLOSE, &goodbye), 1));
    }
    cases
}

fn masking() -> Vec<Case> {
    let kind = "masks";
    let mut cases = Vec::new();
    for opcode in [TEXT, BINARY, PING, CLOSE] {
        let name = format!("opcode {} from a client without a mask", opcode.0);
        cases.push(strict(kind, name, &[whole(S, opcode, b"\x03\xe8")], AT_ONCE));
        let name = format!("opcode {} from a server with a mask", opcode.0);
        cases.push(scripted(kind, name, close(C, 1002, b""), whole(C, opcode, b"\x03\xe8"), AT_ONCE));
    }
    cases
}

fn volume() -> Vec<Case> {
    let kind = "volume";
    let large = payload(8 << 20);
    let many = |by: By, size: usize, count: usize| whole(by, BINARY, &payload(size)).repeat(count);
    vec![
        strict(kind, "1,000 messages of 20 bytes".to_owned(), &[many(C, 20, 1000)], AT_ONCE),
        strict(kind, "1,000 messages of 20 bytes, in pieces of 11".to_owned(), &[many(C, 20, 1000)], 11),
        strict(kind, "64 messages of 64 KiB".to_owned(), &[many(C, 1 << 16, 64)], AT_ONCE),
        strict(kind, "8 MiB in one frame".to_owned(), &[whole(C, BINARY, &large)], AT_ONCE),
        strict(kind, "8 MiB in frames of 64 KiB".to_owned(), &[fragmented(C, BINARY, &large, 1 << 16)], 10_007),
        scripted(
            kind,
            "8 MiB both ways at once".to_owned(),
            whole(C, BINARY, &large),
            whole(S, BINARY, &large),
            AT_ONCE,
        ),
        scripted(
            kind,
            "10,000 pings both ways".to_owned(),
            whole(C, PING, b"").repeat(10_000),
            whole(S, PING, b"").repeat(10_000),
            1_001,
        ),
    ]
}

fn handshakes() -> Vec<Case> {
    let offers: &[(&[&str], &[&str])] = &[
        (&["Sec-WebSocket-Protocol: chat"], &["Sec-WebSocket-Protocol: chat"]),
        (&["Sec-WebSocket-Protocol: chat, superchat"], &["Sec-WebSocket-Protocol: superchat"]),
        (&["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"], &["sec-websocket-protocol: b"]),
        (&["Origin: https://a.example"], &[]),
        (&["Sec-WebSocket-Extensions: x-unknown"], &[]),
        (&["Sec-WebSocket-Extensions: a; b=\"c d\", e"], &["Sec-WebSocket-Extensions: a; b=\"c d\""]),
        (&["Cookie: a=b"], &["Set-Cookie: a=c"]),
        (&[], &["Sec-WebSocket-Protocol: unasked"]),
    ];
    let mut cases = Vec::new();
    for (offers, accepts) in offers {
        let says = whole(S, TEXT, b"hello");
        let mut case = scripted("handshakes", format!("{offers:?}, {accepts:?}"), close(C, 1000, b""), says, AT_ONCE);
        case.offers = offers.to_vec();
        case.script = case.script.map(|script| Script { accepts: accepts.to_vec(), ..script });
        cases.push(case);
        let mut case = strict("handshakes", format!("{offers:?}, strict"), &[whole(C, TEXT, b"hello")], AT_ONCE);
        case.offers = offers.to_vec();
        cases.push(case);
    }
    cases
}

/// Compressed messages (RFC 7692) with the examples of its section 7.2.3.
fn compression() -> Vec<Case> {
    const RSV1: u8 = 4;
    let messages: [(&str, Vec<u8>); 5] = [
        ("one block", b"\xf2\x48\xcd\xc9\xc9\x07\x00".to_vec()),
        ("a shared window", b"\xf2\x00\x11\x00\x00".to_vec()),
        ("no compression", b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00".to_vec()),
        ("a final block", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00".to_vec()),
        ("two blocks", b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00".to_vec()),
    ];
    let mut cases = Vec::new();
    for (name, message) in &messages {
        for parameters in ["", "; client_no_context_takeover; server_max_window_bits=10"] {
            let [to, from] = [C, S].map(|by| reserved(by, RSV1, TEXT, message));
            let mut case = scripted("compression", format!("{name}{parameters}"), to, from, 1);
            let line: &'static str = match parameters {
                "" => "Sec-WebSocket-Extensions: permessage-deflate",
                _ => {
                    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_max_window_bits=10"
                }
            };
            case.offers = vec![line];
            case.script = case.script.map(|script| Script { accepts: vec![line], ..script });
            cases.push(case);
        }
    }
    cases
}

/// Ends without a goodbye.
fn endings() -> Vec<Case> {
    let message = [C, S].map(|by| whole(by, TEXT, b"message"));
    let torn = [C, S].map(|by| whole(by, BINARY, &payload(300)).into_iter().take(200).collect::<Vec<u8>>());
    let kind = "ends without a goodbye";
    let pairs = [("a message", &message[0], &message[1]), ("half a frame", &torn[0], &torn[1])];
    let mut cases = Vec::new();
    for (name, to, from) in pairs {
        for piece in [AT_ONCE, 1] {
            cases.push(scripted(kind, format!("{name} both ways"), to.clone(), from.clone(), piece));
            cases.push(scripted(kind, format!("{name} from the server"), Vec::new(), from.clone(), piece));
            cases.push(scripted(kind, format!("{name} from the client"), to.clone(), Vec::new(), piece));
        }
    }
    cases.push(scripted(kind, "nothing at all".to_owned(), Vec::new(), Vec::new(), AT_ONCE));
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_cases_enough_and_each_has_a_name_of_its_own() {
        let cases = all();
        assert!(cases.len() >= 200, "{}", cases.len());
        let key = |case: &Case| (case.kind, case.name.clone(), case.piece, case.script.is_some());
        let mut keys: Vec<_> = cases.iter().map(key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), cases.len());
    }
}
