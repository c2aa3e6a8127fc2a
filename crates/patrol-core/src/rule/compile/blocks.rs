//! Compiling `spec.checks[]`: each block brings the checks that belong to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use patrol_api::policy::{self as api, CheckBlock, SubstituteKind, WebhookKind, WorkloadKind};

use super::super::requirement::{
    Alternative, ComponentRule, InjectorRule, NodeAgentRule, OptOut, SidecarRule, Substitute,
    WorkloadTarget,
};
use super::super::{Rule, RuleSpec, ScopeRule};
use crate::check::{Block, CheckMeta};
use crate::kind::Kind;
use crate::pattern::Glob;
use crate::sym::Sym;

use super::{Compiler, plain};

impl Compiler<'_> {
    pub(super) fn block_rules(
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
}

/// Checks that more than one block brings: their `block` is not enough to tell.
pub(super) fn is_block_check(id: &str) -> bool {
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
