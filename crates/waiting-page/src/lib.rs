//! What somebody sees who waits: a page in their language, in the room's own form, which needs no scripts.
//!
//! A [`Page`] is compiled from what an operator says of it, or there are findings. A [`View`] is what is to be seen at a
//! moment; [`Page::render`] makes HTML of both, and [`Page::policy`] says what a browser may do with that: run this page's
//! script, use its styles, ask the gateway, and nothing else. Deliberately not here: who waits, and since when. No I/O.

mod check;
mod language;
mod page;
mod room;
mod template;
mod texts;
mod view;

pub use self::language::Language;
pub use self::page::{Page, Settings};
pub use self::view::{Expected, Place, Places, Situation, Unseen, Update, View, Work};

/// The member of a query by which this page asks the gateway for something, beside the query of the page that is waited for.
pub const ASKS: &str = "vestibule-room";
