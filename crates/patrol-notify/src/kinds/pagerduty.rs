//! `pagerduty`: events for the Events API v2.
//!
//! One incident a group: every message about it is a `trigger` with the same `dedup_key` (a line in the incident's log),
//! and the message after which no ticket of the group is told as firing is a `resolve`. An incident that somebody
//! acknowledged stays quiet whatever is triggered into it, so a deadline that passes and a step of escalation begin the group's
//! next incident, which takes the place of the one before. So does news after an `acknowledge` of ours: that people took all tickets of
//! the group, told where the receiver asks for it. One request an event: each is a part, and every telling is in
//! exactly one. The routing key is put in at the last moment. Source: PagerDuty/developer-docs, "Events API v2".

use patrol_api::words::{AlertReason, Severity, ToldState};
use patrol_core::fingerprint::derived_uid;
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use serde_json::{Value, json};

use super::{Style, summary};
use crate::chat;
use crate::classify::{Class, Verdict};
use crate::render::{Limits, Part, counts, item, reference, text, time, webhook_id};

/// Characters of a summary.
const SUMMARY: usize = 1024;
/// So many incidents of a group are ended with it: the last one, and those before it whose own end may have been lost.
const ENDED: u64 = 4;

pub(super) fn render(notice: &Notice, limits: &Limits, style: Style) -> Vec<Part> {
    let writer = Writer {
        notice,
        limits,
        style,
        parts: vec![],
    };
    match notice.kind {
        NoticeKind::Alert | NoticeKind::Digest => writer.alert(),
        NoticeKind::Heartbeat | NoticeKind::Test => writer.sign(),
    }
}

struct Writer<'a> {
    notice: &'a Notice,
    limits: &'a Limits,
    style: Style,
    parts: Vec<Part>,
}

impl Writer<'_> {
    fn alert(mut self) -> Vec<Part> {
        let notice = self.notice;
        let ids: Vec<String> = notice.tickets.iter().map(|t| t.event_id.clone()).collect();
        let key = self.group_key(notice.incident);
        if notice.acknowledges {
            self.push(event("acknowledge", &key), ids, 0);
            return self.parts;
        }
        if notice.standing > 0 {
            let listed = self.listed(&by_urgency(&notice.tickets));
            let by_number = ids.len().saturating_sub(listed.len());
            let event = self.group_trigger(&key, &listed);
            self.push(event, ids, by_number);
            // Not before the next one stands: nobody is to think that it is mended.
            if let Some(before) = notice.incident.checked_sub(1)
                && notice.begins_incident
            {
                self.push(resolve(&self.group_key(before)), vec![], 0);
            }
            return self.parts;
        }
        // Nobody was ever called for it: it shows up and is over.
        if notice.tickets.iter().any(|t| t.reason == AlertReason::Late) {
            let listed = self.listed(&by_urgency(&notice.tickets));
            let event = self.group_trigger(&key, &listed);
            self.push(event, vec![], 0);
        }
        for incident in notice.incident.saturating_sub(ENDED - 1)..notice.incident {
            self.push(resolve(&self.group_key(incident)), vec![], 0);
        }
        self.push(resolve(&key), ids, 0);
        self.parts
    }

    fn group_trigger(&self, key: &str, listed: &[&NoticeTicket]) -> Value {
        let told =
            |t: &&&NoticeTicket| t.state == ToldState::Firing || t.reason == AlertReason::Late;
        let first = listed.iter().find(told).copied();
        let line = summary::group(self.notice, self.notice.standing, first, self.style);
        self.trigger(key, listed, &line)
    }

    /// A probe shows up and is over at once. A sign of life would be an incident if it were triggered: it is the end of
    /// an incident that never was.
    fn sign(mut self) -> Vec<Part> {
        let notice = self.notice;
        let key = self.key(notice.kind.as_str(), "");
        if notice.kind == NoticeKind::Test {
            let line = summary::sign(notice, self.style.locale);
            let event = self.trigger(&key, &[], &line);
            self.push(event, vec![], 0);
        }
        self.push(resolve(&key), vec![], 0);
        self.parts
    }

    /// As many tickets, in order, as there is room for by name.
    fn listed<'t>(&self, tickets: &[&'t NoticeTicket]) -> Vec<&'t NoticeTicket> {
        // What surrounds them is far smaller than this.
        let mut room = self.limits.max_bytes.saturating_sub(8 * 1024);
        let fits = tickets.iter().take_while(|ticket| {
            let size = item(ticket, self.style.minimal).to_string().len() + 1;
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        });
        fits.copied().collect()
    }

    fn trigger(&self, key: &str, listed: &[&NoticeTicket], line: &str) -> Value {
        let notice = self.notice;
        let severity = listed.iter().map(|t| t.severity).max();
        let tickets: Vec<Value> = listed
            .iter()
            .map(|ticket| item(ticket, self.style.minimal))
            .collect();
        let mut checks: Vec<&str> = listed.iter().map(|t| t.check.as_str()).collect();
        checks.sort_unstable();
        checks.dedup();
        let class = match checks.as_slice() {
            [one] => one,
            _ => "",
        };
        let links: Vec<Value> = checks
            .iter()
            .take(10)
            .map(|check| json!({"href": reference(check), "text": text(check)}))
            .collect();
        json!({
            "event_action": "trigger",
            "dedup_key": key,
            "client": "kube-patrol",
            "client_url": env!("CARGO_PKG_REPOSITORY"),
            "links": links,
            "payload": {
                "summary": summary::shortened(line, SUMMARY),
                "source": summary::cluster(notice),
                "severity": severity.map_or("info", word),
                "timestamp": time(notice.at),
                "component": text(&notice.policy),
                "group": text(&notice.group.key),
                "class": text(class),
                "custom_details": {
                    "reason": notice.reason.as_str(),
                    "standing": notice.standing,
                    "counts": counts(&notice.counts),
                    "tickets": tickets,
                    "command": command(listed),
                },
            },
        })
    }

    fn push(&mut self, event: Value, event_ids: Vec<String>, by_number: usize) {
        let index = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.parts.push(Part {
            webhook_id: webhook_id(self.notice, &event_ids, index),
            body: event.to_string().into_bytes(),
            event_ids,
            by_number,
        });
    }

    fn group_key(&self, incident: u64) -> String {
        let group = &self.notice.group.key;
        match incident {
            0 => self.key(&self.notice.policy, group),
            // No group's key has such a sign.
            later => self.key(&self.notice.policy, &format!("{group}#{later}")),
        }
    }

    /// The same for every message about the same thing, from this cluster to this receiver.
    fn key(&self, what: &str, which: &str) -> String {
        let sender = derived_uid("sender", &self.notice.cluster.id, &self.notice.receiver);
        let subject = derived_uid("subject", what, which);
        format!("kube-patrol-{}", derived_uid("incident", &sender, &subject))
    }
}

fn resolve(key: &str) -> Value {
    event("resolve", key)
}

fn event(action: &str, key: &str) -> Value {
    json!({"event_action": action, "dedup_key": key})
}

/// What somebody must hear now first, in the order of the message otherwise.
fn by_urgency(tickets: &[NoticeTicket]) -> Vec<&NoticeTicket> {
    let passed = |ticket: &&NoticeTicket| {
        matches!(
            ticket.reason,
            AlertReason::SLABreached | AlertReason::Escalated | AlertReason::Overdue
        )
    };
    let mut sorted: Vec<&NoticeTicket> = tickets.iter().collect();
    sorted.sort_by_key(|ticket| (ticket.state == ToldState::Closed, !passed(ticket)));
    sorted
}

/// PagerDuty's four severities.
const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "info",
    }
}

/// What shows more.
fn command(tickets: &[&NoticeTicket]) -> String {
    match tickets {
        [one] => chat::explain(one),
        _ => "kubectl patrol tickets -A".to_owned(),
    }
}

/// 202 alone means that the event was taken; a 400 about the key is no fault of the event.
pub(super) fn classify(by_status: Verdict, status: u16, body: &[u8]) -> Verdict {
    let config = |detail| Verdict {
        class: Class::Config,
        detail,
    };
    match status {
        202 => by_status,
        200..=299 => config(
            "the address does not answer as the Events API does: use https://events.pagerduty.com/v2/enqueue",
        ),
        400 if contains(body, b"routing_key") => config(
            "PagerDuty does not know the routing key: enter the integration key of an Events API v2 integration",
        ),
        403 => config("PagerDuty refuses the routing key: check that its service is enabled"),
        _ => by_status,
    }
}

fn contains(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|part| part == word)
}
