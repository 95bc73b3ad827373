//! Proofs of work: something that a browser computes before it joins, and that costs whoever joins ten thousand times.
//!
//! A *challenge* is given to anybody who asks, and nothing is kept of it: it says itself for which room it is, until when, and
//! how hard. A *proof* is the challenge, a point, and decimal digits, so that the SHA-256 of the whole text begins with so many
//! zero bits. A proof is what the join is known by: sent again, it is the same place, and never another one.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use waiting_room::{JoinKey, Seconds};

/// How hard it is to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// How many bits of the digest have to be zero.
    pub difficulty: u8,
    /// For how many seconds a challenge can be answered.
    pub valid: u32,
    /// What becomes of those who prove nothing.
    pub without: Without,
}

/// What becomes of those who prove no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// They join by the slow lane.
    SlowLane,
    /// They cannot join.
    Refused,
}

/// What makes challenges and looks at proofs, for all rooms of a store.
#[derive(Clone)]
pub struct Proofs {
    key: Arc<hmac::Key>,
}

/// Why a proof is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// Nobody gave the challenge, or it is of another room.
    #[error("the proof answers no challenge of this room")]
    Unknown,
    /// It came too late.
    #[error("the challenge has expired; ask for another one")]
    Expired,
    /// The digits do not solve it.
    #[error("the proof does not solve the challenge")]
    Unsolved,
    /// Somebody has a place by it.
    #[error("the proof was used before, with another idempotency key")]
    Used,
}

impl Proofs {
    /// Challenges that this key seals.
    pub fn new(key: hmac::Key) -> Self {
        Self { key: Arc::new(key) }
    }

    /// A challenge of a room. None: the system gives no randomness.
    pub fn challenge(&self, room: &str, work: Work, now: Seconds) -> Option<String> {
        let mut nonce = [0; 12];
        rand::fill(&mut nonce).ok()?;
        let mut text = [work.difficulty].to_vec();
        text.extend(now.saturating_add(work.valid).to_be_bytes());
        text.extend(nonce);
        let seal = self.seal(room, &text);
        text.extend(seal.as_ref().iter().take(SEAL));
        Some(URL_SAFE_NO_PAD.encode(text))
    }

    /// What a join is known by that shows this proof.
    pub fn read(&self, room: &str, proof: &str, work: Work, now: Seconds) -> Result<JoinKey, NoProof> {
        let (challenge, digits) = proof.split_once('.').filter(|_| proof.len() <= LONGEST).ok_or(NoProof::Unknown)?;
        let bytes = URL_SAFE_NO_PAD.decode(challenge).map_err(|_no_challenge| NoProof::Unknown)?;
        let (text, seal) = bytes.split_last_chunk::<SEAL>().ok_or(NoProof::Unknown)?;
        let expected = self.seal(room, text);
        let expected = expected.as_ref().get(..SEAL).ok_or(NoProof::Unknown)?;
        constant_time::verify_slices_are_equal(expected, seal).map_err(|_forged| NoProof::Unknown)?;
        let ([difficulty, until @ ..], _) = text.split_first_chunk::<5>().ok_or(NoProof::Unknown)?;
        if u32::from_be_bytes(*until) < now {
            return Err(NoProof::Expired);
        }
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        // One that was given while the room was easier does not open it any more.
        if !is_number || *difficulty < work.difficulty || zeros(proof) < u32::from(*difficulty) {
            return Err(NoProof::Unsolved);
        }
        // By the challenge, which has many solutions and gives one place.
        let key = digest(&SHA256, &[b"proof of work ", challenge.as_bytes()].concat());
        key.as_ref().first_chunk().copied().map(JoinKey).ok_or(NoProof::Unknown)
    }

    fn seal(&self, room: &str, text: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, &[text, room.as_bytes()].concat())
    }
}

/// How many zero bits the digest of a text begins with.
fn zeros(text: &str) -> u32 {
    let digest = digest(&SHA256, text.as_bytes());
    let mut zeros = 0;
    for byte in digest.as_ref() {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros
}

/// Solves a challenge, as a browser does.
pub fn solved(challenge: &str, difficulty: u8) -> Option<String> {
    let mut proofs = (0_u64..).map(|number| format!("{challenge}.{number}"));
    proofs.find(|proof| zeros(proof) >= u32::from(difficulty))
}

/// What solves challenges in a browser, beside the page: `docs/waiting-room.md` says how a page uses it.
pub const SCRIPT: &str = include_str!("proof.js");

/// Bytes of a seal: 128 bits.
const SEAL: usize = 16;
/// Characters of a proof.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work { difficulty: 8, valid: 60, without: Without::Refused };

    #[test]
    fn a_proof_is_for_one_room_until_its_time_and_cannot_be_had_for_nothing() {
        let of = |key: u8| Proofs::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]));
        let proofs = of(1);
        let challenge = proofs.challenge("sale", WORK, 1000).unwrap();
        let proof = solved(&challenge, 8).unwrap();

        let key = proofs.read("sale", &proof, WORK, 1060).unwrap();
        assert_eq!(proofs.read("sale", &proof, WORK, 1000), Ok(key), "the same join, whenever it is sent");
        assert_eq!(proofs.read("sale", &proof, WORK, 1061), Err(NoProof::Expired));
        assert_eq!(proofs.read("other", &proof, WORK, 1000), Err(NoProof::Unknown));
        assert_eq!(of(2).read("sale", &proof, WORK, 1000), Err(NoProof::Unknown));
        let harder = Work { difficulty: 9, ..WORK };
        assert_eq!(proofs.read("sale", &proof, harder, 1000), Err(NoProof::Unsolved));
        let idle = (0..100).map(|number| format!("{challenge}.{number}")).find(|proof| zeros(proof) < 8).unwrap();
        for wrong in [idle.as_str(), &format!("{challenge}."), &format!("{challenge}.x")] {
            assert_eq!(proofs.read("sale", wrong, WORK, 1000), Err(NoProof::Unsolved), "{wrong}");
        }
        for wrong in ["", ".", "x.1", &challenge, &format!("A{proof}"), &"1".repeat(1000)] {
            assert_eq!(proofs.read("sale", wrong, WORK, 1000), Err(NoProof::Unknown), "{wrong}");
        }
    }

    #[test]
    fn a_challenge_has_many_solutions_and_one_place() {
        let proofs = Proofs::new(hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]));
        let challenge = proofs.challenge("sale", WORK, 1000).unwrap();
        let solutions = (0..100_000).map(|number| format!("{challenge}.{number}"));
        let mut solutions = solutions.filter(|proof| zeros(proof) >= 8);
        let [one, other] = [solutions.next().unwrap(), solutions.next().unwrap()];
        assert_eq!(proofs.read("sale", &one, WORK, 1000), proofs.read("sale", &other, WORK, 1000));
        let another = solved(&proofs.challenge("sale", WORK, 1000).unwrap(), 8).unwrap();
        assert_ne!(proofs.read("sale", &one, WORK, 1000), proofs.read("sale", &another, WORK, 1000));
    }
}
