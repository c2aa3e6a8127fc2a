//! A generic webhook: address, format, signature, and the secrets these are read from.
//! Never holds a credential: secrets are named, not written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::webhook_rules;

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
    /// Our own body as the data of a CloudEvent in structured mode.
    #[serde(rename = "cloudevents/1.0")]
    CloudEventsV1,
    /// The body that Alertmanager sends to webhooks.
    #[serde(rename = "alertmanager/v4")]
    AlertmanagerV4,
}

impl WebhookFormat {
    /// The word as written in objects.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PatrolV1 => "patrol/v1",
            Self::CloudEventsV1 => "cloudevents/1.0",
            Self::AlertmanagerV4 => "alertmanager/v4",
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
    /// Format of the body: patrol/v1, cloudevents/1.0 or alertmanager/v4. Default patrol/v1.
    #[serde(default)]
    pub format: WebhookFormat,
    /// Headers whose values are read from Secrets in the operator's namespace. Default none.
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

/// A Secret of type `kubernetes.io/tls` in the operator's namespace.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct TlsSecretRef {
    /// Name of the Secret.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
}

impl TlsSecretRef {
    /// Where the certificate is.
    #[must_use]
    pub fn certificate(&self) -> SecretKeyRef {
        self.key("tls.crt")
    }

    /// Where its private key is.
    #[must_use]
    pub fn private_key(&self) -> SecretKeyRef {
        self.key("tls.key")
    }

    fn key(&self, key: &str) -> SecretKeyRef {
        SecretKeyRef {
            name: self.name.clone(),
            key: key.to_owned(),
        }
    }
}
