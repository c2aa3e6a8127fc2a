//! Everything that can reach the engine: one enum.
//!
//! Events may arrive late, twice or out of order; the engine must keep its promises all
//! the same.

use std::collections::BTreeMap;

use patrol_api::policy::PatrolPolicy;
use patrol_api::receiver::AlertReceiver;
use patrol_api::ticket::Ticket;
use patrol_api::time::{Span, Time};
use patrol_api::waiver::TicketWaiver;

use crate::facts::{DecodeError, ObjectKey, Observed};
use crate::inventory::{Blindness, Instances};
use crate::kind::Kind;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// An object was added or changed, or a list mentioned it.
    Seen(Box<Observed>),
    /// An object was deleted.
    Gone(Kind, ObjectKey),
    /// An object exists and cannot be decoded.
    Undecodable(DecodeError),
    /// A complete list of a kind begins.
    ListStarted(Kind),
    /// The list ended; it mentioned everything there is.
    ListFinished(Kind),
    /// The watch of a kind is alive (bookmark, or a reconnect that was answered).
    Heard(Kind),
    /// A kind can no longer be seen.
    Lost(Kind, Blindness),
    /// A kind is not installed. Of kinds that every cluster has it means that they cannot
    /// be seen.
    NotInstalled(Kind),
    /// Objects of a CRD were counted.
    Counted(String, Instances),
    /// The access reviews of [`Effect::Review`](crate::effect::Effect::Review) came back:
    /// for every kind asked, `Ok` or why it cannot be read.
    Reviewed(BTreeMap<Kind, Result<(), Blindness>>),
    /// A write ended.
    Written(WriteId, WriteResult),
    /// A delivery ended: for each part, the events it told and what became of it.
    Delivered(DeliveryId, Vec<PartOutcome>),
    /// The Secrets that a receiver names, by its name, are others than those it was last tried with, and can all be read.
    CredentialsChanged(String),
    /// The wall clock is so many seconds ahead of the API server's (behind: negative). Said when that begins to matter,
    /// when it changes much, and, as 0, when it is over.
    Skewed(i64),
    /// Leadership was gained, for this term, or lost.
    Leading(Option<Term>),
    /// Time passed, or there is room to work. The only event on which the engine judges,
    /// writes and sends; the shell sends one after each burst of the others and whenever a
    /// wake-up is due.
    Tick,
}

/// Numbers the times that this process gained leadership. Somebody else may have led between two of them, so what was asked
/// in one is never begun in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(pub u64);

/// Numbers writes within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Numbers deliveries within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// How a write ended.
#[derive(Clone, Debug)]
pub enum WriteResult {
    /// Done; the object as the server returned it, where there is one.
    Done(Written),
    /// A create found the name taken: the object that is there, when it could be read.
    Exists(Option<Box<Ticket>>),
    /// A precondition failed (409): the state is not what the write assumed.
    Conflict,
    /// The object is not there.
    NotFound,
    /// Refused for good until someone acts: missing rights, a terminating namespace, an
    /// admission webhook, a quota, an object the server finds invalid.
    Refused(Refusal),
    /// Asked to slow down.
    Throttled(Option<Span>),
    /// Anything that may work next time, the outcome being unknown included.
    Failed,
}

/// What a write returned.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Written {
    Ticket(Box<Ticket>),
    Policy(Box<PatrolPolicy>),
    Receiver(Box<AlertReceiver>),
    Waiver(Box<TicketWaiver>),
    Nothing,
}

/// Why a write was refused. The word is a metric label and a condition reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Refusal {
    Forbidden,
    NamespaceTerminating,
    NamespaceNotFound,
    AdmissionDenied,
    QuotaExceeded,
    Invalid,
    /// This process may not act now: its lease is not certainly valid.
    NotLeader,
}

impl Refusal {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "Forbidden",
            Self::NamespaceTerminating => "NamespaceTerminating",
            Self::NamespaceNotFound => "NamespaceNotFound",
            Self::AdmissionDenied => "AdmissionDenied",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::Invalid => "Invalid",
            Self::NotLeader => "NotLeader",
        }
    }
}

/// What became of one part of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOutcome {
    /// Ids of the tellings in the part.
    pub event_ids: Vec<String>,
    /// How many of them, from the end, it told by number and not by name.
    pub by_number: usize,
    /// The verdict on it.
    pub class: DeliveryClass,
    /// When the receiver answered.
    pub at: Time,
}

/// Classes of outcome. No word of the reply is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryClass {
    /// The receiver took it.
    Accepted,
    /// Asked to wait, perhaps for how long.
    Throttled(Option<Span>),
    /// May work next time; whether it arrived, nobody knows.
    Transient,
    /// No connection came about, so that certainly nothing arrived; with our canned reason. May work next time.
    Unreached(&'static str),
    /// The receiver refuses this content (too large, or one ticket it cannot take).
    Payload,
    /// The receiver, its address or its secrets are set up wrongly; with our canned reason.
    Config(&'static str),
    /// The address filter refuses the address; nothing was sent.
    Blocked,
    /// A secret could not be read; nothing was sent.
    SecretMissing,
    /// This process may not send now: its lease is not certainly valid. Nothing was sent.
    NotLeader,
}

impl DeliveryClass {
    /// Whether a message went out, as far as one can tell.
    #[must_use]
    pub const fn was_sent(self) -> bool {
        !matches!(self, Self::Blocked | Self::SecretMissing | Self::NotLeader)
    }

    /// The word: metric label and condition reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Throttled(_) => "Throttled",
            Self::Transient | Self::Unreached(_) => "Transient",
            Self::Payload => "PayloadRejected",
            Self::Config(_) => "Config",
            Self::Blocked => "AddressBlocked",
            Self::SecretMissing => "SecretMissing",
            Self::NotLeader => "NotLeader",
        }
    }
}
