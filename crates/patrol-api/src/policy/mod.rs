//! `PatrolPolicy`: what is patrolled, how often, by which checks, and who is told.
//! Never holds a rule that only a running engine can judge (zones, cron dates, names of other objects).

mod alerts;
mod checks;
mod component;
mod scope;
mod status;
mod tickets;

use std::collections::BTreeMap;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Span;
use crate::words::{Mode, Party, Profile, Severity};

pub use alerts::{Alerts, GroupKey, Route};
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
    category = "patrol",
    status = "PatrolPolicyStatus",
    derive = "PartialEq",
    doc = "A PatrolPolicy says what is patrolled, how often, by which checks, and who is told about the gaps.",
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
    pub baselines: Vec<String>,
    /// Changes to checks that come from baselines; a later entry wins over an earlier one. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Which Pod Security Standards the `pss-*` checks apply. Default the version of the API server.
    #[serde(default)]
    pub pod_security: PodSecurity,
    /// Own checks of this policy, each of one kind. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
#[schemars(inline)]
pub struct Schedule {
    /// Five cron fields: minute, hour, day of month, month, day of week. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// IANA time zone in which cron is read, such as Asia/Shanghai. Default UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Period between the starts of two patrols, at least 10s. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
#[schemars(inline)]
pub struct Override {
    /// Id of a check, or a glob of ids such as `pss-*`; one that matches no check of the policy is an error.
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
    pub parameters: Parameters,
}

/// Which Pod Security Standards apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PodSecurity {
    /// `latest` (the API server's minor version; offline the newest known) or a version such as `v1.33`. Default latest.
    #[serde(default = "latest")]
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
