//! `PatrolPolicy`: what is patrolled, how often, by which checks, and who is told.
//! Never holds a rule that only a running engine can judge (zones, cron dates, names of other objects).

#![allow(
    clippy::duplicated_attributes,
    reason = "printer columns of one type look like duplicates to it"
)]

mod alerts;
mod checks;
mod component;
mod scope;
mod status;
mod tickets;
mod windows;

use std::collections::BTreeMap;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{Rule, rules};
use crate::time::Span;
use crate::words::{Mode, Party, Profile, Severity};

pub use alerts::{Alerts, EscalationStep, GroupKey, Route};
pub use checks::{
    CheckBlock, Injector, NodeAgent, Position, Sidecar, SidecarReady, Substitute, SubstituteKind,
};
pub use component::{
    Alternative, ApiServiceRef, Component, CrdRef, FailurePolicy, WebhookKind, WebhookRef,
    WebhookRule, WorkloadKind, WorkloadRef,
};
pub use scope::{NamespaceScope, NodeScope, Scope};
pub use status::{CoverageRow, LastPatrol, PatrolPolicyStatus, SubjectCounts, TicketCounts};
pub use tickets::{BySeverity, Graces, TicketRules};
pub use windows::{Bypass, Weekday, Window, WindowMode};

/// Rules over all checks of a policy: what one check says about another.
const CHECKS: &[Rule<'_>] = &[
    (
        "self.all(c, !has(c.nodeAgent) || !has(c.nodeAgent.virtualNodeSubstitute) || self.exists(s, has(s.sidecar) && s.name == c.nodeAgent.virtualNodeSubstitute))",
        "nodeAgent.virtualNodeSubstitute must be the name of a sidecar check of this policy",
    ),
    (
        "self.all(c, !has(c.sidecar) || !has(c.sidecar.substitutes) || c.sidecar.substitutes.all(u, !has(u.nodeAgent) || self.exists(n, has(n.nodeAgent) && n.name == u.nodeAgent)))",
        "sidecar.substitutes[].nodeAgent must be the name of a nodeAgent check of this policy",
    ),
];

const SCHEDULE: &[Rule<'_>] = &[
    (
        "has(self.cron) != has(self.every)",
        "exactly one of cron and every must be set",
    ),
    (
        "!has(self.timeZone) || has(self.cron)",
        "timeZone needs cron: a period has no time zone",
    ),
];

const OVERRIDE: &[Rule<'_>] = &[(
    "has(self.severity) || has(self.disabled) || has(self.party) || has(self.parameters)",
    "at least one of severity, disabled, party and parameters must be set",
)];

/// Parameters of a check: a name and its values; a single value is a list of one.
pub type Parameters = BTreeMap<String, Vec<String>>;

/// What is patrolled, how often, by which checks, and who is told.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubepatrol.io",
    version = "v1alpha1",
    kind = "PatrolPolicy",
    plural = "patrolpolicies",
    shortname = "patrol",
    shortname = "ppol",
    category = "patrol",
    status = "PatrolPolicyStatus",
    derive = "PartialEq",
    doc = "A PatrolPolicy says what is patrolled, how often, by which checks, and who is told about the gaps.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the patrol works."
    ),
    printcolumn(
        name = "Compliant",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Compliant")].status"#,
        description = "Whether nothing is wrong."
    ),
    printcolumn(
        name = "Covered",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Covered")].status"#,
        description = "Whether everything in scope could be seen."
    ),
    printcolumn(
        name = "Open",
        type_ = "integer",
        json_path = r#".status.tickets.open"#,
        description = "Open tickets."
    ),
    printcolumn(
        name = "Critical",
        type_ = "integer",
        json_path = r#".status.tickets.critical"#,
        description = "Open tickets of severity Critical."
    ),
    printcolumn(
        name = "Last-Patrol",
        type_ = "date",
        json_path = r#".status.lastPatrol.finishedAt"#,
        description = "Time since the last patrol finished."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = r#".metadata.creationTimestamp"#,
        description = "Time since the policy was created."
    ),
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = r#".spec.mode"#,
        description = "Enforce or Observe.",
        priority = "1"
    ),
    printcolumn(
        name = "Cron",
        type_ = "string",
        json_path = r#".spec.schedule.cron"#,
        description = "Cron fields of the schedule.",
        priority = "1"
    ),
    printcolumn(
        name = "Every",
        type_ = "string",
        json_path = r#".spec.schedule.every"#,
        description = "Period of the schedule.",
        priority = "1"
    ),
    printcolumn(
        name = "Next",
        type_ = "string",
        json_path = r#".status.nextPatrolAt"#,
        description = "When the next patrol is due, in UTC.",
        priority = "1"
    ),
    printcolumn(
        name = "Alerting",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Alerting")].status"#,
        description = "Whether the receivers accept.",
        priority = "1"
    ),
    printcolumn(
        name = "Suspended",
        type_ = "boolean",
        json_path = r#".spec.suspend"#,
        description = "Whether patrols are suspended.",
        priority = "1"
    ),
    selectable = ".spec.mode",
    selectable = ".spec.suspend",
    selectable = ".spec.profile",
    crates(kube_core = "kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct PatrolPolicySpec {
    /// Stops starting patrols; open tickets stay as they are. Default false.
    #[serde(default)]
    pub suspend: bool,
    /// Enforce writes tickets and sends alerts; Observe computes and reports in status only. Default Enforce.
    #[serde(default)]
    pub mode: Mode,
    /// When patrols start: exactly one of cron and every. Default every 15m.
    #[serde(default)]
    pub schedule: Schedule,
    /// Which namespaces and nodes are patrolled. Default all of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: Scope,
    /// How the cluster is provided, which decides who is responsible for what; Auto reads it from the nodes. Default Auto.
    #[serde(default)]
    pub profile: Profile,
    /// Names of baselines whose checks this policy runs. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::object_names")]
    pub baselines: Vec<String>,
    /// Names of baselines that every namespace of the cluster must get from some policy that selects it, this one or
    /// another; a namespace that gets fewer is reported by `namespace-unpatrolled`. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::object_names")]
    pub required_baselines: Vec<String>,
    /// Changes to checks that come from baselines; a later entry wins over an earlier one. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "atomic"))]
    pub overrides: Vec<Override>,
    /// Which Pod Security Standards the `pss-*` checks apply. Default the version of the API server.
    #[serde(default)]
    pub pod_security: PodSecurity,
    /// Own checks of this policy, each of one kind. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"], "x-kubernetes-validations" = rules(CHECKS)))]
    pub checks: Vec<CheckBlock>,
    /// How long new objects may take before a gap counts, measured from the objects' own timestamps.
    #[serde(default)]
    pub graces: Graces,
    /// How tickets of this policy live and end.
    #[serde(default)]
    pub tickets: TicketRules,
    /// Who is told about tickets of this policy, and how often.
    #[serde(default)]
    pub alerts: Alerts,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// When patrols start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(SCHEDULE)))]
pub struct Schedule {
    /// Five cron fields: minute, hour, day of month, month, day of week. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::cron")]
    pub cron: Option<String>,
    /// IANA time zone in which cron is read, such as Asia/Shanghai. Default UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::time_zone")]
    pub time_zone: Option<String>,
    /// Period between the starts of two patrols, at least 10s. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::every")]
    pub every: Option<Span>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            cron: None,
            time_zone: None,
            every: Some(Span::minutes(15)),
        }
    }
}

/// A change to checks that come from baselines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(OVERRIDE)))]
pub struct Override {
    /// Id of a check, or a glob of ids such as `pss-*`; one that matches no check of the policy is an error.
    #[schemars(schema_with = "crate::schema::check_glob")]
    pub check: String,
    /// Severity of the matched checks' findings. Default the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Switches the matched checks off; their open tickets are resolved as CheckDisabled. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Party responsible for the matched checks' findings. Default decided by profile and subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
    /// Parameters of the matched checks: a name and a list of values. Default the check's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::parameters")]
    pub parameters: Parameters,
}

/// Which Pod Security Standards apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PodSecurity {
    /// `latest` (the API server's minor version; offline the newest known) or a version such as `v1.33`. Default latest.
    #[serde(default = "latest")]
    #[schemars(schema_with = "crate::schema::pod_security")]
    pub version: String,
}

fn latest() -> String {
    "latest".to_owned()
}

impl Default for PodSecurity {
    fn default() -> Self {
        Self { version: latest() }
    }
}
