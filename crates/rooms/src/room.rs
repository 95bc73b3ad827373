//! A room that is kept: what happens in it is written down first.

mod due;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use room_files::pictures::Picture;
use room_files::wire;
use turns::MayWrite;
use waiting_room::{
    Cause, Counters, Draft, Event, FreshIds, Issuing, NotJoined, Position, Refusal, RequestId, Room, Seconds, State,
    Token, Turn,
};

use crate::alarm::Alarm;
use crate::entering::Entering;
use crate::gate::Gate;
use crate::inflow::Inflow;
use crate::joining::NotLet;
use crate::keys::{Desk, Keys, NoKeys};
use crate::log::{Log, NotKept, Written};
use crate::nodes::{Nodes, Signs};
use crate::presence::Seen;
use crate::settings::{Durability, Settings};
use crate::waits::Waits;
use crate::watching::Watchers;
use room_events::Tally;
use room_tickets::Tickets;

pub use self::due::Left;

/// Why something cannot be done now.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It cannot be written down.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// There is no place left.
    #[error(transparent)]
    NotJoined(#[from] NotJoined),
    /// They cannot join with what they have.
    #[error(transparent)]
    NotLet(#[from] NotLet),
    /// There are no keys.
    #[error(transparent)]
    NoKeys(#[from] NoKeys),
    /// There is no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// A room that is kept.
pub struct KeptRoom {
    name: Arc<str>,
    settings: ArcSwap<Settings>,
    log: Arc<dyn Log>,
    keys: Arc<Keys>,
    tickets: Tickets,
    desk: Desk,
    watchers: Watchers,
    waits: Waits,
    happened: Tally,
    seen: Seen,
    signs: Signs,
    gate: Gate,
    entering: Entering,
    /// What this process is called among those that share rooms.
    node: u64,
    pub(crate) alarm: Alarm,
    pub(crate) held: Mutex<Held>,
}

pub(crate) struct Held {
    pub(crate) room: Room,
    /// Where records are put together. It keeps its capacity.
    record: Vec<u8>,
    pub(crate) ids: FreshIds,
    /// The version of the last picture.
    pictured: u64,
    /// When it was last looked at what is counted, for others.
    measured: Seconds,
    pub(crate) steering: Inflow,
    pub(crate) nodes: Nodes,
}

/// A turn that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Whose.
    pub position: Position,
    /// Its token.
    pub token: Token,
    /// Who issued it.
    pub issuer: Arc<str>,
    /// Whether it was taken just now.
    pub when: Taken,
}

/// When a turn was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Just now.
    Now,
    /// Earlier.
    Before,
}

/// How a token shall be, where it is not as the room's settings say.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Who issues it.
    pub issuer: Option<Arc<str>>,
    /// For how many seconds it holds.
    pub validity: Option<u32>,
}

impl KeptRoom {
    pub(crate) fn new(
        name: &str,
        settings: Settings,
        (log, node): (Arc<dyn Log>, u64),
        secrets: (Keys, Tickets, Desk),
    ) -> Self {
        let (keys, tickets, desk) = secrets;
        let held = Held {
            room: Room::default(),
            record: Vec::new(),
            ids: FreshIds::default(),
            pictured: 0,
            measured: 0,
            steering: Inflow::default(),
            nodes: Nodes::default(),
        };
        Self {
            name: name.into(),
            settings: ArcSwap::from_pointee(settings),
            log,
            keys: Arc::new(keys),
            tickets,
            desk,
            watchers: Watchers::default(),
            waits: Waits::default(),
            happened: Tally::default(),
            seen: Seen::default(),
            signs: Signs::default(),
            gate: Gate::default(),
            entering: Entering::default(),
            node,
            alarm: Alarm::default(),
            held: Mutex::new(held),
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What its operator says about it.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Whether several nodes have it together.
    pub(crate) fn is_shared(&self) -> bool {
        self.log.is_shared()
    }

    /// How often what happened in it since this process has it.
    pub fn happened(&self) -> &Tally {
        &self.happened
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn entering(&self) -> &Entering {
        &self.entering
    }

    pub(crate) fn node(&self) -> u64 {
        self.node
    }

    pub(crate) fn signs(&self) -> &Signs {
        &self.signs
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(crate) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    pub(crate) fn set(&self, settings: Settings) {
        if **self.settings.load() != settings {
            self.settings.store(Arc::new(settings));
        }
    }

    /// It is as it was at some version, of which there is a picture.
    pub(crate) fn become_again(&self, room: Room) {
        let mut held = self.held.lock();
        (held.pictured, held.room) = (room.version(), room);
        self.entering.clear();
    }

    /// Has happen what happened, if it is not known yet: the change of this number.
    pub(crate) fn replay(&self, number: u64, event: &Event) {
        // It takes long, and whoever asks meanwhile is told how it is so far: nobody else changes what is read here.
        let draft = if let Event::Drawn { public, lanes, at } = event
            && number > self.held.lock().room.version()
        {
            let line = self.held.lock().room.line().clone();
            Some(Draft::of(&line, public, lanes, *at))
        } else {
            None
        };
        let mut held = self.held.lock();
        if number <= held.room.version() {
            return;
        }
        if number != held.room.version() + 1 {
            let known = held.room.version();
            tracing::error!(room = &*self.name, known, number, "changes of a room are missing, which the disk lost");
        }
        while held.room.version() + 1 < number {
            held.room.skip();
        }
        held.room.apply_with(event, draft);
        self.heard(&mut held, event);
    }

    /// Knows what follows from what happened, beside the room itself.
    fn heard(&self, held: &mut Held, event: &Event) {
        if let Event::Measured { at, .. } = event {
            held.measured = *at;
        }
        if let Event::Beside { what, at } = event {
            self.hear(held, what, *at);
        }
    }

    /// What is to be written of it, if it has changed since that was done last.
    pub(crate) fn picture(&self) -> Option<Picture> {
        let held = self.held.lock();
        (held.pictured < held.room.version()).then(|| Picture::of(&held.room))
    }

    /// What is to be written of it, whether or not that was done before.
    pub(crate) fn whole_picture(&self) -> Picture {
        Picture::of(&self.held.lock().room)
    }

    pub(crate) fn pictured(&self, version: u64) {
        self.held.lock().pictured = version;
    }

    /// What can be told of it.
    pub fn look<R>(&self, look: impl FnOnce(&Room) -> R) -> Result<R, Trouble> {
        let held = self.held.lock();
        // Not before: a room that is to be read again is forgotten only after it is not here any more.
        self.expect_here()?;
        Ok(look(&held.room))
    }

    /// What can be told of it, in the state that it is in now by what the schedule says.
    pub(crate) fn look_now<R>(&self, now: Seconds, look: impl FnOnce(&Room) -> R) -> Result<R, Trouble> {
        self.expect_here()?;
        let mut held = self.held.lock();
        match self.catch_up(&mut held, now) {
            // Whose turn it is notes it in a moment.
            Ok(()) | Err(NotKept::NotOurTurn) => Ok(look(&held.room)),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Everything that is counted.
    pub fn counters(&self) -> Result<Counters, Trouble> {
        self.look(Room::counters)
    }

    /// How the turn of a visitor stands.
    pub fn turn(&self, id: RequestId, now: Seconds) -> Result<Result<Option<Turn>, Refusal>, Trouble> {
        let rules = self.settings.load().rules;
        self.look(|room| room.turn_of(id, now, &rules))
    }

    /// Has a visitor take their turn.
    pub async fn take_turn(
        &self,
        id: RequestId,
        now: Seconds,
        wish: Wish,
    ) -> Result<Result<Granted, Refusal>, Trouble> {
        let settings = self.settings.load_full();
        let issuer = wish.issuer.as_ref().unwrap_or(&settings.issuer);
        let validity = wish.validity.unwrap_or(settings.validity);
        self.be_on_time(now).await?;
        self.seek(|room| room.find(id).is_some()).await?;
        let now_or_before = self.look(|room| room.issue(id, now, (issuer, validity), &settings.rules))?;
        let turn = match now_or_before {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(Issuing::Known(_)) => None,
            Ok(Issuing::New(_)) => Some(self.may_write().await?),
        };
        let granted = {
            let mut held = self.held.lock();
            self.catch_up(&mut held, now)?;
            let when = match held.room.issue(id, now, (issuer, validity), &settings.rules) {
                Ok(Issuing::New(event)) => {
                    self.entering.note(id, self.happen(&mut held, &event)?);
                    Taken::Now
                }
                Ok(Issuing::Known(_)) => Taken::Before,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let Some((position, token)) = held.room.token(id) else { return Ok(Err(Refusal::Unknown)) };
            let issuer = held.room.issuer(&token).cloned().unwrap_or_else(|| settings.issuer.clone());
            Granted { position, token, issuer, when }
        };
        drop(turn);
        self.entered(id).await?;
        Ok(Ok(granted))
    }

    /// Moves the serving number; returns where it is then.
    pub async fn move_by(&self, by: i64, now: Seconds) -> Result<i64, Trouble> {
        let rules = self.settings.load().rules;
        let event = |room: &Room| room.move_by(by, now, Cause::Operator, &rules);
        let (_, serving) = self.change(event, |room| room.counters().serving).await?;
        Ok(serving)
    }

    /// Begins everything anew.
    pub async fn reset(&self, now: Seconds) -> Result<(), Trouble> {
        self.change(|room| Some(room.reset(now)), |_| ()).await?;
        Ok(())
    }

    /// Takes a reset back; whether there was one that could be.
    pub async fn restore(&self, now: Seconds) -> Result<bool, Trouble> {
        let (changed, ()) = self.change(|room| room.restore(now), |_| ()).await?;
        Ok(changed)
    }

    /// Has happen what is decided, if anything is; whether it is, and what can be told of the room then.
    pub(crate) async fn change<R>(
        &self,
        decide: impl FnOnce(&Room) -> Option<Event>,
        tell: impl FnOnce(&Room) -> R,
    ) -> Result<(bool, R), Trouble> {
        let turn = self.may_write().await?;
        let (written, told) = {
            let mut held = self.held.lock();
            let written = match decide(&held.room) {
                Some(event) => Some(self.happen(&mut held, &event)?),
                None => None,
            };
            (written, tell(&held.room))
        };
        drop(turn);
        if let Some(written) = &written {
            self.settled(written).await?;
        }
        Ok((written.is_some(), told))
    }

    /// Waits until this process may change rooms, and knows all that happened. What is returned is to be dropped in a moment.
    pub(crate) async fn may_write(&self) -> Result<MayWrite, NotKept> {
        match self.log.at_once() {
            Some(may_write) => Ok(may_write),
            None => self.log.turn().await,
        }
    }

    /// If something is not known here, waits until everything is that other nodes did before now.
    pub(crate) async fn seek(&self, is_known: impl Fn(&Room) -> bool) -> Result<(), Trouble> {
        if !self.look(is_known)? {
            self.log.catch_up().await;
        }
        Ok(())
    }

    /// Waits until rooms are in this process.
    pub(crate) async fn here(&self) {
        self.log.here().await;
    }

    pub(crate) fn is_here(&self) -> bool {
        self.log.is_here()
    }

    fn expect_here(&self) -> Result<(), NotKept> {
        if self.log.is_here() { Ok(()) } else { Err(NotKept::Elsewhere) }
    }

    /// The state that it is in now, by what the schedule says.
    pub(crate) fn state_now(&self, now: Seconds) -> Result<State, Trouble> {
        self.look_now(now, Room::state)
    }

    /// Has the state be what the schedule says by now, once it is this node's turn where several have the room.
    pub(crate) async fn be_on_time(&self, now: Seconds) -> Result<(), NotKept> {
        self.expect_here()?;
        let due = self.catch_up(&mut self.held.lock(), now);
        if due != Err(NotKept::NotOurTurn) {
            return due;
        }
        let _turn = self.may_write().await?;
        self.catch_up(&mut self.held.lock(), now)
    }

    pub(crate) fn catch_up(&self, held: &mut Held, now: Seconds) -> Result<(), NotKept> {
        let rules = self.settings.load().rules;
        if let Some(event) = held.room.state_due(now, &rules) {
            self.happen(held, &event)?;
        }
        while let Some(event) = self.hall_due(&held.room) {
            self.happen(held, &event)?;
        }
        Ok(())
    }

    /// Has something happen by what was made ready before, unless the room is not as it was then.
    pub(crate) fn happen_by(
        &self,
        event: &Event,
        is_same: impl FnOnce(&Room) -> bool,
        draft: Draft,
    ) -> Result<Option<Written>, NotKept> {
        self.expect_here()?;
        let mut held = self.held.lock();
        if !is_same(&held.room) {
            return Ok(None);
        }
        self.happen_with(&mut held, event, Some(draft)).map(Some)
    }

    /// Writes down what happens, and has it happen.
    pub(crate) fn happen(&self, held: &mut Held, event: &Event) -> Result<Written, NotKept> {
        self.happen_with(held, event, None)
    }

    fn happen_with(&self, held: &mut Held, event: &Event, draft: Option<Draft>) -> Result<Written, NotKept> {
        let Held { room, record, .. } = held;
        record.clear();
        wire::put(record, &self.name, room.version() + 1, event);
        let written = self.log.append(record)?;
        room.apply_with(event, draft);
        self.happened.note(event);
        self.heard(held, event);
        Ok(written)
    }

    /// Waits until everything that happened is there for good.
    pub(crate) async fn settled_so_far(&self) -> Result<(), NotKept> {
        self.settled(&self.log_so_far()?).await
    }

    pub(crate) fn log_so_far(&self) -> Result<Written, NotKept> {
        self.log.so_far()
    }

    pub(crate) async fn settled(&self, written: &Written) -> Result<(), NotKept> {
        match (written, self.settings.load().durability) {
            (Written::Journal(_), Durability::Process) => Ok(()),
            // What nodes share has not happened before they all can know of it.
            (Written::Journal(_), Durability::Disk) | (Written::Batch(_), _) => self.log.durable(written).await,
        }
    }
}
