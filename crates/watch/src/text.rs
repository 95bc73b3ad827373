//! How values become text at the end of a line, without memory of their own.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// Appends a number.
pub fn number(line: &mut Vec<u8>, number: impl itoa::Integer) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends bytes as hexadecimal digits.
pub fn hex<const N: usize>(line: &mut Vec<u8>, bytes: [u8; N]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
    let mut text = [[0; 2]; N];
    for (pair, byte) in text.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    line.extend_from_slice(text.as_flattened());
}

/// Appends an address.
pub fn address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            number(line, a);
            for octet in [b, c, d] {
                line.push(b'.');
                number(line, octet);
            }
        }
        // Writing into memory cannot fail.
        IpAddr::V6(address) => drop(write!(line, "{address}")),
    }
}

/// Appends a duration in milliseconds, with microseconds behind the point.
pub fn milliseconds(line: &mut Vec<u8>, duration: Duration) {
    let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(line, microseconds / 1000);
    line.push(b'.');
    digits::<3>(line, microseconds % 1000);
}

/// Appends a moment, in microseconds since 1970, as RFC 3339 writes it.
pub fn time(line: &mut Vec<u8>, microseconds: u64) {
    let moment = Moment::after_1970(microseconds);
    let [y1, y2, y3, y4] = last_digits(moment.year);
    let [m1, m2] = last_digits(moment.month);
    let [d1, d2] = last_digits(moment.day);
    let [h1, h2] = last_digits(moment.hour);
    let [i1, i2] = last_digits(moment.minute);
    let [s1, s2] = last_digits(moment.second);
    let [u1, u2, u3, u4, u5, u6] = last_digits(moment.microsecond);
    line.extend_from_slice(&[
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2, b'.', u1, u2, u3, u4, u5,
        u6, b'Z',
    ]);
}

/// A moment by the calendar, in UTC.
#[derive(Debug, PartialEq, Eq)]
pub struct Moment {
    /// The year.
    pub year: u64,
    /// The month, from 1.
    pub month: u64,
    /// The day, from 1.
    pub day: u64,
    /// The hour.
    pub hour: u64,
    /// The minute.
    pub minute: u64,
    /// The second.
    pub second: u64,
    /// The microsecond.
    pub microsecond: u64,
}

impl Moment {
    /// The moment so many microseconds after the beginning of 1970.
    pub fn after_1970(microseconds: u64) -> Self {
        let seconds = microseconds / 1_000_000;
        let of_day = seconds % 86_400;
        // Counted from a first of March, leap days come last: Neri and Schneider, Euclidean affine functions.
        let quarters = 4 * (seconds / 86_400 + 719_468) + 3;
        let century = quarters / 146_097;
        let of_century = quarters % 146_097 / 4 * 4 + 3;
        let year_of_century = of_century / 1461;
        let day_of_year = of_century % 1461 / 4;
        let month = (2141 * day_of_year + 197_913) >> 16;
        let day = ((2141 * day_of_year + 197_913) & 0xffff) / 2141;
        let next_year = u64::from(month > 12);
        Self {
            year: 100 * century + year_of_century + next_year,
            month: month - 12 * next_year,
            day: day + 1,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            microsecond: microseconds % 1_000_000,
        }
    }
}

/// Appends a number's last `N` digits.
pub fn digits<const N: usize>(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(&last_digits::<N>(number));
}

/// A number's last `N` digits.
pub fn last_digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text
}

/// Appends the inside of a JSON string: valid UTF-8 on one line, whatever `text` holds.
///
/// What some readers take for the end of a line (U+0085, U+2028, U+2029) or for a command (the other
/// control characters) is escaped too; bytes that are no UTF-8 become replacement characters.
pub fn json(line: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        line.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => line.extend_from_slice(b"\\\""),
                '\\' => line.extend_from_slice(b"\\\\"),
                '\n' => line.extend_from_slice(b"\\n"),
                '\r' => line.extend_from_slice(b"\\r"),
                '\t' => line.extend_from_slice(b"\\t"),
                '\u{2028}' | '\u{2029}' => unicode(line, character),
                control if control.is_control() => unicode(line, control),
                other => line.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            line.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Escapes a character of the basic plane, as all are that this is for.
fn unicode(line: &mut Vec<u8>, character: char) {
    let [_, _, high, low] = u32::from(character).to_be_bytes();
    line.extend_from_slice(b"\\u");
    hex(line, [high, low]);
}

/// Appends the inside of a quoted field as Apache does: printable ASCII on one line, whatever `text` holds.
pub fn quoted(line: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        line.extend_from_slice(text);
        return;
    }
    for byte in text {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b' '..=b'~' => line.push(*byte),
            _ => {
                line.extend_from_slice(b"\\x");
                hex(line, [*byte]);
            }
        }
    }
}

/// Whether all of a text is printable ASCII that means itself.
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<SOME>() else {
        return !text.iter().fold(false, |found, byte| found | SPECIAL.get(usize::from(*byte)).unwrap_or(&true));
    };
    // The last ones may have been looked at in part: that is cheaper than to look at each of the rest.
    let any = |bytes: &[u8; SOME]| bytes.iter().fold(0, |found, byte| found | u8::from(is_special(*byte)));
    text.as_chunks::<SOME>().0.iter().fold(any(last), |found, bytes| found | any(bytes)) == 0
}

#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler compares many bytes at a time")]
const fn is_special(byte: u8) -> bool {
    (byte.wrapping_sub(b' ') > b'~' - b' ') | (byte == b'"') | (byte == b'\\')
}

/// The beginning of an outsider's text, as much as a line has room for.
pub fn bounded(text: &[u8]) -> &[u8] {
    text.get(..MOST).unwrap_or(text)
}

/// [`is_special`] of every byte, for texts too short to be compared many bytes at a time.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
static SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        table[byte as usize] = is_special(byte);
        byte += 1;
    }
    table[u8::MAX as usize] = true;
    table
};
/// So many bytes are compared at a time.
const SOME: usize = 16;
/// So many bytes of one field are written; a head may hold more.
pub const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, (1970, 1, 1, 0, 0, 0)),
            (951_782_399, (2000, 2, 28, 23, 59, 59)),
            (951_782_400, (2000, 2, 29, 0, 0, 0)),
            (951_868_800, (2000, 3, 1, 0, 0, 0)),
            (1_767_225_599, (2025, 12, 31, 23, 59, 59)),
            (4_107_542_400, (2100, 3, 1, 0, 0, 0)),
        ] {
            let Moment { year, month, day, hour, minute, second, .. } = Moment::after_1970(seconds * 1_000_000);
            assert_eq!((year, month, day, hour, minute, second), expected);
        }
    }

    #[test]
    fn durations_keep_their_microseconds() {
        assert_eq!(written(|line| milliseconds(line, Duration::from_micros(1_234_056))), "1234.056");
        assert_eq!(written(|line| milliseconds(line, Duration::from_nanos(999))), "0.000");
    }

    proptest! {
        #[test]
        fn days_follow_each_other(day in 0_u64..200_000) {
            let today = Moment::after_1970(day * 86_400_000_000);
            let tomorrow = Moment::after_1970((day + 1) * 86_400_000_000);
            let next = (tomorrow.year, tomorrow.month, tomorrow.day);
            prop_assert!(
                next == (today.year, today.month, today.day + 1)
                    || next == (today.year, today.month + 1, 1)
                    || next == (today.year + 1, 1, 1)
            );
        }

        #[test]
        fn any_bytes_are_one_json_string_on_one_line(text: Vec<u8>) {
            let line = written(|line| json(line, &text));
            let read: String = serde_json::from_str(&format!("\"{line}\"")).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&text));
            let ends_lines = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            prop_assert!(!line.chars().any(ends_lines), "{}", line);
        }

        #[test]
        fn any_text_is_read_back_from_json(text: String) {
            let line = written(|line| json(line, text.as_bytes()));
            let read: String = serde_json::from_str(&format!("\"{line}\"")).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn any_bytes_are_one_quoted_field(text: Vec<u8>) {
            let field = written(|line| quoted(line, &text));
            prop_assert!(field.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert!(!field.replace("\\\\", "").replace("\\\"", "").contains('"'));
        }

        #[test]
        fn what_means_itself_is_told_from_what_does_not(text in proptest::collection::vec(b' '..=b'~', 0..40), odd: u8) {
            prop_assert_eq!(is_plain(&text), !text.iter().any(|byte| matches!(byte, b'"' | b'\\')));
            for at in 0..text.len() {
                let mut text = vec![b'x'; text.len()];
                text[at] = odd;
                prop_assert_eq!(is_plain(&text), matches!(odd, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'));
            }
        }

        #[test]
        fn addresses_are_written_as_usual(address: IpAddr) {
            prop_assert_eq!(written(|line| super::address(line, address)), address.to_string());
        }
    }
}
