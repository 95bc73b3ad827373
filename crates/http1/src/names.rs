//! Header names from bytes, without an allocation where the name is a common one.

use http::HeaderName;

/// The name that stands in `section` from `start` to `end`, or `None` if it is not a token. There are no control bytes
/// in it.
#[inline]
pub(crate) fn header_name(section: &[u8], start: usize, end: usize) -> Option<HeaderName> {
    let (name, behind) = (section.get(start..end)?, section.get(start..)?);
    if let Some(key) = Key::of(name, behind) {
        let mut slot = key.slot();
        while let Some(index) = SLOTS.get(slot).and_then(|index| usize::from(*index).checked_sub(1)) {
            if KEYS.get(index) == Some(&key) {
                return NAMES.get(index).cloned();
            }
            slot = (slot + 1) % SLOTS.len();
        }
    }
    HeaderName::from_bytes(name).ok()
}

/// A name of up to 32 bytes in a form that is compared in a few instructions.
///
/// Setting the bit that tells upper from lower case maps other bytes too, but onto letters, digits and hyphens, which
/// are all that is in [`NAMES`], it maps only control bytes and letters of the other case.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    words: [u64; 4],
    length: usize,
}

impl Key {
    /// The key of a name, and what stands `behind` its beginning, the name included. `None`: it is too long.
    #[inline]
    fn of(name: &[u8], behind: &[u8]) -> Option<Self> {
        let mask = MASKS.get(name.len())?;
        if let Some(bytes) = behind.first_chunk() {
            return Some(Self::new(bytes, name.len(), mask));
        }
        let mut bytes = [0; 32];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self::new(&bytes, name.len(), mask))
    }

    #[inline]
    const fn new(bytes: &[u8; 32], length: usize, mask: &[u64; 4]) -> Self {
        let ([one, two, three, four], []) = bytes.as_chunks::<8>() else { return Self { words: [0; 4], length: 0 } };
        let words = [
            (u64::from_le_bytes(*one) | CASE) & mask[0],
            (u64::from_le_bytes(*two) | CASE) & mask[1],
            (u64::from_le_bytes(*three) | CASE) & mask[2],
            (u64::from_le_bytes(*four) | CASE) & mask[3],
        ];
        Self { words, length }
    }

    /// Where in [`SLOTS`] the search begins.
    #[inline]
    const fn slot(&self) -> usize {
        let [one, two, three, _] = self.words;
        let mixed = one ^ two.rotate_left(23) ^ three.rotate_left(41) ^ self.length as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SLOT_SHIFT) as usize
    }
}

macro_rules! names {
    ($($name:literal)*) => {
        /// The names, ready to be cloned.
        static NAMES: [HeaderName; COUNT] = [$(HeaderName::from_static($name)),*];
        static KEYS: [Key; COUNT] = keys();
        const TEXTS: &[&str] = &[$($name),*];
    };
}

// Those that http knows, and those that browsers, proxies and clients of APIs send.
names! {
    "accept" "accept-charset" "accept-encoding" "accept-language" "accept-ranges" "access-control-allow-credentials"
    "access-control-allow-headers" "access-control-allow-methods" "access-control-allow-origin"
    "access-control-expose-headers" "access-control-max-age" "access-control-request-headers"
    "access-control-request-method" "age" "allow" "alt-svc" "api-key" "authorization" "baggage" "cache-control" "cdn-loop"
    "connection" "content-disposition" "content-encoding" "content-language" "content-length" "content-location"
    "content-range" "content-security-policy" "content-type" "cookie" "date" "dnt" "etag" "expect" "expires" "forwarded"
    "from" "grpc-accept-encoding" "grpc-encoding" "grpc-message" "grpc-status" "grpc-timeout" "host" "idempotency-key"
    "if-match" "if-modified-since" "if-none-match" "if-range" "if-unmodified-since" "keep-alive" "last-modified" "link"
    "location" "max-forwards" "origin" "pragma" "priority" "proxy-authenticate" "proxy-authorization" "range" "referer"
    "referrer-policy" "retry-after" "sec-ch-ua" "sec-ch-ua-mobile" "sec-ch-ua-platform" "sec-fetch-dest"
    "sec-fetch-mode" "sec-fetch-site" "sec-fetch-user" "sec-gpc" "sec-websocket-accept" "sec-websocket-extensions"
    "sec-websocket-key" "sec-websocket-protocol" "sec-websocket-version" "server" "server-timing" "set-cookie"
    "strict-transport-security" "te" "trace" "traceparent" "tracestate" "trailer" "transfer-encoding" "upgrade"
    "upgrade-insecure-requests" "user-agent" "vary" "via" "warning" "www-authenticate" "x-api-key" "x-cache"
    "x-content-type-options" "x-correlation-id" "x-csrf-token" "x-forwarded-for" "x-forwarded-host" "x-forwarded-port"
    "x-forwarded-proto" "x-frame-options" "x-powered-by" "x-ratelimit-limit" "x-ratelimit-remaining" "x-real-ip"
    "x-request-id" "x-requested-with" "x-xss-protection"
}

#[expect(clippy::indexing_slicing, reason = "in a constant, an index out of bounds does not compile")]
const fn keys() -> [Key; COUNT] {
    let mut keys = [Key { words: [0; 4], length: 0 }; COUNT];
    let mut index = 0;
    while index < COUNT {
        let name = TEXTS[index].as_bytes();
        let mut bytes = [0; 32];
        let mut at = 0;
        while at < name.len() {
            bytes[at] = name[at];
            at += 1;
        }
        keys[index] = Key::new(&bytes, name.len(), &MASKS[name.len()]);
        index += 1;
    }
    keys
}

/// For each slot the index of a name plus one, or zero. A name whose slot is taken is in the next that was free.
#[expect(clippy::indexing_slicing, reason = "in a constant, an index out of bounds does not compile")]
const fn slots() -> [u8; 1 << SLOT_BITS] {
    let keys = keys();
    let mut slots = [0; 1 << SLOT_BITS];
    let mut number = 0_u8;
    while (number as usize) < COUNT {
        let mut slot = keys[number as usize].slot();
        while slots[slot] != 0 {
            slot = (slot + 1) % slots.len();
        }
        number += 1;
        slots[slot] = number;
    }
    slots
}

/// For each length of a name the bits that belong to it.
#[expect(clippy::indexing_slicing, reason = "in a constant, an index out of bounds does not compile")]
const fn masks() -> [[u64; 4]; 33] {
    let mut masks = [[0; 4]; 33];
    let mut length = 0;
    while length < masks.len() {
        let mut at = 0;
        while at < length {
            masks[length][at / 8] |= 0xff << (at % 8 * 8);
            at += 1;
        }
        length += 1;
    }
    masks
}

static MASKS: [[u64; 4]; 33] = masks();
static SLOTS: [u8; 1 << SLOT_BITS] = slots();
const COUNT: usize = TEXTS.len();
const SLOT_BITS: u32 = 9;
const SLOT_SHIFT: u32 = 64 - SLOT_BITS;
const CASE: u64 = 0x2020_2020_2020_2020;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The name as it is found with other bytes behind it, or at the end.
    fn read(name: &[u8]) -> Option<HeaderName> {
        let alone = header_name(name, 0, name.len());
        let among_others = header_name(&[b": ", name, &[b':'; 40]].concat(), 2, 2 + name.len());
        assert_eq!(alone, among_others);
        among_others
    }

    #[test]
    fn common_names_are_found_in_any_case() {
        for text in TEXTS {
            let upper = text.to_uppercase();
            assert_eq!(read(text.as_bytes()).unwrap(), HeaderName::from_static(text));
            assert_eq!(read(upper.as_bytes()).unwrap(), HeaderName::from_static(text));
        }
    }

    #[test]
    fn a_name_with_one_other_byte_is_what_the_library_says() {
        for text in TEXTS {
            for at in 0..text.len() {
                for byte in (0x20..=0xff).filter(|byte| *byte != 0x7f) {
                    let mut name = text.as_bytes().to_vec();
                    name[at] = byte;
                    assert_eq!(read(&name), HeaderName::from_bytes(&name).ok(), "{text} with {byte:x} at {at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn all_names_are_what_the_library_says(name in "[ -~\u{80}-\u{ff}]{0,40}") {
            prop_assert_eq!(read(name.as_bytes()), HeaderName::from_bytes(name.as_bytes()).ok());
        }
    }
}
