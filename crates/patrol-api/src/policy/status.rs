//! What the operator reports on a policy: conditions and counts.
//! Never a list of findings: those are tickets.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Time;
use crate::words::Trigger;

/// What the operator reports on a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct PatrolPolicyStatus {
    /// Ready, Compliant, Covered, Alerting, Reconciling and Stalled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::reported")]
    pub observed_generation: Option<i64>,
    /// The latest finished patrol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_patrol: Option<LastPatrol>,
    /// When the next patrol is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_patrol_at: Option<Time>,
    /// When the latest patrol finished that could see everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_complete_patrol_at: Option<Time>,
    /// The value of the annotation kubepatrol.io/patrol-now that a patrol answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub observed_patrol_now: Option<String>,
    /// Tickets of this policy that are not resolved, counted.
    pub tickets: TicketCounts,
    /// What was and was not inspected, one row for each kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind"]))]
    pub coverage: Vec<CoverageRow>,
}

/// A finished patrol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct LastPatrol {
    /// When it started.
    pub started_at: Time,
    /// When it finished.
    pub finished_at: Time,
    /// What started it: Schedule, Startup, Manual or PolicyChanged.
    pub trigger: Trigger,
    /// Whether everything in scope could be seen.
    #[serde(default)]
    pub complete: bool,
    /// Verdicts of the patrol, counted.
    #[serde(default)]
    pub subjects: SubjectCounts,
    /// Number of things that could not be inspected.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::count")]
    pub blind_spots: u64,
}

/// Subjects of one patrol by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct SubjectCounts {
    /// Subjects looked at.
    #[schemars(schema_with = "crate::schema::count")]
    pub inspected: u64,
    /// Subjects without a finding.
    #[schemars(schema_with = "crate::schema::count")]
    pub passed: u64,
    /// Subjects with a finding.
    #[schemars(schema_with = "crate::schema::count")]
    pub failed: u64,
    /// Subjects no check applies to.
    #[schemars(schema_with = "crate::schema::count")]
    pub not_applicable: u64,
    /// Subjects that could not be judged.
    #[schemars(schema_with = "crate::schema::count")]
    pub unknown: u64,
}

/// Tickets that are not resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct TicketCounts {
    /// All of them but the waived ones.
    #[schemars(schema_with = "crate::schema::count")]
    pub open: u64,
    /// Open ones of severity Critical.
    #[schemars(schema_with = "crate::schema::count")]
    pub critical: u64,
    /// Open ones of severity High.
    #[schemars(schema_with = "crate::schema::count")]
    pub high: u64,
    /// Open ones of severity Medium.
    #[schemars(schema_with = "crate::schema::count")]
    pub medium: u64,
    /// Open ones of severity Low.
    #[schemars(schema_with = "crate::schema::count")]
    pub low: u64,
    /// Open ones that someone acknowledged or snoozed.
    #[schemars(schema_with = "crate::schema::count")]
    pub acknowledged: u64,
    /// Waived ones.
    #[schemars(schema_with = "crate::schema::count")]
    pub waived: u64,
}

/// What was and was not inspected of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct CoverageRow {
    /// The kind, such as `Pod` or `Deployment.apps`.
    #[schemars(schema_with = "crate::schema::any_name")]
    pub kind: String,
    /// Subjects looked at.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::count")]
    pub inspected: u64,
    /// Subjects no check applies to.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::count")]
    pub not_applicable: u64,
    /// Subjects that could not be judged.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::count")]
    pub unknown: u64,
    /// Why subjects could not be judged or the kind could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::coverage_reasons")]
    pub reasons: Vec<String>,
}
