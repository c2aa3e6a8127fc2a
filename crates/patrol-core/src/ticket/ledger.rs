//! The delivery ledger of a ticket (`status.alerts[]`) and what it still owes.
//!
//! Obligations are a pure function of durable state, so a restart computes the same ones
//! with the same ids. The ledger only grows; merging a stale copy with memory is a join.

use std::cmp::Ordering;

use patrol_api::policy::BySeverity;
use patrol_api::ticket::{AlertRecord, TicketStatus, limits};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, ToldState};

use crate::fingerprint;

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

    /// Whether it is a new edge (not a repetition of what was told).
    #[must_use]
    pub fn is_edge(&self) -> bool {
        self.n == 1
    }
}

/// How a policy wants its tickets told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Interval of reminders.
    pub repeat: BySeverity,
    /// Wait after an edge, so that others can join its message.
    pub group_wait: Span,
    /// Whether resolved tickets are told.
    pub send_resolved: bool,
}

/// What was last told to a receiver.
#[must_use]
pub fn told<'a>(status: &'a TicketStatus, receiver_uid: &str) -> Option<&'a AlertRecord> {
    status.alerts.iter().find(|r| r.uid == receiver_uid)
}

/// What a receiver must be told next, and when. `None`: nothing ever, as things stand.
#[must_use]
pub fn obligation(
    ticket_uid: &str,
    status: &TicketStatus,
    receiver_uid: &str,
    pace: &Pace,
) -> Option<Telling> {
    let told = told(status, receiver_uid);
    if status.phase == Phase::Resolved {
        let told = told.filter(|r| r.state == ToldState::Firing)?;
        return Some(Telling {
            state: ToldState::Closed,
            episode: told.episode,
            seq: told.seq,
            n: 1,
            reason: AlertReason::Resolved,
            due: status.episode.resolved_at.unwrap_or(told.at),
        });
    }
    if status.phase != Phase::Open {
        return None;
    }
    let edge = (status.episode.n, status.alert_seq);
    match told {
        Some(r) if r.state == ToldState::Firing && (r.episode, r.seq) >= edge => {
            reminder(ticket_uid, status, r, pace)
        }
        _ => Some(Telling {
            state: ToldState::Firing,
            episode: edge.0,
            seq: edge.1,
            n: 1,
            reason: status.alert_reason.unwrap_or(AlertReason::Opened),
            due: edge_at(status)?.plus(pace.group_wait),
        }),
    }
}

fn reminder(
    ticket_uid: &str,
    status: &TicketStatus,
    told: &AlertRecord,
    pace: &Pace,
) -> Option<Telling> {
    // Info has no repeat of its own: as rarely as Low.
    let interval = status
        .severity
        .and_then(|s| pace.repeat.get(s))
        .unwrap_or(pace.repeat.low);
    // Spread over a tenth of the interval, so that tickets of one moment part ways.
    let spread =
        fingerprint::hash64(&[ticket_uid.as_bytes(), b"repeat"]) % (interval.as_secs() / 10).max(1);
    Some(Telling {
        state: ToldState::Firing,
        episode: told.episode,
        seq: told.seq,
        n: told.n.saturating_add(1),
        reason: AlertReason::Reminder,
        due: told.at.plus(interval).plus(Span::seconds(spread)),
    })
}

/// When the last edge happened.
fn edge_at(status: &TicketStatus) -> Option<Time> {
    let episode = &status.episode;
    match status.alert_reason {
        Some(AlertReason::SLABreached) => episode.breached_at.or(episode.opened_at),
        Some(AlertReason::SeverityRaised) => status
            .history
            .iter()
            .rev()
            .find(|h| h.reason == AlertReason::SeverityRaised.as_str())
            .map(|h| h.at)
            .or(episode.opened_at),
        _ => episode.opened_at,
    }
}

/// Writes down that a receiver accepted a telling. Never takes anything back: an older
/// telling than the one recorded changes nothing. Returns whether something changed.
pub fn record(
    status: &mut TicketStatus,
    receiver: &str,
    receiver_uid: &str,
    telling: &Telling,
    at: Time,
) -> bool {
    let record = AlertRecord {
        receiver: receiver.to_owned(),
        uid: receiver_uid.to_owned(),
        seq: telling.seq,
        n: telling.n,
        state: telling.state,
        reason: Some(telling.reason),
        at,
        episode: telling.episode,
        level: 0,
        digest: false,
    };
    // A receiver that was made anew under its old name: the one before is gone, and the
    // list holds one record a name.
    status
        .alerts
        .retain(|r| r.receiver != record.receiver || r.uid == record.uid);
    let changed = merge_one(&mut status.alerts, record);
    if changed {
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
mod tests {
    use super::*;
    use patrol_api::words::Severity;
    use proptest::prelude::*;

    fn open_at(seconds: i64) -> TicketStatus {
        let mut status = TicketStatus {
            severity: Some(Severity::High),
            ..TicketStatus::default()
        };
        status.episode.opened_at = Some(Time::from_unix(seconds));
        status
    }

    fn pace() -> Pace {
        Pace {
            repeat: BySeverity::repeat(),
            group_wait: Span::seconds(30),
            send_resolved: true,
        }
    }

    #[test]
    fn a_new_ticket_owes_its_opening_after_the_group_wait() {
        let owed = obligation("t", &open_at(100), "r", &pace()).unwrap();
        assert_eq!((owed.state, owed.seq, owed.n), (ToldState::Firing, 1, 1));
        assert_eq!(owed.due, Time::from_unix(130));
    }

    #[test]
    fn a_told_ticket_owes_a_reminder_within_interval_and_a_tenth() {
        let mut status = open_at(100);
        let first = obligation("t", &status, "r", &pace()).unwrap();
        assert!(record(
            &mut status,
            "soc",
            "r",
            &first,
            Time::from_unix(140)
        ));
        let next = obligation("t", &status, "r", &pace()).unwrap();
        assert_eq!(
            (next.seq, next.n, next.reason),
            (1, 2, AlertReason::Reminder)
        );
        let wait = next.due.since(Time::from_unix(140));
        assert!(wait >= Span::hours(24) && wait <= Span::hours(27), "{wait}");
        assert_ne!(first.event_id("t", "r"), next.event_id("t", "r"));
    }

    #[test]
    fn only_who_was_told_firing_is_owed_a_close() {
        let mut status = open_at(100);
        let first = obligation("t", &status, "told", &pace()).unwrap();
        record(&mut status, "a", "told", &first, Time::from_unix(140));
        status.phase = Phase::Resolved;
        status.episode.resolved_at = Some(Time::from_unix(200));
        assert_eq!(obligation("t", &status, "untold", &pace()), None);
        let close = obligation("t", &status, "told", &pace()).unwrap();
        assert_eq!(
            (close.state, close.due),
            (ToldState::Closed, Time::from_unix(200))
        );
        record(&mut status, "a", "told", &close, Time::from_unix(210));
        assert_eq!(obligation("t", &status, "told", &pace()), None);
    }

    #[test]
    fn a_reopened_ticket_owes_a_new_edge_even_where_the_close_was_never_told() {
        let mut status = open_at(100);
        let first = obligation("t", &status, "r", &pace()).unwrap();
        record(&mut status, "a", "r", &first, Time::from_unix(140));
        status.episode.n = 2;
        status.alert_seq = 2;
        status.alert_reason = Some(AlertReason::Reopened);
        let edge = obligation("t", &status, "r", &pace()).unwrap();
        assert_eq!((edge.episode, edge.seq, edge.n), (2, 2, 1));
    }

    fn any_record() -> impl Strategy<Value = AlertRecord> {
        (0u64..3, 1u64..4, 1u64..4, any::<bool>(), 0i64..5, 0u8..3).prop_map(
            |(episode, seq, n, closed, at, receiver)| AlertRecord {
                receiver: format!("r{receiver}"),
                uid: format!("u{receiver}"),
                seq,
                n,
                state: if closed {
                    ToldState::Closed
                } else {
                    ToldState::Firing
                },
                reason: None,
                at: Time::from_unix(at),
                episode,
                level: 0,
                digest: false,
            },
        )
    }

    proptest! {
        #[test]
        fn the_ledger_merge_is_a_join(
            a in proptest::collection::vec(any_record(), 0..6),
            b in proptest::collection::vec(any_record(), 0..6),
            c in proptest::collection::vec(any_record(), 0..6),
        ) {
            let merge = |parts: &[&[AlertRecord]]| {
                let mut out = vec![];
                for part in parts { join(&mut out, part); }
                out
            };
            prop_assert_eq!(merge(&[&a, &b, &c]), merge(&[&c, &a, &b]));
            prop_assert_eq!(merge(&[&a, &a]), merge(&[&a]));
        }
    }
}
