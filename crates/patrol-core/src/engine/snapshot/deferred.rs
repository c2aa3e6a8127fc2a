//! What receivers are not told now although there is something to tell, and why.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::time::Time;

use super::super::Patrol;
use super::count;
use crate::clock::Now;
use crate::event::DeliveryClass;
use crate::windows::Errand;

/// Every kind of message that windows tell apart.
const ERRANDS: [Errand; 5] = {
    let plain = Errand {
        critical: false,
        resolved: false,
        breached: false,
        overdue: false,
    };
    [
        plain,
        Errand {
            critical: true,
            ..plain
        },
        Errand {
            resolved: true,
            ..plain
        },
        Errand {
            breached: true,
            ..plain
        },
        Errand {
            overdue: true,
            ..plain
        },
    ]
};

impl Patrol {
    /// Tellings to a receiver that wait for something other than their turn, by cause.
    pub(super) fn deferred(&self, receiver: &str, now: Now) -> BTreeMap<&'static str, u64> {
        let mut out = BTreeMap::new();
        let Some(state) = self.receivers.get(receiver) else {
            return out;
        };
        let openings = self.openings(now.wall);
        out.insert("Window", count(self.agenda.planned_at(receiver, &openings)));
        out.insert("Refused", count(state.refused.parked(now)));
        let rests = state.health.not_before.is_some_and(|at| now.mono < at);
        let (throttled, failing) = match state.health.trouble {
            _ if !rests => (0, 0),
            Some(DeliveryClass::Throttled(_)) => (state.pending, 0),
            _ => (0, state.pending),
        };
        out.insert("Throttled", count(throttled));
        out.insert("BackOff", count(failing));
        out
    }

    /// When windows that are closed now open: whatever is planned for just then waits for it.
    fn openings(&self, now: Time) -> BTreeSet<Time> {
        let policies = self.rulebook.policies.values();
        policies
            .filter(|policy| !policy.windows.is_empty())
            .flat_map(|policy| ERRANDS.map(|errand| policy.windows.opens_at(now, errand)))
            .flatten()
            .filter(|at| *at > now)
            .collect()
    }
}
