//! Who is not there when their turn comes: the next in line gets it at once, and their place waits for them for a while.

use crate::decide::noting;
use crate::{Cause, Event, Place, Position, Room, Rules, Seconds, State, Turn};

/// When somebody counts as absent, and what becomes of their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// After so many seconds without a sign of them somebody is absent.
    pub absent_after: u32,
    /// For so many seconds after their turn came somebody absent may come back and take it.
    pub grace: u32,
}

/// Places behind the serving number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Those whose turn comes when the number does.
    pub in_line: u32,
    /// Those whose turn was taken, or is over, because the number was once further than it is now.
    pub had_turn: u32,
}

impl Place {
    /// When its holder was passed over, if they were and have not taken their turn since.
    pub fn skipped_at(&self) -> Option<Seconds> {
        (self.token & SKIPPED > 0).then_some((self.token & !SKIPPED).saturating_add(EPOCH))
    }

    /// Whether a turn was taken by it.
    pub fn has_token(&self) -> bool {
        self.token > 0 && self.token & SKIPPED == 0
    }

    pub(crate) fn skip(&mut self, at: Seconds) {
        self.token = SKIPPED | at.saturating_sub(EPOCH).min(!SKIPPED);
    }
}

impl Room {
    /// Lets so many more in by the room's inlet, of those who are there: everybody else on the way is passed over. In order.
    pub fn let_in(
        &self,
        by: u32,
        now: Seconds,
        rules: &Rules,
        is_here: impl Fn(Position, &Place) -> bool,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        if rules.presence.is_some() {
            let skipped = self.absent(by, is_here);
            if !skipped.is_empty() {
                let passed = crate::line::count(skipped.len());
                let serving = self.line.ahead(self.line.serving, passed.into());
                events.push(Event::Skipped { positions: skipped.into(), at: now, noting: noting(rules), serving });
            }
        }
        let skipped = if let Some(Event::Skipped { positions, .. }) = events.first() { positions.len() } else { 0 };
        let whole = i64::from(crate::line::count(skipped)) + i64::from(by);
        let serving = self.line.ahead(self.line.serving, whole);
        events.push(Event::Moved { by: by.into(), at: now, noting: noting(rules), cause: Cause::Inlet, serving });
        events
    }

    /// Those who wait, in the order of their numbers.
    pub fn in_line(&self) -> impl Iterator<Item = (Position, &Place)> {
        self.behind().filter(|(_, place)| !place.has_token())
    }

    /// Counts the places behind the serving number by what raising it does for them.
    pub fn behind_the_number(&self) -> Behind {
        let number = Position::try_from(self.line.serving.max(0)).unwrap_or(Position::MAX);
        let all = self.line.queue().saturating_sub(self.line.taken_up_to(number));
        // Only where the number was lowered are there any whose turn came before, and none of them is beyond these.
        let over = number.max(self.line.swept);
        let swept = self.line.taken_up_to(over).saturating_sub(self.line.taken_up_to(number));
        let later = self.line.between(over, self.index.furthest().max(over)).filter(|place| place.token > 0);
        let had_turn = swept.saturating_add(crate::line::count(later.count()));
        Behind { in_line: all.saturating_sub(had_turn), had_turn }
    }

    /// Those behind the serving number. It may have been lowered since some of them took their turn.
    fn behind(&self) -> impl Iterator<Item = (Position, &Place)> {
        let first = Position::try_from(self.line.serving.max(0)).unwrap_or(Position::MAX).saturating_add(1);
        self.line.following(first)
    }

    /// Who is passed over when so many are let in.
    fn absent(&self, by: u32, is_here: impl Fn(Position, &Place) -> bool) -> Vec<Position> {
        let (mut skipped, mut left) = (Vec::new(), by);
        for (position, place) in self.behind() {
            if left == 0 || skipped.len() >= MOST_SKIPPED {
                break;
            }
            if place.has_token() || is_here(position, place) {
                left -= 1;
            } else {
                skipped.push(position);
            }
        }
        skipped
    }

    /// Passes over these.
    pub(crate) fn skip_over(&mut self, positions: &[Position], at: Seconds) {
        for position in positions {
            let Some(place) = self.line.place(*position).filter(|place| !place.has_token()) else { continue };
            // The number may have been lowered since they were passed over before.
            let is_new = !self.line.is_passed_over(*position, place);
            self.line.expired = self.line.expired.saturating_add(u64::from(is_new));
            if let Some(place) = self.line.place_mut(*position) {
                place.skip(at);
                self.index.note_turn(*position);
            }
        }
        let passed = crate::line::count(positions.len());
        self.line.serving = self.line.ahead(self.line.serving, passed.into());
    }

    /// How the turn of somebody stands who was passed over. None: they were not.
    pub(crate) fn grace_of(&self, place: &Place, now: Seconds, rules: &Rules) -> Option<Turn> {
        let at = place.skipped_at()?;
        if self.state() == State::PassingEverybody {
            return None;
        }
        let grace = rules.presence?.grace;
        Some(grace.checked_sub(self.elapsed(at, now)).map_or(Turn::Over, Turn::Open))
    }
}

/// In the number of a place's token: it is none, but when its holder was passed over.
const SKIPPED: u32 = 1 << 31;
/// Those moments are counted from here, so that they fit until 2088.
const EPOCH: Seconds = 1_600_000_000;
/// So many are passed over at once; the next ones when the inlet lets in again.
const MOST_SKIPPED: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;
    use crate::tests::{id, issue, join, join_all, mended, move_by};

    const NOW: Seconds = 1_700_000_000;

    fn rules() -> Rules {
        Rules { presence: Some(Presence { absent_after: 30, grace: 60 }), ..mended() }
    }

    fn let_in(room: &mut Room, by: u32, at: Seconds, here: &[Position]) {
        for event in room.let_in(by, at, &rules(), |position, _| here.contains(&position)) {
            room.apply(&event);
        }
    }

    #[test]
    fn the_turns_of_those_who_are_absent_go_to_the_next_at_once() {
        let mut room = Room::default();
        join_all(&mut room, 1..=6, NOW);
        let_in(&mut room, 2, NOW, &[2, 5, 6]);
        assert_eq!((room.counters().serving, room.counters().waiting()), (5, 3), "1, 3 and 4 are passed over");
        assert_eq!((issue(&mut room, 2, NOW, &rules()), issue(&mut room, 5, NOW, &rules())), (Ok(2), Ok(5)));
        assert_eq!(issue(&mut room, 6, NOW, &rules()), Err(Refusal::NotServed));
    }

    #[test]
    fn a_place_waits_for_its_holder_for_a_while_and_its_turn_is_not_passed_on_twice() {
        let mut room = Room::default();
        join_all(&mut room, 1..=4, NOW);
        let_in(&mut room, 1, NOW, &[3, 4]);
        assert_eq!(room.turn_of(id(1), NOW + 60, &rules()), Ok(Some(Turn::Open(0))));
        assert_eq!(room.turn_of(id(2), NOW + 61, &rules()), Ok(Some(Turn::Over)));
        assert_eq!(issue(&mut room, 1, NOW + 20, &rules()), Ok(1));
        assert_eq!(room.counters().waiting(), 2, "3 and 4; 2 was given up");
        assert_eq!(issue(&mut room, 2, NOW + 61, &rules()), Err(Refusal::Expired));
        assert_eq!(issue(&mut room, 3, NOW + 61, &rules()), Ok(3));
        while let Some(event) = room.sweep(NOW + 101, &rules()) {
            room.apply(&event);
        }
        assert_eq!(room.counters().serving, 3, "nobody gets a turn a second time");
    }

    #[test]
    fn behind_a_number_that_was_lowered_are_those_who_had_their_turn_and_those_who_have_it_when_it_is_raised() {
        let counted = |room: &Room| (room.behind_the_number().in_line, room.behind_the_number().had_turn);
        let mut room = Room::default();
        join_all(&mut room, 1..=8, NOW);
        assert_eq!(counted(&room), (8, 0));
        move_by(&mut room, 5, NOW, &mended());
        for number in 1..=4 {
            assert!(issue(&mut room, number, NOW, &mended()).is_ok());
        }
        assert_eq!(counted(&room), (3, 0));
        move_by(&mut room, -3, NOW, &mended());
        assert_eq!(counted(&room), (4, 2), "3 and 4 are in, and 5 waits again");
        move_by(&mut room, -9, NOW, &mended());
        assert_eq!(counted(&room), (4, 4));
        let again = Room::of(room.version(), room.line().clone(), None);
        assert_eq!(counted(&again), (4, 4), "whoever reads it again knows the same");
    }

    #[test]
    fn a_turn_that_is_over_does_not_come_again_when_the_number_does() {
        let mut room = Room::default();
        join_all(&mut room, 1..=4, NOW);
        let_in(&mut room, 1, NOW, &[2, 3, 4]);
        assert_eq!(room.counters().serving, 2, "1 is passed over");
        move_by(&mut room, -2, NOW, &rules());
        assert_eq!(room.behind_the_number(), Behind { in_line: 3, had_turn: 1 });
        move_by(&mut room, 2, NOW, &rules());
        while let Some(event) = room.sweep(NOW + 101, &rules()) {
            room.apply(&event);
        }
        move_by(&mut room, -3, NOW + 101, &rules());
        assert_eq!(room.behind_the_number(), Behind { in_line: 2, had_turn: 2 }, "2 did not come in time");
    }

    #[test]
    fn without_presence_everybody_counts_as_here() {
        let mut room = Room::default();
        join(&mut room, 1, NOW);
        let events = room.let_in(1, NOW, &mended(), |_, _| false);
        assert!(matches!(events[..], [Event::Moved { by: 1, serving: 1, .. }]), "{events:?}");
    }

    #[test]
    fn a_moment_is_kept_in_a_place() {
        let mut place = Place::default();
        assert_eq!((place.skipped_at(), place.has_token()), (None, false));
        place.skip(NOW);
        assert_eq!((place.skipped_at(), place.has_token()), (Some(NOW), false));
        place.token = 7;
        assert_eq!((place.skipped_at(), place.has_token()), (None, true));
    }
}
