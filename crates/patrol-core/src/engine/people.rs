//! What people want: waivers over tickets, mutes, and looks that they ask for.

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Time;

use super::Patrol;
use crate::facts::ObjectKey;
use crate::ticket::overlay::Waived;

impl Patrol {
    /// The waiver that takes a ticket out of the open ones.
    pub(super) fn waived(&self, _key: &ObjectKey, _now: Time) -> Option<Waived> {
        None
    }

    /// Until when nothing of a ticket goes out: somebody muted it, or its cause is known.
    pub(super) fn held_until(&self, _ticket: &Ticket, _status: &TicketStatus) -> Option<Time> {
        None
    }
}
