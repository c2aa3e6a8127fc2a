//! Tests of the DaemonSet simulation, rule by rule.

use patrol_core::facts::{Fact, Node, Template, decode_value};
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::scheduling::{Admission, admission};

fn template(spec: Value) -> Template {
    let object = json!({"metadata": {"name": "agent", "namespace": "sec"},
        "spec": {"template": {"spec": spec}}});
    match decode_value(Kind::DaemonSet, &object).unwrap().fact {
        Fact::Workload(daemon) => daemon.template.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn node(labels: Value, taints: Value, os: &str) -> Node {
    let object = json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints},
        "status": {"nodeInfo": {"operatingSystem": os, "architecture": "amd64"}}});
    match decode_value(Kind::Node, &object).unwrap().fact {
        Fact::Node(node) => *node,
        other => panic!("{other:?}"),
    }
}

fn word(template: &Template, node: &Node) -> &'static str {
    match admission(template, "n1", node) {
        Admission::Admitted => "admitted",
        Admission::Platform => "platform",
        excluded => excluded.reason().unwrap(),
    }
}

/// One requirement of a required affinity on a node with these labels.
fn affinity_holds(requirement: Value, labels: Value) -> bool {
    let spec = terms(json!([{"matchExpressions": [requirement]}]));
    word(&template(spec), &node(labels, json!([]), "linux")) == "admitted"
}

fn terms(terms: Value) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": terms}}}})
}

fn taint(key: &str, value: &str, effect: &str) -> Value {
    json!({"key": key, "value": value, "effect": effect})
}

fn tainted(tolerations: Value, host_network: bool, taint: Value) -> &'static str {
    let spec = json!({"tolerations": tolerations, "hostNetwork": host_network});
    word(&template(spec), &node(json!({}), json!([taint]), "linux"))
}

#[test]
fn a_plain_template_runs_on_a_plain_node() {
    let plain = node(json!({}), json!([]), "linux");
    assert_eq!(word(&template(json!({})), &plain), "admitted");
}

#[test]
fn node_selector_needs_every_pair() {
    let spec = template(json!({"nodeSelector": {"disk": "ssd", "zone": "a"}}));
    let on = |labels| word(&spec, &node(labels, json!([]), "linux"));
    assert_eq!(on(json!({"disk": "ssd", "zone": "a"})), "admitted");
    assert_eq!(on(json!({"disk": "ssd", "zone": "b"})), "selector-mismatch");
    assert_eq!(on(json!({"disk": "ssd"})), "selector-mismatch");
}

#[test]
fn affinity_operators() {
    let r =
        |operator: &str, values: Value| json!({"key": "n", "operator": operator, "values": values});
    for (requirement, labels, expected) in [
        (r("In", json!(["1", "2"])), json!({"n": "2"}), true),
        (r("In", json!(["1", "2"])), json!({"n": "3"}), false),
        (r("In", json!(["1"])), json!({}), false),
        (r("NotIn", json!(["1"])), json!({"n": "2"}), true),
        (r("NotIn", json!(["1"])), json!({"n": "1"}), false),
        (r("NotIn", json!(["1"])), json!({}), true),
        (r("Exists", json!(null)), json!({"n": ""}), true),
        (r("Exists", json!(null)), json!({}), false),
        (r("DoesNotExist", json!(null)), json!({}), true),
        (r("DoesNotExist", json!(null)), json!({"n": "1"}), false),
        (r("Gt", json!(["9"])), json!({"n": "10"}), true),
        (r("Gt", json!(["9"])), json!({"n": "9"}), false),
        (r("Lt", json!(["9"])), json!({"n": "8"}), true),
        (r("Lt", json!(["9"])), json!({"n": "10"}), false),
        (r("Lt", json!(["9"])), json!({}), false),
        (r("Gt", json!(["a"])), json!({"n": "10"}), false),
        (r("Gt", json!(["1"])), json!({"n": "ten"}), false),
        (r("Gt", json!(["1", "2"])), json!({"n": "10"}), false),
        (r("in", json!(["1"])), json!({"n": "1"}), false),
    ] {
        assert_eq!(
            affinity_holds(requirement.clone(), labels.clone()),
            expected,
            "{requirement} {labels}"
        );
    }
}

#[test]
fn any_term_is_enough_and_all_of_a_term_must_hold() {
    let has = |key: &str| json!({"key": key, "operator": "Exists"});
    let on_a = node(json!({"a": "1"}), json!([]), "linux");
    let any = terms(json!([{"matchExpressions": [has("b")]}, {"matchExpressions": [has("a")]}]));
    assert_eq!(word(&template(any), &on_a), "admitted");
    let all = terms(json!([{"matchExpressions": [has("a"), has("b")]}]));
    assert_eq!(word(&template(all), &on_a), "affinity-mismatch");
}

#[test]
fn an_empty_term_and_an_empty_list_match_nothing() {
    let plain = node(json!({}), json!([]), "linux");
    for list in [json!([]), json!([{}]), json!([{"matchExpressions": []}])] {
        assert_eq!(
            word(&template(terms(list.clone())), &plain),
            "affinity-mismatch",
            "{list}"
        );
    }
}

#[test]
fn match_fields_names_the_node() {
    let plain = node(json!({}), json!([]), "linux");
    let field = |key: &str, operator: &str, name: &str| {
        terms(json!([{"matchFields": [{"key": key, "operator": operator, "values": [name]}]}]))
    };
    for (spec, expected) in [
        (field("metadata.name", "In", "n1"), "admitted"),
        (field("metadata.name", "In", "n2"), "affinity-mismatch"),
        (field("metadata.name", "NotIn", "n2"), "admitted"),
        (field("metadata.uid", "In", "n1"), "affinity-mismatch"),
    ] {
        assert_eq!(word(&template(spec.clone()), &plain), expected, "{spec}");
    }
}

#[test]
fn only_scheduling_taints_keep_pods_off() {
    assert_eq!(
        tainted(json!([]), false, taint("gpu", "", "NoSchedule")),
        "taint-not-tolerated"
    );
    assert_eq!(
        tainted(json!([]), false, taint("gpu", "", "NoExecute")),
        "taint-not-tolerated"
    );
    assert_eq!(
        tainted(json!([]), false, taint("gpu", "", "PreferNoSchedule")),
        "admitted"
    );
}

#[test]
fn tolerations_match_as_the_api_says() {
    let on = |toleration: Value| {
        tainted(
            json!([toleration]),
            false,
            taint("gpu", "yes", "NoSchedule"),
        )
    };
    for (toleration, expected) in [
        (json!({"operator": "Exists"}), "admitted"),
        (json!({"key": "gpu", "operator": "Exists"}), "admitted"),
        (
            json!({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}),
            "admitted",
        ),
        (
            json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}),
            "taint-not-tolerated",
        ),
        (json!({"key": "gpu", "value": "yes"}), "admitted"),
        (
            json!({"key": "gpu", "operator": "Equal", "value": "yes"}),
            "admitted",
        ),
        (
            json!({"key": "gpu", "operator": "Equal", "value": "no"}),
            "taint-not-tolerated",
        ),
        (json!({"key": "gpu"}), "taint-not-tolerated"),
        (
            json!({"key": "cpu", "operator": "Exists"}),
            "taint-not-tolerated",
        ),
    ] {
        assert_eq!(on(toleration.clone()), expected, "{toleration}");
    }
}

#[test]
fn the_controller_adds_its_own_tolerations() {
    for (key, effect, expected) in [
        ("not-ready", "NoExecute", "admitted"),
        ("unreachable", "NoExecute", "admitted"),
        ("disk-pressure", "NoSchedule", "admitted"),
        ("memory-pressure", "NoSchedule", "admitted"),
        ("pid-pressure", "NoSchedule", "admitted"),
        ("unschedulable", "NoSchedule", "admitted"),
        ("not-ready", "NoSchedule", "taint-not-tolerated"),
        ("network-unavailable", "NoSchedule", "taint-not-tolerated"),
        ("out-of-service", "NoExecute", "taint-not-tolerated"),
    ] {
        let taint = taint(&format!("node.kubernetes.io/{key}"), "", effect);
        assert_eq!(tainted(json!([]), false, taint), expected, "{key} {effect}");
    }
    let network = taint("node.kubernetes.io/network-unavailable", "", "NoSchedule");
    assert_eq!(tainted(json!([]), true, network), "admitted");
}

#[test]
fn another_platform_is_told_from_a_selector() {
    let linux = json!({"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
    let windows = json!({"kubernetes.io/os": "windows", "kubernetes.io/arch": "amd64"});
    let keep_off = json!([taint("os", "windows", "NoSchedule")]);
    let os = |os: &str| json!({"nodeSelector": {"kubernetes.io/os": os}});
    let by_affinity = |os: &str| {
        terms(json!([{"matchExpressions": [
            {"key": "kubernetes.io/os", "operator": "In", "values": [os]},
            {"key": "pool", "operator": "Exists"}]}]))
    };
    for (spec, labels, taints, os, expected) in [
        (
            os("linux"),
            windows.clone(),
            json!([]),
            "windows",
            "platform",
        ),
        (os("windows"), linux.clone(), json!([]), "linux", "platform"),
        (
            json!({"nodeSelector": {"kubernetes.io/arch": "arm64"}}),
            linux.clone(),
            json!([]),
            "linux",
            "platform",
        ),
        (
            by_affinity("windows"),
            linux.clone(),
            json!([]),
            "linux",
            "platform",
        ),
        // The platform is right, the rest is not.
        (
            by_affinity("linux"),
            linux.clone(),
            json!([]),
            "linux",
            "affinity-mismatch",
        ),
        (
            json!({"nodeSelector": {"kubernetes.io/os": "linux", "disk": "ssd"}}),
            linux.clone(),
            json!([]),
            "linux",
            "selector-mismatch",
        ),
        // The label is missing: the controller reads labels, whatever the kubelet reports.
        (
            os("linux"),
            json!({}),
            json!([]),
            "linux",
            "selector-mismatch",
        ),
        (os("linux"), json!({}), json!([]), "windows", "platform"),
        // Nothing says that it runs on Windows; the taint of such nodes keeps it off.
        (
            json!({}),
            windows.clone(),
            keep_off.clone(),
            "windows",
            "platform",
        ),
        (
            os("windows"),
            windows.clone(),
            keep_off.clone(),
            "windows",
            "taint-not-tolerated",
        ),
        (json!({}), windows.clone(), json!([]), "windows", "admitted"),
        (json!({}), linux, keep_off, "linux", "taint-not-tolerated"),
    ] {
        assert_eq!(
            word(&template(spec.clone()), &node(labels.clone(), taints, os)),
            expected,
            "{spec} {labels} {os}"
        );
    }
}

#[test]
fn the_first_obstacle_is_named() {
    let spec = json!({"nodeSelector": {"disk": "ssd"}, "affinity": terms(json!([{}]))["affinity"]});
    let taints = json!([taint("gpu", "", "NoSchedule")]);
    assert_eq!(
        word(
            &template(spec.clone()),
            &node(json!({}), taints.clone(), "linux")
        ),
        "selector-mismatch"
    );
    assert_eq!(
        word(
            &template(spec),
            &node(json!({"disk": "ssd"}), taints, "linux")
        ),
        "affinity-mismatch"
    );
}
