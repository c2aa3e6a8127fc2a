//! The hardening of the shipped pods, judged by the API server: the strictest Pod Security
//! standard admits them, and refuses them with any field of it made soft.

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{NAMESPACE, SOON, repository};
use patrol_e2e::skip::or_skip;
use patrol_e2e::{Context, Result, wait_until};
use serde_json::{Value, json};

/// Hardening of the container that the standard `restricted` asks for, with a value that
/// it must refuse.
const SOFTENED: [(&str, &str, Value); 4] = [
    ("container", "allowPrivilegeEscalation", Value::Bool(true)),
    ("container", "capabilities", Value::Null),
    ("pod", "runAsNonRoot", Value::Null),
    ("pod", "seccompProfile", Value::Null),
];

#[test]
fn the_strictest_standard_admits_our_pods_and_refuses_them_softened() -> Result<()> {
    let plane = ControlPlane::builder().controllers().start();
    let Some(plane) = or_skip("hardening", plane)? else {
        return Ok(());
    };
    let path = repository("deploy/install.yaml");
    let text = std::fs::read_to_string(&path).context(path.display())?;
    plane.apply(&text)?;

    let pods = wait_until(SOON, "both pods to be admitted", || {
        let list = plane
            .get(&["pods", "-n", NAMESPACE])
            .map_err(|e| e.to_string())?;
        match list["items"].as_array().filter(|items| items.len() == 2) {
            Some(items) => Ok(items.clone()),
            None => Err(format!("{list}")),
        }
    })?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "again", "namespace": NAMESPACE},
        "spec": as_created(&pods[0]["spec"]),
    });
    let create = |pod: &Value| {
        let args = ["create", "--dry-run=server", "-f", "-"];
        plane.kubectl_with_input(ADMIN, args, Some(&pod.to_string()))
    };
    create(&pod)?.success()?;
    // The gate is closed, not absent: each field made soft is refused.
    for (place, field, value) in SOFTENED {
        let mut soft = pod.clone();
        for container in soft["spec"]["containers"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            if place == "container" {
                container["securityContext"][field] = value.clone();
            } else if let Some(own) = container["securityContext"].as_object_mut() {
                own.remove(field);
            }
        }
        if place == "pod" {
            soft["spec"]["securityContext"][field] = value.clone();
        }
        let said = create(&soft)?.failure().context(field)?;
        assert!(said.contains("violates PodSecurity"), "{field}: {said}");
    }
    plane.discard()
}

/// The part of a created pod's spec that its author wrote.
fn as_created(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("nodeName");
    }
    spec
}
