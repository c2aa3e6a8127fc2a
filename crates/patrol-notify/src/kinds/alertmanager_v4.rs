//! `alertmanager/v4`: what Alertmanager posts to its webhook receivers, so that whatever reads that can read us.
//!
//! Field by field the message of Alertmanager's `webhook.Message` (`notify/webhook`, `template.Data`). It is never
//! truncated: what does not fit is the next message of the same group.

use patrol_api::words::ToldState;
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use serde_json::{Map, Value, json};

use super::{Style, prom, summary};
use crate::chat;
use crate::render::{Limits, Part, in_parts, single, text, time, webhook_id};

/// What stands for "no time" where Alertmanager writes one.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Where the sender of an alert is explained.
const HOME: &str = env!("CARGO_PKG_REPOSITORY");
/// So many tickets show that a group still fires.
const SHOWN: usize = 5;

pub(super) fn render(notice: &Notice, limits: &Limits, style: Style) -> Vec<Part> {
    if notice.tickets.is_empty() {
        return of_no_ticket(notice, style);
    }
    let size = |ticket: &NoticeTicket| alert(notice, ticket, style).to_string().len() + 1;
    // What all alerts have in common is said once more beside them: at most as much as the largest says.
    let again = notice.tickets.iter().map(size).max().unwrap_or(0);
    // Counted with what surrounds the tickets.
    let firing = still_firing(notice);
    in_parts(
        notice,
        limits.max_bytes.saturating_sub(again),
        limits.max_items,
        |ticket| alert(notice, ticket, style),
        |_, mut alerts| {
            if !alerts.iter().any(is_firing) {
                alerts.extend(firing.iter().map(|ticket| alert(notice, ticket, style)));
            }
            message(notice, alerts)
        },
    )
}

/// A sign of life, a probe, which is over at once, or the end of a group whose tickets are gone.
fn of_no_ticket(notice: &Notice, style: Style) -> Vec<Part> {
    let states: &[ToldState] = match notice.kind {
        NoticeKind::Heartbeat => &[ToldState::Firing],
        NoticeKind::Test => &[ToldState::Firing, ToldState::Closed],
        NoticeKind::Alert | NoticeKind::Digest => {
            let gone: Vec<Value> = gone(notice, style).into_iter().collect();
            return single(notice, &message(notice, gone));
        }
    };
    let bodies = states
        .iter()
        .map(|state| message(notice, vec![sign(notice, style, *state)]));
    let parts = bodies.flat_map(|body| single(notice, &body));
    (0..)
        .zip(parts)
        .map(|(index, part)| Part {
            webhook_id: webhook_id(notice, &[], index),
            ..part
        })
        .collect()
}

/// Readers take a group without a firing alert for mended: tickets of it that fire, for a message of which all others ended.
fn still_firing(notice: &Notice) -> Vec<&NoticeTicket> {
    let tickets = notice.tickets.iter().chain(&notice.others);
    let firing = tickets.filter(|ticket| ticket.state == ToldState::Firing);
    firing.take(SHOWN).collect()
}

fn is_firing(alert: &Value) -> bool {
    alert.get("status").is_some_and(|status| status == "firing")
}

fn alert(notice: &Notice, ticket: &NoticeTicket, style: Style) -> Value {
    let labels = prom::labels(notice, ticket, ticket.severity, style);
    let (status, ends_at) = match ticket.state {
        ToldState::Firing => ("firing", Value::from(NEVER)),
        ToldState::Closed => ("resolved", time(prom::ended(ticket, notice.at))),
    };
    json!({
        "status": status,
        "labels": prom::object(&labels),
        "annotations": prom::object(&prom::annotations(ticket, style)),
        "startsAt": time(ticket.opened_at),
        "endsAt": ends_at,
        "generatorURL": crate::render::reference(&ticket.check),
        "fingerprint": fingerprint(labels),
    })
}

/// What names an alert for its readers: the same however grave the ticket becomes, or its end would be one of another alert.
fn fingerprint(mut labels: prom::Labels) -> String {
    labels.remove("severity");
    prom::fingerprint(&labels)
}

fn message(notice: &Notice, alerts: Vec<Value>) -> Value {
    let firing = alerts.iter().any(is_firing);
    let mut group: Map<String, Value> = notice
        .group
        .labels
        .iter()
        .map(|(name, value)| (crate::text::clean(name).into_owned(), text(value)))
        .collect();
    if !notice.policy.is_empty() {
        group.insert("policy".to_owned(), text(&notice.policy));
    }
    json!({
        "version": "4",
        "groupKey": group_key(&group),
        "truncatedAlerts": 0,
        "status": if firing { "firing" } else { "resolved" },
        "receiver": text(&notice.receiver),
        "groupLabels": group,
        "commonLabels": in_common(&alerts, "labels"),
        "commonAnnotations": in_common(&alerts, "annotations"),
        "externalURL": HOME,
        "alerts": alerts,
    })
}

/// A sign of life or a probe.
fn sign(notice: &Notice, style: Style, state: ToldState) -> Value {
    let labels = prom::sign(notice);
    let (status, ends_at) = match state {
        ToldState::Firing => ("firing", Value::from(NEVER)),
        ToldState::Closed => ("resolved", time(notice.at)),
    };
    json!({
        "status": status,
        "labels": prom::object(&labels),
        "annotations": {"summary": summary::sign(notice, style.locale)},
        "startsAt": time(notice.at),
        "endsAt": ends_at,
        "generatorURL": HOME,
        "fingerprint": fingerprint(labels),
    })
}

/// Tickets that are gone with their objects, and nobody knows which.
fn gone(notice: &Notice, style: Style) -> Option<Value> {
    let since = notice.gone?.since;
    let mut labels = prom::common(notice);
    prom::put(&mut labels, "alertname", "KubePatrolTicketsGone");
    prom::put(&mut labels, "severity", "info");
    Some(json!({
        "status": "resolved",
        "labels": prom::object(&labels),
        "annotations": {"summary": chat::gone(notice, style.locale)},
        "startsAt": time(since),
        "endsAt": time(notice.at),
        "generatorURL": HOME,
        "fingerprint": fingerprint(labels),
    }))
}

/// As Alertmanager writes it: the matchers of the route (ours has none), then the labels of the group.
fn group_key(group: &Map<String, Value>) -> String {
    let labels: Vec<String> = group
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{{}}:{{{}}}", labels.join(", "))
}

/// The pairs that every alert has.
fn in_common(alerts: &[Value], field: &str) -> Map<String, Value> {
    let mut all = alerts
        .iter()
        .filter_map(|alert| alert.get(field)?.as_object());
    let mut common = all.next().cloned().unwrap_or_default();
    for other in all {
        common.retain(|name, value| other.get(name) == Some(value));
    }
    common
}
