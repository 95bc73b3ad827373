//! What partners used, and what they are to pay for it.

use billing::{Calendar, Contract};
use control::{AccountError, Order};
use testkit::{Gateway, Stub};

const DOCUMENT: &str = "
store: {embedded: ./data}
upstreams: {orders: {targets: [\"http://BACKEND\"]}}
apis: {orders: {match: {path: /orders}, upstream: orders, policies: [{api-key: {}}, {cost: {counts_for: 3}}]}}
products: {trial: {operations: [\"orders: GET /**\"]}}
plans:
  basic:
    monthly: 0 EUR
    charges:
      - {meter: successful-calls, included: 2, price: 0.25 EUR}
      - {meter: bytes-out, price: 1.024 EUR}
      - {meter: cost, price: 1 EUR}
";

async fn gateway(document: &str) -> (Stub, Gateway) {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, document).await;
    (backend, gateway)
}

/// The month of now, in which everything was used.
fn this_month(plan: &str) -> Order {
    let hour = u32::try_from(control::now().0 / 3_600_000_000).unwrap();
    let month = Calendar::of("UTC").unwrap().month_of(hour);
    Order { company: "acme".to_owned(), plan: plan.to_owned(), month, contract: Contract::default() }
}

/// What the company is to pay until now, in cents.
async fn due(gateway: &Gateway) -> i64 {
    let keeping = gateway.node().keeping.as_ref().unwrap();
    keeping.add_up().await.unwrap();
    keeping.accounts.draft(&this_month("basic")).await.unwrap().total
}

#[tokio::test]
async fn each_answer_that_a_partner_got_is_on_its_statement_also_after_a_restart() {
    let (_backend, gateway) = gateway(DOCUMENT).await;
    let key = gateway.key("acme", "trial").await;

    for _ in 0..6 {
        assert_eq!(gateway.get_with("/orders/7", &[("X-Api-Key", &key)]).await.status, 200);
    }
    let refused = gateway.send("POST", "/orders/7", &[("X-Api-Key", &key)]).await;
    assert_eq!(refused.status, 403);

    // Four calls beyond those that are included, and for bytes a tenth of a cent each: six answers, one refusal.
    let bytes = i64::try_from(6 * "hello".len() + refused.body.len()).unwrap();
    // Each answer costs what its policy says; who was refused before it counts for one.
    let expected = 100 + (bytes + 5) / 10 + 100 * (6 * 3 + 1);
    assert_eq!(due(&gateway).await, expected);
    let gateway = gateway.restart().await;
    assert_eq!(due(&gateway).await, expected);
}

#[tokio::test]
async fn a_changed_plan_holds_for_statements_that_are_made_from_then_on() {
    let (_backend, gateway) = gateway(DOCUMENT).await;
    let key = gateway.key("acme", "trial").await;
    assert_eq!(gateway.get_with("/orders/7", &[("X-Api-Key", &key)]).await.status, 200);
    let before = due(&gateway).await;

    let document = std::fs::read_to_string(gateway.folder().join("vestibule.yaml")).unwrap();
    gateway.reload(&document.replace("monthly: 0 EUR", "monthly: 10 EUR")).unwrap();

    assert_eq!(due(&gateway).await, before + 1000);
    gateway.reload(&document.replace("basic:", "other:")).unwrap();
    let accounts = &gateway.node().keeping.as_ref().unwrap().accounts;
    assert!(matches!(accounts.draft(&this_month("basic")).await, Err(AccountError::NoPlan(_))));
}

#[tokio::test]
async fn totals_are_made_anew_from_records_that_are_kept_and_twice_is_once() {
    let (_backend, gateway) = gateway(&format!("{DOCUMENT}usage: {{keep: 40d}}\n")).await;
    let key = gateway.key("acme", "trial").await;
    for _ in 0..3 {
        assert_eq!(gateway.get_with("/orders/7", &[("X-Api-Key", &key)]).await.status, 200);
    }
    assert_eq!(gateway.usage("acme").await, [(2, 3)]);

    // Somebody spoils them.
    let gateway = gateway.restart().await;
    let keeping = gateway.node().keeping.as_ref().unwrap();
    keeping.totals.replace(0, &[], &[]).await.unwrap();
    assert_eq!(gateway.usage("acme").await, []);
    let (from, rebuilt) = keeping.rebuild().await.unwrap();
    assert_eq!((from, rebuilt.records, rebuilt.changed), (0, 3, 1));
    assert_eq!(gateway.usage("acme").await, [(2, 3)]);
    assert_eq!(keeping.rebuild().await.unwrap().1.changed, 0);

    assert_eq!(gateway.get_with("/orders/7", &[("X-Api-Key", &key)]).await.status, 200);
    assert_eq!(gateway.usage("acme").await, [(2, 4)]);
}

#[tokio::test]
async fn without_kept_records_totals_are_left_alone() {
    let (_backend, gateway) = gateway(DOCUMENT).await;
    let refused = gateway.node().keeping.as_ref().unwrap().rebuild().await.unwrap_err();
    assert!(refused.to_string().starts_with("no usage records are kept; write `usage: {keep: 40d}`"), "{refused}");
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_not_served() {
    let document = "
plans:
  basic: {monthly: 1 EUR, minimum: 2 USD}
  gold: {time_zone: Europe/Bonn, charges: [{meter: calls, apis: [ordres], tiers: {graduated: [{price: 1 EUR, up_to: 5}]}}]}
apis: {orders: {match: {path: /orders}, policies: [{respond: {status: 204}}]}}
";

    let told = Gateway::refusing(document).await;

    for expected in [
        "/plans/basic/minimum: is in USD, and the plan's first amount in EUR",
        "/plans/gold/time_zone: there is no time zone `Europe/Bonn`",
        "/plans/gold/charges/0/apis/0: there is no api `ordres`; did you mean `orders`?",
        "/plans/gold/charges/0/tiers/graduated: ends with an `up_to`",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}
