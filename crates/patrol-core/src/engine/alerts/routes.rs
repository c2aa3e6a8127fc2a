//! Routes: who is told about a ticket. Decides nothing about when.

use std::collections::BTreeMap;
use std::sync::Arc;

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::Alerts;
use patrol_api::receiver::Failover;
use patrol_api::ticket::{AlertRecord, Ticket, TicketStatus};
use patrol_api::time::Time;
use patrol_api::words::{Mode, Phase, Severity, ToldState};

use super::super::Patrol;
use super::super::receivers::{ReceiverState, own_webhook_name};
use super::Route;
use super::alarms::{forgets, holds_alarms};
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::ticket::alive;
use crate::ticket::ledger::{self, Join, Pace};
use crate::ticket::routing::is_for;

impl Patrol {
    /// Who is told about a ticket.
    pub(super) fn routes(&self, ticket: &Ticket, status: &TicketStatus, now: Now) -> Vec<Route> {
        let mut routes = self.routed(ticket, status);
        let held_until = self.held_until(ticket, status, now);
        let said = self.said_of_namespace(ticket, status, now);
        for route in &mut routes {
            let held = held_until.max(said.until(&route.receiver));
            route.pace.held_until = route.pace.held_until.max(held);
        }
        routes
    }

    /// The same, whatever holds its messages back.
    pub(super) fn routed(&self, ticket: &Ticket, status: &TicketStatus) -> Vec<Route> {
        let mut routes = match status.phase {
            Phase::Resolved => self.late_routes(ticket, status),
            _ => self.open_routes(ticket, status),
        };
        // After the others, who have their own pace. Whoever was told that it fires is told that it ended, routed or not.
        routes.extend(self.told_routes(&ticket.spec.finding.policy, status));
        routes.extend(self.holding_routes(&ticket.spec.finding.policy, status, &routes));
        dedup(routes)
    }

    fn open_routes(&self, ticket: &Ticket, status: &TicketStatus) -> Vec<Route> {
        let finding = &ticket.spec.finding;
        if finding.policy == COVERAGE_POLICY {
            return self.with_failover(self.coverage_routes(), ticket, status);
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
        // After the others: who is told anyway does not join.
        let mut steps = self.steps(&finding.policy, alerts, status);
        steps.retain(|step| routes.iter().all(|route| route.receiver != step.receiver));
        routes.extend(steps);
        self.with_failover(dedup(routes), ticket, status)
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

    /// With those who stand in for receivers that are not ready. They hear of what is due there, when it is: not at once of
    /// everything that the others were told of before.
    fn with_failover(
        &self,
        routes: Vec<Route>,
        ticket: &Ticket,
        status: &TicketStatus,
    ) -> Vec<Route> {
        let uid = ticket.metadata.uid.as_deref().unwrap_or("");
        let due: BTreeMap<String, Time> = routes
            .iter()
            .filter_map(|route| {
                let state = self.receivers.get(&route.receiver)?;
                let other = state.fails_over_to()?.receiver.clone();
                // What people did is no reason to call anybody else.
                let loud = Pace {
                    quiet: vec![],
                    ..route.pace.clone()
                };
                let owed = ledger::obligation(uid, status, &route.uid, &loud)?;
                // News is due to whoever stands in when it would be to anybody.
                let due = match owed.is_edge() {
                    true => Time::from_unix(0),
                    false => owed.due,
                };
                Some((other, due))
            })
            .fold(BTreeMap::new(), |mut due, (other, at)| {
                let first = due.entry(other).or_insert(at);
                *first = at.min(*first);
                due
            });
        let mut routes = self.with_standbys(routes, status, ReceiverState::fails_over_to);
        let knows = |route: &Route| {
            ledger::told(status, &route.uid).is_some_and(|r| r.episode == status.episode.n)
        };
        for route in routes.iter_mut().filter(|r| r.pace.failover && !knows(r)) {
            route.pace.held_until = due.get(&route.receiver).copied();
        }
        routes
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
                    quiet: other.quiet.clone(),
                    ..route.pace.clone()
                },
                forgets: forgets(other.target.endpoint.kind()),
                away: other.health.away(),
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
                quiet: state.quiet.clone(),
                ..Pace::plain(alerts.repeat, alerts.group_wait)
            },
            forgets: forgets(state.target.endpoint.kind()),
            away: state.health.away(),
        })
    }

    /// Who was told that it fires, at the pace of the policy while there is one.
    fn told_routes(&self, policy: &str, status: &TicketStatus) -> Vec<Route> {
        let firing =
            |uid: &str| ledger::told(status, uid).is_some_and(|r| r.state == ToldState::Firing);
        let over = matches!(status.phase, Phase::Resolved | Phase::Waived);
        let unclear = !over && self.may_lack_policy(policy);
        if !(over || unclear) || status.alerts.is_empty() {
            return vec![];
        }
        // While nobody knows whom a policy names, whoever was told still is; but not where it would be another incident, for
        // nobody knows either how it groups.
        let still = |kind| over || forgets(kind) || !holds_alarms(kind);
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
                still(state.target.endpoint.kind())
                    && (firing(uid)
                        || again && ledger::told(status, uid).is_some_and(alive::ends_again))
            })
            .filter_map(|(name, _)| self.route(name, policy, alerts))
            .collect()
    }

    /// Receivers that forget, and hold an alarm of an open ticket without being named for it now: whoever stood in for another goes on,
    /// all others are to take it back.
    fn holding_routes(&self, policy: &str, status: &TicketStatus, routes: &[Route]) -> Vec<Route> {
        let over = matches!(status.phase, Phase::Resolved | Phase::Waived);
        if over || status.alerts.is_empty() || self.may_lack_policy(policy) {
            return vec![];
        }
        let default = Alerts::default();
        let alerts = self
            .policies
            .get(policy)
            .map_or(&default, |p| &p.object.spec.alerts);
        let holds = |record: &&AlertRecord| {
            let state = self.receivers.get(&record.receiver);
            record.state == ToldState::Firing
                && state.is_some_and(|state| {
                    forgets(state.target.endpoint.kind()) && state.target.uid == record.uid
                })
                && routes.iter().all(|route| route.receiver != record.receiver)
        };
        let holding = status.alerts.iter().filter(holds);
        let route = |record: &AlertRecord| {
            let name = record.receiver.as_str();
            let mut route = self.route(name, policy, alerts)?;
            // Since the episode began: what it was told last may be later than its standing in.
            let since = status.episode.opened_at.unwrap_or(record.at);
            let stood_in = routes
                .iter()
                .any(|named| self.stands_in(name, named, since));
            route.pace.failover = stood_in;
            route.pace.leaving = !stood_in;
            Some(route)
        };
        holding.filter_map(route).collect()
    }

    /// Whether a receiver may have stood in for another at this time or since.
    fn stands_in(&self, name: &str, named: &Route, at: Time) -> bool {
        let state = self.receivers.get(&named.receiver);
        let other = state.and_then(|state| state.failed_over_since(at));
        other.is_some_and(|failover| failover.receiver == name)
    }

    /// Whether there is, or may be, a policy of this name that cannot be read.
    pub(super) fn may_lack_policy(&self, policy: &str) -> bool {
        let sight = self.inventory.sight(Kind::PatrolPolicy);
        match policy {
            // Any policy tells of what no policy asked for.
            COVERAGE_POLICY => !sight.is_complete(),
            _ => !self.policies.contains_key(policy) && sight.may_lack(&ObjectKey::new("", policy)),
        }
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
