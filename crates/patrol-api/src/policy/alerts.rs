//! Who is told about tickets, and how often.
//! Never holds a credential: URLs that are secrets are named, not written.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::BySeverity;
use super::windows::Window;
use crate::receiver::WebhookSpec;
use crate::time::Span;
use crate::words::{Party, Severity};

/// Who is told about tickets of a policy, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Alerts {
    /// Shorthand for one receiver of this policy alone. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,
    /// AlertReceiver objects that are told, each with its own filter. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub receivers: Vec<Route>,
    /// Time between two reminders of an open ticket, for each severity. Default 4h, 24h, 72h and 7d.
    #[serde(deserialize_with = "read_repeat")]
    #[schemars(schema_with = "crate::schema::repeat")]
    pub repeat: BySeverity,
    /// What makes one message of several tickets: check, requirement, namespace, severity, party. Default check.
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub group_by: Vec<GroupKey>,
    /// How long the first message of a group waits for more tickets. Default 30s.
    #[schemars(schema_with = "crate::schema::span")]
    pub group_wait: Span,
    /// Least time between two messages of one group. Default 5m.
    #[schemars(schema_with = "crate::schema::second")]
    pub group_interval: Span,
    /// More receivers, and more frequent reminders, for tickets that stay open. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub escalation: Vec<EscalationStep>,
    /// When messages may go out and when not; what falls outside is told later, never forgotten. Default at any time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub windows: Vec<Window>,
    /// Longest time without any message about an open ticket, whatever windows and people say, for each severity.
    /// Default 72h, 14d, 45d and 45d.
    #[serde(deserialize_with = "read_max_quiet")]
    #[schemars(schema_with = "crate::schema::max_quiet")]
    pub max_quiet: BySeverity,
    /// More than this time's worth of messages, at the receiver's rate, becomes one digest. Default 10m.
    #[schemars(schema_with = "crate::schema::second")]
    pub digest_after: Span,
    /// A ticket that was resolved before anybody was told is still reported if it was open for so long; critical ones
    /// always are. Default 15m.
    #[schemars(schema_with = "crate::schema::span")]
    pub missed_after: Span,
}

/// What tickets of one message have in common.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum GroupKey {
    /// The check.
    Check,
    /// The requirement, that is the name in `spec.checks`.
    Requirement,
    /// The subject's namespace.
    Namespace,
    /// The severity.
    Severity,
    /// The responsible party.
    Party,
}

fn read_repeat<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BySeverity, D::Error> {
    BySeverity::read(deserializer, BySeverity::repeat())
}

fn read_max_quiet<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BySeverity, D::Error> {
    BySeverity::read(deserializer, BySeverity::max_quiet())
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            webhook: None,
            receivers: Vec::new(),
            repeat: BySeverity::repeat(),
            group_by: vec![GroupKey::Check],
            group_wait: Span::seconds(30),
            group_interval: Span::minutes(5),
            escalation: Vec::new(),
            windows: Vec::new(),
            max_quiet: BySeverity::max_quiet(),
            digest_after: Span::minutes(10),
            missed_after: Span::minutes(15),
        }
    }
}

/// An AlertReceiver that is told about some tickets of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Route {
    /// Name of the AlertReceiver.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
    /// Lowest severity it is told about. Default every severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// Parties whose tickets it is told about. Default every party.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub parties: Vec<Party>,
    /// Ids of checks or globs of ids it is told about. Default every check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::check_globs")]
    pub checks: Vec<String>,
}

/// One more receiver for tickets that stay open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct EscalationStep {
    /// Age of the episode from which the step holds. Paused while the ticket is acknowledged or snoozed.
    #[schemars(schema_with = "crate::schema::second")]
    pub after: Span,
    /// Severities it holds for. Default Critical.
    #[serde(default = "critical_only")]
    #[schemars(length(min = 1, max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub severities: Vec<Severity>,
    /// Name of the AlertReceiver that is told as well. Default nobody more: only the reminders become more frequent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::object_name")]
    pub receiver: Option<String>,
}

fn critical_only() -> Vec<Severity> {
    vec![Severity::Critical]
}
