//! `node-agent-excluded`.
//! What: the agent's DaemonSet can never reach nodes that need the agent.
//! Why: excluded nodes are not desired, so the DaemonSet looks whole.
//! Layer L6. Party: the customer; the platform where it owns every node.
//! Remedy: a toleration or a wider selector, or a narrower requirement.

use std::collections::BTreeMap;

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Affected, Block, Check, CheckMeta, Judgement, PartyBy, Unit, UnitKind, Verdict, View,
    root_subject,
};
use patrol_core::facts::ObjectKey;
use patrol_core::inventory::RootKey;
use patrol_core::kind::Kind;
use patrol_core::rule::{NodeAgentRule, Rule, RuleSpec};

use crate::node_agent::{Controller, READS, closest, controllers, needing, node_due, remedy};
use crate::scheduling::Admission;
use crate::words::name_of;

/// The check.
pub struct NodeAgentExcluded;

static META: CheckMeta = CheckMeta {
    id: "node-agent-excluded",
    title: "DaemonSet can never reach nodes that need the agent",
    what: "For each DaemonSet of the agent and each reason (`selector-mismatch`, `affinity-mismatch`, \
           `taint-not-tolerated`), the nodes older than `graces.newNode` that need the agent and on which the \
           simulation makes no pod. Where several DaemonSets serve one agent, a node counts against the one that \
           came closest, and only if none of them reaches it. Nodes that another controller's pod covers do not \
           count; nodes on which a pod of the DaemonSet still runs do, because it will not come back.",
    why: "The desired count of a DaemonSet leaves excluded nodes out, so it reports full coverage while they have \
          none.",
    remediation: "Add the missing toleration, selector or affinity to the DaemonSet, or leave such nodes out of the \
                  requirement.",
    layer: Layer::L6,
    party: PartyBy::PLATFORM_IF_SERVERLESS,
    severity: Severity::Medium,
    reads: READS,
    units: &[UnitKind::Cluster],
    block: Some(Block::NodeAgent),
    parameters: &[],
    references: &[],
};

impl Check for NodeAgentExcluded {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let (Unit::Cluster, RuleSpec::NodeAgent(agent)) = (unit, &rule.spec) else {
            return;
        };
        let controllers = controllers(view.inventory, agent);
        if controllers.is_empty() {
            return;
        }
        let mut due = None;
        let mut total = 0_u32;
        let mut excluded: BTreeMap<(&ObjectKey, &str), Affected> = BTreeMap::new();
        for (name, node) in needing(view, rule, agent) {
            if let Some(end) = node_due(view, rule, node) {
                due = Some(due.map_or(end, |before| end.min(before)));
                continue;
            }
            total = total.saturating_add(1);
            let Some((controller, admission)) = closest(&controllers, name, node) else {
                continue;
            };
            let Some(reason) = admission.reason() else {
                continue;
            };
            if !is_covered_otherwise(view, agent, &controllers, name) {
                let group = excluded.entry((controller.key, reason)).or_default();
                group.count(name, true);
            }
        }
        for controller in &controllers {
            for reason in Admission::EXCLUSIONS {
                let mut affected = excluded
                    .remove(&(controller.key, reason))
                    .unwrap_or_default();
                affected.total = total;
                let judged = judge_reason(view, rule, controller, reason, affected);
                out.push(judged.recheck(due));
            }
        }
    }
}

/// One reason of one DaemonSet. A reason that excludes nothing passes, so that what was
/// excluded and is not any more is seen to be fixed.
fn judge_reason(
    view: &View<'_>,
    rule: &Rule,
    controller: &Controller<'_>,
    reason: &'static str,
    affected: Affected,
) -> Judgement {
    let root = RootKey {
        kind: Kind::DaemonSet,
        key: controller.key.clone(),
    };
    let subject = root_subject(view.inventory, &root);
    let required = name_of(rule);
    let mut judgement = if affected.count == 0 {
        Judgement::new(subject, Verdict::Pass).message(format!(
            "no node that needs the agent {required} is excluded by {}",
            cause(reason)
        ))
    } else {
        let mut failed = Judgement::new(subject, Verdict::Fail)
            .reason(reason)
            .message(format!(
                "{} excluded by {}",
                match (affected.count, affected.total) {
                    (1, 1) => format!("the only node that needs the agent {required} is"),
                    (1, total) => format!("1 of {total} nodes that need the agent {required} is"),
                    (n, total) =>
                        format!("{n} of {total} nodes that need the agent {required} are"),
                },
                cause(reason)
            ));
        failed.remediation = remedy(reason).to_owned();
        failed.paths.push(path(reason).to_owned());
        failed
    };
    judgement.discriminator = Some(reason.to_owned());
    judgement.affected = affected;
    judgement
}

fn cause(reason: &str) -> &'static str {
    match reason {
        "taint-not-tolerated" => "taints that the DaemonSet does not tolerate",
        "selector-mismatch" => "the nodeSelector of the DaemonSet",
        _ => "the required node affinity of the DaemonSet",
    }
}

fn path(reason: &str) -> &'static str {
    match reason {
        "taint-not-tolerated" => "/spec/template/spec/tolerations",
        "selector-mismatch" => "/spec/template/spec/nodeSelector",
        _ => "/spec/template/spec/affinity",
    }
}

/// Whether a live pod of the agent that none of these DaemonSets made is on the node.
fn is_covered_otherwise(
    view: &View<'_>,
    agent: &NodeAgentRule,
    controllers: &[Controller<'_>],
    node: &str,
) -> bool {
    view.inventory
        .pods_on(node)
        .filter(|pod| pod.is_live() && agent.is_agent(pod))
        .map(|pod| view.inventory.root_for(pod))
        .any(|root| root.kind != Kind::DaemonSet || !controllers.iter().any(|c| *c.key == root.key))
}
