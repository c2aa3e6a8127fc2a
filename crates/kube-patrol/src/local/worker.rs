//! The one thread that touches the folders: it looks at them, carries effects out in the
//! order in which they came, and tells what it found.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use patrol_api::names::ANNOTATION_PATROL_NOW;
use patrol_api::policy::PatrolPolicy;
use patrol_api::receiver::AlertReceiver;
use patrol_api::waiver::TicketWaiver;
use patrol_core::clock::Now;
use patrol_core::effect::Effect;
use patrol_core::engine::FINALIZER;
use patrol_core::event::Event;
use patrol_core::facts::{DecodeError, Fact, ObjectKey, Observed};
use patrol_core::inventory::Instances;
use patrol_core::kind::Kind;

use crate::manifests::NotInspected;

use super::inputs::{Id, Inputs, Scan};
use super::secrets::Secrets;
use super::store::{Declarations, Declared, Tickets};
use super::watch::{Burst, Watch};
use super::world::{Change, Look, World};
use super::{index, store, terminal};

/// What is written beside tickets.
const INDEX: &str = "the index of the inputs";
/// Everything is looked at this often, notified or not.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Order {
    /// Carry an effect out.
    Effect(Box<Effect>),
    /// Something changed on disk. At most one waits: see [`Changes`].
    Changed,
    /// End.
    Stop,
}

/// Whether a change waits to be noticed: a thousand changes while the thread is busy are
/// one order.
pub type Changes = Arc<AtomicBool>;

/// Where events go. `Stopped` is answered when nobody listens any more.
pub trait Sink: Send {
    /// About what is patrolled; may wait.
    fn observed(&mut self, event: Event) -> Result<(), Stopped>;
    /// About our own objects, and answers to effects; never waits.
    fn answered(&mut self, event: Event) -> Result<(), Stopped>;
}

/// Nobody listens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// The thread's possessions.
pub struct Worker {
    pub(super) inputs: Inputs,
    pub(super) world: World,
    pub(super) tickets: Tickets,
    pub(super) policies: Declarations<PatrolPolicy>,
    pub(super) receivers: Declarations<AlertReceiver>,
    pub(super) waivers: Declarations<TicketWaiver>,
    pub(super) secrets: Arc<RwLock<Secrets>>,
    pub(super) index: PathBuf,
    pub(super) saved: index::Index,
    pub(super) clock: fn() -> Now,
    pub(super) scan: Scan,
    pub(super) changed: Changes,
    /// Asks every policy for a patrol at once, as its annotation does.
    pub(super) patrol_now: Option<String>,
    pub(super) trouble: store::Trouble,
    pub(super) said: BTreeSet<String>,
}

impl Worker {
    /// Works until it is told to stop or nobody listens.
    pub fn run(mut self, orders: &Receiver<Order>, mut watch: Watch, mut sink: impl Sink) {
        // The end of a listener is the only way this can end early, and is no fault: what
        // was asked until then is done, so that what was told is on record.
        if self.work(orders, &mut watch, &mut sink) == Err(Stopped) {
            self.finish(orders);
        }
    }

    /// Does what was asked before the end, for nobody to hear.
    fn finish(&mut self, orders: &Receiver<Order>) {
        struct Nobody;
        impl Sink for Nobody {
            fn observed(&mut self, _: Event) -> Result<(), Stopped> {
                Ok(())
            }
            fn answered(&mut self, _: Event) -> Result<(), Stopped> {
                Ok(())
            }
        }
        while let Ok(order) = orders.recv() {
            match order {
                Order::Effect(effect) => drop(self.carry_out(*effect, &mut Nobody)),
                Order::Changed => {}
                Order::Stop => return,
            }
        }
    }

    fn work(
        &mut self,
        orders: &Receiver<Order>,
        watch: &mut Watch,
        sink: &mut impl Sink,
    ) -> Result<(), Stopped> {
        let mut next_look = Instant::now() + LOOK_EVERY;
        let mut burst = Burst::default();
        loop {
            let due = burst.due().map_or(next_look, |due| due.min(next_look));
            let now = Instant::now();
            if due <= now {
                self.look(sink)?;
                watch.renew();
                burst = Burst::default();
                next_look = Instant::now() + LOOK_EVERY;
                continue;
            }
            match orders.recv_timeout(due - now) {
                // An effect does not wait for a burst of changes to end.
                Ok(Order::Effect(effect)) => self.carry_out(*effect, sink)?,
                Ok(Order::Changed) => {
                    self.changed.store(false, Ordering::Release);
                    burst.changed(Instant::now());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// The first look: lists of every kind.
    pub fn start(&mut self, sink: &mut impl Sink) -> Result<(), Stopped> {
        for event in self.tickets.list() {
            sink.answered(event)?;
        }
        self.look(sink)
    }

    /// Looks at everything and tells what is different.
    pub fn look(&mut self, sink: &mut impl Sink) -> Result<(), Stopped> {
        let now = (self.clock)();
        for event in self.tickets.refresh() {
            sink.answered(event)?;
        }
        self.scan = self.inputs.scan();
        let look = self.world.look(&self.scan, now.mono);
        self.take_secrets();
        self.save_index();
        self.say(&look);
        self.tell(look, now, sink)
    }

    fn tell(&mut self, look: Look, now: Now, sink: &mut impl Sink) -> Result<(), Stopped> {
        let listed: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| *kind != Kind::Ticket)
            .collect();
        for kind in &listed {
            if look.whole {
                send(sink, *kind, Event::ListStarted(*kind))?;
            }
        }
        if look.whole {
            self.mention_kept(now, sink)?;
        }
        for change in look.changes {
            self.tell_change(change, now, sink)?;
        }
        for kind in listed {
            let event = if look.whole {
                Event::ListFinished(kind)
            } else {
                Event::Heard(kind)
            };
            send(sink, kind, event)?;
        }
        sink.answered(Event::Heard(Kind::Ticket))
    }

    fn tell_change(
        &mut self,
        change: Change,
        now: Now,
        sink: &mut impl Sink,
    ) -> Result<(), Stopped> {
        match change {
            Change::Seen(seen) => {
                let kind = seen.kind;
                for event in self.seen(*seen, now) {
                    send(sink, kind, event)?;
                }
                Ok(())
            }
            Change::Gone((kind, key)) => {
                let events = match kind {
                    Kind::PatrolPolicy => self.policies.manifest_gone(&key.name, now.wall),
                    Kind::AlertReceiver => self.receivers.manifest_gone(&key.name, now.wall),
                    Kind::TicketWaiver => {
                        let name = TicketWaiver::name_of(&key);
                        self.waivers.manifest_gone(&name, now.wall)
                    }
                    _ => vec![Event::Gone(kind, key)],
                };
                for event in events {
                    send(sink, kind, event)?;
                }
                Ok(())
            }
            Change::Blind((kind, key), reason) => {
                // What is kept of it still counts; it is the manifest that cannot be read.
                let kept = match kind {
                    Kind::PatrolPolicy => self.policies.seen(&key.name),
                    Kind::AlertReceiver => self.receivers.seen(&key.name),
                    Kind::TicketWaiver => self.waivers.seen(&TicketWaiver::name_of(&key)),
                    _ => None,
                };
                if let Some(event) = kept {
                    send(sink, kind, event)?;
                }
                send(sink, kind, undecodable(kind, Some(key), reason))
            }
            Change::Hidden(kind, reason) => send(sink, kind, undecodable(kind, None, reason)),
        }
    }

    fn seen(&mut self, seen: Observed, now: Now) -> Vec<Event> {
        match seen.fact {
            Fact::Policy(mut policy) => {
                terminal::tell_somebody(&mut policy);
                if let Some(value) = &self.patrol_now {
                    let annotations = policy.metadata.annotations.get_or_insert_default();
                    annotations.insert(ANNOTATION_PATROL_NOW.to_owned(), value.clone());
                }
                self.policies.manifest(policy, now.wall)
            }
            Fact::Receiver(_) if &*seen.key.name == terminal::NAME => vec![],
            Fact::Receiver(receiver) => self.receivers.manifest(receiver, now.wall),
            Fact::Waiver(waiver) => self.waivers.manifest(waiver, now.wall),
            _ => vec![Event::Seen(Box::new(seen))],
        }
    }

    /// A list mentions what has no manifest, too: the terminal, and what a finalizer holds.
    fn mention_kept(&mut self, now: Now, sink: &mut impl Sink) -> Result<(), Stopped> {
        let terminal = Box::new(terminal::receiver());
        for event in self.receivers.manifest(terminal, now.wall) {
            sink.answered(event)?;
        }
        let names: Vec<String> = self.policies.names().map(str::to_owned).collect();
        for name in names {
            if let Some(event) = self.policies.seen(&name) {
                sink.answered(event)?;
            }
        }
        Ok(())
    }

    /// Carries out an effect of the engine.
    pub fn carry_out(&mut self, effect: Effect, sink: &mut impl Sink) -> Result<(), Stopped> {
        let now = (self.clock)().wall;
        let events = match effect {
            Effect::WritePolicyStatus { id, at, status } => {
                self.policies.write_status(id, &at, *status)
            }
            Effect::WriteReceiverStatus { id, at, status } => {
                self.receivers.write_status(id, &at, *status)
            }
            Effect::WriteWaiverStatus { id, at, status } => {
                self.waivers.write_status(id, &at, *status)
            }
            Effect::WritePolicyFinalizer { id, at, present } => self
                .policies
                .write_finalizer(id, &at, FINALIZER, present, now),
            Effect::Review(kinds) => {
                // Whoever could start us may read: what cannot be read is told by itself.
                let answers = kinds.into_iter().map(|kind| (kind, Ok(()))).collect();
                vec![Event::Reviewed(answers)]
            }
            Effect::Count(wanted) => {
                let count = |(crd, most): (String, u32)| {
                    let count = self.count(&crd, most);
                    Event::Counted(crd, count)
                };
                wanted.into_iter().map(count).collect()
            }
            Effect::Announce(announcement) => {
                crate::logging::announcement(&announcement);
                vec![]
            }
            // Deliveries and wake-ups are the shell's.
            Effect::Send { .. } | Effect::WakeAt(_) => vec![],
            ticket => self.tickets.carry_out(ticket, now),
        };
        events
            .into_iter()
            .try_for_each(|event| sink.answered(event))
    }

    /// Objects of the kind a CRD defines, as far as they can be told from the files.
    fn count(&self, crd: &str, most: u32) -> Instances {
        let found = count_instances(&self.scan, crd);
        let hidden = self.scan.not_inspected().next().is_some();
        if found < most && hidden {
            Instances::Unknown("some input cannot be read".into())
        } else {
            Instances::AtLeast(found)
        }
    }

    fn take_secrets(&self) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        *secrets = self.scan.secrets();
    }

    fn save_index(&mut self) {
        let index = self.world.index();
        if index == self.saved {
            return;
        }
        match index::save(&self.index, &index) {
            Ok(()) => {
                self.trouble.succeeded(INDEX);
                self.saved = index;
            }
            // The next look tries again.
            Err(error) => drop(self.trouble.failed(INDEX.to_owned(), &error)),
        }
    }

    /// Tells people what is not inspected, each thing once for as long as it lasts.
    fn say(&mut self, look: &Look) {
        let mut now: BTreeSet<String> = self
            .scan
            .not_inspected()
            .map(NotInspected::sentence)
            .collect();
        now.extend(look.repeated.iter().map(|(second, first, (kind, key))| {
            format!(
                "{}:{}: {kind} {key} is written in {}:{} too: that one counts",
                second.file, second.line, first.file, first.line
            )
        }));
        for line in now.difference(&self.said) {
            tracing::warn!("{line}");
        }
        for line in self.said.difference(&now) {
            tracing::info!("mended: {line}");
        }
        self.said = now;
    }
}

fn undecodable(kind: Kind, key: Option<ObjectKey>, reason: String) -> Event {
    Event::Undecodable(DecodeError { kind, key, reason })
}

/// Events about our own kinds and answers take one way, so that they arrive in order.
fn send(sink: &mut impl Sink, kind: Kind, event: Event) -> Result<(), Stopped> {
    if kind.is_ours() {
        sink.answered(event)
    } else {
        sink.observed(event)
    }
}

/// Documents of the kind that a CRD of this full name defines. Without the CRD's document
/// the kind is guessed from the plural, as regular English makes it.
fn count_instances(scan: &Scan, crd: &str) -> u32 {
    let Some((plural, group)) = crd.split_once('.') else {
        return 0;
    };
    let defined = defined_kind(scan, crd);
    let is_it = |kind: &str| match &defined {
        Some(defined) => kind == defined,
        None => plurals(kind).iter().any(|guess| guess == plural),
    };
    let unread = scan.files.values().flat_map(|file| &file.others);
    let unread = unread.filter(|((g, kind), _)| g == group && is_it(kind));
    let read: BTreeSet<&Id> = scan
        .files
        .values()
        .flat_map(|file| &file.entries)
        .map(|entry| &entry.id)
        .filter(|(kind, _)| kind.info().group == group && is_it(kind.info().kind))
        .collect();
    unread.map(|(_, count)| *count).fold(
        u32::try_from(read.len()).unwrap_or(u32::MAX),
        u32::saturating_add,
    )
}

fn defined_kind(scan: &Scan, crd: &str) -> Option<String> {
    let entries = scan.files.values().flat_map(|file| &file.entries);
    entries
        .filter(|e| e.id.0 == Kind::CustomResourceDefinition && &*e.id.1.name == crd)
        .find_map(|entry| match &entry.fact.as_ref().ok()?.fact {
            Fact::Crd(fact) => Some(fact.kind.to_string()),
            _ => None,
        })
}

fn plurals(kind: &str) -> Vec<String> {
    let kind = kind.to_ascii_lowercase();
    let mut plurals = vec![format!("{kind}s"), format!("{kind}es"), kind.clone()];
    if let Some(stem) = kind.strip_suffix('y') {
        plurals.push(format!("{stem}ies"));
    }
    plurals
}
