//! What happened in a run: what receivers took, what was written, and what upset a
//! process. The invariants read it; nothing in a run depends on it.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Time;
use patrol_api::waiver::TicketWaiver;
use patrol_api::words::{AlertReason, Severity, ToldState};
use patrol_core::effect::Target;
use patrol_core::event::{DeliveryClass, DeliveryId, PartOutcome};
use patrol_core::facts::ObjectKey;
use patrol_core::notice::{Notice, NoticeTicket};

/// A delivery that is not answered within this time counts as lost.
pub const LOST_AFTER: u64 = 60_000;

/// One telling that a receiver took.
#[derive(Clone, Debug)]
pub struct Taken {
    /// When.
    pub at: u64,
    /// When its process asked for it to be sent.
    pub asked: u64,
    /// The process that sent it.
    pub pid: usize,
    /// And its life.
    pub life: u32,
    /// Place of the ticket.
    pub place: ObjectKey,
    /// UID of the ticket.
    pub ticket_uid: String,
    /// UID of the receiver.
    pub receiver: String,
    /// Name of the receiver.
    pub receiver_name: String,
    /// Id of the telling.
    pub event_id: String,
    /// Firing or Closed.
    pub state: ToldState,
    /// Why.
    pub reason: AlertReason,
    /// Episode, edge and telling of it.
    pub rank: (u64, u64, u64),
    /// The delivery it came with.
    pub delivery: DeliveryId,
    /// Whether the sender learnt in time that it was taken.
    pub known: bool,
    /// Whether the shell sent it twice of its own accord.
    pub repeated: bool,
    /// Whether it begins an incident: what was told under another one is told again.
    pub begins: bool,
}

/// Kinds of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrote {
    /// POST of a ticket.
    Create,
    /// A ticket's status.
    Status,
    /// A ticket's status, in nothing but its ledger.
    Ledger,
    /// A ticket's labels.
    Labels,
    /// DELETE of a ticket.
    Delete,
    /// A policy's status.
    Policy,
    /// A policy's finalizer.
    Finalizer,
    /// A receiver's status.
    Receiver,
    /// A waiver's status.
    Waiver,
}

/// One write that the server carried out.
#[derive(Clone, Debug)]
pub struct Write {
    /// When.
    pub at: u64,
    /// What.
    pub what: Wrote,
    /// On which object.
    pub key: ObjectKey,
    /// Whether the object changed.
    pub changed: bool,
}

/// How far a ticket's history ever was.
#[derive(Clone, Debug)]
pub struct HighWater {
    /// The last status that the product wrote.
    pub status: TicketStatus,
    /// Someone else wrote the status since, at this time.
    pub forged: Option<u64>,
    /// The object was deleted by someone else, at this time.
    pub deleted: Option<u64>,
}

/// A stored status in which reminders rest.
#[derive(Clone, Debug)]
pub struct Paused {
    /// When it was stored first.
    pub at: u64,
    /// By which process, in which life.
    pub by: (usize, u32),
    /// Episode and edge.
    pub edge: (u64, u64),
    /// UID of the ticket.
    pub uid: String,
    /// The waiver it is under.
    pub waiver: Option<String>,
    /// Whether the edge is told all the same: a time that must not pass in silence passed.
    pub urgent: bool,
}

/// A pause that somebody asked for.
#[derive(Clone, Debug)]
pub struct Wished {
    /// When.
    pub at: Time,
    /// Of which ticket: its UID.
    pub uid: String,
    /// `acknowledge` or `snooze`.
    pub field: &'static str,
    /// Until when.
    pub until: Time,
}

/// A group of tickets at a receiver: its UID, the policy, and the group's labels.
pub type Group = (String, String, Vec<(String, String)>);

/// An incident at a receiver, as its last message left it.
#[derive(Clone, Copy, Debug)]
pub struct Incident {
    /// Whether it stands.
    pub open: bool,
    /// When that message was asked for.
    pub asked: u64,
    /// When it was taken.
    pub at: u64,
    /// Which of the group's it is.
    pub number: u64,
    /// Whether the receiver was told that people took all its tickets.
    pub acknowledged: bool,
}

/// What receivers hold incidents for.
#[derive(Debug, Default)]
pub struct Incidents(pub BTreeMap<Group, Incident>);

impl Incidents {
    /// Whether a receiver holds one for the group of a notice.
    #[must_use]
    pub fn stands(&self, target: &Target, notice: &Notice) -> bool {
        self.held(target, notice).is_some_and(|held| held.open)
    }

    /// What a receiver holds for the group of a notice.
    #[must_use]
    pub fn held(&self, target: &Target, notice: &Notice) -> Option<Incident> {
        let group = (
            target.uid.clone(),
            notice.policy.clone(),
            notice.group.labels.clone(),
        );
        self.0.get(&group).copied()
    }

    /// A receiver takes a message about a group.
    pub fn take(&mut self, target: &Target, notice: &Notice, asked: u64, now: u64) {
        let group = (
            target.uid.clone(),
            notice.policy.clone(),
            notice.group.labels.clone(),
        );
        // A copy that was overtaken on its way says nothing new.
        let overtaken = self.0.get(&group).is_some_and(|held| held.asked > asked);
        if !overtaken {
            let before = self.0.get(&group);
            let same = before.filter(|held| held.open && held.number == notice.incident);
            let incident = Incident {
                open: notice.standing > 0,
                asked,
                at: now,
                number: notice.incident,
                acknowledged: notice.acknowledges || same.is_some_and(|held| held.acknowledged),
            };
            self.0.insert(group, incident);
        }
    }
}

/// The account of a run.
#[derive(Debug, Default)]
pub struct Book {
    /// Tellings taken, in order.
    pub taken: Vec<Taken>,
    /// Writes carried out, in order.
    pub writes: Vec<Write>,
    /// When each delivery was asked for, by process and life.
    pub sends: BTreeMap<(usize, u32, DeliveryId), u64>,
    /// Those of them that were answered.
    answered: BTreeSet<(usize, u32, DeliveryId)>,
    /// Tellings whose content a receiver refused, by ticket and receiver, and when: they
    /// are tried again after an hour.
    pub parked: BTreeMap<(ObjectKey, String), u64>,
    /// Policy of every ticket and when it was asked for, by place.
    pub policies: BTreeMap<ObjectKey, (String, u64)>,
    /// Firing tellings that were sent, whatever became of them: ticket, receiver, episode
    /// and edge.
    pub tried: BTreeSet<(ObjectKey, String, u64, u64)>,
    /// When someone else deleted or forged a ticket, by place, in order.
    pub meddled: BTreeMap<ObjectKey, Vec<u64>>,
    /// When memory was lost: crashes and changes of leader.
    pub upsets: Vec<u64>,
    /// From when until when the kind of tickets was not installed: nobody saw what happened to them.
    pub tickets_missing: Vec<(u64, u64)>,
    /// When the wall clock jumped.
    pub jumps: Vec<u64>,
    /// How far each ticket was, by place.
    pub high: BTreeMap<ObjectKey, HighWater>,
    /// Places whose ticket was away when a telling of it was taken, so that nobody could
    /// write it down.
    pub unrecorded: BTreeSet<ObjectKey>,
    /// When a policy was last edited or deleted, by name.
    pub edited: BTreeMap<String, u64>,
    /// Firing tellings that some stored status ever mentioned: ticket, receiver, episode
    /// and edge.
    pub recorded: BTreeSet<(ObjectKey, String, u64, u64)>,
    /// The severities of each ticket as they were stored, and since when, by place.
    pub severities: BTreeMap<ObjectKey, Vec<(u64, Option<Severity>)>>,
    /// When routes changed: a policy or a receiver was edited, made or deleted.
    pub rerouted: Vec<u64>,
    /// Receivers that at some time did not want to be told of ends.
    pub unwilling: BTreeSet<String>,
    /// When somebody last wrote or deleted a waiver, by place.
    pub waiver_edits: BTreeMap<ObjectKey, u64>,
    /// The last readable edition of each waiver there is, by place.
    pub waivers: BTreeMap<ObjectKey, TicketWaiver>,
    /// Pauses that were asked for, in order.
    pub wishes: Vec<Wished>,
    /// When a pause or a waiver that somebody wrote ends, if no clock jumps.
    pub overlay_ends: Vec<u64>,
    /// Since when, by whom and at which edge a stored status has been in each phase that pauses
    /// reminders, by place.
    pub pauses: BTreeMap<ObjectKey, Vec<Paused>>,
    /// When a kind of things last went wrong that only time heals.
    pub last_trouble: u64,
    /// What receivers hold incidents for.
    pub incidents: Incidents,
    /// Counters, for the report.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Book {
    /// Counts.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A process learns what became of a delivery. What comes after a minute comes too
    /// late: it has given the delivery up by then.
    pub fn learn(
        &mut self,
        pid: usize,
        life: u32,
        id: DeliveryId,
        parts: &[PartOutcome],
        now: u64,
    ) {
        // A delivery that was sent twice is answered twice; the first answer ends it.
        let Some(&sent) = self.sends.get(&(pid, life, id)) else {
            return;
        };
        if !self.answered.insert((pid, life, id)) {
            return;
        }
        if now >= sent + LOST_AFTER {
            return;
        }
        let accepted = |event: &String| {
            parts
                .iter()
                .any(|p| p.class == DeliveryClass::Accepted && p.event_ids.contains(event))
        };
        for taken in self.taken.iter_mut().rev().take_while(|t| t.at >= sent) {
            if (taken.pid, taken.life, taken.delivery) == (pid, life, id) {
                taken.known |= accepted(&taken.event_id);
            }
        }
    }

    /// A ticket is asked for.
    pub fn opened(&mut self, ticket: &Ticket, now: u64) {
        let place = ObjectKey::new(
            ticket.metadata.namespace.as_deref().unwrap_or(""),
            ticket.metadata.name.as_deref().unwrap_or(""),
        );
        self.policies
            .entry(place)
            .or_insert_with(|| (ticket.spec.finding.policy.clone(), now));
    }

    /// A delivery is asked for.
    pub fn sent(&mut self, receiver: &str, tickets: &[NoticeTicket]) {
        for ticket in tickets.iter().filter(|t| t.state == ToldState::Firing) {
            let place = ObjectKey::new(&ticket.namespace, &ticket.name);
            self.tried
                .insert((place, receiver.to_owned(), ticket.episode, ticket.seq));
        }
    }

    /// Whether a receiver may have been told that a ticket fires for all that its process
    /// knew: it tried, or whoever led before may have.
    #[must_use]
    pub fn may_be_told(&self, place: &ObjectKey, receiver: &str, episode: u64, seq: u64) -> bool {
        let tried = (place.clone(), receiver.to_owned(), episode, seq);
        let opened = self.policies.get(place).map_or(0, |(_, at)| *at);
        // A new leader takes every ticket of its first minute for one of the old.
        self.tried.contains(&tried) || self.upset_since(opened.saturating_sub(70_000))
    }

    /// Whether what happened to a ticket at this time may have been missed: memory was lost
    /// since, or shortly before, so that a process was still learning what there is.
    #[must_use]
    pub fn may_be_missed(&self, at: u64) -> bool {
        let hidden = self
            .tickets_missing
            .iter()
            .find(|(from, to)| (*from..=*to).contains(&at));
        let learning = hidden.map_or(at, |(from, _)| *from);
        self.upset_since(learning.saturating_sub(60_000))
    }

    /// Whether a ticket was critical at any time from `since` on, as it was stored.
    #[must_use]
    pub fn was_critical(&self, place: &ObjectKey, since: u64) -> bool {
        let Some(severities) = self.severities.get(place) else {
            return false;
        };
        let first = severities.partition_point(|(at, _)| *at <= since);
        let mut lately = severities.iter().skip(first.saturating_sub(1));
        lately.any(|(_, severity)| *severity == Some(Severity::Critical))
    }

    /// A status is stored.
    pub fn stored(&mut self, place: &ObjectKey, status: &TicketStatus, now: u64) {
        let severities = self.severities.entry(place.clone()).or_default();
        if severities.last().map(|(_, severity)| *severity) != Some(status.severity) {
            severities.push((now, status.severity));
        }
        for r in status
            .alerts
            .iter()
            .filter(|r| r.state == ToldState::Firing)
        {
            self.recorded
                .insert((place.clone(), r.uid.clone(), r.episode, r.seq));
        }
    }

    /// Whether a process learnt what there is, after one died, while routes were others than
    /// when a telling was taken `at`: nobody then knows to whom it may have gone.
    #[must_use]
    pub fn lost_the_way(&self, at: u64) -> bool {
        // A process may tell under routes that were edited up to two minutes ago.
        let edits = self.rerouted.iter().filter(|edit| **edit + 120_000 >= at);
        let last_upset = self.upsets.iter().filter(|upset| **upset >= at).max();
        last_upset.is_some_and(|upset| edits.min().is_some_and(|edit| *edit <= upset + 60_000))
    }

    /// Whether memory was lost at or after `since`.
    #[must_use]
    pub fn upset_since(&self, since: u64) -> bool {
        self.upsets.iter().any(|at| *at >= since)
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: &'static str,
    /// When, in milliseconds of the run.
    pub at: u64,
    /// How.
    pub how: String,
}
