//! Bounds, ends and precedence of what people lay over a ticket, as a table of alerting.md 2.3 (T13 to T18).

use super::*;
use crate::ticket::ledger::{self, Pace};
use patrol_api::policy::BySeverity;
use patrol_api::words::ToldState;

const HOUR: i64 = 3600;

fn at(hours: i64) -> Time {
    Time::from_unix(1_800_000_000 + hours * HOUR)
}

fn open(severity: Severity) -> TicketStatus {
    let mut status = TicketStatus {
        severity: Some(severity),
        phase_since: Some(at(0)),
        alert_at: Some(at(0)),
        ..TicketStatus::default()
    };
    status.episode.opened_at = Some(at(0));
    status.episode.sla_start = Some(at(0));
    status.episode.due_at = Some(at(24));
    status
}

fn pause(hours: i64) -> Pause {
    serde_json::from_value(serde_json::json!({
        "until": at(hours), "reason": "we are on it", "by": "alice"
    }))
    .unwrap()
}

fn acknowledge(pause: &Pause) -> Wishes<'_> {
    Wishes {
        acknowledge: Some(pause),
        ..Wishes::default()
    }
}

fn waived(until: i64) -> Waived {
    Waived {
        waiver: "shop/legacy".into(),
        owner: "payments".into(),
        reason: "goes away in spring".into(),
        until: at(until),
        reset_sla: false,
    }
}

const SLA: Option<Span> = Some(Span::hours(24));

#[test]
fn a_pause_lasts_as_long_as_the_severity_allows() {
    for (severity, acknowledged, snoozed) in [
        (Severity::Critical, 24, 24),
        (Severity::High, 72, 72),
        (Severity::Medium, 7 * 24, 14 * 24),
        (Severity::Low, 14 * 24, 14 * 24),
    ] {
        let far = pause(10_000);
        let mut status = open(severity);
        let said = settle(&mut status, &acknowledge(&far), SLA, at(1));
        assert_eq!(said, Some("Acknowledged"));
        assert_eq!(ends_at(&status), Some(at(1 + acknowledged)), "{severity}");
        let mut status = open(severity);
        let wishes = Wishes {
            assignee: None,
            recheck: None,
            snooze: Some(&far),
            ..Wishes::default()
        };
        assert_eq!(settle(&mut status, &wishes, SLA, at(1)), Some("Snoozed"));
        assert_eq!(ends_at(&status), Some(at(1 + snoozed)), "{severity}");
    }
}

#[test]
fn a_pause_that_was_cut_is_not_granted_again_when_it_ends() {
    let far = pause(10_000);
    let mut status = open(Severity::Critical);
    settle(&mut status, &acknowledge(&far), SLA, at(1));
    assert_eq!(settle(&mut status, &acknowledge(&far), SLA, at(20)), None);
    assert_eq!(
        ends_at(&status),
        Some(at(25)),
        "the limit counts from the grant"
    );
    let seq = status.alert_seq;
    assert_eq!(
        settle(&mut status, &acknowledge(&far), SLA, at(25)),
        Some("ReArmed")
    );
    assert_eq!((status.phase, status.alert_seq), (Phase::Open, seq + 1));
    assert_eq!(settle(&mut status, &acknowledge(&far), SLA, at(26)), None);
    assert_eq!(status.phase, Phase::Open);
    // A new wish counts.
    let again = pause(30);
    let said = settle(&mut status, &acknowledge(&again), SLA, at(26));
    assert_eq!(
        (said, ends_at(&status)),
        (Some("Acknowledged"), Some(at(30)))
    );
}

#[test]
fn taking_a_pause_back_arms_the_ticket() {
    let until = pause(5);
    let mut status = open(Severity::High);
    settle(&mut status, &acknowledge(&until), SLA, at(1));
    assert_eq!(
        settle(&mut status, &Wishes::default(), SLA, at(2)),
        Some("ReArmed")
    );
    assert_eq!(status.alert_reason, Some(AlertReason::ReArmed));
    assert_eq!(status.spent, []);
    // And the same one may be laid again: somebody wrote it anew.
    let said = settle(&mut status, &acknowledge(&until), SLA, at(3));
    assert_eq!(said, Some("Acknowledged"));
}

#[test]
fn a_worse_ticket_cancels_a_pause_and_an_ended_episode_forgets_it() {
    let until = pause(5);
    let mut status = open(Severity::High);
    settle(&mut status, &acknowledge(&until), SLA, at(1));
    cancel(&mut status, &acknowledge(&until), at(2));
    assert_eq!(status.phase, Phase::Open);
    assert_eq!(settle(&mut status, &acknowledge(&until), SLA, at(2)), None);
    assert_eq!(
        status.phase,
        Phase::Open,
        "the old wish was for a milder ticket"
    );

    // Nor does the other pause that was wished for take its place.
    let (short, long) = (pause(4), pause(6));
    let both = Wishes {
        acknowledge: Some(&short),
        snooze: Some(&long),
        ..Wishes::default()
    };
    let mut status = open(Severity::High);
    settle(&mut status, &both, SLA, at(1));
    assert_eq!(status.phase, Phase::Snoozed);
    cancel(&mut status, &both, at(2));
    assert_eq!(settle(&mut status, &both, SLA, at(2)), None);
    assert_eq!(status.phase, Phase::Open);

    let mut status = open(Severity::High);
    settle(&mut status, &acknowledge(&until), SLA, at(1));
    end_episode(&mut status, &acknowledge(&until));
    status.phase = Phase::Open;
    assert_eq!(settle(&mut status, &acknowledge(&until), SLA, at(2)), None);
    assert_eq!(status.overlay, None);
}

#[test]
fn of_two_pauses_the_longer_one_counts() {
    let (short, long) = (pause(5), pause(8));
    let mut status = open(Severity::High);
    let wishes = Wishes {
        assignee: None,
        recheck: None,
        acknowledge: Some(&short),
        snooze: Some(&long),
        waiver: None,
    };
    assert_eq!(settle(&mut status, &wishes, SLA, at(1)), Some("Snoozed"));
    // When it is over so is the other.
    assert_eq!(settle(&mut status, &wishes, SLA, at(8)), Some("ReArmed"));
    assert_eq!(settle(&mut status, &wishes, SLA, at(9)), None);
}

#[test]
fn a_waiver_goes_before_pauses_and_stops_the_clock() {
    let until = pause(5);
    let waiver = waived(100);
    let wishes = Wishes {
        assignee: None,
        recheck: None,
        acknowledge: Some(&until),
        snooze: None,
        waiver: Some(&waiver),
    };
    let mut status = open(Severity::High);
    assert_eq!(settle(&mut status, &wishes, SLA, at(2)), Some("Waived"));
    assert_eq!(status.phase, Phase::Waived);
    // It ends after 10 hours: the due time moves by as much, and the pause is over meanwhile.
    let wishes = acknowledge(&until);
    assert_eq!(
        settle(&mut status, &wishes, SLA, at(12)),
        Some("WaiverEnded")
    );
    assert_eq!(status.episode.due_at, Some(at(34)));
    assert_eq!(status.phase, Phase::Open);
}

#[test]
fn a_waiver_may_ask_for_a_new_due_time() {
    let waiver = Waived {
        reset_sla: true,
        ..waived(10)
    };
    let wishes = Wishes {
        assignee: None,
        recheck: None,
        waiver: Some(&waiver),
        ..Wishes::default()
    };
    let mut status = open(Severity::High);
    settle(&mut status, &wishes, SLA, at(2));
    assert_eq!(
        settle(&mut status, &wishes, SLA, at(10)),
        Some("WaiverEnded")
    );
    assert_eq!(status.episode.due_at, Some(at(34)));
    assert_eq!(status.episode.sla_start, Some(at(10)));
}

#[test]
fn whoever_was_told_hears_of_a_waiver_once_and_of_its_end() {
    let pace = Pace::plain(BySeverity::repeat(), Span::ZERO);
    let mut status = open(Severity::High);
    let first = ledger::obligation("t", &status, "r", &pace).unwrap();
    ledger::record(&mut status, "soc", "r", &first, false, at(1));
    let waiver = waived(10);
    let wishes = Wishes {
        assignee: None,
        recheck: None,
        waiver: Some(&waiver),
        ..Wishes::default()
    };
    settle(&mut status, &wishes, SLA, at(2));
    let told = ledger::obligation("t", &status, "r", &pace).unwrap();
    assert_eq!(
        (told.state, told.reason, told.due),
        (ToldState::Closed, AlertReason::Waived, at(2))
    );
    ledger::record(&mut status, "soc", "r", &told, false, at(2));
    assert_eq!(ledger::obligation("t", &status, "r", &pace), None);
    assert_eq!(ledger::obligation("t", &status, "stranger", &pace), None);
    settle(&mut status, &wishes, SLA, at(10));
    let back = ledger::obligation("t", &status, "r", &pace).unwrap();
    assert_eq!(
        (back.state, back.reason),
        (ToldState::Firing, AlertReason::WaiverEnded)
    );
    ledger::record(&mut status, "soc", "r", &back, false, at(10));
    assert_eq!(ledger::told(&status, "r").unwrap().state, ToldState::Firing);
}
