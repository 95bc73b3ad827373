//! What one key consumed in the two windows it has seen last.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Window;

/// Counts for two windows.
///
/// Two, because requests do not come in order: one that began before midnight may be judged after it, and a clock may
/// be set forth and back. Each is counted in its own window, without touching the other.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    cells: [Cell; 2],
}

#[derive(Debug, Default)]
struct Cell {
    window: Window,
    consumed: AtomicU64,
}

impl Tally {
    /// The count of a window, if it is one of the two.
    pub(crate) fn of(&self, window: Window) -> Option<&AtomicU64> {
        let [one, other] = &self.cells;
        if one.window == window {
            return Some(&one.consumed);
        }
        (other.window == window).then_some(&other.consumed)
    }

    /// The count of a window, which begins with `from` in place of the older window if it is neither of the two.
    pub(crate) fn open(&mut self, window: Window, from: u64) -> &AtomicU64 {
        let [one, other] = &mut self.cells;
        let cell = if one.window == window {
            one
        } else if other.window == window {
            other
        } else {
            let older = if one.window.start <= other.window.start { one } else { other };
            *older = Cell { window, consumed: AtomicU64::new(from) };
            older
        };
        &cell.consumed
    }

    /// Whether a window is older than both.
    pub(crate) fn has_forgotten(&self, window: Window) -> bool {
        self.cells.iter().all(|cell| window.start < cell.window.start)
    }

    /// When the newest window ends.
    pub(crate) fn end(&self) -> u64 {
        self.cells.iter().map(|cell| cell.window.end).max().unwrap_or(0)
    }

    /// The windows with their counts, as far as there is any.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Window, u64)> {
        self.cells
            .iter()
            .map(|cell| (cell.window, cell.consumed.load(Ordering::Relaxed)))
            .filter(|(_, consumed)| *consumed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(number: u64) -> Window {
        Window { start: number * 60, end: number * 60 + 60 }
    }

    #[test]
    fn a_late_request_is_counted_in_its_own_window() {
        let mut tally = Tally::default();
        tally.open(minute(7), 3);
        tally.open(minute(8), 1);

        assert_eq!(tally.of(minute(7)).unwrap().load(Ordering::Relaxed), 3);
        assert_eq!(tally.of(minute(8)).unwrap().load(Ordering::Relaxed), 1);
        assert_eq!(tally.end(), 540);
    }

    #[test]
    fn the_newest_window_is_never_given_up() {
        let mut tally = Tally::default();
        tally.open(minute(7), 3);
        tally.open(minute(8), 5);

        tally.open(minute(1), 0);

        assert!(tally.of(minute(7)).is_none());
        assert_eq!(tally.of(minute(8)).unwrap().load(Ordering::Relaxed), 5);
        assert!(tally.has_forgotten(minute(0)) && !tally.has_forgotten(minute(2)));
    }
}
