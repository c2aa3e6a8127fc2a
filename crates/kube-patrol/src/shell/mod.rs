//! The shell: one loop around the engine.
//!
//! It feeds events in, carries effects out and keeps time. It decides nothing; whatever it
//! loses by dying is computed again. Every task it starts is in one set, and the first
//! supervised task that ends, ends the loop.

mod attempt;
mod credentials;
pub mod delivery;
pub mod denied;
pub mod probes;
mod ready;
pub mod requests;
mod rotation;
pub mod secrets;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use patrol_core::clock::Now;
use patrol_core::effect::Effect;
use patrol_core::engine::{Patrol, Snapshot};
use patrol_core::event::{Event, Term, WriteId};
use patrol_kube::reader::Received;
use tokio::sync::{mpsc, oneshot, watch};

use delivery::Courier;

/// Events taken in between two ticks at most, so that a storm cannot keep the engine from
/// acting.
const BURST: usize = 2_000;
/// Ticks are at least this far apart: a burst of events is judged once.
const COALESCE: Duration = Duration::from_millis(20);

/// When it stops: how long deliveries under way may take to end, and together with them the
/// records of what was told. With the edges' own ends this stays below ten seconds.
const SENDING: Duration = Duration::from_secs(4);
const STOPPING: Duration = Duration::from_secs(6);

/// Where answers to effects go. Unbounded, because the number of effects under way is
/// bounded, and an answer must never wait behind the events it unblocks.
pub type Answers = mpsc::UnboundedSender<Event>;

/// One side of the world: carries out the effects that are not deliveries.
pub trait Edge: Send + Sync + 'static {
    /// Begins to carry out an effect that was asked in this term. Must not block; answers go to `answers`.
    fn carry_out(&self, effect: Effect, term: Option<Term>, answers: &Answers);
}

/// A clock, so that tests and both edges share one shape.
pub type Clock = fn() -> Now;

/// A request for the state in numbers.
pub type SnapshotRequest = oneshot::Sender<Box<Snapshot>>;

/// What probes and metrics see of the loop.
#[derive(Debug, Default)]
pub struct Pulse {
    last_tick: AtomicU64,
    synced: AtomicBool,
}

impl Pulse {
    /// Whether the loop turned within the last half minute (it does so at least every ten
    /// seconds).
    #[must_use]
    pub fn is_alive(&self, now: Now) -> bool {
        let last = self.last_tick.load(Ordering::Relaxed);
        now.mono.0.saturating_sub(last) < 30_000
    }

    /// Whether policies, receivers and tickets are known.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Relaxed)
    }
}

/// Everything the loop works with.
pub struct Shell<E> {
    /// The engine.
    pub patrol: Patrol,
    /// The edge.
    pub edge: Arc<E>,
    /// Sends notices.
    pub courier: Courier,
    /// Observations; bounded, so that a flood waits at its source.
    pub events: mpsc::Receiver<Received>,
    /// Answers to effects.
    pub answers: (Answers, mpsc::UnboundedReceiver<Event>),
    /// Requests for the state in numbers.
    pub snapshots: mpsc::Receiver<SnapshotRequest>,
    /// Time.
    pub clock: Clock,
    /// What probes see.
    pub pulse: Arc<Pulse>,
    /// True: stop.
    pub stop: watch::Receiver<bool>,
    /// Stop as soon as all that is due is told, or failed (`--once`).
    pub once: bool,
    /// Writes of tickets that are not answered yet; none at first.
    pub writing: BTreeSet<WriteId>,
    /// In which the engine believes to lead: what it asks is asked in this term.
    pub term: Option<Term>,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// Nothing was left to do and `once` was set.
    Done,
    /// The source of events ended, which only a fault can cause.
    SourceEnded,
}

impl<E: Edge> Shell<E> {
    /// Runs until told to stop. Gives the engine back for a last look at its state.
    pub async fn run(mut self) -> (Ended, Patrol) {
        let mut wake = (self.clock)().mono;
        let mut last_tick = tokio::time::Instant::now();
        let ended = loop {
            let now = (self.clock)();
            let sleep = Duration::from_millis(wake.since(now.mono));
            let received = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => break Ended::Stopped,
                Some(event) = self.answers.1.recv() => Some(Received::now(event)),
                Some(request) = self.snapshots.recv() => {
                    // Whoever asked may have gone away: nothing is owed to them.
                    let _ = request.send(Box::new(self.patrol.snapshot(now)));
                    continue;
                }
                event = self.events.recv() => match event {
                    Some(received) => Some(received),
                    None => break Ended::SourceEnded,
                },
                () = tokio::time::sleep(sleep) => None,
            };
            if let Some(received) = received {
                let since = last_tick.elapsed();
                if since < COALESCE {
                    tokio::time::sleep(COALESCE - since).await;
                }
                let now = (self.clock)();
                self.take(received, now);
                self.drain(now);
            }
            last_tick = tokio::time::Instant::now();
            let now = (self.clock)();
            let effects = self.patrol.step(Event::Tick, now);
            wake = self.perform(effects).unwrap_or(now.mono);
            self.pulse.last_tick.store(now.mono.0, Ordering::Relaxed);
            self.pulse
                .synced
                .store(self.patrol.is_synced(), Ordering::Relaxed);
            self.courier.reap();
            if self.once
                && self.patrol.has_patrolled()
                && self.patrol.is_done((self.clock)())
                && self.courier.is_idle()
                && self.is_drained()
            {
                break Ended::Done;
            }
        };
        let until = tokio::time::Instant::now() + STOPPING;
        self.courier.stop(SENDING).await;
        // Running out of time costs a repeat under the same id, and nothing else.
        let _ = tokio::time::timeout_at(until, self.record()).await;
        (ended, self.patrol)
    }

    /// Nothing is sent or asked any more, but what was told until now is written down: a
    /// record that is lost is a telling that is repeated at the next start.
    async fn record(&mut self) {
        loop {
            let now = (self.clock)();
            while let Ok(event) = self.answers.1.try_recv() {
                self.feed(event, now);
            }
            let effects = self.patrol.step(Event::Tick, now);
            self.perform(effects);
            if self.writing.is_empty() {
                return;
            }
            // We hold a sender, so it is an answer that ends the wait.
            if let Some(event) = self.answers.1.recv().await {
                self.feed(event, (self.clock)());
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.answers.1.is_empty() && self.events.is_empty()
    }

    fn drain(&mut self, now: Now) {
        for _ in 0..BURST {
            if let Ok(event) = self.answers.1.try_recv() {
                self.feed(event, now);
            } else if let Ok(received) = self.events.try_recv() {
                self.take(received, now);
            } else {
                break;
            }
        }
    }

    /// What was received a while ago says how it was then.
    fn take(&mut self, received: Received, now: Now) {
        let wall = received.at.min(now.wall);
        self.feed(received.event, Now { wall, ..now });
    }

    fn feed(&mut self, event: Event, now: Now) {
        if let Event::Written(id, _) = &event {
            self.writing.remove(id);
        }
        if let Event::Leading(term) = &event {
            self.term = *term;
        }
        let effects = self.patrol.step(event, now);
        self.perform(effects);
    }

    /// Carries effects out; returns when to wake.
    fn perform(&mut self, effects: Vec<Effect>) -> Option<patrol_core::clock::Mono> {
        let mut wake = None;
        for effect in effects {
            match effect {
                Effect::WakeAt(at) => wake = Some(at),
                Effect::Send {
                    id,
                    target,
                    notice,
                    room,
                } => {
                    let answers = &self.answers.0;
                    self.courier
                        .send(id, self.term, *target, *notice, room, answers);
                }
                // Nobody waits for the answers of a process that ends.
                Effect::Review(_) | Effect::Count(_) if self.courier.is_stopped() => {}
                other => {
                    self.writing.extend(ticket_write(&other));
                    self.edge.carry_out(other, self.term, &self.answers.0);
                }
            }
        }
        wake
    }
}

/// The id of a write of a ticket.
fn ticket_write(effect: &Effect) -> Option<WriteId> {
    match effect {
        Effect::CreateTicket { id, .. }
        | Effect::WriteTicketStatus { id, .. }
        | Effect::WriteTicketLabels { id, .. }
        | Effect::DeleteTicket { id, .. }
        | Effect::ReadTicket { id, .. } => Some(*id),
        Effect::WritePolicyStatus { .. }
        | Effect::WritePolicyFinalizer { .. }
        | Effect::WriteReceiverStatus { .. }
        | Effect::WriteWaiverStatus { .. }
        | Effect::Send { .. }
        | Effect::Review(_)
        | Effect::Count(_)
        | Effect::Announce(_)
        | Effect::WakeAt(_) => None,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can no longer ask for anything: only a value ends the wait.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
