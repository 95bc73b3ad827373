//! A log that several nodes write by turns: whoever has the turn knows all that happened, decides, and writes it down.
//!
//! Rules live in one place, the room itself, and each node has all rooms in memory. A node that wants to change anything asks
//! for the turn, reads what others wrote, lets everybody decide who waits, writes all of that as one batch, and passes the turn
//! on. Nothing depends on a clock: a turn that was lost shows in the batch being refused, and then the node begins anew with
//! what the log has, and tells nobody of what it had decided.
//!
//! Deliberately not here: what is written, and the server.

mod moving;
mod turns;
mod writer;

use std::io;

pub use self::moving::{NotMoved, begin_with, expect_empty};
pub use self::turns::{MayWrite, NotWritten, Turns};
pub use self::writer::run;

/// What is kept by a log that several nodes write, in the memory of each.
pub trait Kept: Send + Sync + 'static {
    /// Has happen what a record says, unless it is known.
    fn replay(&self, record: &[u8]);

    /// Is as a picture says, and nothing else. False: the picture is damaged.
    fn become_again(&self, picture: &[u8]) -> bool;

    /// Is as before anything happened.
    fn forget_all(&self);

    /// Bytes of a log after which a picture takes its place.
    fn longest_log(&self) -> u64;

    /// What writes a picture of how it is now. It is copied in no time, and written beside traffic.
    fn picture(&self) -> WritePicture;

    /// There is a picture of so many bytes now.
    fn has_picture(&self, bytes: u64);
}

/// What writes a picture.
pub type WritePicture = Box<dyn FnOnce() -> io::Result<Vec<u8>> + Send>;
