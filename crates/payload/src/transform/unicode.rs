//! What Unicode has to do with transformations: `%uXXXX` made of UTF-8, and ASCII that looks like other characters.

use std::sync::LazyLock;

use crate::bytes::at;

/// Writes characters beyond ASCII as `%uXXXX`.
///
/// As in `ModSecurity`: zero bytes and the beginnings of what is no character are dropped, bytes that cannot begin one stay,
/// and behind a character that is overlong, a surrogate or beyond Unicode its first byte is repeated.
pub(super) fn from_utf8(input: &[u8], out: &mut Vec<u8>) {
    let mut place = 0;
    while let Some(first) = input.get(place).copied() {
        place += 1;
        match first {
            0 => {}
            0x01..=0x7F | 0x80..=0xBF | 0xF8..=0xFF => out.push(first),
            _ => {
                if first >= 0xF5 {
                    out.push(first);
                }
                if let Some(character) = character(input, place - 1) {
                    out.extend_from_slice(format!("%u{:04x}", character.number).as_bytes());
                    if (0xD800..=0xDFFF).contains(&character.number) {
                        out.push(first);
                    }
                    if character.is_overlong() {
                        out.push(first);
                    }
                    place += character.length - 1;
                }
            }
        }
    }
}

/// Whether [`from_utf8`] finds a character beyond ASCII.
pub(super) fn has_character(input: &[u8]) -> bool {
    // A character that would begin within one that was found before does not matter: that one was found.
    (0..input.len()).any(|place| (0xC0..0xF8).contains(&at(input, place)) && character(input, place).is_some())
}

/// What two to four bytes stand for, whether they may or not.
struct Character {
    number: u32,
    length: usize,
}

impl Character {
    fn is_overlong(&self) -> bool {
        match self.length {
            4 => self.number < 0x1_0000,
            3 => self.number < 0x800,
            _ => self.number < 0x80,
        }
    }
}

fn character(input: &[u8], place: usize) -> Option<Character> {
    let first = at(input, place);
    let (length, mask) = match first {
        0xC0..=0xDF => (2, 0x1F),
        0xE0..=0xEF => (3, 0x0F),
        0xF0..=0xF7 => (4, 0x07),
        _ => return None,
    };
    let mut number = u32::from(first & mask);
    for step in 1..length {
        let next = at(input, place + step);
        if next & 0xC0 != 0x80 {
            return None;
        }
        number = number << 6 | u32::from(next & 0x3F);
    }
    Some(Character { number, length })
}

/// The byte that a number of four hexadecimal digits becomes: what Windows shows in ASCII (code page 20127) for it, or the
/// lower byte, and ASCII for its full-width forms.
pub(super) fn best_fit(high: u8, low: u8) -> u8 {
    match BEST_FIT.get(usize::from(high) << 8 | usize::from(low)) {
        Some(0) | None => super::escapes::full_width(low, high == 0xFF),
        Some(fit) => *fit,
    }
}

/// [`FITS`] by the number of the character; zero where there is none.
static BEST_FIT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut table = vec![0; 0x2123];
    for (fit, characters) in FITS {
        for character in characters.chars() {
            let place = usize::try_from(u32::from(character)).unwrap_or(usize::MAX);
            if let Some(entry) = table.get_mut(place) {
                *entry = *fit;
            }
        }
    }
    table
});

/// Characters that become a sign of ASCII, from the best-fit table of code page 20127; full-width forms are left out.
const FITS: &[(u8, &str)] = &[
    (b' ', "\u{A0}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}"),
    (b'!', "\u{A1}"),
    (b'"', "\u{2BA}\u{30E}\u{201C}\u{201D}\u{201E}"),
    (b'$', "¤"),
    (b'\'', "\u{2B9}\u{2BC}\u{2C8}\u{2018}\u{2019}\u{2032}"),
    (b',', "\u{B8}\u{201A}"),
    (b'-', "\u{AD}\u{2010}\u{2011}\u{2013}\u{2014}"),
    (b'.', "\u{B7}\u{2022}\u{2026}"),
    (b'1', "\u{B9}"),
    (b'2', "\u{B2}"),
    (b'3', "\u{B3}"),
    (b'<', "\u{AB}\u{2039}"),
    (b'>', "\u{BB}\u{203A}"),
    (b'A', "ÀÁÂÃÄÅÆĀĂĄǍǞ"),
    (b'C', "\u{A9}ÇĆĈĊČ"),
    (b'D', "ÐĎĐƉ"),
    (b'E', "ÈÉÊËĒĔĖĘĚ"),
    (b'F', "Ƒ"),
    (b'G', "ĜĞĠĢǤǦ"),
    (b'H', "ĤĦ"),
    (b'I', "ÌÍÎÏĨĪĬĮİƗǏ"),
    (b'J', "Ĵ"),
    (b'K', "ĶǨ"),
    (b'L', "ĹĻĽŁ"),
    (b'N', "ÑŃŅŇ"),
    (b'O', "ÒÓÔÕÖØŌŎŐŒƟƠǑǪǬ"),
    (b'R', "\u{AE}ŔŖŘ"),
    (b'S', "ŚŜŞŠ"),
    (b'T', "ŢŤŦƮ\u{2122}"),
    (b'U', "ÙÚÛÜŨŪŬŮŰŲƯǓǕǗǙǛ"),
    (b'W', "Ŵ"),
    (b'Y', "¥ÝŶŸ"),
    (b'Z', "ŹŻŽ"),
    (b'^', "\u{2C4}\u{2C6}\u{302}"),
    (b'_', "\u{2CD}\u{331}\u{332}"),
    (b'`', "\u{2CB}\u{300}\u{2035}"),
    (b'a', "\u{AA}àáâãäåæāăąǎǟ"),
    (b'b', "ƀ"),
    (b'c', "¢çćĉċč"),
    (b'd', "ďđ"),
    (b'e', "èéêëēĕėęě"),
    (b'f', "ƒ"),
    (b'g', "ĝğġģǥǧɡ"),
    (b'h', "ĥħ"),
    (b'i', "ìíîïĩīĭįıǐ"),
    (b'j', "ĵǰ"),
    (b'k', "ķǩ"),
    (b'l', "ĺļľłƚ"),
    (b'n', "ñńņň"),
    (b'o', "\u{BA}òóôõöøōŏőœơǒǫǭ"),
    (b'r', "ŕŗř"),
    (b's', "śŝşš"),
    (b't', "ţťŧƫ"),
    (b'u', "ùúûüũūŭůűųưǔǖǘǚǜ"),
    (b'w', "ŵ"),
    (b'y', "ýÿŷ"),
    (b'z', "żžƶ"),
    (b'|', "\u{A6}"),
    (b'~', "\u{2DC}\u{303}"),
];
