//! What metrics read: aggregates computed when asked, and counters that only grow. No
//! object name is in it but those of policies and receivers.

mod deferred;
mod distribution;

use std::collections::{BTreeMap, BTreeSet};

pub use distribution::Distribution;

use patrol_api::ticket::TicketStatus;
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, Resolution, Severity};

use super::Patrol;
use super::tickets::TicketWrite;
use crate::check::Progress;
use crate::clock::Now;
use crate::event::{DeliveryClass, WriteResult};
use crate::kind::Kind;
use crate::sym::Sym;

/// Counters of this process.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Tickets opened, by policy and severity.
    pub opened: BTreeMap<(String, Severity), u64>,
    /// Tickets reopened, by policy.
    pub reopened: BTreeMap<String, u64>,
    /// Tickets resolved, by policy, severity and resolution.
    pub resolved: BTreeMap<(String, Severity, Resolution), u64>,
    /// Due times passed, by policy and severity.
    pub breached: BTreeMap<(String, Severity), u64>,
    /// Ticket writes by operation and result.
    pub writes: BTreeMap<(&'static str, &'static str), u64>,
    /// Tellings accepted, by receiver and reason.
    pub delivered: BTreeMap<(String, AlertReason), u64>,
    /// Delivery attempts by receiver and class.
    pub requests: BTreeMap<(String, &'static str), u64>,
    /// Seconds from the time a telling was due until it was accepted, by receiver.
    pub delivery_seconds: BTreeMap<String, Distribution>,
    /// Seconds from the begin of an episode until it was fixed, by severity.
    pub resolution_seconds: BTreeMap<Severity, Distribution>,
    /// Seconds from the begin of an episode until somebody acknowledged it, by severity.
    pub acknowledge_seconds: BTreeMap<Severity, Distribution>,
    /// Tellings of which it is not known whether they were taken, and which are told again.
    pub duplicates_possible: u64,
    /// How often another receiver began to stand in, by receiver.
    pub failovers: BTreeMap<String, u64>,
    /// Patrols by policy and completeness.
    pub patrols: BTreeMap<(String, bool), u64>,
    /// Duration of the last patrol, by policy.
    pub patrol_seconds: BTreeMap<String, u64>,
    /// Open tickets deleted by others.
    pub tickets_deleted_open: u64,
    /// Statuses that others edited and that were put back.
    pub statuses_restored: u64,
    /// Ends that were owed and never told when their tickets reached the last day of their retention. Must be 0.
    pub alerts_dropped: u64,
    /// Signs of life that were accepted.
    pub heartbeats: u64,
    /// Passes of the auditor: those that found nothing, and those that found something.
    pub audits: (u64, u64),
}

impl Counters {
    /// Forgets policies and receivers that are no more.
    fn keep(&mut self, policy: impl Fn(&str) -> bool, receiver: impl Fn(&str) -> bool) {
        self.opened.retain(|(name, _), _| policy(name));
        self.reopened.retain(|name, _| policy(name));
        self.resolved.retain(|(name, ..), _| policy(name));
        self.breached.retain(|(name, _), _| policy(name));
        self.patrols.retain(|(name, _), _| policy(name));
        self.patrol_seconds.retain(|name, _| policy(name));
        self.delivered.retain(|(name, _), _| receiver(name));
        self.requests.retain(|(name, _), _| receiver(name));
        self.delivery_seconds.retain(|name, _| receiver(name));
        self.failovers.retain(|name, _| receiver(name));
    }

    /// A ticket changed its phase, for this reason.
    pub(super) fn transition(&mut self, policy: &str, reason: &str, status: &TicketStatus) {
        let policy = policy.to_owned();
        let severity = status.severity.unwrap_or(Severity::Medium);
        let begun = status.episode.opened_at;
        let age = status
            .phase_since
            .zip(begun)
            .map(|(at, begun)| at.since(begun).as_secs());
        match (reason, status.episode.resolution) {
            ("Opened", _) => *self.opened.entry((policy, severity)).or_default() += 1,
            ("Reopened", _) => *self.reopened.entry(policy).or_default() += 1,
            ("SLABreached", _) => *self.breached.entry((policy, severity)).or_default() += 1,
            // How long it took somebody to know of it: not when it is said again.
            ("Acknowledged", _) if is_first(status, reason) => {
                lived(&mut self.acknowledge_seconds, severity, age);
            }
            ("Resolved", Some(how)) => {
                *self.resolved.entry((policy, severity, how)).or_default() += 1;
                if how == Resolution::Fixed {
                    lived(&mut self.resolution_seconds, severity, age);
                }
            }
            _ => {}
        }
    }

    pub(super) fn write(&mut self, write: TicketWrite, result: &WriteResult) {
        let op = match write {
            TicketWrite::Create => "create",
            TicketWrite::Status => "status",
            TicketWrite::Labels => "labels",
            TicketWrite::Delete => "delete",
            TicketWrite::Read => "read",
        };
        let result = match result {
            WriteResult::Done(_) => "Done",
            WriteResult::Exists(_) => "AlreadyExists",
            WriteResult::Conflict => "Conflict",
            WriteResult::NotFound => "NotFound",
            WriteResult::Refused(why) => why.as_str(),
            WriteResult::Throttled(_) => "Throttled",
            WriteResult::Failed => "Failed",
        };
        *self.writes.entry((op, result)).or_default() += 1;
    }

    pub(super) fn audit(&mut self, found: u64) {
        match found {
            0 => self.audits.0 += 1,
            _ => self.audits.1 += 1,
        }
    }

    pub(super) fn told(&mut self, receiver: &str, reason: AlertReason) {
        *self
            .delivered
            .entry((receiver.to_owned(), reason))
            .or_default() += 1;
    }

    pub(super) fn waited(&mut self, receiver: &str, seconds: u64) {
        self.delivery_seconds
            .entry(receiver.to_owned())
            .or_insert_with(|| Distribution::new(Distribution::MOMENTS))
            .add(seconds);
    }

    pub(super) fn delivery(&mut self, receiver: &str, class: DeliveryClass) {
        *self
            .requests
            .entry((receiver.to_owned(), class.as_str()))
            .or_default() += 1;
    }

    pub(super) fn patrol(&mut self, policy: &str, complete: bool, took: Span) {
        *self
            .patrols
            .entry((policy.to_owned(), complete))
            .or_default() += 1;
        self.patrol_seconds
            .insert(policy.to_owned(), took.as_secs());
    }
}

/// The state of the engine in numbers.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Whether this process leads.
    pub leading: bool,
    /// Tickets by policy, severity and phase.
    pub tickets: BTreeMap<(String, Severity, Phase), u64>,
    /// Begin of the oldest open episode, by policy and severity.
    pub oldest_open: BTreeMap<(String, Severity), Time>,
    /// Open tickets past their due time, by policy and severity.
    pub overdue_tickets: BTreeMap<(String, Severity), u64>,
    /// Open tickets that come and go.
    pub flapping: u64,
    /// Obligations that the auditor's last pass found forgotten. Must be 0.
    pub alerts_overdue: u64,
    /// Waivers, by how they stand.
    pub waivers: BTreeMap<&'static str, u64>,
    /// Ends of the waivers that hold.
    pub waiver_ends: Vec<Time>,
    /// Findings whose ticket is not stored yet, by policy.
    pub unwritten: BTreeMap<String, u64>,
    /// Tickets that receivers were told of and whose record of it is not stored yet.
    pub alerts_unrecorded: u64,
    /// Ticket writes that wait.
    pub writes_waiting: u64,
    /// Findings counted in aggregate tickets.
    pub overflowed: u64,
    /// Last complete patrol by policy.
    pub last_complete_patrol: BTreeMap<String, Option<Time>>,
    /// Policies whose patrol is overdue.
    pub overdue_policies: Vec<String>,
    /// Subjects of the last patrol by policy: passed, failed, not applicable, unknown.
    pub subjects: BTreeMap<String, [u64; 4]>,
    /// Receivers.
    pub receivers: Vec<ReceiverSnapshot>,
    /// Kinds: objects held, whether they can be seen, and when they last spoke.
    pub kinds: BTreeMap<Kind, (u64, bool, Option<Time>)>,
    /// Counters.
    pub counters: Counters,
}

/// A receiver in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverSnapshot {
    /// Name.
    pub name: String,
    /// Whether the last try succeeded; `None` before the first.
    pub ready: Option<bool>,
    /// Whether the circuit is open.
    pub circuit_open: bool,
    /// Tellings that are due.
    pub pending: u64,
    /// The same by severity.
    pub pending_by: BTreeMap<Severity, u64>,
    /// Tellings that wait for something other than their turn, by cause.
    pub deferred: BTreeMap<&'static str, u64>,
    /// Pauses it asked for since the start, in seconds.
    pub throttled_seconds: u64,
    /// Since when the oldest of them is due.
    pub oldest_pending: Option<Time>,
    /// Last success.
    pub last_success: Option<Time>,
}

impl Patrol {
    /// A policy or receiver went: what was counted of it goes with it, once no ticket of it
    /// is left. Names come and go for as long as a process runs.
    pub(super) fn prune_counters(&mut self) {
        let mut policies: BTreeSet<String> = self.policies.keys().map(Sym::to_string).collect();
        let findings = self.tickets.iter().map(|(_, t, _)| &t.spec.finding.policy);
        policies.extend(findings.cloned());
        let receivers = &self.receivers;
        self.counters.keep(
            |policy| policies.contains(policy),
            |receiver| receivers.contains_key(receiver),
        );
    }

    /// The state in numbers.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let mut out = Snapshot {
            leading: self.leads(),
            writes_waiting: count(self.tickets.queued()),
            overflowed: count(self.overflow.waiting()),
            alerts_overdue: self.auditor.last_found(),
            alerts_unrecorded: count(self.tickets.unrecorded()),
            waivers: self.waivers.by_standing(),
            waiver_ends: self.waivers.ends().collect(),
            counters: self.counters.clone(),
            ..Snapshot::default()
        };
        for (_, ticket, status) in self.tickets.iter() {
            let policy = ticket.spec.finding.policy.clone();
            let severity = status.severity.unwrap_or(Severity::Medium);
            *out.tickets
                .entry((policy.clone(), severity, status.phase))
                .or_default() += 1;
            if status.phase == Phase::Resolved {
                continue;
            }
            out.flapping += u64::from(status.flapping);
            let key = (policy, severity);
            if status.episode.breached_at.is_some() {
                *out.overdue_tickets.entry(key.clone()).or_default() += 1;
            }
            if let Some(opened) = status.episode.opened_at {
                let oldest = out.oldest_open.entry(key).or_insert(opened);
                *oldest = (*oldest).min(opened);
            }
        }
        for key in self.tickets.unwritten() {
            if let Some(known) = self.evaluation.known.get(key) {
                let policy = known.finding.policy.clone();
                *out.unwritten.entry(policy).or_default() += 1;
            }
        }
        for (name, state) in &self.policies {
            out.unwritten.entry(name.to_string()).or_default();
            out.last_complete_patrol
                .insert(name.to_string(), state.status.last_complete_patrol_at);
            if let Some(last) = &state.status.last_patrol {
                let s = last.subjects;
                out.subjects.insert(
                    name.to_string(),
                    [s.passed, s.failed, s.not_applicable, s.unknown],
                );
            }
        }
        out.overdue_policies = self
            .own
            .work
            .iter()
            .filter(|(_, work)| work.patrols == Progress::Stalled)
            .map(|(name, _): (&Sym, _)| name.to_string())
            .collect();
        out.receivers = self
            .receivers
            .values()
            .map(|r| ReceiverSnapshot {
                name: r.target.name.clone(),
                ready: match (r.health.trouble, r.health.last_success) {
                    (Some(_), _) => Some(false),
                    (None, Some(_)) => Some(true),
                    (None, None) => None,
                },
                circuit_open: r.health.is_circuit_open(),
                pending: count(r.pending),
                pending_by: r.pending_by.clone(),
                deferred: BTreeMap::new(),
                throttled_seconds: r.health.throttled,
                oldest_pending: r.oldest_pending,
                last_success: r.health.last_success,
            })
            .collect();
        for receiver in &mut out.receivers {
            receiver.deferred = self.deferred(&receiver.name, now);
        }
        for kind in Kind::ALL {
            let sight = self.inventory.sight(kind);
            out.kinds.insert(
                kind,
                (
                    count(self.inventory.count(kind)),
                    sight.blindness().is_none(),
                    sight.heard_at(),
                ),
            );
        }
        out
    }

    /// Whether every object that was met could be decoded.
    #[must_use]
    pub fn sees_everything(&self) -> bool {
        Kind::ALL
            .into_iter()
            .all(|kind| self.inventory.sight(kind).blind_count() == 0)
    }

    /// Whether every kind was looked at, and every policy that can patrol has patrolled.
    #[must_use]
    pub fn has_patrolled(&self) -> bool {
        let looked = Kind::ALL.into_iter().all(|kind| {
            self.inventory.sight(kind).blindness() != Some(crate::inventory::Blindness::Unsynced)
        });
        looked
            && self.policies.values().all(|p| {
                !p.is_valid()
                    || p.is_suspended()
                    || p.is_leaving()
                    || (p.status.last_patrol.is_some()
                        && p.status.observed_generation == Some(p.generation()))
            })
    }

    /// Whether our own kinds are known in full: ready to serve. What can be seen of the
    /// inspected kinds shows elsewhere; one that cannot be read keeps nobody from serving.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        [Kind::PatrolPolicy, Kind::AlertReceiver, Kind::Ticket]
            .into_iter()
            .all(|kind| self.knows_all(kind))
    }
}

/// Whether this is the first time in the episode, as far as its history goes back.
fn is_first(status: &TicketStatus, reason: &str) -> bool {
    let begun = status.episode.opened_at;
    let same = status.history.iter().filter(|h| h.reason == reason);
    same.filter(|h| Some(h.at) >= begun).count() <= 1
}

fn lived(by: &mut BTreeMap<Severity, Distribution>, severity: Severity, seconds: Option<u64>) {
    let lives = by
        .entry(severity)
        .or_insert_with(|| Distribution::new(Distribution::LIVES));
    if let Some(seconds) = seconds {
        lives.add(seconds);
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
