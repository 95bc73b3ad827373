//! Which numbers places have: each the next one, or, where there are lanes, the next one that is for its lane.
//!
//! There is one serving number for all lanes, and a number says all about when its turn comes. So a lane is nothing but a
//! share of the numbers: of each hundred, so many are for it. A number that nobody of its lane has taken is passed over when
//! the serving number comes to it: "ten more" are ten visitors more, however many numbers that takes.

use std::sync::Arc;

use crate::line::{count, index};
use crate::{Line, Place, Position, Shelf};

/// What is known of a lane. The first one of a line is everybody's.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneLine {
    /// Its name.
    pub name: Arc<str>,
    /// How many joined by it, whatever number they have.
    pub visitors: u32,
    /// The numbers of this lane that are taken, in their order.
    pub taken: Shelf<Taken>,
}

/// A number that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The number.
    pub position: Position,
    /// How many took a place before.
    pub order: u32,
}

/// The name of everybody's lane.
pub const EVERYBODY: &str = "";

impl LaneLine {
    fn new(name: &str) -> Self {
        Self { name: name.into(), visitors: 0, taken: Shelf::default() }
    }

    pub(crate) fn last(&self) -> Position {
        self.taken.last().map_or(0, |taken| taken.position)
    }

    /// How many have a number of this lane behind another one.
    fn behind(&self, number: Position) -> u32 {
        count(self.taken.len() - self.up_to(number))
    }

    fn up_to(&self, number: Position) -> usize {
        self.taken.partition_point(|taken| taken.position <= number)
    }
}

/// What is counted of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneCounters {
    /// Its name.
    pub name: Arc<str>,
    /// How many joined by it, whatever number they have.
    pub visitors: u32,
    /// Its numbers that are taken, and whose turn has not come.
    pub waiting: u32,
}

impl Line {
    /// What is counted of each lane that anybody ever came by, everybody's first. None, where there are no lanes.
    pub fn by_lane(&self) -> Vec<LaneCounters> {
        let served = Position::try_from(self.serving.max(0)).unwrap_or(Position::MAX);
        let others: u32 = self.lanes.iter().skip(1).map(|lane| lane.visitors).sum();
        let all = self.queue().saturating_add(count(self.hall.registered.len()));
        let counted = |lane: &LaneLine| {
            // Who came before there were lanes did so by everybody's.
            let (visitors, early) = match &*lane.name {
                EVERYBODY => (all.saturating_sub(others), self.in_order.saturating_sub(served)),
                _ => (lane.visitors, 0),
            };
            LaneCounters { name: lane.name.clone(), visitors, waiting: lane.behind(served).saturating_add(early) }
        };
        self.lanes.iter().map(counted).collect()
    }

    /// The lane of this name.
    pub fn lane(&self, name: &str) -> Option<&LaneLine> {
        self.lanes.iter().find(|lane| &*lane.name == name)
    }

    /// The number of the lane of this name, which is made if need be: 0 is everybody's.
    pub(crate) fn lane_number(&mut self, name: &str) -> u8 {
        if name == EVERYBODY && self.lanes.is_empty() {
            return 0;
        }
        self.begin_lanes();
        let known = self.lanes.iter().position(|lane| &*lane.name == name);
        let number = known.and_then(|number| u8::try_from(number).ok());
        number.unwrap_or_else(|| {
            // Who sets up hundreds of lanes has them taken for everybody's.
            let Ok(number) = u8::try_from(self.lanes.len()) else { return 0 };
            self.lanes.push(LaneLine::new(name));
            number
        })
    }

    /// From now on a number is not how many took a place.
    fn begin_lanes(&mut self) {
        if self.lanes.is_empty() {
            self.in_order = self.queue();
            self.lanes.push(LaneLine::new(EVERYBODY));
        }
    }

    pub(crate) fn lane_mut(&mut self, number: u8) -> Option<&mut LaneLine> {
        self.lanes.get_mut(usize::from(number))
    }

    /// How many took a place before the one of this number.
    pub(crate) fn order_of(&self, position: Position) -> Option<usize> {
        let order = index(position)?;
        if self.lanes.is_empty() || position <= self.in_order {
            return Some(order);
        }
        self.lanes.iter().find_map(|lane| {
            let before = lane.taken.partition_point(|taken| taken.position < position);
            let taken = lane.taken.get(before).filter(|taken| taken.position == position)?;
            usize::try_from(taken.order).ok()
        })
    }

    /// The number of whoever took a place after so many others.
    pub(crate) fn position_at(&self, order: u32) -> Option<Position> {
        if self.lanes.is_empty() || order < self.in_order {
            return (order < self.queue()).then(|| order + 1);
        }
        self.lanes.iter().find_map(|lane| {
            let before = lane.taken.partition_point(|taken| taken.order < order);
            lane.taken.get(before).filter(|taken| taken.order == order).map(|taken| taken.position)
        })
    }

    /// The last number that is taken.
    pub(crate) fn last(&self) -> Position {
        let of_lanes = self.lanes.iter().map(LaneLine::last).max();
        of_lanes.map_or_else(|| self.queue(), |last| last.max(self.in_order))
    }

    /// The last number up to this one that is taken.
    pub(crate) fn last_up_to(&self, number: Position) -> Position {
        if self.lanes.is_empty() {
            return number.min(self.queue());
        }
        let of_lanes = self.lanes.iter().filter_map(|lane| lane.taken.get(lane.up_to(number).checked_sub(1)?));
        of_lanes.map(|taken| taken.position).max().unwrap_or(0).max(number.min(self.in_order))
    }

    /// How many numbers up to this one are taken.
    pub(crate) fn taken_up_to(&self, number: Position) -> u32 {
        if self.lanes.is_empty() {
            return number.min(self.queue());
        }
        let of_lanes: usize = self.lanes.iter().map(|lane| lane.up_to(number)).sum();
        count(of_lanes).saturating_add(number.min(self.in_order))
    }

    /// How many have a place whose turn has come, by the serving number.
    pub fn called(&self) -> u32 {
        self.taken_up_to(Position::try_from(self.serving.max(0)).unwrap_or(Position::MAX))
    }

    /// Those who have numbers behind one and up to another.
    pub(crate) fn between(&self, after: Position, up_to: Position) -> impl Iterator<Item = &Place> {
        let until = if self.lanes.is_empty() { up_to } else { up_to.min(self.in_order) };
        let (from, until) = (after as usize, until as usize);
        let in_order = self.places.iter_from(from).take(until.saturating_sub(from));
        let of_lanes = self.lanes.iter().flat_map(move |lane| {
            let (from, until) = (lane.up_to(after), lane.up_to(up_to));
            lane.taken.iter_from(from).take(until.saturating_sub(from))
        });
        in_order.chain(of_lanes.filter_map(|taken| self.places.get(taken.order as usize)))
    }

    /// Those who have numbers from one on, in the order of their numbers.
    pub(crate) fn following(&self, first: Position) -> impl Iterator<Item = (Position, &Place)> {
        let in_order = if self.lanes.is_empty() { self.queue() } else { self.in_order };
        let from = index(first).unwrap_or(0);
        let whole = (first.max(1)..=in_order).zip(self.places.iter_from(from));
        let mut lanes: Vec<_> = self
            .lanes
            .iter()
            .map(|lane| lane.taken.iter_from(lane.up_to(first.saturating_sub(1))).peekable())
            .collect();
        let of_lanes = std::iter::from_fn(move || {
            let next = lanes.iter_mut().filter_map(|lane| Some((lane.peek()?.position, lane)));
            let (_, lane) = next.min_by_key(|(position, _)| *position)?;
            lane.next()
        });
        whole.chain(of_lanes.filter_map(|taken| Some((taken.position, self.places.get(taken.order as usize)?))))
    }

    /// All numbers that are taken, and by whom.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (Position, &Place)> {
        let in_order = if self.lanes.is_empty() { self.queue() } else { self.in_order };
        let of_lanes = self.lanes.iter().flat_map(|lane| lane.taken.iter());
        let of_lanes = of_lanes.filter_map(|taken| Some((taken.position, self.places.get(taken.order as usize)?)));
        (1..=in_order).zip(self.places.iter()).chain(of_lanes)
    }

    /// Where the serving number is when so many visitors more have their turn.
    pub(crate) fn ahead(&self, serving: i64, by: i64) -> i64 {
        // What is below nothing, and what is taken back, are mere numbers.
        let below = serving.min(0).saturating_neg();
        if self.lanes.is_empty() || by <= below {
            return serving.saturating_add(by);
        }
        let (from, by) = (serving.max(0), by.saturating_sub(below));
        let reached = Position::try_from(from).unwrap_or(Position::MAX);
        let before = self.taken_up_to(reached);
        let waiting = i64::from(self.queue().saturating_sub(before));
        if by > waiting {
            return from.max(i64::from(self.last())).saturating_add(by - waiting);
        }
        let wanted = before.saturating_add(u32::try_from(by).unwrap_or(u32::MAX));
        let (mut low, mut high) = (reached, self.last());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.taken_up_to(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        i64::from(low)
    }

    /// Puts somebody at a number, which is one of this lane's.
    pub(crate) fn put(&mut self, position: Position, lane: u8, place: Place) {
        let order = self.queue();
        if order.checked_add(1) != Some(position) {
            self.begin_lanes();
        }
        self.places.push(place);
        if let Some(lane) = self.lane_mut(lane) {
            lane.taken.push(Taken { position, order });
        }
    }
}
