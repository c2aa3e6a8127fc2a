//! Checks that fail by a label: `bad` on a pod, on a node, or (always on) on a
//! namespace. Other labels bring the other verdicts.

use patrol_api::ticket::Subject;
use patrol_api::time::Time;
use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    ALERTS_UNDELIVERED, Check, CheckMeta, Exempt, Judgement, PartyBy, Progress, Unit, UnitKind,
    Verdict, View, cluster_subject, root_subject,
};
use patrol_core::facts::namespace_label;
use patrol_core::kind::Kind;
use patrol_core::rule::{Baseline, Catalogue, Rule};
use patrol_core::sym::Sym;

pub const CATALOGUE: Catalogue = Catalogue {
    checks: &[&PodBad, &NodeBad, &NamespaceBad],
    baselines: &[Baseline {
        name: "test",
        description: "what the tests use",
        checks: &["pod-bad", "node-bad"],
    }],
    always_on: &["namespace-bad"],
};

/// With a check of how the product's own work goes.
pub const WITH_OWN_WORK: Catalogue = Catalogue {
    checks: &[&PodBad, &NodeBad, &NamespaceBad, &WorkStalled],
    baselines: CATALOGUE.baselines,
    always_on: &["namespace-bad", "work-stalled"],
};

/// With a check of waivers themselves.
pub const WITH_WAIVERS: Catalogue = Catalogue {
    checks: &[&PodBad, &NodeBad, &NamespaceBad, &WaiverOver],
    baselines: CATALOGUE.baselines,
    always_on: &["namespace-bad", "waiver-over"],
};

/// With a check of pods and of whole namespaces.
pub const WITH_NAMESPACES: Catalogue = Catalogue {
    checks: &[&PodBad, &NodeBad, &NamespaceBad, &OptedOut],
    baselines: &[Baseline {
        name: "test",
        description: "what the tests use",
        checks: &["opted-out"],
    }],
    always_on: &["namespace-bad"],
};

const fn meta(
    id: &'static str,
    reads: &'static [Kind],
    units: &'static [UnitKind],
    severity: Severity,
) -> CheckMeta {
    CheckMeta {
        id,
        title: "a label says that it is bad",
        what: "",
        why: "",
        remediation: "remove the label",
        layer: Layer::L6,
        party: PartyBy::CUSTOMER,
        severity,
        reads,
        units,
        block: None,
        parameters: &[],
        references: &[],
    }
}

static POD: CheckMeta = meta("pod-bad", &[Kind::Pod], &[UnitKind::Root], Severity::High);
static OPTED_OUT: CheckMeta = meta(
    "opted-out",
    &[Kind::Pod, Kind::Namespace],
    &[UnitKind::Root, UnitKind::Namespace],
    Severity::High,
);
static NODE: CheckMeta = meta("node-bad", &[Kind::Node], &[UnitKind::Node], Severity::Low);
static WORK: CheckMeta = meta(
    "work-stalled",
    &[],
    &[UnitKind::Cluster],
    Severity::Critical,
);
static WAIVER: CheckMeta = meta(
    "waiver-over",
    &[Kind::TicketWaiver],
    &[UnitKind::Cluster],
    Severity::Low,
);
static NAMESPACE: CheckMeta = meta(
    "namespace-bad",
    &[Kind::Namespace],
    &[UnitKind::Cluster],
    Severity::Medium,
);

fn judge<'v>(subject: Subject, now: Time, label: impl Fn(&str) -> Option<&'v str>) -> Judgement {
    let mut recheck = None;
    let verdict = if label("unknown").is_some() {
        Verdict::Unknown(Sym::new("unknown"))
    } else if label("empty").is_some() {
        Verdict::NotApplicable(Exempt::NoLivePods)
    } else if let Some(until) = label("grace-until") {
        let until = Time::from_unix(until.parse().unwrap());
        recheck = Some(until);
        if until > now {
            Verdict::Unknown(Sym::new("grace"))
        } else {
            Verdict::Fail
        }
    } else if label("bad").is_some() {
        Verdict::Fail
    } else {
        Verdict::Pass
    };
    let mut judgement = Judgement::new(subject, verdict)
        .message(format!("bad is {}", label("bad").unwrap_or("not set")))
        .recheck(recheck);
    judgement.severity = label("severity").map(|s| s.parse().unwrap());
    // Only time makes it worse, and the verdict does not say when.
    if let Some(from) = label("worse-from") {
        let from = Time::from_unix(from.parse().unwrap());
        judgement.severity = (from <= now).then_some(Severity::Critical);
    }
    judgement
}

struct PodBad;
impl Check for PodBad {
    fn meta(&self) -> &'static CheckMeta {
        &POD
    }
    fn judge(&self, view: &View<'_>, _: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        if let Unit::Root(root) = unit
            && let Some(pod) = view.inventory.pod_at(&root.key)
        {
            let subject = root_subject(view.inventory, root);
            out.push(judge(subject, view.now, |key| pod.label(key)));
        }
    }
}

/// A label `out` on a pod, or on its namespace: `yes`, or how severe that is.
struct OptedOut;
impl Check for OptedOut {
    fn meta(&self) -> &'static CheckMeta {
        &OPTED_OUT
    }
    fn judge(&self, view: &View<'_>, _: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let (subject, is_out) = match unit {
            Unit::Root(root) => {
                let Some(pod) = view.inventory.pod_at(&root.key) else {
                    return;
                };
                (root_subject(view.inventory, root), pod.label("out"))
            }
            Unit::Namespace(name) => {
                let namespace = view.inventory.namespace(name);
                let subject = cluster_subject(Kind::Namespace, name, &Default::default());
                (subject, namespace_label(name, namespace, "out"))
            }
            Unit::Node(_) | Unit::Cluster => return,
        };
        let verdict = match is_out {
            Some(_) => Verdict::Fail,
            None => Verdict::Pass,
        };
        let mut judgement = Judgement::new(subject, verdict);
        judgement.severity = is_out.and_then(|severity| severity.parse().ok());
        out.push(judgement);
    }
}

struct NodeBad;
impl Check for NodeBad {
    fn meta(&self) -> &'static CheckMeta {
        &NODE
    }
    fn judge(&self, view: &View<'_>, _: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        if let Unit::Node(name) = unit
            && let Some(node) = view.inventory.node(name)
        {
            let subject = cluster_subject(Kind::Node, name, &node.meta.uid);
            let label = |key: &str| node.meta.labels.get(key).map(Sym::as_str);
            out.push(judge(subject, view.now, label));
        }
    }
}

struct NamespaceBad;
impl Check for NamespaceBad {
    fn meta(&self) -> &'static CheckMeta {
        &NAMESPACE
    }
    fn judge(&self, view: &View<'_>, _: &Rule, _: &Unit, out: &mut Vec<Judgement>) {
        for (name, namespace) in view.inventory.namespaces() {
            let subject = cluster_subject(Kind::Namespace, name, &Default::default());
            let bad = namespace_label(name, Some(namespace), "bad").is_some();
            out.push(judge(subject, view.now, |key| {
                (key == "bad" && bad).then_some("yes")
            }));
        }
    }
}

struct WorkStalled;
impl Check for WorkStalled {
    fn meta(&self) -> &'static CheckMeta {
        &WORK
    }
    fn judge(&self, view: &View<'_>, _: &Rule, _: &Unit, out: &mut Vec<Judgement>) {
        for (policy, work) in &view.own.work {
            let both = [work.patrols, work.alerts];
            let verdict = if both.contains(&Progress::Stalled) {
                Verdict::Fail
            } else if both.contains(&Progress::Unsure) {
                Verdict::Unknown(Sym::new("unsure"))
            } else {
                Verdict::Pass
            };
            let subject = cluster_subject(Kind::PatrolPolicy, policy, &Default::default());
            let mut said = Judgement::new(subject, verdict).message("stalled");
            if work.alerts == Progress::Stalled {
                said = said.reason(ALERTS_UNDELIVERED);
            }
            out.push(said);
        }
    }
}

struct WaiverOver;
impl Check for WaiverOver {
    fn meta(&self) -> &'static CheckMeta {
        &WAIVER
    }
    fn judge(&self, view: &View<'_>, _: &Rule, _: &Unit, out: &mut Vec<Judgement>) {
        for (key, waiver) in &view.own.waivers {
            let info = Kind::TicketWaiver.info();
            let subject = Subject {
                group: info.group.to_owned(),
                kind: info.kind.to_owned(),
                namespace: Some(key.namespace.to_string()),
                name: key.name.to_string(),
                uid: waiver.uid.clone(),
            };
            let verdict = match waiver.standing.holds() {
                true => Verdict::Pass,
                false => Verdict::Fail,
            };
            out.push(Judgement::new(subject, verdict).message("over"));
        }
    }
}
