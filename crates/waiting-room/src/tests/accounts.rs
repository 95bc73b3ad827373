//! What becomes of everybody adds up, whatever happens in whichever order and however the settings change meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{id, issuer};
use crate::lanes::{Lane, LaneKind, Lanes};
use crate::{
    Cause, Compatibility, Ending, Entry, Event, Expiry, Issuing, Joining, PassOn, Position, Presence, RequestId, Room,
    Rules, Seconds, State, Turn, UNDOABLE,
};

#[derive(Clone, Debug)]
enum Step {
    Join(bool),
    Move(i64),
    /// By the inlet, while every so many are absent.
    LetIn(u32, Position),
    Take(usize),
    End(usize, Ending),
    Sweep,
    Wait(u32),
    Reset,
    Restore,
    SetState(State),
    /// Turns expire otherwise from now on.
    Expiry(Option<Expiry>),
    Presence(Option<Presence>),
}

fn step() -> impl Strategy<Value = Step> {
    let expiry = |period, pass_on| Some(Expiry { period, pass_on });
    let expiries = vec![None, expiry(60, PassOn::ToTheNext), expiry(60, PassOn::Lost), expiry(1, PassOn::ToTheNext)];
    let presences = vec![None, Some(Presence { absent_after: 10, grace: 40 })];
    prop_oneof![
        8 => any::<bool>().prop_map(Step::Join),
        4 => (-6..10_i64).prop_map(Step::Move),
        4 => (0..6_u32, 1..4_u32).prop_map(|(by, which)| Step::LetIn(by, which)),
        8 => any::<usize>().prop_map(Step::Take),
        3 => (any::<usize>(), prop::sample::select(vec![Ending::Completed, Ending::Abandoned]))
            .prop_map(|(who, ending)| Step::End(who, ending)),
        4 => Just(Step::Sweep),
        4 => (0..90_u32).prop_map(Step::Wait),
        1 => Just(Step::Reset),
        1 => Just(Step::Restore),
        1 => prop::sample::select(State::ALL.to_vec()).prop_map(Step::SetState),
        1 => prop::sample::select(expiries).prop_map(Step::Expiry),
        1 => prop::sample::select(presences).prop_map(Step::Presence),
    ]
}

/// What can be said by the events alone, by somebody who keeps books and knows nothing of a room.
#[derive(Clone, Debug, Default)]
struct Books {
    given: BTreeSet<Position>,
    /// Who was let in, and how the visit ended if it did.
    let_in: BTreeMap<Position, Option<Ending>>,
    /// Whose turn went to somebody else, and who did not take it after all.
    passed_over: BTreeSet<Position>,
    moved: i64,
    passed_on: i64,
    swept: Position,
    /// Since when there is a former one.
    before: Option<(Seconds, Box<Self>)>,
}

impl Books {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Joined { position, .. } | Event::Placed { position, .. } => {
                assert!(self.given.insert(*position), "{position} was given before");
            }
            Event::Moved { by, .. } => self.moved += by,
            Event::Issued { position, .. } => {
                assert!(self.given.contains(position) && self.let_in.insert(*position, None).is_none());
                self.passed_over.remove(position);
            }
            Event::Ended { position, ending, .. } => {
                let visit = self.let_in.get_mut(position).unwrap();
                assert_eq!(visit.replace(*ending), None, "a visit ends once");
            }
            Event::Swept { up_to, passed_on, .. } => {
                if *passed_on > 0 {
                    let range = self.given.range(self.swept + 1..=*up_to);
                    let unused = range.filter(|position| !self.let_in.contains_key(position));
                    self.passed_over.extend(unused);
                }
                (self.swept, self.passed_on) = (*up_to, self.passed_on + i64::from(*passed_on));
            }
            Event::Skipped { positions, .. } => {
                self.passed_over.extend(positions.iter().copied());
                self.passed_on += i64::try_from(positions.len()).unwrap();
            }
            Event::Reset { at } => {
                let mut before = std::mem::take(self);
                let former = before.before.take().filter(|(reset, _)| at - reset < UNDOABLE && before.given.is_empty());
                // A reset that is repeated before anything happened is undone together with the first.
                self.before = Some((*at, former.map_or_else(|| Box::new(before), |(_, former)| former)));
            }
            Event::Restored { .. } => {
                let (_, before) = self.before.take().unwrap();
                let before = *before;
                let since = std::mem::replace(self, before);
                let mut last = self.given.last().copied().unwrap_or(0);
                self.given.extend(since.given.iter().map(|_| {
                    last += 1;
                    last
                }));
            }
            _ => {}
        }
    }
}

struct Scene {
    room: Room,
    books: Books,
    rules: Rules,
    lanes: Lanes,
    now: Seconds,
    visitors: Vec<RequestId>,
    next: u64,
}

impl Scene {
    fn new(compatibility: Compatibility, lanes: Lanes) -> Self {
        let rules = Rules { compatibility, ..Rules::default() };
        let (room, books, visitors) = (Room::default(), Books::default(), Vec::new());
        Self { room, books, rules, lanes, now: 1_700_000_000, visitors, next: 1 }
    }

    fn happen(&mut self, event: &Event) {
        self.books.note(event);
        self.room.apply(event);
    }

    fn someone(&self, which: usize) -> Option<RequestId> {
        self.visitors.get(which.checked_rem(self.visitors.len())?).copied()
    }

    /// What a step comes to.
    fn due(&mut self, step: &Step) -> Vec<Event> {
        let (now, rules) = (self.now, self.rules);
        match step {
            Step::Join(by_lane) => {
                let visitor = id(self.next);
                self.next += 1;
                let lane = (*by_lane && !self.lanes.is_empty()).then_some("vip");
                let entry = Entry { lanes: Some(&self.lanes), lane, invite: None };
                let Ok(Joining::New(event)) = self.room.join_by(visitor, None, now, &entry) else { return Vec::new() };
                self.visitors.push(visitor);
                vec![event]
            }
            Step::Move(by) => self.room.move_by(*by, now, Cause::Operator, &rules).into_iter().collect(),
            Step::LetIn(by, which) => self.room.let_in(*by, now, &rules, |position, _| position % which > 0),
            Step::Take(which) => match self.someone(*which).map(|id| self.room.issue(id, now, (&issuer(), 60), &rules))
            {
                Some(Ok(Issuing::New(event))) => vec![event],
                Some(Ok(Issuing::Known(_)) | Err(_)) | None => Vec::new(),
            },
            Step::End(which, ending) => {
                self.someone(*which).and_then(|id| self.room.end(id, *ending, now).ok()).into_iter().collect()
            }
            Step::Sweep => self.room.sweep(now, &rules).into_iter().collect(),
            Step::Reset => vec![self.room.reset(now)],
            Step::Restore => self.room.restore(now).into_iter().collect(),
            Step::SetState(state) => self.room.set_state(*state, now).into_iter().collect(),
            Step::Wait(_) | Step::Expiry(_) | Step::Presence(_) => Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        for event in self.due(step) {
            self.happen(&event);
        }
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Expiry(expiry) => self.rules.expiry = *expiry,
            Step::Presence(presence) => self.rules.presence = *presence,
            _ => {}
        }
    }

    /// Everybody is in one place of the books, and the room counts as they do.
    fn check(&self) {
        let (counters, books) = (self.room.counters(), &self.books);
        let ended = |ending| books.let_in.values().filter(|visit| **visit == Some(ending)).count();
        assert_eq!(counters.queue as usize, books.given.len());
        assert_eq!(counters.tokens as usize, books.let_in.len());
        assert_eq!(counters.completed as usize, ended(Ending::Completed));
        assert_eq!(counters.abandoned as usize, ended(Ending::Abandoned));
        assert!(books.passed_over.iter().all(|position| !books.let_in.contains_key(position)));
        if self.lanes.is_empty() {
            assert_eq!(counters.serving, books.moved + books.passed_on, "a turn is given, or passed on");
        }
        if self.rules.compatibility == Compatibility::Mended {
            let waiting = books.given.len() - books.let_in.len() - books.passed_over.len();
            assert_eq!(counters.waiting(), i64::try_from(waiting).unwrap());
            assert_eq!(usize::try_from(counters.expired), Ok(books.passed_over.len()));
        }
        self.check_by_asking();
    }

    /// Whoever asks for each visitor finds as many as are counted.
    fn check_by_asking(&self) {
        let (mut waiting, mut may_enter, mut over, mut inside, mut lapsed, mut ended) = (0, 0, 0, 0, 0, 0);
        for position in &self.books.given {
            let place = self.room.line().place(*position).unwrap();
            if let Some((_, token)) = self.room.token(place.id) {
                match token.ending {
                    Some(_) => ended += 1,
                    None if token.expires >= self.now => inside += 1,
                    None => lapsed += 1,
                }
                continue;
            }
            let is_passed_over = self.room.line().is_passed_over(*position, place);
            assert_eq!(is_passed_over, self.books.passed_over.contains(position), "{position}");
            match self.room.issue(place.id, self.now, (&issuer(), 60), &self.rules) {
                Ok(_) => may_enter += 1,
                Err(crate::Refusal::NotServed | crate::Refusal::Closed) => waiting += 1,
                Err(crate::Refusal::Expired) => over += 1,
                Err(refusal) => panic!("{refusal:?}"),
            }
            let turn = self.room.turn_of(place.id, self.now, &self.rules);
            let may_take = self.room.issue(place.id, self.now, (&issuer(), 60), &self.rules).is_ok();
            assert_eq!(may_take, matches!(turn, Ok(None | Some(Turn::Open(_)))) && self.room.served(*position).is_ok());
        }
        let counters = self.room.counters();
        assert_eq!(waiting + may_enter + over + inside + lapsed + ended, counters.queue);
        assert_eq!(inside + lapsed + ended, counters.tokens);
        assert_eq!(ended, counters.completed + counters.abandoned);
        assert_eq!(self.room.active(self.now), u64::from(inside));
    }
}

fn any_lanes() -> impl Strategy<Value = Lanes> {
    let vip = || Lane { name: "vip".into(), weight: 20, quota: None, kind: LaneKind::Preferred };
    any::<bool>().prop_map(move |has_lanes| if has_lanes { Lanes::of(vec![vip()]) } else { Lanes::default() })
}

proptest! {
    #[test]
    fn everybody_waits_or_was_let_in_or_was_passed_over(
        is_strict in any::<bool>(),
        lanes in any_lanes(),
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let compatibility = if is_strict { Compatibility::Strict } else { Compatibility::Mended };
        let mut scene = Scene::new(compatibility, lanes);
        for step in &steps {
            scene.step(step);
            scene.check();
        }
        let again = Room::of(scene.room.version(), scene.room.line().clone(), None);
        prop_assert_eq!(again.counters(), scene.room.counters());
        prop_assert_eq!(again.active(scene.now), scene.room.active(scene.now));
    }
}

fn happen(scene: &mut Scene, steps: &[Step]) {
    for step in steps {
        scene.step(step);
        scene.check();
    }
}

#[test]
fn who_was_passed_over_and_is_let_in_when_everybody_passes_is_not_counted_twice() {
    let mut scene = Scene::new(Compatibility::Mended, Lanes::default());
    let expiry = Step::Expiry(Some(Expiry { period: 60, pass_on: PassOn::ToTheNext }));
    let join = Step::Join(false);
    happen(&mut scene, &[expiry, join.clone(), join, Step::Move(1), Step::Wait(61), Step::Sweep]);
    assert_eq!((scene.room.counters().waiting(), scene.room.counters().serving), (1, 2));
    happen(&mut scene, &[Step::SetState(State::PassingEverybody), Step::Take(0)]);
    assert_eq!((scene.room.counters().waiting(), scene.room.counters().expired), (1, 0));
    happen(&mut scene, &[Step::Take(1)]);
    assert_eq!(scene.room.counters().waiting(), 0);
}

#[test]
fn who_is_passed_over_again_after_the_number_was_lowered_is_counted_once() {
    let mut scene = Scene::new(Compatibility::Mended, Lanes::default());
    let presence = Step::Presence(Some(Presence { absent_after: 10, grace: 40 }));
    let absent = Step::LetIn(1, 1);
    happen(&mut scene, &[presence, Step::Join(false), Step::Join(false), absent.clone()]);
    assert_eq!((scene.room.counters().waiting(), scene.room.counters().serving), (0, 3));
    happen(&mut scene, &[Step::Move(-3), absent]);
    assert_eq!((scene.room.counters().waiting(), scene.room.counters().expired), (0, 2));
}

#[test]
fn who_waits_again_because_the_number_was_lowered_does_not_expire_unless_strictly() {
    for (compatibility, passed_on) in [(Compatibility::Mended, 0), (Compatibility::Strict, 3)] {
        let mut scene = Scene::new(compatibility, Lanes::default());
        let expiry = Step::Expiry(Some(Expiry { period: 60, pass_on: PassOn::ToTheNext }));
        happen(&mut scene, &[expiry]);
        happen(&mut scene, &vec![Step::Join(false); 5]);
        happen(&mut scene, &[Step::Move(4), Step::Move(-3), Step::Take(0), Step::Wait(61), Step::Sweep, Step::Sweep]);
        assert_eq!(scene.room.counters().serving, 1 + passed_on);
        happen(&mut scene, &[Step::Move(3)]);
        let turn = scene.room.turn_of(id(3), scene.now, &scene.rules);
        let expected = if passed_on == 0 { Turn::Open(60) } else { Turn::Over };
        assert_eq!(turn, Ok(Some(expected)), "a turn begins when the number is reached");
    }
}
