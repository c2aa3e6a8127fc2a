//! From a PatrolPolicy to rules. Everything that can be wrong with a policy and that a
//! schema cannot say is said here, naming the field.

mod blocks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use patrol_api::policy::{self as api, Override, PatrolPolicy};
use patrol_api::time::Time;
use patrol_api::words::{Mode, Party, Severity};

use super::requirement::{ImageMatch, Version};
use super::{Baseline, Catalogue, PolicyRules, Problem, Rule, RuleSpec, ScopeRule};
use crate::check::{Check, CheckMeta};
use crate::pattern::{Glob, ImagePattern};
use crate::schedule::Schedule;
use crate::selector::Selector;
use crate::sym::Sym;
use crate::windows::Windows;
use blocks::is_block_check;

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
    let windows = Arc::new(c.windows(spec, now));
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
            steps: spec.alerts.escalation.clone().into(),
            windows,
        }),
        _ => {
            c.problems.sort();
            c.problems.dedup();
            Err(c.problems)
        }
    }
}

pub(super) fn plain(
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

    fn windows(&mut self, spec: &api::PatrolPolicySpec, now: Time) -> Windows {
        match Windows::compile(&spec.alerts.windows, now) {
            Ok(windows) => windows,
            Err((field, message)) => {
                self.problem(format!("spec.alerts.windows{field}"), message);
                Windows::default()
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
