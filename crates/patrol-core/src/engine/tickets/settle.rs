//! Settling: from what is known of each finding to what its ticket should say. It asks for
//! writes and never makes them.

use patrol_api::policy::{Alerts, TicketRules};
use patrol_api::ticket::{AlertRecord, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{Phase, Severity, ToldState};

use super::super::evaluate::{Known, earlier};
use super::super::{Keys, Patrol};
use super::{Held, about, bootstrap_at, same_identity};
use crate::check::Unit;
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::inspect::Presence;
use crate::ticket::life::{self, Assessment, LifeRules};
use crate::ticket::overlay::{Waived, Wishes};
use crate::ticket::recheck;

/// The end of a ticket that was deleted under us is tried to be told for so long.
const END_OWED_FOR: Span = Span::days(1);

impl Patrol {
    pub(in crate::engine) fn settle_tickets(&mut self, now: Now) {
        self.ticket_timers(now);
        self.look_afresh(now);
        // A place that is left lets others in, and both change the aggregates.
        for _ in 0..3 {
            self.settle_touched(now);
            self.settle_overflow(now);
        }
        self.wake.soon |= !self.tickets.touched.is_empty();
        self.write_tickets(now);
        if let Some((at, _)) = self.tickets.timers.first() {
            self.wake_at(*at);
        }
    }

    /// What has an object comes first: it has its place under the ceiling already.
    fn settle_touched(&mut self, now: Now) {
        let touched = std::mem::take(&mut self.tickets.touched);
        let (there, absent): (Keys, Keys) = touched
            .into_iter()
            .partition(|key| self.tickets.contains(key));
        for key in there.iter().chain(&absent) {
            self.settle_ticket(key, now);
        }
    }

    fn ticket_timers(&mut self, now: Now) {
        while let Some((at, key)) = self.tickets.timers.first().cloned() {
            if at > now.wall {
                break;
            }
            self.tickets.set_timer(&key, None);
            self.tickets.touch(&key);
        }
    }

    /// A wait for cleanness ends with a fresh look, not with an old verdict: a watch may
    /// have fallen silent since. So does an absence of which a new leader knows from its
    /// time as a standby, and whatever somebody asks to be inspected at once.
    fn look_afresh(&mut self, now: Now) {
        let over: Vec<(ObjectKey, Unit)> = self
            .tickets
            .touched
            .iter()
            .filter_map(|key| Some((key, self.evaluation.known.get(key)?)))
            .filter(|(key, known)| {
                self.may_clear(key, known, now.wall) || self.is_asked_for(key, now.wall)
            })
            .map(|(key, known)| (key.clone(), known.unit.clone()))
            .collect();
        for (key, unit) in over {
            if !self.look_at_aggregate(&key) {
                self.evaluate_unit(&unit, now.wall);
            }
        }
    }

    /// Whether somebody asks for an inspection that may be made now.
    fn is_asked_for(&self, key: &ObjectKey, now: Time) -> bool {
        self.tickets.held.get(key).is_some_and(|held| {
            let asked = held.object.as_ref().and_then(|t| t.spec.recheck.as_deref());
            recheck::asked(&held.status, asked, now).is_some_and(|at| at <= now)
        })
    }

    /// Whether an open ticket was seen clean for long enough, or waits for fresh news, or
    /// whether its subject was gone and may be there again: a list is closing a gap.
    fn may_clear(&self, key: &ObjectKey, known: &Known, now: Time) -> bool {
        if known.assessment == Assessment::Gone {
            let subject = &known.finding.subject;
            return self.inspector(now).presence(subject) != Presence::Gone;
        }
        let (Assessment::Passing { fresh_since } | Assessment::NoLivePods { fresh_since }) =
            &known.assessment
        else {
            return false;
        };
        let Some(held) = self.tickets.held.get(key) else {
            return false;
        };
        let waited = || {
            let since = held.clean_since.unwrap_or(now);
            let rule = self.life_rules(&known.finding.policy).clear_after;
            now >= since.plus(life::clear_after(&held.status, rule, now))
        };
        held.status.phase != Phase::Resolved && (fresh_since.is_none() || waited())
    }

    fn settle_ticket(&mut self, key: &ObjectKey, now: Now) {
        // Taken out rather than cloned: it is large, and nobody else asks meanwhile.
        let Some(known) = self.evaluation.known.remove(key) else {
            if self.tickets.held.get(key).is_some_and(|held| held.unread) {
                self.want_write(key, Severity::Info, now);
            } else if !self.tickets.contains(key) {
                self.drop_ticket(key);
            }
            return;
        };
        let keep = if self.tickets.contains(key) {
            self.advance_ticket(key, &known, now);
            true
        } else {
            self.settle_absent(key, &known, now)
        };
        self.evaluation.known.insert(key.clone(), known);
        if !keep {
            self.drop_ticket(key);
            self.evaluation.forget(key);
        }
        self.plan_alerts(key, now);
    }

    pub(in crate::engine) fn drop_ticket(&mut self, key: &ObjectKey) {
        self.overflow_left(key);
        self.leave_ceiling(key);
        self.agenda.forget_doubts(key);
        self.tickets.drop(key);
    }

    /// A finding without an object. Returns whether there is still a reason to remember it.
    fn settle_absent(&mut self, key: &ObjectKey, known: &Known, now: Now) -> bool {
        match &known.assessment {
            Assessment::Failing(_) => {
                self.open_ticket(key, known, now);
                true
            }
            // Unknown is not absent: nothing new is opened, nothing is forgotten, and what
            // was open when someone deleted it is open still.
            Assessment::Unknown(_) | Assessment::Hold => {
                if let Some(held) = self.tickets.held.get_mut(key) {
                    let was_open = held.last.is_some() && held.status.phase != Phase::Resolved;
                    held.wanted = was_open && known.enforced;
                    held.clean_since = None;
                    if held.wanted {
                        let severity = held.status.severity.unwrap_or(Severity::Medium);
                        self.tickets.ask(severity, key);
                    }
                }
                true
            }
            _ => {
                if self.tickets.held.get(key).is_some_and(|h| h.writing) {
                    return true; // its answer touches it again
                }
                self.overflow_left(key);
                self.leave_ceiling(key);
                if !self.owes_end(key) {
                    return false;
                }
                let keep = self.end_vanished(key, known, now);
                if !keep {
                    self.owe_by_number(key, now);
                }
                keep
            }
        }
    }

    fn open_ticket(&mut self, key: &ObjectKey, known: &Known, now: Now) {
        let Assessment::Failing(standing) = &known.assessment else {
            return;
        };
        let aggregate = self.is_aggregate(key, &known.finding);
        if !known.enforced || (!aggregate && !self.admit(key, &known.finding)) {
            if let Some(held) = self.tickets.held.get_mut(key) {
                held.wanted = false;
            }
            return;
        }
        let rules = self.rules_for(key, known, now);
        let waived = self.still_waived(key, known, now.wall);
        let held = self.tickets.held.entry(key.clone()).or_default();
        held.wanted = true;
        // A ticket that was deleted by hand comes back with its history.
        if held.status.first_opened_at.is_none() {
            held.status
                .become_this(life::open(standing, &rules, now.wall));
        } else {
            life::advance(
                &mut held.status,
                &mut held.clean_since,
                &known.assessment,
                &Wishes {
                    waiver: waived.as_ref(),
                    ..Wishes::default()
                },
                &rules,
                now.wall,
            );
        }
        self.tickets.ask(standing.severity, key);
    }

    /// The finding ended and so did the object (its namespace went, or someone was quick):
    /// whoever was told is told the end, under the rules of every other end. Returns
    /// whether that is still to be done.
    fn end_vanished(&mut self, key: &ObjectKey, known: &Known, now: Now) -> bool {
        let rules = self.rules_for(key, known, now);
        let waived = self.still_waived(key, known, now.wall);
        let Some(held) = self.tickets.held.get_mut(key) else {
            return false;
        };
        held.wanted = false;
        let phase = held.status.phase;
        let change = life::advance(
            &mut held.status,
            &mut held.clean_since,
            &known.assessment,
            &Wishes {
                waiver: waived.as_ref(),
                ..Wishes::default()
            },
            &rules,
            now.wall,
        );
        // By the clock that nobody sets: what is owed is held in memory alone.
        let until = held.vanished.plus(END_OWED_FOR);
        if has_ended(phase, held.status.phase) {
            self.count_unsure_as_told(key, now);
            self.namespace_spoke(&known.finding);
        }
        let left = Span::millis(until.since(now.mono));
        let over = now.wall.plus(left).plus(Span::seconds(1));
        self.tickets
            .set_timer(key, change.look_again.or(Some(over)));
        now.mono < until
    }

    fn advance_ticket(&mut self, key: &ObjectKey, known: &Known, now: Now) {
        let rules = self.rules_for(key, known, now);
        let retention = self.retention(&known.finding.policy);
        let within = self.config.status_within;
        let view = self.tickets.view(key);
        let waived =
            view.and_then(|(ticket, status)| self.waived(&ticket.spec.finding, status, now.wall));
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        let Some(object) = &held.object else {
            return;
        };
        if held.foreign || !same_identity(&known.finding, &object.spec.finding) {
            held.foreign = true;
            self.want_write(key, Severity::Info, now);
            return;
        }
        let (phase, before) = (held.status.phase, held.status.severity);
        let bootstrap =
            (held.status.stored().is_none()).then(|| bootstrap_at(object, within, now.wall));
        let wishes = Wishes {
            acknowledge: object.spec.acknowledge.as_ref(),
            snooze: object.spec.snooze.as_ref(),
            assignee: object.spec.assignee.as_deref(),
            recheck: object.spec.recheck.as_deref(),
            waiver: waived.as_ref(),
        };
        let change = life::advance(
            &mut held.status,
            &mut held.clean_since,
            &known.assessment,
            &wishes,
            &rules,
            now.wall,
        );
        held.status.observed_generation = object.metadata.generation;
        see_again(held, &known.assessment, now.wall);
        held.status.share();
        if has_ended(phase, held.status.phase) {
            self.count_unsure_as_told(key, now);
        }
        let Some(held) = self.tickets.held.get(key) else {
            return;
        };
        let open = held.status.phase != Phase::Resolved;
        let mut look_again = change.look_again;
        if !open {
            // While somebody is owed its end it stays longer, and not for ever.
            let spans = [retention, super::write::HARD_CAP];
            let mut ends = spans.into_iter().filter_map(|span| {
                let at = held.status.episode.resolved_at?.plus(span);
                (at > now.wall).then_some(at)
            });
            look_again = earlier(look_again, ends.next());
            self.tickets.retention.dirty = true;
        }
        look_again = earlier(look_again, bootstrap);
        let severity = held.status.severity;
        let news = !change.transitions.is_empty() || before != severity;
        let status = news.then(|| held.status.snapshot());
        self.tickets
            .set_timer(key, look_again.filter(|at| *at > now.wall));
        if open {
            self.take_ceiling(key, &known.finding);
        } else {
            self.leave_ceiling(key);
        }
        for (reason, status) in change.transitions.iter().zip(status.iter().cycle()) {
            self.tell_transition(key, reason, status);
        }
        self.evaluation.status_dirty |= news;
        if before != severity {
            self.namespace_spoke(&known.finding);
        }
        self.want_write(key, severity.unwrap_or(Severity::Medium), now);
    }

    /// The waiver over a ticket without an object. What people wrote into it went with it; waivers are still there.
    fn still_waived(&self, key: &ObjectKey, known: &Known, now: Time) -> Option<Waived> {
        let held = self.tickets.held.get(key)?;
        self.waived(&known.finding, &held.status, now)
    }

    /// Queues a ticket if it needs a write.
    pub(super) fn want_write(&mut self, key: &ObjectKey, severity: Severity, now: Now) {
        if self.needed_write(key, now).is_some() {
            self.tickets.ask(severity, key);
        }
    }

    fn rules_for(&self, key: &ObjectKey, known: &Known, now: Now) -> LifeRules {
        LifeRules {
            heard: self.last_heard(key, now),
            ..self.life_rules(&known.finding.policy)
        }
    }

    /// What a policy says of its tickets' lives; a policy that is gone leaves defaults.
    pub(in crate::engine) fn life_rules(&self, policy: &str) -> LifeRules {
        match self.policies.get(policy) {
            Some(state) => LifeRules::of(state.ticket_rules(), &state.object.spec.alerts),
            None => LifeRules::of(&TicketRules::default(), &Alerts::default()),
        }
    }

    pub(in crate::engine) fn retention(&self, policy: &str) -> Span {
        let rules = self.policies.get(policy).map(|p| p.ticket_rules());
        rules.map_or_else(|| TicketRules::default().retention, |rules| rules.retention)
    }

    pub(super) fn tell_transition(&mut self, key: &ObjectKey, reason: &str, status: &TicketStatus) {
        self.evaluation.status_dirty = true;
        self.closing.dirty = true;
        self.waivers_moved();
        let Some(object) = self.tickets.object(key) else {
            return;
        };
        let about = about(key, object);
        let finding = object.spec.finding.clone();
        let policy = object.spec.finding.policy.clone();
        let note = match status.episode.resolution {
            Some(resolution) if status.phase == Phase::Resolved => {
                format!(
                    "{}: resolved ({resolution})",
                    object.spec.finding.subject_ref
                )
            }
            _ => format!("{}: {}", object.spec.finding.subject_ref, status.message),
        };
        self.counters.transition(&policy, reason, status);
        self.namespace_spoke(&finding);
        let warning = status.phase != Phase::Resolved;
        self.announce(about, &format!("Ticket{reason}"), note, warning);
    }

    /// Whether a resolved ticket may go: its time is over or it is one too many, and everyone
    /// who was told that it fires was told that it ended, or the hard cap is reached.
    pub(super) fn is_expired(
        &self,
        key: &ObjectKey,
        status: &TicketStatus,
        policy: &str,
        now: Time,
    ) -> bool {
        if status.phase != Phase::Resolved {
            return false;
        }
        let Some(resolved) = status.episode.resolved_at else {
            return false;
        };
        let age = now.since(resolved);
        let over = age >= self.retention(policy) || self.tickets.retention.is_surplus(key);
        (over && !self.is_owing(key, status)) || age >= super::write::HARD_CAP
    }

    /// Whether somebody who was told that a ticket fires is yet to be told that it ended, or somebody that it came and went.
    pub(super) fn is_owing(&self, key: &ObjectKey, status: &TicketStatus) -> bool {
        let firing = |r: &AlertRecord| r.state == ToldState::Firing && self.knows_receiver(&r.uid);
        status.phase == Phase::Resolved && (status.alerts.iter().any(firing) || self.is_missed(key))
    }
}

/// A status that is written anyway says when the gap was last seen. For that alone nothing is written.
fn see_again(held: &mut Held, assessment: &Assessment, now: Time) {
    const OLD: Span = Span::hours(1);
    let is_written = held.status.stored().is_some() && !held.status.is_stored();
    let is_old = held
        .status
        .last_seen_at
        .is_some_and(|at| now >= at.plus(OLD));
    if is_written && is_old && assessment.is_failing() && held.status.phase != Phase::Resolved {
        held.status.last_seen_at = Some(now);
        held.status.evidence.verdict_at = Some(now);
    }
}

/// Whether it is over now for whoever was told: resolved, or somebody took the risk.
fn has_ended(before: Phase, now: Phase) -> bool {
    now != before && matches!(now, Phase::Resolved | Phase::Waived)
}
