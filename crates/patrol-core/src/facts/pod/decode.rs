//! Decoding pods: the names of the API, read straight into the facts.

use patrol_api::time::Time;
use serde::Deserialize;

use super::super::meta::{Labels, Owner, RawMeta};
use super::super::workload::RawAffinity;
use super::{
    Container, ContainerState, ContainerStatus, PodFact, PodPhase, PodShape, PodStatus, Role,
    Scheduled, is_live,
};
use crate::sym::Sym;

#[derive(Deserialize)]
pub(crate) struct RawPod {
    #[serde(default)]
    pub metadata: RawMeta,
    #[serde(default)]
    pub spec: Option<RawPodSpec>,
    #[serde(default)]
    pub status: Option<RawPodStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawPodSpec {
    node_name: Option<Sym>,
    host_network: Option<bool>,
    os: Option<RawOs>,
    automount_service_account_token: Option<bool>,
    init_containers: Option<Vec<RawContainer>>,
    containers: Option<Vec<RawContainer>>,
    ephemeral_containers: Option<Vec<RawContainer>>,
    volumes: Option<Vec<RawVolume>>,
    pub(crate) node_selector: Option<Labels>,
    pub(crate) affinity: Option<RawAffinity>,
    pub(crate) tolerations: Option<Vec<super::super::workload::RawToleration>>,
}

#[derive(Deserialize, Default)]
struct RawOs {
    #[serde(default)]
    name: Option<Sym>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawContainer {
    name: Option<Sym>,
    image: Option<Sym>,
    restart_policy: Option<Sym>,
    env: Option<Vec<RawEnv>>,
    readiness_probe: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
struct RawEnv {
    #[serde(default)]
    name: Option<Sym>,
}

#[derive(Deserialize, Default)]
struct RawVolume {
    #[serde(default)]
    projected: Option<RawProjected>,
}

#[derive(Deserialize, Default)]
struct RawProjected {
    #[serde(default)]
    sources: Option<Vec<RawSource>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSource {
    service_account_token: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawPodStatus {
    phase: Option<String>,
    conditions: Option<Vec<RawCondition>>,
    init_container_statuses: Option<Vec<RawContainerStatus>>,
    container_statuses: Option<Vec<RawContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<RawContainerStatus>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawCondition {
    #[serde(rename = "type")]
    pub kind: Option<Sym>,
    pub status: Option<Sym>,
    pub reason: Option<Sym>,
    pub message: Option<String>,
    pub last_transition_time: Option<Time>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawContainerStatus {
    name: Option<Sym>,
    ready: Option<bool>,
    started: Option<bool>,
    restart_count: Option<i64>,
    #[serde(rename = "imageID")]
    image_id: Option<Sym>,
    state: Option<RawState>,
    last_state: Option<RawLastState>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawState {
    waiting: Option<RawWaiting>,
    running: Option<RawRunning>,
    terminated: Option<RawTerminated>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawLastState {
    terminated: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawWaiting {
    reason: Option<Sym>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawRunning {
    started_at: Option<Time>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawTerminated {
    exit_code: Option<i64>,
    reason: Option<Sym>,
    finished_at: Option<Time>,
}

/// The value that a controller derives for a label from the pod's own name or owner.
/// Keeping such labels would make every shape unique; they are computed when asked for.
pub(crate) fn derived_label<'a>(
    key: &str,
    pod: &'a str,
    owner: Option<&'a Owner>,
) -> Option<&'a str> {
    let owner = owner?;
    let tail = |name: &'a str| name.rsplit_once('-').map(|(_, tail)| tail);
    match (owner.kind.as_str(), key) {
        ("StatefulSet", "statefulset.kubernetes.io/pod-name") => Some(pod),
        ("StatefulSet", "apps.kubernetes.io/pod-index") => tail(pod),
        ("ReplicaSet", "pod-template-hash") => tail(&owner.name),
        ("Job", "job-name" | "batch.kubernetes.io/job-name") => Some(&owner.name),
        _ => None,
    }
}

impl RawPodSpec {
    pub(crate) fn shape(&self, labels: Labels, annotations: Labels) -> PodShape {
        let groups = [
            ("initContainers", Role::Init, &self.init_containers),
            ("containers", Role::Regular, &self.containers),
            (
                "ephemeralContainers",
                Role::Ephemeral,
                &self.ephemeral_containers,
            ),
        ];
        let mut containers = Vec::new();
        for (field, role, list) in groups {
            for (i, raw) in list.iter().flatten().enumerate() {
                containers.push(raw.fact(role, &format!("/{field}/{i}")));
            }
        }
        let selects_windows = self
            .node_selector
            .as_ref()
            .is_some_and(|s| s.has("kubernetes.io/os", "windows"));
        let os_windows = self
            .os
            .as_ref()
            .and_then(|os| os.name.as_ref())
            .is_some_and(|name| name.as_str() == "windows");
        PodShape {
            mirror: annotations.get("kubernetes.io/config.mirror").is_some(),
            labels,
            annotations: annotations.filtered(|key| key != "kubernetes.io/config.mirror"),
            containers: containers.into(),
            host_network: self.host_network == Some(true),
            windows: os_windows || selects_windows,
            no_automount: self.automount_service_account_token == Some(false),
            token_projected: self.automount_service_account_token == Some(false)
                && self.projects_token(),
        }
    }

    fn projects_token(&self) -> bool {
        self.volumes
            .iter()
            .flatten()
            .filter_map(|v| v.projected.as_ref())
            .flat_map(|p| p.sources.iter().flatten())
            .any(|s| s.service_account_token.is_some())
    }
}

impl RawContainer {
    pub(crate) fn fact(&self, role: Role, path: &str) -> Container {
        let native = role == Role::Init
            && self
                .restart_policy
                .as_ref()
                .is_some_and(|p| p.as_str() == "Always");
        Container {
            name: self.name.clone().unwrap_or_default(),
            image: self.image.clone().unwrap_or_default(),
            role: if native { Role::Native } else { role },
            sidecar_env: self.env.iter().flatten().any(|e| {
                e.name
                    .as_ref()
                    .is_some_and(|n| n.as_str() == "__IS_SIDECAR__")
            }),
            readiness_probe: self.readiness_probe.is_some(),
            path: Sym::new(path),
        }
    }
}

impl RawContainerStatus {
    fn fact(self) -> ContainerStatus {
        let mut since = None;
        let state = match self.state {
            Some(RawState {
                running: Some(running),
                ..
            }) => {
                since = running.started_at;
                ContainerState::Running
            }
            Some(RawState {
                terminated: Some(ended),
                ..
            }) => {
                since = ended.finished_at;
                ContainerState::Terminated {
                    exit_code: ended
                        .exit_code
                        .and_then(|code| i32::try_from(code).ok())
                        .unwrap_or(-1),
                    reason: ended.reason.unwrap_or_default(),
                }
            }
            Some(RawState {
                waiting: Some(waiting),
                ..
            }) => ContainerState::Waiting(waiting.reason.unwrap_or_default()),
            _ => ContainerState::Unknown,
        };
        let mut status = ContainerStatus {
            name: self.name.unwrap_or_default(),
            ready: self.ready == Some(true),
            started: self.started,
            state,
            restarted: self.restart_count.unwrap_or_default() > 0
                || self.last_state.is_some_and(|s| s.terminated.is_some()),
            image_id: self.image_id.unwrap_or_default(),
            since: None,
        };
        let ended_well = status.ready && matches!(status.state, ContainerState::Terminated { .. });
        status.since = since.filter(|_| !ended_well && !crate::rule::is_up(&status));
        status
    }
}

impl RawPod {
    pub(crate) fn fact(self) -> (super::super::ObjectKey, String, PodFact) {
        let (key, version, meta) = self.metadata.split();
        let spec = self.spec.unwrap_or_default();
        let (mut status, ready_changed) = self.status.unwrap_or_default().fact();
        let bound = spec.node_name.as_ref().is_some_and(|n| !n.is_empty());
        if !bound && let Some(pin) = spec.affinity.as_ref().and_then(RawAffinity::pinned_node) {
            status.unscheduled.get_or_insert_default().pin = Some(pin);
        }
        // A mirror pod is owned by its node, which roots nothing.
        let mirror = meta
            .owner
            .as_ref()
            .is_some_and(|o| o.kind.as_str() == "Node");
        let annotations = super::super::sidecar_set::without_times(meta.annotations);
        let owner = meta.owner.as_deref();
        let labels = meta
            .labels
            .filtered_pairs(|label, value| derived_label(label, &key.name, owner) != Some(value));
        let mut shape = spec.shape(labels, annotations);
        shape.mirror |= mirror;
        let fact = PodFact {
            uid: meta.uid,
            owner: meta.owner.filter(|_| !mirror),
            node: spec.node_name.filter(|n| !n.is_empty()),
            created: meta.created,
            deleting: meta.deleting,
            shape,
            status,
            ready_changed,
        };
        (key, version, fact)
    }
}

impl RawPodStatus {
    fn fact(self) -> (PodStatus, Option<Time>) {
        let phase = match self.phase.as_deref() {
            Some("Pending") => PodPhase::Pending,
            Some("Running") => PodPhase::Running,
            Some("Succeeded") => PodPhase::Succeeded,
            Some("Failed") => PodPhase::Failed,
            _ => PodPhase::Unknown,
        };
        let mut ready = None;
        let mut ready_changed = None;
        let mut unscheduled = None;
        for condition in self.conditions.into_iter().flatten() {
            let is_true = condition
                .status
                .as_ref()
                .is_some_and(|s| s.as_str() == "True");
            match condition.kind.as_deref() {
                Some("Ready") => {
                    ready = Some(is_true);
                    ready_changed = condition.last_transition_time;
                }
                Some("PodScheduled") if !is_true => {
                    unscheduled = Some(Scheduled {
                        pin: None,
                        reason: condition.reason.unwrap_or_default(),
                        message: Sym::new(
                            &condition
                                .message
                                .unwrap_or_default()
                                .chars()
                                .take(300)
                                .collect::<String>(),
                        ),
                    });
                }
                _ => {}
            }
        }
        let mut containers: Box<[ContainerStatus]> = [
            self.init_container_statuses,
            self.container_statuses,
            self.ephemeral_container_statuses,
        ]
        .into_iter()
        .flatten()
        .flatten()
        .map(RawContainerStatus::fact)
        .collect();
        if !is_live(false, phase) {
            // Of a pod that is done no check asks anything.
            containers.iter_mut().for_each(|c| c.since = None);
        }
        let status = PodStatus {
            phase,
            ready,
            unscheduled,
            containers,
        };
        (status, ready_changed)
    }
}
