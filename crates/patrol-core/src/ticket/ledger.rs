//! The delivery ledger of a ticket (`status.alerts[]`) and what it still owes.
//!
//! Obligations are a pure function of durable state, so a restart computes the same ones
//! with the same ids. The ledger only grows; merging a stale copy with memory is a join.

mod owed;

use std::cmp::Ordering;

use patrol_api::ticket::{AlertRecord, TicketStatus, limits};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, ToldState};

use crate::fingerprint;

pub use owed::{Join, Pace, may_go_at, obligation, put_off};

/// How far two clocks may differ.
const SKEW: Span = Span::minutes(5);

/// One thing a receiver must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Firing or Closed.
    pub state: ToldState,
    /// Episode it is about.
    pub episode: u64,
    /// Edge it is about.
    pub seq: u64,
    /// Telling of that edge in that state, from 1.
    pub n: u64,
    /// Why.
    pub reason: AlertReason,
    /// Step of escalation, from 1; 0 while nothing escalated.
    pub level: u64,
    /// In place of another receiver that is not ready.
    pub failover: bool,
    /// When it may be sent at the earliest.
    pub due: Time,
}

impl Telling {
    /// Its id: the same for every try.
    #[must_use]
    pub fn event_id(&self, ticket_uid: &str, receiver_uid: &str) -> String {
        fingerprint::event_id(
            ticket_uid,
            receiver_uid,
            self.state.as_str(),
            self.episode,
            self.seq,
            self.n,
        )
    }

    /// What was last told, told once more under the id that it had.
    #[must_use]
    pub fn again(record: &AlertRecord, failover: bool, due: Time) -> Self {
        Self {
            state: record.state,
            episode: record.episode,
            seq: record.seq,
            n: record.n,
            reason: AlertReason::Reminder,
            level: record.level,
            failover,
            due,
        }
    }

    /// Whether it is a new edge (not a repetition of what was told).
    #[must_use]
    pub fn is_edge(&self) -> bool {
        self.n == 1
    }
}

/// What was last told to a receiver.
#[must_use]
pub fn told<'a>(status: &'a TicketStatus, receiver_uid: &str) -> Option<&'a AlertRecord> {
    status.alerts.iter().find(|r| r.uid == receiver_uid)
}

/// Writes down that a receiver accepted a telling, by name or (`digest`) by number. Never takes anything back: an older
/// telling than the one recorded changes nothing. Returns whether something changed.
pub fn record(
    status: &mut TicketStatus,
    receiver: &str,
    receiver_uid: &str,
    telling: &Telling,
    digest: bool,
    at: Time,
) -> bool {
    // A step of escalation that was told holds until the episode ends.
    let before = told(status, receiver_uid).filter(|r| r.episode == telling.episode);
    let level = before.map_or(telling.level, |r| r.level.max(telling.level));
    let quiet = before.filter(|_| telling.reason.is_quiet());
    let record = AlertRecord {
        receiver: receiver.to_owned(),
        uid: receiver_uid.to_owned(),
        seq: telling.seq,
        n: telling.n,
        state: telling.state,
        // What people did is no reminder: the next one waits no longer for it.
        reason: quiet.map_or(Some(telling.reason), |r| r.reason),
        at: quiet.map_or(at, |r| r.at),
        episode: telling.episode,
        level,
        digest: quiet.map_or(digest, |r| r.digest),
        // Whatever they did later may not be in it.
        quiet_at: match quiet {
            Some(_) => Some(telling.due),
            None => before.and_then(|r| r.quiet_at),
        },
    };
    let is_loud = quiet.is_none();
    // A receiver that was made anew under its old name: the one before is gone, and the
    // list holds one record a name. What was doubted of the one before comes too late.
    let edge = (record.episode, record.seq);
    let namesake = |r: &AlertRecord| r.receiver == record.receiver && r.uid != record.uid;
    if status
        .alerts
        .iter()
        .any(|r| namesake(r) && (r.episode, r.seq) > edge)
    {
        return false;
    }
    status
        .alerts
        .retain(|r| r.receiver != record.receiver || r.uid == record.uid);
    let changed = merge_one(&mut status.alerts, record);
    if changed && is_loud {
        status.last_alerted_at = status.last_alerted_at.max(Some(at));
    }
    changed
}

/// Joins the ledger of another copy of the same ticket into `into`: for each receiver the
/// record that is further along stays. Commutative, associative, idempotent, but for a
/// receiver that was made anew under its old name.
pub fn join(into: &mut Vec<AlertRecord>, other: &[AlertRecord]) {
    for record in other {
        let namesake = into
            .iter()
            .position(|r| r.receiver == record.receiver && r.uid != record.uid);
        match namesake.and_then(|at| into.get_mut(at)) {
            // One record a name: of two receivers the one told last is the one that is there.
            Some(held) if (held.at, &held.uid) < (record.at, &record.uid) => {
                *held = record.clone();
            }
            Some(_) => {}
            None => {
                merge_one(into, record.clone());
            }
        }
    }
}

/// Times ahead of the clock were written before it was set back: they count as now, so
/// that what is due next is late by one interval at most. Returns whether there
/// were any.
pub fn heal_clock(status: &mut TicketStatus, now: Time) -> bool {
    let mut healed = false;
    for record in &mut status.alerts {
        if is_ahead(record.at, now) {
            record.at = now;
            healed = true;
        }
        if let Some(at) = record.quiet_at.filter(|at| is_ahead(*at, now)) {
            record.quiet_at = Some(at.min(now));
            healed = true;
        }
    }
    healed
}

/// Whether a durable time cannot have been written by a clock that shows `now`.
#[must_use]
pub fn is_ahead(at: Time, now: Time) -> bool {
    at > now.plus(SKEW)
}

fn merge_one(into: &mut Vec<AlertRecord>, record: AlertRecord) -> bool {
    match into.iter_mut().find(|r| r.uid == record.uid) {
        Some(held) => {
            if progress(held, &record) != Ordering::Less {
                return false;
            }
            *held = record;
        }
        None => {
            into.push(record);
            into.sort_by(|a, b| (&a.receiver, &a.uid).cmp(&(&b.receiver, &b.uid)));
            if into.len() > limits::ALERTS {
                // Only receivers that are gone can make so many: forget the longest silent.
                if let Some(oldest) = (0..into.len()).min_by_key(|i| into.get(*i).map(|r| r.at)) {
                    into.remove(oldest);
                }
            }
        }
    }
    true
}

fn progress(a: &AlertRecord, b: &AlertRecord) -> Ordering {
    let rank = |r: &AlertRecord| (r.episode, r.seq, r.state == ToldState::Closed, r.n, r.at);
    rank(a).cmp(&rank(b))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
