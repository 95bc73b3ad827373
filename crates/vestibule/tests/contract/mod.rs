//! The contract of a waiting room, row by row, of the real program, by a client that shares no line with it: what front ends
//! and operators' scripts of "Virtual Waiting Room on AWS" do, in Python, with botocore's signatures and `PyJWT`.
//!
//! Program and client go by one clock, which stands still until the client moves it (`libfaketime`).

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use servers::{Postgres, Redis};

use crate::given::Running;

/// How rooms are set up.
#[derive(Clone, Copy)]
struct Way {
    expiry: Option<u32>,
    expired_turns: &'static str,
    compatibility: &'static str,
    kept: Kept,
}

/// Where rooms are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Alone,
    /// As one of several nodes keeps them.
    Together,
}

const NEVER: Way = Way { expiry: None, expired_turns: "passed-on", compatibility: "mended", kept: Kept::Alone };
const QUARTER: Way = Way { expiry: Some(900), ..NEVER };
const SECONDS: Way = Way { expiry: Some(5), ..NEVER };
const LOST: Way = Way { expired_turns: "lost", ..QUARTER };
const TOGETHER: Way = Way { kept: Kept::Together, ..QUARTER };

const SECRET: &str = "a-secret-of-the-client";
const PRESENCE: &str = "presence: {absent_after: 30s, grace: 60s}, ";
const CLOCK: &str = "clock";

const DOCUMENT: &str = "
version: 1
workers: 2
listeners: {public: {bind: \"127.0.0.1:0\"}}
admin: {bind: \"127.0.0.1:0\"}
store: {embedded: data}
diagnostics: {format: json}
rooms:
  sale:
    event: Sample
    token: {issuer: \"https://wait.example/api\"}
    metrics_events: true
    openid:
      issuer: https://wait.example/oidc
      client_secret: SECRET
      redirect_uris: [\"https://shop.example/oauth2/idpresponse\"]
      login: https://web.example/login.html
    SETTINGS
  small: {event: Small, inlet: {max-size: {size: 3}}, SETTINGS}
  clocked: {event: Clocked, inlet: {periodic: {by: 10, every: 1m, from: \"2040-01-01T00:00:00Z\", until: \"2040-01-01T00:05:00Z\"}}}
  there: {event: There, position_expiry: 15m, presence: {absent_after: 30s, grace: 60s}, inlet: {max-size: {size: 100}}, compatibility: strict}
  zz-ticking: {inlet: {periodic: {by: 1, every: 1s}}}
room_events: {told: {to: {file: {path: told.jsonl}}, rooms: [sale]}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  operate: {match: {path: /operate}, policies: [{waiting-room-api: {room: sale, serves: operators}}]}
  oidc: {match: {path: /oidc}, policies: [{waiting-room-api: {room: sale, serves: openid}}]}
  small: {match: {path: /small}, policies: [{waiting-room-api: {room: small}}]}
  small-operate: {match: {path: /small-operate}, policies: [{waiting-room-api: {room: small, serves: operators}}]}
  clocked: {match: {path: /clocked}, policies: [{waiting-room-api: {room: clocked}}]}
  clocked-operate: {match: {path: /clocked-operate}, policies: [{waiting-room-api: {room: clocked, serves: operators}}]}
  there: {match: {path: /there}, policies: [{waiting-room-api: {room: there}}]}
  there-operate: {match: {path: /there-operate}, policies: [{waiting-room-api: {room: there, serves: operators}}]}
  ticking: {match: {path: /ticking}, policies: [{waiting-room-api: {room: zz-ticking}}]}
  store:
    match: {path: /store}
    policies: [{cors: {origins: [\"*\"], headers: [\"*\"]}}, {waiting-room-token: {room: sale}}, {respond: {json: {result: Success}}}]
  checked:
    match: {path: /checked}
    policies: [{waiting-room-token: {room: sale, sessions: checked}}, {respond: {json: {result: Success}}}]
";

impl Way {
    fn strictly(self) -> Self {
        Self { compatibility: "strict", ..self }
    }

    fn document(self) -> String {
        let Self { expiry, expired_turns, compatibility, kept: _ } = self;
        let expiry = expiry.map(|seconds| format!("position_expiry: {seconds}s")).into_iter();
        let settings =
            expiry.chain([format!("expired_turns: {expired_turns}"), format!("compatibility: {compatibility}")]);
        let settings: Vec<_> = settings.collect();
        let (of_lines, of_a_line) = (settings.join("\n    "), settings.join(", "));
        let document = DOCUMENT.trim_start().replace("    SETTINGS", &format!("    {of_lines}"));
        document.replace("SETTINGS", &of_a_line).replace("SECRET", SECRET)
    }

    /// What the client has to know.
    fn facts(self, running: &Running, key: &[String; 2]) -> Value {
        let folder = running.folder();
        let admin = fs::read_to_string(folder.join("data/admin.token")).unwrap();
        json!({
            "address": running.address.to_string(),
            "admin": admin.trim(),
            "admin_address": running.admin,
            "clock": folder.join(CLOCK),
            "events": (self.kept == Kept::Alone).then(|| folder.join("told.jsonl")),
            "expiry": self.expiry,
            "key": key,
            "looks": self.kept == Kept::Alone,
            "known": folder.join("known.json"),
            "passes_on": self.expiry.is_some() && self.expired_turns == "passed-on",
            "secret": SECRET,
            "strict": self.compatibility == "strict",
        })
    }

    /// Every row holds, and what the room tells in the end it tells again after the process was killed.
    fn keeps_the_contract(self) {
        if self.kept == Kept::Alone {
            return self.keeps_it_by(self.document());
        }
        let (database, redis) = (Postgres::shared().database(), Redis::start());
        redis.set("appendfsync", "always");
        let store = format!(
            "{{postgres: \"{}\", redis: \"{}\", folder: ./data}}\n\
             encryption: {{master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}",
            database.address(),
            redis.address()
        );
        let document = self.document().replace("{embedded: data}", &store);
        // Nodes that share rooms tell nobody of what happens, and do not look for who is there.
        let document = document.replace(PRESENCE, "");
        let document: Vec<_> = document.lines().filter(|line| !line.starts_with("room_events:")).collect();
        self.keeps_it_by(document.join("\n"));
    }

    fn keeps_it_by(self, document: String) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CLOCK), "2030-01-01 00:00:00\n").unwrap();
        let clock = clock(folder.path());
        let running = Running::in_environment(folder, document, clock);
        let key = access_key(&running);
        let said = client(&running, "rows", &self.facts(&running, &key));
        assert!(said.ends_with("\n0 do not hold\n"), "{said}");
        let rows = said.lines().filter(|line| line.starts_with("holds: ")).count();
        assert!(rows >= LEAST, "{rows} rows were shown:\n{said}");

        let running = running.killed_and_started_again();

        let said = client(&running, "again", &self.facts(&running, &key));
        assert_eq!(said, "");
        running.stop();
    }
}

/// A clock that stands where a file in a folder says, but for waiting.
fn clock(folder: &Path) -> Vec<(String, String)> {
    let named = [
        ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1"),
        ("FAKETIME_TIMESTAMP_FILE", &folder.join(CLOCK).display().to_string()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
        ("TZ", "UTC"),
    ];
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Id and secret of a key that scripts sign with.
fn access_key(running: &Running) -> [String; 2] {
    let said = running.command(&["admin", "room", "access-key", "create", "nightly", "--json"]);
    let made: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    ["id", "secret"].map(|name| made.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{said}")).to_owned())
}

/// What the client says.
fn client(running: &Running, what: &str, facts: &Value) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("/usr/bin/python3")
        .arg("-B")
        .arg(here.join("tests/contract/contract.py"))
        .args([what, &facts.to_string()])
        .env("PYTHONPATH", here.join("../../target/pip"))
        .envs(clock(running.folder()))
        .output()
        .unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

#[test]
fn the_whole_contract_holds_where_turns_do_not_expire() {
    NEVER.keeps_the_contract();
}

#[test]
fn the_whole_contract_holds_where_turns_do_not_expire_strictly() {
    NEVER.strictly().keeps_the_contract();
}

#[test]
fn the_whole_contract_holds_where_turns_expire_and_are_passed_on() {
    QUARTER.keeps_the_contract();
}

#[test]
fn the_whole_contract_holds_where_turns_expire_and_are_passed_on_strictly() {
    QUARTER.strictly().keeps_the_contract();
}

#[test]
fn the_whole_contract_holds_where_turns_last_for_seconds() {
    SECONDS.keeps_the_contract();
}

#[test]
fn the_whole_contract_holds_where_turns_last_for_seconds_strictly() {
    SECONDS.strictly().keeps_the_contract();
}

#[test]
fn the_whole_contract_holds_where_turns_expire_and_are_lost() {
    LOST.keeps_the_contract();
}

#[test]
fn the_whole_contract_holds_where_turns_expire_and_are_lost_strictly() {
    LOST.strictly().keeps_the_contract();
}

#[test]
fn the_whole_contract_holds_for_rooms_that_nodes_keep_together() {
    TOGETHER.keeps_the_contract();
}

/// So many rows are shown whatever the settings are, so that none is left out unseen.
const LEAST: usize = 60;
