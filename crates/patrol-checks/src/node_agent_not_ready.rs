//! `node-agent-not-ready`.
//! What: the agent's pod is on the node and is not ready, or the node itself is not.
//! Why: presence is not coverage.
//! Layer L6. Party: the customer; the platform where it owns every node.
//! Remedy: read the pod's events and logs; repair or remove the node.

use patrol_api::time::{Span, Time};
use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Exempt, Judgement, Origin, PartyBy, Unit, UnitKind, Verdict, View,
    cluster_subject,
};
use patrol_core::facts::{ContainerState, PodPhase};
use patrol_core::inventory::Pod;
use patrol_core::kind::Kind;
use patrol_core::rule::{Rule, RuleSpec};
use patrol_core::sym::Sym;

use crate::node_agent::{READS, State, state};
use crate::words::{kebab, name_of};

/// The check.
pub struct NodeAgentNotReady;

/// A node that does not report this long is a gap of its own: it can rot uncovered.
const SILENCE: Span = Span::hours(24);

static META: CheckMeta = CheckMeta {
    id: "node-agent-not-ready",
    title: "Agent on node not ready",
    what: "Nodes that need the agent and have live pods of it, none of which has been ready for longer than \
           `graces.agentRestart`. The kubelet's own word (`crash-loop-back-off`, `image-pull-back-off` ...) becomes \
           the reason. While the node is not ready the status of its pods is stale: Unknown for 24 hours, then a \
           failure with reason `node-not-ready`. A node without any agent pod is told by node-agent-missing. \
           Manifests carry no status, so in files readiness is not judged.",
    why: "An agent that crash-loops or hangs protects nothing, and a node that stays away for days is watched by \
          nobody.",
    remediation: "Read the events and logs of the agent's pod on the node, and mend what keeps it from being ready.",
    layer: Layer::L6,
    party: PartyBy::PLATFORM_IF_SERVERLESS,
    severity: Severity::High,
    reads: READS,
    units: &[UnitKind::Node],
    block: Some(Block::NodeAgent),
    parameters: &[],
    references: &[],
};

/// How to mend a node of whose agent nothing is known.
pub(crate) const REPAIR_NODE: &str =
    "Repair the node, or remove it from the cluster if it is gone for good.";

impl Check for NodeAgentNotReady {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let (Unit::Node(name), RuleSpec::NodeAgent(agent)) = (unit, &rule.spec) else {
            return;
        };
        let Some(node) = view.inventory.node(name) else {
            return;
        };
        let subject = cluster_subject(Kind::Node, name, &node.meta.uid);
        let judged = |verdict| Judgement::new(subject, verdict);
        out.push(match state(view, rule, agent, name, node) {
            State::Exempt(why, words) => judged(Verdict::NotApplicable(why)).message(words),
            State::Silent(since) => silent(view, since, judged),
            State::Unclear(why, until) => unknown(judged, why).recheck(until),
            State::Nowhere | State::Missing(_) => judged(Verdict::NotApplicable(Exempt::Folded))
                .message("the node has no agent pod: see node-agent-missing"),
            State::Covered(pods) => covered(view, rule, &pods, judged),
        });
    }
}

fn silent(
    view: &View<'_>,
    since: Option<Time>,
    judged: impl FnOnce(Verdict) -> Judgement,
) -> Judgement {
    let due = since.map(|at| at.plus(SILENCE));
    match (since, due) {
        (Some(since), Some(due)) if due <= view.now => {
            let mut judgement = judged(Verdict::Fail)
                .reason("node-not-ready")
                .message(format!(
                    "the node has not been ready since {since}: nobody knows what its agent does"
                ));
            judgement.remediation = REPAIR_NODE.to_owned();
            judgement
        }
        _ => unknown(judged, "node-not-ready")
            .message("the node is not ready: what is said of its pods is stale")
            .recheck(due),
    }
}

fn covered(
    view: &View<'_>,
    rule: &Rule,
    pods: &[&Pod],
    judged: impl FnOnce(Verdict) -> Judgement,
) -> Judgement {
    let required = name_of(rule);
    if let Some(pod) = pods.iter().find(|pod| is_ready(pod)) {
        return judged(Verdict::Pass)
            .message(format!("pod {} of the agent {required} is ready", pod.key));
    }
    if view.origin == Origin::Files && pods.iter().all(|pod| has_no_status(pod)) {
        return judged(Verdict::NotApplicable(Exempt::NotSelected))
            .message("a manifest carries no status: readiness is not judged");
    }
    let due = pods
        .iter()
        .filter_map(|pod| not_ready_since(pod))
        .map(|at| at.plus(rule.graces.agent_restart))
        .filter(|due| *due > view.now)
        .max();
    if due.is_some() {
        return unknown(judged, "grace").recheck(due);
    }
    let mut judgement = judged(Verdict::Fail);
    for pod in pods {
        judgement.affected.count(&pod.key.to_string(), true);
        for reason in reasons(pod) {
            judgement = judgement.reason(&reason);
        }
    }
    let why: Vec<&str> = judgement.reasons.iter().map(Sym::as_str).collect();
    let names = judgement.affected.sample.join(", ");
    let message = format!(
        "the agent {required} is on the node and is not ready: {names} ({})",
        why.join(", ")
    );
    judgement.message(message)
}

fn is_ready(pod: &Pod) -> bool {
    pod.status.phase == PodPhase::Running && pod.status.ready == Some(true)
}

fn has_no_status(pod: &Pod) -> bool {
    pod.status.ready.is_none() && pod.status.containers.is_empty()
}

/// The latest of the times that bound it: a false alarm costs more than a grace.
fn not_ready_since(pod: &Pod) -> Option<Time> {
    let fell = pod
        .ready_changed
        .filter(|_| pod.status.ready == Some(false));
    pod.created.max(fell)
}

/// What the kubelet says of the containers that are not ready.
fn reasons(pod: &Pod) -> Vec<Sym> {
    let mut words: Vec<Sym> = pod
        .status
        .containers
        .iter()
        .filter(|c| !c.ready)
        .filter_map(|c| match &c.state {
            ContainerState::Waiting(word) => Some(kebab(word)),
            // An init container that is done is as it should be.
            ContainerState::Terminated { exit_code: 0, .. } => None,
            ContainerState::Terminated { reason, .. } if reason.is_empty() => {
                Some(Sym::new("exited"))
            }
            ContainerState::Terminated { reason, .. } => Some(kebab(reason)),
            ContainerState::Running | ContainerState::Unknown => None,
        })
        .collect();
    if words.is_empty() {
        words.push(Sym::new("not-ready"));
    }
    words
}

fn unknown(judged: impl FnOnce(Verdict) -> Judgement, why: &str) -> Judgement {
    judged(Verdict::Unknown(Sym::new(why))).reason(why)
}
