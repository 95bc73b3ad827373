//! What statements promise, beyond what the store and the arithmetic do.

use std::sync::atomic::{AtomicU64, Ordering};

use problem::Pointer;
use serde_json::json;
use store::{InMemoryStatements, InMemoryTotals, UsageRow, UsageSource};

use super::*;

/// The first hour of 2026.
const HOUR: u32 = 490_896;

struct Books {
    accounts: Accounts,
    totals: Arc<InMemoryTotals>,
    hour: Arc<AtomicU64>,
    counted: AtomicU64,
}

impl Books {
    /// At the end of January 2026.
    fn open() -> Self {
        let totals = Arc::new(InMemoryTotals::default());
        let hour = Arc::new(AtomicU64::new(u64::from(HOUR) + 31 * 24));
        let clock = hour.clone();
        let clock = Arc::new(move || UnixMicros(clock.load(Ordering::Relaxed) * MICROS_AN_HOUR));
        let accounts = Accounts::new(Arc::new(InMemoryStatements::default()), totals.clone(), clock);
        let books = Self { accounts, totals, hour, counted: AtomicU64::new(0) };
        books.count_by("UTC");
        books
    }

    /// The plan begins its days by this zone from now on.
    fn count_by(&self, zone: &str) {
        let written = json!({ "time_zone": zone, "charges": [{ "meter": "calls", "price": "0.10 EUR" }] });
        let plan = Plan::compile("gold", &serde_json::from_value(written).unwrap(), &Pointer::default()).unwrap();
        self.accounts.set_plans([("gold".to_owned(), Arc::new(plan))].into());
    }

    async fn closed(&self, order: &Order) -> StatementRow {
        let draft = self.accounts.draft(order).await.unwrap();
        self.accounts.close(draft.number, &draft.hash).await.unwrap()
    }

    async fn use_up(&self, hour: u32, requests: u64) {
        let row = UsageRow {
            company: "acme".into(),
            app: "shop".into(),
            product: "gold".into(),
            api: "orders".into(),
            operation: "GET /".into(),
            hour,
            status_class: 2,
            requests,
            cost: requests,
            bytes_in: 0,
            bytes_out: 0,
            latency_micros: 0,
        };
        let from = self.counted.fetch_add(1, Ordering::Relaxed);
        let source = UsageSource { segment: "s".into(), from, offset: from + 1 };
        self.totals.add(&[row], &source).await.unwrap();
    }
}

fn january() -> Order {
    Order {
        company: "acme".into(),
        plan: "gold".into(),
        month: "2026-01".parse().unwrap(),
        contract: Contract::default(),
    }
}

#[tokio::test]
async fn a_statement_is_drafted_closed_and_credited() {
    let books = Books::open();
    books.use_up(HOUR, 100).await;
    books.use_up(HOUR + 31 * 24 - 1, 5).await;
    books.use_up(HOUR + 31 * 24, 7).await;

    let draft = books.accounts.draft(&january()).await.unwrap();
    assert_eq!((draft.total, draft.closed), (1050, None));
    let closed = books.accounts.close(draft.number, &draft.hash).await.unwrap();
    assert_eq!(closed.body, draft.body);
    let lines = vec![Credit { text: "an outage".into(), amount: "0.50".into() }];
    let note = books.accounts.credit(draft.number, lines).await.unwrap();

    assert_eq!((note.corrects, note.total), (Some(draft.number), 50));
    let again = books.accounts.draft(&january()).await;
    assert!(matches!(again, Err(AccountError::Stated(number)) if number == draft.number), "{again:?}");
    let contract = Contract::read(Some("2026-01-05"), None).unwrap();
    let part = books.accounts.draft(&Order { contract, ..january() }).await;
    assert!(matches!(part, Err(AccountError::Overlaps(number)) if number == draft.number), "{part:?}");
}

#[tokio::test]
async fn when_a_plan_changes_its_time_zone_each_hour_is_in_one_statement() {
    for zone in ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "UTC"] {
        let books = Books::open();
        books.hour.fetch_add(24, Ordering::Relaxed);
        let month = |text: &str| Order { month: text.parse().unwrap(), ..january() };
        let december = books.closed(&month("2025-12")).await;
        books.count_by(zone);

        let february = books.accounts.draft(&month("2026-02")).await.unwrap();
        let january = books.closed(&month("2026-01")).await;

        assert_eq!(january.hours, december.hours.end..february.hours.start, "{zone}");
        let again = books.accounts.draft(&month("2026-01")).await;
        assert!(matches!(again, Err(AccountError::Stated(number)) if number == january.number), "{zone}: {again:?}");
        books.use_up(january.hours.start, 3).await;
        assert_eq!(books.accounts.late(&january).await.unwrap().len(), 1, "{zone}");
        assert_eq!(books.accounts.late(&december).await.unwrap(), [], "{zone}");
        books.count_by("Asia/Tokyo");
        assert_eq!(books.accounts.recount(&january).await.unwrap().total, 30, "{zone}");
    }
}

#[tokio::test]
async fn a_period_is_closed_only_when_it_is_over() {
    let books = Books::open();
    books.hour.fetch_sub(1, Ordering::Relaxed);
    let draft = books.accounts.draft(&january()).await.unwrap();
    let early = books.accounts.close(draft.number, &draft.hash).await;
    assert!(matches!(early, Err(AccountError::NotOver(_))), "{early:?}");

    books.hour.fetch_add(1, Ordering::Relaxed);
    assert!(books.accounts.close(draft.number, &draft.hash).await.is_ok());
}

#[tokio::test]
async fn usage_that_came_after_a_draft_is_not_left_out_by_closing_it() {
    let books = Books::open();
    let draft = books.accounts.draft(&january()).await.unwrap();
    books.use_up(HOUR, 1).await;

    let outdated = books.accounts.close(draft.number, &draft.hash).await;
    assert!(matches!(outdated, Err(AccountError::Outdated(_))), "{outdated:?}");

    let anew = books.accounts.draft(&january()).await.unwrap();
    let other = books.accounts.close(draft.number, &draft.hash).await;
    assert!(matches!(other, Err(AccountError::Changed(_))), "{other:?}");
    assert_eq!(books.accounts.close(draft.number, &anew.hash).await.unwrap().total, 10);
}

#[tokio::test]
async fn a_recount_tells_what_came_after_a_statement_was_closed() {
    let books = Books::open();
    books.use_up(HOUR, 1).await;
    let draft = books.accounts.draft(&january()).await.unwrap();
    let closed = books.accounts.close(draft.number, &draft.hash).await.unwrap();
    let same = Recount { is_intact: true, total: 10, is_same: true };
    assert_eq!(books.accounts.recount(&closed).await.unwrap(), same);

    books.use_up(HOUR, 2).await;

    let late = Recount { is_intact: true, total: 30, is_same: false };
    assert_eq!(books.accounts.recount(&closed).await.unwrap(), late);
    let forged = StatementRow { body: closed.body.replace("0.10", "0.09"), ..closed };
    assert!(!books.accounts.recount(&forged).await.unwrap().is_intact);
}

#[tokio::test]
async fn usage_that_comes_after_a_statement_was_closed_is_reported() {
    let books = Books::open();
    books.use_up(HOUR, 5).await;
    let draft = books.accounts.draft(&january()).await.unwrap();
    assert_eq!(books.accounts.late(&draft).await.unwrap(), []);
    let closed = books.accounts.close(draft.number, &draft.hash).await.unwrap();
    assert_eq!(books.accounts.late(&closed).await.unwrap(), []);

    books.use_up(HOUR + 30 * 24, 2).await;
    books.use_up(HOUR + 31 * 24, 9).await;

    let [late] = books.accounts.late(&closed).await.unwrap().try_into().unwrap();
    assert_eq!((late.meter, late.operation.as_str(), late.stated, late.today), (Meter::Calls, "GET /", 5, 7));
    assert_eq!(books.accounts.statement(closed.number).await.unwrap(), closed, "what is closed stays");
    books.accounts.set_plans(BTreeMap::new());
    assert_eq!(books.accounts.late(&closed).await.unwrap(), [late], "also by a plan that is gone");
}

#[tokio::test]
async fn what_cannot_be_billed_says_why() {
    let books = Books::open();
    let order = Order { plan: "lead".into(), ..january() };
    assert!(matches!(books.accounts.draft(&order).await, Err(AccountError::NoPlan(_))));
    let contract = Contract::read(Some("2026-02-01"), None).unwrap();
    assert!(matches!(books.accounts.draft(&Order { contract, ..january() }).await, Err(AccountError::Period(_))));
    assert!(matches!(books.accounts.close(9, "x").await, Err(AccountError::NoStatement(9))));
    let draft = books.accounts.draft(&january()).await.unwrap();
    let lines = || vec![Credit { text: "x".into(), amount: "1".into() }];
    assert!(matches!(books.accounts.credit(draft.number, lines()).await, Err(AccountError::NotClosed(_))));
    books.accounts.close(draft.number, &draft.hash).await.unwrap();
    let much = books.accounts.credit(draft.number, lines()).await.unwrap_err();
    assert_eq!(much.to_string(), "0.00 EUR is all that is left to give back");
    assert!(matches!(books.accounts.discard(draft.number).await, Err(AccountError::Closed(_))));
}
