//! Times that must not pass in silence: the due time, and the longest quiet.

use patrol_api::ticket::TicketStatus;
use patrol_api::time::Time;
use patrol_api::words::{AlertReason, Phase};

use super::{Change, LifeRules, edge, push_history};
use crate::ticket::overlay;

/// Notes what has passed, and asks to be woken for what will. A waived ticket has no deadline but the waiver's end.
pub(super) fn pass(status: &mut TicketStatus, rules: &LifeRules, now: Time, change: &mut Change) {
    if let Some(at) = overlay::ends_at(status) {
        wake(change, at);
    }
    if status.phase == Phase::Waived {
        return;
    }
    breach(status, now, change);
    quiet(status, rules, now, change);
}

fn breach(status: &mut TicketStatus, now: Time, change: &mut Change) {
    let Some(due) = status.episode.due_at else {
        return;
    };
    if status.episode.breached_at.is_some() {
        return;
    }
    if now >= due {
        status.episode.breached_at = Some(now);
        edge(status, AlertReason::SLABreached, now);
        push_history(status, Some(status.phase), status.phase, "SLABreached", now);
        change.transitions.push("SLABreached");
    } else {
        wake(change, due);
    }
}

/// When nobody will have been told anything for too long.
#[must_use]
pub fn overdue_at(status: &TicketStatus, rules: &LifeRules, now: Time) -> Option<Time> {
    let most = rules.max_quiet.get(status.severity?)?;
    // These edges begin a new silence, so that the next is not raised before anybody could hear of it: before them the ticket was
    // not open, or they are heard whatever puts off the others. The end of a pause is no such edge, or pauses in a row would never
    // be too long.
    let begins = matches!(
        status.alert_reason,
        Some(
            AlertReason::Opened
                | AlertReason::Reopened
                | AlertReason::WaiverEnded
                | AlertReason::SLABreached
                | AlertReason::Overdue
        )
    );
    let heard = [
        status.episode.opened_at,
        status.last_alerted_at,
        rules.heard,
        status.alert_at.filter(|_| begins),
    ];
    let since = heard.into_iter().flatten().filter(|at| *at <= now).max()?;
    Some(since.plus(most))
}

/// Nobody was told anything for too long, whatever put it off: windows, people, or a receiver that is down.
fn quiet(status: &mut TicketStatus, rules: &LifeRules, now: Time, change: &mut Change) {
    let Some(at) = overdue_at(status, rules, now) else {
        return;
    };
    if now >= at {
        status.episode.overdue_at = Some(now);
        edge(status, AlertReason::Overdue, now);
        push_history(status, Some(status.phase), status.phase, "Overdue", now);
        change.transitions.push("Overdue");
        if let Some(next) = overdue_at(status, rules, now) {
            wake(change, next);
        }
    } else {
        wake(change, at);
    }
}

pub(super) fn wake(change: &mut Change, at: Time) {
    change.look_again = Some(change.look_again.map_or(at, |before| before.min(at)));
}
