//! What is wrong is refused as the contract says or by a problem, and changes nothing: everything that is known of all rooms is
//! the same before and after.

use control::now;
use rooms::{KeptRoom, Promise};
use serde_json::{Value, json};
use testkit::{Gateway, Reply, Stub};
use waiting_room::{Line, Seconds};

const SECRET: &str = "a-secret-of-the-client";

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms:
  sale:
    event: Sample
    compatibility: COMPATIBILITY
    position_expiry: 15m
    lanes: {vip: {share: 10%, quota: 2}}
    openid:
      issuer: http://wait.example/oidc
      client_secret: a-secret-of-the-client
      redirect_uris: [http://shop.example/back]
      login: http://shop.example/login
  other: {event: Other, lanes: {vip: {share: 10%}}}
  proved: {event: Proved, proof_of_work: {difficulty: 1, without: refused}}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  operate: {match: {path: /operate}, policies: [{waiting-room-api: {room: sale, serves: operators}}]}
  oidc: {match: {path: /oidc}, policies: [{waiting-room-api: {room: sale, serves: openid}}]}
  other: {match: {path: /other}, policies: [{waiting-room-api: {room: other}}]}
  proved: {match: {path: /proved}, policies: [{waiting-room-api: {room: proved}}]}
  shop: {match: {path: /shop}, upstream: shop, policies: [{waiting-room-token: {room: sale, sessions: checked}}]}
";

/// How many changes made a room, what it is, and what it was before it was reset.
type Whole = (u64, Line, Option<(Seconds, Line)>);

struct Scene {
    gateway: Gateway,
    shop: Stub,
    operator: String,
    /// Somebody who waits.
    waiting: String,
    /// Somebody who is in, and with what.
    inside: String,
    tokens: Value,
    /// An invite that was used.
    used: String,
}

/// What is sent: method and target, further lines of the head, and a body.
struct Sent<'a>(&'a str, &'a str, &'a str);

fn seconds() -> Seconds {
    u32::try_from(now().0 / 1_000_000).unwrap()
}

async fn send(gateway: &Gateway, Sent(line, headers, body): Sent<'_>) -> Reply {
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    gateway.connect().await.ask(head + body).await
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("no JSON: {reply:?}"))
}

impl Scene {
    async fn start(compatibility: &str) -> Self {
        let shop = Stub::saying("sold").await;
        let document = DOCUMENT.replace("COMPATIBILITY", compatibility).replace("BACKEND", &shop.address.to_string());
        let gateway = Gateway::serving(&document).await;
        let partners = &gateway.node().keeping.as_ref().unwrap().partners;
        let operator =
            partners::NewToken { name: "ops".into(), role: store::Role::Operator, company: None, expires: None };
        let operator = partners.create_token(operator).await.unwrap().expose().to_owned();
        let [waiting, inside, used] = Default::default();
        let mut scene = Self { gateway, shop, operator, waiting, inside, tokens: Value::Null, used };
        scene.join("").await;
        scene.room("sale").reset(seconds()).await.unwrap();
        scene.inside = scene.join("").await;
        scene.room("sale").move_by(1, seconds()).await.unwrap();
        scene.tokens = json_of(&scene.turn("/wait", &scene.inside).await);
        scene.used = scene.invite("sale", 60);
        scene.join(&format!(",\"invite\":\"{}\"", scene.used)).await;
        scene.waiting = scene.join("").await;
        scene
    }

    fn room(&self, name: &str) -> std::sync::Arc<KeptRoom> {
        self.gateway.node().keeping.as_ref().unwrap().rooms.named(name).unwrap()
    }

    async fn join(&self, more: &str) -> String {
        let body = format!("{{\"event_id\":\"Sample\"{more}}}");
        let reply = send(&self.gateway, Sent("POST /wait/assign_queue_num", "", &body)).await;
        json_of(&reply)["api_request_id"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
    }

    async fn turn(&self, api: &str, id: &str) -> Reply {
        let body = json!({ "event_id": "Sample", "request_id": id }).to_string();
        send(&self.gateway, Sent(&format!("POST {api}/generate_token"), "", &body)).await
    }

    fn invite(&self, room: &str, lasts: Seconds) -> String {
        // One that lasts for no time is over since a while.
        let expires = if lasts == 0 { seconds() - 60 } else { seconds() + lasts };
        let promise = Promise { lane: "vip".into(), uses: 1, expires };
        self.room(room).invite(&promise).unwrap().unwrap()
    }

    fn whole(&self) -> Vec<Whole> {
        let of = |room: &waiting_room::Room| {
            let before = room.before().map(|before| (before.reset, before.line.clone()));
            (room.version(), room.line().clone(), before)
        };
        ["sale", "other", "proved"].map(|name| self.room(name).look(of).unwrap()).into()
    }

    fn access(&self) -> &str {
        self.tokens["access_token"].as_str().unwrap()
    }

    /// It is answered like this, and nothing is otherwise than before.
    async fn refuses(&self, sent: Sent<'_>, status: u16, says: &str) {
        let (before, asked) = (self.whole(), format!("{} {} {:.300}", sent.0, sent.1, sent.2));
        let reply = send(&self.gateway, sent).await;
        assert!(reply.status == status && reply.text().contains(says), "expected {status} {says}: {asked}: {reply:?}");
        assert!(self.whole() == before, "something changed: {asked}");
    }

    async fn refuses_to_operate(&self, path: &str, body: &str, status: u16, says: &str) {
        let headers = format!("Authorization: Bearer {}\r\n", self.operator);
        self.refuses(Sent(&format!("POST /operate/{path}"), &headers, body), status, says).await;
    }

    /// Everything that needs an event, asked for another one.
    async fn refuses_other_events(&self, joins: (u16, &str), resets: (u16, &str)) {
        for event in ["Other", "sample", "", " ", "Sample ", "Sample&x", "\\u0000", "<b></b>"] {
            let (id, escaped) = (&self.inside, event.replace("\\u0000", "%00").replace('&', "%26").replace(' ', "%20"));
            let body = format!("{{\"event_id\":\"{event}\",\"request_id\":\"{id}\",\"increment_by\":1,\"status\":1}}");
            self.refuses(Sent("POST /wait/assign_queue_num", "", &body), joins.0, joins.1).await;
            self.refuses(Sent("POST /wait/generate_token", "", &body), 400, "Invalid event or request ID").await;
            self.refuses_to_operate("generate_token", &body, 400, "Invalid event or request ID").await;
            self.refuses_to_operate("update_session", &body, 400, "Invalid event or request ID").await;
            self.refuses_to_operate("increment_serving_counter", &body, 400, "Invalid event ID").await;
            self.refuses_to_operate("undo_reset", &body, 400, "Invalid event ID").await;
            self.refuses_to_operate("update_inlet", &body, 400, "Invalid event ID").await;
            self.refuses_to_operate("reset_initial_state", &body, resets.0, resets.1).await;
            let looks = ["queue_num", "queue_pos_expiry", "wait_time", "serving_num", "waiting_num", "public_key"];
            for path in looks.into_iter().chain(["watch", "room_state", "lottery", "lottery_places", "challenge"]) {
                let line = format!("GET /wait/{path}?event_id={escaped}&request_id={id}");
                self.refuses(Sent(&line, "", ""), 400, "").await;
            }
        }
    }
}

#[tokio::test]
async fn another_event_is_refused_and_burns_no_number() {
    let scene = Scene::start("mended").await;
    scene.refuses_other_events((400, "Invalid event ID"), (400, "Invalid event ID")).await;
    assert_eq!(scene.room("sale").counters().unwrap().queue, 3);
}

#[tokio::test]
async fn another_event_is_strictly_told_what_the_original_tells_and_burns_no_number() {
    let scene = Scene::start("strict").await;
    scene.refuses_other_events((200, "api_request_id"), (200, "message")).await;
    assert_eq!(scene.room("sale").counters().unwrap().queue, 3);
}

#[tokio::test]
async fn what_is_no_id_or_nobody_s_is_refused_wherever_it_is_sent() {
    for compatibility in ["mended", "strict"] {
        let scene = Scene::start(compatibility).await;
        let long = "x".repeat(8000);
        for id in [
            "x",
            "",
            "0f0e0d0c",
            "../../etc/passwd",
            "' OR 1=1 --",
            "\\u0000",
            "0f0e0d0c-0b0a-4908-8706-05040302010",
            &long,
        ] {
            let body = format!("{{\"event_id\":\"Sample\",\"request_id\":\"{id}\",\"status\":1}}");
            scene.refuses(Sent("POST /wait/generate_token", "", &body), 400, "Invalid event or request ID").await;
            scene.refuses_to_operate("generate_token", &body, 400, "Invalid event or request ID").await;
            scene.refuses_to_operate("update_session", &body, 400, "Invalid event or request ID").await;
            let escaped: String =
                percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string();
            if id.len() < 1000 {
                for path in ["queue_num", "queue_pos_expiry", "wait_time"] {
                    let line = format!("GET /wait/{path}?event_id=Sample&request_id={escaped}");
                    scene.refuses(Sent(&line, "", ""), 400, "").await;
                }
            }
        }
        let nobody = "0f0e0d0c-0b0a-4908-8706-050403020100";
        let body = json!({ "event_id": "Sample", "request_id": nobody, "status": 1 }).to_string();
        scene.refuses(Sent("POST /wait/generate_token", "", &body), 400, "Invalid request ID").await;
        scene.refuses_to_operate("update_session", &body, 404, "doesn't exist").await;
        let queue_num = format!("GET /wait/queue_num?event_id=Sample&request_id={nobody}");
        scene.refuses(Sent(&queue_num, "", ""), 202, "Request ID not found").await;
        let waits = json!({ "event_id": "Sample", "request_id": scene.waiting, "status": 1 }).to_string();
        scene.refuses(Sent("POST /wait/generate_token", "", &waits), 202, "not being served yet").await;
        scene.refuses_to_operate("update_session", &waits, 404, "doesn't exist").await;
        for status in ["0", "2", "\"1\"", "null", "1e99", "[]"] {
            let body = format!("{{\"event_id\":\"Sample\",\"request_id\":\"{}\",\"status\":{status}}}", scene.inside);
            scene.refuses_to_operate("update_session", &body, 400, "").await;
        }
        for by in ["1.5", "\"1\"", "null", "1e400", "{}", "true"] {
            let body = format!("{{\"event_id\":\"Sample\",\"increment_by\":{by}}}");
            scene.refuses_to_operate("increment_serving_counter", &body, 400, "Invalid request body").await;
        }
    }
}

#[tokio::test]
async fn bodies_that_are_none_or_too_long_are_refused_on_every_path() {
    let scene = Scene::start("mended").await;
    let (deep, long) = ("[".repeat(9000), format!("{{\"event_id\":\"Sample\",\"x\":\"{}\"}}", "x".repeat(20_000)));
    for path in ["assign_queue_num", "generate_token"] {
        let line = format!("POST /wait/{path}");
        for body in ["", "{", "[]", "null", "7", "{\"event_id\":[\"Sample\"]}", "{\"event_id\":\"Sample\"", &deep] {
            scene.refuses(Sent(&line, "", body), 400, "Invalid request body").await;
        }
        scene.refuses(Sent(&line, "", &long), 413, "body-too-large").await;
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let body = "{\"event_id\":\"Sample\"}";
            scene.refuses(Sent(&line, &format!("Content-Type: {kind}\r\n"), body), 415, "Unsupported Media Type").await;
        }
    }
    for path in ["increment_serving_counter", "generate_token", "update_session", "reset_initial_state", "undo_reset"] {
        for body in ["", "{", "[]", "null", &deep] {
            scene.refuses_to_operate(path, body, 400, "Invalid request body").await;
        }
    }
    let cut = "POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n{\"event_id\":\"Sample\"}";
    let (before, mut wire) = (scene.whole(), scene.gateway.connect().await);
    wire.send(cut).await;
    drop(wire);
    scene.refuses(Sent("GET /wait/serving_num", "", ""), 400, "event_id").await;
    assert!(scene.whole() == before, "a body that never came whole is none");
}

#[tokio::test]
async fn rooms_that_there_are_not_and_paths_of_others_are_no_rooms() {
    let scene = Scene::start("mended").await;
    let body = "{\"event_id\":\"Sample\",\"increment_by\":5}";
    for line in
        ["POST /nowhere/assign_queue_num", "POST /operate/assign_queue_num", "POST /wait/increment_serving_counter"]
    {
        let headers = format!("Authorization: Bearer {}\r\n", scene.operator);
        let reply = send(&scene.gateway, Sent(line, &headers, body)).await;
        assert_eq!((reply.status, reply.header("content-type")), (404, Some("application/problem+json")), "{line}");
    }
    for authorization in
        ["", "Authorization: Bearer x\r\n", "Authorization: AWS4-HMAC-SHA256 x\r\n", "Authorization: Basic eDp5\r\n"]
    {
        for path in
            ["increment_serving_counter", "reset_initial_state", "update_session", "generate_token", "undo_reset"]
        {
            scene.refuses(Sent(&format!("POST /operate/{path}"), authorization, body), 403, "message").await;
        }
    }
    let other = json!({ "event_id": "Other", "request_id": scene.inside }).to_string();
    scene.refuses(Sent("POST /other/generate_token", "", &other), 400, "Invalid request ID").await;
}

#[tokio::test]
async fn tokens_and_codes_that_the_room_did_not_give_open_nothing() {
    let scene = Scene::start("mended").await;
    let (access, [head, claims, signature]) = (scene.access(), parts(scene.access()));
    let [_, of_id, id_signature] = parts(scene.tokens["id_token"].as_str().unwrap());
    let (ended, unsigned) = (access.split_at(access.len() - 3).0, "eyJhbGciOiJub25lIn0");
    for token in [
        "x",
        "a.b.c",
        "...",
        ended,
        scene.tokens["id_token"].as_str().unwrap(),
        scene.tokens["refresh_token"].as_str().unwrap(),
        &format!("{head}.{of_id}.{signature}"),
        &format!("{head}.{claims}.{id_signature}"),
        &format!("{head}.{claims}."),
        &format!("{unsigned}.{claims}."),
        &format!("{unsigned}.{claims}.{signature}"),
        &"x".repeat(7000),
    ] {
        for scheme in ["", "Bearer "] {
            let headers = format!("Authorization: {scheme}{token}\r\n");
            scene.refuses(Sent("GET /shop/checkout", &headers, ""), 403, "waiting-room-token-refused").await;
        }
        let headers = format!("Authorization: Bearer {token}\r\n");
        scene.refuses(Sent("GET /oidc/userInfo", &headers, ""), 400, "Bad Request").await;
    }
    scene.refuses(Sent("GET /shop/checkout", "", ""), 401, "waiting-room-token-missing").await;
    scene.refuses(Sent("GET /oidc/userInfo", "", ""), 401, "").await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (waiting, inside) = (&scene.waiting, &scene.inside);
    for (client, secret, code) in [
        ("Sample", "wrong", inside.as_str()),
        ("Other", SECRET, inside),
        ("Sample", SECRET, "x"),
        ("Sample", SECRET, ""),
        ("Sample", SECRET, waiting),
        ("Sample", SECRET, "x.y"),
        ("Sample", SECRET, &format!("{inside}.eA")),
    ] {
        let body = format!("grant_type=authorization_code&client_id={client}&client_secret={secret}&code={code}");
        scene.refuses(Sent("POST /oidc/token", form, &body), 400, "Bad Request").await;
    }
    assert_eq!(scene.shop.count(), 0);
    let good = format!("Authorization: {access}\r\n");
    assert_eq!(send(&scene.gateway, Sent("GET /shop/checkout", &good, "")).await.text(), "sold");
}

#[tokio::test]
async fn invites_that_were_used_or_forged_or_are_over_or_another_room_s_give_no_place() {
    let scene = Scene::start("mended").await;
    let refused = "waiting-room-invite-refused";
    let (over, others, forged) = (
        scene.invite("sale", 0),
        scene.invite("other", 60),
        format!("{}{}", if scene.used.starts_with('A') { "B" } else { "A" }, scene.used.split_at(1).1),
    );
    for invite in [&scene.used, &over, &others, &forged, "x", "", &"A".repeat(2000)] {
        let body = json!({ "event_id": "Sample", "invite": invite }).to_string();
        scene.refuses(Sent("POST /wait/assign_queue_num", "", &body), 403, refused).await;
    }
    let no_text = "{\"event_id\":\"Sample\",\"invite\":7}";
    scene.refuses(Sent("POST /wait/assign_queue_num", "", no_text), 400, "Invalid request body").await;
    scene.join(&format!(",\"invite\":\"{}\"", scene.invite("sale", 60))).await;
    let body = json!({ "event_id": "Sample", "invite": scene.invite("sale", 60) }).to_string();
    scene.refuses(Sent("POST /wait/assign_queue_num", "", &body), 409, "waiting-room-lane-full").await;
}

#[tokio::test]
async fn a_join_that_is_sent_again_by_its_key_or_its_proof_is_the_same_place_and_changes_nothing() {
    let scene = Scene::start("mended").await;
    let (key, body) = ("Idempotency-Key: 8f14e45f-ceea-467f-a1a2-a5d1c9b0e4f2\r\n", "{\"event_id\":\"Sample\"}");
    let joined = send(&scene.gateway, Sent("POST /wait/assign_queue_num", key, body)).await;
    scene.refuses(Sent("POST /wait/assign_queue_num", key, body), 200, &joined.text()).await;
    let invited = format!("{{\"event_id\":\"Sample\",\"invite\":\"{}\"}}", scene.used);
    scene.refuses(Sent("POST /wait/assign_queue_num", key, &invited), 200, &joined.text()).await;
    for key in ["short", &"x".repeat(256)] {
        let headers = format!("Idempotency-Key: {key}\r\n");
        scene.refuses(Sent("POST /wait/assign_queue_num", &headers, body), 400, "Invalid idempotency key").await;
    }

    let asked = json_of(&scene.gateway.get("/proved/challenge?event_id=Proved").await);
    let proof = room_tickets::solved(asked["challenge"].as_str().unwrap(), 1).unwrap();
    let refused = "waiting-room-proof-refused";
    for wrong in [
        json!({}),
        json!({ "proof": "x" }),
        json!({ "proof": format!("A{proof}") }),
        json!({ "proof": proof.replace('.', "") }),
    ] {
        let mut body = wrong;
        body["event_id"] = "Proved".into();
        scene.refuses(Sent("POST /proved/assign_queue_num", "", &body.to_string()), 403, refused).await;
    }
    let body = json!({ "event_id": "Proved", "proof": proof }).to_string();
    let joined = send(&scene.gateway, Sent("POST /proved/assign_queue_num", "", &body)).await;
    assert_eq!(joined.status, 200, "{joined:?}");
    scene.refuses(Sent("POST /proved/assign_queue_num", "", &body), 200, &joined.text()).await;
}

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<_> = token.split('.').collect();
    parts.try_into().unwrap()
}
