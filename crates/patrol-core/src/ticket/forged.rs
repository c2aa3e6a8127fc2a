//! Statuses that nothing of ours can have written, and what they must have been. Decides by
//! the status alone; what a running process remembers is better and goes first.

use patrol_api::ticket::TicketStatus;
use patrol_api::time::Time;
use patrol_api::words::Phase;

use super::life::conditions;

/// Whether a stored status contradicts itself, so that someone else must have written it:
/// a phase Resolved without the record of a resolution, or the reverse, or a phase that
/// silences and that nothing of ours ever sets.
#[must_use]
pub fn is_forged(status: &TicketStatus) -> bool {
    let ended = status.episode.resolved_at.is_some() && status.episode.resolution.is_some();
    let last = status.history.last().map(|h| h.to);
    !matches!(status.phase, Phase::Open | Phase::Resolved)
        || (status.phase == Phase::Resolved) != ended
        || last.is_some_and(|to| (to == Phase::Resolved) != (status.phase == Phase::Resolved))
}

/// Puts a forged status right in place: same episode, same counters.
pub fn mend(status: &mut TicketStatus, now: Time) {
    let resolved_last = status.history.last().map(|h| h.to) == Some(Phase::Resolved);
    let ended = status.episode.resolved_at.is_some() && status.episode.resolution.is_some();
    if resolved_last && ended {
        status.phase = Phase::Resolved;
    } else {
        status.phase = Phase::Open;
        status.episode.resolved_at = None;
        status.episode.resolution = None;
    }
    conditions(status, None, now);
}
