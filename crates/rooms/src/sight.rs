//! What a visitor sees who waits: which place their browser shows, the page, and what the page asks for by itself.

use bytes::Bytes;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY,
    RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::json;
use waiting_page::{ASKS, Expected, Place, Places, Situation, Unseen, Update, View};
use waiting_room::{Interval, RequestId, Seconds, State};

use crate::cookies::{DAY, set_cookie};
use crate::{Admission, KeptRoom, Ticket, Trouble, Wait, proving};

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

/// What a page asks for beside itself.
#[derive(Debug)]
pub enum Aside {
    /// This is the answer.
    Answered(Response<Bytes>),
    /// To be told what is counted, as it changes, by whoever this is.
    Watches(Option<RequestId>),
}

/// What somebody wants pages to be.
struct Wishes<'a> {
    language: Option<&'a str>,
    update: Update,
}

/// What a cookie says behind the language.
fn mark(update: Update) -> &'static str {
    match update {
        Update::Live => "",
        Update::Still => ".still",
    }
}

impl Visitor<'_> {
    pub(crate) fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
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
    pub fn asks(&self) -> Option<&str> {
        if !self.query.contains(ASKS) {
            return None;
        }
        let mut members = self.query.split('&').map(|member| member.split_once('=').unwrap_or((member, "")));
        members.find(|(name, _)| *name == ASKS).map(|(_, what)| what)
    }

    /// The query of the page itself.
    pub fn own_query(&self) -> String {
        let is_own = |member: &&str| member.split('=').next() != Some(ASKS);
        self.query.split('&').filter(is_own).collect::<Vec<_>>().join("&")
    }
}

impl KeptRoom {
    /// The page for a visitor who is not in, by this place if they have one.
    pub fn page(
        &self,
        visitor: &Visitor<'_>,
        admission: Admission,
        ticket: Option<Ticket>,
    ) -> Result<Response<Bytes>, Trouble> {
        let challenge = if admission == Admission::Unproven { self.challenge(visitor.now)? } else { None };
        let cookie = self.proof_name();
        let work = challenge.as_ref().map(|(challenge, work)| proving::shown(challenge, *work, &cookie));
        let (situation, wait) = self.situation(admission)?;
        let missed = admission.id().and_then(|id| self.missed(visitor, id)).map(|(_, position)| position);
        let situation = if work.is_some() { Situation::Joining } else { situation };
        let place = wait.map(|wait| self.place(wait, ticket)).transpose()?;
        let query = visitor.own_query();
        let rules = self.settings().rules;
        let view = View {
            place,
            missed,
            holds: rules.expiry.map(|expiry| expiry.period),
            line: self.look(|room| room.line().fingerprint())?,
            expected: self.expected(wait, visitor.now)?,
            pause: self.pause(situation, wait, visitor.now),
            update: visitor.wishes().update,
            unseen: if rules.presence.is_some() { Unseen::Asks } else { Unseen::Rests },
            work,
            ..View::of(situation, &query)
        };
        Ok(self.rendered(visitor, &view))
    }

    /// The page for somebody who is not in, and whose browser sent what only whoever is in can send, such as a form: it leads to
    /// the same address without sending that again.
    pub fn unsent(&self, visitor: &Visitor<'_>) -> Response<Bytes> {
        self.rendered(visitor, &View::of(Situation::Unsent, &visitor.own_query()))
    }

    fn rendered(&self, visitor: &Visitor<'_>, view: &View<'_>) -> Response<Bytes> {
        let page = self.settings().page.clone();
        let language = page.language(visitor.wishes().language, accepted(visitor.headers));
        let mut response = Response::new(Bytes::from(page.render(view, language)));
        *response.status_mut() = match view.situation {
            Situation::Closed => StatusCode::FORBIDDEN,
            Situation::Waiting
            | Situation::Joining
            | Situation::Idle { .. }
            | Situation::Early { .. }
            | Situation::Drawing
            | Situation::Paused
            | Situation::Unsent => StatusCode::SERVICE_UNAVAILABLE,
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if let Ok(policy) = HeaderValue::try_from(page.policy(view)) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        if view.situation != Situation::Closed {
            headers.insert(RETRY_AFTER, HeaderValue::from(view.pause));
        }
        response
    }

    /// The answer to what a page asks for beside itself, if that is what is asked for.
    pub fn aside(&self, visitor: &Visitor<'_>) -> Option<Result<Aside, Trouble>> {
        let what = visitor.asks()?;
        let wishes = visitor.wishes();
        let language = wishes.language.unwrap_or_default();
        let wish = match what {
            "watch" => return Some(Ok(Aside::Watches(self.shown(visitor).map(|ticket| ticket.id)))),
            "place" => return Some(self.told(visitor).map(Aside::Answered)),
            "still" => format!("{language}.still"),
            "live" => language.to_owned(),
            other => {
                let (page, still) = (self.settings().page.clone(), mark(wishes.update));
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
        let shown = self.shown(visitor).map(|ticket| ticket.id);
        let told = match self.stands(shown, visitor.now)? {
            // To load the page is what brings them into the line, or there again, and that is no turn.
            None if !shown.is_some_and(|id| self.has_place(id, visitor.now).unwrap_or(false)) => json!({}),
            // Or in.
            None | Some(Admission::In(_) | Admission::Passes | Admission::Unproven | Admission::Outside) => {
                json!({ "turn": true })
            }
            Some(admission) => {
                let (situation, wait) = self.situation(admission)?;
                let expected = self.expected(wait, visitor.now)?;
                json!({
                    "situation": situation.name(),
                    "opens": situation.opens(),
                    "position": wait.map(|wait| wait.position),
                    "serving": self.counters()?.serving,
                    "wait": expected.map(|Expected { least, most }| [least, most]),
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
            // Who draws lots has no place before that is done, which is some time after the opening if something is waited for.
            Admission::Held(_, Wait { position: 0, .. }, _) => {
                let has_opened = self.look(|room| room.line().hall.closed.is_some())?;
                let early = Situation::Early { opens, places: Places::Drawn };
                (if has_opened { Situation::Drawing } else { early }, None)
            }
            Admission::Held(_, wait, State::Paused) => (Situation::Paused, Some(wait)),
            Admission::Held(_, wait, _) => (Situation::Early { opens, places: Places::InOrder }, Some(wait)),
            Admission::Waits(_, wait) => (Situation::Waiting, Some(wait)),
            Admission::In(_) | Admission::Passes | Admission::Unproven | Admission::Outside => {
                (Situation::Waiting, None)
            }
        })
    }

    fn place(&self, wait: Wait, ticket: Option<Ticket>) -> Result<Place, Trouble> {
        let serving = self.counters()?.serving;
        let since = ticket.map_or(serving, |ticket| ticket.since).clamp(0, serving.max(0));
        Ok(Place { position: wait.position, ahead: wait.ahead, serving, since })
    }

    /// How many seconds somebody need not ask again: the longer the line, the longer. Each look is a sign of them.
    fn pause(&self, situation: Situation, wait: Option<Wait>, now: Seconds) -> u64 {
        let until_it_opens = self.timetable().ok().and_then(|timetable| timetable.pause(now)).map(u64::from);
        let most =
            self.settings().rules.presence.map_or(u64::MAX, |presence| (presence.absent_after / 2).max(1).into());
        let pause = match (situation, wait) {
            (Situation::Waiting, Some(wait)) => wait.pause(),
            (Situation::Early { .. }, _) => until_it_opens.map_or(15, |pause| pause.clamp(2, 60)),
            (Situation::Idle { .. }, _) => until_it_opens.map_or(60, |pause| pause.clamp(2, 600)),
            (
                Situation::Waiting | Situation::Joining | Situation::Drawing | Situation::Paused | Situation::Unsent,
                _,
            ) => 15,
            // It may be opened again, and nobody is absent meanwhile.
            (Situation::Closed, _) => return 120,
        };
        pause.min(most)
    }

    /// How long somebody will wait, as far as that can be told.
    fn expected(&self, wait: Option<Wait>, now: Seconds) -> Result<Option<Expected>, Trouble> {
        let Some(wait) = wait else { return Ok(None) };
        Ok(self.wait_of(wait.position, now)?.map(|Interval { low, high }| Expected { least: low, most: high }))
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

/// The cookie that keeps how somebody wants pages to be.
const WISHES: &str = "vestibule-page";
/// For how many seconds a browser keeps that.
const YEAR: u32 = 365 * DAY;

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use waiting_room::{PassOn, Schedule};

    use super::*;
    use crate::tests::{Scene, expiring, settings};
    use crate::{Arrival, Settings};

    /// Somebody with these headers who asks for a path and a query.
    async fn with<R>(
        scene: &Scene,
        headers: &[(&'static str, &str)],
        (path, query): (&str, &str),
        look: impl AsyncFnOnce(&KeptRoom, &Visitor<'_>) -> R,
    ) -> R {
        let value = |value: &str| HeaderValue::from_str(value).unwrap();
        let headers = headers.iter().map(|(name, text)| (name.parse().unwrap(), value(text))).collect();
        let visitor = Visitor { headers: &headers, path, query, is_secure: false, now: scene.now.get() };
        look(&scene.room, &visitor).await
    }

    async fn aside(scene: &Scene, cookie: &str, query: &str) -> Response<Bytes> {
        with(scene, &[("cookie", cookie)], ("/shop", query), async |room, visitor| match room.aside(visitor) {
            Some(Ok(Aside::Answered(response))) => response,
            other => panic!("{query}: {other:?}"),
        })
        .await
    }

    async fn told(scene: &Scene, cookie: &str) -> Value {
        serde_json::from_slice(aside(scene, cookie, "a=1&vestibule-room=place").await.body()).unwrap()
    }

    /// The cookie of somebody who joins.
    async fn joined(scene: &Scene) -> String {
        let admission = scene.room.admit(None, scene.now.get(), Arrival::Page).await.unwrap();
        let (Admission::Waits(id, _) | Admission::Held(id, ..) | Admission::In(id)) = admission else { panic!() };
        given(scene, "", id).await
    }

    /// The cookie that somebody is given who shows another one.
    async fn given(scene: &Scene, cookie: &str, id: RequestId) -> String {
        let given = with(scene, &[("cookie", cookie)], ("/", ""), async |room, visitor| room.cookie(visitor, id)).await;
        given.unwrap().to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_cookie_keeps_a_place_and_what_was_served_then() {
        let scene = Scene::new();
        scene.increment(3).await;
        scene.joined(3).await;
        let cookie = joined(&scene).await;
        let shown = async |cookie: &str| {
            with(&scene, &[("cookie", cookie)], ("/", ""), async |room, visitor| room.shown(visitor)).await
        };
        let ticket = shown(&format!("theme=dark; {cookie}")).await.unwrap();
        assert_eq!((scene.room.look(|room| room.find(ticket.id)).unwrap().unwrap().0, ticket.since), (4, 3));
        assert_eq!(shown(&cookie.replace(".3", "")).await.unwrap().since, 0);
        assert_eq!(shown(&cookie.replace(".3", ".nonsense")).await.unwrap().since, 0);
        for other in ["", "x=y", &cookie.replace("sale=", "sale=A"), &cookie.replace("sale=", "other=")] {
            assert_eq!(shown(other).await, None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_pass_of_a_room_is_nobody_s_place_in_another_one() {
        let scene = Scene::new();
        let pass = with(&scene, &[], ("/", ""), async |room, visitor| room.pass_cookie(visitor)).await.unwrap();
        assert!(pass.to_str().unwrap().starts_with("vestibule-room-sale.pass="), "no room has a name with a dot");
    }

    #[tokio::test]
    async fn who_gets_another_place_after_a_reset_has_the_first_again_when_it_is_undone() {
        let scene = Scene::new();
        let shown = async |cookie: &str| {
            let ticket =
                with(&scene, &[("cookie", cookie)], ("/", ""), async |room, visitor| room.shown(visitor)).await;
            ticket.map(|ticket| ticket.id)
        };
        let (first, other) = (joined(&scene).await, joined(&scene).await);
        let before = shown(&first).await.unwrap();
        scene.room.reset(scene.now.get()).await.unwrap();
        scene.room.reset(scene.now.get()).await.unwrap();

        // The pages are loaded again, and are given places anew.
        joined(&scene).await;
        let admission = scene.room.admit(shown(&first).await, scene.now.get(), Arrival::Page).await.unwrap();
        let Admission::Waits(again, _) = admission else { panic!("{admission:?}") };
        let cookie = given(&scene, &first, again).await;
        assert_eq!(shown(&cookie).await, Some(again));
        assert!(scene.room.restore(scene.now.get()).await.unwrap());

        assert_eq!(shown(&cookie).await, Some(before));
        let position = scene.room.look(|room| room.find(before)).unwrap().map(|(position, _)| position);
        assert_eq!(position, Some(1));
        assert_ne!(shown(&other).await, Some(before));
        assert_eq!(given(&scene, &cookie, again).await.matches('.').count(), 1, "what cannot be undone is not kept");
    }

    #[tokio::test]
    async fn a_page_that_looks_again_is_told_how_it_stands_and_nothing_happens_by_it() {
        let scene = Scene::new();
        assert_eq!(told(&scene, "").await, json!({}), "to open the page gives a place, which is no turn");
        scene.joined(2).await;
        let cookie = joined(&scene).await;
        let waits = told(&scene, &cookie).await;
        assert_eq!(
            (&waits["situation"], &waits["position"], &waits["serving"]),
            (&"waiting".into(), &3.into(), &0.into())
        );
        for (state, situation) in [(State::Paused, "paused"), (State::PreQueue, "early"), (State::Closed, "closed")] {
            scene.room.set_state(state, scene.now.get()).await.unwrap();
            assert_eq!(told(&scene, &cookie).await["situation"], situation);
        }
        scene.room.set_state(State::Idle, scene.now.get()).await.unwrap();
        assert_eq!(told(&scene, "").await["situation"], "idle");
        scene.room.set_state(State::Open, scene.now.get()).await.unwrap();
        scene.increment(3).await;
        assert_eq!(told(&scene, &cookie).await["turn"], true);
        let counters = scene.room.counters().unwrap();
        assert_eq!((counters.queue, counters.tokens), (3, 0));
    }

    #[tokio::test]
    async fn who_missed_a_turn_is_told_so_for_as_long_as_they_wait_anew() {
        let scene = Scene::with(expiring(PassOn::Lost));
        let mut cookie = joined(&scene).await;
        scene.increment(1).await;
        scene.wait(901);
        for _ in 0..2 {
            let come = async |room: &KeptRoom, visitor: &Visitor<'_>| {
                let shown = room.shown(visitor).map(|ticket| ticket.id);
                let admission = room.admit(shown, visitor.now, Arrival::Page).await.unwrap();
                let given = room.cookie(visitor, admission.id().unwrap()).unwrap();
                (String::from_utf8(room.page(visitor, admission, None).unwrap().body().to_vec()).unwrap(), given)
            };
            let (page, given) = with(&scene, &[("cookie", cookie.as_str())], ("/", ""), come).await;
            assert!(
                page.contains("<p data-v=\"over\">The turn of place 1 came") && page.contains("you have 15 minutes")
            );
            cookie = given.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
    }

    #[tokio::test]
    async fn what_somebody_wants_pages_to_be_is_kept_beside_what_they_wanted_before() {
        let scene = Scene::new();
        for (cookie, query, location, kept) in [
            ("", "vestibule-room=in-de", "/shop", "de"),
            ("", "a=1&vestibule-room=in-PT&b=2", "/shop?a=1&b=2", "pt"),
            ("vestibule-page=de", "a=%2F&vestibule-room=still", "/shop?a=%2F", "de.still"),
            ("vestibule-page=de.still", "vestibule-room=in-fr", "/shop", "fr.still"),
            ("vestibule-page=fr.still", "vestibule-room=live", "/shop", "fr"),
            ("vestibule-page=fr", "vestibule-room=nonsense", "/shop", ""),
            ("vestibule-page=fr", "a=1&vestibule-room", "/shop?a=1", ""),
        ] {
            let response = aside(&scene, cookie, query).await;
            let headers = response.headers();
            assert_eq!((response.status(), headers[LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, location));
            assert!(headers[SET_COOKIE].to_str().unwrap().starts_with(&format!("vestibule-page={kept}; ")), "{query}");
        }
        let location = with(&scene, &[], ("//evil.example/x", "vestibule-room=live"), async |room, visitor| {
            let Some(Ok(Aside::Answered(response))) = room.aside(visitor) else { panic!() };
            response.headers()[LOCATION].clone()
        });
        assert_eq!(location.await, "/evil.example/x", "nobody is sent elsewhere");
        with(&scene, &[], ("/", "a=vestibule-room&vestibule-rooms=1"), async |room, visitor| {
            assert!(room.aside(visitor).is_none());
        })
        .await;
    }

    #[tokio::test]
    async fn a_page_is_in_the_language_that_somebody_chose_or_accepts() {
        let scene = Scene::new();
        let page = async |headers: &[(&'static str, &str)]| {
            with(&scene, headers, ("/shop", "a=1"), async |room, visitor| {
                let response = room.page(visitor, Admission::TooEarly, None).unwrap();
                String::from_utf8(response.body().to_vec()).unwrap()
            })
            .await
        };
        assert!(page(&[("accept-language", "fr-CA")]).await.contains("<html lang=\"fr\""));
        let chosen = page(&[("accept-language", "fr"), ("cookie", "vestibule-page=ar.still")]).await;
        assert!(chosen.contains("<html lang=\"ar\" dir=\"rtl\"") && chosen.contains("?a=1&amp;vestibule-room=live"));
    }

    #[tokio::test]
    async fn who_waits_is_told_for_how_long_once_turns_come_regularly() {
        let scene = Scene::new();
        scene.joined(30).await;
        let cookie = joined(&scene).await;
        assert_eq!(told(&scene, &cookie).await["wait"], Value::Null);
        for _ in 0..10 {
            scene.wait(6);
            scene.increment(1).await;
            scene.tick();
        }
        // Twenty before this one, and one in six seconds.
        let wait = told(&scene, &cookie).await["wait"].clone();
        assert!(wait[0].as_u64() <= Some(126) && Some(120) <= wait[1].as_u64(), "{wait}");
        let scheduled = Schedule { opens: Some(scene.now.get() + 100), ..Schedule::default() };
        let rules = waiting_room::Rules { schedule: scheduled, ..waiting_room::Rules::default() };
        let scene = Scene::with(Settings { rules, ..settings() });
        let early = told(&scene, "").await;
        assert_eq!((&early["situation"], &early["opens"]), (&"idle".into(), &1_800_000_160.into()));
    }
}
