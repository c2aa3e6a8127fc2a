//! Tickets stay small: fifty thousand of them live in one etcd.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

use patrol_api::ticket::{
    AlertRecord, Finding, HistoryEntry, Subject, Ticket, TicketSpec, TicketStatus, limits,
};
use patrol_api::time::Time;
use patrol_api::words::{AlertReason, Layer, Party, Phase, Severity, ToldState};

/// A ticket with full texts and lists, names of a usual length, and this many receivers told.
fn ticket(receivers: usize) -> Ticket {
    let now = Time::from_unix(1_800_000_000);
    let finding = Finding {
        policy: "production".to_owned(),
        check: "sidecar-injection-opted-out".to_owned(),
        requirement: Some("security-center".to_owned()),
        subject: Subject {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("checkout-production".to_owned()),
            name: "checkout-payment-gateway".to_owned(),
            uid: Some("6f0c6a0e-0000-4000-8000-000000000000".to_owned()),
        },
        subject_ref: "Deployment/checkout-payment-gateway".to_owned(),
        layer: Layer::L3,
        cluster: None,
    };
    let spec = TicketSpec {
        finding,
        assignee: None,
        acknowledge: None,
        snooze: None,
        recheck: None,
    };
    let mut status = TicketStatus {
        severity: Some(Severity::Critical),
        party: Some(Party::Customer),
        title: "t".repeat(limits::TITLE),
        message: "m".repeat(limits::TEXT),
        remediation: "r".repeat(limits::TEXT),
        ..TicketStatus::default()
    };
    status.evidence.affected.sample =
        vec!["checkout-payment-gateway-7d9f8b6c5d-x2x4z".to_owned(); limits::SAMPLE];
    status.evidence.reasons = vec!["image-not-allowed".to_owned(); limits::REASONS];
    status.evidence.paths =
        vec!["/spec/template/spec/containers/0/image".to_owned(); limits::PATHS];
    status.history = vec![
        HistoryEntry {
            at: now,
            from: Some(Phase::Open),
            to: Phase::Resolved,
            reason: "Fixed".to_owned(),
            actor: "kube-patrol".to_owned(),
        };
        limits::HISTORY
    ];
    status.alerts = (0..receivers)
        .map(|n| AlertRecord {
            receiver: format!("receiver-of-team-{n}"),
            uid: "6f0c6a0e-0000-4000-8000-000000000000".to_owned(),
            seq: 12,
            n: 34,
            state: ToldState::Firing,
            reason: Some(AlertReason::Reminder),
            at: now,
            episode: 5,
            level: 1,
            digest: true,
            quiet_at: None,
        })
        .collect();
    let mut ticket = Ticket::new(
        "sidecar-injection-opted-out-abcdefghijklmnopqrstuvwxyz",
        spec,
    );
    ticket.status = Some(status);
    ticket
}

#[test]
fn f33_a_full_ticket_of_latin_letters_stays_within_eight_kilobytes() {
    let size = serde_json::to_vec(&ticket(5)).unwrap().len();
    assert!((4_096..8_192).contains(&size), "{size} bytes");
}

#[test]
fn every_list_full_is_still_far_from_what_an_api_server_takes() {
    let size = serde_json::to_vec(&ticket(limits::ALERTS)).unwrap().len();
    assert!(size < 20_480, "{size} bytes");
}

/// Limits count characters, and a character may take four bytes: Chinese texts take three.
#[test]
fn the_worst_ticket_there_can_be_is_a_fifteenth_of_what_etcd_takes() {
    let wide = |characters: usize| "\u{20000}".repeat(characters);
    let mut worst = ticket(limits::ALERTS);
    let finding = &mut worst.spec.finding;
    finding.subject.name = "n".repeat(253);
    finding.subject.namespace = Some("n".repeat(63));
    finding.subject_ref = format!("Deployment/{}", "n".repeat(253));
    let status = worst.status.as_mut().unwrap();
    status.title = wide(limits::TITLE);
    status.message = wide(limits::TEXT);
    status.remediation = wide(limits::TEXT);
    status.evidence.affected.sample = vec![wide(limits::SAMPLE_NAME); limits::SAMPLE];
    status.evidence.reasons = vec![wide(limits::REASON); limits::REASONS];
    status.evidence.paths = vec![wide(limits::PATH); limits::PATHS];
    for entry in &mut status.history {
        entry.reason = wide(limits::REASON);
        entry.actor = wide(limits::ACTOR);
    }
    for record in &mut status.alerts {
        record.receiver = "r".repeat(253);
    }
    let size = serde_json::to_vec(&worst).unwrap().len();
    assert!((65_536..98_304).contains(&size), "{size} bytes");
}

#[test]
fn an_absent_status_means_open_and_nobody_told() {
    let status: TicketStatus = serde_json::from_str("{}").unwrap();
    assert_eq!(status, TicketStatus::default());
    assert_eq!(
        (status.phase, status.alert_seq, status.episode.n),
        (Phase::Open, 1, 1)
    );
    assert!(serde_json::from_str::<TicketStatus>(r#"{"phase": "Closed"}"#).is_err());
}
