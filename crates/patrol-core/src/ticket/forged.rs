//! Statuses that nothing of ours can have written, and what they must have been. Decides by
//! the status alone; what a running process remembers is better and goes first.

use patrol_api::ticket::TicketStatus;
use patrol_api::time::Time;
use patrol_api::words::Phase;

use super::life::{conditions, push_history};
use super::overlay;

/// Reason in the history.
const REPAIRED: &str = "StatusRepaired";

/// Whether a stored status contradicts itself, so that someone else must have written it:
/// a phase Resolved without the record of a resolution, or the reverse, or a phase that
/// silences without an overlay that says why, or the reverse.
#[must_use]
pub fn is_forged(status: &TicketStatus) -> bool {
    let ended = status.episode.resolved_at.is_some() && status.episode.resolution.is_some();
    let last = status.history.last().map(|h| h.to);
    let laid = status.overlay.as_ref().map(|o| overlay::phase_of(o.kind));
    let silenced = Some(status.phase).filter(|p| !matches!(p, Phase::Open | Phase::Resolved));
    silenced != laid
        || (status.phase == Phase::Resolved) != ended
        || last.is_some_and(|to| (to == Phase::Resolved) != (status.phase == Phase::Resolved))
}

/// Puts a forged status right in place: same episode, same counters.
pub fn mend(status: &mut TicketStatus, now: Time) {
    let last = status.history.last().map(|h| h.to);
    let ended = status.episode.resolved_at.is_some() && status.episode.resolution.is_some();
    if last == Some(Phase::Resolved) && ended {
        status.phase = Phase::Resolved;
        status.overlay = None;
    } else {
        // Whatever people wish is laid over it anew.
        status.phase = Phase::Open;
        status.overlay = None;
        status.episode.resolved_at = None;
        status.episode.resolution = None;
        // What comes after must go on from where the history is.
        if let Some(last) = last.filter(|last| *last != Phase::Open) {
            push_history(status, Some(last), Phase::Open, REPAIRED, now);
        }
    }
    conditions(status, None, now);
}
