//! What a ticket owes to a receiver, and from when on: a pure function of the ticket, the receiver's last record and the
//! policy's pace. Who is a receiver of it at all is decided elsewhere.

use std::sync::Arc;

use patrol_api::policy::{Alerts, BySeverity, EscalationStep};
use patrol_api::ticket::{AlertRecord, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, QuietNotice, Resolution, Severity, ToldState};

use super::{Telling, told};
use crate::fingerprint;
use crate::windows::{Errand, Windows};

/// A message that says how things stand may be so long on its way: what people did meanwhile is not in it.
const ON_ITS_WAY: Span = Span::minutes(2);

/// How a policy wants its tickets told to one receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Interval of reminders.
    pub repeat: BySeverity,
    /// Wait after an edge, so that others can join its message.
    pub group_wait: Span,
    /// Whether resolved tickets are told.
    pub send_resolved: bool,
    /// When messages may go out.
    pub windows: Arc<Windows>,
    /// Steps of escalation: each halves the interval of reminders from its age on.
    pub steps: Arc<[EscalationStep]>,
    /// The receiver belongs to a step of escalation.
    pub join: Option<Join>,
    /// When the receiver was made: what opened before is old news to it.
    pub since: Option<Time>,
    /// An episode that ended untold is still told if it lasted so long.
    pub missed_after: Span,
    /// Nothing about it goes out before this time but what has waited too long: somebody muted it, or its cause is known.
    pub held_until: Option<Time>,
    /// The receiver stands in for another that is not ready.
    pub failover: bool,
    /// What people do to a ticket that it is told of as well.
    pub quiet: Vec<QuietNotice>,
    /// Nobody names the receiver for this ticket any more: the alarm that it holds is taken back.
    pub leaving: bool,
}

/// A step of escalation as the reason why a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its number, from 1.
    pub level: u64,
    /// Age of the episode from which it holds.
    pub after: Span,
}

impl Pace {
    /// Reminders and a group wait, and nothing else.
    #[must_use]
    pub fn plain(repeat: BySeverity, group_wait: Span) -> Self {
        Self {
            repeat,
            group_wait,
            send_resolved: true,
            windows: Arc::default(),
            steps: Arc::default(),
            join: None,
            since: None,
            missed_after: Alerts::default().missed_after,
            held_until: None,
            failover: false,
            quiet: vec![],
            leaving: false,
        }
    }

    fn interval(&self, status: &TicketStatus) -> Span {
        // Info has no repeat of its own: as rarely as Low.
        status
            .severity
            .and_then(|severity| self.repeat.get(severity))
            .unwrap_or(self.repeat.low)
    }

    /// From `due` on, when it may go out.
    pub(crate) fn opening(&self, due: Time, errand: Errand) -> Time {
        let urgent = errand.breached || errand.overdue || errand.resolved;
        let due = match self.held_until {
            Some(until) if !urgent => due.max(until),
            _ => due,
        };
        self.windows.opens_at(due, errand).unwrap_or(due)
    }
}

/// What a receiver must be told next, and when. `None`: nothing ever, as things stand.
#[must_use]
pub fn obligation(
    ticket_uid: &str,
    status: &TicketStatus,
    receiver_uid: &str,
    pace: &Pace,
) -> Option<Telling> {
    let told = told(status, receiver_uid);
    let firing = told.filter(|record| record.state == ToldState::Firing);
    match (status.phase, firing) {
        (Phase::Resolved | Phase::Waived, Some(record)) => Some(close(status, record, pace)),
        (Phase::Resolved, None) => late(status, told, pace),
        (Phase::Waived, None) => None,
        (Phase::Open | Phase::Acknowledged | Phase::Snoozed, _) => {
            firing_owed(ticket_uid, status, told, pace)
        }
    }
}

/// What was due and did not go out in time waits for the next opening if its window has closed since, and has waited only
/// since the last one if it is open again.
pub fn put_off(telling: &mut Telling, status: &TicketStatus, pace: &Pace, now: Time) {
    if telling.due >= now {
        return;
    }
    let opens = may_go_at(telling, status, pace, now);
    if opens > now {
        telling.due = opens;
    } else {
        let errand = errand_for(telling, status);
        telling.due = pace.windows.open_since(telling.due, now, errand);
    }
}

/// From `at` on, when the windows, and what holds the ticket's messages back, let it go. What goes before it is due, with
/// a message that goes anyway, asks as well: a window that is closed keeps even company out.
#[must_use]
pub fn may_go_at(telling: &Telling, status: &TicketStatus, pace: &Pace, at: Time) -> Time {
    pace.opening(at, errand_for(telling, status))
}

fn errand_for(telling: &Telling, status: &TicketStatus) -> Errand {
    match (telling.state, telling.is_edge()) {
        (ToldState::Closed, _) => Errand {
            critical: status.severity == Some(Severity::Critical),
            resolved: true,
            ..Errand::default()
        },
        (ToldState::Firing, true) => errand_of(status, status.alert_reason),
        (ToldState::Firing, false) => errand_of(status, None),
    }
}

/// Whoever was told that it fires is told that it ended, whatever lies between.
fn close(status: &TicketStatus, told: &AlertRecord, pace: &Pace) -> Telling {
    let (reason, ended) = match status.phase {
        Phase::Waived => (AlertReason::Waived, status.phase_since),
        _ => (AlertReason::Resolved, status.episode.resolved_at),
    };
    let mut due = ended.unwrap_or(told.at);
    if status.flapping && reason == AlertReason::Resolved {
        // Most likely it is back before the next reminder, and nobody had to hear of it.
        due = due.max(told.at.plus(pace.interval(status)));
    }
    let errand = Errand {
        critical: status.severity == Some(Severity::Critical),
        resolved: true,
        ..Errand::default()
    };
    Telling {
        state: ToldState::Closed,
        episode: told.episode,
        seq: told.seq,
        n: 1,
        reason,
        level: told.level,
        failover: pace.failover,
        due: pace.opening(due, errand),
    }
}

/// It came and went before anybody was told: one line says both, so that a receiver that was down, or a window, hides
/// nothing. Short ones are left to the ticket's history, but for critical ones.
fn late(status: &TicketStatus, told: Option<&AlertRecord>, pace: &Pace) -> Option<Telling> {
    let episode = &status.episode;
    let (opened, resolved) = (episode.opened_at?, episode.resolved_at?);
    let mended = matches!(
        episode.resolution,
        Some(Resolution::Fixed | Resolution::SubjectGone | Resolution::NoLivePods)
    );
    let critical = status.severity == Some(Severity::Critical);
    let long = resolved.since(opened) >= pace.missed_after;
    let is_told = told.is_some_and(|record| record.episode >= episode.n);
    let was_there = pace.since.is_none_or(|since| since <= opened);
    let waived = status.history.last().and_then(|h| h.from) == Some(Phase::Waived);
    if !mended || !(critical || long) || is_told || !was_there || waived || pace.join.is_some() {
        return None;
    }
    let errand = Errand {
        critical,
        resolved: true,
        ..Errand::default()
    };
    Some(Telling {
        state: ToldState::Closed,
        episode: episode.n,
        seq: status.alert_seq,
        n: 1,
        reason: AlertReason::Late,
        level: 0,
        failover: pace.failover,
        due: pace.opening(resolved.plus(pace.group_wait), errand),
    })
}

fn firing_owed(
    ticket_uid: &str,
    status: &TicketStatus,
    told: Option<&AlertRecord>,
    pace: &Pace,
) -> Option<Telling> {
    let edge = (status.episode.n, status.alert_seq);
    let current = told.filter(|r| r.state == ToldState::Firing && (r.episode, r.seq) >= edge);
    let urgent = matches!(
        status.alert_reason,
        Some(AlertReason::SLABreached | AlertReason::Overdue)
    );
    match current {
        Some(record) => {
            // Somebody knows of it: only a deadline that passes is told.
            let open = status.phase == Phase::Open;
            let reminder = open.then(|| reminder(ticket_uid, status, record, pace));
            [reminder, quiet(status, record, pace)]
                .into_iter()
                .flatten()
                .min_by_key(|telling| telling.due)
        }
        None if status.phase == Phase::Open || urgent => first(status, told, pace),
        None => None,
    }
}

/// An edge that this receiver does not know.
fn first(status: &TicketStatus, told: Option<&AlertRecord>, pace: &Pace) -> Option<Telling> {
    let opened = status.episode.opened_at;
    let happened = edge_at(status)?;
    let mut due = happened.plus(pace.group_wait);
    let mut reason = status.alert_reason.unwrap_or(AlertReason::Opened);
    let mut level = 0;
    let in_this_episode = told.is_some_and(|record| record.episode == status.episode.n);
    match (pace.join, pace.since) {
        (Some(join), _) if !in_this_episode => {
            if status.phase != Phase::Open {
                return None;
            }
            reason = AlertReason::Escalated;
            level = join.level;
            due = due.max(opened.unwrap_or(happened).plus(join.after));
        }
        (None, Some(since)) if told.is_none() && opened.is_some_and(|at| at < since) => {
            reason = AlertReason::Baseline;
        }
        _ => {}
    }
    if let Some(record) = told
        && status.flapping
        && reason == AlertReason::Reopened
    {
        due = due.max(record.at.plus(pace.interval(status)));
    }
    let errand = errand_of(status, status.alert_reason);
    Some(Telling {
        state: ToldState::Firing,
        episode: status.episode.n,
        seq: status.alert_seq,
        n: 1,
        reason,
        level,
        failover: pace.failover,
        due: pace.opening(due, errand),
    })
}

fn reminder(ticket_uid: &str, status: &TicketStatus, told: &AlertRecord, pace: &Pace) -> Telling {
    let interval = pace.interval(status);
    let opened = status.episode.opened_at.unwrap_or(told.at);
    let mut due = told.at.plus(spread(ticket_uid, interval));
    let mut level = 0;
    let mut holding: Vec<Span> = pace
        .steps
        .iter()
        .filter(|step| {
            status
                .severity
                .is_some_and(|s| step.severities.contains(&s))
        })
        .map(|step| step.after)
        .collect();
    holding.sort_unstable();
    // Each step halves the wait from its begin on: whichever brings the reminder first.
    for (n, after) in (1_u64..).zip(holding) {
        let begins = opened.plus(after);
        let halved = Span::millis(interval.as_millis() >> n.min(16));
        let candidate = begins.max(told.at.plus(spread(ticket_uid, halved)));
        if candidate <= due {
            due = candidate;
            level = n;
        }
    }
    let raised = level > told.level && pace.join.is_none();
    Telling {
        state: ToldState::Firing,
        episode: told.episode,
        seq: told.seq,
        n: told.n.saturating_add(1),
        reason: match raised {
            true => AlertReason::Escalated,
            false => AlertReason::Reminder,
        },
        level: level.max(told.level),
        failover: pace.failover,
        due: pace.opening(calm(due, interval), errand_of(status, None)),
    }
}

/// What people did to a ticket since a receiver that asks for it last heard of it. Any message says how things stand, so one that
/// goes for another reason says this as well.
fn quiet(status: &TicketStatus, told: &AlertRecord, pace: &Pace) -> Option<Telling> {
    let wants = |notice| pace.quiet.contains(&notice);
    let taken = match status.phase {
        Phase::Acknowledged => Some((QuietNotice::Acknowledged, AlertReason::Acknowledged)),
        Phase::Snoozed => Some((QuietNotice::Snoozed, AlertReason::Snoozed)),
        _ => None,
    };
    let taken = taken
        .filter(|(notice, _)| wants(*notice))
        .and_then(|(_, reason)| Some((status.phase_since?, reason)));
    let assigned = status.assigned.as_ref();
    let assigned = assigned
        .filter(|_| wants(QuietNotice::Assigned))
        .map(|assigned| (assigned.at, AlertReason::Assigned));
    let unheard = |at: &Time| {
        *at > told.at.minus(ON_ITS_WAY) && told.quiet_at.is_none_or(|heard| *at > heard)
    };
    let (at, reason) = [taken, assigned]
        .into_iter()
        .flatten()
        .find(|(at, _)| unheard(at))?;
    Some(Telling {
        state: ToldState::Firing,
        episode: told.episode,
        seq: told.seq,
        n: told.n.saturating_add(1),
        reason,
        level: told.level,
        failover: pace.failover,
        due: pace.opening(at.plus(pace.group_wait), errand_of(status, None)),
    })
}

/// The interval and up to a tenth more, so that tickets of one moment part ways.
fn spread(ticket_uid: &str, interval: Span) -> Span {
    let seed = fingerprint::hash64(&[ticket_uid.as_bytes(), b"repeat"]);
    interval.plus(Span::seconds(seed % (interval.as_secs() / 10).max(1)))
}

/// Robots of chats ask not to be called at full and half hours, when everybody does.
fn calm(due: Time, interval: Span) -> Time {
    let past = due.unix().rem_euclid(1800);
    if interval >= Span::hours(1) && !(31..=1769).contains(&past) {
        due.plus(Span::seconds(61))
    } else {
        due
    }
}

fn errand_of(status: &TicketStatus, reason: Option<AlertReason>) -> Errand {
    Errand {
        critical: status.severity == Some(Severity::Critical),
        resolved: false,
        breached: reason == Some(AlertReason::SLABreached),
        overdue: reason == Some(AlertReason::Overdue),
    }
}

/// When the last edge happened.
fn edge_at(status: &TicketStatus) -> Option<Time> {
    status.alert_at.or(status.episode.opened_at)
}
