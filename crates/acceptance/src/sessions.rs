//! Sessions at a backend: opened, used, limited, ended and closed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use servers::{Database, Postgres, Redis};
use testkit::{Gateway, Reply, Stub, eventually};

/// `ROOM` stands for what differs from test to test.
const DOCUMENT: &str = "
store: {embedded: ./data}
upstreams: {crm: {targets: [\"http://BACKEND\"]}}
apis:
  crm:
    match: {path: /crm}
    upstream: crm
    policies:
      - api-key: {}
      - sessions:
          id: [{header: x-session}]
          open:
            - when: \"request.method == 'POST' && request.path == '/crm/login'\"
              answered: {json: {$.ok: \"true\"}}
              id: {json: $.session}
              values: {token: {header: x-token}}
          end:
            - when: \"request.path == '/crm/logout'\"
            - answered: {status: [440]}
          ROOM
          close:
            upstream: crm
            path: \"/crm/session\"
            headers: {x-session: \"{session.id}\", authorization: \"Bearer {session.token}\"}
            pause: 1s
products: {all: {operations: [\"crm: * /**\"]}}
";

/// A backend with sessions of its own.
#[derive(Default)]
struct Crm {
    opened: AtomicUsize,
    open: Mutex<BTreeSet<String>>,
    most: AtomicUsize,
    /// Whether it closes sessions when told to.
    is_stubborn: AtomicBool,
}

impl Crm {
    fn answer(&self, request: &testkit::Request) -> Vec<u8> {
        let session = request.header("x-session").unwrap_or_default();
        let is_open = self.open.lock().contains(session);
        let (status, headers, body) = match request.line() {
            line if line.starts_with("POST /crm/login?wrong") => (200, String::new(), "{\"ok\": false}".to_owned()),
            line if line.starts_with("POST /crm/login") => {
                let session = format!("s{}", self.opened.fetch_add(1, Ordering::SeqCst));
                let mut open = self.open.lock();
                open.insert(session.clone());
                self.most.fetch_max(open.len(), Ordering::SeqCst);
                let token = format!("X-Token: token-of-{session}\r\n");
                (200, token, format!("{{\"ok\": true, \"session\": \"{session}\"}}"))
            }
            line if line.starts_with("DELETE /crm/session") => {
                let is_right = request.header("authorization") == Some(&format!("Bearer token-of-{session}"));
                match (self.is_stubborn.load(Ordering::SeqCst), is_right) {
                    (true, _) => (503, String::new(), String::new()),
                    (false, false) => (403, String::new(), String::new()),
                    (false, true) => {
                        self.open.lock().remove(session);
                        (200, String::new(), String::new())
                    }
                }
            }
            line if line.starts_with("POST /crm/logout") => {
                self.open.lock().remove(session);
                (200, String::new(), String::new())
            }
            _ if is_open => (200, String::new(), format!("hello {session}")),
            _ => (440, String::new(), String::new()),
        };
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
    }
}

struct Setting {
    crm: Arc<Crm>,
    backend: Arc<Stub>,
    gateway: Gateway,
    key: String,
}

async fn setting(room: &str) -> Setting {
    let crm = Arc::new(Crm::default());
    let of = crm.clone();
    let backend = Arc::new(Stub::replying(move |request| of.answer(request)).await);
    let gateway = Gateway::with(&backend, &DOCUMENT.replace("ROOM", room)).await;
    let key = gateway.key("acme", "all").await;
    Setting { crm, backend, gateway, key }
}

/// Several nodes that share a store.
struct Cluster {
    nodes: Vec<Setting>,
    // Last, so that nodes stop before their servers.
    _database: Database,
    _redis: Redis,
}

async fn cluster(room: &str) -> Cluster {
    let (database, redis) = (Postgres::shared().database(), Redis::start());
    let crm = Arc::new(Crm::default());
    let of = crm.clone();
    let backend = Arc::new(Stub::replying(move |request| of.answer(request)).await);
    let document = shared(room, &database, &redis);
    let mut nodes: Vec<Setting> = Vec::new();
    for _ in 0..3 {
        let gateway = Gateway::with(&backend, &document).await;
        let key = match nodes.first() {
            Some(first) => first.key.clone(),
            None => gateway.key("acme", "all").await,
        };
        nodes.push(Setting { crm: crm.clone(), backend: backend.clone(), gateway, key });
    }
    let behind = nodes[0].gateway.node().keeping.as_ref().unwrap().everywhere.known().await.unwrap();
    assert!(behind.is_empty(), "{behind:?}");
    Cluster { nodes, _database: database, _redis: redis }
}

/// The document of nodes that share a store.
fn shared(room: &str, database: &Database, redis: &Redis) -> String {
    let shared = format!(
        "store: {{postgres: \"{}\", redis: \"{}\", folder: ./data}}\n\
         encryption: {{master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}",
        database.address(),
        redis.address()
    );
    DOCUMENT.replace("ROOM", room).replace("store: {embedded: ./data}", &shared)
}

impl Setting {
    async fn send(&self, method: &str, path: &str, session: &str) -> Reply {
        let mut headers = vec![("x-api-key", self.key.as_str())];
        headers.extend((!session.is_empty()).then_some(("x-session", session)));
        self.gateway.send(method, path, &headers).await
    }

    /// Opens a session and returns its id.
    async fn open(&self) -> String {
        let reply = self.send("POST", "/crm/login", "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        document["session"].as_str().unwrap().to_owned()
    }

    async fn is_refused(&self, (method, path): (&str, &str), session: &str, expected: (u16, &str)) {
        let reply = self.send(method, path, session).await;
        assert_eq!((reply.status, reply.problem().as_str()), expected, "{method} {path}");
    }

    async fn count(&self) -> u32 {
        let sessions = &self.gateway.node().keeping.as_ref().unwrap().sessions;
        sessions.count(&sessions::group_of(Some("crm"), Some("acme"), None)).await.unwrap()
    }
}

#[tokio::test]
async fn a_session_is_opened_used_and_ended() {
    let setting = setting("maximum: {company: 2}").await;
    setting.is_refused(("GET", "/crm/x"), "", (401, "session-needed")).await;
    setting.is_refused(("GET", "/crm/x"), "s0", (401, "session-unknown")).await;

    let session = setting.open().await;
    assert_eq!(setting.send("GET", "/crm/x", &session).await.text(), "hello s0");
    assert_eq!(setting.send("GET", "/crm/x", &session).await.text(), "hello s0");
    assert_eq!(setting.send("POST", "/crm/logout", &session).await.status, 200);

    setting.is_refused(("GET", "/crm/x"), &session, (401, "session-unknown")).await;
    assert_eq!(setting.count().await, 0);
}

#[tokio::test]
async fn a_session_that_thebackend_does_not_know_any_more_is_over() {
    let setting = setting("maximum: {company: 2}").await;
    let session = setting.open().await;
    setting.crm.open.lock().clear();

    assert_eq!(setting.send("GET", "/crm/x", &session).await.status, 440);

    setting.is_refused(("GET", "/crm/x"), &session, (401, "session-unknown")).await;
    assert_eq!(setting.count().await, 0);
}

#[tokio::test]
async fn one_more_than_the_maximum_is_refused_until_one_ends() {
    let setting = setting("maximum: {company: 2, app: 2}").await;
    let (first, _second) = (setting.open().await, setting.open().await);

    let reply = setting.send("POST", "/crm/login", "").await;
    assert_eq!((reply.status, reply.problem().as_str()), (429, "too-many-sessions"));
    assert!(reply.text().contains("Your app has 2 of 2 sessions."), "{}", reply.text());
    // What opens none takes no place.
    setting.send("POST", "/crm/logout", &first).await;
    for _ in 0..3 {
        assert_eq!(setting.send("POST", "/crm/login?wrong", "").await.status, 200);
    }
    assert_eq!(setting.count().await, 1);
    setting.open().await;
    setting.is_refused(("POST", "/crm/login"), "", (429, "too-many-sessions")).await;
    assert_eq!(setting.crm.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn many_who_ask_at_once_never_get_more_than_the_maximum() {
    let setting = Arc::new(setting("maximum: {company: 7}").await);
    let askers: Vec<_> = (0..64)
        .map(|_| {
            let setting = setting.clone();
            tokio::spawn(async move { setting.send("POST", "/crm/login", "").await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for asker in askers {
        statuses.push(asker.await.unwrap());
    }

    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429)), (7, 57));
    assert_eq!(setting.crm.most.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn the_oldest_is_closed_before_another_is_opened() {
    let setting = setting("maximum: {company: 2}\n          on_maximum: close-oldest").await;
    let (first, second) = (setting.open().await, setting.open().await);

    let third = setting.open().await;

    assert_eq!(setting.crm.most.load(Ordering::SeqCst), 2, "never more at the backend than may be");
    setting.is_refused(("GET", "/crm/x"), &first, (401, "session-unknown")).await;
    for session in [second, third] {
        assert_eq!(setting.send("GET", "/crm/x", &session).await.status, 200);
    }
}

#[tokio::test]
async fn what_cannot_be_closed_is_not_replaced() {
    let setting = setting("maximum: {company: 1}\n          on_maximum: close-oldest").await;
    setting.open().await;
    setting.crm.is_stubborn.store(true, Ordering::SeqCst);

    setting.is_refused(("POST", "/crm/login"), "", (503, "session-not-replaced")).await;
    assert_eq!((setting.count().await, setting.crm.most.load(Ordering::SeqCst)), (1, 1));

    setting.crm.is_stubborn.store(false, Ordering::SeqCst);
    eventually("the session is closed by itself", || setting.crm.open.lock().is_empty()).await;
    setting.open().await;
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_closed_at_thebackend() {
    let setting = setting("maximum: {company: 1}\n          idle: 1s").await;
    let session = setting.open().await;

    eventually("the backend closed it", || setting.crm.open.lock().is_empty()).await;

    setting.is_refused(("GET", "/crm/x"), &session, (401, "session-unknown")).await;
    let sessions = &setting.gateway.node().keeping.as_ref().unwrap().sessions;
    let id = sessions::session_id("crm", Some("acme"), &session);
    let closed = testkit::within("it is written down", async {
        loop {
            let found = sessions.find(&id).await.unwrap();
            if let Some(closed) = found.filter(|lease| lease.state == store::LeaseState::Closed) {
                return closed;
            }
        }
    });
    let closed = closed.await;
    assert_eq!((closed.ended.unwrap().1, closed.note.as_str()), (store::Why::Idle, "the backend answered 200"));
}

#[tokio::test]
async fn sessions_outlive_a_restart() {
    let setting = setting("maximum: {company: 1}").await;
    let session = setting.open().await;
    let Setting { crm, backend, gateway, key } = setting;
    let setting = Setting { crm, backend, gateway: gateway.restart().await, key };

    setting.is_refused(("POST", "/crm/login"), "", (429, "too-many-sessions")).await;
    assert_eq!(setting.send("GET", "/crm/x", &session).await.status, 200);
    // What closes it can be opened by the process that comes after.
    let sessions = &setting.gateway.node().keeping.as_ref().unwrap().sessions;
    assert!(sessions.end(&sessions::session_id("crm", Some("acme"), &session)).await.unwrap().is_some());
    eventually("the backend closed it", || setting.crm.open.lock().is_empty()).await;
}

#[tokio::test]
async fn nobody_uses_the_session_of_another_company() {
    let setting = setting("maximum: {company: 1}").await;
    let session = setting.open().await;
    let other = setting.gateway.key("zeta", "all").await;

    let headers = [("x-api-key", other.as_str()), ("x-session", session.as_str())];
    let reply = setting.gateway.send("GET", "/crm/x", &headers).await;

    assert_eq!((reply.status, reply.problem().as_str()), (401, "session-unknown"));
    assert_eq!(setting.send("GET", "/crm/x", &session).await.status, 200);
}

#[tokio::test]
async fn an_answer_without_the_id_that_it_should_have_is_a_problem_that_names_the_place() {
    let setting = setting("maximum: {company: 1}").await;
    let document = DOCUMENT.replace("ROOM", "maximum: {company: 1}").replace("$.session}", "$.other}");
    let document = document.replace("BACKEND", &setting.backend.address.to_string());
    setting.gateway.reload(&document).unwrap();

    setting.is_refused(("POST", "/crm/login"), "", (502, "session-not-held")).await;

    // The backend may have a session now, so its place stays taken.
    setting.is_refused(("POST", "/crm/login"), "", (429, "too-many-sessions")).await;
}

#[tokio::test]
async fn a_session_is_the_same_on_every_node() {
    let cluster = cluster("maximum: {company: 1}").await;
    let [one, two, three] = &*cluster.nodes else { panic!("there are three") };
    let session = one.open().await;

    for node in [two, three, one] {
        assert_eq!(node.send("GET", "/crm/x", &session).await.text(), "hello s0");
        node.is_refused(("POST", "/crm/login"), "", (429, "too-many-sessions")).await;
    }
    assert_eq!(two.send("POST", "/crm/logout", &session).await.status, 200);

    two.is_refused(("GET", "/crm/x"), &session, (401, "session-unknown")).await;
    let elsewhere = async { while one.send("GET", "/crm/x", &session).await.status != 401 {} };
    testkit::within("the other node to notice", elsewhere).await;
    three.open().await;
}

#[tokio::test]
async fn all_nodes_together_never_open_more_than_the_maximum() {
    let cluster = cluster("maximum: {company: 7}").await;
    let askers = cluster.nodes.iter().cycle().take(63).map(|node| node.send("POST", "/crm/login", ""));
    let statuses: Vec<_> = futures::future::join_all(askers).await.into_iter().map(|reply| reply.status).collect();

    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429)), (7, 56));
    assert_eq!(cluster.nodes[0].crm.most.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn another_node_closes_what_a_node_that_is_gone_has_opened() {
    let mut cluster = cluster("maximum: {company: 2}\n          idle: 1s").await;
    let (first, second) = (cluster.nodes[0].open().await, cluster.nodes[1].open().await);
    cluster.nodes.remove(0);

    let crm = cluster.nodes[0].crm.clone();
    eventually("the backend closed both", || crm.open.lock().is_empty()).await;

    for session in [first, second] {
        cluster.nodes[0].is_refused(("GET", "/crm/x"), &session, (401, "session-unknown")).await;
    }
    let open = async { while cluster.nodes[1].send("POST", "/crm/login", "").await.status != 200 {} };
    testkit::within("its place to be free", open).await;
}

#[tokio::test]
async fn sessions_move_with_an_embedded_store_into_servers() {
    let (database, redis) = (Postgres::shared().database(), Redis::start());
    let Setting { crm, backend, gateway, key } = setting("maximum: {company: 2}").await;
    let first = Setting { crm, backend, gateway, key };
    let (stays, ends) = (first.open().await, first.open().await);
    // One that the backend would not close before the move.
    first.crm.is_stubborn.store(true, Ordering::SeqCst);
    let id = sessions::session_id("crm", Some("acme"), &ends);
    assert!(first.gateway.node().keeping.as_ref().unwrap().sessions.end(&id).await.unwrap().is_some());

    let Setting { crm, backend, gateway, key } = first;
    let folder = gateway.stopped().await;
    let text = shared("maximum: {company: 2}", &database, &redis).replace("BACKEND", &backend.address.to_string());
    let file = folder.path().join("shared.yaml");
    std::fs::write(&file, format!("version: 1\nlisteners: {{}}\n{text}")).unwrap();
    let (document, data) = (control::Configuration::open(&file).unwrap().document, folder.path().join("data"));
    let rehearsed = control::move_in(&document, &data, store::Mode::Rehearsal).await.unwrap();
    let moved = control::move_in(&document, &data, store::Mode::Real).await.unwrap();
    assert_eq!((rehearsed.sessions, moved.sessions), (2, 2));

    let gateway = Gateway::in_folder(folder, &text).await;
    let second = Setting { crm, backend, gateway, key };
    assert_eq!(second.send("GET", "/crm/x", &stays).await.text(), format!("hello {stays}"));
    second.is_refused(("GET", "/crm/x"), &ends, (401, "session-unknown")).await;
    second.is_refused(("POST", "/crm/login"), "", (429, "too-many-sessions")).await;
    second.crm.is_stubborn.store(false, Ordering::SeqCst);
    let crm = second.crm.clone();
    eventually("the node closes it with its own credential", || !crm.open.lock().contains(&ends)).await;
    assert_eq!(second.send("GET", "/crm/x", &stays).await.status, 200);
    testkit::until("its place is free", async || second.count().await == 1).await;
    second.open().await;

    let metrics = second.gateway.node().registry.render(None).body;
    for line in ["event=\"opened\"} 1", "event=\"refused\"} 1", "event=\"closed\"} 1"] {
        assert!(metrics.contains(&format!("vestibule_session_events_total{{{line}\n")), "{line}: {metrics}");
    }
    assert!(metrics.contains("vestibule_sessions "), "{metrics}");
}
