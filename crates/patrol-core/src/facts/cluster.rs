//! Namespaces, Services and the cluster's extension points.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use patrol_api::time::Time;
use serde::Deserialize;

use super::meta::{Labels, Meta, RawMeta};
use super::pod::RawCondition;
use crate::kind::Kind;
use crate::selector::Selector;
use crate::sym::Sym;

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Namespace {
    /// Metadata.
    pub meta: Meta,
    /// `status.phase` is Terminating, or it is being deleted.
    pub terminating: bool,
}

/// A label of a namespace, the one that every namespace gets (`kubernetes.io/metadata.name`)
/// included where the object is not here or does not carry it: files often lack both.
#[must_use]
pub fn namespace_label<'a>(
    name: &'a str,
    namespace: Option<&'a Namespace>,
    key: &str,
) -> Option<&'a str> {
    namespace
        .and_then(|n| n.meta.labels.get(key).map(Sym::as_str))
        .or_else(|| (key == "kubernetes.io/metadata.name").then_some(name))
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Service {
    /// Metadata.
    pub meta: Meta,
    /// `spec.selector`; empty when absent.
    pub selector: Labels,
    /// `spec.type`, empty when absent.
    pub kind: Sym,
}

/// A part of a Service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EndpointSlice {
    /// The Service it belongs to.
    pub service: Sym,
    /// Endpoints that are ready (an absent condition counts as ready).
    pub ready: u32,
}

/// A mutating or validating webhook configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfiguration {
    /// Which of the two.
    pub kind: Kind,
    /// Metadata.
    pub meta: Meta,
    /// Its webhooks.
    pub webhooks: Box<[Webhook]>,
}

/// One webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Name.
    pub name: Sym,
    /// `failurePolicy: Ignore`; the default is Fail.
    pub ignores_failure: bool,
    /// Who answers.
    pub target: WebhookTarget,
    /// The CA bundle that the API server trusts.
    pub ca_bundle: CaBundle,
    /// Which namespaces; absent selects all.
    pub namespace_selector: Selector,
    /// Which objects; absent selects all.
    pub object_selector: Selector,
    /// Which requests.
    pub rules: Box<[WebhookRule]>,
}

/// Who answers a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookTarget {
    /// A Service of the cluster.
    Service {
        /// Namespace.
        namespace: Sym,
        /// Name.
        name: Sym,
    },
    /// A URL outside the cluster's Services.
    Url,
}

/// Requests a webhook sees.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WebhookRule {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT` or `*`.
    pub operations: Box<[Sym]>,
    /// API groups or `*`.
    pub groups: Box<[Sym]>,
    /// Resources or `*`.
    pub resources: Box<[Sym]>,
}

impl WebhookRule {
    /// Whether it covers an operation on a resource.
    #[must_use]
    pub fn covers(&self, operation: &str, group: &str, resource: &str) -> bool {
        let any =
            |list: &[Sym], want: &str| list.iter().any(|w| w.as_str() == "*" || w.as_str() == want);
        any(&self.operations, operation)
            && any(&self.groups, group)
            && self
                .resources
                .iter()
                .any(|r| matches!(r.as_str(), "*" | "*/*") || r.as_str() == resource)
    }
}

/// What is known of a CA bundle.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CaBundle {
    /// Absent or empty: the API server uses the system's roots.
    #[default]
    Empty,
    /// The latest expiry of its certificates.
    ValidUntil(Time),
    /// Not a PEM bundle of certificates.
    Unreadable,
}

/// A CustomResourceDefinition.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CrdFact {
    /// Metadata.
    pub meta: Meta,
    /// Group of the kind it defines.
    pub group: Sym,
    /// Kind it defines.
    pub kind: Sym,
    /// Plural.
    pub plural: Sym,
    /// Condition Established is True; `None` without a status (a manifest).
    pub established: Option<bool>,
    /// Versions that are served.
    pub served: Box<[Sym]>,
}

/// An APIService.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ApiService {
    /// Metadata.
    pub meta: Meta,
    /// Condition Available; `None` without one (a manifest).
    pub available: Option<bool>,
    /// Reason of that condition.
    pub reason: Sym,
    /// Aggregated to a Service; local ones have none.
    pub service: Option<(Sym, Sym)>,
}

// ---------------------------------------------------------------- decoding

#[derive(Deserialize)]
pub(crate) struct RawNamespace {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    status: Option<RawPhase>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawPhase {
    phase: Option<Sym>,
}

impl RawNamespace {
    pub(crate) fn fact(self) -> (super::ObjectKey, String, Namespace) {
        let (key, version, meta) = self.metadata.split();
        let phase = self.status.unwrap_or_default().phase;
        let terminating = meta.deleting || phase.as_deref() == Some("Terminating");
        (key, version, Namespace { meta, terminating })
    }
}

#[derive(Deserialize)]
pub(crate) struct RawService {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    spec: Option<RawServiceSpec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawServiceSpec {
    selector: Option<Labels>,
    #[serde(rename = "type")]
    kind: Option<Sym>,
}

impl RawService {
    pub(crate) fn fact(self) -> (super::ObjectKey, String, Service) {
        let (key, version, meta) = self.metadata.split();
        let spec = self.spec.unwrap_or_default();
        let fact = Service {
            meta,
            selector: spec.selector.unwrap_or_default(),
            kind: spec.kind.unwrap_or_default(),
        };
        (key, version, fact)
    }
}

#[derive(Deserialize)]
pub(crate) struct RawEndpointSlice {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    endpoints: Option<Vec<RawEndpoint>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawEndpoint {
    conditions: Option<RawEndpointConditions>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawEndpointConditions {
    ready: Option<bool>,
}

impl RawEndpointSlice {
    pub(crate) fn fact(self) -> (super::ObjectKey, String, EndpointSlice) {
        let (key, version, meta) = self.metadata.split();
        let ready = self
            .endpoints
            .into_iter()
            .flatten()
            .filter(|e| e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true))
            .count();
        let fact = EndpointSlice {
            service: meta
                .labels
                .get("kubernetes.io/service-name")
                .cloned()
                .unwrap_or_default(),
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
        };
        (key, version, fact)
    }
}

#[derive(Deserialize)]
pub(crate) struct RawWebhookConfiguration {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    webhooks: Option<Vec<RawWebhook>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawWebhook {
    name: Option<Sym>,
    failure_policy: Option<Sym>,
    client_config: Option<RawClientConfig>,
    namespace_selector: Option<LabelSelector>,
    object_selector: Option<LabelSelector>,
    rules: Option<Vec<RawRule>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawClientConfig {
    service: Option<RawServiceRef>,
    ca_bundle: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawServiceRef {
    namespace: Option<Sym>,
    name: Option<Sym>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawRule {
    operations: Option<Vec<Sym>>,
    api_groups: Option<Vec<Sym>>,
    resources: Option<Vec<Sym>>,
}

impl RawWebhookConfiguration {
    pub(crate) fn fact(
        self,
        kind: Kind,
    ) -> Result<(super::ObjectKey, String, WebhookConfiguration), String> {
        let (key, version, meta) = self.metadata.split();
        let webhooks = self
            .webhooks
            .into_iter()
            .flatten()
            .map(RawWebhook::fact)
            .collect::<Result<_, _>>()?;
        Ok((
            key,
            version,
            WebhookConfiguration {
                kind,
                meta,
                webhooks,
            },
        ))
    }
}

impl RawWebhook {
    fn fact(self) -> Result<Webhook, String> {
        let client = self.client_config.unwrap_or_default();
        let selector = |s: Option<LabelSelector>| {
            s.map_or(Ok(Selector::everything()), |s| Selector::compile(&s))
        };
        Ok(Webhook {
            name: self.name.unwrap_or_default(),
            ignores_failure: self.failure_policy.as_deref() == Some("Ignore"),
            target: client
                .service
                .map_or(WebhookTarget::Url, |s| WebhookTarget::Service {
                    namespace: s.namespace.unwrap_or_default(),
                    name: s.name.unwrap_or_default(),
                }),
            ca_bundle: crate::certificate::ca_bundle(client.ca_bundle.as_deref().unwrap_or("")),
            namespace_selector: selector(self.namespace_selector)?,
            object_selector: selector(self.object_selector)?,
            rules: self
                .rules
                .into_iter()
                .flatten()
                .map(|r| WebhookRule {
                    operations: r.operations.unwrap_or_default().into(),
                    groups: r.api_groups.unwrap_or_default().into(),
                    resources: r.resources.unwrap_or_default().into(),
                })
                .collect(),
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct RawCrd {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    spec: RawCrdSpec,
    #[serde(default)]
    status: Option<RawConditions>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawCrdSpec {
    group: Sym,
    names: RawCrdNames,
    versions: Vec<RawCrdVersion>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawCrdNames {
    kind: Sym,
    plural: Sym,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawCrdVersion {
    name: Sym,
    served: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawConditions {
    conditions: Option<Vec<RawCondition>>,
}

impl RawConditions {
    fn take(self, kind: &str) -> Option<RawCondition> {
        self.conditions
            .into_iter()
            .flatten()
            .find(|c| c.kind.as_deref() == Some(kind))
    }
}

impl RawCrd {
    pub(crate) fn fact(self) -> (super::ObjectKey, String, CrdFact) {
        let (key, version, meta) = self.metadata.split();
        let established = self.status.map(|s| {
            s.take("Established")
                .is_some_and(|c| c.status.as_deref() == Some("True"))
        });
        let fact = CrdFact {
            meta,
            group: self.spec.group,
            kind: self.spec.names.kind,
            plural: self.spec.names.plural,
            established,
            served: self
                .spec
                .versions
                .into_iter()
                .filter(|v| v.served)
                .map(|v| v.name)
                .collect(),
        };
        (key, version, fact)
    }
}

#[derive(Deserialize)]
pub(crate) struct RawApiService {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    spec: Option<RawApiServiceSpec>,
    #[serde(default)]
    status: Option<RawConditions>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawApiServiceSpec {
    service: Option<RawServiceRef>,
}

impl RawApiService {
    pub(crate) fn fact(self) -> (super::ObjectKey, String, ApiService) {
        let (key, version, meta) = self.metadata.split();
        let condition = self.status.and_then(|s| s.take("Available"));
        let fact = ApiService {
            meta,
            available: condition
                .as_ref()
                .map(|c| c.status.as_deref() == Some("True")),
            reason: condition.and_then(|c| c.reason).unwrap_or_default(),
            service: self
                .spec
                .unwrap_or_default()
                .service
                .map(|s| (s.namespace.unwrap_or_default(), s.name.unwrap_or_default())),
        };
        (key, version, fact)
    }
}
