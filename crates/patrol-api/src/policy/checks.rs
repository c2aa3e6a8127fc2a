//! The typed blocks of `spec.checks`: required sidecars and node agents.
//! Never knows how a block is evaluated.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Component;
use crate::schema::{Rule, rules};
use crate::time::Span;
use crate::words::{Layer, Party, Severity};

const BLOCK: &[Rule<'_>] = &[(
    "[has(self.sidecar), has(self.nodeAgent), has(self.component)].exists_one(is_set, is_set)",
    "exactly one of sidecar, nodeAgent and component must be set",
)];

const SIDECAR: &[Rule<'_>] = &[(
    "has(self.container) || (has(self.images) && self.images.size() > 0)",
    "at least one of container and images must be set",
)];

const SUBSTITUTE: &[Rule<'_>] = &[(
    "(self.kind == 'NodeAgent') == has(self.nodeAgent)",
    "nodeAgent must be set for the kind NodeAgent, and only for it",
)];

const NODE_AGENT: &[Rule<'_>] = &[(
    "has(self.selector) || (has(self.images) && self.images.size() > 0)",
    "at least one of selector and images must be set",
)];

/// One check of the policy: a name and exactly one of sidecar, nodeAgent and component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(BLOCK)))]
pub struct CheckBlock {
    /// Name of the requirement, unique in the policy; its tickets carry it.
    #[schemars(schema_with = "crate::schema::requirement_name")]
    pub name: String,
    /// Severity of findings about presence and readiness. Default the check's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Party responsible for the findings. Default decided by profile and subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
    /// Layer of the responsibility model the findings belong to. Default the check's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// A container that every selected pod must run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<Sidecar>,
    /// A pod that every selected node must run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_agent: Option<NodeAgent>,
    /// Something the cluster must have, in one of several forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
}

/// Where a sidecar container may stand in the pod.
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
pub enum Position {
    /// As a regular or a native sidecar container.
    #[default]
    Any,
    /// In `containers`.
    Regular,
    /// In `initContainers` with `restartPolicy: Always`.
    Native,
}

/// A container that every selected pod must run; at least one of container and images is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(SIDECAR)))]
pub struct Sidecar {
    /// Glob of the container's name. Default any name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::container_glob")]
    pub container: Option<String>,
    /// Globs of the image repository, matched on whole path segments from the right, so that a mirror's prefix still
    /// matches. Default any image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::images")]
    pub images: Vec<String>,
    /// Where the container stands: Regular, Native (an init container that keeps running), or Any. Default Any.
    #[serde(default)]
    pub position: Position,
    /// Lowest allowed version, compared with the image tag. Default any version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::version")]
    pub min_version: Option<String>,
    /// Allowed image digests. Default any digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::digests")]
    pub digests: Vec<String>,
    /// Labels of the pods that need the sidecar. Default every pod in scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::selector")]
    pub pods: Option<LabelSelector>,
    /// Whether and how soon the sidecar must be ready. Default it must be, within the policy's graces.
    #[serde(default)]
    pub ready: SidecarReady,
    /// The injector that adds the sidecar, so that its own health and opt-outs are checked. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injector: Option<Injector>,
    /// What may stand in for the sidecar, in order; the first that holds is named in the verdict. Default nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub substitutes: Vec<Substitute>,
    /// Judges the pod template of workloads that have no pod at the moment too. Default false.
    #[serde(default)]
    pub templates: bool,
}

/// Whether and how soon a sidecar must be ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct SidecarReady {
    /// Whether a sidecar that is there but not ready is a finding. Default true.
    #[serde(default = "yes")]
    pub required: bool,
    /// Time from the pod's start in which the sidecar need not be ready. Default spec.graces.podStart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::span")]
    pub start_grace: Option<Span>,
    /// Time from a restart of the sidecar in which it need not be ready. Default spec.graces.agentRestart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::span")]
    pub restart_grace: Option<Span>,
}

impl Default for SidecarReady {
    fn default() -> Self {
        Self {
            required: true,
            start_grace: None,
            restart_grace: None,
        }
    }
}

fn yes() -> bool {
    true
}

/// The injector that adds a sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Injector {
    /// Name of the injector's MutatingWebhookConfiguration. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::object_name")]
    pub webhook: Option<String>,
    /// Labels or annotations that switch the injection off on a pod, template or namespace, each as `key=value`.
    /// Default those of well-known injectors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::markers")]
    pub opt_out: Vec<String>,
}

/// The kinds of substitutes for a sidecar.
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
pub enum SubstituteKind {
    /// The ready pod of a node agent check on the pod's node.
    #[default]
    NodeAgent,
    /// Redirection to an ambient mesh, with its ready proxy on the pod's node.
    AmbientMesh,
    /// The platform's word for virtual nodes, reported as attested and not as verified.
    PlatformAttestation,
}

/// What may stand in for a sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(SUBSTITUTE)))]
pub struct Substitute {
    /// NodeAgent (a ready node agent on the pod's node), AmbientMesh (redirection to a ready mesh proxy on the pod's node),
    /// or PlatformAttestation (the platform's word for virtual nodes, reported as attested, not as verified).
    pub kind: SubstituteKind,
    /// Name of a nodeAgent check of this policy; needed for kind NodeAgent, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::requirement_name")]
    pub node_agent: Option<String>,
}

/// A pod that every selected node must run; at least one of selector and images is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline, extend("x-kubernetes-validations" = rules(NODE_AGENT)))]
pub struct NodeAgent {
    /// Labels of the agent's pods. Default any labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::required_selector")]
    pub selector: Option<LabelSelector>,
    /// Namespace of the agent's pods. Default every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::namespace")]
    pub namespace: Option<String>,
    /// Globs of the image repository, matched on whole path segments from the right. Default any image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::images")]
    pub images: Vec<String>,
    /// Labels of the nodes that need the agent. Default every node in scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::selector")]
    pub nodes: Option<LabelSelector>,
    /// Lowest allowed version, compared with the image tag. Default any version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::version")]
    pub min_version: Option<String>,
    /// Whether control-plane nodes need the agent too. Default false.
    #[serde(default)]
    pub control_plane: bool,
    /// Name of a sidecar check of this policy that covers pods on virtual nodes, where no node agent can run. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::requirement_name")]
    pub virtual_node_substitute: Option<String>,
}
