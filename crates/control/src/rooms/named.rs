//! What a document says of its rooms before anybody has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Document;
use policies::waiting_room_api::WaitingRooms;
use rooms::KeptRoom;

/// What a document says of its rooms, which is all that there is where it is only looked at: whether they have an inlet.
#[derive(Default)]
pub(crate) struct NamedRooms(BTreeMap<String, bool>);

impl NamedRooms {
    pub(crate) fn of(document: &Document) -> Self {
        Self(document.rooms.iter().map(|(name, room)| (name.clone(), room.inlet.is_some())).collect())
    }
}

impl WaitingRooms for NamedRooms {
    fn named(&self, _: &str) -> Option<Arc<KeptRoom>> {
        None
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn has_inlet(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|has_inlet| *has_inlet)
    }
}
