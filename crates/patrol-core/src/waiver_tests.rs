//! What a waiver covers, rule by rule, and how it stands over time.

use super::*;
use patrol_api::ticket::Subject;
use patrol_api::words::Layer;
use serde_json::{Value, json};

fn at(text: &str) -> Time {
    serde_json::from_value(Value::from(text)).unwrap()
}

fn object(namespace: &str, spec: Value) -> TicketWaiver {
    let mut whole = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
        "metadata": {"namespace": namespace, "name": "w", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"checks": ["*"], "reason": "goes away in spring", "owner": "payments"}
    });
    for (key, value) in spec.as_object().unwrap() {
        whole["spec"][key] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn waiver(namespace: &str, spec: Value) -> Waiver {
    Waiver::compile(&object(namespace, spec), "kube-patrol").unwrap()
}

fn finding(check: &str, kind: &str, namespace: Option<&str>, name: &str) -> Finding {
    Finding {
        policy: "p".into(),
        check: check.into(),
        requirement: None,
        subject: Subject {
            group: String::new(),
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
            uid: None,
        },
        subject_ref: format!("{kind}/{name}"),
        layer: Layer::L6,
        cluster: None,
    }
}

fn web() -> Finding {
    finding("sidecar-missing", "Deployment", Some("shop"), "web")
}

#[test]
fn everything_that_is_set_must_hold() {
    for (spec, covered) in [
        (json!({}), true),
        (json!({"checks": ["sidecar-*"]}), true),
        (json!({"checks": ["node-*"]}), false),
        (json!({"subjects": {"kind": "Deployment"}}), true),
        (json!({"subjects": {"kind": "Pod"}}), false),
        (json!({"subjects": {"names": ["we?"]}}), true),
        (json!({"subjects": {"names": ["api", "db"]}}), false),
        (
            json!({"subjects": {"kind": "Deployment", "names": ["db"]}}),
            false,
        ),
        (json!({"maxSeverity": "High"}), true),
        (json!({"maxSeverity": "Medium"}), false),
    ] {
        let found = waiver("shop", spec.clone()).covers(&web(), Severity::High, None);
        assert_eq!(found, covered, "{spec}");
    }
}

#[test]
fn a_selector_reads_the_subjects_own_labels_and_unknown_ones_match_nothing() {
    let labelled = waiver(
        "shop",
        json!({"subjects": {"selector": {"matchLabels": {"tier": "legacy"}}}}),
    );
    let labels: Labels = serde_json::from_value(json!({"tier": "legacy"})).unwrap();
    let others: Labels = serde_json::from_value(json!({"tier": "new"})).unwrap();
    assert!(labelled.covers(&web(), Severity::High, Some(&labels)));
    assert!(!labelled.covers(&web(), Severity::High, Some(&others)));
    assert!(!labelled.covers(&web(), Severity::High, None));
}

#[test]
fn a_namespaced_waiver_never_reaches_beyond_its_namespace() {
    let own = waiver("shop", json!({}));
    for (finding, covered) in [
        (web(), true),
        (
            finding("sidecar-missing", "Deployment", Some("bank"), "web"),
            false,
        ),
        (finding("node-agent-missing", "Node", None, "n1"), false),
        // The namespace itself is not in the namespace.
        (
            finding("namespace-psa-unlabelled", "Namespace", None, "shop"),
            false,
        ),
    ] {
        assert_eq!(
            own.covers(&finding, Severity::Low, None),
            covered,
            "{finding:?}"
        );
    }
    let refused = Waiver::compile(
        &object("shop", json!({"namespaces": ["bank"]})),
        "kube-patrol",
    );
    assert!(refused.unwrap_err().message.contains("spec.namespaces"));
}

#[test]
fn in_the_operators_namespace_it_reaches_what_it_names_or_everything() {
    let everywhere = waiver("kube-patrol", json!({}));
    let node = finding("node-agent-missing", "Node", None, "n1");
    assert!(everywhere.covers(&node, Severity::Low, None));
    assert!(everywhere.covers(&web(), Severity::Low, None));
    let named = waiver("kube-patrol", json!({"namespaces": ["sh*"]}));
    assert!(named.covers(&web(), Severity::Low, None));
    assert!(!named.covers(&node, Severity::Low, None));
}

#[test]
fn the_check_about_waivers_is_only_waived_by_its_full_name() {
    let about = finding("waiver-overdue", "TicketWaiver", Some("shop"), "w");
    assert!(!waiver("shop", json!({})).covers(&about, Severity::Low, None));
    assert!(!waiver("shop", json!({"checks": ["waiver-*"]})).covers(&about, Severity::Low, None));
    assert!(
        waiver("shop", json!({"checks": ["waiver-overdue"]})).covers(&about, Severity::Low, None)
    );
}

#[test]
fn ends_are_bounded_from_the_creation_on() {
    let end = |spec| until(&object("shop", spec));
    assert_eq!(end(json!({})), Ok(at("2026-04-01T00:00:00Z")));
    assert_eq!(
        end(json!({"treatment": "Mute"})),
        Ok(at("2026-01-31T00:00:00Z"))
    );
    assert_eq!(
        end(json!({"expiresAt": "2027-01-01T00:00:00Z"})),
        Ok(at("2027-01-01T00:00:00Z"))
    );
    for spec in [
        json!({"expiresAt": "2027-01-01T00:00:01Z"}),
        json!({"expiresAt": "2026-02-01T00:00:00Z", "treatment": "Mute"}),
    ] {
        assert_eq!(end(spec.clone()).unwrap_err().reason, "Unbounded", "{spec}");
    }
    let mut unborn = object("shop", json!({}));
    unborn.metadata.creation_timestamp = None;
    assert_eq!(until(&unborn).unwrap_err().reason, "Unbounded");
}

#[test]
fn standings_follow_the_clock() {
    let end = at("2026-04-01T00:00:00Z");
    let idle = Some(at("2026-01-01T00:00:00Z"));
    for (now, idle_since, expected) in [
        ("2026-01-02T00:00:00Z", None, Standing::Active),
        ("2026-01-02T00:00:00Z", idle, Standing::Active),
        ("2026-01-31T00:00:00Z", idle, Standing::Unused),
        ("2026-03-24T23:59:59Z", None, Standing::Active),
        ("2026-03-25T00:00:00Z", None, Standing::Expiring),
        ("2026-04-01T00:00:00Z", None, Standing::Expired),
        ("2026-04-01T00:00:00Z", idle, Standing::Expired),
    ] {
        assert_eq!(standing(end, idle_since, at(now)), expected, "{now}");
    }
    let changes = |now, idle| changes_at(end, idle, at(now));
    assert_eq!(
        changes("2026-01-02T00:00:00Z", idle),
        Some(at("2026-01-31T00:00:00Z"))
    );
    assert_eq!(
        changes("2026-02-02T00:00:00Z", None),
        Some(at("2026-03-25T00:00:00Z"))
    );
    assert_eq!(changes("2026-03-26T00:00:00Z", None), Some(end));
    assert_eq!(changes("2026-04-02T00:00:00Z", None), None);
}
