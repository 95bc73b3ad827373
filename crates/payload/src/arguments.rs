//! Names and values that a request carries, and the encoding of forms and query strings.

use std::ops::Range;

use crate::bytes::{after, between, hex_pair};
use crate::scan::{find, find_either};

/// Names and values in the order in which they were sent.
///
/// What was sent as it is meant stays where it stands, in the source that was read, and is a place there; what had to be
/// decoded or put together stands in a text that they share.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    entries: Vec<(Place, Place)>,
    text: Vec<u8>,
    /// How many escapes were none, such as `%zz`.
    pub invalid_escapes: usize,
    /// Whether there were more than allowed; those are left out.
    pub over_limit: bool,
}

/// Where a name or a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the source.
    Source(Range<usize>),
    /// In the text of the [`Arguments`].
    Text(Range<usize>),
}

impl Place {
    /// Nothing at all.
    pub const EMPTY: Self = Self::Source(0..0);
}

impl Arguments {
    /// Takes a query string, or the body of a form, apart at a separator, which usually is `&`. No more than `limit`
    /// arguments are kept.
    pub fn of_form(source: &[u8], separator: u8, limit: usize) -> Self {
        let mut arguments = Self::default();
        let mut place = 0;
        while place < source.len() {
            let rest = after(source, place);
            let end = place + find(separator, rest).unwrap_or(rest.len());
            let equals = find(b'=', between(source, place, end)).map(|sign| place + sign);
            let name = arguments.decoded(source, place..equals.unwrap_or(end));
            let value = match equals {
                Some(sign) => arguments.decoded(source, sign + 1..end),
                None => Place::EMPTY,
            };
            arguments.add(name, value, limit);
            place = end + 1;
        }
        arguments
    }

    /// Each name and its value. The source must be the one that was read.
    pub fn iter<'a>(&'a self, source: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.entries.iter().map(|(name, value)| (self.at(name, source), self.at(value, source)))
    }

    /// Where each name and its value stand.
    pub fn places(&self) -> &[(Place, Place)] {
        &self.entries
    }

    /// What stands at a place.
    pub fn at<'a>(&'a self, place: &Place, source: &'a [u8]) -> &'a [u8] {
        match place {
            Place::Source(range) => source.get(range.clone()),
            Place::Text(range) => self.text.get(range.clone()),
        }
        .unwrap_or_default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds one, or notes that there are too many.
    pub(crate) fn add(&mut self, name: Place, value: Place, limit: usize) {
        if self.entries.len() >= limit {
            self.over_limit = true;
        } else {
            self.entries.push((name, value));
        }
    }

    /// Puts together what is not in the source.
    pub(crate) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Place {
        let start = self.text.len();
        write(&mut self.text);
        Place::Text(start..self.text.len())
    }

    fn decoded(&mut self, source: &[u8], range: Range<usize>) -> Place {
        let sent = between(source, range.start, range.end);
        if find_either(b'%', b'+', sent).is_none() {
            return Place::Source(range);
        }
        let mut invalid = 0;
        let place = self.written(|text| invalid = url_decode(sent, text));
        self.invalid_escapes += invalid;
        place
    }
}

/// Appends what `%XX` and `+` stand for, and what is no valid escape as it is; says how many of those there were.
pub fn url_decode(input: &[u8], out: &mut Vec<u8>) -> usize {
    let mut place = 0;
    let mut invalid = 0;
    while let Some(next) = find_either(b'%', b'+', after(input, place)) {
        out.extend_from_slice(between(input, place, place + next));
        place += next + 1;
        match after(input, place - 1) {
            [b'+', ..] => out.push(b' '),
            [_, high, low, ..] if hex_pair(*high, *low).is_some() => {
                out.extend(hex_pair(*high, *low));
                place += 2;
            }
            _ => {
                out.push(b'%');
                invalid += 1;
            }
        }
    }
    out.extend_from_slice(after(input, place));
    invalid
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(source: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let arguments = Arguments::of_form(source.as_bytes(), b'&', 100);
        arguments.iter(source.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn arguments_without_a_name_or_a_value_are_arguments() {
        for (source, expected) in [
            ("", &[][..]),
            ("a", &[("a", "")]),
            ("a=", &[("a", "")]),
            ("a=b", &[("a", "b")]),
            ("a=b&", &[("a", "b")]),
            ("&", &[("", "")]),
            ("=b", &[("", "b")]),
            ("a&&b", &[("a", ""), ("", ""), ("b", "")]),
            ("a=b=c&d", &[("a", "b=c"), ("d", "")]),
            ("a+b=%41%42&%63=+", &[("a b", "AB"), ("c", " ")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(read(source), expected, "{source}");
        }
    }

    #[test]
    fn what_is_no_escape_is_counted_and_stays() {
        let source = b"a=%zz%4&%=%41%";
        let arguments = Arguments::of_form(source, b'&', 10);
        assert_eq!(arguments.invalid_escapes, 4);
        let all: Vec<_> = arguments.iter(source).collect();
        assert_eq!(all, [(&b"a"[..], &b"%zz%4"[..]), (b"%", b"A%")]);
    }

    #[test]
    fn arguments_beyond_the_limit_are_left_out_and_noted() {
        let arguments = Arguments::of_form(b"a&b&c", b'&', 2);
        assert_eq!(arguments.len(), 2);
        assert!(arguments.over_limit);
        assert!(!Arguments::of_form(b"a&b", b'&', 2).over_limit);
    }

    #[test]
    fn another_separator_takes_the_place_of_the_ampersand() {
        let source = b"a=1&b;c=2";
        let arguments = Arguments::of_form(source, b';', 10);
        let all: Vec<_> = arguments.iter(source).collect();
        assert_eq!(all, [(&b"a"[..], &b"1&b"[..]), (b"c", b"2")]);
    }

    #[test]
    fn what_needs_no_decoding_is_not_copied() {
        let arguments = Arguments::of_form(b"first=1&second=%32", b'&', 10);
        assert_eq!(
            arguments.places(),
            [(Place::Source(0..5), Place::Source(6..7)), (Place::Source(8..14), Place::Text(0..1)),]
        );
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(original: Vec<u8>) {
            let mut encoded = Vec::new();
            crate::transform::Transformation::UrlEncode.apply(&original, &mut encoded);
            let encoded = if encoded.is_empty() { original.clone() } else { encoded };
            let mut decoded = Vec::new();
            prop_assert_eq!(url_decode(&encoded, &mut decoded), 0);
            prop_assert_eq!(decoded, original);
        }

        #[test]
        fn there_are_as_many_arguments_as_parts(source in "[a=&%4]{0,40}") {
            let arguments = Arguments::of_form(source.as_bytes(), b'&', usize::MAX);
            let parts = if source.is_empty() { 0 } else { source.trim_end_matches('&').split('&').count() };
            let parts = parts.max(source.split('&').count() - usize::from(source.is_empty() || source.ends_with('&')));
            prop_assert_eq!(arguments.len(), parts);
        }
    }
}
