//! Alerts: who must be told what and when, grouped into messages, and what became of them.
//!
//! The ticket is the outbox: what is owed follows from ticket state, and the ledger is
//! written only after a receiver accepted. The agenda holds keys and times, never messages,
//! so what is sent is always the latest state.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::{Alerts, GroupKey};
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, Severity, ToldState};

use super::Patrol;
use super::receivers::{own_webhook_name, own_webhook_uid};
use crate::clock::{Mono, Now};
use crate::effect::Effect;
use crate::event::{DeliveryClass, DeliveryId, PartOutcome};
use crate::facts::ObjectKey;
use crate::notice::{Counts, Group, Notice, NoticeKind, NoticeTicket};
use crate::pattern::Glob;
use crate::ticket::ledger::{self, Pace, Telling};

/// A receiver refused one ticket's content: it is tried again after this time, and the
/// others flow meanwhile.
const PARK: Span = Span::hours(1);

/// When which ticket owes something.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeSet<(Time, ObjectKey)>,
    at: BTreeMap<ObjectKey, Time>,
    /// When each group was last told.
    last_sent: BTreeMap<GroupId, Time>,
    /// Routes changed: plan everything again.
    stale: bool,
}

/// Receiver name, policy, and the values of `groupBy`.
type GroupId = (String, String, Vec<(String, String)>);

/// A delivery under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    group: GroupId,
    since: Mono,
    tellings: BTreeMap<String, (ObjectKey, String, Telling)>,
}

/// A receiver of a ticket, with the pace of the policy it is told for.
struct Route {
    receiver: String,
    uid: String,
    pace: Pace,
}

/// A message in the making.
#[derive(Default)]
struct Draft {
    items: Vec<(ObjectKey, Telling)>,
    severity: Option<Severity>,
    urgent: bool,
    oldest: Option<Time>,
    interval: Span,
}

impl Agenda {
    fn set(&mut self, key: &ObjectKey, at: Option<Time>) {
        if let Some(before) = self.at.remove(key) {
            self.due.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, key.clone()));
            self.at.insert(key.clone(), at);
        }
    }
}

impl Patrol {
    pub(super) fn routes_changed(&mut self) {
        self.agenda.stale = true;
    }

    /// Works out when a ticket next owes something to anyone.
    pub(super) fn plan_alerts(&mut self, key: &ObjectKey) {
        let at = self.tickets.view(key).and_then(|(ticket, status)| {
            let uid = ticket.metadata.uid.as_deref().unwrap_or("");
            self.routes(ticket, status)
                .iter()
                .filter_map(|route| ledger::obligation(uid, status, &route.uid, &route.pace))
                .map(|telling| telling.due)
                .min()
        });
        self.agenda.set(key, at);
    }

    /// Who is told about a ticket.
    fn routes(&self, ticket: &Ticket, status: &TicketStatus) -> Vec<Route> {
        if status.phase == Phase::Resolved {
            return self.told_routes(status);
        }
        let finding = &ticket.spec.finding;
        if finding.policy == COVERAGE_POLICY {
            return self.coverage_routes();
        }
        let Some(state) = self.policies.get(finding.policy.as_str()) else {
            return vec![];
        };
        if state.object.spec.mode == patrol_api::words::Mode::Observe || state.is_leaving() {
            return vec![];
        }
        let alerts = &state.object.spec.alerts;
        let mut routes: Vec<Route> = alerts
            .receivers
            .iter()
            .filter(|route| {
                let severity = status.severity.unwrap_or(Severity::Medium);
                let party = status.party;
                route.min_severity.is_none_or(|min| severity >= min)
                    && (route.parties.is_empty()
                        || party.is_some_and(|p| route.parties.contains(&p)))
                    && (route.checks.is_empty()
                        || route
                            .checks
                            .iter()
                            .any(|g| Glob::compile(g).is_ok_and(|g| g.matches(&finding.check))))
            })
            .filter_map(|route| self.route(&route.name, alerts))
            .collect();
        routes.extend(self.route(&own_webhook_name(&finding.policy), alerts));
        dedup(routes)
    }

    fn route(&self, receiver: &str, alerts: &Alerts) -> Option<Route> {
        let state = self.receivers.get(receiver)?;
        Some(Route {
            receiver: receiver.to_owned(),
            uid: state.target.uid.clone(),
            pace: Pace {
                repeat: alerts.repeat,
                group_wait: alerts.group_wait,
                send_resolved: state.send_resolved,
            },
        })
    }

    /// Whoever was told that it fires is told that it ended, routed or not.
    fn told_routes(&self, status: &TicketStatus) -> Vec<Route> {
        let alerts = Alerts::default();
        self.receivers
            .iter()
            .filter(|(_, state)| {
                ledger::told(status, &state.target.uid)
                    .is_some_and(|r| r.state == ToldState::Firing)
            })
            .filter_map(|(name, _)| self.route(name, &alerts))
            .collect()
    }

    /// The always-on checks are told to receivers marked for them, or, when none is, to
    /// every receiver of every policy that enforces, each once.
    fn coverage_routes(&self) -> Vec<Route> {
        let enforcing: Vec<_> = self
            .policies
            .values()
            .filter(|p| {
                p.object.spec.mode == patrol_api::words::Mode::Enforce
                    && !p.is_leaving()
                    && p.is_valid()
            })
            .collect();
        if enforcing.is_empty() {
            return vec![];
        }
        let alerts = Alerts::default();
        if self.receivers.values().any(|r| r.coverage) {
            return self
                .receivers
                .iter()
                .filter(|(_, state)| state.coverage)
                .filter_map(|(name, _)| self.route(name, &alerts))
                .collect();
        }
        let mut routes = vec![];
        for policy in enforcing {
            let alerts = &policy.object.spec.alerts;
            routes.extend(
                alerts
                    .receivers
                    .iter()
                    .filter_map(|r| self.route(&r.name, alerts)),
            );
            routes.extend(self.route(&own_webhook_name(policy.name()), alerts));
        }
        dedup(routes)
    }

    // ------------------------------------------------------------ sending

    pub(super) fn send_due(&mut self, now: Now) {
        if std::mem::take(&mut self.agenda.stale) {
            let keys: Vec<ObjectKey> = self.tickets.iter().map(|(k, ..)| k.clone()).collect();
            for key in &keys {
                self.plan_alerts(key);
            }
        }
        let drafts = self.drafts(now);
        let mut by_receiver: BTreeMap<String, Vec<(GroupId, Draft)>> = BTreeMap::new();
        for state in self.receivers.values_mut() {
            state.pending = 0;
            state.oldest_pending = None;
        }
        for (group, draft) in drafts {
            if let Some(state) = self.receivers.get_mut(&group.0) {
                state.pending += draft.items.len();
                state.oldest_pending = super::evaluate::earlier(state.oldest_pending, draft.oldest);
            }
            by_receiver
                .entry(group.0.clone())
                .or_default()
                .push((group, draft));
        }
        for (receiver, mut groups) in by_receiver {
            // The most severe first, then whoever waits longest.
            groups.sort_by(|(a_id, a), (b_id, b)| {
                (b.severity, a.oldest, a_id).cmp(&(a.severity, b.oldest, b_id))
            });
            for (group, draft) in groups {
                if !self.send_group(&receiver, group, draft, now) {
                    break;
                }
            }
        }
        if let Some((at, _)) = self.agenda.due.first()
            && *at > now.wall
        {
            self.wake_at(*at);
        }
    }

    /// Everything that is due, by group, with the edges that may join it.
    fn drafts(&mut self, now: Now) -> BTreeMap<GroupId, Draft> {
        let mut drafts: BTreeMap<GroupId, Draft> = BTreeMap::new();
        let mut silent: Vec<(ObjectKey, String, String, Telling)> = vec![];
        // Edges that still wait for company can join a message that goes now.
        let horizon = now.wall.plus(Span::minutes(5));
        let keys: Vec<ObjectKey> = self
            .agenda
            .due
            .iter()
            .take_while(|(at, _)| *at <= horizon)
            .map(|(_, key)| key.clone())
            .collect();
        let mut joiners: Vec<(GroupId, ObjectKey, Telling)> = vec![];
        for key in keys {
            let Some((ticket, status)) = self.tickets.view(&key) else {
                continue;
            };
            let uid = ticket.metadata.uid.as_deref().unwrap_or("");
            for route in self.routes(ticket, status) {
                let Some(telling) = ledger::obligation(uid, status, &route.uid, &route.pace) else {
                    continue;
                };
                if telling.state == ToldState::Closed && !route.pace.send_resolved {
                    silent.push((key.clone(), route.receiver, route.uid, telling));
                    continue;
                }
                if self.is_held_back(&route, &telling, uid, now) {
                    continue;
                }
                let group = self.group_of(&route.receiver, ticket, status);
                if telling.due > now.wall {
                    if telling.is_edge() {
                        joiners.push((group, key.clone(), telling));
                    }
                    continue;
                }
                let interval = match telling.state {
                    // Ends wait for company as openings do, not for a whole interval.
                    ToldState::Closed => route.pace.group_wait,
                    ToldState::Firing => self.group_interval(&ticket.spec.finding.policy),
                };
                drafts
                    .entry(group)
                    .or_default()
                    .add(key.clone(), telling, status, interval);
            }
        }
        for (group, key, telling) in joiners {
            if let Some(draft) = drafts.get_mut(&group) {
                draft.items.push((key, telling));
            }
        }
        for (key, receiver, uid, telling) in silent {
            // This receiver does not want to hear of ends: only the record is closed.
            if let Some(status) = self.tickets.status_mut(&key) {
                ledger::record(status, &receiver, &uid, &telling, now.wall);
            }
            self.tickets.touch(&key);
            self.plan_alerts(&key);
            self.wake.soon = true;
        }
        drafts
    }

    fn group_interval(&self, policy: &str) -> Span {
        self.policies
            .get(policy)
            .map_or(Alerts::default().group_interval, |p| {
                p.object.spec.alerts.group_interval
            })
    }

    /// Under way, parked, or waiting for the finalizer that keeps the address.
    fn is_held_back(&self, route: &Route, telling: &Telling, ticket_uid: &str, now: Now) -> bool {
        let Some(state) = self.receivers.get(&route.receiver) else {
            return true;
        };
        let id = telling.event_id(ticket_uid, &route.uid);
        let flying = state.flights.values().any(|f| f.tellings.contains_key(&id));
        let parked = state.parked.get(&id).is_some_and(|until| now.mono < *until);
        let unkept = telling.state == ToldState::Firing
            && route
                .receiver
                .strip_prefix("policy/")
                .is_some_and(|policy| !self.may_tell_own_webhook(policy));
        flying || parked || unkept
    }

    fn group_of(&self, receiver: &str, ticket: &Ticket, status: &TicketStatus) -> GroupId {
        let finding = &ticket.spec.finding;
        let by = self.policies.get(finding.policy.as_str()).map_or_else(
            || vec![GroupKey::Check],
            |p| p.object.spec.alerts.group_by.clone(),
        );
        let labels = by
            .into_iter()
            .map(|key| match key {
                GroupKey::Check => ("check".to_owned(), finding.check.clone()),
                GroupKey::Requirement => (
                    "requirement".to_owned(),
                    finding.requirement.clone().unwrap_or_default(),
                ),
                GroupKey::Namespace => (
                    "namespace".to_owned(),
                    finding.subject.namespace.clone().unwrap_or_default(),
                ),
                GroupKey::Severity => (
                    "severity".to_owned(),
                    status.severity.map(|s| s.to_string()).unwrap_or_default(),
                ),
                GroupKey::Party => (
                    "party".to_owned(),
                    status.party.map(|p| p.to_string()).unwrap_or_default(),
                ),
            })
            .collect();
        (receiver.to_owned(), finding.policy.clone(), labels)
    }

    /// Sends a group's message if it may go now. Returns whether the receiver can take more.
    fn send_group(&mut self, receiver: &str, group: GroupId, draft: Draft, now: Now) -> bool {
        let Some(state) = self.receivers.get_mut(receiver) else {
            return false;
        };
        if state.flights.values().any(|f| f.group == group) {
            return true; // a Close must never overtake its Open
        }
        match state.availability(now) {
            Ok(()) => {}
            Err(wait) => {
                if let Some(wait) = wait {
                    self.wake_at(now.wall.plus(wait).plus(Span::seconds(1)));
                }
                return false;
            }
        }
        if let Some(last) = self.agenda.last_sent.get(&group)
            && !draft.urgent
            // What a message left over (sizes, splits) does not wait for another interval.
            && draft.oldest.is_none_or(|oldest| oldest > *last)
        {
            let next = (*last).min(now.wall).plus(draft.interval);
            if now.wall < next {
                self.wake_at(next);
                return true;
            }
        }
        let batch = state.batch.max(1);
        let mut items = draft.items;
        items.truncate(batch);
        let target = Box::new(state.target.clone());
        let Some((notice, tellings)) = self.notice(&group, &target.uid, &items, now.wall) else {
            return true;
        };
        let id = self.begin_delivery();
        let flight = Flight {
            group,
            since: now.mono,
            tellings,
        };
        if let Some(state) = self.receivers.get_mut(receiver) {
            state.begin(id, flight);
        }
        self.outbox.push(Effect::Send {
            id,
            target,
            notice: Box::new(notice),
        });
        true
    }

    fn notice(
        &self,
        group: &GroupId,
        receiver_uid: &str,
        items: &[(ObjectKey, Telling)],
        now: Time,
    ) -> Option<(Notice, BTreeMap<String, (ObjectKey, String, Telling)>)> {
        let mut tickets = vec![];
        let mut tellings = BTreeMap::new();
        let mut counts = Counts::default();
        for (key, telling) in items {
            let Some((ticket, status)) = self.tickets.view(key) else {
                continue;
            };
            let uid = ticket.metadata.uid.clone().unwrap_or_default();
            let id = telling.event_id(&uid, receiver_uid);
            let item = notice_ticket(key, ticket, status, telling, &id);
            count(&mut counts, &item);
            tickets.push(item);
            tellings.insert(id, (key.clone(), uid, telling.clone()));
        }
        if tickets.is_empty() {
            return None;
        }
        tickets.sort_by(|a, b| {
            (b.severity, &a.namespace, &a.name).cmp(&(a.severity, &b.namespace, &b.name))
        });
        let reasons: BTreeSet<AlertReason> = tickets.iter().map(|t| t.reason).collect();
        let reason = match (reasons.len(), reasons.first()) {
            (1, Some(reason)) => *reason,
            _ => AlertReason::Mixed,
        };
        let labels = &group.2;
        let key = labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>()
            .join(",");
        let notice = Notice {
            kind: NoticeKind::Alert,
            at: now,
            cluster: self.config.cluster.clone(),
            receiver: group.0.clone(),
            policy: group.1.clone(),
            reason,
            group: Group {
                key,
                labels: labels.clone(),
            },
            counts,
            tickets,
        };
        Some((notice, tellings))
    }

    // ------------------------------------------------------------ answers

    pub(super) fn delivered(&mut self, id: DeliveryId, parts: Vec<PartOutcome>, now: Now) {
        let Some((name, flight)) = self.receivers.iter_mut().find_map(|(name, state)| {
            state
                .flights
                .remove(&id)
                .map(|flight| (name.clone(), flight))
        }) else {
            // Given up as lost before: what it told may still be recorded.
            return;
        };
        for part in parts {
            self.counters.delivery(&name, part.class);
            if part.class == DeliveryClass::Accepted {
                self.accepted(&name, &flight, &part);
            }
            let Some(state) = self.receivers.get_mut(&name) else {
                continue;
            };
            let news = state.trouble.map(DeliveryClass::as_str);
            state.learn(part.class, part.at, now.mono);
            if part.class == DeliveryClass::Payload {
                refused_content(state, &part, now);
            }
            if news != state.trouble.map(DeliveryClass::as_str) {
                self.evaluation.status_dirty = true;
            }
        }
        self.wake.soon = true;
    }

    /// Records exactly the tellings of an accepted part.
    fn accepted(&mut self, name: &str, flight: &Flight, part: &PartOutcome) {
        let Some(receiver_uid) = self.receivers.get(name).map(|r| r.target.uid.clone()) else {
            return;
        };
        for event_id in &part.event_ids {
            let Some((key, ticket_uid, telling)) = flight.tellings.get(event_id) else {
                continue;
            };
            let same = self
                .tickets
                .object(key)
                .is_some_and(|t| t.metadata.uid.as_deref().unwrap_or("") == ticket_uid);
            if !same {
                continue;
            }
            if let Some(status) = self.tickets.status_mut(key) {
                ledger::record(status, name, &receiver_uid, telling, part.at);
            }
            self.counters.told(name, telling.reason);
            self.tickets.touch(key);
            self.plan_alerts(key);
        }
        let last = self
            .agenda
            .last_sent
            .entry(flight.group.clone())
            .or_insert(part.at);
        *last = (*last).max(part.at);
    }

    pub(super) fn expire_deliveries(&mut self, now: Now) {
        let lost_after = self.config.lost_after;
        for state in self.receivers.values_mut() {
            // The outcome is unknown: what it told is due again, with the same ids.
            state
                .flights
                .retain(|_, flight| now.mono < flight.since.plus(lost_after));
            state.parked.retain(|_, until| now.mono < *until);
        }
        let groups = &self.receivers;
        self.agenda.last_sent.retain(|group, at| {
            groups.contains_key(&group.0) && now.wall.since(*at) < Span::hours(24)
        });
    }

    /// The receivers of a policy, missing ones as `Err`.
    pub(super) fn receivers_of(&self, policy: &str) -> Vec<Result<String, String>> {
        let Some(state) = self.policies.get(policy) else {
            return vec![];
        };
        let alerts = &state.object.spec.alerts;
        let own = alerts
            .webhook
            .is_some()
            .then(|| Ok(own_webhook_name(policy)));
        alerts
            .receivers
            .iter()
            .map(|r| {
                if self.receivers.contains_key(&r.name) {
                    Ok(r.name.clone())
                } else {
                    Err(r.name.clone())
                }
            })
            .chain(own)
            .collect()
    }

    /// The UID of a policy's own webhook.
    #[must_use]
    pub fn own_webhook_uid(policy: &str, policy_uid: &str) -> String {
        own_webhook_uid(policy, policy_uid)
    }
}

impl Draft {
    fn add(&mut self, key: ObjectKey, telling: Telling, status: &TicketStatus, interval: Span) {
        let severity = status.severity.unwrap_or(Severity::Medium);
        self.severity = self.severity.max(Some(severity));
        self.oldest = super::evaluate::earlier(self.oldest, Some(telling.due));
        self.interval = if self.items.is_empty() {
            interval
        } else {
            self.interval.min(interval)
        };
        self.urgent |= telling.is_edge()
            && (severity == Severity::Critical || telling.reason == AlertReason::SLABreached);
        self.items.push((key, telling));
    }
}

/// The receiver refuses what a part says: halve the next ones, down to the one ticket at
/// fault, which is parked so that the others flow.
fn refused_content(state: &mut super::receivers::ReceiverState, part: &PartOutcome, now: Now) {
    match part.event_ids.as_slice() {
        [one] => {
            state.parked.insert(one.clone(), now.mono.plus(PARK));
        }
        many => state.batch = (many.len() / 2).max(1),
    }
}

fn dedup(mut routes: Vec<Route>) -> Vec<Route> {
    routes.sort_by(|a, b| a.receiver.cmp(&b.receiver));
    routes.dedup_by(|a, b| a.receiver == b.receiver);
    routes
}

fn count(counts: &mut Counts, item: &NoticeTicket) {
    match item.state {
        ToldState::Closed => counts.closed += 1,
        ToldState::Firing => {
            counts.firing += 1;
            counts.new += u32::from(matches!(
                item.reason,
                AlertReason::Opened | AlertReason::Reopened
            ));
            counts.overdue += u32::from(item.sla_breached);
            let place = match item.severity {
                Severity::Critical => 0,
                Severity::High => 1,
                Severity::Medium => 2,
                Severity::Low => 3,
                Severity::Info => 4,
            };
            if let Some(n) = counts.by_severity.get_mut(place) {
                *n += 1;
            }
        }
    }
}

fn notice_ticket(
    key: &ObjectKey,
    ticket: &Ticket,
    status: &TicketStatus,
    telling: &Telling,
    event_id: &str,
) -> NoticeTicket {
    let finding = &ticket.spec.finding;
    let opened = status.episode.opened_at.unwrap_or(telling.due);
    NoticeTicket {
        event_id: event_id.to_owned(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        uid: ticket.metadata.uid.clone().unwrap_or_default(),
        episode: telling.episode,
        seq: telling.seq,
        n: telling.n,
        reason: telling.reason,
        state: telling.state,
        phase: status.phase,
        severity: status.severity.unwrap_or(Severity::Medium),
        resolution: status.episode.resolution,
        check: finding.check.clone(),
        requirement: finding.requirement.clone(),
        title: status.title.clone(),
        message: status.message.clone(),
        layer: finding.layer,
        party: status.party.unwrap_or(patrol_api::words::Party::Customer),
        subject: finding.subject.clone(),
        subject_ref: finding.subject_ref.clone(),
        affected: status.evidence.affected.count,
        opened_at: opened,
        first_opened_at: status.first_opened_at.unwrap_or(opened),
        due_at: status.episode.due_at,
        sla_breached: status.episode.breached_at.is_some(),
        resolved_at: status.episode.resolved_at,
        recurrences: status.recurrences,
        flapping: status.flapping,
        verified_at: status.evidence.verdict_at,
        assignee: ticket.spec.assignee.clone(),
        remediation: status.remediation.clone(),
    }
}
