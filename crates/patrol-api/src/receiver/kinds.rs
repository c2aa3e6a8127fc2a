//! The kinds of receivers beside the generic webhook. Every credential (a chat's address is one) is a key of a Secret in
//! the operator's namespace. Never decides how a kind is spoken to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlertReceiverSpec, HeaderFrom, SecretKeyRef, TlsSecretRef, UrlFrom, WebhookSpec};
use crate::schema::{alertmanager_rules, pagerduty_rules};
use crate::time::Span;
use crate::words::Severity;

/// A Prometheus Alertmanager. It is posted to `/api/v2/alerts` below each address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = alertmanager_rules()))]
pub struct AlertmanagerSpec {
    /// An http or https address that is no secret, without `/api/v2/alerts`. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::url")]
    pub url: Option<String>,
    /// Where the address is read from when it is a credential. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<UrlFrom>,
    /// The addresses of all members of a cluster; each is posted to, and one that accepts is enough. No default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::urls")]
    pub urls: Vec<String>,
    /// Posts to every address that the host name resolves to (a headless Service) and not to one of them. Default false.
    #[serde(default)]
    pub every_address: bool,
    /// How long an alert lives there without word from us: an outage of ours shorter than this does not look like an
    /// end. Default 24h.
    #[serde(default = "day")]
    #[schemars(schema_with = "crate::schema::second")]
    pub hold_for: Span,
    /// Headers whose values are read from Secrets, `Authorization` among them. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers_from: Vec<HeaderFrom>,
    /// Secret with the certificate authorities in PEM that the endpoint is trusted by. Default the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// Secret of type `kubernetes.io/tls` whose certificate (key `tls.crt`, intermediates after it) and private key (key
    /// `tls.key`) are shown to an endpoint that asks for a client certificate; https only. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret_ref: Option<TlsSecretRef>,
}

fn day() -> Span {
    Span::hours(24)
}

/// Who is called by name in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct Mentions {
    /// Ids of users as the provider writes them: Slack `U012ABCDEF` or `S012ABCDEF` for a group, Teams user principal
    /// names, Feishu open ids or user ids, WeCom and DingTalk user ids. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::mentions")]
    pub users: Vec<String>,
    /// Numbers of mobile phones, for DingTalk and WeCom. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::mentions")]
    pub mobiles: Vec<String>,
    /// Calls everybody in the group. Default false.
    pub all: bool,
    /// Lowest severity of a ticket in the message for which they are called. Default Critical.
    pub min_severity: Severity,
}

impl Default for Mentions {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            mobiles: Vec::new(),
            all: false,
            min_severity: Severity::Critical,
        }
    }
}

/// An incoming webhook of Slack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct SlackSpec {
    /// Where the address is read from; it is a credential.
    pub url_from: UrlFrom,
    /// Who is called by name. Default nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Mentions>,
}

/// A workflow of Microsoft Teams ("When a Teams webhook request is received").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct TeamsSpec {
    /// Where the address is read from; it is a credential.
    pub url_from: UrlFrom,
    /// Who is called by name. Default nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Mentions>,
}

/// A custom robot of a DingTalk group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct DingtalkSpec {
    /// Where the address with its access token is read from; it is a credential.
    pub url_from: UrlFrom,
    /// Secret with the key of the robot's signature (`SEC...`). Default unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret_ref: Option<SecretKeyRef>,
    /// A keyword that the robot asks for; it is put into every title. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::keyword")]
    pub keyword: Option<String>,
    /// Who is called by name. Default nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Mentions>,
}

/// A custom bot of a Feishu or Lark group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct FeishuSpec {
    /// Where the address is read from; it is a credential.
    pub url_from: UrlFrom,
    /// Secret with the key of the bot's signature. Default unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret_ref: Option<SecretKeyRef>,
    /// A keyword that the bot asks for; it is put into every title. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::keyword")]
    pub keyword: Option<String>,
    /// Who is called by name. Default nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Mentions>,
}

/// A group bot of WeCom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct WecomSpec {
    /// Where the address with its key is read from; it is a credential.
    pub url_from: UrlFrom,
    /// Who is called by name. Default nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Mentions>,
}

/// A service of PagerDuty with an Events API v2 integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = pagerduty_rules()))]
pub struct PagerdutySpec {
    /// Secret with the integration's routing key.
    pub routing_key_secret_ref: SecretKeyRef,
    /// Address of the Events API; `https://events.eu.pagerduty.com/v2/enqueue` in the EU service region.
    /// Default `https://events.pagerduty.com/v2/enqueue`.
    #[serde(default = "events_api")]
    #[schemars(schema_with = "crate::schema::url")]
    pub url: String,
    /// What shares an incident. Default Group.
    #[serde(default)]
    pub incident_per: IncidentPer,
}

/// What shares an incident.
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
pub enum IncidentPer {
    /// All tickets of a group, as the policy groups them.
    #[default]
    Group,
    /// A critical ticket has an incident of its own, all others share their group's.
    CriticalTicket,
}

fn events_api() -> String {
    "https://events.pagerduty.com/v2/enqueue".to_owned()
}

/// What a receiver is, whichever its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the kind of its spec")]
pub enum Endpoint {
    Webhook(WebhookSpec),
    Alertmanager(AlertmanagerSpec),
    Slack(SlackSpec),
    Teams(TeamsSpec),
    Dingtalk(DingtalkSpec),
    Feishu(FeishuSpec),
    Wecom(WecomSpec),
    Pagerduty(PagerdutySpec),
}

/// The kind of a receiver alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each variant is a field of the spec")]
pub enum EndpointKind {
    Webhook,
    Alertmanager,
    Slack,
    Teams,
    Dingtalk,
    Feishu,
    Wecom,
    Pagerduty,
}

impl EndpointKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Webhook,
        Self::Alertmanager,
        Self::Slack,
        Self::Teams,
        Self::Dingtalk,
        Self::Feishu,
        Self::Wecom,
        Self::Pagerduty,
    ];

    /// The field of the spec.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Alertmanager => "alertmanager",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
            Self::Wecom => "wecom",
            Self::Pagerduty => "pagerduty",
        }
    }
}

impl Endpoint {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> EndpointKind {
        match self {
            Self::Webhook(_) => EndpointKind::Webhook,
            Self::Alertmanager(_) => EndpointKind::Alertmanager,
            Self::Slack(_) => EndpointKind::Slack,
            Self::Teams(_) => EndpointKind::Teams,
            Self::Dingtalk(_) => EndpointKind::Dingtalk,
            Self::Feishu(_) => EndpointKind::Feishu,
            Self::Wecom(_) => EndpointKind::Wecom,
            Self::Pagerduty(_) => EndpointKind::Pagerduty,
        }
    }
}

impl Endpoint {
    /// Whether it holds what the other held: the same place, whatever else is set differently.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pagerduty(a), Self::Pagerduty(b)) => {
                (&a.routing_key_secret_ref, &a.url) == (&b.routing_key_secret_ref, &b.url)
            }
            (Self::Alertmanager(a), Self::Alertmanager(b)) => {
                (&a.url, &a.url_from, &a.urls) == (&b.url, &b.url_from, &b.urls)
            }
            (a, b) => a == b,
        }
    }
}

impl AlertReceiverSpec {
    /// The one endpoint that is set; `None` for an object that the schema would refuse.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        let set = [
            self.webhook.clone().map(Endpoint::Webhook),
            self.alertmanager.clone().map(Endpoint::Alertmanager),
            self.slack.clone().map(Endpoint::Slack),
            self.teams.clone().map(Endpoint::Teams),
            self.dingtalk.clone().map(Endpoint::Dingtalk),
            self.feishu.clone().map(Endpoint::Feishu),
            self.wecom.clone().map(Endpoint::Wecom),
            self.pagerduty.clone().map(Endpoint::Pagerduty),
        ];
        let mut set = set.into_iter().flatten();
        let endpoint = set.next()?;
        set.next().is_none().then_some(endpoint)
    }
}
