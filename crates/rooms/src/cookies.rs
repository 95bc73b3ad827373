//! What browsers keep for a room: a place, a pass, a proof of work.

use http::HeaderValue;
use waiting_room::{Position, RequestId, Schedule, Seconds};

use crate::admission::missed;
use crate::{KeptRoom, Visitor};

/// The place that a browser shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Whose.
    pub id: RequestId,
    /// What the serving number was when it was given, as the browser says. It is only there to be shown.
    pub since: i64,
}

impl KeptRoom {
    /// The place that a browser shows, if it is one of this room. Of two it is the better one.
    pub fn shown(&self, visitor: &Visitor<'_>) -> Option<Ticket> {
        let (ticket, former) = self.kept(visitor)?;
        match former {
            Some(former) => Some(Ticket { id: self.better(former, ticket.id, visitor.now), ..ticket }),
            None => Some(ticket),
        }
    }

    /// The place that a browser keeps, and the one that it had before the room was reset.
    fn kept(&self, visitor: &Visitor<'_>) -> Option<(Ticket, Option<RequestId>)> {
        let mut tickets = visitor.cookies().filter(|(name, _)| self.is_cookie(name)).map(|(_, ticket)| ticket);
        tickets.find_map(|shown| {
            let mut parts = shown.split('.');
            let id = self.read_ticket(parts.next()?)?;
            let since = parts.next().and_then(|since| since.parse().ok()).unwrap_or(0);
            Some((Ticket { id, since }, parts.next().and_then(|former| self.read_ticket(former))))
        })
    }

    /// What a browser is given to show next time. A place that was there before a reset is kept beside it, for the reset may
    /// be undone; or else one whose turn was missed, of which the page tells.
    pub fn cookie(&self, visitor: &Visitor<'_>, id: RequestId) -> Option<HeaderValue> {
        let since = self.counters().map_or(0, |counters| counters.serving.max(0));
        let mut ticket = format!("{COOKIES}{}={}.{since}", self.name(), self.ticket(id));
        let kept = self.kept(visitor).map(|(ticket, former)| [Some(ticket.id), former]);
        let was_there = |known: &RequestId| *known != id && self.look(|room| room.was_there(*known)).unwrap_or(false);
        let former = kept.into_iter().flatten().flatten().find(was_there);
        if let Some(former) = former.or_else(|| Some(self.missed(visitor, id)?.0)) {
            ticket = format!("{ticket}.{}", self.ticket(former));
        }
        set_cookie(&ticket, self.kept_for(visitor.now), visitor.is_secure)
    }

    /// The place that a browser kept before this one, with its number, if its turn came and went before somebody took it.
    pub(crate) fn missed(&self, visitor: &Visitor<'_>, current: RequestId) -> Option<(RequestId, Position)> {
        let (ticket, former) = self.kept(visitor)?;
        let before = if ticket.id == current { former? } else { ticket.id };
        let rules = self.settings().rules;
        let position = self.look(|room| missed(room, before, visitor.now, &rules)).ok()??;
        Some((before, position))
    }

    /// For how many seconds a browser keeps what it is given: longer than anybody waits, and is in after that. The gateway itself
    /// says what it is good for.
    fn kept_for(&self, now: Seconds) -> u32 {
        let settings = self.settings();
        let Schedule { opens, closes, .. } = settings.rules.schedule;
        let to_come = opens.max(closes).map_or(0, |last| last.saturating_sub(now));
        MONTH.saturating_add(to_come).saturating_add(settings.validity)
    }

    /// Since when somebody has been let in without a place, if their browser shows that.
    pub fn passed_since(&self, visitor: &Visitor<'_>) -> Option<Seconds> {
        let mut shown =
            visitor.cookies().filter(|(name, _)| name.strip_suffix(PASSES).is_some_and(|name| self.is_cookie(name)));
        shown.find_map(|(_, pass)| self.read_pass(pass, visitor.now))
    }

    /// What a browser is given that is let in without a place.
    pub fn pass_cookie(&self, visitor: &Visitor<'_>) -> Option<HeaderValue> {
        let pass = format!("{COOKIES}{}{PASSES}={}", self.name(), self.pass(visitor.now));
        set_cookie(&pass, self.kept_for(visitor.now), visitor.is_secure)
    }

    /// The proof of work that a browser shows.
    pub fn proof<'a>(&self, visitor: &'a Visitor<'_>) -> Option<&'a str> {
        let known = self.proof_name();
        visitor.cookies().find(|(name, _)| *name == known).map(|(_, proof)| proof)
    }

    pub(crate) fn proof_name(&self) -> String {
        format!("{PROOFS}{}", self.name())
    }

    fn is_cookie(&self, name: &str) -> bool {
        name.strip_prefix(COOKIES).is_some_and(|name| *name == **self.name())
    }
}

pub(crate) fn set_cookie(pair: &str, seconds: u32, is_secure: bool) -> Option<HeaderValue> {
    let secure = if is_secure { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{pair}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")).ok()
}

/// What the names of cookies begin with that keep places.
const COOKIES: &str = "vestibule-room-";
/// What follows that in names of cookies that let in without a place. No room has a name with a dot.
const PASSES: &str = ".pass";
/// What the names of cookies begin with that proofs of work are in.
const PROOFS: &str = "vestibule-proof-";
/// For how many seconds somebody waits at most whose room has no schedule.
const MONTH: u32 = 30 * DAY;
pub(crate) const DAY: u32 = 24 * 60 * 60;
