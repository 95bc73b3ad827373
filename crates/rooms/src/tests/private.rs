//! Sections 4, 5 and 10: what operators ask, turns that are over, and inlets.

use waiting_room::{Ending, MaxSize, Periodic};

use super::*;

#[tokio::test]
async fn increment_serving_counter_moves_by_any_whole_number() {
    for settings in all_settings() {
        let scene = Scene::with(settings);
        for (by, serving) in [(5, 5), (0, 5), (-7, -2), (1_000_000, 999_998)] {
            scene.increment(by).await.is(200, &json!({ "serving_num": serving }));
        }
    }
}

#[tokio::test]
async fn increment_serving_counter_refuses_what_is_no_whole_number() {
    let scene = Scene::new();
    for by in [json!("5"), json!(1.5), json!(null), json!([])] {
        let reply =
            scene.private("/increment_serving_counter", json!({ "event_id": "Sample", "increment_by": by })).await;
        reply.refuses(400, "Invalid request body");
    }
    let missing = scene.private("/increment_serving_counter", json!({ "event_id": "Sample" })).await;
    missing.refuses(400, "Invalid request body");
    let other = scene.private("/increment_serving_counter", json!({ "event_id": "Other", "increment_by": 5 })).await;
    other.says(400, "Invalid event ID");
    assert_eq!(scene.serving().await, "0");
    let whole = scene.private("/increment_serving_counter", json!({ "event_id": "Sample", "increment_by": 5.0 })).await;
    whole.is(200, &json!({ "serving_num": 5 }));
}

#[tokio::test]
async fn update_session_ends_a_visit_once() {
    for settings in all_settings() {
        let scene = Scene::with(settings);
        let ids = scene.joined(3).await;
        scene.increment(2).await;
        scene.token(&ids[0]).await;
        scene.token(&ids[1]).await;
        assert_eq!(scene.end(&ids[0], 1).await.status, 200);
        assert_eq!(scene.end(&ids[1], -1).await.status, 200);
        for (id, status) in [(&ids[0], 1), (&ids[0], -1), (&ids[2], 1), (&NOBODY.to_owned(), 1)] {
            scene.end(id, status).await.says(404, "Request ID doesn't exist or status already set.");
        }
        let counters = scene.room.counters().unwrap();
        assert_eq!((counters.completed, counters.abandoned, counters.serving), (1, 1, 2));
        assert_eq!(scene.waiting().await, 1, "it changes nothing else");
    }
}

#[tokio::test]
async fn update_session_refuses_other_endings_and_changes_nothing() {
    let scene = Scene::new();
    let id = scene.join().await;
    scene.increment(1).await;
    scene.token(&id).await;
    for status in [0, 2, -2, 100] {
        assert_eq!(scene.end(&id, status).await.status, 400);
    }
    scene.end("nonsense", 1).await.says(400, "Invalid event or request ID");
    let other = scene.private("/update_session", json!({ "event_id": "x", "request_id": id, "status": 1 })).await;
    other.says(400, "Invalid event or request ID");
    let text = scene.private("/update_session", json!({ "event_id": "Sample", "request_id": id, "status": "1" })).await;
    text.refuses(400, "Invalid request body");
    assert_eq!(scene.end(&id, 1).await.status, 200);
}

#[tokio::test]
async fn update_session_is_taken_for_tokens_that_have_expired() {
    let scene = Scene::new();
    let id = scene.join().await;
    scene.increment(1).await;
    scene.token(&id).await;
    scene.wait(5000);
    assert_eq!(scene.end(&id, 1).await.status, 200);
}

#[tokio::test]
async fn num_active_tokens_counts_what_holds_and_has_not_ended() {
    let scene = Scene::new();
    let ids = scene.joined(3).await;
    scene.increment(3).await;
    for id in &ids {
        scene.token(id).await;
    }
    scene.end(&ids[0], 1).await;
    let active = async || scene.get("/num_active_tokens?event_id=Sample").await;
    active().await.is(200, &json!({ "active_tokens": 2 }));
    scene.wait(3600);
    active().await.is(200, &json!({ "active_tokens": 2 }));
    scene.wait(1);
    active().await.is(200, &json!({ "active_tokens": 0 }));
    scene.get("/num_active_tokens?event_id=x").await.says(400, "Invalid event ID");
}

#[tokio::test]
async fn expired_tokens_lists_them_whatever_became_of_the_visit() {
    let scene = Scene::new();
    let ids = scene.joined(2).await;
    scene.increment(2).await;
    for id in &ids {
        scene.token(id).await;
    }
    scene.end(&ids[0], 1).await;
    scene.get("/expired_tokens?event_id=Sample").await.is(200, &json!([]));
    scene.wait(3601);
    scene.get("/expired_tokens?event_id=Sample").await.is(200, &json!(ids));
    scene.get("/expired_tokens?event_id=x").await.says(400, "Invalid event ID");
}

#[tokio::test]
async fn a_reset_begins_anew_at_once_and_tokens_of_before_still_verify() {
    for settings in all_settings() {
        let scene = Scene::with(settings);
        let ids = scene.joined(2).await;
        scene.increment(2).await;
        let access = scene.token(&ids[0]).await.text_of("access_token");

        let reply = scene.private("/reset_initial_state", json!({ "event_id": "Sample" })).await;

        assert_eq!((reply.status, reply.body["message"].is_string()), (200, true));
        assert_eq!((scene.serving().await, scene.waiting().await), ("0".to_owned(), 0));
        scene.token(&ids[0]).await.says(400, "Invalid request ID");
        assert_eq!(scene.queue_num(&scene.join().await).await.body["queue_number"], 1);
        let now = scene.now.get().into();
        assert!(scene.room.admitted(&access, now, crate::Sessions::Ignored).await.unwrap().is_ok());
        assert!(scene.room.admitted(&access, now, crate::Sessions::Checked).await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_reset_of_another_event_does_nothing() {
    for (settings, status) in [(settings(), 400), (strict(settings()), 200)] {
        let scene = Scene::with(settings);
        scene.join().await;
        let reply = scene.private("/reset_initial_state", json!({ "event_id": "Other" })).await;
        assert_eq!((reply.status, scene.waiting().await), (status, 1));
        scene.private("/reset_initial_state", json!({})).await.refuses(400, "Invalid request body");
    }
}

#[tokio::test]
async fn a_reset_can_be_undone_for_an_hour() {
    let scene = Scene::new();
    let ids = scene.joined(2).await;
    let undo = async || scene.private("/undo_reset", json!({ "event_id": "Sample" })).await;
    assert_eq!(undo().await.status, 404);
    scene.private("/reset_initial_state", json!({ "event_id": "Sample" })).await;
    let since = scene.join().await;
    scene.wait(3599);
    assert_eq!(undo().await.status, 200);
    for (id, place) in [(&ids[0], 1), (&ids[1], 2), (&since, 3)] {
        assert_eq!(scene.queue_num(id).await.body["queue_number"], place);
    }
    scene.private("/reset_initial_state", json!({ "event_id": "Sample" })).await;
    scene.wait(3600);
    assert_eq!(undo().await.status, 404);
}

#[tokio::test]
async fn a_periodic_inlet_lets_in_so_many_every_minute() {
    let inlet = Inlet::Periodic(Periodic { by: 10, every: 60, from: 1_800_000_000, until: Some(1_800_000_200) });
    let scene = Scene::with(Settings { inlet, ..settings() });
    let mut serving = Vec::new();
    for _ in 0..30 {
        scene.rooms.tick(scene.now.get());
        serving.push(scene.serving().await);
        scene.wait(10);
    }
    assert_eq!((&*serving[0], &*serving[1], &*serving[6], &*serving[7], &*serving[29]), ("0", "10", "10", "20", "40"));
}

#[tokio::test]
async fn a_strict_inlet_of_a_size_lets_in_whoever_fits_when_it_is_told_who_left() {
    let scene = Scene::with(strict(Settings { inlet: Inlet::MaxSize(MaxSize { size: 3 }), ..settings() }));
    let ids = scene.joined(5).await;
    let tell = async |notice: Value| {
        let mut notice = notice;
        notice["event_id"] = "Sample".into();
        scene.private("/update_inlet", notice).await
    };
    tell(json!({})).await.is(200, &json!({ "message": "Nothing to process." }));
    tell(json!({ "exited": "2" })).await.is(200, &json!({ "serving_num": 2 }));
    scene.token(&ids[0]).await;
    scene.token(&ids[1]).await;
    tell(json!({ "exited": 5 })).await.is(200, &json!({ "serving_num": 2 }));
    let left = json!({ "completed": [ids[0], "nonsense", NOBODY], "abandoned": [ids[0]] });
    tell(left.clone()).await.is(200, &json!({ "serving_num": 3 }));
    tell(left).await.is(200, &json!({ "serving_num": 3 }));
    tell(json!({ "exited": "many" })).await.refuses(400, "Invalid request body");
    scene.end(&ids[1], 1).await;
    scene.tick();
    assert_eq!(scene.serving().await, "3");
}

#[tokio::test]
async fn an_inlet_of_a_size_fills_the_site_and_lets_in_the_next_however_a_visit_ends() {
    let scene = Scene::with(Settings { inlet: Inlet::MaxSize(MaxSize { size: 3 }), ..expiring(PassOn::Lost) });
    let ids = scene.joined(9).await;
    let serves = async |number: &str| {
        scene.tick();
        assert_eq!(scene.serving().await, number);
    };
    serves("3").await;
    for id in &ids[..3] {
        scene.token(id).await;
    }
    let exited = scene.private("/update_inlet", json!({ "event_id": "Sample", "exited": 5 })).await;
    exited.is(200, &json!({ "serving_num": 3 }));
    scene.end(&ids[0], 1).await;
    assert_eq!(scene.serving().await, "4");
    assert!(scene.room.end(ids[1].parse().unwrap(), Ending::Abandoned, scene.now.get()).await.unwrap());
    assert_eq!(scene.serving().await, "5");
    serves("5").await;
    scene.wait(901);
    serves("7").await;
    scene.wait(2699);
    serves("9").await;
    scene.wait(1);
    serves("10").await;
}

#[test]
fn a_forbidden_answer_can_be_read_by_any_site() {
    let response = Api::forbidden();
    assert_eq!(
        (response.status(), &response.headers()["access-control-allow-origin"]),
        (StatusCode::FORBIDDEN, &HeaderValue::from_static("*"))
    );
    assert_eq!(response.body(), "{\"message\":\"Forbidden\"}");
}
