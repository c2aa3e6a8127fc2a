//! Roots with their pods, a namespace at a time: what a walk over everything asks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::pods::Pod;
use super::table::Table;
use super::{Inventory, RootKey};
use crate::facts::Owner;
use crate::kind::Kind;
use crate::sym::Sym;

impl Inventory {
    /// Namespaces in which there are workloads or pods, in order.
    pub(crate) fn inhabited(&self) -> BTreeSet<&Sym> {
        let workloads = self.workloads.values().flat_map(Table::namespaces);
        workloads.chain(self.pods.namespaces()).collect()
    }

    /// Every root in a namespace with all pods below it, both by key: what
    /// [`Inventory::roots_in`] and [`Inventory::pods_of`] say, in one pass.
    pub(crate) fn families_in(&self, namespace: &Sym) -> Vec<(RootKey, Vec<&Pod>)> {
        let mut found: Vec<(RootKey, Vec<&Pod>)> = vec![];
        for (kind, table) in &self.workloads {
            let roots = table
                .in_namespace(namespace)
                .filter_map(|held| self.as_root(*kind, held));
            found.extend(roots.map(|root| (root, vec![])));
        }
        // Siblings follow each other, and share what they know of their owner.
        let mut owner: Option<&Arc<Owner>> = None;
        for pod in self.pods.in_namespace(namespace) {
            match (found.last_mut(), &pod.owner) {
                (Some((root, pods)), Some(theirs))
                    if root.kind != Kind::Pod && owner.is_some_and(|o| Arc::ptr_eq(o, theirs)) =>
                {
                    pods.push(pod);
                }
                _ => found.push((self.root_for(pod), vec![pod])),
            }
            owner = pod.owner.as_ref();
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1.append(&mut next.1);
            }
            same
        });
        for (_, pods) in &mut found {
            pods.sort_by(|a, b| a.key.cmp(&b.key));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::facts::{ObjectKey, decode_value};

    const KINDS: [(Kind, &str, &str); 3] = [
        (Kind::Deployment, "apps/v1", "Deployment"),
        (Kind::ReplicaSet, "apps/v1", "ReplicaSet"),
        (Kind::Pod, "v1", "Pod"),
    ];

    /// One change: an object of few names that names an owner of few, or its end.
    #[derive(Clone, Debug)]
    struct Change {
        kind: usize,
        name: u8,
        namespace: u8,
        owner: Option<(usize, u8, u8)>,
        node: u8,
        delete: bool,
    }

    fn change() -> impl Strategy<Value = Change> {
        let owner = prop::option::weighted(0.8, (0..2_usize, 0..5_u8, 0..3_u8));
        (
            0..3_usize,
            0..5_u8,
            0..2_u8,
            owner,
            0..3_u8,
            prop::bool::weighted(0.2),
        )
            .prop_map(|(kind, name, namespace, owner, node, delete)| Change {
                kind,
                name,
                namespace,
                owner,
                node,
                delete,
            })
    }

    fn apply(inventory: &mut Inventory, change: &Change) {
        let (kind, api, word) = KINDS[change.kind];
        let (namespace, name) = (
            format!("n{}", change.namespace),
            format!("x{}", change.name),
        );
        if change.delete {
            inventory.delete(kind, &ObjectKey::new(&namespace, &name));
            return;
        }
        let owners: Vec<_> = change
            .owner
            .iter()
            .map(|(kind, name, uid)| {
                json!({"apiVersion": "apps/v1", "kind": KINDS[*kind].2, "name": format!("x{name}"),
                       "uid": if *uid == 0 { String::new() } else { format!("u{uid}") },
                       "controller": true})
            })
            .collect();
        let object = json!({"apiVersion": api, "kind": word,
            "metadata": {"name": name, "namespace": namespace, "uid": format!("u{}", change.node),
                         "ownerReferences": owners},
            "spec": {"nodeName": format!("node{}", change.node)}});
        inventory.upsert(decode_value(kind, &object).unwrap());
    }

    proptest! {
        /// After any history: one pass says what single questions say, and every index what
        /// a walk over all pods says.
        #[test]
        fn families_are_roots_with_their_pods(changes in prop::collection::vec(change(), 1..60)) {
            let mut inventory = Inventory::new();
            for change in &changes {
                apply(&mut inventory, change);
            }
            for namespace in ["n0", "n1"] {
                let mut roots: Vec<RootKey> = inventory.roots_in(namespace).collect();
                roots.sort();
                let families = inventory.families_in(&Sym::new(namespace));
                let found: Vec<RootKey> = families.iter().map(|(root, _)| root.clone()).collect();
                prop_assert_eq!(&found, &roots);
                for (root, pods) in &families {
                    let names = |pods: &[&Pod]| -> Vec<ObjectKey> {
                        pods.iter().map(|p| p.key.clone()).collect()
                    };
                    prop_assert_eq!(names(pods), names(&inventory.pods_of(root)));
                    let walked: Vec<&Pod> = inventory
                        .pods_in(namespace)
                        .filter(|pod| inventory.root_for(pod) == *root)
                        .collect();
                    prop_assert_eq!(names(pods), names(&walked));
                }
            }
            for node in ["node0", "node1", "node2"] {
                let by_walk = inventory
                    .pods()
                    .filter(|p| p.node.as_ref().is_some_and(|n| n.as_str() == node));
                prop_assert_eq!(by_walk.count(), inventory.pods_on(node).count());
            }
            prop_assert_eq!(inventory.pods().count(), inventory.count(Kind::Pod));
        }
    }
}
