//! How the product's own work goes: whether each policy's patrols are completed, and the
//! alerts of its tickets delivered, in time. It says so only; a check makes findings of it.
//!
//! Stalled and in time are both said on evidence. After a start, a take-over or a changed
//! clock neither is, until there was a chance to do the work and to look.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::Alerts;
use patrol_api::ticket::{Finding, Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{Mode, Phase};

use super::Patrol;
use super::patrols::PATIENCE;
use super::policies::Round;
use super::receivers::own_webhook_name;
use crate::check::{ALERTS_UNDELIVERED, Progress, Work};
use crate::clock::{Mono, Now};
use crate::kind::Kind;
use crate::sym::Sym;

/// After a start, a take-over, a changed clock or a changed policy nothing counts as
/// overdue for so long: there was no chance yet to do it.
const CALM: Span = Span::minutes(2);
/// What is owed is looked through at most this often.
const LOOK: Span = Span::seconds(10);
/// An alert is stalled when it is undelivered for so many windows, each long enough for
/// another try.
const WINDOWS: u64 = 3;

/// What was last seen of the alerts that are owed.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    looked: Option<Mono>,
    /// Policies with an alert that is undelivered for too long.
    stalled: BTreeSet<Sym>,
    /// Policies that name a receiver which is not there, and since when: nobody is told what it should hear.
    missing: BTreeMap<Sym, Mono>,
}

impl Patrol {
    /// Works out how the work goes, and has it judged when that changed.
    pub(super) fn refresh_own_work(&mut self, now: Now) {
        self.look_at_deliveries(now);
        let mut work = BTreeMap::new();
        let names: Vec<Sym> = self
            .policies
            .iter()
            .filter(|(_, state)| !state.is_leaving())
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let (patrols, overdue_since) = self.patrol_progress(&name, now);
            let alerts = self.alert_progress(&name, now);
            work.insert(
                name,
                Work {
                    patrols,
                    overdue_since,
                    alerts,
                },
            );
        }
        if work != self.own.work {
            self.own.work = work;
            self.mark(crate::check::Unit::Cluster);
            self.evaluation.status_dirty = true;
        }
    }

    // ------------------------------------------------------------ patrols

    /// Whether a policy's patrol is overdue: two periods after the last complete one, and
    /// not before there was a chance to make one. Only a complete one ends that.
    fn patrol_progress(&mut self, name: &Sym, now: Now) -> (Progress, Option<Time>) {
        let Some(rules) = self.rulebook.policies.get(name) else {
            return (Progress::Unsure, None); // broken: nothing is asked of it now
        };
        if rules.suspended {
            return (Progress::InTime, None);
        }
        let Some(state) = self.policies.get_mut(name) else {
            return (Progress::Unsure, None);
        };
        let created = state.object.metadata.creation_timestamp.as_ref();
        let created = created.map(patrol_api::condition::from_meta_time);
        let Some(done) = state.status.last_complete_patrol_at.or(created) else {
            return (Progress::InTime, None);
        };
        if let Some((from, due)) = state.stalled
            && from == done
        {
            return (Progress::Stalled, Some(due));
        }
        // From a clock that was set back since: counts as now.
        let since = done.min(now.wall);
        let due = match state.overdue_at {
            Some((from, at)) if from == since => at,
            _ => since.plus(rules.schedule.period_at(since).times(2)),
        };
        state.overdue_at = Some((since, due));
        if due > now.wall {
            self.wake_at(due);
            return (Progress::InTime, None);
        }
        let long = due.since(since);
        // One that is on its way may wait for what cannot be seen at this moment.
        let at = match state.patrol {
            Round::Reviewing { started, .. } | Round::Judging { started, .. } => {
                due.max(started.plus(PATIENCE.min(long)))
            }
            Round::Idle => due,
        };
        let calm = self.calm_since.max(state.compiled).plus(CALM.min(long));
        let wait = Span::seconds(calm.since(now.mono).div_ceil(1000));
        let at = if wait.is_zero() {
            at
        } else {
            at.max(now.wall.plus(wait))
        };
        if at > now.wall {
            self.wake_at(at);
            return (Progress::Unsure, None);
        }
        state.stalled = Some((done, due));
        (Progress::Stalled, Some(due))
    }

    // ------------------------------------------------------------ alerts

    /// Whether alerts of a policy's tickets are undelivered for too long. That nothing is
    /// says only who knows all tickets and all receivers.
    fn alert_progress(&self, name: &Sym, now: Now) -> Progress {
        let before = self.own.work.get(name).map(|w| w.alerts);
        let stalled = self.deliveries.stalled.contains(name);
        let calm = now.mono < self.calm_since.plus(CALM);
        let knows = self.can_act() && self.knows_whom_to_tell(now);
        if !knows || self.deliveries.looked.is_none() {
            return Progress::Unsure;
        }
        match (stalled, before) {
            (true, Some(Progress::Stalled)) => Progress::Stalled,
            (true, _) if !calm => Progress::Stalled,
            (false, _) if !calm && self.knows_all_receivers() => Progress::InTime,
            _ => Progress::Unsure,
        }
    }

    /// A kind that is not installed has no objects: nobody is missed.
    fn knows_all_receivers(&self) -> bool {
        let sight = self.inventory.sight(Kind::AlertReceiver);
        sight.is_absent() || sight.blindness().is_none()
    }

    fn look_at_deliveries(&mut self, now: Now) {
        if !self.leads() {
            self.deliveries = Deliveries::default();
            return;
        }
        let rests = |at: Mono| now.mono < at.plus(LOOK);
        // Routes that changed are planned first.
        if self.agenda.is_stale() || self.deliveries.looked.is_some_and(rests) {
            return;
        }
        let missing = self.names_of_missing_receivers(now);
        let mut stalled: BTreeSet<Sym> = missing
            .iter()
            .filter(|(_, since)| now.mono >= since.plus(self.config.attempt_window.times(WINDOWS)))
            .map(|(policy, _)| policy.clone())
            .collect();
        // Whoever is said to be stalled stays so while the receiver at fault is owed anything.
        let before = self.said_undelivered();
        let least = self.config.attempt_window.times(WINDOWS);
        let from = match before.is_empty() {
            true => now.wall.minus(least),
            false => now.wall,
        };
        for (receiver, key, due) in self.agenda.due_since(from) {
            let Some((ticket, _)) = self.tickets.view(key) else {
                continue;
            };
            let finding = &ticket.spec.finding;
            // The alert about undelivered alerts is none of them, or it would keep itself
            // alive.
            if is_about_own_work(finding) {
                continue;
            }
            let late = due.plus(self.patience_of(finding)) <= now.wall;
            if !late && !self.is_in_trouble(receiver) {
                continue;
            }
            let policies = match finding.policy == COVERAGE_POLICY {
                true => self.who_tells(receiver),
                false => vec![Sym::new(&finding.policy)],
            };
            stalled.extend(policies.into_iter().filter(|p| late || before.contains(p)));
        }
        self.deliveries = Deliveries {
            looked: Some(now.mono),
            stalled,
            missing,
        };
    }

    /// Policies with an open ticket that name a receiver which certainly is not there, and since when that is known.
    fn names_of_missing_receivers(&self, now: Now) -> BTreeMap<Sym, Mono> {
        if !self.knows_all_receivers() {
            return self.deliveries.missing.clone();
        }
        let lacking: BTreeSet<&Sym> = self
            .policies
            .iter()
            .filter(|(_, state)| !state.is_leaving() && state.object.spec.mode == Mode::Enforce)
            .map(|(name, _)| name)
            .filter(|name| self.receivers_of(name).iter().any(Result::is_err))
            .collect();
        if lacking.is_empty() {
            return BTreeMap::new();
        }
        let open = |(_, ticket, status): (_, &Ticket, &TicketStatus)| {
            (status.phase != Phase::Resolved).then(|| Sym::new(&ticket.spec.finding.policy))
        };
        let with_tickets: BTreeSet<Sym> = self.tickets.iter().filter_map(open).collect();
        let before = &self.deliveries.missing;
        lacking
            .into_iter()
            .filter(|name| with_tickets.contains(*name))
            .map(|name| (name.clone(), before.get(name).copied().unwrap_or(now.mono)))
            .collect()
    }

    /// Policies of which a ticket that is open says that alerts are undelivered.
    fn said_undelivered(&self) -> BTreeSet<Sym> {
        self.tickets
            .iter()
            .filter(|(_, ticket, status)| {
                status.phase != Phase::Resolved
                    && is_about_own_work(&ticket.spec.finding)
                    && status
                        .evidence
                        .reasons
                        .iter()
                        .any(|r| r == ALERTS_UNDELIVERED)
            })
            .map(|(_, ticket, _)| Sym::new(&ticket.spec.finding.subject.name))
            .collect()
    }

    /// Whether the last thing that was sent to a receiver was not accepted.
    fn is_in_trouble(&self, receiver: &str) -> bool {
        let state = self.receivers.get(receiver);
        state.is_some_and(|state| state.health.trouble.is_some())
    }

    /// How long an alert of this finding may be on its way: a message may have to wait for
    /// its group before every try.
    fn patience_of(&self, finding: &Finding) -> Span {
        let interval = self
            .policies
            .get(finding.policy.as_str())
            .map_or(Alerts::default().group_interval, |p| {
                p.object.spec.alerts.group_interval
            });
        self.config.attempt_window.max(interval).times(WINDOWS)
    }

    /// The policies that a receiver is told the always-on findings for: those that name it,
    /// else all that open tickets.
    fn who_tells(&self, receiver: &str) -> Vec<Sym> {
        let enforcing = || {
            let all = self.policies.iter();
            all.filter(|(_, p)| p.object.spec.mode == Mode::Enforce && !p.is_leaving())
        };
        let naming: Vec<Sym> = enforcing()
            .filter(|(name, p)| {
                let alerts = &p.object.spec.alerts;
                alerts.receivers.iter().any(|r| r.name == receiver)
                    || own_webhook_name(name) == receiver
            })
            .map(|(name, _)| name.clone())
            .collect();
        if naming.is_empty() {
            enforcing().map(|(name, _)| name.clone()).collect()
        } else {
            naming
        }
    }
}

/// Whether a finding is about the patrols and alerts of a policy.
fn is_about_own_work(finding: &Finding) -> bool {
    let policy = Kind::PatrolPolicy.info();
    finding.policy == COVERAGE_POLICY
        && finding.subject.kind == policy.kind
        && finding.subject.group == policy.group
}
