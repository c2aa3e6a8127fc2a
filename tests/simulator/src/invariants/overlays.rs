//! I14: what people lay over a ticket holds as long as they said, for whom they said, and no
//! longer. While somebody knows of a ticket, took its risk, muted it or closed the window,
//! nobody is disturbed; afterwards it is told again.

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, OverlayKind, Phase, Severity, ToldState, Treatment};
use patrol_core::effect::Precondition;
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;

use crate::book::{Paused, Taken};
use crate::overlays::{covers, is_open, over, until};
use crate::scenario::MINUTE;
use crate::sim::Sim;
use crate::world::{text, typed};

/// How long a process may take to hear of something: lists that heal a cache come within two
/// minutes.
const HEARSAY: u64 = 150_000;

/// The receiver that only escalation names.
const CALLED: &str = "chief";

/// A process is about to write a status.
pub fn on_status(sim: &mut Sim, by: (usize, u32), at: &Precondition, status: &TicketStatus) {
    let Some(value) = sim.world.get(Kind::Ticket, &at.key).cloned() else {
        return;
    };
    if text(&value, "/metadata/uid") != at.uid
        || text(&value, "/metadata/resourceVersion") != at.version
    {
        return; // it will be refused
    }
    if let Some(ticket) = typed::<Ticket>(&value) {
        let wrong = ended_early(sim, by.0, &at.key, &ticket, status)
            .or_else(|| granted_again(sim, &at.key, &ticket, status));
        if let Some(wrong) = wrong {
            sim.break_promise(
                "I14",
                format!("process {} writes {}: {wrong}", by.0, at.key),
            );
        }
    }
    note(sim, by, at, status);
}

/// Keeps account of when reminders rest.
fn note(sim: &mut Sim, by: (usize, u32), at: &Precondition, status: &TicketStatus) {
    let edge = (status.episode.n, status.alert_seq);
    let rests = matches!(
        status.phase,
        Phase::Acknowledged | Phase::Snoozed | Phase::Waived
    );
    let waiver = status.overlay.as_ref().and_then(|o| o.waiver.clone());
    let pauses = sim.book.pauses.entry(at.key.clone()).or_default();
    if !rests {
        pauses.retain(|p| p.edge != edge || p.uid != at.uid);
        return;
    }
    let same = |p: &Paused| p.edge == edge && p.uid == at.uid && p.waiver == waiver;
    if !pauses.iter().any(same) {
        pauses.push(Paused {
            at: sim.now,
            by,
            edge,
            uid: at.uid.clone(),
            waiver,
            urgent: is_urgent(status.alert_reason),
        });
    }
    sim.book.count("pauses and waivers in force");
}

fn is_urgent(reason: Option<AlertReason>) -> bool {
    matches!(
        reason,
        Some(AlertReason::SLABreached | AlertReason::Overdue)
    )
}

/// That a waiver is over must be seen: not that it cannot be.
fn ended_early(
    sim: &Sim,
    pid: usize,
    place: &ObjectKey,
    ticket: &Ticket,
    status: &TicketStatus,
) -> Option<String> {
    let before = ticket
        .status
        .as_ref()
        .filter(|s| s.phase == Phase::Waived)?;
    if matches!(status.phase, Phase::Waived | Phase::Resolved)
        || before.episode.n != status.episode.n
        || !sim.book.jumps.is_empty()
        || sim.book.meddled.contains_key(place)
    {
        return None;
    }
    let name = before.overlay.as_ref()?.waiver.as_deref()?;
    let (namespace, short) = name.split_once('/')?;
    let key = ObjectKey::new(namespace, short);
    let waiver = sim.book.waivers.get(&key)?;
    let pauses = sim.book.pauses.get(place)?;
    let since = pauses
        .iter()
        .rev()
        .find(|p| p.waiver.as_deref() == Some(name))?;
    let edited = sim.book.waiver_edits.get(&key).copied().unwrap_or(0);
    let there = sim.world.get(Kind::TicketWaiver, &key).is_some();
    let stands = |severity: Option<Severity>| {
        let severity = severity.unwrap_or(Severity::Medium);
        waiver.spec.treatment == Treatment::Waive
            && covers(&key, waiver, &ticket.spec.finding, severity)
    };
    let holds = there
        && edited < since.at
        && until(waiver) > sim.wall().plus(Span::seconds(2))
        && stands(before.severity)
        && stands(status.severity);
    // A cache that lost a frame misleads whoever reads it.
    let misled = sim
        .processes
        .get(pid)
        .is_none_or(|p| !p.witness.judge.may_know(&key));
    (holds && !misled).then(|| format!("the waiver {name} ends early"))
}

/// What somebody asked for one episode does not count for the next.
fn granted_again(
    sim: &Sim,
    place: &ObjectKey,
    ticket: &Ticket,
    status: &TicketStatus,
) -> Option<String> {
    let overlay = status.overlay.as_ref()?;
    let asked = overlay.asked?;
    let opened = status.episode.opened_at?;
    let field = match overlay.kind {
        OverlayKind::Acknowledged => "acknowledge",
        OverlayKind::Snoozed => "snooze",
        OverlayKind::Waived => return None,
    };
    if !sim.book.jumps.is_empty() || sim.book.meddled.contains_key(place) {
        return None;
    }
    let uid = ticket.metadata.uid.as_deref().unwrap_or("");
    let written = sim
        .book
        .wishes
        .iter()
        .rev()
        .find(|w| w.uid == uid && w.field == field && w.until == asked)?;
    let margin = if sim.is_calm() { 5_000 } else { HEARSAY };
    let late = opened > written.at.plus(Span::millis(margin));
    late.then(|| {
        format!(
            "it was asked at {} to {field}, which counts for the episode that opened at {opened}",
            written.at
        )
    })
}

/// A receiver takes a telling.
pub fn on_taken(sim: &mut Sim, new: &Taken) {
    if new.state != ToldState::Firing || sim.book.meddled.contains_key(&new.place) {
        return;
    }
    let wrong = rests(sim, new)
        .or_else(|| disturbs(sim, new))
        .or_else(|| called_early(sim, new));
    if let Some(wrong) = wrong {
        let how = format!(
            "{} is told {} {:?} {:?}, and {wrong}",
            new.receiver_name, new.place, new.reason, new.rank
        );
        sim.break_promise("I14", how);
    }
}

/// Reminders rest while somebody knows of it.
fn rests(sim: &Sim, new: &Taken) -> Option<String> {
    let (episode, seq, n) = new.rank;
    let knew = |p: &&Paused| {
        let own = p.by == (new.pid, new.life) && new.asked > p.at;
        own || new.asked > p.at + HEARSAY
    };
    let pauses = sim.book.pauses.get(&new.place)?;
    let paused = pauses
        .iter()
        .filter(|p| p.edge == (episode, seq) && p.uid == new.ticket_uid)
        .find(knew)?;
    let urgent = n == 1 && paused.urgent && paused.waiver.is_none();
    (!urgent && !new.reason.is_quiet()).then(|| format!("rests since {} s", paused.at / 1000))
}

/// Whoever is called because a ticket is old is not called before it is.
fn called_early(sim: &Sim, new: &Taken) -> Option<String> {
    if new.reason != AlertReason::Escalated || new.receiver_name != CALLED || new.rank.2 != 1 {
        return None;
    }
    let since = new.asked.saturating_sub(HEARSAY);
    let ticket = typed::<Ticket>(sim.world.get(Kind::Ticket, &new.place)?)
        .filter(|t| t.metadata.uid.as_deref() == Some(&new.ticket_uid))?;
    let policy = &ticket.spec.finding.policy;
    let edited = sim.book.edited.get(policy).is_some_and(|at| *at >= since);
    let episode = &ticket.status.as_ref()?.episode;
    if edited || !sim.book.jumps.is_empty() || episode.n != new.rank.0 {
        return None;
    }
    let steps = &sim.truth.policies().get(policy)?.spec.alerts.escalation;
    let least = steps.iter().map(|step| step.after).min()?;
    let asked = sim.wall().minus(Span::millis(sim.now - new.asked));
    let age = asked.since(episode.opened_at?);
    (age.plus(Span::seconds(2)) < least)
        .then(|| format!("it is {} s old, not {} s", age.as_secs(), least.as_secs()))
}

/// Nothing goes out that somebody muted, or outside its window.
fn disturbs(sim: &Sim, new: &Taken) -> Option<String> {
    let value = sim.world.get(Kind::Ticket, &new.place)?;
    let ticket =
        typed::<Ticket>(value).filter(|t| t.metadata.uid.as_deref() == Some(&new.ticket_uid))?;
    let status = ticket.status.as_ref()?;
    let since = new.asked.saturating_sub(HEARSAY);
    let jumped = sim.book.jumps.iter().any(|at| *at >= since);
    if jumped || is_urgent(status.alert_reason) || is_urgent(Some(new.reason)) {
        return None;
    }
    let process = sim.processes.get(new.pid).filter(|p| p.life == new.life)?;
    let asked = sim.wall().minus(Span::millis(sim.now - new.asked));
    let mute = over(&sim.world, &ticket, Treatment::Mute)
        .into_iter()
        .find(|(key, mute)| {
            let edited = sim.book.waiver_edits.get(key).copied().unwrap_or(0);
            edited < since
                && until(mute) > sim.wall().plus(Span::seconds(2))
                && process.witness.judge.knew(key, asked)
        });
    if let Some((key, _)) = mute {
        return Some(format!("{key} mutes it"));
    }
    let policy = &ticket.spec.finding.policy;
    let edited = sim.book.edited.get(policy).is_some_and(|at| *at >= since);
    // It may have become milder since it was asked for.
    let critical =
        status.severity == Some(Severity::Critical) || sim.book.was_critical(&new.place, new.asked);
    let windows = &sim.truth.policies().get(policy)?.spec.alerts.windows;
    if edited || critical || !sim.truth.is_compiled(policy) {
        return None;
    }
    let asked = sim.wall().minus(Span::millis(sim.now - new.asked));
    let around = [
        asked.minus(Span::seconds(2)),
        asked,
        asked.plus(Span::seconds(2)),
    ];
    let closed = around.iter().all(|at| !is_open(windows, *at));
    closed.then(|| format!("the window was closed at {asked}"))
}

/// Whether messages about a ticket may have been held back at some time in the last `span`
/// milliseconds, so that they need not have come.
#[must_use]
pub fn held_lately(sim: &Sim, ticket: &Ticket, span: u64) -> bool {
    let wall = sim.wall();
    let back = Span::millis(span);
    let muted = over(&sim.world, ticket, Treatment::Mute)
        .iter()
        .any(|(_, mute)| until(mute).plus(back) > wall);
    let paused = ticket
        .status
        .as_ref()
        .and_then(|s| s.phase_since)
        .is_some_and(|at| at.plus(back) > wall);
    let revoked = sim
        .book
        .waiver_edits
        .values()
        .any(|at| *at + span > sim.now);
    let windows = sim
        .truth
        .policies()
        .get(&ticket.spec.finding.policy)
        .map(|p| p.spec.alerts.windows.clone())
        .unwrap_or_default();
    let jumped = sim.book.jumps.iter().any(|at| *at + span > sim.now);
    let closed = !windows.is_empty()
        && (jumped
            || (0..=span.div_ceil(MINUTE))
                .any(|m| !is_open(&windows, wall.minus(Span::minutes(m)))));
    muted || paused || revoked || closed
}

/// Times do not pass in silence, and gaps that come and go are called so.
fn times(place: &ObjectKey, status: &TicketStatus, wall: Time) -> Option<String> {
    let slack = Span::minutes(1);
    let episode = &status.episode;
    let due = episode.due_at.filter(|due| due.plus(slack) < wall)?;
    (status.phase != Phase::Waived && episode.breached_at.is_none())
        .then(|| format!("{place} was due at {due}, and nothing says that this has passed"))
}

fn flaps(place: &ObjectKey, status: &TicketStatus, wall: Time) -> Option<String> {
    let day = Span::hours(24);
    let reopened = |at: &Time| at.plus(day) > wall.plus(Span::minutes(1)) && *at <= wall;
    let times = status
        .history
        .iter()
        .filter(|h| h.from == Some(Phase::Resolved) && h.to == Phase::Open && reopened(&h.at))
        .count();
    (times >= 3 && !status.flapping)
        .then(|| format!("{place} was reopened {times} times within a day, and does not flap"))
}

/// At rest: a ticket is waived if and only if a waiver stands over it, and pauses are over
/// when their time is.
pub fn at_rest(sim: &mut Sim) {
    let wall = sim.wall();
    let slack = Span::minutes(1);
    let lately = sim.now.saturating_sub(3 * MINUTE);
    let unseen = sim.world.denied.contains(&Kind::TicketWaiver)
        || sim.book.waiver_edits.values().any(|at| *at > lately);
    for (place, ticket) in sim.world.tickets() {
        let Some(status) = &ticket.status else {
            continue;
        };
        if status.phase == Phase::Resolved {
            continue;
        }
        if sim.book.jumps.is_empty() && !sim.book.meddled.contains_key(&place) {
            let wrong = times(&place, status, wall).or_else(|| flaps(&place, status, wall));
            if let Some(how) = wrong {
                sim.break_promise("I14", how);
            }
        }
        let ends: Vec<_> = over(&sim.world, &ticket, Treatment::Waive)
            .iter()
            .map(|(_, waiver)| until(waiver))
            .collect();
        let waived = status.phase == Phase::Waived;
        let surely = ends.iter().any(|end| *end > wall.plus(slack));
        let perhaps = ends.iter().any(|end| end.plus(slack) > wall);
        let young = status
            .episode
            .opened_at
            .is_some_and(|at| at.plus(slack) > wall);
        if !unseen && surely && !waived && !young {
            let how = format!("a waiver stands over {place}, and it is {}", status.phase);
            sim.break_promise("I14", how);
        }
        if !unseen && waived && !perhaps {
            let how = format!("no waiver stands over {place}, and it is waived");
            sim.break_promise("I14", how);
        }
        let pause = match status.phase {
            Phase::Acknowledged => ticket.spec.acknowledge.as_ref(),
            Phase::Snoozed => ticket.spec.snooze.as_ref(),
            _ => continue,
        };
        if pause.is_none_or(|pause| pause.until.plus(slack) < wall) {
            let how = format!(
                "{place} is {}, and its pause is over: {pause:?}",
                status.phase
            );
            sim.break_promise("I14", how);
        }
    }
}
