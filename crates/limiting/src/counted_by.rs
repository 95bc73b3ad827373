//! Whom a limit counts: the key of an exchange.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use pipeline::{ChainBuilder, Exchange, Failure};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::line::Line;
use attributes::expression;

/// Whom a limit counts. Each has an allowance of its own.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CountBy {
    /// All requests of the API together.
    #[default]
    Api,
    /// Each route of the API: a path with its parameters left open.
    Route,
    /// Each key, user or other credential. A request that no policy has identified cannot be judged.
    Key,
    /// Each app. A request that no policy has identified cannot be judged.
    App,
    /// Each company. A request that no policy has identified cannot be judged.
    Company,
    /// Each product, for all who use it. A request without a product cannot be judged.
    Product,
    /// Each client's address. An IPv6 client counts by its network (the first 64 bits), for it has all addresses in there.
    Address,
    /// Each value of a request header. Requests without it count together.
    Header(String),
    /// Each value of an expression, such as `caller.company + request.headers['x-tenant']`.
    Expression(String),
}

impl CountBy {
    /// Checks what can be checked before a request comes.
    pub(crate) fn compile(self, chain: &ChainBuilder, at: &Pointer) -> Result<CountedBy, Finding> {
        let no_header = |name: &str| Finding::new(&at.at("header"), format!("`{name}` is no header's name"));
        Ok(match self {
            Self::Api => CountedBy::Api,
            Self::Route => CountedBy::Route,
            Self::Key => CountedBy::Key,
            Self::App => CountedBy::App,
            Self::Company => CountedBy::Company,
            Self::Product => CountedBy::Product,
            Self::Address => CountedBy::Address,
            Self::Header(name) => CountedBy::Header(name.parse().ok().ok_or_else(|| no_header(&name))?),
            Self::Expression(source) => {
                let key = expression::key_in(chain, &source, &at.at("expression"))?;
                CountedBy::Expression(source.into(), key)
            }
        })
    }
}

/// A compiled [`CountBy`].
#[derive(Debug)]
pub(crate) enum CountedBy {
    Api,
    Route,
    Key,
    App,
    Company,
    Product,
    Address,
    Header(HeaderName),
    Expression(Box<str>, expression::Key),
}

impl CountedBy {
    /// Hands the exchange's key to `judge`. No key is longer than [`LONGEST`]; what is longer counts by its beginning.
    pub(crate) fn with_key<T>(&self, exchange: &Exchange, judge: impl FnOnce(&str) -> T) -> Result<T, Failure> {
        let caller = exchange.caller.as_deref();
        let nobody = || Nobody(self.word());
        match self {
            Self::Api => Ok(judge("")),
            Self::Route => Ok(judge(cut(&exchange.route.template))),
            Self::Key => {
                let caller = caller.ok_or_else(nobody)?;
                // Two policies may know different callers by the same name.
                Ok(judge(joined(caller.by, &caller.credential).as_str()))
            }
            Self::App => {
                let (caller, app) =
                    caller.and_then(|caller| Some((caller, caller.app.as_ref()?))).ok_or_else(nobody)?;
                // An app's name is its company's to choose.
                let company = caller.company.as_deref().unwrap_or_default();
                Ok(judge(joined(company, app).as_str()))
            }
            Self::Company => {
                let company = caller.and_then(|caller| caller.company.as_deref()).ok_or_else(nobody)?;
                Ok(judge(cut(company)))
            }
            Self::Product => Ok(judge(cut(exchange.product.as_deref().ok_or_else(nobody)?))),
            Self::Address => Ok(judge(network(exchange.client).as_str())),
            Self::Header(name) => {
                let value = exchange.headers().get(name).map_or(&[][..], HeaderValue::as_bytes);
                match str::from_utf8(value) {
                    Ok(value) => Ok(judge(cut(value))),
                    Err(_) => Ok(judge(cut(&String::from_utf8_lossy(value)))),
                }
            }
            Self::Expression(_, key) => Ok(judge(cut(&key.of(exchange)?))),
        }
    }

    /// As settings and messages name it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Route => "route",
            Self::Key => "key",
            Self::App => "app",
            Self::Company => "company",
            Self::Product => "product",
            Self::Address => "address",
            Self::Header(_) => "header",
            Self::Expression(..) => "expression",
        }
    }

    /// What is allowed to whom, in words that follow a number of requests.
    pub(crate) fn for_each(&self) -> String {
        match self {
            Self::Api => "for the whole API".to_owned(),
            Self::Header(name) => format!("for each value of `{name}`"),
            // What an operator counts by is not every client's business.
            Self::Expression(..) => "for each caller".to_owned(),
            Self::Route | Self::Key | Self::App | Self::Company | Self::Product | Self::Address => {
                format!("for each {}", self.word())
            }
        }
    }

    /// Whom an exchange counts for, by a name that operators may see wherever it goes: values that clients send are left out.
    pub(crate) fn shown(&self, exchange: &Exchange) -> String {
        let caller = exchange.caller.as_deref();
        let name = |name: Option<&std::sync::Arc<str>>| name.map(ToString::to_string).unwrap_or_default();
        match self {
            Self::Api => "everybody".to_owned(),
            Self::Route => exchange.route.template.to_string(),
            Self::Key => caller.map(|caller| caller.credential.to_string()).unwrap_or_default(),
            Self::App => {
                let (company, app) =
                    caller.map(|caller| (caller.company.as_ref(), caller.app.as_ref())).unwrap_or_default();
                format!("{}/{}", name(company), name(app))
            }
            Self::Company => name(caller.and_then(|caller| caller.company.as_ref())),
            Self::Product => name(exchange.product.as_ref()),
            Self::Address => "an address".to_owned(),
            Self::Header(name) => format!("a value of `{name}`"),
            Self::Expression(..) => "a caller".to_owned(),
        }
    }

    /// What is counted, as a name for state: another one counts something else.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Header(name) => format!("header={name}"),
            Self::Expression(source, _) => format!("expression={source}"),
            Self::Api | Self::Route | Self::Key | Self::App | Self::Company | Self::Product | Self::Address => {
                self.word().to_owned()
            }
        }
    }

    /// Whether callers are told apart, so that a refusal is about the one who asks and not about the gateway.
    pub(crate) fn is_about_the_caller(&self) -> bool {
        !matches!(self, Self::Api | Self::Route | Self::Product)
    }
}

/// A limit counts callers and there is none.
///
/// Not a refusal: it is the route's mistake and not the client's, so the route's `on_failure` decides.
#[derive(Debug, Error)]
#[error("it counts by {0}, and the request has none: place a policy before it that identifies callers")]
struct Nobody(&'static str);

/// Names separated by slashes.
#[inline]
pub(crate) fn joined(first: &str, second: &str) -> Line<LONGEST> {
    let mut line = Line::new();
    line.push(first.as_bytes());
    line.push(b"/");
    line.push(second.as_bytes());
    line
}

/// The address itself if it is IPv4, else its network.
fn network(address: IpAddr) -> Line<24> {
    let mut line = Line::new();
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    line.push(b".");
                }
                line.push_number(u64::from(octet));
            }
        }
        IpAddr::V6(address) => {
            for octet in address.octets().into_iter().take(8) {
                let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
                line.push(&[digit(octet >> 4), digit(octet & 15)]);
            }
            line.push(b"::/64");
        }
    }
    line
}

/// At most [`LONGEST`] bytes of a text, because outsiders can make keys and counters are kept by them.
fn cut(text: &str) -> &str {
    if text.len() <= LONGEST {
        return text;
    }
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default()
}

const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use pipeline::Caller;
    use pipeline::tester::exchange;

    use super::*;

    fn key(by: CountBy, exchange: &Exchange) -> String {
        let chain = ChainBuilder::new("test", Arc::default(), Arc::default());
        by.compile(&chain, &Pointer::default()).unwrap().with_key(exchange, str::to_owned).unwrap()
    }

    #[test]
    fn each_way_of_counting_has_its_key() {
        let mut exchange = exchange(Request::get("/").header("x-tenant", "blue"));
        exchange.caller = Some(Arc::new(Caller {
            by: "api-key",
            credential: "k1".into(),
            company: Some("acme".into()),
            app: Some("shop".into()),
            scopes: Vec::new(),
        }));
        exchange.product = Some("gold".into());

        for (by, expected) in [
            (CountBy::Api, ""),
            (CountBy::Route, "/{path}"),
            (CountBy::Key, "api-key/k1"),
            (CountBy::App, "acme/shop"),
            (CountBy::Company, "acme"),
            (CountBy::Product, "gold"),
            (CountBy::Address, "192.0.2.1"),
            (CountBy::Header("X-Tenant".into()), "blue"),
            (CountBy::Header("x-other".into()), ""),
            (CountBy::Expression("caller.company + ':' + request.headers['x-tenant']".into()), "acme:blue"),
        ] {
            assert_eq!(key(by.clone(), &exchange), expected, "{by:?}");
        }
    }

    #[test]
    fn an_ipv6_client_counts_by_its_network() {
        let mut exchange = exchange(Request::get("/"));
        exchange.client = "2001:db8:0:7:1::1".parse().unwrap();
        let one = key(CountBy::Address, &exchange);
        exchange.client = "2001:db8:0:7:2::2".parse().unwrap();

        assert_eq!(one, "20010db800000007::/64");
        assert_eq!(key(CountBy::Address, &exchange), one);
        exchange.client = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(key(CountBy::Address, &exchange), "192.0.2.7");
    }

    #[test]
    fn a_key_cannot_be_made_longer_than_the_limit() {
        let long = "é".repeat(5000);
        let exchange = exchange(Request::get("/").header("x-tenant", long.as_bytes()));
        assert_eq!(key(CountBy::Header("x-tenant".into()), &exchange), "é".repeat(64));
    }
}
