//! What rings for the alarms of one runtime, side by side: a tick reads the times of very many in a row, and touches nothing
//! else of those that do not ring. Were each in a place of its own, each tick would miss the cache once for each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::{Lives, Over};

/// No limit is set.
pub(crate) const NEVER: u64 = u64::MAX;

/// Bells of a row: as many as a word has bits.
const ROW: usize = u64::BITS as usize;
/// All bells of a row.
const ALL: u64 = u64::MAX;

/// The bells of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Bells(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    all: Vec<Kept>,
    /// No row before it has a bell that is nobody's.
    first_free: usize,
}

#[derive(Debug)]
struct Kept {
    row: Arc<Row>,
    /// Which of its bells are nobody's.
    free: u64,
}

#[derive(Debug)]
struct Row {
    /// The ticks at which they ring.
    at: [AtomicU64; ROW],
    /// Which of them watch anything, and so are worth a lock.
    watching: AtomicU64,
    ears: [Ear; ROW],
}

/// Who hears a bell, and what else has it ring.
#[derive(Debug, Default)]
struct Ear {
    waker: AtomicWaker,
    lives: Mutex<Lives>,
}

/// One of them, somebody's until it is given back.
#[derive(Debug)]
pub(crate) struct Bell {
    row: Arc<Row>,
    number_of_row: u32,
    place: u8,
    /// Whether it watches anything, where that is at hand: tasks that wait for long have let their row go cold.
    watches: AtomicBool,
}

impl Bells {
    /// One that is nobody's.
    pub(crate) fn take(&self) -> Bell {
        self.0.lock().take()
    }

    /// Silences one, so that it can be anybody's.
    pub(crate) fn give_back(&self, bell: &Bell) {
        bell.at().store(NEVER, Ordering::Relaxed);
        bell.watch(Lives::new());
        // Not under the lock: it may be the last that is left of a task, which has alarms of its own.
        drop(bell.ear().waker.take());
        self.0.lock().give_back(bell);
    }

    /// Rings those whose tick has come, and, if the time by the wall is given, those that watch what is over by then.
    pub(crate) fn ring(&self, now: u64, wall: Option<u64>) {
        let mut due = Vec::new();
        {
            let rows = &mut *self.0.lock();
            rows.trim();
            rows.all.iter().for_each(|kept| kept.row.due(now, wall, &mut due));
        }
        due.into_iter().for_each(Waker::wake);
    }

    /// Rings all of them.
    pub(crate) fn ring_all(&self) {
        let rows: Vec<Arc<Row>> = self.0.lock().all.iter().map(|kept| kept.row.clone()).collect();
        rows.iter().flat_map(|row| &row.ears).for_each(|ear| ear.waker.wake());
    }

    #[cfg(test)]
    pub(crate) fn rows(&self) -> usize {
        self.0.lock().all.len()
    }
}

impl Rows {
    #[expect(clippy::indexing_slicing, reason = "a row is added where there is none")]
    fn take(&mut self) -> Bell {
        while self.all.get(self.first_free).is_some_and(|kept| kept.free == 0) {
            self.first_free += 1;
        }
        if self.first_free == self.all.len() {
            self.all.push(Kept { row: Arc::default(), free: ALL });
        }
        let kept = &mut self.all[self.first_free];
        let place = kept.free.trailing_zeros();
        kept.free &= !(1 << place);
        Bell {
            row: kept.row.clone(),
            number_of_row: u32::try_from(self.first_free).unwrap_or(u32::MAX),
            place: u8::try_from(place).unwrap_or(u8::MAX),
            watches: AtomicBool::new(false),
        }
    }

    fn give_back(&mut self, bell: &Bell) {
        let number = bell.number_of_row as usize;
        if let Some(kept) = self.all.get_mut(number) {
            kept.free |= bell.bit();
            self.first_free = self.first_free.min(number);
        }
    }

    /// Forgets rows at the end that are nobody's.
    fn trim(&mut self) {
        while self.all.pop_if(|kept| kept.free == ALL).is_some() {}
        self.first_free = self.first_free.min(self.all.len());
    }
}

impl Row {
    /// Who hears those that ring.
    fn due(&self, now: u64, wall: Option<u64>, due: &mut Vec<Waker>) {
        let watching = self.watching.load(Ordering::Relaxed);
        for (place, (at, ear)) in self.at.iter().zip(&self.ears).enumerate() {
            let is_over = || wall.is_some_and(|wall| watching & (1 << place) != 0 && ear.over(wall).is_some());
            if at.load(Ordering::Relaxed) <= now || is_over() {
                due.extend(ear.waker.take());
            }
        }
    }
}

impl Default for Row {
    fn default() -> Self {
        Self {
            at: std::array::from_fn(|_| AtomicU64::new(NEVER)),
            watching: AtomicU64::new(0),
            ears: std::array::from_fn(|_| Ear::default()),
        }
    }
}

impl Ear {
    fn over(&self, now: u64) -> Option<Over> {
        self.lives.lock().iter().find_map(|life| life.over(now))
    }
}

#[expect(clippy::indexing_slicing, reason = "a place in its row is less than the length of one")]
impl Bell {
    /// The tick at which it rings.
    pub(crate) fn at(&self) -> &AtomicU64 {
        &self.row.at[usize::from(self.place)]
    }

    fn ear(&self) -> &Ear {
        &self.row.ears[usize::from(self.place)]
    }

    fn bit(&self) -> u64 {
        1 << self.place
    }

    /// Has it wake this task, and no other.
    pub(crate) fn wakes(&self, waker: &Waker) {
        self.ear().waker.register(waker);
    }

    /// Has it ring when one of these is over.
    pub(crate) fn watch(&self, lives: Lives) {
        let watches = !lives.is_empty();
        if !watches && !self.watches.load(Ordering::Relaxed) {
            return;
        }
        *self.ear().lives.lock() = lives;
        self.watches.store(watches, Ordering::Relaxed);
        if watches {
            self.row.watching.fetch_or(self.bit(), Ordering::Relaxed);
        } else {
            self.row.watching.fetch_and(!self.bit(), Ordering::Relaxed);
        }
    }

    /// Whether it watches anything.
    pub(crate) fn watches(&self) -> bool {
        self.watches.load(Ordering::Relaxed)
    }

    /// Why what it watches is over by a time by the wall.
    pub(crate) fn over(&self, now: u64) -> Option<Over> {
        self.ear().over(now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_is_one_alarms_own_and_what_was_given_back_is_taken_first() {
        let bells = Bells::default();
        let mut taken: Vec<Bell> = std::iter::repeat_with(|| bells.take()).take(3 * ROW).collect();
        let given_back = taken.swap_remove(70);
        bells.give_back(&given_back);

        let again = bells.take();

        assert_eq!((again.number_of_row, again.place), (given_back.number_of_row, given_back.place));
        taken.push(again);
        let mut places: Vec<_> = taken.iter().map(|bell| (bell.number_of_row, bell.place)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!((places.len(), bells.rows()), (3 * ROW, 3));
        assert_eq!(bells.take().number_of_row, 3);
    }

    #[test]
    fn what_was_given_back_is_silent_and_forgotten() {
        let bells = Bells::default();
        let kept = bells.take();
        let taken: Vec<Bell> = std::iter::repeat_with(|| bells.take()).take(3 * ROW).collect();
        let woken = Arc::new(Woken::default());
        for bell in &taken {
            bell.at().store(1, Ordering::Relaxed);
            bell.wakes(&woken.clone().into());
            bells.give_back(bell);
        }

        bells.ring(1, None);

        assert_eq!((woken.0.load(Ordering::Relaxed), Arc::strong_count(&woken), bells.rows()), (0, 1, 1));
        bells.give_back(&kept);
        bells.ring(2, None);
        assert_eq!(bells.rows(), 0);
        assert_eq!(bells.take().number_of_row, 0);
    }

    #[test]
    fn those_ring_whose_tick_has_come() {
        let bells = Bells::default();
        let taken: Vec<Bell> = std::iter::repeat_with(|| bells.take()).take(2 * ROW).collect();
        let woken = Arc::new(Woken::default());
        for (at, bell) in (1..).zip(&taken) {
            bell.at().store(at, Ordering::Relaxed);
            bell.wakes(&woken.clone().into());
        }

        bells.ring(100, None);

        assert_eq!(woken.0.load(Ordering::Relaxed), 100);
    }
}
