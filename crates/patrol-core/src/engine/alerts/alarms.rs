//! Receivers that hold alarms: what they may hold of a ticket, and when they last took a sign of life. Never decides when
//! something is owed.

use std::collections::BTreeMap;

use patrol_api::receiver::EndpointKind;
use patrol_api::ticket::TicketStatus;
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Severity, ToldState};

use super::super::Patrol;
use super::agenda::Agenda;
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::notice::Alarm;
use crate::ticket::{alive, ledger};

/// What a receiver that forgets heard of a ticket since this process leads. Losing it costs one more sign of life.
#[derive(Debug, Default)]
pub(super) struct Heard {
    what: alive::Heard,
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
    /// What a receiver heard of a ticket that is no news.
    pub(super) fn heard(&self, key: &ObjectKey, receiver_uid: &str) -> alive::Heard {
        let of_ticket = self.heard.get(key);
        let heard = of_ticket.and_then(|of_ticket| of_ticket.get(receiver_uid));
        heard.map_or_else(alive::Heard::default, |heard| heard.what)
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
        // Also when it heard "later": the clock was set back since.
        heard.what = alive::Heard {
            at: Some(at),
            withdrawn: None,
        };
        heard.as_severe_as = vec![severity];
    }

    /// It took that its alarm is taken back.
    pub(super) fn hear_withdrawal(&mut self, key: &ObjectKey, receiver_uid: &str, at: Time) {
        let of_ticket = self.heard.entry(key.clone()).or_default();
        let heard = of_ticket.entry(receiver_uid.to_owned()).or_default();
        let before = heard.what.withdrawn.map_or(0, |(times, _)| times);
        heard.what = alive::Heard {
            at: None,
            withdrawn: Some((before.saturating_add(1), at)),
        };
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
            // Told by another process: it may have been graver or milder then, and nothing says so.
            None if told.is_some() => Severity::ALL.to_vec(),
            None => vec![],
        };
        former.retain(|severity| *severity != now);
        Alarm {
            named: firing.is_some_and(|record| !record.digest),
            numbered: told.is_some_and(|record| record.digest),
            former,
        }
    }
}

impl Patrol {
    /// When a receiver that forgets last heard of a ticket, which is written nowhere. A process that has just begun does not
    /// know: it tells them all within minutes, and counts as heard until then what they were told to fire.
    pub(in crate::engine) fn last_heard(&self, key: &ObjectKey, now: Now) -> Option<Time> {
        const SOON: Span = Span::minutes(15);
        let of_ticket = self.agenda.heard.get(key).into_iter().flatten();
        let heard = of_ticket.filter_map(|(_, heard)| heard.what.at).max();
        if heard.is_some() {
            // Not later than now, if the clock was set back since.
            return heard.map(|at| at.min(now.wall));
        }
        let status = self.tickets.status(key)?;
        let firing = |uid: &str| {
            ledger::told(status, uid).is_some_and(|record| record.state == ToldState::Firing)
        };
        let mut receivers = self.receivers.values();
        receivers
            .any(|state| forgets(state.target.endpoint.kind()) && firing(&state.target.uid))
            .then(|| {
                let led = now.mono.since(self.led_since);
                now.wall
                    .minus(Span::millis(led.saturating_sub(SOON.as_millis())))
            })
    }

    /// Whether a receiver takes silence for an end.
    pub(super) fn receiver_forgets(&self, name: &str) -> bool {
        let state = self.receivers.get(name);
        state.is_some_and(|state| forgets(state.target.endpoint.kind()))
    }
}

/// Whether a telling of a receiver that forgets is written down: a sign of life is not, or every open ticket would be
/// written every few minutes; nor is that an alarm is taken back, for the ticket goes on.
pub(super) fn is_recorded(forgets: bool, telling: &ledger::Telling) -> bool {
    !(forgets && alive::is_sign_of_life(telling)) && telling.reason != AlertReason::Withdrawn
}
