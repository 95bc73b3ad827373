//! Names of tags and attributes that run scripts, and beginnings of addresses that do.

use std::sync::LazyLock;

use crate::bytes::{after, at, hex};
use crate::scan::{find, span};

/// What an attribute's value can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attribute {
    /// Nothing that matters.
    Harmless,
    /// It runs as a script, whatever it is.
    Banned,
    /// It is an address, which may be a script.
    Address,
    /// It is a style, which may hold a script.
    Style,
    /// It names another attribute.
    NamesAnother,
}

/// Names of events without their `on`, in large letters and in order. A name that begins with another one is left out,
/// because only the beginning is compared.
const EVENTS: &str = include_str!("../../data/xss_events.txt");

static EVENTS_BY_NAME: LazyLock<Vec<&'static [u8]>> = LazyLock::new(|| EVENTS.lines().map(str::as_bytes).collect());

/// What the value of an attribute of this name can do.
pub(super) fn attribute(name: &[u8]) -> Attribute {
    if name.len() < 2 {
        return Attribute::Harmless;
    }
    if name.len() >= 5 {
        let is_event = matches!(name, [b'o' | b'O', b'n' | b'N', event @ ..] if is_event(event));
        if is_event || begins_with(name, b"XMLNS") || begins_with(name, b"XLINK") {
            return Attribute::Banned;
        }
    }
    let known = ATTRIBUTES.iter().find(|(known, _)| is_same(known, name));
    known.map_or(Attribute::Harmless, |(_, attribute)| *attribute)
}

fn is_event(name: &[u8]) -> bool {
    let Some(first) = name.first().map(u8::to_ascii_uppercase) else { return false };
    let start = EVENTS_BY_NAME.partition_point(|event| event.first().is_some_and(|letter| *letter < first));
    let same_letter = EVENTS_BY_NAME.iter().skip(start).take_while(|event| event.first() == Some(&first));
    same_letter.into_iter().any(|event| begins_with(name, event))
}

/// Whether a tag of this name is refused whatever is in it.
pub(super) fn is_banned_tag(name: &[u8]) -> bool {
    name.len() >= 3
        && (TAGS.iter().any(|tag| is_same(tag, name)) || begins_with(name, b"SVG") || begins_with(name, b"XSL"))
}

/// Whether a comment is one that some browsers read nevertheless.
pub(super) fn is_read_comment(text: &[u8]) -> bool {
    find(b'`', text).is_some()
        || (text.len() > 3 && (begins_with(text, b"[IF") || begins_with(text, b"XML")))
        || begins_with(text, b"IMPORT")
        || begins_with(text, b"ENTITY")
}

/// Whether an address is a script, or can hold one.
pub(super) fn is_script(address: &[u8]) -> bool {
    let start = span(address, |byte| !matches!(byte, 33..=126));
    let address = after(address, start);
    [&b"DATA"[..], b"VIEW-SOURCE", b"JAVA", b"VBSCRIPT"].iter().any(|scheme| is_scheme(scheme, address))
}

/// Whether a text begins so, whatever the case of its letters.
fn begins_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}

/// Whether a name is this one, without the zeros in it, which some browsers passed over.
fn is_same(known: &[u8], name: &[u8]) -> bool {
    let mut rest = known.iter();
    name.iter().filter(|byte| **byte != 0).all(|byte| rest.next() == Some(&byte.to_ascii_uppercase()))
        && rest.next().is_none()
}

/// Whether an address begins with a scheme, once its entities are decoded and white space before it, zeros and line feeds
/// are passed over.
fn is_scheme(scheme: &[u8], address: &[u8]) -> bool {
    let mut expected = scheme.iter();
    let mut wanted = expected.next();
    let mut place = 0;
    let mut is_first = true;
    while place < address.len() {
        let Some(letter) = wanted else { return true };
        let (decoded, length) = decode(after(address, place));
        place += length;
        if is_first && decoded <= 32 {
            continue;
        }
        is_first = false;
        if decoded == 0 || decoded == 10 {
            continue;
        }
        // Only the lowest byte counts, but a number that is larger is no small letter.
        let [.., byte] = decoded.to_be_bytes();
        let byte = if decoded < 128 { byte.to_ascii_uppercase() } else { byte };
        if byte != *letter {
            return false;
        }
        wanted = expected.next();
    }
    wanted.is_none()
}

/// The first character, decoded if it is a numeric entity, and how long it is.
fn decode(text: &[u8]) -> (u32, usize) {
    let plain = (u32::from(at(text, 0)), 1);
    let (radix, digits) = match text {
        [b'&', b'#', b'x' | b'X', ..] => (16, 3),
        [b'&', b'#', ..] => (10, 2),
        _ => return plain,
    };
    let digit =
        |place: usize| text.get(place).and_then(|byte| hex(*byte)).map(u32::from).filter(|digit| *digit < radix);
    let mut number = 0;
    let mut place = digits;
    while let Some(digit) = digit(place) {
        number = number * radix + digit;
        if number > LARGEST && place > digits {
            return plain;
        }
        place += 1;
    }
    if place == digits {
        return plain;
    }
    (number, place + usize::from(at(text, place) == b';'))
}

/// The largest number that an entity may have, as libinjection writes it.
const LARGEST: u32 = 0x10_00FF;

const ATTRIBUTES: &[(&[u8], Attribute)] = &[
    (b"ACTION", Attribute::Address),
    (b"ATTRIBUTENAME", Attribute::NamesAnother),
    (b"BY", Attribute::Address),
    (b"BACKGROUND", Attribute::Address),
    (b"DATAFORMATAS", Attribute::Banned),
    (b"DATASRC", Attribute::Banned),
    (b"DYNSRC", Attribute::Address),
    (b"FILTER", Attribute::Style),
    (b"FORMACTION", Attribute::Address),
    (b"FOLDER", Attribute::Address),
    (b"FROM", Attribute::Address),
    (b"HANDLER", Attribute::Address),
    (b"HREF", Attribute::Address),
    (b"LOWSRC", Attribute::Address),
    (b"POSTER", Attribute::Address),
    (b"SRC", Attribute::Address),
    (b"STYLE", Attribute::Style),
    (b"TO", Attribute::Address),
    (b"VALUES", Attribute::Address),
    (b"XLINK:HREF", Attribute::Address),
];

const TAGS: &[&[u8]] = &[
    b"APPLET",
    b"BASE",
    b"COMMENT",
    b"EMBED",
    b"FRAME",
    b"FRAMESET",
    b"HANDLER",
    b"IFRAME",
    b"IMPORT",
    b"ISINDEX",
    b"LINK",
    b"LISTENER",
    b"META",
    b"NOSCRIPT",
    b"OBJECT",
    b"SCRIPT",
    b"STYLE",
    b"VMLFRAME",
    b"XML",
    b"XSS",
];
