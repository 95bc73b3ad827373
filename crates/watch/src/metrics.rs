//! Metrics of exchanges: how many, how long, how large, and what upstreams did for them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, OnceLock};

use http::{Method, StatusCode};
use pipeline::{Audited, Exchange, OnFinish, Outcome, Room, Route, Upstreamed};
use telemetry::metrics::{Counter, Definition, Family, Gauge, Histogram, Registry, Summary, Unit};

/// Counts exchanges by route, method class and status class, and requests to upstreams by name.
///
/// Made with the snapshot whose routes it knows. The numbers live in the registry and outlive it.
pub struct Metrics {
    families: Families,
    active: Gauge,
    routes: HashMap<usize, RouteSeries, BuildHasherDefault<AddressHasher>>,
    /// Where exchanges are counted whose route is none of the snapshot's.
    elsewhere: RouteSeries,
    upstreams: HashMap<usize, UpstreamSeries, BuildHasherDefault<AddressHasher>>,
}

impl Metrics {
    /// Metrics for exchanges over `routes` and to `upstreams`, which are found again by identity.
    ///
    /// Label sets of routes that no living snapshot has are forgotten here, so that the bound on label
    /// sets is not used up by configurations of the past.
    pub fn new(registry: &Registry, routes: &[Arc<Route>], upstreams: &[Arc<str>]) -> Self {
        let families = Families::of(registry);
        let known = routes.iter().map(|route| (address(route), RouteSeries::new(route.clone())));
        let upstreams = upstreams.iter().map(|name| (address(name), families.upstream(name)));
        let metrics = Self {
            active: registry.family::<Gauge>(&ACTIVE).with(&[]),
            routes: known.collect(),
            elsewhere: RouteSeries::new(Arc::new(Route { api: "".into(), template: "".into(), base: 0 })),
            upstreams: upstreams.collect(),
            families,
        };
        metrics.adopt(routes);
        metrics.families.sweep();
        metrics
    }

    /// Takes over the label sets that the snapshot before counted in.
    fn adopt(&self, routes: &[Arc<Route>]) {
        let by_name: HashMap<(&str, &str), &RouteSeries> = routes
            .iter()
            .filter_map(|route| Some(((&*route.api, &*route.template), self.routes.get(&address(route))?)))
            .collect();
        for (labels, histogram) in self.families.duration.known() {
            let [api, route, method, status] = &*labels else { continue };
            let method = METHODS.iter().position(|known| **known == **method);
            let status = STATUSES.iter().position(|known| **known == **status);
            let (Some(method), Some(status)) = (method, status) else { continue };
            if let Some(place) = by_name.get(&(&**api, &**route)).and_then(|series| series.place(method, status)) {
                place.get_or_init(|| histogram);
            }
        }
        for (labels, received) in self.families.received.known() {
            let [api, route] = &*labels else { continue };
            if let Some(series) = by_name.get(&(&**api, &**route)) {
                series.bodies.get_or_init(|| Bodies { received, sent: self.families.sent.with(&[api, route]) });
            }
        }
    }

    /// Answers of each API since the beginning: all of them, and those with a status of 500 or more.
    pub fn answers(registry: &Registry) -> Vec<(Box<str>, [u64; 2])> {
        let mut answers: BTreeMap<Box<str>, [u64; 2]> = BTreeMap::new();
        for (labels, histogram) in registry.family::<Histogram>(&DURATION).known() {
            let [api, _, _, status] = &*labels else { continue };
            let count = histogram.count();
            let [all, failed] = answers.entry(api.clone()).or_default();
            *all = all.saturating_add(count);
            if **status == *FAILED {
                *failed = failed.saturating_add(count);
            }
        }
        answers.into_iter().collect()
    }

    fn count_upstream(&self, upstream: &Upstreamed) {
        let made;
        let series = if let Some(series) = self.upstreams.get(&address(&upstream.name)) {
            series
        } else {
            made = self.families.upstream(&upstream.name);
            &made
        };
        let answered = u32::from(upstream.first_byte.is_some());
        series.requests.add(u64::from(upstream.attempts));
        series.failures.add(u64::from(upstream.attempts.saturating_sub(answered)));
        if let Some(first_byte) = upstream.first_byte {
            series.first_byte.observe_duration(first_byte);
        }
    }
}

impl OnFinish for Metrics {
    fn on_begin(&self) -> Room {
        self.active.add(1);
        Room::Enough
    }

    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        self.active.add(-1);
        let route = self.routes.get(&address(&exchange.route)).unwrap_or(&self.elsewhere);
        route.count(&self.families, &exchange.method, outcome);
        if let Some(upstream) = &outcome.upstream {
            self.count_upstream(upstream);
        }
        if let Some(audited) = exchange.audited.get() {
            self.families.count_audited(&exchange.route.api, &**audited);
        }
        if let Some(over) = outcome.cut {
            self.families.cut.with(&[over.as_str()]).add(1);
        }
    }
}

/// The label sets of one route, each resolved when it is first needed.
struct RouteSeries {
    /// Held so that no other route gets its address.
    route: Arc<Route>,
    bodies: OnceLock<Bodies>,
    durations: [OnceLock<Box<ByStatus>>; METHODS.len()],
}

type ByStatus = [OnceLock<Histogram>; STATUSES.len()];

struct Bodies {
    received: Summary,
    sent: Summary,
}

impl RouteSeries {
    fn new(route: Arc<Route>) -> Self {
        Self { route, bodies: OnceLock::new(), durations: [const { OnceLock::new() }; METHODS.len()] }
    }

    fn count(&self, families: &Families, method: &Method, outcome: &Outcome) {
        let (method, status) = (method_class(method), status_class(outcome.status));
        if let Some(place) = self.place(method, status) {
            place.get_or_init(|| self.duration(families, method, status)).observe_duration(outcome.took);
        }
        let bodies = self.bodies.get_or_init(|| self.bodies(families));
        bodies.received.observe(outcome.received);
        bodies.sent.observe(outcome.sent);
    }

    fn place(&self, method: usize, status: usize) -> Option<&OnceLock<Histogram>> {
        self.durations.get(method)?.get_or_init(Box::default).get(status)
    }

    #[cold]
    fn duration(&self, families: &Families, method: usize, status: usize) -> Histogram {
        let (method, status) = (METHODS.get(method).unwrap_or(&"other"), STATUSES.get(status).unwrap_or(&"none"));
        families.duration.with(&[&self.route.api, &self.route.template, method, status])
    }

    #[cold]
    fn bodies(&self, families: &Families) -> Bodies {
        let labels = [&*self.route.api, &*self.route.template];
        Bodies { received: families.received.with(&labels), sent: families.sent.with(&labels) }
    }
}

struct UpstreamSeries {
    /// Held so that no other name gets its address.
    _name: Arc<str>,
    requests: Counter,
    failures: Counter,
    first_byte: Histogram,
}

struct Families {
    duration: Family<Histogram>,
    received: Family<Summary>,
    sent: Family<Summary>,
    requests: Family<Counter>,
    failures: Family<Counter>,
    first_byte: Family<Histogram>,
    cut: Family<Counter>,
    firewall: Family<Counter>,
    firewall_matches: Family<Counter>,
}

impl Families {
    fn of(registry: &Registry) -> Self {
        Self {
            duration: registry.family(&DURATION),
            received: registry.family(&RECEIVED),
            sent: registry.family(&SENT),
            requests: registry.family(&UPSTREAM_REQUESTS),
            failures: registry.family(&UPSTREAM_FAILURES),
            first_byte: registry.family(&UPSTREAM_FIRST_BYTE),
            cut: registry.family(&CUT),
            firewall: registry.family(&FIREWALL),
            firewall_matches: registry.family(&FIREWALL_MATCHES),
        }
    }

    /// Rules are counted by their groups: a set has hundreds of them, and who sends what would choose the labels.
    #[cold]
    fn count_audited(&self, api: &str, audited: &dyn Audited) {
        self.firewall.with(&[api, audited.reached().name()]).add(1);
        for (group, times) in audited.groups() {
            self.firewall_matches.with(&[api, group]).add(*times);
        }
    }

    fn upstream(&self, name: &Arc<str>) -> UpstreamSeries {
        UpstreamSeries {
            _name: name.clone(),
            requests: self.requests.with(&[name]),
            failures: self.failures.with(&[name]),
            first_byte: self.first_byte.with(&[name]),
        }
    }

    fn sweep(&self) {
        self.duration.sweep();
        self.received.sweep();
        self.sent.sweep();
        self.requests.sweep();
        self.failures.sweep();
        self.first_byte.sweep();
    }
}

fn address<T: ?Sized>(of: &Arc<T>) -> usize {
    Arc::as_ptr(of).addr()
}

/// The method's place in [`METHODS`]. Clients can invent methods, so the rest is one class.
fn method_class(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        Method::OPTIONS => 6,
        _ => 7,
    }
}

/// The status's place in [`STATUSES`]; the last one for a client that went away before it was sent.
fn status_class(status: Option<StatusCode>) -> usize {
    match status.map(|status| status.as_u16()) {
        Some(..200) => 0,
        Some(..300) => 1,
        Some(..400) => 2,
        Some(..500) => 3,
        Some(_) => 4,
        None => 5,
    }
}

/// Spreads addresses, which differ in their middle bits; nobody outside chooses them.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte) ^ usize::try_from(self.0).unwrap_or_default());
        }
    }

    fn write_usize(&mut self, address: usize) {
        let product = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", FAILED, "none"];
const FAILED: &str = "5xx";

/// From a millisecond, which a gateway's own answers need, to the half minute that clients wait.
const TIMES: &[u64] = &[
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

static ACTIVE: Definition = Definition {
    name: "http_server_active_requests",
    help: "Requests that are being answered.",
    labels: &[],
    unit: Unit::Count,
    bounds: &[],
};
static DURATION: Definition = Definition {
    name: "http_server_request_duration_seconds",
    help: "Time from the head of a request to the end of its answer.",
    labels: &["api", "route", "method", "status"],
    unit: Unit::Seconds,
    bounds: TIMES,
};
static RECEIVED: Definition = Definition {
    name: "http_server_request_body_size_bytes",
    help: "Body bytes of requests.",
    labels: &["api", "route"],
    unit: Unit::Bytes,
    bounds: &[],
};
static SENT: Definition = Definition {
    name: "http_server_response_body_size_bytes",
    help: "Body bytes of answers.",
    labels: &["api", "route"],
    unit: Unit::Bytes,
    bounds: &[],
};
static UPSTREAM_REQUESTS: Definition = Definition {
    name: "vestibule_upstream_requests",
    help: "Requests that were sent to an upstream, retries included.",
    labels: &["upstream"],
    unit: Unit::Count,
    bounds: &[],
};
static UPSTREAM_FAILURES: Definition = Definition {
    name: "vestibule_upstream_failures",
    help: "Requests that an upstream did not answer.",
    labels: &["upstream"],
    unit: Unit::Count,
    bounds: &[],
};
static UPSTREAM_FIRST_BYTE: Definition = Definition {
    name: "vestibule_upstream_first_byte_seconds",
    help: "Time from sending a request to an upstream to the head of its answer.",
    labels: &["upstream"],
    unit: Unit::Seconds,
    bounds: TIMES,
};
static FIREWALL: Definition = Definition {
    name: "vestibule_firewall_exchanges",
    help: "Exchanges in which a rule of the firewall matched, by what became of them.",
    labels: &["api", "action"],
    unit: Unit::Count,
    bounds: &[],
};
static FIREWALL_MATCHES: Definition = Definition {
    name: "vestibule_firewall_matches",
    help: "Matches of the firewall's rules, by group.",
    labels: &["api", "group"],
    unit: Unit::Count,
    bounds: &[],
};
static CUT: Definition = Definition {
    name: "vestibule_exchanges_cut",
    help: "Exchanges that were ended early, because what they depended on was over: a credential, a subscription, a record.",
    labels: &["reason"],
    unit: Unit::Count,
    bounds: &[],
};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use pipeline::tester::exchange;

    use super::*;

    fn route(template: &str) -> Arc<Route> {
        Arc::new(Route { api: "orders".into(), template: template.into(), base: 0 })
    }

    fn finish(metrics: &Metrics, route: &Arc<Route>, method: &str, status: u16) {
        let mut exchange = exchange(Request::builder().method(method).uri("/"));
        exchange.route = route.clone();
        let outcome = Outcome {
            status: StatusCode::from_u16(status).ok(),
            received: 10,
            sent: 200,
            took: Duration::from_millis(3),
            cut: None,
            upstream: Some(Upstreamed {
                name: "backend".into(),
                target: "http://10.0.0.5:80".into(),
                first_byte: Some(Duration::from_millis(2)),
                attempts: 3,
            }),
            ..Outcome::default()
        };
        metrics.on_finish(&exchange, &outcome);
    }

    #[track_caller]
    fn shows(registry: &Registry, line: &str) {
        let body = registry.render(None).body;
        assert!(body.lines().any(|found| found == line), "{line} in\n{body}");
    }

    #[test]
    fn exchanges_are_counted_by_route_method_and_status_class() {
        let registry = Registry::new(100);
        let orders = route("/orders/{id}");
        let metrics = Metrics::new(&registry, std::slice::from_ref(&orders), &["backend".into()]);

        finish(&metrics, &orders, "GET", 200);
        finish(&metrics, &orders, "GET", 204);
        finish(&metrics, &orders, "BREW", 418);

        let duration = "http_server_request_duration_seconds";
        let labels = r#"api="orders",route="/orders/{id}""#;
        shows(&registry, &format!(r#"{duration}_bucket{{{labels},method="GET",status="2xx",le="0.0025"}} 0"#));
        shows(&registry, &format!(r#"{duration}_bucket{{{labels},method="GET",status="2xx",le="0.005"}} 2"#));
        shows(&registry, &format!(r#"{duration}_count{{{labels},method="other",status="4xx"}} 1"#));
        shows(&registry, &format!("http_server_request_body_size_bytes_sum{{{labels}}} 30"));
        shows(&registry, &format!("http_server_response_body_size_bytes_sum{{{labels}}} 600"));
        shows(&registry, r#"vestibule_upstream_requests_total{upstream="backend"} 9"#);
        shows(&registry, r#"vestibule_upstream_failures_total{upstream="backend"} 6"#);
        shows(&registry, r#"vestibule_upstream_first_byte_seconds_count{upstream="backend"} 3"#);
    }

    #[test]
    fn an_exchange_is_active_from_its_beginning_to_its_end() {
        let registry = Registry::new(100);
        let metrics = Metrics::new(&registry, &[], &[]);

        metrics.on_begin();
        metrics.on_begin();
        finish(&metrics, &route("/"), "GET", 200);

        shows(&registry, "http_server_active_requests 1");
    }

    #[test]
    fn an_unknown_route_is_counted_without_names() {
        let registry = Registry::new(100);
        let metrics = Metrics::new(&registry, &[], &[]);

        finish(&metrics, &route("/made/up"), "GET", 404);

        shows(&registry, r#"http_server_request_duration_seconds_count{api="",route="",method="GET",status="4xx"} 1"#);
    }

    #[test]
    fn counts_survive_a_reload_and_those_of_removed_routes_are_forgotten() {
        let registry = Registry::new(100);
        let (stays, goes) = (route("/stays"), route("/goes"));
        let first = Metrics::new(&registry, &[stays.clone(), goes.clone()], &[]);
        finish(&first, &stays, "GET", 200);
        finish(&first, &goes, "GET", 200);

        let again = route("/stays");
        let second = Metrics::new(&registry, std::slice::from_ref(&again), &[]);
        drop(first);
        let _third = Metrics::new(&registry, std::slice::from_ref(&again), &[]);
        finish(&second, &again, "GET", 200);

        let count = "http_server_request_duration_seconds_count";
        shows(&registry, &format!(r#"{count}{{api="orders",route="/stays",method="GET",status="2xx"}} 2"#));
        assert!(!registry.render(None).body.contains("/goes"));
    }
}
