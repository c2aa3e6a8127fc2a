//! What the operator knows about a ticket: evidence, episode, history, and what each receiver was told.
//! Never decoded more strictly than its words demand: an absent field has its default.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;
use crate::time::Time;
use crate::words::{AlertReason, OverlayKind, Party, Phase, Resolution, Severity, ToldState};

/// What the operator knows about a ticket. An absent status means: open, first edge, nobody told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct TicketStatus {
    /// Open, Acknowledged, Snoozed, Waived or Resolved.
    pub phase: Phase,
    /// Since when it is in this phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Time>,
    /// What people laid over the ticket: an acknowledgement, a snooze or a waiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// Wishes of people that are over and do not count again: their time passed, the ticket became worse, or the
    /// episode they were meant for ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind"]))]
    pub spent: Vec<Spent>,
    /// Who works on it, and since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned: Option<Assigned>,
    /// The last inspection that somebody asked for, and got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rechecked: Option<Rechecked>,
    /// How bad it is: Critical, High, Medium, Low or Info.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Who is responsible: Customer, Platform or Shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
    /// The gap in a few words.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "crate::schema::title")]
    pub title: String,
    /// The gap in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "crate::schema::sentence")]
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "crate::schema::sentence")]
    pub remediation: String,
    /// What was seen.
    pub evidence: Evidence,
    /// The current or last time the gap was there.
    pub episode: Episode,
    /// When the ticket was opened for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_opened_at: Option<Time>,
    /// How often the gap came back.
    #[schemars(schema_with = "crate::schema::count")]
    pub recurrences: u64,
    /// Whether the gap comes and goes, so that it must be clean for longer.
    pub flapping: bool,
    /// When the gap was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Time>,
    /// When a receiver last accepted a message about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_alerted_at: Option<Time>,
    /// Number of the last change that receivers must be told about.
    #[schemars(schema_with = "crate::schema::count")]
    pub alert_seq: u64,
    /// Why they must be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_reason: Option<AlertReason>,
    /// When that change happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_at: Option<Time>,
    /// What each receiver was last told and accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::ALERTS), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["receiver"]))]
    pub alerts: Vec<AlertRecord>,
    /// The last changes of phase, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::HISTORY), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<HistoryEntry>,
    /// Resolved and Verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::reported")]
    pub observed_generation: Option<i64>,
}

impl Default for TicketStatus {
    fn default() -> Self {
        Self {
            phase: Phase::Open,
            phase_since: None,
            overlay: None,
            spent: Vec::new(),
            assigned: None,
            rechecked: None,
            severity: None,
            party: None,
            title: String::new(),
            message: String::new(),
            remediation: String::new(),
            evidence: Evidence::default(),
            episode: Episode::default(),
            first_opened_at: None,
            recurrences: 0,
            flapping: false,
            last_seen_at: None,
            last_alerted_at: None,
            alert_seq: 1,
            alert_reason: None,
            alert_at: None,
            alerts: Vec::new(),
            history: Vec::new(),
            conditions: Vec::new(),
            observed_generation: None,
        }
    }
}

/// What people laid over a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Overlay {
    /// Acknowledged, Snoozed or Waived.
    pub kind: OverlayKind,
    /// Who laid it; absent when nobody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::user_name")]
    pub by: Option<String>,
    /// Why it was laid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "crate::schema::sentence")]
    pub reason: String,
    /// When it ends: what was asked for, or the longest the severity allows.
    pub until: Time,
    /// The end that was asked for, by which the wish is known again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Time>,
    /// Whether the due time counts anew when the waiver ends.
    #[serde(
        default,
        rename = "resetSLA",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub reset_sla: bool,
    /// The waiver, as `namespace/name`.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::subject_ref")]
    pub waiver: Option<String>,
}

/// A wish that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Spent {
    /// Acknowledged or Snoozed.
    pub kind: OverlayKind,
    /// The end that was asked for.
    pub asked: Time,
}

/// Who works on a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Assigned {
    /// The value of `spec.assignee`.
    #[schemars(schema_with = "crate::schema::assignee")]
    pub to: String,
    /// When it was entered.
    pub at: Time,
}

/// An inspection that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Rechecked {
    /// The value of `spec.recheck` that it answers.
    #[schemars(schema_with = "crate::schema::nonce")]
    pub asked: String,
    /// When the subject was inspected.
    pub at: Time,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Evidence {
    /// When the verdict was last reached by looking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict_at: Option<Time>,
    /// How many objects behind the subject are affected.
    pub affected: Affected,
    /// Why the check failed, as short words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::words")]
    pub reasons: Vec<String>,
    /// JSON pointers to the offending fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::pointers")]
    pub paths: Vec<String>,
}

/// How many objects behind the subject are affected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Affected {
    /// Affected objects.
    #[schemars(schema_with = "crate::schema::count")]
    pub count: u64,
    /// All objects behind the subject.
    #[schemars(schema_with = "crate::schema::count")]
    pub total: u64,
    /// Names of some affected ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::sample")]
    pub sample: Vec<String>,
}

/// One time the gap was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Episode {
    /// Number of the episode, from 1.
    #[schemars(schema_with = "crate::schema::from_one")]
    pub n: u64,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Time>,
    /// Since when the subject is seen clean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_clean_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// From when the due time counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sla_start: Option<Time>,
    /// When it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// When it became overdue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breached_at: Option<Time>,
    /// When nobody had been told anything of it for too long, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_at: Option<Time>,
}

impl Default for Episode {
    fn default() -> Self {
        Self {
            n: 1,
            opened_at: None,
            first_clean_at: None,
            resolved_at: None,
            resolution: None,
            sla_start: None,
            due_at: None,
            breached_at: None,
            overdue_at: None,
        }
    }
}

/// What one receiver was last told and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct AlertRecord {
    /// Name of the AlertReceiver, or `policy/NAME` for a policy's own webhook.
    #[schemars(schema_with = "crate::schema::receiver_name")]
    pub receiver: String,
    /// UID of the receiver.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::uid")]
    pub uid: String,
    /// Number of the change it was told about.
    #[schemars(schema_with = "crate::schema::count")]
    pub seq: u64,
    /// How often it was told since.
    #[schemars(schema_with = "crate::schema::count")]
    pub n: u64,
    /// What it was told: Firing or Closed.
    pub state: ToldState,
    /// Why it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<AlertReason>,
    /// When it accepted.
    pub at: Time,
    /// The episode it was told about.
    #[schemars(schema_with = "crate::schema::count")]
    pub episode: u64,
    /// The step of escalation it was told at.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(schema_with = "crate::schema::count")]
    pub level: u64,
    /// Whether it was told as one of many, by number and not by name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub digest: bool,
    /// Since when it knows what people did, where it asks for that: no message that calls anybody, so `at` is not moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_at: Option<Time>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// One change of phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct HistoryEntry {
    /// When.
    pub at: Time,
    /// From which phase; absent for the opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Phase>,
    /// To which phase.
    pub to: Phase,
    /// Why, as one word.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::word")]
    pub reason: String,
    /// Who: `kube-patrol`, or whoever wrote the spec.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::actor")]
    pub actor: String,
}
