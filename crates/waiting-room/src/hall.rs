//! The hall: those who came before a room opened and draw lots for their places.

use std::sync::Arc;

use crate::index::Index;
use crate::lanes::{Lane, LaneKind, Lanes, Lottery};
use crate::line::count;
use crate::lottery::{self, Seed, Tag};
use crate::numbers::EVERYBODY;
use crate::{Event, JoinKey, Keyed, LaneLine, Line, Place, Position, RequestId, Room, Seconds, Shelf, State};

/// Those who draw lots, and what is known of the draw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hall {
    /// What the draw follows from, once it is fixed.
    pub seed: Option<Seed>,
    /// Those who came, in that order.
    pub registered: Shelf<Registered>,
    /// How many of them came before the room opened, once it did.
    pub closed: Option<u32>,
    /// The last draw.
    pub drawn: Option<Arc<Drawn>>,
}

/// Somebody who has no place yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Who.
    pub id: RequestId,
    /// Since when.
    pub entered: Seconds,
    /// By what the join is known, if it may be repeated.
    pub key: Option<JoinKey>,
    /// The number of the lane by which they came.
    pub lane: u8,
}

/// A draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// What it followed from.
    pub seed: Seed,
    /// The public value that it followed from, too.
    pub public: Arc<str>,
    /// When.
    pub at: Seconds,
    /// How many had taken a place before it.
    pub before: u32,
    /// The last number that was taken before it.
    pub after: Position,
    /// How many drew.
    pub visitors: u32,
    /// The lanes that there were, and how many of each hundred numbers were for each.
    pub lanes: Vec<Weighed>,
    /// The number of the lane of each who drew, in the order of their lots. Empty: everybody's.
    pub by: Shelf<u8>,
}

/// A lane as it was when lots were drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// Its name.
    pub name: Arc<str>,
    /// How many of each hundred numbers were for it.
    pub weight: u8,
    /// What it was for.
    pub kind: LaneKind,
}

/// A line with lots drawn, ready to take the place of one without.
#[derive(Debug)]
pub struct Draft {
    line: Line,
    index: Index,
    /// How many had taken a place before.
    before: u32,
}

impl Hall {
    /// Whether lots are drawn once the room opens, or about to be.
    pub fn is_waiting(&self) -> bool {
        self.seed.is_some()
    }

    pub(crate) fn close(&mut self) {
        if self.seed.is_some() {
            self.closed.get_or_insert(count(self.registered.len()));
        }
    }
}

impl Drawn {
    /// Whose each number was.
    fn lanes(&self) -> Lanes {
        let lane = |lane: &Weighed| Lane { name: lane.name.clone(), weight: lane.weight, quota: None, kind: lane.kind };
        Lanes::of(self.lanes.iter().map(lane).collect())
    }
}

/// One of those who drew, as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The number that they got.
    pub position: Position,
    /// What they are known by.
    pub tag: Tag,
    /// The name of the lane by which they came.
    pub lane: Arc<str>,
}

/// Why what was published of a draw cannot be so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfair {
    /// The commitment is of another seed.
    #[error("the seed is not the one that was committed to")]
    OtherSeed,
    /// There are more or fewer than it says.
    #[error("{told} drew lots, it says, and {there} are there")]
    OtherCount {
        /// How many it says.
        told: u32,
        /// How many there are.
        there: u32,
    },
    /// Somebody is there twice.
    #[error("the visitor {0} is there twice")]
    Twice(Tag),
    /// The order is another one than that of the lots.
    #[error("the visitor {tag} is not the one whose lot comes as number {number}")]
    OtherOrder {
        /// The first who stands where somebody else should.
        tag: Tag,
        /// Where that is.
        number: u32,
    },
    /// Somebody has another number than the one that was theirs.
    #[error("the visitor {tag} has the place {told}, and it should be {due}")]
    OtherPlace {
        /// Who.
        tag: Tag,
        /// The number that it says.
        told: Position,
        /// The number that follows from the lots.
        due: Position,
    },
    /// There is no AES, so that nothing can be said.
    #[error("there is no AES on this machine")]
    NoCipher,
}

impl Drawn {
    /// Whether what was published is what follows from the seed: the lots in their order.
    pub fn verify(&self, commitment: &[u8; 32], lots: &[Lot]) -> Result<(), Unfair> {
        if self.seed.commitment() != *commitment {
            return Err(Unfair::OtherSeed);
        }
        let there = count(lots.len());
        if there != self.visitors {
            return Err(Unfair::OtherCount { told: self.visitors, there });
        }
        let mut tags: Vec<_> = lots.iter().map(|lot| lot.tag).collect();
        tags.sort_unstable();
        let twice = tags.iter().zip(tags.iter().skip(1)).find(|(one, other)| one == other);
        if let Some((twice, _)) = twice {
            return Err(Unfair::Twice(*twice));
        }
        let order = lottery::order(&self.seed, &self.public, lots.iter().map(|lot| lot.tag)).ok_or(Unfair::NoCipher)?;
        // In the order of the lots, each is where it stands.
        let other = (0..).zip(lots).zip(order).find(|((number, _), due)| number != due);
        if let Some(((number, lot), _)) = other {
            return Err(Unfair::OtherOrder { tag: lot.tag, number: number + 1 });
        }
        let (mut line, lanes) = (Line::default(), self.lanes());
        for lot in lots {
            let lane = line.lane_number(&lot.lane);
            let (due, of) = next(&line, &lanes, lane, self.after).unwrap_or((0, EVERYBODY.into()));
            if due != lot.position {
                return Err(Unfair::OtherPlace { tag: lot.tag, told: lot.position, due });
            }
            let of = line.lane_number(&of);
            line.put(due, of, Place::default());
        }
        Ok(())
    }
}

impl Room {
    /// Whether somebody who comes now draws lots with the others, or waits for those who do.
    pub(crate) fn draws_lots(&self) -> bool {
        let hall = &self.line.hall;
        hall.seed.is_some() && (hall.closed.is_some() || self.gathers())
    }

    /// Whether those who come now do so before the room opens.
    fn gathers(&self) -> bool {
        let before_opening = matches!(self.state(), State::Idle | State::PreQueue | State::Paused);
        before_opening && self.line.course.gathered_from.is_some()
    }

    /// The seed has to be fixed now, and may be this one. There is one draw until everything begins anew, so that what was
    /// published of it stays what it was.
    pub fn commit(&self, seed: impl FnOnce() -> Option<Seed>, lottery: Lottery) -> Option<Event> {
        let is_first = self.line.hall.seed.is_none() && self.line.hall.drawn.is_none();
        let is_due = lottery == Lottery::BeforeOpening && self.gathers() && is_first;
        if is_due { seed().map(|seed| Event::Committed { seed }) } else { None }
    }

    /// Nobody draws any more who comes from now on, if that is due.
    pub fn close_hall(&self) -> Option<Event> {
        let hall = &self.line.hall;
        let turns_come = matches!(self.state(), State::Open | State::PassingEverybody);
        (turns_come && hall.seed.is_some() && hall.closed.is_none()).then_some(Event::HallClosed)
    }

    /// What is drawn now, if it is time.
    pub fn draw(&self, public: Arc<str>, lanes: Option<&Lanes>, at: Seconds) -> Option<Event> {
        let hall = &self.line.hall;
        hall.closed.zip(hall.seed)?;
        let weighed = |lane: &Lane| Weighed { name: lane.name.clone(), weight: lane.weight, kind: lane.kind };
        let lanes = lanes.map(|lanes| lanes.iter().map(weighed).collect()).unwrap_or_default();
        Some(Event::Drawn { public, lanes, at })
    }

    /// Who came before the room opened and has no place yet.
    pub fn registered(&self, id: RequestId) -> Option<&Registered> {
        let number = self.index.registered(&self.line.hall, id)?;
        self.line.hall.registered.get(number as usize)
    }

    /// Those who drew, from one on, in the order of their lots: where their numbers are, by which lane they came, and who they
    /// are, of whom only a tag may be told.
    pub fn lots(&self, drawn: &Drawn, from: u32, most: u32) -> Vec<(Position, RequestId, Arc<str>)> {
        let range = from..drawn.visitors.min(from.saturating_add(most));
        let lot = |number: u32| {
            let position = self.line.position_at(drawn.before.saturating_add(number))?;
            let lane = drawn.by.get(number as usize).copied().unwrap_or(0);
            let lane =
                self.line.lanes.get(usize::from(lane)).map_or_else(|| EVERYBODY.into(), |lane| lane.name.clone());
            Some((position, self.line.place(position)?.id, lane))
        };
        range.filter_map(lot).collect()
    }

    pub(crate) fn register(&mut self, registered: Registered) {
        let number = count(self.line.hall.registered.len());
        self.line.hall.registered.push(registered);
        self.index.note_registered(&self.line.hall, number);
    }

    /// Has the numbers of a draft. Others may have come by a lane meanwhile.
    fn take_numbers(&mut self, lanes: Vec<LaneLine>, in_order: Position) {
        for lane in lanes {
            let number = self.line.lane_number(&lane.name);
            if let Some(known) = self.line.lane_mut(number) {
                known.taken = lane.taken;
            }
        }
        self.line.in_order = match (self.line.lanes.is_empty(), in_order) {
            (true, _) => 0,
            // Lanes began after the draft, all of whose numbers are in order then.
            (false, 0) if self.line.lanes.iter().all(|lane| lane.taken.is_empty()) => self.line.queue(),
            (false, in_order) => in_order,
        };
    }

    /// Has lots drawn. A draft that was made before is used if nobody took a place since.
    pub(crate) fn take_draft(&mut self, draft: Option<Draft>, (public, lanes, at): (&Arc<str>, &[Weighed], Seconds)) {
        let draft = draft.filter(|draft| draft.before == self.line.queue());
        let Draft { line, index, before } = draft.unwrap_or_else(|| Draft::of(&self.line, public, lanes, at));
        let came = std::mem::replace(&mut self.line.hall, line.hall);
        self.index.take_places(index);
        self.line.keys = line.keys;
        if before == 0 {
            self.line.places = line.places;
        } else {
            // Who had a place before may have taken their turn since.
            for place in line.places.iter_from(before as usize) {
                self.line.places.push(*place);
            }
        }
        self.take_numbers(line.lanes, line.in_order);
        let lanes = self.line.hall.drawn.as_ref().map(|drawn| drawn.lanes()).unwrap_or_default();
        for late in came.registered.iter_from(came.closed.unwrap_or(0) as usize) {
            place(&mut self.line, &mut self.index, late, &lanes, 0);
        }
    }
}

impl Draft {
    /// What a draw makes of a line. It takes long, and the room can go on meanwhile.
    pub fn of(line: &Line, public: &Arc<str>, lanes: &[Weighed], at: Seconds) -> Self {
        let mut line = line.clone();
        let hall = std::mem::take(&mut line.hall);
        let (before, after) = (line.queue(), line.last());
        let mut index = Index::of(&line);
        let (Some(seed), Some(visitors)) = (hall.seed, hall.closed) else { return Self { line, index, before } };
        let (public, lanes, by) = (public.clone(), lanes.to_vec(), Shelf::default());
        let mut drawn = Drawn { seed, public, at, before, after, visitors, lanes, by };
        let tags = hall.registered.iter().take(visitors as usize).map(|registered| Tag::of(registered.id));
        // Without AES, which there is, they would be as they came.
        let order = lottery::order(&seed, &drawn.public, tags).unwrap_or_else(|| (0..visitors).collect());
        let lanes = drawn.lanes();
        let came_by_lanes = !line.lanes.is_empty();
        for visitor in order {
            let Some(registered) = hall.registered.get(visitor as usize) else { continue };
            place(&mut line, &mut index, registered, &lanes, after);
            if came_by_lanes {
                drawn.by.push(registered.lane);
            }
        }
        line.hall.drawn = Some(Arc::new(drawn));
        Self { line, index, before }
    }
}

/// Gives somebody a place who had none.
fn place(line: &mut Line, index: &mut Index, registered: &Registered, lanes: &Lanes, after: Position) {
    let Some((position, of)) = next(line, lanes, registered.lane, after) else { return };
    let of = line.lane_number(&of);
    line.put(position, of, Place { id: registered.id, entered: registered.entered, token: 0 });
    index.note_place(position, registered.id);
    if let Some(key) = registered.key {
        line.keys.push(Keyed { key, position });
        index.note_key(line, count(line.keys.len() - 1));
    }
}

/// The number that somebody gets who came by a lane, and whose of the numbers it is.
fn next(line: &Line, lanes: &Lanes, lane: u8, after: Position) -> Option<(Position, Arc<str>)> {
    if line.lanes.is_empty() && lanes.is_empty() {
        return Some((after.max(line.queue()).checked_add(1)?, EVERYBODY.into()));
    }
    let lane = line.lanes.get(usize::from(lane)).and_then(|lane| lanes.lane(&lane.name));
    let (position, of) = lanes.next(line, lane, after)?;
    Some((position, of.into()))
}
