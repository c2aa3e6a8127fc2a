//! `Ticket`: one gap on one subject, from its first sighting until it is mended, and what each receiver was told.
//! Never holds a secret value, and never a field of the subject beyond its identity.

#![allow(
    clippy::duplicated_attributes,
    reason = "printer columns of one type look like duplicates to it"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::rules;
use crate::time::Time;
use crate::words::{AlertReason, Layer, Party, Phase, Resolution, Severity, ToldState};

/// One gap on one subject.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubepatrol.io",
    version = "v1alpha1",
    kind = "Ticket",
    plural = "tickets",
    shortname = "tkt",
    category = "patrol",
    namespaced,
    status = "TicketStatus",
    derive = "PartialEq",
    doc = "A Ticket is one gap on one subject, open until the gap is seen to be gone.",
    printcolumn(
        name = "Severity",
        type_ = "string",
        json_path = r#".metadata.labels.kubepatrol\.io/severity"#,
        description = "How bad it is."
    ),
    printcolumn(
        name = "Check",
        type_ = "string",
        json_path = r#".spec.finding.check"#,
        description = "Which check found it."
    ),
    printcolumn(
        name = "Subject",
        type_ = "string",
        json_path = r#".spec.finding.subjectRef"#,
        description = "What it is about."
    ),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = r#".metadata.labels.kubepatrol\.io/state"#,
        description = "Where the ticket stands."
    ),
    printcolumn(
        name = "Party",
        type_ = "string",
        json_path = r#".metadata.labels.kubepatrol\.io/party"#,
        description = "Who is responsible."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = r#".metadata.creationTimestamp"#,
        description = "Time since the first opening."
    ),
    printcolumn(
        name = "Due",
        type_ = "string",
        json_path = r#".status.episode.dueAt"#,
        description = "When it is due, in UTC."
    ),
    printcolumn(
        name = "Last-Seen",
        type_ = "date",
        json_path = r#".status.lastSeenAt"#,
        description = "Time since the gap was last seen.",
        priority = "1"
    ),
    printcolumn(
        name = "Alerted",
        type_ = "date",
        json_path = r#".status.lastAlertedAt"#,
        description = "Time since a receiver last accepted a message.",
        priority = "1"
    ),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = r#".spec.finding.policy"#,
        description = "Which policy asked for the check.",
        priority = "1"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.message"#,
        description = "The gap in a sentence.",
        priority = "1"
    ),
    selectable = ".spec.finding.policy",
    selectable = ".spec.finding.check",
    selectable = ".spec.finding.subject.kind",
    selectable = ".spec.finding.subject.name",
    selectable = ".status.phase",
    selectable = ".status.severity",
    selectable = ".status.party",
    crates(kube_core = "kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct TicketSpec {
    /// What was found on what; written once by the operator and immutable.
    #[schemars(extend("x-kubernetes-validations" = rules(&[("self == oldSelf", "is immutable")])))]
    pub finding: Finding,
    /// Who works on it; free text. Default nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::assignee")]
    pub assignee: Option<String>,
    /// Says that someone knows: no reminders until then. Default not acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Pause>,
    /// Puts it aside for a while: no reminders until then. Default not snoozed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snooze: Option<Pause>,
    /// Any new value asks for the subject to be inspected at once. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::nonce")]
    pub recheck: Option<String>,
}

/// Until when and why reminders pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Pause {
    /// When reminders start again.
    pub until: Time,
    /// Why they pause.
    #[schemars(schema_with = "crate::schema::pause_reason")]
    pub reason: String,
}

/// What was found on what.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Finding {
    /// Name of the PatrolPolicy, or `patrol-coverage` for the always-on coverage checks.
    #[schemars(schema_with = "crate::schema::any_name")]
    pub policy: String,
    /// Id of the check.
    #[schemars(schema_with = "crate::schema::identifier")]
    pub check: String,
    /// Name of the entry in the policy's `spec.checks`; absent for checks that come from baselines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::identifier")]
    pub requirement: Option<String>,
    /// The object the finding is about.
    pub subject: Subject,
    /// The subject as people write it, such as `Deployment/web`.
    #[schemars(schema_with = "crate::schema::subject_ref")]
    pub subject_ref: String,
    /// Layer of the responsibility model.
    pub layer: Layer,
    /// Name of the cluster; absent where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_name")]
    pub cluster: Option<String>,
}

/// The object a finding is about.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Subject {
    /// API group; empty for the core group. Default empty.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::any_name")]
    pub group: String,
    /// Kind, such as Deployment.
    #[schemars(schema_with = "crate::schema::identifier")]
    pub kind: String,
    /// Namespace; absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::identifier")]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(schema_with = "crate::schema::any_name")]
    pub name: String,
    /// UID; absent where the object is no API object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::uid")]
    pub uid: Option<String>,
}

/// What the operator knows about a ticket. An absent status means: open, first edge, nobody told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct TicketStatus {
    /// Open, Acknowledged, Snoozed, Waived or Resolved.
    pub phase: Phase,
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
            alerts: Vec::new(),
            history: Vec::new(),
            conditions: Vec::new(),
            observed_generation: None,
        }
    }
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

/// How much of each text and list a ticket holds, so that one stays small. Lengths count characters.
pub mod limits {
    /// `status.title`.
    pub const TITLE: usize = 160;
    /// `status.message` and `status.remediation`.
    pub const TEXT: usize = 1024;
    /// Names in `status.evidence.affected.sample`.
    pub const SAMPLE: usize = 20;
    /// Length of one of them.
    pub const SAMPLE_NAME: usize = 253;
    /// Words in `status.evidence.reasons`.
    pub const REASONS: usize = 8;
    /// Length of one of them, and of `status.history[].reason`.
    pub const REASON: usize = 64;
    /// Pointers in `status.evidence.paths`.
    pub const PATHS: usize = 8;
    /// Length of one of them.
    pub const PATH: usize = 256;
    /// Entries in `status.history`.
    pub const HISTORY: usize = 20;
    /// Length of `status.history[].actor`.
    pub const ACTOR: usize = 128;
    /// Records in `status.alerts`.
    pub const ALERTS: usize = 32;
}
