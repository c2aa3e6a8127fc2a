//! The life of a ticket: what its state becomes, given what is known of its subject.
//!
//! Only positive evidence resolves. A missing right, a partial
//! list, a stale watch or a kind that is gone changes nothing but the condition Verified.

use patrol_api::condition::{self, Said};
use patrol_api::policy::BySeverity;
use patrol_api::ticket::{Affected, Evidence, HistoryEntry, TicketStatus, limits};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Party, Phase, Resolution, Severity};

use super::overlay::{self, Wishes};
use super::{assignment, recheck, text};
use crate::check::Judgement;

mod deadlines;
mod flapping;

pub use deadlines::overdue_at;
pub use flapping::clear_after;

/// Who writes history entries.
const ACTOR: &str = "kube-patrol";
/// A gap that comes back within this time keeps the clock of its due time.
const SAME_GAP: Span = Span::hours(24);

/// What is known of a ticket's subject.
#[derive(Clone, Debug, PartialEq)]
pub enum Assessment {
    /// The finding holds.
    Failing(Box<Standing>),
    /// Seen passing.
    Passing {
        /// Since when every kind the check reads speaks without a gap; `None` when one does
        /// not, so that it is no evidence.
        fresh_since: Option<Time>,
    },
    /// Seen without live pods.
    NoLivePods {
        /// As above.
        fresh_since: Option<Time>,
    },
    /// The subject is gone by a delete event or a complete list.
    Gone,
    /// The policy is gone.
    PolicyRemoved,
    /// The policy no longer covers the subject, or the rule no longer applies to it.
    OutOfScope,
    /// The check was switched off.
    CheckDisabled,
    /// Cannot be known now, and why: nothing changes.
    Unknown(String),
    /// Nothing is asked now (suspended or broken policy, subject on its way out).
    Hold,
}

impl Assessment {
    /// Whether the subject is seen without the finding.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self, Self::Passing { .. } | Self::NoLivePods { .. })
    }

    /// Whether the finding holds.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        matches!(self, Self::Failing(_))
    }
}

/// A finding that holds, with all that a ticket says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Severity.
    pub severity: Severity,
    /// Party.
    pub party: Party,
    /// Title of the check.
    pub title: String,
    /// What was seen.
    pub judgement: Judgement,
    /// How to fix it.
    pub remediation: String,
}

/// What a policy says about the life of its tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeRules {
    /// Time to the due time, by severity.
    pub sla: BySeverity,
    /// How long a subject must stay clean.
    pub clear_after: Span,
    /// Longest time without any message, by severity.
    pub max_quiet: BySeverity,
    /// When somebody last heard of the ticket without that being written down.
    pub heard: Option<Time>,
}

impl LifeRules {
    /// As a policy says.
    #[must_use]
    pub const fn of(
        rules: &patrol_api::policy::TicketRules,
        alerts: &patrol_api::policy::Alerts,
    ) -> Self {
        Self {
            sla: rules.sla,
            clear_after: rules.clear_after,
            max_quiet: alerts.max_quiet,
            heard: None,
        }
    }
}

/// What happened in a step of a life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The transitions, in order: their reasons.
    pub transitions: Vec<&'static str>,
    /// Look again at this time even if nothing else changes.
    pub look_again: Option<Time>,
}

/// The status of a ticket that opens now.
#[must_use]
pub fn open(standing: &Standing, rules: &LifeRules, now: Time) -> TicketStatus {
    let mut status = TicketStatus {
        first_opened_at: Some(now),
        alert_reason: Some(AlertReason::Opened),
        alert_at: Some(now),
        phase_since: Some(now),
        ..TicketStatus::default()
    };
    status.episode.opened_at = Some(now);
    status.episode.sla_start = Some(now);
    describe(&mut status, standing, now);
    status.episode.due_at = due(rules, standing.severity, now);
    push_history(&mut status, None, Phase::Open, "Opened", now);
    conditions(&mut status, None, now);
    status
}

/// One step of a life. `clean_since` is since when the subject is seen clean; it lives in
/// memory only, so a restart merely waits again.
pub fn advance(
    status: &mut TicketStatus,
    clean_since: &mut Option<Time>,
    assessment: &Assessment,
    wishes: &Wishes<'_>,
    rules: &LifeRules,
    now: Time,
) -> Change {
    let mut change = if status.phase == Phase::Resolved {
        advance_resolved(status, clean_since, assessment, wishes, rules, now)
    } else {
        advance_open(status, clean_since, assessment, wishes, rules, now)
    };
    if let Some(at) = recheck::answer(status, wishes.recheck, assessment, now) {
        deadlines::wake(&mut change, at);
    }
    change
}

fn advance_open(
    status: &mut TicketStatus,
    clean_since: &mut Option<Time>,
    assessment: &Assessment,
    wishes: &Wishes<'_>,
    rules: &LifeRules,
    now: Time,
) -> Change {
    let mut change = Change::default();
    match assessment {
        Assessment::Failing(standing) => {
            *clean_since = None;
            change
                .transitions
                .extend(still_failing(status, standing, wishes, rules, now));
            conditions(status, None, now);
        }
        Assessment::Passing { fresh_since } => {
            clearing(
                status,
                clean_since,
                *fresh_since,
                Resolution::Fixed,
                rules,
                now,
                &mut change,
            );
        }
        Assessment::NoLivePods { fresh_since } => {
            clearing(
                status,
                clean_since,
                *fresh_since,
                Resolution::NoLivePods,
                rules,
                now,
                &mut change,
            );
        }
        Assessment::Gone => resolve(status, Resolution::SubjectGone, now, &mut change),
        Assessment::PolicyRemoved => resolve(status, Resolution::PolicyRemoved, now, &mut change),
        Assessment::OutOfScope => resolve(status, Resolution::OutOfScope, now, &mut change),
        Assessment::CheckDisabled => resolve(status, Resolution::CheckDisabled, now, &mut change),
        Assessment::Unknown(why) => {
            *clean_since = None;
            conditions(status, Some(why), now);
        }
        Assessment::Hold => *clean_since = None,
    }
    if status.phase == Phase::Resolved {
        overlay::end_episode(status, wishes);
    } else {
        let sla = status.severity.and_then(|s| rules.sla.get(s));
        let laid = overlay::settle(status, wishes, sla, now);
        if laid.is_some() {
            let why = unverified(status);
            conditions(status, why.as_deref(), now);
        }
        change.transitions.extend(laid);
        let assigned = assignment::settle(status, wishes.assignee, now);
        change.transitions.extend(assigned);
        deadlines::pass(status, rules, now, &mut change);
    }
    flapping::calm_down(status, now, &mut change);
    change
}

fn advance_resolved(
    status: &mut TicketStatus,
    clean_since: &mut Option<Time>,
    assessment: &Assessment,
    wishes: &Wishes<'_>,
    rules: &LifeRules,
    now: Time,
) -> Change {
    *clean_since = None;
    let Assessment::Failing(standing) = assessment else {
        let mut change = Change::default();
        overlay::end_episode(status, wishes);
        flapping::calm_down(status, now, &mut change);
        return change;
    };
    let ended = status.episode.resolved_at.unwrap_or(now);
    // Of a gap that was away for a moment only, the clock ran on: a due time that has passed,
    // and was told, stays passed.
    let (start, breached) = match status.episode.sla_start {
        Some(start) if now.since(ended) <= SAME_GAP => (start, status.episode.breached_at),
        _ => (now, None),
    };
    let before = status.phase;
    status.phase = Phase::Open;
    status.phase_since = Some(now);
    overlay::end_episode(status, wishes);
    status.episode = patrol_api::ticket::Episode {
        n: status.episode.n.saturating_add(1),
        opened_at: Some(now),
        sla_start: Some(start),
        breached_at: breached,
        ..patrol_api::ticket::Episode::default()
    };
    status.recurrences = status.recurrences.saturating_add(1);
    describe(status, standing, now);
    status.episode.due_at = due(rules, standing.severity, start);
    edge(status, AlertReason::Reopened, now);
    push_history(status, Some(before), Phase::Open, "Reopened", now);
    flapping::notice(status, now);
    conditions(status, None, now);
    let mut change = Change {
        transitions: vec!["Reopened"],
        look_again: None,
    };
    let sla = status.severity.and_then(|s| rules.sla.get(s));
    change
        .transitions
        .extend(overlay::settle(status, wishes, sla, now));
    let assigned = assignment::settle(status, wishes.assignee, now);
    change.transitions.extend(assigned);
    deadlines::pass(status, rules, now, &mut change);
    flapping::calm_down(status, now, &mut change);
    change
}

fn still_failing(
    status: &mut TicketStatus,
    standing: &Standing,
    wishes: &Wishes<'_>,
    rules: &LifeRules,
    now: Time,
) -> Option<&'static str> {
    let before = status.severity;
    describe(status, standing, now);
    if status.episode.due_at.is_none() {
        // The process died before it wrote the first status: the due time is still owed.
        let start = status.episode.sla_start.unwrap_or(now);
        status.episode.due_at = due(rules, standing.severity, start);
    }
    match before {
        Some(before) if before < standing.severity => {
            // Raised: due earlier, never later, and everyone told hears of it.
            let start = status.episode.sla_start.unwrap_or(now);
            status.episode.due_at =
                match (status.episode.due_at, due(rules, standing.severity, start)) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            let phase = status.phase;
            // What people put off was less bad than this.
            overlay::cancel(status, wishes, now);
            edge(status, AlertReason::SeverityRaised, now);
            let after = status.phase;
            push_history(status, Some(phase), after, "SeverityRaised", now);
            Some("SeverityRaised")
        }
        _ => None,
    }
}

/// Writes what is seen into the status; an unchanged finding changes no time, so that it
/// costs no write.
fn describe(status: &mut TicketStatus, standing: &Standing, now: Time) {
    let j = &standing.judgement;
    let evidence = Evidence {
        verdict_at: status.evidence.verdict_at,
        affected: Affected {
            count: u64::from(j.affected.count),
            total: u64::from(j.affected.total),
            sample: text::cut_list(&j.affected.sample, limits::SAMPLE, limits::SAMPLE_NAME),
        },
        reasons: text::cut_list(
            &j.reasons.iter().map(|r| r.as_str()).collect::<Vec<_>>(),
            limits::REASONS,
            limits::REASON,
        ),
        paths: text::cut_list(&j.paths, limits::PATHS, limits::PATH),
    };
    let title = text::cut(&standing.title, limits::TITLE);
    let message = text::sentence(&j.message);
    let remediation = text::sentence(&standing.remediation);
    let same = status.severity == Some(standing.severity)
        && status.party == Some(standing.party)
        && status.title == title
        && status.message == message
        && status.remediation == remediation
        && status.evidence == evidence;
    if same {
        return;
    }
    status.severity = Some(standing.severity);
    status.party = Some(standing.party);
    status.title = title;
    status.message = message;
    status.remediation = remediation;
    status.evidence = evidence;
    status.evidence.verdict_at = Some(now);
    status.last_seen_at = Some(now);
}

fn clearing(
    status: &mut TicketStatus,
    clean_since: &mut Option<Time>,
    fresh_since: Option<Time>,
    resolution: Resolution,
    rules: &LifeRules,
    now: Time,
    change: &mut Change,
) {
    let Some(fresh_since) = fresh_since else {
        // Old news is no evidence: the wait begins again with fresh news.
        *clean_since = None;
        change.look_again = Some(now.plus(Span::seconds(10)));
        return;
    };
    conditions(status, None, now);
    // A clock that was set back must not make the wait longer.
    let since = clean_since.filter(|since| *since <= now).unwrap_or(now);
    // Nor does it go on where nobody was looking.
    let since = since.max(fresh_since.min(now));
    *clean_since = Some(since);
    let clear_at = since.plus(flapping::clear_after(status, rules.clear_after, now));
    if now >= clear_at {
        status.episode.first_clean_at = Some(since);
        resolve(status, resolution, now, change);
    } else {
        change.look_again = Some(clear_at);
    }
}

fn resolve(status: &mut TicketStatus, resolution: Resolution, now: Time, change: &mut Change) {
    let before = status.phase;
    status.phase = Phase::Resolved;
    status.phase_since = Some(now);
    status.episode.resolved_at = Some(now);
    status.episode.resolution = Some(resolution);
    push_history(
        status,
        Some(before),
        Phase::Resolved,
        resolution.as_str(),
        now,
    );
    conditions(status, None, now);
    change.transitions.push("Resolved");
    change.look_again = None;
}

/// Something happened that every receiver must be told.
pub(super) fn edge(status: &mut TicketStatus, reason: AlertReason, now: Time) {
    status.alert_seq = status.alert_seq.saturating_add(1);
    status.alert_reason = Some(reason);
    status.alert_at = Some(now);
}

/// Why the subject cannot be verified, as the conditions have it.
fn unverified(status: &TicketStatus) -> Option<String> {
    status
        .conditions
        .iter()
        .find(|c| c.type_ == "Verified" && c.status == "Unknown")
        .map(|c| c.message.clone())
}

fn due(rules: &LifeRules, severity: Severity, start: Time) -> Option<Time> {
    rules.sla.get(severity).map(|span| start.plus(span))
}

/// Adds a history entry to the ring.
pub fn push_history(
    status: &mut TicketStatus,
    from: Option<Phase>,
    to: Phase,
    reason: &str,
    now: Time,
) {
    push_history_by(status, from, to, reason, None, now);
}

/// The same, by someone else than this program.
pub(super) fn push_history_by(
    status: &mut TicketStatus,
    from: Option<Phase>,
    to: Phase,
    reason: &str,
    by: Option<&str>,
    now: Time,
) {
    status.history.push(HistoryEntry {
        at: now,
        from,
        to,
        reason: text::cut(reason, limits::REASON),
        actor: text::cut(by.unwrap_or(ACTOR), limits::ACTOR),
    });
    let extra = status.history.len().saturating_sub(limits::HISTORY);
    status.history.drain(..extra);
}

/// Conditions follow from the rest; `unknown` says why the subject cannot be verified.
pub(super) fn conditions(status: &mut TicketStatus, unknown: Option<&str>, now: Time) {
    let resolved = status.phase == Phase::Resolved;
    let reason = match (resolved, status.episode.resolution) {
        (true, Some(resolution)) => resolution.as_str(),
        (true, None) => Phase::Resolved.as_str(),
        (false, _) => status.phase.as_str(),
    };
    condition::set(
        &mut status.conditions,
        &Said {
            kind: "Resolved",
            status: Some(resolved),
            reason,
            message: match resolved {
                true => "the episode has ended",
                false => match status.phase {
                    Phase::Acknowledged => "the finding holds, and somebody knows of it",
                    Phase::Snoozed => "the finding holds, and is put off for a while",
                    Phase::Waived => "the finding holds, and somebody takes the risk",
                    Phase::Open | Phase::Resolved => "the finding holds",
                },
            },
            generation: None,
        },
        now,
    );
    let (verified, reason, message) = match unknown {
        Some(why) => (None, "Unverifiable", why),
        None => (Some(true), "Inspected", "the subject can be seen"),
    };
    condition::set(
        &mut status.conditions,
        &Said {
            kind: "Verified",
            status: verified,
            reason,
            message,
            generation: None,
        },
        now,
    );
}
