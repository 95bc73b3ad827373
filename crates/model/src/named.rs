//! What has names in a document.

use indexmap::IndexMap;

/// A map that keeps the order in which it was written.
pub type Named<T> = IndexMap<String, T>;
