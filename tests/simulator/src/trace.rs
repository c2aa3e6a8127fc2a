//! The story of a run, told only when asked for: a failing seed is run again with it.

use std::collections::VecDeque;

use patrol_api::receiver::GroupRecord;
use patrol_core::effect::Effect;
use patrol_core::event::{Event, WriteResult, Written};

/// Lines kept.
const KEPT: usize = 100_000;

/// The story.
#[derive(Debug)]
pub struct Trace {
    lines: Option<VecDeque<String>>,
}

impl Trace {
    /// A story, or silence.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self {
            lines: on.then(VecDeque::new),
        }
    }

    /// Tells one line.
    pub fn say(&mut self, at: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            if lines.len() >= KEPT {
                lines.pop_front();
            }
            lines.push_back(format!("{:>7}.{:03}  {}", at / 1000, at % 1000, line()));
        }
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        let lines = self.lines.iter().flatten();
        let skip = self
            .lines
            .as_ref()
            .map_or(0, VecDeque::len)
            .saturating_sub(count);
        lines.skip(skip).cloned().collect()
    }
}

/// An event in a line.
#[must_use]
pub fn event(event: &Event) -> String {
    match event {
        Event::Seen(seen) => format!("Seen {} {} @{}", seen.kind, seen.key, seen.version),
        Event::Gone(kind, key) => format!("Gone {kind} {key}"),
        Event::Undecodable(error) => format!("Undecodable {error}"),
        Event::Written(id, result) => format!("Written {} {}", id.0, self::result(result)),
        Event::Delivered(id, parts) => {
            let classes: Vec<String> = parts
                .iter()
                .map(|p| format!("{}x{}", p.class.as_str(), p.event_ids.len()))
                .collect();
            format!("Delivered {} {}", id.0, classes.join(" "))
        }
        other => format!("{other:?}"),
    }
}

/// A result in a line.
#[must_use]
pub fn result(result: &WriteResult) -> String {
    match result {
        WriteResult::Done(Written::Ticket(t)) => {
            format!(
                "Done @{}",
                t.metadata.resource_version.as_deref().unwrap_or("")
            )
        }
        WriteResult::Done(_) => "Done".to_owned(),
        WriteResult::Exists(Some(_)) => "Exists(object)".to_owned(),
        other => format!("{other:?}"),
    }
}

/// An effect in a line.
#[must_use]
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::CreateTicket { id, ticket } => format!(
            "CreateTicket {} ({}) {}/{}",
            id.0,
            ticket.spec.finding.subject_ref,
            ticket.metadata.namespace.as_deref().unwrap_or(""),
            ticket.metadata.name.as_deref().unwrap_or("")
        ),
        Effect::WriteTicketStatus { id, at, status } => {
            let alerts: Vec<String> = status
                .alerts
                .iter()
                .map(|a| {
                    format!(
                        "{}:{:?} {}.{}.{}",
                        a.receiver, a.state, a.episode, a.seq, a.n
                    )
                })
                .collect();
            format!(
                "WriteTicketStatus {} {} @{} {:?} {:?} ep {} seq {} [{}]",
                id.0,
                at.key,
                at.version,
                status.phase,
                status.episode.resolution,
                status.episode.n,
                status.alert_seq,
                alerts.join(", ")
            )
        }
        Effect::WriteTicketLabels { id, at, labels } => {
            format!(
                "WriteTicketLabels {} {} @{} {labels:?}",
                id.0, at.key, at.version
            )
        }
        Effect::WritePolicyStatus { id, at, status } => {
            let conditions: Vec<String> = status
                .conditions
                .iter()
                .map(|c| format!("{}={}({})", c.type_, c.status, c.reason))
                .collect();
            format!(
                "WritePolicyStatus {} {} @{} {:?} {}",
                id.0,
                at.key,
                at.version,
                status
                    .last_patrol
                    .as_ref()
                    .map(|p| p.finished_at.to_string()),
                conditions.join(" ")
            )
        }
        Effect::WriteWaiverStatus { id, at, .. } => {
            format!("WriteWaiverStatus {} {} @{}", id.0, at.key, at.version)
        }
        Effect::WriteReceiverStatus { id, at, status } => {
            let failing = status.circuit.as_ref().and_then(|c| c.class.as_deref());
            let group = |g: &GroupRecord| format!("{}:{:?}:{}", g.key, g.state, g.told_count);
            let groups: Vec<String> = status.groups.iter().map(group).collect();
            format!(
                "WriteReceiverStatus {} {} @{} {} waiting since {:?}, accepted at {:?}, failing as {failing:?}, failover at {:?}, groups {}",
                id.0,
                at.key,
                at.version,
                status.pending,
                status.oldest_pending_time,
                status.last_success_time,
                status.last_failover_time,
                groups.join(" ")
            )
        }
        Effect::Send {
            id, target, notice, ..
        } => {
            let tickets: Vec<String> = notice
                .tickets
                .iter()
                .map(|t| {
                    format!(
                        "{}/{} {:?} {}.{}.{}",
                        t.namespace, t.name, t.state, t.episode, t.seq, t.n
                    )
                })
                .collect();
            format!("Send {} {} [{}]", id.0, target.name, tickets.join(", "))
        }
        Effect::Review(kinds) => format!("Review {} kinds", kinds.len()),
        Effect::Announce(a) => format!(
            "Announce {} {} {}: {}",
            a.about.kind, a.about.key, a.reason, a.note
        ),
        other => format!("{other:?}"),
    }
}
