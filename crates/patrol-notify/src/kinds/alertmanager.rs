//! `alertmanager`: alerts for `POST /api/v2/alerts` of Prometheus Alertmanager.
//!
//! Alertmanager keeps alerts in memory and forgets one when its `endsAt` passes. So an open ticket says `endsAt` =
//! now + `holdFor` each time it is told again, and a closed one names an end that has passed. Labels are identity: a
//! ticket whose severity changed ends its alert of old and begins another. Of a group with very many tickets, new ones
//! are told by number, as one alert for the group; whoever was told by name before keeps its own, for an alert that
//! nobody repeats looks like one that was resolved.

use patrol_api::receiver::AlertmanagerSpec;
use patrol_api::time::{Span, Time};
use patrol_api::words::{Severity, ToldState};
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use serde_json::{Value, json};

use super::{Style, prom, summary};
use crate::render::{Limits, Part, in_parts, reference, time, webhook_id};

/// A group with more open tickets than this has an alert of its own that counts them.
const BY_NAME: u32 = 1000;
/// A sign of life that is not repeated for so long, or for three times the time between two, is over.
const SIGN: Span = Span::minutes(15);
/// A probe is over after this time.
const PROBE: Span = Span::minutes(1);

pub(super) fn render(
    notice: &Notice,
    limits: &Limits,
    style: Style,
    spec: &AlertmanagerSpec,
) -> Vec<Part> {
    if matches!(notice.kind, NoticeKind::Heartbeat | NoticeKind::Test) {
        return crate::render::single(notice, &json!([sign(notice, style)]));
    }
    let writer = Writer {
        notice,
        style,
        hold_until: notice.at.plus(spec.hold_for),
    };
    let (numbered, named): (Vec<&NoticeTicket>, Vec<&NoticeTicket>) =
        notice.tickets.iter().partition(|t| is_numbered(notice, t));
    let mut parts = writer.by_name(&named, limits);
    // A message about no ticket says that a group is over whose tickets are gone.
    if !numbered.is_empty() || parts.is_empty() {
        let index = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        parts.push(writer.by_number(&numbered, index));
    }
    parts
}

/// Whether a ticket has no alert of its own: it was told so before, or it is new in a group that is too large.
fn is_numbered(notice: &Notice, ticket: &NoticeTicket) -> bool {
    ticket.alarm.numbered
        || (notice.standing > BY_NAME && ticket.state == ToldState::Firing && !ticket.alarm.named)
}

struct Writer<'a> {
    notice: &'a Notice,
    style: Style,
    hold_until: Time,
}

impl Writer<'_> {
    fn by_name(&self, tickets: &[&NoticeTicket], limits: &Limits) -> Vec<Part> {
        if tickets.is_empty() {
            return vec![];
        }
        let notice = Notice {
            tickets: tickets.iter().map(|ticket| (*ticket).clone()).collect(),
            ..self.notice.clone()
        };
        in_parts(
            &notice,
            limits.max_bytes,
            limits.max_items,
            |ticket| Value::Array(self.alerts(ticket)),
            |_, tickets| {
                let alerts = tickets.into_iter().flat_map(|alerts| match alerts {
                    Value::Array(alerts) => alerts,
                    other => vec![other],
                });
                Value::Array(alerts.collect())
            },
        )
    }

    /// A ticket's alert, after those that it no longer is.
    fn alerts(&self, ticket: &NoticeTicket) -> Vec<Value> {
        let over = self.notice.at.minus(prom::SKEW).max(ticket.opened_at);
        let mut alerts: Vec<Value> = ticket
            .alarm
            .former
            .iter()
            .filter(|former| **former != ticket.severity)
            .map(|former| self.alert(ticket, *former, over))
            .collect();
        let ends_at = match ticket.state {
            ToldState::Firing => self.hold_until,
            ToldState::Closed => prom::ended(ticket, self.notice.at),
        };
        alerts.push(self.alert(ticket, ticket.severity, ends_at));
        alerts
    }

    fn alert(&self, ticket: &NoticeTicket, severity: Severity, ends_at: Time) -> Value {
        json!({
            "labels": prom::object(&prom::labels(self.notice, ticket, severity, self.style)),
            "annotations": prom::object(&prom::annotations(ticket, self.style)),
            "startsAt": time(ticket.opened_at),
            "endsAt": time(ends_at),
            "generatorURL": reference(&ticket.check),
        })
    }

    /// The alert of the group, for all tickets that have none of their own.
    fn by_number(&self, tickets: &[&NoticeTicket], index: u32) -> Part {
        let notice = self.notice;
        let firing = tickets.iter().filter(|t| t.state == ToldState::Firing);
        let here = u32::try_from(firing.count()).unwrap_or(u32::MAX);
        let standing = notice.numbered.saturating_add(here);
        let first = notice.tickets.iter().find(|t| t.state == ToldState::Firing);
        let begin = tickets.iter().map(|ticket| ticket.opened_at).min();
        let begin = begin.unwrap_or(notice.at.minus(prom::SKEW));
        let ends_at = match standing {
            0 => notice.at.minus(prom::SKEW).max(begin),
            _ => self.hold_until,
        };
        let mut labels = prom::common(notice);
        prom::put(&mut labels, "alertname", "KubePatrolManyTickets");
        prom::put(&mut labels, "group", &notice.group.key);
        let body = json!([{
            "labels": prom::object(&labels),
            "annotations": {
                "summary": summary::group(notice, standing, first, self.style),
                "open": standing.to_string(),
                "command": "kubectl patrol tickets -A",
            },
            "startsAt": time(begin),
            "endsAt": time(ends_at),
            "generatorURL": env!("CARGO_PKG_REPOSITORY"),
        }]);
        let event_ids: Vec<String> = tickets.iter().map(|t| t.event_id.clone()).collect();
        Part {
            webhook_id: webhook_id(notice, &event_ids, index),
            body: body.to_string().into_bytes(),
            by_number: event_ids.len(),
            event_ids,
        }
    }
}

/// A sign of life or a probe.
fn sign(notice: &Notice, style: Style) -> Value {
    let hold = match notice.kind {
        // One that is late, or lost, is no silence yet.
        NoticeKind::Heartbeat => notice
            .next_within
            .map_or(SIGN, |next| next.times(3).max(SIGN)),
        _ => PROBE,
    };
    json!({
        "labels": prom::object(&prom::sign(notice)),
        "annotations": {"summary": summary::sign(notice, style.locale)},
        "startsAt": time(notice.at),
        "endsAt": time(notice.at.plus(hold)),
        "generatorURL": env!("CARGO_PKG_REPOSITORY"),
    })
}
