//! Tests of `agent-version-mismatch`: versions, digests and revisions.

use patrol_api::words::Severity;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::testing::{
    Object, Said, World, ago, injector, namespace, node, pod, ready, virtual_node, workload,
};

const CHECK: &str = "agent-version-mismatch";
const GOOD: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const BAD: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

fn rule(sidecar: Value) -> World {
    World::new(json!({"checks": [{"name": "security-center", "sidecar": sidecar}]}))
        .with(node("n1"))
        .with(namespace("shop"))
}

fn said(world: &World, image: &str, image_id: &str) -> String {
    let mut status = ready();
    status["imageID"] = json!(image_id);
    let seen = world
        .clone()
        .with(pod("web-1").container("aegis", image, status))
        .verdict(CHECK, "Pod/web-1");
    match seen.said().as_str() {
        "Fail" => format!("Fail: {}", seen.reasons()),
        other => other.to_owned(),
    }
}

#[test]
fn a_tag_is_read_as_a_version() {
    let world = rule(json!({"container": "aegis", "minVersion": "3.2"}));
    for (image, expected) in [
        ("reg/aegis:3.2.0", "Pass"),
        ("reg/aegis:v3.10-alpine", "Pass"),
        ("reg/aegis:3.1.9", "Fail: below-minimum"),
        ("reg/aegis:latest", "Unknown(version-unreadable)"),
        ("reg:5000/aegis", "Unknown(version-unreadable)"),
        ("reg/aegis@sha256:00", "Unknown(version-unreadable)"),
    ] {
        assert_eq!(said(&world, image, ""), expected, "{image}");
    }
    let seen = world
        .with(pod("web-1").container("aegis", "reg/aegis:3.1", ready()))
        .verdict(CHECK, "Pod/web-1");
    assert_eq!(
        seen.judgement.message,
        "the pod carries the sidecar security-center in a version below 3.2"
    );
    assert_eq!(seen.judgement.paths, ["/spec/containers/1/image"]);
    assert_eq!(seen.severity, Severity::Medium);
}

#[test]
fn the_digest_of_the_spec_counts_first_then_the_one_that_runs() {
    let world = rule(json!({"container": "aegis", "digests": [GOOD]}));
    let pinned = |digest: &str| format!("reg/aegis:3@{digest}");
    let runs = |digest: &str| format!("docker-pullable://reg/aegis@{digest}");
    for (image, image_id, expected) in [
        (pinned(GOOD), runs(GOOD), "Pass"),
        // An index in the spec runs as one platform's manifest.
        (pinned(GOOD), runs(BAD), "Pass"),
        (pinned(BAD), runs(GOOD), "Pass"),
        (pinned(BAD), runs(BAD), "Fail: digest-not-allowed"),
        (pinned(BAD), String::new(), "Fail: digest-not-allowed"),
        ("reg/aegis:3".into(), runs(GOOD), "Pass"),
        (
            "reg/aegis:3".into(),
            runs(BAD),
            "Unknown(digest-not-comparable)",
        ),
        // The digest of the image's configuration compares with nothing.
        (
            "reg/aegis:3".into(),
            GOOD.into(),
            "Unknown(digest-not-comparable)",
        ),
    ] {
        assert_eq!(
            said(&world, &image, &image_id),
            expected,
            "{image} {image_id}"
        );
    }
}

#[test]
fn a_version_and_a_digest_together() {
    let world = rule(json!({"container": "aegis", "minVersion": "3.2", "digests": [GOOD]}));
    let good = format!("reg/aegis@{GOOD}");
    for (image, expected) in [
        // Approved by digest, whatever its version is.
        (good, "Pass"),
        (format!("reg/aegis:3.1@{GOOD}"), "Fail: below-minimum"),
        (format!("reg/aegis:3.3@{BAD}"), "Fail: digest-not-allowed"),
        ("reg/aegis:3.1".to_owned(), "Fail: below-minimum"),
        ("reg/aegis:3.3".to_owned(), "Unknown(digest-not-comparable)"),
    ] {
        assert_eq!(said(&world, &image, ""), expected, "{image}");
    }
}

#[test]
fn without_a_requirement_or_a_mark_there_is_nothing_to_judge() {
    let world = rule(json!({"container": "aegis"}));
    assert!(
        world
            .with(pod("web-1").container("aegis", "reg/aegis:1", ready()))
            .judge(CHECK)
            .is_empty()
    );
    let lacking = rule(json!({"container": "aegis", "minVersion": "3"})).with(pod("web-1"));
    assert_eq!(
        lacking.verdict(CHECK, "Pod/web-1").said(),
        "NotApplicable(Folded)"
    );
}

#[test]
fn in_files_the_templates_image_is_judged() {
    let web = workload("Deployment", "web").push(
        "/spec/template/spec/containers",
        json!({"name": "aegis", "image": "reg/aegis:3.1"}),
    );
    let world = rule(json!({"container": "aegis", "minVersion": "3.2"}))
        .files()
        .with(web);
    let seen = world.verdict(CHECK, "Deployment/web");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "below-minimum".into())
    );
    assert_eq!(
        seen.judgement.paths,
        ["/spec/template/spec/containers/1/image"]
    );
}

// ------------------------------------------------------------ stale injection

fn meshed(age: &str, revision: &str) -> Object {
    pod("web-1")
        .container("istio-proxy", "istio/proxyv2:1.20.1", ready())
        .patch(json!({"metadata": {"creationTimestamp": ago(age),
            "labels": {"istio.io/rev": revision},
            "annotations": {"sidecar.istio.io/status": "{}"}}}))
}

fn asks_for(revision: &str) -> Object {
    namespace("shop").patch(json!({"metadata": {"labels": {"istio.io/rev": revision}}}))
}

fn revision_webhook(labels: Value) -> Object {
    injector("istio-sidecar-injector").patch(json!({"metadata": {"labels": labels}}))
}

#[test]
fn an_istio_revision_that_the_namespace_no_longer_asks_for() {
    let world = rule(json!({"container": "istio-proxy"}))
        .with(asks_for("1-21"))
        .with(revision_webhook(json!({"istio.io/rev": "1-21"})));
    let stale = world.clone().with(meshed("8d", "1-20"));
    let seen = stale.verdict(CHECK, "Pod/web-1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "stale-injection".into())
    );
    assert_eq!(seen.severity, Severity::Low);
    let young = world
        .clone()
        .with(meshed("6d", "1-20"))
        .verdict(CHECK, "Pod/web-1");
    assert_eq!(young.said(), "Unknown(grace)");
    let recheck = young.judgement.recheck_at.unwrap();
    assert_eq!(recheck.since(crate::testing::now()).as_secs(), 86_400);
    assert_eq!(
        world
            .with(meshed("8d", "1-21"))
            .verdict(CHECK, "Pod/web-1")
            .said(),
        "Pass"
    );
}

#[test]
fn an_istio_tag_is_resolved_and_an_unknown_one_says_nothing() {
    let world = rule(json!({"container": "istio-proxy"})).with(asks_for("prod"));
    let tag = revision_webhook(json!({"istio.io/tag": "prod", "istio.io/rev": "1-21"}));
    let resolved = world.clone().with(tag.clone());
    assert_eq!(
        resolved
            .clone()
            .with(meshed("8d", "1-21"))
            .verdict(CHECK, "Pod/web-1")
            .said(),
        "Pass"
    );
    assert_eq!(
        resolved
            .with(meshed("8d", "1-20"))
            .verdict(CHECK, "Pod/web-1")
            .said(),
        "Fail"
    );
    assert!(
        world
            .clone()
            .with(meshed("8d", "1-20"))
            .judge(CHECK)
            .is_empty()
    );
    // A workload may choose its revision itself.
    let own = json!({"spec": {"template": {"metadata": {"labels": {"istio.io/rev": "1-20"}}}}});
    let chosen = world
        .with(tag)
        .with(workload("StatefulSet", "web").patch(own))
        .with(meshed("8d", "1-20").owned_by("apps/v1", "StatefulSet", "web"));
    assert!(chosen.judge(CHECK).is_empty());
}

fn linkerd_pod(name: &str, age: &str, version: &str) -> Object {
    pod(name)
        .container("linkerd-proxy", "cr.l5d.io/linkerd/proxy:x", ready())
        .patch(json!({"metadata": {"creationTimestamp": ago(age),
            "labels": {"linkerd.io/control-plane-ns": "linkerd"},
            "annotations": {"linkerd.io/proxy-version": version}}}))
}

#[test]
fn a_linkerd_proxy_older_than_its_injector_or_its_youngest_sibling() {
    let world = rule(json!({"container": "linkerd-proxy"})).with(linkerd_pod(
        "web-1",
        "8d",
        "stable-2.13.0",
    ));
    assert_eq!(world.verdict(CHECK, "Pod/web-1").said(), "Pass");
    let sibling = world
        .clone()
        .with(linkerd_pod("web-2", "1d", "stable-2.14.0"));
    assert_eq!(
        sibling.verdict(CHECK, "Pod/web-1").reasons(),
        "stale-injection"
    );
    assert_eq!(sibling.verdict(CHECK, "Pod/web-2").said(), "Pass");
    let injector = pod("proxy-injector-1")
        .container(
            "proxy-injector",
            "cr.l5d.io/linkerd/controller:stable-2.13.0",
            ready(),
        )
        .patch(json!({"metadata": {"namespace": "linkerd",
            "labels": {"linkerd.io/control-plane-component": "proxy-injector"}}}));
    assert_eq!(
        sibling.with(injector).verdict(CHECK, "Pod/web-1").said(),
        "Pass"
    );
}

fn sidecar_set(hash: &str) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet",
        "metadata": {"name": "security", "annotations": {"kruise.io/sidecarset-hash": hash}},
        "spec": {"containers": [{"name": "aegis", "image": "reg/aegis:3"}]}})
}

#[test]
fn a_sidecar_set_that_changed_after_the_injection() {
    let hash = json!({"security": {"hash": "h1", "updateTimestamp": ago("8d")}}).to_string();
    let injected = pod("web-1")
        .container("aegis", "reg/aegis:3", ready())
        .patch(json!({"metadata": {"creationTimestamp": ago("8d"),
            "annotations": {"kruise.io/sidecarset-hash": hash}}}));
    let world = rule(json!({"container": "aegis"})).with(injected);
    assert_eq!(
        world
            .clone()
            .with(sidecar_set("h1"))
            .verdict(CHECK, "Pod/web-1")
            .said(),
        "Pass"
    );
    let changed = world.clone().with(sidecar_set("h2"));
    assert_eq!(
        changed.verdict(CHECK, "Pod/web-1").reasons(),
        "stale-injection"
    );
    // Not installed: nothing to compare with, and no blind spot either.
    let without = world.not_installed(Kind::SidecarSet).inspect(CHECK);
    assert!(without.results.is_empty() && without.blind.is_empty());
}

// ------------------------------------------------------------ node agents

fn falco(min_version: Option<&str>) -> World {
    let mut agent = json!({"selector": {"matchLabels": {"app": "falco"}}});
    if let Some(min) = min_version {
        agent["minVersion"] = json!(min);
    }
    World::new(json!({"checks": [{"name": "falco", "nodeAgent": agent}]})).with(node("n1"))
}

fn falco_pod(name: &str, image: &str) -> Object {
    let mut agent = pod(name).patch(json!({"metadata": {"labels": {"app": "falco"}}}));
    agent.0["spec"]["containers"][0]["image"] = json!(image);
    agent
}

#[test]
fn a_node_agent_is_judged_on_its_node() {
    let world = falco(Some("0.38"));
    for (image, expected) in [
        ("falcosecurity/falco:0.38.1", "Pass"),
        ("falcosecurity/falco:0.37.1", "Fail"),
        ("falcosecurity/falco:latest", "Unknown(version-unreadable)"),
    ] {
        let seen = world
            .clone()
            .with(falco_pod("falco-1", image))
            .verdict(CHECK, "Node/n1");
        assert_eq!(seen.said(), expected, "{image}");
    }
    // A second agent pod in an old version is a finding of its node.
    let both = world
        .clone()
        .with(falco_pod("falco-1", "falcosecurity/falco:0.38.1"))
        .with(falco_pod("falco-2", "falcosecurity/falco:0.37.1"));
    let seen = both.verdict(CHECK, "Node/n1");
    assert_eq!(
        (seen.said(), seen.share(), seen.reasons()),
        ("Fail".into(), "1/2".into(), "below-minimum".into())
    );
    assert_eq!(
        world.verdict(CHECK, "Node/n1").said(),
        "NotApplicable(Folded)"
    );
    let on_virtual = world
        .with(virtual_node("n1"))
        .with(falco_pod("falco-1", "falco:0.37"));
    assert_eq!(
        on_virtual.verdict(CHECK, "Node/n1").said(),
        "NotApplicable(NotSelected)"
    );
    assert!(
        falco(None)
            .with(falco_pod("falco-1", "falco:0.1"))
            .judge(CHECK)
            .is_empty()
    );
}
