//! When somebody who waits was seen last. It is forgotten when the process ends: whoever waits then counts as seen.

use std::collections::VecDeque;

use parking_lot::Mutex;
use waiting_room::{Place, Position, Room, Seconds};

/// When those who wait were seen last: four bytes for each place behind the serving number.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Record>);

#[derive(Default)]
struct Record {
    /// The place before the first of `at`.
    before: Position,
    at: VecDeque<Seconds>,
    /// Since when anybody is looked for.
    since: Option<Seconds>,
}

impl Seen {
    /// There is a sign of whoever has this place.
    pub(crate) fn note(&self, position: Position, now: Seconds) {
        let mut record = self.0.lock();
        record.since.get_or_insert(now);
        let Some(index) = position.checked_sub(record.before).and_then(|index| index.checked_sub(1)) else { return };
        let index = index as usize;
        if index >= MOST {
            return;
        }
        if record.at.len() <= index {
            record.at.resize(index + 1, 0);
        }
        if let Some(at) = record.at.get_mut(index) {
            *at = now;
        }
    }

    /// Forgets whose turn has come; and everybody, after a reset.
    pub(crate) fn tend(&self, room: &Room, now: Seconds) {
        let mut record = self.0.lock();
        record.since.get_or_insert(now);
        let served = Position::try_from(room.counters().serving.max(0)).unwrap_or(Position::MAX);
        if served < record.before {
            *record = Record { before: served, at: VecDeque::new(), since: Some(now) };
            return;
        }
        let over = (served - record.before) as usize;
        let over = over.min(record.at.len());
        record.at.drain(..over);
        record.before = served;
        if record.at.len() < record.at.capacity() / 4 {
            record.at.shrink_to_fit();
        }
    }

    /// Whether whoever has a place was seen within so many seconds. Who is beyond what is remembered counts as here.
    pub(crate) fn is_here(&self, position: Position, place: &Place, now: Seconds, absent_after: u32) -> bool {
        self.0.lock().is_here(position, place, now, absent_after)
    }

    /// How many of those who wait were seen within so many seconds.
    pub(crate) fn present(&self, room: &Room, now: Seconds, absent_after: u32) -> usize {
        let record = self.0.lock();
        room.in_line().filter(|(position, place)| record.is_here(*position, place, now, absent_after)).count()
    }
}

impl Record {
    fn is_here(&self, position: Position, place: &Place, now: Seconds, absent_after: u32) -> bool {
        let index = position.saturating_sub(self.before).saturating_sub(1) as usize;
        if index >= MOST {
            return true;
        }
        let seen = self.at.get(index).copied().unwrap_or(0);
        let last = seen.max(place.entered).max(self.since.unwrap_or(now));
        now.saturating_sub(last) <= absent_after
    }
}

/// Places behind the serving number of which it is remembered: 32 MiB for a room.
const MOST: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Scene, settings};
    use crate::{Inlet, Settings};

    use serde_json::json;
    use waiting_room::{Periodic, Presence, Rules};

    #[test]
    fn what_is_remembered_shrinks_with_the_line() {
        let seen = Seen::default();
        let place = Place { entered: 100, ..Place::default() };
        for position in 1..=10_000 {
            seen.note(position, 100);
        }
        seen.note(9_999, 150);
        assert!(seen.is_here(9_999, &place, 180, 30) && !seen.is_here(9_998, &place, 180, 30));
        assert!(seen.is_here(9_998, &place, 130, 30));
        assert!(seen.is_here(u32::MAX, &place, 9_999, 30), "nobody is passed over of whom nothing is known");
        let mut room = Room::default();
        let moved = room.move_by(9_990, 100, waiting_room::Cause::Operator, &Rules::default()).unwrap();
        room.apply(&moved);
        seen.tend(&room, 180);
        assert_eq!(seen.0.lock().at.len(), 10);
        assert!(seen.0.lock().at.capacity() < 100);
        assert!(seen.is_here(9_999, &place, 180, 30));
    }

    #[tokio::test]
    async fn who_asks_now_and_then_keeps_their_turn_and_who_does_not_is_passed_over() {
        let presence = Some(Presence { absent_after: 30, grace: 60 });
        let inlet = Inlet::Periodic(Periodic { by: 1, every: 40, from: 0, until: None });
        let rules = Rules { presence, ..Rules::default() };
        let scene = Scene::with(Settings { rules, inlet, ..settings() });
        scene.tick();
        assert_eq!(scene.serving().await, "1");
        let ids = scene.joined(4).await;
        for _ in 0..4 {
            scene.wait(10);
            for id in [&ids[2], &ids[3]] {
                assert_eq!(scene.queue_num(id).await.header("cache-control"), "no-store");
            }
        }
        scene.tick();
        assert_eq!(scene.serving().await, "3", "the second is passed over, and the third has the turn");
        assert_eq!(scene.token(&ids[2]).await.status(), 200);
        scene.wait(59);
        assert_eq!(scene.token(&ids[1]).await.status(), 200, "who comes back in time is let in");
    }

    #[tokio::test]
    async fn who_was_away_for_too_long_has_no_turn_any_more() {
        let presence = Some(Presence { absent_after: 30, grace: 60 });
        let inlet = Inlet::Periodic(Periodic { by: 1, every: 40, from: 0, until: None });
        let scene = Scene::with(Settings { inlet, rules: Rules { presence, ..Rules::default() }, ..settings() });
        let ids = scene.joined(2).await;
        scene.tick();
        scene.wait(40);
        scene.tick();
        assert_eq!(scene.serving().await, "3", "the second was not seen for 40 seconds");
        let scene = scene.restarted();
        scene.wait(61);
        scene.token(&ids[1]).await.says(410, "Queue position has expired");
        let asked = scene.get(&format!("/serving_num?event_id=Sample&request_id={}", ids[1])).await;
        asked.is(200, &json!({ "serving_counter": "3" }));
    }
}
