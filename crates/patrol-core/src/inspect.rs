//! Inspection: which units there are, and what each rule says of each of them.
//!
//! This is where "could not look" is kept apart from "nothing there": a rule is only asked
//! when every kind it reads can be seen, and a unit whose own objects cannot be decoded
//! never passes.

mod whole;

use std::cell::OnceCell;

use patrol_api::ticket::Subject;
use patrol_api::time::Time;
use patrol_api::words::{Party, Profile, Severity};

use crate::check::{
    Check, CheckMeta, Exempt, Judgement, Origin, OwnState, Unit, UnitKind, UnitPods, Verdict, View,
    cluster_subject, root_subject,
};
use crate::facts::{Labels, ObjectKey};
use crate::inventory::{Blindness, Inventory, RootKey};
use crate::kind::Kind;
use crate::rule::{Catalogue, Rule, Rulebook};
use crate::sym::Sym;

pub use whole::{Blind, Inspection, InspectionResult, inspect, inspect_each};

pub use crate::inventory::FRESH_SECONDS;

/// Everything a judgement depends on.
#[derive(Clone, Copy)]
pub struct Inspector<'a> {
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// The facts.
    pub inventory: &'a Inventory,
    /// The rules.
    pub rulebook: &'a Rulebook,
    /// Where the objects come from.
    pub origin: Origin,
    /// The product's own state.
    pub own: &'a OwnState,
    /// The time of judgement.
    pub now: Time,
}

/// What a rule says of a unit.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// A kind the rule reads cannot be seen: every subject of the unit is Unknown.
    pub blind: Option<(Kind, Blindness)>,
    /// One judgement per subject.
    pub judgements: Vec<Judgement>,
}

/// A rule, and what holds for it whatever the unit.
struct Asked<'r> {
    rule: &'r Rule,
    check: &'static dyn Check,
    /// Kinds that it needs and that cannot be seen.
    blind: Vec<(Kind, Blindness)>,
    profile: Profile,
    /// For the check itself.
    memo: OnceCell<u32>,
}

impl<'a> Inspector<'a> {
    /// Every unit of the given kinds, in a stable order.
    #[must_use]
    pub fn units(&self, kinds: &[UnitKind]) -> Vec<Unit> {
        let mut units = Vec::new();
        for kind in kinds {
            match kind {
                UnitKind::Root => units.extend(self.inventory.roots().map(Unit::Root)),
                UnitKind::Node => {
                    units.extend(self.inventory.nodes().map(|(n, _)| Unit::Node(Sym::new(n))));
                }
                UnitKind::Namespace => units.extend(
                    self.inventory
                        .namespaces()
                        .map(|(n, _)| Unit::Namespace(Sym::new(n))),
                ),
                UnitKind::Cluster => units.push(Unit::Cluster),
            }
        }
        units
    }

    /// Whether a rule applies to a unit at all: the check judges units of this kind, and
    /// the policy's scope covers it.
    #[must_use]
    pub fn applies(&self, rule: &Rule, meta: &CheckMeta, unit: &Unit) -> bool {
        meta.units.contains(&unit.kind()) && self.in_scope(rule, unit)
    }

    /// Whether the policy's scope covers the unit.
    #[must_use]
    pub fn in_scope(&self, rule: &Rule, unit: &Unit) -> bool {
        match unit {
            Unit::Root(root) => self.namespace_in_scope(rule, &root.key.namespace),
            Unit::Namespace(name) => self.namespace_in_scope(rule, name),
            Unit::Node(name) => self
                .inventory
                .node(name)
                .is_none_or(|node| rule.scope.covers_node(node)),
            Unit::Cluster => true,
        }
    }

    fn namespace_in_scope(&self, rule: &Rule, name: &str) -> bool {
        rule.scope
            .covers_namespace(name, self.inventory.namespace(name))
    }

    /// What a rule says of a unit in its scope.
    #[must_use]
    pub fn judge(&self, rule: &Rule, unit: &Unit) -> Judged {
        self.judge_with(rule, unit, &UnitPods::new(self.inventory, unit))
    }

    /// As [`Inspector::judge`], with the unit's pods looked up for several rules at once.
    #[must_use]
    pub fn judge_with<'v>(&'v self, rule: &Rule, unit: &Unit, pods: &'v UnitPods<'v>) -> Judged {
        let Some(asked) = self.ask(rule) else {
            return Judged::default();
        };
        let mut judgements = Vec::new();
        let blind = self.judge_asked(&asked, unit, pods, true, &mut judgements);
        Judged { blind, judgements }
    }

    /// What holds for a rule whatever the unit; `None` for a check that does not exist.
    fn ask<'r>(&self, rule: &'r Rule) -> Option<Asked<'r>> {
        let check = self.catalogue.find(rule.check)?;
        Some(Asked {
            rule,
            check,
            blind: self.blind_needs(check, rule),
            profile: self.profile_of(rule),
            memo: OnceCell::new(),
        })
    }

    /// Judges a unit and appends what is said of it; returns why nothing could be.
    fn judge_asked<'v>(
        &'v self,
        asked: &'v Asked<'_>,
        unit: &Unit,
        pods: &'v UnitPods<'v>,
        words: bool,
        judgements: &mut Vec<Judgement>,
    ) -> Option<(Kind, Blindness)> {
        let Asked { rule, check, .. } = asked;
        let in_scope = match unit {
            Unit::Root(root) => rule
                .scope
                .covers_namespace(&root.key.namespace, pods.namespace()),
            _ => self.in_scope(rule, unit),
        };
        if !check.meta().units.contains(&unit.kind()) || !in_scope || !pods.current {
            return None;
        }
        let blind = asked
            .blind
            .iter()
            .find(|(kind, _)| self.concerns(Some(unit), *kind));
        if let Some((_, why)) = blind {
            judgements.extend(self.unknown(unit, why.reason()));
            return blind.cloned();
        }
        let view = View {
            inventory: self.inventory,
            now: self.now,
            origin: self.origin,
            profile: asked.profile,
            rulebook: self.rulebook,
            own: self.own,
            pods,
            rule_memo: &asked.memo,
            words,
        };
        let from = judgements.len();
        check.judge(&view, rule, unit, judgements);
        let undecodable = || self.has_undecodable_parts(unit, pods);
        if *pods.undecodable.get_or_init(undecodable) {
            judgements.iter_mut().skip(from).for_each(distrust);
        }
        None
    }

    /// The first kind that the rule needs and that cannot be seen: for one unit, or for any
    /// unit at all.
    #[must_use]
    pub fn blindness(
        &self,
        check: &dyn Check,
        rule: &Rule,
        unit: Option<&Unit>,
    ) -> Option<(Kind, Blindness)> {
        self.blind_needs(check, rule)
            .into_iter()
            .find(|(kind, _)| self.concerns(unit, *kind))
    }

    /// Every kind that the rule needs and that cannot be seen.
    fn blind_needs(&self, check: &dyn Check, rule: &Rule) -> Vec<(Kind, Blindness)> {
        check
            .needs(rule)
            .iter()
            .filter_map(|kind| Some((*kind, self.inventory.sight(*kind).blindness()?)))
            .collect()
    }

    /// Since when every kind that the rule reads, as far as it can be seen at all, has been
    /// fresh without a gap; `None` when one is not fresh now.
    #[must_use]
    pub fn fresh_since(&self, check: &dyn Check, rule: &Rule, unit: Option<&Unit>) -> Option<Time> {
        let needs = check.needs(rule);
        let sight = |kind: &Kind| self.inventory.sight(*kind);
        check
            .reads(rule)
            .iter()
            .filter(|kind| self.concerns(unit, **kind))
            .filter(|kind| needs.contains(kind) || sight(kind).blindness().is_none())
            .map(|kind| sight(kind).fresh_since(self.now, FRESH_SECONDS))
            .try_fold(Time::from_unix(0), |latest, since| Some(latest.max(since?)))
    }

    /// Whether a kind has to do with a unit: a root has owners of one kind above and below
    /// it, and what cannot be seen of the others does not blur it.
    fn concerns(&self, unit: Option<&Unit>, kind: Kind) -> bool {
        match unit {
            Some(Unit::Root(root)) if Kind::WORKLOADS.contains(&kind) => {
                kind == root.kind
                    || beneath(root.kind) == Some(kind)
                    || self.inventory.owner_kind(root) == Some(kind)
            }
            _ => true,
        }
    }

    fn unknown(&self, unit: &Unit, reason: &str) -> Vec<Judgement> {
        let subject = match unit {
            Unit::Root(root) => root_subject(self.inventory, root),
            Unit::Node(name) => self.named(Kind::Node, name),
            Unit::Namespace(name) => self.named(Kind::Namespace, name),
            // Its subjects cannot be told without looking; `blind` speaks for them.
            Unit::Cluster => return vec![],
        };
        vec![Judgement::new(subject, Verdict::Unknown(Sym::new(reason)))]
    }

    fn named(&self, kind: Kind, name: &str) -> Subject {
        let uid = match kind {
            Kind::Node => self.inventory.node(name).map(|n| &n.meta.uid),
            _ => self.inventory.namespace(name).map(|n| &n.meta.uid),
        };
        cluster_subject(kind, name, &uid.cloned().unwrap_or_default())
    }

    fn has_undecodable_parts(&self, unit: &Unit, pods: &UnitPods<'_>) -> bool {
        match unit {
            Unit::Root(root) => {
                self.inventory.sight(root.kind).is_blind_to(&root.key)
                    || (self.inventory.sight(Kind::Pod).blind_count() > 0
                        && pods
                            .get()
                            .iter()
                            .any(|pod| self.inventory.sight(Kind::Pod).is_blind_to(&pod.key)))
            }
            Unit::Node(name) => self
                .inventory
                .sight(Kind::Node)
                .is_blind_to(&ObjectKey::new("", name)),
            Unit::Namespace(name) => self
                .inventory
                .sight(Kind::Namespace)
                .is_blind_to(&ObjectKey::new("", name)),
            Unit::Cluster => false,
        }
    }

    /// The profile of a rule's policy, read from the nodes when it says Auto.
    #[must_use]
    pub fn profile_of(&self, rule: &Rule) -> Profile {
        match self.rulebook.policies.get(rule.policy.as_str()) {
            Some(policy) if policy.profile != Profile::Auto => policy.profile,
            _ => self.inventory.profile(),
        }
    }

    /// Who is responsible for a finding: what the rule says, else the platform for what it
    /// owns, else as the check says for the profile.
    #[must_use]
    pub fn party(&self, rule: &Rule, meta: &CheckMeta, judgement: &Judgement) -> Party {
        let profile = self.profile_of(rule);
        if let Some(party) = judgement.party.or(rule.party) {
            return party;
        }
        if profile != Profile::SelfHosted && self.is_platform_owned(&judgement.subject) {
            return Party::Platform;
        }
        meta.party.under(profile)
    }

    /// A platform namespace, and a root that carries the mark of the platform's own
    /// manager.
    fn is_platform_owned(&self, subject: &Subject) -> bool {
        const NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
        let Some(namespace) = subject
            .namespace
            .as_deref()
            .filter(|ns| NAMESPACES.contains(ns))
        else {
            return false;
        };
        Kind::find(&subject.group, &subject.kind)
            .and_then(|kind| {
                self.inventory
                    .workload(kind, &ObjectKey::new(namespace, &subject.name))
            })
            .is_some_and(|w| has_platform_mark(&w.meta.labels))
    }

    /// Severity of a finding.
    #[must_use]
    pub fn severity(&self, rule: &Rule, judgement: &Judgement) -> Severity {
        judgement.severity.unwrap_or(rule.severity)
    }

    /// Whether a namespace ended, and all that was in it. Manifests need not carry theirs.
    fn is_namespace_gone(&self, name: &str) -> bool {
        self.origin == Origin::Cluster
            && !name.is_empty()
            && self.inventory.namespace(name).is_none()
            && self.inventory.sight(Kind::Namespace).is_complete()
    }

    /// Whether the subject of a finding is there.
    #[must_use]
    pub fn presence(&self, subject: &Subject) -> Presence {
        let Some(kind) = Kind::find(&subject.group, &subject.kind) else {
            // `Cluster`, `Resource`: words of ours, always there.
            return Presence::Here;
        };
        let key = ObjectKey::new(subject.namespace.as_deref().unwrap_or(""), &subject.name);
        let here = match kind {
            Kind::Node => self.inventory.node(&key.name).is_some(),
            Kind::Namespace => self.inventory.namespace(&key.name).is_some(),
            Kind::Service => self.inventory.service(&key.namespace, &key.name).is_some(),
            Kind::CustomResourceDefinition => self.inventory.crd(&key.name).is_some(),
            Kind::ApiService => self.inventory.api_service(&key.name).is_some(),
            Kind::MutatingWebhookConfiguration | Kind::ValidatingWebhookConfiguration => self
                .inventory
                .webhooks(kind)
                .any(|(name, _)| name == &*key.name),
            Kind::PatrolPolicy => self.own.policy_uids.contains_key(key.name.as_str()),
            Kind::TicketWaiver => self.own.waivers.contains_key(&key),
            Kind::EndpointSlice | Kind::AlertReceiver | Kind::Ticket => true,
            _ => self.inventory.root_exists(&RootKey {
                kind,
                key: key.clone(),
            }),
        };
        let blind = self.inventory.sight(kind).blindness().is_some();
        if (!here || blind) && self.is_namespace_gone(&key.namespace) {
            Presence::Gone
        } else if here {
            Presence::Here
        } else if kind.is_ours() || self.inventory.sight(kind).is_complete() {
            Presence::Gone
        } else {
            Presence::Unknown
        }
    }
}

/// The kind through which a workload makes its pods.
const fn beneath(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::Deployment => Some(Kind::ReplicaSet),
        Kind::CronJob => Some(Kind::Job),
        _ => None,
    }
}

/// Whether a subject exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is in the inventory.
    Here,
    /// It is not, and the inventory of its kind is complete.
    Gone,
    /// It is not, and the inventory of its kind may lack it.
    Unknown,
}

/// A judgement over something that cannot be read in full proves no absence of a gap.
fn distrust(judgement: &mut Judgement) {
    if matches!(
        judgement.verdict,
        Verdict::Pass | Verdict::NotApplicable(Exempt::NoLivePods)
    ) {
        judgement.verdict = Verdict::Unknown(Sym::new("undecodable"));
    }
}

fn has_platform_mark(labels: &Labels) -> bool {
    labels.get("addonmanager.kubernetes.io/mode").is_some()
        || labels.has("kubernetes.io/cluster-service", "true")
        || labels.get("eks.amazonaws.com/component").is_some()
        || labels.has("kubernetes.azure.com/managedby", "aks")
}

/// The provider profile as the nodes show it: every node virtual is a
/// serverless cluster; a node pool label of a provider is a managed one; control-plane
/// nodes that we can see are our own.
#[must_use]
pub fn detect_profile(inventory: &Inventory) -> Profile {
    const POOLS: [&str; 6] = [
        "alibabacloud.com/nodepool-id",
        "node.alibabacloud.com/nodepool-id",
        "eks.amazonaws.com/nodegroup",
        "cloud.google.com/gke-nodepool",
        "kubernetes.azure.com/cluster",
        "doks.digitalocean.com/node-pool",
    ];
    let (mut any, mut all_virtual, mut pool, mut control_plane) = (false, true, false, false);
    for (_, node) in inventory.nodes() {
        any = true;
        all_virtual &= node.is_virtual();
        pool |= POOLS.iter().any(|key| node.meta.labels.get(key).is_some());
        control_plane |= node.is_control_plane();
    }
    match (any, all_virtual, pool, control_plane) {
        (true, true, ..) => Profile::ServerlessManaged,
        (_, _, true, _) => Profile::Managed,
        (_, _, _, true) => Profile::SelfHosted,
        _ => Profile::Managed,
    }
}
