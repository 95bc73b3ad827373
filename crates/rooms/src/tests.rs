//! What clients of "Virtual Waiting Room on AWS" may depend on, row by row.

mod durability;
mod events;
mod fairness;
mod nodes;
mod openid;
mod private;
mod public;
mod shared;
mod tokens;

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrets::{Masters, Vault};
use serde_json::{Value, json};
use tempfile::TempDir;
use waiting_room::{Compatibility, Expiry, PassOn, Rules};

use crate::{Api, Begun, Durability, Fairness, Inlet, KeptRoom, Question, Rooms, Settings, Side, Whereabouts};

/// A room for the event `Sample`, at a time that stands still.
pub(crate) struct Scene {
    pub(crate) room: Arc<KeptRoom>,
    rooms: Rooms,
    pub(crate) now: Cell<u32>,
    /// Where questions come from.
    pub(crate) client: Cell<Option<IpAddr>>,
    folder: TempDir,
}

/// Headers and a body.
type Sent<'a> = (&'a [(&'a str, &'a str)], &'a str);

/// An answer.
pub(crate) struct Reply {
    status: u16,
    body: Value,
    headers: HeaderMap,
    text: Bytes,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn is(&self, status: u16, body: &Value) {
        assert_eq!((self.status, &self.body), (status, body));
    }

    /// What a function says.
    pub(crate) fn says(&self, status: u16, error: &str) {
        self.is(status, &json!({ "error": error }));
    }

    /// What stands before functions says.
    fn refuses(&self, status: u16, message: &str) {
        self.is(status, &json!({ "message": message }));
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text_of(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("{}", self.body)).to_owned()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        event: "Sample".into(),
        rules: Rules::default(),
        issuer: "https://wait.example/api".into(),
        validity: 3600,
        inlet: Inlet::Manual,
        durability: Durability::Disk,
        openid: None,
        page: Arc::default(),
        fairness: Fairness::default(),
        alarm: None,
        metrics_events: false,
    }
}

/// Turns expire after 900 seconds.
pub(crate) fn expiring(pass_on: PassOn) -> Settings {
    let rules = Rules { expiry: Some(Expiry { period: 900, pass_on }), ..Rules::default() };
    Settings { rules, ..settings() }
}

fn strict(mut settings: Settings) -> Settings {
    settings.rules.compatibility = Compatibility::Strict;
    settings
}

/// Each of the settings that a promise must hold with.
fn all_settings() -> Vec<Settings> {
    let plain = [settings(), expiring(PassOn::Lost), expiring(PassOn::ToTheNext)];
    plain.into_iter().flat_map(|settings| [strict(settings.clone()), settings]).collect()
}

fn open(folder: &TempDir) -> Rooms {
    let masters = Masters::File(folder.path().join("master.key"));
    let vault = Vault::open(&folder.path().join("secrets"), masters).unwrap();
    Rooms::open(&folder.path().join("rooms"), Arc::new(vault), 1_000_000).unwrap()
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), settings)
    }

    fn in_folder(folder: TempDir, settings: Settings) -> Self {
        let rooms = open(&folder);
        rooms.set([("sale".to_owned(), settings)]);
        assert_eq!(rooms.take().unwrap(), Whereabouts::Here);
        Self {
            room: rooms.named("sale").unwrap(),
            rooms,
            now: Cell::new(1_800_000_000),
            client: Cell::new(None),
            folder,
        }
    }

    /// As after the end of the process.
    pub(crate) fn restarted(self) -> Self {
        let (settings, now) = (Settings::clone(&self.room.settings()), self.now.get());
        let Self { folder, rooms, room, .. } = self;
        drop((rooms, room));
        let scene = Self::in_folder(folder, settings);
        scene.now.set(now);
        scene
    }

    pub(crate) fn wait(&self, seconds: u32) {
        self.now.set(self.now.get() + seconds);
    }

    async fn ask_with(&self, side: Side, method: Method, target: &str, sent: Sent<'_>) -> Reply {
        let (api, (headers, body)) = (Api::new(self.room.clone(), side), sent);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let named =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        let headers = headers.iter().map(named).collect();
        let response = match api.begin(&method, path) {
            Begun::Answered(response) => response,
            Begun::Elsewhere => panic!("{target} is none of the API"),
            Begun::Asks(operation) => {
                let (body, now, client) = (body.as_bytes(), self.now.get(), self.client.get());
                let question = Question { path, query, is_secure: true, headers: &headers, body, now, client };
                api.answer(operation, &question).await
            }
        };
        let (head, text) = response.into_parts();
        let body = serde_json::from_slice(&text).unwrap_or_default();
        Reply { status: head.status.as_u16(), body, headers: head.headers, text }
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        let side = if target.starts_with("/num_active") || target.starts_with("/expired") {
            Side::Private
        } else {
            Side::Public
        };
        self.ask_with(side, Method::GET, target, (&[], "")).await
    }

    async fn post(&self, side: Side, path: &str, body: Value) -> Reply {
        self.ask_with(side, Method::POST, path, (&[("content-type", "application/json")], &body.to_string())).await
    }

    async fn public(&self, path: &str, body: Value) -> Reply {
        self.post(Side::Public, path, body).await
    }

    async fn private(&self, path: &str, body: Value) -> Reply {
        self.post(Side::Private, path, body).await
    }

    pub(crate) async fn join(&self) -> String {
        let reply = self.try_join().await;
        assert_eq!(reply.status, StatusCode::OK);
        reply.text_of("api_request_id")
    }

    pub(crate) async fn try_join(&self) -> Reply {
        self.public("/assign_queue_num", json!({ "event_id": "Sample" })).await
    }

    /// Everything that was written down so far.
    pub(crate) fn records(&self, mut read: impl FnMut(&[u8])) {
        let (journal, _) = self.rooms.log().unwrap();
        for id in journal.segments().unwrap() {
            let mut segment = journal.read(id, 0).unwrap().unwrap();
            while let journal::Next::Record(record) = segment.next().unwrap() {
                read(record);
            }
        }
    }

    pub(crate) fn tick(&self) {
        self.rooms.tick(self.now.get());
    }

    pub(crate) async fn joined(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.join().await);
        }
        ids
    }

    pub(crate) async fn queue_num(&self, id: &str) -> Reply {
        self.get(&format!("/queue_num?event_id=Sample&request_id={id}")).await
    }

    async fn expiry(&self, id: &str) -> Reply {
        self.get(&format!("/queue_pos_expiry?event_id=Sample&request_id={id}")).await
    }

    pub(crate) async fn increment(&self, by: i64) -> Reply {
        self.private("/increment_serving_counter", json!({ "event_id": "Sample", "increment_by": by })).await
    }

    pub(crate) async fn token(&self, id: &str) -> Reply {
        self.public("/generate_token", json!({ "event_id": "Sample", "request_id": id })).await
    }

    pub(crate) async fn end(&self, id: &str, status: i64) -> Reply {
        self.private("/update_session", json!({ "event_id": "Sample", "request_id": id, "status": status })).await
    }

    pub(crate) async fn serving(&self) -> String {
        self.get("/serving_num?event_id=Sample").await.text_of("serving_counter")
    }

    async fn waiting(&self) -> i64 {
        self.get("/waiting_num?event_id=Sample").await.body["waiting_num"].as_i64().unwrap()
    }
}

/// Well-formed, and nobody's.
const NOBODY: &str = "0f0e0d0c-0b0a-4908-8706-050403020100";
