//! Lanes: who gets which of the numbers, so that each lane has its share of turns and none of them starves.

use std::sync::Arc;

use crate::decide::{Joining, NotJoined};
use crate::numbers::EVERYBODY;
use crate::{Event, JoinKey, Line, Position, RequestId, Room, Seconds};

/// A lane, as an operator wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its name.
    pub name: Arc<str>,
    /// How many of each hundred turns are for it.
    pub weight: u8,
    /// How many may join by it.
    pub quota: Option<u32>,
    /// What it is for.
    pub kind: LaneKind,
}

/// What a lane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// Those who are to wait less: they also take everybody's numbers where those come sooner.
    Preferred,
    /// Those who may have no more than its share.
    Slow,
}

/// All lanes of a room beside everybody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    lanes: Vec<Lane>,
    /// For whom each of a hundred numbers is: 0 is everybody, 1 the first lane.
    turns: Vec<u8>,
}

/// How somebody joins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// The lanes that there are. None: there are none.
    pub lanes: Option<&'a Lanes>,
    /// The lane by which they join, if it is not everybody's.
    pub lane: Option<&'a str>,
    /// By what they may.
    pub invite: Option<Invite>,
}

/// Whether those who come before the room opens draw lots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lottery {
    /// They stand in line in the order in which they came.
    #[default]
    None,
    /// They do.
    BeforeOpening,
}

/// A promise of a place in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invite {
    /// What it is known by.
    pub id: InviteId,
    /// How often it can be used.
    pub uses: u32,
}

/// What an invite is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InviteId(pub [u8; 16]);

/// Numbers repeat after so many.
pub const HUNDRED: u8 = 100;

impl Lanes {
    /// These lanes. What they leave of a hundred turns is everybody's.
    pub fn of(lanes: Vec<Lane>) -> Self {
        let others = lanes.iter().fold(HUNDRED, |left, lane| left.saturating_sub(lane.weight));
        let weights: Vec<i32> =
            [others].into_iter().chain(lanes.iter().map(|lane| lane.weight)).map(i32::from).collect();
        let mut owed = vec![0_i32; weights.len()];
        // Each number is for whom most is owed, so that a lane's numbers are as far apart as they can be.
        let turns = (0..HUNDRED).map(|_| {
            owed.iter_mut().zip(&weights).for_each(|(owed, weight)| *owed += weight);
            let most = owed.iter().enumerate().rev().max_by_key(|(_, owed)| **owed).map_or(0, |(lane, _)| lane);
            if let Some(owed) = owed.get_mut(most) {
                *owed -= i32::from(HUNDRED);
            }
            u8::try_from(most).unwrap_or(0)
        });
        Self { turns: turns.collect(), lanes }
    }

    /// The lane of this name.
    pub fn lane(&self, name: &str) -> Option<&Lane> {
        self.lanes.iter().find(|lane| &*lane.name == name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// The number that somebody gets who comes by a lane, and whose of the numbers it is. None: all are taken.
    pub(crate) fn next(&self, line: &Line, lane: Option<&Lane>, after: Position) -> Option<(Position, &str)> {
        let everybodys = || Some((self.free(line, EVERYBODY, 0, after)?, EVERYBODY));
        let Some(lane) = lane else { return everybodys() };
        let turn = self.lanes.iter().zip(1..).find(|(known, _)| known.name == lane.name).map(|(_, turn)| turn);
        let own = || Some((self.free(line, &lane.name, turn?, after)?, self.lane(&lane.name).map(|lane| &*lane.name)?));
        match lane.kind {
            LaneKind::Slow => own(),
            LaneKind::Preferred => [own(), everybodys()].into_iter().flatten().min_by_key(|(number, _)| *number),
        }
    }

    /// The next free number of a lane.
    fn free(&self, line: &Line, name: &str, turn: u8, after: Position) -> Option<Position> {
        let last = line.lane(name).map_or(0, crate::LaneLine::last);
        let in_order = if line.lanes.is_empty() { line.queue() } else { line.in_order };
        let mut number = after.max(last).max(in_order);
        loop {
            number = self.of_turn(turn, number)?;
            // Whatever it was for when somebody took it, if lanes were others then.
            if line.order_of(number).and_then(|order| line.places.get(order)).is_none() {
                return Some(number);
            }
        }
    }

    /// The next number after one that is for somebody.
    fn of_turn(&self, turn: u8, after: Position) -> Option<Position> {
        let number = after.checked_add(1)?;
        if self.turns.is_empty() {
            return Some(number);
        }
        let place = (after % u32::from(HUNDRED)) as usize;
        let turns = self.turns.iter().cycle().skip(place).take(self.turns.len());
        let further = turns.zip(0..).find(|(whose, _)| **whose == turn).map(|(_, further)| further)?;
        number.checked_add(further)
    }
}

impl Room {
    /// Joins somebody whose id this would be, by whatever they have.
    pub fn join_by(
        &self,
        id: RequestId,
        key: Option<JoinKey>,
        at: Seconds,
        entry: &Entry<'_>,
    ) -> Result<Joining, NotJoined> {
        if let Some(id) = key.and_then(|key| self.joined_by(key)) {
            return Ok(Joining::Known(id));
        }
        self.expect_joins()?;
        if self.is_known(id) {
            return Err(NotJoined::IdTaken);
        }
        let none = Lanes::default();
        let lanes = entry.lanes.unwrap_or(&none);
        let lane = match entry.lane {
            None => None,
            Some(name) => Some(lanes.lane(name).ok_or(NotJoined::NoLane)?),
        };
        if entry.invite.is_some_and(|invite| self.is_revoked(invite.id)) {
            return Err(NotJoined::InviteRevoked);
        }
        if entry.invite.is_some_and(|invite| self.index.uses(invite.id) >= invite.uses) {
            return Err(NotJoined::InviteUsed);
        }
        let visitors = lane.and_then(|lane| self.line.lane(&lane.name)).map_or(0, |lane| lane.visitors);
        if lane.and_then(|lane| lane.quota).is_some_and(|quota| visitors >= quota) {
            return Err(NotJoined::LaneFull);
        }
        // Who is behind somebody did not come earlier, whatever two clocks say.
        let at = self.line.places.last().map_or(at, |last| last.entered.max(at));
        let invite = entry.invite.map(|invite| invite.id);
        let name = || lane.map_or_else(|| EVERYBODY.into(), |lane| lane.name.clone());
        if self.draws_lots() {
            return Ok(Joining::New(Event::Registered { id, key, at, lane: name(), invite }));
        }
        if self.line.lanes.is_empty() && lanes.is_empty() && invite.is_none() {
            let position = self.line.queue().checked_add(1).ok_or(NotJoined::Full)?;
            return Ok(Joining::New(Event::Joined { position, id, key, at }));
        }
        let (position, of) = self.next_number(lanes, lane).ok_or(NotJoined::Full)?;
        Ok(Joining::New(Event::Placed { position, of: of.into(), id, key, at, lane: name(), invite }))
    }

    fn next_number<'a>(&self, lanes: &'a Lanes, lane: Option<&Lane>) -> Option<(Position, &'a str)> {
        let last = self.line.last();
        if i64::from(last) < self.line.serving {
            // There are turns that nobody waits for.
            return Some((last.checked_add(1)?, EVERYBODY));
        }
        let served = Position::try_from(self.line.serving.max(0)).unwrap_or(Position::MAX);
        lanes.next(&self.line, lane, served)
    }

    /// Whose join this key names.
    pub fn joined_by(&self, key: JoinKey) -> Option<RequestId> {
        let placed = self.index.position_of_key(&self.line, key).and_then(|position| self.line.place(position));
        placed.map(|place| place.id).or_else(|| self.index.registered_by(&self.line.hall, key))
    }

    fn is_known(&self, id: RequestId) -> bool {
        self.index.position(&self.line, id).is_some() || self.index.registered(&self.line.hall, id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str, weight: u8, kind: LaneKind) -> Lane {
        Lane { name: name.into(), weight, quota: None, kind }
    }

    #[test]
    fn each_lane_has_its_share_of_a_hundred_numbers_far_apart() {
        let lanes = Lanes::of(vec![lane("vip", 10, LaneKind::Preferred), lane("slow", 5, LaneKind::Slow)]);
        for (turn, share) in [(0, 85), (1, 10), (2, 5)] {
            let places: Vec<_> = lanes.turns.iter().enumerate().filter(|(_, whose)| **whose == turn).collect();
            assert_eq!(places.len(), share, "{turn}");
            let widest = places.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
            assert!(widest <= 100 / share + 3, "{turn}: {widest} of {:?}", lanes.turns);
        }
    }

    #[test]
    fn a_number_is_found_by_whom_it_is_for() {
        let lanes = Lanes::of(vec![lane("slow", 10, LaneKind::Slow)]);
        let first = lanes.of_turn(1, 0).unwrap();
        assert!((1..=10).contains(&first), "{first}");
        for after in 0..300 {
            let next = lanes.of_turn(1, after).unwrap();
            assert!(next > after && next <= after + 10 && (next - first).is_multiple_of(10), "{after} {next}");
        }
        assert_eq!((lanes.of_turn(1, Position::MAX), lanes.of_turn(7, 0)), (None, None));
        assert_eq!(Lanes::default().of_turn(0, 41), Some(42));
    }
}
