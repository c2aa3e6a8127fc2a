//! An API server in memory. It is honest: it applies what it says it applied, keeps
//! versions, UIDs and generations, drops the status of a create and checks preconditions.

use std::collections::{BTreeMap, BTreeSet};

use patrol_core::effect::Precondition;
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

#[derive(Default)]
pub struct Server {
    pub objects: BTreeMap<(Kind, ObjectKey), Value>,
    pub terminating: BTreeSet<String>,
    version: u64,
    uid: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub enum No {
    Exists,
    Conflict,
    NotFound,
    Terminating,
}

pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

impl Server {
    fn stamp(&mut self, value: &mut Value) {
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    pub fn get(&self, kind: Kind, key: &ObjectKey) -> Option<&Value> {
        self.objects.get(&(kind, key.clone()))
    }

    /// Creates or replaces, as a user does; a changed spec is a new generation.
    pub fn apply(&mut self, kind: Kind, key: &ObjectKey, mut value: Value, now: &str) -> Value {
        let (namespaced, info) = (kind.info().namespaced, kind.info());
        let version = info.version;
        value["apiVersion"] = match info.group {
            "" => json!(version),
            group => json!(format!("{group}/{version}")),
        };
        value["kind"] = json!(info.kind);
        value["metadata"]["name"] = json!(&*key.name);
        if namespaced {
            value["metadata"]["namespace"] = json!(key.namespace.as_str());
        }
        let before = self.get(kind, key).cloned();
        match &before {
            Some(before) => {
                for field in ["uid", "creationTimestamp", "finalizers", "generation"] {
                    value["metadata"][field] = before["metadata"][field].clone();
                }
                if before["spec"] != value["spec"] {
                    let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
                    value["metadata"]["generation"] = json!(generation + 1);
                }
                if value.get("status").is_none() {
                    value["status"] = before["status"].clone();
                }
            }
            None => {
                self.uid += 1;
                value["metadata"]["uid"] = json!(format!("uid-{}", self.uid));
                value["metadata"]["creationTimestamp"] = json!(now);
                value["metadata"]["generation"] = json!(1);
            }
        }
        strip_nulls(&mut value);
        self.stamp(&mut value);
        self.objects.insert((kind, key.clone()), value.clone());
        value
    }

    pub fn create(
        &mut self,
        kind: Kind,
        key: &ObjectKey,
        mut value: Value,
        now: &str,
    ) -> Result<Value, No> {
        if self.terminating.contains(key.namespace.as_str()) {
            return Err(No::Terminating);
        }
        if self.get(kind, key).is_some() {
            return Err(No::Exists);
        }
        value.as_object_mut().unwrap().remove("status");
        Ok(self.apply(kind, key, value, now))
    }

    pub fn change(
        &mut self,
        kind: Kind,
        at: &Precondition,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, No> {
        let Some(value) = self.objects.get(&(kind, at.key.clone())).cloned() else {
            return Err(No::NotFound);
        };
        let right = text(&value, "/metadata/uid") == at.uid
            && text(&value, "/metadata/resourceVersion") == at.version;
        if !right {
            return Err(No::Conflict);
        }
        Ok(self.edit(kind, &at.key, value, change))
    }

    /// An edit without a precondition.
    pub fn edit(
        &mut self,
        kind: Kind,
        key: &ObjectKey,
        mut value: Value,
        change: impl FnOnce(&mut Value),
    ) -> Value {
        let before = value["spec"].clone();
        change(&mut value);
        strip_nulls(&mut value);
        if value["spec"] != before {
            let generation = value["metadata"]["generation"].as_i64().unwrap_or(0);
            value["metadata"]["generation"] = json!(generation + 1);
        }
        self.stamp(&mut value);
        self.objects.insert((kind, key.clone()), value.clone());
        value
    }

    pub fn delete(&mut self, kind: Kind, key: &ObjectKey) -> Option<Value> {
        self.objects.remove(&(kind, key.clone()))
    }
}

fn strip_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, v| !v.is_null());
        map.values_mut().for_each(strip_nulls);
    }
}
