//! Names, times and words of objects as people read them.

use patrol_api::names::LABEL_SEVERITY;
use patrol_api::ticket::Ticket;
use patrol_api::time::Time;
use patrol_api::words::Severity;

/// A time to the minute, with its zone.
#[must_use]
pub fn when(time: Time) -> String {
    time.chrono().format("%Y-%m-%d %H:%M UTC").to_string()
}

/// `namespace/name` of a ticket.
#[must_use]
pub fn ticket_name(ticket: &Ticket) -> String {
    let metadata = &ticket.metadata;
    format!(
        "{}/{}",
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default()
    )
}

/// How bad a ticket is: as its status says, before there is one as its label says.
#[must_use]
pub fn severity_of(ticket: &Ticket) -> Severity {
    let labels = ticket.metadata.labels.as_ref();
    let label = labels.and_then(|all| all.get(LABEL_SEVERITY)?.parse().ok());
    let status = ticket.status.as_ref().and_then(|s| s.severity);
    status.or(label).unwrap_or(Severity::Medium)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_their_zone() {
        assert_eq!(when(Time::from_unix(1_800_000_000)), "2027-01-15 08:00 UTC");
    }
}
