//! Whether a room lets visitors in: its states, who sets them, and what a schedule says.

use crate::{DIFFERENT, Event, Position, Refusal, Room, Rules, Seconds};

/// Whether a room lets visitors in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing has begun: nobody can join.
    Idle,
    /// Visitors gather: they join, and nobody's turn comes.
    PreQueue,
    /// Visitors join, and turns come.
    #[default]
    Open,
    /// Visitors join and keep their places, and no turn can be taken.
    Paused,
    /// It is over: nobody can join, and no turn can be taken.
    Closed,
    /// Whoever comes passes: it is everybody's turn.
    PassingEverybody,
}

/// Who sets a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// The schedule, or its absence.
    #[default]
    Schedule,
    /// An operator.
    Operator,
}

/// When a room changes its state by itself. Without any moment it is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Since when visitors gather.
    pub pre_queue: Option<Seconds>,
    /// Since when turns come.
    pub opens: Option<Seconds>,
    /// Since when it is over.
    pub closes: Option<Seconds>,
}

/// How a room came to the state that it is in, and what of the past still matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Seconds,
    /// Who set it.
    pub by: By,
    /// The first place of those who came before the room opened, until it does.
    pub gathered_from: Option<Position>,
    /// From when to when no turn could be taken, as long as turns of that time may be taken yet: turns do not expire then.
    pub standstills: Vec<(Seconds, Seconds)>,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::PreQueue, Self::Open, Self::Paused, Self::Closed, Self::PassingEverybody];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::PreQueue => "pre-queue",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Closed => "closed",
            Self::PassingEverybody => "passing-everybody",
        }
    }

    /// Whether turns can be taken.
    fn has_turns(self) -> bool {
        match self {
            Self::Open | Self::PassingEverybody => true,
            Self::Idle | Self::PreQueue | Self::Paused | Self::Closed => false,
        }
    }
}

impl Schedule {
    /// What it says of a moment.
    pub fn state(&self, now: Seconds) -> State {
        let is_over = |moment: Option<Seconds>| moment.is_some_and(|moment| moment <= now);
        if is_over(self.closes) {
            return State::Closed;
        }
        match (self.pre_queue, self.opens) {
            (None, None) => State::Open,
            (_, Some(opens)) if opens <= now => State::Open,
            (Some(pre_queue), _) if pre_queue <= now => State::PreQueue,
            (Some(_), _) | (None, Some(_)) => State::Idle,
        }
    }

    /// The next moment at which something changes by it.
    pub fn next(&self, now: Seconds) -> Option<Seconds> {
        [self.pre_queue, self.opens, self.closes].into_iter().flatten().filter(|moment| *moment > now).min()
    }
}

impl Room {
    /// The state that it is in.
    pub fn state(&self) -> State {
        self.line.course.state
    }

    /// The change of state that is due because of the schedule.
    ///
    /// What an operator set holds until an operator sets something else. Only closing comes by itself nevertheless, unless it
    /// was due already when the operator spoke, or everybody passes. Nothing is due at a moment before the last change: whoever
    /// says so began to ask earlier, or has a clock that is slow. Only a clock that is farther back than that was set back.
    pub fn state_due(&self, now: Seconds, rules: &Rules) -> Option<Event> {
        let course = &self.line.course;
        if now < course.since && course.since - now <= DIFFERENT {
            return None;
        }
        let scheduled = rules.schedule.state(now);
        let is_due = match course.by {
            By::Schedule => true,
            By::Operator => {
                let closes_since = rules.schedule.closes.is_some_and(|closes| closes > course.since);
                scheduled == State::Closed && closes_since && course.state != State::PassingEverybody
            }
        };
        (is_due && scheduled != course.state).then(|| self.becomes(scheduled, By::Schedule, now))
    }

    /// Has an operator set a state. None: it is so already.
    pub fn set_state(&self, state: State, at: Seconds) -> Option<Event> {
        let course = &self.line.course;
        (course.state != state || course.by != By::Operator).then(|| self.becomes(state, By::Operator, at))
    }

    /// Has the schedule decide again. None: it does already.
    pub fn follow_schedule(&self, now: Seconds, rules: &Rules) -> Option<Event> {
        let is_held = self.line.course.by == By::Operator;
        is_held.then(|| self.becomes(rules.schedule.state(now), By::Schedule, now))
    }

    fn becomes(&self, state: State, by: By, at: Seconds) -> Event {
        let course = &self.line.course;
        let was_before_opening = match course.state {
            State::Idle | State::PreQueue => true,
            State::Open => false,
            State::Paused | State::Closed | State::PassingEverybody => course.gathered_from.is_some(),
        };
        if state == State::Open && was_before_opening {
            return Event::Opened { by, at };
        }
        Event::StateChanged { state, by, at }
    }

    /// Opens: whoever gathered before is in line from now on.
    pub(crate) fn open(&mut self, by: By, at: Seconds) {
        self.enter_state(State::Open, by, at);
        self.line.course.gathered_from = None;
        self.line.hall.close();
    }

    pub(crate) fn enter_state(&mut self, state: State, by: By, at: Seconds) {
        let first = self.line.last().saturating_add(1);
        let oldest = self.line.rows.values().map(|row| row.issued).min();
        let course = &mut self.line.course;
        if !course.state.has_turns() && at > course.since {
            // Of what was before the oldest turn nobody will ask.
            course.standstills.retain(|(_, until)| oldest.is_some_and(|oldest| *until > oldest));
            match course.standstills.last_mut() {
                Some((_, until)) if *until == course.since => *until = at,
                _ => course.standstills.push((course.since, at)),
            }
        }
        if state == State::PreQueue {
            course.gathered_from.get_or_insert(first);
        }
        (course.state, course.since, course.by) = (state, at, by);
    }

    /// Whether the turn of a place has come, and can be taken at all.
    pub fn served(&self, position: Position) -> Result<(), Refusal> {
        match self.state() {
            State::Idle | State::PreQueue | State::Paused => Err(Refusal::NotServed),
            State::Closed => Err(Refusal::Closed),
            State::Open if i64::from(position) > self.line.serving => Err(Refusal::NotServed),
            State::Open | State::PassingEverybody => Ok(()),
        }
    }

    /// How many seconds a turn could be taken between two moments.
    pub(crate) fn elapsed(&self, from: Seconds, now: Seconds) -> u32 {
        let course = &self.line.course;
        let lasting = (!course.state.has_turns()).then_some((course.since, now));
        let still = course.standstills.iter().copied().chain(lasting);
        let within = still.map(|(begin, end)| end.min(now).saturating_sub(begin.max(from)));
        within.fold(now.saturating_sub(from), u32::saturating_sub)
    }
}

impl Course {
    /// What remains of it when everything begins anew: the state, and who gathers from the first place on.
    pub(crate) fn after_reset(&self) -> Self {
        let gathers = self.state == State::PreQueue || self.gathered_from.is_some();
        let gathered_from = gathers.then_some(1);
        Self { state: self.state, since: self.since, by: self.by, gathered_from, standstills: Vec::new() }
    }

    /// What it is when a reset is undone: the state of now, with what was before. Who gathered before does so yet, unless the
    /// room opened since.
    pub(crate) fn after_restore(self, before: Self, next: Position) -> Self {
        let gathered_from = self.gathered_from.and(before.gathered_from.or(Some(next)));
        let standstills = [before.standstills, self.standstills].concat();
        Self { gathered_from, standstills, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{id, issue, issuer, join, join_all, mended, move_by};
    use crate::{Cause, Issuing, NotJoined, Turn};

    const SCHEDULE: Schedule = Schedule { pre_queue: Some(100), opens: Some(200), closes: Some(900) };

    fn scheduled() -> Rules {
        Rules { schedule: SCHEDULE, ..mended() }
    }

    /// What is due by then.
    fn at(room: &mut Room, now: Seconds, rules: &Rules) -> State {
        if let Some(event) = room.state_due(now, rules) {
            room.apply(&event);
        }
        assert_eq!(room.state_due(now, rules), None, "one change is enough");
        room.state()
    }

    fn set(room: &mut Room, state: State, now: Seconds) {
        let event = room.set_state(state, now).unwrap();
        room.apply(&event);
    }

    #[test]
    fn a_schedule_leads_through_the_states_and_its_parts_may_be_left_out() {
        for (schedule, states) in [
            (SCHEDULE, [State::Idle, State::PreQueue, State::Open, State::Closed]),
            (Schedule::default(), [State::Open; 4]),
            (Schedule { pre_queue: None, ..SCHEDULE }, [State::Idle, State::Idle, State::Open, State::Closed]),
            (Schedule { opens: None, ..SCHEDULE }, [State::Idle, State::PreQueue, State::PreQueue, State::Closed]),
            (Schedule { closes: None, ..SCHEDULE }, [State::Idle, State::PreQueue, State::Open, State::Open]),
        ] {
            assert_eq!([99, 100, 200, 900].map(|now| schedule.state(now)), states, "{schedule:?}");
        }
        assert_eq!([99, 100, 899, 900].map(|now| SCHEDULE.next(now)), [Some(100), Some(200), Some(900), None]);
    }

    #[test]
    fn whoever_began_to_ask_before_a_change_does_not_undo_it_but_a_clock_that_was_set_back_does() {
        let rules = scheduled();
        let mut room = Room::default();
        for (now, then) in [(100, State::PreQueue), (200, State::Open), (900, State::Closed)] {
            let before = room.state();
            assert_eq!(at(&mut room, now, &rules), then);
            assert_eq!([now - 1, now - DIFFERENT].map(|early| at(&mut room, early, &rules)), [then; 2]);
            if now == 900 {
                assert_eq!(at(&mut room, now - DIFFERENT - 1, &rules), before);
            }
        }
    }

    #[test]
    fn who_can_join_and_whose_turn_comes_depends_on_the_state() {
        let rules = scheduled();
        let mut room = Room::default();
        assert_eq!(at(&mut room, 50, &rules), State::Idle);
        assert_eq!(room.join(id(1), None, 50), Err(NotJoined::NotYet));
        assert_eq!(at(&mut room, 100, &rules), State::PreQueue);
        join_all(&mut room, 1..=3, 100);
        move_by(&mut room, 1, 110, &rules);
        assert_eq!(issue(&mut room, 1, 199, &rules), Err(Refusal::NotServed));
        assert_eq!(at(&mut room, 200, &rules), State::Open);
        assert_eq!(issue(&mut room, 1, 200, &rules), Ok(1));
        assert_eq!(issue(&mut room, 2, 200, &rules), Err(Refusal::NotServed));
        set(&mut room, State::PassingEverybody, 210);
        assert_eq!(issue(&mut room, 2, 210, &rules), Ok(2));
        set(&mut room, State::Open, 220);
        assert_eq!(at(&mut room, 900, &rules), State::Closed);
        assert_eq!(room.join(id(4), None, 900), Err(NotJoined::Over));
        assert_eq!(issue(&mut room, 3, 900, &rules), Err(Refusal::Closed));
        assert_eq!(room.turn_of(id(3), 900, &rules), Err(Refusal::Closed));
        let again = room.issue(id(1), 900, (&issuer(), 60), &rules);
        assert!(matches!(again, Ok(Issuing::Known(_))), "a token that was issued goes on to be issued");
    }

    #[test]
    fn a_room_opens_once_for_all_who_gathered() {
        let rules = scheduled();
        let mut room = Room::default();
        at(&mut room, 100, &rules);
        join_all(&mut room, 1..=2, 150);
        assert_eq!(room.line().course.gathered_from, Some(1));
        set(&mut room, State::Paused, 160);
        join(&mut room, 3, 170);
        assert_eq!(room.line().course.gathered_from, Some(1), "it has not opened yet");
        let opens = room.follow_schedule(200, &rules).unwrap();
        assert_eq!(opens, Event::Opened { by: By::Schedule, at: 200 });
        room.apply(&opens);
        assert_eq!(room.line().course.gathered_from, None);
        set(&mut room, State::Paused, 300);
        let goes_on = room.set_state(State::Open, 310).unwrap();
        assert!(matches!(goes_on, Event::StateChanged { state: State::Open, .. }), "{goes_on:?}");
        room.apply(&goes_on);

        let next = Rules { schedule: Schedule { pre_queue: Some(500), opens: Some(600), closes: None }, ..rules };
        let event = room.follow_schedule(500, &next).unwrap();
        room.apply(&event);
        assert_eq!(room.line().course.gathered_from, Some(4), "those who come for the next time");
        assert_eq!(room.state_due(600, &next), Some(Event::Opened { by: By::Schedule, at: 600 }));
    }

    #[test]
    fn what_an_operator_sets_holds_until_an_operator_or_closing_time_ends_it() {
        let rules = scheduled();
        for (state, set_at, then) in [
            (State::Paused, 150, State::Paused),
            (State::Open, 50, State::Open),
            (State::PreQueue, 150, State::PreQueue),
        ] {
            let mut room = Room::default();
            set(&mut room, state, set_at);
            assert_eq!((at(&mut room, 200, &rules), at(&mut room, 900, &rules)), (then, State::Closed), "{state:?}");
        }
        let mut room = Room::default();
        set(&mut room, State::PassingEverybody, 150);
        assert_eq!(at(&mut room, 900, &rules), State::PassingEverybody);
        set(&mut room, State::Open, 950);
        assert_eq!(at(&mut room, 9999, &rules), State::Open, "it was opened again after it had closed");
        let event = room.follow_schedule(9999, &rules).unwrap();
        room.apply(&event);
        assert_eq!((room.state(), room.follow_schedule(9999, &rules)), (State::Closed, None));
    }

    #[test]
    fn no_turn_expires_while_none_can_be_taken() {
        let rules = Rules { schedule: Schedule::default(), ..mended() };
        let mut room = Room::default();
        join_all(&mut room, 1..=2, 1000);
        move_by(&mut room, 1, 1000, &rules);
        set(&mut room, State::Paused, 1060);
        assert_eq!((room.turn_of(id(1), 2000, &rules), room.sweep(9999, &rules)), (Err(Refusal::NotServed), None));
        set(&mut room, State::Closed, 2000);
        set(&mut room, State::Open, 5000);
        assert_eq!(room.line().course.standstills, [(1060, 5000)]);
        assert_eq!(room.turn_of(id(1), 5000, &rules), Ok(Some(Turn::Open(40))));
        assert_eq!((room.sweep(5040, &rules), room.turn_of(id(1), 5041, &rules)), (None, Ok(Some(Turn::Over))));
        let swept = room.sweep(5041, &rules).unwrap();
        room.apply(&swept);
        set(&mut room, State::Paused, 6000);
        set(&mut room, State::Open, 6001);
        assert_eq!(room.line().course.standstills, [(6000, 6001)], "what nobody will ask for is forgotten");
    }

    #[test]
    fn the_state_outlives_a_reset_and_its_undoing() {
        let rules = scheduled();
        let mut room = Room::default();
        at(&mut room, 100, &rules);
        join(&mut room, 1, 100);
        room.apply(&room.reset(150));
        assert_eq!((room.state(), room.line().course.gathered_from), (State::PreQueue, Some(1)));
        set(&mut room, State::Paused, 160);
        let restored = room.restore(170).unwrap();
        room.apply(&restored);
        assert_eq!((room.state(), room.line().course.by), (State::Paused, By::Operator));
    }

    #[test]
    fn inlets_rest_while_no_turn_can_be_taken() {
        let inlet = crate::Periodic { by: 1, every: 1, from: 0, until: None };
        let mut room = Room::default();
        for state in State::ALL {
            if let Some(event) = room.set_state(state, 100) {
                room.apply(&event);
            }
            assert_eq!(inlet.due(&room, 200).is_some(), state == State::Open, "{state:?}");
        }
        assert!(room.move_by(1, 100, Cause::Operator, &mended()).is_some(), "an operator may move it at any time");
    }
}
