//! What a request makes of a ticket's spec, and the sentence that says so. Pure: a ticket, a
//! user name and a time in; a change or a refusal out.

use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use patrol_api::ticket::{Pause, Ticket, TicketSpec, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{OverlayKind, Phase, Severity};
use patrol_core::ticket::overlay::{most_acknowledged, most_snoozed};

use crate::cli::ui::{self, when};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// An acknowledgement or a snooze.
    Pause(Pausing),
    /// The end of one.
    Resume(OverlayKind),
    /// Somebody to work on it, or nobody.
    Assign(Option<String>),
    /// A look at once, by a new value.
    Recheck(String),
}

/// An acknowledgement or a snooze.
#[derive(Clone, Debug)]
pub(super) struct Pausing {
    /// Which of the two.
    pub kind: OverlayKind,
    /// Until when, or
    pub until: Option<Until>,
    /// for how long; else as long as usual.
    pub span: Option<Span>,
    /// Why.
    pub reason: String,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    /// The spec as it is to be; `None`: it is already.
    pub spec: Option<Box<TicketSpec>>,
    /// What follows, in a sentence.
    pub says: String,
}

/// A time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Until(pub Time);

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let utc = |time: NaiveDateTime| Self(Time::from(time.and_utc()));
        if let Ok(time) = text.parse() {
            return Ok(Self(time));
        }
        for format in ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(utc(time));
            }
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
        date.map(|date| utc(date.and_time(NaiveTime::MIN))).map_err(|_| {
            "write a time such as 2026-11-30T12:00:00+08:00, or in UTC 2026-11-30 or \"2026-11-30 12:00\""
                .to_owned()
        })
    }
}

/// Decides about one ticket.
///
/// # Errors
/// `<ticket>: <what is wrong>: <what to do>`.
pub(super) fn decide(
    ticket: &Ticket,
    asked: &Asked,
    who: &str,
    now: Time,
) -> Result<Decided, String> {
    let status = ticket.status.clone().unwrap_or_default();
    let name = ui::ticket_name(ticket);
    if status.phase == Phase::Resolved && !matches!(asked, Asked::Recheck(_)) {
        let how = status.episode.resolution.map_or("resolved", |r| r.as_str());
        return Err(format!(
            "ticket {name}: it is resolved ({how}), so there is nothing to do: it opens again by itself when the gap comes back"
        ));
    }
    let mut spec = Box::new(ticket.spec.clone());
    let says = match asked {
        Asked::Pause(pausing) => {
            let until = bounded(ticket, &status, pausing, now)?;
            pause(&mut spec, &status, &name, pausing, until, who)
        }
        Asked::Resume(kind) => resume(&mut spec, &status, &name, *kind),
        Asked::Assign(whom) => assign(&mut spec, &name, whom.clone()),
        Asked::Recheck(nonce) => {
            spec.recheck = Some(nonce.clone());
            format!(
                "Ticket {name}: an inspection at once is asked for; if the subject passes, the ticket resolves after `clearAfter`."
            )
        }
    };
    let changed = *spec != ticket.spec;
    Ok(Decided {
        spec: changed.then_some(spec),
        says,
    })
}

/// Until when, within what the severity allows.
fn bounded(
    ticket: &Ticket,
    status: &TicketStatus,
    pausing: &Pausing,
    now: Time,
) -> Result<Time, String> {
    let name = ui::ticket_name(ticket);
    let severity = ui::severity_of(ticket);
    if status.phase == Phase::Waived {
        let until = status.overlay.as_ref().map(|o| when(o.until));
        return Err(format!(
            "ticket {name}: it is waived until {}, so no reminders are sent: change the TicketWaiver instead",
            until.as_deref().unwrap_or("its waiver ends")
        ));
    }
    if pausing.reason.trim().is_empty() {
        return Err(format!(
            "ticket {name}: --reason is empty: say why, for whoever finds the ticket next"
        ));
    }
    let most = match pausing.kind {
        OverlayKind::Snoozed => most_snoozed(severity),
        OverlayKind::Acknowledged | OverlayKind::Waived => most_acknowledged(severity),
    };
    let until = match (pausing.until, pausing.span) {
        (Some(Until(time)), _) => time,
        (None, Some(span)) => now.plus(span),
        (None, None) => now.plus(usual(pausing.kind, severity)),
    };
    if until <= now {
        return Err(format!(
            "ticket {name}: {} is not in the future: give a later time",
            when(until)
        ));
    }
    if until > now.plus(most) {
        return Err(format!(
            "ticket {name}: {} of severity {severity} lasts at most {most}, until {}: give a shorter time, or have the risk taken with a TicketWaiver (`explain` shows one)",
            noun(pausing.kind),
            when(now.plus(most))
        ));
    }
    Ok(until)
}

/// As long as most people want: never longer than allowed.
const fn usual(kind: OverlayKind, severity: Severity) -> Span {
    match (kind, severity) {
        (OverlayKind::Acknowledged, Severity::Critical) => Span::hours(8),
        (OverlayKind::Acknowledged, Severity::High) => Span::hours(24),
        (OverlayKind::Acknowledged, Severity::Medium) => Span::hours(72),
        (OverlayKind::Acknowledged, Severity::Low | Severity::Info) => Span::days(7),
        (_, Severity::Critical) => Span::hours(4),
        (_, Severity::High) => Span::hours(12),
        (_, Severity::Medium | Severity::Low | Severity::Info) => Span::hours(24),
    }
}

fn pause(
    spec: &mut TicketSpec,
    status: &TicketStatus,
    name: &str,
    pausing: &Pausing,
    until: Time,
    who: &str,
) -> String {
    let wanted = Some(Pause {
        until,
        reason: pausing.reason.clone(),
        by: Some(who.to_owned()),
    });
    // The later word counts: one of them at a time, so that nobody has to guess which.
    let other = match pausing.kind {
        OverlayKind::Snoozed => {
            spec.snooze = wanted;
            spec.acknowledge.take().map(|_| "acknowledgement")
        }
        OverlayKind::Acknowledged | OverlayKind::Waived => {
            spec.acknowledge = wanted;
            spec.snooze.take().map(|_| "snooze")
        }
    };
    let ended = other.map_or(String::new(), |other| {
        format!(" The {other} there was is taken back.")
    });
    format!(
        "Ticket {name} {} until {} by {who}: no reminders until then; {}.{ended}",
        verb(pausing.kind),
        when(until),
        due(status, until)
    )
}

/// What a pause does not change.
fn due(status: &TicketStatus, until: Time) -> String {
    match (status.episode.due_at, status.episode.breached_at) {
        (Some(due), Some(_)) => format!("it was due {} and stays overdue", when(due)),
        (Some(due), None) if due <= until => {
            format!(
                "the due time {} is before that, still counts and will be told",
                when(due)
            )
        }
        (Some(due), None) => format!("the due time {} still counts and will be told", when(due)),
        (None, _) => "it stays open until the gap is mended".to_owned(),
    }
}

fn resume(spec: &mut TicketSpec, status: &TicketStatus, name: &str, kind: OverlayKind) -> String {
    let (had, has_other) = match kind {
        OverlayKind::Snoozed => (spec.snooze.take().is_some(), spec.acknowledge.as_ref()),
        OverlayKind::Acknowledged | OverlayKind::Waived => {
            (spec.acknowledge.take().is_some(), spec.snooze.as_ref())
        }
    };
    match (had, has_other) {
        (false, _) => format!("Ticket {name} is not {}: nothing to take back.", verb(kind)),
        (true, Some(other)) => format!(
            "Ticket {name} is no longer {}; what else was asked for still holds until {}.",
            verb(kind),
            when(other.until)
        ),
        (true, None) if status.phase == Phase::Waived => {
            format!(
                "Ticket {name} is no longer {}; it stays waived.",
                verb(kind)
            )
        }
        (true, None) => format!(
            "Ticket {name} is no longer {}: whoever was told is reminded again.",
            verb(kind)
        ),
    }
}

fn assign(spec: &mut TicketSpec, name: &str, whom: Option<String>) -> String {
    let before = std::mem::replace(&mut spec.assignee, whom);
    match (&before, &spec.assignee) {
        (_, Some(who)) => {
            let instead = before
                .as_ref()
                .filter(|b| *b != who)
                .map_or(String::new(), |b| format!(" (before: {b})"));
            format!(
                "Ticket {name} assigned to {who}{instead}: reminders go on and name them; `ack` pauses reminders."
            )
        }
        (Some(who), None) => format!("Ticket {name} is nobody's now (before: {who})."),
        (None, None) => format!("Ticket {name} is nobody's already."),
    }
}

const fn verb(kind: OverlayKind) -> &'static str {
    match kind {
        OverlayKind::Acknowledged => "acknowledged",
        OverlayKind::Snoozed => "snoozed",
        OverlayKind::Waived => "waived",
    }
}

const fn noun(kind: OverlayKind) -> &'static str {
    match kind {
        OverlayKind::Acknowledged => "an acknowledgement",
        OverlayKind::Snoozed => "a snooze",
        OverlayKind::Waived => "a waiver",
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
