//! Tests of family B: namespaces, what cannot be read, and overdue patrols.

use serde_json::{Value, json};

use patrol_api::time::Time;
use patrol_api::words::Severity;
use patrol_core::check::{Progress, Work};
use patrol_core::facts::ObjectKey;
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use patrol_core::sym::Sym;

use crate::testing::{Object, Said, World, ago, namespace, now};

const UNPATROLLED: &str = "namespace-unpatrolled";
const UNLABELLED: &str = "namespace-psa-unlabelled";
const BELOW: &str = "namespace-psa-below-required";
const UNREADABLE: &str = "kind-unreadable";
const OVERDUE: &str = "patrol-overdue";

fn said(world: &World, check: &str, namespace: &str) -> String {
    let seen = world.verdict(check, &format!("Namespace/{namespace}"));
    match seen.said().as_str() {
        "Fail" => format!("Fail {}", seen.reasons()),
        said => said.to_owned(),
    }
}

// ------------------------------------------------ namespace-unpatrolled

fn patrolling(include: &[&str]) -> Value {
    json!({"scope": {"namespaces": {"include": include}}})
}

#[test]
fn a_namespace_needs_one_enabled_policy() {
    let world = World::new(patrolling(&["shop"])).with_all([namespace("shop"), namespace("bank")]);
    assert_eq!(said(&world, UNPATROLLED, "shop"), "Pass");
    assert_eq!(said(&world, UNPATROLLED, "bank"), "Fail no-policy");
    let seen = world.verdict(UNPATROLLED, "Namespace/bank");
    assert_eq!(seen.policy.as_str(), "patrol-coverage");
    let second = world.with_policy("second", patrolling(&["bank"]));
    assert_eq!(said(&second, UNPATROLLED, "bank"), "Pass");
}

#[test]
fn a_suspended_policy_covers_nothing_and_an_observing_one_does() {
    let with = |extra: Value| {
        let mut spec = patrolling(&["bank"]);
        for (k, v) in extra.as_object().unwrap() {
            spec[k] = v.clone();
        }
        let world = World::new(patrolling(&["shop"])).with(namespace("bank"));
        said(&world.with_policy("second", spec), UNPATROLLED, "bank")
    };
    assert_eq!(with(json!({"suspend": true})), "Fail suspended-only");
    assert_eq!(with(json!({"mode": "Observe"})), "Pass");
}

#[test]
fn a_required_baseline_must_come_from_some_policy_that_selects_the_namespace() {
    let demanding = |baselines: Value| {
        json!({"scope": {"namespaces": {"include": ["shop", "bank"]}}, "baselines": baselines,
            "requiredBaselines": ["agent-coverage", "namespace-coverage"]})
    };
    let world = World::new(demanding(json!(["agent-coverage"])))
        .with_all([namespace("shop"), namespace("bank"), namespace("free")])
        .with_policy(
            "second",
            json!({"baselines": ["namespace-coverage"],
            "scope": {"namespaces": {"include": ["shop"]}}}),
        )
        .with_policy(
            "third",
            json!({"suspend": true, "baselines": ["namespace-coverage"]}),
        );
    assert_eq!(
        said(&world, UNPATROLLED, "shop"),
        "Pass",
        "from two policies"
    );
    assert_eq!(said(&world, UNPATROLLED, "bank"), "Fail baseline-missing");
    let seen = world.verdict(UNPATROLLED, "Namespace/bank");
    assert_eq!(
        seen.judgement.message,
        "no policy that selects the namespace brings the required baseline namespace-coverage"
    );
    // A namespace that nobody selects is told so, and not what it lacks.
    assert_eq!(said(&world, UNPATROLLED, "free"), "Fail suspended-only");
    let young =
        world.with(namespace("bank").patch(json!({"metadata": {"creationTimestamp": ago("9m")}})));
    assert_eq!(said(&young, UNPATROLLED, "bank"), "Unknown(grace)");
}

#[test]
fn the_system_s_namespaces_count_like_any_other() {
    let world = World::new(patrolling(&["shop"])).with(namespace("kube-system"));
    assert_eq!(said(&world, UNPATROLLED, "kube-system"), "Fail no-policy");
    let by_label = World::new(
        json!({"scope": {"namespaces": {"selector": {"matchLabels": {"env": "prod"}}}}}),
    )
    .with(namespace("shop").patch(json!({"metadata": {"labels": {"env": "prod"}}})));
    assert_eq!(said(&by_label, UNPATROLLED, "shop"), "Pass");
}

#[test]
fn new_namespaces_have_a_grace_and_leaving_ones_are_left_alone() {
    let world = |object: Object| World::new(patrolling(&["shop"])).with(object);
    let aged =
        |age: &str| namespace("bank").patch(json!({"metadata": {"creationTimestamp": ago(age)}}));
    let seen = world(aged("9m")).verdict(UNPATROLLED, "Namespace/bank");
    assert_eq!(seen.said(), "Unknown(grace)");
    assert_eq!(
        seen.judgement.recheck_at.map(|t| t.to_string()),
        Some("2026-01-31T12:01:00Z".into())
    );
    assert_eq!(
        said(&world(aged("10m")), UNPATROLLED, "bank"),
        "Fail no-policy"
    );
    let leaving = namespace("bank").patch(json!({"status": {"phase": "Terminating"}}));
    assert_eq!(
        said(&world(leaving), UNPATROLLED, "bank"),
        "NotApplicable(Leaving)"
    );
    // A manifest carries no time.
    let manifest = namespace("bank").without("/metadata/creationTimestamp");
    assert_eq!(
        said(&world(manifest).files(), UNPATROLLED, "bank"),
        "Fail no-policy"
    );
}

#[test]
fn namespaces_that_cannot_be_read_are_unknown() {
    let world = World::new(patrolling(&["shop"]))
        .with(namespace("bank"))
        .denied(Kind::Namespace);
    assert_eq!(said(&world, UNPATROLLED, "bank"), "Unknown(AccessDenied)");
}

// ------------------------------------------------ namespace-psa-*

fn labelled(name: &str, labels: &[(&str, &str)]) -> Object {
    let mut object = namespace(name);
    for (mode, value) in labels {
        object.0["metadata"]["labels"][format!("pod-security.kubernetes.io/{mode}")] = json!(value);
    }
    object
}

fn psa(parameters: Value) -> World {
    World::new(json!({"baselines": ["namespace-coverage"],
        "overrides": [{"check": BELOW, "parameters": parameters}]}))
}

fn below(parameters: Value, labels: &[(&str, &str)]) -> String {
    said(
        &psa(parameters).with(labelled("shop", labels)),
        BELOW,
        "shop",
    )
}

#[test]
fn a_namespace_without_a_level_is_unlabelled() {
    let world = |labels| psa(json!({})).with(labelled("shop", labels));
    assert_eq!(said(&world(&[]), UNLABELLED, "shop"), "Fail unlabelled");
    assert_eq!(
        said(&world(&[("warn", "restricted")]), UNLABELLED, "shop"),
        "Fail unlabelled,warns-only"
    );
    assert_eq!(
        said(&world(&[("audit", "restricted")]), UNLABELLED, "shop"),
        "Fail unlabelled,warns-only"
    );
    assert_eq!(
        said(&world(&[("enforce", "privileged")]), UNLABELLED, "shop"),
        "Pass"
    );
    // Which level, or whether it is one, is the other check's.
    assert_eq!(
        said(&world(&[("enforce", "nonsense")]), UNLABELLED, "shop"),
        "Pass"
    );
    assert_eq!(said(&world(&[]), BELOW, "shop"), "NotApplicable(Folded)");
}

#[test]
fn a_declared_cluster_default_stands_in_for_the_label() {
    let world = |level: &str| {
        World::new(json!({"baselines": ["namespace-coverage"], "overrides": [
            {"check": "namespace-psa-*", "parameters": {"psaClusterDefault": [level]}}]}))
        .with(namespace("shop"))
    };
    assert_eq!(
        said(&world("baseline"), UNLABELLED, "shop"),
        "NotApplicable(NotSelected)"
    );
    assert_eq!(said(&world("baseline"), BELOW, "shop"), "Pass");
    assert_eq!(
        said(&world("privileged"), BELOW, "shop"),
        "Fail cluster-default-below-required"
    );
}

#[test]
fn new_and_leaving_namespaces_are_not_judged() {
    let young = namespace("shop").patch(json!({"metadata": {"creationTimestamp": ago("9m")}}));
    let weak = labelled("shop", &[("enforce", "privileged")])
        .patch(json!({"metadata": {"creationTimestamp": ago("9m")}}));
    assert_eq!(
        said(&psa(json!({})).with(young), UNLABELLED, "shop"),
        "Unknown(grace)"
    );
    assert_eq!(
        said(&psa(json!({})).with(weak), BELOW, "shop"),
        "Unknown(grace)"
    );
    let leaving = namespace("shop").patch(json!({"metadata": {"deletionTimestamp": ago("1m")}}));
    for check in [UNLABELLED, BELOW] {
        assert_eq!(
            said(&psa(json!({})).with(leaving.clone()), check, "shop"),
            "NotApplicable(Leaving)"
        );
    }
}

#[test]
fn the_enforced_level_is_compared_with_the_required_one() {
    for (required, enforced, expected) in [
        ("privileged", "privileged", "Pass"),
        ("baseline", "privileged", "Fail level-below-required"),
        ("baseline", "baseline", "Pass"),
        ("baseline", "restricted", "Pass"),
        ("restricted", "privileged", "Fail level-below-required"),
        ("restricted", "baseline", "Fail level-below-required"),
        ("restricted", "restricted", "Pass"),
    ] {
        let seen = below(json!({"level": [required]}), &[("enforce", enforced)]);
        assert_eq!(seen, expected, "{required} {enforced}");
    }
    assert_eq!(
        below(json!({}), &[("enforce", "privileged")]),
        "Fail level-below-required",
        "the default is baseline"
    );
}

#[test]
fn warnings_at_the_required_level_are_named_and_do_not_count() {
    let labels = [("enforce", "privileged"), ("warn", "baseline")];
    assert_eq!(
        below(json!({}), &labels),
        "Fail level-below-required,warns-only"
    );
    let labels = [("enforce", "privileged"), ("warn", "privileged")];
    assert_eq!(below(json!({}), &labels), "Fail level-below-required");
}

#[test]
fn invalid_values_fail_by_what_they_do() {
    let judge = |labels: &[(&str, &str)]| {
        psa(json!({}))
            .with(labelled("shop", labels))
            .verdict(BELOW, "Namespace/shop")
    };
    for (labels, reasons, severity) in [
        // Taken for restricted: refuses pods by surprise, lets none in.
        (
            &[("enforce", "Baseline")][..],
            "invalid-enforce",
            Severity::Medium,
        ),
        (
            &[("enforce", "baseline"), ("enforce-version", "1.29")],
            "invalid-enforce-version",
            Severity::Medium,
        ),
        // Taken for privileged: mute.
        (
            &[("enforce", "baseline"), ("warn", "x")],
            "invalid-warn",
            Severity::Low,
        ),
        (
            &[("enforce", "baseline"), ("audit", "x")],
            "invalid-audit",
            Severity::Low,
        ),
        // The worst of them counts.
        (
            &[("enforce", "privileged"), ("audit", "x")],
            "level-below-required,invalid-audit",
            Severity::High,
        ),
    ] {
        let seen = judge(labels);
        assert_eq!(
            (seen.said(), seen.reasons(), seen.severity),
            ("Fail".into(), reasons.into(), severity)
        );
        assert!(!seen.judgement.paths.is_empty());
        // The value may be anything: it is not repeated.
        assert!(
            !seen.judgement.message.contains("Baseline"),
            "{}",
            seen.judgement.message
        );
    }
}

#[test]
fn a_severity_below_the_cap_stays() {
    let world = World::new(json!({"baselines": ["namespace-coverage"],
        "overrides": [{"check": BELOW, "severity": "Low"}]}))
    .with(labelled("shop", &[("enforce", "nonsense")]));
    assert_eq!(
        world.verdict(BELOW, "Namespace/shop").severity,
        Severity::Low
    );
}

#[test]
fn a_pinned_version_must_not_be_older_than_required() {
    let pinned = |version: &str, least: Value| {
        below(
            least,
            &[("enforce", "baseline"), ("enforce-version", version)],
        )
    };
    let least = || json!({"minVersion": ["v1.29"]});
    assert_eq!(pinned("v1.28", least()), "Fail version-pinned");
    assert_eq!(pinned("v1.9", least()), "Fail version-pinned");
    assert_eq!(pinned("v1.29", least()), "Pass");
    assert_eq!(pinned("v1.30", least()), "Pass");
    assert_eq!(pinned("latest", least()), "Pass");
    assert_eq!(
        pinned("v1.0", json!({})),
        "Pass",
        "no minimum is required by default"
    );
    assert_eq!(
        pinned("v1.35", json!({"minVersion": ["latest"]})),
        "Fail version-pinned"
    );
}

#[test]
fn privileged_is_allowed_where_it_is_declared() {
    let privileged = |name: &str| labelled(name, &[("enforce", "privileged")]);
    let world = psa(json!({})).with_all([
        privileged("kube-system"),
        privileged("shop"),
        namespace("kube-public"),
    ]);
    assert_eq!(
        said(&world, BELOW, "kube-system"),
        "NotApplicable(NotSelected)"
    );
    assert_eq!(
        said(&world, UNLABELLED, "kube-public"),
        "NotApplicable(NotSelected)"
    );
    assert_eq!(said(&world, BELOW, "shop"), "Fail level-below-required");
    let own = psa(json!({"privilegedAllowed": ["sh*"]}))
        .with_all([privileged("kube-system"), privileged("shop")]);
    assert_eq!(said(&own, BELOW, "shop"), "NotApplicable(NotSelected)");
    assert_eq!(
        said(&own, BELOW, "kube-system"),
        "Fail level-below-required"
    );
}

// ------------------------------------------------ kind-unreadable

fn resource(world: &World, name: &str) -> (String, String, String) {
    let seen = world.verdict(UNREADABLE, &format!("Resource/{name}"));
    (seen.said(), seen.reasons(), seen.judgement.message)
}

fn with_agents() -> World {
    World::new(json!({"checks": [
        {"name": "falco", "nodeAgent": {"selector": {"matchLabels": {"app": "falco"}}}}]}))
}

#[test]
fn every_kind_an_enabled_check_reads_is_judged_once() {
    let all = with_agents().judge(UNREADABLE);
    assert!(all.iter().all(|r| r.said() == "Pass"));
    let names: Vec<String> = all
        .iter()
        .map(|r| format!("{}/{}", r.judgement.subject.group, r.judgement.subject.name))
        .collect();
    for needed in ["/pods", "/nodes", "apps/daemonsets", "/namespaces"] {
        assert_eq!(
            names.iter().filter(|n| *n == needed).count(),
            1,
            "{names:?}"
        );
    }
    // A policy that only has the always-on checks needs namespaces and waivers alone.
    let few = World::new(json!({})).judge(UNREADABLE);
    assert_eq!(few.len(), 2);
    // A suspended policy needs nothing more.
    let suspended = World::new(json!({})).with_policy(
        "s",
        json!({"suspend": true, "baselines": [],
        "checks": [{"name": "a", "nodeAgent": {"selector": {"matchLabels": {"app": "a"}}}}]}),
    );
    assert_eq!(suspended.judge(UNREADABLE).len(), 2);
}

#[test]
fn a_refused_kind_fails_and_names_the_checks_it_disables() {
    let world = with_agents().denied(Kind::DaemonSet);
    let (said, reasons, message) = resource(&world, "daemonsets");
    assert_eq!((said.as_str(), reasons.as_str()), ("Fail", "access-denied"));
    for part in [
        "list",
        "daemonsets.apps",
        "node-agent-missing",
        "component-missing",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("namespace-unpatrolled"), "{message}");
    assert_eq!(resource(&world, "pods").0, "Pass");
    let seen = world.verdict(UNREADABLE, "Resource/daemonsets");
    assert_eq!(seen.judgement.subject.group, "apps");
    assert_eq!(seen.judgement.subject.uid, None);
}

#[test]
fn a_failing_watch_fails_with_its_reason() {
    let world = with_agents().lost(
        Kind::Pod,
        Blindness::Failing("503 ServiceUnavailable".into()),
    );
    let (said, reasons, message) = resource(&world, "pods");
    assert_eq!((said.as_str(), reasons.as_str()), ("Fail", "watch-failing"));
    assert!(message.contains("503"), "{message}");
}

#[test]
fn a_watch_that_merely_fails_has_a_moment_and_a_confirmed_refusal_has_none() {
    let failing = || Blindness::Failing("Unreachable".into());
    let denied = || Blindness::Denied("watch".into());
    for why in [failing(), denied()] {
        let lost = |age: &str| with_agents().lost_since(Kind::Pod, why.clone(), age);
        let seen = lost("119s").verdict(UNREADABLE, "Resource/pods");
        assert_eq!(seen.said(), "Unknown(grace)", "{why:?}");
        assert_eq!(
            seen.judgement.recheck_at.map(|t| t.to_string()),
            Some("2026-01-31T12:00:01Z".into())
        );
        assert_eq!(resource(&lost("120s"), "pods").0, "Fail", "{why:?}");
        // Meanwhile nothing is judged from what was seen last.
        let node = lost("1s").with(crate::testing::node("n1"));
        assert!(
            node.verdict("node-agent-missing", "Node/n1")
                .said()
                .starts_with("Unknown"),
        );
        // Nobody waits longer than a period.
        let often = World::new(json!({"schedule": {"every": "30s"},
            "checks": [{"name": "falco", "nodeAgent": {"images": ["falco"]}}]}));
        let often = |age: &str| often.clone().lost_since(Kind::Pod, why.clone(), age);
        assert_eq!(resource(&often("29s"), "pods").0, "Unknown(grace)");
        assert_eq!(resource(&often("30s"), "pods").0, "Fail");
    }
    let confirmed = with_agents()
        .lost_since(Kind::Pod, denied(), "1s")
        .refused(Kind::Pod);
    assert_eq!(resource(&confirmed, "pods").1, "access-denied");
    let by_review = with_agents().refused(Kind::Pod);
    assert_eq!(resource(&by_review, "pods").1, "access-denied");
}

#[test]
fn a_first_list_has_time_and_not_for_ever() {
    let started = |age: &str| {
        let mut world = with_agents().unlisted(Kind::Pod);
        world.own.started = Some(ago(age).parse().unwrap());
        world
    };
    let seen = started("9m").verdict(UNREADABLE, "Resource/pods");
    assert_eq!(seen.said(), "Unknown(unsynced)");
    assert_eq!(
        seen.judgement.recheck_at.map(|t| t.to_string()),
        Some("2026-01-31T12:01:00Z".into())
    );
    assert_eq!(resource(&started("10m"), "pods").1, "unsynced");
    assert_eq!(resource(&started("10m"), "pods").0, "Fail");
    // Without a known start there is nothing to measure.
    assert_eq!(
        resource(&with_agents().unlisted(Kind::Pod), "pods").0,
        "Unknown(unsynced)"
    );
}

#[test]
fn a_kind_that_is_not_installed_is_seen() {
    let world = with_agents().not_installed(Kind::DaemonSet);
    assert_eq!(resource(&world, "daemonsets").0, "Pass");
}

#[test]
fn objects_that_cannot_be_decoded_fail_with_their_names() {
    let broken = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "namespace": "shop"}, "spec": {"nodeName": 7}});
    let world = with_agents().with(broken);
    assert_eq!(resource(&world, "pods").1, "undecodable");
    let seen = world.verdict(UNREADABLE, "Resource/pods");
    assert_eq!(seen.judgement.affected.sample, ["shop/x"]);
    assert_eq!(seen.share(), "1/1");
    assert!(
        seen.judgement
            .message
            .starts_with("1 object of pods cannot be decoded: what it is part of"),
        "{}",
        seen.judgement.message
    );
}

#[test]
fn an_input_that_cannot_be_read_is_one_blind_spot_and_not_one_for_each_kind() {
    const FILE: &str = "shop/web.yaml:3: is no YAML";
    let fine = with_agents().files();
    assert_eq!(resource(&fine, "inputs").0, "Pass");
    let key = ObjectKey::new("shop", "web");
    let missing = format!("may be hidden in what cannot be read: {FILE}");
    let broken = Kind::ALL
        .into_iter()
        .filter(|kind| !kind.is_ours())
        .fold(fine.clone(), |world, kind| world.hidden(kind, None, FILE))
        .hidden(Kind::Pod, Some(key), &missing);
    let failing = |world: &World| {
        let all = world.judge(UNREADABLE);
        let failing = all.into_iter().filter(|r| r.said() == "Fail");
        failing
            .map(|r| r.judgement.subject.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(failing(&broken), ["inputs"]);
    let seen = broken.verdict(UNREADABLE, "Resource/inputs");
    assert_eq!(seen.judgement.affected.sample, [FILE]);
    assert!(seen.judgement.message.starts_with("1 input cannot be read"));
    assert!(seen.judgement.message.contains(FILE));
    assert_eq!(resource(&broken, "pods").0, "NotApplicable(Folded)");
    // An object that is itself at fault has its own blind spot, beside that of the input.
    let own = broken.hidden(
        Kind::Node,
        Some(ObjectKey::new("", "n1")),
        "spec.unschedulable: is no boolean",
    );
    assert_eq!(failing(&own), ["inputs", "nodes"]);
    // In a cluster whatever has no name is an object.
    let cluster = with_agents().hidden(Kind::Pod, None, "no metadata.name");
    assert_eq!(failing(&cluster), ["pods"]);
}

// ------------------------------------------------ patrol-overdue

/// A world in which the work for policy `night` goes like this.
fn working(patrols: Progress, overdue_since: Option<Time>, alerts: Progress) -> World {
    let mut world = World::new(json!({}));
    let work = Work {
        patrols,
        overdue_since,
        alerts,
    };
    world.own.work = [(Sym::new("night"), work)].into();
    world.own.policy_uids = [(Sym::new("night"), "u-night".to_owned())].into();
    world
}

#[test]
fn a_policy_whose_patrol_is_overdue_fails_whatever_can_be_seen() {
    let mut world = working(Progress::Stalled, Some(now()), Progress::InTime)
        .denied(Kind::Namespace)
        .denied(Kind::PatrolPolicy);
    let fine = Work {
        patrols: Progress::InTime,
        overdue_since: None,
        alerts: Progress::InTime,
    };
    world.own.work.insert(Sym::new("production"), fine);
    let fine = world.verdict(OVERDUE, "PatrolPolicy/production");
    assert_eq!(
        (fine.said(), fine.judgement.subject.uid.clone()),
        ("Pass".into(), None)
    );
    let seen = world.verdict(OVERDUE, "PatrolPolicy/night");
    assert_eq!(
        (seen.said(), seen.reasons(), seen.severity),
        ("Fail".into(), "patrol-overdue".into(), Severity::Critical)
    );
    assert_eq!(seen.judgement.subject.uid.as_deref(), Some("u-night"));
    assert_eq!(seen.judgement.subject.group, "kubepatrol.io");
    assert!(
        seen.judgement.message.contains("2026-01-31T12:00:00Z"),
        "{}",
        seen.judgement.message
    );
    assert_eq!(seen.policy.as_str(), "patrol-coverage");
}

#[test]
fn a_policy_whose_alerts_stay_undelivered_fails_in_words_that_never_change() {
    let seen =
        working(Progress::InTime, None, Progress::Stalled).verdict(OVERDUE, "PatrolPolicy/night");
    assert_eq!(
        (seen.said(), seen.reasons(), seen.severity),
        (
            "Fail".into(),
            "alerts-undelivered".into(),
            Severity::Critical
        )
    );
    let message = &seen.judgement.message;
    assert!(!message.contains(|c: char| c.is_ascii_digit()), "{message}");
    let both = working(Progress::Stalled, Some(now()), Progress::Stalled)
        .verdict(OVERDUE, "PatrolPolicy/night");
    assert_eq!(both.reasons(), "patrol-overdue,alerts-undelivered");
    assert!(both.judgement.message.contains(message.as_str()));
    // Half of it cannot be told: the other half is a gap all the same.
    let half =
        working(Progress::Unsure, None, Progress::Stalled).verdict(OVERDUE, "PatrolPolicy/night");
    assert_eq!(half.reasons(), "alerts-undelivered");
}

#[test]
fn what_could_not_be_seen_through_yet_is_unknown() {
    for (patrols, alerts) in [
        (Progress::InTime, Progress::Unsure),
        (Progress::Unsure, Progress::InTime),
        (Progress::Unsure, Progress::Unsure),
    ] {
        let seen = working(patrols, None, alerts).verdict(OVERDUE, "PatrolPolicy/night");
        assert_eq!(seen.said(), "Unknown(unsure)", "{patrols:?} {alerts:?}");
    }
}
