//! The pods a sidecar requirement is about, their graces and their nodes. Never says what a
//! sidecar must look like.

use patrol_api::policy::Graces;
use patrol_api::time::{Span, Time};
use patrol_api::words::Profile;
use patrol_core::check::{Exempt, Origin, View};
use patrol_core::facts::{ObjectKey, PodPhase, PodShape};
use patrol_core::inventory::{Pod, RootKey};
use patrol_core::kind::Kind;
use patrol_core::rule::{Rule, SidecarRule};
use patrol_core::sym::Sym;

/// What every check over the pods of a root reads.
pub(crate) const READS: &[Kind] = &[
    Kind::Pod,
    Kind::Node,
    Kind::Namespace,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::CronJob,
    Kind::ReplicationController,
];

/// [`READS`], and the injectors.
pub(crate) const READS_WITH_INJECTORS: &[Kind] = &[
    Kind::Pod,
    Kind::Node,
    Kind::Namespace,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::CronJob,
    Kind::ReplicationController,
    Kind::MutatingWebhookConfiguration,
];

/// Parameters of every sidecar check.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    (
        "excludeOwnerKinds",
        "Kinds of top owners whose pods need no sidecar, such as CronJob. Default none.",
    ),
    (
        "os",
        "Operating systems whose pods need the sidecar: linux, windows. Default linux.",
    ),
];

/// What is wrong with the values of one of them.
pub(crate) fn check_parameter(name: &str, values: &[String]) -> Result<(), String> {
    let kinds = || Kind::WORKLOADS.into_iter().chain([Kind::Pod]);
    let allowed: Vec<&str> = match name {
        "os" => vec!["linux", "windows"],
        _ => kinds().map(|kind| kind.info().kind).collect(),
    };
    let is_allowed = |value: &String| allowed.iter().any(|a| value.eq_ignore_ascii_case(a));
    match values.iter().find(|value| !is_allowed(value)) {
        None => Ok(()),
        Some(value) => Err(format!(
            "{value:?} is not known here: use {}",
            allowed.join(", ")
        )),
    }
}

/// Injection takes longer on virtual nodes, where it waits for the scheduler.
const VIRTUAL_INJECTION: Span = Span::minutes(5);

/// A pod, or a template that counts as its pod.
pub(crate) struct Case<'a> {
    /// Name of the pod, or of the workload whose template it is.
    pub name: &'a str,
    /// Its template part.
    pub shape: &'a PodShape,
    /// The pod; `None` for a template.
    pub pod: Option<&'a Pod>,
}

impl<'a> Case<'a> {
    fn live(pod: &'a Pod) -> Self {
        Self {
            name: &pod.key.name,
            shape: &pod.shape,
            pod: Some(pod),
        }
    }

    /// A label of the pod it is.
    pub fn label(&self, key: &str) -> Option<&str> {
        match self.pod {
            Some(pod) => pod.label(key),
            None => self.shape.labels.get(key).map(Sym::as_str),
        }
    }

    /// Whether no API server has admitted it yet: a template, or a pod as written in a file.
    pub fn is_unadmitted(&self, origin: Origin) -> bool {
        self.pod.is_none_or(|pod| {
            origin == Origin::Files
                && !pod.uid.is_present()
                && pod.status.phase == PodPhase::Unknown
                && pod.status.containers.is_empty()
        })
    }
}

/// The pods of a root that need the sidecar, or why none does.
pub(crate) fn required<'a>(
    view: &View<'a>,
    rule: &Rule,
    sidecar: &SidecarRule,
    root: &'a RootKey,
) -> Result<Vec<Case<'a>>, Exempt> {
    if view.namespace_of(root).is_some_and(|ns| ns.terminating) {
        return Err(Exempt::Leaving);
    }
    if lists(rule, "excludeOwnerKinds", root.kind.info().kind) {
        return Err(Exempt::NotSelected);
    }
    let pods = view.pods_of(root);
    let none_here = pods.is_empty();
    let mut cases: Vec<Case<'_>> = pods
        .iter()
        .copied()
        .filter(|pod| pod.is_live())
        .map(Case::live)
        .collect();
    if none_here && (view.origin == Origin::Files || sidecar.templates) {
        cases.extend(template(view, root.kind, &root.key));
    }
    if cases.is_empty() {
        return Err(Exempt::NoLivePods);
    }
    cases.retain(|case| needs(rule, sidecar, case));
    if cases.is_empty() {
        return Err(Exempt::NotSelected);
    }
    Ok(cases)
}

/// Everything in a namespace that needs the sidecar, found as it is asked for.
pub(crate) fn required_in<'a>(
    view: &'a View<'a>,
    rule: &'a Rule,
    sidecar: &'a SidecarRule,
    namespace: &'a str,
) -> impl Iterator<Item = (RootKey, Case<'a>)> {
    let inventory = view.inventory;
    let excluded = |root: &RootKey| lists(rule, "excludeOwnerKinds", root.kind.info().kind);
    let pods = inventory
        .pods_in(namespace)
        .filter(|pod| pod.is_live())
        .map(|pod| (pod, Case::live(pod)))
        .filter(|(_, case)| needs(rule, sidecar, case))
        .map(|(pod, case)| (inventory.root_for(pod), case));
    let with_templates = view.origin == Origin::Files || sidecar.templates;
    let templates = Kind::WORKLOADS
        .into_iter()
        .filter(move |_| with_templates)
        .flat_map(|kind| inventory.workloads(kind).map(move |(key, _)| (kind, key)))
        .filter(move |(_, key)| key.namespace.as_str() == namespace)
        .filter_map(move |(kind, key)| {
            let root = RootKey {
                kind,
                key: key.clone(),
            };
            let is_root = inventory.root_of(kind, key) == root;
            let is_idle = is_root && inventory.pods_of(&root).is_empty();
            let case = template(view, kind, key).filter(|_| is_idle)?;
            needs(rule, sidecar, &case).then_some((root, case))
        });
    pods.chain(templates)
        .filter(move |(root, _)| !excluded(root))
}

/// The template of a workload that would make pods.
fn template<'a>(view: &View<'a>, kind: Kind, key: &'a ObjectKey) -> Option<Case<'a>> {
    let workload = view.inventory.workload(kind, key)?;
    let idle = workload.replicas == 0 || workload.suspended || workload.finished;
    let shape = workload.template.as_ref().filter(|_| !idle)?;
    Some(Case {
        name: &key.name,
        shape: &shape.shape,
        pod: None,
    })
}

fn needs(rule: &Rule, sidecar: &SidecarRule, case: &Case<'_>) -> bool {
    let os = if case.shape.windows {
        "windows"
    } else {
        "linux"
    };
    let wanted = match rule.parameters.get("os") {
        Some(_) => lists(rule, "os", os),
        None => !case.shape.windows,
    };
    wanted && sidecar.pods.matches_with(|key| case.label(key))
}

fn lists(rule: &Rule, parameter: &str, value: &str) -> bool {
    rule.parameters
        .get(parameter)
        .is_some_and(|list| list.iter().any(|v| v.eq_ignore_ascii_case(value)))
}

/// An answer that depends on the shape alone, asked once for pods that share it.
pub(crate) struct ByShape<'a, T> {
    last: Option<(&'a PodShape, T)>,
}

impl<'a, T: Clone> ByShape<'a, T> {
    /// Nothing asked yet.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// The answer for a shape.
    pub fn get(&mut self, shape: &'a PodShape, ask: impl FnOnce(&'a PodShape) -> T) -> T {
        match &self.last {
            Some((known, answer)) if std::ptr::eq(*known, shape) => answer.clone(),
            _ => {
                let answer = ask(shape);
                self.last = Some((shape, answer.clone()));
                answer
            }
        }
    }
}

/// What the node says of a pod's status.
pub(crate) enum Host {
    /// Bound to no node yet.
    Unscheduled,
    /// Its node does not answer, or is gone: the status is stale.
    Silent(&'static str),
    /// As fresh as the pod itself.
    Fine,
}

/// The state of a pod's node.
pub(crate) fn host(view: &View<'_>, pod: &Pod) -> Host {
    let Some(name) = &pod.node else {
        return Host::Unscheduled;
    };
    match view.inventory.node(name) {
        Some(node) if node.ready == Some(false) => Host::Silent("node-not-ready"),
        None if view.origin == Origin::Cluster => Host::Silent("node-gone"),
        _ => Host::Fine,
    }
}

/// Whether a pod runs, or will run, on a virtual node.
pub(crate) fn is_on_virtual_node(view: &View<'_>, pod: Option<&Pod>) -> bool {
    pod.and_then(|p| p.node.as_ref())
        .and_then(|name| view.inventory.node(name))
        .map_or(view.profile == Profile::ServerlessManaged, |node| {
            node.is_virtual()
        })
}

/// When a missing sidecar begins to count. A pod without a creation time (a file) is older
/// than any grace.
pub(crate) fn injection_due(view: &View<'_>, rule: &Rule, case: &Case<'_>) -> Option<Time> {
    let created = case.pod.and_then(|p| p.created)?;
    let grace = rule.graces.pod_injection;
    let untouched = grace == Graces::default().pod_injection;
    let grace = if untouched && is_on_virtual_node(view, case.pod) {
        VIRTUAL_INJECTION
    } else {
        grace
    };
    Some(created.plus(grace)).filter(|due| *due > view.now)
}
