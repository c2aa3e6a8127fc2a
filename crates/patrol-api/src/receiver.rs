//! `AlertReceiver`: an endpoint that is told about tickets.
//! Never holds a credential: URLs and secrets are named by `secretKeyRef`.

#![allow(
    clippy::duplicated_attributes,
    reason = "printer columns of one type look like duplicates to it"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{Rule, rules, webhook_rules};
use crate::time::Time;

const RECEIVER: &[Rule<'_>] = &[(
    "has(self.webhook)",
    "exactly one kind of receiver must be set: webhook",
)];

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
    /// Language of the texts for people: en or zh-CN. Default en.
    #[serde(default)]
    pub locale: Locale,
    /// Full tells everything; Minimal leaves out messages, samples and subjects' names. Default Full.
    #[serde(default)]
    pub detail: Detail,
    /// Whether it is told when a ticket is resolved. Default true.
    #[serde(default = "yes")]
    pub send_resolved: bool,
    /// How many messages it takes.
    #[serde(default)]
    pub rate: Rate,
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
    /// No messages, samples and names.
    Minimal,
}

/// How many messages a receiver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Rate {
    /// Messages a minute. Default 60.
    #[schemars(schema_with = "crate::schema::per_minute")]
    pub per_minute: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_minute: 60 }
    }
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

/// The body formats of a webhook.
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
pub enum WebhookFormat {
    /// Our own body.
    #[default]
    #[serde(rename = "patrol/v1")]
    PatrolV1,
}

impl WebhookFormat {
    /// The word as written in objects.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PatrolV1 => "patrol/v1",
        }
    }
}

/// A webhook endpoint; exactly one of url and urlFrom is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = webhook_rules()))]
pub struct WebhookSpec {
    /// An http or https address that is no secret. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::url")]
    pub url: Option<String>,
    /// Where the address is read from when it is a credential. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<UrlFrom>,
    /// Secret with the signing keys in the `whsec_` form, several separated by a space while rotating. Default unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret_ref: Option<SecretKeyRef>,
    /// Format of the body: patrol/v1. Default patrol/v1.
    #[serde(default)]
    pub format: WebhookFormat,
    /// Headers whose values are read from Secrets in the operator's namespace. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers_from: Vec<HeaderFrom>,
    /// Secret with the certificate authorities in PEM that the endpoint is trusted by. Default the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
}

/// Where an address is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct UrlFrom {
    /// A key of a Secret in the operator's namespace.
    pub secret_key_ref: SecretKeyRef,
}

/// A header whose value is read from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct HeaderFrom {
    /// Name of the header.
    #[schemars(schema_with = "crate::schema::header")]
    pub name: String,
    /// A key of a Secret in the operator's namespace.
    pub secret_key_ref: SecretKeyRef,
}

/// A key of a Secret in the operator's namespace.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
    /// Key in the Secret.
    #[schemars(schema_with = "crate::schema::secret_key")]
    pub key: String,
}

/// What the operator reports on a receiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct AlertReceiverStatus {
    /// Ready, AddressAllowed and SecretResolved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// When it last accepted a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_time: Option<Time>,
    /// Tellings it is owed and has not accepted.
    #[schemars(schema_with = "crate::schema::count")]
    pub pending: u64,
    /// Since when the oldest of them is owed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_pending_time: Option<Time>,
    /// The circuit that spares a failing endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
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
