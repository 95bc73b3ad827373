//! Very many small things in the order in which they came.

use std::sync::Arc;

/// Very many small things in the order in which they came, copied in no time: copies share what neither has changed since.
#[derive(Clone, Debug)]
pub struct Shelf<T> {
    chunks: Vec<Arc<Vec<T>>>,
    length: usize,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), length: 0 }
    }
}

impl<T: PartialEq> PartialEq for Shelf<T> {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.iter().eq(other.iter())
    }
}

impl<T> Shelf<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The one that came after so many others.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Those that came after so many others, in order.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &T> {
        let chunks = self.chunks.get(index / CHUNK..).unwrap_or_default();
        chunks.iter().flat_map(|chunk| chunk.iter()).skip(index % CHUNK)
    }

    /// The last one.
    pub fn last(&self) -> Option<&T> {
        self.chunks.last()?.last()
    }

    /// How many of them come before the first that is not before, if all before that are.
    pub fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        let whole = self.chunks.partition_point(|chunk| chunk.last().is_some_and(&is_before));
        let part = self.chunks.get(whole).map_or(0, |chunk| chunk.partition_point(is_before));
        (whole * CHUNK + part).min(self.length)
    }
}

impl<T: Clone> Shelf<T> {
    /// Adds one.
    pub fn push(&mut self, item: T) {
        let is_full = self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK);
        if is_full {
            // The first one grows as it needs to, so that a thousand small rooms cost little.
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Arc::new(Vec::with_capacity(capacity)));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            Arc::make_mut(chunk).push(item);
            self.length += 1;
        }
    }

    /// As [`Self::get`], to change it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(index / CHUNK)?;
        // Not copied for nothing.
        if index % CHUNK >= chunk.len() {
            return None;
        }
        Arc::make_mut(chunk).get_mut(index % CHUNK)
    }
}

impl<T: Clone> Extend<T> for Shelf<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

/// How many lie in one piece of memory, which is what a change copies at most.
const CHUNK: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_found_by_its_number() {
        let mut shelf = Shelf::default();
        shelf.extend(0..10_000);
        assert_eq!(
            (shelf.len(), shelf.get(0), shelf.get(4096), shelf.get(9_999)),
            (10_000, Some(&0), Some(&4096), Some(&9_999))
        );
        assert!(shelf.get(10_000).is_none() && shelf.get_mut(10_000).is_none());
        assert!(shelf.iter().copied().eq(0..10_000));
        assert!(shelf.iter_from(5_000).copied().eq(5_000..10_000));
        assert_eq!(shelf.iter_from(10_000).count() + shelf.iter_from(99_999).count(), 0);
    }

    #[test]
    fn what_is_in_order_is_found_by_halves() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.partition_point(|_: &u32| true), 0);
        shelf.extend((0..10_000).map(|item| item * 2));
        for (number, place) in [(0, 0), (1, 1), (2, 1), (8191, 4096), (8192, 4096), (8193, 4097), (99_999, 10_000)] {
            assert_eq!(shelf.partition_point(|item| *item < number), place, "{number}");
        }
        assert_eq!(shelf.last(), Some(&19_998));
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut shelf = Shelf::default();
        shelf.extend(0..5_000);
        let copy = shelf.clone();
        shelf.push(5_000);
        *shelf.get_mut(7).unwrap() = 0;
        assert!(copy.iter().copied().eq(0..5_000));
        assert_ne!(shelf, copy);
    }
}
