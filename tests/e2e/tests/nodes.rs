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
    for n in 0..30 {
        nodes.push(node(&format!("worker-{n}"), &json!({}), &json!([])));
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
                    "containers": [{"name": "falco", "image": "registry.example.com/security/falco:1"}]
                }
            }
        }
    })
}

#[test]
fn each_node_without_the_agent_has_a_ticket_with_its_reason() -> Result<()> {
    let builder = ControlPlane::builder().controllers().scheduler().kwok();
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
    // 30 workers and 3 spot nodes; the rest is out of its reach.
    let ready = "--for=jsonpath={.status.numberReady}=33";
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
        "namespace": "security", "selector": {"matchLabels": {"app": "falco"}}}}]);
    plane.apply(&policy.to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;

    let seen = |ticket: &Value| {
        let subject = ticket["spec"]["finding"]["subject"]["name"]
            .as_str()
            .unwrap_or("?");
        let reason = ticket["status"]["evidence"]["reasons"][0]
            .as_str()
            .unwrap_or("?");
        (subject.to_owned(), reason.to_owned())
    };
    let wanted: BTreeMap<String, String> = reasons
        .iter()
        .map(|(n, r)| (n.clone(), (*r).to_owned()))
        .collect();
    wait_until(3 * SOON, "each node's ticket with its reason", || {
        let tickets = installed::tickets_of(plane, "node-agent-missing")?;
        let now: BTreeMap<_, _> = tickets.iter().map(seen).collect();
        match now == wanted {
            true => Ok(()),
            false => Err(Error::failed(format!("{now:?}"))),
        }
    })?;
    installed::patrols(plane, "nodes", 1)?;
    let tickets = installed::tickets_of(plane, "node-agent-missing")?;
    let now: BTreeMap<_, _> = tickets.iter().map(seen).collect();
    assert_eq!(
        (tickets.len(), now),
        (wanted.len(), wanted),
        "it did not stay so"
    );

    // The cause is said once for each reason, on the agent's controller.
    let excluded = installed::tickets_of(plane, "node-agent-excluded")?;
    let causes: BTreeSet<_> = excluded.iter().map(seen).collect();
    let both = ["selector-mismatch", "taint-not-tolerated"];
    let wanted = both.map(|reason| ("falco".to_owned(), reason.to_owned()));
    assert_eq!((excluded.len(), causes), (2, BTreeSet::from(wanted)));
    operator.check_alive()
}
