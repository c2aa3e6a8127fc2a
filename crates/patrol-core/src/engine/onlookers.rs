//! Who looks at an object that is no part of their own unit: the roots whose sidecar a node
//! agent stands in for, the namespaces whose verdict depends on what runs in them, the
//! components that are some workload. A change is told to them and to nobody else, so that
//! marks stay in proportion to what changed. Never judges.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Patrol;
use crate::check::{Check, Glance, Reach, Unit, UnitKind};
use crate::facts::ObjectKey;
use crate::inventory::{RootKey, Touched};
use crate::kind::Kind;
use crate::rule::{Alternative, NodeAgentRule, Rule, RuleSpec, Substitute};
use crate::sym::Sym;

/// What the compiled rules look at beyond the judged unit.
#[derive(Default)]
pub(super) struct Onlookers {
    rules: Vec<(&'static dyn Check, Rule)>,
    /// Agents that may stand in for the sidecar of a pod that does not run yet.
    agents: Vec<Arc<NodeAgentRule>>,
    /// Places of the workloads that are components.
    components: BTreeSet<(Kind, Sym)>,
    /// Some namespace's verdict depends on what runs in it.
    look_into_namespaces: bool,
}

impl std::fmt::Debug for Onlookers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Onlookers")
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

/// What was seen of an object from outside its unit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    glances: BTreeSet<(Glance, Option<Sym>)>,
    agents: BTreeSet<usize>,
}

impl Seen {
    pub fn add(&mut self, other: Self) {
        self.glances.extend(other.glances);
        self.agents.extend(other.agents);
    }
}

impl Patrol {
    /// The rules changed: who looks where is worked out again.
    pub(super) fn refresh_onlookers(&mut self) {
        let mut onlookers = Onlookers::default();
        for rule in self.rulebook.enabled().flat_map(|policy| &policy.rules) {
            let Some(check) = self.config.catalogue.find(rule.check) else {
                continue;
            };
            let meta = check.meta();
            onlookers.look_into_namespaces |=
                meta.units.contains(&UnitKind::Namespace) && meta.reads.contains(&Kind::Pod);
            match &rule.spec {
                RuleSpec::Component(component) => {
                    for alternative in &component.any_of {
                        if let Alternative::Workload(target) = alternative {
                            let place = (target.kind, target.namespace.clone());
                            onlookers.components.insert(place);
                        }
                    }
                }
                RuleSpec::Sidecar(sidecar) => {
                    for substitute in &sidecar.substitutes {
                        if let Substitute::NodeAgent(_, agent) = substitute
                            && !onlookers.agents.iter().any(|a| Arc::ptr_eq(a, agent))
                        {
                            onlookers.agents.push(Arc::clone(agent));
                        }
                    }
                }
                RuleSpec::Plain | RuleSpec::NodeAgent(_) => {}
            }
            if !matches!(rule.spec, RuleSpec::Plain) {
                onlookers.rules.push((check, rule.clone()));
            }
        }
        self.evaluation.onlookers = onlookers;
    }

    /// What others see of an object as it is held now. While the kind is not seen in full
    /// nobody concludes anything from it, and everybody is judged again when it is.
    pub(super) fn seen_by_others(&self, kind: Kind, key: &ObjectKey) -> Seen {
        let mut seen = Seen::default();
        if self.inventory.sight(kind).blindness().is_some() {
            return seen;
        }
        let onlookers = &self.evaluation.onlookers;
        if kind == Kind::Pod
            && let Some(pod) = self.inventory.pod_at(key)
        {
            for (check, rule) in &onlookers.rules {
                if let Some(glance) = check.glance(rule, pod) {
                    let node = pod.node.clone().filter(|_| glance.reach == Reach::Node);
                    seen.glances.insert((glance, node));
                }
            }
        }
        if kind == Kind::DaemonSet
            && let Some(template) = self
                .inventory
                .workload(kind, key)
                .and_then(|w| w.template.as_ref())
        {
            let makes = |agent: &NodeAgentRule| agent.is_template(&key.namespace, &template.shape);
            let agents = onlookers.agents.iter().enumerate();
            let made = agents.filter(|(_, agent)| makes(agent)).map(|(i, _)| i);
            seen.agents.extend(made);
        }
        seen
    }

    /// Marks those who saw an object otherwise before.
    pub(super) fn tell_others(&mut self, before: &Seen, after: &Seen) {
        let changed = before.glances.symmetric_difference(&after.glances);
        let mut nodes: BTreeSet<&Sym> = BTreeSet::new();
        let mut all = before.agents != after.agents;
        for (glance, node) in changed {
            match (glance.reach, node) {
                (Reach::Node, node) => nodes.extend(node),
                (Reach::Roots, _) => all = true,
            }
        }
        let touched: Vec<Touched> = nodes
            .into_iter()
            .flat_map(|node| self.inventory.roots_on_node(node))
            .collect();
        self.touch(touched);
        if all {
            self.evaluation.all_kinds.insert(UnitKind::Root);
            if self.evaluation.onlookers.look_into_namespaces {
                self.evaluation.all_kinds.insert(UnitKind::Namespace);
            }
        }
    }

    /// Marks a root, and whoever looks at it as a whole.
    pub(super) fn mark_root(&mut self, root: RootKey) {
        let onlookers = &self.evaluation.onlookers;
        let namespace = root.key.namespace.clone();
        let is_component = onlookers
            .components
            .contains(&(root.kind, namespace.clone()));
        if onlookers.look_into_namespaces {
            self.mark(Unit::Namespace(namespace));
        }
        if is_component {
            self.mark(Unit::Cluster);
        }
        self.mark(Unit::Root(root));
    }
}
