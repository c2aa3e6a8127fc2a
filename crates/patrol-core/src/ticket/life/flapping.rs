//! Gaps that come and go: they must stay away for longer, and their coming and going is told with the reminders.

use patrol_api::ticket::TicketStatus;
use patrol_api::time::{Span, Time};

use super::Change;

/// Reopenings within this time...
const WINDOW: Span = Span::hours(24);
/// ...of this number make a ticket flap,
const TIMES: usize = 3;
/// until nothing changed for so long.
const STABLE: Span = Span::hours(48);
/// How many times the wait is doubled at most: eightfold.
const DOUBLINGS: usize = 3;

/// A ticket was reopened.
pub(super) fn notice(status: &mut TicketStatus, now: Time) {
    if reopenings(status, now) >= TIMES {
        status.flapping = true;
    }
}

/// How long a subject must be seen clean: twice as long with each reopening while it flaps.
#[must_use]
pub fn clear_after(status: &TicketStatus, rule: Span, now: Time) -> Span {
    if !status.flapping {
        return rule;
    }
    let more = (reopenings(status, now) + 1).saturating_sub(TIMES);
    let doublings = more.clamp(1, DOUBLINGS);
    rule.times(1 << doublings)
}

/// It stayed as it is for long enough.
pub(super) fn calm_down(status: &mut TicketStatus, now: Time, change: &mut Change) {
    if !status.flapping {
        return;
    }
    let ends = status.episode.resolved_at.max(status.episode.opened_at);
    let Some(stable_at) = ends.map(|at| at.plus(STABLE)) else {
        return;
    };
    if now >= stable_at {
        status.flapping = false;
    } else {
        let again = change.look_again.map_or(stable_at, |at| at.min(stable_at));
        change.look_again = Some(again);
    }
}

fn reopenings(status: &TicketStatus, now: Time) -> usize {
    status
        .history
        .iter()
        .filter(|h| h.reason == "Reopened" && h.at.plus(WINDOW) > now && h.at <= now)
        .count()
}
