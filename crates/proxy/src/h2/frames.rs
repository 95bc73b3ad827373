//! What passes on a connection of HTTP/2, frame by frame: what no client may send, or not so often.
//!
//! The protocol itself is spoken by the library. It answers some mistakes with the wrong code, and does not mind
//! frames that cost the one who sends them nothing; these are found here, before it sees them.

use std::collections::{HashSet, VecDeque};

use h2::Reason;
use model::limits::Settled;

/// Bytes of a frame's head (RFC 9113, section 4.1).
const HEAD: usize = 9;
/// Bytes of the preface, which comes before the first frame.
const PREFACE: usize = 24;
/// Streams that ended lately, whose clients must not go on with them.
const REMEMBERED: usize = 256;
/// The largest window that there may be.
const LARGEST_WINDOW: u32 = 0x7fff_ffff;
/// A client may give back a window this often for each of so many bytes that it was sent, beside its other frames.
const BYTES_PER_WINDOW: u64 = 1000;

/// Kinds of frames (RFC 9113, section 6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const PRIORITY: u8 = 2;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PUSH_PROMISE: u8 = 5;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
}

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The head of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    fn parse(bytes: [u8; HEAD]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = bytes;
        let length = u32::from_be_bytes([0, high, middle, low]);
        Self { length, kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff }
    }

    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Finds frames in bytes, wherever these are split.
#[derive(Debug, Default)]
struct Cutter {
    head: [u8; HEAD],
    /// Bytes of the head that came.
    have: usize,
    current: Head,
    /// Bytes of the current frame's content that are to come.
    left: u32,
}

/// What a look at bytes came upon.
enum Seen {
    /// A frame begins.
    Begins(Head),
    /// One byte of the content of a frame that is looked into.
    Content(u8),
}

impl Cutter {
    /// Goes through bytes. Ends at the byte before which `see` finds something wrong.
    fn feed<E>(&mut self, bytes: &[u8], mut see: impl FnMut(Head, Seen) -> Result<(), E>) -> Result<(), (usize, E)> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.left > 0 {
                let take = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                if matches!(self.current.kind, kind::SETTINGS | kind::RST_STREAM) {
                    for byte in rest.iter().take(take) {
                        see(self.current, Seen::Content(*byte)).map_err(|error| (at, error))?;
                        at += 1;
                    }
                } else {
                    at += take;
                }
                self.left -= u32::try_from(take).unwrap_or(self.left);
                continue;
            }
            let (Some(place), Some(byte)) = (self.head.get_mut(self.have), rest.first()) else { break };
            *place = *byte;
            self.have += 1;
            if self.have == HEAD {
                self.current = Head::parse(self.head);
                (self.have, self.left) = (0, self.current.length);
                see(self.current, Seen::Begins(self.current)).map_err(|error| (at, error))?;
            }
            at += 1;
        }
        Ok(())
    }

    /// Whether a frame has begun and not ended.
    fn is_within(&self) -> bool {
        self.have > 0 || self.left > 0
    }
}

/// How often a client did what costs it nothing, in the second under way.
#[derive(Debug, Default)]
struct Second {
    number: u64,
    control: u64,
    resets: u64,
    windows: u64,
    /// Bytes sent to it in this second, and in the one before.
    sent: u64,
    sent_before: u64,
}

impl Second {
    fn turn(&mut self, now: u64) {
        if self.number != now {
            let before = if self.number + 1 == now { self.sent } else { 0 };
            *self = Self { number: now, sent_before: before, ..Self::default() };
        }
    }
}

/// Looks at all that passes on a connection.
#[derive(Debug)]
pub(super) struct Inspector {
    /// Bytes of the preface that are to come.
    preface: usize,
    from_client: Cutter,
    to_client: Cutter,
    setting: Vec<u8>,
    reset_code: Vec<u8>,
    second: Second,
    control_limit: u64,
    reset_limit: u64,
    /// Streams whose client has not ended its side.
    open: HashSet<u32>,
    /// Streams whose client has.
    ended: VecDeque<u32>,
    highest: u32,
    /// Whether a header block has begun and not ended.
    in_block: bool,
}

impl Inspector {
    pub(super) fn new(limits: &Settled) -> Self {
        Self {
            preface: PREFACE,
            from_client: Cutter::default(),
            to_client: Cutter::default(),
            setting: Vec::new(),
            reset_code: Vec::new(),
            second: Second::default(),
            control_limit: limits.http2_control_frames_per_second.into(),
            reset_limit: limits.http2_resets_per_second.into(),
            open: HashSet::new(),
            ended: VecDeque::new(),
            highest: 0,
            in_block: false,
        }
    }

    /// Looks at what a client sent in this second; if something is wrong, before which byte, and what it is.
    pub(super) fn came(&mut self, bytes: &[u8], second: u64) -> Result<(), (usize, Reason)> {
        self.second.turn(second);
        let skipped = bytes.len().min(self.preface);
        self.preface -= skipped;
        let mut cutter = std::mem::take(&mut self.from_client);
        let result = cutter.feed(bytes.get(skipped..).unwrap_or_default(), |head, seen| match seen {
            Seen::Begins(head) => self.begins(head),
            Seen::Content(byte) => self.content(head, byte),
        });
        self.from_client = cutter;
        result.map_err(|(at, reason)| (at + skipped, reason))
    }

    /// Looks at what a client is sent.
    pub(super) fn goes(&mut self, bytes: &[u8], second: u64) -> Result<(), Reason> {
        self.second.turn(second);
        self.second.sent += bytes.len() as u64;
        let mut cutter = std::mem::take(&mut self.to_client);
        let result = cutter.feed(bytes, |head, seen| match seen {
            Seen::Content(byte) if head.kind == kind::RST_STREAM => self.reset_goes(head, byte),
            Seen::Begins(_) | Seen::Content(_) => Ok(()),
        });
        self.to_client = cutter;
        result.map_err(|(_, reason)| reason)
    }

    /// Whether a head, or a frame that is no data, has begun and is not complete.
    pub(super) fn awaits_a_head(&self) -> bool {
        let in_frame = self.from_client.is_within() && self.from_client.current.kind != kind::DATA;
        self.preface > 0 || self.in_block || in_frame
    }

    /// The stream whose data are on their way, and how many bytes of its frame are here.
    pub(super) fn underway(&self) -> Option<(u32, u64)> {
        let head = self.from_client.current;
        let is_data = self.from_client.left > 0 && head.kind == kind::DATA;
        is_data.then(|| (head.stream, u64::from(head.length - self.from_client.left)))
    }

    fn begins(&mut self, head: Head) -> Result<(), Reason> {
        let Head { length, kind, stream, .. } = head;
        let has_wrong_size = match kind {
            kind::SETTINGS => length % 6 != 0 || head.has(ACK) && length > 0,
            kind::PING => length != 8,
            kind::RST_STREAM | kind::WINDOW_UPDATE => length != 4,
            kind::PRIORITY => length != 5,
            _ => false,
        };
        if has_wrong_size {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        // A header block is one piece (RFC 9113, section 4.3).
        if self.in_block != (kind == kind::CONTINUATION) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        match kind {
            kind::PUSH_PROMISE => return Err(Reason::PROTOCOL_ERROR),
            kind::DATA | kind::HEADERS => self.message(head)?,
            kind::CONTINUATION => self.in_block = !head.has(END_HEADERS),
            kind::RST_STREAM => {
                self.end(stream);
                self.second.resets += 1;
            }
            kind::SETTINGS => self.setting.clear(),
            kind::WINDOW_UPDATE => self.second.windows += 1,
            _ => {}
        }
        let is_empty_data = kind == kind::DATA && length == 0 && !head.has(END_STREAM);
        let is_control =
            matches!(kind, kind::SETTINGS | kind::PING | kind::PRIORITY | kind::CONTINUATION | kind::GOAWAY);
        if is_empty_data || is_control || kind > kind::CONTINUATION {
            self.second.control += 1;
        }
        self.within_limits()
    }

    /// A piece of a message begins.
    fn message(&mut self, head: Head) -> Result<(), Reason> {
        let Head { kind, stream, .. } = head;
        if self.ended.contains(&stream) {
            return Err(Reason::STREAM_CLOSED);
        }
        if kind == kind::HEADERS {
            self.in_block = !head.has(END_HEADERS);
            if stream > self.highest {
                self.highest = stream;
                self.open.insert(stream);
            }
        }
        if head.has(END_STREAM) {
            self.end(stream);
        }
        Ok(())
    }

    /// A client will send no more on a stream.
    fn end(&mut self, stream: u32) {
        if self.open.remove(&stream) {
            self.ended.push_back(stream);
            if self.ended.len() > REMEMBERED {
                self.ended.pop_front();
            }
        }
    }

    fn content(&mut self, head: Head, byte: u8) -> Result<(), Reason> {
        /// `SETTINGS_INITIAL_WINDOW_SIZE` (RFC 9113, section 6.5.2).
        const INITIAL_WINDOW: u16 = 4;
        if head.kind != kind::SETTINGS {
            return Ok(());
        }
        self.setting.push(byte);
        let Some([high, low, value @ ..]) = self.setting.first_chunk::<6>() else { return Ok(()) };
        let (name, value) = (u16::from_be_bytes([*high, *low]), u32::from_be_bytes(*value));
        self.setting.clear();
        if name == INITIAL_WINDOW && value > LARGEST_WINDOW { Err(Reason::FLOW_CONTROL_ERROR) } else { Ok(()) }
    }

    /// A reset goes out: a client that provokes many of them has work begun that nobody waits for (CVE-2025-8671).
    fn reset_goes(&mut self, head: Head, byte: u8) -> Result<(), Reason> {
        self.reset_code.push(byte);
        let Some(code) = self.reset_code.first_chunk::<4>() else { return Ok(()) };
        let code = u32::from_be_bytes(*code);
        self.reset_code.clear();
        // What is still on its way to a stream that was reset is nobody's fault.
        self.open.remove(&head.stream);
        if code != u32::from(Reason::NO_ERROR) {
            self.second.resets += 1;
        }
        self.within_limits()
    }

    fn within_limits(&self) -> Result<(), Reason> {
        let Second { control, resets, windows, sent, sent_before, .. } = self.second;
        let most_windows = self.control_limit + (sent + sent_before) / BYTES_PER_WINDOW;
        if control > self.control_limit || resets > self.reset_limit || windows > most_windows {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::limits::Limits;

    use super::*;

    fn inspector() -> Inspector {
        let limits =
            Limits { http2_control_frames_per_second: Some(10), http2_resets_per_second: Some(5), ..Limits::default() };
        let mut inspector = Inspector::new(&limits.settle(&Limits::default()));
        inspector.came(&[b'x'; PREFACE], 0).unwrap();
        inspector
    }

    fn frame(kind: u8, flags: u8, stream: u8, content: &[u8]) -> Vec<u8> {
        [&[0, 0, u8::try_from(content.len()).unwrap(), kind, flags, 0, 0, 0, stream], content].concat()
    }

    #[test]
    fn what_is_wrong_is_named_as_the_standard_names_it() {
        let get = frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, b"\x82");
        for (bytes, reason) in [
            (frame(kind::PING, 0, 0, &[0; 7]), Reason::FRAME_SIZE_ERROR),
            (frame(kind::SETTINGS, ACK, 0, &[0; 6]), Reason::FRAME_SIZE_ERROR),
            (frame(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Reason::FLOW_CONTROL_ERROR),
            (frame(kind::PRIORITY, 0, 1, &[0; 4]), Reason::FRAME_SIZE_ERROR),
            (frame(kind::PUSH_PROMISE, END_HEADERS, 1, &[0; 5]), Reason::PROTOCOL_ERROR),
            ([get.clone(), frame(kind::DATA, 0, 1, b"x")].concat(), Reason::STREAM_CLOSED),
            ([get.clone(), get.clone()].concat(), Reason::STREAM_CLOSED),
            ([get, frame(kind::CONTINUATION, END_HEADERS, 1, b"\x83")].concat(), Reason::PROTOCOL_ERROR),
        ] {
            let whole = inspector().came(&bytes, 0).unwrap_err();
            assert_eq!(whole.1, reason, "{bytes:?}");

            let mut inspector = inspector();
            let mut parts = bytes.chunks(1).map(|byte| inspector.came(byte, 0));
            assert_eq!(parts.find_map(Result::err), Some((0, reason)), "{bytes:?}, byte by byte");
        }
    }

    #[test]
    fn what_costs_nothing_may_come_only_so_often_in_a_second() {
        for (bytes, most) in [
            (frame(kind::PING, 0, 0, &[0; 8]), 10),
            (frame(kind::SETTINGS, 0, 0, &[]), 10),
            (frame(kind::PRIORITY, 0, 3, &[0; 5]), 10),
            (frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), 10),
            (frame(kind::RST_STREAM, 0, 1, &[0; 4]), 5),
            (frame(0xee, 0, 1, b"unknown"), 10),
        ] {
            let mut inspector = inspector();
            for second in 1..4 {
                assert!((0..most).all(|_| inspector.came(&bytes, second).is_ok()), "{bytes:?}");
            }
            assert_eq!(inspector.came(&bytes, 3).unwrap_err().1, Reason::ENHANCE_YOUR_CALM);
        }
    }

    #[test]
    fn resets_that_a_client_provokes_count_and_those_of_early_answers_do_not() {
        let mut inspector = inspector();
        let with = |code: u8| frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, code]);

        assert!((0..100).all(|_| inspector.goes(&with(0), 1).is_ok()));
        assert!((0..5).all(|_| inspector.goes(&with(1), 1).is_ok()));

        assert_eq!(inspector.goes(&with(1), 1), Err(Reason::ENHANCE_YOUR_CALM));
    }

    #[test]
    fn a_body_in_many_frames_and_windows_for_what_was_sent_are_welcome() {
        let mut inspector = inspector();
        inspector.came(&frame(kind::HEADERS, END_HEADERS, 1, b"\x83"), 1).unwrap();
        for _ in 0..1000 {
            inspector.goes(&frame(kind::DATA, 0, 1, &[0; 200]).repeat(10), 1).unwrap();
            inspector.came(&frame(kind::DATA, 0, 1, b"x"), 1).unwrap();
            inspector.came(&frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 7, 0]), 1).unwrap();
        }
        inspector.came(&frame(kind::DATA, END_STREAM, 1, b""), 1).unwrap();
    }

    #[test]
    fn a_head_is_awaited_from_its_first_byte_to_its_last() {
        let mut inspector = inspector();
        assert!(!inspector.awaits_a_head());

        inspector.came(&frame(kind::HEADERS, 0, 1, b"\x83"), 1).unwrap();
        assert!(inspector.awaits_a_head());
        inspector.came(&frame(kind::CONTINUATION, END_HEADERS, 1, b"\x83"), 1).unwrap();
        assert!(!inspector.awaits_a_head());
        inspector.came(&frame(kind::DATA, 0, 1, b"some")[..11], 1).unwrap();
        assert!(!inspector.awaits_a_head());
        assert_eq!(inspector.underway(), Some((1, 2)));
    }
}
