//! How many resolved tickets are kept: of each policy the last ones, however much time they still have. Deletes go out a
//! few at a time, for they have no hurry, and the API server has other work.

use std::collections::BTreeMap;

use patrol_api::time::{Span, Time};
use patrol_api::words::Phase;

use super::super::{Keys, Patrol};
use crate::clock::{Mono, Now};
use crate::facts::ObjectKey;

/// Resolved tickets that a policy keeps.
const KEPT: usize = 5_000;

/// Deletes in a second.
const DELETES: u32 = 20;

/// From one count to the next.
const EVERY: Span = Span::minutes(1);

#[derive(Debug, Default)]
pub(super) struct Retention {
    /// More tickets are resolved than were counted.
    pub dirty: bool,
    counted: Option<Mono>,
    /// Those that are too many.
    surplus: Keys,
    /// Since when deletes are counted, and how many went.
    deletes: (Mono, u32),
}

impl Retention {
    /// Whether a resolved ticket is one too many.
    pub fn is_surplus(&self, key: &ObjectKey) -> bool {
        self.surplus.contains(key)
    }

    /// Takes leave to delete one.
    ///
    /// # Errors
    /// When that must wait: until when.
    pub fn take_leave(&mut self, now: Mono) -> Result<(), Mono> {
        let (since, gone) = self.deletes;
        let over = since.plus(Span::seconds(1));
        if now >= over {
            self.deletes = (now, 1);
            return Ok(());
        }
        if gone >= DELETES {
            return Err(over);
        }
        self.deletes = (since, gone + 1);
        Ok(())
    }
}

impl Patrol {
    /// Counts the resolved tickets of each policy, and lets the oldest of too many go.
    pub(in crate::engine) fn retain_tickets(&mut self, now: Now) {
        let retention = &self.tickets.retention;
        let early = retention
            .counted
            .is_some_and(|at| now.mono < at.plus(EVERY));
        if !retention.dirty || early {
            return;
        }
        let mut resolved: BTreeMap<&str, Vec<(Time, &ObjectKey)>> = BTreeMap::new();
        for (key, ticket, status) in self.tickets.iter() {
            if status.phase == Phase::Resolved
                && let Some(at) = status.episode.resolved_at
            {
                let policy = ticket.spec.finding.policy.as_str();
                resolved.entry(policy).or_default().push((at, key));
            }
        }
        let surplus: Keys = resolved
            .into_values()
            .flat_map(oldest_of_too_many)
            .collect();
        for key in &surplus {
            self.tickets.touch(key);
        }
        let retention = &mut self.tickets.retention;
        retention.dirty = false;
        retention.counted = Some(now.mono);
        retention.surplus = surplus;
    }
}

fn oldest_of_too_many(mut resolved: Vec<(Time, &ObjectKey)>) -> Vec<ObjectKey> {
    let surplus = resolved.len().saturating_sub(KEPT);
    resolved.sort_unstable();
    resolved.truncate(surplus);
    resolved.into_iter().map(|(_, key)| key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_deletes_go_in_a_second_and_the_next_after_it() {
        let mut retention = Retention::default();
        let at = |ms: u64| Mono::default().plus(Span::millis(ms));
        for n in 0..20 {
            assert_eq!(retention.take_leave(at(5_000 + n)), Ok(()), "{n}");
        }
        assert_eq!(retention.take_leave(at(5_999)), Err(at(6_000)));
        assert_eq!(retention.take_leave(at(6_000)), Ok(()));
    }
}
