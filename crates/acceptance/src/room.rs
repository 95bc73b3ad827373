//! Exchanges whose end could not be written down do not begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pipeline::{Exchange, OnFinish, Outcome, Room};
use snapshot::{Lent, Snapshot};
use testkit::{Gateway, Stub};

/// An observer as the journal of usage is one, with or without room.
#[derive(Default)]
struct Observer(AtomicBool);

impl OnFinish for Observer {
    fn on_begin(&self) -> Room {
        if self.0.load(Ordering::SeqCst) { Room::Enough } else { Room::None }
    }

    fn on_finish(&self, _: &Exchange, _: &Outcome) {}
}

#[tokio::test]
async fn what_cannot_be_counted_reaches_no_backend_until_there_is_room_again() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;
    let node = gateway.node();
    let observer = Arc::new(Observer::default());
    let mut snapshot = Snapshot::compile(&node.configuration().document, 2, "", &Lent::default()).ok().unwrap();
    snapshot.observers.push(observer.clone());
    node.live.replace(snapshot);

    let reply = gateway.get("/").await;

    assert_eq!((reply.status, reply.problem().as_str()), (503, "no-room-to-count"));
    assert_eq!(reply.header("retry-after"), Some("5"));
    assert_eq!(backend.count(), 0);
    observer.0.store(true, Ordering::SeqCst);
    assert_eq!(gateway.get("/").await.text(), "hello");
}
