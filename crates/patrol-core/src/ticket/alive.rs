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
use crate::windows::Errand;

/// Between two signs of life, and between two tellings of an end.
pub const REPEAT: Span = Span::minutes(5);
/// How often an end is told: at once and over the quarter of an hour that follows.
const ENDS: u64 = 4;

/// What such a receiver heard that is no news, and so is written nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// When it last took a sign of life.
    pub at: Option<Time>,
    /// How often it was told that its alarm is taken back, and when the last time.
    pub withdrawn: Option<(u64, Time)>,
}

/// What such a receiver must be told next, and when.
#[must_use]
pub fn obligation(
    ticket_uid: &str,
    status: &TicketStatus,
    receiver_uid: &str,
    pace: &Pace,
    heard: Heard,
) -> Option<Telling> {
    if pace.leaving {
        let told = ledger::told(status, receiver_uid)?;
        return withdrawal(told, heard, pace);
    }
    let next = ledger::obligation(ticket_uid, status, receiver_uid, pace);
    let Some(told) = ledger::told(status, receiver_uid) else {
        return next;
    };
    match (told.state, status.phase) {
        (ToldState::Firing, Phase::Open | Phase::Acknowledged | Phase::Snoozed) => {
            let sign = sign_of_life(told, heard.at, pace);
            match next {
                Some(edge) if edge.is_edge() && edge.due <= sign.due => Some(edge),
                _ => Some(sign),
            }
        }
        (ToldState::Closed, Phase::Resolved | Phase::Waived)
            if next.is_none() && ends_again(told) =>
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

/// The end of an alarm whose ticket goes on, but not for this receiver: told as often as any other end. The ticket's record stays
/// as it is, so that the alarm begins again when the receiver is named again.
fn withdrawal(told: &AlertRecord, heard: Heard, pace: &Pace) -> Option<Telling> {
    let (times, due) = match heard.withdrawn {
        Some((times, last)) => (times, last.plus(REPEAT)),
        None => (0, told.at),
    };
    (told.state == ToldState::Firing && times < ENDS).then(|| Telling {
        state: ToldState::Closed,
        episode: told.episode,
        seq: told.seq,
        // No end of the ticket has these numbers.
        n: ENDS + 1 + times,
        reason: AlertReason::Withdrawn,
        level: told.level,
        failover: pace.failover,
        due: pace.opening(
            due,
            Errand {
                resolved: true,
                ..Errand::default()
            },
        ),
    })
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

    fn heard_at(seconds: i64) -> Heard {
        Heard {
            at: Some(at(seconds)),
            ..Heard::default()
        }
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
        let telling = obligation("t", status, "r", &pace(), Heard::default())?;
        ledger::record(status, "am", "r", &telling, false, at(when));
        Some(telling)
    }

    #[test]
    fn an_open_ticket_is_told_again_every_five_minutes() {
        let status = told();
        let next = obligation("t", &status, "r", &pace(), Heard::default()).unwrap();
        assert_eq!((next.state, next.due), (ToldState::Firing, at(440)));
        assert!(is_sign_of_life(&next));
        // One that was heard and not written down counts too, an older one does not.
        for (heard, due) in [(500, 800), (120, 440)] {
            let next = obligation("t", &status, "r", &pace(), heard_at(heard)).unwrap();
            assert_eq!(next.due, at(due), "{heard}");
        }
    }

    #[test]
    fn people_quieten_others_and_not_a_sign_of_life() {
        for phase in [Phase::Acknowledged, Phase::Snoozed] {
            let mut status = told();
            status.phase = phase;
            let next = obligation("t", &status, "r", &pace(), Heard::default()).unwrap();
            assert_eq!(next.due, at(440), "{phase:?}");
        }
    }

    #[test]
    fn who_was_never_told_owes_its_edge_alone() {
        let mut status = told();
        status.alerts.clear();
        let next = obligation("t", &status, "r", &pace(), Heard::default()).unwrap();
        assert_eq!((next.n, next.due), (1, at(130)));
        status.phase = Phase::Acknowledged;
        assert_eq!(
            obligation("t", &status, "r", &pace(), Heard::default()),
            None
        );
    }

    #[test]
    fn an_edge_comes_before_a_sign_of_life() {
        let mut status = told();
        status.alert_seq = 2;
        status.alert_reason = Some(AlertReason::SLABreached);
        status.episode.breached_at = Some(at(200));
        let next = obligation("t", &status, "r", &pace(), Heard::default()).unwrap();
        assert_eq!((next.seq, next.n), (2, 1));
        // One that has to wait lets the signs go on.
        let slow = Pace {
            group_wait: Span::hours(1),
            ..pace()
        };
        let next = obligation("t", &status, "r", &slow, Heard::default()).unwrap();
        assert_eq!((next.seq, next.n, next.due), (1, 2, at(440)));
    }

    #[test]
    fn an_end_is_told_four_times_within_a_quarter_of_an_hour() {
        let mut status = told();
        status.phase = Phase::Resolved;
        status.episode.resolved_at = Some(at(1000));
        let mut times = vec![];
        while let Some(next) = obligation("t", &status, "r", &pace(), Heard::default()) {
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
        let next = obligation("t", &status, "r", &pace(), Heard::default()).unwrap();
        assert_eq!((next.state, next.episode), (ToldState::Firing, 2));
    }

    #[test]
    fn an_alarm_that_is_for_others_now_is_taken_back_four_times_and_can_begin_again() {
        let status = told();
        let leaving = Pace {
            leaving: true,
            ..pace()
        };
        let mut heard = heard_at(600);
        let mut times = vec![];
        while let Some(next) = obligation("t", &status, "r", &leaving, heard) {
            assert_eq!(
                (next.state, next.reason),
                (ToldState::Closed, AlertReason::Withdrawn)
            );
            let before = heard.withdrawn.map_or(0, |(times, _)| times);
            let when = next.due.max(at(1000));
            times.push((next.n, when.unix()));
            heard.withdrawn = Some((before + 1, when));
        }
        assert_eq!(times, [(5, 1000), (6, 1300), (7, 1600), (8, 1900)]);
        let next = obligation("t", &status, "r", &pace(), Heard::default()).unwrap();
        assert!(is_sign_of_life(&next));
        // Whoever was told nothing has no alarm to take back.
        let mut untold = status;
        untold.alerts.clear();
        assert_eq!(
            obligation("t", &untold, "r", &leaving, Heard::default()),
            None
        );
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
}
