//! `alertmanager/v4`: what Alertmanager posts to its webhook receivers, so that whatever reads that can read us.
//!
//! Field by field the message of Alertmanager's `webhook.Message` (`notify/webhook`, `template.Data`). It is never
//! truncated: what does not fit is the next message of the same group.

use patrol_api::words::ToldState;
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use serde_json::{Map, Value, json};

use super::{Style, prom, summary};
use crate::render::{Limits, Part, in_parts, text, time};

/// What stands for "no time" where Alertmanager writes one.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Where the sender of an alert is explained.
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

pub(super) fn render(notice: &Notice, limits: &Limits, style: Style) -> Vec<Part> {
    // What all alerts have in common is said once more beside them: at most as much as the largest says.
    let again = notice
        .tickets
        .iter()
        .map(|ticket| alert(notice, ticket, style).to_string().len())
        .max()
        .unwrap_or(0);
    in_parts(
        notice,
        limits.max_bytes.saturating_sub(again),
        limits.max_items,
        |ticket| alert(notice, ticket, style),
        |_, alerts| message(notice, alerts, style),
    )
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
        "fingerprint": prom::fingerprint(&labels),
    })
}

fn message(notice: &Notice, mut alerts: Vec<Value>, style: Style) -> Value {
    if alerts.is_empty() {
        alerts.extend(sign(notice, style));
    }
    let firing = alerts
        .iter()
        .any(|alert| alert.get("status").is_some_and(|status| status == "firing"));
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

/// A sign of life or a probe, which has no ticket; a closing of a group whose tickets are gone has no alert either.
fn sign(notice: &Notice, style: Style) -> Option<Value> {
    if !matches!(notice.kind, NoticeKind::Heartbeat | NoticeKind::Test) {
        return None;
    }
    let labels = prom::sign(notice);
    Some(json!({
        "status": "firing",
        "labels": prom::object(&labels),
        "annotations": {"summary": summary::sign(notice, style.locale)},
        "startsAt": time(notice.at),
        "endsAt": NEVER,
        "generatorURL": HOME,
        "fingerprint": prom::fingerprint(&labels),
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
