//! Carries out effects, as unreliably as the run says: late, twice, not at all, or with
//! the answer lost. What a server refuses by rule is the world's; what fails by chance is
//! here.

use std::rc::Rc;

use patrol_api::receiver::Endpoint;
use patrol_api::time::Span;
use patrol_core::effect::Effect;
use patrol_core::event::{
    DeliveryClass, DeliveryId, Event, PartOutcome, Refusal, Term, WriteId, WriteResult, Written,
};
use patrol_core::facts::{Fact, ObjectKey};
use patrol_core::inventory::{Blindness, Instances};
use patrol_core::kind::Kind;
use patrol_core::notice::NoticeTicket;

use crate::book::{Taken, Write, Wrote};
use crate::invariants;
use crate::scenario::url;
use crate::sim::{Occur, Reply, Sim};
use crate::sink::{Mood, answer};
use crate::stream::seen;

impl Sim {
    /// An effect leaves the queue of its process.
    pub fn dispatch(&mut self, pid: usize, life: u32, term: Option<Term>, effect: &Rc<Effect>) {
        if self.processes.get(pid).is_none_or(|p| p.life != life) {
            return; // the process died, and its queue with it
        }
        if self.processes.get(pid).is_some_and(|p| p.paused) {
            let effect = Rc::clone(effect);
            let again = Occur::Dispatch {
                pid,
                life,
                term,
                effect,
            };
            self.plan(1_000, again);
            return;
        }
        if self.rng.chance(self.faults.lost) {
            self.book.count("effects lost");
            return;
        }
        match &**effect {
            Effect::Send {
                id, notice, target, ..
            } => {
                let ids =
                    |tickets: &[NoticeTicket]| tickets.iter().map(|t| t.event_id.clone()).collect();
                if !self.leads(pid, term) {
                    let outcome = PartOutcome {
                        event_ids: ids(&notice.tickets),
                        by_number: 0,
                        class: DeliveryClass::NotLeader,
                        at: self.wall(),
                    };
                    self.answer(pid, life, 5, Event::Delivered(*id, vec![outcome]));
                    return;
                }
                let size = usize::try_from(self.rng.between(1, 6)).unwrap_or(1);
                let size = match target.endpoint {
                    // An incident is told in one message.
                    Endpoint::Pagerduty(_) => usize::MAX,
                    _ => size,
                };
                let copies = if self.rng.chance(self.faults.twice) {
                    2
                } else {
                    1
                };
                for copy in 0..copies {
                    let after = self.rng.between(5, 200) + copy * 700;
                    self.plan(
                        after,
                        Occur::Part {
                            pid,
                            life,
                            term,
                            effect: Rc::clone(effect),
                            done: vec![],
                            size,
                            from: 0,
                            repeated: copy > 0,
                        },
                    );
                }
            }
            Effect::Review(kinds) => {
                let answers = kinds
                    .iter()
                    .map(|kind| {
                        let denied = self.world.denied.contains(kind);
                        let answer = if denied {
                            Err(Blindness::Denied("list".into()))
                        } else {
                            Ok(())
                        };
                        (*kind, answer)
                    })
                    .collect();
                let after = self.rng.between(5, 300);
                self.answer(pid, life, after, Event::Reviewed(answers));
            }
            Effect::Count(crds) => {
                for (crd, _) in crds.clone() {
                    self.answer(pid, life, 50, Event::Counted(crd, Instances::AtLeast(0)));
                }
            }
            Effect::Announce(_) | Effect::WakeAt(_) => {}
            _ => self.dispatch_write(pid, life, term, effect),
        }
    }

    /// Whether a process leads in the term in which it asked for something: then it goes out.
    fn leads(&self, pid: usize, term: Option<Term>) -> bool {
        self.holder == Some(pid) && term == Some(self.term)
    }

    fn dispatch_write(&mut self, pid: usize, life: u32, term: Option<Term>, effect: &Rc<Effect>) {
        let Some(id) = write_id(effect) else { return };
        if !self.leads(pid, term) {
            let refused = WriteResult::Refused(Refusal::NotLeader);
            self.answer(pid, life, 2, Event::Written(id, refused));
            return;
        }
        let f = self.faults;
        if let Some(result) = self.failure(effect) {
            let after = self.rng.between(2, 3_000);
            self.answer(pid, life, after, Event::Written(id, result));
            return;
        }
        let reply = if self.rng.chance(f.unanswered) {
            Reply::Lost
        } else if self.rng.chance(f.ambiguous) {
            Reply::Failed
        } else {
            Reply::True
        };
        let copies = if self.rng.chance(f.twice) { 2 } else { 1 };
        for copy in 0..copies {
            let after = self.rng.between(2, 60) + copy * 400;
            let effect = Rc::clone(effect);
            self.plan(
                after,
                Occur::Execute {
                    pid,
                    life,
                    effect,
                    reply,
                },
            );
        }
    }

    /// A write that fails before it reaches the store.
    fn failure(&mut self, effect: &Effect) -> Option<WriteResult> {
        let f = self.faults;
        let create = matches!(effect, Effect::CreateTicket { .. });
        if create && self.refuse_creates {
            return Some(WriteResult::Refused(Refusal::Forbidden));
        }
        if self.rng.chance(f.conflict) {
            return Some(WriteResult::Conflict);
        }
        if self.rng.chance(f.throttled) {
            let wait = self
                .rng
                .chance(500)
                .then(|| Span::seconds(self.rng.between(1, 20)));
            return Some(WriteResult::Throttled(wait));
        }
        if self.rng.chance(f.refused) {
            let why = [
                Refusal::QuotaExceeded,
                Refusal::AdmissionDenied,
                Refusal::Forbidden,
            ];
            return Some(WriteResult::Refused(
                self.rng.one_of(&why, Refusal::Forbidden),
            ));
        }
        self.rng.chance(f.failed).then_some(WriteResult::Failed)
    }

    /// A write arrives at the server.
    pub fn execute(&mut self, pid: usize, life: u32, effect: &Rc<Effect>, reply: Reply) {
        let Some(id) = write_id(effect) else { return };
        let before = self.world.version();
        let (what, key) = self.what(effect);
        let result = match &**effect {
            Effect::CreateTicket { ticket, .. } => self.world.create_ticket(ticket),
            Effect::WriteTicketStatus { at, status, .. } => {
                invariants::on_status(self, at, status);
                invariants::overlays::on_status(self, (pid, life), at, status);
                self.world.write_ticket_status(at, status)
            }
            Effect::WriteTicketLabels { at, labels, .. } => {
                self.world.write_ticket_labels(at, labels)
            }
            Effect::DeleteTicket { at, .. } => {
                invariants::on_delete(self, at);
                self.world.delete_ticket(at)
            }
            Effect::ReadTicket { key, .. } => self.read(key),
            Effect::WritePolicyStatus { at, status, .. } => {
                self.world.write_policy_status(at, status)
            }
            Effect::WritePolicyFinalizer { at, present, .. } => {
                self.world.write_policy_finalizer(at, *present)
            }
            Effect::WriteWaiverStatus { at, status, .. } => {
                self.world.write_waiver_status(at, status)
            }
            Effect::WriteReceiverStatus { at, status, .. } => {
                self.world.write_receiver_status(at, status)
            }
            _ => return,
        };
        let done = matches!(result, WriteResult::Done(_));
        if let Some(what) = what
            && done
        {
            let changed = self.world.version() != before;
            let at = self.now;
            self.book.writes.push(Write {
                at,
                what,
                key,
                changed,
            });
        }
        if done && let Effect::WriteTicketStatus { at, status, .. } = &**effect {
            self.book.stored(&at.key, status, self.now);
        }
        if done && let Effect::CreateTicket { ticket, .. } = &**effect {
            invariants::on_created(self, ticket);
        }
        let now = self.now;
        self.trace.say(now, || {
            format!(
                "   server: {} of p{pid}: {}",
                crate::trace::effect(effect),
                crate::trace::result(&result)
            )
        });
        if self.rng.chance(self.faults.crash) {
            self.mishap(crate::scenario::Mishap::Crash(pid, 5_000));
        }
        let result = match reply {
            Reply::Lost => return,
            Reply::Failed => WriteResult::Failed,
            // A create whose name is taken by an object that could not be read.
            Reply::True => match result {
                WriteResult::Exists(_) if self.rng.chance(300) => WriteResult::Exists(None),
                result => result,
            },
        };
        let after = self.rng.between(2, 60);
        self.answer(pid, life, after, Event::Written(id, result));
    }

    fn what(&self, effect: &Effect) -> (Option<Wrote>, ObjectKey) {
        match effect {
            Effect::CreateTicket { ticket, .. } => {
                let key = ObjectKey::new(
                    ticket.metadata.namespace.as_deref().unwrap_or(""),
                    ticket.metadata.name.as_deref().unwrap_or(""),
                );
                (Some(Wrote::Create), key)
            }
            Effect::WriteTicketStatus { at, status, .. } => {
                let ledger = invariants::is_ledger_only(&self.world, &at.key, status);
                let what = if ledger { Wrote::Ledger } else { Wrote::Status };
                (Some(what), at.key.clone())
            }
            Effect::WriteTicketLabels { at, .. } => (Some(Wrote::Labels), at.key.clone()),
            Effect::DeleteTicket { at, .. } => (Some(Wrote::Delete), at.key.clone()),
            Effect::WritePolicyStatus { at, .. } => (Some(Wrote::Policy), at.key.clone()),
            Effect::WritePolicyFinalizer { at, .. } => (Some(Wrote::Finalizer), at.key.clone()),
            Effect::WriteReceiverStatus { at, .. } => (Some(Wrote::Receiver), at.key.clone()),
            Effect::WriteWaiverStatus { at, .. } => (Some(Wrote::Waiver), at.key.clone()),
            _ => (None, ObjectKey::default()),
        }
    }

    /// A fresh read: the answer brings what there is.
    fn read(&self, key: &ObjectKey) -> WriteResult {
        match self
            .world
            .get(Kind::Ticket, key)
            .map(|v| seen(Kind::Ticket, v))
        {
            Some(Event::Seen(seen)) => match seen.fact {
                Fact::Ticket(ticket) => WriteResult::Done(Written::Ticket(ticket)),
                _ => WriteResult::Done(Written::Nothing),
            },
            Some(_) => WriteResult::Done(Written::Nothing),
            None => WriteResult::NotFound,
        }
    }

    fn answer(&mut self, pid: usize, life: u32, after: u64, event: Event) {
        let event = Box::new(event);
        self.plan(after, Occur::Answer { pid, life, event });
    }

    /// A part of a delivery arrives at its receiver.
    #[allow(clippy::too_many_arguments)]
    pub fn part(
        &mut self,
        pid: usize,
        life: u32,
        term: Option<Term>,
        effect: &Rc<Effect>,
        mut done: Vec<PartOutcome>,
        size: usize,
        from: usize,
        repeated: bool,
    ) {
        let Effect::Send {
            id,
            target,
            notice,
            room,
        } = &**effect
        else {
            return;
        };
        let to = from.saturating_add(size).min(notice.tickets.len());
        let tickets = notice.tickets.get(from..to).unwrap_or_default();
        let endpoint = address(&target.endpoint);
        let mood = crate::scenario::ENDPOINTS
            .iter()
            .find(|name| url(name) == endpoint)
            .and_then(|name| self.moods.get(*name))
            .copied()
            .unwrap_or(Mood::Well);
        let names: Vec<&str> = tickets.iter().map(|t| t.name.as_str()).collect();
        let mut said = answer(mood, &names, &mut self.rng);
        let mut lost = false;
        if said.taken && self.rng.chance(self.faults.ambiguous) {
            said.class = DeliveryClass::Transient;
        }
        if self.rng.chance(self.faults.unanswered) {
            lost = true;
        }
        let alive = self.processes.get(pid).is_some_and(|p| p.life == life);
        if said.taken {
            let begins = matches!(target.endpoint, Endpoint::Pagerduty(_))
                && !self.book.incidents.stands(target, notice);
            for ticket in tickets {
                self.take(pid, life, *id, target, ticket, (repeated, begins));
            }
            if let Endpoint::Pagerduty(_) = target.endpoint {
                let asked = self.book.sends.get(&(pid, life, *id)).copied();
                let asked = asked.unwrap_or(self.now);
                crate::invariants::incidents::on_message(self, target, notice, asked);
                self.book.incidents.take(target, notice, asked, self.now);
            }
        }
        let now = self.now;
        if said.class == DeliveryClass::Payload {
            for ticket in tickets {
                let place = ObjectKey::new(&ticket.namespace, &ticket.name);
                self.book.parked.insert((place, target.uid.clone()), now);
            }
        }
        self.trace.say(now, || {
            format!(
                "   {}: {:?} ({mood:?}) {} tickets of p{pid}",
                target.name,
                said.class,
                tickets.len()
            )
        });
        if !alive {
            return; // the rest of the parts died with the sender
        }
        if self.rng.chance(self.faults.crash * 3) {
            self.mishap(crate::scenario::Mishap::Crash(pid, 3_000));
            return;
        }
        done.push(PartOutcome {
            event_ids: tickets.iter().map(|t| t.event_id.clone()).collect(),
            by_number: 0,
            class: said.class,
            at: self.wall(),
        });
        if lost {
            return;
        }
        let goes_on = matches!(said.class, DeliveryClass::Accepted | DeliveryClass::Payload);
        // What is left over then is due still.
        if to < notice.tickets.len() && goes_on && (room.then.is_some() || done.len() < room.now) {
            if self.leads(pid, term) {
                self.plan(
                    said.after,
                    Occur::Part {
                        pid,
                        life,
                        term,
                        effect: Rc::clone(effect),
                        done,
                        size,
                        from: to,
                        repeated,
                    },
                );
                return;
            }
            done.push(PartOutcome {
                event_ids: notice
                    .tickets
                    .iter()
                    .skip(to)
                    .map(|t| t.event_id.clone())
                    .collect(),
                by_number: 0,
                class: DeliveryClass::NotLeader,
                at: self.wall(),
            });
        }
        self.answer(pid, life, said.after, Event::Delivered(*id, done));
    }

    fn take(
        &mut self,
        pid: usize,
        life: u32,
        delivery: DeliveryId,
        target: &patrol_core::effect::Target,
        ticket: &NoticeTicket,
        (repeated, begins): (bool, bool),
    ) {
        self.book.count("tellings taken");
        let taken = Taken {
            at: self.now,
            asked: self
                .book
                .sends
                .get(&(pid, life, delivery))
                .copied()
                .unwrap_or(self.now),
            pid,
            life,
            place: ObjectKey::new(&ticket.namespace, &ticket.name),
            ticket_uid: ticket.uid.clone(),
            receiver: target.uid.clone(),
            receiver_name: target.name.clone(),
            event_id: ticket.event_id.clone(),
            state: ticket.state,
            reason: ticket.reason,
            rank: (ticket.episode, ticket.seq, ticket.n),
            delivery,
            known: false,
            repeated,
            begins,
        };
        if self.world.get(Kind::Ticket, &taken.place).is_none() {
            self.book.unrecorded.insert(taken.place.clone());
        }
        invariants::alerts::on_taken(self, &taken);
        invariants::overlays::on_taken(self, &taken);
        self.book.taken.push(taken);
    }
}

fn write_id(effect: &Effect) -> Option<WriteId> {
    match effect {
        Effect::CreateTicket { id, .. }
        | Effect::WriteTicketStatus { id, .. }
        | Effect::WriteTicketLabels { id, .. }
        | Effect::DeleteTicket { id, .. }
        | Effect::ReadTicket { id, .. }
        | Effect::WritePolicyStatus { id, .. }
        | Effect::WritePolicyFinalizer { id, .. }
        | Effect::WriteReceiverStatus { id, .. }
        | Effect::WriteWaiverStatus { id, .. } => Some(*id),
        Effect::Send { .. }
        | Effect::Review(_)
        | Effect::Count(_)
        | Effect::Announce(_)
        | Effect::WakeAt(_) => None,
    }
}

/// Where a receiver of the simulated world is.
fn address(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Webhook(webhook) => webhook.url.clone().unwrap_or_default(),
        Endpoint::Pagerduty(pager) => url(&pager.routing_key_secret_ref.name),
        other => other.kind().as_str().to_owned(),
    }
}
