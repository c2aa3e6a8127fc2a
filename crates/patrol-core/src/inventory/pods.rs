//! Pods: a slab of small records whose template and status are shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use patrol_api::time::Time;

use super::pool::Pool;
use crate::facts::{ObjectKey, Owner, PodFact, PodShape, PodStatus, Uid};
use crate::sym::Sym;

/// Place of a pod in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodId(u32);

/// A stored pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID.
    pub uid: Uid,
    /// Controller owner, shared with its siblings.
    pub owner: Option<Arc<Owner>>,
    /// Node, once scheduled.
    pub node: Option<Sym>,
    /// Creation.
    pub created: Option<Time>,
    /// Being deleted.
    pub deleting: bool,
    /// Template part, shared.
    pub shape: Arc<PodShape>,
    /// Status part, shared.
    pub status: Arc<PodStatus>,
    /// When `Ready` last changed.
    pub ready_changed: Option<Time>,
    /// When each container status entered its state.
    pub since: Box<[Option<Time>]>,
    epoch: u32,
}

impl Pod {
    /// Rule G1: not being deleted, not finished.
    #[must_use]
    pub fn is_live(&self) -> bool {
        crate::facts::is_live(self.deleting, self.status.phase)
    }

    /// The node that an unscheduled pod of a DaemonSet is made for.
    #[must_use]
    pub fn pin(&self) -> Option<&Sym> {
        self.status.unscheduled.as_ref()?.pin.as_ref()
    }

    /// A label of the live pod, with those that controllers derive from names.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        if let Some(value) = self.shape.labels.get(key) {
            return Some(value.as_str());
        }
        crate::facts::derived_label(key, &self.key.name, self.owner.as_deref())
    }
}

/// What changed when a pod was stored.
pub(super) struct Stored {
    pub id: PodId,
    pub changed: bool,
    pub before: Option<Moved>,
    /// What the pod was, when it was known and changed.
    pub old: Option<Pod>,
}

/// Where a pod was, when it moved.
pub(super) struct Moved {
    pub owner: Option<Arc<Owner>>,
    pub node: Option<Sym>,
}

#[derive(Debug, Default)]
pub(super) struct Pods {
    slab: Vec<Option<Pod>>,
    free: Vec<u32>,
    by_key: BTreeMap<ObjectKey, PodId>,
    by_node: BTreeMap<Sym, Vec<PodId>>,
    by_pin: BTreeMap<Sym, Vec<PodId>>,
    by_owner: BTreeMap<(Sym, Arc<Owner>), Vec<PodId>>,
    shapes: Pool<PodShape>,
    statuses: Pool<PodStatus>,
    owners: Pool<Owner>,
}

impl Pods {
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    pub fn get(&self, id: PodId) -> Option<&Pod> {
        self.slab.get(id.0 as usize).and_then(Option::as_ref)
    }

    pub fn find(&self, key: &ObjectKey) -> Option<&Pod> {
        self.by_key.get(key).and_then(|id| self.get(*id))
    }

    pub fn iter(&self) -> impl Iterator<Item = (PodId, &Pod)> {
        self.by_key
            .values()
            .filter_map(|id| self.get(*id).map(|pod| (*id, pod)))
    }

    pub fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Pod> {
        self.by_key
            .range(ObjectKey::new(namespace, "")..)
            .take_while(move |(k, _)| k.namespace.as_str() == namespace)
            .filter_map(|(_, id)| self.get(*id))
    }

    pub fn on_node(&self, node: &str) -> impl Iterator<Item = &Pod> {
        self.by_node
            .get(node)
            .into_iter()
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    pub fn pinned_to(&self, node: &str) -> impl Iterator<Item = &Pod> {
        self.by_pin
            .get(node)
            .into_iter()
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    /// Owners with pods in `namespace` that are the given object, whatever their UID.
    pub fn owners_named<'a>(
        &'a self,
        namespace: &'a Sym,
        group: &'a str,
        kind: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a [PodId]> {
        let from = (
            namespace.clone(),
            Arc::new(Owner {
                group: Sym::new(group),
                kind: Sym::new(kind),
                name: Sym::new(name),
                uid: Uid::Absent,
            }),
        );
        self.by_owner
            .range(from..)
            .take_while(move |((ns, o), _)| {
                ns == namespace
                    && o.group.as_str() == group
                    && o.kind.as_str() == kind
                    && o.name.as_str() == name
            })
            .map(|(_, ids)| ids.as_slice())
    }

    pub fn upsert(&mut self, key: ObjectKey, fact: PodFact, epoch: u32) -> Stored {
        let owner = fact.owner.map(|o| self.owners.share(o));
        let mut pod = Pod {
            uid: fact.uid,
            owner,
            node: fact.node,
            created: fact.created,
            deleting: fact.deleting,
            shape: self.shapes.share(fact.shape),
            status: self.statuses.share(fact.status),
            ready_changed: fact.ready_changed,
            since: fact.since,
            epoch,
            key,
        };
        if let Some(id) = self.by_key.get(&pod.key).copied()
            && let Some(slot) = self.slab.get_mut(id.0 as usize)
            && let Some(old) = slot.as_mut()
        {
            let same_place =
                old.owner == pod.owner && old.node == pod.node && old.pin() == pod.pin();
            let changed = !(same_place && same_content(old, &pod));
            std::mem::swap(old, &mut pod);
            let moved = (!same_place).then(|| Moved {
                owner: pod.owner.clone(),
                node: pod.node.clone(),
            });
            if moved.is_some() {
                self.unindex(id, &pod);
                self.index(id);
            }
            return Stored {
                id,
                changed,
                before: moved,
                old: changed.then_some(pod),
            };
        }
        let id = self.insert(pod);
        Stored {
            id,
            changed: true,
            before: None,
            old: None,
        }
    }

    pub fn remove(&mut self, key: &ObjectKey) -> Option<Pod> {
        let id = self.by_key.remove(key)?;
        let pod = self.slab.get_mut(id.0 as usize)?.take()?;
        self.free.push(id.0);
        self.unindex(id, &pod);
        Some(pod)
    }

    pub fn older_than(&self, epoch: u32) -> Vec<ObjectKey> {
        self.iter()
            .filter(|(_, pod)| pod.epoch < epoch)
            .map(|(_, pod)| pod.key.clone())
            .collect()
    }

    pub fn distinct_shapes(&self) -> usize {
        self.shapes.len()
    }

    fn insert(&mut self, pod: Pod) -> PodId {
        let key = pod.key.clone();
        let id = match self.free.pop() {
            Some(place) => {
                if let Some(slot) = self.slab.get_mut(place as usize) {
                    *slot = Some(pod);
                }
                PodId(place)
            }
            None => {
                self.slab.push(Some(pod));
                PodId(u32::try_from(self.slab.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.by_key.insert(key, id);
        self.index(id);
        id
    }

    fn index(&mut self, id: PodId) {
        let Some(pod) = self.get(id) else { return };
        let node = pod.node.clone();
        let pin = pod.pin().cloned();
        let owner = pod.owner.clone().map(|o| (pod.key.namespace.clone(), o));
        if let Some(pin) = pin {
            self.by_pin.entry(pin).or_default().push(id);
        }
        if let Some(node) = node {
            self.by_node.entry(node).or_default().push(id);
        }
        if let Some(owner) = owner {
            self.by_owner.entry(owner).or_default().push(id);
        }
    }

    fn unindex(&mut self, id: PodId, pod: &Pod) {
        if let Some(node) = &pod.node {
            drop_id(&mut self.by_node, node, id);
        }
        if let Some(pin) = pod.pin() {
            drop_id(&mut self.by_pin, pin, id);
        }
        if let Some(owner) = &pod.owner {
            let place = (pod.key.namespace.clone(), Arc::clone(owner));
            drop_id(&mut self.by_owner, &place, id);
        }
    }
}

fn drop_id<K: Ord>(index: &mut BTreeMap<K, Vec<PodId>>, key: &K, id: PodId) {
    if let Some(ids) = index.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

fn same_content(a: &Pod, b: &Pod) -> bool {
    a.uid == b.uid
        && Arc::ptr_eq(&a.shape, &b.shape)
        && Arc::ptr_eq(&a.status, &b.status)
        && a.deleting == b.deleting
        && a.created == b.created
        && a.ready_changed == b.ready_changed
        && a.since == b.since
}
