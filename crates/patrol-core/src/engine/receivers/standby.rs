//! Receivers that stand in for others which are not ready. That one stands in is written down before it is told anything: the
//! next process must know who may have been told.

use patrol_api::receiver::AlertReceiverStatus;
use patrol_api::time::{Span, Time};

use super::super::Patrol;
use crate::clock::Now;

/// Since when a receiver was reported as not ready by the process that led before.
pub(super) fn failing_since(status: &AlertReceiverStatus) -> Option<Time> {
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready")?;
    (ready.status == "False")
        .then(|| patrol_api::condition::from_meta_time(&ready.last_transition_time))
}

/// Where it cannot be written down, it begins all the same after so long: a watch that is late is healed by then.
const UNWRITTEN: Span = Span::minutes(3);

impl Patrol {
    /// Takes for written down that one stands in: for whoever only looks ahead.
    pub(in crate::engine) fn suppose_standbys_written(&mut self) {
        for state in self.receivers.values_mut() {
            state.failover_written = state.failed_over;
        }
    }

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
            let begun = state.failed_over;
            let over = after.is_some_and(|after| state.health.is_down_for(after, begun, now));
            let at = after.and_then(|after| state.health.down_at(after, now));
            if let Some(at) = at.filter(|_| !over) {
                next = Some(next.map_or(at, |before| before.min(at)));
            }
            if over != state.failed_over {
                changed = true;
                state.failover_at = Some(now.wall);
                state.failover_since = now.mono;
            }
            if over && !state.failed_over {
                let name = state.target.name.clone();
                *self.counters.failovers.entry(name).or_default() += 1;
            }
            state.failed_over = over;
            let object = state.object.as_ref();
            let stored = object.and_then(|object| object.status.as_ref()?.last_failover_time);
            let late = now.mono >= state.failover_since.plus(UNWRITTEN);
            let written = over && (stored >= state.failover_at || late);
            if over && !written {
                let at = now.wall.plus(UNWRITTEN);
                next = Some(next.map_or(at, |before| before.min(at)));
            }
            changed |= written != state.failover_written;
            state.failover_written = written;
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
