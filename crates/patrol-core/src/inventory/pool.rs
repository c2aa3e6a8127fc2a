//! Values that many objects share, stored once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// A pool of shared values. Only looked up and swept, never iterated into a result.
#[derive(Debug)]
pub struct Pool<T> {
    known: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            known: HashSet::new(),
            sweep_at: 1024,
        }
    }
}

impl<T: Hash + Eq> Pool<T> {
    /// The shared copy of `value`.
    pub fn share(&mut self, value: T) -> Arc<T> {
        if let Some(known) = self.known.get(&value) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|v| Arc::strong_count(v) > 1);
            self.sweep_at = (self.known.len() * 2).max(1024);
        }
        let value = Arc::new(value);
        self.known.insert(Arc::clone(&value));
        value
    }

    /// Distinct values held.
    pub fn len(&self) -> usize {
        self.known.len()
    }
}
