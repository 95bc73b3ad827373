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
pub struct Tickets {
    key: Arc<hmac::Key>,
    /// What else is given out and read again, by keys that follow from that one.
    pub invites: Invites,
    /// Challenges, and proofs of work.
    pub proofs: Proofs,
    networks: Arc<hmac::Key>,
}

impl Tickets {
    /// Those of a store, whose key is made at the first start.
    pub fn of(vault: &Vault) -> Result<Self, secrets::Error> {
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
        let networks = Arc::new(of(b"networks"));
        Ok(Self { key: Arc::new(key), invites, proofs, networks })
    }

    /// The ticket for somebody's place in a room.
    pub fn ticket(&self, room: &str, id: RequestId) -> String {
        let mut ticket = id.0.to_vec();
        ticket.extend(self.seal(room, id).as_ref().iter().take(SEAL));
        URL_SAFE_NO_PAD.encode(ticket)
    }

    /// Whose ticket for a room this is, if it is one.
    pub fn read(&self, room: &str, ticket: &str) -> Option<RequestId> {
        let bytes = URL_SAFE_NO_PAD.decode(ticket).ok()?;
        let (id, seal) = bytes.split_first_chunk::<16>()?;
        let id = RequestId(*id);
        let expected = self.seal(room, id);
        let expected = expected.as_ref().get(..SEAL)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(expected, seal).ok()?;
        Some(id)
    }

    /// What somebody's browser brings to an OpenID client, with what the client wants to find in the id token (its nonce).
    pub fn code(&self, room: &str, id: RequestId, nonce: Option<&str>) -> String {
        let Some(nonce) = nonce else { return id.to_string() };
        let seal = self.seal_of_nonce(room, id, nonce);
        let seal: Vec<_> = seal.as_ref().iter().copied().take(SEAL).collect();
        format!("{id}.{}.{}", URL_SAFE_NO_PAD.encode(nonce), URL_SAFE_NO_PAD.encode(seal))
    }

    /// The id in a code, as it was sent, and the nonce. None: it has a nonce that nobody here gave it.
    pub fn read_code<'a>(&self, room: &str, code: &'a str) -> Option<(&'a str, Option<String>)> {
        let Some((id, sealed)) = code.split_once('.') else { return Some((code, None)) };
        let (nonce, seal) = sealed.split_once('.')?;
        let nonce = String::from_utf8(URL_SAFE_NO_PAD.decode(nonce).ok()?).ok()?;
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        let expected = self.seal_of_nonce(room, id.parse().ok()?, &nonce);
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref().get(..SEAL)?, &seal).ok()?;
        Some((id, Some(nonce)))
    }

    /// What is written down of a network from which somebody came to a room: nobody without the key finds the network by it. It
    /// is never 0.
    pub fn network(&self, room: &str, size: u8, network: u128) -> u64 {
        let sealed = hmac::sign(&self.networks, &[room.as_bytes(), &[0, size], &network.to_le_bytes()].concat());
        sealed.as_ref().first_chunk().map_or(1, |first| u64::from_le_bytes(*first).max(1))
    }

    /// No room has a name with a zero, so this is never the seal of a ticket.
    fn seal_of_nonce(&self, room: &str, id: RequestId, nonce: &str) -> hmac::Tag {
        hmac::sign(&self.key, &[&id.0[..], room.as_bytes(), &[0], nonce.as_bytes()].concat())
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

    #[test]
    fn a_code_has_the_nonce_that_it_was_given_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path(), Masters::File(folder.path().join("master.key"))).unwrap();
        let (tickets, id, other) = (Tickets::of(&vault).unwrap(), RequestId::of([7; 16]), RequestId::of([8; 16]));
        let plain = tickets.code("sale", id, None);
        assert_eq!(tickets.read_code("sale", &plain), Some((&*id.to_string(), None)));
        let code = tickets.code("sale", id, Some("n-0S6_WzA2Mj"));
        let nonce = Some("n-0S6_WzA2Mj".to_owned());
        assert_eq!(tickets.read_code("sale", &code), Some((&*id.to_string(), nonce)));
        let theirs = tickets.code("sale", other, Some("other"));
        let swapped = code.replace(&id.to_string(), &other.to_string());
        let mixed = format!("{id}.{}", theirs.split_once('.').unwrap().1);
        for wrong in
            [&swapped, &mixed, &format!("{code}A"), &format!("{id}."), &format!("{id}.x"), &format!("{id}.eA.")]
        {
            assert_eq!(tickets.read_code("sale", wrong), None, "{wrong}");
        }
        assert_eq!(tickets.read_code("other", &code), None);
    }
}
