//! I1, I2, I3, I11: at rest there is an open ticket for every finding that holds, and for
//! no other; and each policy says how well it saw.

use std::collections::BTreeMap;

use patrol_api::condition;
use patrol_api::names;
use patrol_api::policy::PatrolPolicy;
use patrol_api::ticket::Ticket;
use patrol_api::time::Span;
use patrol_api::words::{Mode, Phase, ToldState};
use patrol_core::facts::ObjectKey;
use patrol_core::fingerprint;

use super::{overlays, undelivered};
use crate::book::Taken;
use crate::judge::Said;
use crate::scenario::MINUTE;
use crate::sim::Sim;

/// A deleted policy is held back at most this long.
const MOST_HELD: Span = Span::hours(1);

fn is_open(ticket: &Ticket) -> bool {
    ticket
        .status
        .as_ref()
        .is_none_or(|s| s.phase != Phase::Resolved)
}

/// Everything must have converged.
pub fn at_rest(sim: &mut Sim) {
    sim.compare_with_naive();
    let tickets: BTreeMap<ObjectKey, Ticket> = sim.world.tickets().into_iter().collect();
    lost(sim, &tickets);
    phantoms(sim, &tickets);
    twins(sim, &tickets);
    labels(sim, &tickets);
    policies(sim);
    undelivered::at_rest(sim);
    overlays::at_rest(sim);
}

/// The receivers have been well for long: no ticket says any more that they are not.
pub fn at_end(sim: &mut Sim) {
    let tickets: BTreeMap<ObjectKey, Ticket> = sim.world.tickets().into_iter().collect();
    phantoms(sim, &tickets);
    undelivered::at_rest(sim);
    overlays::at_rest(sim);
}

fn lost(sim: &mut Sim, tickets: &BTreeMap<ObjectKey, Ticket>) {
    let failing: Vec<(ObjectKey, &'static str)> = sim
        .truth
        .failing()
        .map(|(place, check)| (place.clone(), check))
        .collect();
    for (place, check) in failing {
        // A grace that ended this moment is not yet overdue.
        let since = sim.failing_since.get(&place).copied().unwrap_or(sim.now);
        if sim.now.saturating_sub(since) < 2 * sim.scenario.period + MINUTE {
            continue;
        }
        match tickets.get(&place) {
            Some(ticket) if is_open(ticket) => {}
            Some(ticket) => {
                let resolution = ticket.status.as_ref().and_then(|s| s.episode.resolution);
                sim.break_promise(
                    "I1",
                    format!("{check} holds, and its ticket {place} is resolved as {resolution:?}"),
                );
            }
            None => sim.break_promise(
                "I1",
                format!("{check} holds, and there is no ticket {place}"),
            ),
        }
    }
}

/// I3: whatever crashed or raced, one identity has one open ticket.
fn twins(sim: &mut Sim, tickets: &BTreeMap<ObjectKey, Ticket>) {
    let mut first = BTreeMap::new();
    for (place, ticket) in tickets.iter().filter(|(_, t)| is_open(t)) {
        let finding = &ticket.spec.finding;
        let subject = &finding.subject;
        let identity = (
            (&finding.policy, &finding.check, &finding.requirement),
            (&subject.group, &subject.kind),
            (&subject.namespace, &subject.name),
        );
        if let Some(other) = first.insert(identity, place) {
            sim.break_promise("I3", format!("{place} and {other} are of one identity"));
        }
    }
}

fn phantoms(sim: &mut Sim, tickets: &BTreeMap<ObjectKey, Ticket>) {
    for (place, ticket) in tickets.iter().filter(|(_, t)| is_open(t)) {
        let finding = &ticket.spec.finding;
        let always_on = finding.policy == names::COVERAGE_POLICY;
        if let Some(policy) = sim.truth.policies().get(&finding.policy)
            && !always_on
        {
            let kept = policy.spec.suspend || !sim.truth.is_compiled(&finding.policy);
            let leaving = policy.metadata.deletion_timestamp.is_some();
            if kept && !leaving || policy.spec.mode == Mode::Observe {
                continue; // its tickets stay as they are
            }
        }
        let blind = sim
            .truth
            .needs(finding)
            .iter()
            .any(|kind| sim.world.denied.contains(kind));
        if blind
            && sim.truth.has_rule(
                &finding.policy,
                &finding.check,
                finding.requirement.as_deref(),
            )
        {
            continue;
        }
        if finding.check == undelivered::CHECK && may_be_stalled(sim, &finding.subject.name) {
            continue;
        }
        let said = sim.truth.word_on(place, sim.wall());
        match said {
            Some(Said::Fails { .. } | Said::Unknown | Said::Leaving) => {}
            other => sim.break_promise(
                "I2",
                format!(
                    "{place} ({} of {}) is open, and of it is said: {other:?}",
                    finding.check, finding.subject_ref
                ),
            ),
        }
    }
}

/// Whether a policy's patrols or alerts may rightly be called stalled.
fn may_be_stalled(sim: &Sim, policy: &str) -> bool {
    // A patrol that cannot see everything is never complete, and so overdue for good; of a
    // broken policy nothing is asked, and what is open stays.
    let there = sim.truth.policies().contains_key(policy);
    !sim.world.denied.is_empty()
        || there && !sim.truth.is_compiled(policy)
        || undelivered::may_hold(sim, policy)
}

/// What `kubectl get` reads agrees with the status.
fn labels(sim: &mut Sim, tickets: &BTreeMap<ObjectKey, Ticket>) {
    for (place, ticket) in tickets {
        let Some(status) = &ticket.status else {
            // Its first status goes with its first record, or ten seconds after it was opened.
            let created = ticket.metadata.creation_timestamp.as_ref();
            let young = created.is_some_and(|at| {
                sim.wall().since(condition::from_meta_time(at)) < Span::seconds(15)
            });
            if young {
                continue;
            }
            sim.break_promise("I11", format!("{place} has no status"));
            continue;
        };
        let label = ticket
            .metadata
            .labels
            .as_ref()
            .and_then(|l| l.get(names::LABEL_STATE))
            .map(String::as_str);
        let right = names::label_value(status.phase.as_str());
        if label != Some(right.as_str()) {
            sim.break_promise(
                "I11",
                format!("{place} is {right}, and its label says {label:?}"),
            );
        }
    }
}

/// I11: a policy that was deleted is gone once whoever it told knows the end, whatever was
/// refused meanwhile.
pub fn deleted_policies(sim: &mut Sim) {
    // Without its own kinds the operator knows neither what is owed nor to whom.
    if sim.world.denied.iter().any(|kind| kind.is_ours()) {
        return;
    }
    for policy in sim.world.policies() {
        let name = policy.metadata.name.clone().unwrap_or_default();
        if let Some(at) = &policy.metadata.deletion_timestamp {
            let age = sim.wall().since(condition::from_meta_time(at));
            if age < MOST_HELD && is_end_parked(sim, &policy) {
                continue;
            }
            sim.break_promise(
                "I11",
                format!("policy {name} was deleted at {} and is still there", at.0),
            );
        }
    }
}

/// Whether a policy's own webhook was told, or may have been, that a ticket fires and refuses to hear its end. Who refuses
/// the content is asked again after an hour, or when the policy is edited; until then the end is owed.
fn is_end_parked(sim: &Sim, policy: &PatrolPolicy) -> bool {
    let name = policy.metadata.name.as_deref().unwrap_or("");
    let uid = policy.metadata.uid.as_deref().unwrap_or("");
    let own = fingerprint::derived_uid("webhook", name, uid);
    let parked = sim.book.parked.keys().filter(|(_, uid)| *uid == own);
    parked.into_iter().any(|(place, _)| {
        let told = |t: &&Taken| t.place == *place && t.receiver == own;
        let rank = |t: &Taken| (t.rank.0, t.rank.1, t.state == ToldState::Closed);
        let last = sim.book.taken.iter().filter(told).map(rank).max();
        last.is_none_or(|(_, _, closed)| !closed)
    })
}

/// I7: what is blind says so; what is well patrols.
fn policies(sim: &mut Sim) {
    let wall = sim.wall();
    for policy in sim.world.policies() {
        let name = policy.metadata.name.clone().unwrap_or_default();
        let status = policy.status.clone().unwrap_or_default();
        let says = |kind: &str| condition::get(&status.conditions, kind).map(|c| c.status.clone());
        if policy.metadata.deletion_timestamp.is_some() {
            continue; // it patrols no more; `deleted_policies` sees to its end
        }
        if !sim.truth.is_compiled(&name) {
            if says("Ready").as_deref() != Some("False") {
                sim.break_promise(
                    "I7",
                    format!("policy {name} is broken and Ready={:?}", says("Ready")),
                );
            }
            continue;
        }
        if policy.spec.suspend {
            continue;
        }
        let period = policy.spec.schedule.every.unwrap_or_default();
        let late = period.times(2).plus(patrol_api::time::Span::seconds(40));
        let last = status.last_patrol.as_ref().map(|p| p.finished_at);
        if last.is_none_or(|at| at.plus(late) < wall) {
            sim.break_promise(
                "I11",
                format!("policy {name} patrols every {period}, and last did at {last:?}"),
            );
        }
        let reads = sim.truth.reads_of(&name);
        let blind = reads.iter().any(|kind| sim.world.denied.contains(kind));
        let covered = if blind { "False" } else { "True" };
        if says("Covered").as_deref() != Some(covered) {
            sim.break_promise(
                "I7",
                format!(
                    "policy {name} is blind: {blind}, and Covered={:?}",
                    says("Covered")
                ),
            );
        }
    }
}
