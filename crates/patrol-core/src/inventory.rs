//! The inventory: everything observed, as facts, with the indexes that inspection needs.
//!
//! It answers questions and never decides. Updates are in place: a relist stamps what it
//! sees with a new epoch and sweeps the rest, so it neither doubles memory nor misses a
//! delete that fell into a gap. Iteration is by key everywhere.

mod agents;
mod children;
mod families;
mod pods;
mod pool;
mod roots;
mod sight;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use patrol_api::words::Profile;

use crate::facts::{
    ApiService, CrdFact, EndpointSlice, Fact, Namespace, Node, ObjectKey, Observed, Service,
    SidecarSet, WebhookConfiguration, Workload,
};
use crate::kind::Kind;
use crate::sym::Sym;

pub use pods::{Pod, PodId};
pub use roots::RootKey;
pub use sight::{Blindness, FRESH_SECONDS, Sight};

use pods::Pods;
use table::{Held, Table};

/// What an observation touched, so that only the units that depend on it are judged again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// The pods of a root, or the root itself.
    Root(RootKey),
    /// A node (its facts, or the agents on it).
    Node(Sym),
    /// A namespace's own facts (its pods' roots are told apart).
    Namespace(Sym),
    /// Every root in a namespace.
    RootsOf(Sym),
    /// Everything that looks at the cluster as a whole.
    Cluster,
    /// Every node.
    AllNodes,
    /// Every unit.
    Everything,
}

/// How many objects of a custom kind exist, as far as an edge could count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instances {
    /// At least this many (an edge may stop counting at what is asked for).
    AtLeast(u32),
    /// Could not be counted: a canned reason.
    Unknown(String),
}

/// All facts.
#[derive(Debug, Default)]
pub struct Inventory {
    pods: Pods,
    agents: agents::Agents,
    workloads: BTreeMap<Kind, Table<Workload>>,
    children: children::Children,
    nodes: Table<Arc<Node>>,
    /// The same, for every pod asks for its node. Only looked up.
    node_by_name: HashMap<Sym, Arc<Node>>,
    namespaces: Table<Namespace>,
    services: Table<Service>,
    slices: Table<EndpointSlice>,
    webhooks: BTreeMap<Kind, Table<WebhookConfiguration>>,
    crds: Table<CrdFact>,
    api_services: Table<ApiService>,
    sidecar_sets: Table<SidecarSet>,
    parts: pool::Parts,
    instances: BTreeMap<Sym, Instances>,
    profile: OnceLock<Profile>,
    sight: BTreeMap<Kind, Sight>,
    epochs: BTreeMap<Kind, u32>,
}

impl Inventory {
    /// An empty inventory that has seen nothing: every kind is unsynced.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    // ------------------------------------------------------------ updates

    /// Takes in one object. Kinds of ours are not kept here.
    pub fn upsert(&mut self, seen: Observed) -> Vec<Touched> {
        let (kind, key) = (seen.kind, seen.key.clone());
        let was_blind = self.sight_mut(kind).cleared(&key);
        let mut touched = self.store(seen);
        if was_blind {
            touched.extend(self.touched_by(kind, &key));
        }
        touched
    }

    fn store(&mut self, seen: Observed) -> Vec<Touched> {
        let epoch = self.epoch(seen.kind);
        let Observed {
            kind,
            key,
            version: _,
            fact,
        } = seen;
        match fact {
            Fact::Pod(pod) => self.upsert_pod(key, *pod, epoch),
            Fact::Workload(workload) => self.upsert_workload(kind, key, *workload, epoch),
            Fact::Node(node) => {
                let name = Sym::new(&key.name);
                let node = Arc::new(*node);
                let before = put(&mut self.nodes, key, Arc::clone(&node), epoch);
                match before {
                    Change::None => vec![],
                    Change::Updated | Change::New => {
                        self.node_by_name.insert(name.clone(), node);
                        self.profile.take();
                        let mut touched = self.roots_on_node(&name);
                        touched.push(Touched::Node(name));
                        touched.push(Touched::Cluster);
                        touched
                    }
                }
            }
            Fact::Namespace(namespace) => {
                let name = Sym::new(&key.name);
                match put(&mut self.namespaces, key, *namespace, epoch) {
                    Change::None => vec![],
                    _ => vec![
                        Touched::Namespace(name.clone()),
                        Touched::RootsOf(name),
                        Touched::Cluster,
                    ],
                }
            }
            Fact::Service(s) => cluster(put(&mut self.services, key, *s, epoch)),
            Fact::EndpointSlice(s) => cluster(put(&mut self.slices, key, s, epoch)),
            Fact::Webhook(w) => {
                let table = self.webhooks.entry(kind).or_default();
                match put(table, key, *w, epoch) {
                    Change::None => vec![],
                    _ => vec![Touched::Everything],
                }
            }
            Fact::Crd(c) => cluster(put(&mut self.crds, key, *c, epoch)),
            Fact::ApiService(a) => cluster(put(&mut self.api_services, key, *a, epoch)),
            Fact::SidecarSet(s) => match put(&mut self.sidecar_sets, key, *s, epoch) {
                Change::None => vec![],
                _ => vec![Touched::Everything],
            },
            Fact::Policy(_) | Fact::Receiver(_) | Fact::Ticket(_) | Fact::Waiver(_) => vec![],
        }
    }

    /// Forgets one object.
    pub fn delete(&mut self, kind: Kind, key: &ObjectKey) -> Vec<Touched> {
        let mut touched = vec![];
        if self.sight(kind).is_blind_to(key) {
            touched = self.touched_by(kind, key);
            self.sight_mut(kind).cleared(key);
        }
        touched.extend(self.remove(kind, key));
        touched
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey) -> Vec<Touched> {
        match kind {
            Kind::Pod => self.delete_pod(key),
            k if Kind::WORKLOADS.contains(&k) => self.delete_workload(kind, key),
            Kind::Node => match self.forget_node(key) {
                Some(_) => {
                    let name = Sym::new(&key.name);
                    self.agents.node_gone(&name);
                    let mut touched = self.roots_on_node(&name);
                    touched.extend([Touched::Node(name), Touched::Cluster]);
                    touched
                }
                None => vec![],
            },
            Kind::Namespace => match self.namespaces.remove(key) {
                Some(_) => {
                    let name = Sym::new(&key.name);
                    vec![
                        Touched::Namespace(name.clone()),
                        Touched::RootsOf(name),
                        Touched::Cluster,
                    ]
                }
                None => vec![],
            },
            Kind::Service => cluster_if(self.services.remove(key).is_some()),
            Kind::EndpointSlice => cluster_if(self.slices.remove(key).is_some()),
            Kind::MutatingWebhookConfiguration | Kind::ValidatingWebhookConfiguration => {
                let gone = self
                    .webhooks
                    .get_mut(&kind)
                    .is_some_and(|t| t.remove(key).is_some());
                if gone {
                    vec![Touched::Everything]
                } else {
                    vec![]
                }
            }
            Kind::CustomResourceDefinition => cluster_if(self.crds.remove(key).is_some()),
            Kind::ApiService => cluster_if(self.api_services.remove(key).is_some()),
            Kind::SidecarSet => match self.sidecar_sets.remove(key) {
                Some(_) => vec![Touched::Everything],
                None => vec![],
            },
            _ => vec![],
        }
    }

    fn forget_node(&mut self, key: &ObjectKey) -> Option<Held<Arc<Node>>> {
        self.profile.take();
        self.node_by_name.remove(&*key.name);
        self.nodes.remove(key)
    }

    /// The provider profile as the nodes show it.
    #[must_use]
    pub fn profile(&self) -> Profile {
        *self
            .profile
            .get_or_init(|| crate::inspect::detect_profile(self))
    }

    /// A list of `kind` begins: what it does not mention will be swept at its end.
    pub fn relist_started(&mut self, kind: Kind) {
        *self.epochs.entry(kind).or_default() += 1;
        self.sight_mut(kind).relisting();
    }

    /// The list of `kind` is complete: whatever it did not mention is gone.
    /// Returns the swept keys with what they touched.
    pub fn relist_finished(&mut self, kind: Kind) -> Vec<(ObjectKey, Vec<Touched>)> {
        self.sight_mut(kind).listed();
        let swept = self.sweep(kind);
        self.shrink(kind);
        swept
    }

    /// After a list: gives back what growing took in advance, and what nothing shares any
    /// more.
    fn shrink(&mut self, kind: Kind) {
        match kind {
            Kind::Pod => self.pods.shrink(),
            k if Kind::WORKLOADS.contains(&k) => {
                self.children.shrink();
                if let Some(table) = self.workloads.get_mut(&k) {
                    table.shrink();
                }
            }
            _ => return,
        }
        self.parts.shrink();
        crate::sym::sweep();
    }

    /// What the list of `kind` under way has not mentioned so far.
    pub(crate) fn unmentioned(&self, kind: Kind) -> Vec<ObjectKey> {
        let epoch = self.epoch(kind);
        let mut old: Vec<ObjectKey> = match kind {
            Kind::Pod => self.pods.older_than(epoch),
            Kind::Node => older(&self.nodes, epoch),
            Kind::Namespace => older(&self.namespaces, epoch),
            Kind::Service => older(&self.services, epoch),
            Kind::EndpointSlice => older(&self.slices, epoch),
            Kind::CustomResourceDefinition => older(&self.crds, epoch),
            Kind::ApiService => older(&self.api_services, epoch),
            Kind::SidecarSet => older(&self.sidecar_sets, epoch),
            Kind::MutatingWebhookConfiguration | Kind::ValidatingWebhookConfiguration => {
                self.webhooks.get(&kind).map_or(vec![], |t| older(t, epoch))
            }
            k => self.workloads.get(&k).map_or(vec![], |t| older(t, epoch)),
        };
        // What cannot be decoded was mentioned: it is blind, not gone.
        old.retain(|key| !self.sight(kind).is_blind_to(key));
        old
    }

    fn sweep(&mut self, kind: Kind) -> Vec<(ObjectKey, Vec<Touched>)> {
        self.unmentioned(kind)
            .into_iter()
            .map(|key| {
                let touched = self.delete(kind, &key);
                (key, touched)
            })
            .collect()
    }

    /// The kind is not installed: there is none of it.
    pub fn forget_all(&mut self, kind: Kind) -> Vec<Touched> {
        *self.epochs.entry(kind).or_default() += 1;
        self.sweep(kind)
            .into_iter()
            .flat_map(|(_, touched)| touched)
            .collect()
    }

    /// An object of `kind` exists and cannot be decoded. Its last known fact stays, and
    /// counts as Unknown.
    pub fn blind_object(
        &mut self,
        kind: Kind,
        key: Option<ObjectKey>,
        reason: String,
    ) -> Vec<Touched> {
        let touched = match &key {
            Some(key) => self.touched_by(kind, key),
            None => may_hide(kind),
        };
        self.sight_mut(kind).blind(key, reason);
        touched
    }

    /// What depends on whether this object can be decoded.
    fn touched_by(&self, kind: Kind, key: &ObjectKey) -> Vec<Touched> {
        let unit = match kind {
            Kind::Pod => self.root_of_pod(key).map(Touched::Root),
            k if Kind::WORKLOADS.contains(&k) => Some(Touched::Root(self.root_of(kind, key))),
            Kind::Node => Some(Touched::Node(Sym::new(&key.name))),
            Kind::Namespace => Some(Touched::Namespace(Sym::new(&key.name))),
            _ => None,
        };
        unit.into_iter().chain(may_hide(kind)).collect()
    }

    fn epoch(&self, kind: Kind) -> u32 {
        self.epochs.get(&kind).copied().unwrap_or_default()
    }

    // ------------------------------------------------------------ sight

    /// How well a kind is seen.
    #[must_use]
    pub fn sight(&self, kind: Kind) -> &Sight {
        static UNSEEN: Sight = Sight::unseen();
        self.sight.get(&kind).unwrap_or(&UNSEEN)
    }

    /// For the engine, which alone reports what the edges saw.
    pub fn sight_mut(&mut self, kind: Kind) -> &mut Sight {
        self.sight.entry(kind).or_insert_with(Sight::unseen)
    }

    // ------------------------------------------------------------ questions

    /// A node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.node_by_name.get(name).map(Arc::as_ref)
    }

    /// All nodes by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|h| (&*h.key.name, &*h.fact))
    }

    /// A namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get("", name).map(|h| &h.fact)
    }

    /// All namespaces by name.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &Namespace)> {
        self.namespaces.iter().map(|h| (&*h.key.name, &h.fact))
    }

    /// A workload.
    #[must_use]
    pub fn workload(&self, kind: Kind, key: &ObjectKey) -> Option<&Workload> {
        self.workloads
            .get(&kind)
            .and_then(|t| t.get(&key.namespace, &key.name))
            .map(|h| &h.fact)
    }

    /// All workloads of a kind, by key.
    pub fn workloads(&self, kind: Kind) -> impl Iterator<Item = (&ObjectKey, &Workload)> {
        self.workloads
            .get(&kind)
            .into_iter()
            .flat_map(Table::iter)
            .map(|h| (&h.key, &h.fact))
    }

    /// A Service.
    #[must_use]
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services.get(namespace, name).map(|h| &h.fact)
    }

    /// Ready endpoints of a Service, over all its slices. `None`: it has no slice at all.
    #[must_use]
    pub fn ready_endpoints(&self, namespace: &str, service: &str) -> Option<u32> {
        self.slices
            .in_namespace(namespace)
            .filter(|h| h.fact.service.as_str() == service)
            .map(|h| h.fact.ready)
            .fold(None, |sum: Option<u32>, n| {
                Some(sum.unwrap_or_default().saturating_add(n))
            })
    }

    /// Webhook configurations of a kind, by name.
    pub fn webhooks(&self, kind: Kind) -> impl Iterator<Item = (&str, &WebhookConfiguration)> {
        self.webhooks
            .get(&kind)
            .into_iter()
            .flat_map(Table::iter)
            .map(|h| (&*h.key.name, &h.fact))
    }

    /// A CustomResourceDefinition, by its full name (`plural.group`).
    #[must_use]
    pub fn crd(&self, name: &str) -> Option<&CrdFact> {
        self.crds.get("", name).map(|h| &h.fact)
    }

    /// An APIService, by its full name (`version.group`).
    #[must_use]
    pub fn api_service(&self, name: &str) -> Option<&ApiService> {
        self.api_services.get("", name).map(|h| &h.fact)
    }

    /// SidecarSets, by name.
    pub fn sidecar_sets(&self) -> impl Iterator<Item = (&str, &SidecarSet)> {
        self.sidecar_sets.iter().map(|h| (&*h.key.name, &h.fact))
    }

    /// Objects of the kind that a CRD (by full name) defines. `None`: not counted yet.
    #[must_use]
    pub fn instances(&self, crd: &str) -> Option<&Instances> {
        self.instances.get(crd)
    }

    /// An edge counted the objects of a CRD.
    pub fn count_instances(&mut self, crd: &str, count: Instances) -> Vec<Touched> {
        let before = self.instances.insert(Sym::new(crd), count.clone());
        cluster_if(before != Some(count))
    }

    /// Objects of a kind that are held.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Pod => self.pods.len(),
            Kind::Node => self.nodes.len(),
            Kind::Namespace => self.namespaces.len(),
            Kind::Service => self.services.len(),
            Kind::EndpointSlice => self.slices.len(),
            Kind::CustomResourceDefinition => self.crds.len(),
            Kind::ApiService => self.api_services.len(),
            Kind::SidecarSet => self.sidecar_sets.len(),
            Kind::MutatingWebhookConfiguration | Kind::ValidatingWebhookConfiguration => {
                self.webhooks.get(&kind).map_or(0, Table::len)
            }
            k => self.workloads.get(&k).map_or(0, Table::len),
        }
    }
}

/// Whoever would take what cannot be decoded for absent: a component over the cluster, a
/// node agent on any node.
fn may_hide(kind: Kind) -> Vec<Touched> {
    match kind {
        Kind::Pod | Kind::DaemonSet => vec![Touched::AllNodes, Touched::Cluster],
        _ => vec![Touched::Cluster],
    }
}

enum Change {
    New,
    Updated,
    None,
}

/// Stores a fact; a repeat of what is known touches nothing.
fn put<T: PartialEq>(table: &mut Table<T>, key: ObjectKey, fact: T, epoch: u32) -> Change {
    match table.get_mut(&key) {
        Some(held) => {
            held.epoch = epoch;
            if held.fact == fact {
                return Change::None;
            }
            held.fact = fact;
            Change::Updated
        }
        None => {
            table.insert(key, fact, epoch);
            Change::New
        }
    }
}

fn older<T>(table: &Table<T>, epoch: u32) -> Vec<ObjectKey> {
    table
        .iter()
        .filter(|held| held.epoch < epoch)
        .map(|held| held.key.clone())
        .collect()
}

fn cluster(change: Change) -> Vec<Touched> {
    cluster_if(!matches!(change, Change::None))
}

fn cluster_if(changed: bool) -> Vec<Touched> {
    if changed {
        vec![Touched::Cluster]
    } else {
        vec![]
    }
}
