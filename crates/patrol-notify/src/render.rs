//! `patrol/v1`: a notice as JSON, in as many parts as sizes ask for.
//!
//! Pure and total. It never truncates: what does not fit goes into the next part, and a ticket that is
//! larger than a whole part goes alone. Every text passes [`clean`]. Ids are functions of the notice, so a
//! repeat after a crash carries the same ones. Keys are added, never renamed or dropped.

use patrol_api::ticket::{Overlay, Subject};
use patrol_api::time::Time;
use patrol_core::fingerprint::message_id;
use patrol_core::notice::{Counts, Notice, NoticeTicket};
use serde_json::{Map, Value, json};

use crate::text::clean;

/// The page with every check under its id.
const REFERENCE: &str = concat!(
    env!("CARGO_PKG_REPOSITORY"),
    "/blob/main/docs/reference/checks.md"
);

/// How much goes into one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body. 64 KiB.
    pub max_bytes: usize,
    /// Tickets in a body. 200.
    pub max_items: usize,
    /// Leave out titles, messages, remedies, assignees, the names of people and waivers that paused a ticket, and
    /// subjects' names and UIDs.
    pub minimal: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_bytes: 64 * 1024,
            max_items: 200,
            minimal: false,
        }
    }
}

/// One message, ready to be signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `webhook-id`: a hash of the event ids in this part and its index.
    pub webhook_id: String,
    /// The JSON body.
    pub body: Vec<u8>,
    /// Whose telling is recorded when this part is accepted, in the order of the body.
    pub event_ids: Vec<String>,
    /// How many of them, from the end, the body tells by number and not by name.
    pub by_number: usize,
}

/// Writes the notice; a notice without tickets is one part.
pub fn patrol_v1(notice: &Notice, limits: &Limits) -> Vec<Part> {
    in_parts(
        notice,
        limits.max_bytes,
        limits.max_items,
        |ticket| item(ticket, limits.minimal),
        |place, tickets| envelope(notice, place, tickets),
    )
}

/// Where a part is among the parts of a notice.
pub(crate) struct Place {
    /// Its `webhook-id`.
    pub id: String,
    /// From 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

/// Writes a notice as bodies that hold a list of tickets: `item` writes one ticket, `frame` what surrounds a list of them.
/// Every ticket is in exactly one part, in order; a notice without tickets is one part.
pub(crate) fn in_parts(
    notice: &Notice,
    max_bytes: usize,
    max_items: usize,
    item: impl Fn(&NoticeTicket) -> Value,
    frame: impl Fn(&Place, Vec<Value>) -> Value,
) -> Vec<Part> {
    // With the largest numbers and no ticket: an upper bound for what surrounds the tickets.
    let widest = Place {
        id: webhook_id(notice, &[], u32::MAX),
        index: u32::MAX,
        count: u32::MAX,
    };
    let around = frame(&widest, Vec::new()).to_string().len();
    let packs = pack(&notice.tickets, around, max_bytes, max_items, &item);
    let count = number(packs.len());
    packs
        .into_iter()
        .enumerate()
        .map(|(index, tickets)| {
            let event_ids: Vec<String> = tickets.iter().map(|t| t.event_id.clone()).collect();
            let index = number(index);
            let place = Place {
                id: webhook_id(notice, &event_ids, index),
                index,
                count,
            };
            // Written a second time: the trees of thousands of tickets at once take many times what their bodies do.
            let values = tickets.iter().map(&item).collect();
            let body = frame(&place, values).to_string().into_bytes();
            Part {
                webhook_id: place.id,
                body,
                event_ids,
                by_number: 0,
            }
        })
        .collect()
}

/// Fills parts in order, each as far as it goes.
fn pack(
    tickets: &[NoticeTicket],
    frame: usize,
    max_bytes: usize,
    max_items: usize,
    item: impl Fn(&NoticeTicket) -> Value,
) -> Vec<&[NoticeTicket]> {
    let mut packs = Vec::new();
    let (mut from, mut size) = (0, frame);
    for (at, ticket) in tickets.iter().enumerate() {
        // Its comma included.
        let bytes = item(ticket).to_string().len().saturating_add(1);
        let full = at - from >= max_items || size.saturating_add(bytes) > max_bytes;
        if full && at > from {
            packs.extend(tickets.get(from..at));
            (from, size) = (at, frame);
        }
        size = size.saturating_add(bytes);
    }
    if from < tickets.len() || packs.is_empty() {
        packs.extend(tickets.get(from..));
    }
    packs
}

/// The whole notice as one body.
pub(crate) fn single(notice: &Notice, body: &Value) -> Vec<Part> {
    let event_ids: Vec<String> = notice.tickets.iter().map(|t| t.event_id.clone()).collect();
    vec![Part {
        webhook_id: webhook_id(notice, &event_ids, 0),
        body: body.to_string().into_bytes(),
        event_ids,
        by_number: 0,
    }]
}

/// The id of a part: a hash of what it tells and its index. A heartbeat or a probe tells of no event: its time makes
/// it another one than the last.
pub(crate) fn webhook_id(notice: &Notice, event_ids: &[String], index: u32) -> String {
    if let Some(gone) = notice.gone {
        // The same for every try.
        let (cluster, receiver, policy) = (&notice.cluster.id, &notice.receiver, &notice.policy);
        let what = format!(
            "gone {cluster} {receiver} {policy} {} {}",
            gone.count, gone.since
        );
        message_id(std::iter::once(what.as_str()), index)
    } else if event_ids.is_empty() {
        let occasion = format!(
            "{} {} {} {} {}",
            notice.kind.as_str(),
            notice.cluster.id,
            notice.receiver,
            notice.policy,
            notice.at
        );
        message_id(std::iter::once(occasion.as_str()), index)
    } else {
        message_id(event_ids.iter().map(String::as_str), index)
    }
}

fn envelope(notice: &Notice, place: &Place, tickets: Vec<Value>) -> Value {
    json!({
        "type": notice.kind.as_str(),
        "timestamp": time(notice.at),
        "specVersion": "1",
        "data": data(notice, place, tickets),
    })
}

/// `data` of `patrol/v1`.
pub(crate) fn data(notice: &Notice, place: &Place, tickets: Vec<Value>) -> Value {
    let labels: Map<String, Value> = notice
        .group
        .labels
        .iter()
        .map(|(name, value)| (clean(name).into_owned(), text(value)))
        .collect();
    let mut data = json!({
        "cluster": {"id": text(&notice.cluster.id), "name": text(&notice.cluster.name)},
        "receiver": text(&notice.receiver),
        "policy": text(&notice.policy),
        "reason": notice.reason.as_str(),
        "part": {"index": place.index, "count": place.count},
        "group": {"key": text(&notice.group.key), "labels": labels},
        "counts": counts(&notice.counts),
        "tickets": tickets,
    });
    if let (Some(gone), Some(fields)) = (notice.gone, data.as_object_mut()) {
        let gone = json!({"count": gone.count, "since": time(gone.since)});
        fields.insert("gone".to_owned(), gone);
    }
    data
}

pub(crate) fn counts(counts: &Counts) -> Value {
    let [critical, high, medium, low, info] = counts.by_severity;
    json!({
        "firing": counts.firing,
        "new": counts.new,
        "closed": counts.closed,
        "acknowledged": counts.acknowledged,
        "waived": counts.waived,
        "overdue": counts.overdue,
        "bySeverity": {"Critical": critical, "High": high, "Medium": medium, "Low": low, "Info": info},
    })
}

/// A ticket in `patrol/v1`.
pub(crate) fn item(ticket: &NoticeTicket, minimal: bool) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| {
        fields.insert(key.to_string(), value);
    };
    set("eventId", text(&ticket.event_id));
    set(
        "ticket",
        json!({
            "namespace": text(&ticket.namespace),
            "name": text(&ticket.name),
            "uid": text(&ticket.uid),
        }),
    );
    set("episode", ticket.episode.into());
    set("seq", ticket.seq.into());
    set("n", ticket.n.into());
    set("kind", ticket.reason.as_str().into());
    set("level", ticket.level.into());
    set("failover", ticket.failover.into());
    set(
        "overlay",
        ticket
            .overlay
            .as_ref()
            .map_or(Value::Null, |o| overlay(o, minimal)),
    );
    set("state", ticket.state.as_str().into());
    set("phase", ticket.phase.as_str().into());
    set("severity", ticket.severity.as_str().into());
    set("check", text(&ticket.check));
    set("layer", ticket.layer.as_str().into());
    set("party", ticket.party.as_str().into());
    set("subject", subject(&ticket.subject, minimal));
    set("affected", ticket.affected.into());
    set("openedAt", time(ticket.opened_at));
    set("firstOpenedAt", time(ticket.first_opened_at));
    set("slaBreached", ticket.sla_breached.into());
    set("recurrences", ticket.recurrences.into());
    set("flapping", ticket.flapping.into());
    if let Some(resolution) = ticket.resolution {
        set("resolution", resolution.as_str().into());
    }
    if let Some(requirement) = &ticket.requirement {
        set("requirement", text(requirement));
    }
    for (key, at) in [
        ("dueAt", ticket.due_at),
        ("resolvedAt", ticket.resolved_at),
        ("verifiedAt", ticket.verified_at),
    ] {
        if let Some(at) = at {
            set(key, time(at));
        }
    }
    if !minimal {
        set("title", text(&ticket.title));
        set("message", text(&ticket.message));
        set("subjectRef", text(&ticket.subject_ref));
        set(
            "remediation",
            json!({"text": text(&ticket.remediation), "url": reference(&ticket.check)}),
        );
        if let Some(assignee) = &ticket.assignee {
            set("assignee", text(assignee));
        }
    }
    Value::Object(fields)
}

fn overlay(overlay: &Overlay, minimal: bool) -> Value {
    let mut fields = Map::new();
    fields.insert("kind".to_string(), overlay.kind.as_str().into());
    fields.insert("until".to_string(), time(overlay.until));
    if !minimal {
        if let Some(by) = &overlay.by {
            fields.insert("by".to_string(), text(by));
        }
        if let Some(waiver) = &overlay.waiver {
            fields.insert("ref".to_string(), text(waiver));
        }
    }
    Value::Object(fields)
}

/// Where a check is explained.
pub(crate) fn reference(check: &str) -> String {
    format!("{REFERENCE}#{}", clean(check))
}

fn subject(subject: &Subject, minimal: bool) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: &str| {
        fields.insert(key.to_string(), text(value));
    };
    set("group", &subject.group);
    set("kind", &subject.kind);
    if let Some(namespace) = &subject.namespace {
        set("namespace", namespace);
    }
    if !minimal {
        set("name", &subject.name);
        if let Some(uid) = &subject.uid {
            set("uid", uid);
        }
    }
    Value::Object(fields)
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(clean(text).into_owned())
}

pub(crate) fn time(time: Time) -> Value {
    Value::String(time.to_string())
}

/// Counts of parts; more than `u32` holds cannot be sent anyway.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
