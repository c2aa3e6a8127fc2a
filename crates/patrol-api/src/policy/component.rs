//! The `component` block of `spec.checks`: something the cluster must have, in one of several forms.
//! Never knows how a form is looked up.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{Rule, rules};

const ALTERNATIVE: &[Rule<'_>] = &[(
    "[has(self.workload), has(self.webhook), has(self.crd), has(self.apiService)].exists_one(is_set, is_set)",
    "exactly one of workload, webhook, crd and apiService must be set",
)];

const WORKLOAD: &[Rule<'_>] = &[(
    "has(self.name) != has(self.selector)",
    "exactly one of name and selector must be set",
)];

/// Something the cluster must have; one of the alternatives is enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Component {
    /// The forms the component may take, at least one.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub any_of: Vec<Alternative>,
}

/// One form of a component: exactly one of workload, webhook, crd and apiService.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(ALTERNATIVE)))]
pub struct Alternative {
    /// A workload that must be there and available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadRef>,
    /// An admission webhook that must be registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookRef>,
    /// A custom resource definition that must be established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crd: Option<CrdRef>,
    /// An aggregated API that must be available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_service: Option<ApiServiceRef>,
}

/// The kinds of workloads a component may be.
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
pub enum WorkloadKind {
    /// A Deployment.
    #[default]
    Deployment,
    /// A DaemonSet.
    DaemonSet,
    /// A StatefulSet.
    StatefulSet,
}

/// A workload that must be there and available; exactly one of name and selector is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(WORKLOAD)))]
pub struct WorkloadRef {
    /// Deployment, DaemonSet or StatefulSet. Default Deployment.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// Namespace of the workload.
    #[schemars(schema_with = "crate::schema::namespace")]
    pub namespace: String,
    /// Name of the workload. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: Option<String>,
    /// Labels of the workload. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::required_selector")]
    pub selector: Option<LabelSelector>,
    /// Globs of the image repository, matched on whole path segments from the right. Default any image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::images")]
    pub images: Vec<String>,
    /// Lowest number of available replicas. Default 1.
    #[serde(default = "one")]
    #[schemars(schema_with = "crate::schema::replicas")]
    pub min_available: u32,
    /// Lowest allowed version, compared with the image tag. Default any version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::version")]
    pub min_version: Option<String>,
}

fn one() -> u32 {
    1
}

/// The kinds of admission webhook configurations.
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
pub enum WebhookKind {
    /// A ValidatingWebhookConfiguration.
    #[default]
    Validating,
    /// A MutatingWebhookConfiguration.
    Mutating,
}

/// What happens to requests while a webhook does not answer.
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
pub enum FailurePolicy {
    /// They are refused.
    #[default]
    Fail,
    /// They pass.
    Ignore,
}

/// An admission webhook that must be registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct WebhookRef {
    /// Validating or Mutating. Default Validating.
    #[serde(default)]
    pub kind: WebhookKind,
    /// Name of the webhook configuration, or a glob.
    #[schemars(schema_with = "crate::schema::object_glob")]
    pub name: String,
    /// What the webhook must be asked about. Default the creation of pods.
    #[serde(default)]
    pub covers: WebhookRule,
    /// What must happen while the webhook does not answer: Fail or Ignore. Default either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::failure_policy")]
    pub failure_policy: Option<FailurePolicy>,
}

/// What a webhook is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct WebhookRule {
    /// API group of the resource; the empty text is the core group. Default the core group.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::api_group")]
    pub group: String,
    /// Plural name of the resource. Default pods.
    #[serde(default = "pods")]
    #[schemars(schema_with = "crate::schema::resource")]
    pub resource: String,
    /// CREATE, UPDATE, DELETE or CONNECT. Default CREATE.
    #[serde(default = "create")]
    #[schemars(schema_with = "crate::schema::operation")]
    pub operation: String,
}

fn pods() -> String {
    "pods".to_owned()
}

fn create() -> String {
    "CREATE".to_owned()
}

impl Default for WebhookRule {
    fn default() -> Self {
        Self {
            group: String::new(),
            resource: pods(),
            operation: create(),
        }
    }
}

/// A custom resource definition that must be established.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct CrdRef {
    /// Name of the definition, such as `clusterpolicies.kyverno.io`.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
    /// Version it must serve. Default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::api_version")]
    pub version: Option<String>,
    /// Lowest number of objects of its kind; an engine without policies protects nothing. Default 0.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::replicas")]
    pub min_instances: u32,
}

/// An aggregated API that must be available.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ApiServiceRef {
    /// Name of the APIService, such as `v1beta1.metrics.k8s.io`.
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
}
