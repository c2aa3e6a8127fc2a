//! `AlertReceiver`: an endpoint that is told about tickets.
//! Never holds a credential: URLs and secrets are named by `secretKeyRef`.

#![allow(
    clippy::duplicated_attributes,
    reason = "printer columns of one type look like duplicates to it"
)]

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{Rule, rules};
use crate::time::Span;
use crate::words::{QuietNotice, Severity};

mod kinds;
mod status;
mod webhook;

pub use kinds::{
    AlertmanagerSpec, DingtalkSpec, Endpoint, EndpointKind, FeishuSpec, IncidentPer, Mentions,
    PagerdutySpec, SlackSpec, TeamsSpec, WecomSpec,
};
pub use status::{AlertReceiverStatus, Circuit, CircuitState, GroupRecord, ToldCount};
pub use webhook::{HeaderFrom, SecretKeyRef, TlsSecretRef, UrlFrom, WebhookFormat, WebhookSpec};

const RECEIVER: &[Rule<'_>] = &[
    (
        "[has(self.webhook), has(self.alertmanager), has(self.slack), has(self.teams), has(self.dingtalk), has(self.feishu), has(self.wecom), has(self.pagerduty)].exists_one(is_set, is_set)",
        "exactly one kind of receiver must be set: webhook, alertmanager, slack, teams, dingtalk, feishu, wecom or pagerduty",
    ),
    (
        "!has(self.alertmanager) || !has(self.quietNotices)",
        "quietNotices is for people: an Alertmanager knows of what fires and of nothing else; leave it out",
    ),
];

/// An endpoint that is told about tickets.
#[derive(
    CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "kubepatrol.io",
    version = "v1alpha1",
    kind = "AlertReceiver",
    plural = "alertreceivers",
    shortname = "arcv",
    category = "patrol",
    status = "AlertReceiverStatus",
    derive = "PartialEq",
    doc = "An AlertReceiver is an endpoint that is told about tickets until they are mended.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the endpoint accepts."
    ),
    printcolumn(
        name = "Pending",
        type_ = "integer",
        json_path = r#".status.pending"#,
        description = "Tellings it is owed."
    ),
    printcolumn(
        name = "Last-Success",
        type_ = "date",
        json_path = r#".status.lastSuccessTime"#,
        description = "Time since it last accepted a message."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = r#".metadata.creationTimestamp"#,
        description = "Time since the receiver was created."
    ),
    printcolumn(
        name = "Circuit",
        type_ = "string",
        json_path = r#".status.circuit.state"#,
        description = "State of the circuit that spares it.",
        priority = "1"
    ),
    printcolumn(
        name = "Coverage",
        type_ = "boolean",
        json_path = r#".spec.coverage"#,
        description = "Whether it is told about the always-on coverage checks.",
        priority = "1"
    ),
    printcolumn(
        name = "Locale",
        type_ = "string",
        json_path = r#".spec.locale"#,
        description = "Language of the texts.",
        priority = "1"
    ),
    crates(kube_core = "kube_core")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(RECEIVER)))]
pub struct AlertReceiverSpec {
    /// A webhook endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,
    /// A Prometheus Alertmanager, or several that form a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<AlertmanagerSpec>,
    /// An incoming webhook of Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackSpec>,
    /// A workflow of Microsoft Teams that posts what a webhook receives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<TeamsSpec>,
    /// A custom robot of a DingTalk group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dingtalk: Option<DingtalkSpec>,
    /// A custom bot of a Feishu or Lark group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feishu: Option<FeishuSpec>,
    /// A group bot of WeCom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wecom: Option<WecomSpec>,
    /// A service of PagerDuty with an Events API v2 integration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagerduty: Option<PagerdutySpec>,
    /// Language of the texts for people: en or zh-CN. Default en.
    #[serde(default)]
    pub locale: Locale,
    /// Full tells everything; Minimal leaves out titles, messages, remedies, assignees, the names of people and waivers that
    /// paused a ticket, and subjects' names and UIDs. Default Full.
    #[serde(default)]
    pub detail: Detail,
    /// Whether it is told when a ticket is resolved. Default true. What came and went unheard is told in any case, and an alarm
    /// that PagerDuty or Alertmanager holds is ended.
    #[serde(default = "yes")]
    pub send_resolved: bool,
    /// What people do to a ticket that it is told of as well, once each and without calling anybody: Acknowledged, Snoozed,
    /// Assigned. At PagerDuty the first two acknowledge the incident, once all its tickets are taken. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub quiet_notices: Vec<QuietNotice>,
    /// How many messages it takes. Default by kind: webhook 600 a minute, alertmanager 300, teams 120, pagerduty 90,
    /// feishu 80, slack 48, dingtalk and wecom 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Another receiver that is told as well while this one is not ready. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// A sign of life in regular intervals, so that silence is noticed at the other end. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// Whether it is told about the always-on coverage checks. Default false.
    #[serde(default)]
    pub coverage: bool,
    /// Limits the addresses it may resolve to. Default every address that is not denied in general.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Addresses>,
}

fn yes() -> bool {
    true
}

/// Language of the texts for people.
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
pub enum Locale {
    /// English.
    #[default]
    #[serde(rename = "en")]
    En,
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    ZhCn,
}

/// How much a receiver is told.
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
pub enum Detail {
    /// Everything.
    #[default]
    Full,
    /// No titles, messages, remedies and names.
    Minimal,
}

/// How many messages a receiver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Rate {
    /// Messages a minute.
    #[schemars(schema_with = "crate::schema::per_minute")]
    pub per_minute: u32,
}

/// Another receiver that is told as well while this one is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Failover {
    /// Name of the other AlertReceiver.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub receiver: String,
    /// How long this one must have been failing. Default 15m.
    #[serde(default = "quarter")]
    #[schemars(schema_with = "crate::schema::span")]
    pub after: Span,
    /// Lowest severity that is told to the other. Default High.
    #[serde(default = "high")]
    pub min_severity: Severity,
}

fn quarter() -> Span {
    Span::minutes(15)
}

fn high() -> Severity {
    Severity::High
}

/// A sign of life in regular intervals. It is only sent while everything works: this process leads, what it reads is
/// fresh, and no policy's patrol is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Heartbeat {
    /// Time between two signs. Default 5m.
    #[serde(default = "five_minutes")]
    #[schemars(schema_with = "crate::schema::every")]
    pub interval: Span,
}

fn five_minutes() -> Span {
    Span::minutes(5)
}

/// Limits the addresses a receiver may resolve to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Addresses {
    /// CIDR blocks or host names; only these are allowed.
    #[schemars(schema_with = "crate::schema::addresses")]
    pub allow: Vec<String>,
}
