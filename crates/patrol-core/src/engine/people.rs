//! What holds a ticket's messages back: somebody muted it, its cause is known and will pass, or the same is said of its
//! whole namespace.

use patrol_api::ticket::{Finding, Subject, Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::Phase;

use super::Patrol;
use crate::check::UnitKind;
use crate::facts::ObjectKey;
use crate::fingerprint;
use crate::kind::Kind;

/// A node that is not ready explains what is missing on it for so long.
const NODE_DOWN: Span = Span::minutes(30);

/// Nobody knows yet when: the last day that a timestamp can be written of.
const SOME_DAY: i64 = 253_402_214_400;

impl Patrol {
    /// Until when nothing of a ticket goes out.
    pub(super) fn held_until(&self, ticket: &Ticket, status: &TicketStatus) -> Option<Time> {
        let muted = self.muted_until(ticket, status);
        let finding = &ticket.spec.finding;
        muted
            .max(self.explained_until(ticket))
            .max(self.said_of_namespace_until(finding))
    }

    /// Until when an open ticket of the same check, about the whole namespace, says it already. One that ended says since
    /// when it does no more: what waited for that has not waited longer.
    fn said_of_namespace_until(&self, finding: &Finding) -> Option<Time> {
        let namespace = finding.subject.namespace.as_deref()?;
        if !self.speaks_of_namespaces(&finding.check) {
            return None;
        }
        let subject = Subject {
            group: String::new(),
            kind: Kind::Namespace.info().kind.to_owned(),
            namespace: None,
            name: namespace.to_owned(),
            uid: None,
        };
        let requirement = finding.requirement.as_deref();
        let name =
            fingerprint::ticket_name(&finding.policy, &finding.check, requirement, &subject, None);
        let key = ObjectKey::new(&self.config.namespace, &name);
        let (_, status) = self.tickets.view(&key)?;
        match status.phase {
            Phase::Open | Phase::Acknowledged | Phase::Snoozed => Some(Time::from_unix(SOME_DAY)),
            Phase::Resolved | Phase::Waived => status.phase_since,
        }
    }

    /// Whether a check finds the same of single objects and of whole namespaces.
    fn speaks_of_namespaces(&self, check: &str) -> bool {
        let mut checks = self.config.catalogue.checks.iter();
        let units = checks
            .find(|c| c.meta().id == check)
            .map(|c| c.meta().units);
        units.is_some_and(|units| units.len() > 1 && units.contains(&UnitKind::Namespace))
    }

    /// A ticket about a namespace ended, or is open again: what it said of others is theirs to say, or no more.
    pub(super) fn namespace_spoke(&mut self, finding: &Finding) {
        if finding.subject.kind == Kind::Namespace.info().kind
            && self.speaks_of_namespaces(&finding.check)
        {
            self.routes_changed();
        }
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
