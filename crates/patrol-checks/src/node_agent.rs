//! What is known of a required agent on a node: shared by the checks about node agents.
//! Coverage is told from the pods on the node, never from a DaemonSet's status, whose
//! desired count silently drops the nodes that are excluded.

use patrol_api::time::{Span, Time};
use patrol_core::check::{Exempt, Origin, View};
use patrol_core::facts::{Node, ObjectKey, Template, Workload};
use patrol_core::inventory::{Inventory, Pod, RootKey};
use patrol_core::kind::Kind;
use patrol_core::rule::{NodeAgentRule, Rule};

use crate::hidden::may_be_hidden;
use crate::scheduling::{Admission, admission};

/// What the checks about node agents read.
pub(crate) const READS: &[Kind] = &[Kind::Node, Kind::Pod, Kind::DaemonSet];

/// How long a DaemonSet that is being installed or rolled out may take for a node.
const ROLLOUT: Span = Span::minutes(10);

/// The state of a required agent on a node.
pub(crate) enum State<'a> {
    /// The node needs no agent: why, in words.
    Exempt(Exempt, &'static str),
    /// The node does not report, so what the API says of its pods is stale; since when.
    Silent(Option<Time>),
    /// Live agent pods are bound to it. Empty: a template counts as its pod (files).
    Covered(Vec<&'a Pod>),
    /// Cannot be said, perhaps until a time.
    Unclear(&'static str, Option<Time>),
    /// Neither a pod nor a controller of the agent exists anywhere.
    Nowhere,
    /// No agent pod is bound to it.
    Missing(Gap),
}

/// Why a node has no agent.
pub(crate) struct Gap {
    /// The reason, one of those in the contract.
    pub reason: &'static str,
    /// The same in words, for the end of a sentence.
    pub because: String,
}

/// A DaemonSet that makes pods of the agent.
pub(crate) struct Controller<'a> {
    /// Where it is.
    pub key: &'a ObjectKey,
    /// It.
    pub daemon: &'a Workload,
    /// What it makes.
    pub template: &'a Template,
}

/// The DaemonSets that make pods of the agent, by key.
pub(crate) fn controllers<'a>(
    inventory: &'a Inventory,
    agent: &NodeAgentRule,
) -> Vec<Controller<'a>> {
    inventory
        .workloads(Kind::DaemonSet)
        .filter(|(_, daemon)| !daemon.meta.deleting)
        .filter_map(|(key, daemon)| {
            let template = daemon.template.as_ref()?;
            agent
                .is_template(&key.namespace, &template.shape)
                .then_some(Controller {
                    key,
                    daemon,
                    template,
                })
        })
        .collect()
}

/// The controller that comes closest to a pod on the node; the first by key among equals.
pub(crate) fn closest<'a, 'c>(
    controllers: &'c [Controller<'a>],
    name: &str,
    node: &'a Node,
) -> Option<(&'c Controller<'a>, Admission<'a>)> {
    let mut best: Option<(&Controller<'_>, Admission<'_>)> = None;
    for controller in controllers {
        let here = admission(controller.template, name, node);
        if best.is_none_or(|(_, so_far)| here.rank() > so_far.rank()) {
            best = Some((controller, here));
        }
    }
    best
}

/// Why a node needs no agent under this requirement, if so.
pub(crate) fn exemption(agent: &NodeAgentRule, node: &Node) -> Option<(Exempt, &'static str)> {
    if !agent.nodes.matches(&node.meta.labels) {
        Some((
            Exempt::NotSelected,
            "the requirement does not select this node",
        ))
    } else if node.is_virtual() {
        Some((
            Exempt::NotSelected,
            "no DaemonSet reaches a virtual node: its pods are judged by virtual-node-pod-uncovered",
        ))
    } else if node.is_control_plane() && !agent.control_plane {
        Some((
            Exempt::NotSelected,
            "the requirement leaves out control-plane nodes",
        ))
    } else if node.is_leaving() {
        Some((Exempt::Leaving, "the node is on its way out"))
    } else {
        None
    }
}

/// The nodes in the policy's scope that need the agent, by name.
pub(crate) fn needing<'a>(
    view: &View<'a>,
    rule: &Rule,
    agent: &NodeAgentRule,
) -> Vec<(&'a str, &'a Node)> {
    view.inventory
        .nodes()
        .filter(|(_, node)| rule.scope.covers_node(node) && exemption(agent, node).is_none())
        .collect()
}

/// When the absence of an agent begins to count on a node. A node without a creation time
/// (a file) is older than any grace.
pub(crate) fn node_due(view: &View<'_>, rule: &Rule, node: &Node) -> Option<Time> {
    ahead(view, node.meta.created, rule.graces.new_node)
}

/// The end of a grace that is not over yet.
fn ahead(view: &View<'_>, since: Option<Time>, grace: Span) -> Option<Time> {
    since.map(|at| at.plus(grace)).filter(|due| *due > view.now)
}

/// What is known of the agent on a node.
pub(crate) fn state<'a>(
    view: &View<'a>,
    rule: &Rule,
    agent: &std::sync::Arc<NodeAgentRule>,
    name: &str,
    node: &'a Node,
) -> State<'a> {
    if let Some((why, words)) = exemption(agent, node) {
        return State::Exempt(why, words);
    }
    if node.ready == Some(false) {
        return State::Silent(node.ready_changed.or(node.meta.created));
    }
    let inventory = view.inventory;
    let agents: Vec<&Pod> = inventory
        .pods_on(name)
        .filter(|pod| agent.is_agent(pod))
        .collect();
    if agents.iter().any(|pod| pod.is_live()) {
        return State::Covered(agents.into_iter().filter(|pod| pod.is_live()).collect());
    }
    let controllers = controllers(inventory, agent);
    let closest = closest(&controllers, name, node);
    if view.origin == Origin::Files
        && let Some((controller, Admission::Admitted)) = closest
        && !has_pods(inventory, controller.key)
    {
        return State::Covered(vec![]);
    }
    if let Some(due) = node_due(view, rule, node) {
        return State::Unclear("grace", Some(due));
    }
    let in_reach = |key: &ObjectKey| {
        agent
            .namespace
            .as_ref()
            .is_none_or(|ns| *ns == key.namespace)
    };
    if may_be_hidden(inventory, Kind::Pod, in_reach) {
        return State::Unclear("undecodable", None);
    }
    match closest {
        None if inventory.has_agent_pod(agent) => State::Missing(Gap {
            reason: "no-controller",
            because: "no DaemonSet makes pods of it".to_owned(),
        }),
        None if may_be_hidden(inventory, Kind::DaemonSet, in_reach) => {
            State::Unclear("undecodable", None)
        }
        None => State::Nowhere,
        Some((_, Admission::Platform)) => State::Exempt(
            Exempt::NotSelected,
            "the agent has no support for the operating system or architecture of this node",
        ),
        Some((controller, Admission::Admitted)) => {
            not_running(view, rule, agent, name, controller, &agents)
        }
        Some((controller, excluded)) => State::Missing(Gap {
            reason: excluded.reason().unwrap_or("not-created"),
            because: excluded_because(controller.key, &excluded),
        }),
    }
}

/// The DaemonSet should cover the node and no live pod of it is bound there.
fn not_running<'a>(
    view: &View<'a>,
    rule: &Rule,
    agent: &NodeAgentRule,
    name: &str,
    controller: &Controller<'a>,
    ended: &[&Pod],
) -> State<'a> {
    let restart = rule.graces.agent_restart;
    let key = controller.key;
    let missing = |reason, because| State::Missing(Gap { reason, because });
    if let Some(pod) = ended.iter().find(|pod| pod.deleting) {
        // Until its containers stop, the agent still works.
        if pod.status.ready == Some(true) {
            return State::Unclear("rollout", None);
        }
        if let Some(due) = ahead(view, pod.ready_changed.or(pod.created), restart) {
            return State::Unclear("rollout", Some(due));
        }
        let because = format!("its pod {} does not stop, so no new one starts", pod.key);
        return missing("pending", because);
    }
    let pending = view
        .inventory
        .pods_pinned_to(name)
        .find(|pod| pod.is_live() && agent.is_agent(pod));
    if let Some(pod) = pending {
        let said = pod.status.unscheduled.as_ref();
        let said = said.filter(|s| !s.reason.is_empty() || !s.message.is_empty());
        return match (said, ahead(view, pod.created, restart)) {
            (Some(said), _) => missing(
                "pending",
                format!("its pod {} is not scheduled: {}", pod.key, said.message),
            ),
            (None, Some(due)) => State::Unclear("grace", Some(due)),
            (None, None) => missing(
                "pending",
                format!("its pod {} waits for the scheduler", pod.key),
            ),
        };
    }
    let left = view.inventory.daemon_left(name, key);
    if let Some(due) = ahead(view, left, restart) {
        return State::Unclear("rollout", Some(due));
    }
    if let Some(due) = rollout_due(view, controller) {
        return State::Unclear("rollout", Some(due));
    }
    missing(
        "not-created",
        format!("DaemonSet {key} would run there and has made no pod for it"),
    )
}

/// Until when a rollout explains that a node has no pod. A DaemonSet carries no time of its
/// rollout: the pods it made last tell whether it moves on.
fn rollout_due(view: &View<'_>, controller: &Controller<'_>) -> Option<Time> {
    let daemon = controller.daemon;
    if let Some(due) = ahead(view, daemon.meta.created, ROLLOUT) {
        return Some(due);
    }
    let stale = daemon.has_status && !daemon.current;
    // Pods of an older revision still run.
    if !stale && daemon.updated >= daemon.available {
        return None;
    }
    let root = RootKey {
        kind: Kind::DaemonSet,
        key: controller.key.clone(),
    };
    let pods = view.inventory.pods_of(&root);
    let newest = pods.iter().filter_map(|pod| pod.created).max();
    ahead(view, newest, ROLLOUT)
}

fn has_pods(inventory: &Inventory, daemon: &ObjectKey) -> bool {
    inventory.pods_in(&daemon.namespace).any(|pod| {
        let root = inventory.root_for(pod);
        root.kind == Kind::DaemonSet && root.key == *daemon
    })
}

fn excluded_because(daemon: &ObjectKey, admission: &Admission<'_>) -> String {
    match admission {
        Admission::Taint(taint) => {
            let value = if taint.value.is_empty() {
                String::new()
            } else {
                format!("={}", taint.value)
            };
            format!(
                "DaemonSet {daemon} does not tolerate the taint {}{value}:{}",
                taint.key, taint.effect
            )
        }
        Admission::Selector(key) => {
            format!("the nodeSelector of DaemonSet {daemon} asks for another {key}")
        }
        _ => format!("the required node affinity of DaemonSet {daemon} leaves it out"),
    }
}

/// How to close a gap of this reason.
pub(crate) fn remedy(reason: &str) -> &'static str {
    match reason {
        "taint-not-tolerated" => {
            "Add a toleration for the taint to the agent's DaemonSet, or leave such nodes out of the requirement."
        }
        "selector-mismatch" => {
            "Widen the nodeSelector of the agent's DaemonSet or label the node, or leave such nodes out of the requirement."
        }
        "affinity-mismatch" => {
            "Widen the required node affinity of the agent's DaemonSet, or leave such nodes out of the requirement."
        }
        "pending" => {
            "Make room for the agent's pod on the node: read the message of its PodScheduled condition; a high priorityClassName helps."
        }
        "not-created" => {
            "Read the events of the agent's DaemonSet: a quota, an admission webhook or a stopped controller manager keeps it from making the pod."
        }
        "no-controller" => {
            "Put an agent on this node the way the other nodes got theirs, or run the agent as a DaemonSet."
        }
        _ => "",
    }
}
