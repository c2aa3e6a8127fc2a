//! `sidecar-not-ready`.
//! What: the required sidecar is in the pod and does not work.
//! Why: presence is not coverage; a crash-looping agent protects nothing.
//! Layer L3. Party: the customer, whose application it is.
//! Remedy: read the agent's logs and events.

use patrol_api::time::{Span, Time};
use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Exempt, Judgement, PartyBy, Unit, UnitKind, View,
};
use patrol_core::facts::{Container, ContainerState, ContainerStatus, PodShape, Role};
use patrol_core::inventory::Pod;
use patrol_core::rule::{Rule, RuleSpec, SidecarRule, is_up};
use patrol_core::sym::Sym;

use crate::pod_sets::{self, ByShape, Host, PARAMETERS, READS, host, required};
use crate::tally::{Seen, Tally, exempt};
use crate::words::{kebab, name_of};

/// The check.
pub struct SidecarNotReady;

static META: CheckMeta = CheckMeta {
    id: "sidecar-not-ready",
    title: "Required sidecar present but not ready",
    what: "Live pods that carry the required sidecar, whose status says not ready (native sidecars: or not started) \
           for longer than `ready.startGrace`, or than `ready.restartGrace` when it ran before. The kubelet's own word \
           (`crash-loop-back-off`, `image-pull-back-off` ...) becomes the reason. Unknown while the pod has no node, \
           its node does not answer or has not reported on the container, and for containers marked \
           `__IS_SIDECAR__`, whose status the platform does not keep. A pod whose application has ended is not \
           judged. Without a readiness probe, ready only says that the process runs; the verdict says so.",
    why: "Presence is not coverage: an agent that crash-loops, hangs or has exited protects nothing.",
    remediation: "Read the events of the pod and the logs of the sidecar's container, and mend what keeps it from \
                  starting.",
    layer: Layer::L3,
    party: PartyBy::CUSTOMER,
    severity: Severity::High,
    reads: READS,
    units: &[UnitKind::Root],
    block: Some(Block::Sidecar),
    parameters: PARAMETERS,
    references: &[],
};

impl Check for SidecarNotReady {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn check_parameter(&self, name: &str, values: &[String]) -> Result<(), String> {
        pod_sets::check_parameter(name, values)
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let (Unit::Root(root), RuleSpec::Sidecar(sidecar)) = (unit, &rule.spec) else {
            return;
        };
        if !sidecar.ready_required {
            let message = "the requirement does not ask for readiness";
            return out.push(exempt(view, root, Exempt::NotSelected, message));
        }
        let cases = match required(view, rule, sidecar, root) {
            Ok(cases) => cases,
            Err(why) => return out.push(exempt(view, root, why, "")),
        };
        if cases.iter().all(|case| case.is_unadmitted(view.origin)) {
            let message = "a manifest carries no status: readiness is not judged";
            return out.push(exempt(view, root, Exempt::NotSelected, message));
        }
        let mut found = ByShape::new();
        let mut tally = Tally::default();
        for case in &cases {
            let container = found.get(case.shape, |shape| sidecar.find(shape));
            let seen = match (container, case.pod) {
                (Some(container), Some(pod)) if !case.is_unadmitted(view.origin) => {
                    judge_pod(view, sidecar, container, pod)
                }
                _ => Seen::Skip,
            };
            tally.add(root, case, seen);
        }
        let name = name_of(rule);
        let judged = tally.judgement(
            view,
            root,
            |t| {
                let who = t.who(root, "runs", "run");
                let why: Vec<&str> = t.reasons.iter().map(Sym::as_str).collect();
                format!(
                    "{who} the sidecar {name}, but it is not ready ({})",
                    why.join(", ")
                )
            },
            |t| match t.notes.first() {
                Some((_, note)) => format!("the sidecar {name}: {note}"),
                None => format!("the sidecar {name} is ready"),
            },
        );
        out.push(judged.unwrap_or_else(|| {
            let message = "no pod of it carries the sidecar: see sidecar-missing";
            exempt(view, root, Exempt::Folded, message)
        }));
    }
}

fn judge_pod(view: &View<'_>, sidecar: &SidecarRule, container: &Container, pod: &Pod) -> Seen {
    match host(view, pod) {
        Host::Unscheduled => return Seen::Unknown("unscheduled", None),
        Host::Silent(why) => return Seen::Unknown(why, None),
        Host::Fine => {}
    }
    if has_application_ended(&pod.shape, container, pod) {
        let note = "the application has ended and the sidecar keeps the pod alive";
        return Seen::Pass(Some(("application-ended", note.to_owned())));
    }
    let Some(status) = pod.status.container(&container.name) else {
        return Seen::Unknown("status-missing", None);
    };
    if is_up(status) {
        let note = "ready, but without a readiness probe that only says that its process runs";
        let note = ("no-readiness-probe", note.to_owned());
        return Seen::Pass((!container.readiness_probe).then_some(note));
    }
    if container.sidecar_env {
        return Seen::Unknown("readiness-unreported", None);
    }
    let (since, ran_before) = not_ready_since(pod, status);
    let grace: Span = if ran_before {
        sidecar.restart_grace
    } else {
        sidecar.start_grace
    };
    if let Some(due) = since.map(|at| at.plus(grace)).filter(|due| *due > view.now) {
        return Seen::Unknown("grace", Some(due));
    }
    Seen::Fail(reasons(status), Some(container.path.clone()))
}

/// Every container but the sidecars has run to its end.
fn has_application_ended(shape: &PodShape, sidecar: &Container, pod: &Pod) -> bool {
    let mut others = shape
        .containers
        .iter()
        .filter(|c| c.role == Role::Regular && c.name != sidecar.name)
        .peekable();
    others.peek().is_some()
        && others.all(|c| {
            pod.status
                .container(&c.name)
                .is_some_and(|s| matches!(s.state, ContainerState::Terminated { .. }))
        })
}

/// Since when it has not been ready, as far as the pod tells, and whether it ran before.
/// The latest of the times that bound it counts: a false alarm costs more than a grace.
fn not_ready_since(pod: &Pod, status: &ContainerStatus) -> (Option<Time>, bool) {
    let entered = status.since;
    let fell = pod
        .ready_changed
        .filter(|_| pod.status.ready == Some(false));
    let since = [pod.created, entered, fell].into_iter().flatten().max();
    let ran_before = match status.state {
        ContainerState::Terminated { .. } => true,
        // The pod was ready while this container ran.
        ContainerState::Running if entered.is_some() && fell > entered => true,
        _ => status.restarted,
    };
    (since, ran_before)
}

fn reasons(status: &ContainerStatus) -> Vec<Sym> {
    match &status.state {
        ContainerState::Waiting(word) => vec![kebab(word)],
        ContainerState::Terminated { reason, .. } if reason.is_empty() => vec![Sym::new("exited")],
        ContainerState::Terminated { reason, .. } => vec![Sym::new("exited"), kebab(reason)],
        ContainerState::Running if status.started == Some(false) => vec![Sym::new("not-started")],
        ContainerState::Running | ContainerState::Unknown => vec![Sym::new("not-ready")],
    }
}
