//! Composing: from the tickets of a group to one notice. What it says is the state of now.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::policy::GroupKey;
use patrol_api::receiver::{Endpoint, IncidentPer, WebhookFormat};
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Time;
use patrol_api::words::{AlertReason, Phase, Resolution, Severity, ToldState};

use super::super::Patrol;
use super::alarms::holds_alarms;
use super::groups::{Standing, labels_key};
use super::{GroupId, Item, Told};
use crate::effect::Target;
use crate::facts::ObjectKey;
use crate::notice::{Alarm, Cluster, Counts, Group, Notice, NoticeKind, NoticeTicket};
use crate::ticket::ledger::{self, Telling};

const CHECK: &str = "check";
const REQUIREMENT: &str = "requirement";
const NAMESPACE: &str = "namespace";
const TICKET: &str = "ticket";
/// The labels of groups that stay what they are as long as a ticket lives. Its severity and its party may change.
pub(super) const LASTING: [&str; 4] = [CHECK, REQUIREMENT, NAMESPACE, TICKET];
/// So many tickets show that a group still fires.
const OTHERS: usize = 5;

impl Patrol {
    /// The group under which a receiver hears of a ticket.
    pub(super) fn group_of(
        &self,
        receiver: &str,
        ticket: &Ticket,
        status: &TicketStatus,
    ) -> GroupId {
        let mut group = self.fine_group_of(receiver, ticket, status);
        if self.receivers.get(receiver).is_some_and(|s| s.is_coarse) {
            group
                .2
                .retain(|(name, _)| name != NAMESPACE && name != TICKET);
        }
        group
    }

    /// The same, as the policy wants it.
    pub(super) fn fine_group_of(
        &self,
        receiver: &str,
        ticket: &Ticket,
        status: &TicketStatus,
    ) -> GroupId {
        let finding = &ticket.spec.finding;
        let by = self.policies.get(finding.policy.as_str()).map_or_else(
            || vec![GroupKey::Check],
            |p| p.object.spec.alerts.group_by.clone(),
        );
        let label = |name: &str| (name.to_owned(), lasting(name, ticket).unwrap_or_default());
        let mut labels: Vec<(String, String)> = by
            .into_iter()
            .map(|key| match key {
                GroupKey::Check => label(CHECK),
                GroupKey::Requirement => label(REQUIREMENT),
                GroupKey::Namespace => label(NAMESPACE),
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
        if status.severity == Some(Severity::Critical) && self.has_critical_apart(receiver) {
            labels.push(label(TICKET));
        }
        (receiver.to_owned(), finding.policy.clone(), labels)
    }

    /// Whether each critical ticket has an incident of its own at a receiver.
    fn has_critical_apart(&self, receiver: &str) -> bool {
        let endpoint = self.receivers.get(receiver).map(|s| &s.target.endpoint);
        matches!(endpoint, Some(Endpoint::Pagerduty(spec)) if spec.incident_per == IncidentPer::CriticalTicket)
    }

    pub(super) fn notice(
        &self,
        kind: NoticeKind,
        group: &GroupId,
        target: &Target,
        items: &[Item],
        now: Time,
    ) -> Option<(Notice, BTreeMap<String, Told>)> {
        let receiver_uid = target.uid.as_str();
        let endpoint = target.endpoint.kind();
        let mut tickets = vec![];
        let mut tellings = BTreeMap::new();
        let mut counts = Counts::default();
        for Item { key, telling, .. } in items {
            let Some((ticket, status)) = self.tickets.view(key) else {
                continue;
            };
            let uid = ticket.metadata.uid.clone().unwrap_or_default();
            let id = telling.event_id(&uid, receiver_uid);
            let mut item = notice_ticket(key, ticket, status, telling, &id);
            if holds_alarms(endpoint) {
                item.alarm = self.agenda.alarm(key, status, receiver_uid);
            }
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
        let standing = match holds_alarms(endpoint) {
            true => {
                let told = items.iter().map(|item| (&item.key, item.telling.state));
                self.standing(group, receiver_uid, &told.collect())
            }
            // Counting what stands costs a walk over all tickets.
            false => Standing::default(),
        };
        let notice = Notice {
            kind,
            at: now,
            cluster: self.cluster(),
            receiver: group.0.clone(),
            policy: group.1.clone(),
            reason,
            next_within: None,
            group: Group {
                key: labels_key(labels),
                labels: labels.clone(),
            },
            standing: standing.all,
            incident: self.incident_of(&group.0, group),
            begins_incident: self.begins_incident(&group.0, group),
            acknowledges: standing.all > 0
                && standing.untaken == 0
                && tickets.iter().all(calls_nobody)
                && self.is_to_acknowledge(group, tickets.iter().any(is_taken)),
            numbered: standing.numbered,
            counts,
            others: match ends_of_group(target, &tickets) {
                true => self.others(group, receiver_uid, items),
                false => vec![],
            },
            gone: None,
            tickets,
        };
        Some((notice, tellings))
    }

    /// The gravest tickets of a group that a receiver was told of and this message does not tell of.
    fn others(&self, group: &GroupId, receiver_uid: &str, items: &[Item]) -> Vec<NoticeTicket> {
        let told: BTreeSet<&ObjectKey> = items.iter().map(|item| &item.key).collect();
        let mut standing: Vec<_> = self
            .tickets
            .standing()
            .filter(|(key, ticket, status)| {
                let record = ledger::told(status, receiver_uid);
                record.is_some_and(|record| record.state == ToldState::Firing)
                    && !told.contains(key)
                    && self.group_of(&group.0, ticket, status) == *group
            })
            .collect();
        standing.sort_by_key(|(_, _, status)| std::cmp::Reverse(status.severity));
        standing.truncate(OTHERS);
        standing
            .into_iter()
            .filter_map(|(key, ticket, status)| {
                let record = ledger::told(status, receiver_uid)?;
                let telling = Telling::again(record, false, record.at);
                let uid = ticket.metadata.uid.as_deref().unwrap_or("");
                let id = telling.event_id(uid, receiver_uid);
                Some(notice_ticket(key, ticket, status, &telling, &id))
            })
            .collect()
    }

    /// The cluster, as it was named; else by the UID of its namespace kube-system, which
    /// lives as long as the cluster does.
    pub(super) fn cluster(&self) -> Cluster {
        let mut cluster = self.config.cluster.clone();
        if cluster.id.is_empty()
            && let Some(namespace) = self.inventory.namespace("kube-system")
        {
            cluster.id = namespace.meta.uid.to_string();
        }
        cluster
    }
}

/// Whether a message tells of ends in a format whose readers take a group without a firing alert for mended.
fn ends_of_group(target: &Target, tickets: &[NoticeTicket]) -> bool {
    shows_groups(&target.endpoint) && tickets.iter().any(|t| t.state == ToldState::Closed)
}

/// Whether a message is read as the state of its whole group.
pub(super) fn shows_groups(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Webhook(spec) if spec.format == WebhookFormat::AlertmanagerV4)
}

/// Whether it says that a ticket ended, or what people did to it.
fn calls_nobody(ticket: &NoticeTicket) -> bool {
    ticket.state == ToldState::Closed || ticket.reason.is_quiet()
}

/// Whether it says that somebody took a ticket.
fn is_taken(ticket: &NoticeTicket) -> bool {
    matches!(
        ticket.reason,
        AlertReason::Acknowledged | AlertReason::Snoozed
    )
}

fn count(counts: &mut Counts, item: &NoticeTicket) {
    match item.state {
        ToldState::Closed => {
            counts.closed += 1;
            counts.waived += u32::from(item.phase == Phase::Waived);
        }
        ToldState::Firing => {
            counts.firing += 1;
            counts.acknowledged +=
                u32::from(matches!(item.phase, Phase::Acknowledged | Phase::Snoozed));
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

/// What one of the [`LASTING`] labels is of a ticket.
pub(super) fn lasting(label: &str, ticket: &Ticket) -> Option<String> {
    let finding = &ticket.spec.finding;
    match label {
        CHECK => Some(finding.check.clone()),
        REQUIREMENT => Some(finding.requirement.clone().unwrap_or_default()),
        NAMESPACE => Some(finding.subject.namespace.clone().unwrap_or_default()),
        TICKET => {
            let namespace = ticket.metadata.namespace.as_deref().unwrap_or_default();
            let name = ticket.metadata.name.as_deref().unwrap_or_default();
            Some(format!("{namespace}/{name}"))
        }
        _ => None,
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
        level: telling.level,
        failover: telling.failover,
        overlay: status.overlay.clone(),
        state: telling.state,
        phase: status.phase,
        severity: status.severity.unwrap_or(Severity::Medium),
        resolution: match telling.reason {
            AlertReason::Waived => Some(Resolution::Waived),
            _ => status.episode.resolution,
        },
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
        alarm: Alarm::default(),
    }
}
