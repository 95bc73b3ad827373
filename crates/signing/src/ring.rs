//! The keys of one name over time: the one that signs, the next one, and those whose tokens may still be around.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::{SigningKey, from_jwk, generate};
use crate::{Algorithm, Error};

/// When keys change, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How long a key signs.
    pub rotate: u64,
    /// How long a key is published before it signs, and after.
    pub overlap: u64,
}

/// The keys of one name, in the order in which they sign.
#[derive(Default)]
pub struct Ring {
    keys: Vec<(u64, SigningKey)>,
}

/// What is kept of a ring.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    keys: Vec<KeptKey>,
}

#[derive(Serialize, Deserialize)]
struct KeptKey {
    algorithm: Algorithm,
    /// When it begins to sign, in seconds since 1970.
    from: u64,
    pkcs8: String,
    /// Its name, if it came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl Ring {
    /// The ring after what is due by now: keys that are made, and keys that are forgotten.
    ///
    /// Returns what is to be kept from now on, if it is not what was kept.
    pub fn tended(
        kept: Option<&[u8]>,
        algorithm: Algorithm,
        schedule: Schedule,
        now: u64,
    ) -> Result<(Self, Option<Vec<u8>>), Error> {
        let mut state = Kept::read(kept)?;
        let before = state.keys.len();
        state.forget(schedule, now);
        let forgotten = before - state.keys.len();
        let begins = state.next(algorithm, schedule, now);
        if let Some(from) = begins {
            let pkcs8 = STANDARD.encode(generate(algorithm)?);
            // Before those of a clock that was far ahead, which sign when their time comes.
            let place = state.keys.iter().position(|key| key.from > from).unwrap_or(state.keys.len());
            state.keys.insert(place, KeptKey { algorithm, from, pkcs8, id: None });
        }
        let has_changed = begins.is_some() || forgotten > 0;
        let ring = Self::read(&state)?;
        Ok((ring, has_changed.then(|| serde_json::to_vec(&state).unwrap_or_default())))
    }

    /// The ring with a key that somebody else made, a private RSA key as a JWK, which signs from now on. Its `kid` stays.
    ///
    /// The keys before it are published as long as their tokens may be around. Returns what is to be kept.
    pub fn with_imported(kept: Option<&[u8]>, jwk: &Value, now: u64) -> Result<(Self, Vec<u8>), Error> {
        let mut state = Kept::read(kept)?;
        let pkcs8 = STANDARD.encode(from_jwk(jwk)?);
        let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
        // It takes over at once, also from a key that was to do so later, and from itself.
        state.keys.retain(|key| key.from <= now && key.pkcs8 != pkcs8);
        state.keys.push(KeptKey { algorithm: Algorithm::Rs256, from: now, pkcs8, id });
        Ok((Self::read(&state)?, serde_json::to_vec(&state).unwrap_or_default()))
    }

    /// The ring with another key, which is published from now on and signs from a time on. One that was to do so later is not.
    ///
    /// The keys before it are published as long as their tokens may be around. Returns what is to be kept.
    pub fn rotated(kept: Option<&[u8]>, algorithm: Algorithm, now: u64, from: u64) -> Result<(Self, Vec<u8>), Error> {
        let mut state = Kept::read(kept)?;
        state.keys.retain(|key| key.from <= now);
        // Somebody has to sign until then.
        if state.keys.is_empty() && from > now {
            let pkcs8 = STANDARD.encode(generate(algorithm)?);
            state.keys.push(KeptKey { algorithm, from: now, pkcs8, id: None });
        }
        let pkcs8 = STANDARD.encode(generate(algorithm)?);
        state.keys.push(KeptKey { algorithm, from, pkcs8, id: None });
        Ok((Self::read(&state)?, serde_json::to_vec(&state).unwrap_or_default()))
    }

    /// The name of the key that is made last, and since when it signs, or from when on.
    pub fn last(&self) -> Option<(&str, u64)> {
        self.keys.last().map(|(from, key)| (key.id(), *from))
    }

    fn read(state: &Kept) -> Result<Self, Error> {
        let keys = state.keys.iter().map(|key| {
            let pkcs8 = STANDARD.decode(&key.pkcs8).map_err(|_error| Error::Damaged)?;
            Ok((key.from, SigningKey::read_as(key.id.as_deref(), key.algorithm, &pkcs8)?))
        });
        Ok(Self { keys: keys.collect::<Result<_, Error>>()? })
    }

    /// The key that signs at this time.
    pub(crate) fn current(&self, now: u64) -> Option<&SigningKey> {
        self.keys.iter().rev().find(|(from, _)| *from <= now).map(|(_, key)| key)
    }

    /// Those that may have signed what names this key, or names none.
    pub(crate) fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a SigningKey> {
        self.keys.iter().map(|(_, key)| key).filter(move |key| id.is_none_or(|id| key.id() == id))
    }

    pub(crate) fn public_keys(&self) -> Vec<Value> {
        self.keys.iter().map(|(_, key)| key.public()).collect()
    }
}

impl Kept {
    fn read(kept: Option<&[u8]>) -> Result<Self, Error> {
        kept.map_or_else(|| Ok(Self::default()), |kept| serde_json::from_slice(kept).map_err(|_error| Error::Damaged))
    }

    /// Drops keys that another took over from so long ago that no token of theirs is around.
    fn forget(&mut self, schedule: Schedule, now: u64) {
        let ends: Vec<_> = self.keys.iter().skip(1).map(|next| next.from.saturating_add(schedule.overlap)).collect();
        let over = ends.iter().take_while(|end| **end <= now).count();
        self.keys.drain(..over);
    }

    /// When a key that is to be made now begins to sign, if one is due.
    fn next(&self, algorithm: Algorithm, schedule: Schedule, now: u64) -> Option<u64> {
        let announced = now.saturating_add(schedule.overlap);
        // No clock that is right makes a key that begins later than that.
        let last = self.keys.iter().rev().find(|key| key.from <= announced);
        let signs_now = self.keys.iter().any(|key| key.from <= now);
        let Some(last) = last.filter(|_| signs_now) else { return Some(now) };
        if last.from > now {
            return None;
        }
        let due = last.from.saturating_add(schedule.rotate);
        (last.algorithm != algorithm || due <= announced).then_some(announced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;
    const SCHEDULE: Schedule = Schedule { rotate: 7 * DAY, overlap: DAY };

    fn tended(kept: &mut Option<Vec<u8>>, now: u64) -> Ring {
        let (ring, changed) = Ring::tended(kept.as_deref(), Algorithm::Es256, SCHEDULE, now).unwrap();
        if changed.is_some() {
            *kept = changed;
        }
        ring
    }

    #[test]
    fn a_clock_that_is_far_ahead_takes_nobody_the_key_that_signs() {
        let (now, mut kept) = (1000 * DAY, None);
        tended(&mut kept, now);
        // A node that is a month ahead makes a key and, when that signs, forgets the one before.
        tended(&mut kept, now + 30 * DAY);
        let ahead = tended(&mut kept, now + 33 * DAY);
        assert!(ahead.current(now).is_none(), "only the key of the future is left");

        let mended = tended(&mut kept, now);
        let id = mended.current(now).expect("a key signs").id().to_owned();
        assert_eq!(mended.public_keys().len(), 2);

        // It is exchanged when it is time, and nothing is made before.
        assert_eq!(tended(&mut kept, now + DAY).public_keys().len(), 2);
        let later = tended(&mut kept, now + 6 * DAY);
        assert_eq!((later.public_keys().len(), later.current(now + 6 * DAY).unwrap().id()), (3, &*id));
        let exchanged = tended(&mut kept, now + 7 * DAY);
        assert_ne!(exchanged.current(now + 7 * DAY).unwrap().id(), id);
    }
}
