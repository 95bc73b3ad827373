//! Tickets: what a browser shows for the place that it has, which nobody else can make.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrets::Vault;
use waiting_room::RequestId;

use crate::invites::Invites;
use crate::proof::Proofs;

/// What makes and reads tickets of all rooms of a store.
#[derive(Clone)]
pub(crate) struct Tickets {
    key: Arc<hmac::Key>,
    /// What else is given out and read again, by keys that follow from that one.
    pub(crate) invites: Invites,
    pub(crate) proofs: Proofs,
}

impl Tickets {
    /// Those of a store, whose key is made at the first start.
    pub(crate) fn of(vault: &Vault) -> Result<Self, secrets::Error> {
        let key = vault.update(KEY, |kept| {
            if let Some(key) = kept {
                return Ok((key, None));
            }
            let mut key = vec![0; 32];
            aws_lc_rs::rand::fill(&mut key).map_err(|_unspecified| secrets::Error::NoRandomness)?;
            Ok::<_, secrets::Error>((key.clone(), Some(key)))
        })?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        // Shorter than whatever a ticket is a seal of.
        let of = |name: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, name).as_ref());
        let (invites, proofs) = (Invites::new(of(b"invites")), Proofs::new(of(b"proofs")));
        Ok(Self { key: Arc::new(key), invites, proofs })
    }

    /// The ticket for somebody's place in a room.
    pub(crate) fn ticket(&self, room: &str, id: RequestId) -> String {
        let mut ticket = id.0.to_vec();
        ticket.extend(self.seal(room, id).as_ref().iter().take(SEAL));
        URL_SAFE_NO_PAD.encode(ticket)
    }

    /// Whose ticket for a room this is, if it is one.
    pub(crate) fn read(&self, room: &str, ticket: &str) -> Option<RequestId> {
        let bytes = URL_SAFE_NO_PAD.decode(ticket).ok()?;
        let (id, seal) = bytes.split_first_chunk::<16>()?;
        let id = RequestId(*id);
        let expected = self.seal(room, id);
        let expected = expected.as_ref().get(..SEAL)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(expected, seal).ok()?;
        Some(id)
    }

    fn seal(&self, room: &str, id: RequestId) -> hmac::Tag {
        hmac::sign(&self.key, &[&id.0[..], room.as_bytes()].concat())
    }
}

/// The name of the key in the vault.
const KEY: &str = "rooms-tickets";

/// Bytes of a seal: 128 bits.
const SEAL: usize = 16;

#[cfg(test)]
mod tests {
    use secrets::Masters;

    use super::*;

    #[test]
    fn a_ticket_is_for_one_place_in_one_room_and_nobody_else_makes_one() {
        let folder = tempfile::tempdir().unwrap();
        let vault = || Vault::open(folder.path(), Masters::File(folder.path().join("master.key"))).unwrap();
        let (tickets, id) = (Tickets::of(&vault()).unwrap(), RequestId::of([7; 16]));
        let ticket = tickets.ticket("sale", id);

        assert_eq!(tickets.read("sale", &ticket), Some(id));
        assert_eq!(Tickets::of(&vault()).unwrap().read("sale", &ticket), Some(id), "after a restart, too");
        assert_eq!(tickets.read("other", &ticket), None);
        let other = tickets.ticket("sale", RequestId::of([8; 16]));
        let swapped: String = other.chars().take(20).chain(ticket.chars().skip(20)).collect();
        let shorter: String = ticket.chars().take(42).collect();
        for wrong in ["", "x", &shorter, &format!("{ticket}AAAA"), &swapped] {
            assert_eq!(tickets.read("sale", wrong), None, "{wrong}");
        }
    }
}
