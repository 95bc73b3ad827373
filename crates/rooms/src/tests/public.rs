//! Sections 2 and 3 of what is promised: what visitors ask.

use futures::{FutureExt, StreamExt};
use waiting_room::Schedule;

use super::*;

#[tokio::test]
async fn assign_queue_num_gives_an_id_at_once_and_the_next_place() {
    for settings in all_settings() {
        let scene = Scene::with(settings);
        for place in 1..=3 {
            let reply = scene.public("/assign_queue_num", json!({ "event_id": "Sample" })).await;
            assert_eq!((reply.status, reply.body.as_object().unwrap().len()), (200, 1));
            let id = reply.text_of("api_request_id");
            assert_eq!(id, id.to_lowercase());
            let body = json!({ "queue_number": place, "entry_time": 1_800_000_000, "event_id": "Sample", "status": 1 });
            scene.queue_num(&id).await.is(200, &body);
        }
    }
}

#[tokio::test]
async fn assign_queue_num_refuses_another_event_and_burns_no_number() {
    let scene = Scene::new();
    for event in ["sample", "Other", "", "Sample "] {
        let reply = scene.public("/assign_queue_num", json!({ "event_id": event })).await;
        reply.says(400, "Invalid event ID");
    }
    assert_eq!(scene.queue_num(&scene.join().await).await.body["queue_number"], 1);
}

#[tokio::test]
async fn assign_queue_num_strictly_gives_another_event_an_id_without_a_place() {
    let scene = Scene::with(strict(settings()));
    let reply = scene.public("/assign_queue_num", json!({ "event_id": "Other" })).await;
    assert_eq!(reply.status, 200);
    scene.queue_num(&reply.text_of("api_request_id")).await.says(202, "Request ID not found");
    assert_eq!(scene.queue_num(&scene.join().await).await.body["queue_number"], 1);
}

#[tokio::test]
async fn a_body_that_is_not_as_it_must_be_is_refused() {
    let scene = Scene::new();
    for body in ["", "{", "[]", "null", "\"Sample\"", "{}", "{\"event_id\": 7}", "{\"event_id\": null}"] {
        let json = [("content-type", "application/json")];
        let reply = scene.ask_with(Side::Public, Method::POST, "/assign_queue_num", (&json, body)).await;
        reply.refuses(400, "Invalid request body");
    }
    let text = [("content-type", "text/plain")];
    let body = "{\"event_id\": \"Sample\"}";
    let reply = scene.ask_with(Side::Public, Method::POST, "/assign_queue_num", (&text, body)).await;
    reply.refuses(415, "Unsupported Media Type");
    let typed = [("content-type", "application/json; charset=utf-8")];
    for headers in [&typed[..], &[]] {
        let more = "{\"event_id\": \"Sample\", \"more\": [1]}";
        let reply = scene.ask_with(Side::Public, Method::POST, "/assign_queue_num", (headers, more)).await;
        assert_eq!(reply.status, 200, "a type that is left out is JSON, and unknown members are ignored");
    }
    assert_eq!(scene.waiting().await, 2);
}

#[tokio::test]
async fn a_join_with_an_idempotency_key_is_one_place_however_often_it_is_sent() {
    let scene = Scene::new();
    let join = async |key: &str| {
        let body = json!({ "event_id": "Sample" }).to_string();
        scene.ask_with(Side::Public, Method::POST, "/assign_queue_num", (&[("idempotency-key", key)], &body)).await
    };
    let first = join("8f14e45f-ceea-467f-a1a2-a5d1").await.text_of("api_request_id");
    let other = join("another key of somebody").await.text_of("api_request_id");
    assert_eq!(join("8f14e45f-ceea-467f-a1a2-a5d1").await.text_of("api_request_id"), first);
    assert_eq!(scene.queue_num(&other).await.body["queue_number"], 2);
    assert_eq!((join("short").await.status, scene.waiting().await), (400, 2));
}

#[tokio::test]
async fn queue_num_answers_by_what_the_id_is() {
    let scene = Scene::new();
    scene.queue_num(NOBODY).await.says(202, "Request ID not found");
    scene.queue_num("zzzzzzzz-ÄÖÜß-____-0000-000000000000").await.says(202, "Request ID not found");
    scene.queue_num("nonsense").await.says(400, "Invalid event or request ID");
    let id = scene.join().await;
    let other = scene.get(&format!("/queue_num?event_id=Other&request_id={id}")).await;
    other.says(400, "Invalid event or request ID");
    scene.queue_num(&id.to_uppercase()).await.says(202, "Request ID not found");
    let marked = format!("%3Cb%3E{id}%3C/b%3E");
    assert_eq!(scene.queue_num(&marked).await.status, 200, "markup is taken out");
}

#[tokio::test]
async fn what_follows_an_id_is_strictly_not_looked_at() {
    let id = format!("{NOBODY}-and-more");
    Scene::new().queue_num(&id).await.says(400, "Invalid event or request ID");
    Scene::with(strict(settings())).queue_num(&id).await.says(202, "Request ID not found");
}

#[tokio::test]
async fn queue_num_never_changes_but_by_a_reset() {
    let scene = Scene::with(expiring(PassOn::ToTheNext));
    let ids = scene.joined(2).await;
    let before = scene.queue_num(&ids[0]).await.text;
    scene.increment(1).await;
    scene.token(&ids[0]).await;
    scene.end(&ids[0], 1).await;
    scene.wait(5000);
    scene.rooms.tick(scene.now.get());
    assert_eq!(scene.queue_num(&ids[0]).await.text, before);
    scene.private("/reset_initial_state", json!({ "event_id": "Sample" })).await;
    scene.queue_num(&ids[0]).await.says(202, "Request ID not found");
}

#[tokio::test]
async fn serving_num_is_a_text_of_digits() {
    let scene = Scene::new();
    scene.get("/serving_num?event_id=Sample").await.is(200, &json!({ "serving_counter": "0" }));
    scene.increment(7).await.is(200, &json!({ "serving_num": 7 }));
    scene.increment(-9).await;
    scene.get("/serving_num?event_id=Sample").await.is(200, &json!({ "serving_counter": "-2" }));
    scene.get("/serving_num?event_id=Other").await.says(400, "Invalid event ID");
}

#[tokio::test]
async fn waiting_num_is_places_without_tokens_and_without_turns_passed_on() {
    let scene = Scene::with(expiring(PassOn::ToTheNext));
    let ids = scene.joined(6).await;
    scene.increment(4).await;
    scene.token(&ids[0]).await;
    scene.token(&ids[1]).await;
    scene.get("/waiting_num?event_id=Sample").await.is(200, &json!({ "waiting_num": 4 }));
    scene.wait(901);
    scene.rooms.tick(scene.now.get());
    assert_eq!((scene.waiting().await, scene.serving().await), (2, "6".to_owned()));
    scene.get("/waiting_num?event_id=Other").await.says(400, "Invalid event ID");
}

#[tokio::test]
async fn a_query_without_what_it_needs_is_refused_by_name() {
    let scene = Scene::new();
    for (target, missing) in [
        ("/queue_num", "event_id, request_id"),
        ("/queue_num?event_id=Sample", "request_id"),
        ("/queue_num?event_id=&request_id=%20", "event_id, request_id"),
        ("/serving_num", "event_id"),
        ("/waiting_num?event=Sample", "event_id"),
        ("/public_key", "event_id"),
        ("/queue_pos_expiry?request_id=x", "event_id"),
        ("/num_active_tokens", "event_id"),
        ("/expired_tokens", "event_id"),
    ] {
        scene.get(target).await.refuses(400, &format!("Missing required request parameters: [{missing}]"));
    }
}

#[tokio::test]
async fn queue_pos_expiry_answers_in_its_order() {
    let without = Scene::new();
    without.expiry(NOBODY).await.says(202, "Queue position expiration not enabled");
    without.expiry("nonsense").await.says(400, "Invalid event or request ID");

    for settings in [expiring(PassOn::Lost), strict(expiring(PassOn::Lost))] {
        let scene = Scene::with(settings);
        scene.expiry("nonsense").await.says(400, "Invalid event or request ID");
        scene.expiry(NOBODY).await.says(404, "Invalid request ID");
        let id = scene.join().await;
        scene.expiry(&id).await.says(202, "Request ID not being served yet");
        scene.wait(10);
        scene.increment(1).await;
        scene.expiry(&id).await.is(200, &json!({ "expires_in": 900 }));
        scene.wait(900);
        scene.expiry(&id).await.is(200, &json!({ "expires_in": 0 }));
        scene.wait(1);
        scene.expiry(&id).await.says(410, "Queue position has expired");
    }
}

#[tokio::test]
async fn queue_pos_expiry_does_not_know_of_tokens() {
    let scene = Scene::with(expiring(PassOn::ToTheNext));
    let id = scene.join().await;
    scene.increment(1).await;
    scene.token(&id).await;
    scene.wait(100);
    scene.expiry(&id).await.is(200, &json!({ "expires_in": 800 }));
    scene.wait(801);
    scene.expiry(&id).await.says(410, "Queue position has expired");
}

#[tokio::test]
async fn every_answer_may_be_read_by_any_site() {
    let scene = Scene::new();
    let id = scene.join().await;
    for target in
        ["/serving_num?event_id=Sample", "/serving_num?event_id=x", "/serving_num", "/waiting_num?event_id=Sample"]
    {
        assert_eq!(scene.get(target).await.header("access-control-allow-origin"), "*", "{target}");
    }
    for reply in [scene.queue_num(&id).await, scene.token(&id).await, scene.token("x").await, scene.increment(1).await]
    {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reply.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_preflight_says_what_a_path_takes_and_needs_no_credential() {
    for (side, path, methods) in [
        (Side::Public, "/assign_queue_num", "OPTIONS,POST"),
        (Side::Public, "/queue_num", "GET,OPTIONS"),
        (Side::Private, "/increment_serving_counter", "OPTIONS,POST"),
        (Side::Private, "/expired_tokens", "GET,OPTIONS"),
    ] {
        let strict = Scene::with(strict(settings()));
        let reply = strict.ask_with(side, Method::OPTIONS, path, (&[], "")).await;
        assert_eq!((reply.status, reply.text.len()), (200, 0));
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reply.header("access-control-allow-methods"), methods);
        let headers = "Content-Type,X-Amz-Date,Authorization,X-Api-Key,X-Amz-Security-Token";
        assert_eq!(reply.header("access-control-allow-headers"), headers);
        let mended = Scene::new().ask_with(side, Method::OPTIONS, path, (&[], "")).await;
        assert_eq!(mended.header("access-control-allow-headers"), format!("{headers},Idempotency-Key"));
    }
}

#[tokio::test]
async fn caches_keep_what_stays_and_nothing_that_does_not() {
    let scene = Scene::with(expiring(PassOn::Lost));
    let id = scene.join().await;
    let cached = async |target: &str| scene.get(target).await.header("cache-control").to_owned();
    let (long, briefly) = ("public, max-age=5, s-maxage=86400", "public, max-age=0, s-maxage=5");
    assert_eq!(cached(&format!("/queue_num?event_id=Sample&request_id={id}")).await, long);
    assert_eq!(cached("/public_key?event_id=Sample").await, long);
    assert_eq!(cached("/serving_num?event_id=Sample").await, briefly);
    assert_eq!(cached("/waiting_num?event_id=Sample").await, briefly);
    for target in [
        format!("/queue_num?event_id=Sample&request_id={NOBODY}"),
        format!("/queue_pos_expiry?event_id=Sample&request_id={id}"),
        "/serving_num?event_id=x".to_owned(),
        "/serving_num".to_owned(),
    ] {
        assert_eq!(cached(&target).await, "no-store", "{target}");
    }
    scene.increment(1).await;
    assert_eq!(cached(&format!("/queue_pos_expiry?event_id=Sample&request_id={id}")).await, briefly);
    assert_eq!(scene.token(&id).await.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_refused() {
    let scene = Scene::new();
    for (side, method, path) in [
        (Side::Public, Method::GET, "/assign_queue_num"),
        (Side::Public, Method::POST, "/queue_num"),
        (Side::Public, Method::DELETE, "/serving_num"),
        (Side::Private, Method::GET, "/reset_initial_state"),
    ] {
        let reply = scene.ask_with(side, method, path, (&[], "")).await;
        reply.refuses(403, "Missing Authentication Token");
    }
}

#[tokio::test]
async fn a_path_that_there_is_not_is_the_next_one_s_or_strictly_refused() {
    for (side, path) in [
        (Side::Public, "/"),
        (Side::Public, "/increment_serving_counter"),
        (Side::Private, "/queue_num"),
        (Side::Public, ""),
    ] {
        let scene = Scene::new();
        assert!(matches!(Api::new(scene.room.clone(), side).begin(&Method::GET, path), Begun::Elsewhere), "{path}");
        let strict = Scene::with(strict(settings()));
        strict.ask_with(side, Method::GET, path, (&[], "")).await.refuses(403, "Missing Authentication Token");
    }
}

#[tokio::test]
async fn wait_time_is_an_interval_once_turns_have_come() {
    let scene = Scene::new();
    let ids = scene.joined(200).await;
    let (first, last) = (&ids[0], &ids[199]);
    let told = async |id: &str| scene.get(&format!("/wait_time?event_id=Sample&request_id={id}")).await;
    let unknown = told(last).await;
    assert_eq!((&unknown.body["wait_at_least"], &unknown.body["wait_at_most"]), (&Value::Null, &Value::Null));
    for _ in 0..60 {
        scene.wait(1);
        scene.increment(2).await;
        scene.rooms.tick(scene.now.get());
    }
    let known = told(last).await;
    let bound = |name: &str| known.body[name].as_u64().unwrap_or_else(|| panic!("{}", known.body));
    assert!(bound("wait_at_least") <= 40 && 40 <= bound("wait_at_most"), "{}", known.body);
    assert_eq!((bound("queue_number"), &known.body["serving_counter"]), (200, &json!(120)));
    assert_eq!(told(first).await.body["wait_at_most"], 0);
    told(NOBODY).await.says(202, "Request ID not found");
    told("nonsense").await.says(400, "Invalid event or request ID");
}

#[tokio::test]
async fn who_watches_hears_how_it_is_now_and_the_end_once_no_document_has_the_room() {
    let schedule = Schedule { closes: Some(1_800_000_000), ..Schedule::default() };
    let scene = Scene::with(Settings { rules: Rules { schedule, ..Rules::default() }, ..settings() });
    let mut heard = Box::pin(scene.room.watched(None, scene.now.get()).unwrap());
    let first = heard.next().now_or_never().flatten().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("closed"), "{first:?}");
    scene.rooms.set([("sale".to_owned(), settings())]);
    assert_eq!(heard.next().now_or_never(), None);
    scene.rooms.set([]);
    assert_eq!(heard.next().now_or_never(), Some(None));
}
