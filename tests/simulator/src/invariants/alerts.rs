//! I5 and I6: every open ticket reaches every routed receiver, again and again; whoever
//! was told that it fires is told that it ends; a repeat carries the same id, and there is
//! at most one for each crash or reply that was lost.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::PatrolPolicy;
use patrol_api::ticket::Ticket;
use patrol_api::time::Span;
use patrol_api::words::{AlertReason, Mode, Phase, Severity, ToldState};
use patrol_core::facts::ObjectKey;
use patrol_core::fingerprint;
use patrol_core::kind::Kind;

use super::overlays;
use crate::book::{LOST_AFTER, Taken};
use crate::scenario::MINUTE;
use crate::sim::Sim;
use crate::world::text;

/// The shortest repeat interval of any scenario.
const SHORTEST_REPEAT: u64 = 240_000;

/// A receiver takes a telling.
pub fn on_taken(sim: &mut Sim, new: &Taken) {
    let (episode, seq, n) = new.rank;
    let id = fingerprint::event_id(
        &new.ticket_uid,
        &new.receiver,
        new.state.as_str(),
        episode,
        seq,
        n,
    );
    if id != new.event_id {
        sim.break_promise(
            "I6",
            format!(
                "{} tells {} {:?} with another id than before",
                new.receiver_name, new.place, new.rank
            ),
        );
    }
    let of_place: Vec<&Taken> = sim
        .book
        .taken
        .iter()
        .filter(|t| t.place == new.place && t.receiver == new.receiver)
        .collect();
    let copies: Vec<&&Taken> = of_place
        .iter()
        .filter(|t| t.event_id == new.event_id)
        .collect();
    // A message may still be in a queue when its process forgets that it sent it.
    let asked = copies.iter().map(|t| t.asked).chain([new.asked]).min();
    if let (false, Some(asked)) = (copies.is_empty(), asked) {
        // What is under way to a webhook that an edit takes away has no answer any more.
        let answerless = new
            .receiver_name
            .strip_prefix("policy/")
            .and_then(|policy| sim.book.edited.get(policy))
            .is_some_and(|edited| *edited >= asked);
        let excuses = copies.iter().filter(|t| !t.known).count()
            + usize::from(answerless)
            + copies.iter().filter(|t| t.repeated).count()
            + usize::from(new.repeated)
            + copies.iter().filter(|t| t.begins).count()
            + usize::from(new.begins)
            // It lay in its process's own queue for longer than the process waits.
            + usize::from(new.asked + LOST_AFTER <= new.at)
            + sim.book.upsets.iter().filter(|at| **at >= asked).count();
        if copies.len() > excuses {
            let how = format!(
                "{} took {} {:?} {:?} {} times, with {excuses} excuses",
                new.receiver_name,
                new.place,
                new.state,
                new.rank,
                copies.len() + 1
            );
            sim.break_promise("I6", how);
            return;
        }
    }
    // Each step of escalation halves it, and clocks round a second away.
    let shortest = (SHORTEST_REPEAT >> sim.scenario.steps) - 1_000;
    let wrong = match new.state {
        ToldState::Firing if n > 1 => {
            let before = of_place
                .iter()
                .filter(|t| t.state == ToldState::Firing && t.rank == (episode, seq, n - 1))
                .map(|t| t.at)
                .min();
            // What people did moves no reminder: the wait counts from what was told before that.
            let loud = of_place
                .iter()
                .filter(|t| t.state == ToldState::Firing && !t.reason.is_quiet())
                .filter(|t| (t.rank.0, t.rank.1) == (episode, seq) && t.rank.2 < n)
                .map(|t| (std::cmp::Reverse(t.rank.2), t.at))
                .min()
                .map(|(_, at)| at);
            match before.and(loud) {
                None => Some("without the telling before it".to_owned()),
                // What people did comes when they do it, and once.
                Some(_) if new.reason.is_quiet() => too_often(sim, new, &of_place),
                Some(at) if new.at < at + shortest && copies.is_empty() => {
                    let jumped = sim.book.jumps.iter().any(|jump| *jump >= at);
                    (!jumped).then(|| {
                        format!(
                            "only {} s after the telling before it",
                            (new.at - at) / 1000
                        )
                    })
                }
                Some(_) => None,
            }
        }
        // It came and went before it could be told: one line says both.
        ToldState::Closed if new.reason == AlertReason::Late => {
            let heard = of_place
                .iter()
                .filter(|t| t.ticket_uid == new.ticket_uid)
                .any(|t| t.state == ToldState::Firing && t.rank.0 == episode && is_known(sim, t));
            (heard && !may_be_misled(sim, &new.place))
                .then(|| "as missed, having been told that it fires".to_owned())
        }
        ToldState::Closed => {
            let opened = of_place
                .iter()
                .any(|t| t.state == ToldState::Firing && t.rank.0 == episode);
            let perhaps = sim
                .book
                .may_be_told(&new.place, &new.receiver, episode, seq);
            (!opened && !perhaps).then(|| "without having been told that it fires".to_owned())
        }
        ToldState::Firing => None,
    };
    if let Some(wrong) = wrong {
        sim.break_promise(
            "I6",
            format!(
                "{} is told {} {:?} {:?} {wrong}",
                new.receiver_name, new.place, new.state, new.rank
            ),
        );
    }
}

/// Each thing that people do to a ticket is told once, and once more for whoever forgot that it was.
fn too_often(sim: &Sim, new: &Taken, of_place: &[&Taken]) -> Option<String> {
    let told: BTreeSet<&String> = of_place
        .iter()
        .filter(|t| t.reason.is_quiet() && t.ticket_uid == new.ticket_uid)
        .map(|t| &t.event_id)
        .chain([&new.event_id])
        .collect();
    let wishes = sim.book.wishes.iter();
    let acts = wishes.filter(|wish| wish.uid == new.ticket_uid).count();
    let excuses = sim.book.upsets.len();
    (told.len() > acts + excuses).then(|| {
        format!(
            "{} times what people did {acts} times, with {excuses} excuses",
            told.len()
        )
    })
}

/// Whether whoever leads now can know of a telling: whoever told it may be gone without a record, and then the policy says
/// who may have been told, as it was before it was edited.
fn is_known(sim: &Sim, told: &Taken) -> bool {
    let policy = sim
        .world
        .get(Kind::Ticket, &told.place)
        .map(|ticket| text(ticket, "/spec/finding/policy").to_owned());
    let edited = policy.and_then(|policy| sim.book.edited.get(&policy).copied());
    let was_edited = edited.is_some_and(|edited| edited >= told.at);
    let is_lost = was_edited && sim.book.upset_since(told.at);
    !(is_lost || sim.book.lost_the_way(told.at))
}

/// Whether a process may have begun with a status that somebody else wrote.
fn may_be_misled(sim: &Sim, place: &ObjectKey) -> bool {
    let meddled = sim.book.meddled.get(place);
    meddled.is_some_and(|ats| ats.iter().any(|at| sim.book.may_be_missed(*at)))
}

/// A receiver as the world has it.
pub(super) struct Receiver {
    /// UID.
    pub uid: String,
    coverage: bool,
}

/// The receivers there are, by name.
pub(super) fn receivers(sim: &Sim) -> BTreeMap<String, Receiver> {
    let mut out: BTreeMap<String, Receiver> = sim
        .world
        .all(Kind::AlertReceiver)
        .map(|(key, value)| {
            let flag = |pointer: &str| value.pointer(pointer).and_then(serde_json::Value::as_bool);
            let receiver = Receiver {
                uid: text(value, "/metadata/uid"),
                coverage: flag("/spec/coverage").unwrap_or(false),
            };
            (key.name.to_string(), receiver)
        })
        .collect();
    for policy in sim.world.policies() {
        let name = policy.metadata.name.clone().unwrap_or_default();
        if policy.spec.alerts.webhook.is_some() {
            let uid = fingerprint::derived_uid(
                "webhook",
                &name,
                policy.metadata.uid.as_deref().unwrap_or(""),
            );
            let receiver = Receiver {
                uid,
                coverage: false,
            };
            out.insert(format!("policy/{name}"), receiver);
        }
    }
    out
}

fn routed(policy: &PatrolPolicy, severity: Severity) -> Vec<String> {
    let name = policy.metadata.name.clone().unwrap_or_default();
    let alerts = &policy.spec.alerts;
    alerts
        .receivers
        .iter()
        .filter(|route| route.min_severity.is_none_or(|min| severity >= min))
        .map(|route| route.name.clone())
        .chain(alerts.webhook.is_some().then(|| format!("policy/{name}")))
        .collect()
}

/// Policies that open tickets and name a receiver; all that open tickets where none does.
pub(super) fn routed_to(sim: &Sim, receiver: &str) -> Vec<String> {
    let enforcing: Vec<PatrolPolicy> = sim
        .world
        .policies()
        .into_iter()
        .filter(|p| p.spec.mode == Mode::Enforce && p.metadata.deletion_timestamp.is_none())
        .collect();
    let names = |policies: &mut dyn Iterator<Item = &PatrolPolicy>| {
        policies.filter_map(|p| p.metadata.name.clone()).collect()
    };
    let naming = |p: &&PatrolPolicy| {
        let of = routed(p, Severity::Critical);
        of.iter().any(|name| name == receiver)
    };
    let told: Vec<String> = names(&mut enforcing.iter().filter(naming));
    if told.is_empty() {
        names(&mut enforcing.iter())
    } else {
        told
    }
}

/// Names of the receivers that must be told about an open ticket.
pub(super) fn audience(
    sim: &Sim,
    ticket: &Ticket,
    there: &BTreeMap<String, Receiver>,
) -> BTreeSet<String> {
    let status = ticket.status.clone().unwrap_or_default();
    let severity = status.severity.unwrap_or(Severity::Medium);
    let well = |policy: &PatrolPolicy| {
        let name = policy.metadata.name.as_deref().unwrap_or("");
        policy.spec.mode == Mode::Enforce
            && policy.metadata.deletion_timestamp.is_none()
            && !policy.spec.suspend
            && sim.truth.is_compiled(name)
    };
    let policies = sim.world.policies();
    let finding = &ticket.spec.finding;
    let names: Vec<String> = if finding.policy == COVERAGE_POLICY {
        let marked: Vec<String> = there
            .iter()
            .filter(|(_, r)| r.coverage)
            .map(|(name, _)| name.clone())
            .collect();
        if !policies.iter().any(well) {
            vec![]
        } else if marked.is_empty() {
            policies
                .iter()
                .filter(|p| well(p))
                .flat_map(|p| routed(p, Severity::Critical))
                .collect()
        } else {
            marked
        }
    } else {
        policies
            .iter()
            .filter(|p| well(p) && p.metadata.name.as_deref() == Some(&finding.policy))
            .flat_map(|p| routed(p, severity))
            .collect()
    };
    names
        .into_iter()
        .filter(|name| there.contains_key(name))
        .collect()
}

/// Names of the receivers that escalation brought in long ago.
fn escalated(sim: &Sim, ticket: &Ticket) -> BTreeSet<String> {
    let finding = &ticket.spec.finding;
    let status = ticket.status.clone().unwrap_or_default();
    let Some(policy) = sim.truth.policies().get(&finding.policy) else {
        return BTreeSet::new();
    };
    let works = policy.spec.mode == Mode::Enforce
        && policy.metadata.deletion_timestamp.is_none()
        && !policy.spec.suspend
        && sim.truth.is_compiled(&finding.policy);
    let age = status.episode.opened_at.map(|at| sim.wall().since(at));
    let steps = policy.spec.alerts.escalation.iter();
    steps
        .filter(|step| {
            status
                .severity
                .is_some_and(|s| step.severities.contains(&s))
        })
        .filter(|step| age.is_some_and(|age| age > step.after.plus(Span::minutes(6))))
        .filter(|_| works)
        .filter_map(|step| step.receiver.clone())
        .collect()
}

fn open_tickets(sim: &Sim) -> Vec<(ObjectKey, Ticket)> {
    sim.world
        .tickets()
        .into_iter()
        .filter(|(_, t)| t.status.as_ref().is_none_or(|s| s.phase == Phase::Open))
        .collect()
}

/// The receivers have been well for long: everything owed was told.
pub fn all_told(sim: &mut Sim) {
    let there = receivers(sim);
    let mut missed = vec![];
    let open = open_tickets(sim);
    for (place, ticket) in &open {
        let status = ticket.status.clone().unwrap_or_default();
        let called = escalated(sim, ticket);
        for name in audience(sim, ticket, &there).into_iter().chain(called) {
            let Some(receiver) = there.get(&name) else {
                continue;
            };
            let told = sim.book.taken.iter().any(|t| {
                t.place == *place
                    && t.receiver == receiver.uid
                    && t.state == ToldState::Firing
                    && (t.rank.0, t.rank.1) >= (status.episode.n, status.alert_seq)
            });
            let parked = sim
                .book
                .parked
                .contains_key(&(place.clone(), receiver.uid.clone()));
            // An edge of the last minutes may still be on its way.
            let young = sim
                .failing_since
                .get(place)
                .is_none_or(|at| at + 6 * MINUTE > sim.now)
                || status
                    .alert_at
                    .is_some_and(|at| sim.wall().since(at).as_secs() < 360);
            let held = overlays::held_lately(sim, ticket, 6 * MINUTE);
            if !told && !young && !parked && !held {
                missed.push(format!(
                    "{name} was never told that {place} is open (episode {}, seq {})",
                    status.episode.n, status.alert_seq
                ));
            }
        }
    }
    missed.extend(ends_owed(sim, &there));
    for how in missed.into_iter().take(3) {
        sim.break_promise("I5", how);
    }
}

/// Whoever took a Firing of a ticket that is open no more must have taken its Closed.
fn ends_owed(sim: &Sim, there: &BTreeMap<String, Receiver>) -> Vec<String> {
    let tickets: BTreeMap<ObjectKey, Ticket> = sim.world.tickets().into_iter().collect();
    let mut last: BTreeMap<(&ObjectKey, &str), (u64, u64, bool, u64)> = BTreeMap::new();
    for t in &sim.book.taken {
        let rank = (t.rank.0, t.rank.1, t.state == ToldState::Closed, t.at);
        let entry = last.entry((&t.place, &t.receiver)).or_insert(rank);
        *entry = (*entry).max(rank);
    }
    let mut out = vec![];
    for ((place, receiver), (episode, seq, closed, at)) in last {
        let Some((name, _)) = there.iter().find(|(_, r)| r.uid == receiver) else {
            continue; // it is gone, and nobody can tell it
        };
        let ended = tickets.get(place).is_none_or(|t| {
            t.status.as_ref().is_some_and(|s| {
                // Whoever was told hears that somebody took the risk.
                let waived = s.phase == Phase::Waived
                    && s.phase_since
                        .is_some_and(|at| sim.wall().since(at) > Span::minutes(2));
                s.phase == Phase::Resolved || waived
            })
        });
        if closed || !ended || sim.book.unwilling.contains(name) {
            continue;
        }
        // Nobody knows any more: the record was deleted or forged away, and then the
        // memory of it died.
        let meddled = sim.book.meddled.get(place).map_or(&[][..], Vec::as_slice);
        let vanished = meddled.iter().any(|since| {
            // One that came before the telling took no record of it, unless it was the last.
            let counts = *since >= at || meddled.last() == Some(since);
            counts && sim.book.may_be_missed(*since)
        });
        // Who refused the content is asked again after an hour, longer than a run.
        let parked = sim
            .book
            .parked
            .contains_key(&(place.clone(), receiver.to_owned()));
        // Whether it ended is not asked while its policy rests.
        let any_works = sim.truth.policies().values().any(|p| {
            let name = p.metadata.name.as_deref().unwrap_or("");
            !p.spec.suspend && sim.truth.is_compiled(name)
        });
        let resting = sim.book.policies.get(place).is_some_and(|(name, _)| {
            if name == COVERAGE_POLICY {
                return !any_works && !sim.truth.policies().is_empty();
            }
            !tickets.contains_key(place)
                && sim
                    .truth
                    .policies()
                    .get(name)
                    .is_some_and(|p| p.spec.suspend || !sim.truth.is_compiled(name))
        });
        // A policy that only observes opens no ticket again, and tells nothing, while its
        // finding holds: that is no end.
        let observed = !tickets.contains_key(place)
            && sim.book.policies.get(place).is_some_and(|(name, _)| {
                let policy = sim.truth.policies().get(name);
                policy.is_some_and(|p| p.spec.mode == Mode::Observe)
                    && sim.truth.said().contains_key(place)
            });
        // One that comes and goes is told to have gone with the next reminder, if it is still gone.
        let folded = tickets
            .get(place)
            .and_then(|t| t.status.as_ref())
            .is_some_and(|s| s.flapping && s.phase == Phase::Resolved);
        if parked || resting || observed || folded {
            continue;
        }
        let unrecorded = sim.book.unrecorded.contains(place) && sim.book.upset_since(at);
        // Told under a route that is no more, and the process died before it wrote that
        // down: whoever comes after it doubts only whom the routes of its own time name.
        let since = |name: &str| sim.book.edited.get(name).copied();
        let telling = (place.clone(), receiver.to_owned(), episode, seq);
        let estranged = !sim.book.recorded.contains(&telling) && sim.book.lost_the_way(at);
        // The address went with an edit, and then the ticket with the record of it.
        let unrecorded_since = meddled.iter().any(|since| *since >= at);
        let lapsed = (!tickets.contains_key(place) || unrecorded_since)
            && name
                .strip_prefix("policy/")
                .and_then(since)
                .is_some_and(|edited| edited >= at);
        if !vanished && !unrecorded && !estranged && !lapsed {
            out.push(format!("{name} was told that {place} fires (episode {episode}, seq {seq}) and never that it ended"));
        }
    }
    out
}

/// I5: reminders come, and keep coming.
pub fn at_end(sim: &mut Sim) {
    let there = receivers(sim);
    let mut missed = vec![];
    for (place, ticket) in open_tickets(sim) {
        let finding = &ticket.spec.finding;
        let Some(policy) = sim.truth.policies().get(&finding.policy) else {
            continue; // the always-on checks repeat more rarely than a run is long
        };
        let status = ticket.status.clone().unwrap_or_default();
        let severity = status.severity.unwrap_or(Severity::Medium);
        let alerts = &policy.spec.alerts;
        let Some(repeat) = alerts.repeat.get(severity) else {
            continue;
        };
        let most = repeat.as_millis() * 11 / 10 + alerts.group_interval.as_millis() + MINUTE;
        for name in audience(sim, &ticket, &there) {
            let Some(receiver) = there.get(&name) else {
                continue;
            };
            let last = sim
                .book
                .taken
                .iter()
                .filter(|t| {
                    t.place == place
                        && t.receiver == receiver.uid
                        && t.state == ToldState::Firing
                        && !t.reason.is_quiet()
                })
                .map(|t| t.at)
                .max();
            let young = sim
                .failing_since
                .get(&place)
                .is_none_or(|at| at + most > sim.now);
            let parked = sim
                .book
                .parked
                .contains_key(&(place.clone(), receiver.uid.clone()));
            let held = overlays::held_lately(sim, &ticket, most);
            if !young && !parked && !held && last.is_none_or(|at| at + most < sim.now) {
                missed.push(format!(
                    "{name} was last reminded of {place} {:?} s ago, and wants to be every {repeat}",
                    last.map(|at| (sim.now - at) / 1000)
                ));
            }
        }
    }
    missed.extend(ends_owed(sim, &there));
    for how in missed.into_iter().take(3) {
        sim.break_promise("I5", how);
    }
}
