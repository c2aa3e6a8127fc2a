//! What is owed to whom, and that the ledger is a join.

use super::*;
use patrol_api::policy::BySeverity;
use patrol_api::words::{Phase, Severity};
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
    Pace::plain(BySeverity::repeat(), Span::seconds(30))
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
        false,
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

/// What was escalated stays so until the episode ends, whatever is told after it.
#[test]
fn a_step_of_escalation_that_was_told_is_kept() {
    let mut status = open_at(100);
    let first = obligation("t", &status, "r", &pace()).unwrap();
    let at = Time::from_unix(140);
    let escalated = Telling {
        level: 2,
        n: 2,
        ..first.clone()
    };
    record(&mut status, "soc", "r", &escalated, false, at);
    let breached = Telling {
        seq: 2,
        n: 1,
        level: 0,
        ..first.clone()
    };
    record(
        &mut status,
        "soc",
        "r",
        &breached,
        false,
        at.plus(Span::minutes(1)),
    );
    assert_eq!(told(&status, "r").unwrap().level, 2);
    let again = Telling {
        episode: 2,
        seq: 3,
        n: 1,
        level: 0,
        ..first
    };
    record(
        &mut status,
        "soc",
        "r",
        &again,
        false,
        at.plus(Span::minutes(2)),
    );
    assert_eq!(told(&status, "r").unwrap().level, 0);
}

#[test]
fn only_who_was_told_firing_is_owed_a_close() {
    let mut status = open_at(100);
    let first = obligation("t", &status, "told", &pace()).unwrap();
    record(
        &mut status,
        "a",
        "told",
        &first,
        false,
        Time::from_unix(140),
    );
    status.phase = Phase::Resolved;
    status.episode.resolved_at = Some(Time::from_unix(200));
    assert_eq!(obligation("t", &status, "untold", &pace()), None);
    let close = obligation("t", &status, "told", &pace()).unwrap();
    assert_eq!(
        (close.state, close.due),
        (ToldState::Closed, Time::from_unix(200))
    );
    record(
        &mut status,
        "a",
        "told",
        &close,
        false,
        Time::from_unix(210),
    );
    assert_eq!(obligation("t", &status, "told", &pace()), None);
}

#[test]
fn a_reopened_ticket_owes_a_new_edge_even_where_the_close_was_never_told() {
    let mut status = open_at(100);
    let first = obligation("t", &status, "r", &pace()).unwrap();
    record(&mut status, "a", "r", &first, false, Time::from_unix(140));
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
            quiet_at: None,
        },
    )
}

/// What was doubted of a receiver that is gone is no news of the one that has its name now.
#[test]
fn a_former_receiver_of_the_same_name_takes_no_record_away() {
    let mut status = open_at(100);
    let telling = |episode, seq| Telling {
        state: ToldState::Firing,
        episode,
        seq,
        n: 1,
        reason: AlertReason::Opened,
        level: 0,
        failover: false,
        due: Time::from_unix(100),
    };
    let at = Time::from_unix(200);
    assert!(record(&mut status, "soc", "old", &telling(1, 1), false, at));
    assert!(record(&mut status, "soc", "new", &telling(1, 1), false, at));
    assert!(record(&mut status, "soc", "new", &telling(2, 4), false, at));
    assert!(!record(
        &mut status,
        "soc",
        "old",
        &telling(1, 1),
        false,
        at
    ));
    assert_eq!(super::told(&status, "new").map(|r| r.seq), Some(4));
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

    #[test]
    fn told_counters_never_go_back(words in proptest::collection::vec((any::<bool>(), any_record()), 0..30)) {
        let mut status = open_at(100);
        for (told, word) in words {
            let before = status.alerts.clone();
            if told {
                let telling = Telling {
                    state: word.state,
                    episode: word.episode,
                    seq: word.seq,
                    n: word.n,
                    reason: AlertReason::Reminder,
                    level: 0,
                    failover: false,
                    due: word.at,
                };
                record(&mut status, &word.receiver, &word.uid, &telling, false, word.at);
            } else {
                join(&mut status.alerts, &[word]);
            }
            for was in before {
                let is = super::told(&status, &was.uid).unwrap();
                let rank = |r: &AlertRecord| (r.episode, r.seq, r.state == ToldState::Closed, r.n);
                prop_assert!(rank(is) >= rank(&was), "{was:?} became {is:?}");
            }
        }
    }
}
