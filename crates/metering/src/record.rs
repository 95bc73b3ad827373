//! What is kept of one finished exchange.

use http::Method;
use pipeline::{Exchange, Outcome};

use journal::wire::{Source, put_bytes, put_number};

/// What is kept of one finished exchange. A name is empty where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRecord<'a> {
    /// The exchange's name.
    pub id: u128,
    /// When its head was complete, in microseconds since 1970.
    pub at: u64,
    /// The status that was sent, 0 if the client went away before.
    pub status: u16,
    /// Whether the answer was sent to its end.
    pub complete: bool,
    /// What it counts for in quotas and bills.
    pub cost: u32,
    /// Body bytes read from the client.
    pub received: u64,
    /// Body bytes sent to the client.
    pub sent: u64,
    /// From the head of the request to the end of the answer, in microseconds.
    pub took: u64,
    /// The company that called.
    pub company: &'a str,
    /// The app that called.
    pub app: &'a str,
    /// The product by which it was allowed.
    pub product: &'a str,
    /// The API that was called.
    pub api: &'a str,
    /// The method, `_OTHER` for one that HTTP does not name.
    pub method: &'a str,
    /// The path template within the API.
    pub template: &'a str,
}

impl<'a> UsageRecord<'a> {
    /// The record of an exchange that ended so.
    pub fn of(exchange: &'a Exchange, outcome: &Outcome) -> Self {
        let caller = exchange.caller.as_deref();
        let route = &*exchange.route;
        let template = below(&route.template, route.base);
        Self {
            id: exchange.id.0,
            at: exchange.began_at,
            status: outcome.status.map_or(0, |status| status.as_u16()),
            complete: outcome.complete,
            cost: exchange.cost,
            received: outcome.received,
            sent: outcome.sent,
            took: u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
            company: caller.and_then(|caller| caller.company.as_deref()).unwrap_or_default(),
            app: caller.and_then(|caller| caller.app.as_deref()).unwrap_or_default(),
            product: exchange.product.as_deref().unwrap_or_default(),
            api: &route.api,
            method: label(&exchange.method),
            template: if template.is_empty() { "/" } else { template },
        }
    }

    /// The hour in which the exchange began, counted since 1970.
    pub fn hour(&self) -> u32 {
        hour_of(self.at)
    }

    /// Appends the record, as it is kept, to `to`.
    pub fn encode(&self, to: &mut Vec<u8>) {
        to.push(VERSION);
        to.push(u8::from(self.complete));
        to.extend_from_slice(&self.id.to_le_bytes());
        to.extend_from_slice(&self.at.to_le_bytes());
        to.extend_from_slice(&self.status.to_le_bytes());
        for number in [self.cost.into(), self.received, self.sent, self.took] {
            put_number(to, number);
        }
        for name in [self.company, self.app, self.product, self.api, self.method, self.template] {
            put_bytes(to, name.as_bytes());
        }
    }

    /// A record as it was kept, if this version wrote it. What a later version puts behind it is passed over.
    pub fn decode(record: &'a [u8]) -> Option<Self> {
        let (figures, names) = Figures::decode(record)?;
        let [company, app, product, api, method, template] = names.read()?;
        let Figures { id, at, status, complete, cost, received, sent, took } = figures;
        let names =
            Self { id, at, status, complete, cost, received, sent, took, company, app, product, api, method, template };
        Some(names)
    }
}

/// The numbers of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    id: u128,
    at: u64,
    status: u16,
    complete: bool,
    pub(crate) cost: u32,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) took: u64,
}

/// The names of a record as they are kept. The same names are always the same bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a>(pub(crate) &'a [u8]);

impl Figures {
    /// The numbers of a record, and its names, which nobody has read yet.
    pub(crate) fn decode(record: &[u8]) -> Option<(Self, Names<'_>)> {
        let mut source = Source(record);
        let [VERSION, flags] = source.array()? else { return None };
        let figures = Self {
            id: u128::from_le_bytes(source.array()?),
            at: u64::from_le_bytes(source.array()?),
            status: u16::from_le_bytes(source.array()?),
            complete: flags & 1 == 1,
            cost: source.small()?,
            received: source.number()?,
            sent: source.number()?,
            took: source.number()?,
        };
        let begin = source.0;
        for _ in 0..NAMES {
            source.bytes()?;
        }
        Some((figures, Names(begin.get(..begin.len() - source.0.len())?)))
    }

    /// The hour in which the exchange began, counted since 1970.
    pub(crate) fn hour(&self) -> u32 {
        hour_of(self.at)
    }

    /// The first digit of the status, 0 if nothing was answered.
    pub(crate) fn status_class(&self) -> u8 {
        u8::try_from(self.status / 100).unwrap_or(u8::MAX)
    }
}

fn hour_of(at: u64) -> u32 {
    u32::try_from(at / MICROS_AN_HOUR).unwrap_or(u32::MAX)
}

/// A template without the first so many segments.
fn below(template: &str, segments: usize) -> &str {
    let rest = template.match_indices('/').nth(segments);
    rest.and_then(|(at, _)| template.get(at..)).unwrap_or_default()
}

impl<'a> Names<'a> {
    /// Company, app, product, API, method, template.
    pub(crate) fn read(self) -> Option<[&'a str; NAMES]> {
        let mut source = Source(self.0);
        let mut names = [""; NAMES];
        for name in &mut names {
            *name = source.text()?;
        }
        Some(names)
    }
}

/// The method by a name of which there are few: anybody can invent methods.
fn label(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::CONNECT
        | Method::OPTIONS
        | Method::TRACE
        | Method::PATCH => method.as_str(),
        _ => "_OTHER",
    }
}

const VERSION: u8 = 1;
const NAMES: usize = 6;
const MICROS_AN_HOUR: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{Request, StatusCode};
    use pipeline::{Caller, Route};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_exchange_is_kept_by_its_names_and_sums() {
        let mut exchange = pipeline::tester::exchange(Request::get("/orders/v1/7"));
        exchange.route = Arc::new(Route { api: "orders".into(), template: "/orders/v1/{id}".into(), base: 2 });
        exchange.caller =
            Some(Arc::new(Caller { company: Some("acme".into()), app: Some("shop".into()), ..Caller::default() }));
        exchange.product = Some("gold".into());
        let outcome = Outcome {
            status: Some(StatusCode::CREATED),
            sent: 300,
            complete: true,
            took: Duration::from_millis(2),
            ..Outcome::default()
        };

        let record = UsageRecord::of(&exchange, &outcome);

        assert_eq!((record.company, record.app, record.product), ("acme", "shop", "gold"));
        assert_eq!((record.api, record.method, record.template), ("orders", "GET", "/{id}"));
        assert_eq!((record.status, record.sent, record.took, record.complete), (201, 300, 2000, true));
        let mut kept = Vec::new();
        record.encode(&mut kept);
        let (figures, _) = Figures::decode(&kept).unwrap();
        assert_eq!((figures.hour(), figures.status_class()), (490_896, 2));
    }

    #[test]
    fn an_operation_is_named_without_the_base_path_of_its_api() {
        for (template, base, named) in [
            ("/", 0, "/"),
            ("/orders", 1, "/"),
            ("/orders/{id}", 1, "/{id}"),
            ("/a/{b}/c/d", 2, "/c/d"),
            ("/{x}", 0, "/{x}"),
        ] {
            let mut exchange = pipeline::tester::exchange(Request::get("/"));
            exchange.route = Arc::new(Route { api: "a".into(), template: template.into(), base });
            assert_eq!(UsageRecord::of(&exchange, &Outcome::default()).template, named, "{template}");
        }
    }

    #[test]
    fn an_invented_method_has_no_name_of_its_own() {
        let exchange = pipeline::tester::exchange(Request::builder().method("XYZZY").uri("/"));
        assert_eq!(UsageRecord::of(&exchange, &Outcome::default()).method, "_OTHER");
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            (id, at, status, complete) in any::<(u128, u64, u16, bool)>(),
            (cost, received, sent, took) in any::<(u32, u64, u64, u64)>(),
            names in any::<[String; 6]>(),
        ) {
            let [company, app, product, api, method, template] = names.each_ref().map(String::as_str);
            let record = UsageRecord {
                id, at, status, complete, cost, received, sent, took, company, app, product, api, method, template,
            };
            let mut kept = Vec::new();
            record.encode(&mut kept);

            prop_assert_eq!(UsageRecord::decode(&kept), Some(record));
            for cut in 0..kept.len() {
                prop_assert_eq!(UsageRecord::decode(&kept[..cut]), None);
            }
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            UsageRecord::decode(&[&[VERSION, 1], bytes.as_slice()].concat());
        }
    }
}
