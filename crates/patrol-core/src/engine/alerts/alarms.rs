//! Receivers that hold alarms: what they may hold of a ticket, and when they last took a sign of life. Never decides when
//! something is owed.

use std::collections::BTreeMap;

use patrol_api::receiver::EndpointKind;
use patrol_api::ticket::TicketStatus;
use patrol_api::time::Time;
use patrol_api::words::{AlertReason, Severity, ToldState};

use super::super::Patrol;
use super::agenda::Agenda;
use crate::facts::ObjectKey;
use crate::notice::Alarm;
use crate::ticket::{alive, ledger};

/// What a receiver that forgets heard of a ticket since this process leads. Losing it costs one more sign of life.
#[derive(Debug, Default)]
pub(super) struct Heard {
    at: Option<Time>,
    /// With which severities it may hold an alarm of the ticket.
    as_severe_as: Vec<Severity>,
}

/// By ticket and UID of the receiver.
pub(super) type AllHeard = BTreeMap<ObjectKey, BTreeMap<String, Heard>>;

/// Whether a kind keeps alarms until it is told their end.
pub(super) const fn holds_alarms(kind: EndpointKind) -> bool {
    matches!(kind, EndpointKind::Pagerduty | EndpointKind::Alertmanager)
}

/// Whether a kind takes silence for an end, and forgets.
pub(super) const fn forgets(kind: EndpointKind) -> bool {
    matches!(kind, EndpointKind::Alertmanager)
}

impl Agenda {
    /// When a receiver last took a sign of life of a ticket.
    pub(super) fn heard_at(&self, key: &ObjectKey, receiver_uid: &str) -> Option<Time> {
        self.heard.get(key)?.get(receiver_uid)?.at
    }

    /// A ticket is about to be told with this severity: from now on the receiver may hold it so, or still as before.
    pub(super) fn say(
        &mut self,
        key: &ObjectKey,
        receiver_uid: &str,
        severity: Severity,
        former: &[Severity],
    ) {
        let of_ticket = self.heard.entry(key.clone()).or_default();
        let heard = of_ticket.entry(receiver_uid.to_owned()).or_default();
        for severity in former.iter().chain([&severity]) {
            if !heard.as_severe_as.contains(severity) {
                heard.as_severe_as.push(*severity);
            }
        }
    }

    /// It took what was said.
    pub(super) fn hear(
        &mut self,
        key: &ObjectKey,
        receiver_uid: &str,
        severity: Severity,
        at: Time,
    ) {
        let of_ticket = self.heard.entry(key.clone()).or_default();
        let heard = of_ticket.entry(receiver_uid.to_owned()).or_default();
        heard.at = heard.at.max(Some(at));
        heard.as_severe_as = vec![severity];
    }

    /// What a receiver may hold of a ticket.
    pub(super) fn alarm(
        &self,
        key: &ObjectKey,
        status: &TicketStatus,
        receiver_uid: &str,
    ) -> Alarm {
        let told = ledger::told(status, receiver_uid);
        let firing = told.filter(|record| record.state == ToldState::Firing);
        let now = status.severity.unwrap_or(Severity::Medium);
        let heard = self
            .heard
            .get(key)
            .and_then(|of_ticket| of_ticket.get(receiver_uid));
        let mut former: Vec<Severity> = match heard {
            Some(heard) => heard.as_severe_as.clone(),
            // Told by another process: if it was raised meanwhile, nobody knows from what.
            None if told.is_some() && was_raised(status) => Severity::ALL.to_vec(),
            None => vec![],
        };
        former.retain(|severity| match heard {
            Some(_) => *severity != now,
            None => *severity < now,
        });
        Alarm {
            named: firing.is_some_and(|record| !record.digest),
            numbered: told.is_some_and(|record| record.digest),
            former,
        }
    }
}

fn was_raised(status: &TicketStatus) -> bool {
    let raised = AlertReason::SeverityRaised.as_str();
    status.history.iter().any(|entry| entry.reason == raised)
}

impl Patrol {
    /// Whether a receiver takes silence for an end.
    pub(super) fn receiver_forgets(&self, name: &str) -> bool {
        let state = self.receivers.get(name);
        state.is_some_and(|state| forgets(state.target.endpoint.kind()))
    }
}

/// Whether a telling of a receiver that forgets is written down: a sign of life is not, or every open ticket would be
/// written every few minutes.
pub(super) fn is_recorded(forgets: bool, telling: &ledger::Telling) -> bool {
    !(forgets && alive::is_sign_of_life(telling))
}
