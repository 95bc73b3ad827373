//! Who reads and writes a shared log for a node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use journal::wire::Source;
use store::{Base, Behind, Place, Then, Turn, Unavailable, Wrote};
use tokio::time::Instant;

use crate::Kept;
use crate::turns::{Batch, Turns};

/// Reads and writes the log for what is kept by it, as long as it is polled.
pub async fn run(kept: Arc<impl Kept>, turns: Arc<Turns>) {
    let mut writer = Writer {
        kept,
        turns,
        known: Place::default(),
        base: Place::default(),
        bytes: 0,
        remembered: VecDeque::new(),
        remembered_bytes: 0,
        before: Place::default(),
        picture: None,
        silent: None,
    };
    loop {
        match writer.step().await {
            Ok(()) => writer.answers(),
            Err(cause) => {
                writer.no_answer(&cause, "nobody joins waiting rooms until it does");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

struct Writer<K> {
    kept: Arc<K>,
    turns: Arc<Turns>,
    /// Up to where everything is known.
    known: Place,
    base: Place,
    /// Bytes of the log since its base, about.
    bytes: u64,
    /// The last batches, should the server forget them.
    remembered: VecDeque<(Place, Vec<u8>)>,
    remembered_bytes: usize,
    /// The place before them.
    before: Place,
    /// A picture that is being laid down.
    picture: Option<tokio::task::JoinHandle<()>>,
    /// Since when the server does not answer.
    silent: Option<Instant>,
}

impl<K: Kept> Writer<K> {
    async fn step(&mut self) -> Result<(), Unavailable> {
        if !self.turns.is_here() {
            return self.load().await;
        }
        self.turns.work_within(FOLLOW).await;
        if self.turns.anybody_waits() { self.write().await } else { self.follow().await }
    }

    fn answers(&mut self) {
        if self.silent.take().is_some() {
            self.turns.set_away(false);
            tracing::info!("Redis answers again, and waiting rooms go on");
        }
    }

    /// The server did not answer. A moment is waited out; after that nobody waits in vain.
    fn no_answer(&mut self, cause: &Unavailable, hence: &str) {
        match self.silent {
            Some(since) if since.elapsed() >= MOMENT => self.turns.set_away(true),
            Some(_) => {}
            None => {
                self.silent = Some(Instant::now());
                tracing::warn!(cause = %Chain(cause), hence, "Redis does not answer");
            }
        }
    }

    /// Knows rooms as the log has them.
    async fn load(&mut self) -> Result<(), Unavailable> {
        let Base { place, pieces } = self.turns.server.base().await?;
        let mut content = Vec::new();
        for number in 0..pieces {
            // If there is another base by now, that is read next.
            let Some(piece) = self.turns.server.piece(place, number).await? else { return Ok(()) };
            content.extend(piece);
        }
        let kept = self.kept.clone();
        let read = tokio::task::spawn_blocking(move || kept.become_again(&content)).await;
        if !read.unwrap_or(false) {
            return Err(Unavailable::because("what Redis has of waiting rooms is damaged, or of another version"));
        }
        (self.known, self.base, self.before, self.bytes) = (place, place, place, 0);
        self.remembered.clear();
        self.remembered_bytes = 0;
        let number = self.turns.begin_reading();
        if self.read_on(None).await? {
            self.turns.has_read(number);
            self.turns.arrive();
        }
        Ok(())
    }

    /// Reads what others wrote.
    async fn follow(&mut self) -> Result<(), Unavailable> {
        let number = self.turns.begin_reading();
        if self.read_on(None).await? {
            self.turns.has_read(number);
        }
        Ok(())
    }

    /// Reads to the end, beginning with what is read already. False: what is known is not in the log, and is not known any more.
    async fn read_on(&mut self, mut read: Option<Behind>) -> Result<bool, Unavailable> {
        loop {
            let behind = match read.take() {
                Some(behind) => behind,
                None => self.turns.server.read(self.known).await?,
            };
            let (batches, last, base) = match behind {
                Behind::Known { batches, last, base } => (batches, last, base),
                Behind::Gone(last) => {
                    self.gone(last).await?;
                    return Ok(false);
                }
            };
            if base != self.base {
                (self.base, self.bytes) = (base, 0);
            }
            for (place, batch) in batches {
                self.apply(&batch);
                self.remember(place, batch);
            }
            if self.known == last {
                return Ok(true);
            }
        }
    }

    fn apply(&self, batch: &[u8]) {
        let mut source = Source(batch);
        while !source.0.is_empty() {
            let Some(record) = source.bytes() else {
                tracing::error!("a batch of what happened in rooms is damaged");
                return;
            };
            self.kept.replay(record);
        }
    }

    fn remember(&mut self, place: Place, batch: Vec<u8>) {
        self.known = place;
        self.bytes += batch.len() as u64;
        self.remembered_bytes += batch.len();
        self.remembered.push_back((place, batch));
        while self.remembered_bytes > REMEMBERED {
            let Some((place, batch)) = self.remembered.pop_front() else { break };
            self.remembered_bytes -= batch.len();
            self.before = place;
        }
    }

    /// What this node knows is not in the log, which ends at a place.
    async fn gone(&mut self, last: Place) -> Result<(), Unavailable> {
        if self.restore(last).await? {
            return Ok(());
        }
        if last.number >= self.known.number {
            tracing::info!("waiting rooms are read anew: this node was behind for long");
        } else {
            tracing::error!(
                known = %self.known, %last,
                "Redis has forgotten what it acknowledged of waiting rooms, more than this node remembers; they are as it has them"
            );
        }
        self.begin_anew();
        Ok(())
    }

    /// Writes again what a server forgot. Whether it could be, or need not be by now.
    async fn restore(&mut self, last: Place) -> Result<bool, Unavailable> {
        let is_there = |place: Place| self.before == place || self.remembered.iter().any(|(known, _)| *known == place);
        if last.number >= self.known.number || !is_there(last) {
            return Ok(false);
        }
        let (who, server) = (&self.turns.who, &self.turns.server);
        // Another node may be about to do the same.
        if server.take(who, last).await? == Turn::Theirs {
            tokio::time::sleep(ASK_AGAIN).await;
            return Ok(true);
        }
        tracing::warn!(from = %last, to = %self.known, "Redis has forgotten what it acknowledged of waiting rooms; it is told again");
        let mut at = last;
        for (place, batch) in self.remembered.iter().skip_while(|(place, _)| place.number <= last.number) {
            match server.write(who, (at, *place), batch, Then::Keep).await? {
                Wrote::Kept => at = *place,
                Wrote::Passed | Wrote::Refused => return Ok(true),
            }
        }
        server.pass(who).await?;
        Ok(true)
    }

    /// Forgets everything, and what was decided and is not written: the log is read again.
    fn begin_anew(&mut self) {
        self.turns.leave();
        self.turns.lose();
        self.kept.forget_all();
    }

    /// Takes the turn, and writes as long as it is this node's and somebody has something to write.
    async fn write(&mut self) -> Result<(), Unavailable> {
        let number = self.turns.begin_reading();
        let behind = match self.turns.server.take(&self.turns.who, self.known).await? {
            Turn::Ours(behind) => behind,
            Turn::Theirs => {
                // Meanwhile it is known what they write.
                tokio::time::sleep(ASK_AGAIN).await;
                return Ok(());
            }
        };
        if !self.read_on(Some(behind)).await? {
            return Ok(());
        }
        self.turns.has_read(number);
        self.picture_if_due();
        loop {
            self.turns.open();
            self.turns.gathered().await;
            let Some(batch) = self.turns.shut().await else { break };
            if self.send(batch).await? != Wrote::Kept {
                return Ok(());
            }
            // Nobody else writes as long as it is this node's turn.
            self.turns.has_read(self.turns.begin_reading());
            if !self.turns.anybody_waits() {
                self.turns.work_within(LINGER).await;
            }
            if !self.turns.anybody_waits() {
                break;
            }
        }
        self.turns.server.pass(&self.turns.who).await
    }

    /// Writes a batch. It has been decided, so nothing else is done before it is known what became of it.
    async fn send(&mut self, batch: Batch) -> Result<Wrote, Unavailable> {
        let Batch { number, bytes, records } = batch;
        let mut mark = [0; 8];
        if rand::fill(&mut mark).is_err() {
            self.begin_anew();
            return Ok(Wrote::Refused);
        }
        let place = Place { number: self.known.number + 1, mark: u64::from_le_bytes(mark) };
        let then = if records > 1 || self.turns.anybody_waits() { Then::Keep } else { Then::Pass };
        loop {
            let outcome = match self.turns.server.write(&self.turns.who, (self.known, place), &bytes, then).await {
                Ok(Wrote::Refused) => self.may_write_yet().await,
                Ok(wrote) => {
                    self.remember(place, bytes);
                    self.turns.settle(number);
                    self.answers();
                    return Ok(wrote);
                }
                Err(cause) => Err(cause),
            };
            match outcome {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(
                        records,
                        "another node had the turn; what was decided here meanwhile did not happen"
                    );
                    self.begin_anew();
                    return Ok(Wrote::Refused);
                }
                Err(cause) => {
                    self.no_answer(&cause, "what was decided in waiting rooms waits");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// After a batch was refused: whether it can be written yet, because nobody has written anything since it was decided.
    async fn may_write_yet(&mut self) -> Result<bool, Unavailable> {
        loop {
            let behind = match self.turns.server.take(&self.turns.who, self.known).await? {
                Turn::Ours(behind) => behind,
                Turn::Theirs => {
                    tokio::time::sleep(ASK_AGAIN).await;
                    match self.turns.server.read(self.known).await? {
                        Behind::Known { last, .. } if last == self.known => continue,
                        behind => behind,
                    }
                }
            };
            match behind {
                Behind::Known { last, .. } => return Ok(last == self.known),
                Behind::Gone(last) if self.restore(last).await? => {}
                Behind::Gone(_) => return Ok(false),
            }
        }
    }

    /// Has what happened so far laid down as a picture, once the log is so long that a start would take long.
    ///
    /// To be called while it is this node's turn, everything is known, and nothing is decided that is not written.
    fn picture_if_due(&mut self) {
        let is_under_way = self.picture.as_ref().is_some_and(|picture| !picture.is_finished());
        if is_under_way || self.bytes < self.kept.longest_log() {
            return;
        }
        self.bytes = 0;
        let (write, place, server) = (self.kept.picture(), self.known, self.turns.server.clone());
        let kept = self.kept.clone();
        let laid_down = async move {
            let written = tokio::task::spawn_blocking(write).await;
            let content = match written {
                Ok(Ok(content)) => content,
                Ok(Err(cause)) => return Err(Unavailable::because(cause)),
                Err(cause) => return Err(Unavailable::because(cause)),
            };
            kept.has_picture(content.len() as u64);
            let mut pieces = 0;
            for piece in content.chunks(PIECE) {
                server.lay_piece(place, pieces, piece).await?;
                pieces += 1;
            }
            server.rebase(Base { place, pieces }).await
        };
        let done = async move {
            if let Err(cause) = laid_down.await {
                let cause: Unavailable = cause;
                tracing::warn!(cause = %Chain(&cause), "a picture of waiting rooms could not be laid down; it is tried again");
            }
        };
        #[expect(clippy::disallowed_methods, reason = "it is aborted when the writer is dropped")]
        let picture = tokio::spawn(done);
        self.picture = Some(picture);
    }
}

impl<K> Drop for Writer<K> {
    fn drop(&mut self) {
        if let Some(picture) = &self.picture {
            picture.abort();
        }
    }
}

/// An error with its causes.
struct Chain<'a>(&'a Unavailable);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::error::Error as _;
        match self.0.source() {
            Some(cause) => write!(f, "{cause}"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// How often it is looked what others wrote, if nobody asks for it.
const FOLLOW: Duration = Duration::from_millis(50);
/// How soon somebody asks for the turn again.
const ASK_AGAIN: Duration = Duration::from_millis(1);
/// For how long a turn is kept in case somebody wants to write.
const LINGER: Duration = Duration::from_millis(2);
/// For how long a server may be silent before it counts as away.
const MOMENT: Duration = Duration::from_secs(1);
/// How soon a server is asked again that did not answer.
const AGAIN: Duration = Duration::from_millis(100);
/// Bytes of the last batches that are remembered.
const REMEMBERED: usize = 8 * 1024 * 1024;
/// Bytes of a piece of a picture.
pub(crate) const PIECE: usize = 512 * 1024;
