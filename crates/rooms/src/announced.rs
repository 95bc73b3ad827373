//! Who announces which addresses, as an operator knows it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The number of whoever announces an address to the rest of the network (its autonomous system).
#[derive(Clone)]
pub struct Announced(Arc<dyn Fn(IpAddr) -> Option<u32> + Send + Sync>);

impl Announced {
    /// What somebody says who knows it.
    pub fn by(known: impl Fn(IpAddr) -> Option<u32> + Send + Sync + 'static) -> Self {
        Self(Arc::new(known))
    }

    /// The number for an address, if it is known.
    pub(crate) fn of(&self, address: IpAddr) -> Option<u32> {
        (self.0)(address)
    }
}

impl PartialEq for Announced {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Announced {}

impl fmt::Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Announced")
    }
}
