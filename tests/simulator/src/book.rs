//! What happened in a run: what receivers took, what was written, and what upset a
//! process. The invariants read it; nothing in a run depends on it.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::TicketStatus;
use patrol_api::words::ToldState;
use patrol_core::facts::ObjectKey;

/// One telling that a receiver took.
#[derive(Clone, Debug)]
pub struct Taken {
    /// When.
    pub at: u64,
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
    /// Episode, edge and telling of it.
    pub rank: (u64, u64, u64),
    /// Whether the sender learnt that it was taken.
    pub known: bool,
    /// Whether the shell sent it twice of its own accord.
    pub repeated: bool,
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

/// The account of a run.
#[derive(Debug, Default)]
pub struct Book {
    /// Tellings taken, in order.
    pub taken: Vec<Taken>,
    /// Writes carried out, in order.
    pub writes: Vec<Write>,
    /// When memory was lost: crashes and changes of leader.
    pub upsets: Vec<u64>,
    /// When the wall clock jumped.
    pub jumps: Vec<u64>,
    /// How far each ticket was, by place.
    pub high: BTreeMap<ObjectKey, HighWater>,
    /// Places whose ticket was away when a telling of it was taken, so that nobody could
    /// write it down.
    pub unrecorded: BTreeSet<ObjectKey>,
    /// Receivers that at some time did not want to be told of ends.
    pub unwilling: BTreeSet<String>,
    /// When a kind of things last went wrong that only time heals.
    pub last_trouble: u64,
    /// Counters, for the report.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Book {
    /// Counts.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
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
