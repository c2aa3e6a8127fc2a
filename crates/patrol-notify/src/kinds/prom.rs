//! A ticket as an alert of Prometheus: labels, annotations and fingerprint. Shared by both kinds that speak
//! Alertmanager's language.
//!
//! Labels are an alert's identity there, so they hold what stays the same as long as a ticket is open; whatever counts,
//! ages or is a sentence is an annotation. A label without a value is left out: Alertmanager does so too.

use std::collections::BTreeMap;

use patrol_api::time::{Span, Time};
use patrol_api::words::Severity;
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use serde_json::{Map, Value};

use super::{Style, summary};
use crate::chat;
use crate::render::reference;
use crate::text::clean;

/// Names and values, by name.
pub(super) type Labels = BTreeMap<String, String>;

/// `KubePatrolSidecarMissing` for `sidecar-missing`.
pub(super) fn alertname(check: &str) -> String {
    let mut name = String::from("KubePatrol");
    for word in check.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            name.push(first.to_ascii_uppercase());
            name.push_str(letters.as_str());
        }
    }
    name
}

/// The labels of a ticket while it has this severity.
pub(super) fn labels(
    notice: &Notice,
    ticket: &NoticeTicket,
    severity: Severity,
    style: Style,
) -> Labels {
    let mut labels = common(notice);
    let namespace = ticket.subject.namespace.as_deref().unwrap_or("");
    let name = if style.minimal {
        ""
    } else {
        &ticket.subject.name
    };
    put(&mut labels, "alertname", &alertname(&ticket.check));
    put(&mut labels, "check", &ticket.check);
    put(&mut labels, "severity", &lower(severity.as_str()));
    put(&mut labels, "namespace", namespace);
    put(&mut labels, "subject_kind", &ticket.subject.kind);
    put(&mut labels, "subject_name", name);
    put(&mut labels, "layer", ticket.layer.as_str());
    put(&mut labels, "party", &lower(ticket.party.as_str()));
    put(
        &mut labels,
        "ticket",
        &format!("{}/{}", ticket.namespace, ticket.name),
    );
    labels
}

/// What all alerts of a notice have in common.
pub(super) fn common(notice: &Notice) -> Labels {
    let mut labels = Labels::new();
    let cluster = match notice.cluster.name.as_str() {
        "" => &notice.cluster.id,
        name => name,
    };
    put(&mut labels, "cluster", cluster);
    put(&mut labels, "policy", &notice.policy);
    labels
}

/// The labels of a sign of life or a probe.
pub(super) fn sign(notice: &Notice) -> Labels {
    let mut labels = common(notice);
    let name = match notice.kind {
        NoticeKind::Heartbeat => "KubePatrolHeartbeat",
        _ => "KubePatrolTest",
    };
    put(&mut labels, "alertname", name);
    put(&mut labels, "severity", "info");
    put(&mut labels, "receiver", &notice.receiver);
    labels
}

/// Whatever may change while a ticket is open, and what people read.
pub(super) fn annotations(ticket: &NoticeTicket, style: Style) -> Labels {
    let mut notes = Labels::new();
    let mut note = |name: &str, value: &str| put(&mut notes, name, value);
    note("phase", ticket.phase.as_str());
    note("reason", ticket.reason.as_str());
    note("event_id", &ticket.event_id);
    note("episode", &ticket.episode.to_string());
    note("seq", &ticket.seq.to_string());
    note("affected", &ticket.affected.to_string());
    note("recurrences", &ticket.recurrences.to_string());
    note("sla_breached", &ticket.sla_breached.to_string());
    note("opened_at", &ticket.opened_at.to_string());
    note("first_opened_at", &ticket.first_opened_at.to_string());
    for (name, at) in [
        ("due_at", ticket.due_at),
        ("resolved_at", ticket.resolved_at),
        ("verified_at", ticket.verified_at),
    ] {
        if let Some(at) = at {
            note(name, &at.to_string());
        }
    }
    if let Some(resolution) = ticket.resolution {
        note("resolution", resolution.as_str());
    }
    if let Some(requirement) = &ticket.requirement {
        note("requirement", requirement);
    }
    note("runbook_url", &reference(&ticket.check));
    if !style.minimal {
        note("summary", &summary::one(ticket, style));
        note("description", &ticket.message);
        note("remediation", &ticket.remediation);
        note("subject", &ticket.subject_ref);
        note("assignee", ticket.assignee.as_deref().unwrap_or(""));
        note("command", &chat::explain(ticket));
    }
    notes
}

/// A label or note, cleaned, unless it is empty.
pub(super) fn put(labels: &mut Labels, name: &str, value: &str) {
    let value = clean(value);
    if !value.is_empty() {
        labels.insert(name.to_owned(), value.into_owned());
    }
}

fn lower(word: &str) -> String {
    word.to_ascii_lowercase()
}

/// As a JSON object.
pub(super) fn object(labels: &Labels) -> Value {
    let fields: Map<String, Value> = labels
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    Value::Object(fields)
}

/// The fingerprint that Prometheus and Alertmanager give these labels: FNV-1a over names and values in order of names,
/// each followed by a byte that no UTF-8 text holds. Source: prometheus/common `model/signature.go`.
pub(super) fn fingerprint(labels: &Labels) -> String {
    const SEPARATOR: u8 = 255;
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[SEPARATOR]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (name, value) in labels {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    format!("{hash:016x}")
}

/// How far the clocks of two machines may be apart without anybody's noticing.
pub(super) const SKEW: Span = Span::minutes(2);

/// When an alert that is over ended, for a reader whose clock may be behind ours: Alertmanager takes an end that lies in
/// its future for one more sign of life.
pub(super) fn ended(ticket: &NoticeTicket, now: Time) -> Time {
    // A repetition says so of a time that is certainly past everywhere.
    let repeated = Span::minutes(5).times(ticket.n.saturating_sub(1));
    let end = now.minus(repeated);
    ticket
        .resolved_at
        .map_or(end, |at| at.min(end))
        .max(ticket.opened_at)
}
