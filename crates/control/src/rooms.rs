//! The waiting rooms of the document: opened once there are any, tended while they are in this process.

pub(crate) mod announcers;
mod fairness;
mod named;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Document;
use model::rooms::{
    ExpiredTurns, Inlet, Moment, RoomCompatibility, RoomDurability, RoomPage, RoomPresence, RoomSchedule, WaitingRoom,
};
use parking_lot::Mutex;
use policies::waiting_room_api::WaitingRooms;
use problem::{Finding, Pointer};
use rooms::{AccessKeys, Announced, KeptRoom, Settings, Unusable, Whereabouts};
use secrets::Vault;
use store_redis::{Durability, RedisLog};
use waiting_page::Page;
use waiting_room::{Adaptive, Compatibility, Expiry, MaxSize, PassOn, Periodic, Presence, Rules, Schedule, State};

use self::announcers::Announcers;
pub(crate) use self::named::NamedRooms;
use crate::alerting::Alerts;
use crate::clock::now;

/// How often it is looked for what is due in rooms.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How often it is tried to have rooms that another process has.
const TAKE: Duration = Duration::from_millis(20);

/// The waiting rooms of a node.
pub struct Rooms {
    folder: PathBuf,
    vault: Arc<Vault>,
    /// What programs sign with that operate rooms.
    pub access_keys: Arc<AccessKeys>,
    /// Where several nodes have them together, if they do.
    shared: Option<Arc<RedisLog>>,
    /// None before a document has rooms: they cost threads and files.
    opened: Mutex<Option<Arc<rooms::Rooms>>>,
    /// The rooms of the document that is compiled next or serves.
    named: Mutex<NamedRooms>,
    /// Who reads their log beside this.
    pub(crate) readers: Mutex<Vec<String>>,
    announcers: Announcers,
}

impl Rooms {
    /// Rooms of a store, of which no document has named any.
    pub fn kept_in(store: &Path, vault: Arc<Vault>) -> Self {
        Self {
            folder: store.join(FOLDER),
            access_keys: Arc::new(AccessKeys::kept_in(vault.clone())),
            vault,
            shared: None,
            opened: Mutex::default(),
            named: Mutex::default(),
            readers: Mutex::default(),
            announcers: Announcers::default(),
        }
    }

    /// The same, had together by all nodes that share this log, if there is one.
    pub(crate) fn shared_in(self, shared: Option<Arc<RedisLog>>) -> Self {
        Self { shared, ..self }
    }

    /// Says that what is written in a server stays there, as far as that can be told.
    pub(crate) async fn expect_kept(&self) -> Result<(), Vec<Finding>> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let wrong = match shared.durability().await {
            Ok(Durability::Nothing) => {
                "writes nothing down, and waiting rooms are nowhere else: have Redis write (`appendonly yes`), and best with \
                 `appendfsync always`"
            }
            Ok(Durability::Moments) => {
                tracing::warn!(
                    "Redis writes down every second (`appendfsync everysec`): if its machine loses power, places in waiting \
                     rooms of the last moments are those that gateways which go on remember; `appendfsync always` loses none"
                );
                return Ok(());
            }
            Ok(Durability::Disk | Durability::Unknown) => return Ok(()),
            Err(cause) => {
                tracing::warn!(%cause, "Redis does not say whether it writes down what happens in waiting rooms");
                return Ok(());
            }
        };
        Err(vec![Finding::new(&Pointer::default().at("store").at("redis"), wrong)])
    }

    /// Has the rooms at hand that a document names, before it is compiled. Those that serve stay as they are. It blocks.
    pub(crate) fn prepare(&self, document: &Document) -> Result<(), Vec<Finding>> {
        let findings = check(document);
        if !findings.is_empty() {
            return Err(findings);
        }
        if !document.rooms.is_empty() {
            let unusable = |error: Unusable| {
                let at = Pointer::default().at("rooms");
                vec![Finding::new(&at, error.to_string())]
            };
            let rooms = self.open().map_err(unusable)?;
            rooms.add(self.settings(document));
            rooms.take().map_err(unusable)?;
        }
        *self.named.lock() = NamedRooms::of(document);
        Ok(())
    }

    /// Has the rooms of a document that serves from now on, and no others.
    pub(crate) fn set(&self, document: &Document) {
        if let Some(rooms) = self.opened() {
            rooms.set(self.settings(document));
            self.announcers.keep(document);
        }
    }

    /// The log that several nodes share, if they do.
    pub(crate) fn shared_log(&self) -> Option<Arc<RedisLog>> {
        self.shared.clone()
    }

    fn settings(&self, document: &Document) -> Vec<(String, Settings)> {
        let of = |(name, room): (&String, &WaitingRoom)| {
            let file = room.caps.as_ref().and_then(|caps| Some(&caps.asn.as_ref()?.file));
            let announced = file.and_then(|file| self.announcers.of(file));
            (name.clone(), compiled(name, room, announced))
        };
        document.rooms.iter().map(of).collect()
    }

    /// Lets another process of this store have the rooms.
    pub fn let_go(&self) {
        if let Some(rooms) = self.opened() {
            rooms.let_go();
        }
    }

    /// The names of all rooms.
    pub fn names(&self) -> Vec<String> {
        self.named.lock().names()
    }

    /// The room of this name.
    pub fn named(&self, name: &str) -> Option<Arc<KeptRoom>> {
        self.opened()?.named(name)
    }

    /// What is counted in rooms that anybody ever joined.
    pub(crate) fn readings(&self) -> Vec<room_events::metrics::Reading> {
        let now = seconds();
        let rooms = self.opened().map(|rooms| rooms.all()).unwrap_or_default();
        let read = |room: Arc<KeptRoom>| {
            let looked = room.look(|room| (room.counters(), room.active(now), room.line().by_lane()));
            let (counters, active, lanes) = looked.ok()?;
            (counters.queue > 0 || counters.state != State::Open).then(|| room_events::metrics::Reading {
                room: room.name().to_string(),
                counters,
                active,
                inflow: room.inflow(),
                is_active: room.is_active(),
                happened: room.happened().read().filter(|(_, count)| *count > 0).collect(),
                lanes,
            })
        };
        rooms.into_iter().filter_map(read).collect()
    }

    pub(crate) fn opened(&self) -> Option<Arc<rooms::Rooms>> {
        self.opened.lock().clone()
    }

    fn open(&self) -> Result<Arc<rooms::Rooms>, Unusable> {
        let mut opened = self.opened.lock();
        if let Some(rooms) = &*opened {
            return Ok(rooms.clone());
        }
        let vault = self.vault.clone();
        let rooms = Arc::new(match &self.shared {
            Some(shared) => rooms::Rooms::share(shared.clone(), vault)?,
            None => rooms::Rooms::open_with(&self.folder, vault, now().0, &self.readers.lock())?,
        });
        *opened = Some(rooms.clone());
        Ok(rooms)
    }
}

impl WaitingRooms for Rooms {
    fn named(&self, name: &str) -> Option<Arc<KeptRoom>> {
        self.named(name)
    }

    fn names(&self) -> Vec<String> {
        self.names()
    }

    fn has_inlet(&self, name: &str) -> bool {
        self.named.lock().has_inlet(name)
    }
}

/// Does what is due in rooms, keeps their log short, and takes them over from another process that lets them go.
pub(crate) async fn tend(kept: Arc<Rooms>, alerts: Arc<Alerts>) {
    futures::future::join3(take_turns(&kept), look(&kept), heed(&kept, &alerts)).await;
}

/// Reads and writes what several nodes share, once a document has rooms.
async fn take_turns(kept: &Rooms) {
    loop {
        if let Some(rooms) = kept.opened() {
            match kept.expect_kept().await {
                Ok(()) => return rooms.take_turns().await,
                Err(findings) => tracing::error!(?findings, "waiting rooms cannot be had"),
            }
            tokio::time::sleep(TICK).await;
        }
        tokio::time::sleep(TAKE).await;
    }
}

/// Has rooms know for which rules alerts are open, beside everything else: nobody waits for a store that does not answer.
async fn heed(kept: &Rooms, alerts: &Alerts) {
    let mut is_away = false;
    loop {
        if let Some(rooms) = kept.opened().filter(|rooms| rooms.heeds_alarms()) {
            match alerts.list(true).await {
                Ok(open) => {
                    is_away = false;
                    rooms.alarm(&open.into_iter().map(|alert| alert.rule).collect());
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(%error, "it is not known which alerts are open; inlets of rooms go by what was known last");
                    }
                    rooms.alarms_are_away();
                }
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn look(kept: &Rooms) {
    loop {
        let Some(rooms) = kept.opened() else {
            tokio::time::sleep(TICK).await;
            continue;
        };
        let is_here = rooms.whereabouts() == Whereabouts::Here;
        let drawing = rooms.clone();
        let work = move || match rooms.whereabouts() {
            Whereabouts::Here => {
                rooms.tick(seconds());
                rooms.shorten_log()
            }
            Whereabouts::Elsewhere => rooms.take().map(|_whereabouts| ()),
        };
        // Only a panic keeps it from being looked at.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "waiting rooms could not be tended; it is tried again");
            tokio::time::sleep(TICK).await;
        }
        drawing.draw_lots(seconds()).await;
        tokio::time::sleep(if is_here { TICK } else { TAKE }).await;
    }
}

/// Now, in seconds since 1970.
fn seconds() -> u32 {
    u32::try_from(now().0 / 1_000_000).unwrap_or(u32::MAX)
}

/// What is wrong with the rooms of a document.
pub(crate) fn check(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    let at_rooms = Pointer::default().at("rooms");
    let mut wrong = |at: &Pointer, message: &str| findings.push(Finding::new(at, message));
    for (name, room) in &document.rooms {
        let at = at_rooms.at(name);
        if document.store.is_none() {
            wrong(&at, "needs a place to be kept in: configure a `store`");
        }
        if document.store.as_ref().is_some_and(|store| store.postgres.is_some()) {
            check_shared(room, &at, &mut wrong);
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            wrong(&at, "has a name that cannot be that of a file: letters, digits, `-` and `_`");
        }
        if room.event.as_ref().is_some_and(|event| event.trim().is_empty() || event.contains(['&', '<', '>'])) {
            wrong(
                &at.at("event"),
                "cannot be asked about: it has no letters, or one of `&`, `<`, `>`, which are taken for markup",
            );
        }
        if room.token.issuer.as_ref().is_some_and(String::is_empty) {
            wrong(&at.at("token").at("issuer"), "is empty; leave it out to have one made");
        }
        for (at, span) in [
            (at.at("token").at("validity"), Some(room.token.validity)),
            (at.at("position_expiry"), room.position_expiry),
            (at.at("presence").at("absent_after"), room.presence.map(|presence| presence.absent_after)),
            (at.at("presence").at("grace"), room.presence.map(|presence| presence.grace)),
        ] {
            if span.is_some_and(|span| !(1..=LONGEST).contains(&span.duration().as_secs())) {
                wrong(&at, "is not between a second and ten years");
            }
        }
        fairness::check(room, &at, &mut wrong);
        if let Some(openid) = &room.openid {
            let at = at.at("openid");
            for (member, address) in [("issuer", Some(&openid.issuer)), ("login", openid.login.as_ref())] {
                let Some(address) = address else { continue };
                if !address.starts_with("https://") && !address.starts_with("http://") {
                    wrong(&at.at(member), "is no address; write one such as `https://wait.example/oidc`");
                }
            }
            if openid.client_secret.len() < SHORTEST_SECRET {
                wrong(&at.at("client_secret"), "is too short to be a secret: at least 16 characters");
            }
        }
        if let Some(schedule) = room.schedule {
            check_schedule(schedule, &at.at("schedule"), &mut wrong);
        }
        check_inlet(document, room, &at.at("inlet"), &mut wrong);
    }
    for (name, room) in &document.rooms {
        findings.extend(page(room, &at_rooms.at(name)).err().unwrap_or_default());
    }
    findings
}

/// What a room cannot have that several nodes share.
fn check_shared(room: &WaitingRoom, at: &Pointer, wrong: &mut impl FnMut(&Pointer, &str)) {
    let is_short = |presence: RoomPresence| presence.absent_after.duration() < SOON_KNOWN;
    if room.presence.is_some_and(is_short) {
        let message =
            "is less than ten seconds, in which nodes that share rooms may not have heard of each other's visitors";
        wrong(&at.at("presence").at("absent_after"), message);
    }
}

/// What visitors see who wait, or what is wrong with it.
fn page(room: &WaitingRoom, at: &Pointer) -> Result<Page, Vec<Finding>> {
    let RoomPage { title, logo, template, language, texts } = room.page.clone();
    Page::compile(&waiting_page::Settings { title, logo, template, language, texts }, &at.at("page"))
}

fn check_inlet(document: &Document, room: &WaitingRoom, at: &Pointer, wrong: &mut impl FnMut(&Pointer, &str)) {
    if let Some(Inlet::Adaptive(inlet)) = &room.inlet {
        let at = at.at("adaptive");
        if inlet.latency.duration().is_zero() {
            wrong(&at.at("latency"), "is no time at all");
        }
        if inlet.most_per_minute < inlet.least_per_minute.max(1) {
            wrong(&at.at("most_per_minute"), "is less than `least_per_minute`, or nobody");
        }
    }
    if let Some(Inlet::Periodic(inlet)) = &room.inlet {
        let at = at.at("periodic");
        if inlet.every.duration().as_secs() == 0 {
            wrong(&at.at("every"), "is less than a second");
        }
        if let Some(rule) = inlet.unless_alert.as_ref().filter(|rule| !is_rule(document, rule)) {
            wrong(&at.at("unless_alert"), &format!("there is no rule `{rule}` in `alerts`"));
        }
        if inlet.from.zip(inlet.until).is_some_and(|(from, until)| until <= from) {
            wrong(&at.at("until"), "is not after `from`");
        }
    }
}

/// Whether a document has a rule of alerts by this name.
fn is_rule(document: &Document, name: &str) -> bool {
    ::alerts::compile(document, &|_| false).is_ok_and(|rules| rules.rules.iter().any(|rule| rule.name == name))
}

/// Moments come in the order of what they begin.
fn check_schedule(schedule: RoomSchedule, at: &Pointer, wrong: &mut impl FnMut(&Pointer, &str)) {
    let RoomSchedule { pre_queue, opens, closes } = schedule;
    if pre_queue.or(opens).or(closes).is_none() {
        wrong(at, "says nothing: name at least one of `pre_queue`, `opens` and `closes`");
    }
    if pre_queue.zip(opens).is_some_and(|(pre_queue, opens)| opens <= pre_queue) {
        wrong(&at.at("opens"), "is not after `pre_queue`");
    }
    if opens.or(pre_queue).zip(closes).is_some_and(|(before, closes)| closes <= before) {
        wrong(&at.at("closes"), "is not after what it closes");
    }
}

fn compiled(name: &str, room: &WaitingRoom, announced: Option<Announced>) -> Settings {
    let pass_on = match room.expired_turns {
        ExpiredTurns::PassedOn => PassOn::ToTheNext,
        ExpiredTurns::Lost => PassOn::Lost,
    };
    Settings {
        event: room.event.as_deref().unwrap_or(name).into(),
        rules: Rules {
            expiry: room.position_expiry.map(|period| Expiry { period: whole(period), pass_on }),
            compatibility: match room.compatibility {
                RoomCompatibility::Mended => Compatibility::Mended,
                RoomCompatibility::Strict => Compatibility::Strict,
            },
            presence: room
                .presence
                .map(|presence| Presence { absent_after: whole(presence.absent_after), grace: whole(presence.grace) }),
            schedule: room.schedule.map_or_else(Schedule::default, |schedule| Schedule {
                pre_queue: schedule.pre_queue.map(Moment::seconds),
                opens: schedule.opens.map(Moment::seconds),
                closes: schedule.closes.map(Moment::seconds),
            }),
        },
        issuer: room.token.issuer.as_deref().map_or_else(|| format!("vestibule:room:{name}").into(), Into::into),
        validity: whole(room.token.validity),
        inlet: inlet(room.inlet.as_ref()),
        alarm: match &room.inlet {
            Some(Inlet::Periodic(inlet)) => inlet.unless_alert.as_deref().map(Into::into),
            Some(Inlet::MaxSize(_) | Inlet::Adaptive(_)) | None => None,
        },
        metrics_events: room.metrics_events,
        openid: room.openid.as_ref().map(|openid| {
            Arc::new(rooms::OpenId {
                issuer: openid.issuer.trim_end_matches('/').into(),
                client_secret: openid.client_secret.as_str().into(),
                redirect_uris: openid.redirect_uris.clone(),
                login: openid.login.as_deref().map(Into::into),
            })
        }),
        // A document with findings has no rooms.
        page: Arc::new(page(room, &Pointer::default()).unwrap_or_default()),
        fairness: fairness::compiled(room, announced),
        durability: match room.durability {
            RoomDurability::Disk => rooms::Durability::Disk,
            RoomDurability::Process => rooms::Durability::Process,
        },
    }
}

fn inlet(written: Option<&Inlet>) -> rooms::Inlet {
    match written {
        None => rooms::Inlet::Manual,
        Some(Inlet::Periodic(inlet)) => rooms::Inlet::Periodic(Periodic {
            by: inlet.by,
            every: whole(inlet.every),
            from: inlet.from.map_or(0, Moment::seconds),
            until: inlet.until.map(Moment::seconds),
        }),
        Some(Inlet::MaxSize(inlet)) => rooms::Inlet::MaxSize(MaxSize { size: inlet.size }),
        Some(Inlet::Adaptive(inlet)) => rooms::Inlet::Adaptive(Adaptive {
            target: u32::try_from(inlet.latency.duration().as_micros()).unwrap_or(u32::MAX),
            failures: u32::from(inlet.failures.percent()) * 10,
            least: inlet.least_per_minute,
            most: inlet.most_per_minute,
            in_flight: inlet.in_flight,
            settles: whole(inlet.settles),
        }),
    }
}

/// In whole seconds.
fn whole(span: model::units::Span) -> u32 {
    u32::try_from(span.duration().as_secs()).unwrap_or(u32::MAX)
}

/// Characters of a client's secret.
const SHORTEST_SECRET: usize = 16;

/// How long it may take until all nodes know of a visitor who is there.
const SOON_KNOWN: Duration = Duration::from_secs(10);

/// Where rooms are in the store.
pub(crate) const FOLDER: &str = "rooms";

/// The longest time that anything in a room takes, in seconds.
const LONGEST: u64 = 10 * 365 * 24 * 60 * 60;
