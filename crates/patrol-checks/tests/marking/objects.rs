//! The objects of the world: one of everything that some check looks at.

use patrol_api::time::Time;
use serde_json::{Value, json};

use crate::bed::NOW;

pub fn ago(seconds: i64) -> String {
    Time::from_unix(NOW - seconds).to_string()
}

const DAY: i64 = 86_400;

/// A requirement for every kind of block, and the namespace baseline.
pub fn policy() -> Value {
    let named = |name: &str| json!({"matchLabels": {"app": name}});
    json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy",
    "metadata": {"name": "p", "uid": "uid-p", "generation": 1, "resourceVersion": "1",
        "creationTimestamp": ago(DAY)},
    "spec": {
        "schedule": {"every": "24h"},
        "scope": {"namespaces": {"exclude": ["free"]}},
        "baselines": ["namespace-coverage"],
        "checks": [
            {"name": "aegis", "sidecar": {"container": "aegis", "minVersion": "2.0",
                "substitutes": [{"kind": "NodeAgent", "nodeAgent": "falco"}]}},
            {"name": "mesh", "sidecar": {"container": "istio-proxy",
                "injector": {"webhook": "istio-sidecar-injector"},
                "substitutes": [{"kind": "AmbientMesh"},
                    {"kind": "NodeAgent", "nodeAgent": "falco"}]}},
            {"name": "linkerd", "sidecar": {"container": "linkerd-proxy"}},
            {"name": "written", "sidecar": {"container": "written", "templates": true,
                "substitutes": [{"kind": "NodeAgent", "nodeAgent": "tetragon"}]}},
            {"name": "kruise", "sidecar": {"container": "kruise-agent"}},
            {"name": "falco", "nodeAgent": {"selector": named("falco"), "minVersion": "2.0"}},
            {"name": "tetragon", "nodeAgent": {"selector": named("tetragon")}},
            {"name": "deployed", "component": {"anyOf": [
                {"workload": {"namespace": "mesh", "name": "istiod"}}]}},
            {"name": "down", "component": {"anyOf": [
                {"workload": {"namespace": "mesh", "name": "down"}}]}},
            {"name": "picky", "sidecar": {"container": "picky",
                "injector": {"webhook": "picky"}}},
            {"name": "stateful", "component": {"anyOf": [
                {"workload": {"kind": "StatefulSet", "namespace": "mesh", "name": "vault"}}]}},
            {"name": "daemon", "component": {"anyOf": [
                {"workload": {"kind": "DaemonSet", "namespace": "mesh", "name": "cni"}}]}},
            {"name": "mutating", "component": {"anyOf": [{"webhook": {"kind": "Mutating",
                "name": "istio-sidecar-injector",
                "covers": {"group": "", "resource": "pods", "operation": "CREATE"}}}]}},
            {"name": "validating", "component": {"anyOf": [{"webhook": {"kind": "Validating",
                "name": "kyverno",
                "covers": {"group": "", "resource": "pods", "operation": "CREATE"}}}]}},
            {"name": "defined", "component": {"anyOf": [
                {"crd": {"name": "policies.example.com"}}]}},
            {"name": "served", "component": {"anyOf": [
                {"apiService": {"name": "v1.metrics.example.com"}}]}},
        ]}})
}

pub fn node(name: &str, labels: Value, ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": ago(DAY),
            "labels": labels},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": status}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}}})
}

pub fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": ago(DAY),
            "labels": labels},
        "status": {"phase": "Active"}})
}

pub struct Pod<'a> {
    pub place: &'a str,
    pub node: &'a str,
    pub labels: Value,
    pub annotations: Value,
    pub containers: &'a [(&'a str, &'a str)],
    pub owner: Option<(&'a str, &'a str)>,
    pub ready: bool,
}

impl Pod<'_> {
    pub fn new<'a>(place: &'a str, node: &'a str) -> Pod<'a> {
        Pod {
            place,
            node,
            labels: json!({}),
            annotations: json!({}),
            containers: &[("app", "registry.example.com/app:1")],
            owner: None,
            ready: true,
        }
    }

    pub fn build(&self) -> Value {
        let (namespace, name) = self.place.split_once('/').unwrap();
        let owners: Vec<Value> = self.owner.iter().map(|(k, n)| owner(k, n)).collect();
        let containers: Vec<Value> = self
            .containers
            .iter()
            .map(|(name, image)| json!({"name": name, "image": image}))
            .collect();
        let statuses: Vec<Value> = self
            .containers
            .iter()
            .map(|(name, _)| {
                json!({"name": name, "restartCount": 0, "ready": self.ready, "started": true,
                    "state": {"running": {"startedAt": ago(DAY / 2)}}})
            })
            .collect();
        let ready = if self.ready { "True" } else { "False" };
        let mut spec = json!({"containers": containers});
        if !self.node.is_empty() {
            spec["nodeName"] = json!(self.node);
        }
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}"),
                "creationTimestamp": ago(30 * DAY), "labels": self.labels,
                "annotations": self.annotations, "ownerReferences": owners},
            "spec": spec,
            "status": {"phase": "Running", "containerStatuses": statuses,
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": ago(DAY / 2)}]}})
    }
}

fn owner(kind: &str, name: &str) -> Value {
    let api_version = match kind {
        "Job" | "CronJob" => "batch/v1",
        "ReplicationController" => "v1",
        _ => "apps/v1",
    };
    json!({"apiVersion": api_version, "kind": kind, "name": name,
        "uid": format!("uid-{kind}-{name}"), "controller": true})
}

/// A workload with one replica that is available.
pub fn workload(kind: &str, place: &str, owned_by: Option<(&str, &str)>) -> Value {
    let (namespace, name) = place.split_once('/').unwrap();
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": {
        "containers": [{"name": "app", "image": "registry.example.com/app:1"}]}});
    let of = owner(kind, name);
    let spec = match kind {
        "CronJob" => json!({"jobTemplate": {"spec": {"template": template}}}),
        "ReplicationController" | "Job" => json!({"template": template}),
        "DaemonSet" => json!({"selector": {"matchLabels": {"app": name}}, "template": template}),
        _ => json!({"replicas": 1, "template": template}),
    };
    let owners: Vec<Value> = owned_by.iter().map(|(k, n)| owner(k, n)).collect();
    json!({"apiVersion": of["apiVersion"], "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "uid": of["uid"], "generation": 1,
            "creationTimestamp": ago(DAY), "ownerReferences": owners},
        "spec": spec,
        "status": {"observedGeneration": 1, "replicas": 1, "availableReplicas": 1,
            "numberAvailable": 1, "updatedNumberScheduled": 1, "desiredNumberScheduled": 1}})
}

pub fn webhook(kind: &str, name: &str, labels: Value) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": labels,
            "creationTimestamp": ago(DAY)},
        "webhooks": [{"name": "w.example.com", "failurePolicy": "Fail",
            "namespaceSelector": {"matchExpressions": [
                {"key": "left-out", "operator": "DoesNotExist"}]},
            "clientConfig": {"service": {"namespace": "mesh", "name": "injector"}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods"]}]}]})
}

pub fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "injector", "namespace": "mesh", "uid": "uid-injector"},
        "spec": {"type": "ClusterIP"}})
}

pub fn slice(ready: bool) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "injector-1", "namespace": "mesh",
            "labels": {"kubernetes.io/service-name": "injector"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]})
}

pub fn crd() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "policies.example.com", "uid": "uid-crd"},
        "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"kind": "Policy", "plural": "policies"},
            "versions": [{"name": "v1", "served": true, "storage": true}]},
        "status": {"conditions": [{"type": "Established", "status": "True"}]}})
}

pub fn api_service(available: &str) -> Value {
    json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.metrics.example.com", "uid": "uid-api", "creationTimestamp": ago(DAY)},
        "spec": {"group": "metrics.example.com", "version": "v1",
            "service": {"namespace": "mesh", "name": "metrics"}},
        "status": {"conditions": [{"type": "Available", "status": available, "reason": "Gone"}]}})
}

pub fn sidecar_set(hash: &str) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet",
        "metadata": {"name": "agents", "uid": "uid-agents",
            "annotations": {"kruise.io/sidecarset-hash": hash}},
        "spec": {"selector": {"matchLabels": {"never": "any"}},
            "containers": [{"name": "kruise-agent", "image": "registry.example.com/kruise:1"}]}})
}

/// The pod of the node agent on a node.
pub fn falco(node: &str, ready: bool, image: &str) -> Value {
    let place = format!("sec/falco-{node}");
    Pod {
        labels: json!({"app": "falco"}),
        containers: &[("falco", image)],
        owner: Some(("DaemonSet", "falco")),
        ready,
        ..Pod::new(&place, node)
    }
    .build()
}

/// The pod of Linkerd's injector.
pub fn linkerd_injector(tag: &str) -> Value {
    let image = format!("cr.l5d.io/linkerd/controller:{tag}");
    Pod {
        labels: json!({"linkerd.io/control-plane-component": "proxy-injector"}),
        containers: &[("proxy-injector", &image)],
        ..Pod::new("linkerd/injector-1", "n2")
    }
    .build()
}

/// The proxy of an ambient mesh on a node.
pub fn ztunnel(ready: bool) -> Value {
    Pod {
        labels: json!({"app": "ztunnel"}),
        ready,
        ..Pod::new("mesh/ztunnel-1", "n3")
    }
    .build()
}

/// Everything.
pub fn world() -> Vec<Value> {
    let mut all = vec![policy()];
    for (name, labels) in [
        ("n1", json!({})),
        ("n2", json!({})),
        ("n3", json!({})),
        ("v1", json!({"type": "virtual-kubelet"})),
    ] {
        all.push(node(name, labels, true));
    }
    let mut tainted = node("n4", json!({}), true);
    tainted["spec"]["taints"] = json!([{"key": "gpu", "effect": "NoSchedule"}]);
    all.push(tainted);
    for (name, labels) in [
        ("shop", json!({"istio.io/rev": "1-20", "picky": "yes"})),
        ("bank", json!({"istio-injection": "disabled"})),
        ("out", json!({"left-out": "yes"})),
        ("sec", json!({})),
        ("mesh", json!({})),
        ("linkerd", json!({})),
        ("free", json!({})),
    ] {
        all.push(namespace(name, labels));
    }
    all.push(workload("DaemonSet", "sec/falco", None));
    all.push(falco("n1", true, "docker.io/falcosecurity/falco:2.1"));
    all.push(falco("n2", true, "docker.io/falcosecurity/falco:2.1"));
    all.push(ztunnel(true));
    all.push(linkerd_injector("stable-2.14"));
    for (kind, name) in [
        ("Deployment", "istiod"),
        ("StatefulSet", "vault"),
        ("DaemonSet", "cni"),
    ] {
        all.push(workload(kind, &format!("mesh/{name}"), None));
    }
    all.push(webhook(
        "MutatingWebhookConfiguration",
        "istio-sidecar-injector",
        json!({"istio.io/tag": "1-20", "istio.io/rev": "1-21"}),
    ));
    all.push(webhook(
        "ValidatingWebhookConfiguration",
        "kyverno",
        json!({}),
    ));
    let mut picky = webhook("MutatingWebhookConfiguration", "picky", json!({}));
    picky["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"picky": "yes"}});
    all.push(picky);
    // A component that is down, and young enough to be coming up.
    let mut down = workload("Deployment", "mesh/down", None);
    down["status"]["availableReplicas"] = json!(0);
    let mut coming = Pod {
        owner: Some(("ReplicaSet", "down-1")),
        ..Pod::new("mesh/down-1-a", "")
    }
    .build();
    coming["metadata"]["creationTimestamp"] = json!(ago(10));
    all.extend([
        down,
        workload("ReplicaSet", "mesh/down-1", Some(("Deployment", "down"))),
        coming,
        service(),
        slice(true),
        crd(),
        api_service("True"),
        sidecar_set("a"),
    ]);
    all.extend(workloads());
    all.extend(pods());
    all
}

/// Workloads of every kind in `shop`, each with pods of every fault.
fn workloads() -> Vec<Value> {
    let mut all = vec![
        workload("Deployment", "shop/web", None),
        workload("ReplicaSet", "shop/web-1", Some(("Deployment", "web"))),
        workload("ReplicaSet", "shop/alone", None),
        workload("StatefulSet", "shop/db", None),
        workload("DaemonSet", "shop/log", None),
        workload("Job", "shop/once", None),
        workload("CronJob", "shop/nightly", None),
        workload("Job", "shop/nightly-1", Some(("CronJob", "nightly"))),
        workload("ReplicationController", "shop/old", None),
        // Its template counts as its pod.
        workload("Deployment", "shop/idle", None),
    ];
    for (kind, name) in [
        ("ReplicaSet", "web-1"),
        ("ReplicaSet", "alone"),
        ("StatefulSet", "db"),
        ("DaemonSet", "log"),
        ("Job", "once"),
        ("Job", "nightly-1"),
        ("ReplicationController", "old"),
    ] {
        let owner = Some((kind, name));
        let [at_plain, at_old, at_host, at_virtual, at_marked] =
            ["plain", "old", "host", "virtual", "marked"].map(|s| format!("shop/{name}-{s}"));
        let plain = Pod {
            owner,
            ..Pod::new(&at_plain, "n3")
        };
        let old = Pod {
            owner,
            containers: &[("app", "app:1"), ("aegis", "aegis:1.0")],
            ready: false,
            ..Pod::new(&at_old, "n3")
        };
        let mut on_host = Pod {
            owner,
            ..Pod::new(&at_host, "n3")
        }
        .build();
        on_host["spec"]["hostNetwork"] = json!(true);
        let virtual_one = Pod {
            owner,
            ..Pod::new(&at_virtual, "v1")
        };
        let marked = Pod {
            owner,
            annotations: json!({"sidecar.istio.io/inject": "false"}),
            ..Pod::new(&at_marked, "n3")
        };
        all.extend([
            plain.build(),
            old.build(),
            on_host,
            virtual_one.build(),
            marked.build(),
        ]);
    }
    all
}

/// Single pods, each the one that some look beyond it is about.
fn pods() -> Vec<Value> {
    let redirected = json!({"ambient.istio.io/redirection": "enabled"});
    vec![
        // Covered by the node agent on its node.
        Pod::new("shop/near", "n1").build(),
        // Its namespace switches the injection off; the node agent stands in.
        Pod::new("bank/near", "n1").build(),
        Pod::new("bank/far", "n3").build(),
        Pod::new("out/far", "n3").build(),
        // Covered by the ambient mesh on its node.
        Pod {
            annotations: redirected,
            ..Pod::new("shop/redirected", "n3")
        }
        .build(),
        // Injected by an older revision of each injector.
        Pod {
            labels: json!({"istio.io/rev": "1-19"}),
            annotations: json!({"sidecar.istio.io/status": "{}"}),
            containers: &[("app", "app:1"), ("istio-proxy", "docker.io/istio/proxyv2:1.19")],
            ..Pod::new("shop/stale", "n3")
        }
        .build(),
        Pod {
            labels: json!({"linkerd.io/control-plane-ns": "linkerd"}),
            annotations: json!({"linkerd.io/proxy-version": "stable-2.13"}),
            containers: &[("app", "app:1"), ("linkerd-proxy", "cr.l5d.io/linkerd/proxy:stable-2.13")],
            ..Pod::new("shop/linkerd", "n3")
        }
        .build(),
        Pod {
            annotations: json!({"kruise.io/sidecarset-hash":
                "{\"agents\":{\"updateTimestamp\":\"2026-01-01T00:00:00Z\",\"hash\":\"z\",\"sidecarSetName\":\"agents\"}}"}),
            containers: &[("app", "app:1"), ("kruise-agent", "registry.example.com/kruise:1")],
            ..Pod::new("shop/kruise", "n3")
        }
        .build(),
    ]
}
