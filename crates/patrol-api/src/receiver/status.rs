//! What the operator reports on a receiver. Never a word of the receiver's replies.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Time;
use crate::words::ToldState;

/// What the operator reports on a receiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct AlertReceiverStatus {
    /// Ready, AddressAllowed and SecretResolved; GroupsCoarsened once there were too many groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// When it last accepted a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_time: Option<Time>,
    /// When its failover receiver last began or ended to be told as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failover_time: Option<Time>,
    /// Tellings it is owed and has not accepted.
    #[schemars(schema_with = "crate::schema::count")]
    pub pending: u64,
    /// Since when the oldest of them is owed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_pending_time: Option<Time>,
    /// The circuit that spares a failing endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
    /// The groups of which the endpoint holds an alarm open, for kinds that do so (alertmanager, pagerduty). What is
    /// written here is closed even when every ticket of the group was deleted meanwhile. Of more than 1,024 groups the
    /// namespace is left out, and GroupsCoarsened is True.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub groups: Vec<GroupRecord>,
    /// How many tickets it was told Firing and not yet Closed, by policy, for kinds that hold no alarm. When tickets go with their
    /// namespace while no process leads, it is told so by their number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["policy"]))]
    pub told: Vec<ToldCount>,
}

/// Tickets of a policy that it was told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ToldCount {
    /// Name of the policy.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub policy: String,
    /// How many they are.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::count")]
    pub count: u64,
    /// Since when they are so many.
    pub at: Time,
}

/// A group of which the endpoint holds an alarm open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct GroupRecord {
    /// Policy and values of `groupBy`, as in the messages.
    #[schemars(schema_with = "crate::schema::group_key")]
    pub key: String,
    /// How many of its tickets are told Firing.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::count")]
    pub told_count: u64,
    /// What was last told of the group: Firing or Closed.
    pub state: ToldState,
    /// When the last message of the group was accepted.
    pub at: Time,
    /// Which of the group's incidents stands, from 0: a deadline that passes and a step of escalation begin the next one, because
    /// an incident that somebody acknowledged stays quiet.
    #[serde(default, skip_serializing_if = "is_first")]
    #[schemars(schema_with = "crate::schema::count")]
    pub incident: u64,
    /// Whether it was told that people took all its tickets: what comes after begins the next incident.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acknowledged: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
const fn is_first(incident: &u64) -> bool {
    *incident == 0
}

/// The states of a circuit.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[schemars(inline)]
pub enum CircuitState {
    /// Messages flow.
    #[default]
    Closed,
    /// Nothing is sent until `notBefore`.
    Open,
    /// One probe is on its way.
    HalfOpen,
}

/// The circuit that spares a failing endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Circuit {
    /// Closed, Open or HalfOpen.
    pub state: CircuitState,
    /// Since when it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Failures in a row.
    #[schemars(schema_with = "crate::schema::count")]
    pub failures: u64,
    /// Class of the last failure, such as Transient or Config.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::word")]
    pub class: Option<String>,
    /// When the next probe may be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
}
