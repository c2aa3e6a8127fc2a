//! Fifty nodes and an agent that misses some of them, each for its own reason, as real
//! controllers and a real scheduler make it.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::collections::{BTreeMap, BTreeSet};

use patrol_e2e::control_plane::{ADMIN, ControlPlane, KWOK_NODE};
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::{Error, Result, wait_until};
use serde_json::{Value, json};

/// A node for kwok.
fn node(name: &str, labels: &Value, taints: &Value) -> Value {
    let (key, value) = KWOK_NODE;
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {key: value},
            "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64", "pool": "general"
            }
        },
        "spec": {"taints": taints}
    });
    for (label, value) in labels.as_object().into_iter().flatten() {
        node["metadata"]["labels"][label] = value.clone();
    }
    node
}

/// The nodes, and the reason that each of those has that must have a ticket.
fn nodes() -> (Vec<Value>, BTreeMap<String, &'static str>) {
    let (mut nodes, mut reasons) = (Vec::new(), BTreeMap::new());
    let taint = |key: &str, effect: &str| json!([{"key": key, "value": "x", "effect": effect}]);
    for n in 0..24 {
        let name = format!("worker-{n}");
        // Some of them need a second agent, that somebody put on three of them by hand.
        let labels = match n {
            0..5 => json!({"example.com/bare": ""}),
            _ => json!({}),
        };
        nodes.push(node(&name, &labels, &json!([])));
        if matches!(n, 3 | 4) {
            reasons.insert(name, "no-controller");
        }
    }
    for n in 0..3 {
        let name = format!("edge-{n}");
        nodes.push(node(&name, &json!({"tier": "edge"}), &json!([])));
        reasons.insert(name, "affinity-mismatch");
    }
    for n in 0..3 {
        let name = format!("small-{n}");
        let mut small = node(&name, &json!({}), &json!([]));
        // Less than the agent asks for.
        let room = json!({"cpu": "1", "memory": "1Gi", "pods": "10"});
        small["status"] = json!({"allocatable": room, "capacity": room});
        nodes.push(small);
        reasons.insert(name, "pending");
    }
    // Tolerated.
    for n in 0..3 {
        let taints = taint("spot", "NoSchedule");
        nodes.push(node(&format!("spot-{n}"), &json!({}), &taints));
    }
    for n in 0..5 {
        let name = format!("gpu-{n}");
        let effect = if n % 2 == 0 {
            "NoSchedule"
        } else {
            "NoExecute"
        };
        nodes.push(node(&name, &json!({}), &taint("gpu", effect)));
        reasons.insert(name, "taint-not-tolerated");
    }
    for n in 0..4 {
        let name = format!("batch-{n}");
        nodes.push(node(&name, &json!({"pool": "batch"}), &json!([])));
        reasons.insert(name, "selector-mismatch");
    }
    for n in 0..3 {
        let labels = json!({"node-role.kubernetes.io/control-plane": ""});
        let taints =
            json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
        nodes.push(node(&format!("master-{n}"), &labels, &taints));
    }
    for n in 0..5 {
        let taints =
            json!([{"key": "virtual-kubelet.io/provider", "value": "x", "effect": "NoSchedule"}]);
        nodes.push(node(
            &format!("virtual-{n}"),
            &json!({"type": "virtual-kubelet"}),
            &taints,
        ));
    }
    (nodes, reasons)
}

fn agent() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "falco", "namespace": "security"},
        "spec": {
            "selector": {"matchLabels": {"app": "falco"}},
            "template": {
                "metadata": {"labels": {"app": "falco"}},
                "spec": {
                    "nodeSelector": {"pool": "general"},
                    "tolerations": [{"key": "spot", "operator": "Exists"}],
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [
                            {"key": "tier", "operator": "NotIn", "values": ["edge"]}]}]}}},
                    "containers": [{"name": "falco", "image": "registry.example.com/security/falco:1",
                        "resources": {"requests": {"cpu": "2"}}}]
                }
            }
        }
    })
}

/// A pod of the second agent that nobody controls.
fn by_hand(on: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("tetragon-{on}"), "namespace": "security", "labels": {"app": "tetragon"}},
        "spec": {"nodeName": on, "containers": [{"name": "tetragon", "image": "registry.example.com/security/tetragon:1"}]}
    })
}

/// Node to reason.
type Reasons = BTreeMap<String, String>;

fn seen(ticket: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    (
        text(&ticket["spec"]["finding"]["subject"]["name"]),
        text(&ticket["status"]["evidence"]["reasons"][0]),
    )
}

/// Waits for exactly these tickets of nodes, and that they stay so.
fn wait_for_reasons(plane: &ControlPlane, wanted: &Reasons) -> Result<()> {
    let now = || -> Result<(usize, Reasons)> {
        let tickets = installed::tickets_of(plane, "node-agent-missing")?;
        Ok((tickets.len(), tickets.iter().map(seen).collect()))
    };
    wait_until(
        3 * SOON,
        "each node's ticket with its reason",
        || match now()? {
            (count, found) if count == wanted.len() && found == *wanted => Ok(()),
            (_, found) => Err(Error::failed(format!("{found:?}, wanted {wanted:?}"))),
        },
    )?;
    installed::patrols(plane, "nodes", 1)?;
    assert_eq!(now()?, (wanted.len(), wanted.clone()), "it did not stay so");
    Ok(())
}

#[test]
fn each_node_without_the_agent_has_a_ticket_with_its_reason() -> Result<()> {
    let builder = ControlPlane::builder().controllers().scheduler().kwok();
    let builder = builder.json_storage();
    let Some(stage) = Stage::raise("nodes", builder)? else {
        return Ok(());
    };
    let plane = &stage.plane;
    let (nodes, reasons) = nodes();
    assert_eq!(nodes.len(), 50);
    plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string())?;
    plane.create_namespace("security")?;
    plane
        .kubectl(
            ADMIN,
            [
                "wait",
                "--for=condition=Ready",
                "node",
                "--all",
                "--timeout=120s",
            ],
        )?
        .success()?;
    plane.apply(&agent().to_string())?;
    for n in 0..3 {
        installed::create_pod(plane, &by_hand(&format!("worker-{n}")))?;
    }
    // 24 workers and 3 spot nodes; the rest is out of its reach or has no room.
    let ready = "--for=jsonpath={.status.numberReady}=27";
    plane
        .kubectl(
            ADMIN,
            [
                "wait",
                ready,
                "daemonset/falco",
                "-n",
                "security",
                "--timeout=120s",
            ],
        )?
        .success()?;
    let mut policy = installed::policy("nodes");
    policy["spec"]["checks"] = json!([{"name": "falco", "severity": "High", "nodeAgent": {
        "namespace": "security", "selector": {"matchLabels": {"app": "falco"}}}},
        {"name": "tetragon", "nodeAgent": {"namespace": "security", "selector": {"matchLabels": {"app": "tetragon"}},
            "nodes": {"matchExpressions": [{"key": "example.com/bare", "operator": "Exists"}]}}}]);
    plane.apply(&policy.to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;

    let mut wanted: Reasons = reasons
        .iter()
        .map(|(n, r)| (n.clone(), (*r).to_owned()))
        .collect();
    wait_for_reasons(plane, &wanted)?;

    // The cause is said once for each reason, on the agent's controller.
    let excluded = installed::tickets_of(plane, "node-agent-excluded")?;
    let causes: BTreeSet<_> = excluded.iter().map(seen).collect();
    let all = [
        "affinity-mismatch",
        "selector-mismatch",
        "taint-not-tolerated",
    ];
    let of_falco = all.map(|reason| ("falco".to_owned(), reason.to_owned()));
    assert_eq!((excluded.len(), causes), (3, BTreeSet::from(of_falco)));

    // A controller that works no more, long after it made its last pod.
    plane.kill("kube-controller-manager")?;
    plane.set_creation_time("daemonsets/security/falco", "2020-01-01T00:00:00Z")?;
    for name in ["late-0", "late-1"] {
        plane.apply(&node(name, &json!({}), &json!([])).to_string())?;
        // Nobody else takes the taint of new nodes away now.
        let path = format!("/api/v1/nodes/{name}");
        let untainted = json!({"spec": {"taints": null}});
        plane
            .request(ADMIN, "PATCH", &path, Some(&untainted))?
            .success()?;
        wanted.insert(name.to_owned(), "not-created".to_owned());
    }
    wait_for_reasons(plane, &wanted)?;
    operator.check_alive()
}
