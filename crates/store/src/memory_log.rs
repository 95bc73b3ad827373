//! A shared log in memory, for nodes of one process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::log_readers::{Cursor, CursorKept, LogReaders, Reads};
use crate::shared_log::{Base, Behind, Place, SharedLog, Then, Turn, Wrote};
use crate::{Clock, Unavailable};

/// A shared log in memory.
pub struct InMemoryLog {
    clock: Clock,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    batches: BTreeMap<Place, Vec<u8>>,
    last: Place,
    base: Base,
    pieces: HashMap<(Place, u32), Vec<u8>>,
    /// Whose turn it is, and until when, in microseconds.
    turn: Option<(String, u64)>,
    wanting: VecDeque<String>,
    readers: HashMap<String, Reader>,
}

/// What reads the log beside those who write it.
struct Reader {
    cursor: Cursor,
    who: String,
    until: u64,
}

impl InMemoryLog {
    /// An empty log.
    pub fn new(clock: Clock) -> Self {
        Self { clock, inside: Mutex::default() }
    }

    fn until(&self, time: Duration) -> u64 {
        (self.clock)().0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Inside {
    fn behind(&self, known: Place) -> Behind {
        let is_there = known == self.base.place || self.batches.contains_key(&known);
        if !is_there {
            return Behind::Gone(self.last);
        }
        let later = self.batches.iter().filter(|(place, _)| **place > known);
        let batches = later.take(AT_ONCE).map(|(place, batch)| (*place, batch.clone())).collect();
        Behind::Known { batches, last: self.last, base: self.base.place }
    }

    fn is_of(&self, who: &str) -> bool {
        self.turn.as_ref().is_some_and(|(holder, _)| holder == who)
    }

    /// Whether what is behind a place stays for a reader that has not read it.
    fn keeps(&self, place: Place) -> bool {
        let unread = self.batches.iter().filter(|(other, _)| **other > place);
        unread.map(|(_, batch)| batch.len()).sum::<usize>() <= MOST_UNREAD
    }

    /// Whose turn it is next. Whether anybody's.
    fn pass(&mut self, until: u64) {
        self.turn = self.wanting.pop_front().map(|next| (next, until));
    }
}

#[async_trait]
impl SharedLog for InMemoryLog {
    async fn read(&self, known: Place) -> Result<Behind, Unavailable> {
        Ok(self.inside.lock().behind(known))
    }

    async fn take(&self, who: &str, known: Place) -> Result<Turn, Unavailable> {
        let (now, until) = (self.until(Duration::ZERO), self.until(LEASE));
        let mut inside = self.inside.lock();
        if inside.turn.as_ref().is_some_and(|(holder, until)| holder != who && *until > now) {
            if !inside.wanting.iter().any(|wanting| wanting == who) {
                inside.wanting.push_back(who.to_owned());
            }
            return Ok(Turn::Theirs);
        }
        inside.wanting.retain(|wanting| wanting != who);
        inside.turn = Some((who.to_owned(), until));
        Ok(Turn::Ours(inside.behind(known)))
    }

    async fn write(
        &self,
        who: &str,
        (after, place): (Place, Place),
        batch: &[u8],
        then: Then,
    ) -> Result<Wrote, Unavailable> {
        let (until, soon) = (self.until(LEASE), self.until(GRACE));
        let mut inside = self.inside.lock();
        if inside.last != place {
            if !inside.is_of(who) || inside.last != after {
                return Ok(Wrote::Refused);
            }
            inside.batches.insert(place, batch.to_vec());
            inside.last = place;
        }
        if !inside.is_of(who) {
            return Ok(Wrote::Passed);
        }
        if then == Then::Keep && inside.wanting.is_empty() {
            inside.turn = Some((who.to_owned(), until));
            return Ok(Wrote::Kept);
        }
        inside.pass(soon);
        Ok(Wrote::Passed)
    }

    async fn pass(&self, who: &str) -> Result<(), Unavailable> {
        let soon = self.until(GRACE);
        let mut inside = self.inside.lock();
        if inside.is_of(who) {
            inside.pass(soon);
        }
        Ok(())
    }

    async fn base(&self) -> Result<Base, Unavailable> {
        Ok(self.inside.lock().base)
    }

    async fn piece(&self, place: Place, number: u32) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(self.inside.lock().pieces.get(&(place, number)).cloned())
    }

    async fn lay_piece(&self, place: Place, number: u32, piece: &[u8]) -> Result<(), Unavailable> {
        self.inside.lock().pieces.insert((place, number), piece.to_vec());
        Ok(())
    }

    async fn rebase(&self, base: Base) -> Result<(), Unavailable> {
        let mut inside = self.inside.lock();
        if base.place.number <= inside.base.place.number {
            return Ok(());
        }
        let is_whole = (0..base.pieces).all(|number| inside.pieces.contains_key(&(base.place, number)));
        if !inside.batches.contains_key(&base.place) || !is_whole {
            return Err(Unavailable::because(
                "the log does not have the place of its new base, or not all of the base",
            ));
        }
        let before = inside.base.place;
        inside.base = base;
        let unread = inside.readers.values().map(|reader| reader.cursor.place).filter(|place| inside.keeps(*place));
        let first = unread.fold(base.place, Place::min);
        inside.batches.retain(|place, _| *place > first);
        inside.pieces.retain(|(place, _), _| *place != before);
        Ok(())
    }
}

#[async_trait]
impl LogReaders for InMemoryLog {
    async fn hold(&self, reader: &str, who: &str) -> Result<Reads, Unavailable> {
        let (now, until) = (self.until(Duration::ZERO), self.until(READ_LEASE));
        let mut inside = self.inside.lock();
        let last = Cursor { place: inside.last, records: 0 };
        let new = || Reader { cursor: last, who: who.to_owned(), until };
        let known = inside.readers.entry(reader.to_owned()).or_insert_with(new);
        if known.who != who && known.until > now {
            return Ok(Reads::Elsewhere);
        }
        (known.who, known.until) = (who.to_owned(), until);
        Ok(Reads::Here(known.cursor))
    }

    async fn after(&self, place: Place) -> Result<Vec<(Place, Vec<u8>)>, Unavailable> {
        let inside = self.inside.lock();
        let later = inside.batches.iter().filter(|(other, _)| **other > place);
        Ok(later.take(AT_ONCE).map(|(place, batch)| (*place, batch.clone())).collect())
    }

    async fn remember(&self, reader: &str, who: &str, upto: Cursor, _: u64) -> Result<CursorKept, Unavailable> {
        let until = self.until(READ_LEASE);
        let mut inside = self.inside.lock();
        let Some(known) = inside.readers.get_mut(reader).filter(|known| known.who == who) else {
            return Ok(CursorKept::Elsewhere);
        };
        (known.cursor, known.until) = (upto, until);
        Ok(CursorKept::Here)
    }
}

/// Batches that are read at once.
const AT_ONCE: usize = 64;
/// How long a turn holds that is used.
const LEASE: Duration = Duration::from_secs(1);
/// How long a turn holds that was passed on, before it is used.
const GRACE: Duration = Duration::from_millis(250);
/// How long a node reads for a reader from its last word on.
const READ_LEASE: Duration = Duration::from_secs(5);
/// Bytes that stay for a reader that has not read them.
const MOST_UNREAD: usize = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::leases::SetClock;
    use crate::suite::shared_log::Bench;

    struct OnBench(InMemoryLog, SetClock);

    #[async_trait]
    impl Bench for OnBench {
        fn log(&self) -> &dyn SharedLog {
            &self.0
        }

        fn readers(&self) -> &dyn LogReaders {
            &self.0
        }

        async fn pass(&self, time: Duration) {
            self.1.pass(time);
        }
    }

    fn open() -> OnBench {
        let clock = SetClock::default();
        OnBench(InMemoryLog::new(clock.clock()), clock)
    }

    crate::shared_log_suite!(in_memory, Box::new(super::open()));
}
