//! Workloads: every kind that owns pods, in one shape.

use std::sync::Arc;

use serde::Deserialize;

use super::meta::{Labels, Meta, RawMeta};
use super::pod::{PodShape, RawPodSpec};
use crate::kind::Kind;
use crate::sym::Sym;

/// A Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob or ReplicationController.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Metadata.
    pub meta: Meta,
    /// Pods wanted (`spec.replicas`, default 1; a DaemonSet's desired count; Jobs: 1).
    pub replicas: i32,
    /// `spec.suspend` of Jobs and CronJobs.
    pub suspended: bool,
    /// A Job with condition Complete or Failed.
    pub finished: bool,
    /// Whether the status speaks of the present spec (`status.observedGeneration`).
    pub current: bool,
    /// Pods available, as the workload's own status counts them.
    pub available: i32,
    /// Pods of the current revision.
    pub updated: i32,
    /// Whether the object carries a status at all (a manifest does not).
    pub has_status: bool,
    /// What pods it makes.
    pub template: Option<Template>,
}

/// A pod template.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Template {
    /// The pod it would make, before admission.
    pub shape: Arc<PodShape>,
    /// Where its pods may run.
    pub scheduling: Arc<Scheduling>,
}

/// What decides where pods may run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Scheduling {
    /// `spec.nodeSelector`.
    pub node_selector: Labels,
    /// Required node affinity.
    pub affinity: Affinity,
    /// `spec.tolerations`.
    pub tolerations: Box<[Toleration]>,
}

/// `requiredDuringSchedulingIgnoredDuringExecution`: any of the terms must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Affinity {
    /// `None`: no required affinity. An empty list matches no node.
    pub terms: Option<Box<[NodeTerm]>>,
}

/// All requirements of a term must hold; a term without any matches no node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct NodeTerm {
    /// Over node labels.
    pub expressions: Box<[NodeRequirement]>,
    /// Over node fields (`metadata.name` only).
    pub fields: Box<[NodeRequirement]>,
}

/// One requirement of a node selector term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeRequirement {
    /// Label key or field.
    pub key: Sym,
    /// Operator.
    pub operator: Operator,
    /// Values.
    pub values: Box<[Sym]>,
}

/// Node selector operators (core/v1 NodeSelectorOperator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
    /// A word we do not know: matches nothing, and the checks say so.
    Unknown,
}

/// A toleration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Key; empty tolerates every key (with `Exists`).
    pub key: Sym,
    /// `Exists` (true) or `Equal`.
    pub exists: bool,
    /// Value for `Equal`.
    pub value: Sym,
    /// Effect; empty tolerates every effect.
    pub effect: Sym,
}

#[derive(Deserialize)]
pub(crate) struct RawWorkload {
    #[serde(default)]
    metadata: RawMeta,
    #[serde(default)]
    spec: Option<RawSpec>,
    #[serde(default)]
    status: Option<RawStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    replicas: Option<i32>,
    suspend: Option<bool>,
    template: Option<RawTemplate>,
    job_template: Option<RawJobTemplate>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawTemplate {
    metadata: Option<RawMeta>,
    spec: Option<RawPodSpec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawJobTemplate {
    spec: Option<RawJobSpec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawJobSpec {
    template: Option<RawTemplate>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus {
    observed_generation: Option<i64>,
    available_replicas: Option<i32>,
    updated_replicas: Option<i32>,
    number_available: Option<i32>,
    desired_number_scheduled: Option<i32>,
    updated_number_scheduled: Option<i32>,
    conditions: Option<Vec<super::pod::RawCondition>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawAffinity {
    node_affinity: Option<RawNodeAffinity>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawNodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<RawNodeSelector>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawNodeSelector {
    node_selector_terms: Option<Vec<RawTerm>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawTerm {
    match_expressions: Option<Vec<RawRequirement>>,
    match_fields: Option<Vec<RawRequirement>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRequirement {
    key: Option<Sym>,
    operator: Option<Sym>,
    values: Option<Vec<Sym>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct RawToleration {
    key: Option<Sym>,
    operator: Option<Sym>,
    value: Option<Sym>,
    effect: Option<Sym>,
}

impl RawAffinity {
    /// The node that every term names by `metadata.name`, as the DaemonSet controller
    /// writes it into the pods it makes.
    pub(crate) fn pinned_node(&self) -> Option<Sym> {
        let terms = self
            .node_affinity
            .as_ref()?
            .required_during_scheduling_ignored_during_execution
            .as_ref()?
            .node_selector_terms
            .as_ref()?;
        let mut nodes = terms.iter().map(|term| {
            term.match_fields
                .iter()
                .flatten()
                .filter(|f| {
                    f.key.as_deref() == Some("metadata.name") && f.operator.as_deref() == Some("In")
                })
                .find_map(|f| match f.values.as_deref() {
                    Some([node]) => Some(node.clone()),
                    _ => None,
                })
        });
        let first = nodes.next()??;
        nodes.all(|n| n.as_ref() == Some(&first)).then_some(first)
    }
}

impl RawRequirement {
    fn fact(self) -> NodeRequirement {
        NodeRequirement {
            key: self.key.unwrap_or_default(),
            operator: match self.operator.as_deref() {
                Some("In") => Operator::In,
                Some("NotIn") => Operator::NotIn,
                Some("Exists") => Operator::Exists,
                Some("DoesNotExist") => Operator::DoesNotExist,
                Some("Gt") => Operator::Gt,
                Some("Lt") => Operator::Lt,
                _ => Operator::Unknown,
            },
            values: self.values.unwrap_or_default().into(),
        }
    }
}

/// Labels that controllers add to the templates of what they make.
const ADDED: [&str; 5] = [
    "pod-template-hash",
    "job-name",
    "controller-uid",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/controller-uid",
];

impl RawTemplate {
    fn fact(self) -> Template {
        let (_, _, meta) = self.metadata.unwrap_or_default().split();
        let mut spec = self.spec.unwrap_or_default();
        // What a ReplicaSet or Job adds to its template would part it from its owner's.
        let labels = meta.labels.filtered(|key| !ADDED.contains(&key));
        let shape = spec.shape(labels, meta.annotations);
        let terms = spec
            .affinity
            .take()
            .and_then(|a| a.node_affinity)
            .and_then(|a| a.required_during_scheduling_ignored_during_execution)
            .map(|s| {
                s.node_selector_terms
                    .into_iter()
                    .flatten()
                    .map(|term| NodeTerm {
                        expressions: requirements(term.match_expressions),
                        fields: requirements(term.match_fields),
                    })
                    .collect()
            });
        let tolerations = spec
            .tolerations
            .take()
            .into_iter()
            .flatten()
            .map(|t| Toleration {
                key: t.key.unwrap_or_default(),
                exists: t.operator.as_deref() == Some("Exists"),
                value: t.value.unwrap_or_default(),
                effect: t.effect.unwrap_or_default(),
            })
            .collect();
        Template {
            shape: Arc::new(shape),
            scheduling: Arc::new(Scheduling {
                node_selector: spec.node_selector.take().unwrap_or_default(),
                affinity: Affinity { terms },
                tolerations,
            }),
        }
    }
}

fn requirements(raw: Option<Vec<RawRequirement>>) -> Box<[NodeRequirement]> {
    raw.into_iter()
        .flatten()
        .map(RawRequirement::fact)
        .collect()
}

impl RawWorkload {
    pub(crate) fn fact(self, kind: Kind) -> (super::ObjectKey, String, Workload) {
        let generation = self.metadata.generation.unwrap_or_default();
        let (key, version, mut meta) = self.metadata.split();
        if kind == Kind::ReplicaSet {
            // Its own name says it, and without it siblings have the same labels.
            meta.labels = meta.labels.filtered(|key| key != "pod-template-hash");
        }
        let spec = self.spec.unwrap_or_default();
        let has_status = self.status.is_some();
        let status = self.status.unwrap_or_default();
        let template = spec.template.or_else(|| {
            spec.job_template
                .and_then(|j| j.spec)
                .and_then(|s| s.template)
        });
        let daemon = kind == Kind::DaemonSet;
        let workload = Workload {
            replicas: match kind {
                Kind::DaemonSet => status.desired_number_scheduled.unwrap_or(1),
                Kind::Job | Kind::CronJob => 1,
                _ => spec.replicas.unwrap_or(1),
            },
            suspended: spec.suspend == Some(true),
            finished: status.conditions.iter().flatten().any(|c| {
                matches!(c.kind.as_deref(), Some("Complete" | "Failed"))
                    && c.status.as_deref() == Some("True")
            }),
            current: status.observed_generation >= Some(generation),
            available: if daemon {
                status.number_available
            } else {
                status.available_replicas
            }
            .unwrap_or_default(),
            updated: if daemon {
                status.updated_number_scheduled
            } else {
                status.updated_replicas
            }
            .unwrap_or_default(),
            has_status,
            template: template.map(RawTemplate::fact),
            meta,
        };
        (key, version, workload)
    }
}
