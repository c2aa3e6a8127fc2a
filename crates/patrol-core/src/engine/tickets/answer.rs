//! Answers to ticket writes. Each either brings the stored state nearer to what it should
//! be, or makes the next try wait: no answer may cause a try at once for ever.

use patrol_api::ticket::Ticket;
use patrol_api::time::Span;

use super::super::Patrol;
use super::{TicketWrite, is_old_news, reconcile, same_identity};
use crate::clock::Now;
use crate::event::{Refusal, WriteResult, Written};
use crate::facts::ObjectKey;

impl Patrol {
    pub(in crate::engine) fn ticket_written(
        &mut self,
        key: &ObjectKey,
        write: TicketWrite,
        result: WriteResult,
        now: Now,
    ) {
        self.counters.write(write, &result);
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        held.writing = false;
        let refused = held.refused;
        match result {
            WriteResult::Done(done) => self.ticket_done(key, write, done, now),
            WriteResult::Exists(Some(ticket)) => self.ticket_exists(key, ticket, now),
            WriteResult::Exists(None) => held.unread = true,
            WriteResult::Conflict => {
                held.unread = true;
                // Two in a row are bad luck, more are a rival.
                held.failures = held.failures.saturating_add(1);
                if held.failures > 2 {
                    held.back_off(1, now);
                }
            }
            WriteResult::NotFound => {
                if held.object.is_none() {
                    held.back_off(5, now); // the kind itself is not there
                }
                self.tickets.bury(key, now);
                self.ticket_gone(key, now);
            }
            WriteResult::Refused(refusal) => {
                held.refused = Some(refusal).filter(|r| *r != Refusal::NotLeader);
                held.back_off(
                    match refusal {
                        Refusal::NotLeader => 1,
                        Refusal::NamespaceTerminating | Refusal::NamespaceNotFound => 30,
                        _ => 5,
                    },
                    now,
                );
            }
            WriteResult::Throttled(wait) => {
                let wait = wait.unwrap_or(Span::seconds(1)).min(Span::seconds(60));
                held.retry_at = Some(now.mono.plus(wait));
            }
            WriteResult::Failed => held.back_off(1, now),
        }
        let refused_now = self.tickets.held.get(key).and_then(|h| h.refused);
        self.evaluation.status_dirty |= refused != refused_now;
        if self.tickets.is_held(key) {
            self.tickets.touch(key);
        }
    }

    fn ticket_done(&mut self, key: &ObjectKey, write: TicketWrite, done: Written, now: Now) {
        if let Some(listed) = &mut self.tickets.listed {
            listed.insert(key.clone());
        }
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        if write == TicketWrite::Read {
            if let Written::Ticket(ticket) = done {
                self.tickets.unbury(&ticket);
                return self.ticket_seen(key.clone(), *ticket, now);
            }
            if held.unread {
                held.back_off(1, now); // there, and not to be read: perhaps undecodable
            }
            return;
        }
        held.failures = 0;
        held.retry_at = None;
        held.refused = None;
        if write == TicketWrite::Delete {
            let held = self.tickets.held.get(key);
            let owing = held.is_some_and(|held| held.leaves_owing);
            self.counters.alerts_dropped += u64::from(owing);
            return self.ticket_deleted(key, now);
        }
        let Written::Ticket(mut ticket) = done else {
            held.unread = true;
            return;
        };
        self.tickets
            .buried
            .remove(ticket.metadata.uid.as_deref().unwrap_or(""));
        // What was written is not what is stored: an older definition prunes fields, or
        // someone rewrites them.
        let sent = held.sent.take();
        let stored = ticket.status.take();
        let altered = sent.is_some_and(|sent| stored.as_ref() != Some(&*sent));
        let unlabelled = write == TicketWrite::Labels && !self.is_labelled_now(key, &ticket);
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        if altered || unlabelled {
            held.rival(now);
        }
        if !held
            .object
            .as_ref()
            .is_some_and(|o| is_old_news(o, &ticket))
        {
            held.object = Some(ticket);
            held.status.has_stored(stored);
        }
        held.last = None;
        held.answered = Some(now.mono);
        self.register(key, now);
        if write == TicketWrite::Create
            && let Some((_, status)) = self.tickets.view(key)
        {
            let status = status.clone();
            self.tell_transition(key, "Opened", &status);
        }
    }

    fn is_labelled_now(&self, key: &ObjectKey, ticket: &Ticket) -> bool {
        self.tickets
            .held
            .get(key)
            .is_some_and(|held| self.is_labelled(ticket, &held.status))
    }

    fn ticket_deleted(&mut self, key: &ObjectKey, now: Now) {
        self.tickets.bury(key, now);
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        if std::mem::take(&mut held.foreign) {
            // What was there was about something else; ours opens in its place.
            held.object = None;
            held.status = super::copy::Status::default();
            if let Some(unit) = self.evaluation.known.get(key).map(|k| k.unit.clone()) {
                self.mark(unit);
            }
        } else {
            self.drop_ticket(key);
            self.evaluation.forget(key);
        }
        self.plan_alerts(key, now);
    }

    /// The name was taken: adopt what is there if it is about the same thing.
    fn ticket_exists(&mut self, key: &ObjectKey, mut ticket: Box<Ticket>, now: Now) {
        // A list under way may be of before.
        if let Some(listed) = &mut self.tickets.listed {
            listed.insert(key.clone());
        }
        self.tickets.unbury(&ticket);
        let same = self
            .evaluation
            .known
            .get(key)
            .is_none_or(|k| same_identity(&k.finding, &ticket.spec.finding));
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        held.foreign = !same;
        let stored = ticket.status.take();
        if same {
            let merged = reconcile(&held.status, &ticket, stored.as_ref(), now.wall);
            held.status.become_this(merged);
        }
        held.status.has_stored(stored);
        held.object = Some(ticket);
        held.last = None;
        held.answered = Some(now.mono);
        self.register(key, now);
        // Its watch lags, and the process that led before opened it and may have told of it.
        if same && self.hears_last_words(now) {
            self.doubt_untold(key);
        }
    }
}
