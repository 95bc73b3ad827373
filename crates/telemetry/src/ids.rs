//! Names for exchanges, traces and spans, made without locks or system calls.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

/// A name that no other exchange has. Names of later microseconds sort behind earlier ones.
///
/// The upper half is the time, the lower half 40 bits drawn by the thread when it began and a count.
pub fn request_id(microseconds_since_1970: u64) -> u128 {
    GENERATOR.with_borrow_mut(|generator| {
        generator.count = generator.count.wrapping_add(1) & COUNT;
        u128::from(microseconds_since_1970) << 64 | u128::from(generator.thread | generator.count)
    })
}

/// A random name for a trace, never zero.
pub fn trace_id() -> u128 {
    GENERATOR.with_borrow_mut(|generator| u128::from(generator.draw()) << 64 | u128::from(generator.draw() | 1))
}

/// A random name for a span, never zero.
pub fn span_id() -> u64 {
    GENERATOR.with_borrow_mut(Generator::draw).max(1)
}

thread_local! {
    static GENERATOR: RefCell<Generator> = RefCell::new(Generator::seeded());
}

/// xoshiro256++ (Blackman and Vigna), whose draws are well mixed and no secrets.
struct Generator {
    state: [u64; 4],
    /// The thread's own bits of a request's name.
    thread: u64,
    count: u64,
}

impl Generator {
    fn seeded() -> Self {
        let mut state = [0; 4];
        for word in &mut state {
            *word = seed();
        }
        Self { state, thread: seed() & !COUNT, count: 0 }
    }

    fn draw(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let drawn = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }
}

fn seed() -> u64 {
    // The fallback draws on the random keys of the standard library's maps.
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(0))
}

const COUNT: u64 = (1 << 24) - 1;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_exchanges_of_one_microsecond_have_one_name() {
        let names: HashSet<u128> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..50_000).map(|_| request_id(7)).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });

        assert_eq!(names.len(), 200_000);
    }

    #[test]
    fn later_exchanges_sort_behind_earlier_ones() {
        assert!(request_id(1_767_225_600_000_000) < request_id(1_767_225_600_000_001));
    }

    #[test]
    fn traces_and_spans_have_names_of_their_own() {
        let traces: HashSet<_> = (0..10_000).map(|_| trace_id()).collect();
        let spans: HashSet<_> = (0..10_000).map(|_| span_id()).collect();

        assert_eq!((traces.len(), spans.len()), (10_000, 10_000));
        assert!(!traces.contains(&0) && !spans.contains(&0));
    }

    #[test]
    fn draws_are_those_of_the_published_generator() {
        let mut generator = Generator { state: [1, 2, 3, 4], thread: 0, count: 0 };

        let drawn: Vec<u64> = (0..4).map(|_| generator.draw()).collect();

        assert_eq!(drawn, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }
}
