//! What people may do with our kinds. Those who view, edit or administer a namespace can do
//! so with our kinds in it, without a binding of their own; what reaches beyond a namespace
//! is bound by hand.

use patrol_api::names::{DEFAULT_NAMESPACE, GROUP};
use serde_json::{Value, json};

use super::rbac::{Object, RBAC, metadata_of};

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 4] = ["create", "delete", "patch", "update"];

/// The roles, each of use by itself. None of them reaches a status, or opens or deletes a
/// ticket.
pub(super) fn objects(crds: &[(String, Value)]) -> Vec<Object> {
    let kinds = |scope: Option<&str>| -> Vec<Value> {
        crds.iter()
            .map(|(_, crd)| crd)
            .filter(|crd| {
                let own = crd.pointer("/spec/scope").and_then(Value::as_str);
                scope.is_none() || own == scope
            })
            .filter_map(|crd| crd.pointer("/spec/names/plural").cloned())
            .collect()
    };
    vec![
        Object {
            comment: "Whoever may view a namespace sees our objects in it.",
            value: role("view", Some("view"), &[(kinds(None), &READ)]),
        },
        Object {
            comment: "Whoever may edit a namespace takes, puts off and assigns its tickets.",
            value: role(
                "edit",
                Some("edit"),
                &[
                    (kinds(None), &READ),
                    (vec![json!("tickets")], &["patch", "update"]),
                ],
            ),
        },
        Object {
            comment: "Whoever administers a namespace waives in it. Editors do not: who brings a risk in does not accept it.",
            value: role(
                "waive",
                Some("admin"),
                &[(kinds(None), &READ), (vec![json!("ticketwaivers")], &WRITE)],
            ),
        },
        Object {
            comment: "Policies and receivers reach beyond a namespace: bind this to whoever is responsible for them.",
            value: role(
                "admin",
                None,
                &[(kinds(None), &READ), (kinds(Some("Cluster")), &WRITE)],
            ),
        },
    ]
}

fn role(suffix: &str, aggregate_to: Option<&str>, rules: &[(Vec<Value>, &[&str])]) -> Value {
    let label = aggregate_to.map(|to| format!("{RBAC}/aggregate-to-{to}"));
    let labels: Vec<(&str, &str)> = label.iter().map(|l| (l.as_str(), "true")).collect();
    let rules: Vec<Value> = rules
        .iter()
        .map(|(resources, verbs)| {
            json!({"apiGroups": [GROUP], "resources": resources, "verbs": verbs})
        })
        .collect();
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "ClusterRole",
        "metadata": metadata_of(&format!("{DEFAULT_NAMESPACE}-{suffix}"), &labels),
        "rules": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_given_a_status_or_the_opening_or_end_of_a_ticket() {
        for object in objects(&super::super::crds::manifests()) {
            for rule in object.value["rules"].as_array().unwrap() {
                let resources: Vec<&str> = rule["resources"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|r| r.as_str().unwrap())
                    .collect();
                assert!(!resources.iter().any(|r| r.contains(['/', '*'])), "{rule}");
                let verbs = rule["verbs"].as_array().unwrap();
                let tickets = resources.contains(&"tickets");
                for verb in ["create", "delete", "deletecollection", "*"] {
                    assert!(!tickets || !verbs.contains(&json!(verb)), "{rule}");
                }
            }
        }
    }

    #[test]
    fn every_kind_can_be_viewed() {
        let crds = super::super::crds::manifests();
        let view = &objects(&crds)[0].value["rules"][0];
        assert_eq!(view["resources"].as_array().unwrap().len(), crds.len());
    }
}
