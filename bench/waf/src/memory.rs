//! How much memory is held, byte by byte: what an allocator keeps for later does not count.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The allocator of the gateway, which counts.
pub struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the other allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { mimalloc::MiMalloc.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_add(size, Relaxed);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { mimalloc::MiMalloc.realloc(place, layout, size) }
    }
}

/// The bytes that are held.
pub fn held() -> usize {
    HELD.load(Relaxed)
}
