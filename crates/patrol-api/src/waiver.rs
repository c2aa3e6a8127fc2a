//! `TicketWaiver`: a risk that somebody takes, with a reason and an end.
//! Never reaches beyond its namespace, unless it lives in the operator's.

#![allow(
    clippy::duplicated_attributes,
    reason = "printer columns of one type look like duplicates to it"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{Rule, rules};
use crate::time::Time;
use crate::words::{Severity, Treatment};

const SUBJECTS: &[Rule<'_>] = &[(
    "has(self.kind) || has(self.names) || has(self.selector)",
    "at least one of kind, names and selector must be set",
)];

/// A risk that somebody takes, with a reason and an end.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubepatrol.io",
    version = "v1alpha1",
    kind = "TicketWaiver",
    plural = "ticketwaivers",
    shortname = "waiver",
    category = "patrol",
    namespaced,
    status = "TicketWaiverStatus",
    derive = "PartialEq",
    doc = "A TicketWaiver takes the risk of some tickets for a while, with a reason and an end.",
    printcolumn(
        name = "Active",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Active")].status"#,
        description = "Whether it holds."
    ),
    printcolumn(
        name = "Treatment",
        type_ = "string",
        json_path = r#".spec.treatment"#,
        description = "Waive or Mute."
    ),
    printcolumn(
        name = "Matched",
        type_ = "integer",
        json_path = r#".status.matched"#,
        description = "Open tickets it stands over."
    ),
    printcolumn(
        name = "Owner",
        type_ = "string",
        json_path = r#".spec.owner"#,
        description = "Who takes the risk."
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = r#".status.expiresAt"#,
        description = "When it ends, in UTC."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = r#".metadata.creationTimestamp"#,
        description = "Time since the waiver was created."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".spec.reason"#,
        description = "Why the risk is taken.",
        priority = "1"
    ),
    crates(kube_core = "kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct TicketWaiverSpec {
    /// Ids of checks, or globs of ids, whose tickets are waived; at least one.
    #[schemars(schema_with = "crate::schema::some_check_globs")]
    pub checks: Vec<String>,
    /// Which subjects; all that is set must hold. Default every subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<WaiverSubjects>,
    /// Globs of the namespaces whose tickets are waived; only in the operator's namespace. There the default is every
    /// ticket of every namespace, elsewhere a waiver always holds for its own namespace alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::namespace_globs")]
    pub namespaces: Vec<String>,
    /// Why the risk is taken; at least 10 characters.
    #[schemars(schema_with = "crate::schema::waiver_reason")]
    pub reason: String,
    /// Who takes the risk: a person or a team.
    #[schemars(schema_with = "crate::schema::owner")]
    pub owner: String,
    /// Who approved it; where the admission policies are installed, the user who writes it. Default not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::user_name")]
    pub approved_by: Option<String>,
    /// When it ends; at most 365 days after the waiver was created. Default 90 days after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::until")]
    pub expires_at: Option<Time>,
    /// Waive puts tickets out of the open ones and stops their due time; Mute keeps them open and only stops messages, for
    /// at most 30 days. Default Waive.
    #[serde(default)]
    pub treatment: Treatment,
    /// Highest severity it may waive: a ticket that becomes worse comes back. Default every severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_severity: Option<Severity>,
    /// Whether the due time of tickets that come back counts anew. Default false.
    #[serde(default, rename = "resetSLA")]
    pub reset_sla: bool,
}

/// Which subjects; all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(SUBJECTS)))]
pub struct WaiverSubjects {
    /// Kind, such as Deployment. Default every kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::kind_name")]
    pub kind: Option<String>,
    /// Globs of names, one of which must match. Default every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::object_globs")]
    pub names: Vec<String>,
    /// Labels of the subject itself. Default any labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::selector")]
    pub selector: Option<LabelSelector>,
}

/// What the operator reports on a waiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct TicketWaiverStatus {
    /// Active: whether it holds, and why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Open tickets it stands over.
    #[schemars(schema_with = "crate::schema::count")]
    pub matched: u64,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it last stood over a ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_time: Option<Time>,
    /// The generation of the spec this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::reported")]
    pub observed_generation: Option<i64>,
}
