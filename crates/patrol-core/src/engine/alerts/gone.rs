//! Tickets that went with their objects while nobody led: a namespace was deleted, and its tickets with it, before whoever led
//! could tell their ends, and died. Nobody knows their names any more; how many there were stands in the receiver's status, and so
//! the receiver is told that number (alerting.md 2.5: names may be lost, the closing is not).
//!
//! Kinds that hold alarms are served by `groups`, which ends the alarm itself.

use std::collections::BTreeMap;

use patrol_api::receiver::ToldCount;
use patrol_api::ticket::AlertRecord;
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, ToldState};

use super::super::Patrol;
use super::super::tickets::HeldOrLast;
use super::alarms::holds_alarms;
use super::{Flight, GroupId};
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::notice::{Counts, Gone, Notice, NoticeKind};
use crate::ticket::ledger;
use crate::windows::Errand;

/// So long after a process began to lead, what is not there is gone: what was deleted by hand is made again before.
const CERTAIN: Span = Span::minutes(1);

/// Tickets by UID of the receiver and by policy.
type Tally = BTreeMap<String, BTreeMap<String, Count>>;

/// So many tickets, and when the youngest of them was opened.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    tickets: u64,
    youngest: Option<Time>,
}

impl Patrol {
    /// Counts what receivers were told, and tells them of what is gone. Returns whether to look again.
    pub(super) fn settle_told(&mut self, now: Now) -> bool {
        let certain = now.mono >= self.led_since.plus(CERTAIN);
        if !certain || !self.knows_all(Kind::Ticket) || !self.knows_all(Kind::PatrolPolicy) {
            return true;
        }
        self.compare_with_former_leader(now);
        // What is not stored would be missing after a crash without being gone; of an object that is gone, nothing is stored.
        let firing = self.tally(|held, record| {
            let stored = || ledger::told(held.stored?, &record.uid).map(|stored| stored.state);
            let state = match held.is_there {
                true => stored(),
                false => Some(record.state),
            };
            state == Some(ToldState::Firing)
        });
        let mut open = false;
        let names: Vec<String> = self.receivers.keys().cloned().collect();
        for name in names {
            let Some(state) = self.receivers.get_mut(&name) else {
                continue;
            };
            if holds_alarms(state.target.endpoint.kind()) {
                // It may have been of another kind before.
                self.evaluation.status_dirty |= !state.told.is_empty();
                state.told.clear();
                state.gone.clear();
                continue;
            }
            open |= self.tell_gone(&name, now);
            self.count_told(&name, &firing, now);
        }
        open
    }

    fn count_told(&mut self, name: &str, firing: &Tally, now: Now) {
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        let mut counts = firing.get(&state.target.uid).cloned().unwrap_or_default();
        for (policy, gone) in &state.gone {
            counts.entry(policy.clone()).or_default().tickets += gone.count;
        }
        let told = |(policy, count): (String, Count)| {
            // As many as before may be others than before.
            let same = state.told.get(&policy).filter(|told| {
                told.count == count.tickets && count.youngest.is_none_or(|at| at <= told.at)
            });
            // Later than now is one that was opened before the clock was set back.
            let at = same.map_or(now.wall.max(count.youngest.unwrap_or(now.wall)), |told| {
                told.at
            });
            let count = count.tickets;
            (policy.clone(), ToldCount { policy, count, at })
        };
        let told: BTreeMap<String, ToldCount> = counts.into_iter().map(told).collect();
        if told != state.told {
            state.told = told;
            self.evaluation.status_dirty = true;
        }
    }

    /// Once for each receiver and leader: how many tickets that it was told of are gone.
    fn compare_with_former_leader(&mut self, now: Now) {
        if self.receivers.values().all(|state| state.is_told_compared) {
            return;
        }
        let since: BTreeMap<(String, String), Time> = self
            .receivers
            .values()
            .filter(|state| !state.is_told_compared)
            .flat_map(|state| {
                let of =
                    |told: &ToldCount| ((state.target.uid.clone(), told.policy.clone()), told.at);
                state.told.values().map(of).collect::<Vec<_>>()
            })
            .collect();
        // What was counted then, and is there.
        let there = self.tally(|held, record| {
            let policy = held.ticket.spec.finding.policy.clone();
            let counted = since.get(&(record.uid.clone(), policy));
            counted.is_some_and(|at| {
                let was_there = held
                    .status
                    .first_opened_at
                    .is_none_or(|opened| opened <= *at);
                was_there && (record.state == ToldState::Firing || record.at >= *at)
            })
        });
        let made_again = self.opened_by_this_process(now);
        for state in self.receivers.values_mut().filter(|s| !s.is_told_compared) {
            state.is_told_compared = true;
            let here = there.get(&state.target.uid);
            for told in state.told.values() {
                let here = here.and_then(|here| here.get(&told.policy));
                let here = here.map_or(0, |count| count.tickets);
                let again = made_again.get(&told.policy).copied().unwrap_or(0);
                let count = told.count.saturating_sub(here).saturating_sub(again);
                if count > 0 && state.send_resolved {
                    let since = told.at;
                    state
                        .gone
                        .insert(told.policy.clone(), Gone { count, since });
                }
            }
        }
    }

    /// Tickets that were opened since this process leads, by policy: each may be one that was deleted by hand before, and whose
    /// gap is there.
    fn opened_by_this_process(&self, now: Now) -> BTreeMap<String, u64> {
        let led = Span::millis(now.mono.since(self.led_since));
        let led = now.wall.minus(led).minus(Span::seconds(1));
        let mut opened = BTreeMap::new();
        for held in self.tickets.held_or_last() {
            if held.status.first_opened_at.is_some_and(|at| at >= led) {
                *opened
                    .entry(held.ticket.spec.finding.policy.clone())
                    .or_default() += 1;
            }
        }
        opened
    }

    fn tally(&self, counts: impl Fn(&HeldOrLast<'_>, &AlertRecord) -> bool) -> Tally {
        let mut tally = Tally::new();
        for held in self.tickets.held_or_last() {
            let counted = |record: &&AlertRecord| counts(&held, record);
            for record in held.status.alerts.iter().filter(counted) {
                let of_receiver = tally.entry(record.uid.clone()).or_default();
                let policy = held.ticket.spec.finding.policy.clone();
                let count = of_receiver.entry(policy).or_default();
                count.tickets += 1;
                count.youngest = count.youngest.max(held.status.first_opened_at);
            }
        }
        tally
    }

    /// The end of a ticket whose object is gone could not be told by its name for so long that it is told by number from now on.
    pub(in crate::engine) fn owe_by_number(&mut self, key: &ObjectKey, now: Now) {
        let Some((ticket, status)) = self.tickets.view(key) else {
            return;
        };
        let policy = ticket.spec.finding.policy.clone();
        let firing = status
            .alerts
            .iter()
            .filter(|r| r.state == ToldState::Firing);
        let owed: Vec<String> = firing.map(|record| record.uid.clone()).collect();
        for state in self.receivers.values_mut() {
            let holds = holds_alarms(state.target.endpoint.kind());
            if owed.contains(&state.target.uid) && state.send_resolved && !holds {
                let none = Gone {
                    count: 0,
                    since: now.wall,
                };
                state.gone.entry(policy.clone()).or_insert(none).count += 1;
            }
        }
        self.agenda.doubts.arise();
    }

    /// Tells a receiver how many tickets are gone. Returns whether there is more to tell.
    fn tell_gone(&mut self, name: &str, now: Now) -> bool {
        let policies: Vec<(String, Gone)> = match self.receivers.get(name) {
            Some(state) => state
                .gone
                .iter()
                .map(|(p, gone)| (p.clone(), *gone))
                .collect(),
            None => return false,
        };
        for (policy, gone) in &policies {
            let group: GroupId = (name.to_owned(), policy.clone(), vec![]);
            let Some(state) = self.receivers.get_mut(name) else {
                break;
            };
            if state
                .flying()
                .any(|flight| flight.tells_gone > 0 && flight.group == group)
            {
                continue;
            }
            if state.availability(now).is_err() {
                break;
            }
            if !self.may_end_now(policy, now.wall) {
                continue;
            }
            let closed = u32::try_from(gone.count).unwrap_or(u32::MAX);
            let notice = Notice {
                policy: policy.clone(),
                reason: AlertReason::Resolved,
                counts: Counts {
                    closed,
                    ..Counts::default()
                },
                gone: Some(*gone),
                ..Notice::of_no_ticket(NoticeKind::Alert, name, self.cluster(), now.wall)
            };
            let flight = Flight {
                tells_gone: gone.count,
                ..Flight::of_no_ticket(group, None, now)
            };
            self.launch(name, notice, flight);
        }
        !policies.is_empty()
    }

    /// Whether the windows of a policy let an end go now.
    fn may_end_now(&self, policy: &str, now: Time) -> bool {
        let errand = Errand {
            resolved: true,
            ..Errand::default()
        };
        let policy = self.rulebook.policies.get(policy);
        policy
            .and_then(|policy| policy.windows.opens_at(now, errand))
            .is_none_or(|at| at <= now)
    }

    /// A receiver took how many are gone.
    pub(super) fn gone_was_told(&mut self, name: &str, flight: &Flight) {
        let Some(state) = self
            .receivers
            .get_mut(name)
            .filter(|_| flight.tells_gone > 0)
        else {
            return;
        };
        let policy = &flight.group.1;
        // More may have gone meanwhile.
        if let Some(gone) = state.gone.get_mut(policy) {
            gone.count = gone.count.saturating_sub(flight.tells_gone);
        }
        state.gone.retain(|_, gone| gone.count > 0);
        self.agenda.doubts.arise();
    }
}
