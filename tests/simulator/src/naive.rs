//! A second opinion on the small family of objects the scenarios make: read straight from
//! the JSON, written without looking at the checks. It keeps the checks from being judged
//! by themselves alone.

use std::collections::BTreeSet;

use patrol_core::kind::Kind;
use serde_json::Value;

use crate::world::{World, text};

/// Workloads (namespace/name) with a live pod that lacks the sidecar, pods younger than
/// `grace` seconds left out.
#[must_use]
pub fn uncovered_workloads(world: &World, grace: i64) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (key, pod) in world.all(Kind::Pod) {
        let Some(workload) = workload_of(world, &key.namespace, pod) else {
            continue;
        };
        let age = age(world, pod);
        if is_live(pod) && !has_sidecar(pod) && age >= grace {
            out.insert(format!("{}/{workload}", key.namespace));
        }
    }
    out
}

/// Ready nodes, older than `grace` seconds, without a ready agent pod.
#[must_use]
pub fn uncovered_nodes(world: &World, grace: i64) -> BTreeSet<String> {
    world
        .all(Kind::Node)
        .filter(|(_, node)| {
            age(world, node) >= grace && node.pointer("/metadata/deletionTimestamp").is_none()
        })
        .filter(|(key, _)| {
            !world.all(Kind::Pod).any(|(_, pod)| {
                text(pod, "/metadata/labels/app") == "falco"
                    && text(pod, "/metadata/namespace") == "security"
                    && text(pod, "/spec/nodeName") == *key.name
                    && is_live(pod)
            })
        })
        .map(|(key, _)| key.name.to_string())
        .collect()
}

fn age(world: &World, value: &Value) -> i64 {
    text(value, "/metadata/creationTimestamp")
        .parse::<patrol_api::time::Time>()
        .map_or(0, |at| world.wall().unix() - at.unix())
}

fn is_live(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_none()
        && !matches!(text(pod, "/status/phase").as_str(), "Succeeded" | "Failed")
}

fn has_sidecar(pod: &Value) -> bool {
    let ours = |c: &Value| {
        text(c, "/name") == "aegis"
            && text(c, "/image").contains("registry.example.com/security/aegis")
    };
    let list = |pointer: &str| {
        pod.pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    list("/spec/containers").iter().any(ours)
        || list("/spec/initContainers")
            .iter()
            .any(|c| ours(c) && text(c, "/restartPolicy") == "Always")
}

/// The deployment or daemon set above a pod, all links checked by UID.
fn workload_of(world: &World, namespace: &str, pod: &Value) -> Option<String> {
    if let Some((name, uid)) = owner(pod, "DaemonSet") {
        let set = world.get(
            Kind::DaemonSet,
            &patrol_core::facts::ObjectKey::new(namespace, &name),
        )?;
        return (text(set, "/metadata/uid") == uid).then_some(name);
    }
    let set = owner(pod, "ReplicaSet")?;
    let set = world.all(Kind::ReplicaSet).find(|(key, value)| {
        key.namespace == *namespace && text(value, "/metadata/uid") == set.1
    })?;
    let deployment = owner(set.1, "Deployment")?;
    world
        .all(Kind::Deployment)
        .find(|(key, value)| {
            key.namespace == *namespace && text(value, "/metadata/uid") == deployment.1
        })
        .map(|(key, _)| key.name.to_string())
}

fn owner(value: &Value, kind: &str) -> Option<(String, String)> {
    let owner = value.pointer("/metadata/ownerReferences/0")?;
    (text(owner, "/kind") == kind).then(|| (text(owner, "/name"), text(owner, "/uid")))
}

/// Whether the checks say of the family what the naive reading says.
///
/// # Errors
/// The difference, in a sentence.
pub fn agrees(world: &World, truth: &crate::judge::Judge) -> Result<(), String> {
    let hidden = [
        Kind::Pod,
        Kind::Node,
        Kind::Namespace,
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::DaemonSet,
    ]
    .iter()
    .any(|kind| world.denied.contains(kind));
    let garbled = world
        .all(Kind::Pod)
        .any(|(_, pod)| pod.pointer("/spec/hostNetwork").is_some());
    if hidden || garbled {
        return Ok(());
    }
    for (name, policy) in truth.policies() {
        let spec = &policy.spec;
        if spec.suspend || policy.metadata.deletion_timestamp.is_some() || !truth.is_compiled(name)
        {
            continue;
        }
        let include = &spec.scope.namespaces.include;
        let in_scope = |subject: &String| {
            let ns = subject.split('/').next().unwrap_or("");
            include.is_empty() || include.iter().any(|glob| glob == ns)
        };
        let grace = |span: patrol_api::time::Span| i64::try_from(span.as_secs()).unwrap_or(0);
        let (pods, nodes) = (
            grace(spec.graces.pod_injection),
            grace(spec.graces.new_node),
        );
        for (requirement, check, surely, perhaps) in [
            (
                "aegis",
                "sidecar-missing",
                uncovered_workloads(world, pods + 1),
                uncovered_workloads(world, pods - 1),
            ),
            (
                "falco",
                "node-agent-missing",
                uncovered_nodes(world, nodes + 1),
                uncovered_nodes(world, nodes - 1),
            ),
        ] {
            if !truth.has_rule(name, check, Some(requirement)) {
                continue;
            }
            let said = truth.subjects_failing(name, check);
            let ending = |subject: &String| {
                let ns = subject.split('/').next().unwrap_or("");
                world
                    .get(Kind::Namespace, &patrol_core::facts::ObjectKey::new("", ns))
                    .is_none_or(|v| v.pointer("/metadata/deletionTimestamp").is_some())
            };
            let node = check == "node-agent-missing";
            for subject in &surely {
                if (node || (in_scope(subject) && !ending(subject))) && !said.contains(subject) {
                    return Err(format!(
                        "{name} {check}: {subject} lacks it, and the check does not say so"
                    ));
                }
            }
            for subject in &said {
                if !perhaps.contains(subject) || !(node || in_scope(subject)) {
                    return Err(format!(
                        "{name} {check}: the check fails {subject}, which has it"
                    ));
                }
            }
        }
    }
    Ok(())
}
