//! How often bytes and texts stand in what people send, roughly: what is rare tells values apart.

use crate::ByteSet;

/// How many of a million places of ordinary text have one of some texts. Less is better.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Rarity(f64);

impl Rarity {
    /// Of texts one of which is needed.
    pub(super) fn of(texts: &[Vec<u8>]) -> Self {
        Self(texts.iter().map(|text| of_text(text)).sum())
    }

    /// Whether most values do not have any of the texts.
    pub(super) fn is_useful(self) -> bool {
        self.0 <= OFTEN
    }
}

fn of_text(text: &[u8]) -> f64 {
    // Longer texts than these are not rarer in any way that matters.
    let told = text.iter().take(8);
    told.map(|byte| f64::from(weight(*byte)) / 1000.0).product::<f64>() * 1e6
}

/// How likely a value has one of these bytes, as far as they are told apart: one letter is as likely as any.
pub(super) fn set_weight(set: &ByteSet) -> u32 {
    let of_class = |set: ByteSet, class: &ByteSet| if set.meets(class) { set.or(*class) } else { set };
    CLASSES.iter().fold(*set, of_class).iter().map(weight).sum()
}

/// Bytes that are not told apart where values are asked for the bytes they hold.
pub(super) const CLASSES: [ByteSet; 3] = [LETTERS, DIGITS, HIGH];
pub(super) const LETTERS: ByteSet = ByteSet::EMPTY.with_range(b'a', b'z').with_range(b'A', b'Z');
pub(super) const DIGITS: ByteSet = ByteSet::EMPTY.with_range(b'0', b'9');
pub(super) const HIGH: ByteSet = ByteSet::EMPTY.with_range(0x80, 0xff);

/// How many of a thousand bytes are this one.
pub(super) fn weight(byte: u8) -> u32 {
    match byte {
        b'a'..=b'z' => ENGLISH.get(usize::from(byte - b'a')).copied().unwrap_or(1),
        b' ' => 120,
        // In texts that are looked for it stands for the ends of values.
        0 => 30,
        b'0'..=b'9' | b'.' | b'-' | b'/' => 20,
        b'A'..=b'Z' | b'_' | b',' | b';' | b'=' | b':' | b'&' | b'+' => 8,
        0x21..=0x7e => 3,
        _ => 1,
    }
}

/// How often letters stand in English text, for each thousand.
const ENGLISH: [u32; 26] =
    [82, 15, 28, 43, 127, 22, 20, 61, 70, 2, 8, 40, 24, 67, 75, 19, 1, 60, 63, 91, 28, 10, 24, 2, 20, 1];

/// Beyond this, too many values have a text to make it worth looking for.
const OFTEN: f64 = 10_000.0;
