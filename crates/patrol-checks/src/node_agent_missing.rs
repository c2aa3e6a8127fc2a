//! `node-agent-missing`.
//! What: a node that needs the agent has no live pod of it.
//! Why: whatever runs on that node is watched by nobody.
//! Layer L6. Party: the customer; the platform where it owns every node.
//! Remedy: what the simulated DaemonSet says keeps the pod away.

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Exempt, Judgement, PartyBy, Unit, UnitKind, Verdict, View,
    cluster_subject,
};
use patrol_core::kind::Kind;
use patrol_core::rule::{Rule, RuleSpec};
use patrol_core::sym::Sym;

use crate::node_agent::{READS, State, remedy, state};
use crate::words::name_of;

/// The check.
pub struct NodeAgentMissing;

static META: CheckMeta = CheckMeta {
    id: "node-agent-missing",
    title: "Node without a required agent",
    what: "Nodes that the requirement selects, older than `graces.newNode`, to which no live pod of the agent is \
           bound. Who owns the pod does not matter: a DaemonSet, a custom controller or a static pod. The reason is \
           found by simulating the agent's DaemonSet for the node: `selector-mismatch`, `affinity-mismatch`, \
           `taint-not-tolerated`, `pending` (the pod exists and is not scheduled), `not-created` (it should exist), \
           or `no-controller` (no DaemonSet makes pods of the agent). Virtual nodes, control-plane nodes unless \
           `controlPlane` is set, nodes that are on their way out, and nodes of an operating system or architecture \
           that the agent does not support are not judged; cordoned nodes are. Unknown while the node is not ready, \
           and while a rollout explains the gap: the DaemonSet is younger than 10 minutes or moves pods of an older \
           revision, or the last pod left less than `graces.agentRestart` ago. Where no pod and no DaemonSet of the \
           agent exists at all, component-missing says so once. In files a template counts as its pods.",
    why: "A node without its agent is a blind spot: nothing sees what the containers on it do.",
    remediation: "Let the agent's DaemonSet reach the node, or leave such nodes out of the requirement.",
    layer: Layer::L6,
    party: PartyBy::PLATFORM_IF_SERVERLESS,
    severity: Severity::High,
    reads: READS,
    units: &[UnitKind::Node],
    block: Some(Block::NodeAgent),
    parameters: &[],
    references: &["NSA/CISA Kubernetes Hardening Guide: host monitoring"],
};

impl Check for NodeAgentMissing {
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
        let required = name_of(rule);
        let judged = |verdict| Judgement::new(subject, verdict);
        out.push(match state(view, rule, agent, name, node) {
            State::Exempt(why, words) => judged(Verdict::NotApplicable(why)).message(words),
            State::Silent(_) => unknown(judged, "node-not-ready")
                .message("the node is not ready: what is said of its pods is stale"),
            State::Unclear(why, until) => unknown(judged, why).recheck(until),
            State::Covered(pods) => judged(Verdict::Pass).message(match pods.first() {
                Some(pod) => format!("pod {} of the agent {required} runs here", pod.key),
                None => format!("the DaemonSet of the agent {required} would run here"),
            }),
            State::Nowhere => judged(Verdict::NotApplicable(Exempt::Folded)).message(format!(
                "the agent {required} exists nowhere: see component-missing"
            )),
            State::Missing(gap) => {
                let mut judgement = judged(Verdict::Fail).reason(gap.reason).message(format!(
                    "the node has no pod of the agent {required}: {}",
                    gap.because
                ));
                judgement.remediation = remedy(gap.reason).to_owned();
                if gap.reason == "taint-not-tolerated" {
                    judgement.paths.push("/spec/taints".to_owned());
                }
                judgement
            }
        });
    }
}

fn unknown(judged: impl FnOnce(Verdict) -> Judgement, why: &str) -> Judgement {
    judged(Verdict::Unknown(Sym::new(why))).reason(why)
}
