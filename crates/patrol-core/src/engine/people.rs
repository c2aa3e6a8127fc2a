//! What holds a ticket's messages back: somebody muted it, or its cause is known and will pass.

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};

use super::Patrol;

/// A node that is not ready explains what is missing on it for so long.
const NODE_DOWN: Span = Span::minutes(30);

impl Patrol {
    /// Until when nothing of a ticket goes out.
    pub(super) fn held_until(&self, ticket: &Ticket, status: &TicketStatus) -> Option<Time> {
        let muted = self.muted_until(ticket, status);
        muted.max(self.explained_until(ticket))
    }

    /// An agent cannot run on a node that is down: the node is somebody's turn first.
    fn explained_until(&self, ticket: &Ticket) -> Option<Time> {
        let finding = &ticket.spec.finding;
        if finding.subject.kind != "Node" || !finding.check.starts_with("node-agent-") {
            return None;
        }
        let since = self.inventory.node(&finding.subject.name)?.down_since()?;
        Some(since.plus(NODE_DOWN))
    }
}
