//! What a receiver remembers of each request, and the notice in it.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use super::signature::Signature;
use crate::http::Headers;
use crate::{Context, Result};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// When it had come whole, on the wall.
    pub at: SystemTime,
    /// The same on a clock that only goes forward.
    pub instant: Instant,
    /// Its connection, counted from 1.
    pub connection: u64,
    /// The sender's end of it, if the connection still stood.
    pub peer: Option<SocketAddr>,
    /// `POST` and such.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The header fields.
    pub headers: Headers,
    /// The body, byte by byte.
    pub body: Vec<u8>,
    /// Whether the signature is right.
    pub signature: Signature,
    /// The status, once the answer has been sent whole. `None` before, and for ever
    /// after a hang, a reset or a cut-off answer.
    pub replied: Option<u16>,
    /// Bytes of an endless answer that the sender let in.
    pub sent: u64,
}

impl Recorded {
    /// Whether it was answered with 2xx, whole.
    pub fn accepted(&self) -> bool {
        matches!(self.replied, Some(200..=299))
    }

    /// The `webhook-id` field, empty if there is none.
    pub fn webhook_id(&self) -> &str {
        self.headers.get("webhook-id").unwrap_or_default()
    }

    /// The notice (`patrol/v1`) in the body.
    ///
    /// # Errors
    /// It is none, and in which field.
    pub fn notice(&self) -> Result<Notice> {
        let id = self.webhook_id();
        let what = format!("request {id}: not a patrol/v1 notice");
        let raw: Value = serde_json::from_slice(&self.body).context(&what)?;
        let mut notice: Notice = serde_json::from_value(raw.clone()).context(&what)?;
        notice.id = id.to_owned();
        notice.accepted = self.accepted();
        for event in &mut notice.data.tickets {
            event.notice = id.to_owned();
            event.accepted = notice.accepted;
        }
        notice.raw = raw;
        Ok(notice)
    }
}

/// One webhook message. Fields that a receiver may miss are optional here too.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The `webhook-id` field: equal for repeated attempts.
    #[serde(skip)]
    pub id: String,
    /// Whether this attempt was answered with 2xx.
    #[serde(skip)]
    pub accepted: bool,
    /// The whole body.
    #[serde(skip)]
    pub raw: Value,
    /// `patrol.alert`, `patrol.digest`, `patrol.heartbeat` or `patrol.test`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was made.
    pub timestamp: String,
    /// What it tells.
    pub data: NoticeData,
}

/// The `data` of a notice.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeData {
    /// The receiver's name.
    pub receiver: Option<String>,
    /// The policy's name.
    pub policy: Option<String>,
    /// `Opened`, `Reminder`, `Resolved` and such.
    pub reason: Option<String>,
    /// Which part of a message that was split.
    pub part: Option<Part>,
    /// What it tells of each ticket.
    #[serde(default)]
    pub tickets: Vec<Event>,
}

/// Part `index` of `count`, as the sender counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Part {
    /// The number of this part.
    pub index: u64,
    /// How many there are.
    pub count: u64,
}

/// What a notice tells of one ticket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Equal in every attempt to tell the same thing.
    pub event_id: String,
    /// `Firing` or `Closed`.
    pub state: String,
    /// The check's id.
    pub check: String,
    /// `Critical` ... `Info`.
    pub severity: String,
    /// Who has to act.
    pub party: String,
    /// What the ticket is about.
    pub subject: Subject,
    /// The ticket object.
    pub ticket: TicketName,
    /// The ticket's episode.
    pub episode: u64,
    /// The alert's place within the episode.
    pub seq: u64,
    /// The repetition within the alert.
    pub n: u64,
    /// How a closed ticket ended.
    pub resolution: Option<String>,
    /// The `webhook-id` of its notice.
    #[serde(skip)]
    pub notice: String,
    /// Whether the attempt was answered with 2xx.
    #[serde(skip)]
    pub accepted: bool,
}

/// An object that a ticket is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Subject {
    /// API group, empty for core.
    #[serde(default)]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace, `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// A ticket object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TicketName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}
