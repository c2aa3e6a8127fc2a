//! The families, each with what must be said of it.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null; the objects are made here"
)]

use serde_json::{Value, json};

use super::texts::{inner_nasty, key, label_value, name, nasty};
use super::{Family, Step};
use crate::random::Random;

/// Kinds that own pods: API group and version, kind, resource, longest name.
const OWNERS: [(&str, &str, &str, usize); 7] = [
    ("apps/v1", "Deployment", "deployments", 253),
    ("apps/v1", "ReplicaSet", "replicasets", 253),
    ("apps/v1", "StatefulSet", "statefulsets", 63),
    ("apps/v1", "DaemonSet", "daemonsets", 253),
    ("batch/v1", "Job", "jobs", 63),
    ("batch/v1", "CronJob", "cronjobs", 52),
    ("v1", "ReplicationController", "replicationcontrollers", 63),
];

/// Makes objects of one namespace with names that nothing else has.
struct Maker<'a> {
    random: &'a mut Random,
    family: Family,
    number: usize,
}

/// A family of a kind that the seed chooses. `number` tells it from all others.
pub fn family(random: &mut Random, namespace: &str, number: usize) -> Family {
    let mut maker = Maker {
        random,
        family: Family {
            namespace: namespace.to_owned(),
            ..Family::default()
        },
        number: number * 1000,
    };
    match maker.random.below(24) {
        0..=8 => maker.workload(),
        9..=11 => maker.covered_alone(),
        12 | 13 => maker.lacking_alone(),
        14 => maker.strange_owner(),
        15 => maker.owners_in_a_ring(),
        16 => maker.long_line_of_owners(),
        17 => maker.finished(),
        18 => maker.nearly_covered(),
        19 => maker.strange_status(),
        20 => maker.service(),
        _ => maker.idle_workloads(),
    }
    maker.family
}

impl Maker<'_> {
    fn name(&mut self, longest: usize, dots: bool) -> String {
        self.number += 1;
        name(self.random, self.number, longest, dots)
    }

    fn path(&self, api: &str, resource: &str) -> String {
        let root = if api == "v1" { "api" } else { "apis" };
        let namespace = &self.family.namespace;
        format!("/{root}/{api}/namespaces/{namespace}/{resource}")
    }

    fn pod_path(&self, name: &str) -> String {
        format!("{}/{name}", self.path("v1", "pods"))
    }

    /// Metadata with labels and annotations that have nothing to do with the verdict.
    fn metadata(&mut self, name: &str) -> Value {
        let mut metadata = json!({"name": name});
        if self.random.once_in(2) {
            metadata["labels"] = json!({});
            metadata["annotations"] = json!({});
            for n in 0..usize::try_from(self.random.below(4)).unwrap_or(0) {
                metadata["labels"][key(self.random, n)] = label_value(self.random).into();
                metadata["annotations"][key(self.random, n)] = nasty(self.random).into();
            }
        }
        if self.random.once_in(300) {
            // The API server takes 256 KiB of annotations in all.
            let huge = "缺\u{202e}".repeat(200 * 1024 / 6);
            metadata["annotations"] = json!({"example.com/huge": huge});
        }
        metadata
    }

    /// A pod spec with the sidecar or without.
    fn spec(&mut self, sidecar: bool) -> Value {
        let image = inner_nasty(self.random);
        let mut spec = json!({"containers": [{"name": "app", "image": image,
            "env": [{"name": "TEXT", "value": nasty(self.random)}], "args": [nasty(self.random)]}]});
        let agent = json!({"name": "aegis", "image": "registry.example.com/security/aegis:3"});
        let first = json!({"name": "first", "image": inner_nasty(self.random)});
        match (sidecar, self.random.below(3)) {
            (true, 0) => {
                let mut native = agent;
                native["restartPolicy"] = json!("Always");
                spec["initContainers"] = json!([first, native]);
            }
            (true, _) => {
                if let Some(all) = spec["containers"].as_array_mut() {
                    all.push(agent);
                }
            }
            (false, 0) => spec["initContainers"] = json!([first]),
            (false, _) => {}
        }
        if self.random.once_in(4) {
            spec["nodeName"] = json!(format!("node-{}", self.random.below(40)));
        }
        spec
    }

    /// Makes a pod, owned by `owners`, and returns its name.
    fn pod(&mut self, sidecar: bool, owners: &Value) -> String {
        let name = self.name(253, true);
        let mut metadata = self.metadata(&name);
        if !owners.is_null() {
            metadata["ownerReferences"] = owners.clone();
        }
        let body = json!({"metadata": metadata, "spec": self.spec(sidecar)});
        let path = self.path("v1", "pods");
        self.family.steps.push(Step::Create { path, body });
        name
    }

    /// Makes a workload of a kind and returns `(apiVersion, kind, name, path)`.
    fn owner(&mut self, at: u64, owners: &Value) -> (&'static str, &'static str, String, String) {
        let at = usize::try_from(at).unwrap_or(0);
        let (api, kind, resource, longest) =
            OWNERS.get(at).copied().unwrap_or(("v1", "Pod", "pods", 63));
        let name = self.name(longest, longest == 253);
        let mut metadata = self.metadata(&name);
        if !owners.is_null() {
            metadata["ownerReferences"] = owners.clone();
        }
        let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {
            "restartPolicy": "Always", "containers": [{"name": "app", "image": inner_nasty(self.random)}]}});
        let mut job = template.clone();
        job["spec"]["restartPolicy"] = json!("Never");
        let selector = json!({"matchLabels": {"app": "x"}});
        let spec = match kind {
            "Job" => json!({"template": job}),
            "CronJob" => {
                json!({"schedule": "0 0 31 2 *", "jobTemplate": {"spec": {"template": job}}})
            }
            "ReplicationController" => json!({"selector": {"app": "x"}, "template": template}),
            "StatefulSet" => {
                json!({"selector": selector, "template": template, "serviceName": "x"})
            }
            _ => json!({"selector": selector, "template": template}),
        };
        let path = self.path(api, resource);
        let body = json!({"metadata": metadata, "spec": spec});
        self.family.steps.push(Step::Create {
            path: path.clone(),
            body,
        });
        let object = format!("{path}/{name}");
        (api, kind, name, object)
    }

    fn workload(&mut self) {
        self.family.what = "a workload with pods";
        let at = self.random.below(7);
        let (api, kind, top, _) = self.owner(at, &Value::Null);
        let mut owner = controller(api, kind, &top);
        // What people have: a Deployment's pods belong to its ReplicaSet, a CronJob's to a Job.
        let below = match kind {
            "Deployment" => Some(1),
            "CronJob" => Some(4),
            _ => None,
        };
        if let Some(at) = below {
            let (api, kind, name, _) = self.owner(at, &owner);
            owner = controller(api, kind, &name);
        }
        let lacking = self.random.once_in(3);
        for n in 0..20 + self.random.below(30) {
            // One among many is enough.
            self.pod(!lacking || n % 7 != 0, &owner);
        }
        if lacking {
            self.family.lacking = vec![format!("{kind}/{top}")];
        }
    }

    fn covered_alone(&mut self) {
        self.family.what = "a covered pod";
        self.pod(true, &Value::Null);
    }

    fn lacking_alone(&mut self) {
        self.family.what = "a pod that lacks it";
        let name = self.pod(false, &Value::Null);
        self.family.lacking = vec![format!("Pod/{name}")];
    }

    /// Owners that are no owners: the pod stands for itself.
    fn strange_owner(&mut self) {
        self.family.what = "a pod with a strange owner";
        let (api, kind, name, _) = self.owner(1, &Value::Null);
        let real = controller(api, kind, &name);
        let owners = match self.random.below(6) {
            0 => {
                json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "gone", "controller": true}])
            }
            // A namesake of the real one.
            1 => {
                json!([{"apiVersion": api, "kind": kind, "name": name, "uid": "11111111-2222-3333-4444-555555555555", "controller": true}])
            }
            2 => {
                json!([{"apiVersion": "evil.example/v1", "kind": inner_nasty(self.random), "name": inner_nasty(self.random), "uid": inner_nasty(self.random), "controller": true}])
            }
            3 => {
                json!([{"apiVersion": api, "kind": kind, "name": name, "uid": format!("@{name}"), "controller": false}])
            }
            4 => {
                // As a static pod's mirror has it: no injector reaches such a pod, and that
                // is another finding.
                let node = json!([{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "u", "controller": true}]);
                self.pod(false, &node);
                return;
            }
            _ => {
                self.family.what = "a pod with many owners";
                let mut many: Vec<Value> = (0..20)
                    .map(|n| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": format!("c{n}"), "uid": format!("u{n}")}))
                    .collect();
                many.extend(real.as_array().cloned().unwrap_or_default());
                let pod = self.pod(false, &many.into());
                let _ = pod;
                self.family.lacking = vec![format!("{kind}/{name}")];
                return;
            }
        };
        let pod = self.pod(false, &owners);
        self.family.lacking = vec![format!("Pod/{pod}")];
    }

    /// Workloads that own each other, and the first one's pod. The API server allows it.
    fn owners_in_a_ring(&mut self) {
        self.family.what = "owners in a ring";
        let size = 1 + self.random.below(3);
        let mut ring = vec![];
        for _ in 0..size {
            ring.push(self.owner(1, &Value::Null));
        }
        for (at, (_, _, _, path)) in ring.iter().enumerate() {
            let next = ring.get(at + 1).or(ring.first());
            let Some((api, kind, name, _)) = next else {
                continue;
            };
            let body = json!({"metadata": {"ownerReferences": controller(api, kind, name)}});
            let path = path.clone();
            self.family.steps.push(Step::Patch { path, body });
        }
        if let Some((api, kind, name, _)) = ring.first() {
            self.pod(false, &controller(api, kind, name));
            self.pod(true, &controller(api, kind, name));
        }
        self.family.lacking = ring
            .iter()
            .map(|(_, kind, name, _)| format!("{kind}/{name}"))
            .collect();
    }

    /// More generations than anybody follows.
    fn long_line_of_owners(&mut self) {
        self.family.what = "a long line of owners";
        let mut owner = Value::Null;
        for _ in 0..8 {
            let (api, kind, name, _) = self.owner(1, &owner);
            self.family.lacking.push(format!("{kind}/{name}"));
            owner = controller(api, kind, &name);
        }
        self.pod(false, &owner);
    }

    /// Pods that do not count any more.
    fn finished(&mut self) {
        self.family.what = "a pod that does not count";
        let name = self.pod(false, &Value::Null);
        let path = self.pod_path(&name);
        if self.random.once_in(2) {
            let phase = if self.random.once_in(2) {
                "Failed"
            } else {
                "Succeeded"
            };
            let body = json!({"status": {"phase": phase, "reason": nasty(self.random), "message": nasty(self.random)}});
            let path = format!("{path}/status");
            self.family.steps.push(Step::Patch { path, body });
        } else {
            let body = json!({"metadata": {"finalizers": ["example.com/stays"]}});
            self.family.steps.push(Step::Patch {
                path: path.clone(),
                body,
            });
            let path = format!("{path}?gracePeriodSeconds=0");
            self.family.steps.push(Step::Delete { path });
        }
    }

    /// Something like the sidecar that is none.
    fn nearly_covered(&mut self) {
        let name = self.pod(false, &Value::Null);
        self.family.lacking = vec![format!("Pod/{name}")];
        let Some(Step::Create { body, .. }) = self.family.steps.last_mut() else {
            return;
        };
        let agent = json!({"name": "aegis", "image": "registry.example.com/security/aegis:3"});
        match self.random.below(3) {
            0 => {
                self.family.what = "an init container of that name";
                body["spec"]["initContainers"] = json!([agent]);
            }
            1 => {
                self.family.what = "an impostor";
                let image = format!("evil.example/{}/aegis:3", inner_nasty(self.random));
                body["spec"]["containers"][0]["name"] = json!("aegis");
                body["spec"]["containers"][0]["image"] = json!(image);
            }
            _ => {
                self.family.what = "an ephemeral container of that name";
                let path = format!("{}/ephemeralcontainers", self.pod_path(&name));
                let body = json!({"spec": {"ephemeralContainers": [agent]}});
                self.family.steps.push(Step::Patch { path, body });
            }
        }
    }

    /// Statuses that contradict the spec.
    fn strange_status(&mut self) {
        self.family.what = "a pod with a strange status";
        let lacks = self.random.once_in(2);
        let name = self.pod(!lacks, &Value::Null);
        if lacks {
            self.family.lacking = vec![format!("Pod/{name}")];
        }
        let text = nasty(self.random);
        let ghost = json!({"name": "ghost", "image": text, "imageID": text, "ready": true, "restartCount": i32::MAX,
            "state": {"waiting": {"reason": text, "message": text}}, "lastState": {}});
        let status = match self.random.below(3) {
            0 => json!({"phase": "Running"}),
            1 => json!({"phase": "Running", "containerStatuses": [ghost, ghost], "conditions": []}),
            _ => json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": text, "message": text},
                {"type": "Ready", "status": "Unknown", "lastTransitionTime": "9999-12-31T23:59:59Z"},
                {"type": "example.com/Odd", "status": "True", "message": text}]}),
        };
        let path = format!("{}/status", self.pod_path(&name));
        let body = json!({"status": status});
        self.family.steps.push(Step::Patch { path, body });
    }

    fn service(&mut self) {
        self.family.what = "a service and its endpoints";
        let name = self.name(63, false);
        let metadata = self.metadata(&name);
        let spec = json!({"selector": {"app": "x"}, "ports": [{"port": 65535}]});
        let path = self.path("v1", "services");
        self.family.steps.push(Step::Create {
            path,
            body: json!({"metadata": metadata, "spec": spec}),
        });
        let mut metadata = self.metadata(&name);
        metadata["labels"] = json!({"kubernetes.io/service-name": name});
        let slice = json!({"metadata": metadata, "addressType": "FQDN",
            "endpoints": [{"addresses": ["a.example"], "conditions": {}}, {"addresses": ["b.example"]}]});
        let path = self.path("discovery.k8s.io/v1", "endpointslices");
        self.family.steps.push(Step::Create { path, body: slice });
    }

    fn idle_workloads(&mut self) {
        self.family.what = "workloads without pods";
        for at in 0..7 {
            self.owner(at, &Value::Null);
        }
    }
}

/// An owner reference to an object of this family.
fn controller(api: &str, kind: &str, name: &str) -> Value {
    json!([{"apiVersion": api, "kind": kind, "name": name, "uid": format!("@{name}"), "controller": true}])
}
