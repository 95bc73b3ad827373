//! The form of a key: `vk_live_<id>_<secret><checksum>`.

use std::fmt;

use store::{Environment, KeyId};

/// Characters of the secret: 32 of 62 are 190 bits.
const SECRET: usize = 32;

/// Characters of the checksum, enough for 32 bits.
const CHECKSUM: usize = 6;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that is well-formed. Whether there is such a key is another question.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'a> {
    /// Which key it claims to be.
    pub(crate) id: KeyId,
    /// What its hash is made of: everything but the checksum, so that no part can be exchanged.
    pub(crate) hashed: &'a [u8],
}

/// Why a text cannot be a key of this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It has another form.
    #[error("a key has the form `vk_live_...` or `vk_test_...`, 59 characters in all")]
    Form,
    /// It has the form, but was not copied right.
    #[error("the key's checksum is wrong: a character is missing or was changed")]
    Checksum,
}

/// A whole key, which is shown once and kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The key, to be shown to its owner and to nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What its hash is made of.
    pub(crate) fn hashed(&self) -> &[u8] {
        self.0.as_bytes().split_last_chunk::<CHECKSUM>().map_or(b"", |(hashed, _)| hashed)
    }

    /// The beginning of the key, which is no secret.
    pub(crate) fn prefix(&self) -> &str {
        self.0.get(..prefix(Environment::Live).len() + KeyId::LENGTH).unwrap_or_default()
    }

    /// The last four characters, by which people recognise it: they belong to the checksum.
    pub(crate) fn last_four(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whether a text claims to be a key of this gateway.
pub(crate) fn is_ours(text: &str) -> bool {
    [Environment::Live, Environment::Test].iter().any(|kind| text.as_bytes().starts_with(prefix(*kind)))
}

/// Reads a key without copying or looking up anything.
pub(crate) fn read(text: &str) -> Result<Presented<'_>, Malformed> {
    let text = text.as_bytes();
    let rest = [Environment::Live, Environment::Test].iter().find_map(|kind| text.strip_prefix(prefix(*kind)));
    let (id, rest) = rest.and_then(|rest| rest.split_at_checked(KeyId::LENGTH)).ok_or(Malformed::Form)?;
    let id = KeyId::read(id).ok_or(Malformed::Form)?;
    let secret = rest.strip_prefix(b"_").ok_or(Malformed::Form)?;
    // Without a branch per byte: requests come by here.
    let is_plain = secret.iter().fold(true, |good, byte| good & byte.is_ascii_alphanumeric());
    if secret.len() != SECRET + CHECKSUM || !is_plain {
        return Err(Malformed::Form);
    }
    let (hashed, written) = text.split_at_checked(text.len() - CHECKSUM).ok_or(Malformed::Form)?;
    if checksum(hashed) != written {
        return Err(Malformed::Checksum);
    }
    Ok(Presented { id, hashed })
}

/// What finds keys and tokens of this gateway in files and logs, as a regular expression that every scanner understands.
pub fn patterns() -> [(&'static str, &'static str); 2] {
    [
        ("API key of Vestibule", r"\bvk_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}\b"),
        ("Admin API token of Vestibule", r"\bva_[0-9A-Za-z]{43}\b"),
    ]
}

/// The source of randomness is dry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRandomness;

/// Fills bytes with randomness.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut [u8]) -> Result<(), NoRandomness>;

/// Makes a new key out of randomness.
pub(crate) fn mint(environment: Environment, fill: Fill<'_>) -> Result<(KeyId, Secret), NoRandomness> {
    let drawn: [u8; KeyId::LENGTH + SECRET] = base62(fill)?;
    let (id, secret) = drawn.split_at(KeyId::LENGTH);
    let mut text = prefix(environment).to_vec();
    text.extend_from_slice(id);
    text.push(b'_');
    text.extend_from_slice(secret);
    text.extend_from_slice(&checksum(&text));
    let text = text.into_iter().map(char::from).collect();
    // Digits always make an id: without them there was no randomness.
    Ok((KeyId::read(id).ok_or(NoRandomness)?, Secret(text)))
}

/// Digits of base 62, each equally likely: a byte that would favour some of them is thrown away.
pub(crate) fn base62<const LENGTH: usize>(fill: Fill<'_>) -> Result<[u8; LENGTH], NoRandomness> {
    let mut drawn = [0; LENGTH];
    let mut places = drawn.iter_mut();
    let mut random = [0; 64];
    loop {
        fill(&mut random)?;
        let digits = random.iter().filter_map(|byte| DIGITS.get(usize::from(byte & 0b11_1111)));
        for digit in digits {
            match places.next() {
                Some(place) => *place = *digit,
                None => return Ok(drawn),
            }
        }
    }
}

fn prefix(environment: Environment) -> &'static [u8; 8] {
    match environment {
        Environment::Live => b"vk_live_",
        Environment::Test => b"vk_test_",
    }
}

fn checksum(text: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(text);
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minted(environment: Environment, seed: u64) -> (KeyId, Secret) {
        let mut state = seed;
        let mut fill = |bytes: &mut [u8]| {
            for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
            Ok(())
        };
        mint(environment, &mut fill).unwrap()
    }

    #[test]
    fn a_key_is_made_as_documented() {
        let (id, secret) = minted(Environment::Live, 1);

        assert_eq!(secret.expose().len(), 59);
        assert_eq!(secret.prefix(), format!("vk_live_{id}"));
        assert!(secret.expose().ends_with(secret.last_four()));
        assert!(minted(Environment::Test, 1).1.expose().starts_with("vk_test_"));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn other_texts_are_refused_for_their_form() {
        let key = minted(Environment::Live, 1).1;
        let key = key.expose();
        let long = format!("{key}0");
        for text in [
            "",
            "vk_live_",
            "vk",
            &long,
            key.get(1..).unwrap(),
            key.get(..58).unwrap(),
            &key.replace("live", "life"),
            &key.replace("vk_live_", ""),
        ] {
            assert_eq!(read(text).err(), Some(Malformed::Form), "{text}");
        }
        assert_eq!(read(&key.replace('_', "-")).err(), Some(Malformed::Form));
    }

    #[test]
    fn a_random_source_that_fails_makes_no_key() {
        assert_eq!(mint(Environment::Live, &mut |_| Err(NoRandomness)).err(), Some(NoRandomness));
    }

    proptest! {
        #[test]
        fn a_minted_key_is_read_back(seed: u64) {
            let (id, secret) = minted(Environment::Test, seed);
            let presented = read(secret.expose()).unwrap();
            prop_assert_eq!(presented.id, id);
            prop_assert_eq!(presented.hashed, secret.hashed());
            prop_assert_eq!(presented.hashed.len(), 53);
        }

        #[test]
        fn one_wrong_character_is_always_noticed(seed: u64, at in 0_usize..59, digit in 0_usize..62) {
            let (_, secret) = minted(Environment::Live, seed);
            let mut bytes = secret.expose().as_bytes().to_vec();
            prop_assume!(bytes[at] != DIGITS[digit]);
            bytes[at] = DIGITS[digit];
            prop_assert!(read(std::str::from_utf8(&bytes).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            prop_assert!(read(&text).is_err());
        }
    }
}
