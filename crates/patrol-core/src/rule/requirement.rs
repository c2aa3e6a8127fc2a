//! The typed requirements of `spec.checks[]`, compiled.

use patrol_api::policy::{FailurePolicy, Position};
use patrol_api::time::Span;

use crate::facts::{Container, ContainerStatus, Labels, PodShape, Role};
use crate::inventory::Pod;
use crate::kind::Kind;
use crate::pattern::{Glob, ImagePattern, ImageRef};
use crate::selector::Selector;
use crate::sym::Sym;

/// Image patterns; empty matches any image.
#[derive(Clone, Debug, Default)]
pub struct ImageMatch(pub Box<[ImagePattern]>);

impl ImageMatch {
    /// Whether any pattern is given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether the image matches: any pattern, or none given.
    #[must_use]
    pub fn matches(&self, image: &str) -> bool {
        let image = ImageRef::parse(image);
        self.0.is_empty() || self.0.iter().any(|p| p.matches(&image))
    }
}

/// A version taken from an image tag: numbers compared from the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(Vec<u64>);

impl Version {
    /// Reads `v1.2.3-distro` as 1.2.3: strips a leading v and whatever follows the
    /// numbers. `None` when it does not begin with a number (`latest`, a commit hash).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let numbers: String = text
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        // `1abc` is no version: what follows the numbers must be set apart.
        let rest = text.get(numbers.len()..).unwrap_or("");
        if !(rest.is_empty() || rest.starts_with(['-', '+', '_'])) {
            return None;
        }
        let parts: Option<Vec<u64>> = numbers
            .trim_end_matches('.')
            .split('.')
            .map(|part| part.parse().ok())
            .collect();
        parts.filter(|p| !p.is_empty()).map(Self)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    /// Missing parts count as zero: 1.2 equals 1.2.0.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let len = self.0.len().max(other.0.len());
        let at = |v: &[u64], i: usize| v.get(i).copied().unwrap_or_default();
        (0..len)
            .map(|i| at(&self.0, i).cmp(&at(&other.0, i)))
            .find(|o| o.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    }
}

/// A required sidecar.
#[derive(Clone, Debug)]
pub struct SidecarRule {
    /// Container name, when required.
    pub container: Option<Glob>,
    /// Image repositories.
    pub images: ImageMatch,
    /// Where it must stand.
    pub position: Position,
    /// Lowest version, with the text as written.
    pub min_version: Option<(Version, String)>,
    /// Allowed digests.
    pub digests: Box<[Sym]>,
    /// Which pods need it.
    pub pods: Selector,
    /// Whether readiness is required.
    pub ready_required: bool,
    /// Grace from the pod's start.
    pub start_grace: Span,
    /// Grace from a restart.
    pub restart_grace: Span,
    /// Its injector.
    pub injector: Option<InjectorRule>,
    /// What may stand in for it, in order.
    pub substitutes: Box<[Substitute]>,
    /// Judge templates where no pod exists.
    pub templates: bool,
}

/// An injector that adds the sidecar.
#[derive(Clone, Debug, Default)]
pub struct InjectorRule {
    /// Name of its MutatingWebhookConfiguration.
    pub webhook: Option<Sym>,
    /// Labels or annotations that switch injection off.
    pub opt_out: Box<[OptOut]>,
}

/// A label or annotation that switches injection off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOut {
    /// Key.
    pub key: Sym,
    /// Value.
    pub value: Sym,
}

impl OptOut {
    /// Whether labels or annotations carry it.
    #[must_use]
    pub fn is_set(&self, labels: &Labels, annotations: &Labels) -> bool {
        labels.has(&self.key, &self.value) || annotations.has(&self.key, &self.value)
    }
}

/// What may stand in for a sidecar.
#[derive(Clone, Debug)]
pub enum Substitute {
    /// A ready pod of this node agent on the pod's node; with the agent's check name.
    NodeAgent(Sym, std::sync::Arc<NodeAgentRule>),
    /// Redirection to an ambient mesh with its ready proxy on the pod's node.
    AmbientMesh,
    /// The platform's word for virtual nodes: attested, not verified.
    PlatformAttestation,
}

impl SidecarRule {
    /// Whether the container stands where the sidecar must.
    #[must_use]
    pub fn is_in_position(&self, container: &Container) -> bool {
        match self.position {
            Position::Any => true,
            Position::Regular => container.role == Role::Regular,
            Position::Native => container.role == Role::Native,
        }
    }

    /// The container that satisfies the requirement, if any.
    #[must_use]
    pub fn find<'a>(&self, shape: &'a PodShape) -> Option<&'a Container> {
        self.find_in(&shape.containers)
    }

    /// The one of these containers that satisfies the requirement, if any.
    #[must_use]
    pub fn find_in<'a>(&self, containers: &'a [Container]) -> Option<&'a Container> {
        containers.iter().filter(|c| c.can_be_sidecar()).find(|c| {
            self.is_in_position(c)
                && self.container.as_ref().is_none_or(|g| g.matches(&c.name))
                && self.images.matches(&c.image)
        })
    }

    /// A container that has the required name but a foreign image.
    #[must_use]
    pub fn impostor<'a>(&self, shape: &'a PodShape) -> Option<&'a Container> {
        let name = self.container.as_ref()?;
        shape
            .candidates()
            .find(|c| name.matches(&c.name) && !self.images.matches(&c.image))
    }
}

/// A required node agent.
#[derive(Clone, Debug)]
pub struct NodeAgentRule {
    /// Labels of its pods; `None`: any.
    pub selector: Option<Selector>,
    /// Namespace of its pods.
    pub namespace: Option<Sym>,
    /// Images of its pods.
    pub images: ImageMatch,
    /// Which nodes need it.
    pub nodes: Selector,
    /// Lowest version, with the text as written.
    pub min_version: Option<(Version, String)>,
    /// Whether control-plane nodes need it.
    pub control_plane: bool,
    /// The sidecar check that covers pods on virtual nodes.
    pub virtual_node_substitute: Option<(Sym, std::sync::Arc<SidecarRule>)>,
}

impl NodeAgentRule {
    /// Whether a pod is one of the agent's.
    #[must_use]
    pub fn is_agent(&self, pod: &Pod) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|ns| *ns == pod.key.namespace)
            && self
                .selector
                .as_ref()
                .is_none_or(|s| s.matches_with(|key| pod.label(key)))
            && self.has_image(&pod.shape)
    }

    /// Whether a workload's template makes pods of the agent.
    #[must_use]
    pub fn is_template(&self, namespace: &str, shape: &PodShape) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|ns| ns.as_str() == namespace)
            && self
                .selector
                .as_ref()
                .is_none_or(|s| s.matches(&shape.labels))
            && self.has_image(shape)
    }

    fn has_image(&self, shape: &PodShape) -> bool {
        !self.images.is_given()
            || shape
                .containers
                .iter()
                .any(|c| c.role != Role::Ephemeral && self.images.matches(&c.image))
    }

    /// The agent's container in one of its pods: the one whose image matches, else the
    /// first regular one.
    #[must_use]
    pub fn container<'a>(&self, shape: &'a PodShape) -> Option<&'a Container> {
        let regular = || shape.containers.iter().filter(|c| c.role == Role::Regular);
        if self.images.is_given() {
            return shape
                .containers
                .iter()
                .find(|c| self.images.matches(&c.image));
        }
        regular().next()
    }
}

/// A required component: one of the alternatives is enough.
#[derive(Clone, Debug)]
pub struct ComponentRule {
    /// Its forms.
    pub any_of: Box<[Alternative]>,
}

/// One form of a component.
#[derive(Clone, Debug)]
pub enum Alternative {
    /// A workload.
    Workload(WorkloadTarget),
    /// A webhook configuration.
    Webhook {
        /// Mutating or validating.
        kind: Kind,
        /// Name glob.
        name: Glob,
        /// Group, resource and operation it must cover.
        group: String,
        /// Plural.
        resource: String,
        /// Operation.
        operation: String,
        /// What must happen while it does not answer.
        failure_policy: Option<FailurePolicy>,
    },
    /// A CRD.
    Crd {
        /// Full name.
        name: Sym,
        /// Version it must serve.
        version: Option<Sym>,
        /// Objects of its kind that must exist.
        min_instances: u32,
    },
    /// An aggregated API.
    ApiService(Sym),
}

/// A workload that a component is.
#[derive(Clone, Debug)]
pub struct WorkloadTarget {
    /// Deployment, DaemonSet or StatefulSet.
    pub kind: Kind,
    /// Namespace.
    pub namespace: Sym,
    /// Name.
    pub name: Option<Sym>,
    /// Labels of the workload.
    pub selector: Option<Selector>,
    /// Images.
    pub images: ImageMatch,
    /// Least available pods.
    pub min_available: i64,
    /// Lowest version, with the text as written.
    pub min_version: Option<(Version, String)>,
}

/// Whether a container status says that it is up: ready, and (native sidecars) started.
#[must_use]
pub fn is_up(status: &ContainerStatus) -> bool {
    status.ready && status.started != Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_tags() {
        for (text, expected) in [
            ("1.2.3", Some(vec![1, 2, 3])),
            ("v1.2", Some(vec![1, 2])),
            ("1.20.3-distroless", Some(vec![1, 20, 3])),
            ("5.10.134-16.1.al8", Some(vec![5, 10, 134])),
            ("latest", None),
            ("", None),
            ("3f2a9c", None),
            ("sha-1.2", None),
        ] {
            assert_eq!(Version::parse(text).map(|v| v.0), expected, "{text}");
        }
    }

    #[test]
    fn versions_compare_by_number() {
        let v = |t| Version::parse(t).unwrap();
        assert!(v("1.9") < v("1.10"));
        assert!(v("1.2") <= v("1.2.0") && v("1.2.0") <= v("1.2"));
        assert!(v("2") > v("1.99.99"));
    }
}
