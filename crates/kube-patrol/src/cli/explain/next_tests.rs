use patrol_api::policy::PatrolPolicy;
use patrol_api::ticket::{AlertRecord, Overlay};
use patrol_api::time::Span;
use patrol_api::words::{Resolution, Severity};
use serde_json::json;

use super::*;

fn at(text: &str) -> Time {
    text.parse().unwrap()
}

fn now() -> Time {
    at("2026-11-29T12:00:00Z")
}

fn ticket() -> Ticket {
    let mut ticket: Ticket = serde_json::from_value(json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "Ticket",
        "metadata": {"name": "c-1", "namespace": "shop", "uid": "t"},
        "spec": {"finding": {"policy": "prod", "check": "c", "subject": {"kind": "Pod", "name": "web"},
                             "subjectRef": "Pod/web", "layer": "L3"}},
    }))
    .unwrap();
    let status = ticket.status.get_or_insert_default();
    status.severity = Some(Severity::High);
    status.episode.opened_at = Some(at("2026-11-29T11:00:00Z"));
    status.episode.due_at = Some(at("2026-12-06T11:00:00Z"));
    ticket
}

fn known() -> Known {
    let policy: PatrolPolicy = serde_json::from_value(json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy", "metadata": {"name": "prod", "uid": "p"},
        "spec": {"schedule": {"every": "15m"}, "alerts": {
            "repeat": {"high": "4h"}, "webhook": {"url": "http://example.com/own"},
            "receivers": [{"name": "soc"}, {"name": "ciso", "minSeverity": "Critical"}, {"name": "missing"}]}},
        "status": {"nextPatrolAt": "2026-11-29T12:10:00Z"},
    }))
    .unwrap();
    let receiver = |name: &str| {
        serde_json::from_value(json!({
            "apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver",
            "metadata": {"name": name, "uid": format!("uid-{name}")},
            "spec": {"webhook": {"url": "http://example.com/hook"}},
        }))
        .unwrap()
    };
    Known {
        policy: Some(policy),
        receivers: vec![receiver("soc"), receiver("ciso")],
        gaps: vec![],
    }
}

fn record(receiver: &str, uid: &str) -> AlertRecord {
    AlertRecord {
        receiver: receiver.into(),
        uid: uid.into(),
        seq: 1,
        n: 1,
        state: ToldState::Firing,
        reason: None,
        at: at("2026-11-29T11:30:00Z"),
        episode: 1,
        level: 0,
        digest: false,
    }
}

fn texts(ticket: &Ticket, known: &Known) -> Vec<String> {
    let steps = steps(ticket, known, now());
    steps
        .into_iter()
        .map(|s| match s.at {
            Some(at) => format!("{at} {}", s.what),
            None => s.what,
        })
        .collect()
}

#[test]
fn whoever_is_routed_is_told_after_the_group_wait() {
    let said = texts(&ticket(), &known());
    assert_eq!(said[0], "2026-11-29T11:00:30Z soc is told (Opened)");
    assert_eq!(said[1], "2026-11-29T11:00:30Z policy/prod is told (Opened)");
    assert_eq!(
        said[2],
        "2026-11-29T12:10:00Z the next patrol of prod; a change is inspected at once"
    );
    assert_eq!(
        said[3],
        "2026-12-06T11:00:00Z it is due: whoever is told hears SLABreached"
    );
    assert!(said[4].starts_with("when the subject is seen without the gap, and stays so for 30s"));
    assert!(
        !said
            .iter()
            .any(|s| s.contains("ciso") || s.contains("missing")),
        "{said:?}"
    );
}

#[test]
fn a_reminder_comes_with_the_policys_own_interval() {
    let mut told = ticket();
    told.status.as_mut().unwrap().alerts = vec![record("soc", "uid-soc")];
    let all = steps(&told, &known(), now());
    let reminder = all.iter().find(|s| s.what == "soc is reminded").unwrap();
    let wait = reminder.at.unwrap().since(at("2026-11-29T11:30:00Z"));
    // The interval and at most a tenth of it, and a minute beside full and half hours.
    assert!(
        wait >= Span::hours(4) && wait <= Span::minutes(266),
        "{wait}"
    );
}

#[test]
fn an_overlay_stops_reminders_and_its_end_is_said() {
    let mut paused = ticket();
    let status = paused.status.as_mut().unwrap();
    status.alerts = vec![record("soc", "uid-soc")];
    status.phase = Phase::Acknowledged;
    status.overlay = Some(Overlay {
        kind: OverlayKind::Acknowledged,
        by: None,
        reason: String::new(),
        until: at("2026-11-30T12:00:00Z"),
        asked: None,
        reset_sla: false,
        waiver: None,
    });
    let said = texts(&paused, &known());
    assert!(!said.iter().any(|s| s.contains("reminded")), "{said:?}");
    assert!(
        said.contains(
            &"2026-11-30T12:00:00Z the acknowledgement ends: reminders start again".into()
        ),
        "{said:?}"
    );
    assert!(said.iter().any(|s| s.contains("it is due")), "{said:?}");
    let status = paused.status.as_mut().unwrap();
    status.phase = Phase::Waived;
    status.overlay.as_mut().unwrap().kind = OverlayKind::Waived;
    let said = texts(&paused, &known());
    assert!(
        said.iter().any(|s| s.contains("the waiver ends")),
        "{said:?}"
    );
    assert!(!said.iter().any(|s| s.contains("it is due")), "{said:?}");
}

#[test]
fn a_resolved_ticket_owes_its_end_to_who_was_told_and_is_deleted_later() {
    let mut over = ticket();
    let status = over.status.as_mut().unwrap();
    // A receiver that no policy names any more was told, too.
    status.alerts = vec![record("old", "uid-old")];
    status.phase = Phase::Resolved;
    status.episode.resolution = Some(Resolution::Fixed);
    status.episode.resolved_at = Some(at("2026-11-29T11:45:00Z"));
    assert_eq!(
        texts(&over, &known()),
        [
            "2026-11-29T11:45:00Z old is told that it ended",
            "2026-11-29T11:45:30Z soc is told that it came and went",
            "2026-11-29T11:45:30Z policy/prod is told that it came and went",
            "2026-12-29T11:45:00Z the ticket is deleted, unless the gap comes back",
        ]
    );
    // Nothing else known: the ticket alone says as much.
    assert_eq!(texts(&over, &Known::default()).len(), 2);
}
