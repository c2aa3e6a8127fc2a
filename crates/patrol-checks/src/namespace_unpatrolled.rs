//! `namespace-unpatrolled`.
//! What: a namespace that no enabled policy selects, or that lacks a required baseline.
//! Why: nothing is ever found where nobody looks.
//! Layer L6. Party: the customer, who leads the patrol.
//! Remedy: widen a policy's scope.

use std::collections::BTreeSet;

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Check, CheckMeta, Exempt, Judgement, PartyBy, Unit, UnitKind, Verdict, View, cluster_subject,
};
use patrol_core::kind::Kind;
use patrol_core::rule::{PolicyRules, Rule, Rulebook};
use patrol_core::sym::Sym;

/// The check.
pub struct NamespaceUnpatrolled;

static META: CheckMeta = CheckMeta {
    id: "namespace-unpatrolled",
    title: "Namespace selected by no policy",
    what: "Every namespace older than 10 minutes, the system's own included, must be in the scope of a PatrolPolicy \
           that is not suspended; a policy in mode Observe counts. Always on, once there is a policy. A namespace \
           that only suspended policies select has reason `suspended-only`. Where some policy names \
           `requiredBaselines`, a namespace whose policies together leave one of them out has reason \
           `baseline-missing`. Namespaces that are being deleted are not \
           judged.",
    why: "A green board says nothing about a namespace that nobody inspects.",
    remediation: "Widen spec.scope.namespaces of a PatrolPolicy so that it selects the namespace.",
    layer: Layer::L6,
    party: PartyBy::CUSTOMER,
    severity: Severity::Medium,
    reads: &[Kind::Namespace],
    units: &[UnitKind::Namespace],
    block: None,
    parameters: &[],
    references: &["Kubescape C-0209"],
};

/// How to mend what is no matter of a scope.
pub(crate) const RESUME: &str = "Resume the suspended PatrolPolicy, or widen the scope of another.";
/// See [`RESUME`]; with the names of the baselines in its place.
pub(crate) const ADD_BASELINES: &str = "Add {} to spec.baselines of a PatrolPolicy that selects the namespace, or widen the scope of one that has it.";

impl Check for NamespaceUnpatrolled {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let Unit::Namespace(name) = unit else {
            return;
        };
        let Some(namespace) = view.inventory.namespace(name) else {
            return;
        };
        let subject = cluster_subject(Kind::Namespace, name, &namespace.meta.uid);
        let judged = |verdict| Judgement::new(subject, verdict);
        if namespace.terminating {
            return out.push(
                judged(Verdict::NotApplicable(Exempt::Leaving))
                    .message("the namespace is being deleted"),
            );
        }
        let rulebook = view.rulebook;
        let covering: Vec<&PolicyRules> = rulebook
            .enabled()
            .filter(|policy| policy.scope.covers_namespace(name, Some(namespace)))
            .collect();
        let missing = missing_baselines(rulebook, &covering);
        if let (Some(policy), true) = (covering.first(), missing.is_empty()) {
            return out.push(
                judged(Verdict::Pass).message(format!("the policy {} selects it", policy.name)),
            );
        }
        let due = namespace
            .meta
            .created
            .map(|at| at.plus(rule.graces.new_namespace))
            .filter(|due| *due > view.now);
        if due.is_some() {
            return out.push(
                judged(Verdict::Unknown(Sym::new("grace")))
                    .reason("grace")
                    .recheck(due),
            );
        }
        if !covering.is_empty() {
            return out.push(lacks_baselines(judged(Verdict::Fail), &missing));
        }
        let suspended = rulebook
            .policies
            .values()
            .find(|policy| policy.scope.covers_namespace(name, Some(namespace)));
        out.push(match suspended {
            Some(policy) => {
                let mut judgement =
                    judged(Verdict::Fail)
                        .reason("suspended-only")
                        .message(format!(
                            "only suspended policies select the namespace, such as {}",
                            policy.name
                        ));
                judgement.remediation = RESUME.to_owned();
                judgement
            }
            None => judged(Verdict::Fail)
                .reason("no-policy")
                .message("no policy selects the namespace: nothing in it is inspected"),
        });
    }
}

/// Baselines that some enabled policy requires of every namespace and that none of these
/// policies brings.
fn missing_baselines<'a>(rulebook: &'a Rulebook, covering: &[&PolicyRules]) -> Vec<&'a Sym> {
    let required: BTreeSet<&Sym> = rulebook
        .enabled()
        .flat_map(|policy| &policy.required_baselines)
        .collect();
    let brings = |name: &Sym| covering.iter().any(|p| p.baselines.contains(name));
    required.into_iter().filter(|name| !brings(name)).collect()
}

fn lacks_baselines(judgement: Judgement, missing: &[&Sym]) -> Judgement {
    let names: Vec<&str> = missing.iter().map(|name| name.as_str()).collect();
    let names = names.join(", ");
    let word = match missing {
        [_] => "baseline",
        _ => "baselines",
    };
    let mut judgement = judgement.reason("baseline-missing").message(format!(
        "no policy that selects the namespace brings the required {word} {names}"
    ));
    judgement.remediation = ADD_BASELINES.replace("{}", &names);
    judgement
}
