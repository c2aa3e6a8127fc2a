//! Routes: who is told about a ticket. Decides nothing about when.

use std::sync::Arc;

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::Alerts;
use patrol_api::receiver::Failover;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Time;
use patrol_api::words::{Mode, Phase, Severity, ToldState};

use super::super::Patrol;
use super::super::receivers::{ReceiverState, own_webhook_name};
use super::Route;
use super::alarms::forgets;
use crate::clock::Now;
use crate::ticket::alive;
use crate::ticket::ledger::{self, Join, Pace};
use crate::ticket::routing::is_for;

impl Patrol {
    /// Who is told about a ticket.
    pub(super) fn routes(&self, ticket: &Ticket, status: &TicketStatus, now: Now) -> Vec<Route> {
        let mut routes = self.routed(ticket, status);
        let held_until = self.held_until(ticket, status);
        let said = self.said_of_namespace(ticket, status, now);
        for route in &mut routes {
            route.pace.held_until = held_until.max(said.until(&route.receiver));
        }
        routes
    }

    /// The same, whatever holds its messages back.
    pub(super) fn routed(&self, ticket: &Ticket, status: &TicketStatus) -> Vec<Route> {
        let mut routes = match status.phase {
            Phase::Resolved => self.late_routes(ticket, status),
            _ => self.open_routes(ticket, status),
        };
        // Whoever was told that it fires is told that it ended, routed or not.
        routes.extend(self.told_routes(&ticket.spec.finding.policy, status));
        dedup(routes)
    }

    fn open_routes(&self, ticket: &Ticket, status: &TicketStatus) -> Vec<Route> {
        let finding = &ticket.spec.finding;
        if finding.policy == COVERAGE_POLICY {
            return self.with_failover(self.coverage_routes(), status);
        }
        let Some(state) = self.policies.get(finding.policy.as_str()) else {
            return vec![];
        };
        if state.object.spec.mode == Mode::Observe || state.is_leaving() {
            return vec![];
        }
        let alerts = &state.object.spec.alerts;
        let mut routes: Vec<Route> = alerts
            .receivers
            .iter()
            .filter(|route| is_for(route, ticket, status))
            .filter_map(|route| self.route(&route.name, &finding.policy, alerts))
            .collect();
        routes.extend(self.route(&own_webhook_name(&finding.policy), &finding.policy, alerts));
        let mut routes = self.with_failover(dedup(routes), status);
        // After the others: who is told anyway does not join.
        routes.extend(self.steps(&finding.policy, alerts, status));
        routes
    }

    /// The receivers of steps of escalation, each from its step on.
    fn steps(&self, policy: &str, alerts: &Alerts, status: &TicketStatus) -> Vec<Route> {
        (1_u64..)
            .zip(&alerts.escalation)
            .filter(|(_, step)| {
                status
                    .severity
                    .is_some_and(|s| step.severities.contains(&s))
            })
            .filter_map(|(level, step)| {
                let mut route = self.route(step.receiver.as_deref()?, policy, alerts)?;
                route.pace.join = Some(Join {
                    level,
                    after: step.after,
                });
                Some(route)
            })
            .collect()
    }

    /// With those who stand in for receivers that are not ready.
    fn with_failover(&self, routes: Vec<Route>, status: &TicketStatus) -> Vec<Route> {
        self.with_standbys(routes, status, ReceiverState::fails_over_to)
    }

    /// With those who may have stood in for a receiver at this time or since.
    pub(super) fn with_former_standbys(
        &self,
        routes: Vec<Route>,
        status: &TicketStatus,
        at: Time,
    ) -> Vec<Route> {
        dedup(self.with_standbys(routes, status, |state| state.failed_over_since(at)))
    }

    fn with_standbys(
        &self,
        mut routes: Vec<Route>,
        status: &TicketStatus,
        of: impl Fn(&ReceiverState) -> Option<&Failover>,
    ) -> Vec<Route> {
        let severity = status.severity.unwrap_or(Severity::Medium);
        let mut others = vec![];
        for route in &routes {
            let Some(state) = self.receivers.get(&route.receiver) else {
                continue;
            };
            let Some(failover) = of(state) else {
                continue;
            };
            if severity < failover.min_severity {
                continue;
            }
            let Some(other) = self.receivers.get(&failover.receiver) else {
                continue;
            };
            others.push(Route {
                receiver: failover.receiver.clone(),
                uid: other.target.uid.clone(),
                pace: Pace {
                    failover: true,
                    send_resolved: other.send_resolved,
                    since: None,
                    ..route.pace.clone()
                },
                forgets: forgets(other.target.endpoint.kind()),
            });
        }
        routes.extend(others);
        routes
    }

    fn route(&self, receiver: &str, policy: &str, alerts: &Alerts) -> Option<Route> {
        let state = self.receivers.get(receiver)?;
        let compiled = self.rulebook.policies.get(policy);
        Some(Route {
            receiver: receiver.to_owned(),
            uid: state.target.uid.clone(),
            pace: Pace {
                send_resolved: state.send_resolved,
                windows: compiled.map_or_else(Arc::default, |p| Arc::clone(&p.windows)),
                steps: compiled.map_or_else(Arc::default, |p| Arc::clone(&p.steps)),
                since: state.made(),
                missed_after: alerts.missed_after,
                ..Pace::plain(alerts.repeat, alerts.group_wait)
            },
            forgets: forgets(state.target.endpoint.kind()),
        })
    }

    /// Who was told that it fires, at the pace of the policy while there is one.
    fn told_routes(&self, policy: &str, status: &TicketStatus) -> Vec<Route> {
        let firing =
            |uid: &str| ledger::told(status, uid).is_some_and(|r| r.state == ToldState::Firing);
        if !matches!(status.phase, Phase::Resolved | Phase::Waived) || status.alerts.is_empty() {
            return vec![];
        }
        let default = Alerts::default();
        let alerts = self
            .policies
            .get(policy)
            .map_or(&default, |p| &p.object.spec.alerts);
        self.receivers
            .iter()
            .filter(|(_, state)| {
                let again = forgets(state.target.endpoint.kind());
                let uid = &state.target.uid;
                firing(uid) || again && ledger::told(status, uid).is_some_and(alive::ends_again)
            })
            .filter_map(|(name, _)| self.route(name, policy, alerts))
            .collect()
    }

    /// Who may have to hear that a ticket came and went.
    fn late_routes(&self, ticket: &Ticket, status: &TicketStatus) -> Vec<Route> {
        let unheard = |route: &Route| {
            ledger::told(status, &route.uid).is_none_or(|r| r.episode < status.episode.n)
        };
        let mut routes = self.open_routes(ticket, status);
        routes.retain(unheard);
        routes
    }

    /// The always-on checks are told to receivers marked for them, or, when none is, to
    /// every receiver of every policy that enforces, each once.
    fn coverage_routes(&self) -> Vec<Route> {
        let enforcing: Vec<_> = self
            .policies
            .values()
            .filter(|p| p.object.spec.mode == Mode::Enforce && !p.is_leaving())
            .collect();
        if enforcing.is_empty() {
            return vec![];
        }
        let alerts = Alerts::default();
        let route = |name: &str, alerts: &Alerts| self.route(name, COVERAGE_POLICY, alerts);
        if self.receivers.values().any(|r| r.coverage) {
            return self
                .receivers
                .iter()
                .filter(|(_, state)| state.coverage)
                .filter_map(|(name, _)| route(name, &alerts))
                .collect();
        }
        let mut routes = vec![];
        for policy in enforcing {
            let alerts = &policy.object.spec.alerts;
            routes.extend(
                alerts
                    .receivers
                    .iter()
                    .filter_map(|r| route(&r.name, alerts)),
            );
            routes.extend(route(&own_webhook_name(policy.name()), alerts));
        }
        dedup(routes)
    }

    /// The receivers of a policy, missing ones as `Err`.
    pub(in crate::engine) fn receivers_of(&self, policy: &str) -> Vec<Result<String, String>> {
        let Some(state) = self.policies.get(policy) else {
            return vec![];
        };
        let alerts = &state.object.spec.alerts;
        let own = alerts
            .webhook
            .is_some()
            .then(|| Ok(own_webhook_name(policy)));
        let steps = alerts.escalation.iter().filter_map(|s| s.receiver.as_ref());
        alerts
            .receivers
            .iter()
            .map(|route| &route.name)
            .chain(steps)
            .map(|name| match self.receivers.contains_key(name) {
                true => Ok(name.clone()),
                false => Err(name.clone()),
            })
            .chain(own)
            .collect()
    }
}

/// Each receiver once: as it is told anyway, before as a stand-in or by escalation.
fn dedup(mut routes: Vec<Route>) -> Vec<Route> {
    routes.sort_by(|a, b| a.receiver.cmp(&b.receiver));
    routes.dedup_by(|a, b| a.receiver == b.receiver);
    routes
}
