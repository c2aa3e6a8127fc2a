//! Tests of what a kind that cannot be seen blinds: whatever needs it, and nothing else.

use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::testing::{Object, Said, World, deployment_of, namespace, node, pod, ready, workload};

const REFUSED: &str = "Unknown(AccessDenied)";

fn required(min_version: Option<&str>) -> World {
    let mut sidecar = json!({"container": "aegis"});
    if let Some(version) = min_version {
        sidecar["minVersion"] = json!(version);
    }
    World::new(json!({"checks": [{"name": "aegis", "sidecar": sidecar}]}))
        .with_all([namespace("shop"), node("n1")])
}

fn of_job(name: &str, job: &str) -> Object {
    pod(name).owned_by("batch/v1", "Job", job)
}

#[test]
fn a_refused_kind_of_owner_blinds_its_own_pods_alone() {
    let world = required(None)
        .with_all(deployment_of(vec![pod("web-1-a")]))
        .with(workload("StatefulSet", "db"))
        .with(pod("db-0").owned_by("apps/v1", "StatefulSet", "db"))
        .with(workload("Job", "once"))
        .with(of_job("once-a", "once"))
        // Its Job was never seen.
        .with(of_job("late-a", "late"))
        .with(pod("single"));
    let said = |world: &World, subject: &str| world.verdict("sidecar-missing", subject).said();
    let jobs = world.clone().denied(Kind::Job);
    for subject in ["Deployment/web", "StatefulSet/db", "Pod/single"] {
        assert_eq!(said(&jobs, subject), "Fail", "{subject}");
    }
    assert_eq!(said(&jobs, "Job/once"), REFUSED);
    assert_eq!(said(&jobs, "Pod/late-a"), REFUSED);
    // A Deployment is seen through its ReplicaSets.
    let sets = world.clone().denied(Kind::ReplicaSet);
    assert_eq!(said(&sets, "Deployment/web"), REFUSED);
    assert_eq!(said(&sets, "Job/once"), "Fail");
    // Pods, nodes and namespaces are part of every look.
    for kind in [Kind::Pod, Kind::Node, Kind::Namespace] {
        assert_eq!(said(&world.clone().denied(kind), "Pod/single"), REFUSED);
    }
    // A pod whose ReplicaSet has not been listed is no root that may be told.
    let unlisted = required(None)
        .with(pod("web-1-a").owned_by("apps/v1", "ReplicaSet", "web-1"))
        .unlisted(Kind::ReplicaSet);
    assert_eq!(said(&unlisted, "Pod/web-1-a"), "Unknown(Unsynced)");
}

#[test]
fn an_injector_that_cannot_be_seen_blurs_the_pods_that_carry_its_mark() {
    let with = |pod: Object| required(Some("2.0")).with(pod);
    let agent = |image: &str| pod("web").container("aegis", image, ready());
    let hash = "{\"agents\":{\"hash\":\"z\",\"sidecarSetName\":\"agents\"}}";
    let marked = json!({"metadata": {"annotations": {"kruise.io/sidecarset-hash": hash}}});
    let istio = json!({"metadata": {"annotations": {"sidecar.istio.io/status": "{}"}}});
    let said = |world: World| world.verdict("agent-version-mismatch", "Pod/web").said();
    for kind in [Kind::SidecarSet, Kind::MutatingWebhookConfiguration] {
        assert_eq!(
            said(with(agent("aegis:2.1")).denied(kind)),
            "Pass",
            "{kind}"
        );
        assert_eq!(
            said(with(agent("aegis:1.9")).denied(kind)),
            "Fail",
            "{kind}"
        );
    }
    for (kind, mark) in [
        (Kind::SidecarSet, &marked),
        (Kind::MutatingWebhookConfiguration, &istio),
    ] {
        let seen = agent("aegis:2.1").patch(mark.clone());
        assert_eq!(said(with(seen.clone())), "Pass", "{kind}");
        assert_eq!(said(with(seen).denied(kind)), "Unknown(injector-unseen)");
        let old = agent("aegis:1.9").patch(mark.clone());
        assert_eq!(said(with(old).denied(kind)), "Fail", "{kind}");
    }
}

fn component(alternative: Value) -> World {
    World::new(json!({"checks": [{"name": "engine", "component": {"anyOf": [alternative]}}]}))
}

#[test]
fn a_component_needs_the_kinds_of_its_alternatives_alone() {
    const KINDS: [Kind; 8] = [
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::ValidatingWebhookConfiguration,
        Kind::MutatingWebhookConfiguration,
        Kind::CustomResourceDefinition,
        Kind::ApiService,
        Kind::Node,
    ];
    for (alternative, needs) in [
        (
            json!({"workload": {"namespace": "sec", "name": "engine"}}),
            Kind::Deployment,
        ),
        (
            json!({"webhook": {"name": "engine", "covers": {"group": "", "resource": "pods",
                "operation": "CREATE"}}}),
            Kind::ValidatingWebhookConfiguration,
        ),
        (
            json!({"crd": {"name": "policies.example.com"}}),
            Kind::CustomResourceDefinition,
        ),
        (
            json!({"apiService": {"name": "v1.example.com"}}),
            Kind::ApiService,
        ),
    ] {
        for kind in KINDS {
            let world = component(alternative.clone()).denied(kind);
            let seen = world.inspect("component-missing");
            let verdicts: Vec<String> = seen.results.iter().map(Said::said).collect();
            if kind == needs {
                assert!(
                    verdicts.is_empty() && seen.blind.contains_key(&kind),
                    "{kind}"
                );
            } else {
                assert_eq!(verdicts, ["Fail"], "{kind} for {alternative}");
            }
        }
    }
}

#[test]
fn whether_a_workload_works_is_not_said_without_its_pods() {
    let world = component(json!({"workload": {"namespace": "shop", "name": "engine"}}))
        .with(workload("Deployment", "engine"));
    let said = |kind: Kind| {
        let seen = world.clone().denied(kind).inspect("component-unavailable");
        seen.blind.contains_key(&kind)
    };
    assert!(said(Kind::Pod) && said(Kind::ReplicaSet) && said(Kind::Deployment));
    assert!(!said(Kind::EndpointSlice) && !said(Kind::CustomResourceDefinition));
}

#[test]
fn a_kind_that_no_rule_needs_is_no_blind_spot() {
    let world = component(json!({"workload": {"namespace": "sec", "name": "engine"}}));
    let told = |kind: Kind| {
        let seen = world.clone().denied(kind).judge("kind-unreadable");
        let failing = seen.iter().filter(|r| r.said() == "Fail");
        failing
            .map(|r| r.judgement.subject.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(told(Kind::Deployment), ["deployments"]);
    assert!(told(Kind::CustomResourceDefinition).is_empty());
    assert!(told(Kind::SidecarSet).is_empty());
}
