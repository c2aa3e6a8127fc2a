//! What holds a ticket's messages back: somebody muted it, its cause is known and will pass, or the same is said of its
//! whole namespace.

use patrol_api::ticket::{Finding, Subject, Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::Phase;

use super::super::Patrol;
use super::{Flight, Route, owed};
use crate::check::UnitKind;
use crate::clock::Now;
use crate::event::{DeliveryClass, PartOutcome};
use crate::facts::ObjectKey;
use crate::fingerprint;
use crate::kind::Kind;
use crate::ticket::ledger;

/// A node that is not ready explains what is missing on it for so long.
const NODE_DOWN: Span = Span::minutes(30);

/// Nobody knows yet when: the last day that a timestamp can be written of.
const SOME_DAY: i64 = 253_402_214_400;

/// What is said of a whole namespace.
pub(super) enum Said {
    Nothing,
    /// To these receivers, until the ticket about the namespace ends.
    To(Vec<String>),
    /// No more since then.
    Until(Time),
}

impl Said {
    /// Until when a receiver need not hear it of what is in the namespace, too.
    pub(super) fn until(&self, receiver: &str) -> Option<Time> {
        match self {
            Self::Nothing => None,
            Self::To(hearers) => hearers
                .iter()
                .any(|name| name == receiver)
                .then(|| Time::from_unix(SOME_DAY)),
            Self::Until(at) => Some(*at),
        }
    }
}

impl Patrol {
    /// Until when nothing of a ticket goes out to anybody.
    pub(super) fn held_until(
        &self,
        ticket: &Ticket,
        status: &TicketStatus,
        now: Now,
    ) -> Option<Time> {
        let muted = self.muted_until(ticket, status);
        muted.max(self.explained_until(ticket, now))
    }

    /// What an open ticket of the same check, about the whole namespace and no less severe, says already, and to whom. One
    /// that ended says since when it does no more: what waited for that has not waited longer.
    pub(super) fn said_of_namespace(
        &self,
        ticket: &Ticket,
        status: &TicketStatus,
        now: Now,
    ) -> Said {
        let severity = status.severity;
        let Some((key, ticket, status)) = self.ticket_of_namespace(&ticket.spec.finding) else {
            return Said::Nothing;
        };
        match status.phase {
            _ if status.severity < severity => Said::Nothing,
            Phase::Open | Phase::Acknowledged | Phase::Snoozed => {
                Said::To(self.hearers(&key, ticket, status, now))
            }
            Phase::Resolved | Phase::Waived => match status.phase_since {
                // Not longer, if the clock was set back since.
                Some(at) => Said::Until(at.min(now.wall)),
                None => Said::Nothing,
            },
        }
    }

    fn ticket_of_namespace(
        &self,
        finding: &Finding,
    ) -> Option<(ObjectKey, &Ticket, &TicketStatus)> {
        let key = self.key_for_namespace(finding)?;
        let (ticket, status) = self.tickets.view(&key)?;
        Some((key, ticket, status))
    }

    /// Where the ticket is, if there is one, that says the same of the whole namespace.
    #[must_use]
    pub fn key_for_namespace(&self, finding: &Finding) -> Option<ObjectKey> {
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
        Some(ObjectKey::new(&self.config.namespace, &name))
    }

    /// Who hears of a ticket: not those who join later, nobody while it is muted, and not who refuses to take it.
    fn hearers(
        &self,
        key: &ObjectKey,
        ticket: &Ticket,
        status: &TicketStatus,
        now: Now,
    ) -> Vec<String> {
        if self
            .held_until(ticket, status, now)
            .is_some_and(|until| until > now.wall)
        {
            return vec![];
        }
        let mut routes = self.routed(ticket, status);
        routes.retain(|route| {
            let told = ledger::told(status, &route.uid);
            let told = told.is_some_and(|r| r.episode == status.episode.n);
            let joined = told || route.pace.join.is_none();
            joined && !self.is_refused(key, ticket, status, route, now)
        });
        routes.into_iter().map(|route| route.receiver).collect()
    }

    /// Whether a receiver refused what it is owed of a ticket, and is not yet tried again.
    fn is_refused(
        &self,
        key: &ObjectKey,
        ticket: &Ticket,
        status: &TicketStatus,
        route: &Route,
        now: Now,
    ) -> bool {
        let state = self.receivers.get(&route.receiver);
        let Some(state) = state.filter(|state| !state.refused.is_empty()) else {
            return false;
        };
        let heard = self.agenda.heard(key, &route.uid);
        owed(ticket, status, route, heard, now.wall).is_some_and(|telling| {
            let uid = ticket.metadata.uid.as_deref().unwrap_or("");
            state
                .refused
                .is_parked(&telling.event_id(uid, &route.uid), now)
        })
    }

    /// Whether a check finds the same of single objects and of whole namespaces.
    fn speaks_of_namespaces(&self, check: &str) -> bool {
        let mut checks = self.config.catalogue.checks.iter();
        let units = checks
            .find(|c| c.meta().id == check)
            .map(|c| c.meta().units);
        units.is_some_and(|units| units.len() > 1 && units.contains(&UnitKind::Namespace))
    }

    /// A ticket about a namespace ended, is open again, or is for others than before: what it said of the objects in it is
    /// theirs to say, or no more.
    pub(in crate::engine) fn namespace_spoke(&mut self, finding: &Finding) {
        if finding.subject.kind == Kind::Namespace.info().kind
            && self.speaks_of_namespaces(&finding.check)
        {
            self.routes_changed();
        }
    }

    /// What a receiver refuses about a whole namespace is said of the objects in it.
    pub(super) fn speak_instead(&mut self, flight: &Flight, part: &PartOutcome) {
        let [one] = part.event_ids.as_slice() else {
            return;
        };
        let (DeliveryClass::Payload, Some((key, ..))) = (part.class, flight.tellings.get(one))
        else {
            return;
        };
        if let Some(ticket) = self.tickets.object(key) {
            let finding = ticket.spec.finding.clone();
            self.namespace_spoke(&finding);
        }
    }

    /// An agent cannot run on a node that is down: the node is somebody's turn first.
    pub(super) fn explained_until(&self, ticket: &Ticket, now: Now) -> Option<Time> {
        let finding = &ticket.spec.finding;
        if finding.subject.kind != "Node" || !finding.check.starts_with("node-agent-") {
            return None;
        }
        let since = self.inventory.node(&finding.subject.name)?.down_since()?;
        // A time that is yet to come says nothing of how long it is down.
        (!ledger::is_ahead(since, now.wall)).then(|| since.plus(NODE_DOWN))
    }
}
