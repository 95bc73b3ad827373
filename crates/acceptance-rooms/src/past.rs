//! What is known of how a room went, also after a restart and by a node that was not there.

use testkit::{Gateway, until};

use crate::cluster::{Cluster, join, let_in, now, room};

/// What was counted at the end, and how much is known before.
fn history(node: &Gateway) -> (usize, u32, i64) {
    let samples = room(node).history(now());
    let last = samples.last().copied().unwrap_or_default();
    (samples.len(), last.queue, last.serving)
}

#[tokio::test]
async fn how_a_room_went_is_known_after_a_restart() {
    let document = "
store: {embedded: ./data}
rooms: {sale: {event: Sample}}
apis: {wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}}
";
    let gateway = Gateway::serving(document).await;
    join(&gateway).await;
    join(&gateway).await;
    let_in(&gateway, 1).await;
    let before = room(&gateway).history(now());
    // Both may have come within one sample.
    assert!((1..=2).contains(&before.first().unwrap().queue), "{before:?}");
    assert_eq!((history(&gateway).1, history(&gateway).2), (2, 1));
    let gateway = gateway.restart().await;
    let after = room(&gateway).history(now());
    assert_eq!(after.first(), before.first());
    assert_eq!((history(&gateway).1, history(&gateway).2), (2, 1));
}

#[tokio::test]
async fn how_a_room_went_is_known_to_a_node_that_was_not_there() {
    let mut cluster = Cluster::start(1).await;
    join(&cluster.nodes[0]).await;
    let_in(&cluster.nodes[0], 1).await;
    cluster.add().await;
    until("it knows what was", async || history(&cluster.nodes[1]).2 == 1).await;
    let first = |node: &Gateway| room(node).history(now()).first().copied();
    assert_eq!(first(&cluster.nodes[1]), first(&cluster.nodes[0]));
}
