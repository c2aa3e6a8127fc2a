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
        change.transition = change.transition.or(Some("SLABreached"));
    } else {
        wake(change, due);
    }
}

/// Nobody was told anything for too long, whatever put it off: windows, people, or a receiver that is down.
fn quiet(status: &mut TicketStatus, rules: &LifeRules, now: Time, change: &mut Change) {
    let Some(most) = status.severity.and_then(|s| rules.max_quiet.get(s)) else {
        return;
    };
    // An edge begins a new silence, so that the next is not raised before anybody could hear of it.
    let heard = [
        status.episode.opened_at,
        status.last_alerted_at,
        status.alert_at,
    ];
    let Some(since) = heard.into_iter().flatten().filter(|at| *at <= now).max() else {
        return;
    };
    let at = since.plus(most);
    if now >= at {
        edge(status, AlertReason::Overdue, now);
        push_history(status, Some(status.phase), status.phase, "Overdue", now);
        change.transition = change.transition.or(Some("Overdue"));
        wake(change, now.plus(most));
    } else {
        wake(change, at);
    }
}

fn wake(change: &mut Change, at: Time) {
    change.look_again = Some(change.look_again.map_or(at, |before| before.min(at)));
}
