//! Lists of networks (`ipMatch`, `ipMatchFromFile`).

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks of IPv4 and IPv6.
///
/// Kept as ranges in order, so that a list of many thousands costs a request no more than a short one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    /// Reads addresses and networks that are separated by commas, such as `10.0.0.0/8,2001:db8::1`.
    pub fn parse(written: &str) -> Result<Self, String> {
        Self::of(written.split(','))
    }

    /// Reads a file: a network each line; what follows `#` is a comment.
    pub fn parse_file(text: &str) -> Result<Self, String> {
        let mut networks = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let written = line.split('#').next().unwrap_or_default().trim();
            if !written.is_empty() {
                // The line is not quoted: the file may be another one than was meant, and secret.
                let fault = |_quoting| format!("line {} is no address and no network", number + 1);
                networks.push(network(written).map_err(fault)?);
            }
        }
        Ok(Self::merged(&networks))
    }

    fn of<'a>(written: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let networks: Vec<_> =
            written.map(str::trim).filter(|one| !one.is_empty()).map(network).collect::<Result<_, _>>()?;
        if networks.is_empty() {
            return Err("names no network; write addresses and networks such as `10.0.0.0/8,2001:db8::1`".to_owned());
        }
        Ok(Self::merged(&networks))
    }

    fn merged(networks: &[IpNet]) -> Self {
        let mut ranges = Self::default();
        for network in networks {
            match network {
                IpNet::V4(net) => ranges.v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => ranges.v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        merge(&mut ranges.v4);
        merge(&mut ranges.v6);
        ranges
    }

    /// Whether an address is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => is_in(&self.v4, address.into()),
            IpAddr::V6(address) => is_in(&self.v6, address.into()),
        }
    }

    /// Whether a value is an address that is in one of them.
    pub fn contain_value(&self, value: &[u8]) -> bool {
        let address = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        address.is_some_and(|address| self.contain(address))
    }
}

fn network(written: &str) -> Result<IpNet, String> {
    let read = written.parse::<IpNet>().ok().or_else(|| written.parse::<IpAddr>().ok().map(IpNet::from));
    read.ok_or_else(|| format!("`{written}` is no address and no network; write one such as `10.0.0.0/8`"))
}

/// Puts ranges in order and makes those one that overlap.
fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let overlaps = next.0 <= kept.1;
        if overlaps {
            kept.1 = kept.1.max(next.1);
        }
        overlaps
    });
}

fn is_in<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_found_in_the_networks_of_its_family() {
        let networks = Networks::parse("127.0.0.1, 10.1.2.3/8,2001:db8::/32,::1").unwrap();
        for (value, expected) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::1", true),
            ("::ffff:127.0.0.1", false),
            ("nonsense", false),
            ("", false),
        ] {
            assert_eq!(networks.contain_value(value.as_bytes()), expected, "{value}");
        }
        assert!(!networks.contain_value(b"127.0.0.1\xFF"));
    }

    #[test]
    fn what_is_no_network_is_a_mistake_with_its_line() {
        assert!(Networks::parse("10.0.0.0/33").unwrap_err().starts_with("`10.0.0.0/33` is no address"));
        assert!(Networks::parse(" ,").unwrap_err().starts_with("names no network"));
        assert!(Networks::parse_file("# mine\n10.0.0.1\n\nx y").unwrap_err() == "line 4 is no address and no network");
        assert!(Networks::parse_file("# mine\n10.0.0.1 # one\n").unwrap().contain_value(b"10.0.0.1"));
    }

    proptest! {
        #[test]
        fn ranges_hold_what_their_networks_hold(
            networks in prop::collection::vec((any::<u32>(), 0_u8..=32), 1..20),
            address: u32,
            near: prop::sample::Index,
        ) {
            let nets: Vec<IpNet> =
                networks.iter().map(|(ip, prefix)| IpNet::new(IpAddr::V4((*ip).into()), *prefix).unwrap()).collect();
            let written: Vec<String> = nets.iter().map(ToString::to_string).collect();
            let list = Networks::parse(&written.join(",")).unwrap();
            let near = networks[near.index(networks.len())].0;
            for address in [address, near, near.wrapping_add(1), near.wrapping_sub(1)] {
                let address = IpAddr::V4(address.into());
                prop_assert_eq!(list.contain(address), nets.iter().any(|net| net.contains(&address)));
            }
        }
    }
}
