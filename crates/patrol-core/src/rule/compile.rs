//! From a PatrolPolicy to rules. Everything that can be wrong with a policy and that a
//! schema cannot say is said here, naming the field.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::{
    self as api, CheckBlock, Override, PatrolPolicy, SubstituteKind, WebhookKind, WorkloadKind,
};
use patrol_api::time::Time;
use patrol_api::words::{Mode, Party, Severity};

use super::requirement::{
    Alternative, ComponentRule, ImageMatch, InjectorRule, NodeAgentRule, OptOut, SidecarRule,
    Substitute, Version, WorkloadTarget,
};
use super::{PolicyRules, Rule, RuleSpec, ScopeRule};
use crate::check::{Block, Check, CheckMeta};
use crate::kind::Kind;
use crate::pattern::{Glob, ImagePattern};
use crate::schedule::Schedule;
use crate::selector::Selector;
use crate::sym::Sym;

/// A named set of checks.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    /// Name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Ids of its checks.
    pub checks: &'static [&'static str],
}

/// The checks and baselines the engine works with. Given by the catalogue crate, so that
/// the core names no check.
#[derive(Clone, Copy)]
pub struct Catalogue {
    /// All checks, by id.
    pub checks: &'static [&'static dyn Check],
    /// Built-in baselines.
    pub baselines: &'static [Baseline],
    /// Ids of the always-on coverage checks.
    pub always_on: &'static [&'static str],
}

impl Catalogue {
    /// A check by id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&'static dyn Check> {
        self.checks.iter().copied().find(|c| c.meta().id == id)
    }

    /// The always-on rules, given that some policy exists. They carry the reserved policy
    /// name and judge everywhere.
    #[must_use]
    pub fn always_on_rules(&self) -> Vec<Rule> {
        let scope = Arc::new(ScopeRule::default());
        self.always_on
            .iter()
            .filter_map(|id| self.find(id))
            .map(|check| {
                plain(
                    &Sym::new(COVERAGE_POLICY),
                    check.meta(),
                    &scope,
                    &api::Graces::default(),
                )
            })
            .collect()
    }
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.checks.iter().map(|c| c.meta().id))
            .finish()
    }
}

/// One thing wrong with an object of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Field path (`spec.schedule.cron`).
    pub field: String,
    /// One sentence.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

struct Compiler<'a> {
    catalogue: &'a Catalogue,
    problems: Vec<Problem>,
}

/// Compiles a policy.
///
/// # Errors
/// Every problem found, in field order. A policy with a problem judges nothing.
pub fn compile(
    policy: &PatrolPolicy,
    catalogue: &Catalogue,
    now: Time,
) -> Result<PolicyRules, Vec<Problem>> {
    let mut c = Compiler {
        catalogue,
        problems: vec![],
    };
    let name = Sym::new(policy.metadata.name.as_deref().unwrap_or(""));
    let spec = &policy.spec;
    let scope = Arc::new(c.scope(&spec.scope));
    let schedule = c.schedule(&spec.schedule, now);
    let mut rules = c.baseline_rules(&name, spec, &scope);
    rules.extend(c.block_rules(&name, spec, &scope));
    let disabled = c.overrides(&mut rules, &spec.overrides);
    c.routes(spec);
    rules.sort_by(|a, b| (a.check, &a.requirement).cmp(&(b.check, &b.requirement)));
    match (c.problems.is_empty(), schedule) {
        (true, Some(schedule)) => Ok(PolicyRules {
            name,
            suspended: spec.suspend,
            observe: spec.mode == Mode::Observe,
            profile: spec.profile,
            baselines: spec.baselines.iter().map(Sym::from).collect(),
            required_baselines: spec.required_baselines.iter().map(Sym::from).collect(),
            scope,
            rules,
            disabled,
            graces: spec.graces.clone(),
            schedule,
            clear_after: spec.tickets.clear_after,
        }),
        _ => {
            c.problems.sort();
            c.problems.dedup();
            Err(c.problems)
        }
    }
}

fn plain(
    policy: &Sym,
    meta: &'static CheckMeta,
    scope: &Arc<ScopeRule>,
    graces: &api::Graces,
) -> Rule {
    Rule {
        policy: policy.clone(),
        check: meta.id,
        requirement: None,
        severity: meta.severity,
        party: None,
        layer: meta.layer,
        spec: RuleSpec::Plain,
        parameters: BTreeMap::new(),
        scope: Arc::clone(scope),
        graces: graces.clone(),
    }
}

impl Compiler<'_> {
    fn problem(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            field: field.into(),
            message: message.into(),
        });
    }

    fn keep<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(field, message);
                None
            }
        }
    }

    fn selector(&mut self, field: &str, selector: Option<&LabelSelector>) -> Selector {
        match selector {
            None => Selector::everything(),
            Some(s) => self.keep(field, Selector::compile(s)).unwrap_or_default(),
        }
    }

    fn globs(&mut self, field: &str, patterns: &[String]) -> Box<[Glob]> {
        patterns
            .iter()
            .enumerate()
            .filter_map(|(i, p)| self.keep(&format!("{field}[{i}]"), Glob::compile(p)))
            .collect()
    }

    fn images(&mut self, field: &str, patterns: &[String]) -> ImageMatch {
        ImageMatch(
            patterns
                .iter()
                .enumerate()
                .filter_map(|(i, p)| self.keep(&format!("{field}[{i}]"), ImagePattern::compile(p)))
                .collect(),
        )
    }

    fn version(&mut self, field: &str, text: Option<&String>) -> Option<(Version, String)> {
        let text = text?;
        let parsed = Version::parse(text)
            .ok_or_else(|| format!("{text:?} is no version: use numbers such as 1.2.3"));
        self.keep(field, parsed).map(|v| (v, text.clone()))
    }

    fn scope(&mut self, scope: &api::Scope) -> ScopeRule {
        ScopeRule {
            include: self.globs("spec.scope.namespaces.include", &scope.namespaces.include),
            exclude: self.globs("spec.scope.namespaces.exclude", &scope.namespaces.exclude),
            namespaces: self.selector(
                "spec.scope.namespaces.selector",
                scope.namespaces.selector.as_ref(),
            ),
            nodes: self.selector("spec.scope.nodes.selector", scope.nodes.selector.as_ref()),
        }
    }

    fn schedule(&mut self, spec: &api::Schedule, now: Time) -> Option<Schedule> {
        match Schedule::compile(spec, now) {
            Ok(schedule) => Some(schedule),
            Err((field, message)) => {
                let field = if field.is_empty() {
                    "spec.schedule".to_owned()
                } else {
                    format!("spec.schedule.{field}")
                };
                self.problem(field, message);
                None
            }
        }
    }

    fn baseline_rules(
        &mut self,
        policy: &Sym,
        spec: &api::PatrolPolicySpec,
        scope: &Arc<ScopeRule>,
    ) -> Vec<Rule> {
        let mut ids = BTreeSet::new();
        for (i, name) in spec.baselines.iter().enumerate() {
            if let Some(baseline) = self.baseline(&format!("spec.baselines[{i}]"), name) {
                ids.extend(baseline.checks.iter().copied());
            }
        }
        for (i, name) in spec.required_baselines.iter().enumerate() {
            self.baseline(&format!("spec.requiredBaselines[{i}]"), name);
        }
        ids.into_iter()
            // Checks that need a block come with the block; the always-on ones anyway.
            .filter(|id| !self.catalogue.always_on.contains(id))
            .filter_map(|id| self.catalogue.find(id))
            .filter(|check| check.meta().block.is_none() && !is_block_check(check.meta().id))
            .map(|check| plain(policy, check.meta(), scope, &spec.graces))
            .collect()
    }

    fn baseline(&mut self, field: &str, name: &str) -> Option<&'static Baseline> {
        let baselines = self.catalogue.baselines;
        let found = baselines.iter().find(|b| b.name == name);
        if found.is_none() {
            let known: Vec<_> = baselines.iter().map(|b| b.name).collect();
            let message = format!("{name:?} is no baseline: use one of {}", known.join(", "));
            self.problem(field, message);
        }
        found
    }

    fn block_rules(
        &mut self,
        policy: &Sym,
        spec: &api::PatrolPolicySpec,
        scope: &Arc<ScopeRule>,
    ) -> Vec<Rule> {
        let mut names = BTreeSet::new();
        let mut rules = vec![];
        for (i, block) in spec.checks.iter().enumerate() {
            let field = format!("spec.checks[{i}]");
            if !names.insert(block.name.clone()) {
                self.problem(
                    format!("{field}.name"),
                    format!("{:?} names two checks: names must be unique", block.name),
                );
            }
            let Some((kind, rule_spec)) = self.block(&field, block, spec) else {
                continue;
            };
            for check in self.catalogue.checks {
                let meta = check.meta();
                if !applies(meta, kind, block) {
                    continue;
                }
                let mut rule = plain(policy, meta, scope, &spec.graces);
                rule.requirement = Some(Sym::new(&block.name));
                rule.spec = rule_spec.clone();
                rule.party = block.party;
                rule.layer = block.layer.unwrap_or(rule.layer);
                if let (Some(severity), true) = (block.severity, takes_block_severity(meta.id)) {
                    rule.severity = severity;
                }
                rules.push(rule);
            }
        }
        rules
    }

    fn block(
        &mut self,
        field: &str,
        block: &CheckBlock,
        spec: &api::PatrolPolicySpec,
    ) -> Option<(Block, RuleSpec)> {
        match (&block.sidecar, &block.node_agent, &block.component) {
            (Some(s), None, None) => {
                let rule = self.sidecar(&format!("{field}.sidecar"), s, spec);
                Some((Block::Sidecar, RuleSpec::Sidecar(Arc::new(rule))))
            }
            (None, Some(a), None) => {
                let rule = self.node_agent(&format!("{field}.nodeAgent"), a, spec, true);
                Some((Block::NodeAgent, RuleSpec::NodeAgent(Arc::new(rule))))
            }
            (None, None, Some(c)) => {
                let rule = self.component(&format!("{field}.component"), c);
                Some((Block::Component, RuleSpec::Component(Arc::new(rule))))
            }
            _ => {
                self.problem(
                    field,
                    "give exactly one of sidecar, nodeAgent and component",
                );
                None
            }
        }
    }

    fn sidecar(
        &mut self,
        field: &str,
        s: &api::Sidecar,
        spec: &api::PatrolPolicySpec,
    ) -> SidecarRule {
        if s.container.is_none() && s.images.is_empty() {
            self.problem(field, "give at least one of container and images");
        }
        let substitutes = s
            .substitutes
            .iter()
            .enumerate()
            .filter_map(|(i, sub)| self.substitute(&format!("{field}.substitutes[{i}]"), sub, spec))
            .collect();
        SidecarRule {
            container: s
                .container
                .as_ref()
                .and_then(|c| self.keep(&format!("{field}.container"), Glob::compile(c))),
            images: self.images(&format!("{field}.images"), &s.images),
            position: s.position,
            min_version: self.version(&format!("{field}.minVersion"), s.min_version.as_ref()),
            digests: s.digests.iter().map(Sym::from).collect(),
            pods: self.selector(&format!("{field}.pods"), s.pods.as_ref()),
            ready_required: s.ready.required,
            start_grace: s.ready.start_grace.unwrap_or(spec.graces.pod_start),
            restart_grace: s.ready.restart_grace.unwrap_or(spec.graces.agent_restart),
            injector: s.injector.as_ref().map(|injector| InjectorRule {
                webhook: injector.webhook.as_ref().map(Sym::from),
                opt_out: self.opt_outs(&format!("{field}.injector.optOut"), &injector.opt_out),
            }),
            substitutes,
            templates: s.templates,
        }
    }

    fn opt_outs(&mut self, field: &str, pairs: &[String]) -> Box<[OptOut]> {
        pairs
            .iter()
            .enumerate()
            .filter_map(|(i, pair)| match pair.split_once('=') {
                Some((key, value)) if !key.is_empty() => Some(OptOut {
                    key: Sym::new(key),
                    value: Sym::new(value),
                }),
                _ => {
                    self.problem(format!("{field}[{i}]"), format!("{pair:?} is no key=value"));
                    None
                }
            })
            .collect()
    }

    fn substitute(
        &mut self,
        field: &str,
        substitute: &api::Substitute,
        spec: &api::PatrolPolicySpec,
    ) -> Option<Substitute> {
        match substitute.kind {
            SubstituteKind::AmbientMesh => Some(Substitute::AmbientMesh),
            SubstituteKind::PlatformAttestation => Some(Substitute::PlatformAttestation),
            SubstituteKind::NodeAgent => {
                let name = substitute.node_agent.as_deref().unwrap_or("");
                let block = spec.checks.iter().find(|c| c.name == name);
                match block.and_then(|b| b.node_agent.as_ref()) {
                    Some(agent) => {
                        let rule = self.node_agent(field, agent, spec, false);
                        Some(Substitute::NodeAgent(Sym::new(name), Arc::new(rule)))
                    }
                    None => {
                        self.problem(
                            format!("{field}.nodeAgent"),
                            format!("{name:?} is no nodeAgent check of this policy: name one of spec.checks"),
                        );
                        None
                    }
                }
            }
        }
    }

    /// `whole` is false where the rule is only looked up by another one, so that two
    /// checks that name each other end.
    fn node_agent(
        &mut self,
        field: &str,
        a: &api::NodeAgent,
        spec: &api::PatrolPolicySpec,
        whole: bool,
    ) -> NodeAgentRule {
        if a.selector.is_none() && a.images.is_empty() {
            self.problem(field, "give at least one of selector and images");
        }
        let substitute = a.virtual_node_substitute.as_ref().filter(|_| whole).and_then(|name| {
            let block = spec.checks.iter().find(|c| c.name == *name);
            match block.and_then(|b| b.sidecar.as_ref()) {
                Some(sidecar) => {
                    let mut plain = sidecar.clone();
                    plain.substitutes.clear();
                    let rule = self.sidecar(field, &plain, spec);
                    Some((Sym::new(name), Arc::new(rule)))
                }
                None => {
                    self.problem(
                        format!("{field}.virtualNodeSubstitute"),
                        format!("{name:?} is no sidecar check of this policy: name one of spec.checks"),
                    );
                    None
                }
            }
        });
        NodeAgentRule {
            selector: a
                .selector
                .as_ref()
                .map(|s| self.selector(&format!("{field}.selector"), Some(s))),
            namespace: a.namespace.as_ref().map(Sym::from),
            images: self.images(&format!("{field}.images"), &a.images),
            nodes: self.selector(&format!("{field}.nodes"), a.nodes.as_ref()),
            min_version: self.version(&format!("{field}.minVersion"), a.min_version.as_ref()),
            control_plane: a.control_plane,
            virtual_node_substitute: substitute,
        }
    }

    fn component(&mut self, field: &str, c: &api::Component) -> ComponentRule {
        if c.any_of.is_empty() {
            self.problem(format!("{field}.anyOf"), "give at least one alternative");
        }
        let any_of = c
            .any_of
            .iter()
            .enumerate()
            .filter_map(|(i, a)| self.alternative(&format!("{field}.anyOf[{i}]"), a))
            .collect();
        ComponentRule { any_of }
    }

    fn alternative(&mut self, field: &str, a: &api::Alternative) -> Option<Alternative> {
        match (&a.workload, &a.webhook, &a.crd, &a.api_service) {
            (Some(w), None, None, None) => {
                if w.name.is_some() == w.selector.is_some() {
                    self.problem(
                        format!("{field}.workload"),
                        "give exactly one of name and selector",
                    );
                }
                Some(Alternative::Workload(WorkloadTarget {
                    kind: match w.kind {
                        WorkloadKind::Deployment => Kind::Deployment,
                        WorkloadKind::DaemonSet => Kind::DaemonSet,
                        WorkloadKind::StatefulSet => Kind::StatefulSet,
                    },
                    namespace: Sym::new(&w.namespace),
                    name: w.name.as_ref().map(Sym::from),
                    selector: w
                        .selector
                        .as_ref()
                        .map(|s| self.selector(&format!("{field}.workload.selector"), Some(s))),
                    images: self.images(&format!("{field}.workload.images"), &w.images),
                    min_available: i64::from(w.min_available),
                    min_version: self.version(
                        &format!("{field}.workload.minVersion"),
                        w.min_version.as_ref(),
                    ),
                }))
            }
            (None, Some(w), None, None) => {
                let name = self.keep(&format!("{field}.webhook.name"), Glob::compile(&w.name))?;
                Some(Alternative::Webhook {
                    kind: match w.kind {
                        WebhookKind::Mutating => Kind::MutatingWebhookConfiguration,
                        WebhookKind::Validating => Kind::ValidatingWebhookConfiguration,
                    },
                    name,
                    group: w.covers.group.clone(),
                    resource: w.covers.resource.clone(),
                    operation: w.covers.operation.clone(),
                    failure_policy: w.failure_policy,
                })
            }
            (None, None, Some(c), None) => Some(Alternative::Crd {
                name: Sym::new(&c.name),
                version: c.version.as_ref().map(Sym::from),
                min_instances: c.min_instances,
            }),
            (None, None, None, Some(a)) => Some(Alternative::ApiService(Sym::new(&a.name))),
            _ => {
                self.problem(
                    field,
                    "give exactly one of workload, webhook, crd and apiService",
                );
                None
            }
        }
    }

    fn overrides(&mut self, rules: &mut Vec<Rule>, overrides: &[Override]) -> Vec<&'static str> {
        let mut disabled = BTreeSet::new();
        let ids: BTreeSet<&'static str> = rules.iter().map(|r| r.check).collect();
        for (i, o) in overrides.iter().enumerate() {
            let field = format!("spec.overrides[{i}]");
            let Some(glob) = self.keep(&format!("{field}.check"), Glob::compile(&o.check)) else {
                continue;
            };
            let matched: Vec<&'static str> =
                ids.iter().copied().filter(|id| glob.matches(id)).collect();
            if matched.is_empty() {
                self.problem(
                    format!("{field}.check"),
                    format!("{:?} matches no check of this policy", o.check),
                );
            }
            self.check_parameters(&field, o, &matched);
            for rule in rules.iter_mut().filter(|r| matched.contains(&r.check)) {
                apply(rule, o.severity, o.party, &o.parameters);
            }
            match o.disabled {
                Some(true) => disabled.extend(matched),
                Some(false) => disabled.retain(|id| !matched.contains(id)),
                None => {}
            }
        }
        rules.retain(|r| !disabled.contains(r.check));
        disabled.into_iter().collect()
    }

    fn check_parameters(&mut self, field: &str, o: &Override, matched: &[&'static str]) {
        let checks: Vec<&dyn Check> = matched
            .iter()
            .filter_map(|id| self.catalogue.find(id))
            .map(|check| check as &dyn Check)
            .collect();
        let known: BTreeSet<&str> = checks
            .iter()
            .flat_map(|check| check.meta().parameters)
            .map(|(name, _)| *name)
            .collect();
        for (name, values) in &o.parameters {
            let field = format!("{field}.parameters.{name}");
            if !known.contains(name.as_str()) {
                if checks.is_empty() {
                    continue; // said of the glob already
                }
                let known: Vec<&str> = known.iter().copied().collect();
                let advice = match known.as_slice() {
                    [] => "remove it".to_owned(),
                    _ => format!("use one of {}", known.join(", ")),
                };
                let message = format!("{:?} takes no parameter of this name: {advice}", o.check);
                self.problem(field, message);
                continue;
            }
            let takes = |check: &&&dyn Check| check.meta().parameters.iter().any(|p| p.0 == name);
            for check in checks.iter().filter(takes) {
                if let Err(message) = check.check_parameter(name, values) {
                    self.problem(field.clone(), message);
                }
            }
        }
    }

    fn routes(&mut self, spec: &api::PatrolPolicySpec) {
        for (i, route) in spec.alerts.receivers.iter().enumerate() {
            self.globs(&format!("spec.alerts.receivers[{i}].checks"), &route.checks);
        }
    }
}

fn apply(
    rule: &mut Rule,
    severity: Option<Severity>,
    party: Option<Party>,
    parameters: &api::Parameters,
) {
    rule.severity = severity.unwrap_or(rule.severity);
    rule.party = party.or(rule.party);
    for (name, values) in parameters {
        rule.parameters.insert(name.clone(), values.clone());
    }
}

/// Checks that more than one block brings: their `block` is not enough to tell.
fn is_block_check(id: &str) -> bool {
    matches!(id, "agent-version-mismatch" | "component-missing")
}

/// Whether a check comes with a block.
fn applies(meta: &CheckMeta, kind: Block, block: &CheckBlock) -> bool {
    match meta.id {
        "agent-version-mismatch" => match kind {
            Block::Sidecar => true,
            Block::NodeAgent => block
                .node_agent
                .as_ref()
                .is_some_and(|a| a.min_version.is_some()),
            Block::Component => false,
        },
        // A node agent that exists nowhere is one missing component.
        "component-missing" => matches!(kind, Block::Component | Block::NodeAgent),
        "injector-unhealthy" => block
            .sidecar
            .as_ref()
            .and_then(|s| s.injector.as_ref())
            .is_some_and(|i| i.webhook.is_some()),
        _ => meta.block == Some(kind),
    }
}

/// `severity` of a block sets its presence and readiness ids.
fn takes_block_severity(id: &str) -> bool {
    id.ends_with("-missing")
        || id.ends_with("-not-ready")
        || matches!(id, "component-unavailable" | "virtual-node-pod-uncovered")
}
