//! The promises, as code. Each is checked where it could break: when an effect is asked
//! for, when a write or a telling arrives, and when the run has come to rest.

pub mod alerts;
pub mod history;
pub mod incidents;
pub mod overlays;
pub mod quiet;
pub mod tickets;
pub mod undelivered;

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::words::{Phase, Resolution};
use patrol_core::effect::{Announcement, Effect};
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;

use crate::judge::Said;
use crate::manifests::{SECRET_URL, SECRETS};
use crate::scenario::{Flavour, MINUTE, Scenario};
use crate::sim::Sim;
use crate::world::{World, typed};

pub use history::{on_created, on_delete, on_status, on_user_delete};

/// How long after the last fault everything must be right again: two periods, the wait for
/// cleanness, and what the faults themselves leave behind (lists that heal a watch cache
/// come within two minutes, effects on the wire within one, back-off within one).
#[must_use]
pub fn settle_time(scenario: &Scenario) -> u64 {
    let own = 2 * scenario.period + scenario.clear_after + MINUTE;
    match scenario.flavour {
        Flavour::Calm => own + MINUTE,
        _ => own + 5 * MINUTE,
    }
}

const RESOLUTIONS: [Resolution; 7] = [
    Resolution::Fixed,
    Resolution::SubjectGone,
    Resolution::NoLivePods,
    Resolution::Waived,
    Resolution::PolicyRemoved,
    Resolution::OutOfScope,
    Resolution::CheckDisabled,
];

/// An engine asks for something.
pub fn on_emit(sim: &mut Sim, pid: usize, effect: &Effect) {
    no_secret(sim, effect);
    match effect {
        Effect::Announce(said) if said.reason == "TicketResolved" => concluded(sim, pid, said),
        Effect::WriteTicketStatus { at, status, .. } if status.phase == Phase::Resolved => {
            evidence(sim, pid, &at.key, status);
        }
        _ => {}
    }
}

/// A decision is announced in the step in which it falls; its write may have to wait for
/// another, and its grounds may have changed by then. So it is judged here.
fn concluded(sim: &mut Sim, pid: usize, said: &Announcement) {
    let resolution = RESOLUTIONS
        .into_iter()
        .find(|r| said.note.ends_with(&format!("resolved ({r})")));
    let at = sim.wall();
    let mut status = TicketStatus {
        phase: Phase::Resolved,
        ..TicketStatus::default()
    };
    status.episode.resolution = resolution;
    status.episode.resolved_at = Some(at);
    evidence(sim, pid, &said.about.key, &status);
    if let Some(process) = sim.processes.get_mut(pid) {
        let concluded = &mut process.witness.concluded;
        concluded.insert(said.about.key.clone(), at);
    }
}

/// I12: nothing planted comes out. A receiver's own address is in its sends alone.
fn no_secret(sim: &mut Sim, effect: &Effect) {
    let text = match effect {
        Effect::Send { notice, .. } => format!("{notice:?}"),
        other => format!("{other:?}"),
    };
    let found = SECRETS
        .iter()
        .chain([&SECRET_URL])
        .find(|secret| text.contains(**secret));
    if let Some(secret) = found {
        sim.break_promise(
            "I12",
            format!("{secret} is in {}", crate::trace::effect(effect)),
        );
    }
}

/// I4: whoever resolves was told so: the subject was seen clean in fresh caches of all
/// kinds the check reads for `clearAfter`, or is gone by a delete or a complete list, or
/// nobody asks for it any more.
fn evidence(sim: &mut Sim, pid: usize, key: &ObjectKey, status: &TicketStatus) {
    let Some(ticket) = sim
        .world
        .get(Kind::Ticket, key)
        .and_then(|v| typed::<Ticket>(v))
    else {
        return;
    };
    let same = |s: &TicketStatus| {
        s.phase == Phase::Resolved && s.episode.resolved_at == status.episode.resolved_at
    };
    // A resolution of before, written again because someone edited it.
    let old = ticket.status.as_ref().is_some_and(same)
        || sim.book.high.get(key).is_some_and(|h| same(&h.status));
    let finding = &ticket.spec.finding;
    if old {
        return;
    }
    // What is reported on waivers lags behind them by seconds; that one is there is known.
    if finding.check == "waiver-overdue" {
        let namespace = finding.subject.namespace.as_deref().unwrap_or("");
        let waiver = ObjectKey::new(namespace, &finding.subject.name);
        let process = sim.processes.get(pid);
        if status.episode.resolution == Some(Resolution::SubjectGone)
            && sim.world.get(Kind::TicketWaiver, &waiver).is_some()
            && process.is_some_and(|p| p.witness.judge.knows(&waiver))
        {
            let how = format!("process {pid} says that {waiver} is gone, which it knows");
            sim.break_promise("I4", how);
        }
        return;
    }
    // Whether patrols are late is known to the process alone.
    if finding.check == undelivered::CHECK {
        if status.episode.resolution == Some(Resolution::Fixed) {
            undelivered::on_resolved(sim, &finding.subject.name);
        }
        return;
    }
    let Some(process) = sim.processes.get(pid) else {
        return;
    };
    if process.witness.concluded.get(key).copied() == status.episode.resolved_at {
        return; // judged when it fell
    }
    let wall = sim.wall();
    let decided = status.episode.resolved_at.unwrap_or(wall);
    let judge = &process.witness.judge;
    let policy = judge.policies().get(&finding.policy);
    let said = judge.word_on(key, wall);
    // A decision whose write had to wait: its grounds may have changed since.
    let waited = decided.unix() + 1 < wall.unix();
    let wrong = match status.episode.resolution {
        Some(Resolution::Fixed | Resolution::NoLivePods) => {
            let clear_after = process.witness.clear_after(&finding.policy, decided);
            let unclean = process.witness.last_unclean(key, finding);
            let stale = !waited && process.witness.is_stale(finding, sim.now);
            match unclean {
                _ if stale => Some("a kind it reads fell silent".to_owned()),
                Some((mono, when)) => {
                    let jumped = sim.book.jumps.iter().any(|at| *at + 1000 >= mono);
                    let enough = decided.unix() + 1 >= when.plus(clear_after).unix();
                    let before = mono >= sim.now;
                    // What was seen after the decision says nothing of it.
                    let later = when.unix() > decided.unix() + 1;
                    (!later && (before || !enough && !jumped)).then(|| {
                        format!("it was last not seen clean at {when}, clearAfter is {clear_after}, and it was resolved at {decided}")
                    })
                }
                None if said.is_none() => Some("it was never seen".to_owned()),
                None => None,
            }
        }
        Some(_) if waited => None,
        Some(Resolution::SubjectGone) => (!judge.is_gone(&finding.subject, wall))
            .then(|| "its subject is not known to be gone".to_owned()),
        Some(Resolution::PolicyRemoved) => policy
            .is_some_and(|p| p.metadata.deletion_timestamp.is_none())
            .then(|| "its policy is there".to_owned()),
        Some(Resolution::CheckDisabled) => judge
            .has_rule(
                &finding.policy,
                &finding.check,
                finding.requirement.as_deref(),
            )
            .then(|| "its rule is in force".to_owned()),
        Some(Resolution::OutOfScope) => match &said {
            None | Some(Said::Exempt) => None,
            Some(said) => Some(format!("it is in scope: {said:?}")),
        },
        other => Some(format!("nobody resolves with {other:?}")),
    };
    if let Some(wrong) = wrong {
        let resolution = status.episode.resolution;
        let how = format!(
            "process {pid} resolves {key} as {resolution:?}, but {wrong}; of it is said: {said:?}"
        );
        sim.break_promise("I4", how);
    }
    sim.book.count("resolves");
}

/// Whether a status differs from the stored one in what its time brings alone: the ledger,
/// and a due time that passed.
#[must_use]
pub fn is_ledger_only(world: &World, key: &ObjectKey, status: &TicketStatus) -> bool {
    let Some(stored) = world
        .get(Kind::Ticket, key)
        .and_then(|v| typed::<Ticket>(v))
        .and_then(|t| t.status)
    else {
        return false;
    };
    let bare = |status: &TicketStatus| {
        let mut status = status.clone();
        status.alerts.clear();
        status.last_alerted_at = None;
        status
    };
    let breached = stored.episode.breached_at.is_none() && status.episode.breached_at.is_some();
    breached || bare(&stored) == bare(status)
}
