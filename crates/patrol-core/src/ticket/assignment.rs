//! Who works on a ticket: `spec.assignee`, and since when that is so. It changes nothing but what receivers that ask for it
//! are told.

use patrol_api::ticket::{Assigned, TicketStatus, limits};
use patrol_api::time::Time;
use patrol_api::words::Phase;

use super::{life, text};

/// Takes in who works on an open ticket. Returns what happened, if anything did.
pub fn settle(
    status: &mut TicketStatus,
    assignee: Option<&str>,
    now: Time,
) -> Option<&'static str> {
    if status.phase == Phase::Resolved {
        return None;
    }
    let wanted = assignee.map(|to| text::cut(to, limits::BY));
    if status.assigned.as_ref().map(|assigned| &assigned.to) == wanted.as_ref() {
        return None;
    }
    let reason = match wanted {
        Some(_) => "Assigned",
        None => "Unassigned",
    };
    status.assigned = wanted.map(|to| Assigned { to, at: now });
    let phase = status.phase;
    life::push_history(status, Some(phase), phase, reason, now);
    Some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_noted_once_who_works_on_a_ticket_and_since_when() {
        let at = Time::from_unix;
        let mut status = TicketStatus::default();
        assert_eq!(settle(&mut status, None, at(1)), None);
        assert_eq!(settle(&mut status, Some("ann"), at(2)), Some("Assigned"));
        assert_eq!(settle(&mut status, Some("ann"), at(3)), None);
        assert_eq!(status.assigned.as_ref().map(|a| a.at), Some(at(2)));
        assert_eq!(settle(&mut status, Some("bob"), at(4)), Some("Assigned"));
        assert_eq!(settle(&mut status, None, at(5)), Some("Unassigned"));
        let reasons: Vec<&str> = status.history.iter().map(|h| h.reason.as_str()).collect();
        assert_eq!(reasons, ["Assigned", "Assigned", "Unassigned"]);
        status.phase = Phase::Resolved;
        assert_eq!(settle(&mut status, Some("ann"), at(6)), None);
    }
}
