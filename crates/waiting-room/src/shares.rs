//! Who has how large a share of very many: those with a large one are counted exactly, in memory that has a bound.
//!
//! The algorithm is *Space-Saving* (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in
//! Data Streams, 2005): as many counters as there may be, and who has none takes the one that counts least, with what it
//! counted. Nobody is counted less than they are; and more only by less than the whole divided by the number of counters.

use std::collections::BTreeSet;
use std::hash::Hash;

use hashbrown::HashMap;

/// How much there is of each of very many.
#[derive(Clone, Debug)]
pub struct Shares<K> {
    /// How many are counted at most.
    most: usize,
    counts: HashMap<K, u64>,
    by_count: BTreeSet<(u64, K)>,
    total: u64,
}

impl<K: Copy + Eq + Hash + Ord> Shares<K> {
    /// Nothing of anybody, and so many counters at most.
    pub fn new(most: usize) -> Self {
        Self { most, counts: HashMap::new(), by_count: BTreeSet::new(), total: 0 }
    }

    /// What was counted before: so much of all, and so much of each that is counted.
    pub fn again(most: usize, total: u64, counts: impl IntoIterator<Item = (K, u64)>) -> Self {
        let counts: HashMap<K, u64> = counts.into_iter().take(most).collect();
        Self { most, by_count: counts.iter().map(|(key, count)| (*count, *key)).collect(), counts, total }
    }

    /// How much there is of each that is counted.
    pub fn counts(&self) -> impl Iterator<Item = (K, u64)> {
        self.by_count.iter().map(|(count, key)| (*key, *count))
    }

    /// How much there is of all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How much there is of one, at most.
    pub fn of(&self, key: K) -> u64 {
        self.counts.get(&key).copied().unwrap_or_else(|| self.least())
    }

    /// Adds one more of somebody.
    pub fn add(&mut self, key: K) {
        self.total += 1;
        let before = self.counts.get(&key).copied();
        let count = before.unwrap_or_else(|| self.least());
        match before {
            Some(before) => {
                self.by_count.remove(&(before, key));
            }
            None if self.counts.len() >= self.most => {
                if let Some((_, least)) = self.by_count.pop_first() {
                    self.counts.remove(&least);
                }
            }
            None => {}
        }
        self.counts.insert(key, count + 1);
        self.by_count.insert((count + 1, key));
    }

    /// How much there is at most of whoever has no counter.
    fn least(&self) -> u64 {
        if self.counts.len() < self.most { 0 } else { self.by_count.first().map_or(0, |(count, _)| *count) }
    }
}

impl<K: Ord> PartialEq for Shares<K> {
    fn eq(&self, other: &Self) -> bool {
        // Counts are the same if those that are in order are.
        (self.most, self.total, &self.by_count) == (other.most, other.total, &other.by_count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whoever_is_there_often_is_counted_however_many_are_there_once() {
        let mut shares = Shares::new(64);
        for number in 0..100_000_u32 {
            shares.add(if number % 10 == 0 { 7 } else { 1000 + number });
        }
        assert_eq!((shares.total(), shares.counts.len(), shares.by_count.len()), (100_000, 64, 64));
        let of_seven = shares.of(7);
        assert!((10_000..=10_000 + 100_000 / 64).contains(&of_seven), "{of_seven}");
        assert!(shares.of(1001) <= 100_000 / 64, "who is there once is never taken for a crowd");
    }

    proptest! {
        #[test]
        fn nobody_is_counted_less_than_they_are_nor_much_more(keys in prop::collection::vec(0_u8..40, 0..500)) {
            let mut shares = Shares::new(10);
            let mut exact = std::collections::HashMap::<u8, u64>::new();
            for key in &keys {
                shares.add(*key);
                *exact.entry(*key).or_default() += 1;
            }
            prop_assert!(shares.counts.len() <= 10);
            for key in 0..40 {
                let exact = exact.get(&key).copied().unwrap_or(0);
                let bound = exact + keys.len() as u64 / 10;
                prop_assert!((exact..=bound).contains(&shares.of(key)), "{key}: {} for {exact}", shares.of(key));
            }
        }
    }
}
