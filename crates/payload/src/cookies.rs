//! Cookies of a request, in the two formats that `SecCookieFormat` knows.

use crate::arguments::{Arguments, Place};
use crate::bytes::{after, at, between, is_space};
use crate::scan::{find, span};

/// The format of a `Cookie` header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// As Netscape had it, and as browsers have it: names and values, separated by `;` or whatever is said instead.
    #[default]
    Netscape,
    /// As RFC 2109 had it: quotes, and names with `$` for what belongs to a cookie.
    Rfc2109,
}

/// Takes a `Cookie` header apart. `separator` counts for the older format only. Cookies without a name are left out.
///
/// All others are kept: heads have a limit of their own, and what is left out nobody would look at.
pub fn read(header: &[u8], format: Format, separator: u8) -> Arguments {
    // C reads up to the first zero byte, which no header has.
    let header = header.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut cookies = Arguments::default();
    match format {
        Format::Netscape => netscape(header, separator, &mut cookies),
        Format::Rfc2109 => rfc_2109(header, &mut cookies),
    }
    cookies
}

fn netscape(header: &[u8], separator: u8, cookies: &mut Arguments) {
    let mut start = 0;
    for part in header.split(|byte| *byte == separator) {
        let end = start + part.len();
        let name = start + span(part, is_space);
        let equals = find(b'=', between(header, name, end)).map_or(end, |sign| name + sign);
        if equals > name {
            cookies.add(Place::Source(name..equals), Place::Source((equals + 1).min(end)..end), usize::MAX);
        }
        start = end + 1;
    }
}

fn rfc_2109(header: &[u8], cookies: &mut Arguments) {
    let mut before: Option<(usize, usize)> = None;
    let (mut place, mut written) = (0, 0);
    while place < header.len() {
        place += spaces(header, place);
        let start = place;
        place = first(header, place, |byte| matches!(byte, b'=' | b';' | b','));
        let end = trimmed(header, start, place);
        let sign = at(header, place);
        place += usize::from(sign != 0);
        let value = if sign == b'=' { value(header, &mut place) } else { Place::EMPTY };

        if end > start {
            let name = match (at(header, start), before) {
                // A long name that many others repeat would become far more than was sent.
                (b'$', Some((from, to))) if written <= header.len().saturating_mul(4) => cookies.written(|text| {
                    text.push(b'$');
                    text.extend_from_slice(between(header, from, to));
                    text.push(b'_');
                    text.extend_from_slice(between(header, start + 1, end));
                    written += to - from;
                }),
                (b'$', _) => Place::Source(start..end),
                _ => {
                    before = Some((start, end));
                    Place::Source(start..end)
                }
            };
            cookies.add(name, value, usize::MAX);
        }
        place = first(header, place, |byte| !matches!(byte, b',' | b';') && !is_space(byte));
    }
}

/// A value and what ends it; in quotes, or up to a separator without white space at its end.
fn value(header: &[u8], place: &mut usize) -> Place {
    *place += spaces(header, *place);
    let is_quoted = at(header, *place) == b'"';
    *place += usize::from(is_quoted);
    let start = *place;
    if start >= header.len() {
        return Place::EMPTY;
    }
    let end = first(header, start, |byte| if is_quoted { byte == b'"' } else { matches!(byte, b',' | b';') });
    *place = (end + 1).min(header.len());
    Place::Source(start..if is_quoted { end } else { trimmed(header, start, end) })
}

fn spaces(header: &[u8], place: usize) -> usize {
    span(after(header, place), is_space)
}

/// The first place from here on with such a byte, or the end.
fn first(header: &[u8], place: usize, is_it: impl Fn(u8) -> bool) -> usize {
    place + span(after(header, place), |byte| !is_it(byte))
}

/// Where a part ends without the white space at its end.
fn trimmed(header: &[u8], start: usize, end: usize) -> usize {
    start + between(header, start, end).iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cookies(header: &str, format: Format) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = read(header.as_bytes(), format, b';');
        read.iter(header.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
    }

    fn expect(format: Format, cases: &[(&str, &[(&str, &str)])]) {
        for (header, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(cookies(header, format), expected, "{header}");
        }
    }

    #[test]
    fn the_older_format_keeps_quotes_and_spaces_of_values() {
        expect(
            Format::Netscape,
            &[
                ("a=1; b=2", &[("a", "1"), ("b", "2")]),
                ("a=1;;  b = 2 ;", &[("a", "1"), ("b ", " 2 ")]),
                ("a; =b; c=\"d;e\"", &[("a", ""), ("c", "\"d"), ("e\"", "")]),
                ("  ; a=b=c", &[("a", "b=c")]),
                ("", &[]),
            ],
        );
    }

    #[test]
    fn the_newer_format_takes_quotes_away_and_names_what_belongs_to_a_cookie() {
        expect(
            Format::Rfc2109,
            &[
                ("$Version=\"1\"; a=\"x;y\"; $Path=\"/\"", &[("$Version", "1"), ("a", "x;y"), ("$a_Path", "/")]),
                ("a = b c , d; e=", &[("a", "b c"), ("d", ""), ("e", "")]),
                ("a=\"", &[("a", "")]),
                ("a=\"b", &[("a", "b")]),
                ("=x;y=z", &[("y", "z")]),
                (" , ;", &[]),
            ],
        );
    }

    #[test]
    fn however_many_there_are_none_is_left_out_and_what_repeats_names_stays_small() {
        let header = format!("{}q=x", "a=1; ".repeat(2000));
        assert_eq!(cookies(&header, Format::Netscape).len(), 2001);
        assert_eq!(cookies(&header, Format::Rfc2109).last(), Some(&("q".to_owned(), "x".to_owned())));
        let header = format!("{}=1;{}", "a".repeat(1000), "$b=c;".repeat(1000));
        let read = read(header.as_bytes(), Format::Rfc2109, b';');
        let long: usize = read.iter(header.as_bytes()).map(|(name, _)| name.len()).sum();
        assert_eq!(read.len(), 1001);
        assert!(long < header.len() * 6, "{long}");
    }

    #[test]
    fn another_separator_can_be_said_for_the_older_format() {
        let header = b"a=1|b=2;c";
        let read = read(header, Format::Netscape, b'|');
        let all: Vec<_> = read.iter(header).collect();
        assert_eq!(all, [(&b"a"[..], &b"1"[..]), (b"b", b"2;c")]);
    }

    proptest! {
        #[test]
        fn any_header_can_be_read(header: Vec<u8>, is_new: bool) {
            let format = if is_new { Format::Rfc2109 } else { Format::Netscape };
            let cookies = read(&header, format, b';');
            prop_assert!(cookies.iter(&header).all(|(name, _)| !name.is_empty()));
        }
    }
}
