//! What a visitor is told while nobody's turn comes: before the room opens, while it is paused, when it is over.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use model::rooms::Moment;
use pipeline::{Exchange, Flow};
use problem::{Problem, ProblemKind};
use rooms::{Timetable, Wait};
use waiting_room::State;

use super::{page, wants_page};

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
    pub(super) exchange: &'a Exchange,
    /// What is waited for.
    pub(super) title: &'a str,
    pub(super) timetable: Timetable,
    /// Now, in seconds since 1970.
    pub(super) now: u32,
}

impl Told<'_> {
    /// Nobody can join yet.
    pub(super) fn too_early(&self) -> Flow {
        // Not all of them come again in the same second.
        let spread = u32::try_from(self.exchange.began_at % SPREAD).unwrap_or_default();
        let pause = self.timetable.pause(self.now).unwrap_or(UNKNOWN) + spread;
        let opens = self.timetable.schedule.opens;
        let text = match opens {
            Some(opens) => format!("It opens at {}.", moment(opens)),
            None => "It opens soon.".to_owned(),
        };
        let told = [text.as_str(), "This page looks again by itself."];
        self.answer(&WAITING_ROOM_NOT_OPEN, ("It has not opened yet", &told), Some(pause), |problem| match opens {
            Some(opens) => problem.member("opens_at", Moment::at(opens).to_string()),
            None => problem,
        })
    }

    /// It is over.
    pub(super) fn too_late(&self) -> Flow {
        self.answer(&WAITING_ROOM_CLOSED, ("It is over", &["Nobody is let in any more."]), None, |problem| problem)
    }

    /// They have a place, and nobody's turn comes.
    pub(super) fn held(&self, wait: Wait, state: State) -> Flow {
        let spread = wait.position % LOOKED_AGAIN;
        let with_place = |problem: Problem| match wait.position {
            0 => problem,
            position => problem.member("position", position).member("ahead", wait.ahead),
        };
        match state {
            State::Paused => {
                let place = format!("You keep your place, number {}.", page::grouped(wait.position.into()));
                let told = [place.as_str(), "This page looks again by itself, and tells you when it goes on."];
                let pause = Some(LOOKED_AGAIN + spread);
                self.answer(&WAITING_ROOM_PAUSED, ("Nobody is let in for the moment", &told), pause, with_place)
            }
            State::Idle | State::PreQueue | State::Open | State::Closed | State::PassingEverybody => {
                let opens = self.timetable.schedule.opens.filter(|opens| *opens > self.now);
                let text = match opens {
                    Some(opens) => format!("It opens at {}.", moment(opens)),
                    None => "It opens soon.".to_owned(),
                };
                let place = match wait.position {
                    0 => DRAWN,
                    _ => "You have a place already, and need not do anything: this page looks again by itself.",
                };
                let told = [text.as_str(), place];
                // Who waits here is seen to be here.
                let pause = self.timetable.pause(self.now).map_or(LOOKED_AGAIN, |pause| pause.min(UNKNOWN)) + spread;
                self.answer(&WAITING_ROOM_PRE_QUEUE, ("You are early", &told), Some(pause), |problem| {
                    let problem = with_place(problem);
                    match opens {
                        Some(opens) => problem.member("opens_at", Moment::at(opens).to_string()),
                        None => problem,
                    }
                })
            }
        }
    }

    /// A page for people, a problem for programs.
    fn answer(
        &self,
        kind: &'static ProblemKind,
        (heading, told): (&str, &[&str]),
        pause: Option<u32>,
        members: impl FnOnce(Problem) -> Problem,
    ) -> Flow {
        let retry = pause.map(HeaderValue::from);
        if !wants_page(self.exchange) {
            let problem = members(Problem::new(kind));
            return match retry {
                Some(retry) => problem.header(RETRY_AFTER, retry).into(),
                None => problem.into(),
            };
        }
        let mut response = page::notice(self.title, heading, told, pause, kind.status);
        if let Some(retry) = retry {
            response.headers_mut().insert(RETRY_AFTER, retry);
        }
        Flow::Respond(Box::new(response))
    }
}

/// A moment as a page shows it.
fn moment(seconds: u32) -> String {
    let text = Moment::at(seconds).to_string();
    let shown = text.trim_end_matches('Z').replace('T', " ");
    format!("<time datetime=\"{text}\">{shown} UTC</time>")
}

/// Seconds after which somebody looks again when nobody knows when anything happens.
const UNKNOWN: u32 = 60;
/// Seconds after which somebody looks again who may be let in soon.
const LOOKED_AGAIN: u32 = 15;
/// Seconds over which those come again who are sent away until the same moment.
const SPREAD: u64 = 5;

/// What those are told who draw lots.
const DRAWN: &str = "Places are drawn by lot among all who are here by then, so that it does not matter who came first. \
You need not do anything: this page looks again by itself.";
