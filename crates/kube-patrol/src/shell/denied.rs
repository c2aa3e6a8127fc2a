//! Addresses that nothing is sent to, whatever a receiver says: they may change while the process runs.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// The addresses, shared by whoever learns them and whoever must know them.
#[derive(Clone, Default)]
pub struct Denied(Arc<RwLock<Arc<[IpAddr]>>>);

impl Denied {
    /// Those of now.
    #[must_use]
    pub fn now(&self) -> Arc<[IpAddr]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these: the next delivery goes by them.
    pub fn set(&self, addresses: Vec<IpAddr>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = addresses.into();
    }
}

impl From<Vec<IpAddr>> for Denied {
    fn from(addresses: Vec<IpAddr>) -> Self {
        let denied = Self::default();
        denied.set(addresses);
        denied
    }
}
