//! Tellings of which nobody knows whether they were taken: the reply was lost, or the
//! process that sent them died before it wrote them down. While the ticket is open they
//! are simply told again. When it ends first, whoever may have been told counts as told,
//! and so is told the end: an end too many harms nobody, one too few leaves an alarm on.

use std::collections::BTreeMap;

use patrol_api::ticket::TicketStatus;
use patrol_api::words::{AlertReason, Phase, ToldState};

use super::super::{Keys, Patrol};
use super::Flight;
use crate::clock::Now;
use crate::event::{DeliveryClass, PartOutcome};
use crate::facts::ObjectKey;
use crate::ticket::ledger::{self, Telling};

/// By ticket and UID of the receiver: its name and what it may have been told.
pub(super) type Unsure = BTreeMap<ObjectKey, BTreeMap<String, (String, Telling)>>;

impl Patrol {
    fn doubt(&mut self, key: &ObjectKey, receiver: &str, uid: &str, telling: &Telling) {
        let of_ticket = self.agenda.unsure.entry(key.clone()).or_default();
        let doubt = (receiver.to_owned(), telling.clone());
        let before = of_ticket.insert(uid.to_owned(), doubt);
        let same = before.is_some_and(|(_, before)| before == *telling);
        self.counters.duplicates_possible += u64::from(!same);
    }

    /// A part ended without a certain answer.
    pub(super) fn doubt_part(&mut self, receiver: &str, flight: &Flight, part: &PartOutcome) {
        if part.class != DeliveryClass::Transient {
            return;
        }
        let told = part
            .event_ids
            .iter()
            .filter_map(|id| flight.tellings.get(id));
        for (key, _, telling) in told.filter(|(_, _, t)| t.state == ToldState::Firing) {
            self.doubt(key, receiver, &flight.receiver_uid, telling);
        }
    }

    /// Leadership begins anew. Of tickets that are there the stored state tells; of those
    /// that are not, and whose end is owed, what was under way may have been told.
    pub(in crate::engine) fn succeed_myself(&mut self, owing: &Keys) {
        self.agenda.succeeded = true;
        self.agenda.heard.clear();
        self.agenda.unsure.retain(|key, _| owing.contains(key));
        let mut doubtful = vec![];
        for (name, state) in &self.receivers {
            for flight in state.flights.values() {
                let told = flight.tellings.values();
                let firing = told.filter(|(key, _, telling)| {
                    telling.state == ToldState::Firing && owing.contains(key)
                });
                for (key, _, telling) in firing {
                    let uid = flight.receiver_uid.clone();
                    doubtful.push((key.clone(), name.clone(), uid, telling.clone()));
                }
            }
        }
        for (key, name, uid, telling) in doubtful {
            self.doubt(&key, &name, &uid, &telling);
        }
    }

    /// A receiver goes with what is under way to it: all of that may have been told.
    pub(in crate::engine) fn doubt_flights(&mut self, receiver: &str) {
        let mut doubtful = vec![];
        for flight in self
            .receivers
            .get(receiver)
            .into_iter()
            .flat_map(|r| r.flights.values())
        {
            for (key, _, telling) in flight.tellings.values() {
                if telling.state == ToldState::Firing {
                    doubtful.push((key.clone(), flight.receiver_uid.clone(), telling.clone()));
                }
            }
        }
        for (key, uid, telling) in doubtful {
            self.doubt(&key, receiver, &uid, &telling);
        }
    }

    /// Whether what the process that led before told is still to be doubted.
    pub(in crate::engine) const fn has_predecessor(&self) -> bool {
        self.agenda.succeeded
    }

    /// It may have told somebody of whom this process hears only now.
    pub(in crate::engine) const fn has_predecessor_again(&mut self) {
        self.agenda.succeeded = true;
    }

    /// What the process that led before told and did not write down, nobody knows.
    pub(in crate::engine) fn doubt_predecessor(&mut self, now: Now) {
        if !std::mem::take(&mut self.agenda.succeeded) {
            return;
        }
        let open: Vec<ObjectKey> = self
            .tickets
            .iter()
            .filter(|(_, _, status)| may_fire(status))
            .map(|(key, _, _)| key.clone())
            .collect();
        for key in &open {
            self.doubt_untold(key);
        }
        // One that was gone before its policy was seen may have ended already.
        let gone: Vec<ObjectKey> = self
            .tickets
            .keys()
            .filter(|key| !self.tickets.contains(key))
            .cloned()
            .collect();
        for key in &gone {
            self.doubt_last_edge(key);
            let held = self.tickets.view_or_last(key);
            if held.is_some_and(|(_, status)| status.phase == Phase::Resolved) {
                self.count_unsure_as_told(key, now);
            }
        }
    }

    /// Doubts the last edge of an open ticket wherever it is not known to be told.
    pub(in crate::engine) fn doubt_untold(&mut self, key: &ObjectKey) {
        let view = self.tickets.view(key);
        if view.is_some_and(|(_, status)| may_fire(status)) {
            self.doubt_last_edge(key);
        }
    }

    fn doubt_last_edge(&mut self, key: &ObjectKey) {
        let Some((ticket, status)) = self.tickets.view_or_last(key) else {
            return;
        };
        let Some(due) = status.episode.opened_at else {
            return;
        };
        let (episode, seq) = (status.episode.n, status.alert_seq);
        // A process of before the last one may have told it, too, when another stood in for a receiver.
        let since = status.alert_at.unwrap_or(due);
        let routes = self.with_former_standbys(self.routed(ticket, status), status, since);
        let untold: Vec<(String, String)> = routes
            .into_iter()
            .filter(|route| {
                ledger::told(status, &route.uid).is_none_or(|r| (r.episode, r.seq) < (episode, seq))
            })
            .map(|route| (route.receiver, route.uid))
            .collect();
        let telling = Telling {
            state: ToldState::Firing,
            episode,
            seq,
            n: 1,
            reason: status.alert_reason.unwrap_or(AlertReason::Opened),
            level: 0,
            failover: false,
            due,
        };
        for (receiver, uid) in untold {
            self.doubt(key, &receiver, &uid, &telling);
        }
    }

    /// Whether someone may have been told of a ticket without our knowing.
    pub(in crate::engine) fn is_unsure(&self, key: &ObjectKey) -> bool {
        self.agenda.unsure.contains_key(key)
            || self
                .receivers
                .values()
                .flat_map(|r| r.flights.values())
                .any(|flight| flight.keys.contains(key))
    }

    /// A ticket ended. To be called before its end is written, so that one write says both
    /// that it ended and who is owed the news.
    pub(in crate::engine) fn count_unsure_as_told(&mut self, key: &ObjectKey, now: Now) {
        let mut told = self.agenda.unsure.remove(key).unwrap_or_default();
        for (name, state) in &self.receivers {
            for flight in state.flights.values().filter(|f| f.keys.contains(key)) {
                let firing = flight
                    .tellings
                    .values()
                    .filter(|(at, _, t)| at == key && t.state == ToldState::Firing);
                told.extend(
                    firing
                        .map(|(_, _, t)| (flight.receiver_uid.clone(), (name.clone(), t.clone()))),
                );
            }
        }
        told.retain(|uid, (receiver, _)| !self.is_replaced(receiver, uid));
        let Some(status) = self.tickets.status_mut(key) else {
            return;
        };
        let last = status.last_alerted_at;
        for (uid, (receiver, telling)) in &told {
            self.closing.dirty |= ledger::record(status, receiver, uid, telling, false, now.wall);
        }
        // It was perhaps told, but certainly not accepted now.
        status.last_alerted_at = last;
    }
}

/// Whether a ticket is told as firing now: the edge of a waiver closes and is no alarm.
const fn may_fire(status: &TicketStatus) -> bool {
    !matches!(status.phase, Phase::Resolved | Phase::Waived)
}
