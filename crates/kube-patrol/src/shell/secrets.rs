//! Where credentials come from. Read on use, never listed, never printed.

use std::future::Future;
use std::pin::Pin;

use patrol_notify::Secret;

/// A future that yields a secret, or nothing when the Secret or its key cannot be read.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Option<Secret>> + Send + 'a>>;

/// Reads one key of one Secret of the operator's namespace.
pub trait SecretSource: Send + Sync + 'static {
    /// Reads `key` of the Secret `name`. With `fresh`, whatever was cached is read again.
    fn read<'a>(&'a self, name: &'a str, key: &'a str, fresh: bool) -> Reading<'a>;
}
