//! `sidecar-missing`.
//! What: a live pod that the requirement selects runs no container that satisfies it.
//! Why: what runs in a pod without its security sidecar is neither seen nor protected.
//! Layer L3. Party: the customer, whose application it is.
//! Remedy: enable the injection and restart the workload, or add the container.

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Exempt, Glance, Judgement, PartyBy, Unit, UnitKind, View,
};
use patrol_core::facts::{PodShape, Role};
use patrol_core::inventory::{Pod, RootKey};
use patrol_core::rule::{Rule, RuleSpec, SidecarRule};
use patrol_core::sym::Sym;

use crate::injector::{is_added_at_admission, is_marked_injected, uninjectable};
use crate::markers::VAULT_INIT_ONLY;
use crate::pod_sets::{self, ByShape, Case, PARAMETERS, READS, injection_due, required};
use crate::stand_in::{self, StandIn, stand_in};
use crate::tally::{Seen, Tally, exempt};
use crate::words::name_of;

/// The check.
pub struct SidecarMissing;

static META: CheckMeta = CheckMeta {
    id: "sidecar-missing",
    title: "Required sidecar absent",
    what: "Live pods that a `sidecar` requirement selects, older than the injection grace, in which no candidate \
           container satisfies it. Candidates are regular containers, init containers with `restartPolicy: Always`, \
           and containers that carry the environment variable `__IS_SIDECAR__`; plain init and ephemeral containers \
           never count, nor does an annotation that says the pod was injected. A container of the right name with a \
           foreign image fails with the reason `impostor`. A substitute that holds passes and is named. Pods that no \
           injector can cover are reported by `sidecar-not-injectable` and not here. In files, and with `templates: \
           true`, a workload's template counts as its pod where it has none; what an injector would add there is \
           Unknown.",
    why: "What runs in a pod without its security sidecar is neither seen nor protected, and nothing else shows it: \
          the pod is healthy.",
    remediation: "Enable the injection for the pods and restart the workload, or add the container to its template.",
    layer: Layer::L3,
    party: PartyBy::CUSTOMER,
    severity: Severity::High,
    reads: READS,
    units: &[UnitKind::Root],
    block: Some(Block::Sidecar),
    parameters: PARAMETERS,
    references: &["ACK security inspection 6.6.2"],
};

impl Check for SidecarMissing {
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
        let (Unit::Root(root), RuleSpec::Sidecar(sidecar)) = (unit, &rule.spec) else {
            return;
        };
        let cases = match required(view, rule, sidecar, root) {
            Ok(cases) => cases,
            Err(why) => return out.push(exempt(view, root, why, "")),
        };
        let mut present = ByShape::new();
        let mut tally = Tally::default();
        for case in &cases {
            let seen = if present.get(case.shape, |shape| sidecar.find(shape).is_some()) {
                Seen::Pass(None)
            } else {
                judge_absence(view, rule, sidecar, root, case)
            };
            tally.add(root, case, seen);
        }
        let name = name_of(rule);
        let judged = tally.judgement(
            view,
            root,
            |t| {
                let who = t.who(root, "lacks", "lack");
                format!("{who} the sidecar {name}{}", explanation(&t.reasons))
            },
            |t| match t.notes.first() {
                Some((_, note)) => format!("the sidecar {name} is not needed: {note}"),
                None => format!("the sidecar {name} is there"),
            },
        );
        out.push(judged.unwrap_or_else(|| {
            let message = "no injector can cover its pods: see sidecar-not-injectable";
            exempt(view, root, Exempt::Folded, message)
        }));
    }
}

fn judge_absence(
    view: &View<'_>,
    rule: &Rule,
    sidecar: &SidecarRule,
    root: &RootKey,
    case: &Case<'_>,
) -> Seen {
    let namespace = &root.key.namespace;
    let unclear = match stand_in(view, sidecar, namespace, case) {
        StandIn::Yes(word, note) => return Seen::Pass(Some((word, note))),
        StandIn::Unclear(why) => Some(why),
        StandIn::No => None,
    };
    if uninjectable(view, sidecar, namespace, case.shape).is_some() {
        return Seen::Skip;
    }
    if let Some(due) = injection_due(view, rule, case) {
        return Seen::Unknown("grace", Some(due));
    }
    if case.is_unadmitted(view.origin) {
        match is_added_at_admission(view, sidecar, namespace, case) {
            Some(true) => return Seen::Unknown("injected-at-admission", None),
            None => return Seen::Unknown("injector-unseen", None),
            Some(false) => {}
        }
    }
    if let Some(why) = unclear {
        return Seen::Unknown(why, None);
    }
    let (reason, path) = near_miss(sidecar, case.shape);
    Seen::Fail(vec![Sym::new(reason)], path)
}

/// What comes closest to the sidecar: the reason, and where it stands.
fn near_miss(sidecar: &SidecarRule, shape: &PodShape) -> (&'static str, Option<Sym>) {
    let path = |c: &patrol_core::facts::Container| Some(c.path.clone());
    let alike = || {
        shape.containers.iter().filter(|c| {
            sidecar
                .container
                .as_ref()
                .is_none_or(|g| g.matches(&c.name))
                && sidecar.images.matches(&c.image)
        })
    };
    if let Some(impostor) = sidecar.impostor(shape) {
        return ("impostor", path(impostor));
    }
    if let Some(elsewhere) = alike().find(|c| c.can_be_sidecar()) {
        return ("wrong-position", path(elsewhere));
    }
    if shape.annotations.has(VAULT_INIT_ONLY, "true") {
        return ("pre-populate-only", None);
    }
    if let Some(init) = alike().find(|c| c.role == Role::Init) {
        return ("init-only", path(init));
    }
    if let Some(ephemeral) = alike().find(|c| c.role == Role::Ephemeral) {
        return ("ephemeral-only", path(ephemeral));
    }
    if is_marked_injected(shape) {
        return ("marked-but-absent", None);
    }
    ("absent", None)
}

fn explanation(reasons: &[Sym]) -> &'static str {
    match reasons.first().map(Sym::as_str) {
        Some("impostor") => ": a container has its name, but runs a foreign image",
        Some("wrong-position") => ": it is there, but not in the required position",
        Some("pre-populate-only") => ": the injector was told to add an init container only",
        Some("init-only") => {
            ": it is only there as an init container, which ends before the application starts"
        }
        Some("ephemeral-only") => {
            ": it is only there as an ephemeral container, which is never restarted"
        }
        Some("marked-but-absent") => {
            ": the pod is marked as injected, but the container is not there"
        }
        _ => "",
    }
}
