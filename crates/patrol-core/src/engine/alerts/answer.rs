//! Answers of receivers: what was accepted is recorded, what was not is due again.

use patrol_api::time::Span;
use patrol_api::words::{Severity, ToldState};

use super::super::Patrol;
use super::super::receivers::ReceiverState;
use super::Flight;
use super::alarms::is_recorded;
use crate::clock::Now;
use crate::event::{DeliveryClass, DeliveryId, PartOutcome};
use crate::ticket::ledger;

/// A receiver refused one ticket's content: it is tried again after this time, and the
/// others flow meanwhile.
const PARK: Span = Span::hours(1);
/// A delivery goes in parts, one after the other, each with its own deadline: at worst as
/// many as it has tickets, and in practice never so many that they take longer than this.
const PER_PART: Span = Span::seconds(15);
const ALL_PARTS: Span = Span::minutes(10);
/// For so long a late answer is still recorded.
const LATE: Span = Span::minutes(15);
/// An edge that tried twice answers twice: for so long the better answer counts.
const SECOND: Span = Span::minutes(2);

impl Patrol {
    pub(in crate::engine) fn delivered(
        &mut self,
        id: DeliveryId,
        parts: Vec<PartOutcome>,
        now: Now,
    ) {
        let Some((name, mut flight)) = self.receivers.iter_mut().find_map(|(name, state)| {
            let flight = state.flights.remove(&id)?;
            Some((name.clone(), flight))
        }) else {
            return; // its receiver went meanwhile
        };
        let parts = if parts.is_empty() {
            // Nothing was sent and nothing said: no reason to try again at once.
            vec![PartOutcome {
                event_ids: vec![],
                by_number: 0,
                class: DeliveryClass::Transient,
                at: now.wall,
            }]
        } else {
            parts
        };
        let whole = parts.iter().all(|p| p.class == DeliveryClass::Accepted);
        let messages = parts.iter().filter(|p| p.class.was_sent()).count();
        let unclear = parts.iter().any(|p| p.class == DeliveryClass::Transient);
        for part in parts {
            self.counters.delivery(&name, part.class);
            let accepted = part.class == DeliveryClass::Accepted;
            if accepted {
                self.counters.heartbeats += u64::from(flight.is_sign_of_life());
                self.accepted(&name, &flight, &part, now);
                self.note_group(&name, &flight, whole, part.at);
            }
            self.doubt_part(&name, &flight, &part);
            let Some(state) = self.receivers.get_mut(&name) else {
                continue;
            };
            let before = state.trouble.map(DeliveryClass::as_str);
            state.learn(part.class, part.at, now.mono);
            if part.class == DeliveryClass::Payload {
                refused_content(state, &part, now);
            }
            let after = state.trouble.map(DeliveryClass::as_str);
            self.speak_instead(&flight, &part);
            if before != after {
                self.evaluation.status_dirty = true;
            }
        }
        if let Some(state) = self.receivers.get_mut(&name) {
            state.went_in(messages, &flight, whole);
            if whole {
                state.batch_accepted(flight.tellings.len());
            } else if unclear {
                flight.lost = true;
                flight.forget_at = now.mono.plus(SECOND);
                state.flights.insert(id, flight);
            }
        }
        self.agenda.poke(&name, now.wall);
    }

    /// Records exactly the tellings of an accepted part.
    fn accepted(&mut self, name: &str, flight: &Flight, part: &PartOutcome, now: Now) {
        let forgets = self.receiver_forgets(name);
        let by_name = part.event_ids.len().saturating_sub(part.by_number);
        for (place, event_id) in part.event_ids.iter().enumerate() {
            let Some((key, ticket_uid, telling)) = flight.tellings.get(event_id) else {
                continue;
            };
            // A ticket that was made anew meanwhile was not told of; one that is gone was, and its end is owed.
            if !self.tickets.is_or_was(key, ticket_uid)
                || self.is_replaced(name, &flight.receiver_uid)
            {
                continue;
            }
            if forgets && telling.state == ToldState::Firing {
                let said = flight.said.get(key).copied();
                let severity = said.unwrap_or(Severity::Medium);
                let uid = &flight.receiver_uid;
                self.agenda.hear(key, uid, severity, part.at);
            }
            if is_recorded(forgets, telling)
                && let Some(status) = self.tickets.status_mut(key)
            {
                let digest = place >= by_name;
                ledger::record(status, name, &flight.receiver_uid, telling, digest, part.at);
            }
            self.counters.told(name, telling.reason);
            self.counters
                .waited(name, part.at.since(telling.due).as_secs());
            self.closing.dirty = true;
            self.tickets.touch(key);
            self.plan_alerts(key, now);
        }
        let last = (part.at, now.mono);
        self.agenda.last_sent.insert(flight.group.clone(), last);
    }

    pub(in crate::engine) fn expire_deliveries(&mut self, now: Now) {
        let lost_after = self.config.lost_after;
        for (name, state) in &mut self.receivers {
            for flight in state.flights.values_mut().filter(|f| !f.lost) {
                let tickets = u64::try_from(flight.tellings.len()).unwrap_or(u64::MAX);
                let most = lost_after.plus(PER_PART.times(tickets).min(ALL_PARTS));
                if now.mono >= flight.since.plus(most) {
                    // The outcome is unknown: what it told is due again, with the same ids.
                    flight.lost = true;
                    flight.forget_at = now.mono.plus(LATE);
                    self.counters.duplicates_possible += tickets;
                    self.agenda.poke(name, now.wall);
                }
            }
            state
                .flights
                .retain(|_, f| !f.lost || now.mono < f.forget_at);
            state.parked.retain(|_, until| now.mono < *until);
        }
        let known = &self.receivers;
        self.agenda.last_sent.retain(|group, (_, since)| {
            known.contains_key(&group.0) && now.mono < since.plus(Span::hours(24))
        });
    }
}

/// The receiver refuses what a part says: halve the next ones, down to the one ticket at
/// fault, which is parked so that the others flow.
fn refused_content(state: &mut ReceiverState, part: &PartOutcome, now: Now) {
    match part.event_ids.as_slice() {
        [one] => {
            state.parked.insert(one.clone(), now.mono.plus(PARK));
        }
        many => state.batch = (many.len() / 2).max(1),
    }
}
