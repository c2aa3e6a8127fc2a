//! The end of a single run: whether everything that is due was written and told, or was
//! tried and failed as far as one run can tell. It decides nothing about what is due, and
//! nothing here changes what a process does that goes on.

use std::collections::BTreeMap;

use super::Patrol;
use super::policies::PolicyState;
use super::receivers::ReceiverState;
use crate::clock::Now;
use crate::kind::Kind;

/// What failed so often in a row fails for this run.
pub(super) const TRIES: u32 = 3;

impl Patrol {
    /// Whether waiting brings nothing more: all is judged and written, what passes was
    /// watched for `clearAfter`, and every receiver heard what it is owed or failed.
    /// Reminders of later do not count.
    #[must_use]
    pub fn is_done(&self, now: Now) -> bool {
        let unsaid =
            |p: &PolicyState| p.object.status.as_ref() != Some(&p.status) && p.failures < TRIES;
        self.evaluation.dirty.is_empty()
            && !self.evaluation.status_dirty
            && !self.policies.values().any(unsaid)
            && self.writes.is_empty()
            && self.receivers.values().all(ReceiverState::is_idle)
            && !self.policies.values().any(|p| p.is_patrolling())
            && !self.tickets.is_busy()
            && self.owed_by_receiver(now, true).is_empty()
    }

    /// What was due and is not told, by receiver: the next run tells it.
    #[must_use]
    pub fn undelivered(&self, now: Now) -> BTreeMap<String, usize> {
        self.owed_by_receiver(now, false)
    }

    /// Findings whose ticket could not be stored.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.tickets.unwritten().count()
    }

    /// Tellings that are owed, by receiver. `hopeful`: only those that this run may still
    /// bring to an end.
    fn owed_by_receiver(&self, now: Now, hopeful: bool) -> BTreeMap<String, usize> {
        let mut owed = BTreeMap::new();
        let listed = self
            .inventory
            .sight(Kind::AlertReceiver)
            .blindness()
            .is_none();
        for (name, key) in self.agenda.planned() {
            let Some(state) = self.receivers.get(name.as_str()) else {
                continue;
            };
            let Some((telling, event_id)) = self.owed_to(name.as_str(), key, now) else {
                continue;
            };
            let parked = state.refused.is_parked(&event_id, now);
            let failed = state.health.is_given_up(now) || parked || !listed;
            let counts = telling.is_edge() || telling.due <= now.wall;
            if counts && !(hopeful && failed) {
                *owed.entry(name.to_string()).or_default() += 1;
            }
        }
        owed
    }
}
