//! `pagerduty`: events for the Events API v2.
//!
//! One incident a group: every message about it is a `trigger` with the same `dedup_key` (a line in the incident's log),
//! and the message after which no ticket of the group is told as firing is a `resolve`. An incident that somebody
//! acknowledged stays quiet whatever is triggered into it, so a ticket whose deadline passed or which was escalated gets
//! an incident of its own, which ends with that ticket. One request an event: each is a part, and every telling is in
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
        let (own, rest): (Vec<&NoticeTicket>, Vec<&NoticeTicket>) =
            self.notice.tickets.iter().partition(|t| is_urgent(t));
        for ticket in own {
            let event = self.trigger(
                &self.key_of(ticket),
                &[ticket],
                &summary::one(ticket, self.style),
            );
            self.push(event, vec![ticket.event_id.clone()], 0);
        }
        // Before the telling of their end, which is recorded with what comes last.
        for ticket in rest.iter().filter(|t| has_own(t)) {
            let event = resolve(&self.key_of(ticket));
            self.push(event, vec![], 0);
        }
        if rest.is_empty() && !self.parts.is_empty() {
            return self.parts;
        }
        let ids = rest.iter().map(|ticket| ticket.event_id.clone()).collect();
        let key = self.group_key();
        if self.notice.standing == 0 {
            self.push(resolve(&key), ids, 0);
        } else {
            let listed: Vec<&NoticeTicket> = self.listed(&rest);
            let by_number = rest.len().saturating_sub(listed.len());
            let line = summary::group(self.notice, self.notice.standing, self.style);
            let event = self.trigger(&key, &listed, &line);
            self.push(event, ids, by_number);
        }
        self.parts
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

    fn group_key(&self) -> String {
        self.key(&self.notice.policy, &self.notice.group.key)
    }

    /// The incident of one ticket's episode.
    fn key_of(&self, ticket: &NoticeTicket) -> String {
        self.key(&ticket.uid, &ticket.episode.to_string())
    }

    /// The same for every message about the same thing, from this cluster to this receiver.
    fn key(&self, what: &str, which: &str) -> String {
        let sender = derived_uid("sender", &self.notice.cluster.id, &self.notice.receiver);
        let subject = derived_uid("subject", what, which);
        format!("kube-patrol-{}", derived_uid("incident", &sender, &subject))
    }
}

fn resolve(key: &str) -> Value {
    json!({"event_action": "resolve", "dedup_key": key})
}

/// Whether a telling must be heard even where the group's incident is acknowledged.
fn is_urgent(ticket: &NoticeTicket) -> bool {
    ticket.state == ToldState::Firing
        && is_pressing(ticket)
        && matches!(
            ticket.reason,
            AlertReason::SLABreached | AlertReason::Escalated | AlertReason::Overdue
        )
}

/// Whether a ticket that ends may have an incident of its own. To end one that never was is no error.
fn has_own(ticket: &NoticeTicket) -> bool {
    ticket.state == ToldState::Closed && is_pressing(ticket)
}

/// What holds until the episode ends, so that its end is known to be the end of an incident of its own.
fn is_pressing(ticket: &NoticeTicket) -> bool {
    ticket.sla_breached || ticket.level > 0
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
