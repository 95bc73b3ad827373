//! Inlets: what raises the serving number by itself.

use crate::{Position, Room, Rules, Seconds, State};

/// Lets so many in, every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periodic {
    /// How many.
    pub by: u32,
    /// Every so many seconds.
    pub every: u32,
    /// Only after this moment.
    pub from: Seconds,
    /// Only before this one, if there is an end.
    pub until: Option<Seconds>,
}

/// Lets in whoever fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxSize {
    /// How many may be in at a time.
    pub size: u32,
}

/// What a site tells of those who left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// How many left, by the site's own account.
    pub exited: Option<u64>,
    /// How many visits ended by this notice, and had not before.
    pub ended: u64,
}

impl Periodic {
    /// By how much the serving number rises now, if it is time.
    pub fn due(&self, room: &Room, now: Seconds) -> Option<u32> {
        let is_within = now > self.from && self.until.is_none_or(|until| now < until);
        let is_time = now.saturating_sub(room.line().inlet_at) >= self.every || self.is_set_back(room, now);
        (is_within && is_time && room.state() == State::Open).then_some(self.by)
    }
}

impl Periodic {
    /// Whether the inlet moved last so far in the future that clocks which differ a little cannot be why: one was set back.
    pub fn is_set_back(&self, room: &Room, now: Seconds) -> bool {
        room.line().inlet_at.saturating_sub(now) > self.every.max(DIFFERENT)
    }
}

/// Seconds by which clocks of nodes may differ.
pub const DIFFERENT: u32 = 60;

impl MaxSize {
    /// How many more fit in: beside visits that go on, those whose turn has come and who may take it yet, and turns that wait
    /// for whoever comes.
    pub fn fits(&self, room: &Room, now: Seconds, rules: &Rules) -> u32 {
        if room.state() != State::Open {
            return 0;
        }
        let inside = room.active(now).saturating_add(room.expected(rules)).saturating_add(room.turns_ahead());
        self.size.saturating_sub(u32::try_from(inside).unwrap_or(u32::MAX))
    }

    /// By how much the serving number of the original moves after a notice, when so many visits go on. It may be less than
    /// nothing.
    pub fn due(&self, notice: Notice, active: u64) -> Option<i64> {
        let Notice { exited, ended } = notice;
        let exited = exited.map(|exited| i64::try_from(exited).unwrap_or(i64::MAX));
        let ended = i64::try_from(ended).unwrap_or(i64::MAX);
        if exited.unwrap_or(0) == 0 && ended == 0 {
            return None;
        }
        let room = i64::from(self.size).saturating_sub(i64::try_from(active).unwrap_or(i64::MAX));
        Some(match exited {
            Some(exited) if exited < room => exited,
            _ if ended < room => ended,
            _ => room,
        })
    }
}

impl Room {
    /// How many have a turn that they may take yet.
    fn expected(&self, rules: &Rules) -> u64 {
        let served = Position::try_from(self.line().serving.max(0)).unwrap_or(Position::MAX);
        if rules.expiry.is_some() {
            return self.unused(self.line().swept, served).into();
        }
        // Nobody's turn is ever over, so that there is nothing to look through but everybody.
        let counters = self.counters();
        let gone = u64::from(counters.tokens).saturating_add(counters.expired);
        u64::from(self.line().called()).saturating_sub(gone)
    }

    /// Turns that wait for whoever comes next.
    pub fn turns_ahead(&self) -> u64 {
        u64::try_from(self.line().serving.saturating_sub(self.line().last().into())).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{id, issue, join_all, mended, move_by};
    use crate::{Cause, Ending, Expiry, PassOn, Rules};

    #[test]
    fn a_periodic_inlet_keeps_to_its_window_and_its_pace() {
        let inlet = Periodic { by: 10, every: 60, from: 1000, until: Some(2000) };
        let mut room = Room::default();
        for (now, due) in [(1000, None), (1001, Some(10)), (1999, Some(10)), (2000, None)] {
            assert_eq!(inlet.due(&room, now), due, "{now}");
        }
        let moved = room.move_by(10, 1001, Cause::Inlet, &Rules::default()).unwrap();
        room.apply(&moved);
        assert_eq!((inlet.due(&room, 1060), inlet.due(&room, 1061)), (None, Some(10)));
        assert_eq!(Periodic { until: None, ..inlet }.due(&room, 9999), Some(10));
        assert_eq!(room.counters().serving, 10);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_no_inlet() {
        let inlet = Periodic { by: 1, every: 10, from: 0, until: None };
        let mut room = Room::default();
        let moved = room.move_by(1, 9000, Cause::Inlet, &Rules::default()).unwrap();
        room.apply(&moved);
        assert_eq!(inlet.due(&room, 8999 - DIFFERENT), Some(1));
        assert_eq!(inlet.due(&room, 9000 - DIFFERENT), None, "clocks of two nodes may differ by that");
        assert_eq!(
            Periodic { every: 600, ..inlet }.due(&room, 8500),
            None,
            "it does not last longer than it would anyway"
        );
        let moved = room.move_by(1, 100, Cause::Inlet, &Rules::default()).unwrap();
        room.apply(&moved);
        assert_eq!((inlet.due(&room, 109), inlet.due(&room, 110)), (None, Some(1)), "it goes on by the clock of now");
    }

    #[test]
    fn an_inlet_of_a_size_knows_who_is_in_who_may_come_in_and_who_never_did() {
        let lost =
            Rules { expiry: mended().expiry.map(|expiry| Expiry { pass_on: PassOn::Lost, ..expiry }), ..mended() };
        for rules in [mended(), lost, Rules { expiry: None, ..mended() }] {
            let (inlet, mut room) = (MaxSize { size: 3 }, Room::default());
            let fill = |room: &mut Room, now| {
                while let Some(event) = room.sweep(now, &rules) {
                    room.apply(&event);
                }
                let by = inlet.fits(room, now, &rules);
                move_by(room, by.into(), now, &rules);
                (by, inlet.fits(room, now, &rules))
            };
            assert_eq!(fill(&mut room, 1000), (3, 0), "it is filled at the start");
            join_all(&mut room, 1..=9, 1000);
            assert_eq!(fill(&mut room, 1001).0, 0, "who may come in counts as in");
            assert_eq!(issue(&mut room, 1, 1002, &rules), Ok(1));
            assert_eq!(issue(&mut room, 3, 1002, &rules), Ok(3));
            assert_eq!(fill(&mut room, 1003).0, 0);
            let ended = room.end(id(1), Ending::Completed, 1004).unwrap();
            room.apply(&ended);
            assert_eq!((fill(&mut room, 1004), room.counters().serving), ((1, 0), 4));
            if rules.expiry.is_some() {
                fill(&mut room, 1101);
                assert_eq!(room.counters().serving, 5, "the second never came");
                fill(&mut room, 1105);
                assert_eq!(room.counters().serving, 6, "nor did the fourth");
            }
            let paused = room.set_state(State::Paused, 1106).unwrap();
            room.apply(&paused);
            assert_eq!(inlet.fits(&room, 9999, &rules), 0);
            let open = room.set_state(State::Open, 9999).unwrap();
            room.apply(&open);
            assert_eq!(MaxSize { size: 1 }.fits(&room, 4000, &rules), 0, "what was given is not taken back");
            let before = room.counters().serving;
            fill(&mut room, 4603);
            assert!(room.counters().serving > before, "the token of the third does not hold any more");
        }
    }

    #[test]
    fn an_inlet_of_a_size_lets_in_who_left_by_a_notice_as_the_original_does() {
        let inlet = MaxSize { size: 100 };
        for (exited, ended, active, due) in [
            (None, 0, 50, None),
            (Some(0), 0, 50, None),
            (Some(5), 0, 50, Some(5)),
            (Some(60), 0, 50, Some(0)),
            (Some(60), 2, 50, Some(2)),
            (None, 7, 50, Some(7)),
            (None, 70, 50, Some(50)),
            (Some(1), 0, 130, Some(-30)),
        ] {
            assert_eq!(inlet.due(Notice { exited, ended }, active), due, "{exited:?} {ended} {active}");
        }
    }
}
