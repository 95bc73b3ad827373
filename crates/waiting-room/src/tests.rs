//! What a room promises, by examples and by chance.

mod accounts;
mod fair;
mod story;

use std::sync::Arc;

use crate::{
    Cause, Compatibility, Ending, Event, Expiry, Issuing, JoinKey, Joining, Line, PassOn, Position, Refusal, RequestId,
    Room, Rules, Seconds, Turn,
};

const PERIOD: u32 = 100;

fn rules(compatibility: Compatibility, pass_on: PassOn) -> Rules {
    Rules { expiry: Some(Expiry { period: PERIOD, pass_on }), compatibility, ..Rules::default() }
}

pub(crate) fn mended() -> Rules {
    rules(Compatibility::Mended, PassOn::ToTheNext)
}

fn strict() -> Rules {
    rules(Compatibility::Strict, PassOn::ToTheNext)
}

pub(crate) fn id(number: u64) -> RequestId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    RequestId::of(bytes)
}

pub(crate) fn issuer() -> Arc<str> {
    "https://issuer.example".into()
}

pub(crate) fn join(room: &mut Room, number: u64, at: Seconds) -> Position {
    match room.join(id(number), None, at).unwrap() {
        Joining::New(event) => room.apply(&event),
        Joining::Known(id) => panic!("{id} is there"),
    }
    room.find(id(number)).unwrap().0
}

pub(crate) fn join_all(room: &mut Room, numbers: std::ops::RangeInclusive<u64>, at: Seconds) {
    for number in numbers {
        join(room, number, at);
    }
}

pub(crate) fn move_by(room: &mut Room, by: i64, at: Seconds, rules: &Rules) {
    if let Some(event) = room.move_by(by, at, Cause::Operator, rules) {
        room.apply(&event);
    }
}

pub(crate) fn issue(room: &mut Room, number: u64, now: Seconds, rules: &Rules) -> Result<Position, Refusal> {
    let issuing = room.issue(id(number), now, (&issuer(), 3600), rules)?;
    if let Issuing::New(event) = issuing {
        room.apply(&event);
    }
    Ok(room.token(id(number)).unwrap().0)
}

fn sweep(room: &mut Room, now: Seconds, rules: &Rules) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = room.sweep(now, rules) {
        room.apply(&event);
        events.push(event);
    }
    events
}

fn figures(room: &Room) -> (i64, u64, Position, i64) {
    let counters = room.counters();
    (counters.serving, counters.expired, counters.swept, counters.waiting())
}

#[test]
fn places_are_given_from_one_in_the_order_of_arrival() {
    let mut room = Room::default();
    assert_eq!((1..=100).map(|number| join(&mut room, number, 5)).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!((room.counters().queue, room.counters().waiting()), (100, 100));
    assert!(room.join(id(7), None, 5).is_err(), "an id is one visitor's");
}

#[test]
fn a_join_that_is_repeated_by_its_key_is_the_same_place() {
    let mut room = Room::default();
    let key = Some(JoinKey([1; 16]));
    let Ok(Joining::New(event)) = room.join(id(1), key, 5) else { panic!() };
    room.apply(&event);
    assert_eq!(room.join(id(2), key, 9), Ok(Joining::Known(id(1))));
    assert_eq!(room.counters().queue, 1);
}

#[test]
fn a_turn_begins_when_both_the_visitor_is_there_and_the_number_is_reached() {
    for rules in [mended(), strict()] {
        let mut room = Room::default();
        join(&mut room, 1, 1000);
        move_by(&mut room, 2, 1050, &rules);
        join(&mut room, 2, 1080);

        assert_eq!(room.turn_of(id(1), 1060, &rules), Ok(Some(Turn::Open(90))));
        assert_eq!(room.turn_of(id(1), 1150, &rules), Ok(Some(Turn::Open(0))));
        assert_eq!(room.turn_of(id(1), 1151, &rules), Ok(Some(Turn::Over)));
        assert_eq!(room.turn_of(id(2), 1151, &rules), Ok(Some(Turn::Open(29))));
        assert_eq!(room.turn_of(id(3), 1151, &rules), Err(Refusal::Unknown));
        join(&mut room, 3, 1080);
        assert_eq!(room.turn_of(id(3), 9999, &rules), Err(Refusal::NotServed));
    }
}

#[test]
fn each_increment_has_a_clock_of_its_own() {
    let mut room = Room::default();
    join_all(&mut room, 1..=4, 1000);
    move_by(&mut room, 2, 1000, &mended());
    move_by(&mut room, 2, 1060, &mended());
    assert_eq!(issue(&mut room, 2, 1101, &mended()), Err(Refusal::Expired));
    assert_eq!(issue(&mut room, 3, 1101, &mended()), Ok(3));
}

#[test]
fn a_token_that_was_issued_is_issued_again_whatever_the_clock_says() {
    let mut room = Room::default();
    join(&mut room, 1, 1000);
    move_by(&mut room, 1, 1000, &mended());
    issue(&mut room, 1, 1000, &mended()).unwrap();
    let first = room.token(id(1)).unwrap();
    sweep(&mut room, 9000, &mended());
    issue(&mut room, 1, 9000, &mended()).unwrap();
    assert_eq!((room.token(id(1)).unwrap(), room.counters().tokens), (first, 1));
}

#[test]
fn turns_that_nobody_takes_are_passed_on() {
    for rules in [mended(), strict()] {
        let mut room = Room::default();
        join_all(&mut room, 1..=6, 1000);
        move_by(&mut room, 4, 1000, &rules);
        issue(&mut room, 1, 1000, &rules).unwrap();
        issue(&mut room, 2, 1000, &rules).unwrap();
        assert_eq!(sweep(&mut room, 1099, &rules), []);

        let events = sweep(&mut room, 1101, &rules);

        assert!(matches!(events[..], [Event::Swept { up_to: 4, passed_on: 2, .. }]), "{events:?}");
        assert_eq!(figures(&room), (6, 2, 4, 2));
        assert_eq!(issue(&mut room, 3, 1101, &rules), Err(Refusal::Expired));
        assert_eq!(issue(&mut room, 4, 1101, &rules), Err(Refusal::Expired));
        assert_eq!(room.turn_of(id(5), 1101, &rules), Ok(Some(Turn::Open(PERIOD))));
        assert_eq!(issue(&mut room, 6, 1201, &rules), Ok(6));
    }
}

#[test]
fn turns_are_lost_that_are_not_passed_on() {
    let rules = rules(Compatibility::Mended, PassOn::Lost);
    let mut room = Room::default();
    join_all(&mut room, 1..=6, 1000);
    move_by(&mut room, 4, 1000, &rules);
    sweep(&mut room, 1101, &rules);
    assert_eq!(figures(&room), (4, 0, 4, 6));
}

#[test]
fn a_serving_number_ahead_of_the_line_does_not_stop_the_sweep() {
    let stand = |rules: &Rules| {
        let mut room = Room::default();
        move_by(&mut room, 10, 1000, rules);
        join_all(&mut room, 1..=3, 1000);
        sweep(&mut room, 1101, rules);
        let after = figures(&room);
        join(&mut room, 4, 1150);
        (after, issue(&mut room, 4, 1150, rules))
    };
    assert_eq!(stand(&mended()), ((13, 3, 3, 0), Ok(4)));
    assert_eq!(stand(&strict()), ((10, 0, 0, 3), Ok(4)));
}

#[test]
fn an_increment_of_nothing_restarts_no_clock_unless_strictly() {
    for (rules, expected) in [(mended(), Err(Refusal::Expired)), (strict(), Ok(1))] {
        let mut room = Room::default();
        join(&mut room, 1, 1000);
        move_by(&mut room, 1, 1000, &rules);
        move_by(&mut room, 0, 1090, &rules);
        assert_eq!(issue(&mut room, 1, 1150, &rules), expected);
    }
}

#[test]
fn who_took_a_turn_is_not_forgotten_when_the_number_goes_down_and_up() {
    for (rules, passed_on) in [(mended(), 1), (strict(), 2)] {
        let mut room = Room::default();
        join_all(&mut room, 1..=3, 1000);
        move_by(&mut room, 2, 1000, &rules);
        issue(&mut room, 1, 1000, &rules).unwrap();
        move_by(&mut room, -1, 1010, &rules);
        move_by(&mut room, 1, 1020, &rules);
        let events = sweep(&mut room, 1121, &rules);
        let passed = events.iter().map(|event| if let Event::Swept { passed_on, .. } = event { *passed_on } else { 0 });
        assert_eq!(passed.sum::<u32>(), passed_on);
    }
}

#[test]
fn a_token_outlives_a_serving_number_that_was_lowered_unless_strictly() {
    for (rules, expected) in [(mended(), Ok(1)), (strict(), Err(Refusal::NotServed))] {
        let mut room = Room::default();
        join(&mut room, 1, 1000);
        move_by(&mut room, 1, 1000, &rules);
        issue(&mut room, 1, 1000, &rules).unwrap();
        move_by(&mut room, -5, 1000, &rules);
        assert_eq!(issue(&mut room, 1, 1001, &rules), expected);
        assert_eq!(room.counters().serving, -4);
    }
}

#[test]
fn a_visit_ends_once() {
    let mut room = Room::default();
    join(&mut room, 1, 1000);
    move_by(&mut room, 1, 1000, &mended());
    assert!(room.end(id(1), Ending::Completed, 9).is_err(), "there is no token");
    issue(&mut room, 1, 1000, &mended()).unwrap();
    assert_eq!((room.active(4600), room.active(4601), room.line().expired(4600).count()), (1, 0, 0));

    let ended = room.end(id(1), Ending::Completed, 9).unwrap();
    room.apply(&ended);

    assert!(room.end(id(1), Ending::Abandoned, 9).is_err());
    assert_eq!(issue(&mut room, 1, 1001, &mended()), Err(Refusal::Ended));
    assert_eq!((room.active(1001), room.counters().completed, room.counters().abandoned), (0, 1, 0));
    assert!(room.line().expired(4601).eq([id(1)]));
}

#[test]
fn a_reset_begins_anew_and_can_be_undone_for_an_hour() {
    let mut room = Room::default();
    join_all(&mut room, 1..=3, 1000);
    move_by(&mut room, 2, 1000, &mended());
    issue(&mut room, 1, 1000, &mended()).unwrap();
    let before = room.line().clone();

    room.apply(&room.reset(2000));

    assert_eq!((room.line(), room.find(id(1))), (&Line::default(), None));
    assert_eq!(join(&mut room, 9, 2001), 1);
    assert_eq!(room.restore(5600), None);
    let restored = room.restore(5599).unwrap();
    room.apply(&restored);
    assert_eq!(room.find(id(9)).unwrap().0, 4, "who came since is behind the others");
    assert_eq!((room.line().tokens.clone(), room.counters().serving), (before.tokens, 2));
    assert_eq!(room.restore(5599), None);

    room.apply(&room.reset(6000));
    join(&mut room, 10, 9599);
    assert!(room.before().is_some());
    join(&mut room, 11, 9600);
    assert!(room.before().is_none(), "it is not kept in vain");
}

#[test]
fn a_line_is_another_one_after_a_reset_and_itself_again_when_that_is_undone_whoever_joins_meanwhile() {
    let mut room = Room::default();
    assert_eq!(room.line().fingerprint(), 0);
    join_all(&mut room, 1..=3, 1000);
    let first = room.line().fingerprint();
    join(&mut room, 4, 1001);
    assert_eq!(room.line().fingerprint(), first, "who comes later changes nothing");
    room.apply(&room.reset(2000));
    assert_eq!(room.line().fingerprint(), 0);
    join_all(&mut room, 5..=13, 2000);
    let second = room.line().fingerprint();
    assert!(second != 0 && second != first);
    let restored = room.restore(2001).unwrap();
    room.apply(&restored);
    assert_eq!(room.line().fingerprint(), first);
}

#[test]
fn a_reset_that_is_repeated_before_anybody_came_is_undone_with_the_first() {
    let mut room = Room::default();
    join_all(&mut room, 1..=3, 1000);
    room.apply(&room.reset(2000));
    move_by(&mut room, 1, 2001, &mended());
    room.apply(&room.reset(2002));
    assert_eq!(room.restore(5602), None);
    let restored = room.restore(5601).unwrap();
    room.apply(&restored);
    assert_eq!((room.find(id(3)).map(|(position, _)| position), room.counters().serving), (Some(3), 0));

    room.apply(&room.reset(6000));
    join(&mut room, 4, 6001);
    room.apply(&room.reset(6002));
    let restored = room.restore(6003).unwrap();
    room.apply(&restored);
    assert_eq!(
        (room.find(id(4)).map(|(position, _)| position), room.find(id(3))),
        (Some(1), None),
        "as it was before it"
    );

    room.apply(&room.reset(6004));
    room.apply(&room.reset(9604));
    let restored = room.restore(9605).unwrap();
    room.apply(&restored);
    assert_eq!(room.counters().queue, 0, "the first was for good by then");
}

#[test]
fn a_place_that_the_log_lost_is_nobody_s() {
    let mut room = Room::default();
    room.apply(&Event::Joined { position: 3, id: id(1), key: None, at: 5 });
    assert_eq!((room.find(id(1)).unwrap().0, room.find(RequestId::default())), (3, None));
    let again = Room::of(room.version(), room.line().clone(), None);
    assert_eq!((again.find(id(1)).unwrap().0, again.find(RequestId::default())), (3, None));
}
