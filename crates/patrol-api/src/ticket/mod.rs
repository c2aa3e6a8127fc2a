//! `Ticket`: one gap on one subject, from its first sighting until it is mended, and what each receiver was told.
//! Never holds a secret value, and never a field of the subject beyond its identity.

#![allow(
    clippy::duplicated_attributes,
    reason = "printer columns of one type look like duplicates to it"
)]

pub mod limits;
mod status;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::rules;
use crate::time::Time;
use crate::words::Layer;

pub use status::{
    Affected, AlertRecord, Assigned, Episode, Evidence, HistoryEntry, Overlay, Rechecked, Spent,
    TicketStatus,
};

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
    #[schemars(schema_with = "crate::schema::until")]
    pub until: Time,
    /// Why they pause.
    #[schemars(schema_with = "crate::schema::pause_reason")]
    pub reason: String,
    /// User name of who asked for it, as the API server knows them. Default not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::user_name")]
    pub by: Option<String>,
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
