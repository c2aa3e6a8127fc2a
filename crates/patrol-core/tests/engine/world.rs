//! The world of a test: what users do to it, what goes wrong in it, and what it shows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use patrol_api::policy::PatrolPolicyStatus;
use patrol_api::receiver::Endpoint;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_core::clock::{Mono, Now};
use patrol_core::effect::{Effect, Precondition};
use patrol_core::engine::{Config, Patrol, Snapshot};
use patrol_core::event::{
    DeliveryClass, DeliveryId, Event, PartOutcome, Refusal, Term, WriteId, WriteResult, Written,
};
use patrol_core::facts::{DecodeError, ObjectKey, decode_value};
use patrol_core::fingerprint::hash64;
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use patrol_core::notice::{Notice, NoticeTicket};
use patrol_core::rule::Catalogue;
use serde_json::{Value, json};

use crate::catalogue::CATALOGUE;
use crate::server::{No, Server, text};

pub const START: i64 = 1_800_000_000;
pub const HOME: &str = "kube-patrol";

/// What becomes of the next write of a kind.
#[derive(Clone, Debug)]
pub enum Fate {
    /// Not applied; answered so.
    Answer(WriteResult),
    /// Applied, and the answer is lost on the way.
    Unanswered,
    /// Neither applied nor answered.
    Lost,
}

/// How a receiver behaves.
#[derive(Clone, Debug)]
pub enum Mood {
    Accept,
    Answer(DeliveryClass),
    /// Takes it, and the answer never comes.
    Unanswered,
    /// Takes it, and answers after this time.
    Slow(Span),
    /// Takes it in so many messages.
    InParts(usize),
    /// Takes it, and says that it could not.
    Mumble,
    /// Takes so many tickets in one message.
    Most(usize),
    /// Refuses every message that holds a ticket about this subject.
    Refuse(&'static str),
    /// The same, unless the message leaves out what people wrote.
    RefuseWords(&'static str),
    /// Takes it in messages of any size, and answers each as chance has it.
    Dice(u64),
    /// Takes it in messages of forty tickets, each when there is room for it, and answers 85 of 100 within 50 ms; ten fail as
    /// soon, and five are not answered within ten seconds.
    Shaky(u64),
}

/// A telling that a receiver took.
#[derive(Clone, Debug)]
pub struct Taken {
    pub receiver: String,
    pub ticket: NoticeTicket,
}

pub struct World {
    pub engine: Patrol,
    pub config: Config,
    pub server: Server,
    pub mono: u64,
    /// Wall clock minus boot clock, seconds.
    pub skew: i64,
    pub moods: BTreeMap<String, Mood>,
    pub fates: BTreeMap<&'static str, VecDeque<Fate>>,
    /// Kinds whose watch says nothing.
    pub silent: BTreeSet<Kind>,
    pub denied: BTreeSet<Kind>,
    pub sent: Vec<(Mono, String, Notice)>,
    /// Whether the last of them left out what people wrote.
    in_few_words: bool,
    /// Receivers and subjects of those that did.
    pub few: Vec<(String, String)>,
    /// How many messages each of them may be.
    pub rooms: Vec<usize>,
    /// And how long those of the last delivery that there is no room for now wait.
    pause: Option<Span>,
    /// Messages in which that went.
    pub messages: usize,
    pub taken: Vec<Taken>,
    /// Every write, by name of the operation and object.
    pub writes: Vec<(Mono, String)>,
    pub announced: Vec<String>,
    /// Where the last message went.
    pub address: String,
    pub ticks: usize,
    pub reviews_answered: bool,
    /// What the server makes of a ticket's status before it stores it.
    pub rewrite: Option<fn(&mut Value)>,
    events: VecDeque<Event>,
    later: Vec<(u64, Event)>,
    wake: Mono,
}

pub fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(namespace, name)
}

impl World {
    /// A world in which this process leads and nothing is wrong yet.
    pub fn new() -> Self {
        Self::with(CATALOGUE)
    }

    /// The same with other checks.
    pub fn with(catalogue: Catalogue) -> Self {
        let mut world = Self::unsynced();
        world.config = Config::new(catalogue);
        world.die();
        for name in ["shop", "bank", HOME] {
            world.namespace(name, json!({}));
        }
        world.list_all();
        world.event(Event::Leading(Some(Term(1))));
        world.settle();
        world
    }

    /// A process that has seen nothing.
    pub fn unsynced() -> Self {
        let config = Config::new(CATALOGUE);
        Self {
            engine: Patrol::new(config.clone()),
            config,
            server: Server::default(),
            mono: 1_000_000,
            skew: START - 1_000,
            moods: BTreeMap::new(),
            fates: BTreeMap::new(),
            silent: BTreeSet::new(),
            denied: BTreeSet::new(),
            sent: vec![],
            in_few_words: false,
            few: vec![],
            rooms: vec![],
            pause: None,
            messages: 0,
            taken: vec![],
            writes: vec![],
            announced: vec![],
            address: String::new(),
            ticks: 0,
            reviews_answered: true,
            rewrite: None,
            events: VecDeque::new(),
            later: vec![],
            wake: Mono(0),
        }
    }

    /// With the usual policy and a receiver `soc` that it names.
    pub fn patrolled() -> Self {
        Self::patrolled_with(CATALOGUE)
    }

    /// The same with other checks.
    pub fn patrolled_with(catalogue: Catalogue) -> Self {
        let mut world = Self::with(catalogue);
        world.receiver("soc", json!({}));
        world.policy("p", json!({}));
        world.run_for(Span::seconds(3));
        world
    }

    // ------------------------------------------------------------ time

    pub fn now(&self) -> Now {
        Now {
            wall: Time::from_unix((self.mono / 1000).cast_signed() + self.skew),
            mono: Mono(self.mono),
        }
    }

    pub fn wall(&self) -> Time {
        self.now().wall
    }

    /// Everything that follows from what happened, until nothing does at this instant.
    pub fn settle(&mut self) {
        for _ in 0..2_000 {
            while let Some(event) = self.events.pop_front() {
                self.step(event);
            }
            self.step(Event::Tick);
            self.ticks += 1;
            if self.events.is_empty() && self.wake > Mono(self.mono) {
                return;
            }
        }
        panic!("the engine spins: it never lets the time pass");
    }

    pub fn run_for(&mut self, span: Span) {
        self.settle();
        let end = self.mono + span.as_millis();
        loop {
            let late = self.later.iter().map(|(at, _)| *at).min();
            let hear = (self.mono / 30_000 + 1) * 30_000;
            let next = self
                .wake
                .0
                .min(hear)
                .min(late.unwrap_or(u64::MAX))
                .max(self.mono + 1);
            if next > end {
                break;
            }
            self.mono = next;
            let (due, later) = std::mem::take(&mut self.later)
                .into_iter()
                .partition(|(at, _)| *at <= next);
            self.later = later;
            self.events
                .extend(Vec::into_iter(due).map(|(_, event): (u64, Event)| event));
            if next == hear {
                self.hear();
            }
            self.settle();
        }
        self.mono = end;
        self.settle();
    }

    fn hear(&mut self) {
        for kind in Kind::ALL {
            if !self.silent.contains(&kind) {
                self.events.push_back(Event::Heard(kind));
            }
        }
    }

    // ------------------------------------------------------------ the process

    pub fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn step(&mut self, event: Event) {
        let effects = self.engine.step(event, self.now());
        for effect in effects {
            self.carry(effect);
        }
    }

    /// The process dies and starts anew; it lists everything and leads.
    pub fn restart(&mut self) {
        self.die();
        self.list_all();
        self.event(Event::Leading(Some(Term(1))));
        self.settle();
    }

    /// The process dies; whatever was under way never comes back.
    pub fn die(&mut self) {
        self.engine = Patrol::new(self.config.clone());
        self.events.clear();
        self.later.clear();
    }

    /// A new process leads, and the policy of this name is all that it cannot decode.
    pub fn lead_without_policy(&mut self, name: &str) {
        self.event(Event::ListStarted(Kind::PatrolPolicy));
        self.garble(Kind::PatrolPolicy, &key("", name));
        self.event(Event::ListFinished(Kind::PatrolPolicy));
        for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::PatrolPolicy) {
            self.list(kind);
        }
        self.event(Event::Leading(Some(Term(1))));
    }

    pub fn list_all(&mut self) {
        for kind in Kind::ALL {
            self.list(kind);
        }
    }

    /// Kinds, and objects of each, in an order of their own.
    pub fn list_all_shuffled(&mut self, place: impl Fn(&str) -> u64) {
        let mut kinds = Kind::ALL;
        kinds.sort_by_key(|kind| place(kind.info().kind));
        for kind in kinds {
            self.list_in(kind, &|key| place(&key.to_string()));
        }
    }

    pub fn list(&mut self, kind: Kind) {
        self.list_in(kind, &|_| 0);
    }

    fn list_in(&mut self, kind: Kind, place: &dyn Fn(&ObjectKey) -> u64) {
        self.events.push_back(Event::ListStarted(kind));
        let of_kind = self.server.objects.iter().filter(|((k, _), _)| *k == kind);
        let mut objects: Vec<(u64, Value)> = of_kind
            .map(|((_, key), v)| (place(key), v.clone()))
            .collect();
        objects.sort_by_key(|(place, _)| *place);
        let objects = objects.into_iter().map(|(_, value)| value);
        for value in objects {
            self.seen(kind, &value);
        }
        self.events.push_back(Event::ListFinished(kind));
    }

    fn seen(&mut self, kind: Kind, value: &Value) {
        if self.silent.contains(&kind) {
            return;
        }
        let event = match decode_value(kind, value) {
            Ok(observed) => Event::Seen(Box::new(observed)),
            Err(error) => Event::Undecodable(error),
        };
        self.events.push_back(event);
    }

    // ------------------------------------------------------------ users

    pub fn apply(&mut self, kind: Kind, key: &ObjectKey, value: Value) {
        let now = self.wall().to_string();
        let value = self.server.apply(kind, key, value, &now);
        self.seen(kind, &value);
    }

    pub fn edit(&mut self, kind: Kind, key: &ObjectKey, change: impl FnOnce(&mut Value)) {
        let before = self.server.get(kind, key).cloned().expect("it is there");
        let value = self.server.edit(kind, key, before, change);
        self.seen(kind, &value);
    }

    pub fn delete(&mut self, kind: Kind, key: &ObjectKey) {
        if self.server.delete(kind, key).is_some() && !self.silent.contains(&kind) {
            self.events.push_back(Event::Gone(kind, key.clone()));
        }
    }

    pub fn namespace(&mut self, name: &str, labels: Value) {
        let value = json!({"metadata": {"labels": labels}});
        self.apply(Kind::Namespace, &key("", name), value);
    }

    /// A pod `namespace/name` with labels.
    pub fn pod(&mut self, place: &str, labels: Value) {
        let value = json!({"metadata": {"labels": labels}, "spec": {"containers": []}});
        self.apply(Kind::Pod, &place_of(place), value);
    }

    pub fn node(&mut self, name: &str, labels: Value) {
        self.apply(
            Kind::Node,
            &key("", name),
            json!({"metadata": {"labels": labels}}),
        );
    }

    /// The usual policy, with what `spec` says instead.
    pub fn policy(&mut self, name: &str, spec: Value) {
        let mut whole = json!({
            "schedule": {"every": "15m"},
            "baselines": ["test"],
            "alerts": {"receivers": [{"name": "soc"}]},
        });
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        self.apply(Kind::PatrolPolicy, &key("", name), json!({"spec": whole}));
    }

    pub fn delete_policy(&mut self, name: &str) {
        let at = key("", name);
        let policy = self.server.get(Kind::PatrolPolicy, &at).cloned().unwrap();
        let kept = policy["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|f| !f.is_empty());
        if kept {
            let now = self.wall().to_string();
            self.edit(Kind::PatrolPolicy, &at, |p| {
                p["metadata"]["deletionTimestamp"] = json!(now);
            });
        } else {
            self.delete(Kind::PatrolPolicy, &at);
        }
    }

    pub fn receiver(&mut self, name: &str, spec: Value) {
        let mut whole = json!({"webhook": {"url": format!("https://{name}.example.com/")}});
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        self.apply(Kind::AlertReceiver, &key("", name), json!({"spec": whole}));
    }

    /// A namespace ends: its pods, then its tickets, then itself.
    pub fn end_namespace(&mut self, name: &str) {
        self.server.terminating.insert(name.into());
        for kind in [Kind::Ticket, Kind::Pod] {
            let keys: Vec<ObjectKey> = self.keys(kind, name);
            for key in keys {
                self.delete(kind, &key);
            }
            self.settle();
        }
        self.delete(Kind::Namespace, &key("", name));
        self.settle();
    }

    pub fn keys(&self, kind: Kind, namespace: &str) -> Vec<ObjectKey> {
        self.server
            .objects
            .keys()
            .filter(|(k, key)| *k == kind && key.namespace.as_str() == namespace)
            .map(|(_, key)| key.clone())
            .collect()
    }

    pub fn fate(&mut self, operation: &'static str, fates: impl IntoIterator<Item = Fate>) {
        self.fates.entry(operation).or_default().extend(fates);
    }

    pub fn mood(&mut self, receiver: &str, mood: Mood) {
        self.moods.insert(receiver.into(), mood);
    }

    // ------------------------------------------------------------ what it shows

    pub fn tickets(&self) -> Vec<Ticket> {
        self.server
            .objects
            .iter()
            .filter(|((kind, _), _)| *kind == Kind::Ticket)
            .filter_map(|(_, value)| serde_json::from_value(value.clone()).ok())
            .collect()
    }

    /// The ticket about a subject, by `namespace/name` or name.
    pub fn find(&self, subject: &str) -> Option<Ticket> {
        let at = place_of(subject);
        self.tickets().into_iter().find(|t| {
            let s = &t.spec.finding.subject;
            s.name == *at.name && s.namespace.as_deref().unwrap_or("") == at.namespace.as_str()
        })
    }

    pub fn ticket(&self, subject: &str) -> Ticket {
        self.find(subject)
            .unwrap_or_else(|| panic!("no ticket about {subject}"))
    }

    pub fn ticket_key(&self, subject: &str) -> ObjectKey {
        let ticket = self.ticket(subject);
        key(
            ticket.metadata.namespace.as_deref().unwrap(),
            ticket.metadata.name.as_deref().unwrap(),
        )
    }

    /// The stored status; the default before it is written.
    pub fn status(&self, subject: &str) -> TicketStatus {
        self.ticket(subject).status.unwrap_or_default()
    }

    pub fn open(&self) -> usize {
        let open = |t: &&Ticket| {
            let phase = t.status.as_ref().map(|s| s.phase.as_str());
            phase.is_none_or(|p| p != "Resolved")
        };
        self.tickets().iter().filter(open).count()
    }

    pub fn policy_status(&self, name: &str) -> PatrolPolicyStatus {
        let value = self.server.get(Kind::PatrolPolicy, &key("", name)).unwrap();
        value
            .get("status")
            .map(|s| serde_json::from_value(s.clone()).unwrap())
            .unwrap_or_default()
    }

    /// `True(Reason)` of a condition; `name` is a name or `namespace/name`.
    pub fn condition(&self, kind: Kind, name: &str, condition: &str) -> String {
        let value = self.server.get(kind, &place_of_name(name)).unwrap();
        let conditions = value["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .find(|c| text(c, "/type") == condition)
            .map(|c| format!("{}({})", text(c, "/status"), text(c, "/reason")))
            .unwrap_or_default()
    }

    pub fn says(&self, policy: &str, condition: &str) -> String {
        self.condition(Kind::PatrolPolicy, policy, condition)
    }

    /// What a receiver was told of a subject: `Firing 1.1.1 Opened`.
    pub fn told(&self, receiver: &str, subject: &str) -> Vec<String> {
        let at = place_of(subject);
        self.taken
            .iter()
            .filter(|t| t.receiver == receiver && t.ticket.subject.name == *at.name)
            .map(|t| {
                let n = &t.ticket;
                format!("{} {}.{}.{} {}", n.state, n.episode, n.seq, n.n, n.reason)
            })
            .collect()
    }

    /// The engine in numbers.
    pub fn snapshot(&self) -> Snapshot {
        self.engine.snapshot(self.now())
    }

    /// Names of the subjects that a receiver was told of, once each.
    pub fn told_subjects(&self, receiver: &str) -> BTreeSet<String> {
        let of = |t: &&Taken| t.receiver == receiver;
        let taken = self.taken.iter().filter(of);
        taken.map(|t| t.ticket.subject.name.clone()).collect()
    }

    /// What was written after so many writes.
    pub fn writes_since(&self, before: usize) -> Vec<&str> {
        let writes = self.writes.iter().skip(before);
        writes.map(|(_, what)| what.as_str()).collect()
    }

    // ------------------------------------------------------------ effects

    fn carry(&mut self, effect: Effect) {
        match effect {
            Effect::CreateTicket { id, ticket } => {
                let value = serde_json::to_value(&*ticket).unwrap();
                let at = key(
                    text(&value, "/metadata/namespace"),
                    text(&value, "/metadata/name"),
                );
                let now = self.wall().to_string();
                self.write("create", id, &at.clone(), Kind::Ticket, move |world| {
                    world.server.create(Kind::Ticket, &at, value, &now)
                });
            }
            Effect::WriteTicketStatus { id, at, status } => {
                let mut status = serde_json::to_value(&*status).unwrap();
                if let Some(rewrite) = self.rewrite {
                    rewrite(&mut status);
                }
                self.change("status", id, Kind::Ticket, at, move |t| {
                    t["status"] = status
                });
            }
            Effect::WriteTicketLabels { id, at, labels } => {
                self.change("labels", id, Kind::Ticket, at, move |t| {
                    for (k, v) in labels {
                        t["metadata"]["labels"][k] = json!(v);
                    }
                });
            }
            Effect::DeleteTicket { id, at } => self.delete_ticket(id, &at),
            Effect::ReadTicket { id, key } => self.read_ticket(id, &key),
            Effect::WritePolicyStatus { id, at, status } => {
                let status = serde_json::to_value(&*status).unwrap();
                self.change("policy", id, Kind::PatrolPolicy, at, move |p| {
                    p["status"] = status;
                });
            }
            Effect::WritePolicyFinalizer { id, at, present } => {
                let name = at.key.clone();
                self.change("finalizer", id, Kind::PatrolPolicy, at, move |p| {
                    let list = if present {
                        vec!["kubepatrol.io/closing"]
                    } else {
                        vec![]
                    };
                    p["metadata"]["finalizers"] = json!(list);
                });
                self.end_policy(&name);
            }
            Effect::WriteReceiverStatus { id, at, status } => {
                let status = serde_json::to_value(&*status).unwrap();
                self.change("receiver", id, Kind::AlertReceiver, at, move |r| {
                    r["status"] = status;
                });
            }
            Effect::WriteWaiverStatus { id, at, status } => {
                let status = serde_json::to_value(&*status).unwrap();
                self.change("waiver", id, Kind::TicketWaiver, at, move |w| {
                    w["status"] = status;
                });
            }
            Effect::Send {
                id,
                target,
                notice,
                room,
            } => {
                self.in_few_words = target.minimal;
                self.rooms.push(room.now);
                self.pause = room.then;
                self.address = match target.endpoint {
                    Endpoint::Webhook(webhook) => webhook.url.unwrap_or_default(),
                    other => other.kind().as_str().to_owned(),
                };
                let messages = match room.then {
                    Some(_) => usize::MAX,
                    None => room.now,
                };
                self.deliver(id, target.name, *notice, messages);
            }
            Effect::Review(kinds) => {
                let answer = |kind: &Kind| match self.denied.contains(kind) {
                    true => Err(Blindness::Denied("list".into())),
                    false => Ok(()),
                };
                let answers = kinds.iter().map(|kind| (*kind, answer(kind))).collect();
                if self.reviews_answered {
                    self.events.push_back(Event::Reviewed(answers));
                }
            }
            Effect::Count(_) => {}
            Effect::Announce(a) => self.announced.push(format!("{} {}", a.reason, a.note)),
            Effect::WakeAt(at) => self.wake = at,
        }
    }

    fn end_policy(&mut self, at: &ObjectKey) {
        let over = self.server.get(Kind::PatrolPolicy, at).is_some_and(|p| {
            p["metadata"]["deletionTimestamp"].is_string()
                && p["metadata"]["finalizers"]
                    .as_array()
                    .is_none_or(Vec::is_empty)
        });
        if over {
            self.delete(Kind::PatrolPolicy, at);
        }
    }

    fn change(
        &mut self,
        operation: &'static str,
        id: WriteId,
        kind: Kind,
        at: Precondition,
        change: impl FnOnce(&mut Value) + 'static,
    ) {
        let place = at.key.clone();
        self.write(operation, id, &place, kind, move |world| {
            world.server.change(kind, &at, change)
        });
    }

    fn write(
        &mut self,
        operation: &'static str,
        id: WriteId,
        at: &ObjectKey,
        kind: Kind,
        apply: impl FnOnce(&mut Self) -> Result<Value, No>,
    ) {
        self.writes
            .push((Mono(self.mono), format!("{operation} {at}")));
        let fate = self.fates.get_mut(operation).and_then(VecDeque::pop_front);
        match fate {
            Some(Fate::Answer(result)) => {
                self.events.push_back(Event::Written(id, result));
                return;
            }
            Some(Fate::Lost) => return,
            Some(Fate::Unanswered) | None => {}
        }
        let result = match apply(self) {
            Ok(value) => {
                self.seen(kind, &value);
                WriteResult::Done(written(kind, value))
            }
            Err(No::Exists) => {
                let there = self.server.get(kind, at).cloned();
                WriteResult::Exists(there.and_then(|v| serde_json::from_value(v).ok()))
            }
            Err(No::Conflict) => WriteResult::Conflict,
            Err(No::NotFound) => WriteResult::NotFound,
            Err(No::Terminating) => WriteResult::Refused(Refusal::NamespaceTerminating),
        };
        if fate.is_none() {
            self.events.push_back(Event::Written(id, result));
        }
    }

    fn delete_ticket(&mut self, id: WriteId, at: &Precondition) {
        let place = at.key.clone();
        self.writes
            .push((Mono(self.mono), format!("delete {place}")));
        let result = match self.server.change(Kind::Ticket, at, |_| {}) {
            Ok(_) => {
                self.delete(Kind::Ticket, &place);
                WriteResult::Done(Written::Nothing)
            }
            Err(No::NotFound) => WriteResult::NotFound,
            Err(_) => WriteResult::Conflict,
        };
        self.events.push_back(Event::Written(id, result));
    }

    fn read_ticket(&mut self, id: WriteId, at: &ObjectKey) {
        self.writes.push((Mono(self.mono), format!("read {at}")));
        let result = match self.server.get(Kind::Ticket, at).cloned() {
            Some(value) => match serde_json::from_value(value.clone()) {
                Ok(ticket) => WriteResult::Done(Written::Ticket(ticket)),
                // Said to be undecodable.
                Err(_) => {
                    self.seen(Kind::Ticket, &value);
                    WriteResult::Done(Written::Nothing)
                }
            },
            None => WriteResult::NotFound,
        };
        self.events.push_back(Event::Written(id, result));
    }

    fn deliver(&mut self, id: DeliveryId, receiver: String, notice: Notice, messages: usize) {
        self.sent
            .push((Mono(self.mono), receiver.clone(), notice.clone()));
        let mood = self.moods.get(&receiver).cloned().unwrap_or(Mood::Accept);
        if self.in_few_words {
            let subject = |t: &NoticeTicket| (receiver.clone(), t.subject.name.clone());
            self.few.extend(notice.tickets.iter().map(subject));
        }
        let refused = |name: &str| notice.tickets.iter().any(|t| t.subject.name == name);
        let (class, after) = match mood {
            Mood::Accept | Mood::InParts(_) | Mood::Most(_) => (DeliveryClass::Accepted, Some(0)),
            Mood::Answer(class) => (class, Some(0)),
            Mood::Unanswered => (DeliveryClass::Accepted, None),
            Mood::Mumble => (DeliveryClass::Transient, Some(0)),
            Mood::Slow(span) => (DeliveryClass::Accepted, Some(span.as_millis())),
            Mood::Refuse(name) if refused(name) => (DeliveryClass::Payload, Some(0)),
            Mood::RefuseWords(name) if refused(name) && !self.in_few_words => {
                (DeliveryClass::Payload, Some(0))
            }
            Mood::Refuse(_) | Mood::RefuseWords(_) | Mood::Dice(_) | Mood::Shaky(_) => {
                (DeliveryClass::Accepted, Some(0))
            }
        };
        if let Mood::Dice(seed) = mood {
            let parts = self.throw(seed, &receiver, &notice, messages);
            self.events.push_back(Event::Delivered(id, parts));
            return;
        }
        if let Mood::Shaky(seed) = mood {
            let (parts, after) = self.shake(seed, &receiver, &notice, messages);
            let answer = (self.mono + after, Event::Delivered(id, parts));
            self.later.push(answer);
            return;
        }
        let all = notice.tickets.len();
        let size = match self.moods.get(&receiver) {
            Some(Mood::InParts(count)) => all.div_ceil(*count),
            Some(Mood::Most(size)) => *size,
            _ => all,
        };
        let size = size.max(1);
        let part = |tickets: &[NoticeTicket]| PartOutcome {
            event_ids: tickets.iter().map(|t| t.event_id.clone()).collect(),
            by_number: 0,
            class,
            at: self.wall(),
        };
        let parts: Vec<PartOutcome> = match notice.tickets.is_empty() {
            true => vec![part(&[])],
            false => notice
                .tickets
                .chunks(size)
                .take(messages)
                .map(part)
                .collect(),
        };
        if class == DeliveryClass::Accepted
            || matches!(self.moods.get(&receiver), Some(Mood::Mumble))
        {
            let taken = notice.tickets.iter().take(size.saturating_mul(messages));
            self.taken.extend(taken.map(|ticket| Taken {
                receiver: receiver.clone(),
                ticket: ticket.clone(),
            }));
        }
        self.messages += parts.len();
        match after {
            None => {}
            Some(0) => self.events.push_back(Event::Delivered(id, parts)),
            Some(ms) => self
                .later
                .push((self.mono + ms, Event::Delivered(id, parts))),
        }
    }

    /// Parts of forty up to the first that fails, and when that is known.
    fn shake(
        &mut self,
        seed: u64,
        receiver: &str,
        notice: &Notice,
        messages: usize,
    ) -> (Vec<PartOutcome>, u64) {
        let (mut parts, mut after) = (vec![], 0);
        for (at, tickets) in notice.tickets.chunks(40).enumerate() {
            if at >= messages {
                match self.pause {
                    Some(pause) => after += pause.as_millis(),
                    None => break,
                }
            }
            self.messages += 1;
            let n = u64::try_from(self.messages).unwrap();
            let (class, took) = match hash64(&[&seed.to_be_bytes(), &n.to_be_bytes()]) % 100 {
                0..10 => (DeliveryClass::Transient, 50),
                10..15 => (DeliveryClass::Transient, 10_000),
                _ => (DeliveryClass::Accepted, 50),
            };
            after += took;
            parts.push(PartOutcome {
                event_ids: tickets.iter().map(|t| t.event_id.clone()).collect(),
                by_number: 0,
                class,
                at: self.wall().plus(Span::millis(after)),
            });
            if class != DeliveryClass::Accepted {
                break;
            }
            self.taken.extend(tickets.iter().map(|ticket| Taken {
                receiver: receiver.to_owned(),
                ticket: ticket.clone(),
            }));
        }
        (parts, after)
    }

    /// Parts of any size with any answers, up to the first that is not accepted.
    fn throw(
        &mut self,
        seed: u64,
        receiver: &str,
        notice: &Notice,
        messages: usize,
    ) -> Vec<PartOutcome> {
        let mut parts = vec![];
        let mut rest = &notice.tickets[..];
        while !rest.is_empty() && parts.len() < messages {
            self.messages += 1;
            let dice = |what: &str, of: u64| {
                let n = u64::try_from(self.messages).unwrap();
                hash64(&[&seed.to_be_bytes(), &n.to_be_bytes(), what.as_bytes()]) % of
            };
            let size = usize::try_from(1 + dice("size", 9))
                .unwrap()
                .min(rest.len());
            let (now, later) = rest.split_at(size);
            let (class, taken) = match dice("class", 8) {
                0 => (DeliveryClass::Throttled(Some(Span::seconds(2))), false),
                1 => (DeliveryClass::Payload, false),
                2 => (DeliveryClass::Transient, false),
                3 => (DeliveryClass::Transient, true),
                _ => (DeliveryClass::Accepted, true),
            };
            if taken {
                self.taken.extend(now.iter().map(|ticket| Taken {
                    receiver: receiver.to_owned(),
                    ticket: ticket.clone(),
                }));
            }
            parts.push(PartOutcome {
                event_ids: now.iter().map(|t| t.event_id.clone()).collect(),
                by_number: 0,
                class,
                at: self.wall(),
            });
            if class != DeliveryClass::Accepted {
                break;
            }
            rest = later;
        }
        parts
    }

    /// An object that exists and cannot be decoded.
    pub fn garble(&mut self, kind: Kind, at: &ObjectKey) {
        self.events.push_back(Event::Undecodable(DecodeError {
            kind,
            key: Some(at.clone()),
            reason: "garbled".into(),
        }));
    }
}

fn written(kind: Kind, value: Value) -> Written {
    match kind {
        Kind::Ticket => Written::Ticket(Box::new(serde_json::from_value(value).unwrap())),
        Kind::PatrolPolicy => Written::Policy(Box::new(serde_json::from_value(value).unwrap())),
        _ => Written::Receiver(Box::new(serde_json::from_value(value).unwrap())),
    }
}

fn place_of(place: &str) -> ObjectKey {
    match place.split_once('/') {
        Some((namespace, name)) => key(namespace, name),
        None => key("", place),
    }
}

fn place_of_name(name: &str) -> ObjectKey {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    key(namespace, name)
}
