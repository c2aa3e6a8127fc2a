//! What comes next for a ticket, and when. Pure; what a receiver is owed is the ledger's to
//! say, with the same words as when it is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use patrol_api::condition;
use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::{Alerts, TicketRules};
use patrol_api::receiver::AlertReceiver;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Time;
use patrol_api::words::{AlertReason, OverlayKind, Phase, ToldState};
use patrol_core::effect::{own_webhook_name, own_webhook_uid};
use patrol_core::ticket::ledger::{Join, Pace, obligation};
use patrol_core::ticket::routing::is_for;
use patrol_core::windows::Windows;

use super::Known;
use crate::cli::ui;

/// One thing that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// When; `None`: as soon as what stands before it is over.
    pub at: Option<Time>,
    pub what: String,
}

/// A receiver of the ticket, and how it wants to be told.
struct Told {
    name: String,
    uid: String,
    pace: Pace,
}

/// Everything that comes by itself, the nearest first.
pub(super) fn steps(ticket: &Ticket, known: &Known, now: Time) -> Vec<Step> {
    let status = ticket.status.clone().unwrap_or_default();
    let mut steps = owed(ticket, &status, known, now);
    steps.extend(of_the_ticket(ticket, &status, known, now));
    // What has no time of its own follows the rest.
    steps.sort_by_key(|step| (step.at.is_none(), step.at));
    steps
}

/// What each receiver is told next: one call of the ledger for each.
fn owed(ticket: &Ticket, status: &TicketStatus, known: &Known, now: Time) -> Vec<Step> {
    let uid = ticket.metadata.uid.as_deref().unwrap_or_default();
    receivers(ticket, status, known, now)
        .into_iter()
        .filter_map(|receiver| {
            let telling = obligation(uid, status, &receiver.uid, &receiver.pace)?;
            let word = match (telling.state, telling.reason) {
                (ToldState::Closed, AlertReason::Waived) => "is told that it is waived".to_owned(),
                (ToldState::Closed, AlertReason::Late) => {
                    "is told that it came and went".to_owned()
                }
                (ToldState::Closed, _) => "is told that it ended".to_owned(),
                (ToldState::Firing, AlertReason::Reminder) => "is reminded".to_owned(),
                (ToldState::Firing, reason) => format!("is told ({reason})"),
            };
            Some(Step {
                at: Some(telling.due),
                what: format!("{} {word}", receiver.name),
            })
        })
        .collect()
}

/// Whoever the policy names for this ticket; and, of what has ended or of a policy that is not
/// known, whoever was told.
fn receivers(ticket: &Ticket, status: &TicketStatus, known: &Known, now: Time) -> Vec<Told> {
    let policy = known.policy.as_ref();
    let alerts = policy.map_or_else(Alerts::default, |p| p.spec.alerts.clone());
    let pace = Pace {
        // Windows that are no windows stop the policy, and are said there.
        windows: Arc::new(Windows::compile(&alerts.windows, now).unwrap_or_default()),
        steps: alerts.escalation.clone().into(),
        missed_after: alerts.missed_after,
        ..Pace::plain(alerts.repeat, alerts.group_wait)
    };
    let object = |name: &str| {
        let mut all = known.receivers.iter();
        all.find(|r| r.metadata.name.as_deref() == Some(name))
    };
    let of_object = |receiver: &AlertReceiver, join: Option<Join>| {
        let metadata = &receiver.metadata;
        let made = metadata.creation_timestamp.as_ref();
        Told {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            pace: Pace {
                send_resolved: receiver.spec.send_resolved,
                since: made.map(condition::from_meta_time),
                join,
                ..pace.clone()
            },
        }
    };
    let mut all: Vec<Told> = vec![];
    for route in alerts
        .receivers
        .iter()
        .filter(|r| is_for(r, ticket, status))
    {
        all.extend(object(&route.name).map(|r| of_object(r, None)));
    }
    if let (Some(policy), Some(_)) = (policy, &alerts.webhook) {
        let uid = policy.metadata.uid.as_deref().unwrap_or_default();
        let name = &ticket.spec.finding.policy;
        all.push(Told {
            name: own_webhook_name(name),
            uid: own_webhook_uid(name, uid),
            pace: pace.clone(),
        });
    }
    for (level, step) in (1_u64..).zip(&alerts.escalation) {
        let holds = status
            .severity
            .is_some_and(|s| step.severities.contains(&s));
        let join = Join {
            level,
            after: step.after,
        };
        let receiver = step.receiver.as_deref().filter(|_| holds).and_then(object);
        all.extend(receiver.map(|r| of_object(r, Some(join))));
    }
    if ticket.spec.finding.policy == COVERAGE_POLICY {
        let marked = known.receivers.iter().filter(|r| r.spec.coverage);
        all.extend(marked.map(|r| of_object(r, None)));
    }
    if policy.is_none() || matches!(status.phase, Phase::Resolved | Phase::Waived) {
        all.extend(status.alerts.iter().map(|record| Told {
            name: record.receiver.clone(),
            uid: record.uid.clone(),
            pace: Pace {
                send_resolved: object(&record.receiver).is_none_or(|r| r.spec.send_resolved),
                ..pace.clone()
            },
        }));
    }
    // Each once: as it is told anyway, before as one of a step.
    let mut seen = BTreeSet::new();
    all.retain(|told| seen.insert(told.name.clone()));
    all
}

/// What the ticket's own times bring.
fn of_the_ticket(ticket: &Ticket, status: &TicketStatus, known: &Known, now: Time) -> Vec<Step> {
    let mut steps = vec![];
    let mut at = |at: Option<Time>, what: String| {
        if let Some(at) = at {
            steps.push(Step { at: Some(at), what });
        }
    };
    let rules = known
        .policy
        .as_ref()
        .map_or_else(TicketRules::default, |p| p.spec.tickets.clone());
    let episode = &status.episode;
    if status.phase == Phase::Resolved {
        let end = episode.resolved_at.map(|ended| ended.plus(rules.retention));
        at(
            end,
            "the ticket is deleted, unless the gap comes back".into(),
        );
        return steps;
    }
    if let Some(overlay) = &status.overlay {
        let what = match overlay.kind {
            OverlayKind::Waived => {
                "the waiver ends: the ticket is open again if the gap is still there".to_owned()
            }
            OverlayKind::Acknowledged => {
                "the acknowledgement ends: reminders start again".to_owned()
            }
            OverlayKind::Snoozed => "the snooze ends: reminders start again".to_owned(),
        };
        at(Some(overlay.until), what);
    }
    if episode.breached_at.is_none() && status.phase != Phase::Waived {
        at(
            episode.due_at,
            "it is due: whoever is told hears SLABreached".into(),
        );
    }
    if let Some(clean) = episode.first_clean_at {
        let end = Some(clean.plus(rules.clear_after));
        at(
            end,
            "it resolves, if the subject stays clean until then".into(),
        );
    }
    let patrol = known.policy.as_ref().and_then(|p| p.status.as_ref());
    let patrol = patrol.and_then(|s| s.next_patrol_at).filter(|at| *at > now);
    at(
        patrol,
        format!(
            "the next patrol of {}; a change is inspected at once",
            ui::clean(&ticket.spec.finding.policy)
        ),
    );
    if status.phase != Phase::Waived {
        steps.push(Step {
            at: None,
            what: format!(
                "when the subject is seen without the gap, and stays so for {}, it resolves and whoever was told hears it",
                rules.clear_after
            ),
        });
    }
    steps
}

#[cfg(test)]
#[path = "next_tests.rs"]
mod tests;
