//! What was last seen of each object of a kind, small enough to keep for every object:
//! a hash of its key and its version as a number.
//!
//! It only compares. Versions of one kind are ordered numbers (KEP-5504); where a server
//! writes others, nothing is compared and nothing is claimed.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use patrol_core::facts::ObjectKey;

static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

fn hash(key: &ObjectKey) -> u64 {
    KEYS.hash_one((key.namespace.as_str(), &*key.name))
}

/// Parses a version; `None` when it is no number.
pub(super) fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

/// Versions by object.
#[derive(Debug, Default)]
pub(super) struct Versions {
    seen: HashMap<u64, u64>,
    /// Objects deleted since the comparison that is under way began.
    gone: HashSet<u64>,
    comparing: Option<Comparison>,
}

#[derive(Debug)]
struct Comparison {
    /// Version of the list.
    at: u64,
    listed: HashMap<u64, u64>,
}

impl Versions {
    /// An object was seen at a version.
    pub(super) fn saw(&mut self, key: &ObjectKey, version: &str) {
        let key = hash(key);
        self.seen.insert(key, number(version).unwrap_or_default());
        self.gone.remove(&key);
    }

    /// An object was deleted.
    pub(super) fn lost(&mut self, key: &ObjectKey) {
        let key = hash(key);
        self.seen.remove(&key);
        if self.comparing.is_some() {
            self.gone.insert(key);
        }
    }

    /// A comparison with a list of metadata begins; the watch has to catch up with it
    /// before it means anything.
    pub(super) fn begin(&mut self, at: u64, listed: impl Iterator<Item = (ObjectKey, u64)>) {
        self.gone.clear();
        self.comparing = Some(Comparison {
            at,
            listed: listed.map(|(key, version)| (hash(&key), version)).collect(),
        });
    }

    /// The version that the watch has to reach before [`Versions::finish`].
    pub(super) fn awaited(&self) -> Option<u64> {
        self.comparing.as_ref().map(|c| c.at)
    }

    /// Ends the comparison: how many objects differ from the list in a way that later
    /// changes do not explain. `None` when there was none.
    pub(super) fn finish(&mut self) -> Option<usize> {
        let Comparison { at, listed } = self.comparing.take()?;
        let stale = listed
            .iter()
            .filter(|(key, version)| match self.seen.get(key) {
                Some(seen) => seen < version,
                None => !self.gone.contains(key),
            })
            .count();
        let phantom = self
            .seen
            .iter()
            .filter(|(key, version)| **version <= at && !listed.contains_key(key))
            .count();
        self.gone.clear();
        Some(stale + phantom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("n", name)
    }

    fn seen(objects: &[(&str, &str)]) -> Versions {
        let mut versions = Versions::default();
        for (name, version) in objects {
            versions.saw(&key(name), version);
        }
        versions
    }

    fn begin(versions: &mut Versions, at: u64, listed: &[(&str, u64)]) {
        versions.begin(at, listed.iter().map(|(n, v)| (key(n), *v)));
    }

    #[test]
    fn what_the_watch_explains_is_no_difference() {
        let mut versions = seen(&[("same", "5"), ("changed", "6"), ("deleted", "7")]);
        begin(
            &mut versions,
            10,
            &[("same", 5), ("changed", 6), ("deleted", 7)],
        );
        assert_eq!(versions.awaited(), Some(10));
        versions.saw(&key("changed"), "11");
        versions.saw(&key("new"), "12");
        versions.lost(&key("deleted"));
        assert_eq!(versions.finish(), Some(0));
        assert_eq!(versions.finish(), None);
    }

    #[test]
    fn each_kind_of_lost_event_is_a_difference() {
        let mut added = seen(&[]);
        begin(&mut added, 10, &[("a", 9)]);
        assert_eq!(added.finish(), Some(1), "an ADDED was lost");

        let mut modified = seen(&[("a", "5")]);
        begin(&mut modified, 10, &[("a", 9)]);
        assert_eq!(modified.finish(), Some(1), "a MODIFIED was lost");

        let mut deleted = seen(&[("a", "5")]);
        begin(&mut deleted, 10, &[]);
        assert_eq!(deleted.finish(), Some(1), "a DELETED was lost");
    }

    #[test]
    fn deleted_and_made_again_counts_as_seen() {
        let mut versions = seen(&[("a", "5")]);
        begin(&mut versions, 10, &[("a", 5)]);
        versions.lost(&key("a"));
        versions.saw(&key("a"), "12");
        assert_eq!(versions.finish(), Some(0));
    }
}
