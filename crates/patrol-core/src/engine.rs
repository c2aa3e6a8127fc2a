//! The engine: one synchronous step from an event to effects.
//!
//! Events other than `Tick` only change what is known; judging, writing and sending happen
//! on `Tick`, within a budget. The engine holds no promise in memory: whatever it forgets
//! by dying, it computes again from tickets and policies.

mod alerts;
mod evaluate;
mod observe;
mod overflow;
mod patrols;
mod policies;
mod receivers;
mod snapshot;
mod status;
mod tickets;

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::time::{Span, Time};

use crate::check::{Origin, OwnState, Unit};
use crate::clock::{Mono, Now};
use crate::effect::{About, Announcement, Effect};
use crate::event::{DeliveryId, Event, WriteId, WriteResult};
use crate::facts::ObjectKey;
use crate::inspect::Inspector;
use crate::inventory::Inventory;
use crate::kind::Kind;
use crate::notice::Cluster;
use crate::rule::{Catalogue, Rulebook};
use crate::sym::Sym;

pub use snapshot::{ReceiverSnapshot, Snapshot};

/// How the engine is set up. Nothing here changes while it runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Checks and baselines.
    pub catalogue: Catalogue,
    /// The operator's namespace.
    pub namespace: String,
    /// Where objects come from.
    pub origin: Origin,
    /// The cluster, as notices name it.
    pub cluster: Cluster,
    /// Units judged in one tick at most, so that a step stays short.
    pub units_per_tick: usize,
    /// Ticket writes under way at most; the rest waits as keys, not as objects.
    pub writes_in_flight: usize,
    /// After this time without an answer an effect counts as lost.
    pub lost_after: Span,
    /// A new ticket's status follows within this time, earlier with a first delivery record.
    pub status_within: Span,
}

impl Config {
    /// The defaults for a cluster.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self {
            catalogue,
            namespace: patrol_api::names::DEFAULT_NAMESPACE.to_owned(),
            origin: Origin::Cluster,
            cluster: Cluster::default(),
            units_per_tick: 20_000,
            writes_in_flight: 32,
            lost_after: Span::seconds(60),
            status_within: Span::seconds(5),
        }
    }
}

/// The engine.
#[derive(Debug)]
pub struct Patrol {
    config: Config,
    inventory: Inventory,
    rulebook: Rulebook,
    own: OwnState,
    policies: BTreeMap<Sym, policies::PolicyState>,
    receivers: BTreeMap<String, receivers::ReceiverState>,
    tickets: tickets::Tickets,
    evaluation: evaluate::Evaluation,
    overflow: overflow::Overflow,
    agenda: alerts::Agenda,
    writes: BTreeMap<WriteId, PendingWrite>,
    next_id: u64,
    leading: bool,
    wake: Wake,
    counters: snapshot::Counters,
    outbox: Vec<Effect>,
}

/// A write that was not answered yet.
#[derive(Clone, Debug)]
struct PendingWrite {
    what: WriteTarget,
    since: Mono,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum WriteTarget {
    Ticket(ObjectKey, tickets::TicketWrite),
    PolicyStatus(Sym),
    PolicyFinalizer(Sym),
    ReceiverStatus(String),
}

/// When the engine wants to be woken.
#[derive(Clone, Copy, Debug, Default)]
struct Wake {
    wall: Option<Time>,
    soon: bool,
}

impl Patrol {
    /// A new engine that has seen nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            inventory: Inventory::new(),
            rulebook: Rulebook::default(),
            own: OwnState::default(),
            policies: BTreeMap::new(),
            receivers: BTreeMap::new(),
            tickets: tickets::Tickets::default(),
            evaluation: evaluate::Evaluation::default(),
            overflow: overflow::Overflow::default(),
            agenda: alerts::Agenda::default(),
            writes: BTreeMap::new(),
            next_id: 0,
            leading: false,
            wake: Wake::default(),
            counters: snapshot::Counters::default(),
            outbox: vec![],
        }
    }

    /// One step. `now.mono` never goes back between steps; `now.wall` may.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        match event {
            Event::Tick => self.tick(now),
            Event::Written(id, result) => self.written(id, result, now),
            Event::Delivered(id, parts) => self.delivered(id, parts, now),
            Event::Leading(leading) => self.lead(leading),
            Event::Reviewed(answers) => self.reviewed(&answers, now),
            other => self.observe(other, now),
        }
        std::mem::take(&mut self.outbox)
    }

    /// The facts, read only.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The compiled policies, read only.
    #[must_use]
    pub fn rulebook(&self) -> &Rulebook {
        &self.rulebook
    }

    fn tick(&mut self, now: Now) {
        self.wake = Wake::default();
        self.expire_writes(now);
        self.expire_deliveries(now);
        self.refresh_policies(now);
        self.begin_patrols(now);
        self.evaluate(now);
        self.finish_patrols(now);
        if self.can_act() {
            self.settle_overflow(now);
            self.settle_tickets(now);
            self.send_due(now);
            self.settle_policies(now);
            self.settle_receivers(now);
        }
        self.plan_wake(now);
    }

    /// Whether writing and sending is allowed and safe: this process leads, and it knows
    /// all policies, receivers and tickets there are.
    fn can_act(&self) -> bool {
        self.leading
            && [Kind::PatrolPolicy, Kind::AlertReceiver, Kind::Ticket]
                .into_iter()
                .all(|kind| self.knows_all(kind))
    }

    /// Whether everything of a kind of ours is known. A missing CRD is no knowledge.
    fn knows_all(&self, kind: Kind) -> bool {
        let sight = self.inventory.sight(kind);
        sight.blindness().is_none() && !sight.is_absent()
    }

    fn lead(&mut self, leading: bool) {
        if leading && !self.leading {
            // What others wrote while we stood by is the truth; nothing of ours is pending.
            self.writes.clear();
            self.tickets.adopt_all();
            self.forget_deliveries();
        }
        self.leading = leading;
    }

    fn inspector(&self, now: Time) -> Inspector<'_> {
        Inspector {
            catalogue: &self.config.catalogue,
            inventory: &self.inventory,
            rulebook: &self.rulebook,
            origin: self.config.origin,
            own: &self.own,
            now,
        }
    }

    // ------------------------------------------------------------ small tools

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn begin_write(&mut self, what: WriteTarget, now: Now) -> WriteId {
        let id = WriteId(self.fresh_id());
        self.writes.insert(
            id,
            PendingWrite {
                what,
                since: now.mono,
            },
        );
        id
    }

    fn begin_delivery(&mut self) -> DeliveryId {
        DeliveryId(self.fresh_id())
    }

    fn is_writing(&self, what: &WriteTarget) -> bool {
        self.writes.values().any(|w| w.what == *what)
    }

    fn wake_at(&mut self, at: Time) {
        self.wake.wall = Some(self.wake.wall.map_or(at, |before| before.min(at)));
    }

    fn announce(&mut self, about: About, reason: &str, note: String, warning: bool) {
        self.outbox.push(Effect::Announce(Announcement {
            about,
            reason: reason.to_owned(),
            note,
            warning,
        }));
    }

    fn written(&mut self, id: WriteId, result: WriteResult, now: Now) {
        let Some(write) = self.writes.remove(&id) else {
            return; // answered or given up before
        };
        match write.what {
            WriteTarget::Ticket(key, write) => self.ticket_written(&key, write, result, now),
            WriteTarget::PolicyStatus(name) => self.policy_written(&name, false, result, now),
            WriteTarget::PolicyFinalizer(name) => self.policy_written(&name, true, result, now),
            WriteTarget::ReceiverStatus(_) => self.receiver_written(result),
        }
    }

    /// Effects that were never answered: the outcome is unknown, so look and decide again.
    fn expire_writes(&mut self, now: Now) {
        let lost: Vec<WriteId> = self
            .writes
            .iter()
            .filter(|(_, w)| now.mono >= w.since.plus(self.config.lost_after))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.written(id, WriteResult::Failed, now);
        }
    }

    fn plan_wake(&mut self, now: Now) {
        // At least every ten seconds: lost answers and lost freshness are noticed by time.
        let most = now.mono.plus(Span::seconds(10));
        let at = if self.wake.soon {
            now.mono
        } else {
            match self.wake.wall {
                Some(wall) => now.mono.plus(wall.since(now.wall)).min(most),
                None => most,
            }
        };
        self.outbox.push(Effect::WakeAt(at));
    }

    fn mark(&mut self, unit: Unit) {
        self.evaluation.dirty.insert(unit);
    }

    fn mark_all(&mut self, units: impl IntoIterator<Item = Unit>) {
        self.evaluation.dirty.extend(units);
    }

    /// Whether nothing is left to do now: everything judged, written and sent that can be.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.evaluation.dirty.is_empty()
            && self.writes.is_empty()
            && self.receivers.values().all(|r| r.is_idle())
            && self.tickets.is_settled()
            && !self
                .policies
                .values()
                .any(policies::PolicyState::is_patrolling)
    }
}

/// Keys of tickets, in order.
type Keys = BTreeSet<ObjectKey>;
