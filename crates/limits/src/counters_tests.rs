//! What counters promise.

use std::collections::BTreeMap;
use std::sync::Barrier;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::Period;

const SECOND: u64 = 1_000_000;
/// 2026-01-01, in microseconds.
const NEW_YEAR: u64 = 1_767_225_600 * SECOND;

fn per_minute(entries: usize) -> Counters {
    Counters::new("test", Calendar::utc(Period::Minute), entries, None)
}

#[test]
fn the_limit_is_met_and_never_passed() {
    let counters = per_minute(100);

    let answers: Vec<_> = (0..5).map(|_| counters.take("a", 1, 3, NEW_YEAR + 20 * SECOND)).collect();

    let granted: Vec<_> = answers.iter().map(Decision::is_granted).collect();
    assert_eq!(granted, [true, true, true, false, false]);
    assert_eq!(answers[0].remaining, 2);
    assert_eq!(answers[4].remaining, 0);
    let retry_after = Some(Duration::from_secs(40));
    assert_eq!(answers[4].passage, Passage::Refused { retry_after });
    assert!(counters.take("b", 3, 3, NEW_YEAR).is_granted());
}

#[test]
fn a_new_window_begins_at_nothing() {
    let counters = per_minute(100);

    assert!(counters.take("a", 3, 3, NEW_YEAR + 59 * SECOND).is_granted());
    assert!(!counters.take("a", 1, 3, NEW_YEAR + 59 * SECOND).is_granted());
    assert_eq!(counters.take("a", 1, 3, NEW_YEAR + 60 * SECOND).remaining, 2);
}

#[test]
fn a_refused_request_costs_nothing_and_a_smaller_one_still_passes() {
    let counters = per_minute(100);

    assert!(counters.take("a", 2, 5, NEW_YEAR).is_granted());
    assert!(!counters.take("a", 4, 5, NEW_YEAR).is_granted());
    assert!(counters.take("a", 3, 5, NEW_YEAR).is_granted());
    assert_eq!(counters.take("new", 6, 5, NEW_YEAR).passage, Passage::Refused { retry_after: None });
}

#[test]
fn a_clock_set_forth_and_back_gives_no_second_allowance() {
    let counters = per_minute(100);

    assert!(counters.take("a", 2, 3, NEW_YEAR).is_granted());
    assert!(counters.take("a", 3, 3, NEW_YEAR + 3600 * SECOND).is_granted());

    assert!(!counters.take("a", 2, 3, NEW_YEAR).is_granted());
    assert!(counters.take("a", 1, 3, NEW_YEAR).is_granted());
    assert!(counters.take("a", 3, 3, NEW_YEAR + 60 * SECOND).is_granted());
}

#[test]
fn a_late_request_is_held_to_its_own_window_even_if_its_counter_had_to_go() {
    let counters = per_minute(1);
    for key in 0..16 {
        counters.take(&format!("{key}"), 3, 3, NEW_YEAR);
    }
    for key in 100..200 {
        counters.take(&format!("{key}"), 3, 3, NEW_YEAR + 60 * SECOND);
    }

    let late = (0..16).filter(|key| counters.take(&format!("{key}"), 1, 3, NEW_YEAR + 59 * SECOND).is_granted());

    assert_eq!(late.count(), 0);
}

#[test]
fn what_is_given_back_can_be_taken_again_in_its_window_only() {
    let counters = per_minute(100);

    assert!(counters.take("a", 3, 3, NEW_YEAR).is_granted());
    assert_eq!(counters.give_back("a", 2, 3, NEW_YEAR), Some(2));
    assert_eq!(counters.take("a", 1, 3, NEW_YEAR).remaining, 1);

    assert!(counters.take("a", 3, 3, NEW_YEAR + 60 * SECOND).is_granted());
    counters.give_back("a", 2, 3, NEW_YEAR);
    counters.give_back("a", 2, 3, NEW_YEAR + 3600 * SECOND);
    assert!(!counters.take("a", 1, 3, NEW_YEAR + 60 * SECOND).is_granted());
}

#[test]
fn counters_of_past_windows_go() {
    let counters = per_minute(1000);
    for key in 0..1000 {
        counters.take(&format!("{key}"), 1, 3, NEW_YEAR);
    }
    assert!(counters.len() > 900);

    for key in 0..100 {
        counters.take(&format!("later {key}"), 1, 3, NEW_YEAR + 3 * 3600 * SECOND);
    }

    assert_eq!(counters.len(), 100);
}

#[test]
fn invented_keys_neither_grow_the_table_nor_get_past_the_limit() {
    let counters = per_minute(16);
    counters.take("known", 1, 1000, NEW_YEAR);

    let granted = (0..10_000).filter(|key| counters.take(&format!("{key}"), 5, 5, NEW_YEAR).is_granted()).count();

    // A counter and a spill for each of 16 shards.
    assert!(granted <= 32, "{granted} granted");
    assert!(counters.len() <= 16);
    assert_eq!(counters.take("known", 1, 1000, NEW_YEAR).remaining, 998);
    assert!(counters.take("0", 5, 5, NEW_YEAR + 60 * SECOND).is_granted());
}

#[test]
fn threads_together_get_exactly_the_limit_in_every_window() {
    let counters = per_minute(16);
    let granted = Mutex::new(BTreeMap::<u64, u64>::new());
    let start = Barrier::new(4);

    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (counters, granted, start) = (&counters, &granted, &start);
            scope.spawn(move || {
                let mut mine = BTreeMap::<u64, u64>::new();
                for window in 0..20 {
                    start.wait();
                    for step in 0..500 {
                        let now = NEW_YEAR + window * 60 * SECOND + (step + thread) * 1000;
                        *mine.entry(window).or_default() += u64::from(counters.take("hot", 1, 777, now).is_granted());
                    }
                }
                let mut granted = granted.lock();
                for (window, count) in mine {
                    *granted.entry(window).or_default() += count;
                }
            });
        }
    });

    assert!(granted.into_inner().values().all(|count| *count == 777));
}

#[test]
fn a_restart_forgets_nothing() {
    let before = per_minute(100);
    before.take("a:b", 3, 5, NEW_YEAR);
    before.take("c", 1, 5, NEW_YEAR);
    let mut readings = before.readings();
    readings.sort();
    let reading =
        |counter: &str, consumed| Reading { counter: counter.to_owned(), window_start: NEW_YEAR / SECOND, consumed };
    assert_eq!(readings, [reading("test:a:b", 3), reading("test:c", 1)]);

    let after = per_minute(100);
    after.restore("test/other:a:b", NEW_YEAR / SECOND, 5);
    for reading in readings {
        after.restore(&reading.counter, reading.window_start, reading.consumed);
    }

    assert_eq!(after.take("a:b", 1, 5, NEW_YEAR).remaining, 1);
    assert_eq!(after.take("c", 1, 5, NEW_YEAR).remaining, 3);
    assert_eq!(after.take("a:b", 1, 5, NEW_YEAR + 60 * SECOND).remaining, 4);
}

/// A ledger in memory.
#[derive(Default)]
struct Book(Mutex<BTreeMap<(String, u64), u64>>);

impl Ledger for Book {
    fn consumed(&self, counter: &str, window_start: u64, n: u32) {
        *self.0.lock().entry((counter.to_owned(), window_start)).or_default() += u64::from(n);
    }

    fn given_back(&self, counter: &str, window_start: u64, n: u32) {
        *self.0.lock().entry((counter.to_owned(), window_start)).or_default() -= u64::from(n);
    }

    fn remembered(&self, name: &str) -> Vec<Reading> {
        let reading = |((counter, start), n): (&(String, u64), &u64)| Reading {
            counter: counter.clone(),
            window_start: *start,
            consumed: *n,
        };
        self.0.lock().iter().filter(|((counter, _), _)| counter.starts_with(name)).map(reading).collect()
    }
}

proptest! {
    /// Whatever keys, costs, lateness and givings back, on a table that is too small, with a restart in between.
    #[test]
    fn no_window_of_any_key_is_over_its_limit_and_the_ledger_agrees(
        limit in 1..8_u64,
        entries in 1..64_usize,
        steps in prop::collection::vec((0..40_u8, 1..4_u32, 0..20_000_000_u64, any::<bool>()), 1..400),
        restart in 0..400_usize,
    ) {
        let book = Arc::new(Book::default());
        let make = || Counters::new("test", Calendar::utc(Period::Minute), entries, Some(book.clone()));
        let (mut counters, mut clock) = (make(), NEW_YEAR);
        let mut held = BTreeMap::<(u8, u64), u64>::new();
        for (index, (key, cost, step, gives_back)) in steps.into_iter().enumerate() {
            if index == restart {
                let mut before = counters.readings();
                counters = make();
                before.retain(|reading| reading.window_start == counters.calendar.window(clock).start);
                for reading in before {
                    let known = book.0.lock().get(&(reading.counter.clone(), reading.window_start)).copied();
                    // Several shards may have a spill; the ledger has one sum.
                    prop_assert!(known >= Some(reading.consumed));
                }
            }
            clock += step;
            let window = counters.calendar.window(clock).start;
            let name = key.to_string();
            if counters.take(&name, cost, limit, clock).is_granted() {
                let sum = held.entry((key, window)).or_default();
                *sum += u64::from(cost);
                prop_assert!(*sum <= limit);
                if gives_back {
                    prop_assert!(counters.give_back(&name, cost, limit, clock).is_some());
                    *sum -= u64::from(cost);
                }
            }
        }
        let written: u64 = book.0.lock().values().sum();
        prop_assert_eq!(written, held.values().sum::<u64>());
    }
}
