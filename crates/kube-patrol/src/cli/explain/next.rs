//! What comes next for a ticket, and when, in words. Pure; what a receiver is owed is the engine's to say, by the same rules
//! as when it is sent.

use patrol_api::condition;
use patrol_api::receiver::AlertReceiver;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, OverlayKind, Phase, Severity, ToldState};
use patrol_core::engine::{Foresight, Owed};
use patrol_core::ticket::alive;

use super::Known;
use crate::cli::ui;

/// One thing that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub when: When,
    pub what: String,
}

/// When it comes, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    At(Time),
    /// Again and again.
    Every(Span),
    /// As soon as what stands before it is over.
    Then,
}

impl When {
    /// In a column.
    pub fn text(self, now: Time) -> String {
        match self {
            Self::At(at) if at > now => at.to_string(),
            Self::At(_) => "now".to_owned(),
            Self::Every(span) => format!("every {span}"),
            Self::Then => "then".to_owned(),
        }
    }
}

/// Everything that comes by itself, the nearest first.
pub(super) fn steps(ticket: &Ticket, known: &Known, foresight: &Foresight, now: Time) -> Vec<Step> {
    let status = ticket.status.clone().unwrap_or_default();
    let mut steps: Vec<Step> = foresight
        .owed
        .iter()
        .map(|owed| told(owed, known, now))
        .collect();
    steps.extend(stand_ins(&status, known, foresight, now));
    steps.extend(holds(&status, foresight));
    steps.extend(of_the_ticket(ticket, &status, known, foresight, now));
    steps.sort_by_key(|step| step.when);
    steps
}

/// What a receiver is told next; who is not ready, not before it is tried again.
fn told(owed: &Owed, known: &Known, now: Time) -> Step {
    let telling = &owed.telling;
    let name = &owed.receiver;
    let word = match (telling.state, telling.reason) {
        _ if owed.is_sign_of_life => {
            "is told that it still holds: silence would end the alarm there".to_owned()
        }
        (ToldState::Closed, AlertReason::Waived) => "is told that it is waived".to_owned(),
        (ToldState::Closed, AlertReason::Late) => "is told that it came and went".to_owned(),
        (ToldState::Closed, _) if !telling.is_edge() => {
            "is told once more that it ended".to_owned()
        }
        (ToldState::Closed, _) => "is told that it ended".to_owned(),
        (ToldState::Firing, AlertReason::Reminder) => "is reminded".to_owned(),
        (ToldState::Firing, reason) => format!("is told ({reason})"),
    };
    let mut what = format!("{name} {word}");
    if telling.failover {
        what.push_str(", in the place of a receiver that is not ready");
    }
    if let Some(general) = &owed.said_by {
        what =
            format!("{what}, once ticket {general} no longer says the same of the whole namespace");
    }
    let trouble = trouble_of(name, known);
    if let Some(trouble) = &trouble {
        what.push_str(&trouble.text(now));
    }
    let again = trouble.and_then(|trouble| trouble.again);
    let when = match (&owed.said_by, owed.is_sign_of_life) {
        (Some(_), _) => When::Then,
        (None, true) => When::Every(alive::REPEAT),
        (None, false) => When::At(again.map_or(telling.due, |again| again.max(telling.due))),
    };
    Step { when, what }
}

/// Why a receiver is told nothing now.
struct Trouble {
    since: Time,
    reason: String,
    /// When it is tried again.
    again: Option<Time>,
}

impl Trouble {
    fn text(&self, now: Time) -> String {
        let again = match self.again {
            Some(at) if at > now => format!("tried again at {at}"),
            _ => "tried again now".to_owned(),
        };
        format!(
            "; not ready since {} ({}), {again}",
            self.since, self.reason
        )
    }
}

fn trouble_of(name: &str, known: &Known) -> Option<Trouble> {
    let status = receiver(name, known)?.status.as_ref()?;
    let ready = condition::get(&status.conditions, "Ready")?;
    (ready.status == "False").then(|| Trouble {
        since: condition::from_meta_time(&ready.last_transition_time),
        reason: ready.reason.clone(),
        again: status.circuit.as_ref().and_then(|c| c.not_before),
    })
}

fn receiver<'a>(name: &str, known: &'a Known) -> Option<&'a AlertReceiver> {
    let mut all = known.receivers.iter();
    all.find(|r| r.metadata.name.as_deref() == Some(name))
}

/// Who will stand in for a receiver that stays as it is.
fn stand_ins(status: &TicketStatus, known: &Known, foresight: &Foresight, now: Time) -> Vec<Step> {
    let severity = status.severity.unwrap_or(Severity::Medium);
    let step = |owed: &Owed| {
        let name = &owed.receiver;
        let failover = receiver(name, known)?.spec.failover.as_ref()?;
        let from = trouble_of(name, known)?.since.plus(failover.after);
        let comes = from > now && severity >= failover.min_severity && !owed.telling.failover;
        comes.then(|| Step {
            when: When::At(from),
            what: format!(
                "{} is told in the place of {name}, if that is still not ready",
                failover.receiver
            ),
        })
    };
    foresight.owed.iter().filter_map(step).collect()
}

/// What holds its messages back, and until when.
fn holds(status: &TicketStatus, foresight: &Foresight) -> Vec<Step> {
    let mut steps = vec![];
    if status.phase == Phase::Resolved {
        return steps;
    }
    if let Some(mute) = &foresight.muted {
        steps.push(Step {
            when: When::At(mute.until),
            what: format!(
                "the mute by {} ends: what was held back is told",
                mute.waiver
            ),
        });
    }
    if let Some(until) = foresight.explained_until {
        steps.push(Step {
            when: When::At(until),
            what:
                "the node is not ready, which explains this no longer: what was held back is told"
                    .to_owned(),
        });
    }
    steps
}

/// What the ticket's own times bring.
fn of_the_ticket(
    ticket: &Ticket,
    status: &TicketStatus,
    known: &Known,
    foresight: &Foresight,
    now: Time,
) -> Vec<Step> {
    let mut steps = vec![];
    let mut at = |at: Option<Time>, what: String| {
        if let Some(at) = at {
            let when = When::At(at);
            steps.push(Step { when, what });
        }
    };
    let episode = &status.episode;
    if status.phase == Phase::Resolved {
        let end = episode
            .resolved_at
            .map(|ended| ended.plus(foresight.retention));
        at(
            end,
            "the ticket is deleted, unless the gap comes back".into(),
        );
        return steps;
    }
    if let Some(overlay) = &status.overlay {
        let what = match overlay.kind {
            OverlayKind::Waived => {
                "the waiver ends: the ticket is open again if the gap is still there".to_owned()
            }
            OverlayKind::Acknowledged => {
                "the acknowledgement ends: reminders start again".to_owned()
            }
            OverlayKind::Snoozed => "the snooze ends: reminders start again".to_owned(),
        };
        at(Some(overlay.until), what);
    }
    if episode.breached_at.is_none() && status.phase != Phase::Waived {
        at(
            episode.due_at,
            "it is due: whoever is told hears SLABreached".into(),
        );
    }
    at(
        foresight.overdue_at,
        "if nobody is told anything until then, whoever is told hears Overdue".into(),
    );
    let patrol = known.policy_of(ticket).and_then(|p| p.status.as_ref());
    let patrol = patrol.and_then(|s| s.next_patrol_at).filter(|at| *at > now);
    at(
        patrol,
        format!(
            "the next patrol of {}; a change is inspected at once",
            ui::clean(&ticket.spec.finding.policy)
        ),
    );
    if status.phase != Phase::Waived {
        let longer = match status.flapping {
            true => " (longer than usual, for it comes and goes)",
            false => "",
        };
        steps.push(Step {
            when: When::Then,
            what: format!(
                "when the subject is seen without the gap, and stays so for {}{longer}, it resolves and whoever was told hears it",
                foresight.clear_after
            ),
        });
    }
    steps
}

#[cfg(test)]
#[path = "next_tests.rs"]
mod tests;
