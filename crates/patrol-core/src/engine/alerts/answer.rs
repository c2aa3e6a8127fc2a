//! Answers of receivers: what was accepted is recorded, what was not is due again.

use patrol_api::time::Span;
use patrol_api::words::{AlertReason, Severity, ToldState};

use super::super::Patrol;
use super::super::receivers::ReceiverState;
use super::Flight;
use super::alarms::{forgets, is_recorded};
use super::compose::shows_groups;
use crate::clock::Now;
use crate::event::{DeliveryClass, DeliveryId, PartOutcome};
use crate::ticket::ledger;

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
        let fine = |part: &&PartOutcome| part.class == DeliveryClass::Accepted;
        let taken: usize = parts.iter().filter(fine).map(|p| p.event_ids.len()).sum();
        let accepted = parts.iter().filter(fine).count();
        // What a delivery was cut off from is left over.
        let whole = accepted == parts.len() && taken >= flight.tickets();
        let messages = parts.iter().filter(|p| p.class.was_sent()).count();
        let unclear = parts.iter().any(|p| p.class == DeliveryClass::Transient);
        for mut part in parts {
            // A clock that was set back meanwhile: what lies ahead of it would put off the next message.
            part.at = part.at.min(now.wall);
            self.counters.delivery(&name, part.class);
            let accepted = part.class == DeliveryClass::Accepted;
            if accepted {
                self.counters.heartbeats += u64::from(flight.is_sign_of_life());
                self.accepted(&name, &flight, &part, now);
                self.gone_was_told(&name, &flight);
                self.note_group(&name, &flight, whole, part.at);
            }
            if part.class == DeliveryClass::Payload {
                // Whoever refuses it as it is will not take it later.
                self.gone_was_told(&name, &flight);
            }
            self.doubt_part(&name, &flight, &part);
            let Some(state) = self.receivers.get_mut(&name) else {
                continue;
            };
            let before = state.health.trouble.map(DeliveryClass::as_str);
            state.learn(part.class, part.at, now.mono);
            if part.class == DeliveryClass::Payload {
                refused_content(state, &flight, &part, now);
            }
            let after = state.health.trouble.map(DeliveryClass::as_str);
            self.speak_instead(&flight, &part);
            if before != after {
                self.evaluation.status_dirty = true;
            }
        }
        if let Some(state) = self.receivers.get_mut(&name) {
            state.allowance.went_in(messages, flight.paid);
            let digest = flight.digest;
            state.allowance.learn_size(accepted, taken, whole, digest);
            if whole {
                state.allowance.batch_accepted(flight.tellings.len());
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
            if telling.reason == AlertReason::Withdrawn {
                self.agenda
                    .hear_withdrawal(key, &flight.receiver_uid, part.at);
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
                let most = most.plus(flight.waits);
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
            state.refused.forget_old(now.mono);
        }
        let known = &self.receivers;
        self.agenda.last_sent.retain(|group, (_, since)| {
            known.contains_key(&group.0) && now.mono < since.plus(Span::hours(24))
        });
    }
}

/// The receiver refuses what a part says: halve the next ones, down to the one ticket at fault.
fn refused_content(state: &mut ReceiverState, flight: &Flight, part: &PartOutcome, now: Now) {
    match part.event_ids.as_slice() {
        // It told of no ticket, or how many are gone, which cannot be said in less.
        [] => {}
        [one] => {
            // Where an alert is known by its labels, fewer words would make it another one.
            let known_by_labels =
                shows_groups(&state.target.endpoint) || forgets(state.target.endpoint.kind());
            let nothing_less = flight.in_few_words || known_by_labels;
            state.refused.add(one, nothing_less, now.mono);
        }
        many => state.allowance.batch_refused(many.len()),
    }
}
