//! `sidecar-injection-opted-out`.
//! What: injection is switched off where the policy requires the injected sidecar.
//! Why: pods that still carry the sidecar lose it at their next restart.
//! Layer L3. Party: the customer, who wrote the marker.
//! Remedy: remove the marker, or waive it with a date.

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Exempt, Glance, Judgement, PartyBy, Unit, UnitKind, Verdict, View,
    cluster_subject,
};
use patrol_core::facts::{Labels, Namespace, PodShape};
use patrol_core::inventory::{Pod, RootKey};
use patrol_core::kind::Kind;
use patrol_core::rule::{Rule, RuleSpec, SidecarRule};
use patrol_core::sym::Sym;

use crate::injector::{injectors_of, selects, switch, uninjectable, webhooks_of};
use crate::markers::{Marker, Place, Switch};
use crate::pod_sets::{
    self, ByShape, Case, PARAMETERS, READS_WITH_INJECTORS, required, required_in,
};
use crate::stand_in::{self, StandIn, stand_in};
use crate::tally::{Seen, Tally, exempt};
use crate::words::{name_of, pod_path, token};

/// The check.
pub struct SidecarInjectionOptedOut;

static META: CheckMeta = CheckMeta {
    id: "sidecar-injection-opted-out",
    title: "Injection switched off where it is required",
    what: "Labels and annotations of pods, templates and namespaces that switch off the injector of a required \
           sidecar: those of the policy (`injector.optOut`), else those of Istio, Linkerd and the Vault agent \
           injector. A namespace that the injector's webhook does not select counts too, unless its pods are \
           selected one by one. The finding stands on whatever carries the marker: the workload, or the namespace \
           for all of its pods. It is reported while old pods still carry the sidecar. A container written by hand \
           needs no injector; pods that no injector can cover belong to `sidecar-not-injectable`.",
    why: "Pods that still carry the sidecar lose it at their next restart, and until then nothing else shows it.",
    remediation: "Remove the marker and restart the workload, or record why it stays in a waiver with a date.",
    layer: Layer::L3,
    party: PartyBy::CUSTOMER,
    severity: Severity::Medium,
    reads: READS_WITH_INJECTORS,
    units: &[UnitKind::Root, UnitKind::Namespace],
    block: Some(Block::Sidecar),
    parameters: PARAMETERS,
    references: &["Kyverno istio/prevent-disabling-injection-pods"],
};

impl Check for SidecarInjectionOptedOut {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn check_parameter(&self, name: &str, values: &[String]) -> Result<(), String> {
        pod_sets::check_parameter(name, values)
    }

    fn glance(&self, rule: &Rule, pod: &Pod) -> Option<Glance> {
        stand_in::glance(rule, pod)
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let RuleSpec::Sidecar(sidecar) = &rule.spec else {
            return;
        };
        // Without an injector there is nothing to switch off.
        if sidecar.injector.is_none() && injectors_of(view, sidecar).is_empty() {
            return;
        }
        match unit {
            Unit::Root(root) => out.push(judge_root(view, rule, sidecar, root)),
            Unit::Namespace(name) => out.push(judge_namespace(view, rule, sidecar, name)),
            Unit::Node(_) | Unit::Cluster => {}
        }
    }
}

fn judge_root(view: &View<'_>, rule: &Rule, sidecar: &SidecarRule, root: &RootKey) -> Judgement {
    let cases = match required(view, rule, sidecar, root) {
        Ok(cases) => cases,
        Err(why) => return exempt(view, root, why, ""),
    };
    let namespace = view.inventory.namespace(&root.key.namespace);
    let name = name_of(rule);
    let template = view.inventory.template_of(root);
    // The pods to come are made from the template, those that run from an older one.
    let next = template.map(|shape| own_marker(view, sidecar, namespace, shape));
    let mut by_shape = ByShape::new();
    let mut tally = Tally::default();
    for case in &cases {
        let marker = by_shape.get(case.shape, |shape| {
            next.clone()
                .flatten()
                .or_else(|| own_marker(view, sidecar, namespace, shape))
        });
        let by_hand = is_by_hand(view, sidecar, root, case);
        let seen = match marker {
            _ if uninjectable(view, sidecar, &root.key.namespace, case.shape).is_some() => {
                Seen::Skip
            }
            Some(marker) if !by_hand && !is_covered(view, sidecar, root, case) => {
                let own = root.kind == Kind::Pod || next.clone().flatten().is_some();
                if own {
                    let base = pod_path(root.kind);
                    let key = token(&marker.key);
                    tally.path(format!("{base}/metadata/{}/{key}", marker.field));
                }
                Seen::Fail(vec![Sym::new("opted-out")], None)
            }
            _ => Seen::Pass(None),
        };
        tally.add(root, case, seen);
    }
    let folded = cause_in(view, sidecar, &root.key.namespace).is_some();
    let judged = tally.judgement(
        view,
        root,
        |t| {
            let who = t.who(root, "switches off", "switch off");
            format!("{who} the injection of the required sidecar {name}")
        },
        |_| format!("nothing switches off the injection of the sidecar {name}"),
    );
    match judged {
        Some(judged) if judged.verdict == Verdict::Pass && folded => {
            let message = "its namespace switches the injection off and is reported itself";
            exempt(view, root, Exempt::Folded, message)
        }
        Some(judged) => judged,
        None => {
            let message = "no injector can cover its pods: see sidecar-not-injectable";
            exempt(view, root, Exempt::Folded, message)
        }
    }
}

fn own_marker(
    view: &View<'_>,
    sidecar: &SidecarRule,
    namespace: Option<&Namespace>,
    shape: &PodShape,
) -> Option<Marker> {
    match switch(view, sidecar, namespace, shape) {
        Switch::Off(marker) if marker.place == Place::Pod => Some(marker),
        _ => None,
    }
}

/// The container stands in the template itself, or in a pod that nothing will make anew.
fn is_by_hand(view: &View<'_>, sidecar: &SidecarRule, root: &RootKey, case: &Case<'_>) -> bool {
    let written = view.inventory.template_of(root).unwrap_or(case.shape);
    sidecar.find(written).is_some()
}

fn is_covered(view: &View<'_>, sidecar: &SidecarRule, root: &RootKey, case: &Case<'_>) -> bool {
    matches!(
        stand_in(view, sidecar, &root.key.namespace, case),
        StandIn::Yes(..)
    )
}

/// What keeps the injector out of a namespace.
enum Cause {
    Marker(Marker),
    NotSelected,
}

/// A marker on the namespace, or a webhook that does not select it. A namespace that is
/// not here (files) has no cause that we could see.
fn cause_in(view: &View<'_>, sidecar: &SidecarRule, name: &str) -> Option<Cause> {
    let namespace = view.inventory.namespace(name)?;
    let plain = PodShape::default();
    if let Switch::Off(marker) = switch(view, sidecar, Some(namespace), &plain) {
        return Some(Cause::Marker(marker));
    }
    let webhooks = webhooks_of(view, sidecar)?;
    let none = Labels::default();
    let selected = webhooks
        .iter()
        .any(|w| selects(w, name, Some(namespace), &none));
    (!selected).then_some(Cause::NotSelected)
}

/// Whether a pod gets its sidecar although its namespace as a whole does not.
fn is_selected_alone(
    view: &View<'_>,
    sidecar: &SidecarRule,
    namespace: &str,
    cause: &Cause,
    shape: &PodShape,
) -> bool {
    let fact = view.inventory.namespace(namespace);
    match cause {
        Cause::Marker(_) => switch(view, sidecar, fact, shape) == Switch::On,
        Cause::NotSelected => webhooks_of(view, sidecar)
            .into_iter()
            .flatten()
            .any(|w| selects(w, namespace, fact, &shape.labels)),
    }
}

fn judge_namespace(view: &View<'_>, rule: &Rule, sidecar: &SidecarRule, name: &Sym) -> Judgement {
    let namespace = view.inventory.namespace(name);
    let uid = namespace.map(|n| n.meta.uid.clone()).unwrap_or_default();
    let subject = cluster_subject(Kind::Namespace, name, &uid);
    let judge = |verdict| Judgement::new(subject.clone(), verdict);
    if namespace.is_some_and(|n| n.terminating) {
        return judge(Verdict::NotApplicable(Exempt::Leaving)).message("it is being deleted");
    }
    let cause = cause_in(view, sidecar, name);
    let mut cases = required_in(view, rule, sidecar, name).peekable();
    // Without a cause it is enough to know that there is a pod it could have hit.
    if cases.peek().is_none() {
        return judge(Verdict::NotApplicable(Exempt::NoLivePods))
            .message("no pod in it needs the sidecar");
    }
    let sidecar_name = name_of(rule);
    let fine = format!("the injection of the sidecar {sidecar_name} reaches it");
    let Some(cause) = cause else {
        return judge(Verdict::Pass).message(fine);
    };
    let mut judgement = judge(Verdict::Pass).message(fine);
    for (root, case) in cases {
        let affected = uninjectable(view, sidecar, name, case.shape).is_none()
            && !is_by_hand(view, sidecar, &root, &case)
            && !is_selected_alone(view, sidecar, name, &cause, case.shape)
            && !is_covered(view, sidecar, &root, &case);
        judgement.affected.count(case.name, affected);
    }
    if judgement.affected.count == 0 {
        return judgement;
    }
    judgement.verdict = Verdict::Fail;
    match cause {
        Cause::Marker(marker) => {
            let field = marker.field;
            judgement.paths = vec![format!("/metadata/{field}/{}", token(&marker.key))];
            judgement
                .message(format!(
                    "the namespace switches off the injection of the required sidecar {sidecar_name}"
                ))
                .reason("opted-out")
        }
        Cause::NotSelected => judgement
            .message(format!(
                "the injector of the required sidecar {sidecar_name} does not select the namespace"
            ))
            .reason("not-selected"),
    }
}
