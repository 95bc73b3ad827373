//! The lottery among those who came before a room opened, which everybody can check.
//!
//! A *seed* of 32 random bytes is made before anybody can come, and its SHA-256, the *commitment*, is told. After the draw the
//! seed is told, too. Everything else follows from it and from who came:
//!
//! 1. A visitor's *tag* is the first 16 bytes of the SHA-256 of the request id as text (lower case, with hyphens). Tags can be
//!    published: nobody finds an id by its tag.
//! 2. The *key* is HMAC-SHA256 with the seed as its key, over `vestibule-lottery-1`, a line feed, and the public value, a text
//!    that is empty if there is none.
//! 3. A visitor's *lot* is their tag encrypted by AES-256 with that key, as one block.
//! 4. Lots are sorted as bytes, the smallest first: that is the order in which visitors take places.
//!
//! AES is a permutation of all blocks, so that no two lots are equal, and without the key no order is likelier than another.
//! Whoever knows the seed before could still prefer somebody by choosing who comes; a public value that is not known
//! before everybody has come takes that away, too.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

use crate::RequestId;

/// The name of how a draw is made.
pub const ALGORITHM: &str = "vestibule-lottery-1";

/// What the order of a draw follows from. It is secret until then.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

/// What a visitor is known by in what is published of a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub [u8; 16]);

impl Seed {
    /// What is told of it before.
    pub fn commitment(&self) -> [u8; 32] {
        first(digest(&SHA256, &self.0).as_ref())
    }

    fn key(&self, public: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        first(hmac::sign(&key, format!("{ALGORITHM}\n{public}").as_bytes()).as_ref())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

impl Tag {
    /// The tag of a visitor.
    pub fn of(id: RequestId) -> Self {
        Self(first(digest(&SHA256, &id.text()).as_ref()))
    }
}

/// As it is published.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The text is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no tag: 32 digits of hexadecimal numbers")]
pub struct NoTag;

impl FromStr for Tag {
    type Err = NoTag;

    fn from_str(text: &str) -> Result<Self, NoTag> {
        let is_tag = text.len() == 32 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_tag).ok_or(NoTag)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// In which order visitors take places, each named by where their tag is among all. None: there is no AES.
pub fn order(seed: &Seed, public: &str, tags: impl Iterator<Item = Tag>) -> Option<Vec<u32>> {
    let mut blocks: Vec<u8> = tags.flat_map(|tag| tag.0).collect();
    let key = UnboundCipherKey::new(&AES_256, &seed.key(public)).ok()?;
    let key = EncryptingKey::ecb(key).ok()?;
    if !blocks.is_empty() {
        key.encrypt(&mut blocks).ok()?;
    }
    let lots = blocks.chunks_exact(16).map(|block| u128::from_be_bytes(first(block)));
    let mut order: Vec<(u128, u32)> = lots.zip(0..).collect();
    order.sort_unstable();
    Some(order.into_iter().map(|(_, visitor)| visitor).collect())
}

/// The first bytes of something that has as many.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: u32) -> Tag {
        Tag::of(RequestId::of(u128::from(number).to_be_bytes()))
    }

    fn seed(number: u32) -> Seed {
        Seed(first(digest(&SHA256, &number.to_be_bytes()).as_ref()))
    }

    /// As an independent program has it: Python's `hashlib` and `hmac`, and AES of `openssl enc -aes-256-ecb -nopad`.
    #[test]
    fn an_independent_program_comes_to_the_same() {
        let seed = Seed([7; 32]);
        assert_eq!(hex(seed.commitment()), "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0");
        let tags =
            [1, 2, 3, 4, 5].map(|last| Tag::of(format!("00000000-0000-4000-8000-00000000000{last}").parse().unwrap()));
        assert_eq!(hex(tags[0].0), "11e594f481958c10e3015d0bf0447a22");
        assert_eq!(order(&seed, "", tags.into_iter()), Some(vec![4, 2, 1, 0, 3]));
        assert_eq!(order(&seed, "drand 4711: 8430af", tags.into_iter()), Some(vec![2, 1, 3, 4, 0]));
    }

    fn hex<const N: usize>(bytes: [u8; N]) -> String {
        bytes.map(|byte| format!("{byte:02x}")).concat()
    }

    #[test]
    fn everybody_has_one_place_and_nobody_none() {
        for count in [0, 1, 2, 1000] {
            let mut order = order(&seed(count), "", (0..count).map(tag)).unwrap();
            order.sort_unstable();
            assert!(order.into_iter().eq(0..count));
        }
    }

    #[test]
    fn who_came_first_has_nothing_of_it_and_each_place_is_as_likely_as_another() {
        const VISITORS: u32 = 10;
        const DRAWS: u32 = 20_000;
        let mut seen = [[0_u32; VISITORS as usize]; VISITORS as usize];
        for draw in 0..DRAWS {
            for (place, visitor) in order(&seed(draw), "", (0..VISITORS).map(tag)).unwrap().into_iter().enumerate() {
                seen[visitor as usize][place] += 1;
            }
        }
        let expected = f64::from(DRAWS / VISITORS);
        for (visitor, places) in seen.iter().enumerate() {
            let squares: f64 = places.iter().map(|seen| (f64::from(*seen) - expected).powi(2) / expected).sum();
            // With 9 degrees of freedom, chance alone is beyond it once in a million; the seeds are the same each time.
            assert!(squares < 45.0, "visitor {visitor}: {squares} by {places:?}");
        }
    }

    /// Over a thousandth of all places each, so that a slope or a step would show in a draw of many.
    #[test]
    fn many_visitors_are_spread_evenly_over_all_places() {
        const VISITORS: u32 = 100_000;
        const PARTS: usize = 100;
        let order = order(&seed(1), "", (0..VISITORS).map(tag)).unwrap();
        // Where the first tenth of all came to be.
        let mut seen = [0_u32; PARTS];
        for (place, visitor) in order.into_iter().enumerate() {
            if visitor < VISITORS / 10 {
                seen[place * PARTS / VISITORS as usize] += 1;
            }
        }
        let expected = f64::from(VISITORS / 10) / 100.0;
        let squares: f64 = seen.iter().map(|seen| (f64::from(*seen) - expected).powi(2) / expected).sum();
        assert!((50.0..170.0).contains(&squares), "{squares} by {seen:?}");
    }
}
