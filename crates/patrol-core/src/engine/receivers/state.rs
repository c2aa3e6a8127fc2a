//! One receiver: what is under way to it, and what is known of it.

use std::collections::BTreeMap;

use patrol_api::receiver::{AlertReceiver, AlertReceiverStatus, Failover, GroupRecord, ToldCount};
use patrol_api::time::{Span, Time};
use patrol_api::words::{QuietNotice, Severity};

use super::super::alerts::Flight;
use super::allowance::Allowance;
use super::health::Health;
use super::refused::Refused;
use super::report::Back;
use super::standby;
use super::turns::Turns;
use crate::clock::{Mono, Now};
use crate::effect::{Room, Target};
use crate::event::{DeliveryClass, DeliveryId};
use crate::notice::Gone;

/// A digest that goes in many messages takes no longer than this, or its answer is waited for no more.
const LONGEST_DIGEST: Span = Span::hours(1);

#[derive(Debug)]
pub(in crate::engine) struct ReceiverState {
    pub target: Target,
    pub send_resolved: bool,
    /// What people do to a ticket that it is told of as well.
    pub quiet: Vec<QuietNotice>,
    pub coverage: bool,
    pub object: Option<Box<AlertReceiver>>,
    pub flights: BTreeMap<DeliveryId, Flight>,
    pub health: Health,
    pub allowance: Allowance,
    pub turns: Turns,
    /// When a sign of life was last sent.
    pub beaten: Option<Mono>,
    /// Whether another stands in for it.
    pub(super) failed_over: bool,
    /// When another last began or ended to stand in for it.
    pub(super) failover_at: Option<Time>,
    pub(super) failover_since: Mono,
    /// Whether that another stands in is written down.
    pub(super) failover_written: bool,
    /// Tellings the receiver refused for their content.
    pub refused: Refused,
    pub pending: usize,
    pub pending_by: BTreeMap<Severity, u64>,
    pub oldest_pending: Option<Time>,
    /// The groups it holds an alarm for, by key.
    pub groups: BTreeMap<String, GroupRecord>,
    /// Of those, the ones whose next incident is about to begin, and since when that is to be written down.
    pub begun: BTreeMap<String, Time>,
    /// Those of them of which it is about to be told that people took all tickets, and since when that is to be written down.
    pub acknowledging: BTreeMap<String, Time>,
    /// How many tickets it was told of, by policy, where it holds no alarms.
    pub told: BTreeMap<String, ToldCount>,
    /// Whether that was compared with what is there since this process leads.
    pub is_told_compared: bool,
    /// Of those, the ones that are gone and whose end is owed.
    pub gone: BTreeMap<String, Gone>,
    /// There were too many of them: the namespace is left out of their keys.
    pub is_coarse: bool,
    /// There are too many receivers, and this one is not served.
    pub(super) is_beyond: bool,
    pub(super) status: AlertReceiverStatus,
    pub(super) written: Back,
    /// Whether the list that is being read has named it.
    pub(super) listed: bool,
}

impl ReceiverState {
    pub(super) fn new(target: Target) -> Self {
        Self {
            allowance: Allowance::of(target.endpoint.kind()),
            target,
            send_resolved: true,
            quiet: vec![],
            coverage: false,
            object: None,
            flights: BTreeMap::new(),
            health: Health::default(),
            turns: Turns::default(),
            beaten: None,
            failed_over: false,
            failover_at: None,
            failover_since: Mono::default(),
            failover_written: false,
            refused: Refused::default(),
            pending: 0,
            pending_by: BTreeMap::new(),
            oldest_pending: None,
            groups: BTreeMap::new(),
            begun: BTreeMap::new(),
            acknowledging: BTreeMap::new(),
            told: BTreeMap::new(),
            is_told_compared: false,
            gone: BTreeMap::new(),
            is_coarse: false,
            is_beyond: false,
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

    /// What the server has is the truth.
    pub(super) fn adopt(&mut self, object: &AlertReceiver, now: Now) {
        self.status = object.status.clone().unwrap_or_default();
        self.health.last_success = self.status.last_success_time;
        self.health.failing_since = standby::failing_since(&self.status);
        self.health.known_since = self.health.failing_since.map(|_| now.mono);
        self.failover_at = self.status.last_failover_time;
        let groups = self.status.groups.iter();
        self.groups = groups.map(|g| (g.key.clone(), g.clone())).collect();
        self.begun.clear();
        self.acknowledging.clear();
        let told = self.status.told.iter();
        self.told = told.map(|t| (t.policy.clone(), t.clone())).collect();
        self.is_told_compared = false;
        self.gone.clear();
        self.is_coarse = crate::engine::status::is_coarse(&self.status);
    }

    /// The watch brings late what the process that led before wrote down: what the receiver holds, and that another stood in.
    /// Whether it holds something that was not known.
    pub(super) fn hear_last_words(&mut self, object: &AlertReceiver) -> bool {
        let Some(status) = &object.status else {
            return false;
        };
        let mut news = false;
        self.failover_at = self.failover_at.max(status.last_failover_time);
        for theirs in &status.groups {
            let since = |group: &GroupRecord| (group.incident, group.at);
            let own = self.groups.get(&theirs.key);
            if own.is_none_or(|own| since(own) < since(theirs)) {
                self.groups.insert(theirs.key.clone(), theirs.clone());
                news = true;
            }
        }
        news
    }

    pub fn is_idle(&self) -> bool {
        self.flying().next().is_none()
    }

    /// Whether another delivery may begin, and if not, when to ask again. After a third failure in a row one
    /// at a time goes as a probe, ever more rarely, and all others wait for what it brings;
    /// which one goes first is the lane's to say. One failure or two are no outage: while an answer that never comes is waited
    /// for, others may go.
    pub fn availability(&mut self, now: Now) -> Result<(), Option<Span>> {
        if self.is_beyond {
            return Err(None);
        }
        if let Some(at) = self.health.not_before
            && now.mono < at
        {
            return Err(Some(Span::millis(at.since(now.mono))));
        }
        let most = match self.health.is_outage() {
            false => self.allowance.in_flight(),
            true => 1,
        };
        if self.flying().count() >= most {
            return Err(None);
        }
        self.allowance.has_room(now.mono).map_err(Some)
    }

    /// Deliveries whose answer is awaited.
    pub fn flying(&self) -> impl Iterator<Item = &Flight> {
        self.flights.values().filter(|f| !f.lost)
    }

    /// A delivery begins. Returns how many messages it may be.
    pub fn begin(&mut self, id: DeliveryId, mut flight: Flight) -> Room {
        let (tickets, probe) = (flight.tickets(), self.health.is_outage());
        let (room, messages) = self.allowance.begin(tickets, flight.digest, probe);
        let waiting = messages.saturating_sub(room.now);
        let waits = room.then.unwrap_or(Span::ZERO);
        let waits = waits.times(u64::try_from(waiting).unwrap_or(u64::MAX));
        flight.pay(messages, waits.min(LONGEST_DIGEST));
        self.flights.insert(id, flight);
        room
    }

    /// Takes in the class of an answer.
    pub fn learn(&mut self, class: DeliveryClass, at: Time, now: Mono) {
        let class = match class {
            DeliveryClass::Throttled(asked) => {
                DeliveryClass::Throttled(Some(self.allowance.too_many(asked, now)))
            }
            DeliveryClass::Transient | DeliveryClass::Unreached(_) => {
                self.allowance.was_shaken();
                class
            }
            DeliveryClass::Accepted => {
                self.allowance.held_steady();
                class
            }
            class => class,
        };
        self.health.learn(class, &self.target.uid, at, now);
    }

    /// The spec or the address changed: what was learned of it no longer counts.
    pub(super) fn renew(&mut self) {
        self.health.renew();
        self.allowance.renew();
        self.refused.clear();
    }
}
