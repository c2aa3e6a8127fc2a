//! No incident at a receiver outlives its tickets, and none ends while a ticket that was told there is open and still for it.

use std::collections::BTreeMap;

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::GroupKey;
use patrol_api::ticket::Ticket;
use patrol_api::words::{Phase, Severity, ToldState};
use patrol_core::effect::Target;
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use patrol_core::notice::Notice;

use super::alerts::{audience, receivers};
use super::overlays;
use crate::book::{Group, Incident};
use crate::scenario::MINUTE;
use crate::sim::Sim;

/// A look each minute, a doubt of a minute, and what the messages take.
const SLACK: u64 = 6 * MINUTE;

/// At rest, long after the last fault.
pub fn at_rest(sim: &mut Sim) {
    let there = receivers(sim);
    let pagers: BTreeMap<&String, &String> = there
        .iter()
        .filter(|(name, _)| is_pager(sim, name))
        .map(|(name, receiver)| (&receiver.uid, name))
        .collect();
    if pagers.is_empty() || is_restless(sim) {
        return;
    }
    let tickets = sim.world.tickets();
    let mut broken = vec![];
    for ((uid, policy, labels), incident) in &sim.book.incidents.0 {
        let Some(name) = pagers.get(uid).filter(|_| incident.open) else {
            continue;
        };
        let of_group = |(_, ticket): &&(ObjectKey, Ticket)| {
            (phase(ticket) != Phase::Resolved || is_flapping(ticket))
                && group(sim, uid, ticket) == (uid.clone(), policy.clone(), labels.clone())
        };
        let stands = tickets.iter().any(|ticket| of_group(&ticket));
        let held = (uid.clone(), policy.clone(), labels.clone());
        if !stands && is_readable(sim, policy) && !may_wait(sim, &held, &tickets) {
            broken.push(format!(
                "{name} holds an incident for {policy} {labels:?} without a ticket"
            ));
        }
    }
    for (place, ticket) in &tickets {
        let Some(since) = sim.failing_since.get(place) else {
            continue;
        };
        let changed = ticket.status.as_ref().and_then(|s| s.alert_at);
        let young = since + SLACK > sim.now
            || changed.is_some_and(|at| sim.wall().since(at).as_millis() < SLACK);
        // Whoever took it is not called for it, whatever its group.
        if young || phase(ticket) != Phase::Open || overlays::held_lately(sim, ticket, SLACK) {
            continue;
        }
        for (uid, name) in &pagers {
            let told = sim
                .book
                .taken
                .iter()
                .rev()
                .find(|t| t.place == *place && t.receiver == **uid);
            let fires = told.is_some_and(|t| t.state == ToldState::Firing);
            let parked = sim
                .book
                .parked
                .contains_key(&(place.clone(), (*uid).clone()));
            if !fires || parked || !audience(sim, ticket, &there).contains(*name) {
                continue;
            }
            let group = group(sim, uid, ticket);
            let open = sim.book.incidents.0.get(&group).is_some_and(|i| i.open);
            if !open {
                broken.push(format!(
                    "{name} holds no incident for {place}, which is open: {group:?}"
                ));
            }
        }
    }
    for how in broken.into_iter().take(3) {
        sim.break_promise("I5", how);
    }
}

fn is_pager(sim: &Sim, name: &str) -> bool {
    let value = sim
        .world
        .get(Kind::AlertReceiver, &ObjectKey::new("", name));
    value.is_some_and(|value| value.pointer("/spec/pagerduty").is_some())
}

/// Routes that changed a moment ago are still being followed.
fn is_restless(sim: &Sim) -> bool {
    let last = sim
        .book
        .rerouted
        .iter()
        .chain(sim.book.edited.values())
        .max();
    last.is_some_and(|at| at + SLACK > sim.now)
}

/// Whether it can be known what a policy groups by, and which of its tickets stand: those of one that is refused stay as they
/// are, even where the namespace of theirs is gone.
fn is_readable(sim: &Sim, policy: &str) -> bool {
    let there = sim
        .world
        .get(Kind::PatrolPolicy, &ObjectKey::new("", policy));
    policy == COVERAGE_POLICY || there.is_none() || sim.truth.is_compiled(policy)
}

/// Whether an incident may stand for a ticket that can have been told under it, and that now is of another group, whose own has
/// none yet: one that somebody took, muted or put off, and that so is not told again. Or for one whose end the receiver refused
/// to hear.
fn may_wait(sim: &Sim, held: &Group, tickets: &[(ObjectKey, Ticket)]) -> bool {
    let (uid, policy, labels) = held;
    let taken = [Phase::Acknowledged, Phase::Snoozed];
    let mut tickets = tickets.iter().filter(|(_, ticket)| {
        ticket.spec.finding.policy == *policy && may_have_been_in(ticket, labels)
    });
    tickets.any(|(place, ticket)| match phase(ticket) {
        Phase::Resolved => {
            let refused = (place.clone(), uid.clone());
            sim.book.parked.contains_key(&refused)
        }
        phase => {
            let own = group(sim, uid, ticket);
            let waits = taken.contains(&phase) || overlays::held_lately(sim, ticket, SLACK);
            // Who died before it was written down that its own one began, left nobody who knows of it.
            let is_known = |own: &Incident| own.open && !sim.book.upset_since(own.at);
            waits && !sim.book.incidents.0.get(&own).is_some_and(is_known)
        }
    })
}

/// Severity and party of a ticket change, the rest does not.
fn may_have_been_in(ticket: &Ticket, labels: &[(String, String)]) -> bool {
    let finding = &ticket.spec.finding;
    let is_its_own = |value: &str, own: Option<&String>| own.map_or("", String::as_str) == value;
    labels.iter().all(|(label, value)| match label.as_str() {
        "check" => finding.check == *value,
        "namespace" => is_its_own(value, finding.subject.namespace.as_ref()),
        "requirement" => is_its_own(value, finding.requirement.as_ref()),
        "ticket" => *value == id(ticket),
        _ => true,
    })
}

/// A ticket's namespace and name.
fn id(ticket: &Ticket) -> String {
    let namespace = ticket.metadata.namespace.as_deref().unwrap_or_default();
    let name = ticket.metadata.name.as_deref().unwrap_or_default();
    format!("{namespace}/{name}")
}

fn phase(ticket: &Ticket) -> Phase {
    ticket.status.as_ref().map_or(Phase::Open, |s| s.phase)
}

/// The end of one that comes and goes is told with the next reminder.
fn is_flapping(ticket: &Ticket) -> bool {
    ticket.status.as_ref().is_some_and(|s| s.flapping)
}

/// Whether each critical ticket has an incident of its own.
fn has_critical_apart(sim: &Sim, uid: &str) -> bool {
    let receivers = sim.world.all(Kind::AlertReceiver);
    receivers.into_iter().any(|(_, value)| {
        value.pointer("/metadata/uid").is_some_and(|u| u == uid)
            && value
                .pointer("/spec/pagerduty/incidentPer")
                .is_some_and(|per| per == "CriticalTicket")
    })
}

/// News is heard: an incident of which people were told to have taken all tickets rings no more.
pub fn on_message(sim: &mut Sim, target: &Target, notice: &Notice, asked: u64) {
    let Some(held) = sim.book.incidents.held(target, notice) else {
        return;
    };
    let unaware = sim.book.upsets.iter().any(|at| at + SLACK >= held.at);
    let news = notice
        .tickets
        .iter()
        .find(|ticket| ticket.state == ToldState::Firing && ticket.n == 1);
    if let Some(news) = news
        && held.open
        && held.acknowledged
        && held.number == notice.incident
        && held.asked < asked
        && !unaware
    {
        let how = format!(
            "{} is told {} {:?} in an incident that was acknowledged",
            target.name, news.name, news.reason
        );
        sim.break_promise("I5", how);
    }
}

/// The group of a ticket, as its policy groups now.
fn group(sim: &Sim, uid: &str, ticket: &Ticket) -> Group {
    let finding = &ticket.spec.finding;
    let status = ticket.status.clone().unwrap_or_default();
    let by = sim
        .truth
        .policies()
        .get(&finding.policy)
        .map_or(vec![GroupKey::Check], |p| p.spec.alerts.group_by.clone());
    let labels = by.into_iter().map(|key| match key {
        GroupKey::Check => ("check".to_owned(), finding.check.clone()),
        GroupKey::Namespace => (
            "namespace".to_owned(),
            finding.subject.namespace.clone().unwrap_or_default(),
        ),
        GroupKey::Severity => (
            "severity".to_owned(),
            status.severity.map(|s| s.to_string()).unwrap_or_default(),
        ),
        GroupKey::Requirement => (
            "requirement".to_owned(),
            finding.requirement.clone().unwrap_or_default(),
        ),
        GroupKey::Party => (
            "party".to_owned(),
            status.party.map(|p| p.to_string()).unwrap_or_default(),
        ),
    });
    let mut labels: Vec<(String, String)> = labels.collect();
    if status.severity == Some(Severity::Critical) && has_critical_apart(sim, uid) {
        labels.push(("ticket".to_owned(), id(ticket)));
    }
    (uid.to_owned(), finding.policy.clone(), labels)
}
