use patrol_api::ticket::Overlay;
use patrol_api::words::Resolution;
use serde_json::json;

use super::*;

fn at(text: &str) -> Time {
    text.parse().unwrap()
}

const NOW: &str = "2026-11-29T12:00:00Z";

fn ticket(severity: Severity) -> Ticket {
    let finding = json!({
        "policy": "p", "check": "c", "subject": {"kind": "Pod", "namespace": "shop", "name": "web"},
        "subjectRef": "Pod/web", "layer": "L3",
    });
    let mut ticket: Ticket = serde_json::from_value(json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "Ticket",
        "metadata": {"name": "c-1", "namespace": "shop"}, "spec": {"finding": finding},
    }))
    .unwrap();
    let status = ticket.status.get_or_insert_default();
    status.severity = Some(severity);
    status.episode.due_at = Some(at("2026-12-01T09:30:00Z"));
    ticket
}

fn asked(kind: OverlayKind, span: Option<&str>, until: Option<&str>) -> Asked {
    Asked::Pause(Pausing {
        kind,
        until: until.map(|text| text.parse().unwrap()),
        span: span.map(|text| text.parse().unwrap()),
        reason: "known".into(),
    })
}

fn decided(ticket: &Ticket, asked: &Asked) -> Result<Decided, String> {
    decide(ticket, asked, "alice", at(NOW))
}

#[test]
fn an_acknowledgement_says_until_when_and_what_still_counts() {
    let ticket = ticket(Severity::High);
    let asked = asked(OverlayKind::Acknowledged, Some("24h"), None);
    let done = decided(&ticket, &asked).unwrap();
    assert_eq!(
        done.says,
        "Ticket shop/c-1 acknowledged until 2026-11-30 12:00 UTC by alice: no reminders until then; \
         the due time 2026-12-01 09:30 UTC still counts and will be told."
    );
    let pause = done.spec.unwrap().acknowledge.unwrap();
    assert_eq!(pause.until, at("2026-11-30T12:00:00Z"));
    assert_eq!(
        (&*pause.reason, pause.by.as_deref()),
        ("known", Some("alice"))
    );
}

#[test]
fn the_bounds_are_those_of_the_contract_to_the_second() {
    use OverlayKind::{Acknowledged, Snoozed};
    for (kind, severity, most) in [
        (Acknowledged, Severity::Critical, "24h"),
        (Acknowledged, Severity::High, "72h"),
        (Acknowledged, Severity::Medium, "7d"),
        (Acknowledged, Severity::Low, "14d"),
        (Snoozed, Severity::Critical, "24h"),
        (Snoozed, Severity::High, "72h"),
        (Snoozed, Severity::Medium, "14d"),
        (Snoozed, Severity::Low, "14d"),
    ] {
        let ticket = ticket(severity);
        decided(&ticket, &asked(kind, Some(most), None)).unwrap();
        let most: Span = most.parse().unwrap();
        let over = most.plus(Span::seconds(1)).to_string();
        let refused = decided(&ticket, &asked(kind, Some(&over), None)).unwrap_err();
        let until = when(at(NOW).plus(most));
        assert!(
            refused.contains(&format!(
                "severity {severity} lasts at most {most}, until {until}: "
            )),
            "{refused}"
        );
        // Without a time it is never longer than allowed.
        decided(&ticket, &asked(kind, None, None)).unwrap();
    }
}

#[test]
fn what_is_over_waived_or_says_no_reason_is_refused() {
    let past = decided(
        &ticket(Severity::Low),
        &asked(OverlayKind::Snoozed, None, Some("2026-11-29 11:59")),
    );
    assert!(
        past.unwrap_err()
            .contains("2026-11-29 11:59 UTC is not in the future")
    );
    let mut resolved = ticket(Severity::Low);
    let status = resolved.status.as_mut().unwrap();
    status.phase = Phase::Resolved;
    status.episode.resolution = Some(Resolution::Fixed);
    for asked in [
        asked(OverlayKind::Acknowledged, None, None),
        Asked::Resume(OverlayKind::Snoozed),
        Asked::Assign(Some("ann".into())),
    ] {
        let refused = decided(&resolved, &asked).unwrap_err();
        assert!(
            refused.contains("shop/c-1: it is resolved (Fixed)"),
            "{refused}"
        );
    }
    // A look can be asked for whatever a ticket says.
    decided(&resolved, &Asked::Recheck("1".into())).unwrap();
    let mut waived = ticket(Severity::Low);
    let status = waived.status.as_mut().unwrap();
    status.phase = Phase::Waived;
    status.overlay = Some(Overlay {
        kind: OverlayKind::Waived,
        by: None,
        reason: String::new(),
        until: at("2026-12-24T00:00:00Z"),
        asked: None,
        reset_sla: false,
        waiver: None,
    });
    let refused = decided(&waived, &asked(OverlayKind::Snoozed, None, None)).unwrap_err();
    assert!(
        refused.contains("waived until 2026-12-24 00:00 UTC"),
        "{refused}"
    );
    let Asked::Pause(mut silent) = asked(OverlayKind::Snoozed, None, None) else {
        panic!()
    };
    silent.reason = " ".into();
    let refused = decided(&ticket(Severity::Low), &Asked::Pause(silent)).unwrap_err();
    assert!(refused.contains("--reason is empty"), "{refused}");
}

#[test]
fn a_due_time_before_the_end_or_passed_is_said() {
    let mut late = ticket(Severity::High);
    let asked = asked(OverlayKind::Acknowledged, Some("72h"), None);
    let says = decided(&late, &asked).unwrap().says;
    assert!(
        says.contains(
            "the due time 2026-12-01 09:30 UTC is before that, still counts and will be told"
        ),
        "{says}"
    );
    let episode = &mut late.status.as_mut().unwrap().episode;
    episode.due_at = Some(at("2026-11-20T00:00:00Z"));
    episode.breached_at = Some(at("2026-11-20T00:00:01Z"));
    let says = decided(&late, &asked).unwrap().says;
    assert!(
        says.contains("it was due 2026-11-20 00:00 UTC and stays overdue"),
        "{says}"
    );
}

#[test]
fn the_later_word_counts_and_can_be_taken_back() {
    let mut ticket = ticket(Severity::High);
    let ack = asked(OverlayKind::Acknowledged, None, None);
    ticket.spec = *decided(&ticket, &ack).unwrap().spec.unwrap();
    let snooze = decided(&ticket, &asked(OverlayKind::Snoozed, None, None)).unwrap();
    assert!(
        snooze
            .says
            .ends_with("The acknowledgement there was is taken back.")
    );
    ticket.spec = *snooze.spec.unwrap();
    assert!(ticket.spec.acknowledge.is_none() && ticket.spec.snooze.is_some());
    let none = decided(&ticket, &Asked::Resume(OverlayKind::Acknowledged)).unwrap();
    assert_eq!(none.spec, None);
    assert_eq!(
        none.says,
        "Ticket shop/c-1 is not acknowledged: nothing to take back."
    );
    let clear = decided(&ticket, &Asked::Resume(OverlayKind::Snoozed)).unwrap();
    assert!(
        clear
            .says
            .contains("no longer snoozed: whoever was told is reminded again")
    );
    assert!(clear.spec.unwrap().snooze.is_none());
}

#[test]
fn somebody_is_assigned_and_nobody_again() {
    let mut ticket = ticket(Severity::High);
    let done = decided(&ticket, &Asked::Assign(Some("ann".into()))).unwrap();
    assert!(
        done.says.starts_with("Ticket shop/c-1 assigned to ann: "),
        "{}",
        done.says
    );
    ticket.spec = *done.spec.unwrap();
    let done = decided(&ticket, &Asked::Assign(Some("bob".into()))).unwrap();
    assert!(
        done.says.contains("assigned to bob (before: ann)"),
        "{}",
        done.says
    );
    let done = decided(&ticket, &Asked::Assign(None)).unwrap();
    assert_eq!(done.says, "Ticket shop/c-1 is nobody's now (before: ann).");
    ticket.spec = *done.spec.unwrap();
    assert_eq!(decided(&ticket, &Asked::Assign(None)).unwrap().spec, None);
}

#[test]
fn times_are_read_as_people_write_them() {
    for (text, time) in [
        ("2026-11-30T12:00:00+08:00", "2026-11-30T04:00:00Z"),
        ("2026-11-30T12:00:00Z", "2026-11-30T12:00:00Z"),
        ("2026-11-30", "2026-11-30T00:00:00Z"),
        ("2026-11-30 12:30", "2026-11-30T12:30:00Z"),
        ("2026-11-30T12:30", "2026-11-30T12:30:00Z"),
    ] {
        assert_eq!(text.parse(), Ok(Until(at(time))), "{text}");
    }
    for text in ["", "tomorrow", "8h", "2026-13-01", "30.11.2026"] {
        assert!(text.parse::<Until>().is_err(), "{text}");
    }
}
