//! The numbers behind all series: one array of cells per seat, so that a thread counts without locked instructions.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::seat::{SEATS, Seat};

/// Cells by seat and offset. A series has the same offset in every seat; its value is the sum over the seats.
pub(crate) struct Cells {
    shards: Box<[OnceLock<Shard>]>,
    space: Mutex<Space>,
}

/// The cells of one seat, made chunk by chunk when its thread first counts there.
struct Shard {
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

/// Aligned so that no cell shares a cache line with anything that another thread writes.
#[repr(align(64))]
struct Chunk([AtomicU64; CHUNK]);

/// Which offsets are in use.
#[derive(Default)]
struct Space {
    next: usize,
    /// Blocks that were given back, by length.
    free: BTreeMap<usize, Vec<usize>>,
}

/// Some cells that belong together, in every seat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    at: usize,
    length: usize,
}

impl Cells {
    pub(crate) fn new() -> Self {
        let shards = std::iter::repeat_with(OnceLock::new).take(SEATS).collect();
        Self { shards, space: Mutex::default() }
    }

    /// A block of zeros, unless all space is used up.
    pub(crate) fn take(&self, length: usize) -> Option<Block> {
        let mut space = self.space.lock();
        if let Some(at) = space.free.get_mut(&length).and_then(Vec::pop) {
            return Some(Block { at, length });
        }
        let at = if space.next % CHUNK + length > CHUNK { space.next.next_multiple_of(CHUNK) } else { space.next };
        if length > CHUNK || at + length > CHUNK * CHUNKS {
            return None;
        }
        space.next = at + length;
        Some(Block { at, length })
    }

    /// Takes a block back. Nobody may count in it any more.
    pub(crate) fn give_back(&self, block: Block) {
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            for cell in shard.made(block).unwrap_or_default() {
                cell.store(0, Ordering::Relaxed);
            }
        }
        self.space.lock().free.entry(block.length).or_default().push(block.at);
    }

    /// Lets the calling thread count in its own cells of a block.
    #[inline]
    pub(crate) fn count(&self, block: Block, counting: impl FnOnce(Own<'_>)) {
        let seat = Seat::current();
        if let Some(cells) = self.cells(seat, block) {
            counting(Own { cells, exclusive: seat.is_exclusive() });
        }
    }

    /// Writes a value that no thread adds to.
    pub(crate) fn set(&self, block: Block, value: u64) {
        if let Some(cell) = self.cells(Seat::SHARED, block).and_then(<[_]>::first) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// A block's values, summed over all seats.
    pub(crate) fn sums(&self, block: Block) -> Vec<u64> {
        let mut sums = vec![0_u64; block.length];
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            for (sum, cell) in sums.iter_mut().zip(shard.made(block).unwrap_or_default()) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
            }
        }
        sums
    }

    #[inline]
    fn cells(&self, seat: Seat, block: Block) -> Option<&[AtomicU64]> {
        let shard = self.shards.get(seat.index())?.get_or_init(Shard::new);
        let chunk = shard.chunks.get(block.at / CHUNK)?.get_or_init(Chunk::zeros);
        chunk.block(block)
    }
}

impl Shard {
    fn new() -> Self {
        Self { chunks: std::iter::repeat_with(OnceLock::new).take(CHUNKS).collect() }
    }

    fn made(&self, block: Block) -> Option<&[AtomicU64]> {
        self.chunks.get(block.at / CHUNK)?.get()?.block(block)
    }
}

impl Chunk {
    fn zeros() -> Box<Self> {
        Box::new(Self([const { AtomicU64::new(0) }; CHUNK]))
    }

    #[inline]
    fn block(&self, block: Block) -> Option<&[AtomicU64]> {
        let at = block.at % CHUNK;
        self.0.get(at..at + block.length)
    }
}

/// The calling thread's cells of one block.
pub(crate) struct Own<'a> {
    cells: &'a [AtomicU64],
    exclusive: bool,
}

impl Own<'_> {
    /// Adds to a cell, wrapping around.
    #[inline]
    pub(crate) fn add(&self, cell: usize, n: u64) {
        let Some(cell) = self.cells.get(cell) else { return };
        if self.exclusive {
            // Nobody else writes here: no locked instruction is needed, and scrapes see whole values all the same.
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
        } else {
            cell.fetch_add(n, Ordering::Relaxed);
        }
    }
}

/// Cells in a chunk (16 KiB).
const CHUNK: usize = 2048;
/// Chunks in a shard, which bounds all metrics together to two million cells.
const CHUNKS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_among_more_threads_than_seats() {
        let cells = Cells::new();
        let block = cells.take(2).unwrap();

        std::thread::scope(|scope| {
            for _ in 0..80 {
                scope.spawn(|| (0..1000).for_each(|_| cells.count(block, |own| own.add(1, 3))));
            }
        });

        assert_eq!(cells.sums(block), [0, 240_000]);
    }

    #[test]
    fn a_block_that_was_given_back_is_taken_again_as_zeros() {
        let cells = Cells::new();
        let first = cells.take(3).unwrap();
        cells.count(first, |own| own.add(2, 7));

        cells.give_back(first);

        let second = cells.take(3).unwrap();
        assert_eq!(second.at, first.at);
        assert_eq!(cells.sums(second), [0, 0, 0]);
    }

    #[test]
    fn blocks_never_overlap_and_never_reach_over_a_chunk() {
        let cells = Cells::new();
        let mut end = 0;
        for length in [1, 16, 2000, 100, 7].iter().cycle().take(500) {
            let block = cells.take(*length).unwrap();
            assert!(block.at >= end);
            assert_eq!(block.at / CHUNK, (block.at + length - 1) / CHUNK);
            end = block.at + length;
        }
        assert!(cells.take(CHUNK + 1).is_none());
    }
}
