//! The form of keys as it is documented: `vk_live_`, an id, `_`, a secret, a checksum.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a key before its id.
pub(crate) const BEFORE_ID: usize = 8;

/// Characters of a key before its secret.
pub(crate) const BEFORE_SECRET: usize = BEFORE_ID + 12 + 1;

/// Characters of a key before its checksum.
pub(crate) const HASHED: usize = BEFORE_SECRET + 32;

/// Numbers that look like chance and are the same each time (xorshift).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// So many digits of base 62.
    pub(crate) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| digit(self.next() >> 32)).collect()
    }
}

/// The key with this beginning, its checksum added.
pub(crate) fn complete(hashed: &str) -> String {
    let mut rest = u64::from(crc32fast::hash(hashed.as_bytes()));
    let mut checksum = Vec::new();
    for _ in 0..6 {
        checksum.push(digit(rest));
        rest /= 62;
    }
    hashed.chars().chain(checksum.into_iter().rev()).collect()
}

fn digit(value: u64) -> char {
    let at = usize::try_from(value % 62).unwrap_or_default();
    DIGITS.get(at).copied().map_or('0', char::from)
}
