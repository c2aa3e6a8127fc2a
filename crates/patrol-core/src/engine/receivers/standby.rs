//! Receivers that stand in for others which are not ready.

use patrol_api::receiver::AlertReceiverStatus;
use patrol_api::time::Time;

use super::super::Patrol;
use crate::clock::Now;

/// Since when a receiver was reported as not ready by the process that led before.
pub(super) fn failing_since(status: &AlertReceiverStatus) -> Option<Time> {
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready")?;
    (ready.status == "False")
        .then(|| patrol_api::condition::from_meta_time(&ready.last_transition_time))
}

impl Patrol {
    /// Begins and ends standing in: whose turn it is changes who is told.
    pub(in crate::engine) fn settle_standbys(&mut self, now: Now) {
        let mut changed = false;
        let mut next: Option<Time> = None;
        for state in self.receivers.values_mut() {
            let after = state
                .object
                .as_ref()
                .and_then(|object| object.spec.failover.as_ref())
                .map(|failover| failover.after);
            let from = state
                .failing_since
                .zip(after)
                .map(|(at, after)| at.plus(after));
            let over = from.is_some_and(|at| at <= now.wall);
            if let Some(at) = from.filter(|at| *at > now.wall) {
                next = Some(next.map_or(at, |before| before.min(at)));
            }
            if over != state.failed_over {
                changed = true;
                state.failover_at = Some(now.wall);
            }
            if over && !state.failed_over {
                let name = state.target.name.clone();
                *self.counters.failovers.entry(name).or_default() += 1;
            }
            state.failed_over = over;
        }
        if let Some(at) = next {
            self.wake_at(at);
        }
        if changed {
            self.routes_changed();
            self.evaluation.status_dirty = true;
        }
    }
}
