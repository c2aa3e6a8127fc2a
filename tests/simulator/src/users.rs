//! Carries out what users do on the model API server.

use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::judge::HOME;
use crate::manifests::{self, Make};
use crate::scenario::{Action, Scenario};
use crate::world::{World, set, text};

/// The kinds that end with their namespace.
const OF_NAMESPACES: [Kind; 5] = [
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::Pod,
    Kind::Ticket,
    Kind::TicketWaiver,
];

/// What a user's act asks to happen later.
pub type Later = Vec<(u64, Action)>;

/// The cluster of a scenario, at its start.
pub fn build(world: &mut World, scenario: &Scenario) {
    let now = world.wall();
    // Older than any grace, wherever the clock jumps to.
    let old = now.minus(patrol_api::time::Span::hours(24));
    for ns in ["kube-system", "security", HOME] {
        world.apply(Kind::Namespace, manifests::namespace(ns, old));
    }
    for (ns, ..) in &scenario.deployments {
        world.apply(Kind::Namespace, manifests::namespace(ns, old));
    }
    let mut agents = manifests::agent_set(1);
    set(
        &mut agents,
        "metadata",
        "creationTimestamp",
        json!(old.to_string()),
    );
    world.apply(Kind::DaemonSet, agents);
    for (name, agent) in &scenario.nodes {
        world.apply(Kind::Node, manifests::node(name, old));
        if *agent {
            gain_agent(world, name);
        }
    }
    for (ns, name, make, replicas) in &scenario.deployments {
        create_deployment(world, ns, name, *make, *replicas);
    }
    for (name, spec) in &scenario.policies {
        apply_policy(world, name, spec);
    }
    for receiver in scenario.receivers.values() {
        world.apply(Kind::AlertReceiver, receiver.clone());
    }
}

/// Carries out one act.
pub fn act(world: &mut World, action: &Action) -> Later {
    let mut later = vec![];
    match action {
        Action::Remake(ns, name, make) => remake(world, ns, name, *make),
        Action::Flap(ns, name) => {
            let to = if is_bare(world, ns, name) {
                Make::Covered
            } else {
                Make::Bare
            };
            let back = if to == Make::Bare {
                Make::Covered
            } else {
                Make::Bare
            };
            remake(world, ns, name, to);
            for (i, make) in [back, to, back].into_iter().enumerate() {
                let at = 4_000 * (u64::try_from(i).unwrap_or(0) + 1);
                later.push((at, Action::Remake(ns.clone(), name.clone(), make)));
            }
        }
        Action::Scale(ns, name, replicas) => scale(world, ns, name, *replicas),
        Action::DeleteDeployment(ns, name) => delete_deployment(world, ns, name),
        Action::CreateDeployment(ns, name, make, replicas) => {
            if is_active(world, ns)
                && world
                    .get(Kind::Deployment, &ObjectKey::new(ns, name))
                    .is_none()
            {
                create_deployment(world, ns, name, *make, *replicas);
            }
        }
        Action::DeleteNamespace(ns) => {
            let wall = world.wall().to_string();
            if is_active(world, ns) {
                world.edit(Kind::Namespace, &ObjectKey::new("", ns), |v| {
                    set(v, "metadata", "deletionTimestamp", json!(wall));
                    set(v, "status", "phase", json!("Terminating"));
                });
                later.push((6_000, Action::FinishNamespace(ns.clone())));
            }
        }
        Action::FinishNamespace(ns) => {
            for kind in OF_NAMESPACES {
                for key in world.keys_in(kind, ns) {
                    world.delete(kind, &key);
                }
            }
            world.delete(Kind::Namespace, &ObjectKey::new("", ns));
        }
        Action::CreateNamespace(ns, make) => {
            if world
                .get(Kind::Namespace, &ObjectKey::new("", ns))
                .is_none()
            {
                let now = world.wall();
                world.apply(Kind::Namespace, manifests::namespace(ns, now));
                create_deployment(world, ns, "web", *make, 2);
            }
        }
        Action::AddNode(name, agent) => {
            if world.get(Kind::Node, &ObjectKey::new("", name)).is_none() {
                let now = world.wall();
                world.apply(Kind::Node, manifests::node(name, now));
                if *agent {
                    gain_agent(world, name);
                }
            }
        }
        Action::RemoveNode(name) => {
            world.delete(Kind::Node, &ObjectKey::new("", name));
            for key in pods_on(world, name) {
                world.delete(Kind::Pod, &key);
            }
        }
        Action::LoseAgent(node) => {
            world.delete(
                Kind::Pod,
                &ObjectKey::new("security", &format!("falco-{node}")),
            );
        }
        Action::GainAgent(node) => {
            if world.get(Kind::Node, &ObjectKey::new("", node)).is_some() {
                gain_agent(world, node);
            }
        }
        Action::Garble(on) => garble(world, *on),
        Action::Policy(name, spec) => apply_policy(world, name, spec),
        Action::DeletePolicy(name) => {
            world.delete(Kind::PatrolPolicy, &ObjectKey::new("", name));
        }
        Action::PatrolNow(name, nonce) => {
            world.edit(Kind::PatrolPolicy, &ObjectKey::new("", name), |v| {
                let notes = json!({"kubepatrol.io/patrol-now": nonce.to_string()});
                set(v, "metadata", "annotations", notes);
            });
        }
        Action::Receiver(name, receiver) => {
            let mut receiver = (**receiver).clone();
            let before = world.get(Kind::AlertReceiver, &ObjectKey::new("", name));
            // Who writes an object leaves its status as it is.
            if let (Some(status), Some(object)) = (
                before.and_then(|before| before.get("status").cloned()),
                receiver.as_object_mut(),
            ) {
                object.insert("status".into(), status);
            }
            world.apply(Kind::AlertReceiver, receiver);
        }
        Action::DeleteReceiver(name) => {
            world.delete(Kind::AlertReceiver, &ObjectKey::new("", name));
        }
        Action::Deny(kind, on) => {
            if *on {
                world.denied.insert(*kind);
            } else {
                world.denied.remove(kind);
            }
        }
        // These are the run's: it keeps account of them.
        Action::DeleteTicket(_)
        | Action::Forge(..)
        | Action::Wish(_)
        | Action::Waive(_)
        | Action::Revoke(..) => {}
    }
    later
}

/// Whether a namespace is there and takes new objects.
#[must_use]
pub fn is_active(world: &World, ns: &str) -> bool {
    world
        .get(Kind::Namespace, &ObjectKey::new("", ns))
        .is_some_and(|v| v.pointer("/metadata/deletionTimestamp").is_none())
}

fn is_bare(world: &World, ns: &str, name: &str) -> bool {
    world
        .get(Kind::Deployment, &ObjectKey::new(ns, name))
        .is_some_and(|d| text(d, "/metadata/annotations/make") == "Bare")
}

fn apply_policy(world: &mut World, name: &str, spec: &Value) {
    let key = ObjectKey::new("", name);
    match world.get(Kind::PatrolPolicy, &key) {
        // A policy on its way out stays on its way out.
        Some(_) => {
            world.edit(Kind::PatrolPolicy, &key, |v| {
                if let Some(object) = v.as_object_mut() {
                    object.insert("spec".into(), spec.clone());
                }
            });
        }
        None => {
            world.apply(
                Kind::PatrolPolicy,
                json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy",
                    "metadata": {"name": name}, "spec": spec}),
            );
        }
    }
}

fn create_deployment(world: &mut World, ns: &str, name: &str, make: Make, replicas: u64) {
    let mut deployment = manifests::deployment(ns, name, replicas);
    let notes = json!({"make": format!("{make:?}"), "revision": "1"});
    set(&mut deployment, "metadata", "annotations", notes);
    let uid = world.apply(Kind::Deployment, deployment);
    roll_out(world, ns, name, &uid, make, 1, replicas);
}

fn roll_out(
    world: &mut World,
    ns: &str,
    name: &str,
    uid: &str,
    make: Make,
    revision: u64,
    replicas: u64,
) {
    let set = manifests::replica_set(ns, name, uid, revision, replicas);
    let set_name = text(&set, "/metadata/name");
    let set_uid = world.apply(Kind::ReplicaSet, set);
    let nodes: Vec<String> = world
        .all(Kind::Node)
        .map(|(k, _)| k.name.to_string())
        .collect();
    let now = world.wall();
    for i in 0..replicas {
        let at = usize::try_from(i).unwrap_or(0) % nodes.len().max(1);
        let node = nodes.get(at).map_or("node-0", String::as_str);
        let owner = manifests::owner("apps/v1", "ReplicaSet", &set_name, &set_uid);
        let pod = manifests::pod(ns, &format!("{set_name}-{i}"), owner, name, node, make, now);
        world.apply(Kind::Pod, pod);
    }
}

fn remake(world: &mut World, ns: &str, name: &str, make: Make) {
    let key = ObjectKey::new(ns, name);
    let Some(deployment) = world.get(Kind::Deployment, &key).cloned() else {
        return;
    };
    let uid = text(&deployment, "/metadata/uid");
    let revision = text(&deployment, "/metadata/annotations/revision")
        .parse::<u64>()
        .unwrap_or(1)
        + 1;
    let replicas = deployment
        .pointer("/spec/replicas")
        .and_then(Value::as_u64)
        .unwrap_or(1);
    let old = owned(world, ns, name);
    world.edit(Kind::Deployment, &key, |v| {
        let notes = json!({"make": format!("{make:?}"), "revision": revision.to_string()});
        set(v, "metadata", "annotations", notes);
    });
    roll_out(world, ns, name, &uid, make, revision, replicas);
    for (kind, key) in old {
        world.delete(kind, &key);
    }
}

fn scale(world: &mut World, ns: &str, name: &str, replicas: u64) {
    let key = ObjectKey::new(ns, name);
    let Some(deployment) = world.get(Kind::Deployment, &key).cloned() else {
        return;
    };
    let make = match text(&deployment, "/metadata/annotations/make").as_str() {
        "Covered" => Make::Covered,
        "Native" => Make::Native,
        "Impostor" => Make::Impostor,
        "Crashing" => Make::Crashing,
        _ => Make::Bare,
    };
    let generation = deployment
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(1);
    world.edit(Kind::Deployment, &key, |v| {
        let changed = v.pointer("/spec/replicas").and_then(Value::as_u64) != Some(replicas);
        set(v, "spec", "replicas", json!(replicas));
        set(
            v,
            "status",
            "observedGeneration",
            json!(generation + i64::from(changed)),
        );
        for count in ["replicas", "availableReplicas", "updatedReplicas"] {
            set(v, "status", count, json!(replicas));
        }
    });
    remake(world, ns, name, make);
}

fn owned(world: &World, ns: &str, name: &str) -> Vec<(Kind, ObjectKey)> {
    [Kind::ReplicaSet, Kind::Pod]
        .into_iter()
        .flat_map(|kind| {
            world
                .all(kind)
                .filter(|(key, v)| key.namespace == *ns && text(v, "/metadata/labels/app") == name)
                .map(|(key, _)| (kind, key.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn delete_deployment(world: &mut World, ns: &str, name: &str) {
    let old = owned(world, ns, name);
    world.delete(Kind::Deployment, &ObjectKey::new(ns, name));
    for (kind, key) in old {
        world.delete(kind, &key);
    }
}

fn pods_on(world: &World, node: &str) -> Vec<ObjectKey> {
    world
        .all(Kind::Pod)
        .filter(|(_, v)| text(v, "/spec/nodeName") == node)
        .map(|(key, _)| key.clone())
        .collect()
}

fn gain_agent(world: &mut World, node: &str) {
    let set = world.get(Kind::DaemonSet, &ObjectKey::new("security", "falco"));
    let uid = set.map(|v| text(v, "/metadata/uid")).unwrap_or_default();
    let now = world.wall();
    let pod = manifests::agent_pod(node, &format!("falco-{node}"), &uid, now);
    if world
        .get(
            Kind::Pod,
            &ObjectKey::new("security", &format!("falco-{node}")),
        )
        .is_none()
    {
        world.apply(Kind::Pod, pod);
    }
}

/// The first pod gets a field of the wrong type, or loses it.
fn garble(world: &mut World, on: bool) {
    let keys: Vec<ObjectKey> = world.all(Kind::Pod).map(|(k, _)| k.clone()).collect();
    for key in keys.iter().take(if on { 1 } else { keys.len() }) {
        world.edit(Kind::Pod, key, |v| {
            if on {
                set(v, "spec", "hostNetwork", json!("s3cr3t-field"));
            } else if v.pointer("/spec/hostNetwork").is_some_and(Value::is_string)
                && let Some(spec) = v.get_mut("spec").and_then(Value::as_object_mut)
            {
                spec.remove("hostNetwork");
            }
        });
    }
}
