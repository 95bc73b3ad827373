//! All rooms of a store: which of them there are, who has them, and what a start reads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use journal::Journal;
use parking_lot::{Mutex, RwLock};
use room_files::{pictures, wire};
use secrets::Vault;
use tokio::runtime::Handle;
use turns::Turns;
use waiting_room::Seconds;

use crate::keys::{Desk, Keys};
use crate::log::{JournalLog, Log, NotKept};
use crate::room::KeptRoom;
use crate::settings::Settings;
use crate::shared::SharedLog;
use room_tickets::Tickets;

/// Why rooms cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The log cannot be read or written.
    #[error("what happened in rooms cannot be read or written: {0}")]
    Log(#[from] journal::Error),
    /// The pictures cannot be read or written.
    #[error("pictures of rooms cannot be read or written: {0}")]
    Pictures(#[from] io::Error),
    /// The key of tickets cannot be read or kept.
    #[error("the key of tickets for rooms cannot be read or kept: {0}")]
    Tickets(#[from] secrets::Error),
}

/// Where rooms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In this process.
    Here,
    /// In another process of the same store, which will let them go.
    Elsewhere,
}

/// All rooms of a store.
pub struct Rooms {
    kept: Kept,
    vault: Arc<Vault>,
    tickets: Tickets,
    desk: Desk,
    log: Arc<dyn Log>,
    used: RwLock<BTreeMap<String, Arc<KeptRoom>>>,
    /// Rooms that something happened in and that no document has.
    unused: Mutex<HashMap<String, Arc<KeptRoom>>>,
    /// Bytes of all pictures.
    pictures: AtomicU64,
    /// Whether this process let rooms go for good. It is held while they are taken.
    has_left: Mutex<bool>,
    /// What this process is called among those that share rooms.
    node: u64,
}

/// Where what happens in rooms is written down.
enum Kept {
    /// In a folder of this machine, which one process has at a time.
    Alone { log: Arc<JournalLog>, log_folder: PathBuf, pictures: PathBuf },
    /// In a server, by several nodes together.
    Shared(Arc<Turns>),
}

impl Rooms {
    /// Rooms whose log and pictures are in a folder, which is made if need be. None is here before [`Self::take`].
    pub fn open(folder: &Path, vault: Arc<Vault>, opened_at: u64) -> Result<Self, Unusable> {
        Self::open_with(folder, vault, opened_at, &[])
    }

    /// As [`Self::open`], with a log that stays as long as these have not read it either.
    pub fn open_with(folder: &Path, vault: Arc<Vault>, opened_at: u64, readers: &[String]) -> Result<Self, Unusable> {
        let log_folder = folder.join("log");
        let log = Arc::new(JournalLog::open(&log_folder, opened_at, readers)?);
        let kept = Kept::Alone { log: log.clone(), log_folder, pictures: folder.join("pictures") };
        Self::of(kept, log, vault)
    }

    /// Rooms whose log is in a server that several nodes share. None is here before [`Self::take_turns`] has read it.
    pub fn share(server: Arc<dyn store::SharedLog>, vault: Arc<Vault>) -> Result<Self, Unusable> {
        let mut name = [0; 16];
        aws_lc_rs::rand::fill(&mut name).map_err(|_unspecified| secrets::Error::NoRandomness)?;
        let turns = Arc::new(Turns::new(server, store::hex(&name)));
        Self::of(Kept::Shared(turns.clone()), Arc::new(SharedLog(turns)), vault)
    }

    fn of(kept: Kept, log: Arc<dyn Log>, vault: Arc<Vault>) -> Result<Self, Unusable> {
        let mut node = [0; 8];
        aws_lc_rs::rand::fill(&mut node).map_err(|_unspecified| secrets::Error::NoRandomness)?;
        Ok(Self {
            kept,
            log,
            tickets: Tickets::of(&vault)?,
            desk: Desk::new(),
            vault,
            used: RwLock::default(),
            unused: Mutex::default(),
            pictures: AtomicU64::new(0),
            has_left: Mutex::new(false),
            node: u64::from_le_bytes(node),
        })
    }

    /// The log, for those who tell others what happens, and where it is. None: it is in a server.
    pub fn log(&self) -> Option<(Arc<Journal>, PathBuf)> {
        match &self.kept {
            Kept::Alone { log, log_folder, .. } => Some((log.journal(), log_folder.clone())),
            Kept::Shared(_) => None,
        }
    }

    /// The room of this name, if the document has one.
    pub fn named(&self, name: &str) -> Option<Arc<KeptRoom>> {
        self.used.read().get(name).cloned()
    }

    /// All rooms of the document, in the order of their names.
    pub fn all(&self) -> Vec<Arc<KeptRoom>> {
        self.used.read().values().cloned().collect()
    }

    /// Has these rooms, too. Those that there are stay as they are.
    pub fn add(&self, settings: impl IntoIterator<Item = (String, Settings)>) {
        let (mut rooms, mut unused) = (self.used.write(), self.unused.lock());
        for (name, settings) in settings {
            if rooms.contains_key(&name) {
                continue;
            }
            let room = unused.remove(&name).unwrap_or_else(|| Arc::new(self.empty(&name, settings.clone())));
            room.set(settings);
            rooms.insert(name, room);
        }
    }

    /// Has these rooms from now on, and no others. What happened in others is kept.
    pub fn set(&self, settings: impl IntoIterator<Item = (String, Settings)>) {
        let (mut rooms, mut unused) = (self.used.write(), self.unused.lock());
        let mut before = std::mem::take(&mut *rooms);
        for (name, settings) in settings {
            let known = before.remove(&name).or_else(|| unused.remove(&name));
            let room = known.unwrap_or_else(|| Arc::new(self.empty(&name, settings.clone())));
            room.set(settings);
            rooms.insert(name, room);
        }
        for room in before.values() {
            // Nobody would tell them anything any more.
            room.watchers().dismiss();
        }
        unused.extend(before);
    }

    /// Reads and writes what several nodes share, as long as it is polled. Nothing else is needed of rooms of one node.
    pub async fn take_turns(self: &Arc<Self>) {
        match &self.kept {
            Kept::Alone { .. } => std::future::pending().await,
            Kept::Shared(turns) => turns::run(self.clone(), turns.clone()).await,
        }
    }

    /// Has rooms here, as they are by now, unless they are in another process. It reads for up to a second, and blocks.
    pub fn take(&self) -> Result<Whereabouts, Unusable> {
        let has_left = self.has_left.lock();
        if self.whereabouts() == Whereabouts::Here || *has_left {
            return Ok(self.whereabouts());
        }
        let Kept::Alone { log, pictures, .. } = &self.kept else { return Ok(self.whereabouts()) };
        match self.read_again(log, pictures) {
            Ok(true) => Ok(Whereabouts::Here),
            Ok(false) => Ok(Whereabouts::Elsewhere),
            Err(error) => {
                // So that it can be tried again.
                log.let_go();
                Err(error)
            }
        }
    }

    /// Reads pictures and log, if the log can be had.
    fn read_again(&self, log: &JournalLog, pictures: &Path) -> Result<bool, Unusable> {
        if !log.take()? {
            return Ok(false);
        }
        // Not before: until then another process may take pictures.
        self.read_pictures(pictures)?;
        log.read(|record| self.replay(record))?;
        log.begin()?;
        Ok(true)
    }

    /// Lets another process have the rooms, for good. Where nodes share them, it goes on until it ends.
    pub fn let_go(&self) {
        if let Kept::Alone { log, .. } = &self.kept {
            *self.has_left.lock() = true;
            log.let_go();
        }
        for room in self.all() {
            room.watchers().dismiss();
        }
    }

    /// Where rooms are.
    pub fn whereabouts(&self) -> Whereabouts {
        if self.log.is_here() { Whereabouts::Here } else { Whereabouts::Elsewhere }
    }

    /// Does what is due by now in all rooms. It blocks where nodes share them, until it is this one's turn.
    pub fn tick(&self, now: Seconds) {
        if self.whereabouts() == Whereabouts::Elsewhere {
            return;
        }
        let mut waiting = Vec::new();
        for room in self.all() {
            room.tend_keys(now.into());
            match room.tick(now) {
                // Something is due.
                Err(NotKept::NotOurTurn) => waiting.push(room),
                done => told(&room, done),
            }
        }
        if waiting.is_empty() {
            return;
        }
        let turn = Handle::try_current().map_or(Err(NotKept::NotOurTurn), |runtime| runtime.block_on(self.log.turn()));
        for room in waiting {
            let done = match &turn {
                Ok(_turn) => room.tick(now),
                Err(cause) => Err(*cause),
            };
            told(&room, done);
        }
    }

    /// Has lots drawn where it is time.
    pub async fn draw_lots(&self, now: Seconds) {
        if self.whereabouts() == Whereabouts::Elsewhere {
            return;
        }
        for room in self.all() {
            if let Err(cause) = room.draw_if_due(now).await {
                tracing::warn!(room = &**room.name(), %cause, "lots could not be drawn; it is tried again");
            }
        }
    }

    /// Lets rooms know for which rules alerts are open.
    pub fn alarm(&self, open: &HashSet<String>) {
        for room in self.all() {
            let alarm = room.settings().alarm.clone();
            room.alarm(alarm.is_some_and(|rule| open.contains(&*rule)));
        }
    }

    /// Lets rooms know that nobody knows for which rules alerts are open.
    pub fn alarms_are_away(&self) {
        for room in self.all() {
            room.alarm_is_away();
        }
    }

    /// Whether any room heeds an alarm.
    pub fn heeds_alarms(&self) -> bool {
        self.all().iter().any(|room| room.settings().alarm.is_some())
    }

    /// Takes pictures of rooms once the log is so long that a start would take long. It blocks.
    pub fn shorten_log(&self) -> Result<(), Unusable> {
        match &self.kept {
            Kept::Alone { log, .. } if log.bytes() >= self.longest_log() => self.take_pictures(),
            // Whoever writes the shared log sees to it.
            Kept::Alone { .. } | Kept::Shared(_) => Ok(()),
        }
    }

    /// Bytes of a log that is made short: no fewer than pictures then take, so that writing those is not most of what a rush
    /// costs the disk.
    pub(crate) fn longest_log(&self) -> u64 {
        LONGEST_LOG.max(self.pictures.load(Ordering::Relaxed))
    }

    /// Takes pictures of all rooms that have changed, and forgets what happened before. It blocks.
    pub fn take_pictures(&self) -> Result<(), Unusable> {
        let Kept::Alone { log, pictures, .. } = &self.kept else { return Ok(()) };
        let Some(here) = log.here() else { return Ok(()) };
        let mut bytes = 0;
        for room in self.known_ones() {
            let Some(picture) = room.picture() else { continue };
            bytes += picture.write(pictures, room.name())?;
            room.pictured(picture.version);
        }
        log.shorten(&here)?;
        self.pictures.fetch_max(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// There are pictures of so many bytes now.
    pub(crate) fn has_pictures(&self, bytes: u64) {
        self.pictures.store(bytes, Ordering::Relaxed);
    }

    /// Everything that is known of all rooms, as one picture, with which a shared log can begin; none, if there are no rooms.
    pub fn picture_of_all(&self) -> io::Result<Option<Vec<u8>>> {
        let is_lived_in = |room: &Arc<KeptRoom>| room.look(|room| room.version() > 0).unwrap_or(false);
        if self.known_ones().iter().any(is_lived_in) { turns::Kept::picture(self)().map(Some) } else { Ok(None) }
    }

    /// How many rooms something happened in.
    pub fn count(&self) -> usize {
        self.known_ones().len()
    }

    pub(crate) fn known_ones(&self) -> Vec<Arc<KeptRoom>> {
        let unused: Vec<_> = self.unused.lock().values().cloned().collect();
        self.all().into_iter().chain(unused).collect()
    }

    fn read_pictures(&self, folder: &Path) -> io::Result<()> {
        let mut bytes = 0;
        for (name, room, length) in pictures::read_all(folder)? {
            bytes += length;
            self.known(&name).become_again(room);
        }
        self.pictures.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn replay(&self, record: &[u8]) {
        let Some(happened) = wire::read(record) else {
            tracing::error!("something happened in a room that this version does not understand");
            return;
        };
        self.known(happened.room).replay(happened.number, &happened.event);
    }

    /// The room of this name, of the document or not.
    pub(crate) fn known(&self, name: &str) -> Arc<KeptRoom> {
        // It is held meanwhile, so that nobody takes the room over between the two looks.
        let used = self.used.read();
        if let Some(room) = used.get(name) {
            return room.clone();
        }
        let mut unused = self.unused.lock();
        if let Some(room) = unused.get(name) {
            return room.clone();
        }
        let room = Arc::new(self.empty(name, Settings::unused(name)));
        unused.insert(name.to_owned(), room.clone());
        room
    }

    fn empty(&self, name: &str, settings: Settings) -> KeptRoom {
        let secrets = (Keys::of(self.vault.clone(), name), self.tickets.clone(), self.desk.clone());
        KeptRoom::new(name, settings, (self.log.clone(), self.node), secrets)
    }
}

fn told(room: &KeptRoom, done: Result<(), NotKept>) {
    if let Err(cause) = done {
        tracing::warn!(room = &**room.name(), %cause, "what is due in a room could not be written down");
    }
}

/// So many bytes of the log are read in a part of a second.
const LONGEST_LOG: u64 = 16 * 1024 * 1024;
