//! Header names from bytes, without an allocation where the name is a common one.

use http::HeaderName;

/// The name, or `None` if it is not a token.
#[inline]
pub(crate) fn header_name(bytes: &[u8]) -> Option<HeaderName> {
    HeaderName::from_bytes(bytes).ok()
}
