//! Counts per key and calendar window: never over the limit, exact under any concurrency on one node.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::shards::{BuildAsIs, Shards, share};
use crate::tally::Tally;
use crate::{Calendar, Decision, Draw, Drawn, Ledger, News, Passage, Reading, Remembered, Window};

/// Counters of one calendar, one per key.
///
/// Each request is counted in the window of its own time, also if it is judged late or the clock was set: a counter
/// remembers its two newest windows. Older ones are forgotten.
///
/// When the table is full of counters of the current window, further keys share the *spill* of their shard: one more
/// counter under the same limit. Invented keys can neither grow the table nor get past the limit. Where outsiders
/// choose the keys, windows should be short: until the window ends, other newcomers may have to share.
pub struct Counters {
    name: Box<str>,
    calendar: Calendar,
    shards: Shards<RwLock<Shard>>,
    entries_per_shard: usize,
    ledger: Option<Arc<dyn Ledger>>,
    /// How many of the ledger's news are counted here.
    heard: AtomicUsize,
    hearing: Mutex<()>,
}

#[derive(Default)]
struct Shard {
    counters: HashMap<u64, Counter, BuildAsIs>,
    /// At least what every key that has no counter was granted.
    spill: Tally,
    /// The start of the window in which idle counters were dropped last.
    swept: u64,
    /// The start of the window in which all counters of past windows were dropped last, for want of room.
    purged: u64,
}

struct Counter {
    /// The counter's full name. Two keys whose fingerprints collide are told apart by it.
    name: Arc<str>,
    tally: Tally,
}

impl Counters {
    /// Counters by this name for about so many keys, beginning with what the ledger remembers.
    pub fn new(name: &str, calendar: Calendar, entries: usize, ledger: Option<Arc<dyn Ledger>>) -> Self {
        let remembered = ledger.as_ref().map_or_else(Remembered::default, |ledger| ledger.remembered(name));
        let counters = Self {
            name: name.into(),
            calendar,
            shards: Shards::default(),
            entries_per_shard: share(entries),
            ledger,
            heard: AtomicUsize::new(remembered.news),
            hearing: Mutex::default(),
        };
        for Reading { counter, window_start, consumed } in remembered.readings {
            counters.restore(&counter, window_start, consumed);
        }
        counters
    }

    /// The calendar whose windows are counted in.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Counts `cost` for `key` unless that would be more than `limit` in the window of `now`, in microseconds since 1970.
    pub fn take(&self, key: &str, cost: u32, limit: u64, now: u64) -> Decision {
        let Some(ledger) = &self.ledger else { return self.judge(key, cost, limit, now) };
        let _turn = ledger.turn();
        if ledger.news() != self.heard.load(Ordering::Acquire) {
            self.hear(&**ledger);
        }
        self.judge(key, cost, limit, now)
    }

    fn judge(&self, key: &str, cost: u32, limit: u64, now: u64) -> Decision {
        let window = self.calendar.window(now);
        let ask = Ask { cost, limit, window, now };
        let fingerprint = self.shards.fingerprint(key);
        let shard = self.shards.part(fingerprint);
        {
            // Shared, so that requests of known keys never wait for each other.
            let shard = shard.read();
            if let Some(counter) = shard.counters.get(&fingerprint)
                && let Some(consumed) = counter.tally.of(window)
                && self.is_name_of(&counter.name, key)
            {
                let decision = draw(consumed, &ask);
                if let Some(ledger) = self.ledger.as_ref().filter(|_| decision.is_granted()) {
                    let name = counter.name.clone();
                    // The ledger may take its time, or want to read the counters.
                    drop(shard);
                    ledger.consumed(&name, window.start, cost);
                }
                return decision;
            }
        }
        self.take_anew(key, fingerprint, &ask)
    }

    /// Takes back what [`Self::take`] counted at `now`, unless its window is forgotten. Says how much is left then of `limit`.
    pub fn give_back(&self, key: &str, cost: u32, limit: u64, now: u64) -> Option<u64> {
        let window = self.calendar.window(now);
        let fingerprint = self.shards.fingerprint(key);
        let (name, left) = {
            let shard = self.shards.part(fingerprint).read();
            let counter = shard.counters.get(&fingerprint).filter(|counter| self.is_name_of(&counter.name, key));
            let (tally, name) = match counter {
                Some(counter) => (&counter.tally, counter.name.clone()),
                None if shard.purged <= window.start => (&shard.spill, self.spill_name()),
                // Its counter went into the spill, together with others.
                None => return None,
            };
            let consumed = tally.of(window)?;
            (name, limit.saturating_sub(subtract(consumed, cost.into())))
        };
        if let Some(ledger) = &self.ledger {
            ledger.given_back(&name, window.start, cost);
        }
        Some(left)
    }

    /// What several nodes are to be asked about a request, in place of [`Self::take`]. Nothing is counted here.
    pub fn ask(&self, key: &str, cost: u32, limit: u64, now: u64) -> Draw {
        let window = self.calendar.window(now);
        let fingerprint = self.shards.fingerprint(key);
        let shard = self.shards.part(fingerprint).read();
        let counter = shard.counters.get(&fingerprint).filter(|counter| self.is_name_of(&counter.name, key));
        let known = counter.and_then(|counter| counter.tally.of(window));
        let known = known.map_or(0, |consumed| consumed.load(Ordering::Relaxed));
        Draw { counter: [&*self.name, key].join(SEPARATOR), window, cost, limit, known }
    }

    /// Takes note of what several nodes answered, so that this one could count on by itself.
    pub fn heed(&self, key: &str, draw: &Draw, drawn: Drawn, now: u64) -> Decision {
        let Draw { window, cost, limit, .. } = *draw;
        let fingerprint = self.shards.fingerprint(key);
        let is_known = {
            let shard = self.shards.part(fingerprint).read();
            let counter = shard.counters.get(&fingerprint).filter(|counter| self.is_name_of(&counter.name, key));
            let consumed = counter.and_then(|counter| counter.tally.of(window));
            consumed.map(|consumed| consumed.fetch_max(drawn.consumed, Ordering::Relaxed)).is_some()
        };
        if !is_known {
            let mut shard = self.shards.part(fingerprint).write();
            if let Place::Own(counter, spilled) = self.place(&mut shard, key, fingerprint, window) {
                counter.tally.open(window, spilled).fetch_max(drawn.consumed, Ordering::Relaxed);
            }
        }
        let ask = Ask { cost, limit, window, now };
        let passage = if drawn.is_granted {
            Passage::Granted
        } else {
            Passage::Refused { retry_after: (u64::from(cost) <= limit).then_some(ask.resets_in()) }
        };
        let remaining = limit.saturating_sub(drawn.consumed);
        Decision { passage, limit, remaining, resets_in: ask.resets_in() }
    }

    /// Every counter as it stands, to be kept and given to [`Self::restore`].
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings = Vec::new();
        for shard in self.shards.iter() {
            let shard = shard.read();
            let spill = (&*self.name, &shard.spill);
            for (name, tally) in shard.counters.values().map(|counter| (&*counter.name, &counter.tally)).chain([spill])
            {
                let reading = |(window, consumed): (Window, u64)| Reading {
                    counter: name.to_owned(),
                    window_start: window.start,
                    consumed,
                };
                readings.extend(tally.counts().map(reading));
            }
        }
        readings
    }

    /// Adds what was consumed earlier, unless two newer windows are known already.
    pub fn restore(&self, counter: &str, window_start: u64, n: u64) {
        let window = self.calendar.window(window_start.saturating_mul(1_000_000));
        let Some(rest) = counter.strip_prefix(&*self.name) else { return };
        if rest.is_empty() {
            // Nobody knows any more whose it was: every newcomer is charged, rather than nobody.
            for shard in self.shards.iter() {
                add(&mut shard.write().spill, window, n);
            }
            return;
        }
        let Some(key) = rest.strip_prefix(SEPARATOR) else { return };
        let fingerprint = self.shards.fingerprint(key);
        let mut shard = self.shards.part(fingerprint).write();
        match self.place(&mut shard, key, fingerprint, window) {
            Place::Own(counter, _) => add(&mut counter.tally, window, n),
            Place::Shared(spill) => add(spill, window, n),
        }
    }

    /// Counts what other processes have counted.
    #[cold]
    fn hear(&self, ledger: &dyn Ledger) {
        let _alone = self.hearing.lock();
        let heard = self.heard.load(Ordering::Acquire);
        let news = ledger.news_since(heard);
        let upto = heard + news.len();
        for News { counter, window_start, n } in news {
            match u64::try_from(n) {
                Ok(n) => self.restore(&counter, window_start, n),
                Err(_) => self.take_off(&counter, window_start, n.unsigned_abs()),
            }
        }
        self.heard.store(upto, Ordering::Release);
    }

    /// Takes off what another process gave back, if it is counted in a counter of its own here.
    fn take_off(&self, counter: &str, window_start: u64, n: u64) {
        let window = self.calendar.window(window_start.saturating_mul(1_000_000));
        let key = counter.strip_prefix(&*self.name).and_then(|rest| rest.strip_prefix(SEPARATOR));
        let Some(key) = key else { return };
        let fingerprint = self.shards.fingerprint(key);
        let shard = self.shards.part(fingerprint).read();
        let counter = shard.counters.get(&fingerprint).filter(|counter| self.is_name_of(&counter.name, key));
        if let Some(consumed) = counter.and_then(|counter| counter.tally.of(window)) {
            subtract(consumed, n);
        }
    }

    /// How many keys have a counter.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().counters.len()).sum()
    }

    /// Whether no key has a counter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Self::take`], for a key that has no counter yet or none in this window.
    #[cold]
    fn take_anew(&self, key: &str, fingerprint: u64, ask: &Ask) -> Decision {
        let Ask { cost, limit, window, .. } = *ask;
        if u64::from(cost) > limit {
            let passage = Passage::Refused { retry_after: None };
            return Decision { passage, limit, remaining: limit, resets_in: ask.resets_in() };
        }
        let mut shard = self.shards.part(fingerprint).write();
        let (decision, name) = match self.place(&mut shard, key, fingerprint, window) {
            Place::Own(counter, spilled) => (draw(counter.tally.open(window, spilled), ask), counter.name.clone()),
            Place::Shared(spill) => (draw(spill.open(window, 0), ask), self.spill_name()),
        };
        drop(shard);
        if let Some(ledger) = self.ledger.as_ref().filter(|_| decision.is_granted()) {
            ledger.consumed(&name, window.start, cost);
        }
        decision
    }

    /// Where `key` is counted.
    fn place<'a>(&self, shard: &'a mut Shard, key: &str, fingerprint: u64, window: Window) -> Place<'a> {
        shard.sweep(window);
        if !shard.counters.contains_key(&fingerprint) && !shard.has_room(window, self.entries_per_shard) {
            return Place::Shared(&mut shard.spill);
        }
        let counter = shard
            .counters
            .entry(fingerprint)
            .or_insert_with(|| Counter { name: [&*self.name, key].join(SEPARATOR).into(), tally: Tally::default() });
        if !self.is_name_of(&counter.name, key) {
            return Place::Shared(&mut shard.spill);
        }
        let spilled = shard.spill.of(window).map_or(0, |consumed| consumed.load(Ordering::Relaxed));
        Place::Own(counter, spilled)
    }

    fn is_name_of(&self, counter: &str, key: &str) -> bool {
        counter.len() == self.name.len() + SEPARATOR.len() + key.len() && counter.ends_with(key)
    }

    /// Counters of keys always have the separator in their names, so this one is nobody's.
    fn spill_name(&self) -> Arc<str> {
        self.name.as_ref().into()
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counters({}, {:?}, {} keys)", self.name, self.calendar, self.len())
    }
}

/// Where a key is counted.
enum Place<'a> {
    /// In its own counter, which begins a window with what the key may have been granted from the spill.
    Own(&'a mut Counter, u64),
    /// With others.
    Shared(&'a mut Tally),
}

/// What is asked of a counter.
struct Ask {
    cost: u32,
    limit: u64,
    window: Window,
    now: u64,
}

impl Ask {
    fn resets_in(&self) -> Duration {
        Duration::from_micros(self.window.end.saturating_mul(1_000_000).saturating_sub(self.now))
    }
}

impl Shard {
    /// Drops what has been idle for a while, now and then. What was busy is reused where it is.
    fn sweep(&mut self, window: Window) {
        if self.swept.abs_diff(window.start) >= IDLE {
            self.swept = window.start;
            self.counters.retain(|_, counter| counter.tally.end() + IDLE >= window.start);
        }
    }

    /// Whether there is room for one more, if need be by dropping all that is of past windows, once per window.
    fn has_room(&mut self, window: Window, room: usize) -> bool {
        if self.counters.len() >= room && self.purged != window.start {
            self.purged = window.start;
            let spill = &mut self.spill;
            self.counters.retain(|_, Counter { tally, .. }| {
                let stays = tally.end() > window.start;
                if !stays {
                    // For requests that come late, the window just past does still count.
                    tally.counts().filter(|(past, _)| past.end == window.start).for_each(|(past, consumed)| {
                        spill.open(past, 0).fetch_max(consumed, Ordering::Relaxed);
                    });
                }
                stays
            });
        }
        self.counters.len() < room
    }
}

/// Adds what was consumed earlier.
fn add(tally: &mut Tally, window: Window, n: u64) {
    if !tally.has_forgotten(window) {
        tally.open(window, 0).fetch_add(n, Ordering::Relaxed);
    }
}

/// Adds the cost to a count unless the sum is over the limit.
fn draw(consumed: &AtomicU64, ask: &Ask) -> Decision {
    let (cost, limit, resets_in) = (u64::from(ask.cost), ask.limit, ask.resets_in());
    let fits = |seen: u64| seen.checked_add(cost).filter(|sum| *sum <= limit);
    // One cell, and nothing is published through it: its own order of changes is all that counts.
    match consumed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
        Ok(seen) => {
            let remaining = limit - (seen + cost);
            Decision { passage: Passage::Granted, limit, remaining, resets_in }
        }
        Err(seen) => {
            let passage = Passage::Refused { retry_after: (cost <= limit).then_some(resets_in) };
            Decision { passage, limit, remaining: limit.saturating_sub(seen), resets_in }
        }
    }
}

/// Takes the cost off a count, and says what it is then.
fn subtract(consumed: &AtomicU64, cost: u64) -> u64 {
    let less = |seen: u64| Some(seen.saturating_sub(cost));
    // It cannot fail, because the closure always has an answer.
    let before = consumed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or_else(|seen| seen);
    before.saturating_sub(cost)
}

/// Seconds after which a counter of a past window may go: more than a clock is usually set forth and back.
const IDLE: u64 = 2 * 3600;

/// Between the name of the counters and the key.
const SEPARATOR: &str = ":";

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
