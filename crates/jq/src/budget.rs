//! What a run may cost: steps, the size of what it makes, and how deep it goes.
//!
//! The interpreter cannot be told to end. Whoever uses up the budget unwinds its thread, which nobody else uses and whose stack is
//! larger than what the budget lets it fill; nothing of the run is left behind.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use crate::Failure;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Where the stack was when the run began.
    static BEGIN: Cell<usize> = const { Cell::new(0) };
}

/// The budget is used up.
struct TooMuch;

/// Runs `work` with a budget, on a thread of its own.
pub(crate) fn bounded<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    let run = || {
        LEFT.set(UNITS);
        BEGIN.set(stack());
        // What is unwound is dropped as a whole.
        catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Failure::TooMuch))
    };
    with_stack(STACK, run).unwrap_or(Err(Failure::TooMuch))
}

/// Runs `work` on a thread with a large stack.
pub(crate) fn with_stack<T: Send>(size: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| thread::Builder::new().stack_size(size).spawn_scoped(scope, work).ok()?.join().ok())
}

/// Takes a step.
pub(crate) fn step() {
    spend(1);
    if BEGIN.get().abs_diff(stack()) > DEEPEST_STACK {
        resume_unwind(Box::new(TooMuch));
    }
}

/// Pays for something of this size before it is made.
pub(crate) fn spend(units: usize) {
    match LEFT.get().checked_sub(units) {
        Some(left) => LEFT.set(left),
        None => resume_unwind(Box::new(TooMuch)),
    }
}

/// Ends the run if a value would be deeper than what can be written, compared and dropped.
pub(crate) fn at_depth(depth: usize) -> usize {
    if depth > DEEPEST_VALUE {
        resume_unwind(Box::new(TooMuch));
    }
    depth
}

/// About where the stack is.
#[inline(never)]
fn stack() -> usize {
    let here = 0_u8;
    std::hint::black_box(&raw const here).addr()
}

/// Steps, and what is made: an element of a list, a member of a map, or sixteen bytes of a text is one.
const UNITS: usize = 200_000;
const DEEPEST_VALUE: usize = 256;
/// What a run may use of its stack. The rest is for what it holds, which is dropped from within.
const DEEPEST_STACK: usize = 4 << 20;
const STACK: usize = 32 << 20;
