//! `virtual-node-pod-uncovered`.
//! What: pods on virtual nodes that carry no sidecar in place of the node agent.
//! Why: no DaemonSet reaches a virtual node.
//! Layer L5. Party: the customer, whose pod it is.
//! Remedy: inject the agent's sidecar into pods on virtual nodes.

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Exempt, Judgement, PartyBy, Unit, UnitKind, View,
};
use patrol_core::inventory::Pod;
use patrol_core::rule::{NodeAgentRule, Rule, RuleSpec};
use patrol_core::sym::Sym;

use crate::pod_sets::{ByShape, Case, READS, injection_due};
use crate::tally::{Seen, Tally, exempt};
use crate::words::name_of;

/// The check.
pub struct VirtualNodePodUncovered;

static META: CheckMeta = CheckMeta {
    id: "virtual-node-pod-uncovered",
    title: "Pod on virtual node with no agent at all",
    what: "Live pods bound to a virtual node that the requirement selects, older than the injection grace (5 minutes \
           there, because some platforms inject after scheduling; a `graces.podInjection` of your own counts as \
           written). No DaemonSet runs on virtual nodes, so each such pod needs the sidecar that \
           `virtualNodeSubstitute` names. Without a substitute every such pod fails (`no-substitute`).",
    why: "The node agent that covers every other pod cannot see pods on virtual nodes: without a sidecar of their own \
          they have no agent at all.",
    remediation: "Name a sidecar check as virtualNodeSubstitute and inject its sidecar into pods on virtual nodes, \
                  for example with a SidecarSet that selects serverless.alibabacloud.com/virtual-node: \"true\".",
    layer: Layer::L5,
    party: PartyBy::CUSTOMER,
    severity: Severity::High,
    reads: READS,
    units: &[UnitKind::Root],
    block: Some(Block::NodeAgent),
    parameters: &[],
    references: &["CIS ACK 6.6.2"],
};

impl Check for VirtualNodePodUncovered {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let (Unit::Root(root), RuleSpec::NodeAgent(agent)) = (unit, &rule.spec) else {
            return;
        };
        let inventory = view.inventory;
        let leaving = inventory
            .namespace(&root.key.namespace)
            .is_some_and(|ns| ns.terminating);
        if leaving {
            return out.push(exempt(view, root, Exempt::Leaving, ""));
        }
        let pods = view.pods_of(root);
        let live: Vec<&Pod> = pods.iter().copied().filter(|pod| pod.is_live()).collect();
        if live.is_empty() {
            return out.push(exempt(view, root, Exempt::NoLivePods, ""));
        }
        let substitute = agent.virtual_node_substitute.as_ref();
        let mut covered = ByShape::new();
        let mut tally = Tally::default();
        for pod in live {
            if !is_judged(view, rule, agent, pod) {
                continue;
            }
            let case = Case {
                name: &pod.key.name,
                shape: &pod.shape,
                pod: Some(pod),
            };
            let has_sidecar = covered.get(case.shape, |shape| {
                substitute.is_some_and(|(_, sidecar)| sidecar.find(shape).is_some())
            });
            let seen = if has_sidecar {
                Seen::Pass(None)
            } else if let Some(due) = injection_due(view, rule, &case) {
                Seen::Unknown("grace", Some(due))
            } else {
                let reason = match substitute {
                    Some(_) => "substitute-missing",
                    None => "no-substitute",
                };
                Seen::Fail(vec![Sym::new(reason)], None)
            };
            tally.add(root, &case, seen);
        }
        let required = name_of(rule);
        let judged = tally.judgement(
            view,
            root,
            |t| {
                let who = t.who(root, "runs on a virtual node", "run on virtual nodes");
                let because = match substitute {
                    Some((name, _)) => format!("its substitute, the sidecar {name}, is missing"),
                    None => "no sidecar is named as its substitute".to_owned(),
                };
                format!("{who}, where the agent {required} cannot run, and {because}")
            },
            |_| {
                format!(
                    "every pod on a virtual node carries the substitute of the agent {required}"
                )
            },
        );
        out.push(judged.unwrap_or_else(|| {
            let message = "no pod of it runs on a virtual node that needs the agent";
            exempt(view, root, Exempt::NotSelected, message)
        }));
    }
}

/// Whether the pod is bound to a virtual node that the requirement is about.
fn is_judged(view: &View<'_>, rule: &Rule, agent: &NodeAgentRule, pod: &Pod) -> bool {
    pod.node
        .as_ref()
        .and_then(|name| view.inventory.node(name))
        .is_some_and(|node| {
            node.is_virtual()
                && rule.scope.covers_node(node)
                && agent.nodes.matches(&node.meta.labels)
        })
}
