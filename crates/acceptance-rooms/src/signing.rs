//! The private API of a waiting room, asked by scripts that sign as those for AWS do.

use std::process::Command;

use serde_json::{Value, json};
use testkit::Gateway;

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms: {sale: {event: Sample}}
apis:
  operate: {match: {path: /operate}, policies: [{waiting-room-api: {room: sale, serves: operators}}]}
";

/// What a script does that was made for the original: it signs with botocore and sends with the standard library.
const SCRIPT: &str = r#"
import sys, json, datetime, urllib.request
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import botocore.auth
key, secret, method, url, body, ahead, sent = sys.argv[1:8]
data = body.encode() if body else None
headers = {"Content-Type": "application/json"} if body else {}
request = AWSRequest(method=method, url=url, data=data, headers=headers)
if ahead != "0":
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=int(ahead))
    botocore.auth.get_current_datetime = lambda *_, **__: moment
    class Moved(datetime.datetime):
        @classmethod
        def utcnow(cls): return moment.replace(tzinfo=None)
        @classmethod
        def now(cls, tz=None): return moment
    if hasattr(botocore.auth, "datetime"):
        botocore.auth.datetime = type("module", (), {"datetime": Moved, "timezone": datetime.timezone}) \
            if not isinstance(botocore.auth.datetime, type) else Moved
SigV4Auth(Credentials(key, secret), "execute-api", "eu-central-1").add_auth(request)
signed = dict(request.headers.items())
data = sent.encode() if sent else data
request = urllib.request.Request(url, data=data, headers=signed, method=method)
try:
    with urllib.request.urlopen(request) as answer:
        print(json.dumps([answer.status, json.loads(answer.read() or "null")]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, json.loads(error.read() or "null")]))
"#;

struct Script {
    gateway: Gateway,
    key: (String, String),
}

/// What a script asks with, beside its key.
#[derive(Default)]
struct Asks<'a> {
    body: String,
    /// By how many seconds its clock is ahead.
    ahead: i64,
    /// What is sent instead of what was signed.
    sent: &'a str,
}

impl Script {
    async fn ask(&self, method: &str, path: &str, asks: Asks<'_>) -> (u64, Value) {
        let (key, secret) = self.key.clone();
        let url = self.gateway.url(path);
        let words = [key, secret, method.to_owned(), url, asks.body, asks.ahead.to_string(), asks.sent.to_owned()];
        let run = move || {
            let pip = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/pip");
            let mut command = Command::new("python3");
            command.env("PYTHONPATH", pip).env("NO_PROXY", "*").args(["-c", SCRIPT]).args(words).output().unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: (u64, Value) =
            serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
        answer
    }

    async fn increment(&self, asks: Asks<'_>) -> (u64, Value) {
        let body = json!({ "event_id": "Sample", "increment_by": 10 }).to_string();
        self.ask("POST", "/operate/increment_serving_counter", Asks { body, ..asks }).await
    }
}

async fn script(reach: rooms::Reach) -> Script {
    let gateway = Gateway::serving(DOCUMENT).await;
    let keys = gateway.node().keeping.as_ref().unwrap().rooms.access_keys.clone();
    let made = tokio::task::spawn_blocking(move || keys.create("ci", reach, 0)).await.unwrap().unwrap();
    Script { gateway, key: (made.id.clone(), made.expose().to_owned()) }
}

#[tokio::test]
async fn a_script_that_signs_goes_on_with_an_access_key_of_its_own() {
    let script = script(rooms::Reach::Operator).await;
    assert_eq!(script.increment(Asks::default()).await, (200, json!({ "serving_num": 10 })));
    let asked = script.ask("GET", "/operate/num_active_tokens?event_id=Sample", Asks::default()).await;
    assert_eq!(asked, (200, json!({ "active_tokens": 0 })));
    // Clocks are never quite right.
    assert_eq!(script.increment(Asks { ahead: -200, ..Asks::default() }).await.0, 200);
    assert_eq!(script.increment(Asks { ahead: 200, ..Asks::default() }).await.0, 200);
}

#[tokio::test]
async fn what_is_not_as_it_was_signed_is_refused_and_changes_nothing() {
    let mut script = script(rooms::Reach::Operator).await;
    let forged = json!({ "event_id": "Sample", "increment_by": 9999 }).to_string();
    let (status, body) = script.increment(Asks { sent: &forged, ..Asks::default() }).await;
    assert_eq!(status, 403, "{body}");
    assert!(body["message"].as_str().unwrap().contains("does not match"), "{body}");
    for ahead in [-400, 400] {
        let (status, body) = script.increment(Asks { ahead, ..Asks::default() }).await;
        assert!(status == 403 && body["message"].as_str().unwrap().contains("expired"), "{status} {body}");
    }
    let secret = std::mem::replace(&mut script.key.1, "another".to_owned());
    assert_eq!(script.increment(Asks::default()).await.0, 403);
    let get = "/operate/num_active_tokens?event_id=Sample";
    assert_eq!(script.ask("GET", get, Asks::default()).await.0, 403);
    script.key.1 = secret;
    // A body that nobody asks for is none that was signed.
    assert_eq!(script.ask("GET", get, Asks { sent: "x", ..Asks::default() }).await.0, 403);
    let room = script.gateway.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap();
    assert_eq!(room.counters().unwrap().serving, 0);

    let keys = script.gateway.node().keeping.as_ref().unwrap().rooms.access_keys.clone();
    assert!(tokio::task::spawn_blocking(move || keys.revoke("ci")).await.unwrap().unwrap());
    let (status, body) = script.increment(Asks::default()).await;
    assert!(status == 403 && body["message"].as_str().unwrap().contains("invalid"), "{status} {body}");
}

#[tokio::test]
async fn a_key_that_only_looks_changes_nothing() {
    let script = script(rooms::Reach::Auditor).await;
    assert_eq!(script.increment(Asks::default()).await, (403, json!({ "message": "Forbidden" })));
    assert_eq!(script.ask("GET", "/operate/num_active_tokens?event_id=Sample", Asks::default()).await.0, 200);
}
