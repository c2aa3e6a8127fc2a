//! Answers about node agents that would cost a walk over all pods: whether any pod of an
//! agent exists, and when a daemon's pod left a node. Both are kept only while they are of
//! use, and are exact: what could change an answer drops it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use patrol_api::time::Time;

use super::pods::Pod;
use super::{Inventory, Sight, Touched};
use crate::facts::{ObjectKey, Owner};
use crate::kind::Kind;
use crate::rule::NodeAgentRule;
use crate::sym::Sym;

/// Remembered answers and departures.
#[derive(Debug, Default)]
pub(super) struct Agents {
    /// Answers of `has_agent_pod`, by the identity of the rule (held, so that its address
    /// cannot be reused).
    asked: Mutex<Vec<(Arc<NodeAgentRule>, bool)>>,
    /// When the last pod of a DaemonSet left a node that has no successor yet.
    left: BTreeMap<Sym, BTreeMap<(Sym, Arc<Owner>), Time>>,
}

impl Agents {
    /// Drops every answer that this pod may have changed. Returns whether there was one.
    pub fn pod_changed(&mut self, pod: &Pod) -> bool {
        let asked = self.asked.get_mut().unwrap_or_else(PoisonError::into_inner);
        let before = asked.len();
        asked.retain(|(rule, _)| !rule.is_agent(pod));
        asked.len() != before
    }

    pub fn pod_left(&mut self, pod: &Pod, at: Option<Time>) {
        if let (Some(node), Some(owner), Some(at)) = (&pod.node, daemon(pod), at) {
            let place = (pod.key.namespace.clone(), Arc::clone(owner));
            self.left.entry(node.clone()).or_default().insert(place, at);
        }
    }

    pub fn pod_arrived(&mut self, pod: &Pod) {
        let (Some(node), Some(owner)) = (&pod.node, daemon(pod)) else {
            return;
        };
        if let Some(left) = self.left.get_mut(node) {
            left.remove(&(pod.key.namespace.clone(), Arc::clone(owner)));
            if left.is_empty() {
                self.left.remove(node);
            }
        }
    }

    pub fn daemon_gone(&mut self, daemon: &ObjectKey) {
        self.left.retain(|_, left| {
            left.retain(|place, _| !is_of(place, daemon));
            !left.is_empty()
        });
    }

    /// The clock was set: what left in the future left now.
    pub fn clock_set(&mut self, now: Time) {
        for at in self.left.values_mut().flat_map(BTreeMap::values_mut) {
            *at = (*at).min(now);
        }
    }

    pub fn node_gone(&mut self, node: &str) {
        self.left.remove(node);
    }
}

fn daemon(pod: &Pod) -> Option<&Arc<Owner>> {
    pod.owner
        .as_ref()
        .filter(|o| o.kind.as_str() == Kind::DaemonSet.info().kind)
}

fn is_of((namespace, owner): &(Sym, Arc<Owner>), daemon: &ObjectKey) -> bool {
    *namespace == daemon.namespace && owner.name.as_str() == &*daemon.name
}

impl Inventory {
    /// Whether a live pod of the agent exists anywhere. Walks all pods once and remembers
    /// the answer until a pod of the agent comes, changes or goes.
    #[must_use]
    pub fn has_agent_pod(&self, rule: &Arc<NodeAgentRule>) -> bool {
        /// Rules of policies long gone: start anew rather than grow.
        const KEPT: usize = 64;
        let mut asked = self
            .agents
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = asked.iter().find(|(r, _)| Arc::ptr_eq(r, rule)) {
            return *known;
        }
        let found = match &rule.namespace {
            Some(ns) => self.pods_in(ns).any(|p| p.is_live() && rule.is_agent(p)),
            None => self.pods().any(|p| p.is_live() && rule.is_agent(p)),
        };
        if asked.len() >= KEPT {
            asked.clear();
        }
        asked.push((Arc::clone(rule), found));
        found
    }

    /// When the last pod of a DaemonSet was seen to leave a node, while no other one came.
    /// Known only for departures seen by this process: after a restart there is no such
    /// grace.
    #[must_use]
    pub fn daemon_left(&self, node: &str, daemon: &ObjectKey) -> Option<Time> {
        self.agents
            .left
            .get(node)?
            .iter()
            .filter(|(place, _)| is_of(place, daemon))
            .map(|(_, at)| *at)
            .max()
    }

    /// The wall clock was set: no grace may wait for it to get there again.
    pub fn clock_set(&mut self, now: Time) {
        self.agents.clock_set(now);
        self.sight.values_mut().for_each(Sight::clock_set);
    }

    /// What must be judged again because a pod of an agent that someone asked for came,
    /// changed or went.
    pub(super) fn agent_touched(changed: bool) -> Vec<Touched> {
        if changed {
            vec![Touched::AllNodes, Touched::Cluster]
        } else {
            vec![]
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::facts::decode_value;
    use crate::selector::Selector;

    const NOW: i64 = 1_800_000_000;

    fn rule() -> Arc<NodeAgentRule> {
        let selector = serde_json::from_value(json!({"matchLabels": {"app": "falco"}})).unwrap();
        Arc::new(NodeAgentRule {
            selector: Some(Selector::compile(&selector).unwrap()),
            namespace: None,
            images: crate::rule::ImageMatch::default(),
            nodes: Selector::everything(),
            min_version: None,
            control_plane: false,
            virtual_node_substitute: None,
        })
    }

    fn pod(name: &str, spec: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "sec", "labels": {"app": "falco"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "falco",
                                 "uid": "u", "controller": true}]}, "spec": spec})
    }

    fn put(inventory: &mut Inventory, pod: &Value) -> Vec<Touched> {
        inventory.upsert(decode_value(Kind::Pod, pod).unwrap())
    }

    #[test]
    fn an_answer_lasts_until_a_pod_of_the_agent_changes() {
        let (mut inventory, rule) = (Inventory::new(), rule());
        assert!(!inventory.has_agent_pod(&rule));
        let other = json!({"metadata": {"name": "x", "namespace": "sec"}, "spec": {}});
        assert!(!put(&mut inventory, &other).contains(&Touched::AllNodes));
        let touched = put(&mut inventory, &pod("a", json!({"nodeName": "n1"})));
        assert!(touched.contains(&Touched::AllNodes) && touched.contains(&Touched::Cluster));
        assert!(inventory.has_agent_pod(&rule));
        // Relabelled: what it was counts as a change too.
        let mut renamed = pod("a", json!({"nodeName": "n1"}));
        renamed["metadata"]["labels"]["app"] = json!("other");
        assert!(put(&mut inventory, &renamed).contains(&Touched::AllNodes));
        assert!(!inventory.has_agent_pod(&rule));
    }

    #[test]
    fn a_departure_is_remembered_until_a_successor_comes() {
        let mut inventory = Inventory::new();
        let daemon = ObjectKey::new("sec", "falco");
        inventory.sight_mut(Kind::Pod).heard(Time::from_unix(NOW));
        put(&mut inventory, &pod("a", json!({"nodeName": "n1"})));
        inventory.delete(Kind::Pod, &ObjectKey::new("sec", "a"));
        assert_eq!(
            inventory.daemon_left("n1", &daemon),
            Some(Time::from_unix(NOW))
        );
        assert_eq!(inventory.daemon_left("n2", &daemon), None);
        put(&mut inventory, &pod("b", json!({"nodeName": "n1"})));
        assert_eq!(inventory.daemon_left("n1", &daemon), None);
        // A successor that came first.
        put(&mut inventory, &pod("c", json!({"nodeName": "n1"})));
        inventory.delete(Kind::Pod, &ObjectKey::new("sec", "b"));
        assert_eq!(inventory.daemon_left("n1", &daemon), None);
        inventory.delete(Kind::Pod, &ObjectKey::new("sec", "c"));
        assert!(inventory.daemon_left("n1", &daemon).is_some());
        inventory.clock_set(Time::from_unix(NOW - 3600));
        assert_eq!(
            inventory.daemon_left("n1", &daemon),
            Some(Time::from_unix(NOW - 3600))
        );
        inventory.delete(Kind::Node, &ObjectKey::new("", "n1"));
        inventory.agents.node_gone("n1");
        assert_eq!(inventory.daemon_left("n1", &daemon), None);
    }

    #[test]
    fn a_pod_made_for_a_node_is_found_there_until_it_is_bound() {
        let affinity = json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
        ]}}}});
        let mut inventory = Inventory::new();
        let touched = put(&mut inventory, &pod("a", affinity.clone()));
        assert!(touched.contains(&Touched::Node(Sym::new("n1"))));
        assert_eq!(inventory.pods_pinned_to("n1").count(), 1);
        let mut bound = affinity;
        bound["nodeName"] = json!("n1");
        put(&mut inventory, &pod("a", bound));
        assert_eq!(inventory.pods_pinned_to("n1").count(), 0);
        assert_eq!(inventory.pods_on("n1").count(), 1);
    }
}
