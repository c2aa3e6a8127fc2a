//! Receivers: who they are, whether they answer, and when they may be tried again. One
//! receiver's trouble is in its own state alone, so it delays no other.

mod manner;
mod report;
mod standby;

use std::collections::BTreeMap;

use patrol_api::receiver::{AlertReceiver, AlertReceiverStatus, Failover, GroupRecord};
use patrol_api::time::{Span, Time};
use patrol_api::words::Severity;

use super::Patrol;
use super::alerts::Flight;
use crate::clock::{Mono, Now};
use crate::effect::Target;
pub(super) use crate::effect::{own_webhook_name, own_webhook_uid};
use crate::event::{DeliveryClass, DeliveryId};
use crate::facts::ObjectKey;
use crate::fingerprint;
use crate::sym::Sym;

use manner::Manner;
use report::Back;

/// Failures in a row after which the circuit counts as open: people are told so. What is
/// sent is held down to one probe from the first failure on.
const CIRCUIT: u32 = 5;
/// Between two tries lies at most so much time, unless the receiver asks for more.
pub(super) const LONGEST_WAIT: Span = Span::minutes(10);
/// What fails by itself mends by itself: the wait is at most one in so many parts of the outage so far, so that nobody waits for news
/// much longer than that (docs/adr/0006).
const OF_OUTAGE: u64 = 2;
/// Tickets in one delivery at most; the renderer cuts it into parts.
const BATCH: usize = 1000;
/// Tickets in one digest at most: some ten megabytes while it is put together.
const DIGEST: usize = 10_000;
/// Whoever refused messages for their number gets half as many for so long after its pause.
const SLOW: Span = Span::minutes(10);
/// A message in tokens: milliseconds of a minute, so that a millisecond gains `perMinute`.
const MESSAGE: i64 = 60_000;

#[derive(Debug)]
pub(super) struct ReceiverState {
    pub target: Target,
    pub send_resolved: bool,
    pub coverage: bool,
    pub object: Option<Box<AlertReceiver>>,
    pub flights: BTreeMap<DeliveryId, Flight>,
    pub failures: u32,
    /// Parts refused for their content since one was accepted.
    refusals: u32,
    pub not_before: Option<Mono>,
    /// The same, by the clock of people.
    pub not_before_wall: Option<Time>,
    /// Until when it gets half as many messages, because it refused some for their number.
    slow_until: Option<Mono>,
    /// When the circuit opened.
    pub opened: Option<Time>,
    /// The last outcome, when it was no success.
    pub trouble: Option<DeliveryClass>,
    pub last_success: Option<Time>,
    /// When a sign of life was last sent.
    pub beaten: Option<Mono>,
    /// Since when it is not ready.
    failing_since: Option<Time>,
    /// When the first of its failures in a row came.
    first_failure: Option<Mono>,
    /// Whether another stands in for it.
    failed_over: bool,
    /// When another last began or ended to stand in for it.
    failover_at: Option<Time>,
    failover_since: Mono,
    /// Whether that another stands in is written down.
    failover_written: bool,
    pub batch: usize,
    /// Tellings the receiver refused for their content, until when.
    pub parked: BTreeMap<String, Mono>,
    manner: Manner,
    /// Messages that may go now, in `MESSAGE` parts: finer than a millisecond's gain at the
    /// lowest rate, so that nothing is lost to rounding. Below zero: a delivery went in more
    /// messages than there was room for, and the next one waits until that is made up for.
    tokens: i64,
    refilled: Mono,
    /// Tickets in one message, when the last delivery that went through was more than one.
    per_message: Option<usize>,
    pub pending: usize,
    pub pending_by: BTreeMap<Severity, u64>,
    pub oldest_pending: Option<Time>,
    /// Pauses it asked for, in seconds.
    pub throttled: u64,
    /// The groups it holds an alarm for, by key.
    pub groups: BTreeMap<String, GroupRecord>,
    /// There were too many of them: the namespace is left out of their keys.
    pub is_coarse: bool,
    status: AlertReceiverStatus,
    written: Back,
    listed: bool,
}

/// Whether `new` is an older or equal state of the same object.
fn is_older(held: &AlertReceiver, new: &AlertReceiver) -> bool {
    let version = |r: &AlertReceiver| {
        let version = r.metadata.resource_version.as_deref()?;
        version.parse::<u128>().ok()
    };
    held.metadata.uid == new.metadata.uid
        && matches!((version(held), version(new)), (Some(a), Some(b)) if b <= a)
}

impl ReceiverState {
    fn new(target: Target) -> Self {
        let manner = Manner::of(target.endpoint.kind(), None);
        Self {
            target,
            send_resolved: true,
            coverage: false,
            object: None,
            flights: BTreeMap::new(),
            failures: 0,
            refusals: 0,
            not_before: None,
            not_before_wall: None,
            slow_until: None,
            opened: None,
            trouble: None,
            last_success: None,
            beaten: None,
            failing_since: None,
            first_failure: None,
            failed_over: false,
            failover_at: None,
            failover_since: Mono::default(),
            failover_written: false,
            batch: BATCH,
            parked: BTreeMap::new(),
            tokens: i64::from(manner.burst) * MESSAGE,
            manner,
            refilled: Mono::default(),
            per_message: None,
            pending: 0,
            pending_by: BTreeMap::new(),
            oldest_pending: None,
            throttled: 0,
            groups: BTreeMap::new(),
            is_coarse: false,
            status: AlertReceiverStatus::default(),
            written: Back::default(),
            listed: true,
        }
    }

    /// When the receiver was made, where that is known.
    pub fn made(&self) -> Option<Time> {
        let object = self.object.as_ref()?;
        let at = object.metadata.creation_timestamp.as_ref()?;
        Some(patrol_api::condition::from_meta_time(at))
    }

    /// Who stands in for it now.
    pub fn fails_over_to(&self) -> Option<&Failover> {
        let failover = self.object.as_ref()?.spec.failover.as_ref()?;
        (self.failed_over && self.failover_written).then_some(failover)
    }

    /// Who may have stood in for it at this time or since, by any process.
    pub fn failed_over_since(&self, at: Time) -> Option<&Failover> {
        let failover = self.object.as_ref()?.spec.failover.as_ref()?;
        (self.failed_over || self.failover_at.is_some_and(|last| last >= at)).then_some(failover)
    }

    /// When another last began or ended to stand in for it.
    pub const fn failover_at(&self) -> Option<Time> {
        self.failover_at
    }

    /// Whether the process that led before said that it is not ready, and nothing was sent since: that stays so until it
    /// accepts something, or the next process would not know who stands in for it.
    pub fn is_yet_to_be_asked(&self) -> bool {
        self.failing_since.is_some() && self.trouble.is_none()
    }

    /// What the server has is the truth.
    fn adopt(&mut self, object: &AlertReceiver) {
        self.status = object.status.clone().unwrap_or_default();
        self.last_success = self.status.last_success_time;
        self.failing_since = standby::failing_since(&self.status);
        self.failover_at = self.status.last_failover_time;
        let groups = self.status.groups.iter();
        self.groups = groups.map(|g| (g.key.clone(), g.clone())).collect();
        self.is_coarse = super::status::is_coarse(&self.status);
    }

    /// Whether a single run need not wait for it: what is wrong takes a person, or it was
    /// tried often enough, or it asked for a pause of more than a minute.
    pub fn is_given_up(&self, now: Now) -> bool {
        let pause = self
            .not_before
            .map_or(Span::ZERO, |at| Span::millis(at.since(now.mono)));
        match self.trouble {
            None => false,
            Some(
                DeliveryClass::Config(_) | DeliveryClass::Blocked | DeliveryClass::SecretMissing,
            ) => true,
            Some(_) => self.failures >= super::once::TRIES || pause > Span::minutes(1),
        }
    }

    /// Messages a minute it takes.
    pub fn per_minute(&self) -> u64 {
        self.manner.per_minute()
    }

    /// Tickets in one delivery: in a digest all that memory allows, unless it refused content before; and no more than go in
    /// as many messages as it takes at once.
    pub fn most_tickets(&self, digest: bool) -> usize {
        let most = match digest && self.batch == BATCH {
            true => DIGEST,
            false => self.batch,
        };
        let at_once = usize::try_from(self.manner.burst).unwrap_or(1);
        let room = self
            .per_message
            .map(|tickets| tickets.saturating_mul(at_once));
        room.map_or(most, |room| most.min(room)).max(1)
    }

    /// Whether so many tickets are as many as one delivery takes, and none of them is sought that it refuses.
    pub fn is_backlog(&self, tickets: usize, digest: bool) -> bool {
        self.batch == BATCH && tickets >= self.most_tickets(digest)
    }

    pub fn is_idle(&self) -> bool {
        self.flying().next().is_none()
    }

    /// Whether its failures in a row opened the circuit.
    pub fn is_circuit_open(&self) -> bool {
        self.failures >= CIRCUIT
    }

    /// Whether another delivery may begin, and if not, when to ask again. After a second failure in a row one
    /// at a time goes as a probe, ever more rarely, and all others wait for what it brings;
    /// which one goes first is the lane's to say. One failure is no outage: while an answer that never comes is waited
    /// for, others may go.
    pub fn availability(&mut self, now: Now) -> Result<(), Option<Span>> {
        if let Some(at) = self.not_before
            && now.mono < at
        {
            return Err(Some(Span::millis(at.since(now.mono))));
        }
        let most = if self.failures <= 1 {
            self.manner.in_flight
        } else {
            1
        };
        if self.flying().count() >= most {
            return Err(None);
        }
        self.refill(now.mono);
        if self.tokens < MESSAGE {
            let wait = self.tokens.abs_diff(MESSAGE) / self.manner_at(now.mono).per_minute();
            return Err(Some(Span::millis(wait + 1)));
        }
        Ok(())
    }

    /// Deliveries whose answer is awaited.
    pub fn flying(&self) -> impl Iterator<Item = &Flight> {
        self.flights.values().filter(|f| !f.lost)
    }

    /// A message that used up the batch was accepted: the limit it was cut for may be gone,
    /// or have been one ticket's fault.
    pub fn batch_accepted(&mut self, tickets: usize) {
        if tickets >= self.batch {
            self.batch = (self.batch + self.batch / 4 + 1).min(BATCH);
        }
    }

    fn refill(&mut self, now: Mono) {
        let elapsed = now.since(self.refilled);
        self.refilled = now;
        let manner = self.manner_at(now);
        let gained = elapsed.saturating_mul(manner.per_minute());
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        self.tokens = self
            .tokens
            .saturating_add(gained)
            .min(i64::from(manner.burst) * MESSAGE);
    }

    /// What it takes now.
    fn manner_at(&self, now: Mono) -> Manner {
        match self.slow_until {
            Some(until) if now < until => self.manner.halved(),
            _ => self.manner,
        }
    }

    /// A delivery begins, and is paid for as the last one like it went.
    pub fn begin(&mut self, id: DeliveryId, mut flight: Flight) {
        let tickets = flight.tickets();
        flight.paid = self
            .per_message
            .map_or(1, |each| tickets.div_ceil(each))
            .max(1);
        self.pay(flight.paid);
        self.flights.insert(id, flight);
    }

    /// A delivery went in so many messages, more or fewer than were paid for.
    pub fn went_in(&mut self, messages: usize, flight: &Flight, whole: bool) {
        match messages {
            0 => {}
            1 if self
                .per_message
                .is_some_and(|known| flight.tickets() > known) =>
            {
                self.per_message = None;
            }
            1 => {}
            _ if whole => self.per_message = Some((flight.tickets() / messages).max(1)),
            _ => {}
        }
        match messages.checked_sub(flight.paid) {
            Some(more) => self.pay(more),
            // Even a delivery that went nowhere was one.
            None => {
                let fewer = flight.paid - messages.max(1);
                self.tokens = self.tokens.saturating_add(price(fewer));
            }
        }
    }

    fn pay(&mut self, messages: usize) {
        self.tokens = self.tokens.saturating_sub(price(messages));
    }

    /// Takes in the class of an answer.
    pub fn learn(&mut self, class: DeliveryClass, at: Time, now: Mono) {
        match class {
            DeliveryClass::Accepted => {
                self.failures = 0;
                self.refusals = 0;
                self.not_before = None;
                self.not_before_wall = None;
                self.opened = None;
                self.trouble = None;
                self.failing_since = None;
                self.first_failure = None;
                self.last_success = self.last_success.max(Some(at));
            }
            DeliveryClass::Throttled(wait) => {
                let again = self.slow_until.is_some_and(|until| now < until);
                let wait = wait.unwrap_or(self.manner.pause(again));
                let wait = wait.max(Span::seconds(1)).min(Span::hours(1));
                self.slow_until = Some(now.plus(wait).plus(SLOW));
                self.trouble = Some(class);
                self.throttled = self.throttled.saturating_add(wait.as_secs());
                self.not_before = Some(now.plus(wait));
                self.not_before_wall = Some(at.plus(wait));
            }
            DeliveryClass::Transient => {
                let outage = now.since(self.first_failure.unwrap_or(now)) / 1000;
                let most = (outage / OF_OUTAGE).clamp(4, LONGEST_WAIT.as_secs());
                self.fail(class, (2, most), at, now);
            }
            // The one who can mend it is a person: ask again soon, then ever more rarely.
            DeliveryClass::Config(_) | DeliveryClass::Blocked => {
                self.fail(class, (30, LONGEST_WAIT.as_secs()), at, now);
            }
            DeliveryClass::SecretMissing => self.fail(class, (5, 60), at, now),
            DeliveryClass::Payload => {
                self.trouble = Some(class);
                self.refusals = self.refusals.saturating_add(1);
                // One ticket at fault is found within a dozen tries; a receiver that takes
                // nothing at all is set up wrongly and is asked ever more rarely.
                if self.refusals > 16 {
                    self.fail(class, (2, LONGEST_WAIT.as_secs()), at, now);
                }
            }
            DeliveryClass::NotLeader => self.not_before = Some(now.plus(Span::seconds(1))),
        }
    }

    fn fail(&mut self, class: DeliveryClass, (base, most): (u64, u64), at: Time, now: Mono) {
        self.trouble = Some(class);
        self.failing_since = self.failing_since.or(Some(at));
        self.first_failure = self.first_failure.or(Some(now));
        self.failures = self.failures.saturating_add(1);
        if self.is_circuit_open() {
            self.opened = self.opened.or(Some(at));
        }
        let ceiling = (base.saturating_mul(1 << self.failures.min(16).saturating_sub(1))).min(most);
        // Full jitter, from a hash: many receivers of one fate part ways.
        let seed = fingerprint::hash64(&[
            self.target.uid.as_bytes(),
            &self.failures.to_be_bytes(),
            &now.0.to_be_bytes(),
        ]);
        let wait = Span::millis(500 + seed % (ceiling.saturating_mul(1000)).max(1));
        self.not_before = Some(now.plus(wait));
        self.not_before_wall = Some(at.plus(wait));
    }

    /// Whether a telling was refused for its content, and is not yet tried again.
    pub fn is_parked(&self, event_id: &str, now: Now) -> bool {
        self.parked
            .get(event_id)
            .is_some_and(|until| now.mono < *until)
    }

    /// The spec or the address changed: what was learned of it no longer counts.
    fn renew(&mut self) {
        self.failures = 0;
        self.first_failure = None;
        self.refusals = 0;
        self.not_before = None;
        self.not_before_wall = None;
        self.slow_until = None;
        self.opened = None;
        self.parked.clear();
        self.batch = BATCH;
    }
}

fn price(messages: usize) -> i64 {
    i64::try_from(messages)
        .unwrap_or(i64::MAX)
        .saturating_mul(MESSAGE)
}

impl Patrol {
    pub(super) fn receiver_seen(&mut self, receiver: AlertReceiver, now: Now) {
        let name = receiver.metadata.name.clone().unwrap_or_default();
        let Some(target) = Target::of_receiver(&receiver) else {
            self.receiver_gone(&name);
            return;
        };
        let state = self
            .receivers
            .entry(name.clone())
            .or_insert_with(|| ReceiverState::new(target.clone()));
        state.listed = true;
        if state
            .object
            .as_ref()
            .is_some_and(|o| is_older(o, &receiver))
        {
            return;
        }
        let routed_alike = state
            .object
            .as_ref()
            .is_some_and(|o| o.spec == receiver.spec);
        if state.target != target {
            let fresh = state.target.uid != target.uid;
            state.target = target;
            state.renew();
            if fresh {
                state.flights.clear();
                state.status = AlertReceiverStatus::default();
                state.groups.clear();
                state.is_coarse = false;
            }
        }
        state.send_resolved = receiver.spec.send_resolved;
        state.coverage = receiver.spec.coverage;
        state.manner = Manner::of(state.target.endpoint.kind(), receiver.spec.rate);
        if state.object.is_none() || !self.leading {
            state.adopt(&receiver);
        }
        state.object = Some(Box::new(receiver));
        if !routed_alike {
            self.agenda.poke(&name, now.wall);
            self.routes_changed();
            self.evaluation.status_dirty = true;
        }
    }

    pub(super) fn receiver_gone(&mut self, name: &str) {
        if self.receivers.remove(name).is_some() {
            self.prune_counters();
            self.routes_changed();
            self.evaluation.status_dirty = true;
        }
    }

    /// A policy's own webhook appears, changes or goes with the policy.
    pub(super) fn policy_receiver_changed(&mut self, policy: &Sym) {
        let name = own_webhook_name(policy);
        let Some(state) = self.policies.get(policy) else {
            self.receivers.remove(&name);
            return;
        };
        let Some(target) = Target::of_policy(&state.object) else {
            // It may come back, and is then owed the ends of what it may have been told.
            self.doubt_flights(&name);
            self.receivers.remove(&name);
            return;
        };
        let receiver = self
            .receivers
            .entry(name)
            .or_insert_with(|| ReceiverState::new(target.clone()));
        if receiver.target != target {
            if receiver.target.uid != target.uid {
                receiver.flights.clear();
            }
            receiver.target = target;
            receiver.renew();
        }
    }

    /// The kind is not installed: there is no receiver but the policies' own webhooks.
    pub(super) fn receivers_uninstalled(&mut self) {
        let named: Vec<String> = self
            .receivers
            .iter()
            .filter(|(_, state)| state.object.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in named {
            self.receiver_gone(&name);
        }
    }

    /// Leading begins: what others wrote is the truth, and nothing is under way.
    pub(super) fn adopt_receivers(&mut self) {
        for state in self.receivers.values_mut() {
            state.flights.clear();
            state.not_before = None;
            state.not_before_wall = None;
            state.written = Back::default();
            if let Some(object) = state.object.take() {
                state.adopt(&object);
                state.object = Some(object);
            }
        }
    }

    pub(super) fn receivers_listing(&mut self) {
        for state in self.receivers.values_mut() {
            state.listed = state.object.is_none();
        }
    }

    pub(super) fn receivers_listed(&mut self) {
        let gone: Vec<String> = self
            .receivers
            .iter()
            .filter(|(name, state)| {
                !state.listed
                    && !self
                        .inventory
                        .sight(crate::kind::Kind::AlertReceiver)
                        .is_blind_to(&ObjectKey::new("", name))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.receiver_gone(&name);
        }
    }

    /// Whether a receiver was made anew under its old name: a ticket holds one record a
    /// name, and the one that is there keeps it.
    pub(super) fn is_replaced(&self, receiver: &str, uid: &str) -> bool {
        let state = self.receivers.get(receiver);
        state.is_some_and(|state| state.target.uid != uid)
    }

    pub(super) fn knows_receiver(&self, uid: &str) -> bool {
        self.receivers.values().any(|r| r.target.uid == uid)
    }

    pub(super) fn receiver_status_of(state: &ReceiverState) -> &AlertReceiverStatus {
        &state.status
    }
}
