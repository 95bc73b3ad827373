//! What a visitor sees who waits: which place their browser shows, the page, and what the page asks for by itself.

use bytes::Bytes;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::json;
use waiting_page::{ASKS, Expected, Place, Places, Situation, Update, View};
use waiting_room::{RequestId, Seconds, State};

use crate::{Admission, KeptRoom, Trouble, Wait};

/// Somebody who asks for a page.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// The path that is asked for.
    pub path: &'a str,
    /// The query.
    pub query: &'a str,
    /// Whether it came by TLS.
    pub is_secure: bool,
    /// Now, in seconds since 1970.
    pub now: Seconds,
}

/// The place that a browser shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Whose.
    pub id: RequestId,
    /// What the serving number was when it was given, as the browser says. It is only there to be shown.
    pub since: i64,
}

/// What a page asks for beside itself.
#[derive(Debug)]
pub enum Aside {
    /// This is the answer.
    Answered(Response<Bytes>),
    /// To be told what is counted, as it changes.
    Watches,
}

/// What somebody wants pages to be.
struct Wishes<'a> {
    language: Option<&'a str>,
    update: Update,
}

impl Visitor<'_> {
    fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='))
    }

    fn wishes(&self) -> Wishes<'_> {
        let said = self.cookies().find(|(name, _)| *name == WISHES).map_or("", |(_, said)| said);
        let (language, update) = said.split_once('.').unwrap_or((said, ""));
        let update = if update == "still" { Update::Still } else { Update::Live };
        Wishes { language: Some(language).filter(|language| !language.is_empty()), update }
    }

    /// What is asked for beside the page.
    fn asks(&self) -> Option<&str> {
        if !self.query.contains(ASKS) {
            return None;
        }
        let mut members = self.query.split('&').filter_map(|member| member.split_once('='));
        members.find(|(name, _)| *name == ASKS).map(|(_, what)| what)
    }

    /// The query of the page itself.
    fn own_query(&self) -> String {
        let is_own = |member: &&str| member.split('=').next() != Some(ASKS);
        self.query.split('&').filter(is_own).collect::<Vec<_>>().join("&")
    }
}

impl KeptRoom {
    /// The place that a browser shows, if it is one of this room.
    pub fn shown(&self, visitor: &Visitor<'_>) -> Option<Ticket> {
        let mut tickets = visitor.cookies().filter(|(name, _)| self.is_cookie(name)).map(|(_, ticket)| ticket);
        tickets.find_map(|shown| {
            let (ticket, since) = shown.split_once('.').unwrap_or((shown, "0"));
            Some(Ticket { id: self.read_ticket(ticket)?, since: since.parse().unwrap_or(0) })
        })
    }

    /// What a browser is given to show next time.
    pub fn cookie(&self, id: RequestId, is_secure: bool) -> Option<HeaderValue> {
        let since = self.counters().map_or(0, |counters| counters.serving.max(0));
        let ticket = format!("{COOKIES}{}={}.{since}", self.name(), self.ticket(id));
        set_cookie(&ticket, DAY, is_secure)
    }

    fn is_cookie(&self, name: &str) -> bool {
        name.strip_prefix(COOKIES).is_some_and(|name| *name == **self.name())
    }

    /// The page for a visitor who is not in, by this place if they have one.
    pub fn page(&self, visitor: &Visitor<'_>, admission: Admission, ticket: Option<Ticket>) -> Result<Response<Bytes>, Trouble> {
        let (page, wishes) = (self.settings().page.clone(), visitor.wishes());
        let (situation, wait) = self.situation(admission)?;
        let language = page.language(wishes.language, accepted(visitor.headers));
        let place = wait.map(|wait| self.place(wait, ticket)).transpose()?;
        let query = visitor.own_query();
        let view = View {
            situation,
            place,
            expected: wait.and_then(|wait| self.expected(wait, visitor.now)),
            pause: self.pause(situation, wait, visitor.now),
            update: wishes.update,
            query: &query,
            addition: None,
        };
        let mut response = Response::new(Bytes::from(page.render(&view, language)));
        *response.status_mut() = match situation {
            Situation::Closed => StatusCode::FORBIDDEN,
            Situation::Waiting | Situation::Idle { .. } | Situation::Early { .. } | Situation::Paused => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if let Ok(policy) = HeaderValue::try_from(page.policy(&view)) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        if situation != Situation::Closed {
            headers.insert(RETRY_AFTER, HeaderValue::from(view.pause));
        }
        Ok(response)
    }

    /// The answer to what a page asks for beside itself, if that is what is asked for.
    pub fn aside(&self, visitor: &Visitor<'_>) -> Option<Result<Aside, Trouble>> {
        let what = visitor.asks()?;
        let wishes = visitor.wishes();
        let language = wishes.language.unwrap_or_default();
        let wish = match what {
            "watch" => return Some(Ok(Aside::Watches)),
            "place" => return Some(self.told(visitor).map(Aside::Answered)),
            "still" => format!("{language}.still"),
            "live" => language.to_owned(),
            other => {
                let (page, still) = (&self.settings().page, if wishes.update == Update::Still { ".still" } else { "" });
                let language = other.strip_prefix("in-").and_then(|tag| page.tagged(tag));
                // Whatever else it is, it is not for what is behind the room.
                language.map(|language| format!("{}{still}", page.tag(language))).unwrap_or_default()
            }
        };
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SEE_OTHER;
        // A path that begins with two slashes would be another host's.
        let (path, query) = (visitor.path.trim_start_matches(['/', '\\']), visitor.own_query());
        let mark = if query.is_empty() { "" } else { "?" };
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::try_from(format!("/{path}{mark}{query}")).ok()?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(cookie) = set_cookie(&format!("{WISHES}={wish}"), YEAR, visitor.is_secure) {
            headers.insert(SET_COOKIE, cookie);
        }
        Some(Ok(Aside::Answered(response)))
    }

    /// What a page is told that looks again without being loaded again. Nothing happens by it.
    fn told(&self, visitor: &Visitor<'_>) -> Result<Response<Bytes>, Trouble> {
        let stands = self.stands(self.shown(visitor).map(|ticket| ticket.id), visitor.now)?;
        let told = match stands {
            // To load the page is what brings them in, or into the line again.
            None | Some(Admission::In(_) | Admission::Passes | Admission::Outside) => json!({ "turn": true }),
            Some(admission) => {
                let (situation, wait) = self.situation(admission)?;
                let page = &self.settings().page;
                let language = page.language(visitor.wishes().language, accepted(visitor.headers));
                let expected = wait.and_then(|wait| self.expected(wait, visitor.now));
                let (span, likely) = expected.map(|expected| page.expected(language, expected)).unzip();
                json!({
                    "situation": situation.name(),
                    "opens": situation.opens(),
                    "position": wait.map(|wait| wait.position),
                    "serving": self.counters()?.serving,
                    "wait": span,
                    "likely": likely.flatten(),
                    "pause": self.pause(situation, wait, visitor.now),
                })
            }
        };
        let mut response = Response::new(Bytes::from(told.to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// How the room stands to somebody.
    fn situation(&self, admission: Admission) -> Result<(Situation, Option<Wait>), Trouble> {
        let opens = self.timetable()?.schedule.opens;
        Ok(match admission {
            Admission::TooEarly => (Situation::Idle { opens }, None),
            Admission::TooLate => (Situation::Closed, None),
            Admission::Held(_, wait, State::Paused) => (Situation::Paused, Some(wait)),
            Admission::Held(_, wait, _) => (Situation::Early { opens, places: Places::InOrder }, Some(wait)),
            Admission::Waits(_, wait) => (Situation::Waiting, Some(wait)),
            Admission::In(_) | Admission::Passes | Admission::Outside => (Situation::Waiting, None),
        })
    }

    fn place(&self, wait: Wait, ticket: Option<Ticket>) -> Result<Place, Trouble> {
        let serving = self.counters()?.serving;
        let since = ticket.map_or(serving, |ticket| ticket.since).clamp(0, serving.max(0));
        Ok(Place { position: wait.position, ahead: wait.ahead, serving, since })
    }

    /// How many seconds somebody need not ask again: the longer the line, the longer.
    fn pause(&self, situation: Situation, wait: Option<Wait>, now: Seconds) -> u64 {
        let until_it_opens = self.timetable().ok().and_then(|timetable| timetable.pause(now)).map(u64::from);
        match (situation, wait) {
            (Situation::Waiting, Some(wait)) => wait.pause(),
            (Situation::Early { .. }, _) => until_it_opens.map_or(15, |pause| pause.clamp(2, 60)),
            (Situation::Idle { .. }, _) => until_it_opens.map_or(60, |pause| pause.clamp(2, 600)),
            (Situation::Waiting | Situation::Paused | Situation::Closed, _) => 15,
        }
    }

    /// How long somebody will wait, as far as that can be told from how fast turns come.
    fn expected(&self, wait: Wait, now: Seconds) -> Option<Expected> {
        let (turns, seconds) = self.pace(now)?;
        let expected = wait.ahead.saturating_add(1).saturating_mul(u64::from(seconds)) / u64::from(turns.max(1));
        let part = |tenths: u64| u32::try_from(expected.saturating_mul(tenths) / 10).unwrap_or(u32::MAX);
        Some(Expected { least: part(7), most: part(14), likely: None })
    }
}

impl Wait {
    /// How many seconds somebody need not ask again: the longer the line, the longer.
    pub fn pause(self) -> u64 {
        let base = match self.ahead {
            0..=20 => 3,
            21..=200 => 6,
            201..=2_000 => 12,
            _ => 24,
        };
        // Not all at once.
        base + u64::from(self.position) % (base / 3)
    }
}

/// The languages that somebody accepts.
fn accepted(headers: &HeaderMap) -> &str {
    headers.get(ACCEPT_LANGUAGE).and_then(|field| field.to_str().ok()).unwrap_or_default()
}

fn set_cookie(pair: &str, seconds: u32, is_secure: bool) -> Option<HeaderValue> {
    let secure = if is_secure { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{pair}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")).ok()
}

/// What the names of cookies begin with that keep places.
const COOKIES: &str = "vestibule-room-";
/// The cookie that keeps how somebody wants pages to be.
const WISHES: &str = "vestibule-page";
/// For how many seconds a browser keeps a place, and a wish.
const DAY: u32 = 24 * 60 * 60;
const YEAR: u32 = 365 * DAY;
