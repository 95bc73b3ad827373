//! Lots and lanes: what must hold whoever comes in whatever order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use proptest::prelude::*;

use super::{id, join, mended, move_by};
use crate::{
    Draft, EVERYBODY, Entry, Event, Invite, InviteId, JoinKey, Joining, Lane, LaneKind, Lanes, Lot, Lottery, NotJoined,
    Refusal, Room, Rules, Schedule, Seed, State, Unfair,
};

const SEED: Seed = Seed([7; 32]);

fn scheduled() -> Rules {
    Rules { schedule: Schedule { pre_queue: Some(100), opens: Some(200), closes: None }, ..Rules::default() }
}

/// A room in which visitors gather, at the second 100.
fn gathering() -> Room {
    let mut room = Room::default();
    let event = room.state_due(100, &scheduled()).unwrap();
    room.apply(&event);
    let event = room.commit(|| Some(SEED), Lottery::BeforeOpening).unwrap();
    room.apply(&event);
    room
}

fn come(room: &mut Room, number: u64, entry: &Entry<'_>) -> Result<(), NotJoined> {
    if let Joining::New(event) = room.join_by(id(number), None, 100, entry)? {
        room.apply(&event);
    }
    Ok(())
}

fn open(room: &mut Room) {
    let event = room.state_due(200, &scheduled()).unwrap();
    room.apply(&event);
}

fn draw(room: &mut Room, lanes: Option<&Lanes>) {
    let event = room.draw("".into(), lanes, 200).unwrap();
    room.apply(&event);
}

fn lanes() -> Lanes {
    let lane = |name: &str, weight, quota, kind| Lane { name: name.into(), weight, quota, kind };
    Lanes::of(vec![lane("vip", 10, Some(50), LaneKind::Preferred), lane("slow", 5, None, LaneKind::Slow)])
}

fn by<'a>(lanes: &'a Lanes, lane: &'a str) -> Entry<'a> {
    Entry { lanes: Some(lanes), lane: (lane != EVERYBODY).then_some(lane), invite: None }
}

fn lots(room: &Room) -> (Arc<crate::Drawn>, Vec<Lot>) {
    let drawn = room.line().hall.drawn.clone().unwrap();
    let lots = room.lots(&drawn, 0, u32::MAX).into_iter();
    (drawn, lots.map(|(position, id, lane)| Lot { position, tag: crate::Tag::of(id), lane }).collect())
}

#[test]
fn who_came_before_opening_draws_lots_and_who_comes_later_is_behind() {
    let mut room = gathering();
    for number in 1..=100 {
        come(&mut room, number, &Entry::default()).unwrap();
    }
    let key = JoinKey([9; 16]);
    let Ok(Joining::New(event)) = room.join(id(101), Some(key), 100) else { panic!() };
    room.apply(&event);
    assert_eq!(room.join(id(102), Some(key), 100), Ok(Joining::Known(id(101))), "one join, before the draw, too");
    assert_eq!(room.join(id(7), None, 100), Err(NotJoined::IdTaken));
    assert_eq!((room.counters().queue, room.counters().registered, room.counters().waiting()), (0, 101, 101));
    assert_eq!(room.find(id(1)), None);
    assert_eq!(room.issue(id(1), 150, (&"i".into(), 60), &mended()), Err(Refusal::NotServed));

    open(&mut room);
    come(&mut room, 200, &Entry::default()).unwrap();
    assert_eq!(room.find(id(200)), None, "the draw is not made yet");
    draw(&mut room, None);
    assert_eq!(join(&mut room, 201, 200), 103);

    let places: BTreeSet<_> = (1..=101).map(|number| room.find(id(number)).unwrap().0).collect();
    assert!(places.into_iter().eq(1..=101));
    assert_eq!(room.find(id(200)).unwrap().0, 102, "who came after the opening is behind those who drew");
    assert_eq!(room.join(id(300), Some(key), 300), Ok(Joining::Known(id(101))), "one join, after the draw, too");
    assert_eq!(room.counters().registered, 0);
    let in_order = (1..=100).map(|number| room.find(id(number)).unwrap().0);
    assert!(!in_order.is_sorted(), "who came first is not first");
    assert_eq!(room.commit(|| Some(SEED), Lottery::BeforeOpening), None, "there is one draw");
}

#[test]
fn a_draw_can_be_checked_by_whoever_has_what_is_published() {
    let mut room = gathering();
    for number in 1..=50 {
        come(&mut room, number, &by(&lanes(), ["", "vip", "slow", "", ""][usize::try_from(number).unwrap() % 5]))
            .unwrap();
    }
    open(&mut room);
    draw(&mut room, Some(&lanes()));
    let (drawn, lots) = lots(&room);
    let commitment = SEED.commitment();
    assert_eq!((lots.len(), drawn.verify(&commitment, &lots)), (50, Ok(())));

    let refused = |change: &dyn Fn(&mut Vec<Lot>)| {
        let mut lots = lots.clone();
        change(&mut lots);
        drawn.verify(&commitment, &lots).unwrap_err()
    };
    assert_eq!(drawn.verify(&Seed([8; 32]).commitment(), &lots), Err(Unfair::OtherSeed));
    assert!(matches!(refused(&|lots| lots.swap(3, 9)), Unfair::OtherOrder { number: 4, .. }));
    assert!(matches!(refused(&|lots| lots.truncate(49)), Unfair::OtherCount { told: 50, there: 49 }));
    assert!(matches!(refused(&|lots| lots[4].tag = lots[5].tag), Unfair::Twice(_)));
    assert!(matches!(refused(&|lots| lots[4].position += 1), Unfair::OtherPlace { .. }));
    let slow = lots.iter().position(|lot| &*lot.lane == "slow").unwrap();
    assert!(matches!(refused(&|lots| lots[slow].lane = "vip".into()), Unfair::OtherPlace { .. }));
    let other = crate::Drawn { public: "another value".into(), ..(*drawn).clone() };
    assert!(matches!(other.verify(&commitment, &lots), Err(Unfair::OtherOrder { .. })));
}

#[test]
fn a_draw_that_was_made_ready_is_the_one_that_the_log_says() {
    let mut room = gathering();
    for number in 1..=200 {
        come(&mut room, number, &by(&lanes(), if number % 3 == 0 { "slow" } else { "" })).unwrap();
    }
    open(&mut room);
    let event = room.draw("value".into(), Some(&lanes()), 200).unwrap();
    let Event::Drawn { public, lanes: weighed, at } = &event else { panic!() };
    let draft = Draft::of(room.line(), public, weighed, *at);
    let mut again = Room::of(room.version(), room.line().clone(), None);
    for number in 201..=210 {
        come(&mut room, number, &by(&lanes(), "slow")).unwrap();
        come(&mut again, number, &by(&lanes(), "slow")).unwrap();
    }

    room.apply_with(&event, Some(draft));
    again.apply(&event);

    assert_eq!(room.line(), again.line());
    for number in 1..=210 {
        assert_eq!(room.find(id(number)), again.find(id(number)));
        assert!(room.find(id(number)).is_some());
    }
}

#[test]
fn a_reset_before_the_draw_and_its_undoing_lose_nobody() {
    let mut room = gathering();
    for number in 1..=3 {
        come(&mut room, number, &Entry::default()).unwrap();
    }
    room.apply(&room.reset(120));
    assert_eq!(room.counters().registered, 0);
    let event = room.commit(|| Some(Seed([8; 32])), Lottery::BeforeOpening).unwrap();
    room.apply(&event);
    come(&mut room, 4, &Entry::default()).unwrap();
    let event = room.restore(130).unwrap();
    room.apply(&event);
    assert_eq!((room.counters().registered, room.line().hall.seed), (4, Some(SEED)), "with the seed of before");
    open(&mut room);
    let gathered = room.line().fingerprint();
    draw(&mut room, None);
    assert!(![0, gathered].contains(&room.line().fingerprint()), "what those who drew have is another line");
    assert!((1..=4).all(|number| room.find(id(number)).is_some()));
}

/// Everybody has a place, those of `first` before those of `then`.
fn expect_behind(room: &Room, first: std::ops::RangeInclusive<u64>, then: std::ops::RangeInclusive<u64>) {
    let place = |number| room.find(id(number)).unwrap().0;
    assert!(first.map(place).max() < then.map(place).min());
}

#[test]
fn there_is_one_draw_until_everything_begins_anew() {
    let mut room = gathering();
    come(&mut room, 1, &Entry::default()).unwrap();
    open(&mut room);
    draw(&mut room, None);
    let (drawn, _) = lots(&room);
    for (state, at) in [(State::PreQueue, 300), (State::Open, 310)] {
        let event = room.set_state(state, at).unwrap();
        room.apply(&event);
        assert_eq!((room.commit(|| Some(Seed([8; 32])), Lottery::BeforeOpening), room.close_hall()), (None, None));
        join(&mut room, u64::from(at), at);
    }
    assert_eq!((room.find(id(300)).unwrap().0, lots(&room).0), (2, drawn), "what was published stays as it was");
    room.apply(&room.reset(400));
    let event = room.set_state(State::PreQueue, 410).unwrap();
    room.apply(&event);
    assert!(room.commit(|| Some(Seed([8; 32])), Lottery::BeforeOpening).is_some());
}

#[test]
fn a_draw_that_was_made_ready_knows_who_took_their_turn_meanwhile() {
    let mut room = Room::default();
    join(&mut room, 1, 50);
    join(&mut room, 2, 50);
    move_by(&mut room, 1, 50, &mended());
    let event = room.state_due(100, &scheduled()).unwrap();
    room.apply(&event);
    let event = room.commit(|| Some(SEED), Lottery::BeforeOpening).unwrap();
    room.apply(&event);
    for number in 3..=50 {
        come(&mut room, number, &Entry::default()).unwrap();
    }
    open(&mut room);
    let event = room.draw("value".into(), None, 200).unwrap();
    let Event::Drawn { public, lanes, at } = &event else { panic!() };
    let draft = Draft::of(room.line(), public, lanes, *at);
    super::issue(&mut room, 1, 200, &mended()).unwrap();
    let mut again = Room::of(room.version(), room.line().clone(), None);

    room.apply_with(&event, Some(draft));
    again.apply(&event);

    assert_eq!(room.line(), again.line());
    assert!(room.token(id(1)).is_some());
    assert_eq!((room.find(id(2)).unwrap().0, room.counters().queue), (2, 50));
}

#[test]
fn a_reset_of_a_room_that_rests_before_it_opens_and_its_undoing_leave_everybody_their_lot() {
    let mut room = gathering();
    for number in 1..=3 {
        come(&mut room, number, &Entry::default()).unwrap();
    }
    let event = room.set_state(State::Paused, 110).unwrap();
    room.apply(&event);
    room.apply(&room.reset(120));
    let event = room.commit(|| Some(Seed([8; 32])), Lottery::BeforeOpening).unwrap();
    room.apply(&event);
    come(&mut room, 4, &Entry::default()).unwrap();
    assert_eq!(room.counters().registered, 1, "who comes after the reset draws a lot");
    let event = room.restore(130).unwrap();
    room.apply(&event);
    come(&mut room, 5, &Entry::default()).unwrap();
    assert_eq!((room.counters().registered, room.counters().queue), (5, 0), "and so does who comes after its undoing");
    let event = room.set_state(State::Open, 140).unwrap();
    assert!(matches!(event, Event::Opened { .. }), "it opens for those who gathered");
}

#[test]
fn who_came_after_a_reset_and_the_opening_is_behind_those_who_gathered_before_it() {
    let lottery = |room: &mut Room, lottery| {
        if let Some(event) = room.commit(|| Some(Seed([8; 32])), lottery).or_else(|| room.close_hall()) {
            room.apply(&event);
        }
    };
    for of_since in [Lottery::BeforeOpening, Lottery::default()] {
        let mut room = gathering();
        for number in 1..=20 {
            come(&mut room, number, &Entry::default()).unwrap();
        }
        room.apply(&room.reset(150));
        lottery(&mut room, of_since);
        open(&mut room);
        lottery(&mut room, of_since);
        let key = Some(JoinKey([9; 16]));
        for (number, key) in [(21, None), (22, key), (23, None)] {
            let Ok(Joining::New(event)) = room.join(id(number), key, 210) else { panic!() };
            room.apply(&event);
        }
        let event = room.restore(220).unwrap();
        room.apply(&event);
        assert_eq!(room.join(id(99), key, 225), Ok(Joining::Known(id(22))));
        come(&mut room, 24, &Entry::default()).unwrap();
        draw(&mut room, None);
        assert_eq!(lots(&room).0.visitors, 20);
        expect_behind(&room, 1..=20, 21..=24);
        assert_eq!(room.join(id(99), key, 230), Ok(Joining::Known(id(22))));
        assert_eq!([21, 22, 23, 24].map(|number| room.find(id(number)).unwrap().0), [21, 22, 23, 24]);
    }
}

#[test]
fn those_who_gathered_have_places_when_everybody_passes_too() {
    let mut room = gathering();
    come(&mut room, 1, &Entry::default()).unwrap();
    assert_eq!(room.close_hall(), None);
    let event = room.set_state(State::PassingEverybody, 150).unwrap();
    room.apply(&event);
    let event = room.close_hall().unwrap();
    room.apply(&event);
    draw(&mut room, None);
    assert!(room.issue(id(1), 150, (&"i".into(), 60), &mended()).is_ok());
}

#[test]
fn an_invite_is_good_for_so_many_places_and_a_lane_has_so_many() {
    let (lanes, mut room) = (lanes(), Room::default());
    let invite = |uses| Some(Invite { id: InviteId([1; 16]), uses });
    let vip = |uses| Entry { invite: invite(uses), ..by(&lanes, "vip") };
    come(&mut room, 1, &vip(2)).unwrap();
    come(&mut room, 2, &vip(2)).unwrap();
    let before = room.line().clone();
    assert_eq!(come(&mut room, 3, &vip(2)), Err(NotJoined::InviteUsed));
    assert_eq!(come(&mut room, 3, &by(&lanes, "gold")), Err(NotJoined::NoLane));
    assert_eq!(*room.line(), before, "what is refused changes nothing");
    for number in 3..=50 {
        come(&mut room, number, &vip(1000)).unwrap();
    }
    assert_eq!(come(&mut room, 51, &vip(1000)), Err(NotJoined::LaneFull));
    let again = Room::of(room.version(), room.line().clone(), None);
    assert_eq!(again.join_by(id(51), None, 1, &vip(50)), Err(NotJoined::InviteUsed), "after a restart, too");
}

#[test]
fn everybody_comes_in_order_and_a_lane_has_its_share_while_others_wait() {
    let (lanes, mut room) = (lanes(), Room::default());
    for number in 1..=1000 {
        come(&mut room, number, &by(&lanes, "slow")).unwrap();
    }
    for number in 1001..=3000 {
        come(&mut room, number, &by(&lanes, EVERYBODY)).unwrap();
    }
    for number in 3001..=3050 {
        come(&mut room, number, &by(&lanes, "vip")).unwrap();
    }
    move_by(&mut room, 1000, 10, &mended());
    let served = |from: u64, until: u64| {
        let of_lane =
            (from..=until).filter(|number| i64::from(room.find(id(*number)).unwrap().0) <= room.counters().serving);
        of_lane.count()
    };
    let (slow, everybody, vip) = (served(1, 1000), served(1001, 3000), served(3001, 3050));
    assert_eq!(slow + everybody + vip, 1000, "a thousand turns are a thousand visitors");
    assert_eq!(vip, 50, "who is invited waits least");
    assert!((50..=56).contains(&slow), "{slow} of 5 %");
}

#[derive(Clone, Debug)]
enum Step {
    Come(usize),
    Move(i64),
    Take(usize),
    Relane(bool),
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_usize..3).prop_map(Step::Come),
        3 => (-3_i64..12).prop_map(Step::Move),
        3 => any::<usize>().prop_map(Step::Take),
        1 => any::<bool>().prop_map(Step::Relane),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn numbers_are_unique_and_a_turn_is_a_visitor_whoever_comes(steps in prop::collection::vec(step(), 1..200)) {
        let (with, without, rules) = (lanes(), Lanes::default(), mended());
        let (mut room, mut log, mut has_lanes, mut now) = (Room::default(), Vec::new(), false, 1000);
        let mut places = HashMap::new();
        for step in steps {
            let number = places.len() as u64 + 1;
            let before = room.counters();
            let event = match step {
                Step::Come(lane) => {
                    let entry = if has_lanes { by(&with, [EVERYBODY, "vip", "slow"][lane]) } else { by(&without, EVERYBODY) };
                    match room.join_by(id(number), None, now, &entry) {
                        Ok(Joining::New(event)) => Some(event),
                        Ok(Joining::Known(_)) => unreachable!(),
                        Err(error) => { prop_assert_eq!(error, NotJoined::LaneFull); None }
                    }
                }
                Step::Move(by) => room.move_by(by, now, crate::Cause::Operator, &rules),
                Step::Take(which) if !places.is_empty() => {
                    let who = id(which as u64 % places.len() as u64 + 1);
                    match room.issue(who, now, (&"i".into(), 60), &rules) {
                        Ok(crate::Issuing::New(event)) => Some(event),
                        _ => None,
                    }
                }
                Step::Take(_) => None,
                Step::Relane(to) => { has_lanes = to; None }
                Step::Wait => { now += 150; room.sweep(now, &rules) }
            };
            let Some(event) = event else { continue };
            room.apply(&event);
            log.push(event.clone());
            let after = room.counters();
            match event {
                Event::Joined { position, .. } | Event::Placed { position, .. } => {
                    prop_assert!(!places.values().any(|known| *known == position), "{} is taken", position);
                    prop_assert_eq!(room.find(id(number)).map(|(position, _)| position), Some(position));
                    if i64::from(before.last) < before.serving {
                        prop_assert!(i64::from(position) <= after.serving, "there was a turn");
                    } else {
                        prop_assert!(i64::from(position) > after.serving, "nobody comes before those who wait");
                    }
                    places.insert(number, position);
                }
                Event::Moved { by, .. } if by > 0 && before.serving >= 0 => {
                    let of = |serving: i64| {
                        let served = places.values().filter(|position| i64::from(**position) <= serving);
                        i64::try_from(served.count()).unwrap()
                    };
                    let (before_it, all) = (of(before.serving), i64::try_from(places.len()).unwrap());
                    let (came, waited) = (of(after.serving) - before_it, all - before_it);
                    prop_assert_eq!(came, by.min(waited), "so many visitors more");
                    if by > waited {
                        let last = i64::from(before.last).max(before.serving);
                        prop_assert_eq!(after.serving, last + by - waited, "what is left is for whoever comes");
                    }
                }
                _ => {}
            }
            prop_assert_eq!(after.queue as usize, places.len());
        }
        let again = Room::of(room.version(), room.line().clone(), None);
        let mut replayed = Room::default();
        for event in &log {
            replayed.apply(event);
        }
        prop_assert_eq!(replayed.line(), room.line());
        for (number, position) in &places {
            prop_assert_eq!(again.find(id(*number)).map(|(position, _)| position), Some(*position));
        }
    }
}
