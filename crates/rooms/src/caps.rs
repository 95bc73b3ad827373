//! Caps: how large a share of a room's line one network may have before the others from there go by the slow lane.

use std::net::IpAddr;

use room_tickets::Tickets;
use waiting_room::Origins;

/// How large a share of everybody's lane one network may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of a /24 of IPv4 and a /64 of IPv6, in per cent.
    pub near: u32,
    /// Of a /16 of IPv4 and a /48 of IPv6, in per cent.
    pub wide: u32,
    /// Of all that one operator of networks announces, in per cent, where it is known who does.
    pub announced: Option<u32>,
    /// So many may come from a network in any case.
    pub allowance: u32,
}

/// The networks that somebody comes from, from the smallest to the largest, as they are counted: numbers from which only who has
/// the keys of rooms could tell the networks. 0 is one that is not known.
pub(crate) type Networks = [u64; 3];

/// The lane for those of a network that has its share.
pub const SLOW: &str = "slow";

/// The networks that an address is in, the largest of which has this number, if it is known.
pub(crate) fn networks(tickets: &Tickets, room: &str, client: IpAddr, announced: Option<u32>) -> Networks {
    let (near, wide) = around(client);
    let of = |size: u8, network: u128| tickets.network(room, size, network);
    [of(0, near), of(1, wide), announced.map_or(0, |number| of(2, number.into()))]
}

/// Whether somebody more from there has to go by the slow lane.
pub(crate) fn are_too_many(origins: &Origins, networks: &Networks, caps: &Caps) -> bool {
    let shares = [Some(caps.near), Some(caps.wide), caps.announced];
    networks.iter().zip(shares).enumerate().any(|(size, (network, share))| {
        let allowed = share.map(|share| (origins.total() + 1).saturating_mul(share.into()) / WHOLE);
        allowed.is_some_and(|allowed| origins.from(size, *network) >= allowed.max(caps.allowance.into()))
    })
}

/// The networks that an address is in: a /24 and a /16, or a /64 and a /48.
fn around(client: IpAddr) -> (u128, u128) {
    match client.to_canonical() {
        // Told apart from those of IPv6 by bits that no network of theirs has.
        IpAddr::V4(address) => {
            let address = u128::from(address.to_bits());
            (address >> 8 | 1 << 32, address >> 16 | 1 << 32)
        }
        IpAddr::V6(address) => {
            let address = address.to_bits();
            (address >> 64 << 64 | 2, address >> 80 << 80 | 2)
        }
    }
}

/// Per cent.
const WHOLE: u64 = 100;

#[cfg(test)]
mod tests {
    use secrets::{Masters, Vault};
    use waiting_room::{Beside, Event, Room};

    use super::*;

    const CAPS: Caps = Caps { near: 1, wide: 3, announced: Some(50), allowance: 5 };

    struct Scene {
        room: Room,
        tickets: Tickets,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let vault = Vault::open(folder.path(), Masters::File(folder.path().join("master.key"))).unwrap();
            Self { room: Room::default(), tickets: Tickets::of(&vault).unwrap() }
        }

        /// Whether somebody comes by everybody's lane.
        fn comes(&mut self, client: &str, announced: Option<u32>) -> bool {
            let networks = networks(&self.tickets, "sale", client.parse().unwrap(), announced);
            let is_slow = are_too_many(&self.room.line().origins, &networks, &CAPS);
            if !is_slow {
                self.room.apply(&Event::Beside { what: Beside::Came(networks.into()), at: 1 });
            }
            !is_slow
        }
    }

    #[test]
    fn a_network_has_its_allowance_and_then_its_share() {
        let mut scene = Scene::new();
        let first: Vec<_> = (0..7).map(|host| scene.comes(&format!("192.0.2.{host}"), None)).collect();
        assert_eq!(first, [true, true, true, true, true, false, false]);
        for number in 0..1000 {
            let client = format!("{}.{}.0.1", 10 + number / 100, number % 100);
            assert!(scene.comes(&client, None), "{client}");
        }
        // A hundredth of a thousand and five.
        let again: Vec<_> = (0..7).map(|host| scene.comes(&format!("192.0.2.{host}"), None)).collect();
        assert_eq!(again, [true, true, true, true, true, false, false]);
    }

    #[test]
    fn many_small_networks_of_a_large_one_have_the_share_of_that() {
        let mut scene = Scene::new();
        let in_line = (0..256).filter(|third| scene.comes(&format!("192.0.{third}.1"), None)).count();
        assert_eq!(in_line, 5, "the allowance of the large one, as long as nobody else comes");
        assert!(scene.comes("198.51.100.1", None));
    }

    #[test]
    fn all_that_one_operator_announces_is_one_network_however_far_apart_it_is() {
        let mut scene = Scene::new();
        let from_one = (0..100).filter(|first| scene.comes(&format!("{}.0.0.1", first + 1), Some(64500))).count();
        assert_eq!(from_one, 5, "as many as may come in any case");
        for first in 0..50 {
            assert!(scene.comes(&format!("{}.0.0.1", first + 101), None), "nobody knows who announces it");
        }
        let from_one = (0..100).filter(|first| scene.comes(&format!("{}.1.0.1", first + 1), Some(64500))).count();
        assert!((44..=46).contains(&from_one), "with those of before half of all: {from_one}");
    }

    #[test]
    fn an_address_is_in_one_network_of_each_size_whatever_it_is_written_as() {
        let of = |text: &str| around(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.200"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8::1").0, of("2001:db8:0:1::1").0);
        assert_eq!(of("2001:db8::1").1, of("2001:db8:0:1::1").1);
        assert_ne!(of("0.0.0.0").0, of("::").0);
    }
}
