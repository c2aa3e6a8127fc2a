//! The auditor: works out anew what every ticket owes and compares it with what is planned. It finds our own mistakes of
//! scheduling, puts them right and counts them; there must be none.

use patrol_api::policy::Alerts;
use patrol_api::time::Span;

use super::Patrol;
use super::alerts::agenda::Plans;
use crate::clock::{Mono, Now};
use crate::facts::ObjectKey;
use crate::sym::Sym;

/// Between the begins of two passes.
const EVERY: Span = Span::minutes(5);
/// Tickets looked at in one tick, so that a step stays short.
const AT_ONCE: usize = 2_000;

/// Where the auditor stands.
#[derive(Debug, Default)]
pub(super) struct Auditor {
    begun: Option<Mono>,
    /// The last ticket looked at in the pass under way.
    cursor: Option<ObjectKey>,
    under_way: bool,
    found: u64,
    /// What the last complete pass found.
    last_found: u64,
}

impl Auditor {
    /// Whether the last pass found nothing.
    pub fn is_clean(&self) -> bool {
        self.last_found == 0
    }

    /// Overdue obligations that the last pass found forgotten.
    pub fn last_found(&self) -> u64 {
        self.last_found
    }
}

impl Patrol {
    /// Goes on with a pass, or begins one when it is time.
    pub(super) fn audit(&mut self, now: Now) {
        if !self.auditor.under_way {
            let due = self.auditor.begun.map(|at| at.plus(EVERY));
            match due {
                // Nothing can be forgotten before anything was planned.
                None => {
                    self.auditor.begun = Some(now.mono);
                    return;
                }
                Some(due) if now.mono < due => return,
                Some(_) => {}
            }
            self.auditor.begun = Some(now.mono);
            self.auditor.under_way = true;
            self.auditor.cursor = None;
            self.auditor.found = 0;
        }
        let keys: Vec<ObjectKey> = self
            .tickets
            .keys_after(self.auditor.cursor.as_ref())
            .take(AT_ONCE)
            .cloned()
            .collect();
        for key in &keys {
            self.audit_ticket(key, now);
        }
        if keys.len() < AT_ONCE {
            self.auditor.found += self.audit_lanes(now);
            self.auditor.under_way = false;
            self.auditor.last_found = self.auditor.found;
            self.counters.audit(self.auditor.found);
        } else {
            self.auditor.cursor = keys.last().cloned();
            self.wake.soon = true;
        }
    }

    fn audit_ticket(&mut self, key: &ObjectKey, now: Now) {
        let planned = self.agenda.plans_of(key);
        // A plan that is in no lane comes to nothing, whenever it is due.
        let (lined_up, lost): (Plans, Plans) = planned
            .iter()
            .cloned()
            .partition(|(receiver, at)| self.agenda.is_lined_up(receiver, *at, key));
        let before = |receiver: &Sym| {
            let plan = lined_up.iter().find(|(name, _)| name == receiver);
            plan.map(|(_, at)| *at)
        };
        let grace = self.forgotten_after(key);
        let owed = self.plans(key, now);
        let forgotten = owed
            .iter()
            .filter(|(receiver, at)| {
                let late = at.plus(grace) <= now.wall;
                // What is planned for a time that has come is in its lane.
                let is_lost = lost.iter().any(|(name, _)| name == receiver);
                is_lost || late && before(receiver).is_none_or(|planned| planned > now.wall)
            })
            .count();
        if !lost.is_empty() {
            // Lined up anew, all of them: what is planned already would not be.
            self.agenda.set(key, vec![]);
        }
        if !lost.is_empty() || owed != planned {
            self.agenda.set(key, owed);
        }
        self.auditor.found += u64::try_from(forgotten).unwrap_or(u64::MAX);
    }

    /// Lanes in which something is due and that nobody will look at.
    fn audit_lanes(&mut self, now: Now) -> u64 {
        let asleep = self.agenda.asleep(now.wall);
        for receiver in &asleep {
            self.agenda.poke(receiver, now.wall);
        }
        u64::try_from(asleep.len()).unwrap_or(u64::MAX)
    }

    fn forgotten_after(&self, key: &ObjectKey) -> Span {
        let policy = self.tickets.finding(key).map(|f| f.policy.as_str());
        let interval = policy
            .and_then(|policy| self.policies.get(policy))
            .map_or(Alerts::default().group_interval, |p| {
                p.object.spec.alerts.group_interval
            });
        interval.times(2)
    }
}
