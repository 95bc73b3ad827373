//! What happens in a room, as others are told of it.

use std::sync::Arc;

use room_events::{Kind, Wanted, read};
use serde_json::{Value, json};
use waiting_room::{PassOn, State};

use super::{Scene, expiring};

/// Everything, of a room for `Sample`.
struct All;

impl Wanted for All {
    fn is_wanted(&self, _: &str, _: Kind) -> bool {
        true
    }

    fn event_of(&self, _: &str) -> Arc<str> {
        "Sample".into()
    }
}

fn told(scene: &Scene) -> Vec<Value> {
    let mut events = Vec::new();
    scene.records(|record| read(record, &All, &mut events).unwrap());
    events
}

#[tokio::test]
async fn the_events_of_the_original_have_its_details() {
    let mut settings = expiring(PassOn::ToTheNext);
    settings.metrics_events = true;
    let scene = Scene::with(settings);
    let ids = scene.joined(3).await;
    scene.increment(2).await;
    scene.token(&ids[0]).await;
    scene.end(&ids[0], 1).await;
    scene.wait(901);
    scene.tick();

    let told = told(&scene);

    let of = |kind: &str| told.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let data = |kind: &str| of(kind).into_iter().map(|event| event["data"].clone()).collect::<Vec<_>>();
    assert_eq!(data("token_generated"), [json!({ "event_id": "Sample", "request_id": ids[0] })]);
    let ended = json!({ "event_id": "Sample", "request_id": ids[0], "status": "completed" });
    assert_eq!(data("session_updated"), [ended]);
    let passed_on = json!({
        "previous_serving_counter_position": 2, "increment_by": 1, "current_serving_counter_position": 3,
    });
    assert_eq!(data("automatic_serving_counter_incr"), [passed_on]);
    let measured = json!({
        "event_id": "Sample", "num_active_tokens": 0, "total_num_tokens": "1", "queue_counter": "3",
        "serving_number": "3", "completed_sessions": "1", "abandoned_sessions": "0",
    });
    assert_eq!(data("waiting_room_metrics"), [measured]);
    let first = of("token_generated")[0];
    assert_eq!(
        (&first["source"], &first["subject"], &first["time"], &first["id"]),
        (
            &json!("custom.waitingroom"),
            &json!("sale"),
            &json!("2027-01-15T08:00:00Z"),
            &json!("sale-5-token_generated")
        )
    );
}

#[tokio::test]
async fn everything_else_that_happens_is_told_too_in_order() {
    let scene = Scene::with(expiring(PassOn::Lost));
    let id = scene.join().await;
    scene.increment(1).await;
    scene.wait(901);
    scene.tick();
    scene.room.set_state(State::PreQueue, scene.now.get()).await.unwrap();
    scene.room.set_state(State::Open, scene.now.get()).await.unwrap();
    scene.room.reset(scene.now.get()).await.unwrap();
    scene.room.restore(scene.now.get()).await.unwrap();

    let told = told(&scene);

    let seen: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "visitor_joined",
        "serving_counter_moved",
        "positions_expired",
        "state_changed",
        "room_opened",
        "room_reset",
        "reset_undone",
    ];
    assert_eq!(seen, expected);
    let joined = json!({
        "event_id": "Sample", "request_id": id, "queue_number": 1, "entry_time": 1_800_000_000,
    });
    assert_eq!(told[0]["data"], joined);
    let moved = json!({ "event_id": "Sample", "increment_by": 1, "serving_counter": 1, "cause": "operator" });
    assert_eq!(told[1]["data"], moved);
    assert_eq!(told[3]["data"], json!({ "event_id": "Sample", "state": "pre-queue", "by": "operator" }));
    let counted: Vec<_> = scene.room.happened().read().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted.len(), expected.len(), "{counted:?}");
}
