//! What operators write.
