//! What may stand in for a sidecar: the first that holds is named.
//! Never turns something unseen into a stand-in.

use patrol_api::words::Profile;
use patrol_core::check::{Glance, Origin, Reach, View};
use patrol_core::facts::{PodPhase, namespace_label};
use patrol_core::inventory::Pod;
use patrol_core::kind::Kind;
use patrol_core::pattern::ImageRef;
use patrol_core::rule::{NodeAgentRule, Rule, RuleSpec, SidecarRule, Substitute};

use crate::pod_sets::{Case, Host, host, is_on_virtual_node};

/// Whether something stands in for the sidecar of a pod.
pub(crate) enum StandIn {
    /// Yes: a word and a half-sentence.
    Yes(&'static str, String),
    /// Cannot be said.
    Unclear(&'static str),
    /// No.
    No,
}

/// The first substitute that holds for a pod; else whether one could not be told.
pub(crate) fn stand_in(
    view: &View<'_>,
    sidecar: &SidecarRule,
    namespace: &str,
    case: &Case<'_>,
) -> StandIn {
    let mut result = StandIn::No;
    for substitute in &sidecar.substitutes {
        match holds(view, substitute, namespace, case) {
            yes @ StandIn::Yes(..) => return yes,
            StandIn::Unclear(why) if matches!(result, StandIn::No) => {
                result = StandIn::Unclear(why);
            }
            _ => {}
        }
    }
    result
}

fn holds(view: &View<'_>, substitute: &Substitute, namespace: &str, case: &Case<'_>) -> StandIn {
    match substitute {
        Substitute::NodeAgent(name, agent) => {
            let runs = |pod: &Pod| agent.is_agent(pod);
            match on_node(view, case, &runs) {
                StandIn::No if case.is_unadmitted(view.origin) && has_agent(view, agent) => {
                    StandIn::Unclear("substitute-unseen")
                }
                StandIn::Yes(..) => StandIn::Yes(
                    "node-agent",
                    format!("covered by the node agent {name} on its node"),
                ),
                other => other,
            }
        }
        Substitute::AmbientMesh => ambient(view, namespace, case),
        Substitute::PlatformAttestation => {
            let placed = case.pod.is_none_or(|pod| pod.node.is_some());
            let serverless = view.profile == Profile::ServerlessManaged;
            if !placed && !serverless {
                StandIn::Unclear("unscheduled")
            } else if is_on_virtual_node(view, case.pod) {
                StandIn::Yes(
                    "attested",
                    "attested by the platform of the virtual node, not verified".to_owned(),
                )
            } else {
                StandIn::No
            }
        }
    }
}

/// Redirection alone proves nothing, it can outlive the mesh: the proxy must be ready.
fn ambient(view: &View<'_>, namespace: &str, case: &Case<'_>) -> StandIn {
    let redirected = case
        .shape
        .annotations
        .has("ambient.istio.io/redirection", "enabled");
    if !redirected {
        const MODE: &str = "istio.io/dataplane-mode";
        let fact = view.inventory.namespace(namespace);
        let mode = case
            .label(MODE)
            .or_else(|| namespace_label(namespace, fact, MODE));
        // The mark is written when the pod starts.
        return match mode {
            Some("ambient") if case.is_unadmitted(view.origin) => {
                StandIn::Unclear("injected-at-admission")
            }
            _ => StandIn::No,
        };
    }
    match on_node(view, case, &is_ztunnel) {
        StandIn::Yes(..) => StandIn::Yes(
            "ambient-mesh",
            "covered by the ambient mesh: redirected, with a ready proxy on its node".to_owned(),
        ),
        other => other,
    }
}

fn is_ztunnel(pod: &Pod) -> bool {
    pod.shape.labels.has("app", "ztunnel")
        || pod.shape.containers.iter().any(|c| {
            ImageRef::parse(&c.image)
                .repository
                .rsplit('/')
                .next()
                .is_some_and(|name| name == "ztunnel")
        })
}

/// A ready pod of a kind on the pod's node.
fn on_node(view: &View<'_>, case: &Case<'_>, is: &dyn Fn(&Pod) -> bool) -> StandIn {
    let Some(pod) = case.pod else {
        return StandIn::No;
    };
    let state = host(view, pod);
    let Some(node) = &pod.node else {
        return match view.origin {
            Origin::Cluster => StandIn::Unclear("unscheduled"),
            Origin::Files => StandIn::No,
        };
    };
    let ready = view
        .inventory
        .pods_on(node)
        .any(|other| is_at_work(other) && is(other));
    match state {
        Host::Silent(why) => StandIn::Unclear(why),
        _ if ready => StandIn::Yes("", String::new()),
        _ => StandIn::No,
    }
}

fn is_at_work(pod: &Pod) -> bool {
    pod.is_live() && pod.status.phase == PodPhase::Running && pod.status.ready == Some(true)
}

/// What the pods on its node see in a pod that may stand in for the sidecar of a rule.
pub(crate) fn glance(rule: &Rule, pod: &Pod) -> Option<Glance> {
    let RuleSpec::Sidecar(sidecar) = &rule.spec else {
        return None;
    };
    let stands_in = is_at_work(pod)
        && sidecar
            .substitutes
            .iter()
            .any(|substitute| match substitute {
                Substitute::NodeAgent(_, agent) => agent.is_agent(pod),
                Substitute::AmbientMesh => is_ztunnel(pod),
                Substitute::PlatformAttestation => false,
            });
    stands_in.then(|| Glance {
        reach: Reach::Node,
        state: "stands-in".into(),
    })
}

/// Whether pods of the agent are made at all, as far as that can be told.
fn has_agent(view: &View<'_>, agent: &NodeAgentRule) -> bool {
    if view.inventory.sight(Kind::DaemonSet).blindness().is_some() {
        return true;
    }
    view.inventory
        .workloads(Kind::DaemonSet)
        .any(|(key, daemon)| {
            daemon
                .template
                .as_ref()
                .is_some_and(|t| agent.is_template(&key.namespace, &t.shape))
        })
}
