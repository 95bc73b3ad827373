//! What an operator says about the inlet while a room is under way, whatever its settings say.

use crate::{Event, MaxSize, Periodic, Room, Seconds};

/// What raises the serving number by itself, as an operator set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuned {
    /// Nothing does.
    Manual,
    /// The clock.
    Periodic(Periodic),
    /// Those who leave.
    MaxSize(MaxSize),
}

impl Room {
    /// What an operator set, if that holds.
    pub fn tuned(&self) -> Option<Tuned> {
        self.line().tuned
    }

    /// Has an operator set the inlet, or, without one, leave it to the settings again. None: it is so already.
    pub fn tune(&self, tuned: Option<Tuned>, at: Seconds) -> Option<Event> {
        (self.tuned() != tuned).then_some(Event::Tuned { tuned, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_set_outlives_a_reset_and_its_undoing() {
        let mut room = Room::default();
        let slow = Tuned::Periodic(Periodic { by: 1, every: 60, from: 0, until: None });
        let event = room.tune(Some(slow), 10).unwrap();
        room.apply(&event);
        assert_eq!((room.tuned(), room.tune(Some(slow), 11)), (Some(slow), None));
        room.apply(&room.reset(20));
        assert_eq!(room.tuned(), Some(slow));
        let event = room.tune(Some(Tuned::Manual), 21).unwrap();
        room.apply(&event);
        let restored = room.restore(22).unwrap();
        room.apply(&restored);
        assert_eq!(room.tuned(), Some(Tuned::Manual));
        let event = room.tune(None, 23).unwrap();
        room.apply(&event);
        assert_eq!(room.tuned(), None);
    }
}
