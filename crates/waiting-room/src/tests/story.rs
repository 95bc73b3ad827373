//! What a room promises, by chance.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{PERIOD, id, issuer};
use crate::{
    Cause, Compatibility, Ending, Event, Expiry, Issuing, JoinKey, Joining, PassOn, Presence, Refusal, RequestId, Room,
    Rules, Seconds, State, Turn,
};

/// Something that somebody does.
#[derive(Clone, Debug)]
enum Step {
    Join,
    JoinAgain(u8),
    Move(i64),
    Issue(usize),
    End(usize),
    Sweep,
    Wait(u32),
    Reset,
    Restore,
    SetState(State),
    /// By the inlet, while every third place is absent.
    LetIn(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Join),
        2 => any::<u8>().prop_map(Step::JoinAgain),
        4 => (-4..12_i64).prop_map(Step::Move),
        8 => any::<usize>().prop_map(Step::Issue),
        2 => any::<usize>().prop_map(Step::End),
        4 => Just(Step::Sweep),
        4 => (0..150_u32).prop_map(Step::Wait),
        1 => Just(Step::Reset),
        1 => Just(Step::Restore),
        1 => prop::sample::select(State::ALL.to_vec()).prop_map(Step::SetState),
        2 => (0..6_u32).prop_map(Step::LetIn),
    ]
}

/// A room, all that happened in it, and what it must be like.
struct Story {
    room: Room,
    rules: Rules,
    now: Seconds,
    next: u64,
    events: Vec<Event>,
    moved: i64,
    joined: Vec<RequestId>,
    keyed: HashMap<u8, RequestId>,
    /// Whether no reset was undone.
    is_plain: bool,
    /// How many turns were passed on.
    passed: i64,
}

impl Story {
    fn new(rules: Rules) -> Self {
        let (room, events, joined, keyed) = Default::default();
        Self { room, rules, now: 1000, next: 1, events, moved: 0, joined, keyed, is_plain: true, passed: 0 }
    }

    fn happen(&mut self, event: Event) {
        self.room.apply(&event);
        self.passed += match &event {
            Event::Swept { passed_on, .. } => i64::from(*passed_on),
            Event::Skipped { positions, .. } => i64::try_from(positions.len()).unwrap(),
            _ => 0,
        };
        self.events.push(event);
    }

    fn join(&mut self, key: Option<u8>) {
        let id = id(self.next);
        self.next += 1;
        match self.room.join(id, key.map(|key| JoinKey([key; 16])), self.now) {
            Err(_) => assert!(matches!(self.room.state(), State::Idle | State::Closed)),
            Ok(Joining::Known(known)) => assert!(!self.is_plain || self.keyed.get(&key.unwrap()) == Some(&known)),
            Ok(Joining::New(event)) => {
                self.happen(event);
                self.joined.push(id);
                if let Some(key) = key {
                    assert!(self.keyed.insert(key, id).is_none() || !self.is_plain, "it was known");
                }
            }
        }
    }

    fn someone(&self, which: usize) -> Option<RequestId> {
        self.joined.get(which.checked_rem(self.joined.len())?).copied()
    }

    fn step(&mut self, step: &Step) {
        let (now, rules) = (self.now, self.rules);
        match *step {
            Step::Join => self.join(None),
            Step::JoinAgain(key) => self.join(Some(key % 8)),
            Step::Move(by) => {
                self.moved += by;
                let event = self.room.move_by(by, now, Cause::Operator, &rules);
                if let Some(event) = event {
                    self.happen(event);
                }
            }
            Step::Issue(which) => {
                let Some(id) = self.someone(which) else { return };
                let turn = self.room.turn_of(id, now, &rules);
                let had = self.room.token(id).is_some();
                match self.room.issue(id, now, (&issuer(), 60), &rules) {
                    Ok(Issuing::New(event)) => {
                        assert!(!had && matches!(turn, Ok(None | Some(Turn::Open(_)))), "{turn:?}");
                        self.happen(event);
                    }
                    Ok(Issuing::Known(token)) => assert_eq!(Some(token), self.room.token(id).map(|(_, token)| token)),
                    Err(Refusal::Expired) => assert!(!had && turn == Ok(Some(Turn::Over))),
                    Err(Refusal::Ended) => assert!(had),
                    Err(Refusal::NotServed | Refusal::Unknown | Refusal::Closed) => {}
                }
            }
            Step::End(which) => {
                let ended = self.someone(which).map(|id| self.room.end(id, Ending::Completed, now));
                if let Some(Ok(event)) = ended {
                    self.happen(event);
                }
            }
            Step::Sweep => {
                while let Some(event) = self.room.sweep(now, &rules) {
                    self.happen(event);
                }
            }
            Step::Wait(seconds) => self.now += seconds,
            Step::Reset => {
                self.happen(self.room.reset(now));
                (self.moved, self.passed) = (0, 0);
                self.joined.clear();
                self.keyed.clear();
            }
            Step::Restore => {}
            Step::LetIn(by) => {
                self.moved += i64::from(by);
                for event in self.room.let_in(by, now, &rules, |position, _| position % 3 > 0) {
                    self.happen(event);
                }
            }
            Step::SetState(state) => {
                if let Some(event) = self.room.set_state(state, now) {
                    self.happen(event);
                }
            }
        }
    }

    /// What holds at any time.
    fn check(&self) {
        let (counters, line) = (self.room.counters(), self.room.line());
        assert_eq!(counters.queue as usize, self.joined.len());
        for (position, id) in (1..).zip(&self.joined) {
            assert_eq!(self.room.find(*id).map(|(position, _)| position), Some(position));
        }
        let with_token = line.places.iter().filter(|place| place.has_token()).count();
        assert_eq!((counters.tokens as usize, line.tokens.len()), (with_token, with_token));
        assert_eq!(counters.serving, self.moved + self.passed, "each turn was given by somebody or passed on");
        if self.rules.compatibility == Compatibility::Mended {
            let passed_over = line.positions().filter(|(position, place)| line.is_passed_over(*position, place));
            assert_eq!(counters.expired, passed_over.count() as u64, "whoever has no turn any more is counted once");
            assert!(counters.waiting() >= 0);
        }
        if self.rules.compatibility == Compatibility::Mended && self.rules.presence.is_none() {
            let swept = line.places.iter().take(counters.swept as usize);
            let unused = swept.filter(|place| place.token == 0).count() as u64;
            assert_eq!(counters.expired, unused, "a turn is passed on once, and only if nobody took it");
        }
        let active = line.tokens.iter().filter(|token| token.ending.is_none() && token.expires >= self.now).count();
        assert_eq!(self.room.active(self.now), active as u64);
        assert_eq!(
            self.room.line().expired(self.now).count(),
            line.tokens.iter().filter(|token| token.expires < self.now).count()
        );
    }
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let compatibility = prop_oneof![Just(Compatibility::Mended), Just(Compatibility::Strict)];
    let expiry = prop_oneof![
        Just(None),
        Just(Some(Expiry { period: PERIOD, pass_on: PassOn::ToTheNext })),
        Just(Some(Expiry { period: 1, pass_on: PassOn::ToTheNext })),
    ];
    let presence = prop_oneof![Just(None), Just(Some(Presence { absent_after: 30, grace: 50 }))];
    (compatibility, expiry, presence).prop_map(|(compatibility, expiry, presence)| Rules {
        expiry,
        compatibility,
        presence,
        ..Rules::default()
    })
}

proptest! {
    #[test]
    fn places_are_unique_and_gapless_and_turns_are_conserved(
        rules in any_rules(),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut story = Story::new(rules);
        for step in &steps {
            story.step(step);
            story.check();
        }
    }

    #[test]
    fn the_log_replayed_from_any_place_gives_the_same_room(
        rules in any_rules(),
        steps in prop::collection::vec(step(), 0..200),
        from in any::<prop::sample::Index>(),
    ) {
        let mut story = Story::new(rules);
        for step in &steps {
            match step {
                Step::Restore => {
                    let event = story.room.restore(story.now);
                    story.is_plain = false;
                    if let Some(event) = event {
                        story.happen(event);
                    }
                }
                step => story.step(step),
            }
        }
        let (mut early, mut late) = (Room::default(), Room::default());
        let (first, rest) = story.events.split_at(from.index(story.events.len() + 1));
        for event in first {
            early.apply(event);
        }
        let before = early.before().map(|before| (before.reset, before.line.clone()));
        let mut early = Room::of(early.version(), early.line().clone(), before);
        for event in rest {
            early.apply(event);
        }
        for event in &story.events {
            late.apply(event);
        }

        for again in [&early, &late] {
            prop_assert_eq!(again.version(), story.room.version());
            prop_assert_eq!(again.line(), story.room.line());
            prop_assert_eq!(again.before().map(|before| &before.line), story.room.before().map(|before| &before.line));
            prop_assert_eq!(again.active(story.now), story.room.active(story.now));
            for id in &story.joined {
                prop_assert_eq!(again.find(*id), story.room.find(*id));
            }
        }
    }
}
