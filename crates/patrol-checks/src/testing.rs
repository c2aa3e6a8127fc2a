//! A small world for the tests of the checks: objects as JSON, decoded and stored as the
//! product does it, a policy as JSON, compiled as the product does it, and verdicts asked
//! for through the inspector, so that scope, blindness and selection are the real ones.

use std::collections::BTreeMap;

use patrol_api::policy::PatrolPolicy;
use patrol_api::time::{Span, Time};
use patrol_core::check::{Origin, OwnState, Verdict};
use patrol_core::facts::{ObjectKey, decode_value};
use patrol_core::inspect::{Inspection, InspectionResult, Inspector, inspect};
use patrol_core::inventory::{Blindness, Instances, Inventory};
use patrol_core::kind::Kind;
use patrol_core::rule::{PolicyRules, Rulebook, compile};
use patrol_core::sym::Sym;
use serde_json::{Value, json};

use crate::{CATALOGUE, chinese};

/// The time of judgement.
pub(crate) const NOW: &str = "2026-01-31T12:00:00Z";

/// The time of judgement.
pub(crate) fn now() -> Time {
    NOW.parse().unwrap()
}

/// A time before it, as objects carry it: `ago("90m")`.
pub(crate) fn ago(span: &str) -> String {
    now().minus(span.parse::<Span>().unwrap()).to_string()
}

/// Objects, a policy, and where they come from.
#[derive(Clone)]
pub(crate) struct World {
    policy: Value,
    objects: Vec<Value>,
    origin: Origin,
    blind: Vec<(Kind, Blindness)>,
    lost_at: Vec<(Kind, Time)>,
    refused: Vec<(Kind, Blindness)>,
    hidden: Vec<(Kind, Option<ObjectKey>, String)>,
    absent: Vec<Kind>,
    unlisted: Vec<Kind>,
    deleted: Vec<(Kind, ObjectKey)>,
    counted: Vec<(String, Instances)>,
    others: Vec<Value>,
    pub own: OwnState,
}

impl World {
    /// An empty world under a policy with this `spec`.
    pub fn new(spec: Value) -> Self {
        Self {
            policy: policy_of("production", spec),
            objects: vec![],
            origin: Origin::Cluster,
            blind: vec![],
            lost_at: vec![],
            refused: vec![],
            hidden: vec![],
            absent: vec![],
            unlisted: vec![],
            deleted: vec![],
            counted: vec![],
            others: vec![],
            own: OwnState::default(),
        }
    }

    /// The objects come from files.
    pub fn files(mut self) -> Self {
        self.origin = Origin::Files;
        self
    }

    /// With one more object; a later one of the same identity replaces an earlier one.
    pub fn with(mut self, object: impl Into<Value>) -> Self {
        self.objects.push(object.into());
        self
    }

    /// With more objects.
    pub fn with_all<T: Into<Value>>(mut self, objects: impl IntoIterator<Item = T>) -> Self {
        self.objects.extend(objects.into_iter().map(Into::into));
        self
    }

    /// A kind that the API server refuses.
    pub fn denied(self, kind: Kind) -> Self {
        self.lost(kind, Blindness::Denied("list".into()))
    }

    /// A kind that cannot be seen any more.
    pub fn lost(mut self, kind: Kind, why: Blindness) -> Self {
        self.blind.push((kind, why));
        self
    }

    /// A kind whose watch broke off so long ago.
    pub fn lost_since(mut self, kind: Kind, why: Blindness, age: &str) -> Self {
        self.lost_at.push((kind, ago(age).parse().unwrap()));
        self.lost(kind, why)
    }

    /// A kind that an access review refuses.
    pub fn refused(mut self, kind: Kind) -> Self {
        self.refused.push((kind, Blindness::Denied("list".into())));
        self
    }

    /// Something that may be hidden, with the reason.
    pub fn hidden(mut self, kind: Kind, key: Option<ObjectKey>, reason: &str) -> Self {
        self.hidden.push((kind, key, reason.to_owned()));
        self
    }

    /// A kind whose first list has not come.
    pub fn unlisted(mut self, kind: Kind) -> Self {
        self.unlisted.push(kind);
        self
    }

    /// An object that was there and is seen to go now.
    pub fn deleted(mut self, kind: Kind, namespace: &str, name: &str) -> Self {
        self.deleted.push((kind, ObjectKey::new(namespace, name)));
        self
    }

    /// So many objects of a CRD's kind.
    pub fn counted(mut self, crd: &str, count: Instances) -> Self {
        self.counted.push((crd.to_owned(), count));
        self
    }

    /// One more policy, whose rules are not asked.
    pub fn with_policy(mut self, name: &str, spec: Value) -> Self {
        self.others.push(policy_of(name, spec));
        self
    }

    /// A kind that is not installed.
    pub fn not_installed(mut self, kind: Kind) -> Self {
        self.absent.push(kind);
        self
    }

    /// The objects as the product would hold them.
    pub fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::new();
        for kind in Kind::ALL {
            inventory.relist_started(kind);
        }
        for object in &self.objects {
            let text = |field: &str| object[field].as_str().unwrap_or_default();
            let kind = Kind::of_manifest(text("apiVersion"), text("kind"))
                .unwrap_or_else(|| panic!("no kind we read: {object}"));
            match decode_value(kind, object) {
                Ok(seen) => drop(inventory.upsert(seen)),
                Err(e) => drop(inventory.blind_object(kind, e.key, e.reason)),
            }
        }
        for kind in Kind::ALL {
            if !self.unlisted.contains(&kind) {
                inventory.relist_finished(kind);
                inventory.sight_mut(kind).heard(now());
            }
        }
        for (kind, key) in &self.deleted {
            assert!(!inventory.delete(*kind, key).is_empty(), "{kind} {key}");
        }
        for (crd, count) in &self.counted {
            inventory.count_instances(crd, count.clone());
        }
        for (kind, why) in &self.blind {
            inventory.sight_mut(*kind).lost(why.clone());
        }
        for (kind, at) in &self.lost_at {
            inventory.sight_mut(*kind).note_loss(*at);
        }
        for (kind, key, reason) in &self.hidden {
            inventory.blind_object(*kind, key.clone(), reason.clone());
        }
        for (kind, why) in &self.refused {
            inventory.sight_mut(*kind).refused(why.clone());
        }
        for kind in &self.absent {
            inventory.sight_mut(*kind).not_installed();
        }
        inventory
    }

    /// Every verdict of one check, by requirement and subject.
    pub fn judge(&self, check: &str) -> Vec<InspectionResult> {
        self.inspect(check).results
    }

    /// The same, with the kinds that could not be seen.
    pub fn inspect(&self, check: &str) -> Inspection {
        assert!(CATALOGUE.find(check).is_some(), "{check} is no check");
        let policies: BTreeMap<Sym, PolicyRules> = [&self.policy]
            .into_iter()
            .chain(&self.others)
            .map(|policy| {
                let policy: PatrolPolicy = serde_json::from_value(policy.clone()).unwrap();
                compile(&policy, &CATALOGUE, now()).unwrap_or_else(|p| panic!("{p:?}"))
            })
            .map(|rules| (rules.name.clone(), rules))
            .collect();
        let rulebook = Rulebook {
            policies,
            always_on: CATALOGUE.always_on_rules(),
        };
        let inventory = self.inventory();
        let inspector = Inspector {
            catalogue: &CATALOGUE,
            inventory: &inventory,
            rulebook: &rulebook,
            origin: self.origin,
            own: &self.own,
            now: now(),
        };
        let rules = rulebook
            .rules_of("production")
            .iter()
            .chain(&rulebook.always_on)
            .filter(|r| r.check == check);
        let inspection = inspect(&inspector, rules);
        for result in &inspection.results {
            // Whatever a test makes a check say can be said in Chinese.
            let remedy = &result.judgement.remediation;
            let known = remedy.is_empty() || chinese::remedy(check, remedy).is_some();
            assert!(known, "{check}: not in Chinese: {remedy}");
        }
        inspection
    }

    /// The verdict of one check on one subject, written `Kind/name`.
    pub fn verdict(&self, check: &str, subject: &str) -> InspectionResult {
        let mut found: Vec<InspectionResult> = self.judge(check);
        let all: Vec<String> = found.iter().map(subject_of).collect();
        found.retain(|r| subject_of(r) == subject);
        assert_eq!(found.len(), 1, "{check} on {subject}: there are {all:?}");
        found.remove(0)
    }
}

fn policy_of(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy",
        "metadata": {"name": name}, "spec": spec})
}

fn subject_of(result: &InspectionResult) -> String {
    let subject = &result.judgement.subject;
    format!("{}/{}", subject.kind, subject.name)
}

/// Short forms for assertions.
pub(crate) trait Said {
    /// `Fail`, `Pass`, `NotApplicable(Leaving)`, `Unknown(grace)`.
    fn said(&self) -> String;
    /// Reasons, joined by commas.
    fn reasons(&self) -> String;
    /// `affected/total`.
    fn share(&self) -> String;
}

impl Said for InspectionResult {
    fn said(&self) -> String {
        match &self.judgement.verdict {
            Verdict::NotApplicable(why) => format!("NotApplicable({why:?})"),
            Verdict::Unknown(why) => format!("Unknown({why})"),
            verdict => verdict.word().to_owned(),
        }
    }

    fn reasons(&self) -> String {
        let words: Vec<&str> = self.judgement.reasons.iter().map(Sym::as_str).collect();
        words.join(",")
    }

    fn share(&self) -> String {
        let affected = &self.judgement.affected;
        format!("{}/{}", affected.count, affected.total)
    }
}

/// An object under construction.
#[derive(Clone)]
pub(crate) struct Object(pub Value);

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        object.0
    }
}

impl Object {
    /// With a JSON merge patch (RFC 7386) on top: objects are merged, all else replaced.
    pub fn patch(mut self, patch: Value) -> Self {
        merge(&mut self.0, patch);
        self
    }

    /// With one more element in a list, which is made where it is not there.
    pub fn push(mut self, pointer: &str, value: Value) -> Self {
        let mut at = &mut self.0;
        for part in pointer.split('/').skip(1) {
            at = &mut at[part];
        }
        match at {
            Value::Array(list) => list.push(value),
            other => *other = json!([value]),
        }
        self
    }

    /// Without what a pointer to a field of an object leads to.
    pub fn without(mut self, pointer: &str) -> Self {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = self.0.pointer_mut(parent).and_then(Value::as_object_mut);
        parent.unwrap().remove(field).unwrap();
        self
    }

    /// Controlled by another object.
    pub fn owned_by(self, api_version: &str, kind: &str, name: &str) -> Self {
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": name,
            "uid": format!("uid-{name}"), "controller": true});
        self.patch(json!({"metadata": {"ownerReferences": [owner]}}))
    }

    /// A container with its status, in `containers`.
    pub fn container(self, name: &str, image: &str, status: Value) -> Self {
        self.push("/spec/containers", json!({"name": name, "image": image}))
            .push("/status/containerStatuses", status_of(name, status))
    }

    /// A container with its status, in `initContainers`.
    pub fn init(self, container: Value, status: Value) -> Self {
        let name = container["name"].as_str().unwrap().to_owned();
        self.push("/spec/initContainers", container)
            .push("/status/initContainerStatuses", status_of(&name, status))
    }
}

fn status_of(name: &str, status: Value) -> Value {
    let mut all = json!({"name": name, "restartCount": 0});
    merge(&mut all, status);
    all
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

/// Status of a container that runs and is ready.
pub(crate) fn ready() -> Value {
    json!({"ready": true, "started": true, "state": {"running": {"startedAt": ago("1h")}}})
}

/// Status of a container that waits.
pub(crate) fn waiting(reason: &str) -> Value {
    json!({"ready": false, "started": false, "state": {"waiting": {"reason": reason}}})
}

/// Status of a container that ended.
pub(crate) fn ended(exit_code: i32, since: &str) -> Value {
    json!({"ready": false, "started": false, "state": {"terminated": {
        "exitCode": exit_code, "reason": if exit_code == 0 { "Completed" } else { "Error" },
        "finishedAt": ago(since)}}})
}

/// A pod of namespace `shop` that has run for an hour on node `n1`: one container `app`.
pub(crate) fn pod(name: &str) -> Object {
    let base = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "creationTimestamp": ago("1h"), "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Running", "containerStatuses": [],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago("1h")}]},
    });
    Object(base).container("app", "registry.example.com/shop/web:1", ready())
}

/// A pod as a file holds it, before any API server saw it.
pub(crate) fn bare_pod(name: &str) -> Object {
    pod(name)
        .without("/status")
        .without("/spec/nodeName")
        .patch(json!({"metadata": {"uid": null, "creationTimestamp": null}}))
}

/// A workload of namespace `shop` with one replica of a container `app`.
pub(crate) fn workload(kind: &str, name: &str) -> Object {
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {
        "containers": [{"name": "app", "image": "registry.example.com/shop/web:1"}]}});
    let (api_version, spec) = match kind {
        "CronJob" => (
            "batch/v1",
            json!({"jobTemplate": {"spec": {"template": template}}}),
        ),
        "Job" => ("batch/v1", json!({"template": template})),
        _ => ("apps/v1", json!({"template": template})),
    };
    Object(json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "creationTimestamp": ago("30d")},
        "spec": spec,
    }))
}

/// Deployment `web`, its ReplicaSet `web-1` and these pods of it.
pub(crate) fn deployment_of(pods: Vec<Object>) -> Vec<Object> {
    let set = workload("ReplicaSet", "web-1").owned_by("apps/v1", "Deployment", "web");
    pods.into_iter()
        .map(|pod| pod.owned_by("apps/v1", "ReplicaSet", "web-1"))
        .chain([workload("Deployment", "web"), set])
        .collect()
}

/// A ready node.
pub(crate) fn node(name: &str) -> Object {
    Object(json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": ago("30d")},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}},
    }))
}

/// A virtual node.
pub(crate) fn virtual_node(name: &str) -> Object {
    node(name).patch(json!({"metadata": {"labels": {"type": "virtual-kubelet"}}}))
}

/// An active namespace.
pub(crate) fn namespace(name: &str) -> Object {
    Object(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": ago("30d"),
            "labels": {"kubernetes.io/metadata.name": name}},
        "status": {"phase": "Active"},
    }))
}

/// A mutating webhook on the creation of pods that selects everything.
pub(crate) fn injector(name: &str) -> Object {
    Object(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "uid": format!("uid-{name}")},
        "webhooks": [{
            "name": "inject.example.com", "failurePolicy": "Fail",
            "clientConfig": {"service": {"namespace": "mesh", "name": "injector"}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        }],
    }))
}
