//! The objects of a simulated cluster: a small family whose right verdicts are known by
//! hand (`naive.rs`). Never uses anything of the product.

use patrol_api::time::Time;
use serde_json::{Value, json};

/// Image of the required sidecar.
pub const AGENT_IMAGE: &str = "registry.example.com/security/aegis:1.2.3";
/// Texts that must never come out of the engine.
pub const SECRETS: [&str; 4] = [
    "s3cr3t-environment",
    "s3cr3t-argument",
    "s3cr3t-annotation",
    "s3cr3t-field",
];
/// A text in receivers' addresses: allowed in the address of a send, nowhere else.
pub const SECRET_URL: &str = "s3cr3t-address";

/// How the pods of a deployment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// With a ready sidecar.
    Covered,
    /// With a ready native sidecar.
    Native,
    /// Without it.
    Bare,
    /// With a container of its name and a foreign image.
    Impostor,
    /// With a sidecar that crashes.
    Crashing,
}

impl Make {
    /// Whether the sidecar counts as present.
    #[must_use]
    pub fn is_covered(self) -> bool {
        matches!(self, Self::Covered | Self::Native | Self::Crashing)
    }
}

/// A namespace.
#[must_use]
pub fn namespace(name: &str, created: Time) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "creationTimestamp": created.to_string(),
            "labels": {"kubernetes.io/metadata.name": name}},
        "status": {"phase": "Active"}})
}

/// A ready node.
#[must_use]
pub fn node(name: &str, created: Time) -> Value {
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "creationTimestamp": created.to_string(),
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True",
                "lastTransitionTime": created.to_string()}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}}})
}

/// A deployment whose status says it is up.
#[must_use]
pub fn deployment(ns: &str, name: &str, replicas: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": ns, "labels": {"app": name}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [app_container()]}}},
        "status": {"observedGeneration": 1, "replicas": replicas, "availableReplicas": replicas,
            "updatedReplicas": replicas}})
}

/// A replica set of a deployment.
#[must_use]
pub fn replica_set(ns: &str, deployment: &str, uid: &str, revision: u64, replicas: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("{deployment}-r{revision}"), "namespace": ns,
            "labels": {"app": deployment},
            "ownerReferences": [owner("apps/v1", "Deployment", deployment, uid)]},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": deployment}},
            "template": {"metadata": {"labels": {"app": deployment}},
                "spec": {"containers": [app_container()]}}},
        "status": {"observedGeneration": 1, "replicas": replicas, "availableReplicas": replicas}})
}

/// A pod of a replica set.
#[must_use]
pub fn pod(
    ns: &str,
    name: &str,
    owner_ref: Value,
    app: &str,
    node: &str,
    make: Make,
    now: Time,
) -> Value {
    let running = json!({"running": {"startedAt": now.to_string()}});
    let mut containers = vec![app_container()];
    let mut init = vec![];
    let mut statuses = vec![
        json!({"name": "app", "ready": true, "started": true, "restartCount": 0,
        "image": "registry.example.com/shop/app:1", "imageID": "", "state": running}),
    ];
    let mut init_statuses = vec![];
    let status = |ready: bool, state: &Value| {
        json!({"name": "aegis", "ready": ready, "started": ready, "restartCount": 0,
            "image": AGENT_IMAGE, "imageID": "", "state": state})
    };
    let probe = json!({"httpGet": {"path": "/", "port": 1}});
    match make {
        Make::Covered => {
            containers
                .push(json!({"name": "aegis", "image": AGENT_IMAGE, "readinessProbe": probe}));
            statuses.push(status(true, &running));
        }
        Make::Native => {
            init.push(
                json!({"name": "aegis", "image": AGENT_IMAGE, "restartPolicy": "Always",
                "readinessProbe": probe}),
            );
            init_statuses.push(status(true, &running));
        }
        Make::Crashing => {
            containers
                .push(json!({"name": "aegis", "image": AGENT_IMAGE, "readinessProbe": probe}));
            statuses.push(status(
                false,
                &json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            ));
        }
        Make::Impostor => {
            containers.push(json!({"name": "aegis", "image": "docker.io/evil/aegis:1"}));
            statuses.push(status(true, &running));
        }
        Make::Bare => {}
    }
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": ns, "labels": {"app": app},
            "annotations": {"shop.example.com/token": "s3cr3t-annotation"},
            "ownerReferences": [owner_ref]},
        "spec": {"nodeName": node, "containers": containers, "initContainers": init},
        "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": if make == Make::Crashing { "False" } else { "True" },
                "lastTransitionTime": now.to_string()},
                {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": statuses, "initContainerStatuses": init_statuses}})
}

/// The daemon set of the node agent.
#[must_use]
pub fn agent_set(nodes: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "falco", "namespace": "security", "labels": {"app": "falco"}},
        "spec": {"selector": {"matchLabels": {"app": "falco"}},
            "template": {"metadata": {"labels": {"app": "falco"}},
                "spec": {"containers": [{"name": "falco", "image": "docker.io/falcosecurity/falco:0.40.0"}]}}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": nodes, "numberAvailable": nodes,
            "numberReady": nodes, "updatedNumberScheduled": nodes}})
}

/// A pod of the node agent.
#[must_use]
pub fn agent_pod(node: &str, name: &str, set_uid: &str, now: Time) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "security", "labels": {"app": "falco"},
            "ownerReferences": [owner("apps/v1", "DaemonSet", "falco", set_uid)]},
        "spec": {"nodeName": node,
            "containers": [{"name": "falco", "image": "docker.io/falcosecurity/falco:0.40.0"}]},
        "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now.to_string()},
                {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{"name": "falco", "ready": true, "started": true, "restartCount": 0,
                "image": "docker.io/falcosecurity/falco:0.40.0", "imageID": "",
                "state": {"running": {"startedAt": now.to_string()}}}]}})
}

/// A controller reference.
#[must_use]
pub fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true})
}

fn app_container() -> Value {
    json!({"name": "app", "image": "registry.example.com/shop/app:1",
        "args": ["--password=s3cr3t-argument"],
        "env": [{"name": "API_KEY", "value": "s3cr3t-environment"}]})
}

/// An AlertReceiver.
#[must_use]
pub fn receiver(name: &str, url: &str, coverage: bool, send_resolved: bool) -> Value {
    json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver",
        "metadata": {"name": name},
        "spec": {"webhook": {"url": url}, "coverage": coverage, "sendResolved": send_resolved,
            "rate": {"perMinute": 600}}})
}

/// The same as a PagerDuty, known by its routing key.
#[must_use]
pub fn pager(name: &str, coverage: bool, send_resolved: bool) -> Value {
    json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver",
        "metadata": {"name": name},
        "spec": {"pagerduty": {"routingKeySecretRef": {"name": name, "key": "key"}}, "coverage": coverage,
            "sendResolved": send_resolved, "rate": {"perMinute": 600}}})
}
