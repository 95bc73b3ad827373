//! The allocator, and giving memory back that is not needed again soon.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives memory back to the system that this thread freed.
///
/// To read a large document takes several times the memory that it is served from, and the allocator would keep it.
pub(crate) fn give_back() {
    // SAFETY: it may be called at any time by any thread, and frees nothing that is in use.
    #[expect(unsafe_code, reason = "the crate of the allocator has no safe function for it")]
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}
