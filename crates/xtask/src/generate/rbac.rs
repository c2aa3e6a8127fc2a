//! The operator's rights as objects, from the table in `patrol-kube`.

use std::collections::BTreeMap;

use patrol_core::kind::Kind;
use patrol_kube::rbac::{Rule, rights};
use serde_json::{Value, json};

/// Namespace, service account and lease carry one name.
const NAME: &str = patrol_api::names::DEFAULT_NAMESPACE;
pub(super) const RBAC: &str = "rbac.authorization.k8s.io";

/// An object of the manifest, with what it is for.
pub(super) struct Object {
    pub comment: &'static str,
    pub value: Value,
}

/// ServiceAccount, ClusterRole and Role with their bindings.
pub(super) fn objects() -> Vec<Object> {
    // Every kind of the table is watched, whatever the policies say.
    let rights = rights(Kind::ALL);
    let binding = |kind: &str, namespaced: bool| {
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": format!("{kind}Binding"),
            "metadata": metadata(namespaced),
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAME}],
        })
    };
    let role = |kind: &str, namespaced: bool, rules: &[Rule]| {
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": kind,
            "metadata": metadata(namespaced),
            "rules": rules.iter().map(rule).collect::<Vec<_>>(),
        })
    };
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(true),
        "automountServiceAccountToken": false,
    });
    vec![
        Object {
            comment: "",
            value: account,
        },
        Object {
            comment: "Reads what the checks read; writes tickets, its own statuses and events.",
            value: role("ClusterRole", false, &rights.cluster),
        },
        Object {
            comment: "",
            value: binding("ClusterRole", false),
        },
        Object {
            comment: "One replica leads; credentials of receivers are read when they are used.",
            value: role("Role", true, &rights.namespace),
        },
        Object {
            comment: "",
            value: binding("Role", true),
        },
    ]
}

fn metadata(namespaced: bool) -> Value {
    let mut value = metadata_of(NAME, &[]);
    if let (Some(fields), true) = (value.as_object_mut(), namespaced) {
        fields.insert("namespace".into(), json!(NAME));
    }
    value
}

/// Metadata of a cluster-scoped object, with what marks it as ours.
pub(super) fn metadata_of(name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: BTreeMap<&str, &str> = [("app.kubernetes.io/name", NAME)]
        .into_iter()
        .chain(labels.iter().copied())
        .collect();
    json!({"name": name, "labels": labels})
}

fn rule(rule: &Rule) -> Value {
    let mut value = json!({
        "apiGroups": rule.groups,
        "resources": rule.resources,
        "verbs": rule.verbs,
    });
    if let (Some(fields), false) = (value.as_object_mut(), rule.names.is_empty()) {
        fields.insert("resourceNames".into(), json!(rule.names));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_carried_over() {
        let rights = rights(Kind::ALL);
        let count = |kind: &str| {
            let object = objects().into_iter().find(|o| o.value["kind"] == kind);
            object.unwrap().value["rules"].as_array().unwrap().len()
        };
        assert_eq!(count("ClusterRole"), rights.cluster.len());
        assert_eq!(count("Role"), rights.namespace.len());
    }

    #[test]
    fn every_kind_a_check_reads_can_be_read() {
        let text = serde_json::to_string(&objects()[1].value).unwrap();
        for check in patrol_checks::CATALOGUE.checks {
            for kind in check.meta().reads {
                let resource = format!("\"{}\"", kind.info().resource);
                assert!(text.contains(&resource), "{}: {resource}", check.meta().id);
            }
        }
    }
}
