//! What the watch says of tickets, and what other hands did to them.

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Span;
use patrol_api::words::{Phase, Severity, ToldState};

use super::super::evaluate::Known;
use super::super::{Keys, Patrol};
use super::{
    RECREATED, believed, drop_false_ends, is_old_news, is_told_firing, reconcile, succeed,
};
use crate::check::Unit;
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::ticket::ledger;
use crate::ticket::life::{self, Assessment};

/// Writes of the process that led before arrive within this time: their deadline is far
/// shorter.
const LAST_WORDS: Span = Span::seconds(60);

/// A watch lags behind the answers to writes by less: one that says nothing for longer is opened anew.
const WATCH_LAG: Span = Span::minutes(5);

/// Episode and last edge as they are stored.
fn edge_of(stored: Option<&TicketStatus>) -> Option<(u64, u64)> {
    let status = stored?;
    Some((status.episode.n, status.alert_seq))
}

impl Patrol {
    pub(in crate::engine) fn ticket_seen(&mut self, key: ObjectKey, mut ticket: Ticket, now: Now) {
        if let Some(listed) = &mut self.tickets.listed {
            listed.insert(key.clone());
        }
        let leading = self.leads();
        let last_words = self.hears_last_words(now);
        let uid = ticket.metadata.uid.as_deref().unwrap_or("");
        if leading && self.tickets.buried.contains(uid, now.mono) {
            // A late word of an object that is gone, or it is there after all: only the
            // answer to a read tells, and that digs it out first.
            let held = self.tickets.held.entry(key.clone()).or_default();
            held.unread = true;
            self.want_write(&key, Severity::Info, now);
            return;
        }
        let held = self.tickets.held.entry(key.clone()).or_default();
        // Whatever was to be read is known now, news or not.
        let contested = std::mem::take(&mut held.unread);
        if let Some(object) = &held.object
            && is_old_news(object, &ticket)
        {
            return;
        }
        held.foreign = false;
        let stored = ticket.status.take();
        let edge = (held.status.episode.n, held.status.alert_seq);
        let was_ours = held.object.is_some() || held.writing;
        let before = held.object.is_some().then(|| edge_of(held.status.stored()));
        // Somebody else wrote it meanwhile: perhaps the very edge that this process came to as well.
        let others = contested && before != Some(edge_of(stored.as_ref()));
        match &held.object {
            _ if !leading => {
                let believed = believed(&ticket, stored.as_ref(), now.wall);
                held.status.become_this(believed);
            }
            // The last words of the process that led before: what it told, it told.
            Some(_) if last_words => {
                let merged = succeed(&held.status, &ticket, stored.as_ref(), now.wall);
                held.status.become_this(merged);
            }
            // Its first status was written by the process that opened it.
            Some(_) if held.status.stored().is_none() && held.sent.is_none() => {
                let merged = succeed(&held.status, &ticket, stored.as_ref(), now.wall);
                held.status.become_this(merged);
            }
            // One more edition of what is known: the status is ours, whatever it says. But
            // what was told stays told: a watch that lags brings the old leader's words late.
            Some(_) => {
                let theirs = believed(&ticket, stored.as_ref(), now.wall);
                ledger::join(&mut held.status.alerts, &theirs.alerts);
                drop_false_ends(&mut held.status);
                // What is yet to be written is no edit: only what is stored otherwise than before is one.
                let edited = stored.is_some()
                    && stored.as_ref() != Some(&*held.status)
                    && stored.as_ref() != held.status.stored();
                if edited && !held.writing {
                    held.rival(now);
                    self.counters.statuses_restored += 1;
                }
            }
            // Most likely ours, just created; the answer tells. One with a status is not.
            None if held.writing && stored.is_none() => {}
            None => {
                let merged = reconcile(&held.status, &ticket, stored.as_ref(), now.wall);
                held.status.become_this(merged);
            }
        }
        // An edge of another process may have been told by it.
        let news = !was_ours || others || (held.status.episode.n, held.status.alert_seq) != edge;
        held.status.has_stored(stored);
        held.object = Some(Box::new(ticket));
        held.last = None;
        self.register(&key, now);
        if leading && news && last_words {
            self.doubt_untold(&key);
        }
    }

    /// Whether what is seen of a ticket may be of the process that led before. Until it has acted for the first time,
    /// whoever leads has seen nothing of its own.
    pub(in crate::engine) fn hears_last_words(&self, now: Now) -> bool {
        self.has_predecessor() || now.mono < self.led_since.plus(LAST_WORDS)
    }

    /// Makes sure that a ticket's subject is judged, and its owed messages are planned.
    pub(super) fn register(&mut self, key: &ObjectKey, now: Now) {
        let Some(finding) = self.tickets.finding(key).cloned() else {
            return;
        };
        if let Some(known) = self.evaluation.known.get(key) {
            // What was concluded before the ticket was there may hold no more.
            if !known.assessment.is_failing() && !self.is_aggregate(key, &finding) {
                self.mark(known.unit.clone());
            }
        } else {
            let aggregate = self.is_aggregate(key, &finding);
            let unit = if aggregate {
                Unit::Cluster
            } else {
                self.unit_of(&finding)
            };
            let known = Known {
                unit: unit.clone(),
                finding,
                assessment: Assessment::Hold,
                enforced: true,
            };
            if aggregate {
                self.aggregate_found(key, &known.finding);
                self.evaluation.learn_apart(key.clone(), known);
            } else {
                self.evaluation.learn(key.clone(), known);
                self.mark(unit);
            }
        }
        self.tickets.touch(key);
        self.closing.dirty = true;
        self.plan_alerts(key, now);
    }

    pub(in crate::engine) fn ticket_gone(&mut self, key: &ObjectKey, now: Now) {
        // It goes before this process has acted: whoever led before may have told of it.
        if self.leads() && self.has_predecessor() {
            self.doubt_untold(key);
        }
        let unsure = self.is_unsure(key);
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        held.unread = false;
        let Some(object) = held.object.take() else {
            return;
        };
        held.status.has_stored(None);
        let finding = object.spec.finding.clone();
        if self.term.is_none() {
            self.leave_ceiling(key);
            self.tickets.drop(key);
        } else {
            let open = held.status.phase != Phase::Resolved;
            if open {
                self.counters.tickets_deleted_open += 1;
                let (at, phase) = (now.wall, held.status.phase);
                life::push_history(&mut held.status, Some(phase), phase, RECREATED, at);
            }
            let owed = open || unsure || is_told_firing(&held.status);
            held.last = Some(object).filter(|_| owed);
            held.vanished = now.mono;
        }
        if let Some(unit) = self.evaluation.known.get(key).map(|k| k.unit.clone()) {
            self.mark(unit);
        }
        self.namespace_spoke(&finding);
        self.tickets.touch(key);
        self.closing.dirty = true;
        self.plan_alerts(key, now);
    }

    pub(in crate::engine) fn tickets_listing(&mut self) {
        self.tickets.listed = Some(Keys::new());
    }

    pub(in crate::engine) fn tickets_listed(&mut self, now: Now) {
        let Some(listed) = self.tickets.listed.take() else {
            return;
        };
        let sight = self.inventory.sight(Kind::Ticket);
        let gone: Vec<ObjectKey> = self
            .tickets
            .held
            .iter()
            .filter(|(key, held)| held.object.is_some() && !listed.contains(*key))
            // What cannot be decoded was mentioned: it is there.
            .filter(|(key, _)| !sight.is_blind_to(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.ticket_unmentioned(&key, now);
        }
    }

    /// The watch deleted a ticket, or its list has none. That may be older than an answer that
    /// overtook it, of a ticket that was made anew under the same name: then only a read tells.
    pub(in crate::engine) fn ticket_unmentioned(&mut self, key: &ObjectKey, now: Now) {
        let overtaken = self.leads()
            && self.tickets.held.get(key).is_some_and(|held| {
                held.answered
                    .is_some_and(|at| now.mono < at.plus(WATCH_LAG))
            });
        if overtaken && let Some(held) = self.tickets.held.get_mut(key) {
            held.unread = true;
            self.tickets.touch(key);
        } else {
            self.ticket_gone(key, now);
        }
    }

    /// Whether someone must still be told the end of a ticket whose object is gone.
    pub(in crate::engine) fn owes_end(&self, key: &ObjectKey) -> bool {
        self.tickets.held.get(key).is_some_and(|held| {
            held.last.is_some()
                && (self.is_unsure(key)
                    || held
                        .status
                        .alerts
                        .iter()
                        .any(|r| r.state == ToldState::Firing && self.knows_receiver(&r.uid)))
        })
    }
}
