//! Pods: a small record of its own, and two parts that many pods share (the shape their
//! template gave them, and their status), which the inventory stores once.

mod decode;

use std::sync::Arc;

use patrol_api::time::Time;

use super::meta::{Labels, Owner, Uid};
use crate::sym::Sym;

pub(crate) use decode::{RawCondition, RawContainer, RawPod, RawPodSpec, derived_label};

/// A decoded pod, before the inventory shares its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFact {
    /// UID.
    pub uid: Uid,
    /// Controller owner.
    pub owner: Option<Arc<Owner>>,
    /// `spec.nodeName`.
    pub node: Option<Sym>,
    /// `creationTimestamp`.
    pub created: Option<Time>,
    /// Whether `deletionTimestamp` is set.
    pub deleting: bool,
    /// What its template gave it.
    pub shape: PodShape,
    /// Phase and containers' states.
    pub status: PodStatus,
    /// When the `Ready` condition last changed.
    pub ready_changed: Option<Time>,
}

/// The part of a pod that comes from its template: equal for all its siblings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct PodShape {
    /// Labels, without those a StatefulSet derives from the pod's own name.
    pub labels: Labels,
    /// Annotations that some check reads.
    pub annotations: Labels,
    /// Init, regular and ephemeral containers, in that order.
    pub containers: Arc<[Container]>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.os.name` is `windows`, or the node selector says so.
    pub windows: bool,
    /// `spec.automountServiceAccountToken` is false.
    pub no_automount: bool,
    /// Whether a volume projects a service account token although it is not mounted by default.
    pub token_projected: bool,
    /// A static pod's mirror: no webhook ever sees it.
    pub mirror: bool,
}

/// Where a container stands in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Runs once before the others.
    Init,
    /// An init container with `restartPolicy: Always` (a native sidecar).
    Native,
    /// `spec.containers`.
    Regular,
    /// `spec.ephemeralContainers`.
    Ephemeral,
}

/// A container of a pod or template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    /// Name.
    pub name: Sym,
    /// Image reference as written.
    pub image: Sym,
    /// Where it stands.
    pub role: Role,
    /// Carries the environment variable `__IS_SIDECAR__` (an Alibaba Cloud convention).
    pub sidecar_env: bool,
    /// Has a readiness probe; without one `ready` only says that a process runs.
    pub readiness_probe: bool,
    /// JSON pointer of the container inside the pod spec (`/containers/0`).
    pub path: Sym,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs)]
pub enum PodPhase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    /// Any other word, or none: a manifest without a status.
    Unknown,
}

/// The part of a pod's status that siblings share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct PodStatus {
    /// Phase.
    pub phase: PodPhase,
    /// Condition `Ready`.
    pub ready: Option<bool>,
    /// Condition `PodScheduled` when it is not True, and the node an unbound pod is for.
    pub unscheduled: Option<Scheduled>,
    /// Container statuses: init, regular and ephemeral.
    pub containers: Box<[ContainerStatus]>,
}

/// Why a pod has no node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Scheduled {
    /// The one node its required affinity names: how a DaemonSet makes a pod for a node.
    pub pin: Option<Sym>,
    /// Condition reason; empty while the scheduler has not said anything.
    pub reason: Sym,
    /// Condition message, at most 300 characters.
    pub message: Sym,
}

/// The state of one container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerStatus {
    /// Name.
    pub name: Sym,
    /// `ready`.
    pub ready: bool,
    /// `started`.
    pub started: Option<bool>,
    /// What it is doing.
    pub state: ContainerState,
    /// Whether it ran before (a restart count, or a last state).
    pub restarted: bool,
    /// `imageID`: the digest that really runs.
    pub image_id: Sym,
    /// When it entered its state, of a container that is not as it should be: no check asks
    /// it of others, and without it siblings have the same status.
    pub since: Option<Time>,
}

/// What a container is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum ContainerState {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Waiting, with the kubelet's reason (`CrashLoopBackOff`, `ImagePullBackOff` ...).
    Waiting(Sym),
    /// Running.
    Running,
    /// Ended.
    Terminated {
        /// Exit code.
        exit_code: i32,
        /// The kubelet's reason (`Completed`, `Error`, `OOMKilled`).
        reason: Sym,
    },
}

impl PodFact {
    /// Whether the pod counts: not being deleted and not finished.
    #[must_use]
    pub fn is_live(&self) -> bool {
        is_live(self.deleting, self.status.phase)
    }
}

/// Whether a pod counts: not being deleted, not finished.
#[must_use]
pub fn is_live(deleting: bool, phase: PodPhase) -> bool {
    !deleting && !matches!(phase, PodPhase::Succeeded | PodPhase::Failed)
}

impl Container {
    /// Whether it keeps running beside the others: regular and native ones, and any that
    /// the platform marks. Plain init and ephemeral ones never count.
    #[must_use]
    pub fn can_be_sidecar(&self) -> bool {
        matches!(self.role, Role::Regular | Role::Native)
            || (self.sidecar_env && self.role != Role::Ephemeral)
    }
}

impl PodShape {
    /// Containers that can be a sidecar.
    pub fn candidates(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|c| c.can_be_sidecar())
    }
}

impl PodStatus {
    /// The status of a container.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.containers.iter().find(|c| c.name.as_str() == name)
    }
}
