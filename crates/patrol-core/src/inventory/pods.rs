//! Pods: a slab of small records whose template and status are shared.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use patrol_api::time::Time;

use super::pool::Parts;
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
    epoch: u32,
}

impl Pod {
    /// Whether it counts: not being deleted, not finished.
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

/// Ids of pods, sorted by something of the pods themselves: a list of numbers instead of a
/// tree of names.
type Sorted = BTreeMap<Sym, Vec<PodId>>;

#[derive(Debug, Default)]
pub(super) struct Pods {
    slab: Vec<Option<Pod>>,
    free: Vec<u32>,
    /// By namespace, then name.
    by_name: Sorted,
    /// By namespace, then owner and name; only those with an owner.
    by_owner: Sorted,
    by_node: BTreeMap<Sym, Vec<PodId>>,
    by_pin: BTreeMap<Sym, Vec<PodId>>,
}

impl Pods {
    pub fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    pub fn get(&self, id: PodId) -> Option<&Pod> {
        get(&self.slab, id)
    }

    pub fn find(&self, key: &ObjectKey) -> Option<&Pod> {
        self.get(self.id_of(key)?)
    }

    fn id_of(&self, key: &ObjectKey) -> Option<PodId> {
        let ids = self.by_name.get(&key.namespace)?;
        let at = place(&self.slab, ids, |pod| pod.key.name.cmp(&key.name)).ok()?;
        ids.get(at).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pod> {
        self.by_name
            .values()
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Pod> {
        self.listed(&self.by_name, namespace)
    }

    /// Namespaces with any, in order.
    pub fn namespaces(&self) -> impl Iterator<Item = &Sym> {
        self.by_name.keys()
    }

    pub fn on_node(&self, node: &str) -> impl Iterator<Item = &Pod> {
        self.listed(&self.by_node, node)
    }

    pub fn pinned_to(&self, node: &str) -> impl Iterator<Item = &Pod> {
        self.listed(&self.by_pin, node)
    }

    fn listed<'a>(
        &'a self,
        index: &'a BTreeMap<Sym, Vec<PodId>>,
        key: &str,
    ) -> impl Iterator<Item = &'a Pod> {
        index
            .get(key)
            .into_iter()
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    /// Pods in `namespace` whose owner is the given object, whatever its UID: by UID and
    /// name.
    pub fn owned_by(
        &self,
        namespace: &str,
        group: &str,
        kind: &str,
        name: &str,
    ) -> impl Iterator<Item = &Pod> {
        let ids = self.by_owner.get(namespace).map_or(&[][..], |ids| ids);
        let order = |id: &PodId| {
            let owner = self.get(*id).and_then(|pod| pod.owner.as_deref());
            owner.map_or(Ordering::Less, |o| {
                (o.name.as_str(), o.kind.as_str(), o.group.as_str()).cmp(&(name, kind, group))
            })
        };
        let from = ids.partition_point(|id| order(id).is_lt());
        ids.iter()
            .skip(from)
            .take_while(move |id| order(id).is_eq())
            .filter_map(|id| self.get(*id))
    }

    pub fn upsert(
        &mut self,
        key: ObjectKey,
        fact: PodFact,
        epoch: u32,
        parts: &mut Parts,
    ) -> Stored {
        let mut pod = Pod {
            uid: fact.uid,
            owner: fact.owner.map(|owner| parts.owner(owner)),
            node: fact.node,
            created: fact.created,
            deleting: fact.deleting,
            shape: parts.shape(fact.shape),
            status: parts.status(fact.status),
            ready_changed: fact.ready_changed,
            epoch,
            key,
        };
        let known = self
            .id_of(&pod.key)
            .and_then(|id| Some((id, self.get(id)?)));
        let Some((id, old)) = known else {
            return Stored {
                id: self.insert(pod),
                changed: true,
                before: None,
                old: None,
            };
        };
        let same_place = old.owner == pod.owner && old.node == pod.node && old.pin() == pod.pin();
        let changed = !(same_place && same_content(old, &pod));
        let before = (!same_place).then(|| Moved {
            owner: old.owner.clone(),
            node: old.node.clone(),
        });
        if !same_place {
            self.unindex(id);
        }
        if let Some(Some(old)) = self.slab.get_mut(id.at()) {
            std::mem::swap(old, &mut pod);
        }
        if !same_place {
            self.index(id);
        }
        Stored {
            id,
            changed,
            before,
            old: changed.then_some(pod),
        }
    }

    pub fn remove(&mut self, key: &ObjectKey) -> Option<Pod> {
        let id = self.id_of(key)?;
        self.unindex(id);
        let Self { slab, by_name, .. } = self;
        remove_sorted(slab, by_name, &key.namespace, |pod| {
            pod.key.name.cmp(&key.name)
        });
        let pod = self.slab.get_mut(id.at())?.take()?;
        self.free.push(id.0);
        Some(pod)
    }

    pub fn older_than(&self, epoch: u32) -> Vec<ObjectKey> {
        self.iter()
            .filter(|pod| pod.epoch < epoch)
            .map(|pod| pod.key.clone())
            .collect()
    }

    /// Gives back what growing took in advance.
    pub fn shrink(&mut self) {
        self.slab.shrink_to_fit();
        let Self {
            by_name,
            by_owner,
            by_node,
            by_pin,
            ..
        } = self;
        for index in [by_name, by_owner, by_node, by_pin] {
            index.values_mut().for_each(Vec::shrink_to_fit);
        }
    }

    fn insert(&mut self, pod: Pod) -> PodId {
        let id = match self.free.pop() {
            Some(place) => PodId(place),
            None => {
                self.slab.push(None);
                PodId(u32::try_from(self.slab.len() - 1).unwrap_or(u32::MAX))
            }
        };
        let ids = self.by_name.entry(pod.key.namespace.clone()).or_default();
        let at = place(&self.slab, ids, |other| other.key.name.cmp(&pod.key.name));
        ids.insert(at.unwrap_or_else(|at| at), id);
        if let Some(slot) = self.slab.get_mut(id.at()) {
            *slot = Some(pod);
        }
        self.index(id);
        id
    }

    fn index(&mut self, id: PodId) {
        let Some(pod) = get(&self.slab, id) else {
            return;
        };
        if let Some(pin) = pod.pin() {
            insert_by_key(
                &self.slab,
                self.by_pin.entry(pin.clone()).or_default(),
                id,
                pod,
            );
        }
        if let Some(node) = &pod.node {
            insert_by_key(
                &self.slab,
                self.by_node.entry(node.clone()).or_default(),
                id,
                pod,
            );
        }
        if let Some(owner) = &pod.owner {
            let ids = self.by_owner.entry(pod.key.namespace.clone()).or_default();
            let at = place(&self.slab, ids, |other| by_owner(other, owner, pod));
            ids.insert(at.unwrap_or_else(|at| at), id);
        }
    }

    /// Takes a pod out of every index but that of names, while it is still stored.
    fn unindex(&mut self, id: PodId) {
        let Some(pod) = get(&self.slab, id) else {
            return;
        };
        if let Some(node) = &pod.node {
            drop_id(&mut self.by_node, node, id);
        }
        if let Some(pin) = pod.pin() {
            drop_id(&mut self.by_pin, pin, id);
        }
        if let Some(owner) = &pod.owner {
            let order = |other: &Pod| by_owner(other, owner, pod);
            remove_sorted(&self.slab, &mut self.by_owner, &pod.key.namespace, order);
        }
    }
}

impl PodId {
    const fn at(self) -> usize {
        self.0 as usize
    }
}

fn get(slab: &[Option<Pod>], id: PodId) -> Option<&Pod> {
    slab.get(id.at()).and_then(Option::as_ref)
}

/// Where a pod is, or would be, in a sorted list.
fn place(
    slab: &[Option<Pod>],
    ids: &[PodId],
    order: impl Fn(&Pod) -> Ordering,
) -> Result<usize, usize> {
    ids.binary_search_by(|id| get(slab, *id).map_or(Ordering::Less, &order))
}

/// How `other` stands to a pod with this owner, in the order of owners.
fn by_owner(other: &Pod, owner: &Owner, pod: &Pod) -> Ordering {
    other.owner.as_deref().map_or(Ordering::Less, |o| {
        (&o.name, &o.kind, &o.group, &o.uid, &other.key.name).cmp(&(
            &owner.name,
            &owner.kind,
            &owner.group,
            &owner.uid,
            &pod.key.name,
        ))
    })
}

/// What is said of a node must not depend on the order in which its pods were met.
fn insert_by_key(slab: &[Option<Pod>], ids: &mut Vec<PodId>, id: PodId, pod: &Pod) {
    let at = place(slab, ids, |other| other.key.cmp(&pod.key));
    ids.insert(at.unwrap_or_else(|at| at), id);
}

fn remove_sorted(
    slab: &[Option<Pod>],
    index: &mut Sorted,
    namespace: &Sym,
    order: impl Fn(&Pod) -> Ordering,
) {
    if let Some(ids) = index.get_mut(namespace) {
        if let Ok(at) = place(slab, ids, order) {
            ids.remove(at);
        }
        if ids.is_empty() {
            index.remove(namespace);
        }
    }
}

fn drop_id(index: &mut BTreeMap<Sym, Vec<PodId>>, key: &Sym, id: PodId) {
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
}
