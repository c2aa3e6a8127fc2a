//! Everything the engine wants done: one enum. The shell may lose, repeat, delay or
//! reorder any of it, and reports what it knows as events.

use std::collections::BTreeMap;

use patrol_api::policy::{PatrolPolicy, PatrolPolicyStatus};
use patrol_api::receiver::{AlertReceiver, AlertReceiverStatus, Detail, Endpoint, Locale};
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Span;
use patrol_api::waiver::TicketWaiverStatus;

use crate::clock::Mono;
use crate::event::{DeliveryId, WriteId};
use crate::facts::ObjectKey;
use crate::fingerprint;
use crate::kind::Kind;
use crate::notice::Notice;

/// Something to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// POST a ticket. The name is deterministic: a taken name is a result, not a failure.
    CreateTicket {
        /// Answer with it.
        id: WriteId,
        /// The object, with its status (an API server drops that on a create; files keep it).
        ticket: Box<Ticket>,
    },
    /// Replace a ticket's status, on condition that the object is still the one named.
    WriteTicketStatus {
        /// Answer with it.
        id: WriteId,
        /// Which ticket.
        at: Precondition,
        /// The whole status.
        status: Box<TicketStatus>,
    },
    /// Set these labels of a ticket, on the same condition.
    WriteTicketLabels {
        /// Answer with it.
        id: WriteId,
        /// Which ticket.
        at: Precondition,
        /// Labels to set; others stay.
        labels: BTreeMap<String, String>,
    },
    /// Delete a ticket, on the same condition.
    DeleteTicket {
        /// Answer with it.
        id: WriteId,
        /// Which ticket.
        at: Precondition,
    },
    /// Read a ticket afresh; answered by `Seen` or `Gone`, then by `Written`.
    ReadTicket {
        /// Answer with it.
        id: WriteId,
        /// Which ticket.
        key: ObjectKey,
    },
    /// Replace a policy's status, on condition that the object is still the one named.
    WritePolicyStatus {
        /// Answer with it.
        id: WriteId,
        /// Which policy.
        at: Precondition,
        /// The whole status.
        status: Box<PatrolPolicyStatus>,
    },
    /// Put our finalizer on a policy, or take it off.
    WritePolicyFinalizer {
        /// Answer with it.
        id: WriteId,
        /// Which policy.
        at: Precondition,
        /// Whether it is to be there.
        present: bool,
    },
    /// Replace a receiver's status.
    WriteReceiverStatus {
        /// Answer with it.
        id: WriteId,
        /// Which receiver.
        at: Precondition,
        /// The whole status.
        status: Box<AlertReceiverStatus>,
    },
    /// Replace a waiver's status.
    WriteWaiverStatus {
        /// Answer with it.
        id: WriteId,
        /// Which waiver.
        at: Precondition,
        /// The whole status.
        status: Box<TicketWaiverStatus>,
    },
    /// Send a notice, in as many parts as sizes ask for and as the receiver takes.
    Send {
        /// Answer with it.
        id: DeliveryId,
        /// Where.
        target: Box<Target>,
        /// What.
        notice: Box<Notice>,
        /// How many messages it may be.
        room: Room,
    },
    /// Ask the API server whether these kinds may be listed and watched.
    Review(Vec<Kind>),
    /// Count the objects of these CRDs (by full name), up to the number given.
    Count(Vec<(String, u32)>),
    /// Tell people, beside the object's own status.
    Announce(Announcement),
    /// Step again at this time at the latest.
    WakeAt(Mono),
}

/// The object a write is about, and the state it assumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// Where it is.
    pub key: ObjectKey,
    /// Its UID.
    pub uid: String,
    /// Its `resourceVersion`.
    pub version: String,
}

/// How many messages a notice may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// So many may go at once.
    pub now: usize,
    /// The others go one by one, with so much between them. `None`: they stay due.
    pub then: Option<Span>,
}

impl Room {
    /// However many there are.
    pub const ANY: Self = Self {
        now: usize::MAX,
        then: None,
    };
}

/// A receiver's address and manner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name, or `policy/NAME`.
    pub name: String,
    /// UID, or one derived from the policy's.
    pub uid: String,
    /// What and where it is.
    pub endpoint: Endpoint,
    /// Language of the texts for people.
    pub locale: Locale,
    /// CIDR blocks or hosts; when given, only these.
    pub allow: Vec<String>,
    /// Whether names and messages are left out.
    pub minimal: bool,
}

impl Target {
    /// A receiver as its object says; `None` for an object that the schema would refuse.
    #[must_use]
    pub fn of_receiver(receiver: &AlertReceiver) -> Option<Self> {
        let spec = &receiver.spec;
        let allow = spec.addresses.as_ref().map(|a| a.allow.clone());
        Some(Self {
            name: receiver.metadata.name.clone().unwrap_or_default(),
            uid: receiver.metadata.uid.clone().unwrap_or_default(),
            endpoint: spec.endpoint()?,
            locale: spec.locale,
            allow: allow.unwrap_or_default(),
            minimal: spec.detail == Detail::Minimal,
        })
    }

    /// A policy's own webhook; `None` when it has none.
    #[must_use]
    pub fn of_policy(policy: &PatrolPolicy) -> Option<Self> {
        let name = policy.metadata.name.as_deref().unwrap_or_default();
        let uid = policy.metadata.uid.as_deref().unwrap_or_default();
        let webhook = policy.spec.alerts.webhook.clone()?;
        Some(Self {
            name: own_webhook_name(name),
            uid: own_webhook_uid(name, uid),
            endpoint: Endpoint::Webhook(webhook),
            locale: Locale::default(),
            allow: vec![],
            minimal: false,
        })
    }
}

/// The UID of a policy's own webhook as a receiver.
#[must_use]
pub fn own_webhook_uid(policy: &str, policy_uid: &str) -> String {
    fingerprint::derived_uid("webhook", policy, policy_uid)
}

/// The name of a policy's own webhook as a receiver.
#[must_use]
pub fn own_webhook_name(policy: &str) -> String {
    format!("policy/{policy}")
}

/// Something people should hear of: a Kubernetes event and an audit log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The object it is about.
    pub about: About,
    /// CamelCase reason, the same word as in status, metric and log.
    pub reason: String,
    /// One sentence; no secret.
    pub note: String,
    /// Whether it is a warning.
    pub warning: bool,
}

/// The object an announcement is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// One of our kinds.
    pub kind: Kind,
    /// Where it is.
    pub key: ObjectKey,
    /// UID, empty when unknown.
    pub uid: String,
}
