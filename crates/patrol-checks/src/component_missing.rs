//! `component-missing`.
//! What: none of the forms of a required component exists; or a node agent that exists
//! nowhere.
//! Why: what nobody installed protects nothing, and nothing reports it.
//! Layer L7. Party: the customer; the platform where it owns every node.
//! Remedy: install it.

use std::borrow::Cow;
use std::sync::Arc;

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Affected, Block, Check, CheckMeta, Exempt, Judgement, PartyBy, Unit, UnitKind, Verdict, View,
    the_cluster,
};
use patrol_core::kind::Kind;
use patrol_core::rule::{ComponentRule, NodeAgentRule, Rule, RuleSpec};
use patrol_core::sym::Sym;

use crate::component::{Found, find, kinds};
use crate::hidden::may_be_hidden;
use crate::node_agent::{self, controllers, needing, node_due};
use crate::words::{name_of, number};

/// The check.
pub struct ComponentMissing;

static META: CheckMeta = CheckMeta {
    id: "component-missing",
    title: "Required component not installed",
    what: "None of the alternatives of the requirement exists. A workload must run the given images, if any, at least \
           at `minVersion`; a webhook configuration must cover the resource and operation with the given \
           failurePolicy; a CRD must be established, serve the given version and have `minInstances` objects (an \
           engine without policies protects nothing); an APIService must be registered. For a `nodeAgent` block: \
           neither a pod nor a DaemonSet of the agent exists anywhere, told once with all nodes as affected instead \
           of once a node. Unknown while the objects cannot be counted or a version cannot be read.",
    why: "A control that nobody installed protects nothing, and no status anywhere reports its absence.",
    remediation: "Install the component, or correct the requirement if it goes by another name here.",
    layer: Layer::L7,
    party: PartyBy::PLATFORM_IF_SERVERLESS,
    severity: Severity::High,
    reads: &[
        Kind::Node,
        Kind::Pod,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::MutatingWebhookConfiguration,
        Kind::ValidatingWebhookConfiguration,
        Kind::CustomResourceDefinition,
        Kind::ApiService,
    ],
    units: &[UnitKind::Cluster],
    block: Some(Block::Component),
    parameters: &[],
    references: &["CIS 5.2.1", "CIS 5.4.2", "CIS 5.5.1"],
};

impl Check for ComponentMissing {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn reads(&self, rule: &Rule) -> Cow<'static, [Kind]> {
        match &rule.spec {
            RuleSpec::Component(component) => kinds(component).collect(),
            _ => Cow::Borrowed(node_agent::READS),
        }
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        if *unit != Unit::Cluster {
            return;
        }
        match &rule.spec {
            RuleSpec::Component(component) => out.push(judge_component(view, rule, component)),
            RuleSpec::NodeAgent(agent) => out.push(judge_agent(view, rule, agent)),
            RuleSpec::Plain | RuleSpec::Sidecar(_) => {}
        }
    }
}

fn judge_component(view: &View<'_>, rule: &Rule, component: &ComponentRule) -> Judgement {
    let required = name_of(rule);
    let mut unclear = None;
    let mut reasons = vec![];
    let mut words = vec![];
    for alternative in &component.any_of {
        match find(view, rule, alternative) {
            Found::Here(candidates) => {
                let here = candidates.first().map(|c| &c.subject);
                return Judgement::new(the_cluster(), Verdict::Pass).message(match here {
                    Some(s) => format!("the component {required} is there: {} {}", s.kind, s.name),
                    None => format!("the component {required} is there"),
                });
            }
            Found::Unclear(why) => unclear = unclear.or(Some(why)),
            Found::Missing(reason, what) => {
                reasons.push(reason);
                words.push(what);
            }
        }
    }
    if let Some(why) = unclear {
        return Judgement::new(the_cluster(), Verdict::Unknown(Sym::new(why)))
            .reason(why)
            .message(format!(
                "whether the component {required} is there cannot be said"
            ));
    }
    let mut judgement = Judgement::new(the_cluster(), Verdict::Fail).message(format!(
        "the component {required} is not installed: {}",
        words.join("; ")
    ));
    for reason in reasons {
        judgement = judgement.reason(reason);
    }
    judgement
}

/// A node agent that exists nowhere is one missing component, and not one gap a node.
fn judge_agent(view: &View<'_>, rule: &Rule, agent: &Arc<NodeAgentRule>) -> Judgement {
    let required = name_of(rule);
    let inventory = view.inventory;
    let judged = |verdict| Judgement::new(the_cluster(), verdict);
    let nodes = needing(view, rule, agent);
    if nodes.is_empty() {
        return judged(Verdict::NotApplicable(Exempt::NotSelected))
            .message(format!("no node needs the agent {required}"));
    }
    if !controllers(inventory, agent).is_empty() || inventory.has_agent_pod(agent) {
        return judged(Verdict::Pass).message(format!("the agent {required} is installed"));
    }
    let in_reach = |key: &patrol_core::facts::ObjectKey| {
        agent
            .namespace
            .as_ref()
            .is_none_or(|ns| *ns == key.namespace)
    };
    if [Kind::Pod, Kind::DaemonSet]
        .into_iter()
        .any(|kind| may_be_hidden(inventory, kind, in_reach))
    {
        return judged(Verdict::Unknown(Sym::new("undecodable")))
            .reason("undecodable")
            .message(format!(
                "whether the agent {required} is there cannot be said"
            ));
    }
    let mut affected = Affected::default();
    let mut due = None;
    for (name, node) in &nodes {
        match node_due(view, rule, node) {
            Some(end) => due = Some(due.map_or(end, |before| end.min(before))),
            None => affected.count(name, true),
        }
    }
    if affected.count == 0 {
        return judged(Verdict::Unknown(Sym::new("grace")))
            .reason("grace")
            .message("every node that needs the agent is new")
            .recheck(due);
    }
    let mut judgement = judged(Verdict::Fail)
        .reason("not-installed")
        .message(format!(
            "the node agent {required} is not installed: neither a pod nor a DaemonSet of it exists, and {} it",
            number(affected.count.into(), "node needs", "nodes need")
        ))
        .recheck(due);
    judgement.affected = affected;
    judgement
}
