//! Rules: policies compiled once, so that judging matches no text and parses nothing.

mod catalogue;
mod compile;
mod requirement;

use std::collections::BTreeMap;
use std::sync::Arc;

use patrol_api::policy::Graces;
use patrol_api::time::Span;
use patrol_api::words::{Layer, Party, Profile, Severity};

use crate::facts::{Labels, Namespace, Node, namespace_label};
use crate::pattern::Glob;
use crate::selector::Selector;
use crate::sym::Sym;

pub use catalogue::{Baseline, Catalogue, Problem};
pub use compile::compile;
pub use requirement::{
    Alternative, ComponentRule, ImageMatch, InjectorRule, NodeAgentRule, OptOut, SidecarRule,
    Substitute, Version, WorkloadTarget, is_up,
};

/// One check of one policy, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Policy name (or the reserved name of the always-on checks).
    pub policy: Sym,
    /// Check id.
    pub check: &'static str,
    /// `spec.checks[].name` for the typed checks.
    pub requirement: Option<Sym>,
    /// Severity after block and overrides.
    pub severity: Severity,
    /// Party, when block or override fixes it.
    pub party: Option<Party>,
    /// Layer.
    pub layer: Layer,
    /// What is required.
    pub spec: RuleSpec,
    /// Parameters of overrides and baselines.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// Where it applies.
    pub scope: Arc<ScopeRule>,
    /// Graces of the policy.
    pub graces: Graces,
}

/// What a rule requires.
#[derive(Clone, Debug)]
pub enum RuleSpec {
    /// Nothing beyond the check itself.
    Plain,
    /// A sidecar.
    Sidecar(Arc<SidecarRule>),
    /// A node agent.
    NodeAgent(Arc<NodeAgentRule>),
    /// A component.
    Component(Arc<ComponentRule>),
}

/// Where a policy applies.
#[derive(Clone, Debug, Default)]
pub struct ScopeRule {
    /// Namespace globs, one of which must match; empty: all.
    pub include: Box<[Glob]>,
    /// Namespace globs, none of which may match.
    pub exclude: Box<[Glob]>,
    /// Over namespace labels.
    pub namespaces: Selector,
    /// Over node labels.
    pub nodes: Selector,
}

impl ScopeRule {
    /// Whether a namespace is in scope. A namespace that is not in the inventory (files
    /// that do not carry it) has no labels but the one every namespace gets.
    #[must_use]
    pub fn covers_namespace(&self, name: &str, namespace: Option<&Namespace>) -> bool {
        let named = (self.include.is_empty() || self.include.iter().any(|g| g.matches(name)))
            && !self.exclude.iter().any(|g| g.matches(name));
        named
            && self
                .namespaces
                .matches_with(|key| namespace_label(name, namespace, key))
    }

    /// Whether a node is in scope.
    #[must_use]
    pub fn covers_node(&self, node: &Node) -> bool {
        self.nodes.matches(&node.meta.labels)
    }

    /// Whether node labels are in scope.
    #[must_use]
    pub fn covers_node_labels(&self, labels: &Labels) -> bool {
        self.nodes.matches(labels)
    }
}

/// A policy, compiled.
#[derive(Clone, Debug)]
pub struct PolicyRules {
    /// Its name.
    pub name: Sym,
    /// Whether it is suspended (its rules then judge nothing new, and cover nothing).
    pub suspended: bool,
    /// Whether it only observes.
    pub observe: bool,
    /// Profile as written.
    pub profile: Profile,
    /// Baselines it names.
    pub baselines: Vec<Sym>,
    /// Baselines that every namespace must get from some policy.
    pub required_baselines: Vec<Sym>,
    /// Where it applies.
    pub scope: Arc<ScopeRule>,
    /// Its rules, in order of check id and requirement.
    pub rules: Vec<Rule>,
    /// Ids switched off by an override; their open tickets end as CheckDisabled.
    pub disabled: Vec<&'static str>,
    /// Graces.
    pub graces: Graces,
    /// When patrols start.
    pub schedule: crate::schedule::Schedule,
    /// `clearAfter`.
    pub clear_after: Span,
    /// Steps of escalation.
    pub steps: std::sync::Arc<[patrol_api::policy::EscalationStep]>,
    /// When messages may go out.
    pub windows: std::sync::Arc<crate::windows::Windows>,
}

/// All policies that compile, by name.
#[derive(Clone, Debug, Default)]
pub struct Rulebook {
    /// Compiled policies.
    pub policies: BTreeMap<Sym, PolicyRules>,
    /// The always-on rules (family B without the PSA rows); empty without any policy.
    pub always_on: Vec<Rule>,
}

impl Rulebook {
    /// Policies that patrol: not suspended.
    pub fn enabled(&self) -> impl Iterator<Item = &PolicyRules> {
        self.policies.values().filter(|p| !p.suspended)
    }

    /// The rules of a policy, the reserved one included.
    #[must_use]
    pub fn rules_of(&self, policy: &str) -> &[Rule] {
        if policy == patrol_api::names::COVERAGE_POLICY {
            return &self.always_on;
        }
        self.policies.get(policy).map_or(&[], |p| &p.rules)
    }
}
