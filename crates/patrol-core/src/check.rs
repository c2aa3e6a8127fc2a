//! What a check is: a description, and a pure function from facts to verdicts.
//!
//! A check never reads a clock, never decides whether a ticket opens, and never sees
//! another check's verdict. It judges one unit (the pods of one root, a node, a namespace,
//! or the cluster) under one rule and says what it saw.

mod judgement;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use patrol_api::ticket::Subject;
use patrol_api::time::Time;
use patrol_api::words::{Layer, Party, Profile, Severity};

use crate::facts::Namespace;
use crate::facts::ObjectKey;
use crate::inventory::{Inventory, Pod, RootKey};
use crate::kind::Kind;
use crate::rule::Rule;
use crate::sym::Sym;

pub use judgement::{
    Affected, Exempt, Judgement, Verdict, cluster_subject, root_subject, the_cluster,
};

/// A check of the catalogue. One check, one file.
pub trait Check: Send + Sync {
    /// Its description.
    fn meta(&self) -> &'static CheckMeta;

    /// Judges one unit and pushes one judgement per subject of it that this rule is about.
    /// Pushing nothing says: no subject here. It is only called when every kind that the
    /// rule needs can be seen, and only with units named in `meta().units`.
    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>);

    /// Kinds that judgements under this rule look at: never more than `meta().reads`, and
    /// less where the rule's requirement leaves out what other requirements name.
    fn reads(&self, rule: &Rule) -> Cow<'static, [Kind]> {
        let _ = rule;
        Cow::Borrowed(self.meta().reads)
    }

    /// Kinds without which nothing can be said under this rule, out of those it reads: the
    /// engine answers Unknown while one of them cannot be seen. Whether the others can be,
    /// the check asks where it looks at them.
    fn needs(&self, rule: &Rule) -> Cow<'static, [Kind]> {
        self.reads(rule)
    }

    /// What is wrong with the values of one of its parameters, if something is: the end of a
    /// sentence that names the field. A policy with such values judges nothing.
    ///
    /// # Errors
    /// What is wrong, and what to give instead.
    fn check_parameter(&self, name: &str, values: &[String]) -> Result<(), String> {
        let _ = (name, values);
        Ok(())
    }

    /// What the rule's judgements see in a pod that is no part of the judged unit, such as
    /// the node agent that stands in for a sidecar: where it is seen from, and as what.
    /// Whoever sees it is judged again when that changes. A pod's own root, its node and
    /// its namespace are judged again anyway.
    fn glance(&self, rule: &Rule, pod: &Pod) -> Option<Glance> {
        let _ = (rule, pod);
        None
    }
}

/// What is seen in a pod from outside its own unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glance {
    /// From where.
    pub reach: Reach,
    /// As what: while this stays the same, nobody needs to look again.
    pub state: Sym,
}

/// From where a pod is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// By the roots that have pods on the same node.
    Node,
    /// By roots anywhere.
    Roots,
}

/// The description of a check: the catalogue, the docs, the RBAC rules and the messages
/// derive from it.
#[derive(Debug)]
pub struct CheckMeta {
    /// Stable id, kebab-case.
    pub id: &'static str,
    /// One line.
    pub title: &'static str,
    /// What is looked at, and the edge cases; Markdown.
    pub what: &'static str,
    /// Why it matters; Markdown.
    pub why: &'static str,
    /// How to fix it: imperative, one or two sentences.
    pub remediation: &'static str,
    /// Layer of the responsibility model.
    pub layer: Layer,
    /// Who is responsible, by profile.
    pub party: PartyBy,
    /// Default severity.
    pub severity: Severity,
    /// Kinds it reads under one rule or another.
    pub reads: &'static [Kind],
    /// Units it judges.
    pub units: &'static [UnitKind],
    /// Which block of `spec.checks[]` brings it, if any.
    pub block: Option<Block>,
    /// Parameters that `spec.overrides[].parameters` may set: name and meaning.
    pub parameters: &'static [(&'static str, &'static str)],
    /// References: standards and their items.
    pub references: &'static [&'static str],
}

/// Responsible party by profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartyBy {
    /// Every node virtual.
    pub serverless: Party,
    /// Managed control plane.
    pub managed: Party,
    /// Run by the customer.
    pub self_hosted: Party,
}

impl PartyBy {
    /// The customer, whatever the profile.
    pub const CUSTOMER: PartyBy = PartyBy {
        serverless: Party::Customer,
        managed: Party::Customer,
        self_hosted: Party::Customer,
    };
    /// The platform where it owns the nodes, else the customer.
    pub const PLATFORM_IF_SERVERLESS: PartyBy = PartyBy {
        serverless: Party::Platform,
        managed: Party::Customer,
        self_hosted: Party::Customer,
    };

    /// The party under `profile` (`Auto` counts as managed: the engine resolves it first).
    #[must_use]
    pub const fn under(self, profile: Profile) -> Party {
        match profile {
            Profile::ServerlessManaged => self.serverless,
            Profile::SelfHosted => self.self_hosted,
            Profile::Managed | Profile::Auto => self.managed,
        }
    }
}

/// The block of `spec.checks[]` a check belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Block {
    Sidecar,
    NodeAgent,
    Component,
}

/// Kinds of unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum UnitKind {
    Root,
    Node,
    Namespace,
    Cluster,
}

/// What is judged at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A root and its pods.
    Root(RootKey),
    /// A node and the pods on it.
    Node(Sym),
    /// A namespace itself.
    Namespace(Sym),
    /// Whatever is judged over the whole cluster.
    Cluster,
}

impl Unit {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> UnitKind {
        match self {
            Self::Root(_) => UnitKind::Root,
            Self::Node(_) => UnitKind::Node,
            Self::Namespace(_) => UnitKind::Namespace,
            Self::Cluster => UnitKind::Cluster,
        }
    }
}

/// Where the objects come from. Manifests carry no status and no admission result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Origin {
    /// A live API server.
    #[default]
    Cluster,
    /// Files: a template counts as its pod where no pod exists.
    Files,
}

/// What the product knows of its own work; only family B reads it.
#[derive(Clone, Debug, Default)]
pub struct OwnState {
    /// When this process began to watch; `None` where nothing is watched.
    pub started: Option<Time>,
    /// How the work for each policy goes.
    pub work: BTreeMap<Sym, Work>,
    /// UIDs of the policies.
    pub policy_uids: BTreeMap<Sym, String>,
    /// How waivers stand.
    pub waivers: BTreeMap<ObjectKey, WaiverState>,
}

/// How a waiver stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiverState {
    /// Its UID.
    pub uid: Option<String>,
    /// How it stands.
    pub standing: crate::waiver::Standing,
    /// The same in a sentence.
    pub message: String,
}

/// Why the work for a policy is stalled: the reason of the finding, and what the engine looks
/// for in the ticket to know that it was said.
pub const ALERTS_UNDELIVERED: &str = "alerts-undelivered";

/// How the work for one policy goes: its patrols, and the alerts of its tickets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Its patrols.
    pub patrols: Progress,
    /// Since when they are overdue, while they are.
    pub overdue_since: Option<Time>,
    /// What its tickets owe to receivers.
    pub alerts: Progress,
}

/// How a piece of work goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// It was seen done in time.
    InTime,
    /// It is stalled.
    Stalled,
    /// Cannot be said yet: there was no chance to do it, or to look.
    #[default]
    Unsure,
}

/// What a check may look at.
pub struct View<'a> {
    /// The facts.
    pub inventory: &'a Inventory,
    /// The time of judgement: graces are measured from the objects' own timestamps to it.
    pub now: Time,
    /// Where the objects come from.
    pub origin: Origin,
    /// The profile, resolved (never `Auto`).
    pub profile: Profile,
    /// Every rule of every policy that is enabled, for the checks about coverage itself.
    pub rulebook: &'a crate::rule::Rulebook,
    /// The product's own state.
    pub own: &'a OwnState,
    /// The pods of the unit's root, looked up once for all rules.
    pub pods: &'a UnitPods<'a>,
    /// What a check found out about the rule alone, for the units to come.
    pub(crate) rule_memo: &'a OnceCell<u32>,
    /// Whether verdicts that are no gap are told in words too: only who shows them asks.
    pub words: bool,
}

/// The pods of one root, and what else every rule asks of a unit.
#[derive(Debug)]
pub struct UnitPods<'a> {
    root: Option<&'a RootKey>,
    found: Vec<&'a Pod>,
    /// Whether the unit is still one.
    pub(crate) current: bool,
    /// The namespace of a root.
    namespace: Option<&'a Namespace>,
    subject: OnceCell<Arc<Subject>>,
    pub(crate) undecodable: OnceCell<bool>,
}

impl<'a> UnitPods<'a> {
    /// Looks them up for a unit; there are none for units of another kind.
    #[must_use]
    pub fn new(inventory: &'a Inventory, unit: &'a Unit) -> Self {
        match unit {
            // A root whose owner came to light since, or that is gone, is judged under its
            // owner or not at all.
            Unit::Root(root) => Self {
                current: inventory.is_root(root),
                ..Self::of(inventory, unit, inventory.pods_of(root))
            },
            _ => Self::of(inventory, unit, vec![]),
        }
    }

    /// A unit of which it is known that it is one, and which pods it has.
    pub(crate) fn of(inventory: &'a Inventory, unit: &'a Unit, found: Vec<&'a Pod>) -> Self {
        let root = match unit {
            Unit::Root(root) => Some(root),
            _ => None,
        };
        Self {
            root,
            found,
            current: true,
            namespace: root.and_then(|root| inventory.namespace(&root.key.namespace)),
            subject: OnceCell::new(),
            undecodable: OnceCell::new(),
        }
    }

    /// The namespace of the unit's root, if both are there.
    #[must_use]
    pub fn namespace(&self) -> Option<&'a Namespace> {
        self.namespace
    }

    /// The pods, by key.
    #[must_use]
    pub fn get(&self) -> &[&'a Pod] {
        &self.found
    }
}

impl<'a> View<'a> {
    /// The pods of a root, by key.
    #[must_use]
    pub fn pods_of(&self, root: &RootKey) -> Cow<'a, [&'a Pod]> {
        if self.pods.root == Some(root) {
            Cow::Borrowed(self.pods.get())
        } else {
            Cow::Owned(self.inventory.pods_of(root))
        }
    }

    /// The namespace of a root.
    #[must_use]
    pub fn namespace_of(&self, root: &RootKey) -> Option<&'a Namespace> {
        if self.pods.root == Some(root) {
            self.pods.namespace
        } else {
            self.inventory.namespace(&root.key.namespace)
        }
    }

    /// The subject of a root, made once for all rules.
    #[must_use]
    pub fn subject_of(&self, root: &RootKey) -> Arc<Subject> {
        let make = || Arc::new(root_subject(self.inventory, root));
        if self.pods.root == Some(root) {
            Arc::clone(self.pods.subject.get_or_init(make))
        } else {
            make()
        }
    }

    /// A number that depends on the rule and on nothing of the unit, worked out once.
    pub fn of_rule(&self, work_out: impl FnOnce() -> u32) -> u32 {
        *self.rule_memo.get_or_init(work_out)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => root.fmt(f),
            Self::Node(name) => write!(f, "Node {name}"),
            Self::Namespace(name) => write!(f, "Namespace {name}"),
            Self::Cluster => f.write_str("Cluster"),
        }
    }
}
