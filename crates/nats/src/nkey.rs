//! Keys of NATS: Ed25519, written in base32.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The private half of a user's key, as `nk -gen user` writes it: `SU...`.
pub struct Seed(Ed25519KeyPair);

/// A text is no seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no seed of a user's key, which begins with `SU` and has 58 letters")]
pub struct WrongSeed;

impl Seed {
    /// The seed in a text.
    pub fn parse(text: &str) -> Result<Self, WrongSeed> {
        let bytes = base32(text.trim()).ok_or(WrongSeed)?;
        let (content, sum) = bytes.split_last_chunk::<2>().ok_or(WrongSeed)?;
        let (prefix, seed) = content.split_first_chunk::<2>().ok_or(WrongSeed)?;
        // Five bits each: that it is a seed, and whose.
        let [first, second] = *prefix;
        let (kind, of) = (first & 0xf8, (first & 7) << 5 | second >> 3);
        if crc16(content) != u16::from_le_bytes(*sum) || kind != SEED || of != USER {
            return Err(WrongSeed);
        }
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_rejected| WrongSeed)
    }

    /// The public half: `U...`.
    pub fn public(&self) -> String {
        let mut bytes = vec![USER];
        bytes.extend_from_slice(self.0.public_key().as_ref());
        bytes.extend_from_slice(&crc16(&bytes).to_le_bytes());
        to_base32(&bytes)
    }

    /// Signs a server's nonce.
    pub fn sign(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(nonce.as_bytes()))
    }
}

/// CRC-16 as XMODEM has it.
fn crc16(bytes: &[u8]) -> u16 {
    let step = |sum: u16, _| if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x1021 };
    bytes.iter().fold(0, |sum, byte| (0..8).fold(sum ^ u16::from(*byte) << 8, step))
}

fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn to_base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut count) = (String::new(), 0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(letter(bits >> count));
        }
    }
    if count > 0 {
        text.push(letter(bits << (5 - count)));
    }
    text
}

fn letter(bits: u32) -> char {
    usize::try_from(bits & 31).ok().and_then(|index| ALPHABET.get(index)).map_or('A', |letter| char::from(*letter))
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// `S`, for seeds.
const SEED: u8 = 18 << 3;
/// `U`, for users.
const USER: u8 = 20 << 3;

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// From the documentation of NATS.
    const KNOWN: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    #[test]
    fn a_seed_gives_the_public_key_that_servers_know_it_by() {
        let seed = Seed::parse(&format!(" {KNOWN}\n")).unwrap();
        assert_eq!(seed.public(), PUBLIC);

        let bytes = base32(PUBLIC).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(seed.sign("nonce")).unwrap();
        UnparsedPublicKey::new(&ED25519, &bytes[1..33]).verify(b"nonce", &signature).unwrap();
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        let changed = KNOWN.replace("SUACSSL3", "SUACSSL4");
        for text in ["", "SU", PUBLIC, &changed, &KNOWN.to_lowercase(), KNOWN.get(..56).unwrap(), "S3cret"] {
            assert!(Seed::parse(text).is_err(), "{text}");
        }
    }
}
