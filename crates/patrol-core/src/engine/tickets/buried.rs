//! Tickets that the server said are gone. A watch that lags still speaks of them; so what
//! it says of them is no news for a while. Only for a while: whoever said so may have been
//! wrong, and an object may be restored.

use std::collections::{BTreeMap, VecDeque};

use patrol_api::time::Span;

use crate::clock::Mono;

/// No watch lags longer.
const FOR: Span = Span::minutes(10);

#[derive(Debug, Default)]
pub(super) struct Buried {
    /// By UID: when.
    at: BTreeMap<String, Mono>,
    /// In the order in which they were buried.
    order: VecDeque<(Mono, String)>,
}

impl Buried {
    pub fn add(&mut self, uid: String, now: Mono) {
        self.expire(now);
        self.order.push_back((now, uid.clone()));
        self.at.insert(uid, now);
    }

    pub fn remove(&mut self, uid: &str) {
        self.at.remove(uid);
    }

    pub fn contains(&mut self, uid: &str, now: Mono) -> bool {
        self.expire(now);
        self.at.contains_key(uid)
    }

    fn expire(&mut self, now: Mono) {
        while let Some((at, uid)) = self.order.front()
            && now >= at.plus(FOR)
        {
            // Unless it was buried again since.
            if self.at.get(uid) == Some(at) {
                self.at.remove(uid);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(n: u64) -> Mono {
        Mono(n * 60_000)
    }

    #[test]
    fn a_burial_ends_and_leaves_nothing_behind() {
        let mut buried = Buried::default();
        for n in 0..100 {
            buried.add(format!("uid-{n}"), minutes(0));
        }
        buried.add("uid-7".into(), minutes(6));
        assert!(buried.contains("uid-3", minutes(9)));
        assert!(!buried.contains("uid-3", minutes(10)));
        assert!(buried.contains("uid-7", minutes(15)), "buried again");
        assert!(!buried.contains("uid-7", minutes(16)));
        assert!(buried.at.is_empty() && buried.order.is_empty());
    }

    #[test]
    fn what_is_there_after_all_is_not_buried() {
        let mut buried = Buried::default();
        buried.add("uid".into(), minutes(0));
        buried.remove("uid");
        assert!(!buried.contains("uid", minutes(1)));
    }
}
