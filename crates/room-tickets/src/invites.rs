//! Invites: promises of a place in a lane that nobody else can make, with an end, for one use or for several.

use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use journal::wire::{Source, put_bytes, put_number};
use waiting_room::{Invite, InviteId, Seconds};

/// What makes and reads invites of all rooms of a store.
#[derive(Clone)]
pub struct Invites {
    key: Arc<hmac::Key>,
}

/// What an operator promises by an invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The lane.
    pub lane: Arc<str>,
    /// How often it can be used.
    pub uses: u32,
    /// Until when.
    pub expires: Seconds,
}

/// An invite that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// For which lane.
    pub lane: Arc<str>,
    /// What is used of it.
    pub invite: Invite,
}

/// Why an invite is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoInvite {
    /// Nobody made it, or it is for another room.
    #[error("the text is no invite for this room")]
    Unknown,
    /// Its time is over.
    #[error("the invite has expired")]
    Expired,
}

impl Invites {
    /// Those that this key seals.
    pub fn new(key: hmac::Key) -> Self {
        Self { key: Arc::new(key) }
    }

    /// Makes one for a room. None: the system gives no randomness.
    pub fn make(&self, room: &str, promise: &Promise) -> Option<String> {
        let mut id = [0; 16];
        rand::fill(&mut id).ok()?;
        let mut text = id.to_vec();
        put_number(&mut text, promise.uses.into());
        put_number(&mut text, promise.expires.into());
        put_bytes(&mut text, promise.lane.as_bytes());
        text.extend(self.seal(room, &text).as_ref().iter().take(SEAL));
        Some(URL_SAFE_NO_PAD.encode(text))
    }

    /// Reads one for a room.
    pub fn read(&self, room: &str, text: &str, now: Seconds) -> Result<Invited, NoInvite> {
        let (id, Promise { lane, uses, expires }) = self.promise(room, text).ok_or(NoInvite::Unknown)?;
        if expires < now {
            return Err(NoInvite::Expired);
        }
        Ok(Invited { lane, invite: Invite { id, uses } })
    }

    /// What an invite for a room is known by, and until when it can be used at most, whether or not that is over.
    pub fn known(&self, room: &str, text: &str) -> Option<(InviteId, Seconds)> {
        self.promise(room, text).map(|(id, promise)| (id, promise.expires))
    }

    fn promise(&self, room: &str, text: &str) -> Option<(InviteId, Promise)> {
        let bytes = if text.len() > LONGEST { None } else { URL_SAFE_NO_PAD.decode(text.trim()).ok() }?;
        let (promise, seal) = bytes.split_last_chunk::<SEAL>()?;
        let expected = self.seal(room, promise);
        constant_time::verify_slices_are_equal(expected.as_ref().get(..SEAL)?, seal).ok()?;
        read_promise(promise)
    }

    fn seal(&self, room: &str, promise: &[u8]) -> hmac::Tag {
        let mut sealed = Vec::with_capacity(promise.len() + room.len() + 4);
        put_bytes(&mut sealed, room.as_bytes());
        sealed.extend_from_slice(promise);
        hmac::sign(&self.key, &sealed)
    }
}

fn read_promise(promise: &[u8]) -> Option<(InviteId, Promise)> {
    let mut source = Source(promise);
    let id = InviteId(source.array()?);
    let (uses, expires) = (source.small()?, source.small()?);
    let promise = Promise { lane: source.text()?.into(), uses, expires };
    source.0.is_empty().then_some((id, promise))
}

/// Bytes of a seal: 128 bits.
const SEAL: usize = 16;
/// Characters of an invite.
const LONGEST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_for_one_room_until_its_time_and_nobody_else_makes_one() {
        let of = |key: u8| Invites::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]));
        let invites = of(1);
        let promise = Promise { lane: "vip".into(), uses: 3, expires: 1000 };
        let text = invites.make("sale", &promise).unwrap();

        let read = invites.read("sale", &text, 1000).unwrap();
        assert_eq!((&*read.lane, read.invite.uses), ("vip", 3));
        assert_eq!(of(2).read("sale", &text, 1), Err(NoInvite::Unknown));
        assert_ne!(
            invites.read("sale", &invites.make("sale", &promise).unwrap(), 1),
            Ok(read.clone()),
            "each is another one"
        );
        assert_eq!(invites.read("sale", &text, 1001), Err(NoInvite::Expired));
        assert_eq!(invites.known("sale", &text), Some((read.invite.id, 1000)));
        assert_eq!(invites.known("other", &text), None);
        assert_eq!(invites.read("other", &text, 1), Err(NoInvite::Unknown));
        for place in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            // The last character has bits that say nothing.
            assert!(invites.read("sale", &forged, 1).is_err() || place + 1 == text.len(), "{place}");
        }
        for wrong in ["", "x", text.split_at(20).0, &"A".repeat(1000)] {
            assert_eq!(invites.read("sale", wrong, 1), Err(NoInvite::Unknown), "{wrong}");
        }
    }
}
