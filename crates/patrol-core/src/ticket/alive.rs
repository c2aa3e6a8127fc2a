//! What is owed to a receiver that keeps an alarm only while it is repeated, and that may forget everything: an
//! Alertmanager holds alerts in memory and takes silence for an end.
//!
//! So an open ticket is told again every few minutes, whatever reminders, people and windows say: not news, but a sign of
//! life, and the receiver decides whom it disturbs. An end is told several times, so that one which was lost with the
//! receiver's memory, or with one member of its cluster, does not leave an alarm on.

use patrol_api::ticket::{AlertRecord, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, ToldState};

use super::ledger::{self, Pace, Telling};

/// Between two signs of life, and between two tellings of an end.
pub const REPEAT: Span = Span::minutes(5);
/// How often an end is told: at once and over the quarter of an hour that follows.
const ENDS: u64 = 4;

/// What such a receiver must be told next, and when. `heard` is when it last took a sign of life, which is no news and so
/// is written nowhere.
#[must_use]
pub fn obligation(
    ticket_uid: &str,
    status: &TicketStatus,
    receiver_uid: &str,
    pace: &Pace,
    heard: Option<Time>,
) -> Option<Telling> {
    let next = ledger::obligation(ticket_uid, status, receiver_uid, pace);
    let Some(told) = ledger::told(status, receiver_uid) else {
        return next;
    };
    match (told.state, status.phase) {
        (ToldState::Firing, Phase::Open | Phase::Acknowledged | Phase::Snoozed) => {
            let sign = sign_of_life(told, heard, pace);
            match next {
                Some(edge) if edge.is_edge() && edge.due <= sign.due => Some(edge),
                _ => Some(sign),
            }
        }
        (ToldState::Closed, Phase::Resolved | Phase::Waived)
            if next.is_none() && pace.send_resolved && ends_again(told) =>
        {
            Some(end_again(told, pace))
        }
        _ => next,
    }
}

/// Whether a receiver that was told an end must be told it again.
#[must_use]
pub fn ends_again(told: &AlertRecord) -> bool {
    // An end that was told late had no beginning there.
    told.state == ToldState::Closed && told.n < ENDS && told.reason != Some(AlertReason::Late)
}

fn sign_of_life(told: &AlertRecord, heard: Option<Time>, pace: &Pace) -> Telling {
    let last = heard.map_or(told.at, |at| at.max(told.at));
    Telling {
        state: ToldState::Firing,
        episode: told.episode,
        seq: told.seq,
        n: told.n.saturating_add(1),
        reason: AlertReason::Reminder,
        level: told.level,
        failover: pace.failover,
        due: last.plus(REPEAT),
    }
}

fn end_again(told: &AlertRecord, pace: &Pace) -> Telling {
    Telling {
        state: ToldState::Closed,
        episode: told.episode,
        seq: told.seq,
        n: told.n.saturating_add(1),
        reason: told.reason.unwrap_or(AlertReason::Resolved),
        level: told.level,
        failover: pace.failover,
        due: told.at.plus(REPEAT),
    }
}

/// Whether a telling is a sign of life and not news.
#[must_use]
pub fn is_sign_of_life(telling: &Telling) -> bool {
    telling.state == ToldState::Firing && !telling.is_edge()
}

#[cfg(test)]
mod tests {
    use patrol_api::policy::BySeverity;
    use patrol_api::words::Severity;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_unix(seconds)
    }

    fn pace() -> Pace {
        Pace::plain(BySeverity::repeat(), Span::seconds(30))
    }

    /// A ticket that was told at 140.
    fn told() -> TicketStatus {
        let mut status = TicketStatus {
            severity: Some(Severity::Low),
            ..TicketStatus::default()
        };
        status.episode.opened_at = Some(at(100));
        tell(&mut status, 140);
        status
    }

    /// Tells what is owed and says what that was.
    fn tell(status: &mut TicketStatus, when: i64) -> Option<Telling> {
        let telling = obligation("t", status, "r", &pace(), None)?;
        ledger::record(status, "am", "r", &telling, false, at(when));
        Some(telling)
    }

    #[test]
    fn an_open_ticket_is_told_again_every_five_minutes() {
        let status = told();
        let next = obligation("t", &status, "r", &pace(), None).unwrap();
        assert_eq!((next.state, next.due), (ToldState::Firing, at(440)));
        assert!(is_sign_of_life(&next));
        // One that was heard and not written down counts too, an older one does not.
        for (heard, due) in [(500, 800), (120, 440)] {
            let next = obligation("t", &status, "r", &pace(), Some(at(heard))).unwrap();
            assert_eq!(next.due, at(due), "{heard}");
        }
    }

    #[test]
    fn people_quieten_others_and_not_a_sign_of_life() {
        for phase in [Phase::Acknowledged, Phase::Snoozed] {
            let mut status = told();
            status.phase = phase;
            let next = obligation("t", &status, "r", &pace(), None).unwrap();
            assert_eq!(next.due, at(440), "{phase:?}");
        }
    }

    #[test]
    fn who_was_never_told_owes_its_edge_alone() {
        let mut status = told();
        status.alerts.clear();
        let next = obligation("t", &status, "r", &pace(), None).unwrap();
        assert_eq!((next.n, next.due), (1, at(130)));
        status.phase = Phase::Acknowledged;
        assert_eq!(obligation("t", &status, "r", &pace(), None), None);
    }

    #[test]
    fn an_edge_comes_before_a_sign_of_life() {
        let mut status = told();
        status.alert_seq = 2;
        status.alert_reason = Some(AlertReason::SLABreached);
        status.episode.breached_at = Some(at(200));
        let next = obligation("t", &status, "r", &pace(), None).unwrap();
        assert_eq!((next.seq, next.n), (2, 1));
        // One that has to wait lets the signs go on.
        let slow = Pace {
            group_wait: Span::hours(1),
            ..pace()
        };
        let next = obligation("t", &status, "r", &slow, None).unwrap();
        assert_eq!((next.seq, next.n, next.due), (1, 2, at(440)));
    }

    #[test]
    fn an_end_is_told_four_times_within_a_quarter_of_an_hour() {
        let mut status = told();
        status.phase = Phase::Resolved;
        status.episode.resolved_at = Some(at(1000));
        let mut times = vec![];
        while let Some(next) = obligation("t", &status, "r", &pace(), None) {
            assert_eq!(next.state, ToldState::Closed);
            times.push((next.n, next.due.unix()));
            ledger::record(&mut status, "am", "r", &next, false, next.due);
        }
        assert_eq!(times, [(1, 1000), (2, 1300), (3, 1600), (4, 1900)]);
        // And a ticket that comes back is told so.
        status.phase = Phase::Open;
        status.episode.n = 2;
        status.episode.opened_at = Some(at(1950));
        status.alert_seq = 2;
        let next = obligation("t", &status, "r", &pace(), None).unwrap();
        assert_eq!((next.state, next.episode), (ToldState::Firing, 2));
    }

    #[test]
    fn coming_back_stops_the_repetition_of_the_end() {
        let mut status = told();
        status.phase = Phase::Resolved;
        status.episode.resolved_at = Some(at(1000));
        tell(&mut status, 1000);
        status.phase = Phase::Open;
        status.episode.n = 2;
        status.episode.opened_at = Some(at(1100));
        status.alert_seq = 2;
        let next = tell(&mut status, 1140).unwrap();
        assert_eq!((next.state, next.n), (ToldState::Firing, 1));
    }

    #[test]
    fn who_does_not_want_ends_is_not_told_them_again() {
        let mut status = told();
        status.phase = Phase::Resolved;
        status.episode.resolved_at = Some(at(1000));
        tell(&mut status, 1000);
        let silent = Pace {
            send_resolved: false,
            ..pace()
        };
        assert_eq!(obligation("t", &status, "r", &silent, None), None);
    }
}
