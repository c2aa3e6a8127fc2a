//! Whether a policy's route takes a ticket: by severity, party and check. Pure.

use patrol_api::policy::Route;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::words::Severity;

use crate::pattern::Glob;

/// Whether a route of a policy is for a ticket of it.
#[must_use]
pub fn is_for(route: &Route, ticket: &Ticket, status: &TicketStatus) -> bool {
    let severity = status.severity.unwrap_or(Severity::Medium);
    let check = &ticket.spec.finding.check;
    route.min_severity.is_none_or(|min| severity >= min)
        && (route.parties.is_empty() || status.party.is_some_and(|p| route.parties.contains(&p)))
        && (route.checks.is_empty()
            || route
                .checks
                .iter()
                .any(|g| Glob::compile(g).is_ok_and(|g| g.matches(check))))
}
