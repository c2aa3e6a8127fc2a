//! An inspection that people ask for: any new value of `spec.recheck`. What was asked and answered is in the status, so a
//! restart does not answer it again.

use patrol_api::ticket::{Rechecked, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::Phase;

use super::life::Assessment;

/// Between two inspections of one ticket that people ask for.
const LEAST: Span = Span::minutes(1);

/// From when on the inspection that is asked for may be made; `None`: nobody asks, or it was made.
#[must_use]
pub fn asked(status: &TicketStatus, wish: Option<&str>, now: Time) -> Option<Time> {
    let wish = wish?;
    match &status.rechecked {
        Some(last) if last.asked == wish => None,
        // A clock that was set back makes nobody wait for longer.
        Some(last) if last.at <= now => Some(last.at.plus(LEAST).max(now)),
        _ => Some(now),
    }
}

/// Notes that the subject was inspected just now, as somebody asked. Returns when it will be, where that is later.
pub(super) fn answer(
    status: &mut TicketStatus,
    wish: Option<&str>,
    assessment: &Assessment,
    now: Time,
) -> Option<Time> {
    let at = asked(status, wish, now)?;
    // Nothing is inspected now: it is when that ends.
    if *assessment == Assessment::Hold {
        return None;
    }
    if at > now {
        return Some(at);
    }
    status.rechecked = wish.map(|wish| Rechecked {
        asked: wish.to_owned(),
        at: now,
    });
    if assessment.is_failing() && status.phase != Phase::Resolved {
        status.evidence.verdict_at = Some(now);
        status.last_seen_at = Some(now);
    }
    None
}
