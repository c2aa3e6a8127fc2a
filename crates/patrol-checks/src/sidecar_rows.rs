//! The sidecar table: 28 situations, each one test named by its row, and the cases around
//! them.

use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::testing::{
    Object, Said, World, ago, bare_pod, deployment_of, ended, injector, namespace, node, pod,
    ready, virtual_node, waiting, workload,
};

const AEGIS: &str = "registry.example.com/security/aegis:3.2.1";
const MISSING: &str = "sidecar-missing";
const NOT_READY: &str = "sidecar-not-ready";
const OPTED_OUT: &str = "sidecar-injection-opted-out";
const NOT_INJECTABLE: &str = "sidecar-not-injectable";

fn rule(sidecar: Value) -> World {
    World::new(json!({"checks": [{"name": "security-center", "sidecar": sidecar}]}))
        .with(node("n1"))
        .with(namespace("shop"))
}

/// Name and image are required.
fn aegis() -> World {
    rule(json!({"container": "aegis", "images": ["security/aegis"]}))
}

fn istio() -> World {
    rule(json!({"container": "istio-proxy"}))
}

fn covered(name: &str) -> Object {
    pod(name).container("aegis", AEGIS, ready())
}

fn not_ready(patch: Value) -> Value {
    let mut status =
        json!({"ready": false, "started": true, "state": {"running": {"startedAt": ago("1h")}}});
    for (key, value) in patch.as_object().unwrap() {
        status[key] = value.clone();
    }
    status
}

/// The pod's own `Ready` condition is False since.
fn unready_since(since: &str) -> Value {
    json!({"status": {"conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": ago(since)}]}})
}

#[test]
fn row_01_a_pod_being_deleted_is_skipped() {
    let leaving = pod("web-1").patch(json!({"metadata": {"deletionTimestamp": ago("1m")}}));
    let world = aegis().with_all(deployment_of(vec![leaving, covered("web-2")]));
    let seen = world.verdict(MISSING, "Deployment/web");
    assert_eq!((seen.said(), seen.share()), ("Pass".into(), "0/1".into()));
}

#[test]
fn row_02_finished_pods_are_skipped() {
    for phase in ["Succeeded", "Failed"] {
        let done = pod("job-1").patch(json!({"status": {"phase": phase}}));
        let world = aegis()
            .with(workload("Job", "job"))
            .with(done.owned_by("batch/v1", "Job", "job"));
        for check in [MISSING, NOT_READY, NOT_INJECTABLE] {
            assert_eq!(
                world.verdict(check, "Job/job").said(),
                "NotApplicable(NoLivePods)",
                "{phase} {check}"
            );
        }
    }
}

fn pending(age: &str) -> Object {
    pod("web-1")
        .without("/spec/nodeName")
        .without("/status/containerStatuses")
        .patch(json!({"metadata": {"creationTimestamp": ago(age)}, "status": {"phase": "Pending"}}))
}

#[test]
fn row_03_a_pending_pod_within_its_grace_is_unknown() {
    let seen = aegis().with(pending("119s")).verdict(MISSING, "Pod/web-1");
    assert_eq!(seen.said(), "Unknown(grace)");
    let recheck = seen.judgement.recheck_at.unwrap();
    assert_eq!(recheck.since(crate::testing::now()).as_secs(), 1);
    // On a virtual node the sidecar is added after scheduling: five minutes.
    let on_virtual = pending("4m").patch(json!({"spec": {"nodeName": "v1"}}));
    let world = aegis().with(virtual_node("v1")).with(on_virtual.clone());
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Unknown(grace)");
    // Where every node is one, an unscheduled pod is bound for one.
    let serverless = World::new(
        json!({"checks": [{"name": "security-center", "sidecar": {"container": "aegis"}}]}),
    )
    .with(virtual_node("v1"))
    .with(pending("4m"));
    assert_eq!(
        serverless.verdict(MISSING, "Pod/web-1").said(),
        "Unknown(grace)"
    );
    // A grace that the policy names holds everywhere.
    let named = World::new(json!({"graces": {"podInjection": "3m"},
        "checks": [{"name": "security-center", "sidecar": {"container": "aegis"}}]}))
    .with(virtual_node("v1"))
    .with(on_virtual);
    assert_eq!(named.verdict(MISSING, "Pod/web-1").said(), "Fail");
}

#[test]
fn row_04_a_pending_pod_past_its_grace_lacks_the_sidecar() {
    let seen = aegis().with(pending("2m")).verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "absent".into())
    );
    assert_eq!(
        seen.judgement.message,
        "the pod lacks the sidecar security-center"
    );
}

fn native() -> Value {
    json!({"name": "aegis", "image": AEGIS, "restartPolicy": "Always"})
}

#[test]
fn row_05_a_native_sidecar_is_a_candidate() {
    let world = aegis().with(pod("web-1").init(native(), ready()));
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Pass");
    assert_eq!(world.verdict(NOT_READY, "Pod/web-1").said(), "Pass");
    let regular = rule(json!({"container": "aegis", "position": "Regular"}))
        .with(pod("web-1").init(native(), ready()));
    let seen = regular.verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "wrong-position".into())
    );
    assert_eq!(seen.judgement.paths, ["/spec/initContainers/0"]);
}

#[test]
fn row_06_a_plain_init_container_is_no_candidate() {
    let init = json!({"name": "aegis", "image": AEGIS});
    let world = aegis().with(pod("web-1").init(init, ended(0, "1h")));
    let seen = world.verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "init-only".into())
    );
}

#[test]
fn row_07_vault_that_only_populates_leaves_no_sidecar() {
    let init = json!({"name": "vault-agent-init", "image": "hashicorp/vault:1.15"});
    let world = rule(json!({"container": "vault-agent"})).with(
        pod("web-1")
            .init(init, ended(0, "1h"))
            .patch(json!({"metadata": {"annotations": {
            "vault.hashicorp.com/agent-inject": "true",
            "vault.hashicorp.com/agent-inject-status": "injected",
            "vault.hashicorp.com/agent-pre-populate-only": "true"}}})),
    );
    let seen = world.verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "pre-populate-only".into())
    );
}

#[test]
fn row_08_a_marker_without_the_container_is_no_proof() {
    let world = istio().with(pod("web-1").patch(
        json!({"metadata": {"annotations": {"sidecar.istio.io/status": "{\"revision\":\"default\"}"}}}),
    ));
    let seen = world.verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "marked-but-absent".into())
    );
}

#[test]
fn row_09_the_right_name_on_a_foreign_image_is_an_impostor() {
    let world =
        aegis().with(pod("web-1").container("aegis", "docker.io/library/busybox:1", ready()));
    let seen = world.verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "impostor".into())
    );
    assert_eq!(seen.judgement.paths, ["/spec/containers/1"]);
    assert!(
        seen.judgement.message.contains("foreign image"),
        "{}",
        seen.judgement.message
    );
}

#[test]
fn row_10_the_right_image_through_a_mirror_under_another_name_passes() {
    let mirrored = pod("web-1").container(
        "agent",
        "mirror.local:5000/registry.example.com/security/aegis@sha256:00",
        ready(),
    );
    let by_image = rule(json!({"images": ["security/aegis"]})).with(mirrored.clone());
    assert_eq!(by_image.verdict(MISSING, "Pod/web-1").said(), "Pass");
    assert_eq!(
        aegis().with(mirrored).verdict(MISSING, "Pod/web-1").said(),
        "Fail"
    );
}

#[test]
fn row_11_present_but_not_ready_past_the_grace() {
    let world = aegis().with(
        pod("web-1")
            .container("aegis", AEGIS, waiting("ImagePullBackOff"))
            .patch(unready_since("1h")),
    );
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Pass");
    let seen = world.verdict(NOT_READY, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "image-pull-back-off".into())
    );
    assert_eq!(
        seen.judgement.message,
        "the pod runs the sidecar security-center, but it is not ready (image-pull-back-off)"
    );
}

#[test]
fn row_11_graces_are_measured_from_the_start_or_the_fall() {
    let table = [
        // Never ready: ten minutes from the start.
        (
            "9m",
            not_ready(json!({"state": {"running": {"startedAt": ago("9m")}}})),
            "9m",
            "Unknown(grace)",
        ),
        (
            "1h",
            not_ready(json!({"state": {"running": {"startedAt": ago("10m")}}})),
            "1h",
            "Fail",
        ),
        // It was ready while it ran, and fell: five minutes from the fall.
        ("1h", not_ready(json!({})), "4m", "Unknown(grace)"),
        ("1h", not_ready(json!({})), "5m", "Fail"),
        // It was restarted: five minutes from the restart.
        (
            "1h",
            not_ready(json!({"restartCount": 1, "state": {"running": {"startedAt": ago("6m")}}})),
            "1h",
            "Fail",
        ),
        (
            "1h",
            not_ready(json!({"restartCount": 1, "state": {"running": {"startedAt": ago("4m")}}})),
            "1h",
            "Unknown(grace)",
        ),
        // A back-off carries no time of its own: from when the pod fell.
        ("1h", waiting("CrashLoopBackOff"), "11m", "Fail"),
    ];
    for (age, status, fell, expected) in table {
        let world = aegis().with(
            pod("web-1")
                .container("aegis", AEGIS, status.clone())
                .patch(unready_since(fell))
                .patch(json!({"metadata": {"creationTimestamp": ago(age)}})),
        );
        let seen = world.verdict(NOT_READY, "Pod/web-1");
        assert_eq!(seen.said(), expected, "{age} {status} {fell}");
        assert_eq!(seen.judgement.recheck_at.is_some(), expected != "Fail");
    }
    let custom = rule(json!({"container": "aegis", "ready": {"startGrace": "1m"}})).with(
        pod("web-1")
            .container("aegis", AEGIS, waiting("PodInitializing"))
            .patch(unready_since("2m")),
    );
    assert_eq!(custom.verdict(NOT_READY, "Pod/web-1").said(), "Fail");
}

#[test]
fn row_11_readiness_is_only_judged_where_it_is_required() {
    let world = rule(json!({"container": "aegis", "ready": {"required": false}})).with(
        pod("web-1")
            .container("aegis", AEGIS, waiting("ImagePullBackOff"))
            .patch(unready_since("1h")),
    );
    assert_eq!(
        world.verdict(NOT_READY, "Pod/web-1").said(),
        "NotApplicable(NotSelected)"
    );
}

#[test]
fn row_12_a_native_sidecar_that_started_and_is_not_ready() {
    let status =
        json!({"ready": false, "started": true, "state": {"running": {"startedAt": ago("1h")}}});
    let world = aegis().with(
        pod("web-1")
            .init(native(), status)
            .patch(unready_since("30m")),
    );
    let seen = world.verdict(NOT_READY, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "not-ready".into())
    );
    assert_eq!(seen.judgement.paths, ["/spec/initContainers/0"]);
}

#[test]
fn row_13_ready_without_a_readiness_probe_passes_with_a_note() {
    let seen = aegis()
        .with(covered("web-1"))
        .verdict(NOT_READY, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Pass".into(), "no-readiness-probe".into())
    );
    assert!(
        seen.judgement.message.contains("process runs"),
        "{}",
        seen.judgement.message
    );
    let mut probed = covered("web-1");
    probed.0["spec"]["containers"][1]["readinessProbe"] = json!({"httpGet": {"port": 1}});
    let seen = aegis().with(probed).verdict(NOT_READY, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Pass".into(), String::new())
    );
}

#[test]
fn row_14_a_sidecar_that_exited_with_zero_while_the_application_runs() {
    let world = aegis().with(workload("Job", "job")).with(
        pod("job-1")
            .container("aegis", AEGIS, ended(0, "10m"))
            .patch(unready_since("10m"))
            .owned_by("batch/v1", "Job", "job"),
    );
    let seen = world.verdict(NOT_READY, "Job/job");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "exited,completed".into())
    );
}

#[test]
fn row_15_a_sidecar_that_outlives_the_application_is_no_gap() {
    for status in [ready(), not_ready(json!({}))] {
        let mut done = covered("job-1").patch(unready_since("30m"));
        done.0["status"]["containerStatuses"] = json!([
            {"name": "app", "ready": false, "state": {"terminated": {"exitCode": 0, "finishedAt": ago("30m")}}},
            {"name": "aegis", "ready": status["ready"], "state": status["state"]},
        ]);
        let world = aegis()
            .with(workload("Job", "job"))
            .with(done.owned_by("batch/v1", "Job", "job"));
        assert_eq!(world.verdict(MISSING, "Job/job").said(), "Pass");
        let seen = world.verdict(NOT_READY, "Job/job");
        assert_eq!(
            (seen.said(), seen.reasons()),
            ("Pass".into(), "application-ended".into())
        );
    }
}

#[test]
fn row_16_a_container_marked_by_the_platform_is_present_and_its_readiness_unknown() {
    let marked = |status: Value| {
        let init = json!({"name": "aegis", "image": AEGIS, "env": [{"name": "__IS_SIDECAR__", "value": "true"}]});
        aegis().with(pod("web-1").init(init, status).patch(unready_since("1h")))
    };
    let stuck = marked(waiting("PodInitializing"));
    assert_eq!(stuck.verdict(MISSING, "Pod/web-1").said(), "Pass");
    assert_eq!(
        stuck.verdict(NOT_READY, "Pod/web-1").said(),
        "Unknown(readiness-unreported)"
    );
    assert_eq!(
        marked(ready()).verdict(NOT_READY, "Pod/web-1").said(),
        "Pass"
    );
}

#[test]
fn row_17_an_ephemeral_container_is_no_candidate() {
    let world = aegis().with(pod("web-1").push(
        "/spec/ephemeralContainers",
        json!({"name": "aegis", "image": AEGIS}),
    ));
    let seen = world.verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "ephemeral-only".into())
    );
}

#[test]
fn row_18_a_pod_on_the_hosts_network_is_not_injectable() {
    let host = pod("web-1").patch(json!({"spec": {"hostNetwork": true}}));
    for world in [aegis(), istio()] {
        let world = world.with_all(deployment_of(vec![host.clone()]));
        let seen = world.verdict(NOT_INJECTABLE, "Deployment/web");
        assert_eq!(
            (seen.said(), seen.reasons()),
            ("Fail".into(), "host-network".into())
        );
        assert_eq!(
            world.verdict(MISSING, "Deployment/web").said(),
            "NotApplicable(Folded)"
        );
    }
    // By hand is as good as injected.
    let by_hand = covered("web-1").patch(json!({"spec": {"hostNetwork": true}}));
    let world = aegis().with(by_hand);
    assert_eq!(world.verdict(NOT_INJECTABLE, "Pod/web-1").said(), "Pass");
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Pass");
    // The Vault agent injector takes pods on the host's network.
    let vault = rule(json!({"container": "vault-agent"})).with(host);
    assert_eq!(vault.verdict(NOT_INJECTABLE, "Pod/web-1").said(), "Pass");
    assert_eq!(vault.verdict(MISSING, "Pod/web-1").said(), "Fail");
}

#[test]
fn row_18_only_pods_that_can_be_injected_count_as_missing() {
    let host = pod("web-1").patch(json!({"spec": {"hostNetwork": true}}));
    let world = aegis().with_all(deployment_of(vec![host, pod("web-2"), covered("web-3")]));
    assert_eq!(world.verdict(MISSING, "Deployment/web").share(), "1/2");
    assert_eq!(
        world.verdict(NOT_INJECTABLE, "Deployment/web").share(),
        "1/3"
    );
}

#[test]
fn row_19_a_static_pod_is_not_injectable_under_its_own_name() {
    let mirror = pod("audit-n1")
        .patch(json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "abc"}}}))
        .owned_by("v1", "Node", "n1");
    let seen = aegis().with(mirror).verdict(NOT_INJECTABLE, "Pod/audit-n1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "mirror-pod".into())
    );
}

#[test]
fn row_20_windows_pods_need_nothing_unless_they_are_listed() {
    let windows = pod("web-1").patch(json!({"spec": {"os": {"name": "windows"}}}));
    for check in [MISSING, NOT_INJECTABLE] {
        let seen = aegis().with(windows.clone()).verdict(check, "Pod/web-1");
        assert_eq!(seen.said(), "NotApplicable(NotSelected)");
    }
    let listed = World::new(json!({
        "checks": [{"name": "security-center", "sidecar": {"container": "aegis"}}],
        "overrides": [{"check": "sidecar-*", "parameters": {"os": ["windows"]}}],
    }));
    let listed = listed.with(node("n1")).with(windows).with(pod("web-2"));
    assert_eq!(
        listed.verdict(NOT_INJECTABLE, "Pod/web-1").reasons(),
        "windows"
    );
    assert_eq!(
        listed.verdict(MISSING, "Pod/web-2").said(),
        "NotApplicable(NotSelected)"
    );
}

#[test]
fn row_21_a_rollout_is_one_verdict_with_counts() {
    let mut pods: Vec<Object> = (0..7).map(|i| covered(&format!("web-new-{i}"))).collect();
    pods.extend((0..3).map(|i| pod(&format!("web-old-{i}"))));
    let world = aegis().with_all(deployment_of(pods));
    let all = world.judge(MISSING);
    assert_eq!(all.len(), 1);
    let seen = world.verdict(MISSING, "Deployment/web");
    assert_eq!((seen.said(), seen.share()), ("Fail".into(), "3/10".into()));
    assert_eq!(
        seen.judgement.message,
        "3 of 10 pods lack the sidecar security-center"
    );
    assert_eq!(
        seen.judgement.affected.sample,
        ["web-old-0", "web-old-1", "web-old-2"]
    );
    let done = aegis().with_all(deployment_of(vec![covered("web-new-0")]));
    assert_eq!(done.verdict(MISSING, "Deployment/web").said(), "Pass");
}

#[test]
fn row_21_a_certain_failure_wins_over_a_grace() {
    let young = pod("web-2").patch(json!({"metadata": {"creationTimestamp": ago("10s")}}));
    let both = aegis().with_all(deployment_of(vec![pod("web-1"), young.clone()]));
    let seen = both.verdict(MISSING, "Deployment/web");
    assert_eq!((seen.said(), seen.share()), ("Fail".into(), "1/2".into()));
    let waiting = aegis().with_all(deployment_of(vec![covered("web-1"), young]));
    assert_eq!(
        waiting.verdict(MISSING, "Deployment/web").said(),
        "Unknown(grace)"
    );
}

#[test]
fn row_22_no_replicas_are_no_live_pods_and_not_fixed() {
    let idle = workload("Deployment", "web").patch(json!({"spec": {"replicas": 0}}));
    for world in [aegis().with(idle.clone()), aegis().files().with(idle)] {
        for check in [MISSING, NOT_READY, NOT_INJECTABLE] {
            let seen = world.verdict(check, "Deployment/web");
            assert_eq!(seen.said(), "NotApplicable(NoLivePods)", "{check}");
        }
    }
}

fn istio_webhook() -> Object {
    injector("istio-sidecar-injector").patch(json!({"webhooks": [
        {"name": "namespace.sidecar-injector.istio.io",
         "clientConfig": {"service": {"namespace": "istio-system", "name": "istiod"}},
         "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
         "objectSelector": {"matchExpressions": [
             {"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}]},
         "rules": [{"operations": ["CREATE"], "apiGroups": [""], "resources": ["pods"]}]},
        {"name": "object.sidecar-injector.istio.io",
         "clientConfig": {"service": {"namespace": "istio-system", "name": "istiod"}},
         "namespaceSelector": {"matchExpressions": [
             {"key": "istio-injection", "operator": "DoesNotExist"}]},
         "objectSelector": {"matchLabels": {"sidecar.istio.io/inject": "true"}},
         "rules": [{"operations": ["CREATE"], "apiGroups": [""], "resources": ["pods"]}]},
    ]}))
}

fn meshed(name: &str) -> Object {
    pod(name).container("istio-proxy", "docker.io/istio/proxyv2:1.20.1", ready())
}

#[test]
fn row_23_injection_disabled_later_is_told_while_the_pods_are_still_covered() {
    let world = istio()
        .with(istio_webhook())
        .with_all(deployment_of(vec![meshed("web-1")]));
    assert_eq!(world.verdict(MISSING, "Deployment/web").said(), "Pass");
    // The label was removed.
    let seen = world.verdict(OPTED_OUT, "Namespace/shop");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "not-selected".into())
    );
    assert_eq!(
        world.verdict(OPTED_OUT, "Deployment/web").said(),
        "NotApplicable(Folded)"
    );
    // The label was turned around.
    let off =
        namespace("shop").patch(json!({"metadata": {"labels": {"istio-injection": "disabled"}}}));
    let seen = world.clone().with(off).verdict(OPTED_OUT, "Namespace/shop");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "opted-out".into())
    );
    assert_eq!(seen.judgement.paths, ["/metadata/labels/istio-injection"]);
    // With the label it is right again.
    let on =
        namespace("shop").patch(json!({"metadata": {"labels": {"istio-injection": "enabled"}}}));
    let world = world.with(on);
    assert_eq!(world.verdict(OPTED_OUT, "Namespace/shop").said(), "Pass");
    assert_eq!(world.verdict(OPTED_OUT, "Deployment/web").said(), "Pass");
}

#[test]
fn row_24_of_two_required_sidecars_the_missing_one_is_named() {
    let world = World::new(json!({"checks": [
        {"name": "security-center", "sidecar": {"container": "aegis"}},
        {"name": "log-shipper", "sidecar": {"container": "logtail"}},
    ]}))
    .with(node("n1"))
    .with(covered("web-1"));
    let said: Vec<(String, String)> = world
        .judge(MISSING)
        .iter()
        .map(|r| (r.requirement.as_deref().unwrap_or("").to_owned(), r.said()))
        .collect();
    assert_eq!(
        said,
        [
            ("log-shipper".to_owned(), "Fail".to_owned()),
            ("security-center".to_owned(), "Pass".to_owned())
        ]
    );
}

#[test]
fn row_25_a_node_that_does_not_answer_leaves_the_status_unknown() {
    let silent = node("n1")
        .patch(json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}));
    let broken = pod("web-1")
        .container("aegis", AEGIS, waiting("CrashLoopBackOff"))
        .patch(unready_since("1h"));
    let world = aegis().with(silent).with(broken).with(pod("web-2"));
    assert_eq!(
        world.verdict(NOT_READY, "Pod/web-1").said(),
        "Unknown(node-not-ready)"
    );
    // What the spec says stays true.
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Pass");
    assert_eq!(world.verdict(MISSING, "Pod/web-2").said(), "Fail");
    let gone = covered("web-3").patch(json!({"spec": {"nodeName": "n9"}}));
    assert_eq!(
        aegis().with(gone).verdict(NOT_READY, "Pod/web-3").said(),
        "Unknown(node-gone)"
    );
}

#[test]
fn row_26_an_owner_that_cannot_be_read_fails_on_the_last_one_that_can() {
    let set = workload("ReplicaSet", "web-1").owned_by("argoproj.io/v1alpha1", "Rollout", "web");
    let world = aegis()
        .with(set)
        .with_all(["a", "b"].map(|n| pod(n).owned_by("apps/v1", "ReplicaSet", "web-1")));
    let seen = world.verdict(MISSING, "ReplicaSet/web-1");
    assert_eq!((seen.said(), seen.share()), ("Fail".into(), "2/2".into()));
    assert_eq!(seen.reasons(), "absent,owner-unreadable");
    assert_eq!(world.judge(MISSING).len(), 1);
}

/// Replica sets, each owned by the next one.
fn line_of(names: &[&str]) -> Vec<Object> {
    names
        .windows(2)
        .filter_map(|pair| match pair {
            [name, owner] => {
                Some(workload("ReplicaSet", name).owned_by("apps/v1", "ReplicaSet", owner))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn row_26_owners_in_a_ring_hide_nothing() {
    for ring in [
        vec!["a", "a"],
        vec!["a", "b", "a"],
        vec!["a", "b", "c", "a"],
    ] {
        let pods = ring
            .iter()
            .skip(1)
            .map(|owner| pod(&format!("of-{owner}")).owned_by("apps/v1", "ReplicaSet", owner));
        let world = aegis().with_all(pods).with_all(line_of(&ring));
        for owner in ring.iter().skip(1) {
            let seen = world.verdict(MISSING, &format!("ReplicaSet/{owner}"));
            let wanted = ("Fail".to_owned(), "1/1".to_owned());
            assert_eq!((seen.said(), seen.share()), wanted, "{ring:?}");
        }
        assert_eq!(world.judge(MISSING).len(), ring.len() - 1, "{ring:?}");
    }
}

#[test]
fn row_26_a_line_of_owners_without_end_hides_nothing() {
    let line = ["g", "f", "e", "d", "c", "b", "a"];
    let world = |line: &[&str]| {
        let first = *line.first().unwrap();
        aegis()
            .with_all(line_of(line))
            .with(workload("ReplicaSet", "a"))
            .with(pod("web").owned_by("apps/v1", "ReplicaSet", first))
    };
    // Six steps up is too far; five are followed.
    for (line, root) in [(&line[..], "g"), (&line[1..], "a")] {
        let world = world(line);
        let seen = world.verdict(MISSING, &format!("ReplicaSet/{root}"));
        assert_eq!((seen.said(), seen.share()), ("Fail".into(), "1/1".into()));
        let failing = world.judge(MISSING);
        let failing = failing.iter().filter(|j| j.said() == "Fail");
        assert_eq!(failing.count(), 1, "{root}");
    }
}

#[test]
fn row_27_a_namespace_on_its_way_out_is_skipped() {
    let leaving = namespace("shop").patch(json!({"status": {"phase": "Terminating"}}));
    let world = istio().with(leaving).with(pod("web-1"));
    for check in [MISSING, NOT_READY, NOT_INJECTABLE, OPTED_OUT] {
        let seen = world.verdict(check, "Pod/web-1");
        assert_eq!(seen.said(), "NotApplicable(Leaving)", "{check}");
    }
    assert_eq!(
        world.verdict(OPTED_OUT, "Namespace/shop").said(),
        "NotApplicable(Leaving)"
    );
}

#[test]
fn row_28_an_excluded_owner_kind_needs_nothing() {
    let world = World::new(json!({
        "checks": [{"name": "security-center", "sidecar": {"container": "aegis"}}],
        "overrides": [{"check": "sidecar-*", "parameters": {"excludeOwnerKinds": ["CronJob"]}}],
    }))
    .with(node("n1"))
    .with(workload("CronJob", "nightly"))
    .with(workload("Job", "nightly-1").owned_by("batch/v1", "CronJob", "nightly"))
    .with(pod("nightly-1-a").owned_by("batch/v1", "Job", "nightly-1"))
    .with(workload("Job", "once"))
    .with(pod("once-a").owned_by("batch/v1", "Job", "once"));
    let seen = world.verdict(MISSING, "CronJob/nightly");
    assert_eq!(seen.said(), "NotApplicable(NotSelected)");
    assert_eq!(world.verdict(MISSING, "Job/once").said(), "Fail");
}

// ------------------------------------------------------------ around the table

#[test]
fn a_pod_without_a_node_or_a_report_is_not_judged_for_readiness() {
    let unbound = covered("web-1")
        .without("/spec/nodeName")
        .patch(json!({"status": {"phase": "Pending"}}));
    assert_eq!(
        aegis().with(unbound).verdict(NOT_READY, "Pod/web-1").said(),
        "Unknown(unscheduled)"
    );
    let silent = covered("web-1").without("/status/containerStatuses");
    assert_eq!(
        aegis().with(silent).verdict(NOT_READY, "Pod/web-1").said(),
        "Unknown(status-missing)"
    );
    let lacking = aegis().with(pod("web-1"));
    assert_eq!(
        lacking.verdict(NOT_READY, "Pod/web-1").said(),
        "NotApplicable(Folded)"
    );
}

#[test]
fn only_selected_pods_need_it() {
    let world = rule(json!({"container": "aegis", "pods": {"matchLabels": {"tier": "front"}}}));
    let front = pod("web-1").patch(json!({"metadata": {"labels": {"tier": "front"}}}));
    let world = world.with(front).with(pod("web-2"));
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Fail");
    assert_eq!(
        world.verdict(MISSING, "Pod/web-2").said(),
        "NotApplicable(NotSelected)"
    );
}

#[test]
fn what_cannot_be_seen_is_unknown() {
    for kind in [Kind::Pod, Kind::Node, Kind::Namespace, Kind::ReplicaSet] {
        let world = aegis()
            .with_all(deployment_of(vec![pod("web-1")]))
            .denied(kind);
        let seen = world.verdict(MISSING, "Deployment/web");
        assert_eq!(seen.said(), "Unknown(AccessDenied)", "{kind}");
    }
}

#[test]
fn a_job_pod_that_the_injector_ignores_or_gives_no_token() {
    let system = pod("a").patch(json!({"metadata": {"namespace": "kube-system"}}));
    let seen = istio().with(namespace("kube-system")).with(system);
    assert_eq!(
        seen.verdict(NOT_INJECTABLE, "Pod/a").reasons(),
        "ignored-namespace"
    );
    let linkerd = rule(json!({"container": "linkerd-proxy"}));
    let no_token = pod("web-1").patch(json!({"spec": {"automountServiceAccountToken": false}}));
    let seen = linkerd
        .clone()
        .with(no_token.clone())
        .verdict(NOT_INJECTABLE, "Pod/web-1");
    assert_eq!(seen.reasons(), "no-token");
    assert_eq!(seen.judgement.paths, ["/spec/automountServiceAccountToken"]);
    let projected = no_token.patch(json!({"spec": {"volumes": [
        {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}}));
    assert_eq!(
        linkerd
            .with(projected)
            .verdict(NOT_INJECTABLE, "Pod/web-1")
            .said(),
        "Pass"
    );
}

// ------------------------------------------------------------ substitutes

fn agent_pod(name: &str, node: &str) -> Object {
    pod(name).patch(
        json!({"metadata": {"namespace": "security", "labels": {"app": "falco"}},
        "spec": {"nodeName": node}}),
    )
}

fn with_substitutes(substitutes: Value) -> World {
    World::new(json!({"checks": [
        {"name": "falco", "nodeAgent": {"selector": {"matchLabels": {"app": "falco"}}}},
        {"name": "security-center", "sidecar": {"container": "aegis", "substitutes": substitutes,
            "pods": {"matchLabels": {"app": "web"}}}},
    ]}))
    .with(node("n1"))
    .with(namespace("shop"))
}

#[test]
fn a_ready_node_agent_on_the_pods_node_stands_in() {
    let world =
        with_substitutes(json!([{"kind": "NodeAgent", "nodeAgent": "falco"}])).with(pod("web-1"));
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Fail");
    let elsewhere = world
        .clone()
        .with(node("n2"))
        .with(agent_pod("falco-2", "n2"));
    assert_eq!(elsewhere.verdict(MISSING, "Pod/web-1").said(), "Fail");
    let unready = world
        .clone()
        .with(agent_pod("falco-1", "n1").patch(unready_since("1h")));
    assert_eq!(unready.verdict(MISSING, "Pod/web-1").said(), "Fail");
    let world = world.with(agent_pod("falco-1", "n1"));
    let seen = world.verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Pass".into(), "node-agent".into())
    );
    assert!(
        seen.judgement.message.contains("falco"),
        "{}",
        seen.judgement.message
    );
    // The agent's word is as stale as its node.
    let silent =
        node("n1").patch(json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}));
    assert_eq!(
        world.with(silent).verdict(MISSING, "Pod/web-1").said(),
        "Unknown(node-not-ready)"
    );
}

#[test]
fn a_stand_in_covers_a_pod_that_cannot_be_injected() {
    let host = pod("web-1").patch(json!({"spec": {"hostNetwork": true}}));
    let world = with_substitutes(json!([{"kind": "NodeAgent", "nodeAgent": "falco"}])).with(host);
    assert_eq!(world.verdict(NOT_INJECTABLE, "Pod/web-1").said(), "Fail");
    let world = world.with(agent_pod("falco-1", "n1"));
    assert_eq!(world.verdict(NOT_INJECTABLE, "Pod/web-1").said(), "Pass");
}

#[test]
fn redirection_needs_a_ready_mesh_proxy_on_the_node() {
    let redirected = pod("web-1")
        .patch(json!({"metadata": {"annotations": {"ambient.istio.io/redirection": "enabled"}}}));
    let world = with_substitutes(json!([{"kind": "AmbientMesh"}])).with(redirected);
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Fail");
    let ztunnel = pod("ztunnel-1").patch(json!({"metadata": {"labels": {"app": "ztunnel"}}}));
    let unready = world
        .clone()
        .with(ztunnel.clone().patch(unready_since("1m")));
    assert_eq!(unready.verdict(MISSING, "Pod/web-1").said(), "Fail");
    let seen = world.with(ztunnel).verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Pass".into(), "ambient-mesh".into())
    );
}

#[test]
fn the_platforms_word_counts_on_virtual_nodes_only_and_is_called_attested() {
    let world = with_substitutes(json!([{"kind": "PlatformAttestation"}]));
    let on_virtual = pod("web-1").patch(json!({"spec": {"nodeName": "v1"}}));
    let world = world
        .with(virtual_node("v1"))
        .with(on_virtual)
        .with(pod("web-2"));
    let seen = world.verdict(MISSING, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Pass".into(), "attested".into())
    );
    assert!(
        seen.judgement.message.contains("not verified"),
        "{}",
        seen.judgement.message
    );
    assert_eq!(world.verdict(MISSING, "Pod/web-2").said(), "Fail");
}

#[test]
fn the_first_substitute_that_holds_is_named() {
    let order = |first: &str, second: &str| {
        let one = |kind: &str| match kind {
            "NodeAgent" => json!({"kind": kind, "nodeAgent": "falco"}),
            _ => json!({"kind": kind}),
        };
        with_substitutes(json!([one(first), one(second)]))
            .with(virtual_node("n1"))
            .with(pod("web-1"))
            .with(agent_pod("falco-1", "n1"))
            .verdict(MISSING, "Pod/web-1")
            .reasons()
    };
    assert_eq!(order("NodeAgent", "PlatformAttestation"), "node-agent");
    assert_eq!(order("PlatformAttestation", "NodeAgent"), "attested");
}

// ------------------------------------------------------------ files and templates

#[test]
fn in_files_a_template_counts_as_its_pod() {
    let world = aegis().files();
    let lacking = world.clone().with(workload("Deployment", "web"));
    let seen = lacking.verdict(MISSING, "Deployment/web");
    assert_eq!((seen.said(), seen.share()), ("Fail".into(), "1/1".into()));
    assert_eq!(
        seen.judgement.message,
        "its pod template lacks the sidecar security-center"
    );
    let seen = lacking.verdict(NOT_READY, "Deployment/web");
    assert_eq!(seen.said(), "NotApplicable(NotSelected)");
    let carrying = workload("Deployment", "web").push(
        "/spec/template/spec/containers",
        json!({"name": "aegis", "image": AEGIS}),
    );
    assert_eq!(
        world
            .clone()
            .with(carrying)
            .verdict(MISSING, "Deployment/web")
            .said(),
        "Pass"
    );
    let bare = world.clone().with(bare_pod("web-1"));
    assert_eq!(bare.verdict(MISSING, "Pod/web-1").said(), "Fail");
    assert_eq!(
        bare.verdict(NOT_READY, "Pod/web-1").said(),
        "NotApplicable(NotSelected)"
    );
    let impostor = workload("CronJob", "nightly").push(
        "/spec/jobTemplate/spec/template/spec/containers",
        json!({"name": "aegis", "image": "busybox"}),
    );
    let seen = world.with(impostor).verdict(MISSING, "CronJob/nightly");
    assert_eq!(
        seen.judgement.paths,
        ["/spec/jobTemplate/spec/template/spec/containers/1"]
    );
}

#[test]
fn in_files_a_pod_that_is_there_speaks_for_its_workload() {
    let world = aegis()
        .files()
        .with_all(deployment_of(vec![covered("web-1")]));
    assert_eq!(world.verdict(MISSING, "Deployment/web").said(), "Pass");
}

#[test]
fn a_workload_that_makes_no_pods_has_none_in_files_either() {
    for patch in [
        json!({"spec": {"suspend": true}}),
        json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
    ] {
        let world = aegis().files().with(workload("Job", "job").patch(patch));
        assert_eq!(
            world.verdict(MISSING, "Job/job").said(),
            "NotApplicable(NoLivePods)"
        );
    }
}

#[test]
fn in_a_cluster_templates_count_only_where_the_policy_says_so() {
    let web = workload("Deployment", "web");
    let world = aegis().with(web.clone());
    assert_eq!(
        world.verdict(MISSING, "Deployment/web").said(),
        "NotApplicable(NoLivePods)"
    );
    let world = rule(json!({"container": "aegis", "templates": true})).with(web);
    assert_eq!(world.verdict(MISSING, "Deployment/web").said(), "Fail");
    let unseen = world.denied(Kind::MutatingWebhookConfiguration);
    assert_eq!(
        unseen.verdict(MISSING, "Deployment/web").said(),
        "Unknown(injector-unseen)"
    );
}

#[test]
fn in_files_what_an_injector_would_add_is_unknown() {
    const INJECTED: &str = "Unknown(injected-at-admission)";
    let web = workload("Deployment", "web");
    let judge = |world: World| {
        world
            .files()
            .with(web.clone())
            .verdict(MISSING, "Deployment/web")
            .said()
    };
    // A known injector, switched on by the namespace or the template.
    let enabled =
        namespace("shop").patch(json!({"metadata": {"labels": {"istio-injection": "enabled"}}}));
    assert_eq!(judge(istio()), "Fail");
    assert_eq!(judge(istio().with(enabled.clone())), INJECTED);
    // That injector adds another sidecar.
    assert_eq!(judge(aegis().with(enabled.clone())), "Fail");
    let opted_out = web
        .clone()
        .patch(json!({"spec": {"template": {"metadata": {"labels": {
        "sidecar.istio.io/inject": "false"}}}}}));
    let world = istio().files().with(enabled).with(opted_out);
    assert_eq!(world.verdict(MISSING, "Deployment/web").said(), "Fail");
    // A webhook on the creation of pods that selects them.
    assert_eq!(judge(aegis().with(injector("any"))), INJECTED);
    let elsewhere = json!({"webhooks": [{"name": "w",
        "namespaceSelector": {"matchLabels": {"inject": "yes"}},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "resources": ["pods"]}]}]});
    assert_eq!(
        judge(aegis().with(injector("any").patch(elsewhere))),
        "Fail"
    );
    let on_nodes = json!({"webhooks": [{"name": "w",
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "resources": ["nodes"]}]}]});
    assert_eq!(judge(aegis().with(injector("any").patch(on_nodes))), "Fail");
    // The policy says that there is one.
    let named = rule(json!({"container": "aegis", "injector": {"webhook": "aegis-injector"}}));
    assert_eq!(judge(named.clone()), INJECTED);
    assert_eq!(judge(named.clone().with(injector("other"))), INJECTED);
    // The same bare, without the objects around it.
    let pod = named
        .files()
        .with(bare_pod("web-1"))
        .verdict(MISSING, "Pod/web-1");
    assert_eq!(pod.said(), INJECTED);
    // A SidecarSet.
    let set = |selector: Value| {
        json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet",
            "metadata": {"name": "aegis"}, "spec": {"selector": {"matchLabels": selector},
            "containers": [{"name": "aegis", "image": AEGIS}]}})
    };
    assert_eq!(judge(aegis().with(set(json!({"app": "web"})))), INJECTED);
    assert_eq!(judge(aegis().with(set(json!({"app": "other"})))), "Fail");
}

#[test]
fn in_files_a_node_agent_that_would_stand_in_is_unknown() {
    let world = with_substitutes(json!([{"kind": "NodeAgent", "nodeAgent": "falco"}]))
        .files()
        .with(workload("Deployment", "web"));
    assert_eq!(world.verdict(MISSING, "Deployment/web").said(), "Fail");
    let agent = workload("DaemonSet", "falco").patch(json!({"spec": {"template": {"metadata": {
        "labels": {"app": "falco"}}}}}));
    let seen = world.with(agent).verdict(MISSING, "Deployment/web");
    assert_eq!(seen.said(), "Unknown(substitute-unseen)");
}

// ------------------------------------------------------------ switched off

#[test]
fn a_marker_on_the_template_is_told_on_the_workload() {
    let marker = json!({"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}});
    let mut objects = deployment_of(vec![meshed("web-1")]);
    objects.push(workload("Deployment", "web").patch(json!({"spec": {"template": marker}})));
    let world = istio().with_all(objects);
    let seen = world.verdict(OPTED_OUT, "Deployment/web");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "opted-out".into())
    );
    assert_eq!(
        seen.judgement.paths,
        ["/spec/template/metadata/annotations/sidecar.istio.io~1inject"]
    );
    assert_eq!(world.verdict(OPTED_OUT, "Namespace/shop").said(), "Pass");
}

#[test]
fn a_marker_of_an_injector_that_adds_another_sidecar_says_nothing() {
    let marked =
        pod("web-1").patch(json!({"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}}));
    // No injector is known for the sidecar at all.
    assert!(aegis().with(marked.clone()).judge(OPTED_OUT).is_empty());
    let linkerd = rule(json!({"container": "linkerd-proxy"})).with(marked.clone());
    assert_eq!(linkerd.verdict(OPTED_OUT, "Pod/web-1").said(), "Pass");
    assert_eq!(
        istio().with(marked).verdict(OPTED_OUT, "Pod/web-1").said(),
        "Fail"
    );
}

#[test]
fn a_container_written_by_hand_needs_no_injector() {
    let hand = json!({"spec": {"template": {"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}}}});
    let web = workload("Deployment", "web").patch(hand).push(
        "/spec/template/spec/containers",
        json!({"name": "istio-proxy", "image": "istio/proxyv2"}),
    );
    let mut objects = deployment_of(vec![meshed("web-1")]);
    objects.push(web);
    assert_eq!(
        istio()
            .with_all(objects)
            .verdict(OPTED_OUT, "Deployment/web")
            .said(),
        "Pass"
    );
}

#[test]
fn the_policys_own_markers_replace_the_known_ones() {
    let world = rule(json!({"container": "aegis",
        "injector": {"optOut": ["security.example.com/inject=no", "tier=legacy"]}}));
    let by_annotation =
        pod("a").patch(json!({"metadata": {"annotations": {"security.example.com/inject": "no"}}}));
    let by_label = pod("b").patch(json!({"metadata": {"labels": {"tier": "legacy"}}}));
    let world = world.with(by_annotation).with(by_label).with(pod("c"));
    assert_eq!(world.verdict(OPTED_OUT, "Pod/a").said(), "Fail");
    assert_eq!(
        world.verdict(OPTED_OUT, "Pod/b").judgement.paths,
        ["/metadata/labels/tier"]
    );
    assert_eq!(world.verdict(OPTED_OUT, "Pod/c").said(), "Pass");
    let off = namespace("shop").patch(json!({"metadata": {"labels": {"tier": "legacy"}}}));
    let world = world.with(off);
    assert_eq!(world.verdict(OPTED_OUT, "Namespace/shop").said(), "Fail");
    assert_eq!(
        world.verdict(OPTED_OUT, "Pod/c").said(),
        "NotApplicable(Folded)"
    );
    assert_eq!(world.verdict(OPTED_OUT, "Pod/a").said(), "Fail");
}

#[test]
fn pods_that_are_selected_one_by_one_do_not_need_their_namespace() {
    let chosen = json!({"metadata": {"labels": {"sidecar.istio.io/inject": "true"}}});
    let world = istio()
        .with(istio_webhook())
        .with(meshed("web-1").patch(chosen));
    assert_eq!(world.verdict(OPTED_OUT, "Namespace/shop").said(), "Pass");
    let world = world.with(pod("web-2"));
    let seen = world.verdict(OPTED_OUT, "Namespace/shop");
    assert_eq!((seen.said(), seen.share()), ("Fail".into(), "1/2".into()));
    assert_eq!(seen.judgement.affected.sample, ["web-2"]);
}

#[test]
fn an_empty_namespace_and_one_that_no_injector_reaches_are_not_opted_out() {
    let off =
        namespace("shop").patch(json!({"metadata": {"labels": {"istio-injection": "disabled"}}}));
    let world = istio().with(off);
    assert_eq!(
        world.verdict(OPTED_OUT, "Namespace/shop").said(),
        "NotApplicable(NoLivePods)"
    );
    let host = pod("web-1").patch(json!({"spec": {"hostNetwork": true}}));
    let world = world.with(host);
    assert_eq!(world.verdict(OPTED_OUT, "Namespace/shop").said(), "Pass");
    assert_eq!(
        world.verdict(OPTED_OUT, "Pod/web-1").said(),
        "NotApplicable(Folded)"
    );
}

// ------------------------------------------------------------ found by mutation

#[test]
fn a_container_of_a_live_pod_is_no_place_in_its_workload() {
    let impostor = pod("web-1").container("aegis", "busybox", ready());
    let world = aegis().with_all(deployment_of(vec![impostor]));
    let seen = world.verdict(MISSING, "Deployment/web");
    assert_eq!(seen.reasons(), "impostor");
    assert!(seen.judgement.paths.is_empty());
}

#[test]
fn a_live_pod_was_admitted_whatever_an_injector_would_do_now() {
    let world = aegis().with(injector("any")).with(pod("web-1"));
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Fail");
    let dumped = aegis().files().with(injector("any")).with(pod("web-1"));
    assert_eq!(dumped.verdict(MISSING, "Pod/web-1").said(), "Fail");
}

#[test]
fn a_pod_that_is_nothing_but_the_sidecar_has_no_application_to_end() {
    let mut lonely = pod("web-1").patch(unready_since("1h"));
    lonely.0["spec"]["containers"] = json!([]);
    lonely.0["status"]["containerStatuses"] = json!([]);
    let lonely = lonely.container("aegis", AEGIS, waiting("ImagePullBackOff"));
    assert_eq!(
        aegis().with(lonely).verdict(NOT_READY, "Pod/web-1").said(),
        "Fail"
    );
}

#[test]
fn a_stand_in_that_cannot_be_seen_leaves_an_uninjectable_pod_unknown() {
    let host = pod("web-1").patch(json!({"spec": {"hostNetwork": true}}));
    let silent =
        node("n1").patch(json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}));
    let world = with_substitutes(json!([{"kind": "NodeAgent", "nodeAgent": "falco"}]))
        .with(silent)
        .with(host);
    assert_eq!(
        world.verdict(NOT_INJECTABLE, "Pod/web-1").said(),
        "Unknown(node-not-ready)"
    );
}

#[test]
fn a_mesh_proxy_without_redirection_covers_nothing() {
    let ztunnel = pod("ztunnel-1").patch(json!({"metadata": {"labels": {"app": "ztunnel"}}}));
    let world = with_substitutes(json!([{"kind": "AmbientMesh"}]))
        .with(ztunnel)
        .with(pod("web-1"));
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Fail");
    // In files the redirection is still to come.
    let ambient = namespace("shop")
        .patch(json!({"metadata": {"labels": {"istio.io/dataplane-mode": "ambient"}}}));
    let files = with_substitutes(json!([{"kind": "AmbientMesh"}]))
        .files()
        .with(workload("Deployment", "web"));
    assert_eq!(files.verdict(MISSING, "Deployment/web").said(), "Fail");
    let files = files.with(ambient);
    assert_eq!(
        files.verdict(MISSING, "Deployment/web").said(),
        "Unknown(injected-at-admission)"
    );
}

#[test]
fn an_agent_that_exists_elsewhere_does_not_cover_a_running_pod() {
    let agent = workload("DaemonSet", "falco")
        .patch(json!({"spec": {"template": {"metadata": {"labels": {"app": "falco"}}}}}));
    let world = with_substitutes(json!([{"kind": "NodeAgent", "nodeAgent": "falco"}]))
        .with(agent)
        .with(pod("web-1"));
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Fail");
}

fn sidecar_set(paused: bool) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet",
        "metadata": {"name": "aegis"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "injectionStrategy": {"paused": paused},
            "containers": [{"name": "aegis", "image": AEGIS}]}})
}

#[test]
fn a_sidecar_set_that_is_paused_adds_nothing() {
    let world = aegis().files().with(workload("Deployment", "web"));
    let judge = |paused: bool| {
        let world = world.clone().with(sidecar_set(paused));
        world.verdict(MISSING, "Deployment/web").said()
    };
    assert_eq!(judge(false), "Unknown(injected-at-admission)");
    assert_eq!(judge(true), "Fail");
}

#[test]
fn a_sidecar_set_reaches_pods_on_the_hosts_network() {
    let host = pod("web-1").patch(json!({"spec": {"hostNetwork": true}}));
    let world = aegis().with(sidecar_set(false)).with(host);
    assert_eq!(world.verdict(NOT_INJECTABLE, "Pod/web-1").said(), "Pass");
    assert_eq!(world.verdict(MISSING, "Pod/web-1").said(), "Fail");
}

#[test]
fn known_markers_do_not_count_where_the_policy_names_its_own() {
    let world = rule(json!({"container": "istio-proxy", "injector": {"optOut": ["mesh=off"]}}));
    let marked =
        pod("web-1").patch(json!({"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}}));
    let world = world.with(marked);
    assert_eq!(world.verdict(OPTED_OUT, "Pod/web-1").said(), "Pass");
}

#[test]
fn a_webhook_that_is_not_asked_about_new_pods_selects_no_namespace() {
    let mut updates = injector("istio-sidecar-injector");
    updates.0["webhooks"][0]["rules"][0]["operations"] = json!(["UPDATE"]);
    let world = istio()
        .with(updates)
        .with_all(deployment_of(vec![meshed("web-1")]));
    assert_eq!(
        world.verdict(OPTED_OUT, "Namespace/shop").reasons(),
        "not-selected"
    );
}

#[test]
fn what_a_namespace_that_is_switched_off_does_not_harm() {
    let judge = |objects: Vec<Object>| {
        let world = istio().with(istio_webhook()).with_all(objects);
        world.verdict(OPTED_OUT, "Namespace/shop").said()
    };
    assert_eq!(judge(deployment_of(vec![meshed("web-1")])), "Fail");
    // Its pods are selected one by one.
    let chosen = json!({"metadata": {"labels": {"sidecar.istio.io/inject": "true"}}});
    assert_eq!(
        judge(deployment_of(vec![meshed("web-1").patch(chosen)])),
        "Pass"
    );
    // The container stands in the template.
    let mut by_hand = deployment_of(vec![meshed("web-1")]);
    by_hand.push(workload("Deployment", "web").push(
        "/spec/template/spec/containers",
        json!({"name": "istio-proxy", "image": "istio/proxyv2"}),
    ));
    assert_eq!(judge(by_hand), "Pass");
    // The mesh covers them without a sidecar.
    let redirected = pod("web-1")
        .patch(json!({"metadata": {"annotations": {"ambient.istio.io/redirection": "enabled"}}}));
    let ztunnel = pod("ztunnel-1")
        .patch(json!({"metadata": {"namespace": "istio-system", "labels": {"app": "ztunnel"}}}));
    let world = rule(json!({"container": "istio-proxy", "substitutes": [{"kind": "AmbientMesh"}]}))
        .with(istio_webhook())
        .with_all(deployment_of(vec![redirected]));
    assert_eq!(world.verdict(OPTED_OUT, "Namespace/shop").said(), "Fail");
    let world = world.with(ztunnel);
    assert_eq!(world.verdict(OPTED_OUT, "Namespace/shop").said(), "Pass");
}
