//! Waiting rooms, as visitors, operators and what stands behind them notice them.

use partners::NewToken;
use serde_json::{Value, json};
use store::Role;
use testkit::{Gateway, Reply, Stub};

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms:
  sale: {event: Sample, token: {issuer: \"http://wait.example\"}, position_expiry: 15m}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  operate: {match: {host: ops.example, path: /}, policies: [{waiting-room-api: {room: sale, serves: operators}}]}
  shop:
    match: {path: /shop}
    upstream: shop
    policies: [{waiting-room-token: {room: sale, sessions: checked}}]
";

struct Scene {
    shop: Stub,
    gateway: Gateway,
    operator: String,
}

async fn scene() -> Scene {
    scene_of(DOCUMENT).await
}

async fn scene_of(document: &str) -> Scene {
    let shop = Stub::saying("sold").await;
    let gateway = Gateway::serving(&document.replace("BACKEND", &shop.address.to_string())).await;
    let operator = token(&gateway, "ops", Role::Operator).await;
    Scene { shop, gateway, operator }
}

/// A token of the Admin API.
async fn token(gateway: &Gateway, name: &str, role: Role) -> String {
    let partners = &gateway.node().keeping.as_ref().unwrap().partners;
    let company = (role == Role::Company).then(|| "acme".to_owned());
    let new = NewToken { name: name.to_owned(), role, company, expires: None };
    partners.create_token(new).await.unwrap().expose().to_owned()
}

async fn send(gateway: &Gateway, target: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let host = if headers.contains("Host:") { "" } else { "Host: a\r\n" };
    let head = format!("POST {target} HTTP/1.1\r\n{host}Content-Length: {length}\r\n{headers}\r\n");
    gateway.connect().await.ask(head + body).await
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("no JSON: {reply:?}"))
}

async fn join(gateway: &Gateway) -> String {
    let reply =
        send(gateway, "/wait/assign_queue_num", "Content-Type: application/json\r\n", "{\"event_id\":\"Sample\"}")
            .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    json_of(&reply)["api_request_id"].as_str().unwrap().to_owned()
}

async fn place(gateway: &Gateway, id: &str) -> Value {
    json_of(&gateway.get(&format!("/wait/queue_num?event_id=Sample&request_id={id}")).await)["queue_number"].clone()
}

impl Scene {
    async fn operate(&self, path: &str, secret: &str, body: &Value) -> Reply {
        let headers = format!("Host: ops.example\r\nAuthorization: Bearer {secret}\r\n");
        send(&self.gateway, path, &headers, &body.to_string()).await
    }

    async fn let_in(&self, by: i64) {
        let body = json!({ "event_id": "Sample", "increment_by": by });
        assert_eq!(self.operate("/increment_serving_counter", &self.operator, &body).await.status, 200);
    }

    async fn access(&self, id: &str) -> String {
        let body = json!({ "event_id": "Sample", "request_id": id }).to_string();
        let reply = send(&self.gateway, "/wait/generate_token", "", &body).await;
        json_of(&reply)["access_token"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
    }

    async fn shop(&self, authorization: &str) -> Reply {
        self.gateway.get_with("/shop/checkout", &[("Authorization", authorization)]).await
    }
}

#[tokio::test]
async fn a_visitor_joins_waits_and_enters_with_a_token() {
    let scene = scene().await;
    let (first, second) = (join(&scene.gateway).await, join(&scene.gateway).await);
    assert_eq!((place(&scene.gateway, &first).await, place(&scene.gateway, &second).await), (json!(1), json!(2)));

    let early = json!({ "event_id": "Sample", "request_id": first }).to_string();
    assert_eq!(send(&scene.gateway, "/wait/generate_token", "", &early).await.status, 202);
    scene.let_in(1).await;

    let access = scene.access(&first).await;
    for authorization in [access.clone(), format!("Bearer {access}"), format!("bearer {access}")] {
        assert_eq!(scene.shop(&authorization).await.text(), "sold");
    }
    let serving = scene.gateway.get("/wait/serving_num?event_id=Sample").await;
    assert_eq!(json_of(&serving), json!({ "serving_counter": "1" }));
    assert_eq!(serving.header("cache-control"), Some("public, max-age=0, s-maxage=5"));
}

#[tokio::test]
async fn what_is_behind_a_room_is_reached_by_its_access_tokens_only() {
    let scene = scene().await;
    let id = join(&scene.gateway).await;
    scene.let_in(1).await;
    let access = scene.access(&id).await;

    let missing = scene.gateway.get("/shop/checkout").await;
    assert_eq!((missing.status, missing.problem().as_str()), (401, "waiting-room-token-missing"));
    let forged = access.replacen('.', ".e30", 1);
    for authorization in ["", "nonsense", "Bearer", "Basic YTpi", &forged] {
        let refused = scene.shop(authorization).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (403, "waiting-room-token-refused"),
            "{authorization}"
        );
    }
    let ended = json!({ "event_id": "Sample", "request_id": id, "status": 1 });
    assert_eq!(scene.shop(&access).await.status, 200);
    assert_eq!(scene.operate("/update_session", &scene.operator, &ended).await.status, 200);
    assert_eq!(scene.shop(&access).await.status, 403);
    assert_eq!(scene.shop.count(), 1);
}

#[tokio::test]
async fn whoever_moves_the_number_by_telling_who_left_is_in_the_audit_log() {
    let inlet = "inlet: {max-size: {size: 5}}, compatibility: strict";
    let scene = scene_of(&DOCUMENT.replace("position_expiry: 15m", inlet)).await;
    for (exited, serving) in [(0, 0), (2, 2)] {
        let notice = json!({ "event_id": "Sample", "exited": exited });
        let told = scene.operate("/update_inlet", &scene.operator, &notice).await;
        assert_eq!(json_of(&told), json!({ "serving_num": serving }));
    }
    let keeping = scene.gateway.node().keeping.as_ref().unwrap();
    let noted = keeping.partners.noted(0, 100).await.unwrap();
    let moved = noted.iter().filter(|entry| entry.body.contains("\"moved\"") && entry.body.contains("ops"));
    assert_eq!(moved.count(), 1, "{noted:?}");
}

#[tokio::test]
async fn operators_operate_a_room_as_far_as_their_role_goes() {
    let scene = scene().await;
    let more = json!({ "event_id": "Sample", "increment_by": 1 });
    for (role, looks, changes) in
        [(Role::Owner, 200, 200), (Role::Operator, 200, 200), (Role::Auditor, 200, 403), (Role::Billing, 403, 403)]
    {
        let secret = token(&scene.gateway, &format!("a-{role}"), role).await;
        let bearer = format!("Bearer {secret}");
        let headers = [("Host", "ops.example"), ("Authorization", bearer.as_str())];
        let looked = scene.gateway.get_with("/num_active_tokens?event_id=Sample", &headers).await;
        let changed = scene.operate("/increment_serving_counter", &secret, &more).await;
        assert_eq!((looked.status, changed.status), (looks, changes), "{role}");
    }
    let keeping = scene.gateway.node().keeping.as_ref().unwrap();
    let noted = keeping.partners.noted(0, 100).await.unwrap();
    let moved = noted.iter().filter(|entry| entry.body.contains("\"moved\""));
    let told: Vec<_> = moved.map(|entry| ["a-owner", "a-operator"].map(|who| entry.body.contains(who))).collect();
    assert_eq!(told, [[true, false], [false, true]], "what they changed is in the audit log: {noted:?}");
    for secret in ["", "va_wrong"] {
        let refused = scene.operate("/increment_serving_counter", secret, &more).await;
        assert_eq!((refused.status, json_of(&refused)), (403, json!({ "message": "Forbidden" })));
        assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    }
    let preflight = scene.gateway.send("OPTIONS", "/increment_serving_counter", &[("Host", "ops.example")]).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (200, Some("OPTIONS,POST")));
    let serving = json_of(&scene.gateway.get("/wait/serving_num?event_id=Sample").await);
    assert_eq!(serving, json!({ "serving_counter": "2" }));
}

#[tokio::test]
async fn every_refusal_can_be_read_by_any_site() {
    let scene = scene().await;
    let long = format!("{{\"event_id\":\"{}\"}}", "x".repeat(100_000));
    let nobody = send(&scene.gateway, "/wait/assign_queue_num", "", "").await;
    let too_long = send(&scene.gateway, "/wait/assign_queue_num", "", &long).await;
    let without_body = scene.gateway.send("POST", "/wait/assign_queue_num", &[]).await;
    let missing = scene.gateway.get("/wait/nothing").await;
    assert_eq!((missing.status, missing.header("access-control-allow-origin")), (404, None), "it is not the room's");
    for (reply, status) in [(&nobody, 400), (&too_long, 413), (&without_body, 400)] {
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (status, Some("*")), "{reply:?}");
    }
    let chunked = "POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{\"event_id\":\"Sample\"}\r\n0\r\n\r\n";
    assert_eq!(scene.gateway.connect().await.ask(chunked).await.status, 200);
    assert_eq!(json_of(&scene.gateway.get("/wait/waiting_num?event_id=Sample").await), json!({ "waiting_num": 1 }));
}

#[tokio::test]
async fn what_other_policies_say_before_a_room_is_asked_can_be_read_by_any_site_and_so_can_when_to_come_again() {
    let gateway = Gateway::serving(
        "
store: {embedded: ./data}
rooms: {sale: {event: Sample}}
apis:
  wait: {match: {path: /wait}, policies: [{spike-arrest: {rate: 1/h, burst: 1}}, {waiting-room-api: {room: sale}}]}
  shut: {match: {path: /shut}, policies: [{ip-filter: {deny: [127.0.0.0/8]}}, {waiting-room-api: {room: sale}}]}
",
    )
    .await;
    let told = async |target: &str| {
        let reply = gateway.get(target).await;
        let named = |name: &str| reply.header(name).map(str::to_owned);
        (reply.status, named("access-control-allow-origin"), named("access-control-expose-headers"))
    };
    let (any, comes) = (Some("*".to_owned()), Some("retry-after".to_owned()));
    assert_eq!(told("/wait/serving_num?event_id=Sample").await, (200, any.clone(), None));
    assert_eq!(told("/wait/serving_num?event_id=Sample").await, (429, any.clone(), comes));
    assert_eq!(told("/shut/serving_num?event_id=Sample").await, (403, any, None));
    assert_eq!(told("/shut/nothing").await, (403, None, None), "it is not the room's");
}

#[tokio::test]
async fn places_stay_over_restarts_and_successors() {
    let Scene { gateway, .. } = scene().await;
    let first = join(&gateway).await;
    let key = json_of(&gateway.get("/wait/public_key?event_id=Sample").await);

    let gateway = gateway.restart().await;
    let second = join(&gateway).await;
    let successor = gateway.successor().await;
    let third = join(&gateway).await;
    let waiting = successor.get("/wait/waiting_num?event_id=Sample");
    let (waiting, ()) = futures::future::join(waiting, gateway.stop()).await;

    assert_eq!(json_of(&waiting), json!({ "waiting_num": 3 }), "who asks waits until rooms are there");
    let fourth = join(&successor).await;
    for (id, number) in [(first, 1), (second, 2), (third, 3), (fourth, 4)] {
        assert_eq!(place(&successor, &id).await, number);
    }
    assert_eq!(json_of(&successor.get("/wait/public_key?event_id=Sample").await), key);
}

#[tokio::test]
async fn who_watches_is_told_of_changes_and_comes_again_after_an_upgrade() {
    let scene = scene().await;
    join(&scene.gateway).await;
    let mut watcher = scene.gateway.connect().await;
    watcher.send("GET /wait/watch?event_id=Sample HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = watcher.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(
        (head.header("access-control-allow-origin"), head.header("cache-control")),
        (Some("*"), Some("no-store"))
    );
    let first = String::from_utf8(watcher.chunk().await).unwrap();
    let line = first.split("\"line\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let told = |serving: u32| {
        let counted = format!("\"serving_counter\":{serving},\"queue_counter\":1,\"waiting_num\":1,\"last_number\":1");
        format!("data: {{{counted},\"line\":{line},\"state\":\"open\"}}\n\n")
    };
    assert_eq!(first, format!("retry: 3000\n{}", told(0)));

    scene.let_in(5).await;

    let mut heard = String::from_utf8(watcher.chunk().await).unwrap();
    if heard == told(0) {
        // What was counted when the first second was over.
        heard = String::from_utf8(watcher.chunk().await).unwrap();
    }
    assert_eq!(heard, told(5));
    let stopping = scene.gateway.stop();
    let end = async { watcher.chunk().await };
    assert_eq!(
        futures::future::join(end, stopping).await.0,
        b"",
        "it ends, so that whoever has the room then is asked"
    );
}

#[tokio::test]
async fn a_key_of_another_program_signs_from_now_on_and_tokens_of_before_open() {
    let scene = scene().await;
    let (first, second) = (join(&scene.gateway).await, join(&scene.gateway).await);
    scene.let_in(2).await;
    let before = scene.access(&first).await;

    let room = scene.gateway.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap();
    let now = control::now().0 / 1_000_000;
    room.import_key(testkit::private_jwk("known-elsewhere"), now).await.unwrap();

    let key = json_of(&scene.gateway.get("/wait/public_key?event_id=Sample").await);
    assert_eq!(key["kid"], "known-elsewhere");
    let after = scene.access(&second).await;
    assert_eq!(jsonwebtoken::decode_header(&after).unwrap().kid.as_deref(), Some("known-elsewhere"));
    for token in [before, after] {
        assert_eq!(scene.shop(&token).await.status, 200);
    }
    let gateway = scene.gateway.restart().await;
    assert_eq!(json_of(&gateway.get("/wait/public_key?event_id=Sample").await), key);
}

#[tokio::test]
async fn rooms_come_change_and_go_without_a_restart() {
    let scene = scene().await;
    join(&scene.gateway).await;
    let document = DOCUMENT.replace("BACKEND", &scene.shop.address.to_string());
    let more = document
        .replace("rooms:\n", "rooms:\n  next: {}\n")
        .replace("event: Sample", "event: Other")
        .replace("apis:\n", "apis:\n  next: {match: {path: /next}, policies: [{waiting-room-api: {room: next}}]}\n");

    scene.gateway.reload(&more).unwrap();

    assert_eq!(scene.gateway.get("/wait/waiting_num?event_id=Sample").await.status, 400);
    let waiting = scene.gateway.get("/wait/waiting_num?event_id=Other").await;
    assert_eq!(json_of(&waiting), json!({ "waiting_num": 1 }), "who waits goes on to wait");
    assert_eq!(send(&scene.gateway, "/next/assign_queue_num", "", "{\"event_id\":\"next\"}").await.status, 200);

    scene.gateway.reload(&document).unwrap();
    assert_eq!(scene.gateway.get("/next/waiting_num?event_id=next").await.status, 404);
    scene.gateway.reload(&more).unwrap();
    let waiting = scene.gateway.get("/next/waiting_num?event_id=next").await;
    assert_eq!(json_of(&waiting), json!({ "waiting_num": 1 }));
}

#[tokio::test]
async fn what_is_wrong_with_rooms_is_a_finding() {
    let document = "
        rooms:
          sale: {event: \"a&b\", token: {validity: 0s}, inlet: {periodic: {by: 1, from: \"tomorrow\"}}}
        apis:
          wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sail}}]}
          shop: {match: {path: /shop}, policies: [{waiting-room-token: {room: sale}}]}
        store: {embedded: ./data}
    ";
    let findings = Gateway::refusing(&document.replace("\n        ", "\n")).await;
    for expected in [
        "/rooms/sale/event: cannot be asked about",
        "/rooms/sale/token/validity: is not between a second and ten years",
        "`tomorrow` is not a moment such as",
        "there is no room `sail` in `rooms`; what fits here: `sale`",
    ] {
        assert!(findings.contains(expected), "{expected}: {findings}");
    }
    let findings = Gateway::refusing("rooms: {sale: {}}").await;
    assert!(findings.contains("/rooms/sale: needs a place to be kept in"), "{findings}");
}

const ADMITTING: &str = "
store: {embedded: ./data}
rooms: {sale: {event: Sample, page: {title: \"Tickets & more\"}}}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  operate: {match: {host: ops.example, path: /}, policies: [{waiting-room-api: {room: sale, serves: operators}}]}
  shop: {match: {path: /shop}, upstream: shop, policies: [{waiting-room: {room: sale}}]}
";

async fn admitting() -> Scene {
    let shop = Stub::saying("sold").await;
    let gateway = Gateway::serving(&ADMITTING.replace("BACKEND", &shop.address.to_string())).await;
    let operator = token(&gateway, "ops", Role::Operator).await;
    Scene { shop, gateway, operator }
}

impl Scene {
    /// As a browser that has this cookie; its answer and the cookie that it has then.
    async fn browse(&self, cookie: &str) -> (Reply, String) {
        let headers = [("Accept", "text/html,application/xhtml+xml"), ("Cookie", cookie)];
        let reply = self.gateway.get_with("/shop/tickets", &headers).await;
        let given = reply.header("set-cookie").map(|cookie| cookie.split(';').next().unwrap().to_owned());
        (reply, given.unwrap_or_else(|| cookie.to_owned()))
    }
}

/// What a page tells under a name.
fn fact(page: &Reply, name: &str) -> String {
    let text = page.text();
    let told = text.split(&format!("<dd data-v=\"{name}\">")).nth(1).unwrap_or_else(|| panic!("{text}"));
    told.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_browser_waits_on_a_page_and_lands_where_it_wanted_to() {
    let scene = admitting().await;
    let (page, first) = scene.browse("theme=dark").await;
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html; charset=utf-8")));
    assert_eq!((fact(&page, "place"), fact(&page, "ahead")), ("1".to_owned(), "0".to_owned()));
    assert!(page.text().contains("Tickets &amp; more"));
    let given = page.header("set-cookie").unwrap();
    assert!(given.contains("; HttpOnly; SameSite=Lax") && !given.contains("Secure"), "{given}");
    let (_, second) = scene.browse("").await;
    let (again, kept) = scene.browse(&format!("theme=dark; {second}")).await;
    assert_eq!((fact(&again, "place"), fact(&again, "ahead")), ("2".into(), "1".into()), "a reload is the same place");
    assert_eq!((again.header("set-cookie"), kept), (None, format!("theme=dark; {second}")));

    scene.let_in(1).await;

    let (entered, _) = scene.browse(&first).await;
    assert_eq!((entered.status, entered.text()), (200, "sold".to_owned()));
    assert_eq!(scene.browse(&second).await.0.status, 503);
    assert_eq!(scene.shop.request().line(), "GET /shop/tickets HTTP/1.1");
}

#[tokio::test]
async fn what_a_page_asks_for_beside_itself_never_gets_to_the_shop() {
    let scene = admitting().await;
    let (_, cookie) = scene.browse("").await;
    let ask = async |query: &str| {
        let headers = [("Accept", "*/*"), ("Cookie", cookie.as_str())];
        scene.gateway.get_with(&format!("/shop/tickets?a=1&vestibule-room={query}"), &headers).await
    };

    let place = json_of(&ask("place").await);
    assert_eq!((&place["situation"], &place["position"]), (&json!("waiting"), &json!(1)));
    let chosen = ask("in-de").await;
    assert_eq!((chosen.status, chosen.header("location")), (303, Some("/shop/tickets?a=1")));
    let wish = chosen.header("set-cookie").unwrap().split(';').next().unwrap();
    let (page, _) = scene.browse(&format!("{cookie}; {wish}")).await;
    assert!(page.text().contains("<html lang=\"de\" dir=\"ltr\">"), "{}", page.text());
    scene.let_in(1).await;
    assert_eq!(json_of(&ask("place").await)["turn"], true);
    assert_eq!(ask("in-fr").await.status, 303, "nor when it is their turn");
    assert_eq!(scene.shop.count(), 0);

    let head = format!("GET /shop/tickets?vestibule-room=watch HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
    let mut watching = scene.gateway.connect().await;
    watching.send(&head).await;
    assert_eq!(watching.head().await.header("content-type"), Some("text/event-stream"));
    let told = String::from_utf8(watching.chunk().await).unwrap();
    assert!(told.contains("\"serving_counter\":1,"), "{told}");
}

#[tokio::test]
async fn a_page_that_no_browser_would_show_is_a_finding() {
    let document = "
store: {embedded: ./data}
rooms:
  sale:
    page:
      template: '<html lang=\"{{lang}}\" dir=\"{{dir}}\">{{head}}<script src=\"https://cdn.example/x.js\"></script><main>{{room}}</main>'
      texts: {en: {wating: Soon}}
";
    let findings = Gateway::refusing(document).await;
    for expected in [
        "/rooms/sale/page/template: lacks `{{languages}}`",
        "/rooms/sale/page/template: has a script, which no browser will run here",
        "/rooms/sale/page/template: loads `https://cdn.example/x.js`",
        "/rooms/sale/page/texts/en/wating: is no text of the page; those are `language`",
    ] {
        assert!(findings.contains(expected), "{expected}: {findings}");
    }
}

#[tokio::test]
async fn a_program_is_told_to_come_again_and_does_not_lengthen_the_line() {
    let scene = admitting().await;
    let program = scene.gateway.get("/shop/tickets").await;
    assert_eq!((program.status, program.problem().as_str()), (503, "waiting-room-outside"));
    assert!(program.header("retry-after").is_some() && program.header("set-cookie").is_none());
    let (_, cookie) = scene.browse("").await;
    let part = scene.gateway.get_with("/shop/logo.png", &[("Cookie", &cookie), ("Accept", "image/*")]).await;
    assert_eq!((part.status, part.problem().as_str()), (503, "waiting-room-wait"));
    let told = json_of(&part);
    assert_eq!((&told["position"], &told["ahead"]), (&json!(1), &json!(0)), "the programs before it got no place");

    scene.let_in(3).await;

    let program = scene.gateway.get("/shop/tickets").await;
    assert_eq!((program.status, program.header("cache-control")), (200, Some("private, no-cache")));
    assert!(program.header("set-cookie").is_some(), "while there are turns, everybody is in");
}

#[tokio::test]
async fn a_form_of_somebody_who_is_not_in_is_answered_by_a_page_that_leads_there_without_sending_it() {
    let scene = admitting().await;
    let send = async |mode: &str| {
        let headers = format!("Accept: text/html\r\nSec-Fetch-Mode: {mode}\r\n");
        send(&scene.gateway, "/shop/cart?a=1", &headers, "n=1").await
    };
    let page = send("navigate").await;
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("What you sent was not passed on") && page.text().contains("href=\"\""));
    assert_eq!(send("cors").await.problem(), "waiting-room-outside", "a script is told what it can read");
    assert_eq!(scene.shop.count(), 0);
}

#[tokio::test]
async fn a_cookie_that_nobody_gave_is_none() {
    let scene = admitting().await;
    let (_, cookie) = scene.browse("").await;
    let forged = cookie.replace("room-sale=", "room-sale=A");
    let (page, _) = scene.browse(&forged).await;
    assert_eq!(fact(&page, "place"), "2");
}
