//! Nodes.

use patrol_api::time::Time;
use serde::Deserialize;

use super::meta::{Meta, RawMeta};
use super::pod::RawCondition;
use crate::sym::Sym;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Node {
    /// Metadata.
    pub meta: Meta,
    /// `spec.taints`.
    pub taints: Box<[Taint]>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// Condition `Ready` is True. `None`: no such condition (a bare manifest).
    pub ready: Option<bool>,
    /// When condition `Ready` last changed.
    pub ready_changed: Option<Time>,
    /// Operating system (`status.nodeInfo`, else the well-known label).
    pub os: Sym,
    /// Architecture (`status.nodeInfo`, else the well-known label).
    pub arch: Sym,
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taint {
    /// Key.
    pub key: Sym,
    /// Value, empty when absent.
    pub value: Sym,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Sym,
}

impl Node {
    /// Whether pods on it run without the node being a machine of the cluster, so that no
    /// DaemonSet reaches them.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        let labels = &self.meta.labels;
        labels.has("type", "virtual-kubelet")
            || labels.has("eks.amazonaws.com/compute-type", "fargate")
            || self
                .taints
                .iter()
                .any(|t| t.key.as_str() == "virtual-kubelet.io/provider")
    }

    /// Whether it is a control-plane node.
    #[must_use]
    pub fn is_control_plane(&self) -> bool {
        const KEYS: [&str; 2] = [
            "node-role.kubernetes.io/control-plane",
            "node-role.kubernetes.io/master",
        ];
        KEYS.iter().any(|key| self.meta.labels.get(key).is_some())
            || self.taints.iter().any(|t| KEYS.contains(&t.key.as_str()))
    }

    /// Since when it is not ready, if it is not.
    #[must_use]
    pub fn down_since(&self) -> Option<Time> {
        self.ready_changed.filter(|_| self.ready == Some(false))
    }

    /// Whether it is on its way out: deleted, or marked by an autoscaler.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        const KEYS: [&str; 3] = [
            "ToBeDeletedByClusterAutoscaler",
            "karpenter.sh/disrupted",
            "karpenter.sh/disruption",
        ];
        self.meta.deleting || self.taints.iter().any(|t| KEYS.contains(&t.key.as_str()))
    }
}

#[derive(Deserialize)]
pub(crate) struct RawNode {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    spec: Option<RawSpec>,
    #[serde(default)]
    status: Option<RawStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawSpec {
    taints: Option<Vec<RawTaint>>,
    unschedulable: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawTaint {
    key: Option<Sym>,
    value: Option<Sym>,
    effect: Option<Sym>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus {
    conditions: Option<Vec<RawCondition>>,
    node_info: Option<RawInfo>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawInfo {
    operating_system: Option<Sym>,
    architecture: Option<Sym>,
}

impl RawNode {
    pub(crate) fn fact(self) -> (super::ObjectKey, String, Node) {
        let (key, version, meta) = self.metadata.split();
        let spec = self.spec.unwrap_or_default();
        let status = self.status.unwrap_or_default();
        let ready = status
            .conditions
            .into_iter()
            .flatten()
            .find(|c| c.kind.as_deref() == Some("Ready"));
        let info = status.node_info.unwrap_or_default();
        let label = |key| meta.labels.get(key).cloned().unwrap_or_default();
        let node = Node {
            os: info
                .operating_system
                .unwrap_or_else(|| label("kubernetes.io/os")),
            arch: info
                .architecture
                .unwrap_or_else(|| label("kubernetes.io/arch")),
            taints: spec
                .taints
                .into_iter()
                .flatten()
                .map(|t| Taint {
                    key: t.key.unwrap_or_default(),
                    value: t.value.unwrap_or_default(),
                    effect: t.effect.unwrap_or_default(),
                })
                .collect(),
            unschedulable: spec.unschedulable == Some(true),
            ready_changed: ready.as_ref().and_then(|c| c.last_transition_time),
            ready: ready.map(|c| c.status.as_deref() == Some("True")),
            meta,
        };
        (key, version, node)
    }
}
