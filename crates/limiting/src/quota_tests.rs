//! What a quota promises.

use std::collections::BTreeMap;

use http::Response;
use limits::{Reading, Remembered};
use parking_lot::Mutex;
use pipeline::tester::{policy, policy_with};
use pipeline::{Body, Caller, Services};
use serde_json::json;

use super::*;

const HOUR: u64 = 3_600_000_000;

fn app(name: &str) -> Caller {
    Caller { by: "api-key", company: Some("acme".into()), app: Some(name.into()), ..Caller::default() }
}

fn detail(answer: &pipeline::tester::Answer) -> String {
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    document["detail"].as_str().unwrap().to_owned()
}

#[test]
fn the_quota_passes_and_not_one_more() {
    let quota = policy::<Quota>(json!({ "requests": 2, "per": "day", "by": "app", "zone": "Europe/Berlin" }));

    quota.request().called_by(app("shop")).passes();
    quota.request().called_by(app("shop")).passes();
    let answer = quota.request().called_by(app("shop")).is_refused_with("quota-exceeded");
    quota.request().called_by(app("desk")).passes();

    // The tester's clock stands at 2026-01-01T00:00:00Z, which is 01:00 in Berlin.
    assert_eq!(answer.status, 429);
    assert_eq!(answer.headers["retry-after"], "82800");
    assert_eq!(
        detail(&answer),
        "The quota is 2 requests per day (Europe/Berlin) for each app. It is used up; it resets at \
         2026-01-02T00:00:00+01:00, in 82800 seconds."
    );
    let tomorrow = |exchange: &mut Exchange| exchange.began_at += 23 * HOUR;
    quota.request().called_by(app("shop")).with(tomorrow).passes();
}

#[test]
fn answers_say_what_is_allowed_and_what_is_left() {
    let quota = policy::<Quota>(json!({ "requests": 100, "per": "hour", "by": "api" }));

    let later = |exchange: &mut Exchange| exchange.began_at += HOUR / 4 + 1;
    let answer = quota.request().with(later).answered(Response::new(Body::Empty));

    assert_eq!(answer.headers["ratelimit-policy"], "\"quota\";q=100;w=3600");
    assert_eq!(answer.headers["ratelimit"], "\"quota\";r=99;t=2700");
}

#[test]
fn a_request_counts_for_its_cost() {
    let by_exchange = policy::<Quota>(json!({ "requests": 5, "per": "day", "by": "api" }));
    let costing = |cost| move |exchange: &mut Exchange| exchange.cost = cost;
    by_exchange.request().with(costing(3)).passes();
    let answer = by_exchange.request().with(costing(3)).is_refused_with("quota-exceeded");
    assert!(detail(&answer).contains("2 are left, which is less than this request counts for"));
    by_exchange.request().with(costing(2)).passes();

    let answer = by_exchange.request().with(costing(6)).is_refused_with("quota-exceeded");
    assert!(!answer.headers.contains_key("retry-after"));
    assert!(detail(&answer).ends_with("and this request counts for more than that."));
}

#[test]
fn a_reload_gives_no_second_quota() {
    let quota = policy::<Quota>(json!({ "requests": 1, "per": "day", "by": "api" }));
    quota.request().passes();

    let quota = quota.reloaded(json!({ "requests": 2, "per": "day", "by": "api" }));

    quota.request().passes();
    quota.request().is_refused_with("quota-exceeded");
}

struct Catalogue;

impl Plans for Catalogue {
    fn quota(&self, product: &str) -> Option<(u64, Period)> {
        match product {
            "gold" => Some((2, Period::Month)),
            "trial" => Some((1, Period::Minute)),
            _ => None,
        }
    }
}

fn by_product() -> pipeline::tester::PolicyUnderTest<Quota> {
    policy_with(json!({ "from": "product" }), Services::default().with::<dyn Plans>(Arc::new(Catalogue)))
}

#[test]
fn each_product_brings_its_own_quota() {
    let quota = by_product();
    let ask = |product: &'static str| {
        let set = move |exchange: &mut Exchange| exchange.product = Some(product.into());
        quota.request().called_by(app("shop")).with(set)
    };

    ask("gold").passes();
    let answer = ask("gold").answered(Response::new(Body::Empty));
    assert_eq!(answer.headers["ratelimit-policy"], "\"quota\";q=2;w=2678400");
    assert_eq!(answer.headers["ratelimit"], "\"quota\";r=0;t=2678400");
    ask("gold").is_refused_with("quota-exceeded");

    ask("trial").passes();
    let answer = ask("trial").is_refused_with("quota-exceeded");
    assert_eq!(answer.headers["retry-after"], "60");

    let answer = ask("unlimited").answered(Response::new(Body::Empty));
    assert!(!answer.headers.contains_key("ratelimit"));
}

#[test]
fn a_request_of_nobody_or_by_no_product_cannot_be_judged() {
    by_product().request().called_by(app("shop")).is_refused_with("policy-failed");
    let gold = |exchange: &mut Exchange| exchange.product = Some("gold".into());
    by_product().request().with(gold).is_refused_with("policy-failed");
    by_product().failing_open().request().with(gold).passes();
}

#[derive(Default)]
struct Book(Mutex<BTreeMap<(String, u64), u64>>);

impl Ledger for Book {
    fn consumed(&self, counter: &str, window_start: u64, n: u32) {
        *self.0.lock().entry((counter.to_owned(), window_start)).or_default() += u64::from(n);
    }

    fn given_back(&self, _: &str, _: u64, _: u32) {}

    fn remembered(&self, name: &str) -> Remembered {
        let reading = |((counter, start), n): (&(String, u64), &u64)| Reading {
            counter: counter.clone(),
            window_start: *start,
            consumed: *n,
        };
        let readings =
            self.0.lock().iter().filter(|((counter, _), _)| counter.starts_with(name)).map(reading).collect();
        Remembered { readings, news: 0 }
    }
}

#[test]
fn a_restart_gives_no_second_quota() {
    let book = Arc::new(Book::default());
    let started = || {
        let services = Services::default().with::<dyn Ledger>(book.clone());
        policy_with::<Quota>(json!({ "requests": 2, "per": "day", "by": "app" }), services)
    };

    started().request().called_by(app("shop")).passes();
    started().request().called_by(app("shop")).passes();
    started().request().called_by(app("shop")).is_refused_with("quota-exceeded");

    let counter = ("test/quota/1/day/UTC/app:acme/shop".to_owned(), 1_767_225_600);
    assert_eq!(*book.0.lock(), BTreeMap::from([(counter, 2)]));
}

#[test]
fn somebody_is_told_when_a_caller_comes_near_the_end_of_it() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Brink for Heard {
        fn shares(&self) -> Box<[u8]> {
            [80, 100].into()
        }

        fn reached(&self, reached: &Reached<'_>) {
            let Reached { quota, whom, share, limit, ends, .. } = *reached;
            self.0.lock().push(format!("{whom} has {share}% of {quota}, {limit}, until {ends}"));
        }
    }

    let heard = Arc::new(Heard::default());
    let services = Services::default().with::<dyn Brink>(heard.clone());
    let settings = json!({ "requests": 5, "per": "hour", "by": "app", "name": "calls" });
    let quota = policy_with::<Quota>(settings, services);
    for _ in 0..5 {
        quota.request().called_by(app("shop")).passes();
    }
    quota.request().called_by(app("shop")).is_refused_with("quota-exceeded");

    let ends = 1_767_225_600 + 3600;
    let told = |share: u8| format!("acme/shop has {share}% of calls, 5, until {ends}");
    assert_eq!(*heard.0.lock(), [told(80), told(100), told(100)]);
}

#[test]
fn settings_that_make_no_sense_are_findings() {
    let finding = |settings| policy::<Quota>(settings).finding();
    let choose = "/with: needs either `requests` and `per`, or `from: product`";
    assert_eq!(finding(json!({ "requests": 5, "by": "app" })), choose);
    assert_eq!(finding(json!({ "per": "day", "by": "app" })), choose);
    assert_eq!(finding(json!({ "requests": 5, "per": "day", "from": "product" })), choose);
    assert_eq!(
        finding(json!({ "requests": 5, "per": "day" })),
        "/with: does not say whom to count: write `by`, such as `by: app`"
    );
    assert_eq!(
        finding(json!({ "requests": 5, "per": "day", "by": "app", "zone": "Mars" })),
        "/with/zone: there is no time zone `Mars`; write a name such as `Europe/Berlin` or `UTC`"
    );
    assert_eq!(finding(json!({ "from": "product" })), "/with: there are no products here to take a quota from");
}
