//! Caps: how large a share of a room's line one network may have before the others from there go by the slow lane.

use std::net::IpAddr;

use waiting_room::{EVERYBODY, Shares};

/// How large a share of everybody's lane one network may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of a /24 of IPv4 and a /64 of IPv6, in per cent.
    pub near: u32,
    /// Of a /16 of IPv4 and a /48 of IPv6, in per cent.
    pub wide: u32,
    /// So many may come from a network in any case.
    pub allowance: u32,
}

/// Who came from where, by everybody's lane, since this process has the room.
#[derive(Debug)]
pub(crate) struct Origins {
    near: Shares<u128>,
    wide: Shares<u128>,
}

/// The lane for those of a network that has its share.
pub const SLOW: &str = "slow";

/// How many networks of each kind are counted: nobody is taken to have more than they have by more than a five-hundredth of the
/// least share that can be set, and a room needs less than a megabyte for it, whoever comes.
const COUNTED: usize = 5_000;

impl Default for Origins {
    fn default() -> Self {
        Self { near: Shares::new(COUNTED), wide: Shares::new(COUNTED) }
    }
}

impl Origins {
    /// Whether somebody more from there has to go by the slow lane.
    pub(crate) fn are_too_many(&self, client: IpAddr, caps: &Caps) -> bool {
        let (near, wide) = networks(client);
        let is_beyond = |shares: &Shares<u128>, network, share: u32| {
            let allowed = (shares.total() + 1).saturating_mul(share.into()) / WHOLE;
            shares.of(network) >= allowed.max(caps.allowance.into())
        };
        is_beyond(&self.near, near, caps.near) || is_beyond(&self.wide, wide, caps.wide)
    }

    /// Somebody came from there by this lane.
    pub(crate) fn came(&mut self, client: IpAddr, lane: &str) {
        if lane == EVERYBODY {
            let (near, wide) = networks(client);
            self.near.add(near);
            self.wide.add(wide);
        }
    }
}

/// The networks that an address is in: a /24 and a /16, or a /64 and a /48.
fn networks(client: IpAddr) -> (u128, u128) {
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
    use super::*;

    const CAPS: Caps = Caps { near: 1, wide: 3, allowance: 5 };

    fn came(origins: &mut Origins, client: &str) -> bool {
        let client = client.parse().unwrap();
        let is_slow = origins.are_too_many(client, &CAPS);
        origins.came(client, if is_slow { SLOW } else { EVERYBODY });
        !is_slow
    }

    #[test]
    fn a_network_has_its_allowance_and_then_its_share() {
        let mut origins = Origins::default();
        let first: Vec<_> = (0..7).map(|host| came(&mut origins, &format!("192.0.2.{host}"))).collect();
        assert_eq!(first, [true, true, true, true, true, false, false]);
        for number in 0..1000 {
            let client = format!("{}.{}.0.1", 10 + number / 100, number % 100);
            assert!(came(&mut origins, &client), "{client}");
        }
        // A hundredth of a thousand and five.
        let again: Vec<_> = (0..7).map(|host| came(&mut origins, &format!("192.0.2.{host}"))).collect();
        assert_eq!(again, [true, true, true, true, true, false, false]);
    }

    #[test]
    fn many_small_networks_of_a_large_one_have_the_share_of_that() {
        let mut origins = Origins::default();
        let in_line = (0..256).filter(|third| came(&mut origins, &format!("192.0.{third}.1"))).count();
        assert_eq!(in_line, 5, "the allowance of the large one, as long as nobody else comes");
        assert!(came(&mut origins, "198.51.100.1"));
    }

    #[test]
    fn an_address_is_in_one_network_of_each_size_whatever_it_is_written_as() {
        let of = |text: &str| networks(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.200"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8::1").0, of("2001:db8:0:1::1").0);
        assert_eq!(of("2001:db8::1").1, of("2001:db8:0:1::1").1);
        assert_ne!(of("0.0.0.0").0, of("::").0);
    }
}
