//! Asks the Admin API in tests: in memory, at a time that stands still.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use billing::Plan;
use control::{Accounts, Alerts, Authorities, Everywhere, Jobs, Rooms, Webhooks};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use model::diff::{Change, What};
use parking_lot::Mutex;
use partners::{Index, ManagedBy, Partners, Pepper, Product, UnixMicros};
use problem::{Finding, Place, Pointer};
use secrets::{Masters, SealingKey, Vault};
use serde_json::{Value, json};
use sessions::Sessions;
use store::{InMemory, InMemoryLeases, InMemoryStatements, InMemoryTotals, UsageRow, UsageSource, UsageTotals};
use telemetry::metrics::{Exposition, Registry};
use tower::ServiceExt;

use crate::{
    Admin, Applied, Apply, Configuration, Exposure, JournalStatus, ListenerStatus, Node, Readiness, Rebuilt, Refused,
    Serving, Status, Storage, TargetStatus, Token, UpstreamStatus,
};

/// The token that opens.
pub(crate) const TOKEN: &str = "va_test";

/// The time, as text.
pub(crate) const NOW: &str = "2026-01-01T00:00:00Z";

/// The time.
const CLOCK: UnixMicros = UnixMicros(1_767_225_600_000_000);

/// The Admin API with a store in memory that has one product of a configuration file, `gold`.
pub(crate) struct Tester {
    pub(crate) node: Arc<Stub>,
    pub(crate) partners: Arc<Partners>,
    pub(crate) totals: Arc<InMemoryTotals>,
    pub(crate) sessions: Arc<Sessions>,
    admin: Admin,
    routes: Router,
    /// Where secrets are.
    _folder: tempfile::TempDir,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null, if it is something else.
    pub(crate) json: Value,
}

impl Tester {
    pub(crate) fn new() -> Self {
        Self::exposed(Exposure::Loopback)
    }

    pub(crate) fn exposed(exposure: Exposure) -> Self {
        Self::over(exposure, true)
    }

    pub(crate) fn without_storage() -> Self {
        Self::over(Exposure::Loopback, false)
    }

    /// With the app `shop` of the company `acme`.
    pub(crate) async fn with_app() -> Self {
        let tester = Self::new();
        tester.post("/companies", json!({ "name": "acme" })).await.is_made();
        tester.post("/companies/acme/apps", json!({ "name": "shop" })).await.is_made();
        tester
    }

    fn over(exposure: Exposure, has_storage: bool) -> Self {
        let index = Arc::new(Index::new(Pepper::new(&[7; 32])));
        let operations = vec!["orders: GET /**".parse().unwrap()];
        let name = "gold".parse().unwrap();
        index.set_file_products(vec![Product { name, operations, quota: None, managed_by: ManagedBy::File }]);
        let registry = Arc::new(InMemory::default());
        let partners = Arc::new(Partners::new(registry.clone(), index, Arc::new(|| CLOCK)));
        let totals = Arc::new(InMemoryTotals::default());
        let node = Arc::new(Stub { state: Mutex::new((Serving::Ready, Mood::Well)), totals: totals.clone() });
        let accounts = Accounts::new(Arc::new(InMemoryStatements::default()), totals.clone(), Arc::new(|| CLOCK));
        accounts.set_plans([("gold".to_owned(), Arc::new(plan()))].into());
        let leases = Arc::new(InMemoryLeases::new(Arc::new(|| CLOCK)));
        let sessions = Arc::new(Sessions::new(leases, SealingKey::generate().unwrap(), Arc::new(|| CLOCK)));
        let until = CLOCK.0 / 1_000_000 + 1_000_000_000;
        let kept = authority::Authority::make("partners", [7; 16], CLOCK.0 / 1_000_000, until).unwrap();
        let signing = authority::Authority::read(&kept.certificate, &kept.key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let masters = Masters::File(folder.path().join("master.key"));
        let vault = Arc::new(Vault::open(&folder.path().join("secrets"), masters).unwrap());
        let webhooks = Webhooks::new(registry.clone(), partners.clone(), vault.clone(), Arc::new(|| CLOCK));
        let alerts = Arc::new(Alerts::new(registry.clone(), "node".to_owned(), Arc::new(|| CLOCK)));
        let jobs = Jobs::new(registry.clone(), "node".to_owned(), alerts.clone(), Arc::new(|| CLOCK));
        let storage = Storage {
            partners: partners.clone(),
            totals: totals.clone(),
            authorities: Arc::new(Authorities::of([("partners".to_owned(), signing)])),
            accounts: Arc::new(accounts),
            sessions: sessions.clone(),
            rooms: Arc::new(Rooms::kept_in(folder.path(), vault.clone())),
            everywhere: Everywhere::new(registry, Arc::new(store::Alone)),
            webhooks: Arc::new(webhooks),
            alerts,
            jobs: Arc::new(jobs),
        };
        let admin = Admin::new(node.clone(), has_storage.then_some(storage), Token::new(TOKEN), Arc::new(|| CLOCK));
        let routes = admin.routes(exposure);
        Self { node, partners, totals, sessions, admin, routes, _folder: folder }
    }

    /// With something else about the Admin API.
    pub(crate) fn changed(self, change: impl FnOnce(Admin) -> Admin) -> Self {
        let admin = change(self.admin);
        Self { routes: admin.routes(Exposure::Loopback), admin, ..self }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    pub(crate) async fn get_with(&self, path: &str, name: &str, value: String) -> Answer {
        let request = Request::get(path).header(name, value);
        let request = if name == "authorization" { request } else { request.header(AUTHORIZATION, bearer()) };
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "", "").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, "application/json", body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, "application/json", body.to_string()).await
    }

    pub(crate) async fn post_nothing(&self, path: &str) -> Answer {
        self.send("POST", path, "", "").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, media: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(AUTHORIZATION, bearer());
        if !media.is_empty() {
            request = request.header(CONTENT_TYPE, media);
        }
        self.ask(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn put_with(&self, path: &str, name: &str, value: &str, body: Value) -> Answer {
        let request = Request::put(path).header(AUTHORIZATION, bearer()).header(name, value);
        let request = request.header(CONTENT_TYPE, "application/json");
        self.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn delete_with(&self, path: &str, name: &str, value: &str) -> Answer {
        let request = Request::delete(path).header(AUTHORIZATION, bearer()).header(name, value);
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post_once(&self, key: &str, path: &str, body: Value) -> Answer {
        self.post_once_as(TOKEN, key, path, body).await
    }

    pub(crate) async fn post_once_as(&self, secret: &str, key: &str, path: &str, body: Value) -> Answer {
        let request = Request::post(path).header(AUTHORIZATION, format!("Bearer {secret}"));
        let request = request.header("idempotency-key", key).header(CONTENT_TYPE, "application/json");
        self.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn get_as(&self, secret: &str, path: &str) -> Answer {
        self.send_as(secret, "GET", path, "").await
    }

    pub(crate) async fn post_as(&self, secret: &str, path: &str, body: Value) -> Answer {
        self.send_as(secret, "POST", path, body.to_string()).await
    }

    pub(crate) async fn send_as(&self, secret: &str, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).header(AUTHORIZATION, format!("Bearer {secret}"));
        self.ask(request.header(CONTENT_TYPE, "application/json").body(body.into()).unwrap()).await
    }

    pub(crate) async fn send_without_token(&self, method: Method, path: &str) -> Answer {
        self.ask(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }

    /// What the owner's request is answered.
    pub(crate) async fn answer(&self, mut request: Request<Body>) -> Answer {
        request.headers_mut().insert(AUTHORIZATION, bearer().parse().unwrap());
        self.ask(request).await
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: head.status, headers: head.headers, text, json }
    }
}

fn plan() -> Plan {
    let written = json!({ "monthly": "1 EUR", "charges": [{ "meter": "calls", "price": "0.05 EUR" }] });
    Plan::compile("gold", &serde_json::from_value(written).unwrap(), &Pointer::default()).unwrap()
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

impl Answer {
    #[track_caller]
    pub(crate) fn is_made(&self) {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.text);
    }

    #[track_caller]
    pub(crate) fn is_problem(&self, status: StatusCode, code: &str) {
        assert_eq!((self.status, &self.json["type"]), (status, &json!(format!("/problems/{code}"))), "{}", self.text);
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
    }

    /// Where the findings of a problem stand.
    pub(crate) fn pointers(&self) -> Vec<&str> {
        self.json["findings"].as_array().unwrap().iter().map(|finding| finding["pointer"].as_str().unwrap()).collect()
    }

    /// The names of a list's items.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.json["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    pub(crate) fn text_of(&self, member: &str) -> String {
        self.json[member].as_str().unwrap().to_owned()
    }
}

/// A gateway that does nothing.
pub(crate) struct Stub {
    state: Mutex<(Serving, Mood)>,
    totals: Arc<InMemoryTotals>,
}

#[derive(Clone, Copy)]
enum Mood {
    Well,
    Failing,
    Hanging,
}

impl Stub {
    pub(crate) fn set(&self, serving: Serving) {
        self.state.lock().0 = serving;
    }

    /// From now on, what can fail does.
    pub(crate) fn fail(&self) {
        self.state.lock().1 = Mood::Failing;
    }

    /// From now on, no answer comes.
    pub(crate) fn hang(&self) {
        self.state.lock().1 = Mood::Hanging;
    }

    async fn act(&self, trouble: &str) -> Result<(), Refused> {
        let mood = self.state.lock().1;
        match mood {
            Mood::Well => Ok(()),
            Mood::Failing => Err(Refused::Failed(trouble.to_owned(), "inner cause".into())),
            Mood::Hanging => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Node for Stub {
    fn readiness(&self) -> Readiness {
        Readiness { state: self.state.lock().0, generation: 7, hash: "c0ffee".to_owned() }
    }

    fn metrics(&self, accept: Option<&str>) -> Exposition {
        Registry::new(10).render(accept)
    }

    fn status(&self) -> Status {
        let target = TargetStatus { url: "http://127.0.0.1:9000".to_owned(), in_service: true, in_flight: 1 };
        let upstream = UpstreamStatus {
            name: "orders".to_owned(),
            breaker: "closed".to_owned(),
            in_flight: 1,
            connections: 2,
            targets: vec![target],
        };
        let listener =
            ListenerStatus { name: "public".to_owned(), address: "127.0.0.1:8080".to_owned(), connections: 3 };
        Status {
            version: "0.1.0".to_owned(),
            process: 42,
            state: self.state.lock().0,
            generation: 7,
            hash: "c0ffee".to_owned(),
            listeners: vec![listener],
            upstreams: vec![upstream],
            journal: Some(JournalStatus { bytes: 500, segments: 1, failures: 0 }),
            keys: 1,
            refused: 0,
        }
    }

    fn configuration(&self) -> Option<Configuration> {
        let document = json!({ "version": 1, "users": { "alice": "$argon2id$v=19$abc" } });
        Some(Configuration { generation: 7, hash: "c0ffee".to_owned(), document })
    }

    async fn reload(&self) -> Result<Applied, Refused> {
        self.act("The file cannot be read.").await?;
        let at = Pointer::default().at("workers");
        let changes = vec![Change { at, what: What::Changed(json!(1), json!(2)) }];
        Ok(Applied { generation: 8, hash: "decade".to_owned(), changes })
    }

    async fn apply(&self, document: &str, apply: Apply) -> Result<Applied, Refused> {
        if document.contains('2') {
            let mut finding = Finding::new(&Pointer::default().at("version"), "version 2 is not known; write 1");
            finding.place = Some(Place { file: "request".to_owned(), line: 1, column: 10 });
            return Err(Refused::Findings(vec![finding]));
        }
        let generation = match apply {
            Apply::Now => 8,
            Apply::DryRun => 7,
        };
        Ok(Applied { generation, hash: "decade".to_owned(), changes: Vec::new() })
    }

    async fn rebuild_usage(&self) -> Result<Rebuilt, Refused> {
        self.act("The sums are as they were.").await?;
        Ok(Rebuilt { from_hour: 490_896, records: 5, rows: 3, changed: 1 })
    }

    async fn count_usage(&self) -> Result<(), Refused> {
        self.act("The journal cannot be read.").await?;
        let node: Arc<str> = "node".into();
        let row = UsageRow {
            company: node.clone(),
            app: node.clone(),
            product: node.clone(),
            api: node.clone(),
            operation: node,
            hour: u32::try_from(CLOCK.0 / 3_600_000_000).unwrap(),
            status_class: 2,
            requests: 16,
            cost: 16,
            bytes_in: 160,
            bytes_out: 1600,
            latency_micros: 16_000,
        };
        let source = UsageSource { segment: "journal".to_owned(), from: 0, offset: 1 };
        self.totals.add(&[row], &source).await.unwrap();
        Ok(())
    }
}
