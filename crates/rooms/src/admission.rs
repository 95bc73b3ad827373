//! Who is let in by the place that they have, without any front end.

use waiting_room::{Event, NotJoined, Position, Refusal, RequestId, Room, Rules, Seconds, State, Turn};

use crate::{Joiner, KeptRoom, NotLet, Trouble, Wish};

/// What becomes of a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// They are in, by this place.
    In(RequestId),
    /// They wait, by this place.
    Waits(RequestId, Wait),
    /// They have this place, and in this state nobody's turn comes: before the room opens, or while it is paused.
    Held(RequestId, Wait, State),
    /// They have no place, and get none for this request.
    Outside,
    /// Whoever comes passes, with a place or without.
    Passes,
    /// They have no place, and have to prove work for one.
    Unproven,
    /// Nobody gets a place yet.
    TooEarly,
    /// Nobody gets a place any more.
    TooLate,
}

impl Admission {
    /// The place that they have.
    pub(crate) fn id(self) -> Option<RequestId> {
        match self {
            Self::In(id) | Self::Waits(id, _) | Self::Held(id, ..) => Some(id),
            Self::Outside | Self::Passes | Self::Unproven | Self::TooEarly | Self::TooLate => None,
        }
    }
}

/// How somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Their place; 0 before lots are drawn for it.
    pub position: Position,
    /// How many are served before them.
    pub ahead: u64,
}

/// What kind of request somebody comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Somebody opens a page: who has no place gets one.
    Page,
    /// A part of a page, or a program. It gets a place only if its turn comes at once: otherwise each part of a page, and each
    /// try of a program, would be one more in the line.
    Other,
}

/// What becomes of a turn that has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turns {
    /// It is taken.
    Taken,
    /// It is left for who asks with its place.
    Left,
}

/// How a place stands.
enum Standing {
    Inside,
    MayEnter,
    Waits(Wait),
    Held(Wait, State),
    TooLate,
    /// Nobody has it, or what it was good for is over.
    None,
}

impl Standing {
    /// The lower, the better.
    fn rank(&self) -> u64 {
        match self {
            Self::Inside => 0,
            Self::MayEnter => 1,
            Self::Held(Wait { position: 0, .. }, _) => u64::from(Position::MAX) + 2,
            Self::Waits(wait) | Self::Held(wait, _) => u64::from(wait.position) + 1,
            Self::TooLate => u64::MAX - 1,
            Self::None => u64::MAX,
        }
    }
}

impl KeptRoom {
    /// Lets a visitor in whose turn it is, and gives one a place who has none.
    pub async fn admit(&self, known: Option<RequestId>, now: Seconds, arrival: Arrival) -> Result<Admission, Trouble> {
        self.admit_with(known, now, arrival, Joiner::default()).await
    }

    /// As [`Self::admit`], by what a visitor shows beside a place.
    pub async fn admit_with(
        &self,
        known: Option<RequestId>,
        now: Seconds,
        arrival: Arrival,
        joiner: Joiner<'_>,
    ) -> Result<Admission, Trouble> {
        self.be_on_time(now).await?;
        if self.state_now(now)? == State::PassingEverybody {
            return Ok(Admission::Passes);
        }
        self.line_up((known, now), arrival, joiner, Turns::Taken).await
    }

    /// As [`Self::admit`] for a page, but the turn is not taken: who is in has a place by which somebody else takes it.
    pub(crate) async fn await_turn(
        &self,
        known: Option<RequestId>,
        now: Seconds,
        joiner: Joiner<'_>,
    ) -> Result<Admission, Trouble> {
        self.state_now(now)?;
        self.line_up((known, now), Arrival::Page, joiner, Turns::Left).await
    }

    async fn line_up(
        &self,
        (known, now): (Option<RequestId>, Seconds),
        arrival: Arrival,
        joiner: Joiner<'_>,
        turns: Turns,
    ) -> Result<Admission, Trouble> {
        if let Some(id) = known {
            self.seek(|room| room.find(id).is_some()).await?;
            if let Some(admission) = self.by_place(id, now, turns).await? {
                return Ok(admission);
            }
        }
        match self.look(|room| (room.state(), has_turns_left(room)))? {
            (State::Idle, _) => return Ok(Admission::TooEarly),
            (State::Closed, _) => return Ok(Admission::TooLate),
            (_, false) if arrival == Arrival::Other => return Ok(Admission::Outside),
            (State::PreQueue | State::Open | State::Paused | State::PassingEverybody, _) => {}
        }
        if arrival == Arrival::Page && joiner.proof.is_none() && self.settings().fairness.work.is_some() {
            return Ok(Admission::Unproven);
        }
        let id = match self.join_with(joiner, now).await {
            Ok(id) => id,
            Err(Trouble::NotJoined(NotJoined::NotYet)) => return Ok(Admission::TooEarly),
            Err(Trouble::NotJoined(NotJoined::Over)) => return Ok(Admission::TooLate),
            // It is asked for another one.
            Err(Trouble::NotLet(NotLet::NoProof(_))) if arrival == Arrival::Page => return Ok(Admission::Unproven),
            Err(trouble) => return Err(trouble),
        };
        match self.by_place(id, now, turns).await? {
            Some(admission) => Ok(admission),
            // A proof that was used before is no good any more, if its place is not; there is another one.
            None if arrival == Arrival::Page && self.settings().fairness.work.is_some() => Ok(Admission::Unproven),
            None => Ok(Admission::Outside),
        }
    }

    /// What becomes of somebody by a place, whose turn is taken if it has come. None: the place is good for nothing any more.
    async fn by_place(&self, id: RequestId, now: Seconds, turns: Turns) -> Result<Option<Admission>, Trouble> {
        let mut standing = self.standing(id, now)?;
        if let Standing::MayEnter = standing {
            if turns == Turns::Left {
                return Ok(Some(Admission::In(id)));
            }
            standing = match self.take_turn(id, now, Wish::default()).await? {
                Ok(_) => return Ok(Some(Admission::In(id))),
                // The number was lowered, or the room was reset, a moment ago.
                Err(_refused) => self.standing(id, now)?,
            };
        }
        Ok(match standing {
            Standing::Inside => {
                self.entered(id).await?;
                Some(Admission::In(id))
            }
            Standing::Waits(wait) => Some(Admission::Waits(id, wait)),
            Standing::Held(wait, state) => {
                self.seen(wait.position, now);
                Some(Admission::Held(id, wait, state))
            }
            Standing::TooLate => Some(Admission::TooLate),
            // It has come again within that moment.
            Standing::MayEnter => Some(Admission::Outside),
            Standing::None => None,
        })
    }

    /// What becomes of somebody by the place that they have, if nothing has to happen for that.
    pub fn admitted_already(&self, known: Option<RequestId>, now: Seconds) -> Result<Option<Admission>, Trouble> {
        let rules = self.settings().rules;
        self.look_now(now, |room| {
            if room.state() == State::PassingEverybody {
                return Some(Admission::Passes);
            }
            let id = known?;
            match standing(room, id, now, &rules) {
                // One that was taken a moment ago may have to be waited for.
                Standing::Inside => (!self.entering().has(id)).then_some(Admission::In(id)),
                Standing::Waits(wait) => {
                    self.seen(wait.position, now);
                    Some(Admission::Waits(id, wait))
                }
                // It may be over by now.
                Standing::Held(..) | Standing::TooLate | Standing::MayEnter | Standing::None => None,
            }
        })
    }

    /// How somebody stands by the place that they show, without that anything happens. None: to open the page brings them
    /// in, or into the line.
    pub(crate) fn stands(&self, known: Option<RequestId>, now: Seconds) -> Result<Option<Admission>, Trouble> {
        self.state_now(now)?;
        let rules = self.settings().rules;
        self.look(|room| {
            if room.state() == State::PassingEverybody {
                return Some(Admission::Passes);
            }
            let known = known.map(|id| (id, standing(room, id, now, &rules)));
            match (known, room.state()) {
                (Some((id, Standing::Inside)), _) => Some(Admission::In(id)),
                (Some((id, Standing::Waits(wait))), _) => {
                    self.seen(wait.position, now);
                    Some(Admission::Waits(id, wait))
                }
                (Some((id, Standing::Held(wait, state))), _) => {
                    self.seen(wait.position, now);
                    Some(Admission::Held(id, wait, state))
                }
                (None | Some((_, Standing::None)), State::Idle) => Some(Admission::TooEarly),
                (None | Some((_, Standing::None)), State::Closed) | (Some((_, Standing::TooLate)), _) => {
                    Some(Admission::TooLate)
                }
                (None | Some((_, Standing::None | Standing::MayEnter)), _) => None,
            }
        })
    }

    /// Whether somebody is in or waits by the place that they have.
    pub fn has_place(&self, id: RequestId, now: Seconds) -> Result<bool, Trouble> {
        Ok(!matches!(self.standing(id, now)?, Standing::None))
    }

    /// Whether it is somebody's turn, or they took it.
    pub async fn has_turn(&self, id: RequestId, now: Seconds) -> Result<bool, Trouble> {
        self.state_now(now)?;
        self.seek(|room| room.find(id).is_some()).await?;
        Ok(matches!(self.standing(id, now)?, Standing::Inside | Standing::MayEnter))
    }

    fn standing(&self, id: RequestId, now: Seconds) -> Result<Standing, Trouble> {
        let rules = self.settings().rules;
        self.look(|room| standing(room, id, now, &rules))
    }

    /// Whichever of two places of somebody stands better; if neither does, the second one.
    pub(crate) fn better(&self, one: RequestId, other: RequestId, now: Seconds) -> RequestId {
        let rules = self.settings().rules;
        let is_better = |room: &Room| {
            let [one, other] = [one, other].map(|id| standing(room, id, now, &rules).rank());
            one < other
        };
        if self.look(is_better).unwrap_or(false) { one } else { other }
    }

    /// What a browser shows for a place.
    pub fn ticket(&self, id: RequestId) -> String {
        self.tickets().ticket(self.name(), id)
    }

    /// Whose place a browser shows, if it does.
    pub fn read_ticket(&self, ticket: &str) -> Option<RequestId> {
        self.tickets().read(self.name(), ticket)
    }
}

fn standing(room: &Room, id: RequestId, now: Seconds, rules: &Rules) -> Standing {
    if let Some((_, token)) = room.token(id) {
        return if token.ending.is_none() && now <= token.expires { Standing::Inside } else { Standing::None };
    }
    let Some((position, _)) = room.find(id) else {
        // Who draws lots has no place before that is done, and waits for it.
        return match (room.registered(id), room.state()) {
            (None, _) => Standing::None,
            (Some(_), State::Closed) => Standing::TooLate,
            (Some(_), _) => Standing::Held(Wait { position: 0, ahead: 0 }, State::PreQueue),
        };
    };
    match room.served(position).and_then(|()| room.turn_of(id, now, rules)) {
        Ok(None | Some(Turn::Open(_))) => Standing::MayEnter,
        Err(Refusal::NotServed) => match room.state() {
            state @ (State::Idle | State::PreQueue | State::Paused) => Standing::Held(wait(room, position), state),
            State::Open | State::Closed | State::PassingEverybody => Standing::Waits(wait(room, position)),
        },
        Err(Refusal::Closed) => Standing::TooLate,
        Ok(Some(Turn::Over)) | Err(Refusal::Unknown | Refusal::Expired | Refusal::Ended) => Standing::None,
    }
}

/// The number of the place of somebody whose turn came and went before they took it, if that is so.
pub(crate) fn missed(room: &Room, id: RequestId, now: Seconds, rules: &Rules) -> Option<Position> {
    let (position, place) = room.find(id)?;
    let is_over = !place.has_token() && matches!(room.turn_of(id, now, rules), Ok(Some(Turn::Over)));
    is_over.then_some(position)
}

fn wait(room: &Room, position: Position) -> Wait {
    // Numbers begin at 1, however far below that the serving number was lowered.
    let ahead = i64::from(position).saturating_sub(1).saturating_sub(room.counters().serving.max(0));
    Wait { position, ahead: u64::try_from(ahead).unwrap_or(0) }
}

/// Whether somebody stands as well by the place that they have as they would by the one that this event gives.
pub(crate) fn stands_as_well(room: &Room, (has, now): (RequestId, Seconds), event: &Event, rules: &Rules) -> bool {
    match (standing(room, has, now, rules), event) {
        (Standing::Inside | Standing::MayEnter, _) => true,
        (
            Standing::Waits(wait) | Standing::Held(wait, _),
            Event::Joined { position, .. } | Event::Placed { position, .. },
        ) => wait.position <= *position,
        // By the same lane, one lot is as good as another.
        (Standing::Held(..), Event::Registered { lane, .. }) => {
            let of = room.registered(has).and_then(|registered| room.line().lanes.get(usize::from(registered.lane)));
            of.is_some_and(|of| of.name == *lane)
        }
        _ => false,
    }
}

/// Whether whoever joins next has a turn at once.
fn has_turns_left(room: &Room) -> bool {
    let counters = room.counters();
    counters.state == State::Open && counters.registered == 0 && i64::from(counters.last) < counters.serving
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Scene, expiring, settings};

    use waiting_room::PassOn;

    #[tokio::test]
    async fn who_comes_waits_until_it_is_their_turn_and_stays_in() {
        for settings in [settings(), expiring(PassOn::ToTheNext)] {
            let scene = Scene::with(settings);
            let admit = async |known| scene.room.admit(known, scene.now.get(), Arrival::Page).await.unwrap();
            let Admission::Waits(first, wait) = admit(None).await else { panic!() };
            assert_eq!(wait, Wait { position: 1, ahead: 0 });
            let Admission::Waits(second, wait) = admit(None).await else { panic!() };
            assert_eq!(wait, Wait { position: 2, ahead: 1 });
            assert_eq!(admit(Some(second)).await, Admission::Waits(second, wait));

            scene.increment(1).await;

            assert_eq!(admit(Some(first)).await, Admission::In(first));
            assert_eq!(admit(Some(second)).await, Admission::Waits(second, Wait { position: 2, ahead: 0 }));
            scene.wait(3600);
            assert_eq!(admit(Some(first)).await, Admission::In(first));
            scene.wait(1);
            assert!(matches!(admit(Some(first)).await, Admission::Waits(..)), "who comes back later is at the end");
        }
    }

    #[tokio::test]
    async fn while_there_are_turns_everybody_is_in_at_once_and_programs_never_lengthen_the_line() {
        let scene = Scene::new();
        let admit = async |arrival| scene.room.admit(None, scene.now.get(), arrival).await.unwrap();
        scene.increment(2).await;
        assert!(matches!(admit(Arrival::Page).await, Admission::In(_)));
        assert!(matches!(admit(Arrival::Other).await, Admission::In(_)));
        assert_eq!(admit(Arrival::Other).await, Admission::Outside);
        assert_eq!(scene.room.counters().unwrap().queue, 2);
    }

    #[tokio::test]
    async fn a_place_whose_turn_is_over_or_whose_visit_has_ended_is_none() {
        let scene = Scene::with(expiring(PassOn::Lost));
        let admit = async |known| scene.room.admit(known, scene.now.get(), Arrival::Page).await.unwrap();
        let Admission::Waits(late, _) = admit(None).await else { panic!() };
        scene.increment(1).await;
        scene.wait(901);
        let Admission::Waits(again, wait) = admit(Some(late)).await else { panic!() };
        assert_eq!(wait.position, 2);
        scene.increment(1).await;
        assert_eq!(admit(Some(again)).await, Admission::In(again));
        scene.end(&again.to_string(), 1).await;
        assert!(matches!(admit(Some(again)).await, Admission::Waits(..)));
        scene.room.reset(scene.now.get()).await.unwrap();
        let Admission::Waits(_, wait) = admit(Some(again)).await else { panic!() };
        assert_eq!(wait.position, 1);
    }

    #[tokio::test]
    async fn nobody_is_ahead_whose_number_there_is_not_however_far_the_serving_number_was_lowered() {
        let scene = Scene::new();
        scene.joined(3).await;
        scene.increment(-2).await;
        let admission = scene.room.admit(None, scene.now.get(), Arrival::Page).await.unwrap();
        assert!(matches!(admission, Admission::Waits(_, Wait { position: 4, ahead: 3 })), "{admission:?}");
    }

    #[tokio::test]
    async fn each_state_has_its_own_answer_and_who_is_in_stays_in() {
        let scene = Scene::new();
        let admit = async |known, arrival| scene.room.admit(known, scene.now.get(), arrival).await.unwrap();
        let set = async |state| scene.room.set_state(state, scene.now.get()).await.unwrap();
        scene.increment(1).await;
        let Admission::In(inside) = admit(None, Arrival::Page).await else { panic!() };
        let Admission::Waits(waiting, wait) = admit(None, Arrival::Page).await else { panic!() };
        for (state, of_waiting, of_new) in [
            (State::Idle, Admission::Held(waiting, wait, State::Idle), Some(Admission::TooEarly)),
            (State::PreQueue, Admission::Held(waiting, wait, State::PreQueue), None),
            (State::Paused, Admission::Held(waiting, wait, State::Paused), None),
            (State::Closed, Admission::TooLate, Some(Admission::TooLate)),
        ] {
            set(state).await;
            assert_eq!(admit(Some(inside), Arrival::Page).await, Admission::In(inside), "{state:?}");
            assert_eq!(admit(Some(waiting), Arrival::Page).await, of_waiting, "{state:?}");
            let new = admit(None, Arrival::Page).await;
            match of_new {
                Some(expected) => assert_eq!(new, expected, "{state:?}"),
                None => assert!(matches!(new, Admission::Held(_, _, held) if held == state), "{state:?}"),
            }
            if of_new.is_none() {
                assert_eq!(admit(None, Arrival::Other).await, Admission::Outside, "{state:?}");
            }
        }
        set(State::PassingEverybody).await;
        for known in [None, Some(inside), Some(waiting)] {
            assert_eq!(admit(known, Arrival::Other).await, Admission::Passes);
        }
    }
}
