//! What people lay over a ticket: an acknowledgement, a snooze, a waiver. They change who hears of it and when; none
//! of them ends it.
//!
//! Pure. A wish is written in the ticket's spec, which only people write; that it is over is kept in the status, so a
//! restart does not grant it again.

use patrol_api::ticket::{Overlay, Pause, Spent, TicketStatus, limits};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, OverlayKind, Phase, Severity};

use super::{life, text};

/// What people want of a ticket now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// `spec.acknowledge`.
    pub acknowledge: Option<&'a Pause>,
    /// `spec.snooze`.
    pub snooze: Option<&'a Pause>,
    /// `spec.assignee`.
    pub assignee: Option<&'a str>,
    /// `spec.recheck`.
    pub recheck: Option<&'a str>,
    /// A waiver that takes the ticket out of the open ones.
    pub waiver: Option<&'a Waived>,
}

/// A waiver, as far as a ticket is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waived {
    /// `namespace/name`.
    pub waiver: String,
    /// Who takes the risk.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: Time,
    /// Whether the due time counts anew when the ticket comes back.
    pub reset_sla: bool,
}

/// The longest an acknowledgement lasts.
#[must_use]
pub const fn most_acknowledged(severity: Severity) -> Span {
    match severity {
        Severity::Critical => Span::hours(24),
        Severity::High => Span::hours(72),
        Severity::Medium => Span::days(7),
        Severity::Low | Severity::Info => Span::days(14),
    }
}

/// The longest a snooze lasts.
#[must_use]
pub const fn most_snoozed(severity: Severity) -> Span {
    match severity {
        Severity::Critical => Span::hours(24),
        Severity::High => Span::hours(72),
        Severity::Medium | Severity::Low | Severity::Info => Span::days(14),
    }
}

/// Lays what is wished over an open ticket, or takes off what is over. Returns the transition, if there was one.
pub fn settle(
    status: &mut TicketStatus,
    wishes: &Wishes<'_>,
    sla: Option<Span>,
    now: Time,
) -> Option<&'static str> {
    status.spent.retain(|spent| wishes.holds(spent));
    if status.phase == Phase::Resolved {
        return None;
    }
    let wanted = wanted(status, wishes, now);
    if status.overlay == wanted {
        return None;
    }
    let before = status.phase;
    let after = wanted.as_ref().map_or(Phase::Open, |o| phase_of(o.kind));
    let was = std::mem::replace(&mut status.overlay, wanted);
    if let Some(was) = &was
        && status.overlay.as_ref().is_none_or(|o| o.kind != was.kind)
    {
        spend(status, was);
        status.spent.retain(|spent| wishes.holds(spent));
    }
    if before == after {
        return None; // longer, shorter, or by another waiver
    }
    if before == Phase::Waived {
        resume_clock(status, sla, was.as_ref().is_some_and(|o| o.reset_sla), now);
    }
    let (reason, edge) = match (before, after) {
        (_, Phase::Acknowledged) => ("Acknowledged", None),
        (_, Phase::Snoozed) => ("Snoozed", None),
        (_, Phase::Waived) => ("Waived", Some(AlertReason::Waived)),
        (Phase::Waived, _) => ("WaiverEnded", Some(AlertReason::WaiverEnded)),
        _ => ("ReArmed", Some(AlertReason::ReArmed)),
    };
    enter(status, after, now);
    if let Some(edge) = edge {
        life::edge(status, edge, now);
    }
    let by = status.overlay.as_ref().and_then(|o| o.by.clone());
    life::push_history_by(status, Some(before), after, reason, by.as_deref(), now);
    Some(reason)
}

/// Takes off an acknowledgement or snooze that no longer fits: the ticket became worse. The other of the two, if it was wished
/// for as well, fits no better.
pub fn cancel(status: &mut TicketStatus, wishes: &Wishes<'_>, now: Time) {
    let pause = |o: &mut Overlay| o.kind != OverlayKind::Waived;
    if status.overlay.take_if(pause).is_some() {
        enter(status, Phase::Open, now);
    }
    spend_all(status, wishes);
}

/// The episode ends: what was wished for it does not count for the next.
pub fn end_episode(status: &mut TicketStatus, wishes: &Wishes<'_>) {
    status.overlay = None;
    spend_all(status, wishes);
}

fn spend_all(status: &mut TicketStatus, wishes: &Wishes<'_>) {
    status.spent = [
        (OverlayKind::Acknowledged, wishes.acknowledge),
        (OverlayKind::Snoozed, wishes.snooze),
    ]
    .into_iter()
    .filter_map(|(kind, pause)| {
        let asked = pause?.until;
        Some(Spent { kind, asked })
    })
    .collect();
}

/// When the overlay ends by itself.
#[must_use]
pub fn ends_at(status: &TicketStatus) -> Option<Time> {
    status.overlay.as_ref().map(|overlay| overlay.until)
}

/// The phase an overlay makes.
#[must_use]
pub const fn phase_of(kind: OverlayKind) -> Phase {
    match kind {
        OverlayKind::Acknowledged => Phase::Acknowledged,
        OverlayKind::Snoozed => Phase::Snoozed,
        OverlayKind::Waived => Phase::Waived,
    }
}

impl Wishes<'_> {
    /// Whether the spec still says what is over.
    fn holds(&self, spent: &Spent) -> bool {
        let pause = match spent.kind {
            OverlayKind::Acknowledged => self.acknowledge,
            OverlayKind::Snoozed => self.snooze,
            OverlayKind::Waived => None,
        };
        pause.is_some_and(|pause| pause.until == spent.asked)
    }
}

/// The overlay there should be. A waiver goes before people's pauses; of two pauses the one that lasts longer.
fn wanted(status: &TicketStatus, wishes: &Wishes<'_>, now: Time) -> Option<Overlay> {
    if let Some(waived) = wishes.waiver.filter(|waived| now < waived.until) {
        return Some(Overlay {
            kind: OverlayKind::Waived,
            by: Some(text::cut(&waived.owner, limits::BY)),
            reason: text::sentence(&waived.reason),
            until: waived.until,
            asked: None,
            waiver: Some(waived.waiver.clone()),
            reset_sla: waived.reset_sla,
        });
    }
    let severity = status.severity.unwrap_or(Severity::Medium);
    let acknowledged = wishes.acknowledge.and_then(|pause| {
        let most = most_acknowledged(severity);
        granted(status, OverlayKind::Acknowledged, pause, most, now)
    });
    let snoozed = wishes.snooze.and_then(|pause| {
        let most = most_snoozed(severity);
        granted(status, OverlayKind::Snoozed, pause, most, now)
    });
    match (acknowledged, snoozed) {
        (Some(a), Some(s)) if s.until > a.until => Some(s),
        (Some(a), _) => Some(a),
        (None, s) => s,
    }
}

fn granted(
    status: &TicketStatus,
    kind: OverlayKind,
    pause: &Pause,
    most: Span,
    now: Time,
) -> Option<Overlay> {
    let is_spent = status
        .spent
        .iter()
        .any(|spent| spent.kind == kind && spent.asked == pause.until);
    // What was granted once keeps its end: the limit counts from the grant.
    let before = status
        .overlay
        .as_ref()
        .filter(|o| o.kind == kind && o.asked == Some(pause.until))
        .map(|o| o.until);
    // A clock that was set back must not make it longer than the limit.
    let until = before.unwrap_or(pause.until).min(now.plus(most));
    (!is_spent && now < until).then(|| Overlay {
        kind,
        by: pause.by.as_deref().map(|by| text::cut(by, limits::BY)),
        reason: text::sentence(&pause.reason),
        until,
        asked: Some(pause.until),
        waiver: None,
        reset_sla: false,
    })
}

fn spend(status: &mut TicketStatus, overlay: &Overlay) {
    let Some(asked) = overlay.asked else {
        return;
    };
    status.spent.retain(|spent| spent.kind != overlay.kind);
    status.spent.push(Spent {
        kind: overlay.kind,
        asked,
    });
    status.spent.sort_by_key(|spent| spent.kind);
}

/// The time under a waiver does not count towards the due time, or the due time counts anew.
fn resume_clock(status: &mut TicketStatus, sla: Option<Span>, reset: bool, now: Time) {
    let since = status.phase_since.unwrap_or(now);
    let episode = &mut status.episode;
    if reset {
        episode.sla_start = Some(now);
        episode.due_at = sla.map(|sla| now.plus(sla));
        episode.breached_at = None;
    } else if episode.breached_at.is_none() {
        let waived = now.since(since);
        episode.sla_start = episode.sla_start.map(|at| at.plus(waived));
        episode.due_at = episode.due_at.map(|at| at.plus(waived));
    }
}

fn enter(status: &mut TicketStatus, phase: Phase, now: Time) {
    if status.phase != phase {
        status.phase = phase;
        status.phase_since = Some(now);
    }
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
