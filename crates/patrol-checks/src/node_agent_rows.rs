//! Tests of the node-agent checks: each situation of a node, numbered, each
//! reason, and the checks beside it.

use serde_json::{Value, json};

use patrol_core::kind::Kind;

use crate::testing::{
    Object, Said, World, ago, deployment_of, node, pod, ready, virtual_node, waiting, workload,
};

const MISSING: &str = "node-agent-missing";
const NOT_READY: &str = "node-agent-not-ready";
const EXCLUDED: &str = "node-agent-excluded";
const COMPONENT: &str = "component-missing";
const UNCOVERED: &str = "virtual-node-pod-uncovered";

fn world_of(agent: Value) -> World {
    let mut block = json!({"selector": {"matchLabels": {"app": "falco"}}});
    for (key, value) in agent.as_object().unwrap() {
        block[key] = value.clone();
    }
    World::new(json!({"checks": [
        {"name": "falco", "nodeAgent": block},
        {"name": "aegis", "sidecar": {"container": "aegis"}},
    ]}))
}

/// A requirement for the agent `falco`, and its DaemonSet.
fn world() -> World {
    world_of(json!({})).with(daemon(json!({})))
}

fn daemon(template_spec: Value) -> Object {
    workload("DaemonSet", "falco").patch(json!({
        "metadata": {"namespace": "sec", "generation": 1},
        "spec": {"template": {"metadata": {"labels": {"app": "falco"}}, "spec": template_spec}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2,
                   "numberAvailable": 2},
    }))
}

fn agent(name: &str, on: &str) -> Object {
    pod(name)
        .patch(json!({"metadata": {"namespace": "sec", "labels": {"app": "falco"}}, "spec": {"nodeName": on}}))
        .owned_by("apps/v1", "DaemonSet", "falco")
}

/// An agent pod that the DaemonSet made for a node and that is not bound.
fn unbound(name: &str, pinned: &str, age: &str) -> Object {
    agent(name, "x").without("/spec/nodeName").without("/status").patch(json!({
        "metadata": {"creationTimestamp": ago(age)},
        "spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": [pinned]}]}]}}}},
        "status": {"phase": "Pending"},
    }))
}

fn not_ready(since: &str) -> Value {
    json!({"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(since)}]}})
}

fn tainted(name: &str, key: &str) -> Object {
    node(name).push(
        "/spec/taints",
        json!({"key": key, "value": "gpu", "effect": "NoSchedule"}),
    )
}

fn missing(world: &World, name: &str) -> String {
    let seen = world.verdict(MISSING, &format!("Node/{name}"));
    match seen.said().as_str() {
        "Fail" => format!("Fail {}", seen.reasons()),
        said => said.to_owned(),
    }
}

// ------------------------------------------------ the table of nodes, row by row

#[test]
fn a_node_with_a_live_agent_is_covered() {
    let world = world().with(node("n1")).with(agent("falco-1", "n1"));
    assert_eq!(missing(&world, "n1"), "Pass");
    assert_eq!(world.verdict(NOT_READY, "Node/n1").said(), "Pass");
}

#[test]
fn row_01_a_new_node_has_a_grace() {
    let young = node("n1").patch(json!({"metadata": {"creationTimestamp": ago("9m")}}));
    let seen = world().with(young.clone()).verdict(MISSING, "Node/n1");
    assert_eq!(seen.said(), "Unknown(grace)");
    assert_eq!(
        seen.judgement.recheck_at.map(|t| t.to_string()),
        Some("2026-01-31T12:01:00Z".into())
    );
    let old = young.patch(json!({"metadata": {"creationTimestamp": ago("10m")}}));
    assert_eq!(
        missing(&world().with(old.clone()), "n1"),
        "Fail not-created"
    );
    // The agent may be there before the grace ends.
    assert_eq!(
        missing(&world().with(old).with(agent("a", "n1")), "n1"),
        "Pass"
    );
}

#[test]
fn row_02_a_virtual_node_is_not_judged_here() {
    for virtual_one in [
        virtual_node("v1"),
        node("v1")
            .patch(json!({"metadata": {"labels": {"eks.amazonaws.com/compute-type": "fargate"}}})),
        tainted("v1", "virtual-kubelet.io/provider"),
    ] {
        assert_eq!(
            missing(&world().with(virtual_one), "v1"),
            "NotApplicable(NotSelected)"
        );
    }
}

#[test]
fn row_03_a_node_that_is_not_ready_is_unknown_for_a_day() {
    for since in ["1m", "23h59m"] {
        let world = world()
            .with(node("n1").patch(not_ready(since)))
            .with(agent("a", "n1"));
        assert_eq!(missing(&world, "n1"), "Unknown(node-not-ready)");
        let seen = world.verdict(NOT_READY, "Node/n1");
        assert_eq!(seen.said(), "Unknown(node-not-ready)", "{since}");
        assert!(seen.judgement.recheck_at.is_some());
    }
    for rotten in [world().with(agent("a", "n1")), world()] {
        let rotten = rotten.with(node("n1").patch(not_ready("24h")));
        let seen = rotten.verdict(NOT_READY, "Node/n1");
        assert_eq!(
            (seen.said(), seen.reasons()),
            ("Fail".into(), "node-not-ready".into())
        );
        assert_eq!(missing(&rotten, "n1"), "Unknown(node-not-ready)");
    }
}

#[test]
fn row_04_a_cordoned_node_needs_its_agent() {
    let cordoned = node("n1")
        .push(
            "/spec/taints",
            json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}),
        )
        .patch(json!({"spec": {"unschedulable": true}}));
    assert_eq!(missing(&world().with(cordoned), "n1"), "Fail not-created");
}

#[test]
fn row_05_a_node_on_its_way_out_is_left_alone() {
    for leaving in [
        tainted("n1", "ToBeDeletedByClusterAutoscaler"),
        tainted("n1", "karpenter.sh/disrupted"),
        node("n1").patch(json!({"metadata": {"deletionTimestamp": ago("1m")}})),
    ] {
        let world = world().with(leaving);
        assert_eq!(missing(&world, "n1"), "NotApplicable(Leaving)");
        assert_eq!(
            world.verdict(NOT_READY, "Node/n1").said(),
            "NotApplicable(Leaving)"
        );
    }
}

#[test]
fn row_06_control_plane_nodes_only_where_asked_for() {
    const KEY: &str = "node-role.kubernetes.io/control-plane";
    let head = node("cp").push("/spec/taints", json!({"key": KEY, "effect": "NoSchedule"}));
    assert_eq!(
        missing(&world().with(head.clone()), "cp"),
        "NotApplicable(NotSelected)"
    );
    let world = world_of(json!({"controlPlane": true}))
        .with(daemon(json!({})))
        .with(head);
    assert_eq!(missing(&world, "cp"), "Fail taint-not-tolerated");
    let excluded = world.judge(EXCLUDED);
    let taint = excluded.iter().find(|r| r.said() == "Fail").unwrap();
    assert_eq!(taint.reasons(), "taint-not-tolerated");
    assert_eq!(taint.judgement.affected.sample, ["cp"]);
}

#[test]
fn row_07_a_platform_without_support_is_not_applicable() {
    let windows = node("w1").patch(json!({
        "metadata": {"labels": {"kubernetes.io/os": "windows"}},
        "status": {"nodeInfo": {"operatingSystem": "windows"}}}));
    let linux_only = daemon(json!({"nodeSelector": {"kubernetes.io/os": "linux"}}));
    let world = world_of(json!({})).with(linux_only).with(windows.clone());
    let seen = world.verdict(MISSING, "Node/w1");
    assert_eq!(seen.said(), "NotApplicable(NotSelected)");
    assert!(
        seen.judgement.message.contains("no support"),
        "{}",
        seen.judgement.message
    );
    assert!(world.judge(EXCLUDED).iter().all(|r| r.said() == "Pass"));
    // A second DaemonSet for Windows makes it a gap.
    let for_windows = daemon(json!({"nodeSelector": {"kubernetes.io/os": "windows"}}))
        .patch(json!({"metadata": {"name": "falco-windows"}}));
    assert_eq!(missing(&world.with(for_windows), "w1"), "Fail not-created");
}

#[test]
fn row_08_a_pending_agent_pod_is_missing_with_the_scheduler_s_words() {
    let stuck = unbound("a", "n1", "1m").patch(json!({"status": {"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/9 nodes: Insufficient cpu"}]}}));
    let world = world().with(node("n1")).with(node("n2")).with(stuck);
    let seen = world.verdict(MISSING, "Node/n1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "pending".into())
    );
    assert!(
        seen.judgement.message.contains("Insufficient cpu"),
        "{}",
        seen.judgement.message
    );
    // It was made for n1, not for n2.
    assert_eq!(missing(&world, "n2"), "Fail not-created");
}

#[test]
fn row_08_a_pod_the_scheduler_has_not_looked_at_has_a_grace() {
    let world = world().with(node("n1"));
    assert_eq!(
        missing(&world.clone().with(unbound("a", "n1", "4m")), "n1"),
        "Unknown(grace)"
    );
    assert_eq!(
        missing(&world.with(unbound("a", "n1", "5m")), "n1"),
        "Fail pending"
    );
}

#[test]
fn row_09_a_rollout_explains_a_gap_while_it_moves() {
    let rolling = |status: Value, newest: &str| {
        let daemon =
            daemon(json!({})).patch(json!({"metadata": {"generation": 2}, "status": status}));
        world_of(json!({}))
            .with(daemon)
            .with_all([node("n1"), node("n2")])
            .with(agent("a", "n2").patch(json!({"metadata": {"creationTimestamp": ago(newest)}})))
    };
    let unobserved = json!({"observedGeneration": 1});
    let half = json!({"observedGeneration": 2, "updatedNumberScheduled": 1});
    let done = json!({"observedGeneration": 2});
    for (status, newest, expected) in [
        (&unobserved, "9m", "Unknown(rollout)"),
        (&unobserved, "11m", "Fail not-created"),
        (&half, "9m", "Unknown(rollout)"),
        (&half, "11m", "Fail not-created"),
        (&done, "9m", "Fail not-created"),
    ] {
        let world = rolling(status.clone(), newest);
        assert_eq!(missing(&world, "n1"), expected, "{status} {newest}");
    }
}

#[test]
fn row_09_a_new_daemon_set_has_time_to_make_its_pods() {
    let created =
        |age: &str| daemon(json!({})).patch(json!({"metadata": {"creationTimestamp": ago(age)}}));
    let with = |age| world_of(json!({})).with(created(age)).with(node("n1"));
    assert_eq!(missing(&with("9m"), "n1"), "Unknown(rollout)");
    assert_eq!(missing(&with("10m"), "n1"), "Fail not-created");
    // An exclusion is no matter of time.
    let excluded = with("9m").with(tainted("n1", "dedicated"));
    assert_eq!(missing(&excluded, "n1"), "Fail taint-not-tolerated");
}

#[test]
fn row_09_a_pod_that_just_left_is_being_replaced() {
    let world = world()
        .with(node("n1"))
        .with(agent("a", "n1"))
        .deleted(Kind::Pod, "sec", "a");
    let seen = world.verdict(MISSING, "Node/n1");
    assert_eq!(seen.said(), "Unknown(rollout)");
    assert_eq!(
        seen.judgement.recheck_at.map(|t| t.to_string()),
        Some("2026-01-31T12:05:00Z".into())
    );
}

#[test]
fn row_09_a_terminating_pod_is_an_agent_until_it_stops_and_not_for_ever() {
    let going = |ready: &str, since: &str| {
        let pod = agent("a", "n1").patch(json!({"metadata": {"deletionTimestamp": ago("1m")},
            "status": {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": ago(since)}]}}));
        world().with(node("n1")).with(pod)
    };
    assert_eq!(missing(&going("True", "1h"), "n1"), "Unknown(rollout)");
    assert_eq!(missing(&going("False", "4m"), "n1"), "Unknown(rollout)");
    assert_eq!(missing(&going("False", "5m"), "n1"), "Fail pending");
}

#[test]
fn row_10_a_replaced_node_keeps_the_subject_and_brings_its_uid() {
    let before = world().with(node("n1")).verdict(MISSING, "Node/n1");
    let after = world()
        .with(node("n1").patch(json!({"metadata": {"uid": "another"}})))
        .verdict(MISSING, "Node/n1");
    let named = |r: &patrol_core::inspect::InspectionResult| {
        (
            r.judgement.subject.kind.clone(),
            r.judgement.subject.name.clone(),
        )
    };
    assert_eq!(named(&before), named(&after));
    assert_eq!(after.judgement.subject.uid.as_deref(), Some("another"));
    assert_eq!(
        before.judgement.discriminator,
        after.judgement.discriminator
    );
}

#[test]
fn row_11_an_agent_that_exists_nowhere_is_one_missing_component() {
    let world = world_of(json!({})).with_all([node("n1"), node("n2"), virtual_node("v1")]);
    assert_eq!(missing(&world, "n1"), "NotApplicable(Folded)");
    assert_eq!(
        world.verdict(NOT_READY, "Node/n1").said(),
        "NotApplicable(Folded)"
    );
    let seen = world.verdict(COMPONENT, "Cluster/cluster");
    assert_eq!((seen.said(), seen.share()), ("Fail".into(), "2/2".into()));
    assert_eq!(seen.judgement.affected.sample, ["n1", "n2"]);
    assert_eq!(seen.judgement.discriminator, None);
    assert_eq!(seen.requirement.as_deref(), Some("falco"));
    // One pod anywhere, or a DaemonSet alone, and it is not missing as a whole.
    let one_pod = world.clone().with(agent("a", "n1"));
    assert_eq!(one_pod.verdict(COMPONENT, "Cluster/cluster").said(), "Pass");
    assert_eq!(missing(&one_pod, "n2"), "Fail no-controller");
    let daemon_alone = world.with(daemon(json!({})));
    assert_eq!(
        daemon_alone.verdict(COMPONENT, "Cluster/cluster").said(),
        "Pass"
    );
    assert_eq!(missing(&daemon_alone, "n1"), "Fail not-created");
}

#[test]
fn row_12_whoever_owns_the_pod_it_covers_its_node() {
    let kruise = agent("a", "n1").owned_by("apps.kruise.io/v1alpha1", "DaemonSet", "falco");
    let mirror = agent("b", "n2")
        .owned_by("v1", "Node", "n2")
        .patch(json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}));
    let bare = agent("c", "n3").without("/metadata/ownerReferences");
    let world = world_of(json!({}))
        .with_all([kruise, mirror, bare])
        .with_all([node("n1"), node("n2"), node("n3"), node("n4")]);
    for covered in ["n1", "n2", "n3"] {
        assert_eq!(missing(&world, covered), "Pass", "{covered}");
    }
    assert_eq!(missing(&world, "n4"), "Fail no-controller");
}

// ------------------------------------------------ reasons and selection

#[test]
fn each_exclusion_has_its_reason_words_and_remedy() {
    let affinity = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]}}}});
    for (template, reason, part) in [
        (
            json!({}),
            "taint-not-tolerated",
            "the taint dedicated=gpu:NoSchedule",
        ),
        (
            json!({"nodeSelector": {"disk": "ssd"}}),
            "selector-mismatch",
            "another disk",
        ),
        (affinity, "affinity-mismatch", "node affinity"),
    ] {
        let world = world_of(json!({}))
            .with(daemon(template))
            .with(tainted("n1", "dedicated"));
        let seen = world.verdict(MISSING, "Node/n1");
        assert_eq!(
            (seen.said(), seen.reasons()),
            ("Fail".into(), reason.into())
        );
        assert!(
            seen.judgement.message.contains(part),
            "{}",
            seen.judgement.message
        );
        assert!(!seen.judgement.remediation.is_empty());
    }
}

#[test]
fn finished_pods_and_pods_of_others_do_not_cover() {
    let evicted = agent("a", "n1").patch(json!({"status": {"phase": "Failed"}}));
    let other = pod("web").patch(json!({"spec": {"nodeName": "n1"}}));
    let elsewhere = agent("b", "n1").patch(json!({"metadata": {"namespace": "shop"}}));
    let world = world_of(json!({"namespace": "sec"}))
        .with(daemon(json!({})))
        .with(node("n1"));
    assert_eq!(
        missing(&world.with_all([evicted, other, elsewhere]), "n1"),
        "Fail not-created"
    );
}

#[test]
fn the_requirement_and_the_policy_select_nodes() {
    let world = world_of(json!({"nodes": {"matchLabels": {"pool": "a"}}}))
        .with(daemon(json!({})))
        .with(node("n1"));
    assert_eq!(missing(&world, "n1"), "NotApplicable(NotSelected)");
    let scoped = World::new(json!({
        "scope": {"nodes": {"selector": {"matchLabels": {"pool": "a"}}}},
        "checks": [{"name": "falco", "nodeAgent": {"selector": {"matchLabels": {"app": "falco"}}}}]}))
    .with_all([node("n1"), node("n2").patch(json!({"metadata": {"labels": {"pool": "a"}}}))]);
    assert_eq!(scoped.judge(MISSING).len(), 1);
    assert_eq!(
        scoped
            .verdict(COMPONENT, "Cluster/cluster")
            .judgement
            .affected
            .sample,
        ["n2"]
    );
}

#[test]
fn an_agent_that_may_be_hidden_is_not_missing() {
    let broken = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "namespace": "sec"}, "spec": {"nodeName": 7}});
    let elsewhere = |ns: &str| {
        world_of(json!({"namespace": ns}))
            .with(node("n1"))
            .with(broken.clone())
    };
    let sec = elsewhere("sec");
    assert_eq!(
        missing(&sec.clone().with(daemon(json!({}))), "n1"),
        "Unknown(undecodable)"
    );
    assert_eq!(
        sec.verdict(COMPONENT, "Cluster/cluster").said(),
        "Unknown(undecodable)"
    );
    // An object that cannot be the agent hides nothing.
    assert_eq!(missing(&elsewhere("other"), "n1"), "NotApplicable(Folded)");
    assert_eq!(
        elsewhere("other")
            .verdict(COMPONENT, "Cluster/cluster")
            .said(),
        "Fail"
    );
}

#[test]
fn a_kind_that_cannot_be_read_makes_every_node_unknown() {
    let world = world().with(node("n1")).denied(Kind::DaemonSet);
    assert_eq!(missing(&world, "n1"), "Unknown(AccessDenied)");
}

#[test]
fn where_every_node_is_new_the_component_has_a_grace() {
    let young = node("n1").patch(json!({"metadata": {"creationTimestamp": ago("1m")}}));
    let seen = world_of(json!({}))
        .with(young)
        .verdict(COMPONENT, "Cluster/cluster");
    assert_eq!(seen.said(), "Unknown(grace)");
    assert!(seen.judgement.recheck_at.is_some());
    let none = world_of(json!({})).with(virtual_node("v1"));
    assert_eq!(
        none.verdict(COMPONENT, "Cluster/cluster").said(),
        "NotApplicable(NotSelected)"
    );
}

// ------------------------------------------------ files

#[test]
fn in_files_a_template_counts_as_its_pods() {
    let fresh = daemon(json!({}))
        .without("/status")
        .without("/metadata/creationTimestamp");
    let files = world_of(json!({})).files().with(fresh);
    let world = files
        .clone()
        .with_all([node("n1"), tainted("n2", "dedicated")]);
    assert_eq!(missing(&world, "n1"), "Pass");
    assert_eq!(missing(&world, "n2"), "Fail taint-not-tolerated");
    assert_eq!(
        world.verdict(NOT_READY, "Node/n1").said(),
        "NotApplicable(NotSelected)"
    );
    // Where pods are in the input too, they are what counts.
    let dump = files
        .with_all([node("n1"), node("n3")])
        .with(agent("a", "n3"));
    assert_eq!(missing(&dump, "n1"), "Fail not-created");
    assert_eq!(missing(&dump, "n3"), "Pass");
}

// ------------------------------------------------ node-agent-not-ready

#[test]
fn an_agent_that_is_not_ready_fails_after_the_restart_grace() {
    let down = |since: &str| {
        let status = waiting("CrashLoopBackOff");
        agent("a", "n1").patch(json!({"status": {
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(since)}],
            "containerStatuses": [{"name": "app", "ready": status["ready"], "state": status["state"]}]}}))
    };
    let world = world().with(node("n1"));
    let young = world.clone().with(down("4m")).verdict(NOT_READY, "Node/n1");
    assert_eq!(young.said(), "Unknown(grace)");
    assert_eq!(
        young.judgement.recheck_at.map(|t| t.to_string()),
        Some("2026-01-31T12:01:00Z".into())
    );
    let world = world.with(down("5m"));
    let seen = world.verdict(NOT_READY, "Node/n1");
    assert_eq!(
        (seen.said(), seen.reasons()),
        ("Fail".into(), "crash-loop-back-off".into())
    );
    assert!(
        seen.judgement.message.contains("sec/a"),
        "{}",
        seen.judgement.message
    );
    // Presence is the other check's.
    assert_eq!(missing(&world, "n1"), "Pass");
    // One ready pod is enough.
    assert_eq!(
        world
            .with(agent("b", "n1"))
            .verdict(NOT_READY, "Node/n1")
            .said(),
        "Pass"
    );
}

#[test]
fn of_two_agents_that_are_not_ready_the_younger_has_the_longer_grace() {
    let down = |name: &str, since: &str| {
        agent(name, "n1").patch(json!({"status": {"conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": ago(since)}]}}))
    };
    let world = world().with(node("n1")).with(down("a", "1m"));
    for (other, recheck) in [
        ("9m", "2026-01-31T12:04:00Z"),
        ("3m", "2026-01-31T12:04:00Z"),
        ("30s", "2026-01-31T12:04:30Z"),
    ] {
        let seen = world
            .clone()
            .with(down("b", other))
            .verdict(NOT_READY, "Node/n1");
        assert_eq!(seen.said(), "Unknown(grace)", "{other}");
        let at = seen.judgement.recheck_at.map(|t| t.to_string());
        assert_eq!(at.as_deref(), Some(recheck), "{other}");
    }
}

#[test]
fn a_pod_without_any_condition_counts_from_its_creation() {
    let blank = |age: &str| {
        agent("a", "n1")
            .without("/status")
            .patch(json!({"metadata": {"creationTimestamp": ago(age)},
            "status": {"phase": "Pending"}}))
    };
    let judge = |age| {
        world()
            .with(node("n1"))
            .with(blank(age))
            .verdict(NOT_READY, "Node/n1")
    };
    assert_eq!(judge("4m").said(), "Unknown(grace)");
    assert_eq!(
        (judge("5m").said(), judge("5m").reasons()),
        ("Fail".into(), "not-ready".into())
    );
}

#[test]
fn a_node_without_an_agent_is_told_by_the_other_check() {
    let world = world().with(node("n1"));
    assert_eq!(
        world.verdict(NOT_READY, "Node/n1").said(),
        "NotApplicable(Folded)"
    );
    // While that one cannot say, neither can this.
    let young = world.with(node("n1").patch(json!({"metadata": {"creationTimestamp": ago("1m")}})));
    assert_eq!(young.verdict(NOT_READY, "Node/n1").said(), "Unknown(grace)");
}

// ------------------------------------------------ node-agent-excluded

fn excluded(world: &World) -> Vec<String> {
    let mut all: Vec<String> = world
        .judge(EXCLUDED)
        .iter()
        .map(|r| {
            format!(
                "{} {} {} {}",
                r.judgement.subject.name,
                r.judgement.discriminator.as_deref().unwrap(),
                r.said(),
                r.share()
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn exclusions_are_told_once_for_each_daemon_set_and_reason() {
    let world = world()
        .with_all([
            tainted("n1", "dedicated"),
            tainted("n2", "dedicated"),
            node("n3"),
        ])
        .with(agent("a", "n3"));
    assert_eq!(
        excluded(&world),
        [
            "falco affinity-mismatch Pass 0/3",
            "falco selector-mismatch Pass 0/3",
            "falco taint-not-tolerated Fail 2/3",
        ]
    );
    let seen = world.judge(EXCLUDED);
    let failed = seen.iter().find(|r| r.said() == "Fail").unwrap();
    assert_eq!(failed.judgement.affected.sample, ["n1", "n2"]);
    assert_eq!(failed.judgement.subject.kind, "DaemonSet");
    assert_eq!(failed.judgement.paths, ["/spec/template/spec/tolerations"]);
    // Tolerated: what failed passes, so that its ticket can end.
    let mended = world.with(daemon(json!({"tolerations": [{"operator": "Exists"}]})));
    assert!(excluded(&mended).contains(&"falco taint-not-tolerated Pass 0/3".to_owned()));
}

#[test]
fn a_node_that_one_of_several_daemon_sets_reaches_is_not_excluded() {
    let tolerant = daemon(json!({"tolerations": [{"operator": "Exists"}]}))
        .patch(json!({"metadata": {"name": "falco-gpu"}}));
    let world = world().with(tainted("n1", "dedicated"));
    assert!(excluded(&world).iter().any(|r| r.contains("Fail")));
    assert!(
        excluded(&world.with(tolerant))
            .iter()
            .all(|r| r.contains("Pass"))
    );
}

#[test]
fn an_excluded_node_counts_against_the_daemon_set_that_came_closest() {
    let choosy = daemon(json!({"nodeSelector": {"disk": "ssd"}}))
        .patch(json!({"metadata": {"name": "a-choosy"}}));
    let world = world().with(choosy).with(tainted("n1", "dedicated"));
    let failing: Vec<String> = excluded(&world)
        .into_iter()
        .filter(|r| r.contains("Fail"))
        .collect();
    assert_eq!(failing, ["falco taint-not-tolerated Fail 1/1"]);
}

#[test]
fn among_equals_an_excluded_node_counts_against_the_first_daemon_set() {
    let twin = daemon(json!({})).patch(json!({"metadata": {"name": "a-twin"}}));
    let world = world().with(twin).with(tainted("n1", "dedicated"));
    let failing: Vec<String> = excluded(&world)
        .into_iter()
        .filter(|r| r.contains("Fail"))
        .collect();
    assert_eq!(failing, ["a-twin taint-not-tolerated Fail 1/1"]);
}

#[test]
fn a_pod_that_still_runs_does_not_hide_an_exclusion_but_another_agent_does() {
    let world = world().with(tainted("n1", "dedicated"));
    let lingering = world.clone().with(agent("a", "n1"));
    assert!(excluded(&lingering).contains(&"falco taint-not-tolerated Fail 1/1".to_owned()));
    let bare = agent("b", "n1").without("/metadata/ownerReferences");
    assert!(
        excluded(&world.with(bare))
            .iter()
            .all(|r| r.contains("Pass"))
    );
}

#[test]
fn new_nodes_are_not_counted_as_excluded_yet() {
    let young =
        tainted("n1", "startup").patch(json!({"metadata": {"creationTimestamp": ago("1m")}}));
    let seen = world().with(young).judge(EXCLUDED);
    assert!(
        seen.iter()
            .all(|r| r.said() == "Pass" && r.judgement.recheck_at.is_some())
    );
    assert!(
        world_of(json!({}))
            .with(node("n1"))
            .judge(EXCLUDED)
            .is_empty(),
        "no DaemonSet, no subject"
    );
}

// ------------------------------------------------ virtual-node-pod-uncovered

fn on_virtual(substitute: bool) -> World {
    let agent = if substitute {
        json!({"virtualNodeSubstitute": "aegis"})
    } else {
        json!({})
    };
    world_of(agent).with_all([virtual_node("v1"), node("n1")])
}

fn web(name: &str, on: &str) -> Object {
    pod(name).patch(json!({"spec": {"nodeName": on}}))
}

fn uncovered(world: &World) -> (String, String, String) {
    let seen = world.verdict(UNCOVERED, "Deployment/web");
    (seen.said(), seen.reasons(), seen.share())
}

#[test]
fn pods_on_virtual_nodes_need_the_substitute() {
    let carries =
        web("a", "v1").container("aegis", "registry.example.com/security/aegis:1", ready());
    let world = on_virtual(true).with_all(deployment_of(vec![
        carries.clone(),
        web("b", "v1"),
        web("c", "n1"),
    ]));
    assert_eq!(
        uncovered(&world),
        ("Fail".into(), "substitute-missing".into(), "1/2".into())
    );
    let world = on_virtual(true).with_all(deployment_of(vec![carries]));
    assert_eq!(uncovered(&world).0, "Pass");
}

#[test]
fn without_a_substitute_every_pod_on_a_virtual_node_fails() {
    let carries =
        web("a", "v1").container("aegis", "registry.example.com/security/aegis:1", ready());
    let world = on_virtual(false).with_all(deployment_of(vec![carries]));
    assert_eq!(
        uncovered(&world),
        ("Fail".into(), "no-substitute".into(), "1/1".into())
    );
}

#[test]
fn injection_on_virtual_nodes_has_five_minutes() {
    let aged =
        |age: &str| web("a", "v1").patch(json!({"metadata": {"creationTimestamp": ago(age)}}));
    let judge = |age: &str| uncovered(&on_virtual(true).with_all(deployment_of(vec![aged(age)]))).0;
    assert_eq!(judge("4m"), "Unknown(grace)");
    assert_eq!(judge("5m"), "Fail");
}

#[test]
fn roots_that_are_not_about_virtual_nodes_are_not_applicable() {
    let judge = |world: World| uncovered(&world).0;
    let real = on_virtual(true).with_all(deployment_of(vec![web("a", "n1")]));
    assert_eq!(judge(real), "NotApplicable(NotSelected)");
    let waiting = on_virtual(true).with_all(deployment_of(vec![
        web("a", "v1").without("/spec/nodeName"),
    ]));
    assert_eq!(judge(waiting), "NotApplicable(NotSelected)");
    let none = on_virtual(true).with_all(deployment_of(vec![]));
    assert_eq!(judge(none), "NotApplicable(NoLivePods)");
    let ended = web("a", "v1").patch(json!({"status": {"phase": "Succeeded"}}));
    let done = on_virtual(true).with_all(deployment_of(vec![ended]));
    assert_eq!(judge(done), "NotApplicable(NoLivePods)");
    let unselected = world_of(json!({"nodes": {"matchLabels": {"pool": "a"}}}))
        .with(virtual_node("v1"))
        .with_all(deployment_of(vec![web("a", "v1")]));
    assert_eq!(judge(unselected), "NotApplicable(NotSelected)");
}
