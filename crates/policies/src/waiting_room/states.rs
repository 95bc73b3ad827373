//! What a visitor is told while nobody's turn comes: before the room opens, while it is paused, when it is over.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use model::rooms::Moment;
use pipeline::{Body, Exchange, Flow, Verdict};
use problem::{Problem, ProblemKind};
use rooms::{Admission, KeptRoom, Ticket, Wait};
use waiting_room::State;

use super::{WAITING_ROOM_WAIT, sends_form, wants_page};

/// Nobody can join yet.
pub(super) static WAITING_ROOM_NOT_OPEN: ProblemKind = ProblemKind {
    code: "waiting-room-not-open",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The waiting room has not opened yet",
};

/// The visitor has a place, and the room has not opened.
pub(super) static WAITING_ROOM_PRE_QUEUE: ProblemKind = ProblemKind {
    code: "waiting-room-pre-queue",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "You are early, and nobody is let in before the waiting room opens",
};

/// The visitor has a place, and nobody is let in for the moment.
pub(super) static WAITING_ROOM_PAUSED: ProblemKind = ProblemKind {
    code: "waiting-room-paused",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Nobody is let in for the moment; you keep your place",
};

/// It is over.
pub(super) static WAITING_ROOM_CLOSED: ProblemKind =
    ProblemKind { code: "waiting-room-closed", status: StatusCode::FORBIDDEN, title: "The waiting room is closed" };

/// Who is told something.
pub(super) struct Told<'a> {
    pub(super) room: &'a KeptRoom,
    pub(super) exchange: &'a Exchange,
    /// The place that their browser showed.
    pub(super) ticket: Option<Ticket>,
}

impl Told<'_> {
    /// They have a place, and it is not their turn.
    pub(super) fn waits(&self, admission: Admission, wait: Wait) -> Verdict {
        tracing::trace!(room = &**self.room.name(), position = wait.position, "somebody waits");
        self.answer(&WAITING_ROOM_WAIT, admission, |problem| with_pause(placed(problem, wait), wait.pause()))
    }

    /// They have no place, and have to prove work for one.
    pub(super) fn unproven(&self) -> Verdict {
        self.shown(Admission::Unproven)
    }

    /// Nobody can join yet.
    pub(super) fn too_early(&self) -> Verdict {
        let (timetable, now) = (self.room.timetable()?, super::seconds(self.exchange));
        // Not all of them come again in the same second.
        let spread = self.exchange.began_at % SPREAD;
        let pause = u64::from(timetable.pause(now).unwrap_or(UNKNOWN)) + spread;
        let opens = timetable.schedule.opens;
        self.answer(&WAITING_ROOM_NOT_OPEN, Admission::TooEarly, |problem| with_pause(opening(problem, opens), pause))
    }

    /// It is over.
    pub(super) fn too_late(&self) -> Verdict {
        self.answer(&WAITING_ROOM_CLOSED, Admission::TooLate, |problem| problem)
    }

    /// They have a place, and nobody's turn comes.
    pub(super) fn held(&self, admission: Admission, wait: Wait, state: State) -> Verdict {
        let spread = wait.position % LOOKED_AGAIN;
        match state {
            State::Paused => {
                let pause = u64::from(LOOKED_AGAIN + spread);
                self.answer(&WAITING_ROOM_PAUSED, admission, |problem| with_pause(placed(problem, wait), pause))
            }
            State::Idle | State::PreQueue | State::Open | State::Closed | State::PassingEverybody => {
                let (timetable, now) = (self.room.timetable()?, super::seconds(self.exchange));
                let opens = timetable.schedule.opens.filter(|opens| *opens > now);
                // Who waits here is seen to be here.
                let pause = timetable.pause(now).map_or(LOOKED_AGAIN, |pause| pause.min(UNKNOWN)) + spread;
                self.answer(&WAITING_ROOM_PRE_QUEUE, admission, |problem| {
                    with_pause(opening(placed(problem, wait), opens), pause.into())
                })
            }
        }
    }

    /// A page for people, a problem for programs.
    pub(super) fn answer(
        &self,
        kind: &'static ProblemKind,
        admission: Admission,
        complete: impl FnOnce(Problem) -> Problem,
    ) -> Verdict {
        if sends_form(self.exchange) {
            let page = self.room.unsent(&super::visitor(self.exchange));
            return Ok(Flow::Respond(Box::new(page.map(Body::from))));
        }
        if !wants_page(self.exchange) {
            return Ok(complete(Problem::new(kind)).into());
        }
        self.shown(admission)
    }

    fn shown(&self, admission: Admission) -> Verdict {
        let page = self.room.page(&super::visitor(self.exchange), admission, self.ticket)?;
        Ok(Flow::Respond(Box::new(page.map(Body::from))))
    }
}

fn placed(problem: Problem, wait: Wait) -> Problem {
    match wait.position {
        0 => problem,
        position => problem.member("position", position).member("ahead", wait.ahead),
    }
}

fn opening(problem: Problem, opens: Option<u32>) -> Problem {
    match opens {
        Some(opens) => problem.member("opens_at", Moment::at(opens).to_string()),
        None => problem,
    }
}

fn with_pause(problem: Problem, seconds: u64) -> Problem {
    problem.header(RETRY_AFTER, HeaderValue::from(seconds))
}

/// Seconds after which somebody looks again when nobody knows when anything happens.
const UNKNOWN: u32 = 60;
/// Seconds after which somebody looks again who may be let in soon.
const LOOKED_AGAIN: u32 = 15;
/// Seconds over which those come again who are sent away until the same moment.
const SPREAD: u64 = 5;
