//! Whose turn it is at a receiver that takes less than there is: the most severe first, one policy after the other, and now and then
//! whoever waits longest.

use std::collections::BTreeMap;

/// Of so many messages one goes to whoever waits longest, however mild: nothing starves.
const RESERVED: u64 = 8;

/// The messages that were begun.
#[derive(Debug, Default)]
pub(in crate::engine) struct Turns {
    count: u64,
    /// When each policy had its last turn.
    last: BTreeMap<String, u64>,
}

impl Turns {
    /// A message for a policy begins.
    pub fn take(&mut self, policy: &str) {
        self.count = self.count.saturating_add(1);
        self.last.insert(policy.to_owned(), self.count);
    }

    /// Messages so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// When a policy had its last turn; the lowest is next.
    pub fn last(&self, policy: &str) -> u64 {
        self.last.get(policy).copied().unwrap_or(0)
    }

    /// Whether the next message is for whoever waits longest.
    pub const fn is_for_who_waits(&self) -> bool {
        self.count % RESERVED == RESERVED - 1
    }

    /// A policy is gone.
    pub fn forget(&mut self, policy: &str) {
        self.last.remove(policy);
    }
}
