//! Routes: who is told about a ticket. Decides nothing about when.

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::Alerts;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::words::{Phase, Severity, ToldState};

use super::super::Patrol;
use super::super::receivers::own_webhook_name;
use super::Route;
use crate::pattern::Glob;
use crate::ticket::ledger::{self, Pace};

impl Patrol {
    /// Who is told about a ticket.
    pub(super) fn routes(&self, ticket: &Ticket, status: &TicketStatus) -> Vec<Route> {
        if status.phase == Phase::Resolved {
            return self.told_routes(&ticket.spec.finding.policy, status);
        }
        let finding = &ticket.spec.finding;
        if finding.policy == COVERAGE_POLICY {
            return self.coverage_routes();
        }
        let Some(state) = self.policies.get(finding.policy.as_str()) else {
            return vec![];
        };
        if state.object.spec.mode == patrol_api::words::Mode::Observe || state.is_leaving() {
            return vec![];
        }
        let alerts = &state.object.spec.alerts;
        let mut routes: Vec<Route> = alerts
            .receivers
            .iter()
            .filter(|route| {
                let severity = status.severity.unwrap_or(Severity::Medium);
                let party = status.party;
                route.min_severity.is_none_or(|min| severity >= min)
                    && (route.parties.is_empty()
                        || party.is_some_and(|p| route.parties.contains(&p)))
                    && (route.checks.is_empty()
                        || route
                            .checks
                            .iter()
                            .any(|g| Glob::compile(g).is_ok_and(|g| g.matches(&finding.check))))
            })
            .filter_map(|route| self.route(&route.name, alerts))
            .collect();
        routes.extend(self.route(&own_webhook_name(&finding.policy), alerts));
        dedup(routes)
    }

    fn route(&self, receiver: &str, alerts: &Alerts) -> Option<Route> {
        let state = self.receivers.get(receiver)?;
        Some(Route {
            receiver: receiver.to_owned(),
            uid: state.target.uid.clone(),
            pace: Pace {
                repeat: alerts.repeat,
                group_wait: alerts.group_wait,
                send_resolved: state.send_resolved,
            },
        })
    }

    /// Whoever was told that it fires is told that it ended, routed or not; at the pace of
    /// the policy while there is one.
    fn told_routes(&self, policy: &str, status: &TicketStatus) -> Vec<Route> {
        let alerts = self
            .policies
            .get(policy)
            .map_or_else(Alerts::default, |p| p.object.spec.alerts.clone());
        self.receivers
            .iter()
            .filter(|(_, state)| {
                ledger::told(status, &state.target.uid)
                    .is_some_and(|r| r.state == ToldState::Firing)
            })
            .filter_map(|(name, _)| self.route(name, &alerts))
            .collect()
    }

    /// The always-on checks are told to receivers marked for them, or, when none is, to
    /// every receiver of every policy that enforces, each once.
    fn coverage_routes(&self) -> Vec<Route> {
        let enforcing: Vec<_> = self
            .policies
            .values()
            .filter(|p| p.object.spec.mode == patrol_api::words::Mode::Enforce && !p.is_leaving())
            .collect();
        if enforcing.is_empty() {
            return vec![];
        }
        let alerts = Alerts::default();
        if self.receivers.values().any(|r| r.coverage) {
            return self
                .receivers
                .iter()
                .filter(|(_, state)| state.coverage)
                .filter_map(|(name, _)| self.route(name, &alerts))
                .collect();
        }
        let mut routes = vec![];
        for policy in enforcing {
            let alerts = &policy.object.spec.alerts;
            routes.extend(
                alerts
                    .receivers
                    .iter()
                    .filter_map(|r| self.route(&r.name, alerts)),
            );
            routes.extend(self.route(&own_webhook_name(policy.name()), alerts));
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
        alerts
            .receivers
            .iter()
            .map(|r| {
                if self.receivers.contains_key(&r.name) {
                    Ok(r.name.clone())
                } else {
                    Err(r.name.clone())
                }
            })
            .chain(own)
            .collect()
    }
}

fn dedup(mut routes: Vec<Route>) -> Vec<Route> {
    routes.sort_by(|a, b| a.receiver.cmp(&b.receiver));
    routes.dedup_by(|a, b| a.receiver == b.receiver);
    routes
}
