//! From a pod to what must be fixed: its top owner, and back.

use std::fmt;
use std::sync::Arc;

use super::pods::{Pod, PodId};
use super::table::Held;
use super::{Inventory, Touched};
use crate::facts::{ObjectKey, Owner, PodFact, PodShape, Workload};
use crate::kind::Kind;
use crate::sym::Sym;

/// Owner references are followed at most this far.
const DEPTH: usize = 5;

/// A root: the top owner that is in the inventory, or a pod that nothing owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootKey {
    /// Namespace and name.
    pub key: ObjectKey,
    /// A workload kind, or Pod.
    pub kind: Kind,
}

impl fmt::Display for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

impl Inventory {
    /// A pod.
    #[must_use]
    pub fn pod(&self, id: PodId) -> Option<&Pod> {
        self.pods.get(id)
    }

    /// A pod by its place.
    #[must_use]
    pub fn pod_at(&self, key: &ObjectKey) -> Option<&Pod> {
        self.pods.find(key)
    }

    /// All pods, by key.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter()
    }

    /// The pods of a namespace, by name.
    pub fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Pod> {
        self.pods.in_namespace(namespace)
    }

    /// The pods bound to a node.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &Pod> {
        self.pods.on_node(node)
    }

    /// Unscheduled pods that a DaemonSet made for a node.
    pub fn pods_pinned_to(&self, node: &str) -> impl Iterator<Item = &Pod> {
        self.pods.pinned_to(node)
    }

    /// Distinct pod shapes held, for the memory figures.
    #[must_use]
    pub fn distinct_shapes(&self) -> usize {
        self.parts.distinct_shapes()
    }

    /// The top owner of a workload: follows controller references while they lead to an
    /// object that is here. Where they lead on and on, or round in a ring, a workload
    /// stands for itself: whoever wrote such references must not get pods out of sight.
    #[must_use]
    pub fn root_of(&self, kind: Kind, key: &ObjectKey) -> RootKey {
        match self.held(kind, key) {
            Some(held) => self.root_above(kind, held),
            None => RootKey {
                kind,
                key: key.clone(),
            },
        }
    }

    fn root_above(&self, kind: Kind, held: &Held<Workload>) -> RootKey {
        let root = |kind: Kind, held: &Held<Workload>| RootKey {
            kind,
            key: held.key.clone(),
        };
        let mut at = (kind, held);
        for _ in 0..=DEPTH {
            match self.parent_of(at.1) {
                Some(next) => at = next,
                None => return root(at.0, at.1),
            }
        }
        root(kind, held)
    }

    fn held(&self, kind: Kind, key: &ObjectKey) -> Option<&Held<Workload>> {
        self.workloads.get(&kind)?.get(&key.namespace, &key.name)
    }

    /// The owner of a workload, where it is here.
    fn parent_of(&self, held: &Held<Workload>) -> Option<(Kind, &Held<Workload>)> {
        let owner = held.fact.meta.owner.as_ref()?;
        self.resolve(&held.key.namespace, owner)
    }

    /// Whether a workload that is here stands for itself.
    fn is_top(&self, kind: Kind, held: &Held<Workload>) -> bool {
        match self.parent_of(held) {
            None => true,
            // It has a root above it: the common case, told without a walk.
            Some((_, parent)) if parent.fact.meta.owner.is_none() => false,
            Some(_) => {
                let root = self.root_above(kind, held);
                root.kind == kind && root.key == held.key
            }
        }
    }

    /// The root of a pod that is here.
    #[must_use]
    pub fn root_of_pod(&self, key: &ObjectKey) -> Option<RootKey> {
        self.pods.find(key).map(|pod| self.root_for(pod))
    }

    /// The root of a stored pod.
    #[must_use]
    pub fn root_for(&self, pod: &Pod) -> RootKey {
        match pod
            .owner
            .as_ref()
            .and_then(|o| self.resolve(&pod.key.namespace, o))
        {
            Some((kind, held)) => self.root_above(kind, held),
            None => RootKey {
                kind: Kind::Pod,
                key: pod.key.clone(),
            },
        }
    }

    /// Whether the chain of owners above `root` leads on to something that is not here: a
    /// kind we do not read, or an object that is gone.
    #[must_use]
    pub fn owner_unreadable(&self, root: &RootKey) -> bool {
        match root.kind {
            Kind::Pod => self.pods.find(&root.key).is_some_and(|p| p.owner.is_some()),
            kind => self
                .workload(kind, &root.key)
                .is_some_and(|w| w.meta.owner.is_some()),
        }
    }

    /// The kind of what owns a root, whether or not the owner is here, if it is one we read.
    #[must_use]
    pub fn owner_kind(&self, root: &RootKey) -> Option<Kind> {
        let of = |owner: &Owner| Kind::find(&owner.group, &owner.kind);
        match root.kind {
            Kind::Pod => of(self.pods.find(&root.key)?.owner.as_ref()?),
            kind => of(self.workload(kind, &root.key)?.meta.owner.as_ref()?),
        }
    }

    fn resolve(&self, namespace: &Sym, owner: &Owner) -> Option<(Kind, &Held<Workload>)> {
        let kind = Kind::find(&owner.group, &owner.kind)?;
        let parent = self.workloads.get(&kind)?.get(namespace, &owner.name)?;
        let uid = &parent.fact.meta.uid;
        // A namesake that replaced the real owner is not the owner.
        let same = !owner.uid.is_present() || !uid.is_present() || owner.uid == *uid;
        same.then_some((kind, parent))
    }

    /// Whether this is a root now: it is here, and nothing above it is.
    #[must_use]
    pub fn is_root(&self, root: &RootKey) -> bool {
        self.root_exists(root)
            && match root.kind {
                Kind::Pod => self.root_of_pod(&root.key).as_ref() == Some(root),
                kind => self.root_of(kind, &root.key) == *root,
            }
    }

    /// Whether the root itself is here.
    #[must_use]
    pub fn root_exists(&self, root: &RootKey) -> bool {
        match root.kind {
            Kind::Pod => self.pods.find(&root.key).is_some(),
            kind => self.workload(kind, &root.key).is_some(),
        }
    }

    /// Every root, by kind and key: workloads without an owner that is here, and pods that
    /// nothing here owns.
    pub fn roots(&self) -> impl Iterator<Item = RootKey> + '_ {
        let workloads = self.workloads.iter().flat_map(move |(kind, table)| {
            table
                .iter()
                .filter_map(move |held| self.as_root(*kind, held))
        });
        let pods = self.pods.iter().filter_map(move |pod| {
            let owner = pod.owner.as_ref();
            let is_root = owner.is_none_or(|o| self.resolve(&pod.key.namespace, o).is_none());
            is_root.then(|| RootKey {
                kind: Kind::Pod,
                key: pod.key.clone(),
            })
        });
        workloads.chain(pods)
    }

    pub(super) fn as_root(&self, kind: Kind, held: &Held<Workload>) -> Option<RootKey> {
        self.is_top(kind, held).then(|| RootKey {
            kind,
            key: held.key.clone(),
        })
    }

    /// The roots in a namespace.
    pub fn roots_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = RootKey> + 'a {
        let workloads = self.workloads.iter().flat_map(move |(kind, table)| {
            table
                .in_namespace(namespace)
                .filter_map(move |held| self.as_root(*kind, held))
        });
        let pods = self.pods_in(namespace).filter_map(move |pod| {
            let root = self.root_for(pod);
            (root.kind == Kind::Pod).then_some(root)
        });
        workloads.chain(pods)
    }

    /// All pods below a root, in a stable order.
    #[must_use]
    pub fn pods_of(&self, root: &RootKey) -> Vec<&Pod> {
        let mut out = Vec::new();
        if root.kind == Kind::Pod {
            out.extend(self.pods.find(&root.key));
            return out;
        }
        self.collect_pods(root.kind, &root.key, 0, &mut out);
        out.sort_by(|a, b| a.key.cmp(&b.key));
        out
    }

    fn collect_pods<'a>(
        &'a self,
        kind: Kind,
        key: &ObjectKey,
        depth: usize,
        out: &mut Vec<&'a Pod>,
    ) {
        if depth > DEPTH {
            return;
        }
        let info = kind.info();
        let uid = self.workload(kind, key).map(|w| &w.meta.uid);
        let owned = self
            .pods
            .owned_by(&key.namespace, info.group, info.kind, &key.name)
            .filter(|p| match (p.owner.as_ref().map(|o| &o.uid), uid) {
                (Some(a), Some(b)) if a.is_present() && b.is_present() => a == b,
                _ => true,
            });
        out.extend(owned);
        for (child_kind, child) in self.children.of(kind, key) {
            // Not those that name it and stand for themselves.
            let below = self.held(child_kind, &child);
            if below.is_some_and(|held| !self.is_top(child_kind, held)) {
                self.collect_pods(child_kind, &child, depth + 1, out);
            }
        }
    }

    /// The template a root makes its pods from.
    #[must_use]
    pub fn template_of(&self, root: &RootKey) -> Option<&PodShape> {
        self.workload(root.kind, &root.key)
            .and_then(|w| w.template.as_ref())
            .map(|t| &*t.shape)
    }

    // ------------------------------------------------------------ updates

    pub(super) fn upsert_pod(&mut self, key: ObjectKey, fact: PodFact, epoch: u32) -> Vec<Touched> {
        let stored = self.pods.upsert(key, fact, epoch, &mut self.parts);
        if !stored.changed {
            return vec![];
        }
        let Some(pod) = self.pods.get(stored.id) else {
            return vec![];
        };
        let mut touched = vec![Touched::Root(self.root_for(pod))];
        touched.extend(pod.node.clone().map(Touched::Node));
        touched.extend(pod.pin().cloned().map(Touched::Node));
        let mut asked = self.agents.pod_changed(pod);
        if pod.is_live() {
            self.agents.pod_arrived(pod);
        }
        if let Some(old) = &stored.old {
            asked |= self.agents.pod_changed(old);
            touched.extend(old.pin().cloned().map(Touched::Node));
        }
        touched.extend(Self::agent_touched(asked));
        if let Some(before) = stored.before {
            touched.extend(before.node.map(Touched::Node));
            match before.owner {
                Some(owner) => touched.extend(self.owner_root(&pod.key.namespace, &owner)),
                // It was its own root.
                None => touched.push(Touched::Root(RootKey {
                    kind: Kind::Pod,
                    key: pod.key.clone(),
                })),
            }
        }
        touched
    }

    fn owner_root(&self, namespace: &Sym, owner: &Arc<Owner>) -> Option<Touched> {
        self.resolve(namespace, owner)
            .map(|(kind, held)| Touched::Root(self.root_above(kind, held)))
    }

    pub(super) fn delete_pod(&mut self, key: &ObjectKey) -> Vec<Touched> {
        let Some(root) = self.root_of_pod(key) else {
            return vec![];
        };
        let Some(pod) = self.pods.remove(key) else {
            return vec![];
        };
        let mut touched = vec![Touched::Root(root)];
        touched.extend(pod.node.clone().map(Touched::Node));
        touched.extend(pod.pin().cloned().map(Touched::Node));
        touched.extend(Self::agent_touched(self.agents.pod_changed(&pod)));
        // A successor that is here already came before its predecessor left.
        let succeeded = pod.node.as_ref().is_some_and(|node| {
            self.pods
                .on_node(node)
                .any(|p| p.is_live() && p.owner == pod.owner)
        });
        if !succeeded {
            let at = self.sight(Kind::Pod).heard_at();
            self.agents.pod_left(&pod, at);
        }
        touched
    }

    pub(super) fn upsert_workload(
        &mut self,
        kind: Kind,
        mut key: ObjectKey,
        mut workload: Workload,
        epoch: u32,
    ) -> Vec<Touched> {
        self.parts.workload(&mut workload);
        // What it owns names it.
        key.name = Sym::new(&key.name).text();
        let table = self.workloads.entry(kind).or_default();
        let held = table.get_mut(&key);
        if let Some(held) = held
            && held.fact == workload
        {
            held.epoch = epoch;
            return vec![];
        }
        let before = self.workload(kind, &key).map(|w| w.meta.owner.clone());
        let mut touched = vec![];
        if before.is_some() {
            touched.push(Touched::Root(self.root_of(kind, &key)));
        }
        // Whose line of owners becomes another: all below may have another root.
        let moved = before.as_ref() != Some(&workload.meta.owner);
        if let Some(owner) = before.flatten() {
            self.unlink(&key, kind, &owner);
        }
        if let Some((parent, name)) = workload.meta.owner.as_deref().and_then(parent) {
            self.children.link((parent, name), (kind, &key));
        }
        self.workloads
            .entry(kind)
            .or_default()
            .insert(key.clone(), workload, epoch);
        let root = self.root_of(kind, &key);
        // Until now the children's roots were the children themselves.
        touched.extend(self.orphans_of(kind, &key));
        if moved {
            self.touch_below(kind, &key, 0, &mut touched);
        }
        touched.push(Touched::Root(root));
        touched.extend(workload_wide(kind));
        touched
    }

    pub(super) fn delete_workload(&mut self, kind: Kind, key: &ObjectKey) -> Vec<Touched> {
        let Some(held) = self.workload(kind, key) else {
            return vec![];
        };
        let owner = held.meta.owner.clone();
        let mut touched = vec![Touched::Root(self.root_of(kind, key))];
        if let Some(owner) = &owner {
            self.unlink(key, kind, owner);
        }
        if let Some(table) = self.workloads.get_mut(&kind) {
            table.remove(key);
        }
        if kind == Kind::DaemonSet {
            self.agents.daemon_gone(key);
        }
        // What it owned and is still here roots itself now.
        touched.extend(self.orphans_of(kind, key));
        self.touch_below(kind, key, 0, &mut touched);
        touched.extend(workload_wide(kind));
        touched
    }

    fn orphans_of(&self, kind: Kind, key: &ObjectKey) -> Vec<Touched> {
        let info = kind.info();
        let pods = self
            .pods
            .owned_by(&key.namespace, info.group, info.kind, &key.name)
            .map(|pod| {
                Touched::Root(RootKey {
                    kind: Kind::Pod,
                    key: pod.key.clone(),
                })
            });
        let children = self
            .children
            .of(kind, key)
            .map(|(kind, key)| Touched::Root(RootKey { kind, key }));
        pods.chain(children).collect()
    }

    /// Workloads further down, each as the root that it was or becomes.
    fn touch_below(&self, kind: Kind, key: &ObjectKey, depth: usize, out: &mut Vec<Touched>) {
        for (child_kind, child) in self.children.of(kind, key) {
            out.push(Touched::Root(RootKey {
                kind: child_kind,
                key: child.clone(),
            }));
            if depth < DEPTH {
                self.touch_below(child_kind, &child, depth + 1, out);
            }
        }
    }

    fn unlink(&mut self, key: &ObjectKey, kind: Kind, owner: &Owner) {
        if let Some(parent) = parent(owner) {
            self.children.unlink(parent, (kind, key));
        }
    }

    pub(crate) fn roots_on_node(&self, node: &Sym) -> Vec<Touched> {
        let mut roots: Vec<Touched> = self
            .pods
            .on_node(node)
            .map(|pod| Touched::Root(self.root_for(pod)))
            .collect();
        roots.sort();
        roots.dedup();
        roots
    }
}

fn parent(owner: &Owner) -> Option<(Kind, &Sym)> {
    Some((Kind::find(&owner.group, &owner.kind)?, &owner.name))
}

/// A DaemonSet can change what every node lacks; any workload can be a component.
fn workload_wide(kind: Kind) -> Vec<Touched> {
    if kind == Kind::DaemonSet {
        vec![Touched::AllNodes, Touched::Cluster]
    } else {
        vec![Touched::Cluster]
    }
}
