//! A notice: one message about tickets to one receiver, before it is rendered.
//!
//! It holds what a receiver may know and nothing else: no secret, no address.

use patrol_api::ticket::{Overlay, Subject};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Layer, Party, Phase, Resolution, Severity, ToldState};

/// What kind of message it is (`type` of `patrol/v1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// Tickets of one group.
    Alert,
    /// Many tickets at once.
    Digest,
    /// A sign of life.
    Heartbeat,
    /// A probe.
    Test,
}

impl NoticeKind {
    /// The word in the body.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "patrol.alert",
            Self::Digest => "patrol.digest",
            Self::Heartbeat => "patrol.heartbeat",
            Self::Test => "patrol.test",
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Kind of message.
    pub kind: NoticeKind,
    /// When it was put together.
    pub at: Time,
    /// The cluster: id (the UID of namespace kube-system, or one kept in the state folder)
    /// and name.
    pub cluster: Cluster,
    /// Receiver's name.
    pub receiver: String,
    /// Policy whose tickets it is about.
    pub policy: String,
    /// The one reason of all its tickets, or Mixed.
    pub reason: AlertReason,
    /// How long the next sign of life may take, where it is one.
    pub next_within: Option<Span>,
    /// What the tickets have in common.
    pub group: Group,
    /// Tickets of the group, of this message or not, that this receiver counts as firing once it has accepted it. An
    /// alarm that stands for the whole group ends when there is none. Only counted for kinds that hold such an alarm.
    pub standing: u32,
    /// Which incident of the group it is about, from 0. Only counted for kinds that hold such an alarm.
    pub incident: u64,
    /// It begins that incident, in place of the one before.
    pub begins_incident: bool,
    /// It tells of tickets that people took, and nobody has to be called for any that stands.
    pub acknowledges: bool,
    /// Of those that stand, the ones outside this message that it was told of by number and not by name.
    pub numbered: u32,
    /// The tickets of this message, before it is cut into parts.
    pub counts: Counts,
    /// The tickets, most severe first, then by name.
    pub tickets: Vec<NoticeTicket>,
    /// Tickets that are gone with their objects, and nobody knows which. They are no others than those.
    pub gone: Option<Gone>,
    /// A few of the group's tickets that this message does not tell of and that stand, for a format that shows groups as a
    /// whole. Nothing of them is told by it.
    pub others: Vec<NoticeTicket>,
}

impl Notice {
    /// A message that tells of no ticket.
    #[must_use]
    pub fn of_no_ticket(kind: NoticeKind, receiver: &str, cluster: Cluster, at: Time) -> Self {
        Self {
            kind,
            at,
            cluster,
            receiver: receiver.to_owned(),
            policy: String::new(),
            reason: AlertReason::Mixed,
            next_within: None,
            group: Group::default(),
            standing: 0,
            incident: 0,
            begins_incident: false,
            acknowledges: false,
            numbered: 0,
            counts: Counts::default(),
            tickets: vec![],
            gone: None,
            others: vec![],
        }
    }
}

/// Tickets that a receiver was told of, and that went with their objects while nobody watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// How many.
    pub count: u64,
    /// When they were last counted.
    pub since: Time,
}

/// The cluster a message comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Stable id.
    pub id: String,
    /// Name, empty when not set.
    pub name: String,
}

/// What the tickets of a message have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Stable key.
    pub key: String,
    /// Its parts, in order of `groupBy`.
    pub labels: Vec<(String, String)>,
}

/// The tickets of a message, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open ones.
    pub firing: u32,
    /// Opened or reopened in this message.
    pub new: u32,
    /// Closed in this message.
    pub closed: u32,
    /// Acknowledged or snoozed by people.
    pub acknowledged: u32,
    /// Waived.
    pub waived: u32,
    /// Past their due time.
    pub overdue: u32,
    /// Open ones by severity: critical, high, medium, low, info.
    pub by_severity: [u32; 5],
}

/// One ticket in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeTicket {
    /// The id of this telling: the same for every try.
    pub event_id: String,
    /// Namespace of the ticket object.
    pub namespace: String,
    /// Name of the ticket object.
    pub name: String,
    /// UID of the ticket object.
    pub uid: String,
    /// Episode.
    pub episode: u64,
    /// Edge told.
    pub seq: u64,
    /// Telling of that edge, from 1.
    pub n: u64,
    /// Why it is told now.
    pub reason: AlertReason,
    /// Step of escalation, from 1; 0 while nothing escalated.
    pub level: u64,
    /// Told in place of another receiver that is not ready.
    pub failover: bool,
    /// What people laid over the ticket.
    pub overlay: Option<Overlay>,
    /// What is told.
    pub state: ToldState,
    /// Phase of the ticket.
    pub phase: Phase,
    /// Severity.
    pub severity: Severity,
    /// How it ended.
    pub resolution: Option<Resolution>,
    /// Check id.
    pub check: String,
    /// Requirement.
    pub requirement: Option<String>,
    /// One line.
    pub title: String,
    /// One sentence.
    pub message: String,
    /// Layer.
    pub layer: Layer,
    /// Party.
    pub party: Party,
    /// Subject.
    pub subject: Subject,
    /// `Deployment/web`.
    pub subject_ref: String,
    /// Affected parts.
    pub affected: u64,
    /// Begin of the episode.
    pub opened_at: Time,
    /// Begin of the first episode.
    pub first_opened_at: Time,
    /// Due time.
    pub due_at: Option<Time>,
    /// Whether that has passed.
    pub sla_breached: bool,
    /// End of the episode.
    pub resolved_at: Option<Time>,
    /// Times it came back.
    pub recurrences: u64,
    /// Comes and goes.
    pub flapping: bool,
    /// When it was last verified by looking.
    pub verified_at: Option<Time>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// How to fix it.
    pub remediation: String,
    /// What the receiver may hold of it already, for kinds that hold alarms.
    pub alarm: Alarm,
}

/// What a receiver may hold of a ticket already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    /// It was told Firing by name, and its end was not told.
    pub named: bool,
    /// It was told Firing by number, and its end was not told.
    pub numbered: bool,
    /// Severities it may have been told with before, other than the one it has.
    pub former: Vec<Severity>,
}
