//! Ticket writes: which one a ticket needs, one at a time.

use std::collections::BTreeMap;

use patrol_api::names::{LABEL_PARTY, LABEL_SEVERITY};
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Span;
use patrol_api::words::{Party, Phase, Severity};

use super::super::{Patrol, WriteTarget};
use super::{TicketWrite, bootstrap_at, version_of};
use crate::clock::{Mono, Now};
use crate::effect::{Effect, Precondition};
use crate::event::WriteId;
use crate::facts::ObjectKey;
use crate::ticket;

/// Resolved tickets are deleted after this time even if a receiver was never told.
pub(super) const HARD_CAP: Span = Span::days(90);

enum Wrote {
    Started,
    NotNeeded,
    NotBefore(Mono),
}

impl Patrol {
    pub(super) fn write_tickets(&mut self, now: Now) {
        while let Some((at, key)) = self.tickets.waiting.first().cloned()
            && at <= now.mono
        {
            self.tickets.waiting.pop_first();
            let severity = self.tickets.held.get(&key).and_then(|h| h.status.severity);
            let severity = severity.unwrap_or(Severity::Medium);
            self.tickets.ask(severity, &key);
        }
        let under_way = self.under_way(|what| matches!(what, WriteTarget::Ticket(..)));
        let mut room = self.config.writes_in_flight.saturating_sub(under_way);
        while room > 0
            && let Some(key) = self.tickets.queue.next()
        {
            match self.write_ticket(&key, now) {
                Wrote::Started => room -= 1,
                Wrote::NotNeeded => {}
                Wrote::NotBefore(at) => {
                    self.tickets.waiting.insert((at, key));
                }
            }
        }
        if let Some((at, _)) = self.tickets.waiting.first() {
            let wait = Span::millis(at.since(now.mono)).plus(Span::seconds(1));
            self.wake_at(now.wall.plus(wait));
        }
    }

    fn write_ticket(&mut self, key: &ObjectKey, now: Now) -> Wrote {
        let Some(held) = self.tickets.held.get(key) else {
            return Wrote::NotNeeded;
        };
        if held.writing {
            return Wrote::NotNeeded; // its answer touches it again
        }
        let retry_at = held.retry_at;
        let Some(write) = self.needed_write(key, now) else {
            return Wrote::NotNeeded;
        };
        if let Some(at) = retry_at
            && now.mono < at
        {
            return Wrote::NotBefore(at);
        }
        if write == TicketWrite::Delete
            && let Err(at) = self.tickets.retention.take_leave(now.mono)
        {
            return Wrote::NotBefore(at);
        }
        let id = self.begin_write(WriteTarget::Ticket(key.clone(), write), now);
        let Some(effect) = self.effect_of(write, id, key) else {
            self.writes.remove(&id);
            return Wrote::NotNeeded;
        };
        let owing = write == TicketWrite::Delete
            && self
                .tickets
                .held
                .get(key)
                .is_some_and(|held| !held.foreign && self.is_owing(key, &held.status));
        if let Some(held) = self.tickets.held.get_mut(key) {
            held.writing = true;
            held.leaves_owing = owing;
            held.sent = (write == TicketWrite::Status).then(|| held.status.snapshot());
        }
        self.outbox.push(effect);
        Wrote::Started
    }

    pub(super) fn needed_write(&self, key: &ObjectKey, now: Now) -> Option<TicketWrite> {
        let held = self.tickets.held.get(key)?;
        if held.unread {
            return Some(TicketWrite::Read);
        }
        let Some(object) = &held.object else {
            return held.wanted.then_some(TicketWrite::Create);
        };
        // What the server has as open is not deleted: that it ended is written first.
        let stored = held.status.stored();
        let has_ended = stored.is_some_and(|s| s.phase == Phase::Resolved);
        let policy = &object.spec.finding.policy;
        if held.foreign || has_ended && self.is_expired(key, &held.status, policy, now.wall) {
            return Some(TicketWrite::Delete);
        }
        match stored {
            Some(_) if !held.status.is_stored() => return Some(TicketWrite::Status),
            None if held.status.phase != Phase::Open
                || held.status.alert_seq > 1
                || !held.status.alerts.is_empty()
                || now.wall >= bootstrap_at(object, self.config.status_within, now.wall) =>
            {
                return Some(TicketWrite::Status);
            }
            _ => {}
        }
        (!self.is_labelled(object, &held.status)).then_some(TicketWrite::Labels)
    }

    pub(super) fn is_labelled(&self, object: &Ticket, status: &TicketStatus) -> bool {
        let have = object.metadata.labels.as_ref();
        labels_of(object, status)
            .iter()
            .all(|(k, v)| have.and_then(|l| l.get(k)) == Some(v))
    }

    fn effect_of(&self, write: TicketWrite, id: WriteId, key: &ObjectKey) -> Option<Effect> {
        let held = self.tickets.held.get(key)?;
        if write == TicketWrite::Create {
            let finding = self.evaluation.known.get(key)?.finding.clone();
            let ticket = Box::new(ticket::new_object(key, finding, &held.status));
            return Some(Effect::CreateTicket { id, ticket });
        }
        if write == TicketWrite::Read {
            return Some(Effect::ReadTicket {
                id,
                key: key.clone(),
            });
        }
        let object = held.object.as_deref()?;
        let at = Precondition {
            key: key.clone(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            version: version_of(object).to_owned(),
        };
        Some(match write {
            TicketWrite::Status => Effect::WriteTicketStatus {
                id,
                at,
                status: Box::new(TicketStatus::clone(&held.status)),
            },
            TicketWrite::Labels => Effect::WriteTicketLabels {
                id,
                at,
                labels: labels_of(object, &held.status),
            },
            _ => Effect::DeleteTicket { id, at },
        })
    }
}

fn labels_of(object: &Ticket, status: &TicketStatus) -> BTreeMap<String, String> {
    let mut labels = ticket::labels(
        &object.spec.finding,
        status.severity.unwrap_or(Severity::Medium),
        status.party.unwrap_or(Party::Customer),
        status.phase,
    );
    // Until the finding was judged again, severity and party are those of the opening.
    if status.severity.is_none() {
        labels.remove(LABEL_SEVERITY);
    }
    if status.party.is_none() {
        labels.remove(LABEL_PARTY);
    }
    labels
}
