//! `ip-filter`: lets a request pass or not by its client's address.

use std::sync::Arc;

use http::StatusCode;
use ipnet::IpNet;
use pipeline::{ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// The client's address is not allowed on this route.
pub static ADDRESS_FORBIDDEN: ProblemKind = ProblemKind {
    code: "address-forbidden",
    status: StatusCode::FORBIDDEN,
    title: "Requests from your address are not allowed",
};

/// Lets a request pass or not by its client's address.
///
/// The address is the one after trusted proxies. `deny` wins over `allow`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Networks or addresses to let pass. Left out, every address passes that `deny` does not name.
    allow: Option<Vec<String>>,
    /// Networks or addresses to refuse, even where `allow` names them.
    #[serde(default)]
    deny: Vec<String>,
}

/// The compiled policy.
pub struct IpFilter {
    allow: Option<Networks>,
    deny: Networks,
}

impl Policy for IpFilter {
    const NAME: &'static str = "ip-filter";
    const STAGE: Stage = Stage::Access;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&ADDRESS_FORBIDDEN];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, _: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { allow, deny } = config;
        if allow.is_none() && deny.is_empty() {
            return Err(Finding::new(at, "allows everything: name at least one network in `allow` or `deny`"));
        }
        if allow.as_ref().is_some_and(Vec::is_empty) {
            return Err(Finding::new(&at.at("allow"), "allows nothing: name at least one network, or leave it out"));
        }
        let allow = allow.map(|allow| Networks::read(&allow, &at.at("allow"))).transpose()?;
        Ok(Self { allow, deny: Networks::read(&deny, &at.at("deny"))? })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for IpFilter {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        // An IPv4 client of a dual-stack listener comes as `::ffff:192.0.2.1`; lists mean the IPv4 address.
        let client = exchange.client.to_canonical();
        let refused = self.deny.hold(client) || self.allow.as_ref().is_some_and(|allow| !allow.hold(client));
        if refused {
            return Ok(Problem::new(&ADDRESS_FORBIDDEN).into());
        }
        Ok(Flow::Next)
    }
}

/// Networks that do not overlap, in order, so that a look-up among many is a binary search.
struct Networks(Vec<IpNet>);

impl Networks {
    fn read(networks: &[String], at: &Pointer) -> Result<Self, Finding> {
        let read = |(index, network): (usize, &String)| {
            let address = || network.parse::<std::net::IpAddr>().ok().map(IpNet::from);
            network.parse().ok().or_else(address).map(|network: IpNet| network.trunc()).ok_or_else(|| {
                Finding::new(&at.at(index), format!("`{network}` is no network; write one such as `192.0.2.0/24`"))
            })
        };
        let networks: Vec<IpNet> = networks.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let mut networks = IpNet::aggregate(&networks);
        networks.sort_unstable_by_key(IpNet::network);
        Ok(Self(networks))
    }

    fn hold(&self, address: std::net::IpAddr) -> bool {
        let after = self.0.partition_point(|network| network.network() <= address);
        after.checked_sub(1).and_then(|last| self.0.get(last)).is_some_and(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use pipeline::tester::policy;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn deny_wins_over_allow() {
        let filter = policy::<IpFilter>(json!({ "allow": ["10.0.0.0/8"], "deny": ["10.6.6.0/24"] }));

        filter.request().from("10.1.2.3").passes();
        filter.request().from("10.6.6.6").is_refused_with("address-forbidden");
        filter.request().from("192.0.2.1").is_refused_with("address-forbidden");
    }

    #[test]
    fn an_address_alone_is_a_network_of_one() {
        let filter = policy::<IpFilter>(json!({ "deny": ["192.0.2.7", "2001:db8::7"] }));

        filter.request().from("192.0.2.8").passes();
        filter.request().from("192.0.2.7").is_refused_with("address-forbidden");
        filter.request().from("2001:db8::7").is_refused_with("address-forbidden");
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_listener_cannot_slip_through() {
        let filter = policy::<IpFilter>(json!({ "deny": ["192.0.2.0/24"] }));
        filter.request().from("::ffff:192.0.2.1").is_refused_with("address-forbidden");
    }

    #[test]
    fn an_empty_filter_is_a_mistake() {
        let finding = policy::<IpFilter>(json!({})).finding();
        assert_eq!(finding, "/with: allows everything: name at least one network in `allow` or `deny`");
        let finding = policy::<IpFilter>(json!({ "allow": [] })).finding();
        assert_eq!(finding, "/with/allow: allows nothing: name at least one network, or leave it out");
    }

    #[test]
    fn a_wrong_network_is_named_with_its_place() {
        let finding = policy::<IpFilter>(json!({ "deny": ["10.0.0.0/8", "10.0.0.0/33"] })).finding();
        assert_eq!(finding, "/with/deny/1: `10.0.0.0/33` is no network; write one such as `192.0.2.0/24`");
    }

    fn network() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<u32>(), 0_u8..=32)
                .prop_filter_map("a prefix", |(bits, prefix)| { IpNet::new(Ipv4Addr::from(bits).into(), prefix).ok() }),
            (any::<u128>(), 0_u8..=128)
                .prop_filter_map("a prefix", |(bits, prefix)| { IpNet::new(Ipv6Addr::from(bits).into(), prefix).ok() }),
        ]
    }

    proptest! {
        #[test]
        fn the_search_finds_what_looking_at_each_network_finds(
            networks in prop::collection::vec(network(), 0..20),
            address in prop_oneof![any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
                                   any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits)))],
            near in any::<prop::sample::Index>(),
        ) {
            let written: Vec<String> = networks.iter().map(ToString::to_string).collect();
            let read = Networks::read(&written, &Pointer::default()).unwrap();
            let mut addresses = vec![address];
            if !networks.is_empty() {
                let near = near.get(&networks);
                addresses.extend([near.network(), near.broadcast(), near.addr()]);
            }
            for address in addresses {
                let expected = networks.iter().any(|network| network.contains(&address));
                prop_assert_eq!(read.hold(address), expected, "{}", address);
            }
        }
    }
}
