//! The second half of `patrol-overdue`, from what receivers took alone: which policies have
//! alerts that no receiver has accepted for too long. It asks no engine.

use std::collections::BTreeSet;

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::Alerts;
use patrol_api::ticket::{Finding, Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, Severity, ToldState};
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;

use super::alerts::{Receiver, audience, receivers, routed_to};
use super::overlays;
use crate::process::ATTEMPT_WINDOW;
use crate::scenario::MINUTE;
use crate::sim::Sim;

/// The check that says so.
pub const CHECK: &str = "patrol-overdue";
/// Windows after which an alert counts as undelivered.
const WINDOWS: u64 = 3;
/// How long after that, or after a start, a take-over or an edit, it is said at the latest:
/// two minutes of calm, and what watches and writes take.
const SLACK: u64 = 5 * MINUTE;

/// At rest: it is said of whom it holds, and of nobody else.
pub fn at_rest(sim: &mut Sim) {
    let surely = surely(sim);
    for (place, ticket) in sim.world.tickets() {
        if ticket.spec.finding.check != CHECK {
            continue;
        }
        let policy = &ticket.spec.finding.subject.name;
        let ended = ticket
            .status
            .as_ref()
            .is_some_and(|s| s.phase == Phase::Resolved);
        if ended && surely.contains(policy) {
            let how = format!("alerts of {policy} are undelivered, and {place} is resolved");
            sim.break_promise("I1", how);
        }
    }
    let named: BTreeSet<String> = sim
        .world
        .tickets()
        .into_iter()
        .filter(|(_, t)| t.spec.finding.check == CHECK)
        .map(|(_, t)| t.spec.finding.subject.name)
        .collect();
    if let Some(policy) = surely.difference(&named).next() {
        let how = format!("alerts of {policy} are undelivered, and there is no ticket about it");
        sim.break_promise("I1", how);
    }
}

/// Whether an open ticket of the check may be there because of alerts: something is owed
/// to a receiver, or was until a moment ago.
pub fn may_hold(sim: &Sim, policy: &str) -> bool {
    let lately = sim.now.saturating_sub(2 * MINUTE);
    let counts = |finding: &Finding| {
        finding.check != CHECK && (finding.policy == policy || finding.policy == COVERAGE_POLICY)
    };
    let there = receivers(sim);
    // The end of a ticket that is gone may be owed as well: whoever refused it is asked again after an hour.
    let ends = sim.book.parked.keys().any(|(place, uid)| {
        let gone = sim.world.get(Kind::Ticket, place).is_none();
        let of = sim.book.policies.get(place).map(|(name, _)| name.as_str());
        let receiver = there.values().find(|r| r.uid == *uid);
        gone && of.is_some_and(|name| name == policy || name == COVERAGE_POLICY)
            && receiver.is_some_and(|r| is_end_owed(sim, place, r))
    });
    ends || names_nobody(sim, policy)
        || sim.world.tickets().iter().any(|(place, ticket)| {
            if !counts(&ticket.spec.finding) {
                return false;
            }
            let took_lately = sim
                .book
                .taken
                .iter()
                .any(|t| t.place == *place && t.at >= lately);
            let owes = if is_open(ticket) {
                // Also by who hears of it because it is old, or in another's stead.
                let refused = |r: &Receiver| {
                    let refused = (place.clone(), r.uid.clone());
                    sim.book.parked.contains_key(&refused)
                };
                let mut names = audience(sim, ticket, &there).into_iter();
                there.values().any(refused)
                    || names.any(|name| {
                        let owed = |r: &Receiver| {
                            !has_edge(sim, place, ticket, r) || is_reminder_owed(sim, place, r)
                        };
                        there.get(&name).is_some_and(owed)
                    })
            } else {
                let owed = |r: &Receiver| {
                    // Its opening may have been taken, for all that the process knows, and the end was refused.
                    let refused = (place.clone(), r.uid.clone());
                    sim.book.parked.contains_key(&refused)
                        || is_end_owed(sim, place, r)
                        || is_missed(sim, place, ticket, r)
                };
                there.values().any(owed)
            };
            took_lately || owes
        })
}

/// Whether a policy names a receiver that is not there, or did a moment ago.
fn names_nobody(sim: &Sim, policy: &str) -> bool {
    let lately = sim.now.saturating_sub(5 * MINUTE);
    if sim.book.rerouted.iter().any(|at| *at >= lately) {
        return true;
    }
    let there = receivers(sim);
    sim.truth.policies().get(policy).is_some_and(|policy| {
        let alerts = &policy.spec.alerts;
        let steps = alerts.escalation.iter().filter_map(|s| s.receiver.as_ref());
        let mut names = alerts.receivers.iter().map(|r| &r.name).chain(steps);
        names.any(|name| !there.contains_key(name))
    })
}

/// Whether any policy names a receiver that is not there.
pub fn is_somebody_missing(sim: &Sim) -> bool {
    let policies = sim.truth.policies();
    policies.keys().any(|policy| names_nobody(sim, policy))
}

/// I4: whoever ends the ticket has seen that nothing is undelivered.
pub fn on_resolved(sim: &mut Sim, policy: &str) {
    if surely(sim).contains(policy) {
        let how = format!("{CHECK} of {policy} is resolved while alerts of it are undelivered");
        sim.break_promise("I4", how);
    }
}

/// Policies with an opening that a receiver should have had long ago, by every reckoning:
/// nothing happened lately that could put off seeing it.
fn surely(sim: &Sim) -> BTreeSet<String> {
    let since = sim.now.saturating_sub(SLACK);
    let unrest = sim.book.upset_since(since)
        || sim.book.rerouted.iter().any(|at| *at >= since)
        || !sim.book.jumps.is_empty()
        || sim.now < SLACK
        || !sim.is_led_well();
    if unrest {
        return BTreeSet::new();
    }
    let there = receivers(sim);
    let mut out = BTreeSet::new();
    for (place, ticket) in sim.world.tickets() {
        let finding = &ticket.spec.finding;
        let meddled = sim.book.meddled.contains_key(&place);
        if !is_open(&ticket) || finding.check == CHECK || meddled {
            continue;
        }
        let Some(edge) = ticket.status.as_ref().and_then(edge_at) else {
            continue;
        };
        let most = patience(sim, finding).as_millis() + SLACK;
        // What may not go out yet is not undelivered.
        if sim.wall().since(edge).as_millis() < most || overlays::held_lately(sim, &ticket, most) {
            continue;
        }
        for name in audience(sim, &ticket, &there) {
            let Some(receiver) = there.get(&name) else {
                continue;
            };
            if !has_edge(sim, &place, &ticket, receiver) {
                out.extend(answerable(sim, finding, &name));
            }
        }
    }
    out
}

/// The policies that an undelivered alert is said of.
fn answerable(sim: &Sim, finding: &Finding, receiver: &str) -> Vec<String> {
    if finding.policy == COVERAGE_POLICY {
        routed_to(sim, receiver)
    } else {
        vec![finding.policy.clone()]
    }
}

fn patience(sim: &Sim, finding: &Finding) -> Span {
    let policy = sim.truth.policies().get(&finding.policy);
    let interval = policy.map_or(Alerts::default().group_interval, |p| {
        p.spec.alerts.group_interval
    });
    ATTEMPT_WINDOW.max(interval).times(WINDOWS)
}

fn is_open(ticket: &Ticket) -> bool {
    ticket
        .status
        .as_ref()
        .is_none_or(|s| s.phase == Phase::Open)
}

/// Whether a receiver took the last edge of an open ticket.
fn has_edge(sim: &Sim, place: &ObjectKey, ticket: &Ticket, receiver: &Receiver) -> bool {
    let status = ticket.status.clone().unwrap_or_default();
    sim.book.taken.iter().any(|t| {
        t.place == *place
            && t.receiver == receiver.uid
            && t.state == ToldState::Firing
            && (t.rank.0, t.rank.1) >= (status.episode.n, status.alert_seq)
    })
}

/// Whether a receiver refused what it was sent, and is asked again after an hour, or was not
/// reminded for longer than any policy wants.
fn is_reminder_owed(sim: &Sim, place: &ObjectKey, receiver: &Receiver) -> bool {
    let refused = (place.clone(), receiver.uid.clone());
    let last = sim
        .book
        .taken
        .iter()
        .filter(|t| t.place == *place && t.receiver == receiver.uid)
        .map(|t| t.at)
        .max();
    let long = sim.scenario.repeat * 11 / 10 + MINUTE;
    sim.book.parked.contains_key(&refused) || last.is_some_and(|at| at + long < sim.now)
}

/// Whether a receiver that took an opening has not taken the end.
fn is_end_owed(sim: &Sim, place: &ObjectKey, receiver: &Receiver) -> bool {
    let of = |t: &&crate::book::Taken| t.place == *place && t.receiver == receiver.uid;
    let rank = |t: &crate::book::Taken| (t.rank.0, t.rank.1, t.state == ToldState::Closed);
    let last = sim.book.taken.iter().filter(of).map(rank).max();
    last.is_some_and(|(_, _, closed)| !closed)
}

/// Whether a ticket was open for so long, and ended, without a word to a receiver, that it
/// is told of both at once.
fn is_missed(sim: &Sim, place: &ObjectKey, ticket: &Ticket, receiver: &Receiver) -> bool {
    let status = ticket.status.clone().unwrap_or_default();
    let told =
        sim.book.taken.iter().any(|t| {
            t.place == *place && t.receiver == receiver.uid && t.rank.0 >= status.episode.n
        });
    let episode = &status.episode;
    let open = episode.opened_at.zip(episode.resolved_at);
    let long = open.is_some_and(|(from, to)| to.since(from) >= Span::minutes(14));
    !told && (long || status.severity == Some(Severity::Critical))
}

/// When the last edge of an open ticket happened.
fn edge_at(status: &TicketStatus) -> Option<Time> {
    let raised = AlertReason::SeverityRaised.as_str();
    let raised = status.history.iter().filter(|h| h.reason == raised);
    raised
        .map(|h| h.at)
        .chain(status.episode.opened_at)
        .chain(status.episode.breached_at)
        .chain(status.alert_at)
        .max()
}
