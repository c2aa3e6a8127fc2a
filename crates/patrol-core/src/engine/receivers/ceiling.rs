//! How many AlertReceivers are served (alerting.md AD-14): no permit is shared between them, so what bounds sockets and memory is
//! their number. The oldest are served; all others are not ready, say so, and what they are owed stays due.

use patrol_api::time::Time;

use super::super::Patrol;
use crate::clock::Now;
use crate::event::DeliveryClass;

/// So many are served.
pub(in crate::engine) const MOST: usize = 512;
/// What the others say.
const BEYOND: DeliveryClass = DeliveryClass::Config(
    "there are more than 512 AlertReceivers, and the oldest are served: delete those that nobody needs",
);

impl Patrol {
    /// An AlertReceiver came or went: whoever is beyond the ceiling is not served.
    pub(super) fn settle_ceiling_of_receivers(&mut self, now: Now) {
        let named = self.receivers.values().filter(|s| s.object.is_some());
        let (count, beyond) = named.fold((0, false), |(count, beyond), state| {
            (count + 1, beyond || state.is_beyond)
        });
        if count <= MOST && !beyond {
            return;
        }
        let mut named: Vec<(Option<Time>, String)> = self
            .receivers
            .iter()
            .filter(|(_, state)| state.object.is_some())
            .map(|(name, state)| (state.made(), name.clone()))
            .collect();
        named.sort();
        for (place, (_, name)) in named.into_iter().enumerate() {
            let Some(state) = self.receivers.get_mut(&name) else {
                continue;
            };
            if state.is_beyond == (place >= MOST) {
                continue;
            }
            state.is_beyond = place >= MOST;
            match state.is_beyond {
                true => state.health.is_not_ready(BEYOND, now.wall, now.mono),
                false => state.health.begin_anew(),
            }
            self.agenda.poke(&name, now.wall);
            self.evaluation.status_dirty = true;
        }
    }
}
