//! The engine: one synchronous step from an event to effects.
//!
//! Events other than `Tick` only change what is known; judging, writing and sending happen
//! on `Tick`, within a budget. The engine holds no promise in memory: whatever it forgets
//! by dying, it computes again from tickets and policies.

mod alerts;
mod auditor;
mod evaluate;
mod observe;
mod once;
mod onlookers;
mod overflow;
mod own_work;
mod patrols;
mod policies;
mod receivers;
mod snapshot;
mod status;
mod tickets;
mod waivers;

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::time::{Span, Time};

use crate::check::{Origin, OwnState, Unit};
use crate::clock::{Mono, Now};
use crate::effect::{About, Announcement, Effect};
use crate::event::{DeliveryId, Event, Term, WriteId, WriteResult};
use crate::facts::ObjectKey;
use crate::inspect::Inspector;
use crate::inventory::{Blindness, Inventory};
use crate::kind::Kind;
use crate::notice::Cluster;
use crate::rule::{Catalogue, Rulebook};
use crate::sym::Sym;

pub use alerts::foresight::{Foresight, Owed};
pub use policies::FINALIZER;
pub use snapshot::{Distribution, ReceiverSnapshot, Snapshot};

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
    /// A receiver that fails is tried again within this time.
    pub attempt_window: Span,
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
            attempt_window: receivers::LONGEST_WAIT,
        }
    }
}

/// Status writes of policies under way at most, and as many of receivers: the rest waits
/// here and not behind the edge's slots, where it would count as lost.
const STATUSES_IN_FLIGHT: usize = 8;
/// Two clocks that differ by more than this within one wait were set, not slewed.
const JUMP: Span = Span::seconds(5);

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
    waivers: waivers::Waivers,
    agenda: alerts::agenda::Agenda,
    auditor: auditor::Auditor,
    writes: BTreeMap<WriteId, PendingWrite>,
    next_id: u64,
    /// In which this process leads; `None`: it stands by.
    term: Option<Term>,
    /// The last tick, to notice a clock that jumps.
    ticked: Option<Now>,
    /// Since when time runs evenly: the process started, took over, or its clock jumped.
    /// What was missed before is not overdue until there was a chance to do it.
    calm_since: Mono,
    /// Since when this process leads, if it does.
    led_since: Mono,
    /// How far the wall clock is ahead of the API server's, where that matters: seconds.
    skew: i64,
    /// When the kinds that are refused were last asked for beside the patrols.
    refused_asked: Mono,
    closing: policies::Closing,
    deliveries: own_work::Deliveries,
    /// The policy whose status had to wait: its turn is first.
    turn: Option<Sym>,
    /// When policies' statuses were last worked out.
    reported: Option<Mono>,
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
    WaiverStatus(ObjectKey),
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
            waivers: waivers::Waivers::default(),
            agenda: alerts::agenda::Agenda::default(),
            auditor: auditor::Auditor::default(),
            writes: BTreeMap::new(),
            next_id: 0,
            term: None,
            ticked: None,
            calm_since: Mono::default(),
            led_since: Mono::default(),
            skew: 0,
            refused_asked: Mono::default(),
            closing: policies::Closing::default(),
            deliveries: own_work::Deliveries::default(),
            turn: None,
            reported: None,
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
            Event::Leading(term) => self.lead(term, now),
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
        self.notice_jump(now);
        self.expire_writes(now);
        self.expire_deliveries(now);
        self.refresh_own_work(now);
        self.begin_patrols(now);
        self.ask_for_refused(now);
        self.evaluate(now);
        self.finish_patrols(now);
        if self.can_act() && self.knows_whom_to_tell(now) {
            // Whoever stood in for a receiver that was not ready may have been told as well.
            self.settle_standbys(now);
            self.doubt_predecessor(now);
            self.retain_tickets(now);
            self.settle_tickets(now);
            self.send_due(now);
            self.beat(now);
            self.audit(now);
        }
        if self.can_report() {
            self.settle_waivers(now);
            self.settle_policies(now);
            self.settle_receivers(now);
        }
        if !self.leads() {
            self.tickets.forget_touches();
        }
        self.plan_wake(now);
    }

    /// Whether tickets may be written and told: this process leads, and it knows all
    /// policies and tickets there are. Receivers are asked for one by one: without their
    /// kind the policies' own webhooks are still told.
    fn can_act(&self) -> bool {
        self.can_report() && self.knows_all(Kind::Ticket)
    }

    /// Whether receivers and waivers are known, or will not be soon. A ticket that ends while
    /// receivers are still being listed would not know who may have been told of it, and one
    /// that is due while waivers are would disturb whoever muted it. The
    /// cluster is known by one of its namespaces, and an incident by its cluster.
    fn knows_whom_to_tell(&self, now: Now) -> bool {
        const SOON: Span = Span::minutes(2);
        let comes = |kind| self.inventory.sight(kind).blindness() == Some(Blindness::Unsynced);
        let kinds = [Kind::AlertReceiver, Kind::TicketWaiver, Kind::Namespace];
        !kinds.into_iter().any(comes) || now.mono >= self.led_since.plus(SOON)
    }

    /// Whether conditions may be written: a process that cannot see its tickets says so.
    fn can_report(&self) -> bool {
        self.leads() && self.knows_all(Kind::PatrolPolicy)
    }

    /// Whether everything of a kind of ours is known. A missing CRD is no knowledge.
    fn knows_all(&self, kind: Kind) -> bool {
        let sight = self.inventory.sight(kind);
        sight.blindness().is_none() && !sight.is_absent()
    }

    const fn leads(&self) -> bool {
        self.term.is_some()
    }

    fn lead(&mut self, term: Option<Term>, now: Now) {
        // Another term right after the last one is a change of leader, too: only the end of the last was not heard of.
        if term.is_some() && term != self.term {
            // What others wrote while we stood by is the truth; nothing of ours is pending.
            self.writes.clear();
            self.led_since = now.mono;
            self.calm_since = now.mono;
            // Save the ends that we owe: who led meanwhile did not know of them.
            let (owing, pending): (Keys, Keys) = self
                .tickets
                .keys()
                .filter(|key| !self.tickets.contains(key))
                .cloned()
                .partition(|key| self.owes_end(key));
            for key in &pending {
                self.drop_ticket(key);
            }
            self.succeed_myself(&owing);
            self.tickets.adopt_all(now.wall);
            for key in self.evaluation.known.keys() {
                self.tickets.touch(key);
            }
            self.overflow.recount();
            self.adopt_receivers(now);
            self.adopt_policies();
            self.stand_waivers(now);
            self.routes_changed();
        }
        self.term = term;
    }

    /// The wall clock was set: timers and due times were planned by the old one.
    fn notice_jump(&mut self, now: Now) {
        let Some(before) = self.ticked.replace(now) else {
            self.calm_since = now.mono;
            if self.config.origin == Origin::Cluster {
                self.own.started = Some(now.wall);
            }
            return;
        };
        let passed = Span::millis(now.mono.since(before.mono));
        let expected = before.wall.plus(passed);
        let off = now.wall.since(expected).max(expected.since(now.wall));
        if off <= JUMP {
            return;
        }
        self.calm_since = now.mono;
        self.inventory.clock_set(now.wall);
        self.tickets.clock_jumped(now.wall);
        self.overflow.recount();
        self.stand_waivers(now);
        self.waivers_moved();
        self.routes_changed();
        self.mark_everything();
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

    /// Writes under way of some kind.
    fn under_way(&self, kind: impl Fn(&WriteTarget) -> bool) -> usize {
        self.writes.values().filter(|w| kind(&w.what)).count()
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
            WriteTarget::ReceiverStatus(name) => self.receiver_written(&name, result, now),
            WriteTarget::WaiverStatus(key) => self.waiver_written(&key, result, now),
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
                // What is due now was done now: what still is, waits for something else,
                // and waking at once for it would spin.
                Some(wall) => now
                    .mono
                    .plus(wall.since(now.wall).max(Span::millis(250)))
                    .min(most),
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
}

/// Keys of tickets, in order.
type Keys = BTreeSet<ObjectKey>;
