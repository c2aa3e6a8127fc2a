//! Tests of the component checks: each form of a component, missing, down and there.

use serde_json::{Value, json};

use patrol_core::inventory::Instances;
use patrol_core::kind::Kind;

use crate::testing::{Object, Said, World, ago, injector, pod, workload};

const MISSING: &str = "component-missing";
const DOWN: &str = "component-unavailable";

fn world(any_of: Value) -> World {
    World::new(json!({"checks": [{"name": "engine", "component": {"anyOf": any_of}}]}))
}

/// `Fail not-installed`, `Pass` ...
fn missing(world: &World) -> String {
    let seen = world.verdict(MISSING, "Cluster/cluster");
    match seen.said().as_str() {
        "Fail" => format!("Fail {}", seen.reasons()),
        said => said.to_owned(),
    }
}

/// `Kind/name verdict reasons` of each subject.
fn down(world: &World) -> Vec<String> {
    world
        .judge(DOWN)
        .iter()
        .map(|r| {
            let s = &r.judgement.subject;
            format!("{}/{} {} {}", s.kind, s.name, r.said(), r.reasons())
                .trim_end()
                .to_owned()
        })
        .collect()
}

// ------------------------------------------------ workloads

fn by_name() -> Value {
    json!([{"workload": {"kind": "Deployment", "namespace": "shop", "name": "kyverno"}}])
}

fn kyverno(available: i64) -> Object {
    workload("Deployment", "kyverno").patch(json!({
        "metadata": {"generation": 3, "labels": {"app": "kyverno"}},
        "spec": {"replicas": 2, "template": {"spec": {"containers":
            [{"name": "k", "image": "ghcr.io/kyverno/kyverno:v1.12.1"}]}}},
        "status": {"observedGeneration": 3, "availableReplicas": available}}))
}

#[test]
fn a_workload_is_found_by_name_or_labels() {
    let by_labels = json!([{"workload": {"kind": "Deployment", "namespace": "shop",
        "selector": {"matchLabels": {"app": "kyverno"}}}}]);
    for any_of in [by_name(), by_labels] {
        let empty = world(any_of);
        assert_eq!(missing(&empty), "Fail not-installed");
        assert_eq!(missing(&empty.clone().with(kyverno(2))), "Pass");
        assert_eq!(
            down(&empty.clone().with(kyverno(2))),
            ["Deployment/kyverno Pass"]
        );
        let elsewhere = kyverno(2).patch(json!({"metadata": {"namespace": "other"}}));
        assert_eq!(
            missing(&empty.clone().with(elsewhere)),
            "Fail not-installed"
        );
        let other = kyverno(2).patch(json!({"metadata": {"name": "x", "labels": {"app": "x"}}}));
        assert_eq!(missing(&empty.with(other)), "Fail not-installed");
    }
}

#[test]
fn the_requirement_and_its_subject_identify_the_ticket() {
    let seen = world(by_name()).verdict(MISSING, "Cluster/cluster");
    assert_eq!(seen.requirement.as_deref(), Some("engine"));
    assert_eq!(seen.judgement.discriminator, None);
    assert!(
        seen.judgement
            .message
            .contains("no Deployment shop/kyverno"),
        "{}",
        seen.judgement.message
    );
}

#[test]
fn a_workload_must_run_the_right_image_new_enough() {
    let with = |extra: Value| {
        let mut target = json!({"kind": "Deployment", "namespace": "shop", "name": "kyverno"});
        for (k, v) in extra.as_object().unwrap() {
            target[k] = v.clone();
        }
        missing(&world(json!([{"workload": target}])).with(kyverno(2)))
    };
    assert_eq!(with(json!({"images": ["kyverno/kyverno"]})), "Pass");
    assert_eq!(
        with(json!({"images": ["gatekeeper/gatekeeper"]})),
        "Fail impostor"
    );
    assert_eq!(with(json!({"minVersion": "1.12"})), "Pass");
    assert_eq!(with(json!({"minVersion": "1.12.1"})), "Pass");
    assert_eq!(
        with(json!({"minVersion": "1.13"})),
        "Fail below-minimum-version"
    );
    let latest = kyverno(2).patch(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "k", "image": "kyverno:latest"}]}}}}));
    let any_of = json!([{"workload": {"kind": "Deployment", "namespace": "shop", "name": "kyverno", "minVersion": "1"}}]);
    assert_eq!(
        missing(&world(any_of).with(latest)),
        "Unknown(version-unreadable)"
    );
}

#[test]
fn too_few_available_pods_are_a_failure_of_the_workload() {
    let seen = world(by_name()).with(kyverno(0));
    assert_eq!(missing(&seen), "Pass", "it exists");
    assert_eq!(down(&seen), ["Deployment/kyverno Fail not-available"]);
    let two = json!([{"workload": {"kind": "Deployment", "namespace": "shop", "name": "kyverno", "minAvailable": 2}}]);
    assert_eq!(
        down(&world(two.clone()).with(kyverno(1))),
        ["Deployment/kyverno Fail not-available"]
    );
    assert_eq!(
        down(&world(two).with(kyverno(2))),
        ["Deployment/kyverno Pass"]
    );
    let zero = kyverno(0).patch(json!({"spec": {"replicas": 0}}));
    assert_eq!(
        down(&world(by_name()).with(zero)),
        ["Deployment/kyverno Fail scaled-to-zero"]
    );
}

#[test]
fn young_workloads_and_restarting_pods_have_a_grace() {
    let young = |age: &str| kyverno(0).patch(json!({"metadata": {"creationTimestamp": ago(age)}}));
    let seen = world(by_name())
        .with(young("9m"))
        .verdict(DOWN, "Deployment/kyverno");
    assert_eq!(seen.said(), "Unknown(grace)");
    assert_eq!(
        seen.judgement.recheck_at.map(|t| t.to_string()),
        Some("2026-01-31T12:01:00Z".into())
    );
    assert_eq!(
        down(&world(by_name()).with(young("10m"))),
        ["Deployment/kyverno Fail not-available"]
    );

    let restarting = |since: &str| {
        let set = workload("ReplicaSet", "kyverno-1").owned_by("apps/v1", "Deployment", "kyverno");
        let pod = pod("kyverno-1-a").owned_by("apps/v1", "ReplicaSet", "kyverno-1").patch(json!({
            "status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(since)}]}}));
        down(&world(by_name()).with(kyverno(0)).with_all([set, pod]))
    };
    assert_eq!(
        restarting("4m"),
        ["Deployment/kyverno Unknown(grace) grace"]
    );
    assert_eq!(restarting("5m"), ["Deployment/kyverno Fail not-available"]);
}

#[test]
fn a_status_of_an_older_generation_says_nothing() {
    let stale = |available| kyverno(available).patch(json!({"metadata": {"generation": 4}}));
    for available in [0, 2] {
        assert_eq!(
            down(&world(by_name()).with(stale(available))),
            ["Deployment/kyverno Unknown(rollout) rollout"]
        );
    }
}

#[test]
fn a_daemon_set_counts_its_own_way() {
    let any_of = json!([{"workload": {"kind": "DaemonSet", "namespace": "shop", "name": "csi"}}]);
    let csi = |available: i64| {
        workload("DaemonSet", "csi").patch(json!({"metadata": {"generation": 1},
            "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "numberAvailable": available}}))
    };
    assert_eq!(
        down(&world(any_of.clone()).with(csi(1))),
        ["DaemonSet/csi Pass"]
    );
    assert_eq!(
        down(&world(any_of).with(csi(0))),
        ["DaemonSet/csi Fail not-available"]
    );
}

#[test]
fn in_files_a_manifest_is_there_and_not_judged_for_work() {
    let files = world(by_name()).files();
    assert_eq!(missing(&files), "Fail not-installed");
    let manifest = files.clone().with(kyverno(2).without("/status"));
    assert_eq!(missing(&manifest), "Pass");
    assert_eq!(
        down(&manifest),
        ["Deployment/kyverno NotApplicable(NotSelected)"]
    );
    // A dump carries a status, which counts.
    assert_eq!(
        down(&files.with(kyverno(0))),
        ["Deployment/kyverno Fail not-available"]
    );
}

#[test]
fn a_workload_that_cannot_be_decoded_is_not_missing() {
    let broken = |name: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": "shop"}, "spec": {"replicas": "two"}})
    };
    assert_eq!(
        missing(&world(by_name()).with(broken("kyverno"))),
        "Unknown(undecodable)"
    );
    assert_eq!(
        missing(&world(by_name()).with(broken("other"))),
        "Fail not-installed"
    );
}

// ------------------------------------------------ alternatives

fn either() -> Value {
    json!([
        {"workload": {"kind": "Deployment", "namespace": "shop", "name": "kyverno"}},
        {"workload": {"kind": "Deployment", "namespace": "shop", "name": "gatekeeper"}},
    ])
}

#[test]
fn one_alternative_is_enough() {
    let gatekeeper =
        |available| kyverno(available).patch(json!({"metadata": {"name": "gatekeeper"}}));
    let none = world(either());
    let seen = none.verdict(MISSING, "Cluster/cluster");
    assert!(
        seen.judgement
            .message
            .contains("shop/kyverno; no Deployment shop/gatekeeper"),
        "{}",
        seen.judgement.message
    );
    assert_eq!(missing(&none.clone().with(gatekeeper(0))), "Pass");
    assert!(down(&none).is_empty(), "nothing there can be down");
    // One that works excuses one that does not.
    let mixed = none.clone().with(kyverno(0)).with(gatekeeper(2));
    assert_eq!(
        down(&mixed),
        ["Deployment/gatekeeper Pass", "Deployment/kyverno Pass"]
    );
    let both_down = none.with(kyverno(0)).with(gatekeeper(0));
    assert_eq!(
        down(&both_down),
        [
            "Deployment/gatekeeper Fail not-available",
            "Deployment/kyverno Fail not-available"
        ]
    );
}

#[test]
fn two_alternatives_on_one_object_are_one_subject() {
    let twice = json!([
        {"workload": {"kind": "Deployment", "namespace": "shop", "name": "kyverno", "minAvailable": 3}},
        {"workload": {"kind": "Deployment", "namespace": "shop", "name": "kyverno", "minAvailable": 2}},
    ]);
    assert_eq!(
        down(&world(twice.clone()).with(kyverno(2))),
        ["Deployment/kyverno Pass"]
    );
    assert_eq!(
        down(&world(twice).with(kyverno(1))),
        ["Deployment/kyverno Fail not-available"]
    );
}

// ------------------------------------------------ webhooks

fn webhook(extra: Value) -> Value {
    let mut block = json!({"kind": "Mutating", "name": "aegis-*"});
    for (k, v) in extra.as_object().unwrap() {
        block[k] = v.clone();
    }
    json!([{"webhook": block}])
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "injector", "namespace": "mesh"}})
}

fn endpoints(ready: bool) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "injector-1", "namespace": "mesh", "labels": {"kubernetes.io/service-name": "injector"}},
        "endpoints": [{"conditions": {"ready": ready}}]})
}

#[test]
fn a_webhook_must_cover_the_request_with_the_failure_policy() {
    let with = |extra: Value| missing(&world(webhook(extra)).with(injector("aegis-1")));
    assert_eq!(missing(&world(webhook(json!({})))), "Fail not-installed");
    assert_eq!(with(json!({})), "Pass");
    assert_eq!(
        with(json!({"covers": {"operation": "UPDATE"}})),
        "Fail not-covering"
    );
    assert_eq!(
        with(json!({"covers": {"group": "apps", "resource": "deployments"}})),
        "Fail not-covering"
    );
    assert_eq!(with(json!({"failurePolicy": "Fail"})), "Pass");
    assert_eq!(
        with(json!({"failurePolicy": "Ignore"})),
        "Fail failure-policy"
    );
    assert_eq!(with(json!({"kind": "Validating"})), "Fail not-installed");
    assert_eq!(with(json!({"name": "other"})), "Fail not-installed");
}

#[test]
fn a_webhook_works_while_its_service_has_a_ready_endpoint() {
    let world = world(webhook(json!({}))).with(injector("aegis-1"));
    let subject = "MutatingWebhookConfiguration/aegis-1";
    assert_eq!(down(&world), [format!("{subject} Fail service-missing")]);
    let world = world.with(service());
    assert_eq!(down(&world), [format!("{subject} Fail no-ready-endpoint")]);
    assert_eq!(
        down(&world.clone().with(endpoints(false))),
        [format!("{subject} Fail no-ready-endpoint")]
    );
    assert_eq!(
        down(&world.clone().with(endpoints(true))),
        [format!("{subject} Pass")]
    );
    let young = injector("aegis-1").patch(json!({"metadata": {"creationTimestamp": ago("1m")}}));
    assert_eq!(
        down(&world.clone().with(young)),
        [format!("{subject} Unknown(grace) grace")]
    );
    let mut by_url = injector("aegis-1");
    by_url.0["webhooks"][0]["clientConfig"] = json!({"url": "https://hook.example.com"});
    assert_eq!(down(&world.with(by_url)), [format!("{subject} Pass")]);
}

#[test]
fn in_files_endpoints_are_not_missed() {
    let files = world(webhook(json!({})))
        .files()
        .with(injector("aegis-1"))
        .with(service());
    assert_eq!(missing(&files), "Pass");
    assert_eq!(
        down(&files),
        ["MutatingWebhookConfiguration/aegis-1 NotApplicable(NotSelected)"]
    );
}

// ------------------------------------------------ CRDs and APIServices

const CRD: &str = "clusterpolicies.kyverno.io";

fn crd(established: &str) -> Object {
    Object(
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD},
        "spec": {"group": "kyverno.io", "names": {"kind": "ClusterPolicy", "plural": "clusterpolicies"},
            "versions": [{"name": "v1", "served": true}, {"name": "v1alpha1", "served": false}]},
        "status": {"conditions": [{"type": "Established", "status": established}]}}),
    )
}

#[test]
fn a_crd_must_be_established_and_serve_the_version() {
    let any = json!([{"crd": {"name": CRD}}]);
    assert_eq!(missing(&world(any.clone())), "Fail not-installed");
    assert_eq!(missing(&world(any.clone()).with(crd("True"))), "Pass");
    assert_eq!(
        missing(&world(any.clone()).with(crd("False"))),
        "Fail not-established"
    );
    assert_eq!(
        missing(&world(any.clone()).with(crd("True").without("/status"))),
        "Fail not-established"
    );
    assert_eq!(
        missing(&world(any).files().with(crd("True").without("/status"))),
        "Pass"
    );
    let version =
        |v: &str| missing(&world(json!([{"crd": {"name": CRD, "version": v}}])).with(crd("True")));
    assert_eq!(version("v1"), "Pass");
    assert_eq!(version("v1alpha1"), "Fail version-not-served");
    assert_eq!(version("v2"), "Fail version-not-served");
}

#[test]
fn an_engine_without_policies_is_missing_and_one_that_cannot_be_counted_is_unknown() {
    let world = world(json!([{"crd": {"name": CRD, "minInstances": 2}}])).with(crd("True"));
    assert_eq!(missing(&world), "Unknown(instances-unknown)");
    let with = |count| missing(&world.clone().counted(CRD, count));
    assert_eq!(
        with(Instances::Unknown("403".into())),
        "Unknown(instances-unknown)"
    );
    assert_eq!(with(Instances::AtLeast(1)), "Fail too-few-instances");
    assert_eq!(with(Instances::AtLeast(2)), "Pass");
}

fn api(available: Option<&str>) -> Object {
    let conditions: Vec<Value> = available
        .map(|status| json!({"type": "Available", "status": status, "reason": "FailedDiscoveryCheck"}))
        .into_iter()
        .collect();
    Object(
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {"service": {"namespace": "kube-system", "name": "metrics-server"}},
        "status": {"conditions": conditions}}),
    )
}

#[test]
fn an_api_service_must_be_registered_and_available() {
    let world = world(json!([{"apiService": {"name": "v1beta1.metrics.k8s.io"}}]));
    assert_eq!(missing(&world), "Fail not-installed");
    let with = |api: Object| {
        (
            missing(&world.clone().with(api.clone())),
            down(&world.clone().with(api)),
        )
    };
    let said = |verdict: &str| vec![format!("APIService/v1beta1.metrics.k8s.io {verdict}")];
    assert_eq!(with(api(Some("True"))), ("Pass".into(), said("Pass")));
    assert_eq!(
        with(api(Some("False"))),
        ("Pass".into(), said("Fail failed-discovery-check"))
    );
    assert_eq!(with(api(None)), ("Pass".into(), said("Fail no-condition")));
    let young = api(Some("False")).patch(json!({"metadata": {"creationTimestamp": ago("1m")}}));
    assert_eq!(with(young), ("Pass".into(), said("Unknown(grace) grace")));
    assert_eq!(
        down(&world.files().with(api(None))),
        said("NotApplicable(NotSelected)")
    );
}

#[test]
fn a_kind_that_cannot_be_read_leaves_the_component_unjudged() {
    let seen = world(by_name()).denied(Kind::Deployment).inspect(MISSING);
    assert!(seen.results.is_empty());
    assert!(seen.blind.contains_key(&Kind::Deployment));
}
