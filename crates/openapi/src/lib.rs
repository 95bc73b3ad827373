//! Operations of the Admin API as data, their description in `OpenAPI` 3.1, and that as a page. No I/O.

mod document;
mod operation;
mod reference;

pub use self::document::document;
pub use self::operation::{Asking, Heeds, Operation, Said, SchemaOf, Sent, Verb};
pub use self::reference::page;
