//! The DaemonSet controller, simulated: would it make a pod for this node, and if not, why.
//! It looks at the template and the node alone and never at what is really running.

use patrol_core::facts::{
    Labels, Node, NodeRequirement, NodeTerm, Operator, Taint, Template, Toleration,
};
use patrol_core::sym::Sym;

const OS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
const ARCH: [&str; 2] = ["kubernetes.io/arch", "beta.kubernetes.io/arch"];
const WINDOWS: &str = "windows";

/// What the controller does with a node, in the order in which it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission<'a> {
    /// The template is for another operating system or architecture.
    Platform,
    /// `spec.nodeSelector` does not match: the first key at fault.
    Selector(&'a Sym),
    /// Required node affinity does not match.
    Affinity,
    /// A taint that is not tolerated.
    Taint(&'a Taint),
    /// It makes a pod.
    Admitted,
}

impl Admission<'_> {
    /// The three ways to exclude a node that is of the right platform.
    pub const EXCLUSIONS: [&'static str; 3] = [
        "affinity-mismatch",
        "selector-mismatch",
        "taint-not-tolerated",
    ];

    /// How close it came to a pod.
    #[must_use]
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Platform => 0,
            Self::Selector(_) => 1,
            Self::Affinity => 2,
            Self::Taint(_) => 3,
            Self::Admitted => 4,
        }
    }

    /// The reason, for an exclusion.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Selector(_) => Some("selector-mismatch"),
            Self::Affinity => Some("affinity-mismatch"),
            Self::Taint(_) => Some("taint-not-tolerated"),
            Self::Platform | Self::Admitted => None,
        }
    }
}

/// Simulates the controller for one node.
#[must_use]
pub fn admission<'a>(template: &'a Template, name: &str, node: &'a Node) -> Admission<'a> {
    let scheduling = &template.scheduling;
    let labels = &node.meta.labels;
    let differs =
        |(key, value): &(&'a Sym, &Sym)| labels.get(key).map(Sym::as_str) != Some(value.as_str());
    let at_fault: Vec<(&'a Sym, &Sym)> = scheduling.node_selector.iter().filter(differs).collect();
    let is_other_platform = |(key, wanted): &(&Sym, &Sym)| {
        platform_of(node, key).is_some_and(|has| has != wanted.as_str())
    };
    if at_fault.iter().any(is_other_platform) {
        return Admission::Platform;
    }
    if let Some((key, _)) = at_fault.first() {
        return Admission::Selector(key);
    }
    if let Some(terms) = &scheduling.affinity.terms
        && !terms.iter().any(|t| term_matches(t, name, labels))
    {
        let other_platform = !terms.is_empty() && !terms.iter().any(|t| platform_holds(t, node));
        return if other_platform {
            Admission::Platform
        } else {
            Admission::Affinity
        };
    }
    match untolerated(template, node) {
        // Nothing in the template says that it runs there; the taint is what keeps it off.
        Some(_) if node.os.as_str() == WINDOWS && !names_windows(template) => Admission::Platform,
        Some(taint) => Admission::Taint(taint),
        None => Admission::Admitted,
    }
}

/// What is known of the node under a key that names a platform: its label, else what the
/// kubelet reports. `None`: no such key, or not known.
fn platform_of<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    let reported = match key {
        key if OS.contains(&key) => &node.os,
        key if ARCH.contains(&key) => &node.arch,
        _ => return None,
    };
    let label = node.meta.labels.get(key).unwrap_or(reported);
    Some(label.as_str()).filter(|value| !value.is_empty())
}

fn names_windows(template: &Template) -> bool {
    let expressions = template
        .scheduling
        .affinity
        .terms
        .iter()
        .flatten()
        .flat_map(|t| &t.expressions);
    template.shape.windows
        || expressions
            .filter(|e| OS.contains(&e.key.as_str()) && e.operator == Operator::In)
            .any(|e| e.values.iter().any(|v| v.as_str() == WINDOWS))
}

/// Whether what a term says about the platform holds, as far as it is known.
fn platform_holds(term: &NodeTerm, node: &Node) -> bool {
    term.expressions
        .iter()
        .all(|r| platform_of(node, &r.key).is_none_or(|value| requirement_holds(r, Some(value))))
}

fn term_matches(term: &NodeTerm, name: &str, labels: &Labels) -> bool {
    let expression =
        |r: &NodeRequirement| requirement_holds(r, labels.get(&r.key).map(Sym::as_str));
    // The only field there is.
    let field =
        |r: &NodeRequirement| r.key.as_str() == "metadata.name" && requirement_holds(r, Some(name));
    // A term without requirements matches no node.
    !(term.expressions.is_empty() && term.fields.is_empty())
        && term.expressions.iter().all(expression)
        && term.fields.iter().all(field)
}

fn requirement_holds(requirement: &NodeRequirement, value: Option<&str>) -> bool {
    let listed = |value: &str| requirement.values.iter().any(|v| v.as_str() == value);
    match requirement.operator {
        Operator::In => value.is_some_and(listed),
        Operator::NotIn => value.is_none_or(|v| !listed(v)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
        Operator::Gt => compares(requirement, value, |a, b| a > b),
        Operator::Lt => compares(requirement, value, |a, b| a < b),
        Operator::Unknown => false,
    }
}

/// Gt and Lt take exactly one value; both sides must be integers.
fn compares(r: &NodeRequirement, value: Option<&str>, holds: impl Fn(i64, i64) -> bool) -> bool {
    let [bound] = r.values.as_ref() else {
        return false;
    };
    match (value.map(str::parse), bound.parse()) {
        (Some(Ok(value)), Ok(bound)) => holds(value, bound),
        _ => false,
    }
}

/// The first taint that keeps the pod off.
fn untolerated<'a>(template: &Template, node: &'a Node) -> Option<&'a Taint> {
    node.taints
        .iter()
        .filter(|t| matches!(t.effect.as_str(), "NoSchedule" | "NoExecute"))
        .filter(|t| !is_tolerated_by_controller(t, template.shape.host_network))
        .find(|t| {
            !template
                .scheduling
                .tolerations
                .iter()
                .any(|toleration| tolerates(toleration, t))
        })
}

/// Tolerations that the controller adds to every pod it makes (its `util.AddOrUpdateDaemonPodTolerations`).
fn is_tolerated_by_controller(taint: &Taint, host_network: bool) -> bool {
    match (taint.key.as_str(), taint.effect.as_str()) {
        ("node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable", "NoExecute")
        | (
            "node.kubernetes.io/disk-pressure"
            | "node.kubernetes.io/memory-pressure"
            | "node.kubernetes.io/pid-pressure"
            | "node.kubernetes.io/unschedulable",
            "NoSchedule",
        ) => true,
        ("node.kubernetes.io/network-unavailable", "NoSchedule") => host_network,
        _ => false,
    }
}

/// core/v1 `Toleration.ToleratesTaint`: empty effect and empty key match any.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    let key = toleration.key.is_empty() || toleration.key == taint.key;
    effect && key && (toleration.exists || toleration.value == taint.value)
}
